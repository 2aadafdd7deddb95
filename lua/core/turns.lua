--- In which order the next request would ask, found out without making it anybody's turn.

local cooldowns = require "core.cooldowns"
local plans = require "core.plans"
local store = require "store"
local strategy = require "core.strategy"
local task = require "task"

local M = {}

-- Copies of the counters of turns, so that asking makes it nobody's turn.
local function copies()
  local made, prefix = {}, "explain:" .. (task.id() or "") .. ":"
  local self = {}
  function self.of(cursor)
    for _, name in ipairs { cursor, cursor .. ":again" } do
      made[#made + 1] = prefix .. name
      store.set(prefix .. name, store.get(name), 60)
    end
    return prefix .. cursor
  end
  function self.remove()
    for _, name in ipairs(made) do store.set(name, nil) end
  end
  return self
end

local function remove(usable, candidate)
  for i, group in ipairs(usable) do
    for k, other in ipairs(group) do
      if other == candidate then
        table.remove(group, k)
        if #group == 0 then table.remove(usable, i) end
        return
      end
    end
  end
end

-- Appends a tier's candidates in the order in which a request asks them.
local function add_tier(order, tier, plan, kept, cursors)
  local usable = { cursor = cursors.of(plan.cursor) }
  for _, group in ipairs(tier.groups) do
    local list = { cursor = cursors.of(group.cursor) }
    for _, candidate in ipairs(group) do
      if kept[candidate] == "probe" then
        table.insert(order, candidate)
      elseif kept[candidate] == true then
        list[#list + 1] = candidate
      end
    end
    if #list > 0 then usable[#usable + 1] = list end
  end
  local again = false
  while #usable > 0 do
    local candidate = strategy[plan.strategy](tier, usable, again)
    order[#order + 1] = candidate
    remove(usable, candidate)
    again = true
  end
end

--- The order of a request that begins a conversation.
--- @param resolution table
--- @param kept table<Candidate, boolean|string>  the usable ones; "probe": whether a rest has ended
---   is to be seen
--- @return Candidate[]
function M.order(resolution, kept)
  local plan, order, cursors = plans.of(resolution), {}, copies()
  for _, tier in ipairs(plan.tiers) do add_tier(order, tier, plan, kept, cursors) end
  cursors.remove()
  return order
end

--- Who rests for an upstream's passing trouble is asked all the same when nobody else is left.
--- @param resolution table
--- @param rows table<Candidate, table>
--- @return Candidate?
function M.last_resort(resolution, rows)
  local found
  for _, candidate in ipairs(plans.of(resolution).all) do
    local row = rows[candidate]
    if row.reason == "cooling_transient" and (not found or row.seconds < rows[found].seconds) then
      found = candidate
    end
  end
  return found
end

--- True when the next request looks whether a long rest has ended early.
--- @param candidate Candidate
--- @return boolean
function M.is_probed(candidate)
  if not cooldowns.is_probe_due(candidate) then return false end
  for _, rest in ipairs(cooldowns.describe(candidate.credential.id)) do
    if (rest.model == nil or rest.model == candidate.model) and rest.probe then return false end
  end
  return true
end

return M
