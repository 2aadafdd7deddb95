--- Qwen Code, by accounts logged in to it.  Its free service ended in 2026; see also
--- providers/openai_compatibility.lua, which takes DashScope keys.

local catalogue = require "models.catalogue_qwen"
local chat_request = require "lib.chat_account"
local errors = require "lib.errors"
local json = require "json"
local store = require "store"
local timer = require "timer"
local upstream = require "lib.upstream"

local find, lower = string.find, string.lower

local M = { name = "qwen", dialect = "chat" }

local MINUTE, REQUESTS = 60, 60
local OVER = " (Qwen ended free access by login on 2026-04-15: use a DashScope key, as an "
  .. "openai-compatibility entry)"
local MESSAGES = json.shape {
  known = { "role", content = { "type", "text", ["*"] = "raw" }, ["*"] = "raw" }, order = true,
}

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

-- --- the one system message ----------------------------------------------------------------------

local function is_system(message)
  return message.role == "system" or message.role == "developer"
end

local function text_of(content)
  if type(content) == "string" then return content end
  local texts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts, "\n")
end

-- Exactly one system message, at the front: all of them in one, an empty one if there was none.
-- nil when that is so already.
local function with_one_system(messages)
  local texts, rest = {}, json.array {}
  for _, message in ipairs(messages) do
    if is_system(message) then
      texts[#texts + 1] = text_of(message.content)
    else
      rest[#rest + 1] = message
    end
  end
  if #texts == 1 and messages[1].role == "system" then return nil end
  table.insert(rest, 1, { role = "system", content = table.concat(texts, "\n\n") })
  return rest
end

--- @param _ Call
--- @param _ Candidate
--- @param body string
--- @return string
function M.prepare(_, _, body)
  local messages = json.get(body, "messages")
  if json.type(messages) ~= "array" then return body end
  messages = json.decode(messages, MESSAGES)
  if not messages then return body end -- what is nested too deeply is for the upstream to refuse
  for _, message in ipairs(messages) do
    if json.type(message) ~= "object" then return body end
  end
  local changed = with_one_system(messages)
  return changed and assert(json.splice(body, "messages", changed)) or body
end

-- --- the call ------------------------------------------------------------------------------------

-- The service counts 60 requests a minute for each account: the one too many is not sent.
local function over_the_minute(credential)
  local now = timer.wall()
  local left = MINUTE - now % MINUTE
  local count = store.add("qwen-minute:" .. credential.id .. ":" .. now // MINUTE, 1, MINUTE)
  if count <= REQUESTS then return nil end
  return errors.new("upstream", "60 requests a minute are the limit of a Qwen account",
    { status = 429, retry_after = left })
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local problem = over_the_minute(candidate.credential)
  if problem then return nil, problem end
  return chat_request.new(call, candidate, {
    ["x-dashscope-authtype"] = "qwen-oauth", ["x-dashscope-cachecontrol"] = "enable",
  })
end

local function is_quota(problem)
  for _, text in ipairs { problem.code or "", problem.kind or "", problem.message } do
    text = lower(text)
    if find(text, "insufficient_quota", 1, true) or find(text, "quota_exceeded", 1, true)
        or find(text, "free allocated quota exceeded", 1, true) then
      return true
    end
  end
  return false
end

--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem?
function M.classify(status, body, response)
  if status ~= 401 and status ~= 403 and status ~= 429 then return nil end
  local problem = errors.from_status(status, body, response, "chat")
  if status ~= 401 and is_quota(problem) then
    problem.status, problem.verdict = 429, "quota"
  elseif status ~= 429 then
    problem.message = problem.message .. OVER
    problem.body = nil
  end
  return problem
end

return M
