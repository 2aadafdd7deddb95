--- Typed readers for decoded bodies.
---
--- `path` is where the object stands ("" or nil for the top level).  Absent members and null give
--- nil.  A wrong type is refused by the readers for clients, and gives nil from those of `M.soft`,
--- which are for upstreams: their nonsense is skipped, never fatal.

local json = require "json"
local reject = require "lib.reject"

local is_array, null = json.is_array, json.null
local math_type, tointeger, type = math.type, math.tointeger, type

local M = { soft = {} }
local soft = M.soft

--- @param path string?
--- @param name string|integer
--- @return string
function M.path(path, name)
  if type(name) == "number" then return (path or "") .. "[" .. name - 1 .. "]" end
  if not path or path == "" then return name end
  return path .. "." .. name
end

local function wrong(path, name, wanted)
  return reject.bad(M.path(path, name), "must be " .. wanted)
end

--- @return string?
function M.string(object, name, path)
  local value = object[name]
  if value == nil or type(value) == "string" then return value end
  if value == null then return nil end
  wrong(path, name, "a string")
end

--- @return integer?
function M.integer(object, name, path)
  local value = object[name]
  if value == nil or value == null then return nil end
  -- 10.0 is what some languages write for 10.
  local whole = math_type(value) and tointeger(value)
  if not whole then wrong(path, name, "an integer") end
  return whole
end

--- @return number?
function M.number(object, name, path)
  local value = object[name]
  if value == nil or value == null then return nil end
  if type(value) ~= "number" then wrong(path, name, "a number") end
  return value
end

--- @return boolean?
function M.boolean(object, name, path)
  local value = object[name]
  if value == nil or value == null then return nil end
  if type(value) ~= "boolean" then wrong(path, name, "true or false") end
  return value
end

--- @return table?
function M.list(object, name, path)
  local value = object[name]
  if value == nil or value == null then return nil end
  if type(value) ~= "table" or not is_array(value) then wrong(path, name, "an array") end
  return value
end

--- @return table?
function M.object(object, name, path)
  local value = object[name]
  if value == nil or value == null then return nil end
  if type(value) ~= "table" or is_array(value) then wrong(path, name, "an object") end
  return value
end

--- @param known table<string, any>  the allowed values as names
--- @return string?
function M.enum(object, name, path, known)
  local value = M.string(object, name, path)
  if value ~= nil and known[value] == nil then
    local names = {}
    for each in pairs(known) do names[#names + 1] = "'" .. each .. "'" end
    table.sort(names)
    wrong(path, name, "one of " .. table.concat(names, ", "))
  end
  return value
end

--- An element of a list that has to be an object.
--- @return table
function M.element(list, index, path)
  local value = list[index]
  if type(value) ~= "table" or is_array(value) then wrong(path, index, "an object") end
  return value
end

-- The readers for upstreams also take anything for the object.  Most of what they are asked for is
-- absent, which takes one call of type() less.

--- @return string?
function soft.string(object, name)
  local value = type(object) == "table" and object[name]
  return value and type(value) == "string" and value or nil
end

--- @return string?  nil for "" too
function soft.filled(object, name)
  local value = type(object) == "table" and object[name]
  return value and value ~= "" and type(value) == "string" and value or nil
end

--- @return integer?
function soft.integer(object, name)
  local value = type(object) == "table" and object[name]
  return value and math_type(value) and tointeger(value) or nil
end

--- @return number?
function soft.number(object, name)
  local value = type(object) == "table" and object[name]
  return value and type(value) == "number" and value or nil
end

--- @return boolean?
function soft.boolean(object, name)
  local value = nil
  if type(object) == "table" then value = object[name] end
  if value == true or value == false then return value end
  return nil
end

--- @return table?
function soft.list(object, name)
  local value = type(object) == "table" and object[name]
  return value and type(value) == "table" and is_array(value) and value or nil
end

--- @return table?
function soft.object(object, name)
  local value = type(object) == "table" and object[name]
  return value and type(value) == "table" and not is_array(value) and value or nil
end

return M
