// Expects a failure and prints its classes, its message and the text that came before it.
const { client, main, user } = require("./common.cjs");

main(async () => {
  const stream = process.env.STREAM === "1";
  let text = "";
  try {
    const answer = await client.chat.completions.create({ model: "nice", messages: user("x"), stream });
    if (stream) for await (const chunk of answer) text += chunk.choices[0]?.delta?.content ?? "";
  } catch (error) {
    const classes = [];
    for (let c = error.constructor; c?.name; c = Object.getPrototypeOf(c)) classes.push(c.name);
    console.log(classes.join(" "), error.message, text);
    return;
  }
  throw new Error("it did not fail");
});
