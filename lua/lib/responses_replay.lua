--- Responses that clients may refer to: item_reference and previous_response_id.
---
--- `ctx.replay` keeps texts by name, for one tenant, for a time:
---   "response:<id>"  the finished response object
---   "input:<id>"     the array of items it answered
---   "item:<id>"      one item of its output

local json = require "json"
local reject = require "lib.reject"

local encode, sub, type = json.encode, string.sub, type

local TTL = 3600

local M = {}

local OUTPUT = json.shape { known = { output = { "id" } } }
local ELEMENTS = json.shape { known = {}, order = true }
local IDENTITY = json.shape { known = { "id", "type" } }

local function get(ctx, key)
  local replay = ctx.replay
  return replay and replay.get(key) or nil
end

local function put(ctx, key, value)
  local replay = ctx.replay
  local save = replay.put or replay.set
  save(key, value, TTL)
end

--- @param ctx TranslationContext
--- @return boolean  references that are not found can be left to the upstream
function M.upstream_knows(ctx)
  local upstream = ctx.upstream
  return upstream ~= nil and upstream.dialect == "responses" and upstream.variant ~= "codex"
end

--- The text of an item that was answered before.
--- @param ctx TranslationContext
--- @param id string
--- @return string?
function M.item(ctx, id)
  return get(ctx, "item:" .. id)
end

--- The text of a response that was answered before.
--- @param ctx TranslationContext
--- @param id string
--- @return string?
function M.response(ctx, id)
  return get(ctx, "response:" .. id)
end

-- The elements of an array's text, without its brackets and the space in them.
local function inside(text)
  return text:match("^%s*%[%s*(.-)%s*%]%s*$") or ""
end

--- Joins texts of arrays.
--- @param first string
--- @param second string
--- @return string
function M.join(first, second)
  local a, b = inside(first), inside(second)
  if a == "" then return "[" .. b .. "]" end
  if b == "" then return "[" .. a .. "]" end
  return "[" .. a .. "," .. b .. "]"
end

--- The text of all items up to and with a response: what its successor continues.
--- @param ctx TranslationContext
--- @param id string
--- @return string?
function M.history(ctx, id)
  local input, response = get(ctx, "input:" .. id), get(ctx, "response:" .. id)
  if not input or not response then return nil end
  local output = json.get(response, "output")
  return M.join(input, output and tostring(output) or "[]")
end

--- Refuses a reference to what is not there.
--- @param what string  "Item", "Response" or "Conversation"
--- @param id string
--- @param param string
function M.unknown(what, id, param)
  reject.bad(param, what .. " with id '" .. id .. "' not found.")
end

--- Input as an array's text, also when it was a string.
--- @param input any  RawJson, string or nil
--- @return string
function M.input_text(input)
  if type(input) == "string" then
    return '[{"content":[{"text":' .. encode(input)
      .. ',"type":"input_text"}],"role":"user","type":"message"}]'
  end
  local text = input and tostring(input) or "[]"
  return sub(text, 1, 1) == "[" and text or "[]"
end

local function outputs_of(response)
  local output = type(response) == "table" and response.output
  return type(output) == "table" and output or {}
end

--- Keeps a finished response, when its client did not ask otherwise.
--- @param ctx TranslationContext
--- @param id string
--- @param response string  text of the response object
--- @param input string  text of the array of items it answered
function M.remember(ctx, id, response, input)
  if not ctx.replay then return end
  put(ctx, "response:" .. id, response)
  put(ctx, "input:" .. id, input)
  local decoded = json.decode(response, OUTPUT)
  for _, item in ipairs(outputs_of(decoded)) do
    if type(item) == "table" and type(item.id) == "string" then
      put(ctx, "item:" .. item.id, encode(item))
    end
  end
end

--- Forgets a response and the items of its output.
--- @param ctx TranslationContext
--- @param id string
--- @return boolean  it was there
function M.forget(ctx, id)
  local text = get(ctx, "response:" .. id)
  if not text then return false end
  local decoded = json.decode(text, OUTPUT)
  for _, item in ipairs(outputs_of(decoded)) do
    local own = type(item) == "table" and item.id
    if type(own) == "string" then put(ctx, "item:" .. own, nil) end
  end
  put(ctx, "response:" .. id, nil)
  put(ctx, "input:" .. id, nil)
  return true
end

-- An element of an input for a stateless upstream: references give way to what they name.
local function resolve(ctx, raw)
  local item = json.decode(raw, IDENTITY)
  if type(item) ~= "table" or item.type ~= "item_reference" or type(item.id) ~= "string" then
    return nil
  end
  local text = M.item(ctx, item.id)
  if not text then M.unknown("Item", item.id, "input") end
  return text
end

--- Makes a body independent of what was stored: for passthrough to upstreams that store nothing.
--- @param body string
--- @param ctx TranslationContext
--- @return string body  the same string when it refers to nothing
function M.expand(body, ctx)
  local fine, previous, input = json.peek(body, "previous_response_id", "input")
  if not fine then return body end
  local text = type(input) ~= "string" and input ~= json.null and input and tostring(input)
  local changed = false
  if text and text:find('"item_reference"', 1, true) then
    local list = json.decode(text, ELEMENTS)
    local elements = json.array()
    -- A shape means nothing to elements that stay raw, so each is looked at alone.
    for i, element in ipairs(type(list) == "table" and list or {}) do
      local found = resolve(ctx, encode(element))
      elements[i] = found and json.raw(found) or element
      changed = changed or found ~= nil
    end
    if changed then text = encode(elements) end
  end
  if type(previous) == "string" and previous ~= "" then
    local history = M.history(ctx, previous)
    if not history then M.unknown("Response", previous, "previous_response_id") end
    text, changed = M.join(history, text or M.input_text(input)), true
  end
  if not changed then return body end
  body = assert(json.splice(body, { "input" }, json.raw(text)))
  return assert(json.splice(body, { "previous_response_id" }, nil))
end

return M
