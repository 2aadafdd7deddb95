--- Conversations stay with one account.

local accounts = require "tests.accounts_support"
local json = require "json"
local sessions = require "lib.sessions"
local support = require "tests.support"

local account, failure, given, OK = accounts.account, accounts.failure, accounts.given, accounts.OK

local function turn(session, model, headers)
  return accounts.chat(model, headers or { ["x-session-id"] = session })
end

local function last(state)
  return state.calls[#state.calls].credential
end

local function who(state, session, model)
  turn(session, model)
  return last(state)
end

-- --- who asks ------------------------------------------------------------------------------------

local function session_of(base, body, headers)
  return sessions.of { base = base, body = body, client = support.client("POST", "/", headers) }
end

test("a session is named by the client's headers", function()
  for _, name in ipairs { "X-Claude-Code-Session-Id", "Session-Id", "Session_id", "X-Session-ID",
    "X-Session-Affinity", "X-Client-Request-Id" } do
    same({ name, session_of("chat", "{}", { [name] = "s1" }) }, { name, "s1" })
  end
  same(session_of("chat", "{}", { ["session-id"] = "s1", ["x-session-id"] = "s2",
    ["x-client-request-id"] = "r" }), "s1")
  same(session_of("chat", "{}", { ["session-id"] = " " }), nil)
end)

test("Claude Code puts its session into the user's id, in two forms", function()
  local old = '{"metadata":{"user_id":"user_0a_account__session_7f0c-11"}}'
  local new = '{"metadata":{"user_id":"{\\"device_id\\":\\"d\\",\\"session_id\\":\\"7f0c\\"}"}}'
  same(session_of("anthropic", old), "7f0c-11")
  same(session_of("anthropic", new), "7f0c")
  same(session_of("anthropic", new, { ["x-client-request-id"] = "every-time-another" }), "7f0c")
  same(session_of("anthropic", new, { ["x-claude-code-session-id"] = "h" }), "h")
  same(session_of("anthropic", '{"metadata":{"user_id":"somebody"}}'), nil)
  same(session_of("anthropic", '{"metadata":null}'), nil)
end)

test("members of the body name a session, before an id that may be the request's", function()
  same(session_of("responses", '{"prompt_cache_key":"k","input":"x"}'), "k")
  same(session_of("responses", '{"prompt_cache_key":"k"}', { ["x-client-request-id"] = "r" }), "k")
  same(session_of("responses", '{"conversation":{"id":"conv_1"}}'), "conv_1")
  same(session_of("responses", '{"conversation":"conv_2"}'), "conv_2")
  same(session_of("gemini", '{"session_id":"g","contents":[]}'), "g")
  same(session_of("chat", '{"session_id":7}'), "7")
  same(session_of("chat", '{"session_id":{"a":1},"prompt_cache_key":""}'), nil)
end)

test("Gemini CLI's session is in the wrapped request", function()
  local state = given { "a", "b" }
  state.upstream = function() return { text = '{"id":"1","choices":[{"message":{"content":"x"}}]}' } end
  local function ask(session)
    support.ask("POST", "/v1internal:generateContent", {}, '{"model":"m","request":{"session_id":"'
      .. session .. '","contents":[{"role":"user","parts":[{"text":"x"}]}]}}')
    return last(state)
  end
  same({ ask "1", ask "2", ask "1", ask "2" }, { "a", "b", "a", "b" })
end)

test("what is too long for a key or odd is hashed", function()
  local long = session_of("chat", "{}", { ["session-id"] = ("x"):rep(5000) })
  same(#long, 32)
  same(session_of("chat", "{}", { ["session-id"] = ("x"):rep(4999) }) ~= long, true)
end)

local LONG = ("You are a coding agent. "):rep(300)

local function quoted(text) return json.encode(text) end

-- One conversation in each dialect: its first turn, a later one, and another conversation.
local conversations = {
  chat = function(question, more)
    return '{"messages":[{"role":"system","content":' .. quoted(LONG) .. '},{"role":"user","content":'
      .. question .. "}" .. (more and ',{"role":"assistant","content":"a"},{"role":"user","content":"b"}'
      or "") .. "]}"
  end,
  anthropic = function(question, more)
    return '{"messages":[{"role":"user","content":' .. question .. "}"
      .. (more and ',{"role":"assistant","content":"a"},{"role":"user","content":"b"}' or "")
      .. '],"system":[{"type":"text","text":' .. quoted(LONG)
      .. (more and ',"cache_control":{"type":"ephemeral"}' or "") .. "}]}"
  end,
  responses = function(question, more)
    return '{"instructions":' .. quoted(LONG) .. ',"input":[{"role":"user","content":' .. question .. "}"
      .. (more and ',{"role":"assistant","content":"a"}' or "") .. "]}"
  end,
  gemini = function(question, more)
    return '{"contents":[{"role":"user","parts":' .. (question:find("^%[") and question
      or '[{"text":' .. question .. "}]") .. "}" .. (more and ',{"role":"model","parts":[{"text":"a"}]}'
      or "") .. '],"systemInstruction":{"parts":[{"text":' .. quoted(LONG) .. "}]}}"
  end,
}

test("a conversation without a name is known by its beginning, while it grows", function()
  for dialect, make in pairs(conversations) do
    local one = session_of(dialect, make('"What is this?"'))
    same({ dialect, one ~= nil }, { dialect, true })
    same(session_of(dialect, make('"What is this?"', true)), one)
    -- Marks and parts do not matter, the text does.
    same(session_of(dialect,
      make('[{"type":"text","text":"What is this?","cache_control":{"type":"ephemeral"}}]', true)), one)
    same(session_of(dialect, make('"What is that?"')) ~= one, true)
  end
  local again = '{"input":"What is this?","instructions":' .. quoted(LONG) .. "}"
  same(session_of("responses", again), session_of("responses", conversations.responses '"What is this?"'))
end)

test("prompts too short to be cached are no conversation", function()
  same(session_of("chat", '{"messages":[{"role":"user","content":"Hello"}]}'), nil)
  same(session_of("chat", '{"messages":[],"x":"' .. LONG .. '"}'), nil)
  same(session_of("gemini", '{"contents":"odd","x":"' .. LONG .. '"}'), nil)
  same(session_of("responses", '{"input":[[]],"x":"' .. LONG .. '"}'), nil)
end)

-- --- who serves ----------------------------------------------------------------------------------

test("a session stays, new ones take turns", function()
  local state = given { "a", "b", "c" }
  for _ = 1, 3 do
    same({ who(state, "1"), who(state, "2"), who(state, "3"), who(state, "4") }, { "a", "b", "c", "a" })
  end
end)

test("a session stays with its account for all its models", function()
  local state = given { "a", "b" }
  same({ who(state, "1"), who(state, "2"), who(state, "2", "n"), who(state, "1", "n") },
    { "a", "b", "b", "a" })
end)

test("models of different providers do not take each other's account away", function()
  local state = given { "a", "b", account("x", { models = { { name = "o-1", alias = "o" } } }),
    account("y", { models = { { name = "o-1", alias = "o" } } }) }
  who(state, "0")
  local first, other = who(state, "1"), who(state, "1", "o")
  for _ = 1, 3 do
    same({ who(state, "1"), who(state, "1", "o") }, { first, other })
  end
end)

test("a session moves when its account fails, and stays with the new one", function()
  local sick = true
  local state = given({ "a", "b", "c" }, function(request)
    return request.credential == "a" and sick and failure(429, { ["retry-after"] = "30" })
      or { text = OK }
  end)
  same({ who(state, "1"), #state.calls }, { "b", 2 })
  same({ who(state, "1"), #state.calls }, { "b", 3 })
  sick = false
  state.now = state.now + 31
  same(who(state, "1"), "b")
end)

test("sessions of a dead account spread over the others", function()
  local sick = false
  local state = given({ "a", "b", "c" }, function(request)
    return request.credential == "a" and sick and failure(401) or { text = OK }
  end)
  for i = 1, 30 do who(state, "s" .. i) end
  sick = true
  local counts = {}
  for i = 1, 30 do
    local id = who(state, "s" .. i)
    counts[id] = (counts[id] or 0) + 1
  end
  same({ counts.a, counts.b >= 14, counts.c >= 14 }, { nil, true, true })
end)

test("a removed or disabled account loses its sessions", function()
  local state = given { "a", "b" }
  same(who(state, "1"), "a")
  local kept = state.store
  for _, list in ipairs { { account("a", { disabled = true }), "b", "c" }, { "b", "c" },
    { "a", "b", "c" } } do
    state = given(list)
    state.store = kept
    same(who(state, "1"), "c")
  end
end)

test("the life of a session is prolonged by its requests", function()
  local state = given({ "a", "b" }, nil, { routing = { ["session-affinity-ttl"] = "1m40s" } })
  same(who(state, "1"), "a")
  for _ = 1, 5 do
    state.now = state.now + 60
    same(who(state, "1"), "a")
  end
  state.now = state.now + 101
  same(who(state, "1"), "b")
end)

test("a higher priority counts more than a conversation", function()
  local sick = true
  local state = given({ account("a", { priority = 1 }), "b" }, function(request)
    return request.credential == "a" and sick and failure(429, { ["retry-after"] = "30" })
      or { text = OK }
  end)
  same(who(state, "1"), "b")
  sick = false
  state.now = state.now + 31
  same(who(state, "1"), "a")
end)

test("sessions of different clients are different ones", function()
  local state = given { "a", "b" }
  state.keys = { "k1", "k2" }
  local function ask(key)
    turn("1", "m", { ["x-session-id"] = "1", authorization = "Bearer " .. key })
    return last(state)
  end
  same({ ask "k1", ask "k2", ask "k1", ask "k2" }, { "a", "b", "a", "b" })
end)

test("session-affinity: false lets everybody take turns", function()
  local state = given({ "a", "b" }, nil, { routing = { ["session-affinity"] = false } })
  same({ who(state, "1"), who(state, "1") }, { "a", "b" })
end)

test("with one account nobody looks who asks", function()
  local state = given { "a" }
  who(state, "1")
  same(modules.store.keys "pin:", {})
end)

test("of two first requests of a session the faster one decides", function()
  local state = given { "a", "b" }
  modules.store.add "turn:acme:m"
  -- Between looking and claiming, another worker has pinned the session to a.
  local get = modules.store.get
  modules.store.get = function(key)
    local value, left = get(key)
    if key == "pin::1" and not value then modules.store.set("pin::1", "a", 60) end
    return value, left
  end
  local fine, problem = pcall(turn, "1")
  modules.store.get = get
  same({ fine, problem and nil }, { true, nil })
  same(last(state), "a")
end)

test("a pool of one account keeps a session on one of its models", function()
  local pool = account("a", { models = { { name = "m-1", alias = "m" }, { name = "m-2", alias = "m" } } })
  local state = given { pool }
  local function model_of(session)
    turn(session)
    return json.decode(state.calls[#state.calls].body).model
  end
  same({ model_of "1", model_of "2", model_of "1", model_of "2" }, { "m-1", "m-2", "m-1", "m-2" })
end)

test("status tells whose conversation it is", function()
  given { "a", "b" }
  local client = turn("1")
  local selector = require "core.selector"
  local resolution = require("core.router").resolve "m"
  local call = { client = client, base = "chat", body = "{}" }
  local found = {}
  for i, candidate in ipairs(resolution.groups[1].candidates) do
    found[i] = selector.status(candidate, call, resolution).session
  end
  same(found, { true, false })
end)

test("of a content of very many parts the first ones name the conversation", function()
  local function body(last)
    return '{"messages":[{"role":"user","content":[' .. ("{},"):rep(3000) .. '{"text":"' .. last .. '"}]}]}'
  end
  same(session_of("chat", body "a"), session_of("chat", body "b"))
end)
