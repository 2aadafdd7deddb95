--- Requests to Gemini with an API key, from outside.

local support = require "tests.support"
local json = require "json"

local CONTENTS = '"contents":[{"role":"user","parts":[{"text":"Hello"}]}]'
local WHOLE = { text = '{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP"}],'
  .. '"modelVersion":"gemini-2.5-pro-001"}' }

local function given(answers, fields)
  local account = {
    id = "gemini:apikey:1", provider = "gemini", name = "gemini", kind = "api_key", label = "AI...1",
    base_url = "https://generativelanguage.googleapis.com/", entry = {},
  }
  for name, value in pairs(fields or {}) do account[name] = value end
  return support.reset { credentials = { account }, upstream = answers }
end

local function ask(method, body, headers)
  return support.ask("POST", "/v1beta/models/gemini-2.5-pro:" .. method, headers, body)
end

test("gemini: the key goes in its header, nothing else is needed", function()
  local state = given { WHOLE }
  same(ask("generateContent", "{" .. CONTENTS .. "}").status, 200)
  local call = state.calls[1]
  same({ call.url, call.body }, {
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent", "{" .. CONTENTS .. "}" })
  same(call.headers, { ["content-type"] = "application/json", ["x-goog-api-key"] = "{secret}",
    ["user-agent"] = "cli-proxy-api/0.0" })
end)

test("gemini: an account's token is a bearer", function()
  local state = given({ WHOLE }, { kind = "oauth" })
  ask("generateContent", "{" .. CONTENTS .. "}")
  same({ state.calls[1].headers.authorization, state.calls[1].headers["x-goog-api-key"] }, { "Bearer {secret}", nil })
end)

test("gemini: Gemini CLI says who it is, others do not", function()
  local state = given { WHOLE, WHOLE }
  ask("generateContent", "{" .. CONTENTS .. "}", { ["user-agent"] = "GeminiCLI/0.61.0/m (linux; x64)",
    ["x-goog-api-client"] = "gl-node/20", cookie = "x" })
  same({ state.calls[1].headers["user-agent"], state.calls[1].headers["x-goog-api-client"], state.calls[1].headers.cookie },
    { "GeminiCLI/0.61.0/m (linux; x64)", "gl-node/20", nil })
  ask("generateContent", "{" .. CONTENTS .. "}", { ["user-agent"] = "NotGeminiCLI/1" })
  same(state.calls[2].headers["user-agent"], "cli-proxy-api/0.0")
end)

test("gemini: what the API does not know is left out, what it needs is put in", function()
  local state = given { WHOLE }
  ask("generateContent", '{"model":"x","session_id":"s","z":1.0,"contents":[{"role":"model","parts":[{"text":"a"}]},'
    .. '{"parts":[{"functionResponse":{"name":"f","response":{}}}]}],"safetySettings":[]}')
  same(state.calls[1].body, '{"z":1.0,"contents":[{"role":"user","parts":[{"text":"(continue)"}]},'
    .. '{"role":"model","parts":[{"text":"a"}]},{"parts":[{"functionResponse":{"name":"f","response":{}}}],"role":"user"}],'
    .. '"safetySettings":[]}')
end)

test("gemini: contents are counted alone, tools and instructions with the whole request", function()
  local count = { text = '{"totalTokens":9}' }
  local state = given { count, count, count }
  same(ask("countTokens", "{" .. CONTENTS .. ',"generationConfig":{"topK":1},"safetySettings":[],"toolConfig":{}}').status, 200)
  same(state.calls[1].body, "{" .. CONTENTS .. "}")
  same(state.calls[1].url:match "models/.*$", "models/gemini-2.5-pro:countTokens")
  local tools = ',"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}]'
  ask("countTokens", "{" .. CONTENTS .. tools .. "}")
  same(state.calls[2].body,
    '{"generateContentRequest":{' .. CONTENTS .. tools .. ',"model":"models/gemini-2.5-pro"}}')
  local whole = '{"generateContentRequest":{"model":"models/gemini-2.5-pro",' .. CONTENTS .. "}}"
  ask("countTokens", whole)
  same(json.decode(state.calls[3].body), json.decode(whole))
end)

test("gemini: a stream is asked for as events, whatever the client's framing", function()
  local state = given { { fields = { ["content-type"] = "text/event-stream" }, events = { WHOLE.text } } }
  local client = ask("streamGenerateContent?alt=json", "{" .. CONTENTS .. "}")
  assert(state.calls[1].url:find("streamGenerateContent?alt=sse", 1, true))
  same(json.get(client.sent, { 1, "modelVersion" }), "gemini-2.5-pro")
end)
