--- JSON Schemas for Gemini: only the words it knows; what is lost becomes a hint in the
--- description.

local json = require "json"
local data = require "models.schema"
local tree = require "lib.schema_tree"

local is_array, keys, null = json.is_array, json.keys, json.null
local concat, find, type = table.concat, string.find, type
local is_object, show = tree.is_object, tree.show

local M = {}

-- Inlining may not grow a schema without end.
local MAX_NODES = 4000
local MAX_DEPTH = 48
local MAX_HINT = 500

local function add_hint(hints, text)
  for _, each in ipairs(hints) do if each == text then return end end
  hints[#hints + 1] = text
end

--- Puts what a schema may not say into its description.
--- @param node table
--- @param hints string[]
function M.add_hints(node, hints)
  local before = type(node.description) == "string" and node.description or ""
  local fresh = {}
  for _, hint in ipairs(hints) do
    if not find(before, hint, 1, true) then fresh[#fresh + 1] = hint end
  end
  node.description = before ~= "" and before or nil
  if #fresh == 0 then return end
  local text = concat(fresh, "; ")
  node.description = before == "" and text or before .. " (" .. text .. ")"
end

-- A reference is replaced by what it names; the words beside it win.
local function inline(node, state, trail)
  while node["$ref"] ~= nil do
    local ref = node["$ref"]
    local target = not trail[ref] and state.nodes < MAX_NODES and tree.resolve(state.root, ref)
    if not target then
      for _, name in ipairs(keys(node)) do
        if name ~= "description" then node[name] = nil end
      end
      node.type, node.properties = "object", nil
      local words = "See: " .. tree.name_of(ref)
      node.description = type(node.description) == "string" and node.description ~= words
        and node.description .. " (" .. words .. ")" or words
      return trail, true
    end
    local outer = trail
    trail = setmetatable({ [ref] = true }, { __index = outer })
    node["$ref"] = nil
    local copy, bytes = tree.copy(target)
    state.nodes = state.nodes + bytes // 100
    tree.merge(node, copy, true)
  end
  return trail, false
end

local function merge_all_of(node, state, trail)
  local list = node.allOf
  if type(list) ~= "table" then return trail end
  node.allOf = nil
  for _, each in ipairs(list) do
    if is_object(each) then
      if state.strict then trail = inline(each, state, trail) end
      tree.merge(node, each, true)
    end
  end
  return trail
end

local ranks = { object = 3, array = 2 }

local function type_name(node)
  local value = node.type
  if type(value) == "table" then
    for _, each in ipairs(value) do if each ~= "null" then return each end end
    return value[1]
  end
  if value == nil then
    if node.properties then return "object" end
    if node.items then return "array" end
    local first = type(node.enum) == "table" and node.enum[1] or node.const
    if first ~= nil then return json.type(first) end
  end
  return value
end

-- The values of a schema that only lists values.
local function values_of(node)
  if node.const ~= nil then return { node.const } end
  return type(node.enum) == "table" and node.enum or nil
end

local function all_values(branches)
  local list = json.array {}
  for _, branch in ipairs(branches) do
    local values = values_of(branch)
    if not values then return nil end
    for _, value in ipairs(values) do list[#list + 1] = value end
  end
  return list
end

-- One branch of a choice has to do: the richest.
local function pick_branch(node, word, state, trail, hints)
  local list = node[word]
  if type(list) ~= "table" then node[word] = nil return trail end
  node[word] = nil
  local branches = {}
  for _, each in ipairs(list) do
    if is_object(each) then
      local copy_trail = inline(each, state, trail)
      if each.type == "null" then
        state.nullable = true
      else
        branches[#branches + 1] = { node = each, trail = copy_trail }
      end
    end
  end
  if #branches == 0 then return trail end
  local nodes = {}
  for i, branch in ipairs(branches) do nodes[i] = branch.node end
  local values = #branches > 1 and all_values(nodes)
  if values then
    node.enum = node.enum or values
    return trail
  end
  local best, names, seen = nil, {}, {}
  for _, branch in ipairs(branches) do
    local name = type_name(branch.node)
    if not best or (ranks[name] or 1) > (ranks[type_name(best.node)] or 1) then best = branch end
    if name and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  tree.merge(node, best.node, true)
  if #names > 1 then add_hint(hints, "Accepts: " .. concat(names, ", ")) end
  return best.trail
end

local function one_type(node, state, hints)
  if node.nullable == true then state.nullable = true end
  local list = node.type
  if type(list) ~= "table" then return end
  local names = {}
  for _, each in ipairs(list) do
    if each == "null" then state.nullable = true else names[#names + 1] = each end
  end
  node.type = names[1] or "string"
  if #names > 1 then add_hint(hints, "Accepts: " .. concat(names, ", ")) end
end

-- Enumerations hold strings; the answer's value is turned back.
local function strings_of_enum(node, state, hints)
  local list = node.enum
  if type(list) ~= "table" or not is_array(list) then node.enum = nil return nil end
  local values, shown, seen, was = json.array {}, {}, {}, nil
  for _, value in ipairs(list) do
    if value == null then
      state.nullable = true
    else
      local kind = math.type(value) or type(value)
      if kind == "float" then kind = "number" end
      if kind ~= "string" and kind ~= "table" then
        was = (was == nil or was == kind) and kind or "number"
      elseif kind == "string" then
        was = was or "string"
      end
      local text = show(value)
      if not seen[text] then
        seen[text] = true
        values[#values + 1], shown[#shown + 1] = text, text
      end
    end
  end
  local declared = node.type
  node.enum = #values > 0 and values or nil
  if not node.enum then return nil end
  node.type = "string"
  if #values >= 2 and #values <= 10 then add_hint(hints, "Allowed: " .. concat(shown, ", ")) end
  if declared == "integer" or declared == "number" or declared == "boolean" then return declared end
  return was ~= "string" and was or nil
end

-- Gemini's richer form takes strings and numbers as they are.
local function rich_enum(node, hints)
  local list = node.enum
  if type(list) ~= "table" then node.enum = nil return end
  for _, value in ipairs(list) do
    if type(value) ~= "string" and type(value) ~= "number" and value ~= null then
      add_hint(hints, "Allowed: " .. show(list))
      node.enum = nil
      return
    end
  end
end

local function merge_conditions(node)
  for _, word in ipairs { "then", "else" } do
    local branch = node[word]
    if is_object(branch) and is_object(branch.properties) then
      node.properties = is_object(node.properties) and node.properties or {}
      for _, name in ipairs(keys(branch.properties)) do
        if node.properties[name] == nil then node.properties[name] = branch.properties[name] end
      end
    end
  end
end

local function filter_required(node, optional)
  local list = node.required
  if list == nil then return end
  local kept = json.array {}
  local properties = is_object(node.properties) and node.properties or {}
  for _, name in ipairs(type(list) == "table" and list or {}) do
    if type(name) == "string" and properties[name] ~= nil and not optional[name] then
      kept[#kept + 1] = name
    end
  end
  node.required = #kept > 0 and kept or nil
end

local function drop_words(node, profile, hints)
  for _, name in ipairs(keys(node)) do
    if not profile.kept[name] then
      if profile.hinted[name] then
        local text = name .. ": " .. show(node[name])
        if #text <= MAX_HINT then add_hint(hints, text) end
      elseif name == "additionalProperties" and node[name] == false then
        add_hint(hints, "No extra properties allowed")
      end
      node[name] = nil
    end
  end
end

local clean_node

-- An object's properties; coercions by name.
local function clean_properties(node, state, trail, depth)
  local found, optional = nil, {}
  if not is_object(node.properties) then return nil, optional end
  for _, name in ipairs(keys(node.properties)) do
    local property = node.properties[name]
    if not is_object(property) then
      property = {}
      node.properties[name] = property
    end
    local coercion, nullable = clean_node(property, state, trail, depth + 1)
    if nullable then optional[name] = true end
    if coercion then
      found = found or {}
      found[name] = coercion
    end
  end
  return found, optional
end

local function clean_items(node, state, trail, depth)
  if is_array(node.items) then
    -- An old way of saying it for tuples: the first one has to do.
    node.items = is_object(node.items[1]) and node.items[1] or { type = "string" }
  end
  if node.items ~= nil and not is_object(node.items) then node.items = nil end
  if node.items == nil then
    if tree.has_type(node, "array") then node.items = { type = "string" } end
    return nil
  end
  return (clean_node(node.items, state, trail, depth + 1))
end

-- Cleans in place.  What an answer has to be turned back to, and whether null was allowed.
function clean_node(node, state, trail, depth)
  state.nodes = state.nodes + 1
  local hints, cut = {}, false
  local outer = state.nullable
  state.nullable = false
  if depth > MAX_DEPTH or state.nodes > 2 * MAX_NODES then
    for _, name in ipairs(keys(node)) do node[name] = nil end
    node.type = "object"
    state.nullable = outer
    return nil, false
  end
  trail, cut = inline(node, state, trail)
  if not cut then
    trail = merge_all_of(node, state, trail)
    for _, word in ipairs { "anyOf", "oneOf" } do
      if node[word] ~= nil then trail = pick_branch(node, word, state, trail, hints) end
    end
    merge_conditions(node)
    if node.const ~= nil then node.enum = json.array { node.const } end
    one_type(node, state, hints)
  end
  local coercion
  local scalar = node.enum ~= nil and strings_of_enum(node, state, hints)
  drop_words(node, state.profile, hints)
  local properties, optional = clean_properties(node, state, trail, depth)
  local items = clean_items(node, state, trail, depth)
  filter_required(node, optional)
  if node.type == nil and node.properties then node.type = "object" end
  local nullable = state.nullable
  state.nullable = outer
  if nullable then add_hint(hints, "nullable") end
  M.add_hints(node, hints)
  if scalar or properties or items then
    coercion = { type = scalar or nil, properties = properties, items = items }
  end
  return coercion, nullable
end

--- The default for Gemini.  Changes the schema in place.
--- @return table? coercions
function M.strict(root)
  local state = {
    root = (tree.copy(root)), strict = true, profile = data.profiles.gemini_strict, nodes = 0,
    nullable = false,
  }
  return (clean_node(root, state, {}, 0))
end

local function rich_node(node, state, depth)
  state.nodes = state.nodes + 1
  if node["$ref"] ~= nil or depth > MAX_DEPTH then
    for _, name in ipairs(keys(node)) do
      if name ~= "$ref" and not (depth == 0 and (name == "$defs" or name == "definitions")) then
        node[name] = nil
      end
    end
  else
    local hints = {}
    merge_all_of(node, state, {})
    if node.oneOf ~= nil then
      node.anyOf = node.anyOf or node.oneOf
      node.oneOf = nil
    end
    if node.const ~= nil then
      node.enum = json.array { node.const }
      node.const = nil
    end
    if node.enum ~= nil then rich_enum(node, hints) end
    if node.type == nil and node.items ~= nil then node.type = "array" end
    if node.items == nil and tree.has_type(node, "array") and node.prefixItems == nil then
      node.items = { type = "string" }
    end
    drop_words(node, data.profiles.gemini_rich, hints)
    filter_required(node, {})
    M.add_hints(node, hints)
  end
  tree.children(node, function(child) rich_node(child, state, depth + 1) end)
end

--- For Gemini's response schemas and models that take more.  Changes the schema in place.
function M.rich(root)
  rich_node(root, { root = root, strict = false, nodes = 0 }, 0)
end

return M
