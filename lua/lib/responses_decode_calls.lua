--- Streams of Responses upstreams: calls.

local fields = require "lib.fields"
local ids = require "lib.ids"
local json = require "json"

local soft = fields.soft
local ipairs, sub, type = ipairs, string.sub, type

local M = {}

--- Adds what reads them to the state of a stream.
--- @param d table  see lib.responses_decode
function M.install(d)
  local ctx, on, emit, open, close, need = d.ctx, d.on, d.emit, d.open, d.close, d.need

  -- Calls.

  function d.announce(record, item, last)
    if record.idx then return true end
    local name = soft.filled(item, "name") or soft.filled(record.item, "name")
    local id = soft.filled(item, "call_id") or soft.filled(record.item, "call_id")
    if not last and not (name and id) then return false end
    id = id or record.id or ids.fresh(ctx)
    record.pieces = record.pieces or {}
    record.idx = open {
      type = "tool_call", id = id, name = name or "",
      namespace = soft.filled(item, "namespace") or soft.filled(record.item, "namespace"),
      kind = record.kind == "custom_tool_call" and "custom" or "function", args = "",
      complete = false, item = { id = record.id },
    }
    for _, piece in ipairs(record.pieces) do
      emit { type = "args_delta", idx = record.idx, text = piece }
    end
    return true
  end

  local function add_args(record, text)
    if text == "" or record.done then return end
    local pieces = record.pieces or {}
    record.pieces, record.sent = pieces, (record.sent or 0) + #text
    pieces[#pieces + 1] = text
    if record.idx then emit { type = "args_delta", idx = record.idx, text = text } end
  end

  function d.complete_args(record, text)
    local sent = record.sent or 0
    if text and #text > sent then add_args(record, sub(text, sent + 1)) end
  end

  local function text_of(value)
    if type(value) == "table" then return json.encode(value) end
    return type(value) == "string" and value or nil
  end

  local function on_args(event, kind)
    if type(event.delta) ~= "string" then return end
    local record = need(event, kind)
    add_args(record, event.delta)
  end
  local function on_args_done(event, kind, name)
    local record = need(event, kind)
    if record.done then return end
    if soft.filled(event, "name") then d.announce(record, event) end
    d.complete_args(record, text_of(event[name]))
  end
  on["response.function_call_arguments.delta"] = function(event) on_args(event, "function_call") end
  on["response.function_call_arguments.done"] = function(event)
    on_args_done(event, "function_call", "arguments")
  end
  on["response.custom_tool_call_input.delta"] = function(event)
    on_args(event, "custom_tool_call")
  end
  on["response.custom_tool_call_input.done"] = function(event)
    on_args_done(event, "custom_tool_call", "input")
  end

  function d.finish_call(record, item)
    d.complete_args(record, text_of(item.arguments) or text_of(item.input))
    d.announce(record, item, true)
    local complete = item.status ~= "incomplete"
    if complete then d.calls = d.calls + 1 end
    close(record.idx, { complete = complete })
  end
end

return M
