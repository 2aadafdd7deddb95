--- Answers for Responses clients: messages and reasoning.
---
--- Handlers of events by type (`on`), of the beginning and of the end of blocks by type (`begin`,
--- `finish`): they get the answer's state, see lib.responses_encode, and the block's.

local frames = require "lib.responses_frames"
local json = require "json"
local parts = require "lib.responses_parts"
local signatures = require "lib.signatures"

local concat, ipairs = table.concat, ipairs
local array, len = json.array, utf8.len
local emit, emit_piece, release = frames.emit, frames.emit_piece, frames.release

local on, begin, finish = {}, {}, {}
local M = { on = on, begin = begin, finish = finish }

local EMPTY = array {}
local PIECE_FOOT = ',"logprobs":[],"sequence_number":'
local NO_SUMMARY = { type = "summary_text", text = "" }

-- --- messages: texts and refusals in a row are parts of one --------------------------------------

local function part_value(w, part, text)
  if part.kind == "refusal" and not w.is_codex then
    return { type = "refusal", refusal = text }
  end
  return {
    type = "output_text", text = text,
    annotations = part.annotations or EMPTY, logprobs = part.logprobs or EMPTY,
  }
end

local function close_part(w, part)
  if part.closed then return end
  part.closed = true
  local text = concat(part.pieces)
  local value = part_value(w, part, text)
  w.message.item.content[part.at + 1] = value
  if value.type == "refusal" then
    emit(w, "response.refusal.done", part.place, "refusal", text)
  else
    emit(w, "response.output_text.done", part.place, "logprobs", value.logprobs, "text", text)
  end
  emit(w, "response.content_part.done", part.place, "part", value)
end

--- Ends the message that is open, if there is one.
--- @param w table
--- @param status string?  "completed" when absent
function M.close_message(w, status)
  local message = w.message
  if not message then return end
  for _, part in ipairs(message.parts) do close_part(w, part) end
  message.item.status = status or "completed"
  frames.close_item(w, message.item, message.index)
  w.message = nil
end

local function open_message(w, phase)
  local item = {
    id = frames.item_id(w, "msg_"), type = "message", status = "in_progress", role = "assistant",
    content = array {}, phase = phase,
  }
  local message = { item = item, parts = {}, index = frames.open_item(w, item) }
  w.message = message
  return message
end

local function open_part(w, kind, phase)
  local message = w.message or open_message(w, phase)
  local list = message.parts
  if list[1] then close_part(w, list[#list]) end
  local part = {
    kind = kind, at = #list, pieces = {}, closed = false, place = nil, head = nil,
    annotations = nil, logprobs = nil,
  }
  local at = frames.place(w, message.item, message.index)
  if at then
    part.place = '"content_index":' .. part.at .. "," .. at
    part.head = "{" .. part.place .. ',"delta":'
  end
  list[#list + 1] = part
  if not w.whole then
    emit(w, "response.content_part.added", part.place, "part", part_value(w, part, ""))
  end
  if kind == "refusal" then w.refused = true end
  return part
end

local function begin_message(w, state)
  release(w)
  local block = state.block
  state.part = open_part(w, block.type, block.item and block.item.phase)
  if block.text and block.text ~= "" then on[block.type .. "_delta"](w, block, state) end
  for _, each in ipairs(block.citations or EMPTY) do on.citation(w, { citation = each }, state) end
end
begin.text, begin.refusal = begin_message, begin_message

-- A part that another item closed goes on in a new one.
local function part_of(w, state)
  local part = state.part
  if not part or part.closed then
    part = open_part(w, state.block.type)
    state.part = part
  end
  return part
end

function on.text_delta(w, event, state)
  local part, text = part_of(w, state), event.text
  part.pieces[#part.pieces + 1] = text
  local logprobs = event.logprobs
  if logprobs and #logprobs > 0 then
    part.logprobs = part.logprobs or array {}
    for _, each in ipairs(logprobs) do part.logprobs[#part.logprobs + 1] = each end
  end
  if part.kind == "refusal" and not w.is_codex then
    return emit(w, "response.refusal.delta", part.place, "delta", text)
  end
  if not logprobs then
    return emit_piece(w, "response.output_text.delta", part.head, text, PIECE_FOOT)
  end
  emit(w, "response.output_text.delta", part.place, "delta", text, "logprobs", array(logprobs))
end
on.refusal_delta = on.text_delta

function on.citation(w, event, state)
  if state.block.type ~= "text" then return end
  local native = parts.annotation(event.citation)
  if not native then return end
  local part = part_of(w, state)
  if native.type == "url_citation" and not event.citation["end"] then
    native.end_index = len(concat(part.pieces)) or 0
  end
  local list = part.annotations or array {}
  part.annotations = list
  emit(w, "response.output_text.annotation.added", part.place, "annotation", native,
    "annotation_index", #list)
  list[#list + 1] = native
end

function finish.text(w, state)
  if state.part and not state.part.closed then close_part(w, state.part) end
end
finish.refusal = finish.text

-- --- reasoning -----------------------------------------------------------------------------------

local function close_summary(w, state)
  if not state.pieces then return end
  local text = concat(state.pieces)
  state.pieces = nil
  local value = { type = "summary_text", text = text }
  state.item.summary[state.at + 1] = value
  emit(w, "response.reasoning_summary_text.done", state.place, "text", text)
  emit(w, "response.reasoning_summary_part.done", state.place, "part", value)
end

local function open_summary(w, state)
  state.at, state.pieces = #state.item.summary, {}
  local at = frames.place(w, state.item, state.index)
  state.place = at and at .. ',"summary_index":' .. state.at
  emit(w, "response.reasoning_summary_part.added", state.place, "part", NO_SUMMARY)
end

--- Ends thinking.
--- @param w table
--- @param state table
function M.close_reasoning(w, state)
  if state.closed then return end
  state.closed = true
  close_summary(w, state)
  local item = state.item
  item.encrypted_content = signatures.show(state.sig, "responses")
  frames.close_item(w, item, state.index)
end

function begin.thinking(w, state)
  M.close_message(w)
  release(w)
  local block = state.block
  state.item = { id = frames.item_id(w, "rs_"), type = "reasoning", summary = array {} }
  state.index, state.sig = frames.open_item(w, state.item), block.sig
  if block.parts and #block.parts > 0 then
    for i, text in ipairs(block.parts) do
      if i > 1 then on.thinking_part(w, nil, state) end
      if text ~= "" then on.thinking_delta(w, { text = text }, state) end
    end
  elseif block.text and block.text ~= "" then
    on.thinking_delta(w, { text = block.text }, state)
  end
end
begin.redacted_thinking = begin.thinking

function on.thinking_delta(w, event, state)
  if state.closed then return end
  if not state.pieces then open_summary(w, state) end
  state.pieces[#state.pieces + 1] = event.text
  emit(w, "response.reasoning_summary_text.delta", state.place, "delta", event.text)
end

function on.thinking_part(w, _, state)
  if not state.closed then close_summary(w, state) end
end

function on.signature(_, event, state)
  local sig, before = event.sig, state.sig
  if event.mode == "append" and before then
    sig = { family = before.family, kind = before.kind, data = before.data .. sig.data }
  end
  state.sig = sig
end

function finish.thinking(w, state)
  release(w)
  w.held = { state = state, close = M.close_reasoning }
end
finish.redacted_thinking = finish.thinking

--- The signature of a part travels in the reasoning before it.
--- @param w table
--- @param block IrBlock
function M.bind(w, block)
  local sig, kind = block.sig, block.type
  local is_thinking = kind == "thinking" or kind == "redacted_thinking"
  if not sig or not w.carriers or is_thinking then return end
  local waiting = w.held and w.held.state
  if waiting and not waiting.sig and not waiting.closed then
    waiting.sig = sig
    return
  end
  local state = { block = { type = "thinking", sig = sig } }
  begin.thinking(w, state)
  M.close_reasoning(w, state)
end

return M
