--- What Google says went wrong: delays, quotas and links in the `details` of an error.

local duration = require "lib.duration"
local errors = require "lib.errors"
local google = require "lib.google"
local json = require "json"
local models = require "models.google"

local find, match = string.find, string.match

local objects, text_of = google.objects, google.text

local M = {}

-- "after 17s", "retry in 2.5s", "reset after 18h31m10s."
local function seconds_in(message)
  return duration.seconds(match(message, "after (%d[%d.hms]*[hms])")
    or match(message, "retry in (%d[%d.hms]*[hms])"))
end

-- The day of the month of the nth Sunday.
local function sunday(year, month, nth)
  local first = os.date("*t", os.time { year = year, month = month, day = 1, hour = 12 })
  return 1 + (8 - first.wday) % 7 + 7 * (nth - 1)
end

-- Hours that California is behind UTC at a moment.
local function hours_behind(unix)
  local here = os.date("!*t", unix - 8 * 3600)
  local year, month, day = here.year, here.month, here.day
  local summer = month > 3 and month < 11
    or month == 3 and (day > sunday(year, 3, 2) or day == sunday(year, 3, 2) and here.hour >= 2)
    or month == 11 and (day < sunday(year, 11, 1) or day == sunday(year, 11, 1) and here.hour < 1)
  return summer and 7 or 8
end

--- Seconds until daily quotas begin anew: midnight in California.
--- @param unix integer
--- @return integer
function M.until_tomorrow(unix)
  local offset = hours_behind(unix) * 3600
  local midnight = (unix - offset) // 86400 * 86400 + 86400
  -- The night in between may have changed the clock.
  return midnight + hours_behind(midnight + offset) * 3600 - unix
end

-- --- details -------------------------------------------------------------------------------------

local function is_daily(violation)
  for _, word in ipairs(models.daily) do
    if find(text_of(violation.quotaId) or "", word, 1, true) then return true end
  end
  return false
end

-- The link that a person has to follow, before those that only explain.
local function link_of(detail)
  local fallback
  for _, link in ipairs(objects(detail.links)) do
    local url = text_of(link.url)
    if url and find(url, "^https://") then
      if not find(text_of(link.description) or "", "[Ll]earn more") then return url end
      fallback = fallback or url
    end
  end
  return fallback
end

-- Everything the details tell.  Some gateways leave `@type` out, so members tell them apart.
local function read(details)
  local found = {}
  for _, detail in ipairs(objects(details)) do
    local metadata = type(detail.metadata) == "table" and detail.metadata or {}
    found.delay = found.delay or duration.seconds(detail.retryDelay)
    found.reset = found.reset or duration.seconds(metadata.quotaResetDelay)
    found.reason = found.reason or text_of(detail.reason)
    found.link = link_of(detail) or found.link or text_of(metadata.validation_link)
    for _, violation in ipairs(objects(detail.violations)) do
      found.daily = found.daily or is_daily(violation)
    end
  end
  return found
end

-- An error that came as an array of one is told to clients as what is in it.
local function unwrap(problem)
  if not problem.body or not find(problem.body, "^%s*%[") then return end
  local inner = json.get(problem.body, { 1 })
  if json.type(inner) == "object" then problem.body = tostring(inner) end
end

local function rest(problem, found, rule)
  local delay = found.delay or found.reset or seconds_in(problem.message) or problem.retry_after
  if found.daily then
    return math.max(delay or 0, M.until_tomorrow(os.time()))
  end
  if rule and rule.most and delay then delay = math.min(delay, rule.most) end
  return delay or rule and rule.seconds
end

--- The problem of an answer with an error status.
--- @param status integer
--- @param body string
--- @param response Response?
--- @return Problem
--- @return string? reason  of google.rpc.ErrorInfo
function M.classify(status, body, response)
  local problem = errors.from_status(status, body, response, "gemini")
  if problem.class ~= "upstream" then return problem end
  local document = errors.decode(body)
  local inner = document and document.error
  if type(inner) ~= "table" then return problem end
  unwrap(problem)
  local found = read(inner.details)
  local rule = models.reasons[found.reason] or status ~= 429 and models.statuses[inner.status]
  if rule then problem.verdict, problem.scope = rule.verdict, rule.scope end
  if found.daily then problem.verdict = "quota" end
  if status == 429 or problem.verdict == "quota" then
    problem.retry_after = rest(problem, found, rule)
  end
  if status == 403 and found.link and not find(problem.message, found.link, 1, true) then
    problem.message = problem.message .. " (" .. found.link .. ")"
  end
  return problem, found.reason
end

return M
