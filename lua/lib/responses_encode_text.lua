--- Answers for Responses clients: messages and reasoning.

local json = require "json"
local parts = require "lib.responses_parts"
local signatures = require "lib.signatures"

local concat, ipairs = table.concat, ipairs
local array, len = json.array, utf8.len

local M = {}

local EMPTY = array {}
local PIECE_FOOT = ',"logprobs":[],"sequence_number":'
local NO_SUMMARY = { type = "summary_text", text = "" }

--- Adds what writes them to the state of a stream.
--- @param w table  see lib.responses_encode
function M.install(w)
  local on, begin, finish = w.on, w.begin, w.finish
  local emit, emit_piece, item_id, open_item, close_item, place =
    w.emit, w.emit_piece, w.item_id, w.open_item, w.close_item, w.place
  local message

  -- Messages: texts and refusals in a row are parts of one.

  local function part_value(part, text)
    if part.kind == "refusal" and not w.is_codex then
      return { type = "refusal", refusal = text }
    end
    return {
      type = "output_text", text = text,
      annotations = part.annotations or EMPTY, logprobs = part.logprobs or EMPTY,
    }
  end

  local function close_part(part)
    if part.closed then return end
    part.closed = true
    local text = concat(part.pieces)
    local value = part_value(part, text)
    message.item.content[part.at + 1] = value
    if value.type == "refusal" then
      emit("response.refusal.done", part.place, "refusal", text)
    else
      emit("response.output_text.done", part.place, "logprobs", value.logprobs, "text", text)
    end
    emit("response.content_part.done", part.place, "part", value)
  end

  function w.close_message(status)
    if not message then return end
    for _, part in ipairs(message.parts) do close_part(part) end
    message.item.status = status or "completed"
    close_item(message.item, message.index)
    message = nil
  end

  local function open_part(kind, phase)
    if not message then
      local item = {
        id = item_id("msg_"), type = "message", status = "in_progress", role = "assistant",
        content = array {}, phase = phase,
      }
      message = { item = item, parts = {} }
      message.index = open_item(item)
    end
    local list = message.parts
    if list[1] then close_part(list[#list]) end
    local part = { kind = kind, at = #list, pieces = {} }
    local at = place(message.item, message.index)
    if at then
      part.place = '"content_index":' .. part.at .. "," .. at
      part.head = "{" .. part.place .. ',"delta":'
    end
    list[#list + 1] = part
    emit("response.content_part.added", part.place, "part", part_value(part, ""))
    if kind == "refusal" then w.refused = true end
    return part
  end

  local function begin_message(state)
    w.release()
    local block = state.block
    state.part = open_part(block.type, block.item and block.item.phase)
    if block.text and block.text ~= "" then on[block.type .. "_delta"](block, state) end
    for _, each in ipairs(block.citations or {}) do on.citation({ citation = each }, state) end
  end
  begin.text, begin.refusal = begin_message, begin_message

  -- A part that another item closed goes on in a new one.
  local function part_of(state)
    local part = state.part
    if not part or part.closed then
      part = open_part(state.block.type)
      state.part = part
    end
    return part
  end

  function on.text_delta(event, state)
    local part, text = part_of(state), event.text
    part.pieces[#part.pieces + 1] = text
    local logprobs = event.logprobs
    if logprobs and #logprobs > 0 then
      part.logprobs = part.logprobs or array {}
      for _, each in ipairs(logprobs) do part.logprobs[#part.logprobs + 1] = each end
    end
    if part.kind == "refusal" and not w.is_codex then
      return emit("response.refusal.delta", part.place, "delta", text)
    end
    if not logprobs then
      return emit_piece("response.output_text.delta", part.head, text, PIECE_FOOT)
    end
    emit("response.output_text.delta", part.place, "delta", text, "logprobs", array(logprobs))
  end
  on.refusal_delta = on.text_delta

  function on.citation(event, state)
    if state.block.type ~= "text" then return end
    local native = parts.annotation(event.citation)
    if not native then return end
    local part = part_of(state)
    if native.type == "url_citation" and not event.citation["end"] then
      native.end_index = len(concat(part.pieces)) or 0
    end
    local list = part.annotations or array {}
    part.annotations = list
    emit("response.output_text.annotation.added", part.place, "annotation", native,
      "annotation_index", #list)
    list[#list + 1] = native
  end

  function finish.text(state)
    if state.part and not state.part.closed then close_part(state.part) end
  end
  finish.refusal = finish.text

  -- Reasoning.

  local function close_summary(state)
    if not state.pieces then return end
    local text = concat(state.pieces)
    state.pieces = nil
    local value = { type = "summary_text", text = text }
    state.item.summary[state.at + 1] = value
    emit("response.reasoning_summary_text.done", state.place, "text", text)
    emit("response.reasoning_summary_part.done", state.place, "part", value)
  end

  local function open_summary(state)
    state.at, state.pieces = #state.item.summary, {}
    local at = place(state.item, state.index)
    state.place = at and at .. ',"summary_index":' .. state.at
    emit("response.reasoning_summary_part.added", state.place, "part", NO_SUMMARY)
  end

  function w.close_reasoning(state)
    if state.closed then return end
    state.closed = true
    close_summary(state)
    local item = state.item
    item.encrypted_content = signatures.show(state.sig, "responses")
    close_item(item, state.index)
  end

  function begin.thinking(state)
    w.close_message()
    w.release()
    local block = state.block
    state.item = { id = item_id("rs_"), type = "reasoning", summary = array {} }
    state.index, state.sig = open_item(state.item), block.sig
    if block.parts and #block.parts > 0 then
      for i, text in ipairs(block.parts) do
        if i > 1 then on.thinking_part({}, state) end
        if text ~= "" then on.thinking_delta({ text = text }, state) end
      end
    elseif block.text and block.text ~= "" then
      on.thinking_delta({ text = block.text }, state)
    end
  end
  begin.redacted_thinking = begin.thinking

  function on.thinking_delta(event, state)
    if state.closed then return end
    if not state.pieces then open_summary(state) end
    state.pieces[#state.pieces + 1] = event.text
    emit("response.reasoning_summary_text.delta", state.place, "delta", event.text)
  end

  function on.thinking_part(_, state)
    if not state.closed then close_summary(state) end
  end

  function on.signature(event, state)
    local sig, before = event.sig, state.sig
    if event.mode == "append" and before then
      sig = { family = before.family, kind = before.kind, data = before.data .. sig.data }
    end
    state.sig = sig
  end

  function finish.thinking(state)
    w.release()
    w.held = { state = state, close = function() w.close_reasoning(state) end }
  end
  finish.redacted_thinking = finish.thinking

  -- The signature of a part travels in the reasoning before it.
  function w.bind(block)
    local sig, kind = block.sig, block.type
    local is_thinking = kind == "thinking" or kind == "redacted_thinking"
    if not sig or not w.carriers or is_thinking then return end
    local waiting = w.held and w.held.state
    if waiting and not waiting.sig and not waiting.closed then
      waiting.sig = sig
      return
    end
    local state = { block = { type = "thinking", sig = sig } }
    begin.thinking(state)
    w.close_reasoning(state)
  end
end

return M
