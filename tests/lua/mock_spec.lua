--- The mock provider through the whole pipeline.

local support = require "tests.support"
local json = require "json"

local function events(client)
  local list = {}
  for data in client.sent:gmatch("data: (.-)\n\n") do list[#list + 1] = data end
  return list
end

local function text_of(client)
  local parts = {}
  for _, data in ipairs(events(client)) do
    if data ~= "[DONE]" then
      local chunk = json.decode(data)
      local choice = chunk.choices and chunk.choices[1]
      parts[#parts + 1] = choice and choice.delta.content or ""
    end
  end
  return table.concat(parts)
end

test("a first start without any account answers with the mock", function()
  support.reset()
  local client = support.chat '{"model":"mock","messages":[{"role":"user","content":"hello"}]}'
  same(client.status, 200)
  local answer = json.decode(client.sent)
  same(answer.choices[1].message.content, "You said: hello")
  same(answer.choices[1].finish_reason, "stop")
  same(answer.model, "mock")
  same(client.facts, { model = "mock", dialect = "chat", credential = "mock", provider = "mock" })
end)

test("the same request gets the same answer", function()
  support.reset()
  local body = '{"model":"mock","messages":[{"role":"user","content":"hello"}]}'
  same(support.chat(body).sent, support.chat(body).sent)
end)

test("a stream ends with [DONE] and shows no usage that nobody asked for", function()
  support.reset()
  local client = support.chat
    '{"model":"mock","stream":true,"messages":[{"role":"user","content":"one two"}]}'
  local list = events(client)
  same(list[#list], "[DONE]")
  same(text_of(client), "You said: one two")
  same(client.sent:find('"usage"', 1, true), nil)
  same(client.finished, true)
end)

test("usage comes when it was asked for", function()
  support.reset()
  local client = support.chat('{"model":"mock","stream":true,"stream_options":{"include_usage":true},'
    .. '"messages":[{"role":"user","content":"one two"}]}')
  local list = events(client)
  same(json.decode(list[#list - 1]).choices, {})
  same(json.decode(list[#list - 1]).usage.completion_tokens > 0, true)
end)

test("images are told by their size", function()
  support.reset()
  local png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
  local client = support.chat('{"model":"mock","messages":[{"role":"user","content":['
    .. '{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,'
    .. png .. '"}}]}]}')
  same(json.decode(client.sent).choices[1].message.content,
    "You said: look\n[image png 1x1, 70 bytes]")
end)

local TOOLS = '"tools":[{"type":"function","function":{"name":"search","parameters":{"type":"object",'
  .. '"properties":{"query":{"type":"string"},"limit":{"type":"integer"}}}}},'
  .. '{"type":"function","function":{"name":"read","parameters":{"type":"object","properties":{}}}}]'

test("mock-tools calls a tool and answers with text after its result", function()
  support.reset()
  local body = '{"model":"mock-tools","messages":[{"role":"user","content":"x"}],' .. TOOLS .. "}"
  local choice = json.decode(support.chat(body).sent).choices[1]
  same(choice.finish_reason, "tool_calls")
  same(choice.message.tool_calls[1]["function"],
    { name = "search", arguments = '{"limit":1,"query":"sample"}' })
  body = '{"model":"mock-tools","messages":[{"role":"user","content":"x"},'
    .. '{"role":"tool","tool_call_id":"c","content":"42"}],' .. TOOLS .. "}"
  same(json.decode(support.chat(body).sent).choices[1].message.content, "The tool said: 42")
end)

test("a forced tool is the one that is called", function()
  support.reset()
  local body = '{"model":"mock-tools","messages":[{"role":"user","content":"x"}],'
    .. '"tool_choice":{"type":"function","function":{"name":"read"}},' .. TOOLS .. "}"
  local choice = json.decode(support.chat(body).sent).choices[1]
  same(choice.message.tool_calls[1]["function"], { name = "read", arguments = "{}" })
end)

test("mock-tools-2 streams two calls with their own indexes", function()
  support.reset()
  local body = '{"model":"mock-tools-2","stream":true,"messages":[{"role":"user","content":"x"}],'
    .. TOOLS .. "}"
  local names = {}
  for _, data in ipairs(events(support.chat(body))) do
    local chunk = data ~= "[DONE]" and json.decode(data)
    local calls = chunk and chunk.choices[1] and chunk.choices[1].delta.tool_calls
    local fn = calls and calls[1]["function"]
    if fn and fn.name then names[calls[1].index + 1] = fn.name end
  end
  same(names, { "search", "read" })
end)

test("mock-429 says when to come again, and then the proxy says so itself", function()
  support.reset()
  local body = '{"model":"mock-429","messages":[]}'
  local client = support.chat(body)
  same(client.status, 429)
  same(client.sent_headers["retry-after"], "7")
  same(json.decode(client.sent).error.code, "rate_limit_exceeded")
  client = support.chat(body)
  same(client.status, 429)
  same(json.decode(client.sent).error.message:find("cooling down", 1, true) ~= nil, true)
end)

test("statuses reach the client", function()
  for _, status in ipairs { 400, 401, 402, 403, 404, 500, 503 } do
    support.reset()
    same(support.chat('{"model":"mock-' .. status .. '","messages":[]}').status, status)
  end
  support.reset()
  same(support.chat('{"model":"mock-529","messages":[]}').status, 503)
end)

test("a stream that is cut ends with an error and without [DONE]", function()
  for _, name in ipairs { "mock-cut", "mock-truncated" } do
    support.reset()
    local client = support.chat('{"model":"' .. name .. '","stream":true,"messages":'
      .. '[{"role":"user","content":"a b c d"}]}')
    local list = events(client)
    same(json.decode(list[#list]).error.code, "upstream_error")
    same(client.sent:find("[DONE]", 1, true), nil)
    same(client.finished, true)
  end
end)

test("a missing [DONE] after the finish reason is supplied", function()
  support.reset()
  local list = events(support.chat('{"model":"mock-no-done","stream":true,"messages":[]}'))
  same(list[#list], "[DONE]")
end)

test("an error that begins a stream is a plain error answer", function()
  support.reset()
  local client = support.chat '{"model":"mock-error-event","stream":true,"messages":[]}'
  same(client.status, 503)
  same(client.sent_headers["content-type"], "application/json")
end)

test("a malformed event is skipped", function()
  support.reset()
  local client = support.chat('{"model":"mock-malformed","stream":true,"messages":'
    .. '[{"role":"user","content":"a b c d"}]}')
  same(text_of(client), "You said: a b c d")
end)

test("silence is filled with keep-alives, also before the head", function()
  local state = support.reset()
  local client = support.chat('{"model":"mock-think-slow","stream":true,"messages":'
    .. '[{"role":"user","content":"a"}]}')
  same(client.sent:find("^: keep%-alive\n\ndata: {") ~= nil, true)
  same(state.slept, { 15, 5 })
end)

test("mock-hang ends with the upstream's timeout", function()
  support.reset()
  same(support.chat('{"model":"mock-hang","messages":[]}').status, 504)
end)

test("a real credential turns the mock off, unless it is wanted", function()
  local accounts = { support.account("a", { fast = "fast-1" }) }
  support.reset { credentials = accounts }
  same(support.chat('{"model":"mock","messages":[]}').status, 404)
  support.reset { credentials = accounts, values = { mock = true } }
  same(support.chat('{"model":"mock","messages":[]}').status, 200)
  support.reset { values = { mock = false } }
  same(support.chat('{"model":"mock","messages":[]}').status, 404)
end)
