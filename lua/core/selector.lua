--- Whose turn it is: picks one candidate after the other for a call.
---
--- The tier of the highest priority that has somebody; in it the account that has the conversation,
--- else the one whose turn it is by the strategy.  Resting candidates are left out, but for two: one
--- request in a while looks whether a long rest has ended early, and who rests for an upstream's
--- passing trouble is asked when nobody else is left.

local affinity = require "core.affinity"
local config = require "config"
local cooldowns = require "core.cooldowns"
local plans = require "core.plans"
local previews = require "core.previews"
local quota = require "models.quota"
local strategy = require "core.strategy"
local timer = require "timer"
local trace = require "core.trace"

local M = {}

-- What keeps an account from being asked before anything failed.
local function account_problem(credential)
  if credential.entry.disabled then return "disabled" end
  local expires = credential.expires
  if not expires or expires > timer.wall() then return nil end
  -- Tokens are renewed before use, so an expired one matters only when that is known to fail.
  if credential.problem then return "needs_login", credential.problem end
  if credential.refreshable == false then return "expired" end
end

-- The record of what keeps a candidate waiting, or from serving this very call; or nil.
local function standing(candidate, call)
  local credential, admits = candidate.credential, call and candidate.provider.admits
  if admits then
    local fine, why = admits(call, credential)
    if not fine then return { reason = "not_admitted", last = why or "" } end
  end
  if credential.expires or credential.entry.disabled then
    local reason, last = account_problem(credential)
    if reason then return { reason = reason, last = last or "" } end
  end
  return cooldowns.of(candidate)
end

--- Why a candidate is not asked now, or nil.
--- @param candidate Candidate
--- @param call Call?
--- @return string? reason  "quota", "transient", "needs_login", "not_admitted", ...
--- @return number? seconds  until it may be asked again, when that is known
--- @return string? last  what the upstream said
--- @return number? at  when that was, by timer.now()
function M.blocked(candidate, call)
  cooldowns.look()
  local record = standing(candidate, call)
  if not record then return nil end
  return record.reason, record.due and record.due - timer.now(), record.last, record.at
end

--- True when a candidate may be asked in this round, whatever its standing.
--- @param candidate Candidate
--- @param plan table
--- @param passed Passed
--- @return boolean
function M.takes_part(candidate, plan, passed)
  local project = passed.projects[candidate.provider.name]
  return (not project or project == candidate)
    and math.max(plan.rounds[candidate], passed.least) >= passed.round
end

local function stand_in(candidate, passed)
  return previews.next(candidate, function(other)
    return passed and passed.tried[other] or standing(other) ~= nil
  end)
end

-- A tier's usable candidates by group, with the one to `probe`; `found` gets the last resort.
local function gather(tier, plan, call, passed, found)
  local usable = { cursor = plan.cursor }
  for _, group in ipairs(tier.groups) do
    local list = { cursor = group.cursor }
    for _, candidate in ipairs(group) do
      if not passed or not passed.tried[candidate] and M.takes_part(candidate, plan, passed) then
        local record = standing(candidate, call)
        local instead = record and record.reason == "quota" and stand_in(candidate, passed)
        if not record or instead then
          list[#list + 1] = instead or candidate
        elseif call.operation ~= "count" and cooldowns.is_probe_due(candidate) then
          -- How counting ends is held against nobody, so it would find out nothing.
          usable.probe = usable.probe or candidate
        elseif record.reason == "transient" then
          if not found.due or record.due < found.due then
            found.resort, found.due = candidate, record.due
          end
        end
        if record and not passed then
          trace.refused(call, candidate, record.reason, record.due and record.due - timer.now(),
            record.last)
        end
      end
    end
    if #list > 0 then usable[#usable + 1] = list end
  end
  return usable
end

local function among(usable, wanted)
  for _, list in ipairs(usable) do
    for _, candidate in ipairs(list) do
      if candidate == wanted or candidate.base == wanted then return candidate end
    end
  end
end

-- The one whose turn it is, conversations aside.
local function in_turn(tier, plan, usable, passed)
  local probe = usable.probe
  if probe and cooldowns.claim_probe(probe) then return probe end
  if #usable == 0 then return nil end
  return strategy[plan.strategy](tier, usable, passed ~= nil)
end

local function choose(tier, plan, call, passed, found)
  local usable = gather(tier, plan, call, passed, found)
  local session = plan.movable and affinity.session(call)
  if not session then return in_turn(tier, plan, usable, passed) end
  local pinned = affinity.find(call, plan)
  local candidate = pinned and among(usable, pinned) or in_turn(tier, plan, usable, passed)
  if not candidate then return nil end
  -- Another call of the session may have been faster.
  local other = affinity.bind(call, plan, candidate)
  return other and among(usable, other) or candidate
end

--- The next candidate for a call.
--- @param resolution table  of core.router
--- @param call Call
--- @param passed Passed?  nil for a call that begins
--- @return Candidate?  nil when there is none left
function M.pick(resolution, call, passed)
  local plan = plans.of(resolution)
  call.resolution = resolution
  cooldowns.look()
  local only = plan.only
  if only and not passed and not standing(only, call) then return only end
  local found = {}
  for _, tier in ipairs(plan.tiers) do
    local candidate = choose(tier, plan, call, passed, found)
    if candidate then return candidate end
  end
  return found.resort
end

--- What a call has behind it.
--- @class Passed
--- @field tried table<Candidate, boolean>  in this round
--- @field projects table<string, Candidate>  by provider: the only one of its projects to be asked
--- @field round integer  from 0
--- @field least integer  rounds that everybody may take part in

--- Notes a failure and finds the same account's next model, when a quota refused this one.
--- @param passed Passed
--- @param candidate Candidate
--- @param verdict string
--- @return Candidate?
function M.pass(passed, candidate, verdict)
  cooldowns.look()
  passed.tried[candidate] = true
  if candidate.base then passed.tried[candidate.base] = true end
  if verdict ~= "quota" then return nil end
  local instead = stand_in(candidate, passed)
  local switches = config.values["quota-exceeded"]
  if not instead and quota.projects[candidate.provider.name]
      and switches and switches["switch-project"] == false then
    passed.projects[candidate.provider.name] = candidate.base or candidate
  end
  return instead
end

--- True when somebody besides a candidate could be asked at once.
--- @param resolution table
--- @param candidate Candidate
--- @return boolean
function M.has_others(resolution, candidate)
  cooldowns.look()
  for _, other in ipairs(plans.of(resolution).all) do
    if other ~= (candidate.base or candidate) and not plans.is_excluded(other)
        and not standing(other) then
      return true
    end
  end
  return false
end

--- @class Standing
--- @field usable boolean
--- @field reason string?  "quota", "transient", "needs_login", "weight", ...
--- @field seconds number?  until it may be asked again
--- @field last string?  what the upstream said, and when by timer.now():
--- @field at number?
--- @field session boolean?  it has this call's conversation
--- @field weight integer
--- @field priority integer

--- How a candidate stands, for people.
--- @param candidate Candidate
--- @param call Call?  tells whose conversation is asked about
--- @param resolution table?  of that call, when it was not served yet
--- @return Standing
function M.status(candidate, call, resolution)
  local reason, seconds, last, at = M.blocked(candidate, call)
  if not reason and plans.is_excluded(candidate) then reason = "weight" end
  local status = {
    usable = reason == nil, reason = reason, seconds = seconds, last = last, at = at,
    weight = plans.weight(candidate), priority = plans.priority(candidate),
  }
  resolution = resolution or call and call.resolution
  if call and resolution then
    status.session = affinity.find(call, plans.of(resolution)) == candidate
  end
  return status
end

return M
