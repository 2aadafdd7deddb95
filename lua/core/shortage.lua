--- What is said, and how long is waited, when nobody can serve now.

local config = require "config"
local errors = require "lib.errors"
local plans = require "core.plans"
local selector = require "core.selector"

local concat, format = table.concat, string.format

local M = {}

local INTERVAL = 30

local function clock(seconds)
  seconds = math.ceil(seconds)
  if seconds < 60 then return seconds .. "s" end
  if seconds < 3600 then return format("%dm%ds", seconds // 60, seconds % 60) end
  if seconds < 86400 then return format("%dh%dm", seconds // 3600, seconds % 3600 // 60) end
  return format("%dd%dh", seconds // 86400, seconds % 86400 // 3600)
end

-- How all candidates stand together.
local function survey(resolution, call)
  local all = { quota_only = true, counts = {}, reasons = {} }
  for _, candidate in ipairs(plans.of(resolution).all) do
    local status = selector.status(candidate, call)
    local reason, seconds = status.reason or "tried", status.seconds
    if reason == "not_admitted" and status.last ~= "" then reason = status.last end
    if reason ~= "quota" then all.quota_only = false end
    if not all.counts[reason] then all.reasons[#all.reasons + 1] = reason end
    all.counts[reason] = (all.counts[reason] or 0) + 1
    if seconds and (not all.earliest or seconds < all.earliest) then all.earliest = seconds end
    if status.at and status.last ~= "" and status.at >= (all.at or 0) then
      all.last, all.at = status.last, status.at
    end
  end
  return all
end

local function providers(resolution)
  local names = {}
  for i, group in ipairs(resolution.groups) do names[i] = group.name end
  return concat(names, ", ")
end

local function reasons(all)
  local parts = {}
  for i, reason in ipairs(all.reasons) do
    parts[i] = all.counts[reason] .. " " .. reason:gsub("_", " ")
  end
  return concat(parts, ", ")
end

--- The problem of a model whose candidates all have to wait.
--- @param resolution table
--- @param call Call
--- @return Problem
function M.problem(resolution, call)
  local all = survey(resolution, call)
  local begin = all.quota_only and format("All credentials are cooling down for model `%s` via %s",
    resolution.id, providers(resolution))
    or format("No usable credential for model `%s` via %s (%s)", resolution.id,
      providers(resolution), reasons(all))
  local message = begin
    .. (all.earliest and "; the next one is free in " .. clock(all.earliest) or "")
    .. (all.last and "; last upstream error: " .. all.last or "")
  return errors.new(all.quota_only and "cooling" or "no_credential", message,
    { retry_after = all.earliest })
end

--- Seconds until somebody who is out of quota has it again, or nil.
--- @param resolution table
--- @return number?
function M.earliest(resolution)
  return survey(resolution).earliest
end

--- Seconds until a further round makes sense, or nil.
--- @param resolution table
--- @param passed Passed  of the round that comes
--- @param call Call
--- @return number?
function M.pause(resolution, passed, call)
  local plan, shortest = plans.of(resolution), nil
  for _, candidate in ipairs(plan.all) do
    local allowed = selector.takes_part(candidate, plan, passed)
      and not plans.is_excluded(candidate)
    local reason, seconds = selector.blocked(candidate, call)
    -- An upstream's passing trouble may be over soon.
    if not reason or reason == "transient" then seconds = passed.round end
    if allowed and seconds and (not shortest or seconds < shortest) then shortest = seconds end
  end
  local most = config.values["max-retry-interval"] or INTERVAL
  if not shortest or shortest > most then return nil end
  return shortest + math.random() * math.min(shortest / 4, 2)
end

return M
