--- Who is asked, in which turn, and what failures do.

local support = require "tests.support"
local json = require "json"

local OK = '{"id":"1","choices":[]}'

local function account(id, name)
  return support.account(id, { m = "m-1" }, { name = name })
end

local function given(credentials, upstream, values)
  return support.reset { credentials = credentials, upstream = upstream, values = values }
end

local function failure(status, fields, code)
  return { status = status, fields = fields or {},
    text = '{"error":{"message":"said ' .. status .. '","type":"t","code":'
      .. (code and '"' .. code .. '"' or "null") .. "}}" }
end

local function asked(state)
  local ids = {}
  for i, call in ipairs(state.calls) do ids[i] = call.credential end
  return ids
end

local function chat() return support.chat '{"model":"m"}' end

test("accounts take turns", function()
  local state = given({ account "a", account "b", account "c" },
    function() return { text = OK } end)
  for _ = 1, 5 do chat() end
  same(asked(state), { "a", "b", "c", "a", "b" })
end)

test("a refused account hands over to the next one and waits", function()
  for status, seconds in pairs { [401] = 1800, [402] = 1800, [403] = 1800, [429] = 1, [503] = 60 } do
    local state = given({ account "a", account "b" }, { failure(status), { text = OK } })
    same(chat().status, 200)
    same(asked(state), { "a", "b" })
    local _, left = modules.store.get "cool:a:m-1"
    same({ status, left }, { status, seconds })
  end
end)

test("Retry-After is how long a refused account waits", function()
  given({ account "a", account "b" }, { failure(429, { ["retry-after"] = "33" }), { text = OK } })
  chat()
  same(select(2, modules.store.get "cool:a:m-1"), 33)
end)

test("refusals in a row wait longer, until a success", function()
  local state = given({ account "a" }, function() return failure(429) end)
  local waits = {}
  for i = 1, 4 do
    chat()
    waits[i] = select(2, modules.store.get "cool:a:m-1")
    state.now = state.now + waits[i]
  end
  same(waits, { 1, 2, 4, 8 })
  state.upstream = { { text = OK }, failure(429) }
  chat()
  chat()
  same(select(2, modules.store.get "cool:a:m-1"), 1)
end)

test("the only account is never benched for a transient error", function()
  given({ account "a" }, { failure(502), { text = OK } })
  same(chat().status, 502)
  same(chat().status, 200)
end)

test("a request's own fault is told at once and benches nobody", function()
  for _, given_failure in ipairs {
    failure(400), failure(413), failure(422), failure(403, nil, "invalid_value"),
    failure(500, nil, "context_length_exceeded"),
  } do
    local state = given({ account "a", account "b" }, { given_failure })
    same(chat().status, given_failure.status)
    same(#state.calls, 1)
    same(modules.store.keys "cool:", {})
  end
end)

test("when all fail the most useful error is told", function()
  given({ account "a", account "b", account "c" },
    { failure(500), failure(429, { ["retry-after"] = "9" }), failure(401) })
  local client = chat()
  same({ client.status, client.sent_headers["retry-after"] }, { 429, "9" })
end)

test("when all must wait the answer says until when, for whom and why", function()
  given({ account "a", account "b" }, { failure(429, { ["retry-after"] = "40" }),
    failure(429, { ["retry-after"] = "20" }) })
  chat()
  local client = chat()
  local problem = json.decode(client.sent).error
  same({ client.status, client.sent_headers["retry-after"], problem.code },
    { 429, "20", "rate_limit_exceeded" })
  same(problem.message, "All credentials are cooling down for model `m` via acme; "
    .. "the next one is free in 20s; last upstream error: 429 said 429")
  given({ account "a" }, { failure(401) })
  chat()
  client = chat()
  same({ client.status, json.decode(client.sent).error.code }, { 503, "no_available_credential" })
end)

test("request-retry goes round again after transient failures, with a pause", function()
  local state = given({ account "a" }, { failure(502), failure(503), { text = OK } },
    { ["request-retry"] = 2 })
  same(chat().status, 200)
  same(#state.slept, 2)
  same(state.slept[1] >= 1 and state.slept[1] <= 1.25 and state.slept[2] >= 2, true)
end)

test("no further round when the wait would be too long", function()
  local state = given({ account "a" }, { failure(429, { ["retry-after"] = "31" }) },
    { ["request-retry"] = 3 })
  same(chat().status, 429)
  same(state.slept, {})
end)

test("disable-cooling benches nobody", function()
  local state = given({ account "a" }, function() return failure(429) end,
    { ["disable-cooling"] = true })
  chat()
  chat()
  same(#state.calls, 2)
end)

test("providers take turns, and each falls back on the others", function()
  local state = given({ account("a", "one"), account("b", "two") },
    { { text = OK }, { text = OK }, failure(500), { text = OK } })
  for _ = 1, 3 do chat() end
  same(asked(state), { "a", "b", "a", "b" })
end)

test("name://model goes to that provider only, whatever the case", function()
  local state = given({ account("a", "one"), account("b", "Two") },
    function() return { text = OK } end)
  support.chat '{"model":"tWo://m"}'
  support.chat '{"model":"two://unlisted:free"}'
  same(asked(state), { "b", "b" })
  same(json.decode(state.calls[1].body).model, "m-1")
  same(json.decode(state.calls[2].body).model, "unlisted:free")
  same(support.chat('{"model":"three://m"}').status, 404)
end)

test("an alias given twice is a pool", function()
  local pool = account "a"
  pool.entry.models = { { name = "m-1", alias = "m" }, { name = "m-2", alias = "m" } }
  local state = given({ pool }, { failure(429), { text = OK } })
  same(chat().status, 200)
  same(json.decode(state.calls[2].body).model, "m-2")
end)

test("a prefix makes models known under a second name", function()
  local team = account "a"
  team.entry.prefix = "team"
  given({ team }, function() return { text = OK } end)
  same(support.chat('{"model":"team/m"}').status, 200)
  given({ team }, nil, { ["force-model-prefix"] = true })
  same(support.chat('{"model":"m"}').status, 404)
end)

test("a stream is tried elsewhere until content was sent", function()
  local function events(...)
    return { fields = { ["content-type"] = "text/event-stream" }, events = { ... } }
  end
  local good = '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}'
  local state = given({ account "a", account "b" },
    { events '{"error":{"message":"overloaded","code":503}}', events(good, "[DONE]") })
  local client = support.chat '{"model":"m","stream":true}'
  same(client.sent, "data: " .. good .. "\n\ndata: [DONE]\n\n")
  -- Keep-alives alone do not bind anybody.
  local slow = failure(500)
  slow.silent = 1
  state = given({ account "a", account "b" }, { slow, events(good, "[DONE]") })
  client = support.chat '{"model":"m","stream":true}'
  same(client.sent, ": keep-alive\n\ndata: " .. good .. "\n\ndata: [DONE]\n\n")
  -- After content, the error is told in the stream.
  local part = '{"choices":[{"index":0,"delta":{"content":"x"}}]}'
  state = given({ account "a", account "b" },
    { events(part, { code = "broken", message = "reset" }) })
  client = support.chat '{"model":"m","stream":true}'
  same(#state.calls, 1)
  same(client.sent:find("[DONE]", 1, true), nil)
end)

test("all keep-alives and no answer: the error comes in the stream", function()
  local slow = failure(500)
  slow.silent = 1
  given({ account "a" }, { slow })
  local client = support.chat '{"model":"m","stream":true}'
  same(client.sent, ': keep-alive\n\ndata: {"error":{"message":"said 500","type":"server_error",'
    .. '"param":null,"code":null}}\n\n')
  same(client.finished, true)
end)
