--- What Gemini CLI in Code Assist mode asks besides generating: handed to Google as it came, with
--- the client's own token, and the answer handed back.

local calls = require "core.calls"
local config = require "config"
local counting = require "core.counting"
local envelopes = require "lib.envelope"
local errors = require "lib.errors"
local http = require "http"
local models = require "models.google"
local router = require "core.router"
local upstream = require "lib.upstream"

local find, gmatch, lower, match = string.find, string.gmatch, string.lower, string.match

local M = {}

-- An answer up to this size is sent with its length; a longer one as it comes.
local WHOLE_MAX = 64 * 1024

-- About one connection, or about the body as it was on that connection.
local hop_by_hop = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-authenticate"] = true,
  ["proxy-authorization"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
  ["transfer-encoding"] = true, ["upgrade"] = true, ["content-length"] = true,
  ["content-encoding"] = true, ["host"] = true, ["expect"] = true, ["accept-encoding"] = true,
  ["alt-svc"] = true, ["x-management-key"] = true,
}

-- Names that `Connection` adds for this message.
local function named_in(value)
  local names = {}
  for name in gmatch(value or "", "[^,%s]+") do names[lower(name)] = true end
  return names
end

-- A key of this proxy is no business of Google's.
local function is_ours(value)
  return config.client_key(match(value, "^[bB][eE][aA][rR][eE][rR]%s+(.-)%s*$") or value) ~= nil
end

-- The client's own headers.
local function request_headers(client)
  local headers, dropped = {}, named_in(client:header("connection"))
  for _, pair in ipairs(client:headers()) do
    local name, value = lower(pair[1]), pair[2]
    if not hop_by_hop[name] and not dropped[name] and not is_ours(value) then
      local before = headers[name]
      headers[name] = before and before .. (name == "cookie" and "; " or ", ") .. value or value
    end
  end
  return headers
end

local function query_of(client)
  local kept = {}
  for part in gmatch(client.query, "[^&]+") do
    local name = match(part, "^([^=]*)")
    if not ((name == "key" or name == "auth_token") and is_ours(client:param(name) or "")) then
      kept[#kept + 1] = part
    end
  end
  return #kept > 0 and "?" .. table.concat(kept, "&") or ""
end

local function response_headers(response)
  local headers, dropped = {}, named_in(response:header("connection"))
  for name, value in pairs(response:headers()) do
    if not hop_by_hop[name] and not dropped[name] and find(name, "^[%w_%-]+$") then
      headers[name] = value
    end
  end
  return headers
end

-- The first bytes of an answer, whole when it is small.
local function first_bytes(response)
  local kind = response:header("content-type") or ""
  local most = find(kind, "event-stream", 1, true) and 0 or WHOLE_MAX
  local parts, size = {}, 0
  while true do
    local bytes, err = response:read()
    if err then return nil, false, err end
    if not bytes then return table.concat(parts), true end
    parts[#parts + 1], size = bytes, size + #bytes
    if size > most then return table.concat(parts), false end
  end
end

local function hand_back(client, response)
  local headers = response_headers(response)
  local bytes, all, err = first_bytes(response)
  if not bytes then return errors.from_http(err) end
  if all then
    client:respond(response.status, headers, bytes)
    return nil
  end
  client:start(response.status, headers)
  while bytes do
    client:write(bytes)
    bytes, err = response:read()
  end
  -- A part must not look like the whole.
  if err then return client:abort() end
  client:finish()
end

local function forward(client, body)
  local response <close> = http.start {
    method = client.method == "HEAD" and "GET" or client.method,
    url = models.code_assist.url .. client.path .. query_of(client),
    headers = request_headers(client),
    body = body ~= "" and body or nil,
    timeout = upstream.TIMEOUT,
  }
  local ready, err = response:wait()
  if not ready then return errors.from_http(err) end
  return hand_back(client, response)
end

local function body_of(client)
  if client.method ~= "POST" then return "" end
  local body, err = client:body()
  if not body then return nil, calls.body_problem(err) end
  return body
end

-- Relays a request whose body is read.
local function relay(client, dialect, body)
  client:note { dialect = dialect, provider = "code-assist" }
  local problem = forward(client, body)
  if problem then errors.respond(client, problem, dialect) end
end

--- Relays a method.
--- @param client Client
--- @param _ any
--- @param dialect string
function M.relay(client, _, dialect)
  local body, problem = body_of(client)
  if problem then return errors.respond(client, problem, dialect) end
  relay(client, dialect, body)
end

-- True for a model that Google cannot know by this name, because it is one of this proxy's own.
local function is_local(body)
  local fine, request, envelope = pcall(envelopes.open, body)
  local model = fine and envelopes.model(request, envelope)
  local resolution = model and router.resolve(model)
  if not resolution then return false end
  for _, group in ipairs(resolution.groups) do
    for _, candidate in ipairs(group.candidates) do
      if candidate.provider.dialect == "gemini" and candidate.model == model then return false end
    end
  end
  return true
end

--- Counts tokens: by Google, but for models that it does not know.
--- @param client Client
--- @param argument string?
--- @param dialect string
--- @param principal string?
function M.count(client, argument, dialect, principal)
  local body, problem = body_of(client)
  if problem then return errors.respond(client, problem, dialect) end
  if not is_local(body) then return relay(client, dialect, body) end
  local call
  call, problem = calls.read(client, { dialect = dialect }, argument, principal, body)
  if call then problem = counting.serve(call) end
  if problem then errors.respond(client, problem, dialect) end
end

return M
