--- Arguments of a call that arrive path by path (`partialArgs`).

local json = require "json"

local byte, find, match, tonumber, type =
  string.byte, string.find, string.match, tonumber, type

local M = {}

local MAX_DEPTH = 32
-- Elements come one after the other; a hole would be a mistake or an attack.
local MAX_GAP = 1

-- The steps of a path such as `$.items[0].name`; nil when it is none.
local function steps_of(path)
  local steps, at = {}, byte(path, 1) == 36 and 2 or 1
  if at == 1 and find(path, "^[%a_]") then path = "." .. path end
  while at <= #path do
    local name, stop = match(path, "^%.([^%.%[%]]+)()", at)
    if not name then
      name, stop = match(path, "^%['([^']*)'%]()", at)
    end
    if not name then
      name, stop = match(path, '^%["([^"]*)"%]()', at)
    end
    if not name then
      local digits
      digits, stop = match(path, "^%[(%d+)%]()", at)
      name = digits and #digits < 9 and tonumber(digits) + 1
    end
    if not name or #steps >= MAX_DEPTH then return nil end
    steps[#steps + 1] = name
    at = stop
  end
  return steps[1] ~= nil and steps or nil
end

local function fits(node, step)
  if type(node) ~= "table" then return false end
  if type(step) == "number" then
    return json.is_array(node) and step <= #node + MAX_GAP
  end
  return not json.is_array(node)
end

local function value_of(part)
  if type(part.stringValue) == "string" then return part.stringValue end
  if type(part.numberValue) == "number" then return part.numberValue end
  if type(part.boolValue) == "boolean" then return part.boolValue end
  if part.nullValue ~= nil then return json.null end
  return nil
end

--- Puts one partial argument in its place; text that goes on is appended.
--- @param root table  the object so far
--- @param part any  {jsonPath, stringValue, numberValue, boolValue, nullValue}
function M.apply(root, part)
  if type(part) ~= "table" then return end
  local path = part.jsonPath or part.json_path
  local steps = type(path) == "string" and steps_of(path)
  local value = value_of(part)
  if not steps or value == nil then return end
  local node = root
  for i = 1, #steps - 1 do
    local step = steps[i]
    if not fits(node, step) then return end
    if type(node[step]) ~= "table" then
      node[step] = type(steps[i + 1]) == "number" and json.array {} or {}
    end
    node = node[step]
  end
  local step = steps[#steps]
  if not fits(node, step) then return end
  local before = node[step]
  if type(before) == "string" and type(value) == "string" then value = before .. value end
  node[step] = value
end

return M
