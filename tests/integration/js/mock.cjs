// The mock models: chat, streams, tools, images, models, completions, errors.
const { assert, client, image, main, OpenAI, textOf, user, weather } = require("./common.cjs");

main(async () => {
  const chat = client.chat.completions;
  const answer = await chat.create({ model: "mock", messages: user("Good morning") });
  assert.match(answer.choices[0].message.content, /Good morning/);
  assert.ok(answer.usage.total_tokens > 0);

  const stream = await chat.create({ model: "mock", messages: user("Good evening"), stream: true });
  assert.match(await textOf(stream), /Good evening/);

  const runner = chat.stream({ model: "mock-tools", messages: user("Weather?"), tools: [weather] });
  const message = await runner.finalMessage();
  const call = message.tool_calls[0];
  assert.equal(call.function.name, "get_weather");
  assert.ok("city" in JSON.parse(call.function.arguments));
  const after = await chat.create({
    model: "mock-tools", tools: [weather],
    messages: [...user("Weather?"), { role: "assistant", tool_calls: message.tool_calls },
      { role: "tool", tool_call_id: call.id, content: "sunny" }],
  });
  assert.match(after.choices[0].message.content, /sunny/);

  const seen = await chat.create({
    model: "mock",
    messages: user([{ type: "text", text: "Look" }, { type: "image_url", image_url: { url: image } }]),
  });
  assert.match(seen.choices[0].message.content, /Look/);

  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("mock"));
  assert.equal((await client.models.retrieve("mock")).id, "mock");

  const completed = await client.completions.create({ model: "mock", prompt: "Once" });
  assert.match(completed.choices[0].text, /Once/);

  await assert.rejects(chat.create({ model: "none", messages: user("x") }), OpenAI.NotFoundError);
  await assert.rejects(chat.create({ model: "mock-429", messages: user("x") }), OpenAI.RateLimitError);
  await assert.rejects(async () => {
    await textOf(await chat.create({ model: "mock-cut", messages: user("x y z"), stream: true }));
  }, OpenAI.APIError);
});
