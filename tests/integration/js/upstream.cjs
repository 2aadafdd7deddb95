// A scripted upstream: an image, a stream, a streamed tool call, a model by the upstream's name.
const { assert, client, image, main, textOf, user, weather } = require("./common.cjs");

main(async () => {
  const chat = client.chat.completions;
  const seen = await chat.create({
    model: "nice", tools: [weather],
    messages: user([{ type: "text", text: "Look" }, { type: "image_url", image_url: { url: image } }]),
  });
  assert.equal(seen.choices[0].message.content, "a picture");

  const text = await textOf(await chat.create({ model: "nice", messages: user("x"), stream: true }));
  assert.equal(text, "streamed text");

  const runner = chat.stream({
    model: "nice", messages: user("x"), tools: [weather], stream_options: { include_usage: true },
  });
  const completion = await runner.finalChatCompletion();
  const call = completion.choices[0].message.tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Oslo" });
  assert.equal(completion.usage.total_tokens, 8);

  const free = await chat.create({ model: "scripted://vendor/model:free", messages: user("x") });
  assert.equal(free.choices[0].message.content, "free");
});
