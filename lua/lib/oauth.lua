--- What logins and refreshes have in common: calls of authorization servers, PKCE, state, times.
---
--- Loaded where tokens are known: by the keeper and by logins on the command line.  Messages made
--- here carry no token, code or secret.

local crypto = require "crypto"
local hiding = require "lib.hiding"
local http = require "http"
local json = require "json"
local task = require "task"
local timer = require "timer"
local times = require "lib.times"

local M = {}

local AGENT = "cli-proxy-api/" .. task.version
local SECONDS = 30             -- a call, when the caller does not say
local ANSWER_BYTES = 1 << 20
local TEXT_BYTES = 300         -- of an upstream's words in a message

---@class OAuthRequest
---@field method? string            default "POST" with a body, else "GET"
---@field url string
---@field query? table<string, string|number|boolean>  behind the url
---@field headers? table<string, string>  names in lower case
---@field form? table<string, string|number|boolean>  body, one of the three
---@field json? table
---@field body? string
---@field document? table           the token file: its `proxy_url` is used
---@field timeout? number           seconds until the answer must be there

---@class OAuthAnswer
---@field status integer
---@field body string
---@field data table?               the JSON object of the body; its nulls are absent
---@field header fun(name: string): string?
---@field hide? fun(text: string): string  takes out what the call held of tokens and codes

---@class OAuthProblem
---@field code string               "unreachable", "timeout", "broken", "bad_proxy", "too_large"
---@field message string

-- --- texts ---------------------------------------------------------------------------------------

--- Percent-encodes one name or value of a query or form.
--- @param value string|number|boolean
--- @return string
function M.escape(value)
  return (tostring(value):gsub("[^%w%-._~]", function(char)
    return string.format("%%%02X", char:byte())
  end))
end

--- @param text string
--- @return string
function M.unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

--- The query of these parameters, in order of their names.
--- @param parameters table<string, string|number|boolean>
--- @return string
function M.query(parameters)
  local parts = {}
  for name, value in pairs(parameters) do
    parts[#parts + 1] = M.escape(name) .. "=" .. M.escape(value)
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

--- The body `application/x-www-form-urlencoded` of these fields.
M.form = M.query

--- The parameters of a query; of one given twice the first.
--- @param text string  without `?`
--- @return table<string, string>
function M.parse_query(text)
  local found = {}
  for part in text:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    name = M.unescape(name)
    if found[name] == nil then found[name] = M.unescape(value) end
  end
  return found
end

--- A random state: 32 hexadecimal digits.
--- @return string
function M.state()
  return crypto.hex(crypto.random(16))
end

--- A PKCE verifier of that many random bytes and its S256 challenge.
--- @param bytes integer  32 to 96
--- @return string verifier
--- @return string challenge
function M.pkce(bytes)
  return crypto.pkce(bytes)
end

-- --- JSON ----------------------------------------------------------------------------------------

-- Takes out the members that are null: to scripts they are as good as absent.
local function without_nulls(value)
  for name, member in pairs(value) do
    if member == json.null then
      if not json.is_array(value) then value[name] = nil end
    elseif type(member) == "table" then
      without_nulls(member)
    end
  end
  return value
end

-- The object of a JSON text, or nil.
local function object(text)
  local value = json.decode(text)
  if json.type(value) ~= "object" then return nil end
  return without_nulls(value)
end

--- The claims of a JSON Web Token, not verified; nil when it is none.
--- @param token any
--- @return table?
function M.jwt_payload(token)
  local text = type(token) == "string" and crypto.jwt_payload(token)
  return text and object(text) or nil
end

-- --- times ---------------------------------------------------------------------------------------

--- RFC 3339 with the local offset, as token files have it.
M.timestamp = times.rfc3339

--- When a token ends that was issued now; nil when the answer does not say, or nothing that can be.
--- @param expires_in any  seconds, a number or numeric text
--- @return string? timestamp
function M.expiry(expires_in)
  local seconds = tonumber(expires_in)
  local unix = seconds and seconds > 0 and times.unix(timer.wall() + seconds)
  return unix and M.timestamp(unix)
end

--- Seconds that a device flow's answer names: within what makes sense.
--- @param value any  a number or numeric text
--- @param least number
--- @param most number
--- @return number?  nil when it names none
function M.seconds(value, least, most)
  local seconds = tonumber(value)
  return seconds and math.max(least, math.min(seconds, most))
end

-- --- calls ---------------------------------------------------------------------------------------

--- The proxy of an account, under both spellings.
--- @param document table  its token file
--- @return string?
function M.proxy(document)
  for _, name in ipairs { "proxy_url", "proxy-url" } do
    local proxy = document[name]
    if type(proxy) == "string" and proxy ~= "" then return proxy end
  end
end

local function request_of(call, seconds)
  local headers = { ["user-agent"] = AGENT, accept = "application/json" }
  local body = call.body
  if call.form then
    body, headers["content-type"] = M.form(call.form), "application/x-www-form-urlencoded"
  elseif call.json then
    body, headers["content-type"] = json.encode(call.json), "application/json"
  end
  for name, value in pairs(call.headers or {}) do headers[name:lower()] = value end
  return {
    method = call.method, url = call.query and call.url .. "?" .. M.query(call.query) or call.url,
    headers = headers, body = body,
    proxy = call.document and M.proxy(call.document),
    timeout = { connect = seconds, first_byte = seconds, idle = seconds },
  }
end

local function overdue(seconds)
  return { code = "timeout", message = string.format("no whole answer within %g s", seconds) }
end

-- The rest of the body, at most ANSWER_BYTES and until `due`.
local function body_of(response, due, seconds)
  local parts, size = {}, 0
  while true do
    local bytes, problem = response:read()
    if problem then return nil, problem end
    if not bytes then return table.concat(parts) end
    parts[#parts + 1], size = bytes, size + #bytes
    if size > ANSWER_BYTES then
      return nil, { code = "too_large", message = "the answer is too large" }
    end
    if timer.now() > due then return nil, overdue(seconds) end
  end
end

--- One call of an authorization server or of a provider's account API.
--- @param call OAuthRequest
--- @return OAuthAnswer? answer  whatever its status
--- @return OAuthProblem? problem
function M.call(call)
  local seconds = call.timeout or SECONDS
  local due = timer.now() + seconds
  local response <close> = http.start(request_of(call, seconds))
  local ready, problem = response:wait(seconds)
  if ready == false then return nil, overdue(seconds) end
  if not ready then return nil, problem end
  local body
  body, problem = body_of(response, due, seconds)
  if not body then return nil, problem end
  -- Servers repeat what they refuse, and people read it.  A good answer may repeat what stays valid.
  local function hide(text)
    return hiding.text(text, hiding.secrets(call.query, call.form, call.json, call.headers,
      call.document))
  end
  if response.status >= 400 then body = hide(body) end
  return {
    hide = hide,
    status = response.status, body = body, data = object(body),
    header = function(name) return response:header(name) end,
  }
end

local function words(value)
  if type(value) ~= "string" or value == "" then return nil end
  value = value:gsub("%c+", " ")
  return #value > TEXT_BYTES and value:sub(1, TEXT_BYTES) .. "…" or value
end

--- What an answer says went wrong, in the forms of RFC 6749 and of the providers.
--- @param answer OAuthAnswer
--- @return string text  such as "status 400, invalid_grant: Token has been revoked"
--- @return string? code  such as "invalid_grant"
function M.reason(answer)
  local data = answer.data or {}
  local problem, code, message = data.error, nil, nil
  if type(problem) == "table" then
    code = words(problem.code) or words(problem.type) or words(problem.status)
    message = words(problem.message)
  else
    code = words(problem) or words(data.code)
    message = words(data.error_description) or words(data.message) or words(data.detail)
  end
  local text = "status " .. answer.status
  if code then text = text .. ", " .. code end
  if message and message ~= code then text = text .. ": " .. message end
  return answer.hide and answer.hide(text) or text, code
end

--- True when the failure may pass by itself, so that trying again makes sense.
--- @param answer OAuthAnswer?  nil: there was none
--- @return boolean
function M.transient(answer)
  if not answer then return true end
  return answer.status == 408 or answer.status == 429 or answer.status >= 500
end

return M
