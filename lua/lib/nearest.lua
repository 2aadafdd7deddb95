--- The known names that are most like a given one.

local byte, find, lower, min = string.byte, string.find, string.lower, math.min

local M = {}

local LENGTH_MAX = 80

-- How many characters must be changed, put in or taken out; swapped neighbours count once.
local function distance(a, b)
  local before, last, row = nil, {}, nil
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row = { [0] = i }
    for j = 1, #b do
      local same = byte(a, i) == byte(b, j)
      local cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if before and j > 1 and byte(a, i) == byte(b, j - 1) and byte(a, i - 1) == byte(b, j) then
        cost = min(cost, before[j - 2] + 1)
      end
      row[j] = cost
    end
    before, last = last, row
  end
  return last[#b]
end

-- Small for names that are alike; nil for those that are not.
local function unlikeness(wanted, name)
  local a, b = lower(wanted), lower(name)
  if a == b then return 0 end
  if find(b, a, 1, true) or find(a, b, 1, true) then return 1 + math.abs(#a - #b) / 100 end
  local changes = distance(a, b)
  return changes <= math.max(2, #a // 2) and 1 + changes or nil
end

--- @param wanted string
--- @param names string[]
--- @param count integer  at most so many
--- @return string[]  the best first
function M.of(wanted, names, count)
  local found = {}
  wanted = wanted:sub(1, LENGTH_MAX)
  for _, name in ipairs(names) do
    local far = #name <= LENGTH_MAX and unlikeness(wanted, name)
    if far then found[#found + 1] = { name, far } end
  end
  table.sort(found, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  local list = {}
  for i = 1, min(count, #found) do list[i] = found[i][1] end
  return list
end

return M
