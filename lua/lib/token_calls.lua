--- Calls of a token endpoint: what is asked again, and which refusals end a login.

local errors = require "lib.errors"
local oauth = require "lib.oauth"
local timer = require "timer"

local max, min = math.max, math.min

local M = {}

local ATTEMPTS = 3
-- Bounds of what a server may ask for: neither a storm nor a day lost.
local WAIT_MIN, WAIT_MAX = 5, 300

-- Failures after which the server may have done what was asked.  A refresh token may be spent then:
-- the same one is sent once more, for servers that answer a repetition as they answered before.
local lost = { timeout = true, broken = true, too_large = true }

-- Texts of a server may repeat what it was sent.
local function without(text, secret)
  if type(secret) ~= "string" or secret == "" then return text end
  local plain = secret:gsub("%p", "%%%0")
  return (text:gsub(plain, "***"))
end

-- The milliseconds come with the seconds and say more.
local function wait_of(answer)
  local ms = tonumber((answer.header "retry-after-ms"))
  local seconds = ms and ms / 1000 or errors.retry_after((answer.header "retry-after"))
  return seconds and max(WAIT_MIN, min(seconds, WAIT_MAX))
end

-- One call: an answer with a JSON object; else a problem, and whether it may be asked again.
local function ask_once(request)
  local answer, problem = oauth.call(request)
  if not answer then
    return nil, { message = problem.message }, true, lost[problem.code]
  end
  if answer.status == 200 then
    if answer.data then return answer end
    return nil, { message = "the answer is not JSON" }, true, true
  end
  local text, code = oauth.reason(answer)
  local found = { message = text, code = code, status = answer.status }
  if answer.status == 429 then found.retry_after = wait_of(answer) or WAIT_MIN end
  return nil, found, answer.status >= 500
end

--- Refreshes a token: up to three attempts, waiting 1 s and 2 s, at failures that may pass.
--- @param request OAuthRequest
--- @param secret string?  the refresh token, kept out of messages; nil: the file has none
--- @param final table<string, boolean>  codes of refusals after which only a login helps
--- @return table? data  of the answer
--- @return RefreshProblem? problem  with `code` and `status` of the answer
function M.refresh(request, secret, final)
  if not secret then
    return nil, { message = "the file has no refresh token", needs_login = true }
  end
  local answers_lost = 0
  for attempt = 1, ATTEMPTS do
    local answer, problem, again, was_lost = ask_once(request)
    if answer then return answer.data end
    answers_lost = answers_lost + (was_lost and 1 or 0)
    if not again or answers_lost > 1 or attempt == ATTEMPTS then
      problem.message = without(problem.message, secret)
      problem.needs_login = problem.status == 401 or problem.status == 400
        and final[problem.code or ""] or nil
      return nil, problem
    end
    timer.sleep(attempt)
  end
end

--- Exchanges a code for tokens, once: a code is good for one try.
--- @param request OAuthRequest
--- @return table? data
--- @return string? message
function M.exchange(request)
  local answer, problem = oauth.call(request)
  if not answer then
    return nil, "Failed to exchange authorization code for tokens: " .. problem.message
  end
  if answer.status ~= 200 then
    local text = oauth.reason(answer):gsub("^status %d+,? ?", "")
    return nil, "token exchange failed with status " .. answer.status
      .. (text ~= "" and ": " .. text or "")
  end
  if not answer.data or type(answer.data.access_token) ~= "string" then
    return nil, "Failed to parse token response"
  end
  return answer.data
end

--- A text that was given: not absent and not empty.
--- @param value any
--- @return string?
function M.given(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- What an answer of a token endpoint says, as members of the file.
--- @param kind string  the file's `type`
--- @param data table
--- @return table
function M.members(kind, data)
  return {
    type = kind, access_token = data.access_token, refresh_token = M.given(data.refresh_token),
    last_refresh = oauth.timestamp(timer.wall()), expired = oauth.expiry(data.expires_in),
  }
end

--- An address as part of a file name.
--- @param text string
--- @return string
function M.for_file(text)
  return (text:gsub("[%c/\\:*?\"<>|]", "_"))
end

return M
