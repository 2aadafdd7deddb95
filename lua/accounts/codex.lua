--- Codex accounts (ChatGPT): their token files, refresh and both logins.
---
--- Refresh tokens are good for one use: whoever sends one twice ends the login.

local calls = require "lib.token_calls"
local crypto = require "crypto"
local oauth = require "lib.oauth"
local timer = require "timer"
local times = require "lib.times"

local given = calls.given

local CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
local ISSUER = "https://auth.openai.com"
local TOKEN = ISSUER .. "/oauth/token"
local HOST = "https://chatgpt.com"
local BASE = HOST .. "/backend-api/codex"
-- What is registered besides 1455.
local REDIRECT = "http://localhost:1455/auth/callback"
local OTHER_REDIRECT = "http://localhost:1457/auth/callback"
local DEVICE = ISSUER .. "/api/accounts/deviceauth/"
local DEVICE_SECONDS = 900
local CLAIMS, PROFILE = "https://api.openai.com/auth", "https://api.openai.com/profile"

local final = {
  refresh_token_reused = true, refresh_token_expired = true, refresh_token_invalidated = true,
  invalid_grant = true,
}

local M = { type = "codex", lead = 5 * 86400 }

local function object(value)
  return type(value) == "table" and value or {}
end

-- Who a token was issued to: email, account, plan and end, each if it says so.
local function owner_of(token)
  local claims = oauth.jwt_payload(token) or {}
  local auth = object(claims[CLAIMS])
  return {
    email = given(claims.email) or given(object(claims[PROFILE]).email),
    account = given(auth.chatgpt_account_id), plan = given(auth.chatgpt_plan_type),
    expires = times.unix(claims.exp),
  }
end

--- @param document table
--- @param file string
--- @return Account[]?
--- @return string? problem
function M.read(document, file)
  local token = given(document.access_token)
  if not token then return nil, "the file has no access_token" end
  local owner, bearer = owner_of(document.id_token), owner_of(token)
  local account = given(document.account_id) or owner.account or bearer.account
  if account and account:find "[^%g]" then account = nil end -- no header could hold it
  if not account then return nil, "the file names no account_id" end
  return { {
    label = given(document.email) or owner.email or file, secret = token,
    hosts = { HOST }, base_url = BASE,
    expires = not times.unix(document.expired) and bearer.expires or nil,
    facts = { account_id = account, plan = owner.plan or bearer.plan },
  } }
end

-- When the access token ends: as the answer says, else as the token itself does.
local function end_of(data)
  local unix = owner_of(data.access_token).expires
  return oauth.expiry(data.expires_in) or unix and oauth.timestamp(unix)
end

--- @param document table
--- @return table? members
--- @return RefreshProblem?
function M.refresh(document)
  local token = given(document.refresh_token)
  local data, problem = calls.refresh({
    url = TOKEN, document = document,
    form = {
      client_id = CLIENT, grant_type = "refresh_token", refresh_token = token,
      scope = "openid profile email",
    },
  }, token, final)
  if not data then return nil, problem end
  local owner = owner_of(data.id_token)
  return {
    type = "codex", access_token = given(data.access_token),
    refresh_token = given(data.refresh_token), id_token = given(data.id_token),
    account_id = owner.account, email = owner.email,
    last_refresh = oauth.timestamp(timer.wall()), expired = end_of(data),
  }
end

-- --- logins -------------------------------------------------------------------------------------

-- `plus` of "codex-<account>-<email>-plus.json": one run of anything else is one hyphen.
local function plain_plan(plan)
  return plan and plan:lower():gsub("[^%w]+", "-")
end

-- One person may have several workspaces under one address.
local function long_name(account, email, plan)
  local parts = { "codex" }
  if account then parts[#parts + 1] = crypto.sha256_hex(account):sub(1, 8) end
  parts[#parts + 1] = calls.for_file(email)
  parts[#parts + 1] = plain_plan(plan)
  return table.concat(parts, "-") .. ".json"
end

local function saved(data)
  local owner = owner_of(data.id_token)
  local account = owner.account or owner_of(data.access_token).account
  if not owner.email then
    return nil, "the account has no email address, so its file has no name"
  end
  if not account then return nil, "the login names no ChatGPT account" end
  return {
    name = "codex-" .. calls.for_file(owner.email) .. ".json",
    -- When the file of that name is another workspace's.
    other_name = long_name(account, owner.email, owner.plan),
    document = {
      type = "codex", id_token = given(data.id_token) or "", access_token = data.access_token,
      refresh_token = given(data.refresh_token) or "", account_id = account, email = owner.email,
      last_refresh = oauth.timestamp(timer.wall()), expired = end_of(data),
    },
    same = function(other) return other.type == "codex" and other.account_id == account end,
  }
end

local function exchange(code, verifier, redirect)
  local data, message = calls.exchange {
    url = TOKEN,
    form = {
      grant_type = "authorization_code", client_id = CLIENT, code = code, redirect_uri = redirect,
      code_verifier = verifier,
    },
  }
  if not data then return nil, message end
  return saved(data)
end

local login = {
  flag = "codex-login", channel = "codex", title = "Codex", port = 1455, path = "/auth/callback",
  notice = "Log in here separately from Codex CLI: each login has its own token, which only one "
    .. "program may use.",
}
M.login = login

--- @param session table
--- @param options LoginOptions
--- @return boolean
function login.begin(session, options)
  session.redirect = options.redirect_uri == OTHER_REDIRECT and OTHER_REDIRECT or REDIRECT
  session.url = ISSUER .. "/oauth/authorize?" .. oauth.query {
    client_id = CLIENT, response_type = "code", redirect_uri = session.redirect,
    scope = "openid email profile offline_access", state = session.state,
    code_challenge = session.challenge, code_challenge_method = "S256", prompt = "login",
    id_token_add_organizations = "true", codex_cli_simplified_flow = "true",
    originator = "cli-proxy-api",
  }
  return true
end

--- @param session table
--- @param code string
--- @return Saved?
--- @return string? message
function login.finish(session, code)
  return exchange(code, session.verifier, session.redirect)
end

local device_login = {
  flag = "codex-device-login", channel = "codex", title = "Codex", notice = login.notice,
}
M.device_login = device_login

--- @param session table
--- @return boolean?
--- @return string? message
function device_login.begin(session)
  local answer, problem = oauth.call { url = DEVICE .. "usercode", json = { client_id = CLIENT } }
  if not answer then return nil, "Failed to start the device login: " .. problem.message end
  if answer.status == 404 then
    return nil, "device login is not enabled for this account; use --codex-login"
  end
  local data = answer.data or {}
  local code = given(data.user_code) or given(data.usercode)
  if answer.status // 100 ~= 2 or not code or not given(data.device_auth_id) then
    return nil, "Failed to start the device login: " .. oauth.reason(answer)
  end
  session.device_auth_id, session.user_code = data.device_auth_id, code
  session.interval, session.expires_in = oauth.seconds(data.interval, 1, 60) or 5, DEVICE_SECONDS
  session.url = ISSUER .. "/codex/device"
  return true
end

--- @param session table
--- @return Saved|"wait"|nil
--- @return string? message
function device_login.poll(session)
  local answer, problem = oauth.call {
    url = DEVICE .. "token",
    json = { device_auth_id = session.device_auth_id, user_code = session.user_code },
  }
  -- One lost answer ends nothing: the next one tells the same.
  if not answer then return "wait", problem.message end
  if answer.status == 403 or answer.status == 404 or oauth.transient(answer) then return "wait" end
  local data = answer.data or {}
  if answer.status // 100 ~= 2 or not given(data.authorization_code)
      or not given(data.code_verifier) then
    return nil, "Failed to poll for the device login: " .. oauth.reason(answer)
  end
  return exchange(data.authorization_code, data.code_verifier, ISSUER .. "/deviceauth/callback")
end

return M
