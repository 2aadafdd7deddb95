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
    type = "tool_call", id = filled(native, "id") or ids.fresh(ctx), name = string_of(native, "name") or "",
    kind = "function", args = "", caller = native.caller,
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

--- @param ctx TranslationContext
--- @return StreamDecoder
function M.decoder(ctx)
  local out
  local started, ended = false, false
  local is_named = false  -- the start told id and model
  -- Open blocks by the upstream's index; `count` of all that were opened.
  local open, order, count, latest = {}, {}, 0, nil
  local calls, stop = 0, nil
  local totals = {}

  local function emit(event)
    out[#out + 1] = event
  end

  local function begin(message)
    if started then return end
    started = true
    is_named = filled(message, "id") ~= nil and filled(message, "model") ~= nil
    local tier = message and filled(message.usage, "service_tier")
    tier = tier and (models.served[tier] or tier)
    emit {
      type = "start", created = ctx.created or 0,
      model = filled(message, "model") or ctx.model or "",
      id = filled(message, "id") or ctx.unique("msg_", 24), service_tier = tier,
    }
  end

  local function report(native)
    local usage = usages.decode("anthropic", native, totals)
    if not usage then return end
    ir.merge_usage(totals, usage)
    emit { type = "usage", usage = usage }
  end

  local function text_delta(block, name, text)
    if not text or text == "" then return end
    emit { type = name, idx = block.idx, text = text }
  end

  local function args_delta(block, text)
    if not text or text == "" then return end
    if block.kind == "server" then
      block.input[#block.input + 1] = text
    else
      block.early = ""
      emit { type = "args_delta", idx = block.idx, text = text }
    end
  end

  local function sign(block, text)
    local sig = M.signature(text, "thinking", ctx)
    if not sig then return end
    emit {
      type = "signature", idx = block.idx, sig = sig, mode = block.signed and "append" or "set",
    }
    block.signed = true
  end

  local function close(index, block)
    local final
    if block.kind == "call" then
      args_delta(block, block.early)
      calls = calls + 1
    elseif block.kind == "server" then
      if block.early ~= "" and not block.input[1] then block.input[1] = block.early end
      local input = json.raw(concat(block.input))
      final = { input = input and json.type(input) == "object" and input or json.raw "{}",
        status = "completed" }
    end
    open[index], block.closed = nil, true
    emit { type = "block_stop", idx = block.idx, final = final }
  end

  local function close_all()
    for _, block in ipairs(order) do
      if not block.closed then close(block.index, block) end
    end
  end

  local on = {}

  function on.message_start(frame)
    local message = soft.object(frame, "message")
    begin(message)
    report(message and message.usage)
  end

  function on.content_block_start(frame)
    local native = soft.object(frame, "content_block")
    if not native then return end
    begin()
    local index = soft.integer(frame, "index") or count
    if open[index] then close(index, open[index]) end
    local shown, kind = skeleton(native, ctx)
    local block = { idx = count, index = index, kind = kind }
    count = count + 1
    open[index], order[count], latest = block, block, block
    if kind == "call" or kind == "server" then
      block.early, block.input = early_input(native), {}
    end
    emit { type = "block_start", idx = block.idx, block = shown }
    if kind == "text" then
      text_delta(block, "text_delta", string_of(native, "text"))
    elseif kind == "thinking" then
      text_delta(block, "thinking_delta", string_of(native, "thinking"))
      sign(block, string_of(native, "signature"))
    end
  end

  -- Without an index the block opened last is meant.
  local function block_of(frame)
    local index = frame.index
    local block = open[index == nil and -1 or index]
    if not block and type(index) ~= "number" and latest and not latest.closed then
      block = latest
    end
    return block
  end

  -- Some upstreams forget to open a block.
  local function opened(frame, kind)
    local block = block_of(frame)
    if block or not kind then return block end
    on.content_block_start { index = frame.index, content_block = { type = kind } }
    return latest
  end

  function on.content_block_delta(frame)
    local delta = frame.delta
    local kind = type(delta) == "table" and delta.type
    if kind == "text_delta" then
      local block = opened(frame, "text")
      if block.kind == "text" then text_delta(block, kind, string_of(delta, "text")) end
    elseif kind == "thinking_delta" then
      local block = opened(frame, "thinking")
      if block.kind == "thinking" then text_delta(block, kind, string_of(delta, "thinking")) end
    elseif kind == "input_json_delta" then
      local block = block_of(frame)
      if block and (block.kind == "call" or block.kind == "server") then
        args_delta(block, string_of(delta, "partial_json"))
      end
    elseif kind == "signature_delta" then
      local block = block_of(frame)
      if block and block.kind == "thinking" then sign(block, string_of(delta, "signature")) end
    elseif kind == "citations_delta" then
      local block = block_of(frame)
      local citation = block and block.kind == "text" and blocks.citation(delta.citation)
      if citation then emit { type = "citation", idx = block.idx, citation = citation } end
    end
  end

  function on.content_block_stop(frame)
    local block = block_of(frame)
    if block then close(block.index, block) end
  end

  function on.message_delta(frame)
    begin()
    local delta = soft.object(frame, "delta")
    local reason = filled(delta, "stop_reason")
    if reason then
      stop = stops.decode("anthropic", reason)
      stop.sequence = filled(delta, "stop_sequence")
      if json.is_raw(delta.stop_details) and json.type(delta.stop_details) == "object" then
        stop.details = delta.stop_details
      end
    end
    report(frame.usage)
  end

  -- A stream may go on without its frame; a whole answer made of one would claim what nobody said.
  local function lacks()
    if not ctx.collecting then return nil end
    return not is_named and "message_start" or not stop and "message_delta" or nil
  end

  local function finish()
    if ended then return end
    begin()
    local missing = lacks()
    if missing then
      emit {
        type = "error",
        error = problems.new("truncated", "the upstream's answer came without " .. missing),
      }
      ended = true
      return
    end
    close_all()
    emit { type = "stop", stop = stops.effective(stop, calls) }
    emit { type = "end" }
    ended = true
  end

  function on.message_stop()
    -- A stop without a reason is one when there was an answer.
    if stop or count > 0 then finish() end
  end

  function on.ping()
    emit { type = "keepalive" }
  end

  function on.error(_, data)
    local found = problems.decode("anthropic", nil, data)
    found.phase = count > 0 and "mid" or "pre"
    emit { type = "error", error = found }
    ended = true
  end

  -- What most events are: the events of a piece of a block that is open; nil for all others.
  local function piece(fine, index, kind, text, thought, args)
    local block = fine and index and open[index]
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
    if value == "" then return {} end
    if name == "args_delta" then block.early = "" end
    return { { type = name, idx = block.idx, text = value } }
  end

  local function frame(name, data)
    if ended then return {} end
    local events = piece(match(data, PIECE))
    if events then return events end
    out = {}
    local found = decode(data, SHAPE)
    if type(found) ~= "table" then return out end
    local kind = found.type
    if type(kind) ~= "string" then kind = found.error ~= nil and "error" or name end
    local handle = on[kind]
    if handle then handle(found, data) end
    return out
  end

  local function eof()
    if ended then return {} end
    out = {}
    if stop then
      finish()
    else
      local phase = count > 0 and "mid" or "pre"
      emit {
        type = "error",
        error = problems.new("truncated", "the upstream's answer broke off", phase),
      }
      ended = true
    end
    return out
  end

  return { frame = frame, eof = eof }
end

return M
