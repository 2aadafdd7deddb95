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

--- @param ctx TranslationContext
--- @return StreamEncoder
function M.encoder(ctx)
  local wanted = show.thinking(ctx)
  local server_id = show.server_ids(ctx)
  local out
  local start, begun, ended
  local usage, stop, has_usage = ir.usage(), nil, false
  local index = 0
  -- The open block: {type, idx, head, opened, ...}; nil between blocks.
  local block
  local facts, searches = { calls = 0 }, 0

  local function put(name, data)
    out[#out + 1] = { name = name, data = data }
  end

  local function begin()
    if begun then return end
    begun = true
    put("message_start", encode {
      type = "message_start",
      message = {
        type = "message", role = "assistant", id = show.id(start and start.id, ctx),
        model = ctx.model or start and start.model or "", content = json.array {},
        stop_reason = json.null, stop_sequence = json.null,
        usage = usages.start(has_usage and usage or nil),
      },
    })
    out[#out + 1] = PING
  end

  local function open(native)
    begin()
    put("content_block_start", '{"content_block":' .. encode(native) .. ',"index":' .. index
      .. ',"type":"content_block_start"}')
    facts.any = true
  end

  -- What stands before and behind the value of a delta, by its kind and for the open block.
  local heads, foot = {}, nil

  local function delta(kind, name, value)
    local head = heads[kind]
    if not head then
      head = '{"delta":{"type":"' .. kind .. '","' .. name .. '":'
      heads[kind] = head
    end
    foot = foot or '},"index":' .. index .. ',"type":"content_block_delta"}'
    out[#out + 1] = { name = "content_block_delta", data = head .. encode(value) .. foot }
  end

  local function shut()
    put("content_block_stop", '{"index":' .. index .. ',"type":"content_block_stop"}')
    index, foot = index + 1, nil
  end

  local function whole(native)
    open(native)
    shut()
  end

  -- Thinking that holds nothing but a signature.
  local function carrier(sig)
    if not sig or wanted == "none" then return end
    open { type = "thinking", thinking = "", signature = "" }
    delta("signature_delta", "signature", show.signature(sig))
    shut()
  end

  local function open_thinking()
    if block.opened then return end
    open { type = "thinking", thinking = "", signature = "" }
    block.opened = true
  end

  -- Thinking without a signature is one to be seen only.
  local function close_thinking(sig)
    if wanted == "none" then return end
    sig = show.usable(block.sig) or sig
    if sig then open_thinking() end
    if not block.opened then return end
    delta("signature_delta", "signature", show.signature(sig))
    shut()
  end

  -- Closes thinking that waited for the next block, which may have a signature to give.
  local function release(sig)
    if not block then return sig end
    local waiting = block
    if waiting.type == "thinking" then
      local takes = sig and not show.usable(waiting.sig)
      close_thinking(takes and sig or nil)
      if takes then sig = nil end
    end
    block = nil
    return sig
  end

  local function open_text()
    if block.opened then return end
    carrier(show.bound(block))
    block.sig = nil
    open { type = "text", text = "" }
    block.opened = true
  end

  local function open_call()
    if block.opened then return end
    local sig = show.bound(block)
    local call = block
    if block.before then
      block = block.before
      sig = release(sig)
      block = call
    end
    carrier(sig)
    open {
      type = "tool_use", id = show.call_id(call, ctx), name = call.name or "",
      input = json.raw "{}",
    }
    call.opened, call.before = true, nil
  end

  local on, closing = {}, {}

  function on.start(event)
    if not start then start = event end
    if event.usage then on.usage(event) end
  end

  function on.block_start(event)
    local given = event.block or NOTHING
    local kind = given.type
    local before = block
    -- A call may bring the signature of the thinking before it, now or with its next event.
    if kind ~= "tool_call" then release() end
    block = { type = kind, idx = event.idx, given = given, sig = given.sig }
    if kind == "tool_call" then
      block.id, block.name = given.id, given.name
      if before and before.type == "thinking" then
        block.before = before
      end
      if given.args and given.args ~= "" then
        on.args_delta { text = given.args }
      end
    elseif kind == "text" or kind == "refusal" then
      if given.text and given.text ~= "" then on.text_delta { text = given.text } end
    elseif kind == "thinking" and given.text and given.text ~= "" then
      on.thinking_delta { text = given.text }
    end
  end

  function on.text_delta(event)
    local text = event.text
    if not block or text == "" then return end
    if not block.opened then open_text() end
    if block.type == "refusal" then facts.refusal = (facts.refusal or "") .. text end
    delta("text_delta", "text", text)
  end
  on.refusal_delta = on.text_delta

  function on.thinking_delta(event)
    if wanted ~= "full" or not block or event.text == "" then return end
    if not block.opened then open_thinking() end
    if block.part_due then
      block.part_due = nil
      if block.seen then delta("thinking_delta", "thinking", "\n\n") end
    end
    block.seen = true
    delta("thinking_delta", "thinking", event.text)
  end

  function on.thinking_part()
    if block then block.part_due = true end
  end

  function on.args_delta(event)
    if not block or block.type ~= "tool_call" or event.text == "" then return end
    if not block.opened then open_call() end
    block.seen = block.seen or find(event.text, "%S") ~= nil
    delta("input_json_delta", "partial_json", event.text)
  end

  function on.signature(event)
    local sig = event.sig
    if not block or not sig then return end
    if event.mode == "append" and block.sig then
      sig = { family = sig.family, kind = sig.kind, data = block.sig.data .. sig.data }
    end
    block.sig = sig
  end

  function on.citation(event)
    if not block or block.type ~= "text" or not event.citation then return end
    open_text()
    delta("citations_delta", "citation", show.citation(event.citation))
  end

  -- Thinking is not closed by its own stop, see release.
  function closing.thinking()
    block.stopped = true
  end

  function closing.text()
    if block.opened then
      shut()
    end
    -- A signature that came late follows its text.
    carrier(show.bound(block))
    block = nil
  end
  closing.refusal = closing.text

  function closing.tool_call()
    open_call()
    if not block.seen then delta("input_json_delta", "partial_json", "{}") end
    shut()
    facts.calls = facts.calls + 1
    block = nil
  end

  function closing.redacted_thinking()
    if wanted ~= "none" and show.usable(block.sig) then
      whole { type = "redacted_thinking", data = show.signature(block.sig) }
    end
    block = nil
  end

  local function completed(final)
    local full = {}
    for name, value in pairs(block.given) do full[name] = value end
    for name, value in pairs(final or NOTHING) do full[name] = value end
    return full
  end

  local function not_shown()
    ctx.warn("drop.block", "answer", tostring(block.type))
  end

  function closing.server_call(final)
    local full = completed(final)
    local native = show.server_call(full, server_id(full.id, true))
    if not native then return not_shown() end
    local input = native.input
    native.input = json.raw "{}"
    open(native)
    delta("input_json_delta", "partial_json", encode(input))
    shut()
    if full.tool == "web_search" then searches = searches + 1 end
  end

  function closing.server_result(final)
    local full = completed(final)
    local native = show.server_result(full, server_id(full.call_id, false))
    if not native then return not_shown() end
    whole(native)
  end

  function closing.opaque()
    local given = block.given
    if given.dialect ~= "anthropic" or not json.is_raw(given.raw) then return not_shown() end
    whole(given.raw)
  end

  function on.block_stop(event)
    if not block then return end
    local close = closing[block.type]
    if close then close(event.final) else not_shown() end
    if block and block.type ~= "thinking" then block = nil end
  end

  function on.usage(event)
    has_usage = true
    ir.merge_usage(usage, event.usage)
  end

  function on.stop(event)
    if not stop then stop = event.stop or { reason = "unknown" } end
  end

  -- A block that nobody closed.
  local function abandon()
    if not block then return end
    if block.before then block = block.before end
    if block.type ~= "thinking" and block.opened then shut() end
    release()
  end

  local function finish()
    abandon()
    begin()
    if not facts.any then
      whole { type = "text", text = "" }
    end
    local reason, sequence, details = show.stop(stop, facts, ctx)
    put("message_delta", encode {
      type = "message_delta",
      delta = {
        stop_reason = reason, stop_sequence = sequence or json.null, stop_details = details,
      },
      usage = show.usage(usage, searches, start and start.service_tier),
    })
    out[#out + 1] = STOP
    ended = true
  end

  on["end"] = finish

  function on.error(event)
    put("error", encode(problems.encode("anthropic", event.error or NOTHING)))
    ended = true
  end

  function on.keepalive()
    out[#out + 1] = PING
  end

  local function event(given, into)
    if ended or given.choice and given.choice ~= 0 then return NOTHING end
    local handle = on[given.type]
    if not handle then return NOTHING end
    out = into or {}
    handle(given)
    return out
  end

  local function eof()
    if ended then return NOTHING end
    out = {}
    if stop then
      finish()
    else
      on.error { error = problems.new("truncated", "the upstream's answer broke off") }
    end
    return out
  end

  return { event = event, eof = eof }
end

return M
