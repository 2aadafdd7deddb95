--- What failures mean, and how long who rests.

local accounts = require "tests.accounts_support"
local cooldowns = require "core.cooldowns"
local json = require "json"
local support = require "tests.support"
local verdicts = require "core.verdicts"

local account, chat, failure, given, OK =
  accounts.account, accounts.chat, accounts.failure, accounts.given, accounts.OK

-- Reason and seconds of what makes an account wait for a model, after one failure.
local function rest_after(answer, model, values)
  given({ account "a", account "b" }, { answer, { text = OK } }, values)
  chat()
  local found = {}
  for _, rest in ipairs(cooldowns.describe "a") do
    found[#found + 1] = { rest.model or "all", rest.reason, rest.seconds }
  end
  if #found <= 1 then return found[1] end
  return found
end

local function upstream_error(members)
  return '{"error":{"message":"no",' .. members .. "}}"
end

test("each status has its rest", function()
  local rows = {
    { 401, nil, "unauthorized", 1800 }, { 402, nil, "payment_required", 1800 },
    { 403, nil, "forbidden", 1800 }, { 429, nil, "quota", 1 },
    { 404, '{"error":{"message":"The model m does not exist"}}', "unsupported", 43200 },
    { 404, '{"error":{"message":"Item rs_1 not found"}}' },
    { 400, '{"error":{"message":"Model m-1 is not supported when using this account"}}',
      "unsupported", 43200 },
    { 422, '{"error":{"message":"x","code":"model_not_supported"}}', "unsupported", 43200 },
    { 400, '{"error":"invalid_grant"}', "needs_login", 1800 },
    { 401, '{"error":{"message":"invalid_grant: revoked"}}', "needs_login", 1800 },
    { 408, nil, "transient", 60 }, { 500, nil, "transient", 60 }, { 502, nil, "transient", 60 },
    { 503, nil, "transient", 60 }, { 504, nil, "transient", 60 }, { 529, nil, "transient", 60 },
    { 403, "<html><head><title>Just a moment...</title></head></html>", "challenge", 10 },
    { 403, "<html><head><title>Forbidden</title></head></html>", "forbidden", 1800 },
    { 400, nil }, { 409, nil }, { 413, nil }, { 422, nil }, { 418, nil },
  }
  for _, row in ipairs(rows) do
    local expected = row[3] and { row[3] == "needs_login" and "all" or "m-1", row[3], row[4] } or nil
    same({ row[1], rest_after(failure(row[1], nil, row[2])) }, { row[1], expected })
  end
end)

test("the request's own fault is told by code too, but not where the account is refused", function()
  local function verdict(status, code, kind)
    return verdicts.of { class = "upstream", status = status, code = code, kind = kind, message = "no" }
  end
  for _, code in ipairs { "context_length_exceeded", "message_too_big", "string_above_max_length",
    "invalid_prompt", "invalid_value", "unsupported_value", "invalid_request_error",
    "previous_response_not_found", "cyber_policy" } do
    same({ verdict(500, code), verdict(403, code), verdict(401, code), verdict(404, code) },
      { "request", "request", "request", "request" })
    same({ verdict(402, code), verdict(429, code), verdict(401, code, "authentication_error") },
      { "payment_required", "quota", "unauthorized" })
  end
end)

test("calls without an answer: nobody's fault when the other side hung up", function()
  local function after(code)
    given({ account "a", account "b" },
      { { error = { code = code, message = "no answer" } }, { text = OK } })
    chat()
    local rest = cooldowns.describe("a")[1]
    return rest and rest.reason
  end
  same({ after "unreachable", after "timeout", after "broken" }, { "transient", "transient", nil })
end)

test("a plan's limit covers all models of the account, until the moment that is told", function()
  local hint = upstream_error '"type":"usage_limit_reached","plan_type":"plus","resets_in_seconds":7000'
  same(rest_after(failure(429, nil, hint)), { "all", "quota", 7000 })
  local state = given({ account "a" }, { failure(429, nil, hint) })
  chat()
  same(chat("n").status, 429)
  same(#state.calls, 1)
  local at = os.time() + 500
  local rest = rest_after(failure(429, nil, upstream_error('"type":"usage_limit_reached","resets_at":' .. at)))
  same(rest[3] > 490 and rest[3] <= 500, true)
end)

test("a hint is believed up to a week", function()
  same(rest_after(failure(429, { ["retry-after"] = "2000000" })), { "m-1", "quota", 604800 })
  same(rest_after(failure(429, { ["retry-after"] = "0" })), { "m-1", "quota", 1 })
  -- What an overloaded server says is no quota.
  same(rest_after(failure(529, { ["retry-after"] = "7" })), { "m-1", "transient", 7 })
  same(rest_after(failure(503, { ["retry-after"] = "90000" })), { "m-1", "transient", 1800 })
end)

test("transient-error-cooldown-seconds: other seconds, or none", function()
  local key = "transient-error-cooldown-seconds"
  same(rest_after(failure(503), nil, { [key] = 5 }), { "m-1", "transient", 5 })
  same(rest_after(failure(503), nil, { [key] = -1 }), nil)
  same(rest_after(failure(503, { ["retry-after"] = "9" }), nil, { [key] = -1 }), nil)
  same(rest_after(failure(429), nil, { [key] = -1 }), { "m-1", "quota", 1 })
end)

test("disable-cooling for all or for one, whose own word counts more", function()
  for status in pairs { [401] = 1, [403] = 1, [429] = 1, [503] = 1 } do
    same(rest_after(failure(status), nil, { ["disable-cooling"] = true }), nil)
  end
  given({ account("a", { ["disable-cooling"] = true }), account "b" }, { failure(401), { text = OK } })
  chat()
  same(cooldowns.describe "a", {})
  given({ account("a", { ["disable-cooling"] = false }), account "b" }, { failure(401), { text = OK } },
    { ["disable-cooling"] = true })
  chat()
  same(#cooldowns.describe "a", 1)
end)

-- A failure told straight to the cooldowns: `since` is when its call began.
local function candidate_of(id, model)
  return {
    credential = { id = id, entry = {} }, model = model,
    cool = "cool:" .. id .. ":" .. model, level = "level:" .. id .. ":" .. model,
  }
end

local function fail(candidate, since, fields)
  local problem = { class = "upstream", status = 429, message = "slow down" }
  for name, value in pairs(fields or {}) do problem[name] = value end
  cooldowns.failed(candidate, "quota", problem, since, "429 slow down", false)
end

local function seconds_of(candidate)
  return select(2, cooldowns.blocked(candidate))
end

test("parallel refusals of one window count once, also when they come late", function()
  local state = support.reset()
  local one = candidate_of("a", "m")
  fail(one, 999)
  fail(one, 999)
  fail(one, 1000)
  same(seconds_of(one), 1)
  -- The window is over, but this call began before it: no second failure in a row.
  state.now = 1002
  fail(one, 999)
  same(seconds_of(one), 1)
  state.now = 1010
  fail(one, 1009)
  same(seconds_of(one), 2)
end)

test("the row ends with a success that began after it, and grows to half an hour at most", function()
  local state = support.reset()
  local one = candidate_of("a", "m")
  local waits = {}
  for i = 1, 14 do
    fail(one, state.now)
    waits[i] = seconds_of(one)
    state.now = state.now + waits[i] + 1
  end
  same({ waits[1], waits[2], waits[11], waits[12], waits[14] }, { 1, 2, 1024, 1800, 1800 })
  cooldowns.look()
  cooldowns.succeeded(one, 1000)
  fail(one, state.now)
  same(seconds_of(one), 1800)
  state.now = state.now + 1801
  cooldowns.look()
  cooldowns.succeeded(one, state.now)
  fail(one, state.now)
  same(seconds_of(one), 1)
end)

test("an answer to an older call does not end a rest, one to a newer call does", function()
  local state = support.reset()
  local one = candidate_of("a", "m")
  fail(one, 1000, { retry_after = 60 })
  cooldowns.look()
  cooldowns.succeeded(one, 999)
  same(seconds_of(one), 60)
  state.now = 1010
  cooldowns.succeeded(one, 1010)
  same(seconds_of(one), nil)
end)

test("older evidence does not shorten a rest", function()
  local state = support.reset()
  local one = candidate_of("a", "m")
  fail(one, 999, { retry_after = 600 })
  fail(one, 999, { retry_after = 30 })
  same(seconds_of(one), 600)
  fail(one, 999)
  same(seconds_of(one), 600)
  state.now = 1010
  fail(one, 1005, { retry_after = 30 })
  same(seconds_of(one), 30)
end)

test("what is known of made-up models does not grow for ever", function()
  support.reset()
  fail(candidate_of("z", "m"), 1000)
  cooldowns.look()
  for i = 1, 30000 do cooldowns.of(candidate_of("a", "m" .. i)) end
  collectgarbage()
  local before = collectgarbage "count"
  for i = 30001, 60000 do cooldowns.of(candidate_of("a", "m" .. i)) end
  collectgarbage()
  same(collectgarbage "count" - before < 1500, true)
end)

test("a problem that is about the request makes nobody rest", function()
  support.reset()
  local one = candidate_of("a", "m")
  fail(one, 1000, { scope = "request" })
  same(seconds_of(one), nil)
  fail(one, 1000, { scope = "credential", retry_after = 9 })
  same(seconds_of(candidate_of("a", "other")), 9)
end)

test("a long rest is probed by one request each half hour", function()
  local state = given({ account "a", account "b" },
    { failure(429, { ["retry-after"] = "90000" }), { text = OK } })
  chat()
  local function ask(count)
    local from = #state.calls
    for _ = 1, count do chat() end
    local probes = 0
    for i = from + 1, #state.calls do
      if state.calls[i].credential == "a" then probes = probes + 1 end
    end
    return probes
  end
  state.upstream = function(request)
    return request.credential == "a" and failure(429, { ["retry-after"] = "80000" })
      or { text = OK }
  end
  state.now = state.now + 1799
  same(ask(3), 0)
  state.now = state.now + 2
  -- Counting does not take the probe away.
  support.ask("POST", "/v1/responses/input_tokens", nil, '{"model":"m","input":"x"}')
  same(ask(3), 1)
  same(cooldowns.describe("a")[1].probe, 1800)
  state.now = state.now + 1801
  -- The quota is back before its time: so is the account.
  state.upstream = function() return { text = OK } end
  same(ask(4) >= 2, true)
  same(cooldowns.describe "a", {})
end)

test("nobody is probed for shorter rests or for other reasons", function()
  local state = given({ account "a" }, { failure(429, { ["retry-after"] = "3600" }) })
  chat()
  state.now = state.now + 3000
  chat()
  same(#state.calls, 1)
  state = given({ account "a" }, { failure(404, nil, '{"error":{"message":"model not found"}}') })
  chat()
  state.now = state.now + 40000
  chat()
  same(#state.calls, 1)
end)

test("describe tells why, since when, until when and what was said", function()
  local state = given({ account "a" },
    { failure(429, { ["retry-after"] = "50" }),
      failure(429, nil, upstream_error '"type":"usage_limit_reached","resets_in_seconds":7200') })
  chat()
  chat("n")
  state.now = state.now + 10
  same(cooldowns.describe "a", {
    { reason = "quota", seconds = 7190, since = 10.0, last = "429 no", probe = 1790 },
    { model = "m-1", reason = "quota", seconds = 40, since = 10.0, last = "429 said 429" },
  })
  cooldowns.forget "a"
  same(cooldowns.describe "a", {})
  state.upstream = { { text = OK } }
  same(chat().status, 200)
end)

test("shortages name model, providers, reasons, the next recovery and the last words, in each dialect", function()
  local function shortage(method_path, body, headers)
    given({ account("a", nil, { name = "one" }), account("b", nil, { name = "two" }) },
      { failure(429, { ["retry-after"] = "40" }), failure(429, { ["retry-after"] = "20" }) })
    chat()
    local client = support.ask("POST", method_path, headers or {}, body)
    return client, json.decode(client.sent).error
  end
  local message = "All credentials are cooling down for model `m` via one, two; "
    .. "the next one is free in 20s; last upstream error: 429 said 429"
  for path, body in pairs {
    ["/v1/chat/completions"] = '{"model":"m"}', ["/v1/responses"] = '{"model":"m","input":"x"}',
    ["/v1/messages"] = '{"model":"m","messages":[]}', ["/v1beta/models/m:generateContent"] = "{}",
  } do
    local client, problem = shortage(path, body)
    same({ path, client.status, client.sent_headers["retry-after"], problem.message },
      { path, 429, "20", message })
    if path:find("v1beta", 1, true) then
      same(problem.details[1].retryDelay, "20s")
    elseif path == "/v1/messages" then
      same(problem.type, "rate_limit_error")
    else
      same(problem.code, "rate_limit_exceeded")
    end
  end
  given({ account("a", nil, { name = "one" }), account("b", nil, { name = "two" }) },
    { failure(401), failure(429, { ["retry-after"] = "20" }) })
  chat()
  local client = chat()
  same({ client.status, json.decode(client.sent).error.message }, { 503,
    "No usable credential for model `m` via one, two (1 unauthorized, 1 quota); "
    .. "the next one is free in 20s; last upstream error: 429 said 429" })
end)

test("a refusal without a hint tells the client how long the account rests", function()
  given({ account "a" }, { failure(429) })
  same(chat().sent_headers["retry-after"], "1")
end)

-- --- rules of the user ---------------------------------------------------------------------------

local function under(rule, answers, fields)
  local one = account("a", { ["request-scoped-errors"] = { rule } }, fields)
  local state = given({ one, account "b" }, answers)
  local client = chat()
  local rest = cooldowns.describe("a")[1]
  return client.status, #state.calls, rest and rest.reason
end

test("request-scoped-errors say what an error means", function()
  local said = '{"error":{"message":"Quota of the Gateway is gone"}}'
  local function rule(action, fields)
    local made = { status = 500, match = { "nothing", "the Gateway" }, action = action }
    for name, value in pairs(fields or {}) do made[name] = value end
    return made
  end
  same({ under(rule "stop", { failure(500, nil, said) }) }, { 500, 1, nil })
  same({ under(rule "stop-and-cooldown", { failure(500, nil, said) }) }, { 500, 1, "transient" })
  same({ under(rule "continue", { failure(500, nil, said), { text = OK } }) }, { 200, 2, nil })
  same({ under(rule "continue-and-cooldown", { failure(500, nil, said), { text = OK } }) },
    { 200, 2, "transient" })
  local patterns = { match = {}, ["match-regexr"] = { "(?i)quota .* GONE\"" } }
  same({ under(rule("stop", patterns), { failure(500, nil, said) }) }, { 500, 1, nil })
  -- Others keep their meaning.
  same({ under(rule("stop", { status = 502 }), { failure(500, nil, said), { text = OK } }) },
    { 200, 2, "transient" })
  same({ under(rule("stop", { match = { "other" } }), { failure(500, nil, said), { text = OK } }) },
    { 200, 2, "transient" })
  same({ under(rule("nonsense"), { failure(500, nil, said), { text = OK } }) }, { 200, 2, "transient" })
  -- A request's fault may be taken elsewhere.
  same({ under({ status = 400, match = "context", action = "continue" },
    { failure(400, nil, '{"error":{"message":"context too long"}}'), { text = OK } }) }, { 200, 2, nil })
end)

test("rules for a kind of login", function()
  local one = account("a", nil, { kind = "oauth", name = "gemini-cli", provider = "mock" })
  local rule = { status = 500, match = { "odd" }, action = "stop" }
  given({ one }, {}, { ["oauth-request-scoped-errors"] = { ["gemini-cli"] = { rule } } })
  local problem = { class = "upstream", status = 500, message = "odd" }
  same({ verdicts.on(problem, { credential = one }) }, { "request", true })
  one.kind = "api_key"
  same({ verdicts.on(problem, { credential = one }) }, { "transient", false })
end)

-- --- over a restart ------------------------------------------------------------------------------

local files = {}
modules.accounts = modules.accounts or { directory = function() return "/auth" end }
modules.file = modules.file or {}

local function with_files(work)
  local file, kept = modules.file, {}
  for _, name in ipairs { "read", "write" } do kept[name] = file[name] end
  function file.read(path)
    if not files[path] then return nil, { code = "not_found", message = "none" } end
    return files[path]
  end
  function file.write(path, content)
    files[path] = content
    return true
  end
  local fine, problem = pcall(work, require "core.cooldown_file")
  for name, fn in pairs(kept) do file[name] = fn end
  if not fine then error(problem, 0) end
end

test("save-cooldown-status: who rests is asked for again only when the rest is over", function()
  with_files(function(cooldown_file)
    local on = { ["save-cooldown-status"] = true }
    local function answers() return failure(429, { ["retry-after"] = "5000" }) end
    local state = given({ account "a", account "b" }, answers, on)
    chat()
    same(state.posted, { { "cooldowns", "" } })
    cooldown_file.save()
    local path = modules.accounts.directory() .. "/.cooldowns"
    same(json.decode(files[path]).rests[1].reason, "quota")
    -- The next life of the program, a quarter of an hour later.
    state = given({ account "a", account "b" }, function() return { text = OK } end, on)
    state.now = 1901
    cooldown_file.load()
    same(chat().status, 429)
    same(#state.calls, 0)
    local rest = cooldowns.describe("a")[1]
    same({ rest.reason, math.floor(rest.seconds + 0.5), rest.last }, { "quota", 4099, "429 said 429" })
    -- Read once: what happened since is newer.
    cooldowns.forget "a"
    cooldown_file.load()
    same(chat().status, 200)
  end)
end)

test("without save-cooldown-status nothing is written or read", function()
  with_files(function(cooldown_file)
    local state = given({ account "a" }, { failure(429), { text = OK } })
    chat()
    same(state.posted, {})
    cooldown_file.load()
    same(modules.store.get "cooldowns-loaded", nil)
  end)
end)

test("a file that is no list of cooldowns is left alone", function()
  with_files(function(cooldown_file)
    support.reset()
    for _, text in ipairs { "", "[]", "{", '{"version":2,"rests":[]}', '{"version":1}' } do
      same({ text, cooldown_file.restore(text) }, { text, nil })
    end
    local late = math.floor(modules.timer.wall()) + 60
    same(cooldown_file.restore('{"version":1,"rests":[1,{},{"key":"cool:a","reason":"quota","seconds":9,'
      .. '"until":1},{"key":"cool:changes","reason":"quota","seconds":9,"until":' .. late .. "},"
      .. '{"key":"pin:x","reason":"quota","seconds":9,"until":' .. late .. "},"
      .. '{"key":"cool:c","reason":"needs_login","seconds":9,"until":' .. late .. "},"
      .. '{"key":"cool:b","reason":"quota","seconds":9,"until":' .. late .. "}]}"), 1)
    same(math.type(modules.store.get "cool:changes"), "integer")
    -- Somebody may have logged in meanwhile.
    same({ modules.store.get "cool:a", modules.store.get "pin:x", modules.store.get "cool:c" }, {})
    same(modules.store.get "cool:b" ~= nil, true)
  end)
end)
