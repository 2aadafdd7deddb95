--- Claude: what goes up for logins and keys, and what its refusals do.  Answers are recorded ones.

local support = require "tests.support"
local json = require "json"
local wire = require "tests.wire"

local MODEL = "claude-sonnet-4-5-20250929"
local API = "https://api.anthropic.com"

local function login(id)
  return {
    id = id, provider = "claude", name = "claude", kind = "oauth", label = id .. "@example.com",
    base_url = API, entry = {}, facts = {},
  }
end

local function key(id, base, facts)
  return {
    id = id, provider = "claude", name = "claude", kind = "api_key", label = "sk-..." .. id,
    base_url = base or API, entry = {}, facts = facts,
  }
end

local function given(credentials, answers, values)
  local upstream = {}
  for i, name in ipairs(answers) do
    upstream[i] = type(name) == "string" and wire.answer("claude/" .. name) or name
  end
  return support.reset { credentials = credentials, upstream = upstream, values = values }
end

local function body(members)
  local all = { model = MODEL, max_tokens = 5, messages = json.array { { role = "user", content = "hi" } } }
  for name, value in pairs(members or {}) do all[name] = value end
  return json.encode(all)
end

local function messages(members, headers)
  return support.ask("POST", "/v1/messages?beta=true", headers, body(members))
end

local function chat(members)
  local all = { model = MODEL, messages = json.array { { role = "user", content = "hi" } } }
  for name, value in pairs(members or {}) do all[name] = value end
  return support.chat(json.encode(all))
end

local FINE = { text = '{"id":"msg_1","type":"message","role":"assistant","model":"' .. MODEL
  .. '","content":[{"type":"text","text":"yes"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}' }

local CODE = {
  ["user-agent"] = "claude-cli/2.1.330 (external, cli)", ["x-app"] = "cli",
  ["anthropic-version"] = "2023-06-01", ["x-stainless-lang"] = "js", ["x-stainless-retry-count"] = "0",
  ["anthropic-beta"] = "claude-code-20250219,interleaved-thinking-2025-05-14",
  ["anthropic-dangerous-direct-browser-access"] = "true", ["x-claude-code-session-id"] = "s-1",
  ["x-claude-remote-session-id"] = "r-1", ["x-client-request-id"] = "q-1", ["x-client-app"] = "app",
  ["x-anthropic-additional-protection"] = "true", authorization = "Bearer own", cookie = "c=1",
  ["x-api-key"] = "own", ["x-forwarded-for"] = "1.2.3.4",
}

local function beta(sent, members)
  local state = given({ login "a" }, { FINE })
  local headers = {}
  for name, value in pairs(CODE) do headers[name] = value end
  headers["anthropic-beta"] = sent
  messages(members, headers)
  return state.calls[1].headers["anthropic-beta"]
end

test("a login serves Claude Code with its own headers, its token and the login's flag", function()
  local state = given({ login "a" }, { FINE })
  local sent = body { metadata = { user_id = "u" } }
  same(support.ask("POST", "/v1/messages?beta=true", CODE, sent).status, 200)
  local call = state.calls[1]
  same({ call.url, call.credential, call.body }, { API .. "/v1/messages?beta=true", "a", sent })
  same(call.headers, {
    ["user-agent"] = "claude-cli/2.1.330 (external, cli)", ["x-app"] = "cli",
    ["anthropic-version"] = "2023-06-01", ["x-stainless-lang"] = "js", ["x-stainless-retry-count"] = "0",
    ["anthropic-beta"] = "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14",
    ["anthropic-dangerous-direct-browser-access"] = "true", ["x-claude-code-session-id"] = "s-1",
    ["x-claude-remote-session-id"] = "r-1", ["x-client-request-id"] = "q-1", ["x-client-app"] = "app",
    ["x-anthropic-additional-protection"] = "true", authorization = "Bearer {secret}",
    ["content-type"] = "application/json", accept = "application/json",
  })
end)

test("the login's flag stands once, behind Claude Code's own", function()
  same(beta "a,oauth-2025-04-20, claude-code-20250219,a", "a,oauth-2025-04-20,claude-code-20250219")
  same(beta "a, b", "a,b,oauth-2025-04-20")
  same(beta(false), "oauth-2025-04-20")
  same(beta("claude-code-20250219", { betas = json.array { "x-1", "claude-code-20250219" } }),
    "claude-code-20250219,oauth-2025-04-20,x-1")
end)

test("other clients are presented as what they are", function()
  local state = given({ login "a" }, { "stream" })
  same(chat({}).status, 200)
  local headers = state.calls[1].headers
  same(headers, {
    ["user-agent"] = "cli-proxy-api/0.0", ["anthropic-version"] = "2023-06-01",
    ["anthropic-beta"] = "oauth-2025-04-20", authorization = "Bearer {secret}",
    ["content-type"] = "application/json", accept = "text/event-stream",
  })
  same(json.decode(state.calls[1].body).stream, true)
end)

test("an amount of reasoning in the name costs a genuine client none of its headers", function()
  local state = given({ login "a" }, { "stream" })
  messages({ model = MODEL .. "(2048)", stream = true, max_tokens = 4096 }, CODE)
  same({ state.calls[1].headers["user-agent"], state.calls[1].headers["x-app"] },
    { CODE["user-agent"], "cli" })
end)

test("keys go to Anthropic in their own header, elsewhere as a bearer", function()
  local state = given({ key "a" }, { FINE })
  messages()
  same({ state.calls[1].headers["x-api-key"], state.calls[1].headers.authorization,
    state.calls[1].headers["anthropic-beta"] }, { "{secret}", nil, nil })
  state = given({ key("a", "https://claude.example/api") }, { FINE })
  messages()
  same({ state.calls[1].url, state.calls[1].headers["x-api-key"], state.calls[1].headers.authorization },
    { "https://claude.example/api/v1/messages?beta=true", nil, "Bearer {secret}" })
end)

test("a login's token in the place of a key is used as one", function()
  local state = given({ key("a", nil, { is_oauth = true }) }, { FINE })
  messages()
  same({ state.calls[1].headers["x-api-key"], state.calls[1].headers.authorization,
    state.calls[1].headers["anthropic-beta"] }, { nil, "Bearer {secret}", "oauth-2025-04-20" })
end)

-- --- counting ---------------------------------------------------------------------------------------

local function count(members, headers)
  return support.ask("POST", "/v1/messages/count_tokens?beta=true", headers, body(members))
end

test("what counting refuses is taken out of its body", function()
  local state = given({ login "a" }, { { text = '{"input_tokens":7}' } })
  local client = count({ stream = true, metadata = { user_id = "u" }, diagnostics = {},
    context_management = { edits = json.array {} }, system = "s" },
    { ["anthropic-beta"] = "token-counting-2024-11-01" })
  same(client.sent, '{"input_tokens":7}')
  local call = state.calls[1]
  same({ call.url, call.headers["anthropic-beta"] }, {
    API .. "/v1/messages/count_tokens?beta=true", "token-counting-2024-11-01,oauth-2025-04-20" })
  same(json.keys(json.decode(call.body)), { "messages", "model", "system" })
end)

test("an upstream without a counting endpoint leaves it to the estimate, and is not punished", function()
  for _, status in ipairs { 404, 405, 501 } do
    given({ key("a", "https://claude.example") }, { { status = status, text = "no" } })
    local client = count()
    same({ client.status, json.decode(client.sent).input_tokens > 0 }, { 200, true })
    same(modules.store.get("cool:a:" .. MODEL), nil)
  end
end)

-- --- refusals ---------------------------------------------------------------------------------------

local claude = require "providers.claude"

local function judged(name)
  local answer = wire.answer("claude/" .. name)
  local response = { header = function(_, field) return answer.fields[field] end }
  return claude.classify(answer.status, answer.text, response)
end

-- Seconds with the grace of 1 to 30 s, and a second of this test.
local function is_about(seconds, expected)
  return seconds >= expected and seconds <= expected + 31
end

test("a limit of the account lasts until the last of its windows, one of a model is its own", function()
  for name, expected in pairs {
    limit_5h = { 3600, "credential" }, limit_both_windows = { 200000, "credential" },
    limit_7d_of_model = { 86400, "model" }, limit_without_windows = { 1800, "credential" },
  } do
    local problem = judged(name)
    same({ name, problem.scope, problem.verdict, problem.status }, { name, expected[2], nil, 429 })
    assert(is_about(problem.retry_after, expected[1]), name .. " " .. problem.retry_after)
  end
end)

test("without a window that refuses Retry-After counts, and a lack of fast credits nobody waits for", function()
  local problem = judged "limit_retry_after"
  same({ problem.retry_after, problem.scope }, { 17, nil })
  problem = judged "limit_fast_mode"
  same({ problem.scope, problem.verdict }, { "request", "other" })
end)

test("what a subscription is not meant for comes back unchanged: nobody waits, nobody else is asked", function()
  for _, name in ipairs { "only_for_claude_code", "third_party_apps" } do
    local state = given({ login "a", login "b" }, { name })
    local client = messages()
    same({ client.status, client.sent }, { 400, wire.answer("claude/" .. name).text })
    same({ #state.calls, next(modules.store.keys "cool:") }, { 1, nil })
    given({ login "a", login "b" }, { name })
    same(json.decode(chat().sent).error.message, json.decode(client.sent).error.message)
  end
end)

test("revoked tokens and empty accounts hand over to the next one", function()
  for name, verdict in pairs { revoked = "unauthorized", no_credit = "payment_required" } do
    local state = given({ login "a", login "b" }, { name, FINE })
    same({ messages().status, #state.calls }, { 200, 2 })
    same({ judged(name).verdict, judged(name).scope }, { verdict, "credential" })
  end
end)

test("an overloaded API is tried elsewhere", function()
  local state = given({ login "a", login "b" }, { "overloaded_529", FINE })
  same({ messages().status, #state.calls }, { 200, 2 })
  given({ login "a" }, { "overloaded_529" })
  same({ messages().status, 529 }, { 529, 529 })
  given({ login "a" }, { "overloaded_529" })
  same(chat().status, 503)
end)

-- --- streams ----------------------------------------------------------------------------------------

test("a refusal before the answer moves on, also behind its start", function()
  for _, name in ipairs { "stream_refused_at_once", "stream_refused_after_start" } do
    local state = given({ login "a", login "b" }, { name, "stream" })
    local client = messages { stream = true }
    same({ client.status, #state.calls, client.sent }, { 200, 2, wire.answer("claude/stream").text })
    given({ login "a" }, { name })
    same(messages({ stream = true }).status, 529)
  end
end)

test("a refusal after that is passed on, and ends the stream", function()
  local state = given({ login "a", login "b" }, { "stream_refused_midway" })
  local client = messages { stream = true }
  same({ client.status, #state.calls }, { 200, 1 })
  local expected = wire.answer("claude/stream_refused_midway").text
  same(client.sent, expected)
end)

test("a whole answer is not made of a stream without its frame", function()
  for name, missing in pairs { stream_without_start = "message_start", stream_without_delta = "message_delta" } do
    given({ login "a" }, { name })
    local client = chat()
    same(client.status, 502)
    assert(client.sent:find("without " .. missing, 1, true), client.sent)
  end
end)

-- --- who is served ----------------------------------------------------------------------------------

test("logins can be kept for Claude Code alone", function()
  local call = { dialect = "anthropic", client = support.client("POST", "/", CODE) }
  local other = { dialect = "anthropic", client = support.client("POST", "/", { ["user-agent"] = "sdk/1" }) }
  local foreign = { dialect = "chat", client = support.client("POST", "/", CODE) }
  support.reset {}
  same(claude.admits(other, login "a"), true)
  support.reset { values = { ["claude-oauth-clients"] = "claude-code-only" } }
  same({ claude.admits(call, login "a"), claude.admits(other, key "a") }, { true, true })
  local reason = "kept for Claude Code by claude-oauth-clients"
  same({ claude.admits(other, login "a") }, { false, reason })
  same({ claude.admits(foreign, login "a") }, { false, reason })
  same({ claude.admits(other, key("a", nil, { is_oauth = true })) }, { false, reason })
end)
