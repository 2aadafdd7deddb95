--- Streams of Responses upstreams: messages and reasoning.

local fields = require "lib.fields"
local items = require "lib.responses_items"
local json = require "json"
local signatures = require "lib.signatures"

local soft = fields.soft
local ipairs, sub, type = ipairs, string.sub, type
local is_array = json.is_array

local M = {}

local function is_item(item)
  return type(item) == "table" and not is_array(item)
end

--- Adds what reads them to the state of a stream.
--- @param d table  see lib.responses_decode
function M.install(d)
  local on, emit, open, close, need = d.on, d.emit, d.open, d.close, d.need

  -- Text and refusals.

  local function close_part(part)
    if part.idx and not part.closed then
      part.closed = true
      close(part.idx)
    end
  end

  local function part_of(record, event, kind)
    local at = soft.integer(event, "content_index") or record.last or 0
    local part = record.parts[at]
    if part then return part end
    local before = record.last and record.parts[record.last]
    if before then close_part(before) end
    part = { kind = kind, sent = 0, cited = 0 }
    record.parts[at], record.last = part, at
    return part
  end

  local function add_text(record, part, text, logprobs)
    if part.closed then return end
    if not part.idx then
      part.idx = open {
        type = part.kind, text = "",
        item = { id = record.id, phase = soft.filled(record.item, "phase"), group = record.id },
      }
    end
    if part.kind == "refusal" then d.refused = true end
    part.sent = part.sent + #text
    emit { type = part.kind .. "_delta", idx = part.idx, text = text, logprobs = logprobs }
  end

  -- What of a finished text was not streamed.
  local function complete_text(record, part, text)
    if text and #text > part.sent then add_text(record, part, sub(text, part.sent + 1)) end
  end

  local function cite(record, part, annotation)
    if not is_item(annotation) or part.closed then return end
    part.cited = part.cited + 1
    if not part.idx then return end
    emit { type = "citation", idx = part.idx, citation = items.citation(annotation) }
  end

  local function complete_part(record, part, native)
    complete_text(record, part, soft.string(native, "text") or soft.string(native, "refusal"))
    local list = soft.list(native, "annotations") or {}
    for i = part.cited + 1, #list do cite(record, part, list[i]) end
  end

  local function logprobs_of(event)
    local list = event.logprobs
    return type(list) == "table" and #list > 0 and list or nil
  end

  local function on_text(event, kind, name)
    local text = event.delta
    if type(text) ~= "string" or text == "" then return end
    local record = need(event, "message")
    add_text(record, part_of(record, event, kind), text, logprobs_of(event))
  end

  --- A piece of the text that is open; false when that is not what it is.
  function d.text_piece(record, at, text)
    local part = record.parts[at]
    if not part or part.kind ~= "text" or not part.idx or part.closed then return false end
    if text ~= "" then add_text(record, part, text) end
    return true
  end

  on["response.output_text.delta"] = function(event) on_text(event, "text") end
  on["response.refusal.delta"] = function(event) on_text(event, "refusal") end

  on["response.output_text.done"] = function(event)
    local record = need(event, "message")
    complete_text(record, part_of(record, event, "text"), soft.string(event, "text"))
  end
  on["response.refusal.done"] = function(event)
    local record = need(event, "message")
    complete_text(record, part_of(record, event, "refusal"), soft.string(event, "refusal"))
  end

  on["response.output_text.annotation.added"] = function(event)
    local record = need(event, "message")
    cite(record, part_of(record, event, "text"), event.annotation)
  end

  on["response.content_part.done"] = function(event)
    local native = soft.object(event, "part")
    local kind = native and native.type == "refusal" and "refusal" or "text"
    if not native or native.type ~= "output_text" and kind ~= "refusal" then return end
    local record = need(event, "message")
    local part = part_of(record, event, kind)
    complete_part(record, part, native)
    close_part(part)
  end

  function d.finish_message(record, item)
    for n, native in ipairs(soft.list(item, "content") or {}) do
      if is_item(native) then
        local kind = native.type == "refusal" and "refusal" or "text"
        complete_part(record, part_of(record, { content_index = n - 1 }, kind), native)
      end
    end
    local last = record.last and record.parts[record.last]
    if last then close_part(last) end
  end

  -- Reasoning: one block an item, whose parts are the parts of its summary.

  local function think(record, part, text, form)
    if record.form and record.form ~= form then return end
    if not record.idx then
      record.form = form
      record.idx = open { type = "thinking", text = "", form = form, item = { id = record.id } }
      record.part = 0
    end
    while record.part < part do
      record.part = record.part + 1
      emit { type = "thinking_part", idx = record.idx, part = record.part }
    end
    local lengths = record.parts
    lengths[part] = (lengths[part] or 0) + #text
    emit { type = "thinking_delta", idx = record.idx, text = text, part = part }
  end

  -- An upstream cannot make us count parts without end.
  local function place(event, name)
    local at = soft.integer(event, name)
    return at and at >= 0 and at < 1000 and at or 0
  end

  local function complete_thinking(record, part, text, form)
    local sent = record.parts[part] or 0
    if text and #text > sent and not (record.part and part < record.part) then
      think(record, part, sub(text, sent + 1), form)
    end
  end

  local function on_thought(event, name, form)
    local text = event.delta
    if type(text) ~= "string" or text == "" then return end
    local record = need(event, "reasoning")
    if not record.done then think(record, place(event, name), text, form) end
  end

  on["response.reasoning_summary_text.delta"] = function(event)
    on_thought(event, "summary_index", "summary")
  end
  on["response.reasoning_text.delta"] = function(event)
    on_thought(event, "content_index", "raw")
  end

  local function on_thought_done(event, name, form)
    local record = need(event, "reasoning")
    if not record.done then
      complete_thinking(record, place(event, name), soft.string(event, "text"), form)
    end
  end
  on["response.reasoning_summary_text.done"] = function(event)
    on_thought_done(event, "summary_index", "summary")
  end
  on["response.reasoning_text.done"] = function(event)
    on_thought_done(event, "content_index", "raw")
  end

  local function complete_list(record, list, form)
    for n, each in ipairs(list or {}) do
      complete_thinking(record, n - 1, soft.string(each, "text"), form)
    end
  end

  -- The signature is that of the finished item; the one it began with is provisional.
  function d.finish_reasoning(record, item)
    complete_list(record, soft.list(item, "summary"), "summary")
    if record.form ~= "summary" then complete_list(record, soft.list(item, "content"), "raw") end
    local text = soft.filled(item, "encrypted_content")
      or soft.filled(record.item, "encrypted_content")
    local sig = signatures.read(text, "reasoning")
    if sig and sig.kind == "redacted" and not record.idx then
      close(open { type = "redacted_thinking", sig = sig })
      return
    end
    if not record.idx then
      if not sig then return end
      record.idx = open {
        type = "thinking", text = "", form = "summary", item = { id = record.id },
      }
    end
    if sig then emit { type = "signature", idx = record.idx, sig = sig, mode = "set" } end
    close(record.idx)
  end
end

return M
