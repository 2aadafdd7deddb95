--- Requests of the Responses dialect: neutral form to body.

local crypto = require "crypto"
local json = require "json"
local parts = require "lib.responses_parts"
local place = require "lib.place"
local thinking = require "lib.thinking"
local tools = require "lib.responses_tools"

local concat, ipairs, next, sub, tostring, type =
  table.concat, ipairs, next, string.sub, tostring, type
local array, extend, write_part = json.array, parts.extend, parts.write

local M = {}

-- Comes to a block, which warnings name.
local function enter(state, b)
  local at = state.at
  at.outer.at, at.at, state.path = state.turn - 1, b - 1, at
end

local function warn(state, kind, what)
  state.ctx.warn(kind, tostring(state.path), what)
end

local function push(state, item)
  local input = state.input
  input[#input + 1] = item
end

-- Stored ids are known to upstreams that store; others refuse them.
local function identify(state, native, from)
  if not from then return native end
  if state.stored then native.id = from.id end
  native.status = from.status
  return extend(native, from.extras)
end

local function message(state, role, content, from)
  if #content == 0 then return end
  local native = { type = "message", role = role, content = content, phase = from and from.phase }
  push(state, identify(state, native, from))
end

-- Reasoning waits for the item it belongs to: alone it is refused.
local function flush(state)
  local waiting = state.waiting
  for i = 1, #waiting do
    push(state, waiting[i])
    waiting[i] = nil
  end
end

local assistant = {}

function assistant.thinking(block, state)
  local sig = block.sig
  if not sig or sig.family ~= "openai" or sig.kind == "redacted" then
    warn(state, "drop.signature")
    return
  end
  local summary = array()
  if block.form ~= "raw" then
    for i, text in ipairs(block.parts or {}) do
      summary[i] = { type = "summary_text", text = text }
    end
  end
  local native = { type = "reasoning", summary = summary, encrypted_content = sig.data }
  if block.form == "raw" and block.text ~= "" and block.item then
    native.content = array { { type = "reasoning_text", text = block.text } }
  end
  local waiting = state.waiting
  waiting[#waiting + 1] = block.item and extend(native, block.item.extras) or native
end

function assistant.redacted_thinking(_, state)
  warn(state, "drop.signature")
end

function assistant.tool_call(block, state)
  flush(state)
  local args, custom, input = block.args, block.kind == "custom", nil
  if custom then
    state.custom[block.id] = true
    args, input = nil, args
  elseif args == "" then
    args = "{}"
  end
  push(state, identify(state, {
    type = custom and "custom_tool_call" or "function_call", arguments = args, input = input,
    call_id = block.id, name = block.name, namespace = block.namespace,
  }, block.item))
end

local function safe_id(prefix, id)
  local whole = sub(id, 1, #prefix) == prefix and id or prefix .. id
  return #whole <= 64 and whole or prefix .. sub(crypto.sha256_hex(id), 1, 32)
end

function assistant.server_call(block, state)
  local from = block.item
  if block.native and from then
    flush(state)
    local native = { type = block.native, id = from.id, status = from.status }
    push(state, extend(native, from.extras))
  elseif block.tool == "web_search" then
    flush(state)
    local query = block.input and json.get(block.input, "query")
    push(state, {
      type = "web_search_call", id = safe_id("ws_", block.id), status = "completed",
      action = { type = "search", query = type(query) == "string" and query or "" },
    })
  else
    warn(state, "drop.block", "server_call")
  end
end

-- What they found stands in the items of the calls.
function assistant.server_result() end

function assistant.image(block, state)
  local from = block.item
  if from and from.generated then
    flush(state)
    local native = {
      type = "image_generation_call", id = from.id, status = from.status or "completed",
      result = block.source.data,
    }
    push(state, extend(native, from.extras))
    return
  end
  warn(state, "drop.block", "image of the assistant")
end

function assistant.compaction(block, state)
  local sig = block.sig
  if not sig or sig.family ~= "openai" then
    warn(state, "drop.signature")
    return
  end
  flush(state)
  local native = { type = "compaction", encrypted_content = sig.data }
  push(state, identify(state, native, block.item))
end

-- Ends the message of the assistant that is being written, if there is one.
local function close_message(state)
  local content, from = state.content, state.from
  if not content then return end
  if content[1] ~= nil then
    flush(state)
    message(state, "assistant", content, from)
  end
  state.content, state.from = nil, nil
end

local function write_assistant(turn, state)
  for b, block in ipairs(turn.blocks) do
    enter(state, b)
    local item = block.item
    local grouped = item and item.group
    local kind = block.type
    if kind == "text" or kind == "refusal" or kind == "opaque" and grouped then
      if state.content and grouped ~= state.group then close_message(state) end
      local content = state.content
      if not content then
        content = array()
        state.content, state.from, state.group = content, item, grouped
      end
      if kind ~= "text" or block.text ~= "" then
        content[#content + 1] = write_part(block, "assistant", state)
      end
    else
      close_message(state)
      local write = assistant[kind]
      if write then
        write(block, state)
      elseif kind == "opaque" and block.dialect == "responses" then
        flush(state)
        push(state, block.raw)
      else
        warn(state, "drop.block", kind)
      end
    end
  end
  close_message(state)
  if #state.waiting > 0 then
    state.waiting = {}
    warn(state, "drop.block", "reasoning without what follows")
  end
end

local ERROR_PREFIX = "Error: "

local function write_output(block, state)
  local content, from = block.content or {}, block.item
  local output
  local failed = block.is_error
  local first = content[1]
  local text = first and first.type == "text" and first.text
  if text and sub(text, 1, #ERROR_PREFIX) == ERROR_PREFIX then failed = false end
  if not first then
    output = failed and "Error" or ""
  elseif text and #content == 1 and not (from and from.list) and not first.cache then
    output = failed and ERROR_PREFIX .. text or text
  else
    output = array()
    for i, each in ipairs(content) do
      local native = write_part(each, "user", state)
      if failed and i == 1 then
        if native and native.type == "input_text" then
          native.text = ERROR_PREFIX .. native.text
        else
          output[1] = { type = "input_text", text = ERROR_PREFIX:sub(1, -3) }
        end
      end
      output[#output + 1] = native
    end
  end
  local id = block.call_id or ""
  local custom = block.kind == "custom" or state.custom[id]
  local native = {
    type = custom and "custom_tool_call_output" or "function_call_output",
    call_id = id, output = output,
  }
  push(state, identify(state, native, from))
end

local function write_user(turn, state)
  local content = array()
  local from
  for b, block in ipairs(turn.blocks) do
    enter(state, b)
    if block.type == "tool_result" then
      write_output(block, state)
    elseif block.type == "opaque" and not (block.item and block.item.group) then
      if block.dialect == "responses" then push(state, block.raw) end
    else
      from = from or block.item
      content[#content + 1] = write_part(block, "user", state)
    end
  end
  message(state, "user", content, from)
end

local function write_instruction(turn, state)
  local content = array()
  for b, block in ipairs(turn.blocks) do
    enter(state, b)
    content[#content + 1] = write_part(block, "user", state)
  end
  local role = turn.level == "system" and "system" or "developer"
  message(state, role, content, turn.blocks[1] and turn.blocks[1].item)
end

-- Leading instructions: text for `instructions`, then messages from the first block on that needs
-- one, so that their order stays.
local function write_system(request, state, as_messages)
  local plain, content, role, group, from = {}, nil, nil, nil, nil
  state.path = "system"
  for _, block in ipairs(request.system) do
    local item = block.item
    local own = item and item.group
    if not content and not as_messages and not own and not block.cache
        and block.level ~= "developer" then
      plain[#plain + 1] = block.text
    else
      local needed = (as_messages or block.cache or block.level == "developer")
        and not (own and block.level == "system") and "developer" or "system"
      if content and (needed ~= role or own ~= group) then
        message(state, role, content, from)
        content = nil
      end
      if not content then content, role, group, from = array(), needed, own, item end
      content[#content + 1] = write_part(block, "user", state)
    end
  end
  if content then message(state, role, content, from) end
  return #plain > 0 and concat(plain, "\n\n") or nil
end

local function write_input(request, state)
  for t, turn in ipairs(request.turns) do
    state.turn = t
    if turn.role == "assistant" then
      write_assistant(turn, state)
    elseif turn.role == "instruction" then
      write_instruction(turn, state)
    else
      write_user(turn, state)
    end
  end
end

local function write_reasoning(reasoning)
  if not reasoning then return nil end
  local effort = reasoning.level
  if reasoning.mode == "off" then effort = "none"
  elseif reasoning.mode == "budget" then effort = thinking.level(reasoning.budget or -1)
  elseif reasoning.mode ~= "level" then effort = nil end
  if effort == "auto" then effort = nil elseif effort == "off" then effort = "none" end
  local native = {
    effort = effort, summary = reasoning.visible and (reasoning.detail or "auto") or nil,
    context = reasoning.keep, mode = reasoning.exec,
  }
  return next(native) and native or nil
end

local format_kinds = { text = "text", json = "json_object", schema = "json_schema" }

local function write_text(request)
  local format, verbosity = request.format, request.output.verbosity
  if not format then return verbosity and { verbosity = verbosity } or nil end
  local native = { type = format_kinds[format.kind] or "text" }
  if format.kind == "schema" then
    native.name, native.schema = format.name or "output", format.schema or {}
    native.description, native.strict = format.description, format.strict
  end
  return { verbosity = verbosity, format = native }
end

local tiers = {
  auto = "auto", default = "default", flex = "flex", scale = "scale", priority = "priority",
  fast = "fast", standard = "default", standard_only = "default",
}

local function with(list, name)
  local whole = array()
  for i, each in ipairs(list or whole) do
    if each == name then return list end
    whole[i] = each
  end
  whole[#whole + 1] = name
  return whole
end
M.with = with

local function write_service(request, body, own)
  local service, identity = request.service, request.identity
  body.service_tier = tiers[service.tier]
  local store = false
  if own and service.store ~= nil then store = service.store end
  body.store = store
  local include = service.include
  if not (store or own and include) then include = with(include, "reasoning.encrypted_content") end
  if request.logprobs then
    if request.logprobs.on then include = with(include, "message.output_text.logprobs") end
    body.top_logprobs = request.logprobs.top
  end
  body.include = include
  body.background, body.truncation = service.background, service.truncation
  body.context_management = own and service.context_mgmt or nil
  body.previous_response_id, body.conversation = service.previous_id, service.conversation
  body.user = identity.user
  body.safety_identifier = own and identity.safety_id or nil
end

local function write_cache(request, body, own)
  local cache = request.cache
  body.prompt_cache_key = cache.key
  body.prompt_cache_retention = cache.retention
  if own and (cache.auto ~= nil or cache.ttl) then
    local mode
    if cache.auto ~= nil then mode = cache.auto and "implicit" or "explicit" end
    body.prompt_cache_options = { mode = mode, ttl = cache.ttl }
  end
end

-- What this dialect has no member for.
local function warn_dropped(request, warn)
  for _, name in ipairs {
    "top_k", "frequency_penalty", "presence_penalty", "seed", "logit_bias",
  } do
    if request.sampling[name] ~= nil then warn("drop.param", name) end
  end
  if #request.stop > 0 then warn("drop.param", "stop") end
  if request.n > 1 then warn("clamp", "n") end
  if request.output.prediction then warn("drop.param", "prediction") end
end

--- The body as a table, with RawJson in it.
--- @param request IrRequest
--- @param ctx TranslationContext
--- @param system_as_messages boolean?  no `instructions` are made of leading system text
--- @return table
function M.build(request, ctx, system_as_messages)
  local dialect = ctx.client and ctx.client.dialect
  local own = dialect == "responses"
  local state = {
    ctx = ctx, input = array(), waiting = {}, custom = {},
    path = "", at = place.of("blocks", place.of "turns"), turn = 0,
    stored = own and request.service.store == true,
  }
  local body = { model = ctx.upstream_model or request.model, input = state.input }
  if request.stream then body.stream = true end
  body.instructions = write_system(request, state, system_as_messages)
  write_input(request, state)
  body.max_output_tokens, body.max_tool_calls = request.max_output, request.max_tool_calls
  body.temperature, body.top_p = request.sampling.temperature, request.sampling.top_p
  body.tools = tools.write(request, ctx)
  local choice = request.tool_choice
  if body.tools or own then
    body.tool_choice = tools.write_choice(request)
    body.parallel_tool_calls = choice and choice.parallel
  end
  body.reasoning = write_reasoning(request.reasoning)
  body.text = write_text(request)
  if own or dialect == "chat" then body.metadata = request.identity.metadata end
  write_service(request, body, own)
  write_cache(request, body, own)
  warn_dropped(request, ctx.warn)
  return extend(body, request.extras)
end

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return string
function M.encode(request, ctx)
  return json.encode(M.build(request, ctx))
end

return M
