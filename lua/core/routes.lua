--- What the proxy answers: method, path, dialect, who may ask, and what serves it.

local answers = require "core.answers"
local completions = require "core.completions"
local counting = require "core.counting"
local errors = require "lib.errors"
local exchange = require "core.exchange"
local listing = require "core.listing"
local sessions = require "core.sessions"

local byte, find, match, sub = string.byte, string.find, string.match, string.sub
local SLASH = byte("/")

local M = {}

-- Nearly no worker ever serves one.
local function landing(channel)
  return function(client) return require("core.landing").page(channel)(client) end
end

-- Seldom asked for, so loaded then.
local function local_page(name)
  return function(...) return require("core.local_pages")[name](...) end
end

-- Only Gemini CLI with a Google account asks for these.
local function code_assist(name)
  return function(...) return require("core.code_assist")[name](...) end
end

local function generate_or_count(call)
  if call.operation == "count" then return counting.serve(call) end
  return exchange.serve(call)
end

-- `answer` serves without a model, `serve` gets a Call.  A path that ends in "*" takes the rest of
-- the path as its argument.  `auth`: "key" (client key, or the keyless rules), "session" (the same,
-- without a key where `ws-auth` is off), "local", "none".
-- A dialect "models" is told by the client's headers.
local table_of_routes = {
  { "GET", "/", dialect = "chat", auth = "none", answer = answers.root },
  { "GET", "/healthz", dialect = "chat", auth = "none", answer = answers.health },
  { "GET", "/anthropic/callback", dialect = "chat", auth = "none", answer = landing "anthropic" },
  { "GET", "/codex/callback", dialect = "chat", auth = "none", answer = landing "codex" },
  { "GET", "/google/callback", dialect = "chat", auth = "none", answer = landing "google" },
  { "GET", "/iflow/callback", dialect = "chat", auth = "none", answer = landing "iflow" },
  { "GET", "/keep-alive", dialect = "management", auth = "none", answer = answers.keep_alive },
  { "GET", "/v0/local/explain", dialect = "chat", auth = "none", answer = local_page("explain") },
  { "GET", "/v0/local/trace", dialect = "chat", auth = "none", answer = local_page("trace") },
  { "GET", "/v1/models", dialect = "models", auth = "key", answer = listing.list },
  { "GET", "/v1/models/*", dialect = "models", auth = "key", answer = listing.one },
  { "GET", "/v1/ws", dialect = "chat", auth = "session", answer = sessions.accept },
  { "GET", "/v1beta/models", dialect = "gemini", auth = "key", answer = listing.list },
  { "GET", "/v1beta/models/*", dialect = "gemini", auth = "key", answer = listing.one },
  { "POST", "/v1/chat/completions", dialect = "chat", auth = "key", serve = exchange.serve },
  { "POST", "/v1/completions", dialect = "completions", auth = "key", serve = completions.serve },
  { "POST", "/v1/responses", dialect = "responses", auth = "key", serve = exchange.serve },
  { "POST", "/v1/responses/input_tokens", dialect = "responses", auth = "key", operation = "count",
    serve = counting.serve },
  { "POST", "/v1/responses/compact", dialect = "responses", auth = "key",
    serve = exchange.compact },
  { "GET", "/v1/responses/*", dialect = "responses", auth = "key", answer = answers.stored },
  { "DELETE", "/v1/responses/*", dialect = "responses", auth = "key", answer = answers.stored },
  { "POST", "/v1/messages", dialect = "anthropic", auth = "key", serve = exchange.serve },
  { "POST", "/v1/messages/count_tokens", dialect = "anthropic", auth = "key", operation = "count",
    serve = counting.serve },
  { "POST", "/v1beta/models/*", dialect = "gemini", auth = "key", serve = generate_or_count },
  { "POST", "/v1/models/*", dialect = "gemini", auth = "key", serve = generate_or_count },
  { "POST", "/v1internal:generateContent", dialect = "gemini_cli", auth = "local",
    serve = exchange.serve },
  { "POST", "/v1internal:streamGenerateContent", dialect = "gemini_cli", auth = "local",
    serve = exchange.serve },
  { "POST", "/v1internal:countTokens", dialect = "gemini_cli", auth = "local",
    answer = code_assist "count" },
  { "GET", "/v1internal:*", dialect = "gemini_cli", auth = "local", answer = code_assist "relay" },
  { "POST", "/v1internal:*", dialect = "gemini_cli", auth = "local", answer = code_assist "relay" },
  -- Long-running operations are asked for by their names.
  { "GET", "/v1internal/*", dialect = "gemini_cli", auth = "local", answer = code_assist "relay" },
  { "POST", "/v1internal/*", dialect = "gemini_cli", auth = "local", answer = code_assist "relay" },
}

-- Per path: { allow = "GET, HEAD, OPTIONS", GET = route, HEAD = route }.
local exact, patterns = {}, {}

local function add(route)
  local method, path = route[1], route[2]
  local prefix = match(path, "^(.*)%*$")
  local entry
  if prefix then
    for _, pattern in ipairs(patterns) do
      if pattern.prefix == prefix then entry = pattern end
    end
    if not entry then
      entry = { prefix = prefix }
      patterns[#patterns + 1] = entry
    end
  else
    entry = exact[path] or {}
    exact[path] = entry
  end
  entry[method] = route
  if method == "GET" then entry.HEAD = route end
  local names = {}
  for _, name in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" } do
    if entry[name] then names[#names + 1] = name end
  end
  names[#names + 1] = "OPTIONS"
  entry.allow = table.concat(names, ", ")
end

for _, route in ipairs(table_of_routes) do add(route) end
-- The longest prefix wins.
table.sort(patterns, function(a, b) return #a.prefix > #b.prefix end)

local function prefixed(path)
  for _, pattern in ipairs(patterns) do
    local prefix = pattern.prefix
    if #path > #prefix and sub(path, 1, #prefix) == prefix then
      return pattern, sub(path, #prefix + 1)
    end
  end
end

--- The dialect that answers of a path are in, known or not.
--- @param client Client
--- @return string
function M.dialect_of(client)
  local path = client.path
  if path == "/v1/models" or path == "/v1/models/" then return listing.dialect(client) end
  if find(path, "/v1/messages", 1, true) == 1 then return "anthropic" end
  if find(path, "/v1/responses", 1, true) == 1 then return "responses" end
  if find(path, "/v1beta", 1, true) == 1 then return "gemini" end
  if find(path, "/v1internal", 1, true) == 1 then return "gemini_cli" end
  if find(path, "/v1/models/", 1, true) == 1 then
    if client.method == "POST" and find(path, ":%a+/?$") then return "gemini" end
    return listing.dialect(client)
  end
  if find(path, "/v0/management", 1, true) == 1 then return "management" end
  return "chat"
end

--- The dialect of a found route for this client.
--- @param route table
--- @param client Client
--- @return string
function M.dialect(route, client)
  local dialect = route.dialect
  if dialect == "models" then return listing.dialect(client) end
  return dialect or M.dialect_of(client)
end

local preflight = { none = { auth = "none", answer = answers.preflight } }
preflight.key = { auth = "preflight", answer = answers.preflight }
preflight.session = { auth = "session", answer = answers.preflight }
local nowhere = { auth = "unknown" }

--- Finds what serves a request.
--- @param client Client
--- @return table route
--- @return string? argument  the rest of the path, percent-encoded
--- @return Problem? problem  the path is unknown, or its methods are others
function M.find(client)
  local path = client.path
  local entry, argument = exact[path], nil
  if not entry then
    if #path > 1 and byte(path, #path) == SLASH then
      path = sub(path, 1, -2)
      entry = exact[path]
    end
    if not entry then entry, argument = prefixed(path) end
  end
  local method = client.method
  if method == "OPTIONS" then
    local some = entry and (entry.GET or entry.POST)
    return some and preflight[some.auth] or preflight.key
  end
  if not entry then
    return nowhere, nil, errors.new("unknown_route", path .. " not found.")
  end
  local route = entry[method]
  if route then return route, argument end
  -- The known methods' rules decide who learns of them.
  local some = entry.GET or entry.POST
  local problem = errors.new("wrong_method", method .. " is not a method of " .. path .. ".")
  problem.allow = entry.allow
  return { auth = some.auth == "none" and "none" or "unknown" }, nil, problem
end

return M
