--- Qwen and iFlow as upstreams: models, bodies, headers, errors.

local support = require "tests.support"
local iflow = require "providers.iflow"
local json = require "json"
local qwen = require "providers.qwen"
local wire = require "tests.wire"

local function account(provider, base, fields)
  local made = { id = provider .. ".json", provider = provider, name = provider, kind = "oauth",
    label = "someone@example.com", base_url = base, entry = {}, facts = {} }
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local function given(provider, answers, fields)
  for i, name in ipairs(answers) do
    if type(name) == "string" then answers[i] = wire.answer(name) end
  end
  local bases = { qwen = "https://portal.qwen.ai/v1", iflow = "https://apis.iflow.cn/v1" }
  return support.reset { credentials = { account(provider, bases[provider], fields) },
    upstream = answers, stamps = {} }
end

local OK = { text = '{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant",'
  .. '"content":"hi"},"finish_reason":"stop"}]}' }

local function error_of(client)
  return json.decode(client.sent).error
end

-- --- Qwen ----------------------------------------------------------------------------------------

test("a Qwen account offers its models and gets requests at its own address", function()
  local state = given("qwen", { OK }, { base_url = "https://other.qwen.example/v1" })
  local ids = {}
  for _, model in ipairs(qwen.models(state.credentials[1])) do ids[#ids + 1] = model.id end
  same(ids, { "qwen3-coder-plus", "qwen3-coder-flash", "vision-model", "coder-model" })
  local client = support.chat('{"model":"qwen3-coder-plus","messages":[{"role":"system","content":"s"}]}',
    { ["user-agent"] = "QwenCode/1" })
  same(client.status, 200)
  same(state.calls[1].url, "https://other.qwen.example/v1/chat/completions")
  same(state.calls[1].headers, { ["content-type"] = "application/json", accept = "application/json",
    authorization = "Bearer {secret}", ["user-agent"] = "cli-proxy-api/0.0",
    ["x-dashscope-authtype"] = "qwen-oauth", ["x-dashscope-cachecontrol"] = "enable" })
end)

-- The messages that reach Qwen, as text.
local function messages_of(text)
  local state = given("qwen", { OK })
  support.chat('{"model":"coder-model","messages":' .. text .. "}")
  return state.calls[1].body:match '^{"model":"coder%-model","messages":(.*)}$'
end

test("Qwen gets exactly one system message, at the front", function()
  local good = '[ {"role":"system","content":"one"}, {"role":"user","content":"x","n":1.0}]'
  same(messages_of(good), good)
  same(messages_of '[{"role":"user","content":"x"}]',
    '[{"content":"","role":"system"},{"role":"user","content":"x"}]')
  same(messages_of('[{"role":"user","content":"x"},{"role":"system","content":"a"},'
    .. '{"role":"developer","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]},'
    .. '{"role":"tool","tool_call_id":"t","content":"1e3","z":12345678901234567890}]'),
    '[{"content":"a\\n\\nb\\nc","role":"system"},{"role":"user","content":"x"},'
    .. '{"role":"tool","tool_call_id":"t","content":"1e3","z":12345678901234567890}]')
  same(messages_of '[{"role":"developer","content":"a"}]', '[{"content":"a","role":"system"}]')
  same(messages_of '"not a list"', '"not a list"')
end)

test("a Qwen stream is asked for its usage, which the client is spared", function()
  local state = given("qwen", { "qwen/stream" })
  local client = support.chat '{"model":"coder-model","stream":true,"messages":[]}'
  same(json.decode(state.calls[1].body).stream_options.include_usage, true)
  same(state.calls[1].headers.accept, "text/event-stream")
  same(client.sent:find("Hello", 1, true) ~= nil, true)
  same(client.sent:find('"choices":[]', 1, true), nil)
  same(client.sent:sub(-14), "data: [DONE]\n\n")
end)

test("a used-up day is a quota, whatever status it has", function()
  for _, name in ipairs { "qwen/quota_403", "qwen/quota_429", "qwen/quota_exceeded_403" } do
    local state = given("qwen", { name })
    local client = support.chat '{"model":"coder-model","messages":[]}'
    same(client.status, 429)
    local cool = state.store["cool:qwen.json:coder-model"]
    same(cool and cool.value:match "^%a+", "quota")
  end
end)

test("that the free service is over is said where Qwen refuses", function()
  given("qwen", { "qwen/over" })
  local client = support.chat '{"model":"coder-model","messages":[]}'
  same(client.status, 401)
  local message = error_of(client).message
  same(message:find "^invalid access token or token expired" ~= nil, true)
  same(message:find("2026-04-15", 1, true) ~= nil, true)
  given("qwen", { "qwen/no_system_message" })
  client = support.chat '{"model":"coder-model","messages":[]}'
  same({ client.status, error_of(client).message }, { 400, "bad request" })
end)

test("the 61st request of a minute is not sent", function()
  local state = given("qwen", {})
  state.upstream = function() return { text = OK.text } end
  -- Begin with a minute.
  state.now = state.now + 60 - (1800000000 + state.now) % 60
  for _ = 1, 60 do same(support.chat('{"model":"coder-model","messages":[]}').status, 200) end
  local client = support.chat '{"model":"coder-model","messages":[]}'
  same(client.status, 429)
  same(#state.calls, 60)
  same(client.sent_headers["retry-after"], "60")
end)

-- --- iFlow ---------------------------------------------------------------------------------------

test("an iFlow account offers its models", function()
  local state = given("iflow", { OK })
  same(#iflow.models(state.credentials[1]), 18)
  support.chat '{"model":"glm-4.6","messages":[]}'
  same(state.calls[1].url, "https://apis.iflow.cn/v1/chat/completions")
  same(state.calls[1].headers, { ["content-type"] = "application/json", accept = "application/json",
    authorization = "Bearer {secret}", ["user-agent"] = "cli-proxy-api/0.0" })
end)

test("an empty list of tools does not reach iFlow", function()
  local function sent(body)
    local state = given("iflow", { OK })
    support.chat(body)
    return state.calls[1].body
  end
  same(sent '{"model":"glm-4.6","tools": [ ] ,"messages":[],"tool_choice":"auto"}',
    '{"model":"glm-4.6","messages":[]}')
  local tools = '{"model":"glm-4.6","tools":[{"type":"function","function":{"name":"f"}}],"messages":[]}'
  same(sent(tools), tools)
end)

test("an iFlow stream with usage in every event goes through", function()
  given("iflow", { "iflow/stream" })
  local client = support.chat '{"model":"glm-4.6","stream":true,"messages":[]}'
  same(client.sent:find('"Hel"', 1, true) ~= nil, true)
  same(client.sent:find('"lo"', 1, true) ~= nil, true)
  same(client.sent:sub(-14), "data: [DONE]\n\n")
end)

test("iFlow's errors with status 200 are errors", function()
  for name, status in pairs {
    invalid_key_in_200 = 401, blocked_in_200 = 401, rate_limit_in_200 = 429, model_in_200 = 404,
  } do
    for _, stream in ipairs { "false", "true" } do
      given("iflow", { "iflow/" .. name })
      local client = support.chat('{"model":"glm-4.6","messages":[],"stream":' .. stream .. "}")
      same(client.status, status)
      same(error_of(client).message:find("iFlow's error", 1, true) ~= nil, true)
    end
  end
end)

test("that iFlow has closed is said where it refuses", function()
  given("iflow", { "iflow/closed" })
  local client = support.chat '{"model":"glm-4.6","messages":[]}'
  same(error_of(client).message:find("2026-04-17", 1, true) ~= nil, true)
end)
