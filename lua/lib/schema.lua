--- Cleans one JSON Schema for a target, and turns arguments back that a cleaned schema changed.
---
--- Only schemas come here, never whole requests: under `properties` and the like the names are
--- data.

local json = require "json"
local data = require "models.schema"
local gemini = require "lib.schema_gemini"
local tree = require "lib.schema_tree"

local keys, type = json.keys, type
local is_object = tree.is_object

local M = {}

local ORDERED = json.shape { order = true }
--- The schema of a tool without arguments.
M.EMPTY = assert(json.raw '{"type":"object","properties":{}}')

-- Clients send the same tools with each request, so results are kept: by profile and length, which
-- needs no hash of the text.  Two tables; the younger one becomes the older when it is full.
local CACHE_BYTES = 1024 * 1024
local young, old, young_bytes = {}, {}, 0

local function find_in(cache, key, raw)
  local by_length = cache[key]
  local list = by_length and by_length[#raw]
  for i = 1, list and #list or 0 do
    local entry = list[i]
    if entry[1] == raw then return entry end
  end
  return nil
end

local function remember(key, entry)
  local size = #entry[1]
  young_bytes = young_bytes + size
  if young_bytes > CACHE_BYTES then young, old, young_bytes = {}, young, size end
  local by_length = young[key] or {}
  young[key] = by_length
  local list = by_length[size] or {}
  by_length[size] = list
  list[#list + 1] = entry
  return entry
end

-- Properties without the schema around them.
local function wrap_bare(root)
  local names = keys(root)
  if #names == 0 then return root end
  for _, name in ipairs(names) do
    if not is_object(root[name]) and name ~= "type" then return root end
  end
  for _, name in ipairs(names) do
    -- A property may be called "description"; then its value is an object.
    if data.schema_words[name] and (name ~= "description" and name ~= "title" and name ~= "type"
        or not is_object(root[name])) then
      return root
    end
  end
  return { type = "object", properties = root }
end

local function drop_word(node, word)
  node[word] = nil
  tree.children(node, function(child) drop_word(child, word) end)
end

local function resolve(root, branch)
  return branch["$ref"] and tree.resolve(root, branch["$ref"]) or branch
end

-- Claude takes no choice at the root.
local function flatten_root(root)
  for _, word in ipairs { "allOf", "anyOf", "oneOf" } do
    local list = root[word]
    root[word] = nil
    if type(list) == "table" then
      for _, branch in ipairs(list) do
        if is_object(branch) then
          local from = resolve(root, branch)
          if from ~= root then
            root.properties = is_object(root.properties) and root.properties or {}
            tree.merge(root, { properties = from.properties, required = from.required,
              ["$defs"] = from["$defs"], description = from.description }, word == "allOf")
          end
        end
      end
    end
  end
end

local add_hints = gemini.add_hints

-- What Anthropic's answers have to match: closed objects, and no word that it cannot enforce.
local function closed(node)
  local hints = {}
  for _, name in ipairs(keys(node)) do
    local refused = data.profiles.claude_answer.hinted[name]
    if refused and not (name == "minItems" and (node[name] == 0 or node[name] == 1)) then
      hints[#hints + 1] = name .. ": " .. tree.show(node[name])
      node[name] = nil
    elseif data.profiles.claude_answer.dropped[name] then
      node[name] = nil
    end
  end
  if tree.has_type(node, "object") then node.additionalProperties = false end
  add_hints(node, hints)
  tree.children(node, closed)
end

local profiles = {
  full = function(root) drop_word(root, "$schema") end,
  claude = flatten_root,
  claude_answer = closed,
  gemini_strict = gemini.strict,
  gemini_rich = gemini.rich,
}

local function clean(raw, profile, options)
  local root = json.decode(raw, ORDERED)
  if not is_object(root) then return M.EMPTY end
  local any_root = options and options.any_root
  if not any_root then root = wrap_bare(root) end
  tree.mend(root, options and options.nullable)
  if not any_root and not tree.has_type(root, "object") then root.type = "object" end
  if not any_root and type(root.type) == "table" then root.type = "object" end
  local coercions = profiles[profile] and profiles[profile](root) or nil
  if not any_root then
    root.type = "object"
    if root["$ref"] == nil then root.properties = root.properties or {} end
  end
  return assert(json.raw(json.encode(root))), coercions
end

--- Cleans a schema.
--- @param raw RawJson|string|nil
--- @param profile "full"|"claude"|"claude_answer"|"gemini_strict"|"gemini_rich"
--- @param options {any_root: boolean?, nullable: boolean?}?  the root may be any type (schemas of
---   answers); `nullable` becomes a type list (schemas of Gemini's clients)
--- @return RawJson schema
--- @return table? coercions  for M.coerce
function M.clean(raw, profile, options)
  if raw == nil or raw == json.null then return M.EMPTY end
  if not json.is_raw(raw) then
    local fine = json.raw(raw)
    if not fine then return M.EMPTY end
    raw = fine
  end
  local key = profile
  if options and options.any_root then key = key .. "+any_root" end
  if options and options.nullable then key = key .. "+nullable" end
  local known = find_in(young, key, raw) or find_in(old, key, raw)
  if not known then
    local schema, coercions = clean(raw, profile, options)
    known = remember(key, { raw, schema, coercions })
  end
  return known[2], known[3]
end

local function is_strict(node)
  if tree.has_type(node, "object") or node.properties then
    if node.additionalProperties ~= false then return false end
    local needed = {}
    for _, name in ipairs(type(node.required) == "table" and node.required or {}) do
      needed[name] = true
    end
    for name in pairs(is_object(node.properties) and node.properties or {}) do
      if not needed[name] then return false end
    end
  end
  local fine = true
  tree.children(node, function(child) fine = fine and is_strict(child) end)
  return fine
end

--- True for a schema that OpenAI's strict mode takes.
--- @param raw RawJson|string|nil
--- @return boolean
function M.is_strict(raw)
  local root = raw and json.decode(raw, ORDERED)
  return is_object(root) and is_strict(root)
end

local patterns = {
  integer = "^%-?%d+$",
  number = "^%-?%d+%.?%d*[eE]?[%+%-]?%d*$",
}

-- The JSON text that a string stands for; nil when it is not lexically that type.
local function converted(text, wanted)
  if wanted == "boolean" then
    return (text == "true" or text == "false") and json.raw(text) or nil
  end
  local pattern = patterns[wanted]
  return pattern and text:find(pattern) and json.raw(text) or nil
end

local MAX_ELEMENTS = 1000

local function coerce(args, path, node)
  local value = path[1] and json.get(args, path) or nil
  if node.type and type(value) == "string" then
    local text = converted(value, node.type)
    return text and json.splice(args, path, text) or args
  end
  local depth = #path + 1
  for name, child in pairs(node.properties or {}) do
    path[depth] = name
    args = coerce(args, path, child)
  end
  if node.items and json.type(value) == "array" then
    for i = 1, MAX_ELEMENTS do
      path[depth] = i
      if json.get(args, path) == nil then break end
      args = coerce(args, path, node.items)
    end
  end
  path[depth] = nil
  return args
end

--- Turns values back into the types that the client declared.
--- @param args string  JSON text
--- @param coercions table
--- @return string
function M.coerce(args, coercions)
  if not json.peek(args) then return args end
  return coerce(args, {}, coercions)
end

return M
