--- iFlow accounts: their token files, refresh and both logins.
---
--- Requests carry an API key.  A login with the browser gives tokens, which are good for asking
--- what the key is; a login with the browser's cookie gives a key alone.

local calls = require "lib.token_calls"
local crypto = require "crypto"
local oauth = require "lib.oauth"
local timer = require "timer"

local given = calls.given

local CLIENT, SECRET = "10009311001", "4Z3YjXycVsQvyGF1etiNlIBB4RsqSDtW"
local SITE = "https://iflow.cn"
local TOKEN = SITE .. "/oauth/token"
local USER = SITE .. "/api/oauth/getUserInfo"
local KEYS = "https://platform.iflow.cn/api/openapi/apikey"
local BASE = "https://apis.iflow.cn/v1"
local DAY = 24 * 3600

local final = { invalid_grant = true }

local M = { type = "iflow", lead = DAY }

--- @param document table
--- @param file string
--- @return Account[]?
--- @return string? problem
function M.read(document, file)
  local key = given(document.api_key)
  if not key then return nil, "the file has no api_key" end
  local base = (given(document.base_url) or BASE):gsub("/+$", "")
  local account = {
    label = given(document.email) or file, secret = key, hosts = { base }, base_url = base,
  }
  if given(document.cookie) then account.lead, account.refreshable = 2 * DAY, true end
  return { account }
end

-- --- tokens --------------------------------------------------------------------------------------

local function basic()
  return "Basic " .. crypto.base64_encode(CLIENT .. ":" .. SECRET)
end

-- A call of the token endpoint; `fields` besides who we are.
local function token_call(fields, document)
  fields.client_id, fields.client_secret = CLIENT, SECRET
  return { url = TOKEN, form = fields, headers = { authorization = basic() }, document = document }
end

-- The key and the identity behind an access token.
local function user_of(token, document)
  local answer, problem = oauth.call {
    url = USER, query = { accessToken = token }, document = document,
  }
  if not answer then return nil, problem.message end
  local data = answer.data and answer.data.data
  if answer.status ~= 200 or not answer.data or answer.data.success == false
      or type(data) ~= "table" then
    return nil, (oauth.reason(answer))
  end
  if not given(data.apiKey) then return nil, "the account has no API key" end
  return { api_key = data.apiKey, email = given(data.email) or given(data.phone) }
end

-- What the file says after tokens were issued.
local function document_of(data, user)
  local members = calls.members("iflow", data)
  members.api_key, members.email = user.api_key, user.email
  members.token_type, members.scope = given(data.token_type), given(data.scope)
  return members
end

local function refresh_tokens(document)
  local token = given(document.refresh_token)
  local data, problem = calls.refresh(
    token_call({ grant_type = "refresh_token", refresh_token = token }, document), token, final)
  if not data then return nil, problem end
  if not given(data.access_token) then
    return nil, { message = "the answer has no access token" }
  end
  local user, message = user_of(data.access_token, document)
  -- The tokens are new and the old ones spent: they are kept whatever became of the key.
  local members = document_of(data, user or {})
  members.email = nil
  return members, message and { message = "the API key could not be read: " .. message } or nil
end

-- --- keys of a cookie ----------------------------------------------------------------------------

-- One call of the key service: what it says about the key.
local function key_call(cookie, body, document)
  local answer, problem = oauth.call {
    url = KEYS, json = body, headers = { cookie = cookie }, document = document,
  }
  if not answer then return nil, problem.message end
  local data = answer.data and answer.data.data
  if answer.status ~= 200 or answer.data and answer.data.success == false
      or type(data) ~= "table" then
    return nil, (oauth.reason(answer)), answer.status == 401 or answer.status == 403
  end
  return data
end

-- A fresh key of that name, as members of the file.
local function fresh_key(cookie, name, document)
  local data, message, refused = key_call(cookie, { name = name }, document)
  if not data then return nil, message, refused end
  if not given(data.apiKey) then return nil, "the answer has no API key" end
  return {
    type = "iflow", api_key = data.apiKey, expired = given(data.expireTime),
    last_refresh = oauth.timestamp(timer.wall()),
  }
end

--- @param document table
--- @return table? members
--- @return RefreshProblem?
function M.refresh(document)
  local cookie = given(document.cookie)
  if not cookie then return refresh_tokens(document) end
  local name = given(document.name) or given(document.email)
  if not name then
    return nil, { message = "the file does not name its key", needs_login = true }
  end
  local members, message, refused = fresh_key(cookie, name, document)
  if members then return members end
  return nil, { message = message, needs_login = refused or nil }
end

-- --- logins --------------------------------------------------------------------------------------

local notice = "iFlow closed on 2026-04-17; this login may not work any more. Accounts that you "
  .. "have stay usable for as long as the service answers them."

local login = {
  flag = "iflow-login", channel = "iflow", title = "iFlow", port = 11451, path = "/oauth2callback",
  notice = notice,
}
M.login = login

--- @param session table
--- @param options LoginOptions
--- @return boolean
function login.begin(session, options)
  session.redirect = options.redirect_uri
  session.url = SITE .. "/oauth?" .. oauth.query {
    loginMethod = "phone", type = "phone", redirect = session.redirect, state = session.state,
    client_id = CLIENT,
  }
  return true
end

--- @param session table
--- @param code string
--- @return Saved?
--- @return string? message
function login.finish(session, code)
  local data, message = calls.exchange(token_call {
    grant_type = "authorization_code", code = code, redirect_uri = session.redirect,
  })
  if not data then return nil, message end
  local user
  user, message = user_of(data.access_token)
  if not user then return nil, "Failed to get the API key: " .. message end
  if not user.email then
    return nil, "the account has neither an e-mail address nor a phone number"
  end
  return {
    name = "iflow-" .. calls.for_file(user.email) .. ".json", document = document_of(data, user),
    same = function(other)
      return other.type == "iflow" and not given(other.cookie) and other.email == user.email
    end,
  }
end

local cookie_login = {
  flag = "iflow-cookie", channel = "iflow", title = "iFlow", notice = notice,
}
M.cookie_login = cookie_login

-- The part of a browser's cookies that counts.
local function auth_cookie(text)
  local value = ("; " .. text):match "[;%s]BXAuth=([^;%s]+)"
  return value and "BXAuth=" .. value .. ";"
end

--- @param options LoginOptions
--- @return Saved?
--- @return string? message
function cookie_login.at_once(options)
  local cookie = auth_cookie(options.ask "Paste the cookie of platform.iflow.cn:" or "")
  if not cookie then return nil, "there is no BXAuth in it" end
  local key, message = key_call(cookie)
  if not key then return nil, message end
  local name = given(key.name)
  if not name then return nil, "the service does not name the key" end
  local document
  document, message = fresh_key(cookie, name)
  if not document then return nil, message end
  document.cookie, document.email = cookie, name
  return {
    name = string.format("iflow-%s-%d.json", calls.for_file(name), timer.wall() // 1),
    document = document,
    clash = function(other)
      return other.cookie == cookie and "this cookie is in use already" or nil
    end,
  }
end

return M
