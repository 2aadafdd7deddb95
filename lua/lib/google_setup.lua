--- What a Google account goes through before Code Assist serves it: projects, onboarding, the API.
---
--- Runs where tokens are known.  Failures are texts for people, without tokens.

local google = require "lib.google"
local google_errors = require "lib.google_errors"
local models = require "models.google"
local oauth = require "lib.oauth"
local timer = require "timer"

local concat, find, format = table.concat, string.find, string.format

local M = {}

local objects, text_of = google.objects, google.text
local setup = models.setup

local function call(token, request)
  request.headers = { authorization = "Bearer " .. token }
  local answer, problem = oauth.call(request)
  if not answer then return nil, problem.message end
  return answer
end

-- What a refusal says, with the link that a person has to follow.
local function refusal(answer)
  local problem = answer.status >= 400 and google_errors.classify(answer.status, answer.body)
  local said = problem and text_of(problem.message)
  return format("status %d%s", answer.status, said and ": " .. said or "")
end

-- --- the person ----------------------------------------------------------------------------------

--- The account's address.
--- @param token string
--- @return string? email
--- @return string? problem
--- @return string? detail
function M.email(token)
  local answer, problem = call(token, { url = setup.userinfo })
  if not answer then return nil, "Authentication failed", problem end
  if answer.status < 200 or answer.status > 299 then
    return nil, "Get user info request failed with status " .. answer.status, refusal(answer)
  end
  local email = answer.data and text_of(answer.data.email)
  if email then return email end
  return nil, "Authentication failed", "Google does not tell the account's email"
end

-- --- projects ------------------------------------------------------------------------------------

--- The account's active projects, all pages of them.
--- @param token string
--- @return {id: string, name: string}[]?
--- @return string? problem
function M.projects(token)
  local list, page = {}, nil
  for _ = 1, setup.pages do
    local url = setup.projects .. (page and "?" .. oauth.query { pageToken = page } or "")
    local answer, problem = call(token, { url = url })
    if not answer then return nil, problem end
    if answer.status ~= 200 or not answer.data then return nil, refusal(answer) end
    for _, project in ipairs(objects(answer.data.projects)) do
      local id = text_of(project.projectId)
      if id and (project.lifecycleState == nil or project.lifecycleState == "ACTIVE") then
        list[#list + 1] = { id = id, name = text_of(project.name) or id }
      end
    end
    page = text_of(answer.data.nextPageToken)
    if not page then return list end
  end
  return list
end

-- --- Code Assist ---------------------------------------------------------------------------------

local function post(token, method, body)
  body.metadata = {
    ideType = "IDE_UNSPECIFIED", platform = "PLATFORM_UNSPECIFIED", pluginType = "GEMINI",
  }
  return call(token, { url = models.code_assist.url .. "/v1internal:" .. method, json = body })
end

-- A project comes as its id, or as an object with it.
local function id_of(value)
  return text_of(value) or type(value) == "table" and text_of(value.id) or nil
end

local function default_tier(answer)
  for _, tier in ipairs(objects(answer.allowedTiers)) do
    if tier.isDefault == true and text_of(tier.id) then return tier.id end
  end
  return setup.legacy
end

-- Why no tier is offered; nil when one is.
local function ineligible(answer)
  local tiers = objects(answer.ineligibleTiers)
  if type(answer.currentTier) == "table" or #objects(answer.allowedTiers) > 0 or #tiers == 0 then
    return nil
  end
  local reasons, seen = {}, {}
  for _, tier in ipairs(tiers) do
    local reason = text_of(tier.reasonMessage) or text_of(tier.reasonCode) or "no reason given"
    local link = tier.reasonCode == "VALIDATION_REQUIRED" and text_of(tier.validationUrl)
    if link then reason = reason .. " (" .. link .. ")" end
    if not seen[reason] then
      seen[reason] = true
      reasons[#reasons + 1] = reason
    end
  end
  return "Google offers this account no Code Assist: " .. concat(reasons, "; ")
end

-- One look at the operation: its result, or nothing while it runs, or a problem.
local function look(token, body)
  local answer, problem = post(token, "onboardUser", body)
  if not answer then return nil, nil, problem end
  if answer.status ~= 200 or not answer.data then
    if oauth.transient(answer) then return nil, nil, refusal(answer) end
    return nil, refusal(answer)
  end
  local data = answer.data
  if data.done ~= true then return nil end
  if type(data.error) == "table" then
    return nil, text_of(data.error.message) or "Google could not do it"
  end
  return type(data.response) == "table" and data.response or {}
end

-- Signs the account up and waits until that is done.
local function sign_up(token, tier, project, say)
  local due = timer.now() + setup.seconds
  local body = { tierId = tier, cloudaicompanionProject = tier ~= setup.free and project or nil }
  local last
  while true do
    local response, problem, passing = look(token, body)
    if response then return response end
    if problem then return nil, problem end
    last = passing or last
    if timer.now() + setup.pause > due then
      return nil, "Google was not done after five minutes" .. (last and ", " .. last or "")
    end
    say("Google sets up Code Assist" .. (project and " for " .. project or "") .. " ...")
    timer.sleep(setup.pause)
  end
end

--- Makes sure that Code Assist serves the account.
--- @param token string
--- @param wanted string?  id of a project
--- @param say fun(text: string)
--- @return string? project  the one that counts: Google may assign another
--- @return boolean|string managed_or_problem  a project of Google's own needs no API enabled
function M.onboard(token, wanted, say)
  local answer, problem = post(token, "loadCodeAssist", { cloudaicompanionProject = wanted })
  if not answer then return nil, problem end
  if answer.status ~= 200 or not answer.data then return nil, refusal(answer) end
  local data = answer.data
  problem = ineligible(data)
  if problem then return nil, problem end

  local current, assigned = data.currentTier, id_of(data.cloudaicompanionProject)
  if type(current) == "table" and (wanted or assigned) then
    local managed = current.id == setup.free and assigned ~= nil
    return managed and assigned or wanted or assigned, managed
  end
  local tier = default_tier(data)
  local project = wanted or assigned
  if not project and tier ~= setup.free then
    return nil, "Google assigns no project: name one of yours with --project_id"
  end
  local response
  response, problem = sign_up(token, tier, project, say)
  if not response then return nil, problem end
  local given = id_of(response.cloudaicompanionProject)
  if not given and not project then return nil, "Google assigned no project" end
  return given or project, tier == setup.free
end

--- Makes sure that the project may use the API.
--- @param token string
--- @param project string
--- @return boolean? ok
--- @return string? problem
--- @return string? detail
function M.enable(token, project)
  local url = format(setup.service, oauth.escape(project))
  local answer, problem = call(token, { url = url })
  if not answer then return nil, "Failed to verify Cloud AI API status", problem end
  if answer.status == 200 and answer.data and answer.data.state == "ENABLED" then return true end
  answer, problem = call(token, { url = url .. ":enable", json = {} })
  if not answer then return nil, "Failed to verify Cloud AI API status", problem end
  if answer.status == 200 or answer.status == 201 then return true end
  local said = answer.data and type(answer.data.error) == "table"
    and text_of(answer.data.error.message)
  if answer.status == 400 and said and find(said, "already enabled", 1, true) then return true end
  return nil, "Cloud AI API not enabled",
    "project activation required: " .. (said or refusal(answer))
end

return M
