--- Requests of the Responses dialect: body to neutral form.

local fields = require "lib.fields"
local ir = require "lib.ir"
local items = require "lib.responses_items"
local json = require "json"
local place = require "lib.place"
local reject = require "lib.reject"
local replay = require "lib.responses_replay"
local search = require "lib.responses_search"
local thinking = require "lib.thinking"
local tools = require "lib.responses_tools"

local ipairs, pairs, type = ipairs, pairs, type
local null = json.null
local is_array = json.is_array

local M = {}

-- What of an input item is decoded; the tools are those of Codex' `additional_tools`, and those
-- that it found.
local item = {}
for key, value in pairs(items.ITEM) do item[key] = value end
item.tools = tools.TOOL

local format = { "type", "name", "description", "strict" }
format.json_schema = { "name", "description", "strict" }

local known = {
  "model", "stream", "instructions", "parallel_tool_calls", "max_tool_calls", "max_output_tokens",
  "temperature", "top_p", "top_logprobs", "include", "store", "background", "truncation",
  "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
  "previous_response_id",
  input = item, tools = tools.TOOL, tool_choice = tools.CHOICE, conversation = { "id" },
  reasoning = { "effort", "summary", "generate_summary", "context", "mode" },
  text = { "verbosity", format = format }, prompt_cache_options = { "mode", "ttl" },
}

local SHAPE = json.shape { known = known, strict = true, kept = { "tools" } }
local STORED = json.shape { known = item }

-- Members with a field of their own in the neutral form.
local modelled = { metadata = true, context_management = true }
for key, value in pairs(known) do modelled[type(key) == "string" and key or value] = true end

local function given(value)
  if value == null or json.type(value) == "null" then return nil end
  return value
end

local function read_system(request, body)
  local instructions = fields.string(body, "instructions")
  if instructions and instructions ~= "" then
    local block = ir.text(instructions)
    block.level = "system"
    request.system[1] = block
  end
end

-- Decoded items: the input itself, what references name, and what came before.
local function stored(text)
  return json.decode(text, STORED)
end

local function resolve(ctx, each, at)
  local id = fields.string(each, "id", at) or ""
  local text = replay.item(ctx, id)
  if text then return stored(text) end
  if replay.upstream_knows(ctx) then return each end
  return replay.unknown("Item", id, "input")
end

local function continue(request, body, list, ctx)
  local previous = fields.string(body, "previous_response_id")
  if not previous or previous == "" then return list end
  local history = replay.history(ctx, previous)
  if not history then
    if not replay.upstream_knows(ctx) then
      replay.unknown("Response", previous, "previous_response_id")
    end
    request.service.previous_id = previous
    return list
  end
  request.history = history
  local joined = stored(history)
  for _, each in ipairs(list) do joined[#joined + 1] = each end
  return joined
end

-- Items that are not read as they stand.
local special = { item_reference = true, additional_tools = true }
for kind in pairs(search.ITEMS) do special[kind] = true end

-- The item that is meant by one of those; nil when it only brought tools.
local function meant(each, at, request, ctx)
  if each.type == "item_reference" then each = resolve(ctx, each, at) end
  if search.ITEMS[each.type] and search.is_ours(each, ctx) then
    return search.item(request, each, at, tools.add, ctx)
  end
  if each.type ~= "additional_tools" then return each end
  tools.add(request, fields.list(each, "tools", at), at .. ".tools", ctx)
  return nil
end

local roles = {
  user = "user", output = "user", assistant = "assistant", system = "instruction",
  developer = "instruction",
}

-- Adds the blocks of an item.  Consecutive items of the assistant are one turn, and so are outputs.
local function add_blocks(state, side, blocks)
  local role, turns = roles[side], state.turns
  if role == "instruction" and not turns[1] then
    local system = state.system
    for i = 1, #blocks do
      blocks[i].level = side
      system[#system + 1] = blocks[i]
    end
    return
  end
  local first, turn = blocks[1], state.turn
  if not first then return end
  if side == state.side and role ~= "instruction" and side ~= "user" then
    local all = turn.blocks
    for i = 1, #blocks do all[#all + 1] = blocks[i] end
  else
    turn = ir.turn(role, blocks)
    turns[#turns + 1] = turn
    state.turn, state.side = turn, side
    if role == "instruction" then turn.level = side end
  end
  local phase = side == "assistant" and first.item and first.item.phase
  if phase then turn.phase = phase == "commentary" and "commentary" or "final" end
end

local function read_items(request, list, ctx)
  local at = place.of "input"
  local state = { system = request.system, turns = request.turns, turn = nil, side = nil }
  for i = 1, #list do
    local each = list[i]
    if type(each) == "string" then
      each = { role = "user", content = each }
    else
      place.element(at, list, i)
    end
    if special[each.type] then each = meant(each, at, request, ctx) end
    if each then add_blocks(state, items.read(each, fields, at, i - 1)) end
  end
end

local function read_input(request, body, ctx)
  local input = given(body.input)
  if type(input) == "string" then
    input = { { role = "user", content = input } }
  elseif input ~= nil and (type(input) ~= "table" or not is_array(input)) then
    reject.bad("input", "must be a string or an array")
  end
  read_items(request, continue(request, body, input or {}, ctx), ctx)
  local conversation = given(body.conversation)
  local id = conversation
  if type(conversation) == "table" then id = conversation.id end
  if id ~= nil then
    if type(id) ~= "string" then reject.bad("conversation", "must be a string or an object") end
    if not replay.upstream_knows(ctx) then replay.unknown("Conversation", id, "conversation") end
    request.service.conversation = id
  end
end

local function read_reasoning(request, body)
  local native = fields.object(body, "reasoning")
  if not native then return end
  local effort = fields.string(native, "effort", "reasoning")
  local found = effort and thinking.word(effort) or {}
  local summary = fields.string(native, "summary", "reasoning")
    or fields.string(native, "generate_summary", "reasoning")
  if summary and summary ~= "none" then
    found.visible, found.detail = true, summary
  end
  found.keep = fields.string(native, "context", "reasoning")
  found.exec = fields.string(native, "mode", "reasoning")
  found.from_suffix = false
  request.reasoning = found
end

local kinds = { text = "text", json_object = "json", json_schema = "schema" }

local function read_text(request, body)
  local text = fields.object(body, "text")
  if not text then return end
  request.output.verbosity = fields.string(text, "verbosity", "text")
  local native = fields.object(text, "format", "text")
  if not native then return end
  local path = "text.format"
  local kind = fields.enum(native, "type", path, kinds)
  if not kind then return end
  -- Some clients nest the members as in Chat.
  local inner = fields.object(native, "json_schema", path) or native
  request.format = {
    kind = kinds[kind], name = fields.string(inner, "name", path),
    description = fields.string(inner, "description", path),
    schema = given(inner.schema), strict = fields.boolean(inner, "strict", path),
  }
end

local function read_service(request, body)
  local service = request.service
  service.tier = fields.string(body, "service_tier")
  service.store = fields.boolean(body, "store")
  service.background = fields.boolean(body, "background")
  service.truncation = fields.string(body, "truncation")
  service.context_mgmt = given(body.context_management)
  local include = fields.list(body, "include")
  local logprobs = false
  if include then
    for i = 1, #include do
      if type(include[i]) ~= "string" then
        reject.bad("include[" .. i - 1 .. "]", "must be a string")
      end
      logprobs = logprobs or include[i] == "message.output_text.logprobs"
    end
    service.include = include
  end
  local top = fields.integer(body, "top_logprobs")
  if top or logprobs then request.logprobs = { on = logprobs, top = top } end
end

local function read_identity(request, body)
  local identity, cache = request.identity, request.cache
  identity.user = fields.string(body, "user")
  identity.safety_id = fields.string(body, "safety_identifier")
  local metadata = body.metadata
  if metadata ~= nil and json.type(metadata) == "object" then identity.metadata = metadata end
  cache.key = fields.string(body, "prompt_cache_key")
  cache.retention = fields.string(body, "prompt_cache_retention")
  local options = fields.object(body, "prompt_cache_options")
  if options then
    local mode = fields.string(options, "mode", "prompt_cache_options")
    if mode then cache.auto = mode ~= "explicit" end
    cache.ttl = fields.string(options, "ttl", "prompt_cache_options")
  end
end

local function read_extras(request, body)
  request.extras = items.extras(body, modelled) or {}
end

-- The input as text, for what refers to this answer later.
local function keep(request, text, ctx)
  if not ctx.replay or request.service.store == false then return end
  local own = replay.input_text(given(json.get(text, "input")))
  request.replay_input = request.history and replay.join(request.history, own) or own
end

--- @param text string
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode(text, ctx)
  local body, problem = json.decode(text, SHAPE)
  if body == nil then return reject.json(problem) end
  if type(body) ~= "table" or is_array(body) then reject.json("it is not an object") end
  local request = ir.request()
  request.model = fields.string(body, "model") or ""
  request.stream = fields.boolean(body, "stream") or false
  request.stream_usage = true
  request.max_output = fields.integer(body, "max_output_tokens")
  request.max_tool_calls = fields.integer(body, "max_tool_calls")
  request.sampling.temperature = fields.number(body, "temperature")
  request.sampling.top_p = fields.number(body, "top_p")
  read_system(request, body)
  tools.read(request, body, ctx)
  read_input(request, body, ctx)
  tools.choice(request, body)
  read_reasoning(request, body)
  read_text(request, body)
  read_service(request, body)
  read_identity(request, body)
  read_extras(request, body)
  keep(request, text, ctx)
  return request
end

return M
