--- What a failure means: for the credential (which cooldown, models.cooldowns) and for the request
--- (who else may try).

local errors = require "lib.errors"
local rules = require "core.error_rules"
local wire = require "models.errors"

local find, lower = string.find, string.lower

local M = {}

-- 400 and 422 that say the account cannot use the model.  "The model does not support temperature"
-- is the request's fault, so the words must be about the model itself.
local function says_unsupported(problem)
  if problem.code == "model_not_supported" or problem.code == "model_not_found" then return true end
  local text = lower(problem.message)
  for _, words in ipairs(wire.unsupported_words) do
    if find(text, words) then return true end
  end
  return false
end

local function is_invalid_grant(problem)
  return problem.code == "invalid_grant" or problem.kind == "invalid_grant"
    or find(problem.message, "invalid_grant", 1, true) ~= nil
end

local function of_failed_call(problem)
  -- Whoever hung up, nobody is to blame.
  if problem.code == "broken" or problem.class == "internal" then return "other" end
  return "transient"
end

local by_status = {}

by_status[429] = function() return "quota" end

by_status[402] = function() return "payment_required" end

by_status[401] = function(problem)
  if is_invalid_grant(problem) then return "needs_login" end
  if problem.kind ~= "authentication_error" and wire.request_codes[problem.code or ""] then
    return "request"
  end
  return "unauthorized"
end

by_status[404] = function(problem)
  if wire.request_codes[problem.code or ""] then return "request" end
  return errors.about_model(problem) and "unsupported" or "other"
end

by_status[400] = function(problem)
  if is_invalid_grant(problem) then return "needs_login" end
  return says_unsupported(problem) and "unsupported" or "request"
end

by_status[422] = function(problem)
  return says_unsupported(problem) and "unsupported" or "request"
end

by_status[409] = function() return "request" end

by_status[413] = by_status[409]

by_status[403] = function(problem)
  if wire.request_codes[problem.code or ""] then return "request" end
  return problem.challenge and "challenge" or "forbidden"
end

local function of_answer(problem)
  local status = problem.status
  local known = by_status[status]
  if known then return known(problem) end
  if problem.code and wire.request_codes[problem.code] then return "request" end
  if problem.challenge then return "challenge" end
  if status == 408 or status >= 500 then return "transient" end
  return "other"
end

--- The verdict on a failure.
--- "request": the request's own fault, nobody else would do better.  "other": no cooldown, but
--- another candidate may do better.  The others are rows of models.cooldowns.
--- @param problem Problem
--- @return string
function M.of(problem)
  if problem.verdict then return problem.verdict end
  if problem.class ~= "upstream" then return of_failed_call(problem) end
  return of_answer(problem)
end

--- The verdict on a failure of one candidate, whose entry may have rules of its own.
--- @param problem Problem
--- @param candidate Candidate
--- @return string verdict  for the credential
--- @return boolean stop  nobody else is to be asked
function M.on(problem, candidate)
  local verdict = M.of(problem)
  local action = rules.action(problem, candidate)
  if not action then return verdict, verdict == "request" end
  -- A rule that wants a rest gives one, whatever the status.
  if not action.rest then
    verdict = action.stop and "request" or "other"
  elseif verdict == "request" or verdict == "other" then
    verdict = "transient"
  end
  return verdict, action.stop
end

return M
