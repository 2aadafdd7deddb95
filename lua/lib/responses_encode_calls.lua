--- Answers for Responses clients: calls, tools of the server, images.
---
--- Handlers as those of lib.responses_encode_text.

local frames = require "lib.responses_frames"
local json = require "json"
local media = require "lib.media"
local search = require "lib.responses_search"
local signatures = require "lib.signatures"
local texts = require "lib.responses_encode_text"

local concat, ipairs, type = table.concat, ipairs, type
local array = json.array
local emit, release = frames.emit, frames.release

local on, begin, finish = {}, {}, {}
local M = { on = on, begin = begin, finish = finish }

-- --- calls ---------------------------------------------------------------------------------------

-- Codex' search for tools is an item of its own, and its arguments come only when they are whole.
local function begin_search(w, state)
  local block = state.block
  state.item = {
    type = "tool_search_call", id = frames.item_id(w, "tsc_", block.id), status = "in_progress",
    call_id = block.id, execution = "client", arguments = {},
  }
  state.pieces, state.search = { block.args }, true
  state.index = frames.open_item(w, state.item)
end

local function close_search_call(w, state, complete)
  local item, args = state.item, json.raw(concat(state.pieces))
  if args and json.type(args) == "object" then item.arguments = args end
  item.status = complete and "completed" or "incomplete"
  frames.close_item(w, item, state.index)
end

function begin.tool_call(w, state)
  texts.close_message(w)
  release(w)
  local block = state.block
  local request = w.ctx.request
  if request and request.finder and block.name == search.NAME and not block.namespace then
    return begin_search(w, state)
  end
  local custom = block.kind == "custom"
  local item = {
    type = custom and "custom_tool_call" or "function_call",
    id = frames.item_id(w, custom and "ctc_" or "fc_", block.id), status = "in_progress",
    call_id = block.id, name = block.name, namespace = block.namespace,
  }
  item[custom and "input" or "arguments"] = ""
  state.item, state.pieces, state.custom = item, {}, custom
  state.index = frames.open_item(w, item)
  state.place = frames.place(w, item, state.index)
  if block.args and block.args ~= "" then on.args_delta(w, { text = block.args }, state) end
end

function on.args_delta(w, event, state)
  local text = event.text
  if state.closed or not state.pieces or text == "" then return end
  state.pieces[#state.pieces + 1] = text
  if state.search then return end
  emit(w, state.custom and "response.custom_tool_call_input.delta"
    or "response.function_call_arguments.delta", state.place, "delta", text)
end

--- Ends a call.
--- @param w table
--- @param state table
--- @param complete boolean
function M.close_call(w, state, complete)
  if state.closed then return end
  if state.search then
    state.closed = true
    return close_search_call(w, state, complete)
  end
  local item = state.item
  if complete and not state.custom and not state.pieces[1] then
    on.args_delta(w, { text = "{}" }, state)
  end
  state.closed = true
  local text = concat(state.pieces)
  item.status = complete and "completed" or "incomplete"
  if state.custom then
    item.input = text
    emit(w, "response.custom_tool_call_input.done", state.place, "input", text)
  else
    item.arguments = text
    emit(w, "response.function_call_arguments.done", state.place, "arguments", text, "name",
      item.name)
  end
  frames.close_item(w, item, state.index)
end

-- Whether a call is whole is told at its end, or by its block, or by its arguments.
local function is_complete(state, final)
  if final and final.complete ~= nil then return final.complete end
  return state.block.complete or state.custom or not state.pieces[1]
    or json.raw(concat(state.pieces)) ~= nil
end

function finish.tool_call(w, state, final)
  M.close_call(w, state, is_complete(state, final))
end

-- --- tools of the server -------------------------------------------------------------------------

local searches = { web_search = true, web_fetch = true }

local function action_of(state)
  local input = state.input
  local query = input and json.get(input, "query")
  local url = input and json.get(input, "url")
  if state.block.tool == "web_fetch" and type(url) == "string" then
    return { type = "open_page", url = url }
  end
  local action = { type = "search", query = type(query) == "string" and query or "" }
  if state.hits then
    action.sources = array {}
    for i, hit in ipairs(state.hits) do action.sources[i] = { type = "url", url = hit.url } end
  end
  return action
end

local function close_search(w, state)
  if state.closed then return end
  state.closed = true
  emit(w, "response.web_search_call.completed", state.place)
  state.item.status, state.item.action = "completed", action_of(state)
  frames.close_item(w, state.item, state.index)
end

local function close_code(w, state)
  if state.closed then return end
  state.closed = true
  local code = state.input and json.get(state.input, "code")
  local item = state.item
  item.status, item.code = "completed", type(code) == "string" and code or ""
  if state.output then item.outputs = array { { type = "logs", logs = state.output } } end
  frames.close_item(w, item, state.index)
end

function begin.server_call(w, state)
  texts.close_message(w)
  release(w)
  local block = state.block
  state.input = block.input
  if searches[block.tool] then
    state.item = {
      id = frames.item_id(w, "ws_", block.id), type = "web_search_call", status = "in_progress",
    }
    state.close = close_search
  elseif block.tool == "code" then
    state.item = {
      id = frames.item_id(w, "ci_", block.id), type = "code_interpreter_call",
      status = "in_progress", code = "", container_id = "", outputs = json.null,
    }
    state.close = close_code
  else
    return w.ctx.warn("drop.block", "output", block.tool)
  end
  state.index = frames.open_item(w, state.item)
  state.place = frames.place(w, state.item, state.index)
  if state.close == close_search then
    emit(w, "response.web_search_call.in_progress", state.place)
    emit(w, "response.web_search_call.searching", state.place)
  end
end

-- What a call found comes in the next block.
function finish.server_call(w, state, final)
  if not state.item then return end
  if final and final.input then state.input = final.input end
  release(w)
  w.held = { call = state, close = state.close }
end

function begin.server_result(w, state)
  local call = w.held and w.held.call
  local block = state.block
  if call and (block.call_id == call.block.id or block.tool == call.block.tool) then
    state.call = call
    call.hits, call.output = block.results, block.output
  end
end

function finish.server_result(w, state, final)
  local call = state.call
  if call and final then
    call.hits, call.output = final.results or call.hits, final.output or call.output
  end
  if call then release(w) end
end

-- --- images --------------------------------------------------------------------------------------

function begin.image(w, state)
  texts.close_message(w)
  release(w)
  local block = state.block
  state.source = block.source
  state.item = {
    id = frames.item_id(w, "ig_", block.item and block.item.id), type = "image_generation_call",
    status = "in_progress",
  }
  state.index = frames.open_item(w, state.item)
  state.place = frames.place(w, state.item, state.index)
  emit(w, "response.image_generation_call.in_progress", state.place)
  emit(w, "response.image_generation_call.generating", state.place)
end

function on.media_delta(w, event, state)
  if state.block.type ~= "image" or state.closed then return end
  if not event.partial_index then
    state.pieces = state.pieces or {}
    state.pieces[#state.pieces + 1] = event.data
    return
  end
  emit(w, "response.image_generation_call.partial_image", state.place, "partial_image_b64",
    event.data, "partial_image_index", event.partial_index)
end

--- Ends an image.
--- @param w table
--- @param state table
--- @param source table?
function M.close_image(w, state, source)
  if state.closed then return end
  state.closed = true
  source = source or state.source or {}
  local data = source.data
  if (not data or data == "") and state.pieces then data = concat(state.pieces) end
  local item = state.item
  emit(w, "response.image_generation_call.completed", state.place)
  item.status, item.result = "completed", data or ""
  item.output_format = (media.type(source.media_type) or "image/png"):match("/(%w+)$") or "png"
  frames.close_item(w, item, state.index)
end

function finish.image(w, state, final) M.close_image(w, state, final and final.source) end

function begin.compaction(w, state)
  texts.close_message(w)
  release(w)
  local sig = state.block.sig
  local item = {
    id = frames.item_id(w, "cmp_"), type = "compaction",
    encrypted_content = signatures.show(sig, "responses"),
  }
  frames.close_item(w, item, frames.open_item(w, item))
end

function begin.opaque(w, state)
  local block = state.block
  if block.dialect ~= "responses" or (block.item and block.item.group) then
    return w.ctx.warn("drop.block", "output", "opaque")
  end
  texts.close_message(w)
  release(w)
  frames.close_item(w, block.raw, frames.open_item(w, block.raw))
end

return M
