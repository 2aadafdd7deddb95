--- Anthropic requests into the neutral form.

local blocks = require "lib.anthropic_blocks"
local content = require "lib.content"
local declared = require "lib.declared"
local fields = require "lib.fields"
local ir = require "lib.ir"
local json = require "json"
local members = require "lib.anthropic_members"
local reject = require "lib.reject"
local thinking = require "lib.thinking"
local tools = require "lib.anthropic_tools"

local ipairs, match, pairs, sub, type = ipairs, string.match, pairs, string.sub, type
local null = json.null
local extras, read = members.extras, blocks.read

local M = {}

-- What clients put first to say who pays: of no use to other vendors, and other every time.
local BILLING = "x-anthropic-billing-header:"

local SHAPE = json.shape {
  known = {
    "model", "stream", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "thinking",
    "metadata", "tool_choice", "service_tier", "speed", "cache_control", "inference_geo",
    system = blocks.BLOCK,
    messages = { "role", content = blocks.BLOCK },
    tools = tools.SHAPE,
    output_config = { "effort", format = { "type", "name" } },
    output_format = { "type", "name" },
  },
  strict = true, kept = { "tools" },
}

-- Members with a home in the neutral form; the others are extras.
local KNOWN = {
  model = true, stream = true, max_tokens = true, temperature = true, top_p = true, top_k = true,
  stop_sequences = true, thinking = true, metadata = true, tool_choice = true, service_tier = true,
  speed = true, cache_control = true, inference_geo = true, system = true, messages = true,
  tools = true, output_config = true, output_format = true,
}

local MESSAGE = { role = true, content = true }

local function read_system(body, request, state)
  local at = blocks.place "system"
  for i, block in ipairs(blocks.list(body, "system", at, state)) do
    if block.type == "text" then
      if not (state.foreign and sub(block.text, 1, #BILLING) == BILLING) then
        block.level = "system"
        request.system[#request.system + 1] = block
      end
    elseif block.type ~= "opaque" or state.foreign then
      reject.bad("system[" .. i - 1 .. "]", "must be text")
    else
      request.system[#request.system + 1] = block
    end
  end
end

-- Begins a turn; `state.list` are its blocks until another one begins.
local function begin_turn(state, role)
  local list = {}
  state.turns[#state.turns + 1] = {
    role = role, blocks = list, level = role == "instruction" and "system" or nil,
  }
  state.role, state.list, state.results = role, list, 0
  return list
end

-- Results come first in their turn, in their order.
local function add(state, role, block)
  local list = state.role == role and state.list or begin_turn(state, role)
  if block.type == "tool_result" and role == "user" then
    state.results = state.results + 1
    if state.results <= #list then return table.insert(list, state.results, block) end
  end
  list[#list + 1] = block
end

local function add_block(state, role, native, at)
  if type(native) == "table" and native.type == "mid_conv_system" then
    at[2] = 0
    for _, each in ipairs(blocks.list(native, "content", at, state)) do
      add(state, "instruction", each)
    end
    return
  end
  local one, several = read(native, at, state)
  if one then
    local kind = one.type
    if role ~= "assistant" and (kind == "thinking" or kind == "redacted_thinking") then
      return state.warn("drop.block", tostring(at), kind)
    end
    add(state, role, one)
  elseif several then
    for _, each in ipairs(several) do add(state, role, each) end
  end
end

local roles = { user = "user", assistant = "assistant", system = "instruction" }

local function read_message(native, at, state)
  local role = type(native) == "table" and roles[native.role]
  if not role then
    if type(native) ~= "table" or json.is_array(native) then
      reject.bad(tostring(at), "must be an object")
    end
    reject.bad(tostring(at) .. ".role", "must be one of 'assistant', 'system', 'user'")
  end
  local content = native.content
  local more = extras(native, MESSAGE)
  -- Members of the message belong to it alone.
  if more then begin_turn(state, role) end
  if type(content) == "string" then
    add(state, role, { type = "text", text = content })
  else
    local list = fields.list(native, "content", at)
    if not list then reject.bad(tostring(at) .. ".content", "is required") end
    for i = 1, #list do
      at[2] = i
      add_block(state, role, list[i], at)
    end
    at[2] = 0
  end
  if more then state.turns[#state.turns].extras, state.role = more, nil end
end

-- Instructions that nothing precedes are leading ones.
local function lift_leading(request)
  while request.turns[1] and request.turns[1].role == "instruction" do
    for _, block in ipairs(table.remove(request.turns, 1).blocks) do
      block.level = "system"
      request.system[#request.system + 1] = block
    end
  end
end

local function read_messages(body, request, state)
  local at = blocks.place "messages"
  local list = fields.list(body, "messages")
  if not list then reject.bad("messages", "is required") end
  for i, native in ipairs(list) do
    at[1] = i
    read_message(native, at, state)
  end
  lift_leading(request)
end

-- A tool of this conversation's own.
local function with(tool, member, value)
  local made = content.copy(tool)
  made[member] = value
  return made
end

-- Tools kept back are offered to other vendors once the conversation names them.
local function offer(request, state)
  local names, list = state.offered, request.tools
  if next(names) ~= nil then
    for i = 1, #list do
      local live = names[list[i].name]
      if live ~= nil then list[i] = with(list[i], "live", live) end
    end
  end
  if not state.foreign then return end
  for _, tool in ipairs(state.added) do list[#list + 1] = tool end
  local kept = {}
  for i = 1, #list do
    local tool = list[i]
    local offered = names[tool.name]
    if offered == nil then offered = not tool.defer end
    if offered then kept[#kept + 1] = tool.defer ~= nil and with(tool, "defer", nil) or tool end
  end
  request.tools = kept
end

local function read_tools(list)
  local at, found = blocks.place "tools", {}
  for i, native in ipairs(list) do
    at[1] = i
    if type(native) ~= "table" or native.name == nil and json.is_array(native) then
      reject.bad(tostring(at), "must be an object")
    end
    found[i] = tools.read(native, at)
  end
  return found
end

local modes = { auto = "auto", any = "required", tool = "one", none = "none" }

local function read_choice(body, request)
  local native = fields.object(body, "tool_choice")
  if not native then return end
  local kind = fields.enum(native, "type", "tool_choice", modes)
  if not kind then reject.bad("tool_choice.type", "is required") end
  local choice = { mode = modes[kind] }
  if kind == "tool" then
    choice.name = fields.string(native, "name", "tool_choice")
    if not choice.name then reject.bad("tool_choice.name", "is required") end
    for _, tool in ipairs(request.tools) do
      if tool.kind == "server" and tool.name == choice.name then
        choice.server = tool.server.tool
      end
    end
  end
  local disabled = fields.boolean(native, "disable_parallel_tool_use", "tool_choice")
  if disabled ~= nil then choice.parallel = not disabled end
  request.tool_choice = choice
end

local function read_format(body, config)
  local name = config and config.format ~= nil and "output_config.format" or "output_format"
  local native = config and fields.object(config, "format", "output_config")
    or fields.object(body, "output_format")
  if not native then return nil end
  if native.type ~= "json_schema" then reject.bad(name .. ".type", "must be 'json_schema'") end
  if native.schema == nil then reject.bad(name .. ".schema", "is required") end
  return { kind = "schema", schema = native.schema, name = fields.string(native, "name", name) }
end

local function read_amount(native)
  local kind = fields.string(native, "type", "thinking")
  if kind == "disabled" then return { mode = "off" } end
  if kind == "adaptive" then return { mode = "auto" } end
  if kind ~= "enabled" then
    reject.bad("thinking.type", "must be one of 'adaptive', 'disabled', 'enabled'")
  end
  local budget = fields.integer(native, "budget_tokens", "thinking")
  if not budget or budget < 0 then return { mode = "auto" } end
  return { mode = "budget", budget = budget }
end

-- Thinking that is on without a word about being shown is shown.
local function read_reasoning(body, config, request, warn)
  local native = fields.object(body, "thinking")
  local reasoning = native and read_amount(native)
  if reasoning and reasoning.mode ~= "off" then
    reasoning.visible = fields.string(native, "display", "thinking") ~= "omitted"
  end
  local effort = config and fields.string(config, "effort", "output_config")
  if effort and not thinking.is_level(effort) then
    warn("native.unknown", "output_config.effort", effort)
  elseif effort then
    reasoning = reasoning or { mode = "auto" }
    reasoning.level = effort
    if reasoning.mode == "auto" then reasoning.mode = "level" end
  end
  request.reasoning = reasoning
end

-- Claude Code packs account and session into one id: only the session is for others.
local function session_of(user)
  local session = match(user, "_session_([%w-]+)$")
  if session then return session, true end
  if sub(user, 1, 1) ~= "{" then return nil, false end
  local ok, found = json.peek(user, "session_id")
  if not ok then return nil, false end
  return type(found) == "string" and found ~= "" and found or nil, true
end

local function read_identity(body, request, own)
  local native = fields.object(body, "metadata")
  if not native then return end
  local identity, kept = request.identity, {}
  for name, value in pairs(native) do kept[name] = value end
  local user = fields.string(native, "user_id", "metadata")
  if user then
    local session, packed = session_of(user)
    identity.session = session
    if not packed then
      identity.user = user
      kept.user_id = nil
    end
  end
  if next(kept) ~= nil then own.metadata = kept end
end

local function read_limits(body, request)
  request.max_output = fields.integer(body, "max_tokens")
  if request.max_output and request.max_output < 0 then
    reject.bad("max_tokens", "must not be negative")
  end
  local sampling = request.sampling
  sampling.temperature = fields.number(body, "temperature")
  sampling.top_p = fields.number(body, "top_p")
  sampling.top_k = fields.integer(body, "top_k")
  for i, stop in ipairs(fields.list(body, "stop_sequences") or {}) do
    if type(stop) ~= "string" then
      reject.bad("stop_sequences[" .. i - 1 .. "]", "must be a string")
    end
    request.stop[i] = stop
  end
end

local CONFIG = { effort = true, format = true }

local function read_service(body, request, config, own)
  request.service.tier = fields.string(body, "service_tier")
  request.service.speed = fields.string(body, "speed")
  request.service.region = fields.string(body, "inference_geo")
  local cache = members.cache(body, "")
  if cache then request.cache.auto, request.cache.ttl = true, cache.ttl end
  local more = config and extras(config, CONFIG)
  if more then own.output_config = more.anthropic end
end

--- @param text string
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode(text, ctx)
  local body, problem = json.decode(text, SHAPE)
  if problem then reject.json(problem) end
  if type(body) ~= "table" or json.is_array(body) then reject.json "it must be an object" end
  local request = ir.request()
  local upstream = ctx.upstream and ctx.upstream.dialect
  local state = {
    -- True when the request leaves for another vendor.
    foreign = upstream ~= nil and upstream ~= "anthropic",
    turns = request.turns, results = 0, offered = {}, added = {}, warn = ctx.warn,
  }
  request.model = fields.string(body, "model") or ""
  request.stream = fields.boolean(body, "stream") == true
  request.stream_usage = true
  local more = extras(body, KNOWN)
  local own = more and more.anthropic or {}
  local config = fields.object(body, "output_config")
  read_system(body, request, state)
  read_messages(body, request, state)
  local list = fields.list(body, "tools")
  if list then request.tools = declared.tools(list, read_tools) end
  offer(request, state)
  read_choice(body, request)
  read_limits(body, request)
  read_reasoning(body, config, request, ctx.warn)
  request.format = read_format(body, config)
  read_identity(body, request, own)
  read_service(body, request, config, own)
  if next(own) ~= nil then request.extras.anthropic = own end
  return request
end

return M
