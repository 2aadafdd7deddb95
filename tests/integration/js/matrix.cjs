// The official SDKs for JavaScript: what support/sdk.py does in Python, and what it is asked is told
// there.  Reads one line of JSON after the other and answers each with one.
const readline = require("node:readline");
const OpenAI = require("openai");
const Anthropic = require("@anthropic-ai/sdk");
const { ApiError, GoogleGenAI, Type } = require("@google/genai");

const MAX_TOKENS = 8000;
const PERSON = {
  type: "object", properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"], additionalProperties: false,
};

const dataUrl = (ask) => "data:image/png;base64," + ask.image;

// What was asked for with `schema`, read as the applications do that got it as text.
const parsed = (ask, text) => (ask.schema ? JSON.parse(text) : null);

const openai = (ask) => new OpenAI({
  baseURL: ask.url + "/v1", apiKey: "sk-client", maxRetries: 0, timeout: 60_000,
});

// The helper gathers what OpenAI's own models say; applications gather the thoughts of others.
async function chatStream(completions, options) {
  const stream = completions.stream({ ...options, stream_options: { include_usage: true } });
  let thoughts = "";
  stream.on("chunk", (chunk) => {
    thoughts += chunk.choices[0]?.delta?.reasoning_content ?? "";
  });
  const answer = await stream.finalChatCompletion();
  if (thoughts) answer.choices[0].message.reasoning_content = thoughts;
  return answer;
}

async function openaiChat(ask, told) {
  const { completions } = openai(ask).chat;
  const messages = ask.system ? [{ role: "developer", content: ask.system }] : [];
  messages.push({
    role: "user",
    content: ask.image ? [{ type: "text", text: ask.prompt },
      { type: "image_url", image_url: { url: dataUrl(ask), detail: "low" } }] : ask.prompt,
  });
  const options = { model: ask.model, messages };
  if (ask.tools) {
    options.tools = ask.tools.map((t) => ({
      type: "function",
      function: { name: t.name, description: t.description, parameters: t.schema },
    }));
    options.tool_choice = "auto";
    options.parallel_tool_calls = true;
  }
  if (ask.schema) {
    options.response_format = {
      type: "json_schema", json_schema: { name: "person", strict: true, schema: PERSON },
    };
  }
  if (ask.thinking) options.reasoning_effort = "medium";

  for (;;) {
    const answer = ask.stream ? await chatStream(completions, options)
      : await completions.create(options);
    const { message, finish_reason } = answer.choices[0];
    const calls = message.tool_calls ?? [];
    told({
      text: message.content ?? "", thinking: message.reasoning_content ?? "",
      calls: calls.map((c) => ({
        id: c.id, name: c.function.name, args: JSON.parse(c.function.arguments),
      })),
      stop: finish_reason, model: answer.model, parsed: parsed(ask, message.content),
      usage: {
        input: answer.usage.prompt_tokens, output: answer.usage.completion_tokens,
        cached: answer.usage.prompt_tokens_details.cached_tokens,
        reasoning: answer.usage.completion_tokens_details.reasoning_tokens,
      },
    });
    // The helper for streams adds members of its own.
    const { parsed: _, ...own } = message;
    messages.push(own);
    for (const call of calls) {
      delete call.function.parsed_arguments;
      messages.push({
        role: "tool", tool_call_id: call.id, content: ask.results[call.function.name],
      });
    }
    if (calls.length === 0 && !ask.again) return;
    if (calls.length === 0) messages.push({ role: "user", content: ask.again });
    if (calls.length === 0) ask.again = undefined;
  }
}

async function openaiResponses(ask, told) {
  const { responses } = openai(ask);
  const input = [{
    role: "user",
    content: ask.image ? [{ type: "input_text", text: ask.prompt },
      { type: "input_image", image_url: dataUrl(ask), detail: "high" }] : ask.prompt,
  }];
  const options = {
    model: ask.model, input, store: false, include: ["reasoning.encrypted_content"],
  };
  if (ask.system) options.instructions = ask.system;
  if (ask.tools) {
    options.tools = ask.tools.map((t) => ({
      type: "function", name: t.name, description: t.description, parameters: t.schema,
      strict: false,
    }));
  }
  if (ask.schema) {
    options.text = { format: { type: "json_schema", name: "person", strict: true, schema: PERSON } };
  }
  if (ask.thinking) options.reasoning = { effort: "medium", summary: "detailed" };

  for (;;) {
    const answer = ask.stream ? await responses.stream(options).finalResponse()
      : await responses.create(options);
    const calls = answer.output.filter((i) => i.type === "function_call");
    const thoughts = answer.output.filter((i) => i.type === "reasoning");
    told({
      text: answer.output_text,
      thinking: thoughts.flatMap((i) => i.summary.map((s) => s.text)).join("\n\n"),
      calls: calls.map((c) => ({ id: c.call_id, name: c.name, args: JSON.parse(c.arguments) })),
      stop: answer.status, model: answer.model, parsed: parsed(ask, answer.output_text),
      usage: {
        input: answer.usage.input_tokens, output: answer.usage.output_tokens,
        cached: answer.usage.input_tokens_details.cached_tokens,
        reasoning: answer.usage.output_tokens_details.reasoning_tokens,
      },
    });
    input.push(...answer.output.map(({ parsed_arguments: _, ...item }) => ({
      ...item,
      ...(item.type === "message"
        && { content: item.content.map(({ parsed: __, ...part }) => part) }),
    })));
    for (const call of calls) {
      input.push({
        type: "function_call_output", call_id: call.call_id, output: ask.results[call.name],
      });
    }
    if (calls.length === 0 && !ask.again) return;
    if (calls.length === 0) input.push({ role: "user", content: ask.again });
    if (calls.length === 0) ask.again = undefined;
  }
}

async function anthropic(ask, told) {
  const client = new Anthropic({
    baseURL: ask.url, apiKey: "sk-client", maxRetries: 0, timeout: 60_000,
  });
  const messages = [{
    role: "user",
    content: ask.image ? [{ type: "text", text: ask.prompt },
      { type: "image", source: { type: "base64", media_type: "image/png", data: ask.image } }]
      : [{ type: "text", text: ask.prompt, cache_control: { type: "ephemeral" } }],
  }];
  const options = { model: ask.model, max_tokens: MAX_TOKENS, messages };
  if (ask.system) options.system = [{ type: "text", text: ask.system }];
  if (ask.tools) {
    options.tools = ask.tools.map((t) => ({
      name: t.name, description: t.description, input_schema: t.schema,
    }));
    options.tool_choice = { type: "auto", disable_parallel_tool_use: false };
  }
  if (ask.schema) options.output_config = { format: { type: "json_schema", schema: PERSON } };
  if (ask.thinking) {
    options.thinking = ask.thinking === "budget" ? { type: "enabled", budget_tokens: 2000 }
      : { type: "adaptive", display: "summarized" };
  }

  for (;;) {
    const answer = ask.stream ? await client.messages.stream(options).finalMessage()
      : await client.messages.create(options);
    const of = (type) => answer.content.filter((b) => b.type === type);
    const calls = of("tool_use");
    const text = of("text").map((b) => b.text).join("");
    told({
      text, thinking: of("thinking").map((b) => b.thinking).join("\n\n"),
      calls: calls.map((c) => ({ id: c.id, name: c.name, args: c.input })),
      stop: answer.stop_reason, model: answer.model, parsed: parsed(ask, text),
      usage: {
        input: answer.usage.input_tokens + answer.usage.cache_read_input_tokens,
        output: answer.usage.output_tokens, cached: answer.usage.cache_read_input_tokens,
      },
    });
    messages.push({
      role: "assistant",
      content: answer.content.map(({ parsed: _, ...block }) => block),
    });
    if (calls.length > 0) {
      // In the wrong order, which is legal here.
      messages.push({
        role: "user",
        content: calls.toReversed().map((c) => ({
          type: "tool_result", tool_use_id: c.id,
          content: [{ type: "text", text: ask.results[c.name] }],
        })),
      });
    } else if (ask.again) {
      messages.push({ role: "user", content: ask.again });
      ask.again = undefined;
    } else {
      return;
    }
  }
}

// JSON Schema as Google's own form of it, which its older applications use.
function googleSchema({ additionalProperties: _, properties, type, ...rest }) {
  return {
    ...rest, type: Type[type.toUpperCase()],
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, inner]) => [name, googleSchema(inner)])),
    }),
  };
}

async function google(ask, told) {
  const { models } = new GoogleGenAI({ apiKey: "sk-client", httpOptions: { baseUrl: ask.url } });
  const parts = [{ text: ask.prompt }];
  if (ask.image) parts.push({ inlineData: { mimeType: "image/png", data: ask.image } });
  const contents = [{ role: "user", parts }];
  const config = { systemInstruction: ask.system };
  if (ask.tools) {
    config.tools = [{
      functionDeclarations: ask.tools.map((t) => ({
        name: t.name, description: t.description, parameters: googleSchema(t.schema),
      })),
    }];
  }
  if (ask.schema) {
    config.responseMimeType = "application/json";
    config.responseJsonSchema = PERSON;
  }
  if (ask.thinking) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 8192 };

  async function once() {
    const asked = { model: ask.model, contents, config };
    if (!ask.stream) {
      const answer = await models.generateContent(asked);
      return [answer, answer.candidates[0].content.parts];
    }
    const gathered = [];
    let last;
    for await (last of await models.generateContentStream(asked)) {
      gathered.push(...last.candidates?.[0]?.content?.parts ?? []);
    }
    return [last, gathered];
  }

  for (;;) {
    const [answer, found] = await once();
    const calls = found.filter((p) => p.functionCall).map((p) => p.functionCall);
    const text = found.filter((p) => p.text && !p.thought).map((p) => p.text).join("");
    const usage = answer.usageMetadata;
    told({
      text, thinking: found.filter((p) => p.text && p.thought).map((p) => p.text).join(""),
      calls: calls.map((c) => ({ id: c.id, name: c.name, args: c.args })),
      stop: answer.candidates[0].finishReason, model: answer.modelVersion,
      parsed: parsed(ask, text),
      usage: {
        input: usage.promptTokenCount, cached: usage.cachedContentTokenCount ?? 0,
        output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
        reasoning: usage.thoughtsTokenCount ?? 0,
      },
    });
    // Its own chats leave out what is empty.
    contents.push({ role: "model", parts: found.filter((p) => p.text !== "" || p.thoughtSignature) });
    if (calls.length > 0) {
      contents.push({
        role: "user",
        parts: calls.map((c) => ({
          functionResponse: { id: c.id, name: c.name, response: { output: ask.results[c.name] } },
        })),
      });
    } else if (ask.again) {
      contents.push({ role: "user", parts: [{ text: ask.again }] });
      ask.again = undefined;
    } else {
      return;
    }
  }
}

const sdks = {
  "openai-chat": openaiChat, "openai-responses": openaiResponses, anthropic, google,
};

const isRaised = (error) => error instanceof OpenAI.OpenAIError
  || error instanceof Anthropic.AnthropicError || error instanceof ApiError;

async function run(ask) {
  const answers = [];
  try {
    await sdks[ask.sdk](ask, (answer) => answers.push(answer));
  } catch (error) {
    if (!isRaised(error)) return { broken: error.stack };
    return {
      answers,
      error: {
        class: error.constructor.name, message: error.message, status: error.status ?? null,
      },
    };
  }
  return { answers, error: null };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await run(JSON.parse(line))));
  }
}

main();
