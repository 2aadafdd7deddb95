// The AI SDK (Vercel), of two generations: what matrix.cjs does with the vendors' own SDKs.  What it
// is asked is told in support/sdk.py, and `generation` besides.
const readline = require("node:readline");

const MAX_TOKENS = 8000;
const PERSON = {
  type: "object", properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"], additionalProperties: false,
};

const load = (name, generation) => require(generation === "era" ? `${name}-era` : name);

const key = { apiKey: "sk-client" };

// How each provider is reached, and what an application tells it so that it thinks.
const providers = {
  "openai-chat": ({ url, model }, of) => [
    of("@ai-sdk/openai").createOpenAI({ baseURL: `${url}/v1`, ...key }).chat(model),
    { openai: { reasoningEffort: "medium", forceReasoning: true } }],
  // Nothing says `store: false`: it refers to the items of earlier answers.
  "openai-responses": ({ url, model }, of) => [
    of("@ai-sdk/openai").createOpenAI({ baseURL: `${url}/v1`, ...key }).responses(model),
    { openai: { reasoningEffort: "medium", reasoningSummary: "detailed", forceReasoning: true } }],
  anthropic: ({ url, model, thinking }, of) => [
    of("@ai-sdk/anthropic").createAnthropic({ baseURL: `${url}/v1`, ...key })(model),
    {
      anthropic: {
        thinking: thinking === "adaptive" ? { type: "adaptive", display: "summarized" }
          : { type: "enabled", budgetTokens: 2000 },
      },
    }],
  google: ({ url, model }, of) => [
    of("@ai-sdk/google").createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, ...key })(model),
    { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 8192 } } }],
  "openai-compatible": ({ url, model }, of) => [
    of("@ai-sdk/openai-compatible").createOpenAICompatible({
      name: "proxy", baseURL: `${url}/v1`, ...key, includeUsage: true,
      supportsStructuredOutputs: true,
    })(model),
    { proxy: { reasoningEffort: "medium" } }],
};

function toolsOf(ask, ai) {
  return Object.fromEntries(ask.tools.map((t) => [t.name, ai.tool({
    description: t.description, inputSchema: ai.jsonSchema(t.schema),
    execute: async () => ask.results[t.name],
  })]));
}

// The finished talk; a stream is read to its end, and raises what it tells of.
async function talk(ask, ai, options) {
  if (!ask.stream) return ai.generateText(options);
  const stream = ai.streamText({ ...options, onError() {} });
  for await (const part of stream.fullStream) {
    if (part.type === "error") throw part.error;
  }
  return { response: await stream.response, steps: await stream.steps };
}

// The first generation passes on what Anthropic and Google count apart.
function usageOf({ usage }, { generation, sdk }) {
  const era = generation === "era";
  const cached = usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens;
  const reasoning = usage.outputTokenDetails?.reasoningTokens ?? usage.reasoningTokens;
  return {
    input: usage.inputTokens + (era && sdk === "anthropic" ? cached : 0),
    output: usage.outputTokens + (era && sdk === "google" ? reasoning : 0),
    cached, reasoning,
  };
}

async function converse(ask, told) {
  const of = (name) => load(name, ask.generation);
  const ai = of("ai");
  const [model, thinking] = providers[ask.sdk](ask, of);
  const messages = [{
    role: "user",
    content: ask.image ? [{ type: "text", text: ask.prompt },
      { type: "image", image: ask.image, mediaType: "image/png" }] : ask.prompt,
  }];
  const options = {
    model, messages, maxRetries: 0, maxOutputTokens: MAX_TOKENS, stopWhen: ai.stepCountIs(5),
    system: ask.system, tools: ask.tools && toolsOf(ask, ai),
    providerOptions: ask.thinking && thinking,
  };
  if (ask.schema) {
    const output = ai.Output.object({ schema: ai.jsonSchema(PERSON) });
    Object.assign(options, { output, experimental_output: output });
  }

  for (;;) {
    const { steps } = await talk(ask, ai, options);
    for (const step of steps) {
      told({
        text: step.text, thinking: step.reasoningText ?? "",
        calls: step.toolCalls.map((c) => ({ id: c.toolCallId, name: c.toolName, args: c.input })),
        stop: step.finishReason, model: step.response.modelId, usage: usageOf(step, ask),
        parsed: ask.schema ? JSON.parse(step.text) : null,
      });
    }
    if (!ask.again) return;
    messages.push(...steps.at(-1).response.messages, { role: "user", content: ask.again });
    ask.again = undefined;
  }
}

async function run(ask) {
  const answers = [];
  try {
    await converse(ask, (answer) => answers.push(answer));
  } catch (error) {
    const { AISDKError } = load("ai", ask.generation);
    // A stream's error is what the provider's event holds.
    if (error instanceof Error && !AISDKError.isInstance(error)) return { broken: error.stack };
    return {
      answers,
      error: {
        class: error.name ?? "event", message: error.message ?? JSON.stringify(error),
        status: error.statusCode ?? null,
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

globalThis.AI_SDK_LOG_WARNINGS = false;
main();
