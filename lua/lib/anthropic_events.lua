--- The neutral form as a stream of Anthropic's events.
---
--- One block is open at a time and indices are dense, so a block is announced when its first
--- content is there, not before.  Thinking stays open until the next block: the signature of a call
--- belongs into the thinking before it.

local ir = require "lib.ir"
local json = require "json"
local problems = require "lib.problems"
local show = require "lib.anthropic_show"
local usages = require "lib.usage"

local encode = json.encode
local find = string.find

local M = {}

local NOTHING = {}
local PING = { name = "ping", data = '{"type":"ping"}' }

local STOP = { name = "message_stop", data = '{"type":"message_stop"}' }

-- What stands before the value of a delta, by its kind.
local HEADS = {}
for kind, member in pairs {
  text_delta = "text", thinking_delta = "thinking", signature_delta = "signature",
  input_json_delta = "partial_json", citations_delta = "citation",
} do
  HEADS[kind] = '{"delta":{"type":"' .. kind .. '","' .. member .. '":'
end

-- One stream's state:
--   ctx, wanted      what is seen of thinking, see show.thinking
--   out              the frames of the event at hand
--   start, stop      events that told so
--   usage            what was counted so far, or nil
--   begun, ended     message_start went out; all is said
--   index, foot      of the next block, and how its deltas end
--   block            the open one {type, idx, sig, opened, ...}; nil between blocks
--   any              some block went out
--   calls, refusal   how many calls were made, and what the model refused with
--   searches, server_id   of calls of the server's tools

local function put(s, name, data)
  local out = s.out
  out[#out + 1] = { name = name, data = data }
end

local function begin(s)
  if s.begun then return end
  s.begun = true
  local start, ctx = s.start, s.ctx
  put(s, "message_start", encode {
    type = "message_start",
    message = {
      type = "message", role = "assistant", id = show.id(start and start.id, ctx),
      model = ctx.model or start and start.model or "", content = json.array {},
      stop_reason = json.null, stop_sequence = json.null, usage = usages.start(s.usage),
    },
  })
  s.out[#s.out + 1] = PING
end

local function open(s, native)
  begin(s)
  put(s, "content_block_start", '{"content_block":' .. encode(native) .. ',"index":' .. s.index
    .. ',"type":"content_block_start"}')
  s.foot = '},"index":' .. s.index .. ',"type":"content_block_delta"}'
  s.any = true
end

local function delta(s, kind, value)
  local out = s.out
  out[#out + 1] = { name = "content_block_delta", data = HEADS[kind] .. encode(value) .. s.foot }
end

local function shut(s)
  put(s, "content_block_stop", '{"index":' .. s.index .. ',"type":"content_block_stop"}')
  s.index = s.index + 1
end

local function whole(s, native)
  open(s, native)
  shut(s)
end

-- Thinking that holds nothing but a signature.
local function carrier(s, sig)
  if not sig or s.wanted == "none" then return end
  open(s, { type = "thinking", thinking = "", signature = "" })
  delta(s, "signature_delta", show.signature(sig))
  shut(s)
end

local function open_thinking(s)
  local block = s.block
  if block.opened then return end
  open(s, { type = "thinking", thinking = "", signature = "" })
  block.opened = true
end

-- Thinking without a signature is one to be seen only.
local function close_thinking(s, sig)
  if s.wanted == "none" then return end
  local block = s.block
  sig = show.usable(block.sig) or sig
  if sig then open_thinking(s) end
  if not block.opened then return end
  delta(s, "signature_delta", show.signature(sig))
  shut(s)
end

-- Closes thinking that waited for the next block, which may have a signature to give.
local function release(s, sig)
  local waiting = s.block
  if not waiting then return sig end
  if waiting.type == "thinking" then
    local takes = sig and not show.usable(waiting.sig)
    close_thinking(s, takes and sig or nil)
    if takes then sig = nil end
  end
  s.block = nil
  return sig
end

local function open_text(s)
  local block = s.block
  if block.opened then return end
  carrier(s, show.bound(block))
  block.sig = nil
  open(s, { type = "text", text = "" })
  block.opened = true
end

local function open_call(s)
  local call = s.block
  if call.opened then return end
  local sig = show.bound(call)
  if call.before then
    s.block = call.before
    sig = release(s, sig)
    s.block = call
  end
  carrier(s, sig)
  open(s, {
    type = "tool_use", id = show.call_id(call, s.ctx), name = call.name or "",
    input = json.raw "{}",
  })
  call.opened, call.before = true, nil
end

local on, closing = {}, {}

function on.start(s, event)
  if not s.start then s.start = event end
  if event.usage then on.usage(s, event) end
end

function on.block_start(s, event)
  local given = event.block or NOTHING
  local kind = given.type
  local before = s.block
  -- A call may bring the signature of the thinking before it, now or with its next event.
  if kind ~= "tool_call" then release(s) end
  local block = { type = kind, idx = event.idx, given = given, sig = given.sig }
  s.block = block
  if kind == "tool_call" then
    block.id, block.name = given.id, given.name
    if before and before.type == "thinking" then
      block.before = before
    end
    if given.args and given.args ~= "" then
      on.args_delta(s, { text = given.args })
    end
  elseif kind == "text" or kind == "refusal" then
    if given.text and given.text ~= "" then on.text_delta(s, { text = given.text }) end
  elseif kind == "thinking" and given.text and given.text ~= "" then
    on.thinking_delta(s, { text = given.text })
  end
end

function on.text_delta(s, event)
  local block, text = s.block, event.text
  if not block or text == "" then return end
  if not block.opened then open_text(s) end
  if block.type == "refusal" then s.refusal = (s.refusal or "") .. text end
  delta(s, "text_delta", text)
end
on.refusal_delta = on.text_delta

function on.thinking_delta(s, event)
  local block, text = s.block, event.text
  if s.wanted ~= "full" or not block or text == "" then return end
  if not block.opened then open_thinking(s) end
  if block.part_due then
    block.part_due = nil
    if block.seen then delta(s, "thinking_delta", "\n\n") end
  end
  block.seen = true
  delta(s, "thinking_delta", text)
end

function on.thinking_part(s)
  if s.block then s.block.part_due = true end
end

function on.args_delta(s, event)
  local block, text = s.block, event.text
  if not block or block.type ~= "tool_call" or text == "" then return end
  if not block.opened then open_call(s) end
  block.seen = block.seen or find(text, "%S") ~= nil
  delta(s, "input_json_delta", text)
end

function on.signature(s, event)
  local block, sig = s.block, event.sig
  if not block or not sig then return end
  if event.mode == "append" and block.sig then
    sig = { family = sig.family, kind = sig.kind, data = block.sig.data .. sig.data }
  end
  block.sig = sig
end

function on.citation(s, event)
  if not s.block or s.block.type ~= "text" or not event.citation then return end
  open_text(s)
  delta(s, "citations_delta", show.citation(event.citation))
end

-- Thinking is not closed by its own stop, see release.
function closing.thinking(s)
  s.block.stopped = true
end

function closing.text(s)
  local block = s.block
  if block.opened then shut(s) end
  -- A signature that came late follows its text.
  carrier(s, show.bound(block))
  s.block = nil
end
closing.refusal = closing.text

function closing.tool_call(s)
  open_call(s)
  if not s.block.seen then delta(s, "input_json_delta", "{}") end
  shut(s)
  s.calls = s.calls + 1
  s.block = nil
end

function closing.redacted_thinking(s)
  local sig = s.block.sig
  if s.wanted ~= "none" and show.usable(sig) then
    whole(s, { type = "redacted_thinking", data = show.signature(sig) })
  end
  s.block = nil
end

local function completed(block, final)
  local full = {}
  for name, value in pairs(block.given) do full[name] = value end
  for name, value in pairs(final or NOTHING) do full[name] = value end
  return full
end

local function not_shown(s)
  s.ctx.warn("drop.block", "answer", tostring(s.block.type))
end

-- The id that a call or a result of the server's tools has for the client.
local function server_id(s, id, is_call)
  if not s.server_id then s.server_id = show.server_ids(s.ctx) end
  return s.server_id(id, is_call)
end

function closing.server_call(s, final)
  local full = completed(s.block, final)
  local native = show.server_call(full, server_id(s, full.id, true))
  if not native then return not_shown(s) end
  local input = native.input
  native.input = json.raw "{}"
  open(s, native)
  delta(s, "input_json_delta", encode(input))
  shut(s)
  if full.tool == "web_search" then s.searches = s.searches + 1 end
end

function closing.server_result(s, final)
  local full = completed(s.block, final)
  local native = show.server_result(full, server_id(s, full.call_id, false))
  if not native then return not_shown(s) end
  whole(s, native)
end

function closing.opaque(s)
  local given = s.block.given
  if given.dialect ~= "anthropic" or not json.is_raw(given.raw) then return not_shown(s) end
  whole(s, given.raw)
end

function on.block_stop(s, event)
  local block = s.block
  if not block then return end
  local close = closing[block.type]
  if close then close(s, event.final) else not_shown(s) end
  if s.block and s.block.type ~= "thinking" then s.block = nil end
end

function on.usage(s, event)
  s.usage = ir.merge_usage(s.usage or ir.usage(), event.usage)
end

function on.stop(s, event)
  if not s.stop then s.stop = event.stop or { reason = "unknown" } end
end

-- A block that nobody closed.
local function abandon(s)
  local block = s.block
  if not block then return end
  if block.before then
    block = block.before
    s.block = block
  end
  if block.type ~= "thinking" and block.opened then shut(s) end
  release(s)
end

local function finish(s)
  abandon(s)
  begin(s)
  if not s.any then whole(s, { type = "text", text = "" }) end
  local reason, sequence, details = show.stop(s.stop, s, s.ctx)
  put(s, "message_delta", encode {
    type = "message_delta",
    delta = {
      stop_reason = reason, stop_sequence = sequence or json.null, stop_details = details,
    },
    usage = show.usage(s.usage or ir.usage(), s.searches, s.start and s.start.service_tier),
  })
  s.out[#s.out + 1] = STOP
  s.ended = true
end

on["end"] = finish

function on.error(s, event)
  put(s, "error", encode(problems.encode("anthropic", event.error or NOTHING)))
  s.ended = true
end

function on.keepalive(s)
  s.out[#s.out + 1] = PING
end

--- @param ctx TranslationContext
--- @return StreamEncoder
function M.encoder(ctx)
  local s = {
    ctx = ctx, wanted = show.thinking(ctx), out = nil, start = nil, stop = nil, usage = nil,
    begun = false, ended = false, index = 0, foot = nil, block = nil, any = false, calls = 0,
    refusal = nil, searches = 0, server_id = nil,
  }
  return {
    event = function(given, into)
      if s.ended or given.choice and given.choice ~= 0 then return NOTHING end
      local handle = on[given.type]
      if not handle then return NOTHING end
      s.out = into or {}
      handle(s, given)
      return s.out
    end,
    eof = function()
      if s.ended then return NOTHING end
      s.out = {}
      if s.stop then
        finish(s)
      else
        on.error(s, { error = problems.new("truncated", "the upstream's answer broke off") })
      end
      return s.out
    end,
  }
end

return M
