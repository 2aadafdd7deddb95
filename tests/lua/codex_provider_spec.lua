--- Codex: what goes up for logins and keys, and what its refusals do.  Answers are recorded ones.

local support = require "tests.support"
local json = require "json"
local wire = require "tests.wire"

local BACKEND = "https://chatgpt.com/backend-api/codex"
local ACCOUNT = "00000000-1111-2222-3333-444444444444"

local function login(id, plan)
  return {
    id = id, provider = "codex", name = "codex", kind = "oauth", label = id .. "@example.com",
    base_url = BACKEND, entry = {}, facts = { account_id = ACCOUNT, plan = plan },
  }
end

local function key(id)
  return {
    id = id, provider = "codex", name = "codex", kind = "api_key", label = "sk-..." .. id,
    base_url = "https://api.openai.com/v1", entry = {},
  }
end

local function given(credentials, answers)
  local upstream = {}
  for i, name in ipairs(answers) do
    upstream[i] = type(name) == "string" and wire.answer("codex/" .. name) or name
  end
  return support.reset { credentials = credentials, upstream = upstream }
end

local function responses(members, headers, path)
  local body = { model = "gpt-5.5", input = "hi" }
  for name, value in pairs(members or {}) do body[name] = value end
  return support.ask("POST", path or "/v1/responses", headers, json.encode(body))
end

local function chat(members)
  local body = { model = "gpt-5.5", messages = json.array { { role = "user", content = "hi" } } }
  for name, value in pairs(members or {}) do body[name] = value end
  return support.chat(json.encode(body))
end

local GOOD = "stream_empty_output"

local CLI = {
  originator = "codex_cli_rs", ["user-agent"] = "codex_cli_rs/0.169.0 (Debian)", version = "0.169.0",
  ["session-id"] = "s-1", ["thread-id"] = "t-1", ["conversation_id"] = "c-1", ["x-client-request-id"] = "q-1",
  ["x-codex-beta-features"] = "a", ["x-codex-turn-metadata"] = "{}", ["x-codex-turn-state"] = "turn-6",
  ["x-codex-window-id"] = "w", ["x-openai-subagent"] = "review", ["openai-beta"] = "responses=experimental",
  authorization = "Bearer own", ["chatgpt-account-id"] = "own", cookie = "c=1",
}

test("a login serves Codex CLI with its own headers, our token and our account", function()
  local state = given({ login "a" }, { GOOD })
  local client = responses({ stream = true }, CLI)
  same({ client.status, client.sent_headers["x-codex-turn-state"] }, { 200, "turn-7" })
  local call = state.calls[1]
  same({ call.url, call.credential }, { BACKEND .. "/responses", "a" })
  local expected = { ["chatgpt-account-id"] = ACCOUNT, authorization = "Bearer {secret}",
    ["content-type"] = "application/json", accept = "text/event-stream" }
  for name, value in pairs(CLI) do expected[name] = expected[name] or value end
  expected.cookie = nil
  same(call.headers, expected)
end)

test("other clients are presented as what they are", function()
  local state = given({ login "a" }, { GOOD, GOOD })
  same(chat({ user = "u" }).status, 200)
  same(state.calls[1].headers, {
    ["chatgpt-account-id"] = ACCOUNT, authorization = "Bearer {secret}", originator = "cli-proxy-api",
    ["user-agent"] = "cli-proxy-api/0.0", ["content-type"] = "application/json",
    accept = "text/event-stream", session_id = json.decode(state.calls[1].body).prompt_cache_key,
  })
  responses({ prompt_cache_key = "cache-1" })
  same(state.calls[2].headers.session_id, "cache-1")
  state = given({ login "a" }, { GOOD })
  responses()
  same(state.calls[1].headers.session_id, nil)
end)

test("a key is sent without account and originator", function()
  local state = given({ key "a" }, { GOOD })
  responses()
  local call = state.calls[1]
  same({ call.url, call.headers.originator, call.headers["chatgpt-account-id"] },
    { "https://api.openai.com/v1/responses", nil, nil })
end)

test("the backend gets what it takes, the platform what the client said", function()
  local state = given({ login "a" }, { GOOD })
  responses { temperature = 1, service_tier = "auto", user = "u", max_output_tokens = 9 }
  same(json.decode(state.calls[1].body), json.decode [[{"model":"gpt-5.5","stream":true,"store":false,
    "instructions":"","include":["reasoning.encrypted_content"],
    "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]}]])
  state = given({ key "a" }, { GOOD })
  responses { temperature = 1, service_tier = "auto", user = "u", max_output_tokens = 9 }
  local body = json.decode(state.calls[1].body)
  same({ body.temperature, body.service_tier, body.user, body.max_output_tokens, body.store },
    { 1, "auto", "u", 9, false })
end)

test("a light request of Codex CLI never calls in parallel", function()
  local state = given({ login "a" }, { GOOD })
  responses({ tools = json.array { { type = "function", name = "f" } }, parallel_tool_calls = true },
    { ["x-openai-internal-codex-responses-lite"] = "true" })
  same(json.decode(state.calls[1].body).parallel_tool_calls, false)
end)

test("names of efforts set them, for every client", function()
  local state = given({ login "a" }, { GOOD, GOOD })
  responses { model = "gpt-5-codex-high", reasoning = { effort = "low", summary = "auto" } }
  chat { model = "gpt-5-minimal" }
  local first, second = json.decode(state.calls[1].body), json.decode(state.calls[2].body)
  same({ first.model, first.reasoning, second.model, second.reasoning.effort },
    { "gpt-5-codex", { effort = "high", summary = "auto" }, "gpt-5", "minimal" })
end)

local codex = require "providers.codex"

test("a login has the models of its plan", function()
  local function offered(plan)
    local found, contexts = {}, {}
    for _, model in ipairs(codex.models(login("a", plan))) do
      found[model.id], contexts[model.id] = true, model.context_length
    end
    return found, contexts
  end
  local function has(plan)
    local found = offered(plan)
    return { found["gpt-5"], found["gpt-5-high"], found["gpt-5-codex-low"], found["codex-auto-review"],
      found["gpt-5.5"], found["gpt-5.6-luna"], found["gpt-5.4"] or false, found["gpt-5.6-sol"] or false,
      found["gpt-5.3-codex-spark"] or false }
  end
  local function row(...) return { true, true, true, true, true, true, ... } end
  same(has "free", row(false, false, false))
  same(has "team", row(true, true, false))
  same(has "Business", row(true, true, false))
  same(has "plus", row(true, true, true))
  same(has "pro", row(true, true, true))
  same(has "enterprise", row(true, true, true))
  same(has(nil), row(true, true, true))
  local _, contexts = offered "plus"
  local _, roomy = offered "pro"
  same({ contexts["gpt-5.6-sol"], roomy["gpt-5.6-sol"], roomy["gpt-5.5"] }, { 372000, 921000, 272000 })
end)

-- --- refusals ---------------------------------------------------------------------------------------

local function judged(name)
  local answer = wire.answer("codex/" .. name)
  local response = { header = function(_, field) return answer.fields[field] end }
  return codex.classify(answer.status, answer.text, response)
end

test("a plan's limit lasts as long as it says and covers the account", function()
  local problem = judged "limit_resets_at"
  same(problem.scope, "credential")
  assert(math.abs(problem.retry_after - 5400) <= 2)
  same({ judged("limit_resets_in").retry_after, judged("limit_resets_in").scope }, { 12345, "credential" })
  given({ login "a" }, { "limit_resets_in" })
  local client = responses({ stream = true }, CLI)
  same({ client.status, client.sent_headers["retry-after"] }, { 429, "12345" })
  same(json.decode(client.sent).error.resets_in_seconds, 12345)
end)

test("other limits are the model's", function()
  same({ judged("limit_of_tokens").retry_after, judged("limit_of_tokens").scope }, { 1.898, nil })
  same(judged("limit_in_milliseconds").retry_after, 2.5)
end)

test("what a plan or a purse does not cover is not asked again soon", function()
  for _, name in ipairs { "no_quota", "plan_without_codex" } do
    same({ judged(name).verdict, judged(name).scope }, { "payment_required", "credential" })
  end
  assert(judged("plan_without_codex").message:find("does not include Codex", 1, true))
end)

test("a web page is the network's word, not the API's", function()
  local problem = judged "edge_403"
  same({ problem.status, problem.code }, { 403, "edge_refusal" })
  same(problem.message, "refused by the network in front of the API, not by the API itself: "
    .. "the upstream answered 403 with a web page: Just a moment...")
end)

test("plain details are read", function()
  same(judged("detail_instructions").message, "Instructions are required")
  local state = given({ login "a", login "b" }, { "detail_model", GOOD })
  same({ responses().status, #state.calls }, { 200, 2 })
  state = given({ login "a", login "b" }, { "detail_instructions" })
  same({ responses().status, #state.calls }, { 400, 1 })
end)

test("items that another account encrypted are left out of a second try", function()
  local input = json.array {
    { type = "message", role = "user", content = "q" },
    { type = "reasoning", id = "rs_1", summary = json.array {}, encrypted_content = "gAAAAABother" },
    { type = "message", role = "user", content = "go on" },
  }
  local state = given({ login "a" }, { "encrypted_content", GOOD })
  same(responses({ input = input }).status, 200)
  same({ #json.decode(state.calls[1].body).input, #json.decode(state.calls[2].body).input }, { 3, 2 })
  state = given({ login "a" }, { "encrypted_content", "encrypted_content" })
  local client = responses { input = input }
  same({ client.status, #state.calls, json.decode(client.sent).error.code },
    { 400, 2, "invalid_encrypted_content" })
end)

test("they are left out as well where an earlier answer is referred to", function()
  local function answer(id, items)
    return { fields = { ["content-type"] = "text/event-stream" }, events = {
      '{"type":"response.completed","response":{"id":"' .. id .. '","model":"gpt-5.5","output":['
        .. items .. '],"usage":{}}}' } }
  end
  local state = given({ login "a" }, {
    answer("resp_1", '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAAABx"}'),
    "encrypted_content", answer("resp_2", "") })
  responses()
  same(responses({ previous_response_id = "resp_1", input = "more" }).status, 200)
  assert(state.calls[2].body:find("gAAAAABx", 1, true))
  same(state.calls[3].body:find("gAAAAABx", 1, true), nil)
end)

-- --- streams ----------------------------------------------------------------------------------------

test("an empty list of items in the last event is filled", function()
  given({ login "a" }, { GOOD, GOOD })
  same(json.decode(responses().sent).output[1].content[1].text, "Hello there")
  local client = responses { stream = true }
  local last = client.sent:match 'event: response%.completed\ndata: ([^\n]*)'
  same(json.decode(last).response.output[1].content[1].text, "Hello there")
end)

test("refusals behind a handshake go to another account, with their own statuses", function()
  for name, expected in pairs {
    stream_limit_behind_handshake = { 429, "usage_limit_reached" },
    stream_error_flat = { 503, "server_is_overloaded" },
    stream_error_status = { 401, "upstream_unauthorized" },
    stream_at_capacity = { 429, "rate_limit_exceeded" },
    stream_unknown_error = { 502, "upstream_error" },
  } do
    for _, ask in ipairs { responses, chat } do
      for _, stream in ipairs { true, false } do
        local state = given({ login "a", login "b" }, { name, GOOD })
        same({ name, ask({ stream = stream }).status, #state.calls }, { name, 200, 2 })
        given({ login "a" }, { name })
        local client = ask { stream = stream }
        local code = json.decode(client.sent).error.code
        same({ name, client.status }, { name, expected[1] })
        same({ name, code }, { name, expected[2] })
      end
    end
  end
end)

test("a limit behind a handshake covers the account until it ends", function()
  local errors = require "lib.errors"
  local answer = wire.answer "codex/stream_limit_behind_handshake"
  local dialects = require "lib.dialects"
  local event = answer.events[#answer.events]
  local problem = codex.judge(dialects.problem("responses", event.name, event.data))
  same({ problem.scope, problem.status, errors.status(problem, "chat") }, { "credential", 429, 429 })
  assert(math.abs(problem.retry_after - 5400) <= 2)
end)

test("what is the request's fault is told at once", function()
  for name, code in pairs { stream_too_long = "context_length_exceeded", stream_cyber_policy = "cyber_policy" } do
    for _, ask in ipairs { responses, chat } do
      local state = given({ login "a", login "b" }, { name })
      local client = ask { stream = true }
      same({ name, client.status, #state.calls, json.decode(client.sent).error.code }, { name, 400, 1, code })
      same(modules.store.keys "cool:", {})
    end
  end
end)

test("a stream without its last event is cut, in words that Codex knows", function()
  local words = "stream error: stream disconnected before completion: stream closed before response.completed"
  given({ login "a" }, { "stream_cut", "stream_cut", "stream_cut" })
  local client = responses()
  same({ client.status, json.decode(client.sent).error.message }, { 502, words })
  assert(responses({ stream = true }).sent:find(words, 1, true))
  assert(chat({ stream = true }).sent:find(words, 1, true))
end)

test("compacting is offered by logins as well", function()
  local state = given({ login "a" }, { { text = '{"id":"c","output":[]}' } })
  local client = responses({ input = json.array {}, metadata = {} }, CLI, "/v1/responses/compact")
  same({ client.status, client.sent }, { 200, '{"id":"c","output":[]}' })
  local call = state.calls[1]
  same({ call.url, call.headers.accept, call.headers["chatgpt-account-id"], json.keys(json.decode(call.body)) },
    { BACKEND .. "/responses/compact", "application/json", ACCOUNT, { "input", "instructions", "model" } })
end)
