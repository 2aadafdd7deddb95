--- Stand-ins for the C modules.  They are put into `modules` once; `reset` empties their state, so
--- that scripts loaded before keep working on the same tables.

local json = require "json"

local M = {}

local state

local store = {}
function store.get(key)
  local item = state.store[key]
  if not item or item.due and item.due <= state.now then return nil end
  return item.value, item.due and item.due - state.now or nil
end
function store.set(key, value, ttl)
  state.store[key] = value ~= nil and { value = value, due = ttl and state.now + ttl } or nil
end
function store.add(key, delta, ttl)
  local value, left = store.get(key)
  value = (value or 0) + (delta or 1)
  store.set(key, value, left or ttl)
  return value
end
function store.claim(key, value, ttl)
  if store.get(key) ~= nil then return false end
  store.set(key, value, ttl)
  return true
end
function store.keys(prefix)
  local keys = {}
  for key in pairs(state.store) do
    if key:sub(1, #prefix) == prefix then keys[#keys + 1] = key end
  end
  return keys
end

local version = 0
local credentials = {}
function credentials.list() return state.credentials end
function credentials.version() return version end
function credentials.redact(text)
  for _, secret in ipairs(state.secrets) do
    local plain = secret:gsub("%p", "%%%0")
    text = text:gsub(plain, "***")
  end
  return text
end
-- Every account has one, until it is gone: false, or no credential any more.
function credentials.stamp(id)
  if state.stamps[id] ~= nil then return state.stamps[id] or nil end
  for _, credential in ipairs(state.credentials) do
    if credential.id == id then return "stamp" end
  end
end

-- The keeper: answers come from `state.keeper`, a function of name and decoded argument that returns
-- a table, or false as long as there is no answer.
local keeper = {}
local KeeperCall = {}
KeeperCall.__index = KeeperCall
KeeperCall.__close = function() end
function keeper.start(name, argument)
  return setmetatable({ name = name, argument = modules.json.decode(argument) }, KeeperCall)
end
function KeeperCall:wait(seconds)
  local answer, problem = state.keeper(self.name, self.argument)
  if answer == false then state.now = state.now + (seconds or 0) end
  if answer then return modules.json.encode(answer) end
  return answer, problem
end
function keeper.ask(name, argument) return keeper.start(name, argument):wait() end
function keeper.post(name, argument) state.posted[#state.posted + 1] = { name, argument } end
function keeper.reply(answer, problem) state.replies[#state.replies + 1] = { answer, problem } end

local config = { values = {}, path = "" }
function config.local_password() return nil end
function config.local_key(candidate) return candidate == "local-key" end
function config.keys_required() return #state.keys > 0 end
function config.closed() return state.closed end
function config.client_key(candidate)
  for _, key in ipairs(state.keys) do
    if key == candidate then return "principal-" .. key end
  end
end

local timer = {}
function timer.sleep(seconds)
  state.slept[#state.slept + 1] = seconds
  state.now = state.now + seconds
end
function timer.now() return state.now end
function timer.wall() return 1800000000 + state.now end

local log = {}
for _, level in ipairs { "debug", "info", "warn", "error" } do
  log[level] = function(format, ...)
    state.log[#state.log + 1] = level .. " " .. string.format(format, ...)
  end
end
function log.mask() return "***" end

-- Upstream: answers come from `state.upstream`, one a call, or a function of the request.
local http = {}
local Response = {}
Response.__index = Response
Response.__close = function(self) self.closed = true end

function http.start(request)
  state.calls[#state.calls + 1] = request
  local answer = state.upstream
  if type(answer) == "table" then answer = table.remove(answer, 1) end
  if type(answer) == "function" then answer = answer(request) end
  assert(answer, "no answer is prepared for this call")
  local fields = { status = 0, at = 1 }
  for name, value in pairs(answer) do fields[name] = value end
  fields.answered = answer.status or 200
  fields.status = 0
  return setmetatable(fields, Response)
end

function Response:wait()
  if self.silent and self.silent > 0 then
    self.silent = self.silent - 1
    return false
  end
  if self.error then return nil, self.error end
  self.status = self.answered
  return true
end
function Response:headers() return self.fields or {} end
function Response:header(name) return self:headers()[name:lower()] end
function Response:body() return self.text or "" end
function Response:read()
  local text = self.text
  self.text = nil
  return text
end
function Response:next_event()
  local event = (self.events or {})[self.at]
  self.at = self.at + 1
  if event == nil then return "end" end
  if event == "IDLE" then return "idle" end
  if type(event) == "table" and event.data then return "event", event.name, event.data end
  if type(event) == "table" then return "broken", event end
  return "event", "", event
end
function Response:close() self.closed = true end

-- Sessions: `state.page` gives the messages that answer a call, {type, payload} each; "IDLE" is a
-- silence, an HttpError the end of the session.
local ws = {}
local SessionCall = {}
SessionCall.__index = SessionCall
SessionCall.__close = function(self) self.closed = true end

function ws.accept(client, provider, keyed)
  state.accepted[#state.accepted + 1] = { provider = provider, keyed = keyed }
  client.started, client.finished, client.status, client.sent = true, true, 101, ""
  return provider .. "-0123456789abcdef"
end

function ws.call(session, id, before, body, after)
  local request = json.decode(before .. json.encode(body) .. after)
  assert(request.id == id)
  request.session = session
  state.calls[#state.calls + 1] = request
  local answer = state.page
  if type(answer) == "function" then answer = answer(request) end
  local call = setmetatable({ messages = answer, at = 0 }, SessionCall)
  state.last_call = call
  return call
end

function SessionCall:next(seconds)
  assert(not self.closed, "the call is closed")
  self.at = self.at + 1
  local message = self.messages[self.at]
  if message == "IDLE" or message == nil then
    state.now = state.now + assert(seconds, "waits for ever")
    return nil
  end
  if message.code then return nil, message end
  return message[1]
end

function SessionCall:get(name)
  local value = (self.messages[self.at][2] or {})[name]
  if value == nil or type(value) == "string" then return value end
  return json.encode(value)
end
function SessionCall:close() self.closed = true end

local Client = {}
Client.__index = Client
function Client:header(name) return self.request_headers[name:lower()] end
function Client:headers()
  local list = {}
  for name, value in pairs(self.request_headers) do list[#list + 1] = { name, value } end
  return list
end
function Client:param(name)
  return ("&" .. self.query):match("&" .. name .. "=([^&]*)")
end
function Client:body()
  if self.body_error then return nil, self.body_error end
  return self.request_body
end
function Client:set_header(name, value) self.sent_headers[name:lower()] = value end
local function keep(self, headers)
  for name, value in pairs(headers or {}) do self.sent_headers[name:lower()] = value end
end
function Client:respond(status, headers, body)
  assert(not self.started, "answered twice")
  keep(self, headers)
  self.started, self.finished, self.status, self.sent = true, true, status, body or ""
end
function Client:start(status, headers)
  assert(not self.started, "started twice")
  keep(self, headers)
  self.started, self.status, self.sent = true, status, ""
end
function Client:write(bytes)
  assert(self.started and not self.finished, "written outside of a response")
  self.sent = self.sent .. bytes
end
function Client:finish()
  assert(self.started and not self.finished)
  self.finished = true
end
function Client:abort() self.aborted = true end
function Client:note(facts)
  for name, value in pairs(facts) do self.facts[name] = value end
end
function Client:trace(step)
  self.steps[#self.steps + 1] = (require "json").decode(step)
end
function Client:relay(response, rules)
  return (require "lib.relay").new(self, response, rules)
end

--- Makes a client request.
--- @param method string
--- @param target string  path and query
--- @param headers table<string, string>?
--- @param body string?
function M.client(method, target, headers, body)
  local path, query = target:match("^([^?]*)%??(.*)$")
  local fields = { host = "localhost:8317" }
  for name, value in pairs(headers or {}) do fields[name:lower()] = value or nil end
  return setmetatable({
    id = "0badcafe", method = method, path = path, query = query, peer = "127.0.0.1",
    is_local = true, started = false, status = 0, request_headers = fields,
    request_body = body or "", sent_headers = {}, facts = {}, steps = {}, trying = 0.25,
  }, Client)
end

--- Sends a request through the pipeline.
function M.ask(method, target, headers, body)
  local client = M.client(method, target, headers, body)
  require("main").handle(client)
  return client
end

--- A chat request with a body made of its arguments.
function M.chat(members, headers)
  return M.ask("POST", "/v1/chat/completions", headers, members)
end

--- A credential of an openai-compatible entry that offers `models` (alias → name upstream).
function M.account(id, models, fields)
  local list = {}
  for alias, name in pairs(models) do list[#list + 1] = { name = name, alias = alias } end
  table.sort(list, function(a, b) return a.alias < b.alias end)
  local account = {
    id = id, provider = "openai_compatibility", name = "acme", kind = "api_key", label = "sk-..." .. id,
    base_url = "https://api.acme.example/v1", entry = { models = list },
  }
  for name, value in pairs(fields or {}) do account[name] = value end
  account.entry.models = account.entry.models or list
  return account
end

--- Begins a test: `values` of the configuration, `credentials`, client `keys`, `upstream` answers.
function M.reset(given)
  given = given or {}
  version = version + 1
  state = {
    secrets = given.secrets or {}, store = {}, now = 1000, slept = {}, log = {}, calls = {},
    stamps = given.stamps or {}, keeper = given.keeper, posted = {}, replies = {},
    credentials = given.credentials or {}, keys = given.keys or {},
    closed = given.closed, upstream = given.upstream or {}, page = given.page, accepted = {},
  }
  for name in pairs(config.values) do config.values[name] = nil end
  config.values.streaming = { ["keepalive-seconds"] = 15 }
  config.values.timeouts = { connect = 30, ["first-byte"] = 600, idle = 600 }
  for name, value in pairs(given.values or {}) do config.values[name] = value end
  return state
end

--- What the test that runs has set up and caused.
function M.state() return state end

for name, module in pairs {
  store = store, credentials = credentials, keeper = keeper, config = config, timer = timer, log = log,
  http = http, ws = ws, task = { version = "0.0", id = function() return "0badcafe" end },
} do
  modules[name] = module
end
M.reset()

return M
