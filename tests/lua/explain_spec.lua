--- The report on a model: who is kept, who is refused, and what would help.

local support = require "tests.support"
local explain = require "core.explain"

local function account(id, models, fields)
  return support.account(id, models or { m = "m-1" }, fields)
end

local function given(credentials, values, upstream)
  return support.reset { credentials = credentials, values = values, upstream = upstream }
end

local function rows(report)
  local list = {}
  for i, row in ipairs(report.candidates) do
    list[i] = row.id .. " " .. row.verdict .. (row.reason and " " .. row.reason or "")
  end
  return list
end

local function about(model, dialect)
  return explain.report(model, dialect, true)
end

test("the order of the next request is told, and asking makes it nobody's turn", function()
  local state = given({ account "a", account "b", account "c" }, nil,
    function() return { text = '{"id":"1","choices":[]}' } end)
  support.chat '{"model":"m"}'
  for _ = 1, 2 do
    local report = about "m"
    same(rows(report), { "b kept", "a kept", "c kept" })
    same({ report.next.credential, report.usable }, { "sk-...b", true })
  end
  support.chat '{"model":"m"}'
  same(state.calls[2].credential, "b")
end)

test("an account that waits tells why, how long and what the upstream said", function()
  local state = given({ account "a", account "b" }, nil, {
    { status = 429, fields = { ["retry-after"] = "37" },
      text = '{"error":{"message":"slow down"}}' },
    { text = '{"id":"1","choices":[]}' },
  })
  support.chat '{"model":"m"}'
  local row = about("m").candidates[2]
  same({ row.id, row.reason, row.seconds, row.said, row.fix },
    { "a", "cooling_quota", 37, "429 slow down", "wait 37s" })
  state.now = state.now + 38
  same(rows(about "m"), { "b kept", "a kept" })
end)

test("a disabled account is refused, with the setting that would help", function()
  given { account("a", nil, { entry = { disabled = true } }) }
  local report = about "m"
  same(rows(report), { "a refused disabled" })
  same(report.usable, false)
  same(report.candidates[1].fix,
    "set `disabled: false` for the entry `acme` of openai-compatibility in config.yaml")
end)

test("what is excluded, renamed or behind a prefix says so", function()
  given({
    account("a", { m = "m" },
      { provider = "claude", name = "claude", entry = { ["excluded-models"] = { "m*" } } }),
    account("b", { other = "m" }),
    account("c", { m = "m" }, { entry = { prefix = "team" } }),
    account("d", { far = "away" }),
    account("e", { m = "m" }),
  }, { ["force-model-prefix"] = true })
  local report = about "m"
  same(rows(report), { "e kept", "a refused excluded", "b refused renamed", "c refused prefix_only",
    "d refused other_models" })
  same(report.candidates[3].fix, "ask for `other`")
  same(report.candidates[4].fix, "ask for `team/m`")
  report = about "team/m"
  same({ report.resolved.how, report.candidates[1].id }, { "prefix", "c" })
end)

test("how the name was understood is told", function()
  given { account("a", { m = "vendor/m", plain = "plain" }) }
  same(about("m").resolved, { how = "alias", name = "m", text = "an alias of `vendor/m`" })
  same(about("plain").resolved.how, "name")
  same(about("acme://free").resolved,
    { how = "provider", name = "acme://free", text = "`free` of acme alone" })
  same(about("plain(high)").resolved,
    { how = "suffix", name = "plain", text = "`plain`, the rest asks for an amount of reasoning" })
end)

test("name://model leaves the other providers out", function()
  given { account("a", { m = "m" }, { name = "one" }), account("b", { m = "m" }, { name = "two" }) }
  same(rows(about "one://m"), { "a kept", "b refused other_provider" })
end)

test("an unknown name gets the nearest known ones and what is configured", function()
  given { account("a", { ["gpt-oss-120b"] = "x", ["kimi-k2"] = "y" }) }
  local report = about "gpt-os-120b"
  same({ report.usable, report.resolved.how, report.nearest },
    { false, "unknown", { "gpt-oss-120b" } })
  same(report.providers, { { name = "acme", accounts = 1, disabled = 0, models = 2 } })
  same(about("KIMI-K2").candidates[1].fix, "ask for `kimi-k2`")
end)

test("the mock models say why they are gone", function()
  given { account "a" }
  local row = about("mock").candidates[1]
  same({ row.reason, row.fix }, { "mock_off", "set `mock: true` in config.yaml" })
  given({}, { mock = false })
  same(about("mock").candidates[1].why, "`mock: false` turns the mock models off")
  given {}
  same(rows(about "mock"), { "mock kept" })
end)

test("an account that has to be logged in again names the command", function()
  given { account("claude-ann.json", nil, { kind = "oauth", provider = "openai_compatibility",
    problem = "needs_login: invalid_grant", label = "ann@example.com", expires = 1800000000 }) }
  local row = about("m").candidates[1]
  same({ row.reason, row.why }, { "needs_login", "needs_login: invalid_grant" })
  given { account("qwen-ann.json", nil, { kind = "oauth", provider = "openai_compatibility",
    problem = "needs_login: invalid_grant", label = "ann@example.com", expires = 1800001060 }) }
  row = about("m").candidates[1]
  same({ row.verdict, row.notes[1] }, { "kept",
    "needs_login: invalid_grant; it serves until its token expires in 1m: log in again" })
end)

test("priority decides before turns", function()
  given { account("a", nil, { entry = { priority = 1 } }),
    account("b", nil, { entry = { priority = 5 } }) }
  local report = about "m"
  same(rows(report), { "b kept", "a kept" })
  same(report.next.why, "its priority is the highest (5)")
end)

test("weights say how often, and a weight of 0 is a refusal", function()
  given({ account("a", nil, { entry = { weight = 0 } }),
    account("b", nil, { entry = { weight = 3 } }), account "c" }, { routing = { strategy = "weighted-round-robin" } })
  local report = about "m"
  same(rows(report), { "b kept", "c kept", "a refused weight" })
  same({ report.strategy, report.candidates[1].weight }, { "weighted-round-robin", 3 })
  same(report.candidates[3].fix,
    "set `weight: 1` for the entry `acme` of openai-compatibility in config.yaml")
end)

test("who rests for the upstream's trouble is asked when nobody else is left", function()
  local state = given({ account "a", account "b" }, nil, function()
    return { status = 503, text = '{"error":{"message":"down"}}' }
  end)
  support.chat '{"model":"m"}'
  local report = about "m"
  same({ report.usable, report.candidates[1].verdict }, { true, "kept" })
  local asked = report.candidates[1].id
  support.chat '{"model":"m"}'
  same(state.calls[3].credential, asked)
end)

test("a request looks now and then whether a long rest has ended", function()
  local state = given({ account "a" }, nil, {
    { status = 429, fields = { ["retry-after"] = "7200" }, text = '{"error":{"message":"gone"}}' },
  })
  support.chat '{"model":"m"}'
  same(rows(about "m"), { "a refused cooling_quota" })
  state.now = state.now + 1801
  local report = about "m"
  same({ report.candidates[1].verdict, report.usable }, { "kept", true })
  same(rows(about "m"), { "a kept" })
end)

test("a client's dialect tells whether bytes go through", function()
  given { account "a" }
  same(about("m", "openai").candidates[1].route, "as it is")
  same(about("m", "anthropic").candidates[1].route, "translated")
end)

test("accounts that only Claude Code may use say so", function()
  given({ account("claude-ann.json", nil, { kind = "oauth", provider = "claude", name = "claude",
    label = "ann@example.com",
    entry = { models = { { name = "claude-opus-4-20250514", alias = "m" } } } }) },
    { ["claude-oauth-clients"] = "claude-code-only" })
  local why = "kept for Claude Code by claude-oauth-clients"
  local row = about("m", "openai").candidates[1]
  same({ row.verdict, row.reason, row.why }, { "refused", "not_admitted", why })
  row = about("m", "claude").candidates[1]
  same({ row.verdict, row.notes }, { "kept", { why } })
  same(about("m").candidates[1].notes, { why })
end)

test("without a server nothing is said of cooldowns and turns", function()
  given { account "a", account "b" }
  local report = explain.report("m", nil, false)
  same({ report.live, report.usable, report.next }, { false, true, nil })
end)
