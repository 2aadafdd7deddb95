--- What Anthropic's refusals mean for a credential: how long they last and what they cover.

local errors = require "lib.errors"
local times = require "lib.times"

local find, lower = string.find, string.lower

local M = {}

local UNIFIED = "anthropic-ratelimit-unified-"
-- The windows of a subscription; the last one is that of the largest models.
local WINDOWS = { "5h", "7d", "7d_oi" }
local OF_MODEL = "7d_oi"
-- All accounts of a limit would come back in the same second.
local GRACE_MAX = 30

-- Said to programs that a subscription's token is not meant for: no other account would do.
local not_meant = { "only authorized for use with claude code", "third%-party apps" }

-- Seconds until a moment: Unix seconds, or a date; nil when it is past or cannot be read.
local function seconds_until(text, now)
  if not text then return nil end
  local unix = times.unix(text)
  local seconds = unix and unix - now or not unix and errors.retry_after(text) or nil
  return seconds and seconds > 0 and seconds or nil
end

local function later(a, b)
  if not a or b and b > a then return b end
  return a
end

-- The windows that refuse: until when, and whether they cover all models.
local function rejected(header, now)
  local seconds, is_shared, is_any = nil, false, false
  for _, window in ipairs(WINDOWS) do
    if header(UNIFIED .. window .. "-status") == "rejected" then
      is_any = true
      is_shared = is_shared or window ~= OF_MODEL
      seconds = later(seconds, seconds_until(header(UNIFIED .. window .. "-reset"), now))
    end
  end
  if not is_any and header(UNIFIED .. "status") ~= "rejected" then return nil end
  seconds = later(seconds, seconds_until(header(UNIFIED .. "reset"), now))
  return seconds or 0, is_shared or not is_any
end

local function judge_limit(problem, header)
  local text = lower(problem.message)
  if find(text, "fast mode", 1, true) or find(text, "fast-mode", 1, true) then
    problem.verdict, problem.scope = "other", "request"
    return
  end
  if not header then return end
  local seconds, is_shared = rejected(header, os.time())
  if not seconds then return end
  seconds = later(problem.retry_after, seconds)
  if seconds > 0 then problem.retry_after = seconds + math.random(1, GRACE_MAX) end
  problem.scope = is_shared and "credential" or "model"
end

--- Adds what a problem means for the credential.
--- @param problem Problem  of class "upstream"
--- @param response Response?  nil for an error inside a stream
--- @return Problem
function M.judge(problem, response)
  local status, text = problem.status, lower(problem.message)
  if status >= 400 and status < 500 then
    for _, words in ipairs(not_meant) do
      if find(text, words) then
        problem.verdict, problem.scope = "request", "request"
        return problem
      end
    end
  end
  if status == 429 then
    judge_limit(problem, response and function(name) return response:header(name) end)
  elseif status == 403 and find(text, "oauth token has been revoked", 1, true) then
    -- As good as 401: a newer token may do.
    problem.status, problem.verdict, problem.scope = 401, "unauthorized", "credential"
    problem.body = nil
  elseif status == 400 and find(text, "credit balance is too low", 1, true) then
    problem.verdict, problem.scope = "payment_required", "credential"
  end
  return problem
end

return M
