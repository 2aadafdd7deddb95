--- In which order accounts are asked: strategies, priorities, weights, and who is left out.

local accounts = require "tests.accounts_support"
local json = require "json"
local support = require "tests.support"

local account, asked, chat, failure, given, OK =
  accounts.account, accounts.asked, accounts.chat, accounts.failure, accounts.given, accounts.OK

-- Who answered how often in so many requests.
local function shares(state, count)
  for _ = 1, count do chat() end
  local counts = {}
  for _, id in ipairs(asked(state)) do counts[id] = (counts[id] or 0) + 1 end
  return counts
end

test("who steps in for a failing account is counted apart, so that all others do in turn", function()
  local state = given({ account "a", account "b", account "c" }, function(request)
    return request.credential == "a" and failure(500) or { text = OK }
  end, { ["disable-cooling"] = true })
  local counts = shares(state, 24)
  same({ counts.a, counts.b, counts.c }, { 8, 12, 12 })
end)

test("the accounts that are left share evenly", function()
  local state = given({ account "a", account "b", account "c", account "d" }, function(request)
    return request.credential == "b" and failure(401) or { text = OK }
  end)
  local counts = shares(state, 31)
  same(counts.b, 1)
  same({ counts.a >= 9, counts.c >= 9, counts.d >= 9 }, { true, true, true })
end)

test("weights are shares, spread evenly, and zero is nobody's turn", function()
  local routing = { routing = { strategy = "weighted-round-robin" } }
  local state = given({ account("a", { weight = 3 }), account "b", account("c", { weight = 0 }) },
    nil, routing)
  for _ = 1, 8 do chat() end
  same(asked(state), { "a", "a", "b", "a", "a", "a", "b", "a" })
  -- Without the strategy weights say nothing.
  state = given({ account("a", { weight = 3 }), account("b", { weight = 0 }) })
  for _ = 1, 4 do chat() end
  same(asked(state), { "a", "b", "a", "b" })
end)

test("a key of an entry may have a weight of its own", function()
  local state = given({ account("a", nil, { weight = 2 }), account("b", nil, { weight = 1 }) }, nil,
    { routing = { strategy = "weighted-round-robin" } })
  same(shares(state, 9), { a = 6, b = 3 })
end)

test("large weights keep their proportion", function()
  local state = given({ account("a", { weight = 999999 }), account("b", { weight = 333333 }),
    account("c", { weight = 1 }) }, nil, { routing = { strategy = "weighted-round-robin" } })
  local counts = shares(state, 1001)
  same({ counts.a > 740, counts.b > 240, counts.c }, { true, true, 1 })
end)

test("weights count across providers", function()
  local state = given({ account("a", { weight = 4 }, { name = "one" }),
    account("b", nil, { name = "two" }) }, nil, { routing = { strategy = "weighted-round-robin" } })
  same(shares(state, 10), { a = 8, b = 2 })
end)

test("when a weighted account rests the others share by weight", function()
  local state = given({ account("a", { weight = 5 }), account("b", { weight = 2 }), account "c" },
    function(request)
      return request.credential == "a" and failure(401) or { text = OK }
    end, { routing = { strategy = "weighted-round-robin" } })
  same(shares(state, 30), { a = 1, b = 20, c = 10 })
end)

test("nobody has a turn when all weights are zero, and the answer says so", function()
  given({ account("a", { weight = 0 }) }, nil, { routing = { strategy = "weighted-round-robin" } })
  local client = chat()
  same(client.status, 503)
  same(json.decode(client.sent).error.message, "No usable credential for model `m` via acme (1 weight)")
end)

test("fill-first uses one account until it is out of quota, and goes back to it", function()
  local tired = false
  local state = given({ account "a", account "b" }, function(request)
    if request.credential == "a" and tired then return failure(429, { ["retry-after"] = "60" }) end
    return { text = OK }
  end, { routing = { strategy = "fill-first" } })
  chat()
  chat()
  tired = true
  chat()
  chat()
  tired = false
  state.now = state.now + 61
  chat()
  same(asked(state), { "a", "a", "a", "b", "b", "a" })
end)

test("a higher priority is used first, whatever the provider, and lower ones when it is used up", function()
  local state = given({ account("a", nil, { name = "paid" }),
    account("b", { priority = 5 }, { name = "plan" }),
    account("c", { priority = 5 }, { name = "plan" }) },
    function(request)
      return request.credential ~= "a" and failure(429, { ["retry-after"] = "60" }) or { text = OK }
    end)
  chat()
  same(asked(state), { "b", "c", "a" })
  chat()
  same(#state.calls, 4)
  same(state.calls[4].credential, "a")
  state.now = state.now + 61
  chat()
  same(#state.calls, 7)
end)

test("a disabled account and one that needs a login are not asked", function()
  local state = given({
    account("a", { disabled = true }),
    account("b", nil, { problem = "needs_login", expires = 1700000000 }),
    account("c", nil, { problem = "needs_login", expires = 1900000000 }),
    account("d", nil, { refreshable = false, expires = 1700000000 }),
  })
  chat()
  chat()
  same(asked(state), { "c", "c" })
  given { account("b", nil, { problem = "needs_login", expires = 1700000000 }),
    account("d", nil, { refreshable = false, expires = 1700000000 }) }
  local client = chat()
  same(client.status, 503)
  same(json.decode(client.sent).error.message, "No usable credential for model `m` via acme "
    .. "(1 needs login, 1 expired)")
end)

test("who rests for a passing trouble is asked when nobody else is left", function()
  local state = given({ account "a", account "b" },
    { failure(503), { text = OK }, failure(429, { ["retry-after"] = "60" }), { text = OK } })
  chat()
  same({ modules.store.get "cool:a:m-1" ~= nil }, { true })
  same(chat().status, 200)
  same(asked(state), { "a", "b", "b", "a" })
end)

test("an alias given twice is a pool, also among a provider's own models", function()
  local pool = { id = "k", provider = "gemini", name = "gemini", kind = "api_key", label = "k",
    base_url = "https://google.example", entry = { models = {
      { name = "gemini-one", alias = "best" }, { name = "gemini-two", alias = "best" } } } }
  local state = support.reset { credentials = { pool }, upstream = { failure(429),
    { text = '{"candidates":[],"modelVersion":"gemini-two"}' } } }
  local client = support.ask("POST", "/v1beta/models/best:generateContent", {}, '{"contents":[]}')
  same(client.status, 200)
  same({ state.calls[1].url:match "gemini%-%a+:", state.calls[2].url:match "gemini%-%a+:" },
    { "gemini-one:", "gemini-two:" })
  same(json.decode(client.sent).modelVersion, "best")
end)

test("an account's own request-retry counts for it", function()
  local state = given({ account("a", { ["request-retry"] = 2 }), account "b" },
    function() return failure(503) end)
  same(chat().status, 503)
  same(asked(state), { "a", "b", "a", "a" })
  state = given({ account("a", { ["request-retry"] = 0 }), account "b" },
    function() return failure(503) end, { ["request-retry"] = 1 })
  chat()
  same(asked(state), { "a", "b", "b" })
end)

test("max-retry-credentials bounds a round", function()
  local state = given({ account "a", account "b", account "c" }, function() return failure(500) end,
    { ["max-retry-credentials"] = 2 })
  same(chat().status, 500)
  same(#state.calls, 2)
end)

test("a wait for accounts that rest shortly is a round too", function()
  local state = given({ account "a" }, { failure(429, { ["retry-after"] = "5" }), { text = OK } },
    { ["request-retry"] = 1 })
  -- Somebody else's failure: this request has asked nobody yet.
  modules.store.set("cool:a:m-1", "quota 1000 5 429 slow down", 5)
  modules.store.add("cool:changes")
  state.upstream = { { text = OK } }
  same(chat().status, 200)
  same(#state.slept, 1)
  same(state.slept[1] >= 5 and state.slept[1] <= 7, true)
end)

test("a stream has bootstrap-retries rounds before its first byte", function()
  local good = '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}'
  local state = given({ account "a" }, { failure(503),
    { fields = { ["content-type"] = "text/event-stream" }, events = { good, "[DONE]" } } },
    { streaming = { ["keepalive-seconds"] = 15, ["bootstrap-retries"] = 1 } })
  same(support.chat('{"model":"m","stream":true}').status, 200)
  same(#state.calls, 2)
  -- A whole answer has none.
  state = given({ account "a" }, { failure(503) },
    { streaming = { ["keepalive-seconds"] = 15, ["bootstrap-retries"] = 1 } })
  same(chat().status, 503)
  same(#state.calls, 1)
end)

-- --- what is left when a quota is used up ---------------------------------------------------------

local quota = require "models.quota"

local function with_previews(work)
  quota.previews.openai_compatibility = { ["m-1"] = { "m-1-old", "m-1-new" } }
  quota.projects.openai_compatibility = true
  local fine, problem = pcall(work)
  quota.previews.openai_compatibility, quota.projects.openai_compatibility = nil, nil
  if not fine then error(problem, 0) end
end

local function models_asked(state)
  local list = {}
  for i, call in ipairs(state.calls) do
    list[i] = call.credential .. " " .. json.decode(call.body).model
  end
  return list
end

test("an account out of quota is asked for the model's previews before another account is", function()
  with_previews(function()
    local state = given({ account "a", account "b" },
      { failure(429, { ["retry-after"] = "60" }), failure(404), { text = OK }, { text = OK } })
    same(chat().status, 200)
    -- 404 ends the chain for this request; the name is not tried again.
    same(models_asked(state), { "a m-1", "a m-1-old", "b m-1" })
    state.upstream = { { text = OK }, { text = OK } }
    chat()
    chat()
    same({ models_asked(state)[4], models_asked(state)[5] }, { "b m-1", "a m-1-new" })
  end)
end)

test("previews are tried in turn until one is not out of quota", function()
  with_previews(function()
    local state = given({ account "a" }, { failure(429), failure(429), { text = OK } })
    same(chat().status, 200)
    same(models_asked(state), { "a m-1", "a m-1-old", "a m-1-new" })
    state = given({ account "a" }, { failure(429) },
      { ["quota-exceeded"] = { ["switch-preview-model"] = false } })
    same(chat().status, 429)
  end)
end)

test("without switch-project a refused project is not replaced by another", function()
  with_previews(function()
    quota.previews.openai_compatibility = nil
    local state = given({ account "a", account "b", account("c", nil, { provider = "mock", kind = "none" }) },
      { failure(429) }, { ["quota-exceeded"] = { ["switch-project"] = false } })
    same(chat().status, 429)
    same(asked(state), { "a" })
    -- The same project may be asked again when its quota is back.
    state = given({ account "a", account "b" }, { failure(429), { text = OK } },
      { ["quota-exceeded"] = { ["switch-project"] = false }, ["request-retry"] = 1 })
    same(chat().status, 200)
    same(asked(state), { "a", "a" })
    state = given({ account "a", account "b" }, { failure(500), { text = OK } },
      { ["quota-exceeded"] = { ["switch-project"] = false } })
    same(chat().status, 200)
  end)
end)

test("what is written by hand into a token file cannot break requests", function()
  local entry = { priority = "5", weight = "many", ["request-retry"] = {}, ["excluded-models"] = "x*",
    ["disable-cooling"] = "true", ["request-scoped-errors"] = 7 }
  local state = given({ account("a", entry), account("b", { priority = {} }) },
    { failure(500), { text = OK }, { text = OK } }, { routing = { strategy = "weighted-round-robin" } })
  same({ chat().status, chat().status }, { 200, 200 })
  same(asked(state), { "a", "b", "a" })
end)

test("status tells how a candidate stands", function()
  given({ account("a", { weight = 2, priority = 1 }) }, { failure(429, { ["retry-after"] = "60" }) })
  chat()
  local resolution = require("core.router").resolve "m"
  local status = require("core.selector").status(resolution.groups[1].candidates[1])
  same({ status.usable, status.reason, status.seconds, status.last, status.weight, status.priority },
    { false, "quota", 60, "429 said 429", 2, 1 })
end)
