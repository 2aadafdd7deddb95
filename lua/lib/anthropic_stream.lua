--- Streams of Anthropic's events into the neutral form.
---
--- What comes from an upstream is never trusted: missing starts, unknown blocks and wrong types are
--- got over, and after the end nothing counts.

local blocks = require "lib.anthropic_blocks"
local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local members = require "lib.anthropic_members"
local models = require "models.anthropic"
local problems = require "lib.problems"
local signatures = require "lib.signatures"
local stops = require "lib.stops"
local usages = require "lib.usage"

local concat, type = table.concat, type
local decode, match = json.decode, json.match
local soft = fields.soft
local filled, string_of = soft.filled, soft.string

local M = {}

local SHAPE = json.shape {
  known = {
    "type", "index", "usage", "error",
    message = { "id", "model", "usage" },
    content_block = {
      "type", "text", "thinking", "signature", "data", "id", "name", "tool_use_id", input = "raw",
      content = blocks.BLOCK,
    },
    delta = {
      "type", "text", "thinking", "partial_json", "signature", "citation", "stop_reason",
      "stop_sequence", stop_details = "raw",
    },
  },
}

-- What most events are: a piece of the open block.
local PIECE = json.pattern {
  type = "=content_block_delta", index = 1,
  delta = { type = 2, text = 3, thinking = 4, partial_json = 5 },
}

--- A signature of this upstream.  Another proxy may have put a carrier there.
--- @param text string?
--- @param kind string
--- @param ctx TranslationContext
--- @return table? sig
function M.signature(text, kind, ctx)
  if not text or text == "" then return nil end
  local sig = signatures.unwrap(text)
  if sig then return sig.family ~= "none" and sig or nil end
  if text == signatures.EMPTY then return nil end
  local family = ctx.caps and ctx.caps.signature_family or "anthropic"
  if family == "none" then return nil end
  return { family = family, kind = kind, data = text }
end

local SERVER_CALL = { id = true, input = true }

-- Skeletons of blocks by native type; the second value is how the block goes on.
local skeletons = {}

function skeletons.text()
  return { type = "text", text = "" }, "text"
end

function skeletons.thinking()
  return { type = "thinking", text = "", form = "summary" }, "thinking"
end

function skeletons.redacted_thinking(native, ctx)
  local sig = M.signature(string_of(native, "data"), "redacted", ctx)
  return { type = "redacted_thinking", sig = sig }, "whole"
end

function skeletons.tool_use(native, ctx)
  return {
    type = "tool_call", id = filled(native, "id") or ids.fresh(ctx),
    name = string_of(native, "name") or "", kind = "function", args = "", caller = native.caller,
  }, "call"
end

local function server_call(native)
  local name = string_of(native, "name") or ""
  return {
    type = "server_call", id = string_of(native, "id") or "",
    tool = native.type == "mcp_tool_use" and "mcp" or models.called[name] or "tool_search",
    input = json.raw "{}", status = "in_progress", extras = members.extras(native, SERVER_CALL),
  }, "server"
end
skeletons.server_tool_use, skeletons.mcp_tool_use = server_call, server_call

local function skeleton(native, ctx)
  local kind = string_of(native, "type") or ""
  local make = skeletons[kind]
  if make then return make(native, ctx) end
  local result = models.results[kind]
  if result then return blocks.server_result(native, result), "whole" end
  return blocks.opaque(native), "whole"
end

-- Input that a start carries already; "" for the usual empty object.
local function early_input(native)
  local args = native.input ~= nil and blocks.args(native.input) or ""
  return args:find "^{%s*}$" and "" or args
end

-- One stream's state:
--   ctx, out         the events of the frame at hand
--   started, ended   the start was told; all is said
--   is_named         the start told id and model
--   open, order      blocks that are open, by the upstream's index; all, as they came
--   latest           the one opened last
--   calls, stop      how many calls were made, and why the answer ended
--   totals           what was reported so far
--   single           the list for a frame with one event, as most have: a stream has thousands

local NOTHING = {}

local function emit(s, event)
  local out = s.out
  out[#out + 1] = event
end

local function begin(s, message)
  if s.started then return end
  s.started = true
  s.is_named = filled(message, "id") ~= nil and filled(message, "model") ~= nil
  local tier = message and filled(message.usage, "service_tier")
  tier = tier and (models.served[tier] or tier)
  local ctx = s.ctx
  emit(s, {
    type = "start", created = ctx.created or 0,
    model = filled(message, "model") or ctx.model or "",
    id = filled(message, "id") or ctx.unique("msg_", 24), service_tier = tier,
  })
end

local function report(s, native)
  local usage = usages.decode("anthropic", native, s.totals)
  if not usage then return end
  ir.merge_usage(s.totals, usage)
  emit(s, { type = "usage", usage = usage })
end

local function text_delta(s, block, name, text)
  if not text or text == "" then return end
  emit(s, { type = name, idx = block.idx, text = text })
end

local function args_delta(s, block, text)
  if not text or text == "" then return end
  if block.kind == "server" then
    block.input[#block.input + 1] = text
  else
    block.early = ""
    emit(s, { type = "args_delta", idx = block.idx, text = text })
  end
end

local function sign(s, block, text)
  local sig = M.signature(text, "thinking", s.ctx)
  if not sig then return end
  emit(s, {
    type = "signature", idx = block.idx, sig = sig, mode = block.signed and "append" or "set",
  })
  block.signed = true
end

local function close(s, block)
  local final
  if block.kind == "call" then
    args_delta(s, block, block.early)
    s.calls = s.calls + 1
  elseif block.kind == "server" then
    if block.early ~= "" and not block.input[1] then block.input[1] = block.early end
    local input = json.raw(concat(block.input))
    final = { input = input and json.type(input) == "object" and input or json.raw "{}",
      status = "completed" }
  end
  s.open[block.index], block.closed = nil, true
  emit(s, { type = "block_stop", idx = block.idx, final = final })
end

local function close_all(s)
  for _, block in ipairs(s.order) do
    if not block.closed then close(s, block) end
  end
end

local function fail(s, problem)
  emit(s, { type = "error", error = problem })
  s.ended = true
end

local on = {}

function on.message_start(s, frame)
  local message = soft.object(frame, "message")
  begin(s, message)
  report(s, message and message.usage)
end

function on.content_block_start(s, frame)
  local native = soft.object(frame, "content_block")
  if not native then return end
  begin(s)
  local open, order = s.open, s.order
  local count = #order
  local index = soft.integer(frame, "index") or count
  if open[index] then close(s, open[index]) end
  local shown, kind = skeleton(native, s.ctx)
  local block = {
    idx = count, index = index, kind = kind, early = nil, input = nil, signed = nil, closed = nil,
  }
  open[index], order[count + 1], s.latest = block, block, block
  if kind == "call" or kind == "server" then
    block.early, block.input = early_input(native), {}
  end
  emit(s, { type = "block_start", idx = block.idx, block = shown })
  if kind == "text" then
    text_delta(s, block, "text_delta", string_of(native, "text"))
  elseif kind == "thinking" then
    text_delta(s, block, "thinking_delta", string_of(native, "thinking"))
    sign(s, block, string_of(native, "signature"))
  end
end

-- Without an index the block opened last is meant.
local function block_of(s, frame)
  local index, latest = frame.index, s.latest
  local block = s.open[index == nil and -1 or index]
  if not block and type(index) ~= "number" and latest and not latest.closed then
    block = latest
  end
  return block
end

-- Some upstreams forget to open a block.
local function opened(s, frame, kind)
  local block = block_of(s, frame)
  if block or not kind then return block end
  on.content_block_start(s, { index = frame.index, content_block = { type = kind } })
  return s.latest
end

local deltas = {}

function deltas.text_delta(s, frame, delta)
  local block = opened(s, frame, "text")
  if block.kind == "text" then text_delta(s, block, "text_delta", string_of(delta, "text")) end
end

function deltas.thinking_delta(s, frame, delta)
  local block = opened(s, frame, "thinking")
  if block.kind == "thinking" then
    text_delta(s, block, "thinking_delta", string_of(delta, "thinking"))
  end
end

function deltas.input_json_delta(s, frame, delta)
  local block = block_of(s, frame)
  if block and (block.kind == "call" or block.kind == "server") then
    args_delta(s, block, string_of(delta, "partial_json"))
  end
end

function deltas.signature_delta(s, frame, delta)
  local block = block_of(s, frame)
  if block and block.kind == "thinking" then sign(s, block, string_of(delta, "signature")) end
end

function deltas.citations_delta(s, frame, delta)
  local block = block_of(s, frame)
  local citation = block and block.kind == "text" and blocks.citation(delta.citation)
  if citation then emit(s, { type = "citation", idx = block.idx, citation = citation }) end
end

function on.content_block_delta(s, frame)
  local delta = frame.delta
  local handle = type(delta) == "table" and delta.type ~= nil and deltas[delta.type]
  if handle then handle(s, frame, delta) end
end

function on.content_block_stop(s, frame)
  local block = block_of(s, frame)
  if block then close(s, block) end
end

function on.message_delta(s, frame)
  begin(s)
  local delta = soft.object(frame, "delta")
  local reason = filled(delta, "stop_reason")
  if reason then
    local stop = stops.decode("anthropic", reason)
    stop.sequence = filled(delta, "stop_sequence")
    if json.is_raw(delta.stop_details) and json.type(delta.stop_details) == "object" then
      stop.details = delta.stop_details
    end
    s.stop = stop
  end
  report(s, frame.usage)
end

-- A stream may go on without its frame; a whole answer made of one would claim what nobody said.
local function lacks(s)
  if not s.ctx.collecting then return nil end
  return not s.is_named and "message_start" or not s.stop and "message_delta" or nil
end

local function finish(s)
  if s.ended then return end
  begin(s)
  local missing = lacks(s)
  if missing then
    return fail(s, problems.new("truncated", "the upstream's answer came without " .. missing))
  end
  close_all(s)
  emit(s, { type = "stop", stop = stops.effective(s.stop, s.calls) })
  emit(s, { type = "end" })
  s.ended = true
end

function on.message_stop(s)
  -- A stop without a reason is one when there was an answer.
  if s.stop or s.order[1] then finish(s) end
end

function on.ping(s)
  emit(s, { type = "keepalive" })
end

function on.error(s, _, data)
  local found = problems.decode("anthropic", nil, data)
  found.phase = s.order[1] and "mid" or "pre"
  fail(s, found)
end

-- What most events are: the events of a piece of a block that is open; nil for all others.
local function piece(s, fine, index, kind, text, thought, args)
  local block = fine and index and s.open[index]
  if not block then return nil end
  local name, value = kind, nil
  if kind == "text_delta" then
    value = block.kind == "text" and text
  elseif kind == "thinking_delta" then
    value = block.kind == "thinking" and thought
  elseif kind == "input_json_delta" then
    name, value = "args_delta", block.kind == "call" and args
  end
  if type(value) ~= "string" then return nil end
  if value == "" then return NOTHING end
  if name == "args_delta" then block.early = "" end
  local single = s.single
  single[1] = { type = name, idx = block.idx, text = value }
  return single
end

local function frame(s, name, data)
  if s.ended then return NOTHING end
  local events = piece(s, match(data, PIECE))
  if events then return events end
  local out = {}
  s.out = out
  local found = decode(data, SHAPE)
  if type(found) ~= "table" then return out end
  local kind = found.type
  if type(kind) ~= "string" then kind = found.error ~= nil and "error" or name end
  local handle = on[kind]
  if handle then handle(s, found, data) end
  return out
end

local function eof(s)
  if s.ended then return NOTHING end
  s.out = {}
  if s.stop then
    finish(s)
  else
    fail(s, problems.new("truncated", "the upstream's answer broke off",
      s.order[1] and "mid" or "pre"))
  end
  return s.out
end

--- A list that `frame` gives is good until it is called again.
--- @param ctx TranslationContext
--- @return StreamDecoder
function M.decoder(ctx)
  local s = {
    ctx = ctx, out = nil, started = false, ended = false, is_named = false, open = {}, order = {},
    latest = nil, calls = 0, stop = nil, totals = {}, single = {},
  }
  return {
    frame = function(name, data) return frame(s, name, data) end,
    eof = function() return eof(s) end,
  }
end

return M
