// What the scripts share: the client, and checks that say what was expected.
const assert = require("node:assert/strict");
const OpenAI = require("openai");

const client = new OpenAI({
  baseURL: process.env.BASE_URL, apiKey: "sk-dummy", maxRetries: 0, timeout: 60_000,
});

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object", properties: { city: { type: "string" } }, required: ["city"],
    },
  },
};

// One red pixel.
const image = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AA" +
  "AAMBAQDJ/pLvAAAAAElFTkSuQmCC";

const user = (content) => [{ role: "user", content }];

async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
}

function main(work) {
  work().then(() => console.log("all good"), (error) => {
    console.error(error);
    process.exitCode = 1;
  });
}

module.exports = { assert, client, image, main, OpenAI, textOf, user, weather };
