--- Answers for Responses clients: calls, tools of the server, images.

local json = require "json"
local media = require "lib.media"
local search = require "lib.responses_search"
local signatures = require "lib.signatures"

local concat, ipairs, type = table.concat, ipairs, type
local array = json.array

local M = {}

--- Adds what writes them to the state of a stream.
--- @param w table  see lib.responses_encode
function M.install(w)
  local ctx, on, begin, finish = w.ctx, w.on, w.begin, w.finish
  local emit, item_id, open_item, close_item, place =
    w.emit, w.item_id, w.open_item, w.close_item, w.place

  -- Calls.

  -- Codex' search for tools is an item of its own, and its arguments come only when they are whole.
  local function begin_search(state)
    local block = state.block
    state.item = {
      type = "tool_search_call", id = item_id("tsc_", block.id), status = "in_progress",
      call_id = block.id, execution = "client", arguments = {},
    }
    state.pieces, state.search = { block.args }, true
    state.index = open_item(state.item)
  end

  local function close_search_call(state, complete)
    local item, args = state.item, json.raw(concat(state.pieces))
    if args and json.type(args) == "object" then item.arguments = args end
    item.status = complete and "completed" or "incomplete"
    close_item(item, state.index)
  end

  function begin.tool_call(state)
    w.close_message()
    w.release()
    local block = state.block
    local request = ctx.request
    if request and request.finder and block.name == search.NAME and not block.namespace then
      return begin_search(state)
    end
    local custom = block.kind == "custom"
    local item = {
      type = custom and "custom_tool_call" or "function_call",
      id = item_id(custom and "ctc_" or "fc_", block.id), status = "in_progress",
      call_id = block.id, name = block.name, namespace = block.namespace,
    }
    item[custom and "input" or "arguments"] = ""
    state.item, state.pieces, state.custom = item, {}, custom
    state.index = open_item(item)
    state.place = place(item, state.index)
    if block.args and block.args ~= "" then on.args_delta({ text = block.args }, state) end
  end

  function on.args_delta(event, state)
    local text = event.text
    if state.closed or text == "" then return end
    state.pieces[#state.pieces + 1] = text
    if state.search then return end
    emit(state.custom and "response.custom_tool_call_input.delta"
      or "response.function_call_arguments.delta", state.place, "delta", text)
  end

  function w.close_call(state, complete)
    if state.closed then return end
    if state.search then
      state.closed = true
      return close_search_call(state, complete)
    end
    local item = state.item
    if complete and not state.custom and not state.pieces[1] then
      on.args_delta({ text = "{}" }, state)
    end
    state.closed = true
    local text = concat(state.pieces)
    item.status = complete and "completed" or "incomplete"
    if state.custom then
      item.input = text
      emit("response.custom_tool_call_input.done", state.place, "input", text)
    else
      item.arguments = text
      emit("response.function_call_arguments.done", state.place, "arguments", text, "name",
        item.name)
    end
    close_item(item, state.index)
  end

  -- Whether a call is whole is told at its end, or by its block, or by its arguments.
  local function is_complete(state, final)
    if final and final.complete ~= nil then return final.complete end
    return state.block.complete or state.custom or not state.pieces[1]
      or json.raw(concat(state.pieces)) ~= nil
  end

  function finish.tool_call(state, final)
    w.close_call(state, is_complete(state, final))
  end

  -- Tools of the server.

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

  local function close_search(state)
    if state.closed then return end
    state.closed = true
    emit("response.web_search_call.completed", state.place)
    state.item.status, state.item.action = "completed", action_of(state)
    close_item(state.item, state.index)
  end

  local function close_code(state)
    if state.closed then return end
    state.closed = true
    local code = state.input and json.get(state.input, "code")
    local item = state.item
    item.status, item.code = "completed", type(code) == "string" and code or ""
    if state.output then item.outputs = array { { type = "logs", logs = state.output } } end
    close_item(item, state.index)
  end

  function begin.server_call(state)
    w.close_message()
    w.release()
    local block = state.block
    state.input = block.input
    if searches[block.tool] then
      state.item = {
        id = item_id("ws_", block.id), type = "web_search_call", status = "in_progress",
      }
      state.close = close_search
    elseif block.tool == "code" then
      state.item = {
        id = item_id("ci_", block.id), type = "code_interpreter_call", status = "in_progress",
        code = "", container_id = "", outputs = json.null,
      }
      state.close = close_code
    else
      return ctx.warn("drop.block", "output", block.tool)
    end
    state.index = open_item(state.item)
    state.place = place(state.item, state.index)
    if state.close == close_search then
      emit("response.web_search_call.in_progress", state.place)
      emit("response.web_search_call.searching", state.place)
    end
  end

  -- What a call found comes in the next block.
  function finish.server_call(state, final)
    if not state.item then return end
    if final and final.input then state.input = final.input end
    w.release()
    w.held = { call = state, close = function() state.close(state) end }
  end

  function begin.server_result(state)
    local call = w.held and w.held.call
    local block = state.block
    if call and (block.call_id == call.block.id or block.tool == call.block.tool) then
      state.call = call
      call.hits, call.output = block.results, block.output
    end
  end

  function finish.server_result(state, final)
    local call = state.call
    if call and final then
      call.hits, call.output = final.results or call.hits, final.output or call.output
    end
    if call then w.release() end
  end

  -- Images.

  function begin.image(state)
    w.close_message()
    w.release()
    local block = state.block
    state.source = block.source
    state.item = {
      id = item_id("ig_", block.item and block.item.id), type = "image_generation_call",
      status = "in_progress",
    }
    state.index = open_item(state.item)
    state.place = place(state.item, state.index)
    emit("response.image_generation_call.in_progress", state.place)
    emit("response.image_generation_call.generating", state.place)
  end

  function on.media_delta(event, state)
    if state.block.type ~= "image" or state.closed then return end
    if not event.partial_index then
      state.pieces = state.pieces or {}
      state.pieces[#state.pieces + 1] = event.data
      return
    end
    emit("response.image_generation_call.partial_image", state.place, "partial_image_b64",
      event.data, "partial_image_index", event.partial_index)
  end

  function w.close_image(state, source)
    if state.closed then return end
    state.closed = true
    source = source or state.source or {}
    local data = source.data
    if (not data or data == "") and state.pieces then data = concat(state.pieces) end
    local item = state.item
    emit("response.image_generation_call.completed", state.place)
    item.status, item.result = "completed", data or ""
    item.output_format = (media.type(source.media_type) or "image/png"):match("/(%w+)$") or "png"
    close_item(item, state.index)
  end

  function finish.image(state, final) w.close_image(state, final and final.source) end

  function begin.compaction(state)
    w.close_message()
    w.release()
    local sig = state.block.sig
    local item = {
      id = item_id("cmp_"), type = "compaction",
      encrypted_content = signatures.show(sig, "responses"),
    }
    close_item(item, open_item(item))
  end

  function begin.opaque(state)
    local block = state.block
    if block.dialect ~= "responses" or (block.item and block.item.group) then
      return ctx.warn("drop.block", "output", "opaque")
    end
    w.close_message()
    w.release()
    close_item(block.raw, open_item(block.raw))
  end
end

return M
