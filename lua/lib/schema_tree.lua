--- Walking, mending and merging JSON Schemas, whatever the target.

local json = require "json"
local data = require "models.schema"

local is_array, keys, null = json.is_array, json.keys, json.null
local lower, type = string.lower, type

local M = {}

--- True for a decoded object.
function M.is_object(value)
  return type(value) == "table" and not is_array(value)
end
local is_object = M.is_object

--- Calls `visit(schema)` for each schema directly inside a schema.
function M.children(node, visit)
  for _, name in ipairs(data.single) do
    local value = node[name]
    if is_object(value) then
      visit(value)
    elseif type(value) == "table" then
      for _, each in ipairs(value) do if is_object(each) then visit(each) end end
    end
  end
  for _, name in ipairs(data.lists) do
    if type(node[name]) == "table" then
      for _, each in ipairs(node[name]) do if is_object(each) then visit(each) end end
    end
  end
  for _, name in ipairs(data.maps) do
    if is_object(node[name]) then
      for _, key in ipairs(keys(node[name])) do
        if is_object(node[name][key]) then visit(node[name][key]) end
      end
    end
  end
end

--- True when `type` is or includes a name.
function M.has_type(node, name)
  local value = node.type
  if value == name then return true end
  if type(value) == "table" then
    for _, each in ipairs(value) do if each == name then return true end end
  end
  return false
end

local function mend_type(node, to_list)
  local value = node.type
  if type(value) == "string" then
    value = lower(value)
    if not data.types[value] then value = nil end
    node.type = value
  elseif type(value) == "table" and is_array(value) then
    local names = json.array {}
    for _, each in ipairs(value) do
      each = type(each) == "string" and lower(each) or nil
      if each and data.types[each] then names[#names + 1] = each end
    end
    node.type = #names > 0 and names or nil
  elseif value ~= nil then
    node.type = nil
  end
  if to_list and node.nullable ~= nil then
    if node.nullable == true and type(node.type) == "string" and node.type ~= "null" then
      node.type = json.array { node.type, "null" }
    end
    node.nullable = nil
  end
end

-- `required: true` on a property belongs into the list of its parent.
local function mend_required(node)
  local properties = node.properties
  local list = type(node.required) == "table" and is_array(node.required) and node.required or nil
  if is_object(properties) then
    for _, name in ipairs(keys(properties)) do
      local property = properties[name]
      if is_object(property) and type(property.required) == "boolean" then
        if property.required then
          list = list or json.array {}
          local there = false
          for _, each in ipairs(list) do there = there or each == name end
          if not there then list[#list + 1] = name end
        end
        property.required = nil
      end
    end
  end
  if node.required ~= nil or list then node.required = list end
end

-- Google's SDKs write words of its own schemas in snake_case.
local function mend_spelling(node)
  for _, name in ipairs(keys(node)) do
    local own = data.snake[name]
    if own then
      if node[own] == nil then node[own] = node[name] end
      node[name] = nil
    end
  end
end

--- What every target needs: types in lower case, `required` as a list, numbers as numbers, and
--- `properties` in each object.
--- @param node table
--- @param to_list boolean?  one of Google's: `nullable` becomes a type list
function M.mend(node, to_list)
  if to_list then mend_spelling(node) end
  mend_type(node, to_list)
  mend_required(node)
  for _, name in ipairs(data.numeric) do
    local value = node[name]
    if type(value) == "string" then node[name] = tonumber(value) end
  end
  if not is_object(node.properties) then
    node.properties = M.has_type(node, "object") and {} or nil
  end
  M.children(node, function(child) M.mend(child, to_list) end)
end

local ORDERED = json.shape { order = true }

--- A copy with the order of its members, by way of its text.
--- @return table copy, integer bytes
function M.copy(node)
  local text = json.encode(node)
  return json.decode(text, ORDERED), #text
end

local function merge_required(into, from)
  local list = type(from.required) == "table" and from.required
  if not list then return end
  into.required = type(into.required) == "table" and into.required or json.array {}
  local there = {}
  for _, name in ipairs(into.required) do there[name] = true end
  for _, name in ipairs(list) do
    if not there[name] then into.required[#into.required + 1] = name end
  end
end

--- Adds what a schema lacks from another one; its own words win.
--- @param into table
--- @param from table
--- @param needed boolean  what `from` requires is required
function M.merge(into, from, needed)
  for _, name in ipairs(keys(from)) do
    local value = from[name]
    if name == "properties" and is_object(value) and is_object(into.properties) then
      for _, key in ipairs(keys(value)) do
        if into.properties[key] == nil then into.properties[key] = value[key] end
      end
    elseif name == "required" then
      if needed then merge_required(into, from) end
    elseif into[name] == nil then
      into[name] = value
    end
  end
end

--- The schema a local `$ref` names.
--- @return table?
function M.resolve(root, ref)
  if type(ref) ~= "string" then return nil end
  if ref == "#" then return root end
  local path = ref:match("^#/(.*)$")
  if not path then return nil end
  local node = root
  for step in path:gmatch("[^/]+") do
    step = step:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    step = step:gsub("~1", "/"):gsub("~0", "~")
    if type(node) ~= "table" then return nil end
    if is_array(node) then
      node = node[(math.tointeger(tonumber(step)) or -1) + 1]
    else
      node = node[step]
    end
  end
  return is_object(node) and node or nil
end

--- The last name of a reference.
function M.name_of(ref)
  return type(ref) == "string" and ref:match("([^/#]+)$") or "schema"
end

--- A value as a hint shows it.
function M.show(value)
  if value == null then return "null" end
  return type(value) == "string" and value or json.encode(value)
end

return M
