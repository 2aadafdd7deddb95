--- How candidates take turns: one function a strategy, over what is usable now.
---
--- Turns are counted in the store, for all workers together.  `again` means that the call's first
--- choice failed: who steps in is counted apart, so that it is the others in turn.

local store = require "store"

local concat = table.concat

-- Weights are brought down to at most this many turns a cycle.
local CYCLE_MAX = 1000

local M = {}

local function turn(cursor, count, again)
  if count == 1 then return 1 end
  return (store.add(again and cursor .. ":again" or cursor) - 1) % count + 1
end

--- Providers in turn, and the accounts of each in turn.
M["round-robin"] = function(_, usable, again)
  local group = usable[turn(usable.cursor, #usable, again)]
  return group[turn(group.cursor, #group, again)]
end

--- The first one that can.
M["fill-first"] = function(_, usable)
  return usable[1][1]
end

local function divisor(a, b)
  while b ~= 0 do a, b = b, a % b end
  return a
end

-- The turns of one cycle, each candidate as often as its weight says and spread evenly: in each
-- turn everybody gains his weight, and who has most is served and pays what all gained.
local function cycle_of(list, weight_of)
  local weights, total, common = {}, 0, 0
  for i, candidate in ipairs(list) do
    weights[i] = weight_of[candidate]
    total, common = total + weights[i], divisor(weights[i], common)
  end
  local scale = total // common > CYCLE_MAX and total / CYCLE_MAX or common
  total = 0
  for i, weight in ipairs(weights) do
    weights[i] = math.max(1, math.floor(weight / scale + 0.5))
    total = total + weights[i]
  end
  local cycle, saved = {}, {}
  for i = 1, #list do saved[i] = 0 end
  for n = 1, total do
    local best = 1
    for i, weight in ipairs(weights) do
      saved[i] = saved[i] + weight
      if saved[i] > saved[best] then best = i end
    end
    saved[best] = saved[best] - total
    cycle[n] = list[best]
  end
  return cycle
end

--- Everybody by weight, whatever the provider.
M["weighted-round-robin"] = function(tier, usable, again)
  local list, names = {}, {}
  for _, group in ipairs(usable) do
    for _, candidate in ipairs(group) do
      list[#list + 1] = candidate
      names[#names + 1] = candidate.cool
    end
  end
  if #list == 1 then return list[1] end
  -- Who is usable changes seldom: the last cycles are kept.
  local key = concat(names, "\n")
  local kept = tier.cycles
  if not kept or kept.count > 32 then
    kept = { count = 0 }
    tier.cycles = kept
  end
  local cycle = kept[key]
  if not cycle then
    cycle = cycle_of(list, tier.weights)
    kept[key], kept.count = cycle, kept.count + 1
  end
  return cycle[turn(usable.cursor, #cycle, again)]
end

return M
