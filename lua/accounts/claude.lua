--- Claude accounts (Pro, Max, Team): their token files, refresh and login.

local calls = require "lib.token_calls"
local crypto = require "crypto"
local oauth = require "lib.oauth"

local given = calls.given

local CLIENT = "9d1c250a-e61b-44d9-88ed-5944d1962f5e"
local API = "https://api.anthropic.com"
local AUTHORIZE = "https://claude.ai/oauth/authorize"
local TOKEN = "https://platform.claude.com/v1/oauth/token"
local PROFILE = API .. "/api/oauth/profile"
-- The registered one, whatever port is listened on.
local REDIRECT = "http://localhost:54545/callback"
local SCOPE = "user:profile user:inference user:sessions:claude_code user:mcp_servers "
  .. "user:file_upload"

local final = { invalid_grant = true }

local M = { type = "claude", lead = 4 * 3600 }

--- @param document table
--- @param file string
--- @return Account[]?
--- @return string? problem
function M.read(document, file)
  local token = given(document.access_token)
  if not token then return nil, "the file has no access_token" end
  return { {
    label = given(document.email) or file, secret = token, hosts = { API }, base_url = API,
  } }
end

-- Adds whose account it is, as far as the answer says.
local function add_owner(members, data)
  local account = type(data.account) == "table" and data.account or {}
  local organization = type(data.organization) == "table" and data.organization or {}
  members.email = given(account.email_address) or given(account.email) or members.email
  members.account_uuid = given(account.uuid) or members.account_uuid
  members.organization_uuid = given(organization.uuid) or members.organization_uuid
  members.organization_name = given(organization.name) or members.organization_name
end

--- @param document table
--- @return table? members
--- @return RefreshProblem?
function M.refresh(document)
  local token = given(document.refresh_token) or given(document.refreshToken)
  local request = {
    url = TOKEN, document = document,
    json = {
      client_id = CLIENT, grant_type = "refresh_token", refresh_token = token, scope = SCOPE,
    },
  }
  local data, problem = calls.refresh(request, token, final)
  if not data and problem.code == "invalid_scope" then
    -- Logins of former versions were granted other scopes.
    request.json.scope = nil
    data, problem = calls.refresh(request, token, final)
  end
  if not data then return nil, problem end
  if not given(data.access_token) then
    return nil, { message = "the answer has no access token" }
  end
  local members = calls.members("claude", data)
  add_owner(members, data)
  return members
end

-- The account by the API's own word, which counts more than the token endpoint's.
local function add_profile(document, options)
  local answer, problem = oauth.call {
    url = PROFILE, headers = { authorization = "Bearer " .. document.access_token },
  }
  if answer and answer.status == 200 and answer.data then
    return add_owner(document, answer.data)
  end
  options.say("The account's profile could not be read: "
    .. (problem and problem.message or oauth.reason(answer)))
end

local login = {
  flag = "claude-login", channel = "anthropic", title = "Claude", port = 54545, path = "/callback",
  notice = "Anthropic means subscription tokens for Claude Code and its own programs. Use this "
    .. "login for Claude Code that talks through the proxy; give other programs an API key "
    .. "(claude-api-key).",
}
M.login = login

--- @param session table
--- @return boolean
function login.begin(session)
  session.url = AUTHORIZE .. "?" .. oauth.query {
    code = "true", client_id = CLIENT, response_type = "code", redirect_uri = REDIRECT,
    scope = SCOPE, code_challenge = session.challenge, code_challenge_method = "S256",
    state = session.state,
  }
  return true
end

local function saved(document)
  local email, organization = document.email, document.organization_uuid
  if not email then return nil, "the account has no email address, so its file has no name" end
  local for_file = calls.for_file(email)
  return {
    name = "claude-" .. for_file .. ".json", document = document,
    -- One person may belong to several organizations, each with a plan of its own.
    other_name = organization and "claude-" .. crypto.sha256_hex(organization):sub(1, 8) .. "-"
      .. for_file .. ".json",
    same = function(other)
      local theirs = given(other.organization_uuid)
      return other.type == "claude" and other.email == email
        and (not theirs or not organization or theirs == organization)
    end,
  }
end

--- @param session table
--- @param code string  may be `code#state`
--- @param options LoginOptions
--- @return Saved?
--- @return string? message
function login.finish(session, code, options)
  local plain, state = code:match("^([^#]*)#?(.*)$")
  if state ~= "" and state ~= session.state then return nil, "State code error" end
  local data, message = calls.exchange {
    url = TOKEN,
    json = {
      grant_type = "authorization_code", code = plain, redirect_uri = REDIRECT,
      client_id = CLIENT, code_verifier = session.verifier, state = session.state,
    },
  }
  if not data then return nil, message end
  local document = calls.members("claude", data)
  document.id_token = ""
  add_owner(document, data)
  add_profile(document, options)
  return saved(document)
end

return M
