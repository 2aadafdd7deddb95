--- Gives an answer's tool calls, ids and model back their names on the client's side, between the
--- decoder of the upstream and the encoder for the client.
---
--- Also undoes what normalisation had to do: custom tools as functions, changed types in arguments,
--- JSON answers by other means; and hides thinking that the client did not ask for.

local fence = require "lib.fence"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local schema = require "lib.schema"
local signatures = require "lib.signatures"
local tooling = require "lib.tooling"

local concat, sub, type = table.concat, string.sub, type

local M = {}

local prefixes = { chat = "chatcmpl-", anthropic = "msg_", responses = "resp_" }

--- The id of an answer as clients of the dialect expect it.
--- @param id string?
--- @param ctx TranslationContext
--- @return string
function M.response_id(id, ctx)
  local base = ir.base(ctx.client.dialect)
  local prefix = prefixes[base] or ""
  if ctx.client.variant == "completions" then prefix = "cmpl-" end
  if type(id) ~= "string" or id == "" then return ctx.unique(prefix, 24) end
  if sub(id, 1, #prefix) == prefix then return id end
  return prefix .. id
end

--- The text of an emulated custom call.
--- @param args string
--- @return string
function M.unwrap_input(args)
  if not json.peek(args) then return args end
  local input = json.get(args, "input")
  if input == nil then return args end
  return type(input) == "string" and input or json.encode(input)
end

-- Whether the client is to see thinking: "all", "signatures" (blocks without text) or "none".
local function visibility(ctx)
  if ir.base(ctx.client.dialect) ~= "anthropic" or not ctx.request then return "all" end
  local reasoning = ctx.request.reasoning
  if not reasoning or reasoning.mode == "off" then return "none" end
  if reasoning.visible == false then return "signatures" end
  return reasoning.mode and "all" or reasoning.visible and "all" or "none"
end

-- Puts the client's names on a call.  The way its arguments have to go, or nil.
local function rename(block, ctx)
  local upstream = block.name or ""
  if ctx.emulation == "tool" and upstream == tooling.EMITTER then return "answer" end
  local name, namespace, kind = upstream, nil, nil
  if ctx.names then name, namespace, kind = ctx.names.to_client(upstream) end
  block.name = name
  block.namespace = block.namespace or namespace
  if block.id and ctx.ids then block.id = ctx.ids.to_client(block.id) end
  if kind == "custom" and block.kind ~= "custom" then
    block.kind = "custom"
    return "custom"
  end
  local coercions = ctx.coercions and ctx.coercions[upstream]
  return coercions and { coercions = coercions } or nil
end

local function convert(way, args)
  if way == "custom" then return M.unwrap_input(args) end
  return schema.coerce(args, way.coercions)
end

local function remember(block, sig, ctx)
  if ctx.replay and block and block.type == "tool_call" and sig and block.id then
    ctx.replay.set("sig:" .. block.id, signatures.wrap(sig))
  end
end

-- --- streams ------------------------------------------------------------------------------------

-- A stream's state: `ctx`, what is `seen` of thinking, the `sink`, the `choices` with their blocks,
-- and whether a call was turned into the answer (`answered`).

local function choice_of(s, event)
  local number = event.choice or 0
  local choice = s.choices[number]
  if not choice then
    choice = { next = 0, blocks = {} }
    s.choices[number] = choice
  end
  return choice
end

-- Indices stay dense although blocks may vanish.
local function show(s, entry, choice, event)
  entry.idx = choice.next
  choice.next = choice.next + 1
  event.idx = entry.idx
  s.sink(event)
end

local on = {}

function on.start(s, event)
  local ctx = s.ctx
  event.id = M.response_id(event.id, ctx)
  event.model = ctx.model or event.model
  if type(event.created) ~= "number" or event.created == 0 then event.created = ctx.created end
  s.sink(event)
end

function on.stop(s, event)
  if s.answered and event.stop.reason == "tool_call" then
    event.stop = { reason = "end", native = event.stop.native }
  end
  s.sink(event)
end

local function start_call(s, entry, event, choice)
  local block = event.block
  entry.way = rename(block, s.ctx)
  if entry.way == "answer" then
    s.answered = true
    event.block = { type = "text" }
    entry.answer = true
  elseif entry.way then
    entry.parts = {}
  end
  remember(block, block.sig, s.ctx)
  -- Carriers are for clients that asked for thinking; the replay store serves the others.
  if s.seen == "none" then block.sig = nil end
  show(s, entry, choice, event)
end

function on.block_start(s, event)
  local choice, block = choice_of(s, event), event.block
  local entry = { block = block }
  choice.blocks[event.idx] = entry
  local kind, seen = block.type, s.seen
  if kind == "tool_call" then return start_call(s, entry, event, choice) end
  if kind == "thinking" or kind == "redacted_thinking" then
    if seen == "none" then
      entry.hidden = true
      return
    end
    if seen == "signatures" and kind == "thinking" then
      -- Shown once there is a signature to show.
      entry.mute = true
      if not block.sig then
        entry.held = event
        return
      end
    end
  elseif kind == "text" and s.ctx.emulation == "fence" then
    entry.fence = fence.new()
  end
  show(s, entry, choice, event)
end

-- Events of a block that is open, and its entry.
local inside = {}

function inside.text_delta(s, event, entry)
  if entry.fence then
    event.text = entry.fence.push(event.text)
    if event.text == "" then return end
  end
  s.sink(event)
end

function inside.thinking_delta(s, event, entry)
  if not entry.mute then s.sink(event) end
end
inside.thinking_part = inside.thinking_delta

function inside.args_delta(s, event, entry)
  if entry.parts then
    entry.parts[#entry.parts + 1] = event.text
    return
  end
  if entry.answer then event.type = "text_delta" end
  s.sink(event)
end

function inside.signature(s, event, entry)
  remember(entry.block, event.sig, s.ctx)
  if not entry.answer and s.seen ~= "none" then s.sink(event) end
end

local function finish_args(s, event, entry)
  local final = event.final
  local args = concat(entry.parts)
  if args == "" and final and type(final.args) == "string" then args = final.args end
  if args ~= "" or entry.way == "custom" then
    local text = convert(entry.way, args)
    if text ~= "" then
      s.sink { type = "args_delta", choice = event.choice, idx = entry.idx, text = text }
    end
    if final and final.args then final.args = text end
  end
end

function inside.block_stop(s, event, entry)
  if entry.parts then finish_args(s, event, entry) end
  if entry.fence then
    local rest = entry.fence.finish()
    if rest ~= "" then
      s.sink { type = "text_delta", choice = event.choice, idx = entry.idx, text = rest }
    end
  end
  if entry.answer then event.final = nil end
  s.sink(event)
end

-- An event of a block; what belongs to a hidden one is left out.
local function of_block(s, event, kind)
  local choice = s.choices[event.choice or 0]
  local entry = choice and choice.blocks[event.idx]
  if not entry or entry.hidden then return end
  if entry.held then
    if kind ~= "signature" then return end
    local held = entry.held
    entry.held = nil
    show(s, entry, choice, held)
  end
  event.idx = entry.idx
  local handler = inside[kind]
  if handler then return handler(s, event, entry) end
  s.sink(event)
end

--- One stream's filter.
--- @param ctx TranslationContext
--- @param sink fun(event: IrEvent)  gets what the client's encoder is to get
--- @return fun(event: IrEvent)
function M.new(ctx, sink)
  local s = {
    ctx = ctx, sink = sink, seen = visibility(ctx), choices = {}, answered = false,
  }
  return function(event)
    local kind = event.type
    local handler = on[kind]
    if handler then return handler(s, event) end
    if event.idx ~= nil then return of_block(s, event, kind) end
    sink(event)
  end
end

-- --- whole answers ------------------------------------------------------------------------------

local function whole_call(block, ctx)
  local way = rename(block, ctx)
  if way == "answer" then return ir.text(block.args or ""), true end
  if way then block.args = convert(way, block.args or "") end
  remember(block, block.sig, ctx)
  return block
end

local function whole_thinking(block, seen)
  if seen == "none" then return nil end
  if seen == "signatures" and block.type == "thinking" then
    if not block.sig then return nil end
    block.text, block.parts = "", nil
  end
  return block
end

--- The same for a whole answer, in place.
--- @param response IrResponse
--- @param ctx TranslationContext
--- @return IrResponse
function M.response(response, ctx)
  local seen = visibility(ctx)
  response.id = M.response_id(response.id, ctx)
  response.model = ctx.model or response.model
  if type(response.created) ~= "number" or response.created == 0 then
    response.created = ctx.created
  end
  for _, choice in ipairs(response.choices) do
    local kept, answered = {}, false
    for _, block in ipairs(choice.blocks) do
      local kind = block.type
      if kind == "tool_call" then
        local is_answer
        block, is_answer = whole_call(block, ctx)
        answered = answered or is_answer
        if seen == "none" then block.sig = nil end
      elseif kind == "thinking" or kind == "redacted_thinking" then
        block = whole_thinking(block, seen)
      elseif kind == "text" and ctx.emulation == "fence" then
        local filter = fence.new()
        block.text = filter.push(block.text or "") .. filter.finish()
      end
      kept[#kept + 1] = block
    end
    choice.blocks = kept
    if answered and choice.stop.reason == "tool_call" then
      choice.stop = { reason = "end", native = choice.stop.native }
    end
  end
  return response
end

return M
