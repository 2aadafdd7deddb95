--- Whose turn it is: round-robin over candidates, and the cooldowns that keep some out.
---
--- In the store: `turn:` cursors; `cool:` reasons, which expire with the cooldown; `level:` how
--- often a quota refused in a row.

local config = require "config"
local errors = require "lib.errors"
local store = require "store"
local trace = require "core.trace"
local wire = require "models.errors"

local find, format, lower, match = string.find, string.format, string.lower, string.match
local get = store.get

local HALF_HOUR, HALF_DAY = 1800, 43200
-- A row of refusals is forgotten after this long without one.
local LEVEL_LIFE = 7200

local M = {}

-- 400 and 422 that say the account cannot use the model.  "The model does not support temperature"
-- is the request's fault, so the words must be about the model itself.
local function says_unsupported(problem)
  if problem.code == "model_not_supported" or problem.code == "model_not_found" then return true end
  local text = lower(problem.message)
  return find(text, "model %S* ?is not supported") ~= nil
    or find(text, "model is not supported", 1, true) ~= nil
    or find(text, "unsupported model", 1, true) ~= nil
    or find(text, "model %S* ?does not exist") ~= nil
    or find(text, "model %S* ?is not available") ~= nil
end

--- What a failure means for the credential.
--- "request": the request's own fault, nobody else would do better.  "transient", "quota",
--- "unauthorized", "payment_required", "forbidden", "unsupported": see the cooldown table.
--- "other": no cooldown, but another candidate may do better.
--- @param problem Problem
--- @return string
function M.verdict(problem)
  if problem.verdict then return problem.verdict end
  if problem.class ~= "upstream" then
    if problem.code == "broken" or problem.class == "internal" then return "other" end
    return "transient"
  end
  local status = problem.status
  if status == 429 then return "quota" end
  if status == 402 then return "payment_required" end
  if (status == 400 or status == 401) and (problem.code == "invalid_grant"
      or problem.kind == "invalid_grant" or find(problem.message, "invalid_grant", 1, true)) then
    return "unauthorized"
  end
  if status == 401 then
    if problem.kind ~= "authentication_error" and wire.request_codes[problem.code or ""] then
      return "request"
    end
    return "unauthorized"
  end
  if status == 404 then return errors.about_model(problem) and "unsupported" or "other" end
  if (status == 400 or status == 422) and says_unsupported(problem) then return "unsupported" end
  if status == 400 or status == 409 or status == 413 or status == 422 then return "request" end
  if problem.code and wire.request_codes[problem.code] then return "request" end
  if status == 403 then return "forbidden" end
  if status == 408 or status >= 500 then return "transient" end
  return "other"
end

--- Why a candidate must wait, or nil.
--- @param candidate Candidate
--- @return string? reason  "quota", "transient", ...
--- @return number? seconds
--- @return string? last  what the upstream said
function M.blocked(candidate)
  local value, seconds = get(candidate.cool)
  if not value then return nil end
  local reason, last = match(value, "^(%a[%w_]*) ?(.*)$")
  return reason, seconds, last
end

-- Appends a group's usable candidates, beginning with the one whose turn it is.
local function take_turns(order, group, call, retrying)
  local usable = {}
  for _, candidate in ipairs(group.candidates) do
    local reason, seconds, last = M.blocked(candidate)
    if not reason or retrying and retrying[candidate] == "transient" and reason == "transient" then
      usable[#usable + 1] = candidate
    else
      trace.refused(call, candidate, reason, seconds, last)
    end
  end
  local count = #usable
  if count == 0 then return end
  local first = count > 1 and (store.add(group.cursor) - 1) % count or 0
  for i = 0, count - 1 do order[#order + 1] = usable[(first + i) % count + 1] end
end

--- The candidates to try, in order; blocked ones are left out.
--- @param resolution table
--- @param call Call
--- @param retrying table<Candidate, string>?  verdicts of this request's own earlier rounds
--- @return Candidate[]
function M.order(resolution, call, retrying)
  local groups = resolution.groups
  local count = #groups
  local only = groups[1].candidates
  -- The common case costs one look into the store and no table.
  if count == 1 and #only == 1 and not retrying and not get(only[1].cool) then return only end
  local order = {}
  local first = count > 1 and (store.add(resolution.cursor) - 1) % count or 0
  for i = 0, count - 1 do take_turns(order, groups[(first + i) % count + 1], call, retrying) end
  return order
end

--- Lets the next request begin one candidate later: this one's turn went to a failure.
--- @param resolution table
--- @param candidate Candidate
function M.advance(resolution, candidate)
  for _, group in ipairs(resolution.groups) do
    if group.name == candidate.credential.name then store.add(group.cursor) end
  end
end

--- An answer came: the row of refusals ends.
--- @param candidate Candidate
function M.succeeded(candidate)
  if get(candidate.level) then store.set(candidate.level, nil) end
  if get(candidate.cool) then store.set(candidate.cool, nil) end
end

local function others_usable(resolution, candidate)
  for _, group in ipairs(resolution.groups) do
    for _, other in ipairs(group.candidates) do
      if other ~= candidate and not get(other.cool) then return true end
    end
  end
  return false
end

local function quota_seconds(candidate, problem)
  if problem.retry_after and problem.retry_after > 0 then return problem.retry_after end
  -- Parallel refusals of one window count once.
  if get(candidate.cool) then return nil end
  local level = store.add(candidate.level, 1, LEVEL_LIFE)
  return math.min(1 << math.min(level - 1, 11), HALF_HOUR)
end

local function cooldown_seconds(resolution, candidate, problem, verdict)
  if verdict == "quota" then return quota_seconds(candidate, problem) end
  if verdict == "unauthorized" or verdict == "payment_required" or verdict == "forbidden" then
    return HALF_HOUR
  end
  if verdict == "unsupported" then return HALF_DAY end
  if verdict == "transient" then
    local seconds = config.values["transient-error-cooldown-seconds"] or 0
    if seconds < 0 or not others_usable(resolution, candidate) then return nil end
    return seconds == 0 and 60 or seconds
  end
  return nil
end

--- Records a failure: the candidate may have to wait.
--- @param resolution table
--- @param candidate Candidate
--- @param problem Problem
--- @param verdict string
function M.failed(resolution, candidate, problem, verdict)
  -- An entry's own word counts more than the general one.
  local off = candidate.credential.entry["disable-cooling"]
  if off == nil then off = config.values["disable-cooling"] end
  if off then return end
  local seconds = cooldown_seconds(resolution, candidate, problem, verdict)
  if not seconds then return end
  local last = format("%d %s", errors.status(problem, "chat"), problem.message)
  store.set(candidate.cool, verdict .. " " .. last:sub(1, 200), seconds)
end

local function clock(seconds)
  seconds = math.ceil(seconds)
  if seconds < 60 then return seconds .. "s" end
  if seconds < 3600 then return format("%dm%ds", seconds // 60, seconds % 60) end
  return format("%dh%dm", seconds // 3600, seconds % 3600 // 60)
end

--- The problem of a model whose candidates all have to wait.
--- @param resolution table
--- @return Problem
function M.exhausted(resolution)
  local earliest, last, all_quota, names = nil, nil, true, {}
  for _, group in ipairs(resolution.groups) do
    names[#names + 1] = group.name
    for _, candidate in ipairs(group.candidates) do
      local reason, seconds, said = M.blocked(candidate)
      if reason and reason ~= "quota" then all_quota = false end
      if reason and seconds and (not earliest or seconds < earliest) then
        earliest, last = seconds, said
      end
    end
  end
  local message = format("%s `%s` via %s%s%s",
    all_quota and "All credentials are cooling down for model" or "No usable credential for model",
    resolution.id, table.concat(names, ", "),
    earliest and "; the next one is free in " .. clock(earliest) or "",
    last and last ~= "" and "; last upstream error: " .. last or "")
  return errors.new(all_quota and "cooling" or "no_credential", message, { retry_after = earliest })
end

return M
