--- Legacy completions over chat.

local support = require "tests.support"
local json = require "json"

local function given(upstream)
  return support.reset {
    credentials = { support.account("a", { m = "m-1" }) }, upstream = upstream,
  }
end

local function ask(body) return support.ask("POST", "/v1/completions", nil, body) end

local function answer(text)
  return { text = '{"id":"chatcmpl-7","created":5,"model":"m-1","choices":[{"index":0,"message":'
    .. '{"role":"assistant","content":"' .. text .. '"},"finish_reason":"stop"}],'
    .. '"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}' }
end

test("a prompt becomes a user turn, and the answer a text", function()
  local state = given { answer "four" }
  local client = ask '{"model":"m","prompt":"two and two","max_tokens":5,"temperature":0.10}'
  same(state.calls[1].body, '{"max_tokens":5,"messages":[{"content":"two and two","role":"user"}],'
    .. '"model":"m-1","temperature":0.10}')
  same(json.decode(client.sent), {
    id = "cmpl-7", object = "text_completion", created = 5, model = "m",
    choices = { { text = "four", index = 0, finish_reason = "stop", logprobs = json.null } },
    usage = { prompt_tokens = 1, completion_tokens = 2, total_tokens = 3 },
  })
end)

test("several prompts are several calls and one answer", function()
  local state = given { answer "one", answer "two" }
  local body = json.decode(ask('{"model":"m","prompt":["a","b"],"echo":true}').sent)
  same(#state.calls, 2)
  same({ body.choices[1].text, body.choices[2].text, body.choices[2].index }, { "aone", "btwo", 1 })
  same(body.usage.total_tokens, 6)
end)

test("token arrays and other prompts are refused", function()
  for _, prompt in ipairs { "[1,2]", "[[1]]", "7", "[]" } do
    given {}
    local client = ask('{"model":"m","prompt":' .. prompt .. "}")
    same({ client.status, json.decode(client.sent).error.param }, { 400, "prompt" })
  end
end)

local function stream(...)
  return { fields = { ["content-type"] = "text/event-stream" }, events = { ... } }
end

local FIRST = '{"id":"chatcmpl-7","created":5,"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}'
local TEXT = '{"id":"chatcmpl-7","created":5,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}'
local LAST = '{"id":"chatcmpl-7","created":5,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
local USAGE = '{"id":"chatcmpl-7","choices":[],"usage":{"total_tokens":3}}'

local function chunk(text, index, reason)
  return 'data: {"choices":[{"finish_reason":' .. (reason or "null") .. ',"index":' .. index
    .. ',"logprobs":null,"text":"' .. text .. '"}],"created":5,"id":"cmpl-7","model":"m",'
    .. '"object":"text_completion"}\n\n'
end

test("a stream becomes chunks of text", function()
  given { stream(FIRST, TEXT, LAST, USAGE, "[DONE]") }
  same(ask('{"model":"m","prompt":"p","stream":true}').sent,
    chunk("x", 0) .. chunk("", 0, '"stop"') .. "data: [DONE]\n\n")
end)

test("streams of several prompts follow one another, usage is told once", function()
  given { stream(FIRST, TEXT, LAST, USAGE, "[DONE]"), stream(TEXT, LAST, USAGE, "[DONE]") }
  local sent = ask('{"model":"m","prompt":["p","q"],"stream":true,"echo":true,'
    .. '"stream_options":{"include_usage":true}}').sent
  same(sent, chunk("p", 0) .. chunk("x", 0) .. chunk("", 0, '"stop"')
    .. chunk("qx", 1) .. chunk("", 1, '"stop"')
    .. 'data: {"choices":[],"created":5,"id":"cmpl-7","model":"m","object":"text_completion",'
    .. '"usage":{"total_tokens":6}}\n\ndata: [DONE]\n\n')
end)

test("a break in the second prompt's stream is told in the stream", function()
  given { stream(TEXT, LAST, "[DONE]"), stream(TEXT) }
  local sent = ask('{"model":"m","prompt":["p","q"],"stream":true}').sent
  same(sent:find("[DONE]", 1, true), nil)
  same(sent:find('"error"', 1, true) ~= nil, true)
end)
