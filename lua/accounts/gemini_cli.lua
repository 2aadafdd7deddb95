--- Google accounts for Code Assist: token files, refresh, and the login of Gemini CLI.

local google = require "lib.google"
local json = require "json"
local models = require "models.google"
local oauth = require "lib.oauth"
local setup = require "lib.google_setup"
local times = require "lib.times"
local token_calls = require "lib.token_calls"

local concat, lower = table.concat, string.lower

local M = { type = "gemini", ahead = 300 }

local assist, given = models.code_assist, google.text

-- --- token files ---------------------------------------------------------------------------------

-- The token proper, and a reader of its members: they may also stand at the top.
local function token_of(document)
  local inner = document.token
  if type(inner) ~= "table" then inner = document.Token end
  if type(inner) ~= "table" then inner = {} end
  return inner, function(name) return given(inner[name]) or given(document[name]) end
end

-- When the access token ends is told where it stands.
local function expiry_of(document)
  local inner = token_of(document)
  local place = given(inner.access_token) and inner or document
  for _, name in ipairs { "expiry", "expired", "expire", "expires_at", "expiresAt", "expires" } do
    local unix = times.unix(place[name])
    if unix then return unix end
  end
end

-- The ids in "one,two".
local function projects_of(document)
  local list, seen = {}, {}
  for id in (given(document.project_id) or ""):gmatch("[^,%s]+") do
    if not seen[id] then
      seen[id] = true
      list[#list + 1] = id
    end
  end
  return list
end

local function account_of(document, project, several)
  local _, token = token_of(document)
  local access, email = token "access_token", given(document.email)
  return {
    suffix = several and project or nil,
    label = email and email .. " (" .. project .. ")" or project,
    secret = access or "",
    hosts = { assist.url },
    base_url = assist.url,
    facts = { project_id = project },
    -- Without an access token one has to be fetched first.
    expires = not access and 0 or expiry_of(document),
  }
end

--- What a token file offers: an account for each project; they share the token.
--- @param document table
--- @return Account[]?
--- @return string? problem
function M.read(document)
  local _, token = token_of(document)
  if not token "access_token" and not token "refresh_token" then return nil, "it has no token" end
  local projects = projects_of(document)
  if #projects == 0 then return nil, "it names no project_id: log in again with --login" end
  local list = {}
  for i, project in ipairs(projects) do
    list[i] = account_of(document, project, #projects > 1)
  end
  return list
end

-- Refusals after which only a login helps.
local FINAL = { invalid_grant = true, unauthorized_client = true, invalid_client = true }

--- Gets a new access token.  Google rarely gives a new refresh token with it.
--- @param document table
--- @return table? changes
--- @return RefreshProblem?
function M.refresh(document)
  local _, token = token_of(document)
  local secret = token "refresh_token"
  local data, problem = token_calls.refresh({
    url = assist.token_url,
    document = document,
    form = {
      grant_type = "refresh_token", refresh_token = secret,
      client_id = token "client_id" or assist.client_id,
      client_secret = token "client_secret" or assist.client_secret,
    },
  }, secret, FINAL)
  if not data then return nil, problem end
  if not given(data.access_token) then return nil, { message = "the answer has no token" } end
  local fresh = {
    access_token = data.access_token, refresh_token = given(data.refresh_token),
    token_type = given(data.token_type), expiry = oauth.expiry(data.expires_in),
  }
  fresh.expires_in = fresh.expiry and tonumber(data.expires_in)
  local place = type(document.token) ~= "table" and type(document.Token) == "table" and "Token"
    or "token"
  local changes = { [place] = fresh }
  -- Copies that another program keeps at the top must not grow old.
  for name, value in pairs(fresh) do
    if document[name] ~= nil then changes[name] = value end
  end
  return changes
end

-- --- login ---------------------------------------------------------------------------------------

local function words_of(text)
  local words = {}
  for word in text:gmatch("[^,%s]+") do words[#words + 1] = word end
  return words
end

local function find_id(list, word)
  local project = list[math.tointeger(tonumber(word)) or 0]
  if project then return project.id end
  for _, each in ipairs(list) do
    if lower(each.id) == lower(word) then return each.id end
  end
end

-- The ids that an answer names: ALL, numbers of the list, ids; or what is wrong with it.
local function named(text, list)
  local words, ids = words_of(text), {}
  if lower(text) == "all" then
    for i, project in ipairs(list) do ids[i] = project.id end
    return ids
  end
  for i, word in ipairs(words) do
    ids[i] = find_id(list, word)
    if not ids[i] then return nil, word .. " is none of them" end
  end
  if #ids == 0 then return nil, "that names none" end
  return ids
end

local TRIES = 5

local function ask_for(list, options)
  options.say "The account's projects:"
  for i, project in ipairs(list) do
    local name = project.name ~= project.id and "  " .. project.name or ""
    options.say(("  [%d] %s%s"):format(i, project.id, name))
  end
  for _ = 1, TRIES do
    local text = options.ask(("Which one? A number, an id, or ALL [%s]:"):format(list[1].id))
    if not text then break end
    if text == "" then return { list[1].id } end
    local ids, problem = named(text, list)
    if ids then return ids end
    options.say("Sorry, " .. problem .. ".")
  end
  return nil, "no project was chosen"
end

-- The ids of the projects to be set up, and whether nobody chose them; or nil and the problem.
-- `list` is nil when it could not be had, for `trouble`.
local function choose(list, trouble, options)
  local wanted = given(options.project_id)
  if not list or #list == 0 then
    if wanted and lower(wanted) ~= "all" then return words_of(wanted), false end
    return nil, trouble and "the projects cannot be listed: " .. trouble
      or "the account has no active project: create one, or name one with --project_id"
  end
  if wanted then
    local ids = named(wanted, list)
    if ids then return ids, false end
    options.say("Warning: " .. wanted .. " is not among the account's projects.")
    if not options.ask then return words_of(wanted), false end
  end
  if not options.ask then return { list[1].id }, true end
  local ids, problem = ask_for(list, options)
  if not ids then return nil, problem end
  return ids, false
end

-- Makes one project ready; the id that counts in the end.
local function set_up(token, wanted, options)
  options.say("Checking Code Assist for " .. wanted .. " ...")
  local project, managed = setup.onboard(token, wanted, options.say)
  if not project then return nil, "Failed to complete Gemini CLI onboarding", managed end
  if project ~= wanted then options.say("Google assigns the project " .. project .. ".") end
  -- A project of Google's own has the API.
  if managed then return project end
  local fine, problem, detail = setup.enable(token, project)
  if not fine then return nil, problem, detail end
  return project
end

-- Makes all ready that were chosen.  Of several, one that fails does not stop the others.
local function set_up_all(token, wanted, options)
  local ready, seen, problem, detail = {}, {}, nil, nil
  for _, id in ipairs(wanted) do
    local project
    project, problem, detail = set_up(token, id, options)
    if project and not seen[project] then
      seen[project] = true
      ready[#ready + 1] = project
    elseif not project and #wanted > 1 then
      options.say(("Project %s is left out: %s"):format(id, detail or problem))
    end
  end
  if #ready == 0 then return nil, problem, detail end
  return ready
end

local function exchange(session, code)
  local data, problem = token_calls.exchange {
    url = assist.token_url,
    form = {
      grant_type = "authorization_code", code = code,
      redirect_uri = session.pasted and assist.code_uri or session.redirect_uri,
      client_id = assist.client_id, client_secret = assist.client_secret,
      code_verifier = session.verifier,
    },
  }
  if not data then return nil, problem end
  if not given(data.refresh_token) then return nil, "Google gave no refresh token" end
  return data
end

local function document_of(data, email, projects, auto)
  local expiry = oauth.expiry(data.expires_in)
  return {
    type = "gemini", email = email, project_id = concat(projects, ","), auto = auto, checked = true,
    token = {
      access_token = data.access_token, refresh_token = data.refresh_token,
      token_type = given(data.token_type) or "Bearer",
      expires_in = expiry and tonumber(data.expires_in), expiry = expiry,
      client_id = assist.client_id, client_secret = assist.client_secret,
      scopes = json.array { table.unpack(assist.scopes) },
      token_uri = assist.token_url, universe_domain = "googleapis.com",
    },
  }
end

-- True for a file of the same person with the same project, or with several as well.
local function is_same(document, email, projects)
  if lower(given(document.type) or "") ~= "gemini" or given(document.email) ~= email then
    return false
  end
  local others = projects_of(document)
  if #projects > 1 then return #others > 1 end
  return #others == 1 and others[1] == projects[1]
end

-- An id as part of a file name.
local function for_file(text)
  return (text:gsub("[%c/\\:*?\"<>|%s]", "_"))
end

M.login = {
  flag = "login",
  channel = "google",
  title = "Gemini",
  port = 8085,
  path = "/oauth2callback",
  notice = "Google ended Gemini CLI logins of individuals (free, AI Pro, AI Ultra) on 2026-06-18. "
    .. "Seats of Code Assist\nStandard and Enterprise still work, with a project of their own; for "
    .. "all others there are API keys (gemini-api-key).\nWhat you do with the account through this "
    .. "program is subject to Google's terms of service.",
}

local function browser_url(session, redirect_uri)
  return assist.browser_url .. "?" .. oauth.query {
    client_id = assist.client_id, redirect_uri = redirect_uri, response_type = "code",
    scope = concat(assist.scopes, " "), access_type = "offline", prompt = "consent",
    state = session.state, code_challenge = session.challenge, code_challenge_method = "S256",
  }
end

--- @param session LoginSession
--- @param options LoginOptions
--- @return boolean
function M.login.begin(session, options)
  session.redirect_uri = options.redirect_uri
  session.url = browser_url(session, options.redirect_uri)
  session.code_url = browser_url(session, assist.code_uri)
  return true
end

--- @param session LoginSession
--- @param code string
--- @param options LoginOptions
--- @return Saved?
--- @return string? problem  in the words that user interfaces know
--- @return string? detail
function M.login.finish(session, code, options)
  local data, problem = exchange(session, code)
  if not data then return nil, "Failed to exchange token", problem end
  local token, email, detail = data.access_token, nil, nil
  email, problem, detail = setup.email(token)
  if not email then return nil, problem, detail end
  options.say("Logged in as " .. email .. ".")
  local list, trouble = setup.projects(token)
  local wanted, auto = choose(list, trouble, options)
  if not wanted then return nil, "Failed to resolve project ID", auto end
  local projects
  projects, problem, detail = set_up_all(token, wanted, options)
  if not projects then return nil, problem, detail end
  return {
    name = ("gemini-%s-%s.json"):format(for_file(email),
      #projects > 1 and "all" or for_file(projects[1])),
    document = document_of(data, email, projects, auto),
    same = function(document) return is_same(document, email, projects) end,
  }
end

return M
