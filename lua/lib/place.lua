--- Where an element of a list stands in a body, written out only when it is wrong: most are fine.
---
--- A place serves all elements of its list, one after the other, as `path` for lib.fields.

local json = require "json"
local reject = require "lib.reject"

local setmetatable, tostring, type = setmetatable, tostring, type
local is_array = json.is_array

local M = {}

local Place = {}

function Place.__tostring(self)
  local outer = self.outer
  return (outer and tostring(outer) .. "." or "") .. self.list .. "[" .. self.at .. "]"
end

function Place.__concat(left, right)
  return tostring(left) .. tostring(right)
end

--- @param list string  the list's name
--- @param outer any?  path of the object it is in; nil at the top level
--- @return table place  `at`, from 0, is the caller's to set
function M.of(list, outer)
  return setmetatable({ list = list, outer = outer, at = 0 }, Place)
end

--- An element of the list, which has to be an object; the place is where it stands.
--- @param place table
--- @param list table
--- @param index integer
--- @return table
function M.element(place, list, index)
  local value = list[index]
  place.at = index - 1
  if type(value) ~= "table" or is_array(value) then
    reject.bad(tostring(place), "must be an object")
  end
  return value
end

return M
