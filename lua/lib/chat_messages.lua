--- Messages of a Chat request: into leading instructions and turns.

local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local media = require "lib.media"
local parts = require "lib.chat_parts"
local place = require "lib.place"
local reasoning = require "lib.chat_reasoning"
local reject = require "lib.reject"
local signatures = require "lib.signatures"

local find, null, type = string.find, json.null, type
local element, soft = place.element, fields.soft

local M = {}

--- Members of a message that are decoded.
M.SHAPE = {
  "role", "name", "tool_call_id", "refusal", "reasoning_content", "reasoning",
  "reasoning_details", "cache_control", "prompt_cache_breakpoint",
  content = parts.SHAPE,
  tool_calls = {
    "id", "type", "index", ["function"] = { "name", "arguments" }, custom = { "name", "input" },
    extra_content = { google = { "thought_signature" } },
  },
  function_call = { "name", "arguments" },
  audio = { "id", "data", "transcript", "expires_at" },
  images = parts.SHAPE,
}

local KNOWN = { annotations = true }
for key, value in pairs(M.SHAPE) do KNOWN[type(key) == "string" and key or value] = true end

-- Arguments are text; objects and nothing at all are tolerated.
local function arguments(object, name, path, member)
  local value = object[name]
  if type(value) == "string" then return value end
  if value == nil or value == null then return "" end
  if type(value) == "table" then return json.encode(value) end
  if member then path = fields.path(path, member) end
  return reject.bad(fields.path(path, name), "must be a string")
end

-- A call of a function, with an id that is equal every time when it has none.
local function call(turn_index, blocks, id, name, args)
  if not find(args, "%S") then args = "{}" end
  if not id or id == "" then id = ids.missing(turn_index, #blocks, name, args) end
  return {
    type = "tool_call", kind = "function", id = id, name = name, args = args, complete = true,
  }
end

-- The name of what is called.  Its path is put together only when it is wrong.
local function name_in(object, path, member)
  local name = object and object.name
  if type(name) == "string" then return name end
  path = fields.path(path, member)
  name = object and fields.string(object, "name", path)
  return name or reject.bad(path .. ".name", "is required")
end

local function google_signature(native)
  if native.extra_content == nil then return nil end
  local google = soft.object(soft.object(native, "extra_content"), "google")
  return signatures.read(soft.string(google, "thought_signature"), "call")
end

local function read_call(native, path, state, blocks)
  local id = fields.string(native, "id", path)
  local custom = fields.object(native, "custom", path)
  if custom then
    local name = name_in(custom, path, "custom")
    local input = arguments(custom, "input", path, "custom")
    if not id or id == "" then id = ids.missing(#state.turns, #blocks, name, input) end
    return {
      type = "tool_call", kind = "custom", id = id, name = name, args = input, complete = true,
    }
  end
  local fn = fields.object(native, "function", path)
  local name = name_in(fn, path, "function")
  local block = call(#state.turns, blocks, id, name, arguments(fn, "arguments", path))
  block.sig = google_signature(native)
  return block
end

local function read_calls(message, path, state, blocks)
  local list = fields.list(message, "tool_calls", path)
  local pending = {}
  if list and list[1] ~= nil then
    local at = state.calls or place.of("tool_calls", path)
    state.calls = at
    for i = 1, #list do
      local block = read_call(element(at, list, i), at, state, blocks)
      blocks[#blocks + 1] = block
      pending[i] = block
    end
  end
  local legacy = fields.object(message, "function_call", path)
  if legacy and not list then
    local name = name_in(legacy, path, "function_call")
    local block = call(#state.turns, blocks, nil, name, arguments(legacy, "arguments", path))
    blocks[#blocks + 1] = block
    pending[1] = block
  end
  if pending[1] then state.pending, state.answered = pending, {} end
end

-- Media of an earlier answer: images are an extension, audio is known by its id.
local function read_media(message, path, blocks)
  local images = soft.list(message, "images")
  local at = place.of("images", path)
  for i = 1, images and #images or 0 do
    local image = images[i]
    at.at = i - 1
    if type(image) == "table" and image.type == nil then image.type = "image_url" end
    local block = parts.read(image, at)
    if block then
      block.extras = nil
      blocks[#blocks + 1] = block
    end
  end
  local audio = fields.object(message, "audio", path)
  if not audio then return end
  local data = soft.filled(audio, "data")
  blocks[#blocks + 1] = {
    type = "audio", id = fields.string(audio, "id", path .. ".audio"),
    transcript = soft.string(audio, "transcript"), expires = soft.integer(audio, "expires_at"),
    source = data and {
      kind = "base64", data = data, media_type = media.sniff(data) or "audio/wav",
    } or nil,
  }
end

-- The refusal has its place behind the text, wherever it was written.
local function read_assistant(message, path, state)
  local turn = ir.turn("assistant")
  local blocks = turn.blocks
  reasoning.read(message, blocks)
  parts.content(message, path, blocks)
  local refusal = fields.string(message, "refusal", path)
  if refusal and refusal ~= "" then
    blocks[#blocks + 1] = { type = "refusal", text = refusal }
  end
  if message.images ~= nil or message.audio ~= nil then read_media(message, path, blocks) end
  read_calls(message, path, state, blocks)
  return turn
end

local function hint(message, blocks)
  local last = blocks[#blocks]
  if last and not last.cache then last.cache = parts.cache(message) end
end

local function add_turn(message, turn, path, state)
  hint(message, turn.blocks)
  turn.name = fields.string(message, "name", path)
  turn.extras = parts.extras(message, KNOWN)
  state.turns[#state.turns + 1] = turn
  state.results = nil
end

-- The call a result without an id answers: the first open one of its name, else the first open one.
local function open_call(state, name)
  local first
  for i, each in ipairs(state.pending or {}) do
    if not state.answered[i] then
      if not name or each.name == name then
        state.answered[i] = true
        return each
      end
      first = first or i
    end
  end
  if not first then return nil end
  state.answered[first] = true
  return state.pending[first]
end

local function by_id(state, id)
  local pending = state.pending
  for i = 1, pending and #pending or 0 do
    if pending[i].id == id then
      state.answered[i] = true
      return pending[i]
    end
  end
  return nil
end

local on = {}

function on.user(message, path, state)
  local turn = ir.turn("user")
  parts.content(message, path, turn.blocks)
  add_turn(message, turn, path, state)
end

function on.assistant(message, path, state)
  add_turn(message, read_assistant(message, path, state), path, state)
end

local function instruction(message, path, state, level)
  if #state.turns > 0 then
    local turn = ir.turn("instruction")
    turn.level = level
    parts.content(message, path, turn.blocks)
    return add_turn(message, turn, path, state)
  end
  local system = state.system
  local before = #system
  parts.content(message, path, system)
  if #system > before then hint(message, system) end
  for i = before + 1, #system do system[i].level = level end
end

function on.system(message, path, state) instruction(message, path, state, "system") end
function on.developer(message, path, state) instruction(message, path, state, "developer") end

-- Results in a row are one turn, whatever kind of result.
local function result(message, path, state, answered, id)
  local turn = state.results
  if not turn then
    turn = ir.turn("user")
    state.turns[#state.turns + 1] = turn
    state.results = turn
  end
  local content = {}
  parts.content(message, path, content)
  turn.blocks[#turn.blocks + 1] = {
    type = "tool_result", call_id = answered and answered.id or id or "",
    name = answered and answered.name or fields.string(message, "name", path),
    kind = answered and answered.kind or "function", content = content, is_error = false,
    cache = parts.cache(message), extras = parts.extras(message, KNOWN),
  }
end

function on.tool(message, path, state)
  local id = fields.string(message, "tool_call_id", path)
  local answered
  if id and id ~= "" then
    answered = by_id(state, id)
  else
    answered = open_call(state, fields.string(message, "name", path))
  end
  result(message, path, state, answered, id)
end

on["function"] = function(message, path, state)
  local answered = open_call(state, fields.string(message, "name", path))
  result(message, path, state, answered, fields.string(message, "tool_call_id", path))
end

--- Reads all messages into a request.
--- @param list table
--- @param request IrRequest
function M.read(list, request)
  local path = place.of "messages"
  local state = {
    system = request.system, turns = request.turns, pending = nil, answered = nil, results = nil,
    calls = nil,
  }
  for i = 1, #list do
    local message = element(path, list, i)
    local read = on[message.role]
    if not read then
      fields.enum(message, "role", path, on)
      reject.bad(path .. ".role", "is required")
    end
    read(message, path, state)
  end
end

return M
