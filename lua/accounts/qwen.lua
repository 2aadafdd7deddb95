--- Qwen Code accounts: their token files, refresh and login with a device code.

local calls = require "lib.token_calls"
local oauth = require "lib.oauth"
local timer = require "timer"

local given, max, min = calls.given, math.max, math.min

local CLIENT = "f0304373b74a44d2b584a3fb70ca9e56"
local SITE = "https://chat.qwen.ai/api/v1/oauth2/"
local BASE = "https://portal.qwen.ai/v1"
local SCOPE = "openid profile email model.completion"
local DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
local INTERVAL, INTERVAL_MAX = 5, 10
local DEVICE_SECONDS = 900

local final = { invalid_grant = true }

local M = { type = "qwen", lead = 3 * 3600 }

--- The base URL that a `resource_url` stands for: a host, or a URL with or without the version.
--- @param resource any
--- @return string
function M.base_url(resource)
  local url = given(resource)
  if not url then return BASE end
  if not url:find("://", 1, true) then url = "https://" .. url end
  url = url:gsub("/+$", "")
  return url:find "/v1$" and url or url .. "/v1"
end

--- @param document table
--- @param file string
--- @return Account[]?
--- @return string? problem
function M.read(document, file)
  local token = given(document.access_token)
  if not token then return nil, "the file has no access_token" end
  local base = M.base_url(document.resource_url)
  return { {
    label = given(document.email) or file, secret = token, hosts = { base }, base_url = base,
  } }
end

-- What an answer tells about tokens, for the file.
local function tokens_of(data)
  local members = calls.members("qwen", data)
  members.resource_url = given(data.resource_url)
  return members
end

--- @param document table
--- @return table? members
--- @return RefreshProblem?
function M.refresh(document)
  local token = given(document.refresh_token)
  local data, problem = calls.refresh({
    url = SITE .. "token", document = document,
    form = { grant_type = "refresh_token", refresh_token = token, client_id = CLIENT },
  }, token, final)
  if not data then return nil, problem end
  if not given(data.access_token) then
    return nil, { message = "the answer has no access token" }
  end
  return tokens_of(data)
end

-- --- login ---------------------------------------------------------------------------------------

local login = {
  flag = "qwen-login", channel = "qwen", title = "Qwen", verifier_bytes = 32,
  notice = "Qwen ended the free access of this login on 2026-04-15; it may not be granted any "
    .. "more. With a DashScope key Qwen models are reachable as an openai-compatibility entry.",
}
M.login = login

--- @param session table
--- @return boolean?
--- @return string? message
function login.begin(session)
  local answer, problem = oauth.call {
    url = SITE .. "device/code",
    form = {
      client_id = CLIENT, scope = SCOPE, code_challenge = session.challenge,
      code_challenge_method = "S256",
    },
  }
  if not answer then return nil, problem.message end
  local data = answer.data or {}
  local url = given(data.verification_uri_complete) or given(data.verification_uri)
  if answer.status ~= 200 or not given(data.device_code) or not url then
    return nil, "no device code was given: " .. oauth.reason(answer)
  end
  session.device_code, session.user_code, session.url = data.device_code, given(data.user_code), url
  session.interval = oauth.seconds(data.interval, 1, 60) or INTERVAL
  session.expires_in = oauth.seconds(data.expires_in, 1, DEVICE_SECONDS)
  return true
end

-- The service does not say whose account it is.
local function name_of(options)
  local name = options.ask and options.ask "Your e-mail address, or another name for this account:"
  return given(name) or string.format("qwen-%d", timer.wall() * 1000 // 1)
end

--- @param session table
--- @param options LoginOptions
--- @return Saved|"wait"|nil
--- @return string? message
function login.poll(session, options)
  local answer = oauth.call {
    url = SITE .. "token",
    form = {
      grant_type = DEVICE_GRANT, client_id = CLIENT, device_code = session.device_code,
      code_verifier = session.verifier,
    },
  }
  -- One lost answer ends nothing: the next one tells the same.
  if oauth.transient(answer) and not (answer and answer.status == 429) then return "wait" end
  local text, code = oauth.reason(answer)
  if code == "authorization_pending" then return "wait" end
  if code == "slow_down" then
    session.interval = max(session.interval, min(session.interval * 1.5, INTERVAL_MAX))
    return "wait"
  end
  if code == "expired_token" then return nil, "device code expired" end
  if code == "access_denied" then return nil, "access was denied" end
  local data = answer.data or {}
  if answer.status ~= 200 or not given(data.access_token) then return nil, text end
  local document = tokens_of(data)
  document.email = name_of(options)
  return {
    name = "qwen-" .. calls.for_file(document.email) .. ".json", document = document,
    same = function(other) return other.type == "qwen" and other.email == document.email end,
  }
end

return M
