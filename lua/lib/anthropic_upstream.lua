--- The neutral form as a request to Anthropic.

local declared = require "lib.declared"
local ir = require "lib.ir"
local json = require "json"
local models = require "models.anthropic"
local names = require "lib.names"
local parts = require "lib.anthropic_parts"
local thinking = require "lib.thinking"

local find, ipairs, next, sub, type = string.find, ipairs, next, string.sub, type

local M = {}

-- The API takes this many cache marks.
local MAX_MARKS = 4
-- For models nobody described.
local MAX_OUTPUT = 32000

local NO_PARAMETERS = json.raw '{"properties":{},"type":"object"}'

local function write_tool(tool, state)
  local own = tool.extras and tool.extras.anthropic
  if tool.kind == "server" then
    local row = models.declared[tool.server.tool]
    if own and own.type then
      -- A set of tools has no name.
      local name = tool.name ~= own.type and tool.name or nil
      return parts.mark(state, parts.extend({ name = name }, tool.extras), tool.cache)
    end
    if not row then
      state.warn("drop.tool", "tools", tool.name)
      return nil
    end
    local config = tool.server.config or {}
    local location = config.location
    return {
      type = row.type, name = row.name, max_uses = config.max_uses,
      allowed_domains = config.allowed and config.allowed[1] and json.array(config.allowed) or nil,
      blocked_domains = config.blocked and config.blocked[1] and json.array(config.blocked) or nil,
      user_location = location and next(location) and {
        type = "approximate", city = location.city, country = location.country,
        region = location.region, timezone = location.timezone,
      } or nil,
    }
  end
  local native = { name = names.full(tool.name, tool.namespace) }
  if state.same then native.defer_loading = tool.defer end
  -- Versioned tools are declared by their type alone.
  if not (own and own.type) then
    native.description, native.input_schema = tool.description, tool.schema or NO_PARAMETERS
    native.strict, native.input_examples = tool.strict or nil, tool.examples
    if state.same and tool.strict == false then native.strict = false end
  end
  return parts.finish(state, native, tool)
end

local function write_tools(state, request, body)
  if not request.tools[1] then return false end
  local list = json.array {}
  for _, tool in ipairs(request.tools) do
    -- Marks of the cache are counted, and servers' tools may be left out.
    if tool.cache or tool.kind == "server" then
      list[#list + 1] = write_tool(tool, state)
    else
      list[#list + 1] = declared.written(tool, "anthropic", write_tool, state)
    end
  end
  if list[1] then body.tools = list end
  return list[1] ~= nil
end

local choices = { auto = "auto", none = "none", required = "any", one = "tool" }

local function write_choice(state, request, body)
  local choice = request.tool_choice
  if not choice then return end
  local mode, name = choice.mode, choice.name
  if mode == "allowed" then mode = choice.allowed_mode or "auto" end
  local row = choice.server and models.declared[choice.server]
  if row and not state.same then name = row.name end
  local native = { type = choices[mode] or "auto" }
  if mode == "one" then native.name = names.full(name or "", choice.namespace) end
  if choice.parallel ~= nil and mode ~= "none" then
    if not choice.parallel or state.same then
      native.disable_parallel_tool_use = not choice.parallel
    end
  end
  -- The API's own default needs no word, unless the client said it.
  if mode == "auto" and choice.parallel ~= false and not state.same then return end
  body.tool_choice = native
end

local function display(reasoning)
  if reasoning.visible == nil then return nil end
  return reasoning.visible and "summarized" or "omitted"
end

-- `lib.thinking` has fitted the amount to the model; what it left is put into the API's words.
local function write_reasoning(reasoning, kind, body, config)
  if not reasoning then return end
  local mode, level, budget = reasoning.mode, reasoning.level, reasoning.budget
  if mode == "budget" and kind == "adaptive" then mode, level = "level", thinking.level(budget) end
  if mode == "level" and kind == "budget" then mode, budget = "budget", thinking.budget(level) end
  if mode == "budget" then
    body.thinking = { type = "enabled", budget_tokens = budget, display = display(reasoning) }
  elseif mode == "level" or mode == "auto" then
    body.thinking = { type = "adaptive", display = display(reasoning) }
  elseif mode == "off" then
    body.thinking = { type = "disabled" }
  elseif reasoning.visible and kind == "adaptive" then
    body.thinking = { type = "adaptive", display = "summarized" }
  end
  if level and kind ~= "budget" then config.effort = level == "minimal" and "low" or level end
end

-- Samplings that the API does not know.
local UNKNOWN = { "frequency_penalty", "presence_penalty", "seed", "logit_bias" }

local function write_limits(state, request, caps, body)
  body.max_tokens = request.max_output or caps.max_output or MAX_OUTPUT
  local sampling, warn = request.sampling, state.warn
  body.temperature, body.top_p, body.top_k = sampling.temperature, sampling.top_p, sampling.top_k
  for _, name in ipairs(UNKNOWN) do
    if sampling[name] ~= nil then warn("drop.param", name) end
  end
  if request.logprobs and request.logprobs.on then warn("drop.param", "logprobs") end
  if request.output.verbosity then warn("drop.param", "verbosity") end
  if request.output.prediction then warn("drop.param", "prediction") end
  if not request.stop[1] then return end
  local stops = json.array {}
  for _, stop in ipairs(request.stop) do
    if find(stop, "%S") or state.same then stops[#stops + 1] = stop
    else warn("drop.param", "stop", "only white space") end
  end
  if stops[1] then body.stop_sequences = stops end
end

local function write_service(state, request, body, config)
  local service = request.service
  if service.tier then
    local tier = models.tiers[service.tier] or state.same and service.tier
    if not tier then state.warn("drop.param", "service_tier", service.tier) end
    body.service_tier = tier or nil
  end
  body.speed = service.speed
  if state.same then body.inference_geo = service.region end
  local format = request.format
  if format and format.kind == "schema" and (state.caps.structured or "native") == "native" then
    config.format = {
      type = "json_schema", schema = format.schema, name = state.same and format.name or nil,
    }
  end
  if request.identity.user then body.metadata = { user_id = request.identity.user } end
  if request.cache.auto then
    body.cache_control = { type = "ephemeral", ttl = state.same and request.cache.ttl or nil }
  end
end

-- What stays in output_config and metadata beside the members that have a home.
local function write_extras(request, body, config)
  local own = request.extras.anthropic
  if not own then
    if next(config) ~= nil then body.output_config = config end
    return
  end
  for name, value in pairs(own.output_config or {}) do
    if config[name] == nil then config[name] = value end
  end
  if next(config) ~= nil then body.output_config = config end
  for name, value in pairs(own.metadata or {}) do
    body.metadata = body.metadata or {}
    if body.metadata[name] == nil then body.metadata[name] = value end
  end
  parts.extend(body, request.extras)
end

-- Ids of searches that cannot go to Anthropic, in a turn.
local function find_foreign_calls(state, turn)
  for _, block in ipairs(turn.blocks) do
    if block.type == "server_result" and block.tool == "web_search" then
      for _, hit in ipairs(block.results or {}) do
        if not hit.key or hit.key == "" then state.foreign_calls[block.call_id] = true end
      end
    end
  end
end

local function push(messages, role, content, extras)
  local last = messages[#messages]
  if last and last.role == role and not extras and not last.extras then
    local into = last.content
    for i = 1, #content do into[#into + 1] = content[i] end
    return
  end
  messages[#messages + 1] = { role = role, content = content, extras = extras }
end

local function wrapped(blocks)
  local found = {}
  for i, block in ipairs(blocks) do
    if block.type == "text" then
      found[i] = ir.text("<system-reminder>\n" .. block.text .. "\n</system-reminder>")
    else
      found[i] = block
    end
  end
  return found
end

local function write_turn(state, turn, messages)
  local extras = turn.extras and turn.extras.anthropic and turn.extras or nil
  if turn.role == "instruction" then
    local native = state.caps.mid_system
    local content = parts.instruction(state, turn.blocks, not native and wrapped or nil)
    if content[1] then
      push(messages, native and "system" or "user", content, native and extras or nil)
    end
    return
  end
  local of_assistant = turn.role == "assistant"
  if of_assistant and state.same then find_foreign_calls(state, turn) end
  state.of_assistant = of_assistant
  local content = parts.list(state, turn.blocks)
  if content[1] then push(messages, turn.role, content, extras) end
end

-- A text that the model is to continue may not end in white space.
local function trim_prefill(messages)
  local last = messages[#messages]
  if not last or last.role ~= "assistant" then return end
  local content = last.content
  local native = content[#content]
  if type(native) ~= "table" or native.type ~= "text" then return end
  local text, last_byte = native.text, #native.text
  while last_byte > 0 and find(text, "^%s", last_byte) do last_byte = last_byte - 1 end
  native.text = sub(text, 1, last_byte)
  if last_byte == 0 then
    content[#content] = nil
    if not content[1] then messages[#messages] = nil end
  end
end

local function write_messages(state, request, body)
  local messages = {}
  for i, turn in ipairs(request.turns) do
    state.at = i
    write_turn(state, turn, messages)
  end
  trim_prefill(messages)
  local list = json.array {}
  if not messages[1] or messages[1].role == "assistant" then
    state.warn("synth.turn", "messages", "(continue)")
    list[1] = {
      role = "user", content = json.array { { type = "text", text = "(continue)" } },
    }
  end
  local first = #list
  for i = 1, #messages do
    local message = messages[i]
    local extras = message.extras
    message.content = parts.content(message.content)
    if extras then
      message.extras = nil
      parts.extend(message, extras)
    end
    list[first + i] = message
  end
  body.messages = list
end

-- The last marks matter most: they stand where the next request begins to differ.
local function limit_marks(state, auto)
  for i = 1, #state.marks - (auto and MAX_MARKS - 1 or MAX_MARKS) do
    state.marks[i].cache_control = nil
  end
end

--- @param request IrRequest  normalised
--- @param ctx TranslationContext
--- @return string body
function M.encode(request, ctx)
  local caps = ctx.caps
  local state = {
    caps = caps, warn = ctx.warn, at = "", marks = {}, foreign_calls = {},
    family = caps.signature_family or "anthropic",
    same = ctx.client ~= nil and ctx.client.dialect == "anthropic",
  }
  local body = { model = ctx.upstream_model or request.model, stream = request.stream or nil }
  local config = {}
  local tools = write_tools(state, request, body)
  state.at = "system"
  local system = parts.instruction(state, request.system)
  if system[1] then body.system = system end
  write_messages(state, request, body)
  if tools then write_choice(state, request, body) end
  write_limits(state, request, caps, body)
  write_reasoning(request.reasoning, caps.thinking and caps.thinking.kind, body, config)
  write_service(state, request, body, config)
  write_extras(request, body, config)
  limit_marks(state, request.cache.auto)
  return json.encode(body)
end

return M
