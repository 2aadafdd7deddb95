--- Who may ask: client keys and their carriers, the keyless rules, CORS.

local config = require "config"
local errors = require "lib.errors"

local lower, match = string.lower, string.match

local METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
local HEADERS = "*, Authorization, Content-Type, X-Management-Key"
local EXPOSED = "Retry-After, X-Request-Id, Location, X-CPA-VERSION, X-CPA-COMMIT, "
  .. "X-CPA-BUILD-DATE, X-CPA-SUPPORT-PLUGIN, Content-Disposition"

local M = {}

local function set_cors(client, origin)
  client:set_header("Access-Control-Allow-Origin", origin)
  client:set_header("Access-Control-Allow-Methods", METHODS)
  local asked = client.method == "OPTIONS" and client:header("access-control-request-headers")
  client:set_header("Access-Control-Allow-Headers", asked and asked ~= "" and asked or HEADERS)
  client:set_header("Access-Control-Expose-Headers", EXPOSED)
end

--- True for a host name, with or without a port, that can only be this machine.
--- @param host string
--- @return boolean
function M.is_loopback_host(host)
  local name = match(host, "^(%[[^%]]*%])$") or match(host, "^(%[[^%]]*%]):%d+$")
    or match(host, "^([^:]+)$") or match(host, "^([^:]+):%d+$")
  if not name then return false end
  name = lower(name)
  if name == "localhost" or name == "[::1]" then return true end
  local a, b, c, d = match(name, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  return a == "127" and #b <= 3 and #c <= 3 and #d <= 3
    and tonumber(b) < 256 and tonumber(c) < 256 and tonumber(d) < 256
end

local function is_loopback_origin(origin)
  local host = match(origin, "^https?://(.+)$")
  return host ~= nil and M.is_loopback_host(host)
end

-- Requests without a key: no web page may spend the user's accounts.  The host of the last request
-- is remembered, nearly all have the same one.
local good_host

local function refuse_strangers(client)
  local host = client:header("host")
  if host ~= good_host or not host then
    if not host or not M.is_loopback_host(host) then
      return errors.new("local_only",
        "without client keys this server answers only requests addressed to localhost")
    end
    good_host = host
  end
  local origin = client:header("origin")
  if not origin then return nil end
  if not is_loopback_origin(origin) then
    return errors.new("local_only",
      "without client keys this server does not answer pages of other sites")
  end
  set_cors(client, origin)
  client:set_header("Vary", "Origin")
end

local function bearer(value)
  return match(value, "^[bB][eE][aA][rR][eE][rR]%s+(.-)%s*$") or value
end

local function check_key(client)
  local key, found = client:header("authorization"), false
  if key and key ~= "" then
    found = true
    local principal = config.client_key(bearer(key))
    if principal then return principal end
  end
  key = client:header("x-goog-api-key")
  if key and key ~= "" then
    found = true
    local principal = config.client_key(key)
    if principal then return principal end
  end
  key = client:header("x-api-key")
  if key and key ~= "" then
    found = true
    local principal = config.client_key(key)
    if principal then return principal end
  end
  if client.query ~= "" then
    for _, name in ipairs { "key", "auth_token" } do
      key = client:param(name)
      if key and key ~= "" then
        found = true
        local principal = config.client_key(key)
        if principal then return principal end
      end
    end
  end
  if found then return nil, errors.new("invalid_key", "Invalid API key") end
  return nil, errors.new("missing_key", "Missing API key")
end

--- Decides whether the client may go on and sets the CORS headers that its answer has.
--- @param client Client
--- @param auth "key"|"session"|"local"|"none"|"preflight"|"unknown"
--- @return string? principal  who it is, when a key told so
--- @return Problem? problem
function M.admit(client, auth)
  if auth == "none" then return nil end
  if auth == "local" then
    if not client.is_local then
      return nil, errors.new("local_only", "this path answers only local requests")
    end
    if client:header("origin") then
      return nil, errors.new("local_only", "this path does not answer pages")
    end
    return nil, refuse_strangers(client)
  end
  local keyless, session = not config.keys_required(), auth == "session"
  if session then
    keyless = keyless or config.values["ws-auth"] == false
    auth = client.method == "OPTIONS" and "preflight" or "key"
  end
  if keyless then
    local closed = auth == "key" and config.closed()
    if closed then return nil, errors.new("unsafe_config", closed) end
    local problem = refuse_strangers(client)
    if problem or not session then return nil, problem end
    -- A key that is shown counts later, when one is asked for.
    return (check_key(client))
  end
  set_cors(client, "*")
  if auth ~= "key" then return nil end
  local closed = config.closed()
  if closed then return nil, errors.new("unsafe_config", closed) end
  return check_key(client)
end

return M
