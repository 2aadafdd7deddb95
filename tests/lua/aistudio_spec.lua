--- The provider aistudio through the whole pipeline, against pages that answer as recorded.

local support = require "tests.support"
local json = require "json"

local SESSION = {
  id = "aistudio-0123456789abcdef", provider = "aistudio", name = "aistudio", kind = "session",
  label = "aistudio-0123456789abcdef", entry = {},
}

local function reset(page, fields)
  local given = { credentials = { SESSION }, page = page }
  for name, value in pairs(fields or {}) do given[name] = value end
  return support.reset(given)
end

local function generate(method, body, headers)
  return support.ask("POST", "/v1beta/models/gemini-2.5-flash:" .. method, headers,
    body or '{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}')
end

local targets = {
  whole = "generateContent", stream = "streamGenerateContent?alt=sse", count = "countTokens",
}

local function messages_of(list)
  local messages = {}
  for i, message in ipairs(list) do
    local payload = message.payload
    messages[i] = { message.type, payload ~= json.null and payload or nil }
    for name, value in pairs(messages[i][2] or {}) do
      if value == json.null then messages[i][2][name] = nil end
    end
  end
  return messages
end

local function events_of(client)
  local list = {}
  for data in client.sent:gmatch("data: (.-)\n\n") do list[#list + 1] = json.decode(data) end
  return list
end

local function text_of(events)
  local parts = {}
  for _, event in ipairs(events) do
    for _, candidate in ipairs(event.candidates or {}) do
      for _, part in ipairs(candidate.content and candidate.content.parts or {}) do
        parts[#parts + 1] = part.text
      end
    end
  end
  return table.concat(parts)
end

local check = {}

function check.body(client, expected)
  same(client.status, 200)
  same(json.decode(client.sent), expected)
end

function check.text(client, expected)
  same(client.status, 200)
  same(text_of(events_of(client)), expected)
end

function check.events(client, expected)
  same(client.status, 200)
  local events = events_of(client)
  for i, event in ipairs(expected) do same(events[i], event) end
  client.further = #events - #expected
end

function check.broken(client, words)
  same(client.further, 1)
  local events = events_of(client)
  local message = events[#events].error.message
  assert(message:find(words, 1, true), message)
end

function check.status(client, expected) same(client.status, expected) end

function check.error(client, words)
  local message = json.decode(client.sent).error.message
  assert(message:find(words, 1, true), message)
end

function check.tokens(client, expected) same(json.decode(client.sent).totalTokens, expected) end

function check.estimated(client)
  same(client.status, 200)
  assert(json.decode(client.sent).totalTokens > 0)
end

for path in io.popen("ls tests/fixtures/aistudio/*.json"):lines() do
  local fixture = json.decode(assert(io.open(path)):read "a")
  test(path:match("([^/]*)%.json$") .. ": " .. fixture.about, function()
    reset(messages_of(fixture.messages))
    local client = generate(targets[fixture.call])
    -- In this order: one leaves facts for the next.
    for _, what in ipairs { "status", "error", "body", "text", "events", "broken", "tokens",
        "estimated" } do
      local expected = fixture.expect[what]
      if expected ~= nil then check[what](client, expected) end
    end
    if client.further and not fixture.expect.broken then same(client.further, 0) end
    same(support.state().last_call.closed, true)
  end)
end

local WHOLE = { { "http_response", { body = '{"candidates":[]}' } } }

test("a page is sent the request with nothing but the content type", function()
  local state = reset(WHOLE)
  generate("generateContent")
  local request = state.calls[1]
  same(request.session, SESSION.id)
  same(request.type, "http_request")
  assert(request.id:match "^%x+%-%x+%-4%x+%-%x+%-%x+$")
  local payload = request.payload
  same(payload.method, "POST")
  same(payload.url, "https://generativelanguage.googleapis.com/v1beta/models/"
    .. "gemini-2.5-flash:generateContent")
  same(json.encode(payload.headers), '{"Content-Type":["application/json"]}')
  same(json.decode(payload.body), { contents = { { role = "user", parts = { { text = "hi" } } } } })
  assert(payload.sent_at:match "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d+Z$", payload.sent_at)
end)

test("streams and counts go to their own methods", function()
  local state = reset(WHOLE)
  generate("streamGenerateContent")
  assert(state.calls[1].payload.url:find(":streamGenerateContent?alt=sse", 1, true))
  generate("countTokens")
  assert(state.calls[2].payload.url:find(":countTokens$"))
end)

test("what the page's origin rejects is taken out", function()
  local state = reset(WHOLE)
  generate("generateContent", [[{"model":"x","session_id":"y",
    "contents":[{"role":"model","parts":[{"text":"hi","thoughtSignature":"c2ln"}]}],
    "generationConfig":{"maxOutputTokens":5,"temperature":0.5,"responseMimeType":"application/json",
    "responseJsonSchema":{"type":"object"},"response_schema":{"type":"OBJECT"}},
    "tools":[{"googleSearch":{}}]}]])
  local body = json.decode(state.calls[1].payload.body)
  same(body.generationConfig, { temperature = 0.5, response_schema = { type = "OBJECT" } })
  same(body.model, nil)
  same(body.session_id, nil)
  same(#body.contents, 2)
  same(body.contents[1].role, "user")
  same(body.contents[2].parts[1].thoughtSignature, "c2ln")
  same(#body.tools, 1)
end)

test("a count has neither tools nor settings", function()
  local state = reset(WHOLE)
  generate("countTokens", [[{"contents":[{"role":"user","parts":[{"text":"hi"}]}],
    "generationConfig":{"temperature":0.5},"tools":[{}],"safetySettings":[]}]])
  same(json.decode(state.calls[1].payload.body),
    { contents = { { role = "user", parts = { { text = "hi" } } } } })
end)

test("other dialects are translated both ways", function()
  local state = reset { { "stream_start", {} },
    { "stream_chunk", { data = 'data: {"candidates":[{"content":{"role":"model",'
      .. '"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":1}}' } },
    { "stream_chunk", { data = 'data: {"candidates":[{"content":{"role":"model",'
      .. '"parts":[{"text":"!"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,'
      .. '"candidatesTokenCount":2,'
      .. '"totalTokenCount":3}}' } },
    { "stream_end" } }
  local client = support.ask("POST", "/v1/messages", { ["anthropic-version"] = "2023-06-01" },
    '{"model":"gemini-2.5-flash","max_tokens":9,"stream":true,'
    .. '"messages":[{"role":"user","content":"x"}]}')
  same(client.status, 200)
  assert(client.sent:find('"text":"Hi"', 1, true))
  assert(client.sent:find('"output_tokens":2', 1, true))
  assert(client.sent:find("event: message_stop", 1, true))
  same(json.decode(state.calls[1].payload.body).generationConfig, {})
end)

test("a session that goes away is 502, and does not cool", function()
  local state = reset { { code = "broken", message = "the session has gone" } }
  local client = generate "generateContent"
  same(client.status, 502)
  same(state.store["cool:" .. SESSION.id .. ":gemini-2.5-flash"], nil)
end)

test("another session serves when one has gone", function()
  local second = {}
  for name, value in pairs(SESSION) do second[name] = value end
  second.id, second.label = "aistudio-second", "aistudio-second"
  local state = reset(function(request)
    if request.session == SESSION.id then return { { code = "broken", message = "gone" } } end
    return WHOLE
  end, { credentials = { SESSION, second } })
  for _ = 1, 4 do same(generate("generateContent").status, 200) end
  local seen = {}
  for _, call in ipairs(state.calls) do seen[call.session] = (seen[call.session] or 0) + 1 end
  assert(seen[SESSION.id] >= 2)
  same(seen["aistudio-second"], 4)
end)

test("a page that says nothing is given up after the timeouts", function()
  reset {}
  local client = generate "generateContent"
  same(client.status, 504)
  reset { { "stream_start", {} } }
  client = generate "generateContent"
  same(client.status, 504)
end)

test("a silence of a stream is filled", function()
  reset { { "stream_start", {} }, "IDLE",
    { "stream_chunk", { data = 'data: {"candidates":[{"finishReason":"STOP"}]}\n' } },
    { "stream_end" } }
  local client = support.ask("POST", "/v1/chat/completions", nil,
    '{"model":"gemini-2.5-flash","stream":true,"messages":[{"role":"user","content":"x"}]}')
  assert(client.sent:find(": keep-alive", 1, true) or client.sent:find("^:"), client.sent)
  assert(client.sent:find("[DONE]", 1, true))
end)

test("an event in many pieces is put together in linear time", function()
  local messages, piece = { { "stream_start", {} } }, ("x"):rep(65536)
  messages[2] = { "stream_chunk", { data = 'data: {"candidates":[{"content":{"parts":[{"text":"' } }
  for _ = 1, 200 do messages[#messages + 1] = { "stream_chunk", { data = piece } } end
  messages[#messages + 1] = { "stream_chunk", { data = '"}]},"finishReason":"STOP"}]}' } }
  messages[#messages + 1] = { "stream_end" }
  reset(messages)
  local client = generate "streamGenerateContent?alt=sse"
  same(#text_of(events_of(client)), 200 * 65536)
end)

test("a retry-after of the page's headers reaches the client", function()
  reset { { "http_response", { status = 429, headers = { ["Retry-After"] = { "11" } },
    body = "slow down" } } }
  local client = generate "generateContent"
  same(client.status, 429)
  same(client.sent_headers["retry-after"], "11")
end)

test("headers of a page are passed on only when they are headers", function()
  reset({ { "http_response", { headers = { ["X-One"] = "1", ["X-Two"] = { "a", "b" },
    ["X-Bad"] = "a\r\nSet-Cookie: b", ["X Bad"] = "c", ["X-Number"] = 5 },
    body = '{"candidates":[]}' } } }, { values = { ["passthrough-headers"] = true } })
  local client = generate "generateContent"
  same(client.status, 200)
  same(client.sent_headers["x-one"], "1")
  same(client.sent_headers["x-two"], "a, b")
  same(client.sent_headers["x-bad"], nil)
  same(client.sent_headers["x bad"], nil)
end)

test("its models are there only while a session is", function()
  reset(WHOLE)
  local listed = support.ask("GET", "/v1/models").sent
  assert(listed:find('"gemini-flash-lite-latest"', 1, true))
  assert(listed:find('"gemini-2.5-pro"', 1, true))
  reset(WHOLE, { credentials = {} })
  same(support.ask("GET", "/v1/models").sent:find("gemini", 1, true), nil)
end)

test("a session needs a key like other routes, unless ws-auth is off", function()
  local function connect(fields, target, headers)
    local state = reset(nil, fields)
    local client = support.ask("GET", target or "/v1/ws", headers)
    return client.status, state.accepted[1], client
  end
  same(connect { keys = { "k" } }, 401)
  local status, accepted = connect({ keys = { "k" } }, "/v1/ws?auth_token=k",
    { origin = "https://x" })
  same({ status, accepted }, { 101, { provider = "aistudio", keyed = true } })
  same(connect({ keys = { "k" } }, "/v1/ws?auth_token=wrong"), 401)
  -- Without a key: only this machine.
  status, accepted = connect {}
  same({ status, accepted.keyed }, { 101, false })
  same(connect({}, nil, { origin = "https://aistudio.google.com" }), 403)
  same(connect({}, nil, { origin = "null" }), 403)
  same(connect({}, nil, { host = "proxy.example" }), 403)
  local off = { keys = { "k" }, values = { ["ws-auth"] = false } }
  status, accepted = connect(off)
  same({ status, accepted.keyed }, { 101, false })
  same(connect(off, nil, { origin = "http://localhost:3000" }), 101)
  status, accepted = connect(off, "/v1/ws?key=k")
  same({ status, accepted.keyed }, { 101, true })
  same(connect(off, "/v1/ws?key=k", { origin = "https://aistudio.google.com" }), 403)
  local refused, _, client = connect(off, nil, { origin = "https://aistudio.google.com" })
  same(refused, 403)
  same(client.sent_headers["access-control-allow-origin"], nil)
  same(connect(off, nil, { host = "proxy.example" }), 403)
  same(connect { keys = {}, closed = "unsafe" }, 403)
  -- The preflight follows the same rule.
  reset(nil, off)
  same(support.ask("OPTIONS", "/v1/ws", { origin = "https://aistudio.google.com" }).status, 403)
  reset(nil, { keys = { "k" } })
  same(support.ask("OPTIONS", "/v1/ws", { origin = "https://aistudio.google.com" }).status, 204)
end)
