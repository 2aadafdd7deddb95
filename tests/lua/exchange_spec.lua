--- Passthrough of chat completions to OpenAI-compatible upstreams.

local support = require "tests.support"
local json = require "json"

local function chunk(text, finish)
  return '{"id":"c","model":"fast-1","choices":[{"index":0,"delta":{"content":"' .. text
    .. '"},"finish_reason":' .. (finish and '"' .. finish .. '"' or "null") .. "}]}"
end

local USAGE = '{"id":"c","choices":[],"usage":{"total_tokens":3}}'

local function stream(...)
  return { fields = { ["content-type"] = "text/event-stream" }, events = { ... } }
end

local function given(answers, values, fields)
  return support.reset {
    credentials = { support.account("a", { fast = "fast-1", same = "same" }, fields) },
    upstream = answers, values = values,
  }
end

local function failure(status, message, headers)
  local fields = { ["content-type"] = "application/json" }
  for name, value in pairs(headers or {}) do fields[name] = value end
  return { status = status, fields = fields,
    text = '{"error":{"message":"' .. message .. '","type":"t","code":null}}' }
end

test("when nothing has to change the bytes are the client's, both ways", function()
  local body = '{ "model" : "same",\n "x": 1.00, "messages":[] }'
  local answer = '{ "id":"1", "model":"same", "big": 12345678901234567890, "choices":[] }\n'
  local state = given { { text = answer } }
  local client = support.chat(body)
  same(state.calls[1].body, body)
  same(client.sent, answer)
  same(client.sent_headers["content-type"], "application/json")
end)

test("an alias goes up as the upstream's name and comes back as the client's", function()
  local state = given { { text = '{"id":"1","model":"fast-1","choices":[]}' } }
  local client = support.chat '{"messages":[],"model":"fast"}'
  same(state.calls[1].body, '{"messages":[],"model":"fast-1"}')
  same(client.sent, '{"id":"1","model":"fast","choices":[]}')
end)

test("only the headers that are due go upstream", function()
  local state = given({ { text = "{}" } }, nil,
    { base_url = "https://api.acme.example/v1/" })
  state.credentials[1].entry.headers = { ["X-Title"] = "mine", ["X-Team"] = "$X-Client-Team" }
  support.chat('{"model":"same"}', { ["x-client-team"] = "blue", authorization = "Bearer own",
    cookie = "a=b", ["user-agent"] = "theirs/1" })
  same(state.calls[1].url, "https://api.acme.example/v1/chat/completions")
  same(state.calls[1].headers, {
    ["content-type"] = "application/json", ["authorization"] = "Bearer {secret}",
    ["user-agent"] = "cli-proxy-api/0.0", ["x-title"] = "mine", ["x-team"] = "blue",
  })
  same(state.calls[1].credential, "a")
end)

test("a keyless entry sends no authorization", function()
  local state = given({ { text = "{}" } }, nil, { kind = "none" })
  support.chat '{"model":"same"}'
  same(state.calls[1].headers.authorization, nil)
end)

test("a stream is copied with the client's name and ends with [DONE]", function()
  local state = given { stream(chunk "a", chunk("b", "stop"), USAGE, "[DONE]") }
  local client = support.chat '{"model":"fast","stream":true}'
  same(json.decode(state.calls[1].body).stream_options.include_usage, true)
  same(state.calls[1].headers.accept, "text/event-stream")
  local expected = ("data: " .. chunk "a" .. "\n\ndata: " .. chunk("b", "stop") .. "\n\n")
    :gsub("fast%-1", "fast") .. "data: [DONE]\n\n"
  same(client.sent, expected)
  same(client.sent_headers["content-type"], "text/event-stream")
  same(client.sent_headers["x-accel-buffering"], "no")
end)

test("usage that the client asked for is passed on, and its body not touched", function()
  local body = '{"model":"same","stream":true,"stream_options":{"include_usage":true}}'
  local state = given { stream(chunk("b", "stop"), USAGE, "[DONE]") }
  local client = support.chat(body)
  same(state.calls[1].body, body)
  same(client.sent:find(USAGE, 1, true) ~= nil, true)
end)

test("stream-usage: false leaves the body alone", function()
  local state = given { stream(chunk("b", "stop"), "[DONE]") }
  state.credentials[1].entry["stream-usage"] = false
  support.chat '{"model":"same","stream":true}'
  same(state.calls[1].body, '{"model":"same","stream":true}')
end)

test("an answer of one event and no [DONE] is complete", function()
  given { stream(chunk("b", "stop")) }
  same(support.chat('{"model":"same","stream":true}').sent:sub(-14), "data: [DONE]\n\n")
end)

test("a stream that ends early ends with an error, not with [DONE]", function()
  for _, ending in ipairs { false, { code = "broken", message = "reset" } } do
    given { stream(chunk "a", ending or nil) }
    local client = support.chat '{"model":"same","stream":true}'
    same(client.sent:find("[DONE]", 1, true), nil)
    same(client.sent:find('data: {"error":{"message":', 1, true) ~= nil, true)
    same(client.sent:find("upstream_error", 1, true) ~= nil, true)
  end
end)

test("an error inside a stream keeps its code", function()
  given { stream(chunk "a", '{"error":{"message":"slow down","code":429}}') }
  local client = support.chat '{"model":"same","stream":true}'
  same(client.sent:find('"code":"rate_limit_exceeded"', 1, true) ~= nil, true)
end)

test("silence is filled with comments, before the head and after", function()
  local answer = stream(chunk "a", "IDLE", chunk("b", "stop"), "[DONE]")
  answer.silent = 2
  given { answer }
  local client = support.chat '{"model":"same","stream":true}'
  same(client.sent:sub(1, 34), (": keep-alive\n\n"):rep(2) .. "data: ")
  same(select(2, client.sent:gsub(": keep%-alive\n\n", "")), 3)
end)

test("a JSON answer to a stream request becomes one stream", function()
  given { { fields = { ["content-type"] = "application/json" },
    text = '{"id":"1","model":"same","choices":[{"index":0,"message":{"role":"assistant",'
      .. '"content":"hi"},"finish_reason":"stop"}],"usage":{"total_tokens":3}}' } }
  local client = support.chat '{"model":"same","stream":true}'
  same(client.sent:find('"content":"hi"', 1, true) ~= nil, true)
  same(client.sent:find('"finish_reason":"stop"', 1, true) ~= nil, true)
  same(client.sent:find('"usage"', 1, true), nil)
  same(client.sent:sub(-14), "data: [DONE]\n\n")
end)

test("a stream that answers a whole request is gathered", function()
  given { stream('{"id":"c","model":"fast-1","created":5,"choices":[{"index":0,"delta":{"tool_calls":'
    .. '[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":"{\\"a\\":"}}]}}]}',
    '{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},'
    .. '"finish_reason":"tool_calls"}]}', USAGE, "[DONE]") }
  local answer = json.decode(support.chat('{"model":"fast"}').sent)
  same(answer.model, "fast")
  same(answer.choices[1].message.tool_calls[1]["function"], { name = "f", arguments = '{"a":1}' })
  same(answer.choices[1].message.content, json.null)
  same(answer.usage.total_tokens, 3)
end)

test("an upstream's error in the client's dialect passes through unchanged", function()
  given { failure(400, "max_tokens is too large") }
  local client = support.chat '{"model":"same"}'
  same({ client.status, client.sent },
    { 400, '{"error":{"message":"max_tokens is too large","type":"t","code":null}}' })
end)

test("other error bodies are wrapped, web pages in one line", function()
  for text, message in pairs {
    ['{"detail":"no such thing"}'] = "no such thing",
    ['{"message":"plain"}'] = "plain",
    ['{"error":"text"}'] = "text",
    ["  just words \n"] = "just words",
    ["<!DOCTYPE html><html><head><title>502 Bad\n Gateway</title>"] =
      "the upstream answered 418 with a web page: 502 Bad Gateway",
    [""] = "the upstream answered 418 without a body",
    ["see https://x.example/v1?key=AIzaSECRET&b=1"] = "see https://x.example/v1?key=***&b=1",
  } do
    given { { status = 418, text = text } }
    local client = support.chat '{"model":"same"}'
    same({ client.status, json.decode(client.sent).error.message }, { 418, message })
  end
end)

test("an error with status 200 is an error", function()
  given { { text = '{"error":{"message":"over the limit","code":"429"}}' } }
  same(support.chat('{"model":"same"}').status, 429)
  given { { text = '{"error":{"message":"something"}}' } }
  same(support.chat('{"model":"same"}').status, 502)
  given { { text = "<html>hello" } }
  same(support.chat('{"model":"same"}').status, 502)
end)

test("failures without an answer have their own statuses", function()
  given { { error = { code = "unreachable", message = "connection refused" } } }
  same(support.chat('{"model":"same"}').status, 502)
  given { { error = { code = "timeout", message = "no first byte" } } }
  same(support.chat('{"model":"same"}').status, 504)
end)

test("bad requests are told before anybody is asked", function()
  given {}
  local client = support.chat "{"
  same({ client.status, json.decode(client.sent).error.code }, { 400, json.null })
  client = support.chat '{"messages":[]}'
  same({ client.status, json.decode(client.sent).error.param }, { 400, "model" })
  client = support.chat '{"model":"nobody"}'
  same({ client.status, json.decode(client.sent).error.code }, { 404, "model_not_found" })
  client = support.client("POST", "/v1/chat/completions")
  client.body_error = { code = "body_too_large", message = "too much" }
  require("main").handle(client)
  same(client.status, 413)
end)

test("upstream headers are passed on when that is wanted, but for the forbidden ones", function()
  local fields = { ["x-ratelimit-remaining"] = "9", ["set-cookie"] = "a=b",
    ["content-encoding"] = "gzip", ["x-request-id"] = "theirs", ["retry-after"] = "3",
    ["access-control-allow-origin"] = "https://evil.example" }
  given { { text = "{}", fields = fields } }
  local client = support.chat '{"model":"same"}'
  same({ client.sent_headers["x-ratelimit-remaining"], client.sent_headers["retry-after"] },
    { nil, "3" })
  given({ { text = "{}", fields = fields } }, { ["passthrough-headers"] = true })
  client = support.chat '{"model":"same"}'
  same(client.sent_headers["x-ratelimit-remaining"], "9")
  same(client.sent_headers["set-cookie"], nil)
  same(client.sent_headers["x-request-id"], "0badcafe")
  same(client.sent_headers["access-control-allow-origin"], nil)
end)

test("a first chunk that is nested too deeply to be read goes through", function()
  local deep = ("["):rep(70) .. ("]"):rep(70)
  given { stream('{"choices":[{"index":0,"delta":{"role":"assistant","odd":' .. deep .. "}}]}",
    chunk("x", "stop"), "[DONE]") }
  local client = support.chat '{"model":"same","stream":true,"messages":[]}'
  same(client.status, 200)
  assert(client.sent:find(deep, 1, true), client.sent)
end)
