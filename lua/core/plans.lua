--- The candidates of a resolution as the selector walks over them: tiers of equal priority, each
--- with its groups.  Made once for each resolution, which belongs to one set of credentials.

local config = require "config"
local strategy = require "core.strategy"

local sort = table.sort

local M = {}

-- Token files are written by hand too: what is no number there is not given.
local function number(value)
  local found = tonumber(value)
  return found and math.tointeger(found // 1)
end

--- @param candidate Candidate
--- @return integer
function M.priority(candidate)
  return number(candidate.credential.entry.priority) or 0
end

--- @param candidate Candidate
--- @return integer
function M.weight(candidate)
  local credential = candidate.credential
  -- A key of an entry may have its own.
  return number(credential.weight) or number(credential.entry.weight) or 1
end

--- The strategy in force.
--- @return string
function M.strategy()
  local routing = config.values.routing
  local name = routing and routing.strategy
  return strategy[name] and name or "round-robin"
end

--- True when a candidate never gets a turn.
--- @param candidate Candidate
--- @return boolean
function M.is_excluded(candidate)
  return M.weight(candidate) <= 0 and M.strategy() == "weighted-round-robin"
end

-- What a session remembers of a candidate: its credential, and the model when the credential has
-- several behind one name.
local function name_pins(plan)
  local counts = {}
  for _, candidate in ipairs(plan.all) do
    local id = candidate.credential.id
    counts[id] = (counts[id] or 0) + 1
  end
  plan.pins, plan.by_pin = {}, {}
  for _, candidate in ipairs(plan.all) do
    local id = candidate.credential.id
    local pin = counts[id] == 1 and id or id .. "\t" .. candidate.model
    plan.pins[candidate], plan.by_pin[pin] = pin, candidate
  end
end

local function tier_of(plan, priority)
  for _, tier in ipairs(plan.tiers) do
    if tier.priority == priority then return tier end
  end
  local tier = { priority = priority, groups = {}, weights = {} }
  plan.tiers[#plan.tiers + 1] = tier
  return tier
end

-- Additional rounds that each candidate takes part in.
local function count_rounds(plan)
  local usual = config.values["request-retry"] or 0
  plan.rounds, plan.most_rounds = {}, 0
  for _, candidate in ipairs(plan.all) do
    local rounds = number(candidate.credential.entry["request-retry"]) or usual
    plan.rounds[candidate] = rounds
    plan.most_rounds = math.max(plan.most_rounds, rounds)
  end
end

local function build(resolution)
  local plan = { tiers = {}, all = {}, cursor = resolution.cursor, strategy = M.strategy() }
  for _, group in ipairs(resolution.groups) do
    for _, candidate in ipairs(group.candidates) do
      plan.all[#plan.all + 1] = candidate
      if not M.is_excluded(candidate) then
        local tier = tier_of(plan, M.priority(candidate))
        local own = tier.groups[#tier.groups]
        if not own or own.name ~= group.name then
          own = { name = group.name, cursor = group.cursor }
          tier.groups[#tier.groups + 1] = own
        end
        own[#own + 1] = candidate
        tier.weights[candidate] = M.weight(candidate)
      end
    end
  end
  sort(plan.tiers, function(a, b) return a.priority > b.priority end)
  name_pins(plan)
  count_rounds(plan)
  local all = plan.all
  plan.movable = #all > 1
  -- The common case has its own way through the selector.
  if #all == 1 and #plan.tiers == 1 then plan.only = all[1] end
  return plan
end

--- @param resolution table  of core.router
--- @return table plan  `tiers`; `all` candidates; the `only` one; whether calls are `movable`;
---   `pins` by candidate and candidates `by_pin`; `rounds` by candidate and the `most_rounds`
function M.of(resolution)
  local plan = resolution.plan
  if not plan then
    plan = build(resolution)
    resolution.plan = plan
  end
  return plan
end

return M
