--- Answers of the Responses dialect: neutral events to frames, and whole responses.

local errors = require "lib.responses_errors"
local ids = require "lib.ids"
local json = require "json"
local object = require "lib.responses_object"
local signatures = require "lib.signatures"
local stops = require "lib.stops"
local usages = require "lib.usage"
local ir = require "lib.ir"
local media = require "lib.media"
local parts = require "lib.responses_parts"
local replay = require "lib.responses_replay"

local concat, ipairs, type = table.concat, ipairs, type
local array, encode, len = json.array, json.encode, utf8.len

local M = {}

local EMPTY = array {}

-- Whether the client wants signatures that belong to calls.
local function wants_carriers(request)
  if not request then return false end
  local reasoning = request.reasoning
  if reasoning and reasoning.visible then return true end
  for _, name in ipairs(request.service.include or {}) do
    if name == "reasoning.encrypted_content" then return true end
  end
  return false
end

--- Makes the state of one stream.
--- @param ctx TranslationContext
--- @return StreamEncoder
function M.stream(ctx)
  local request = ctx.request
  local is_codex = ctx.client ~= nil and ctx.client.variant == "codex"
  local carriers = wants_carriers(request)
  local frames, count, sequence = {}, 0, 0
  local started, finished, failed = false, false, false
  local response = object.new(ctx)
  local output, used, blocks = array {}, {}, {}
  local message, held, refused = nil, nil, false
  local stop, usage = nil, ir.usage()
  local begin, finish = {}, {}
  local on = {}

  -- `tail` are the members of the event, encoded, without the braces around them.
  local function emit(kind, members)
    count = count + 1
    frames[count] = {
      name = kind,
      data = concat { "{", members, members ~= "" and "," or "", '"sequence_number":', sequence,
        ',"type":"', kind, '"}' },
    }
    sequence = sequence + 1
  end

  local function emit_response(kind)
    emit(kind, '"response":' .. response.text())
  end

  local function start(event)
    if started then return end
    started = true
    response.start(event or {})
    emit_response("response.created")
    emit_response("response.in_progress")
  end

  -- Items.

  local function unique(id)
    local candidate = id
    local n = 1
    while used[candidate] do
      n = n + 1
      candidate = ids.safe(id .. "_" .. n, "responses")
    end
    used[candidate] = true
    return candidate
  end

  local function item_id(prefix, id)
    if id then
      if id:sub(1, #prefix) ~= prefix then id = prefix .. id end
      return unique(ids.safe(id, "responses"))
    end
    return unique(ids.safe(prefix .. response.id .. "_" .. #output, "responses"))
  end

  local function open_item(item)
    local index = #output
    output[index + 1] = item
    emit("response.output_item.added",
      '"item":' .. encode(item) .. ',"output_index":' .. index)
    return index
  end

  local function close_item(item, index)
    emit("response.output_item.done", '"item":' .. encode(item) .. ',"output_index":' .. index)
  end

  -- Where the deltas of an item stand.
  local function place(item, index, more)
    return '"item_id":' .. encode(item.id) .. ',"output_index":' .. index .. (more or "")
  end

  -- Messages: texts and refusals in a row are parts of one.

  local function part_value(part, text)
    if part.kind == "refusal" and not is_codex then return { type = "refusal", refusal = text } end
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
      emit("response.refusal.done", part.place .. ',"refusal":' .. encode(text))
    else
      emit("response.output_text.done", part.place .. ',"logprobs":' .. encode(value.logprobs)
        .. ',"text":' .. encode(text))
    end
    emit("response.content_part.done", part.place .. ',"part":' .. encode(value))
  end

  local function close_message(status)
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
    part.place = '"content_index":' .. part.at .. ',' .. place(message.item, message.index)
    list[#list + 1] = part
    emit("response.content_part.added", part.place .. ',"part":' .. encode(part_value(part, "")))
    if kind == "refusal" then refused = true end
    return part
  end

  -- What waits for the next block before it closes: thinking for the signature of a call, a search
  -- for its hits.
  local function release()
    local waiting = held
    held = nil
    if waiting then waiting.close() end
  end

  local function begin_message(state)
    release()
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
    if part.kind == "refusal" and not is_codex then
      return emit("response.refusal.delta", part.place .. ',"delta":' .. encode(text))
    end
    emit("response.output_text.delta", part.place .. ',"delta":' .. encode(text)
      .. ',"logprobs":' .. (logprobs and encode(array(logprobs)) or "[]"))
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
    emit("response.output_text.annotation.added", part.place .. ',"annotation":' .. encode(native)
      .. ',"annotation_index":' .. #list)
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
    emit("response.reasoning_summary_text.done", state.place .. ',"text":' .. encode(text))
    emit("response.reasoning_summary_part.done", state.place .. ',"part":' .. encode(value))
  end

  local function open_summary(state)
    state.at, state.pieces = #state.item.summary, {}
    state.place = place(state.item, state.index, ',"summary_index":' .. state.at)
    emit("response.reasoning_summary_part.added",
      state.place .. ',"part":{"text":"","type":"summary_text"}')
  end

  local function close_reasoning(state)
    if state.closed then return end
    state.closed = true
    close_summary(state)
    local item = state.item
    item.encrypted_content = signatures.show(state.sig, "responses")
    close_item(item, state.index)
  end

  function begin.thinking(state)
    close_message()
    release()
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
    emit("response.reasoning_summary_text.delta", state.place .. ',"delta":' .. encode(event.text))
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
    release()
    held = { state = state, close = function() close_reasoning(state) end }
  end
  finish.redacted_thinking = finish.thinking

  -- The signature of a part travels in the reasoning before it.
  local function bind(block)
    local sig = block.sig
    if not sig or not carriers or block.type == "thinking" or block.type == "redacted_thinking" then
      return
    end
    local waiting = held and held.state
    if waiting and not waiting.sig and not waiting.closed then
      waiting.sig = sig
      return
    end
    local state = { block = { type = "thinking", sig = sig } }
    begin.thinking(state)
    close_reasoning(state)
  end

  -- Calls.

  function begin.tool_call(state)
    close_message()
    release()
    local block = state.block
    local custom = block.kind == "custom"
    local item = {
      id = item_id(custom and "ctc_" or "fc_", block.id), status = "in_progress", call_id = block.id,
      type = custom and "custom_tool_call" or "function_call", name = block.name,
      namespace = block.namespace,
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
    emit(state.custom and "response.custom_tool_call_input.delta"
      or "response.function_call_arguments.delta", state.place .. ',"delta":' .. encode(text))
  end

  local function close_call(state, complete)
    if state.closed then return end
    local item = state.item
    if complete and not state.custom and not state.pieces[1] then
      on.args_delta({ text = "{}" }, state)
    end
    state.closed = true
    local text = concat(state.pieces)
    item.status = complete and "completed" or "incomplete"
    if state.custom then
      item.input = text
      emit("response.custom_tool_call_input.done", state.place .. ',"input":' .. encode(text))
    else
      item.arguments = text
      emit("response.function_call_arguments.done", state.place .. ',"arguments":' .. encode(text)
        .. ',"name":' .. encode(item.name))
    end
    close_item(item, state.index)
  end

  function finish.tool_call(state, final)
    close_call(state, not (final and final.complete == false))
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
    close_message()
    release()
    local block = state.block
    state.input = block.input
    if searches[block.tool] then
      state.item = { id = item_id("ws_", block.id), type = "web_search_call", status = "in_progress" }
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
    release()
    held = { call = state, close = function() state.close(state) end }
  end

  function begin.server_result(state)
    local call = held and held.call
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
    if call then release() end
  end

  -- Images.

  function begin.image(state)
    close_message()
    release()
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
    emit("response.image_generation_call.partial_image", state.place .. ',"partial_image_b64":'
      .. encode(event.data) .. ',"partial_image_index":' .. event.partial_index)
  end

  local function close_image(state, source)
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

  function finish.image(state, final) close_image(state, final and final.source) end

  function begin.compaction(state)
    close_message()
    release()
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
    close_message()
    release()
    close_item(block.raw, open_item(block.raw))
  end

  -- The end.

  local function close_all(status)
    release()
    close_message(status)
    for _, state in ipairs(blocks) do
      if state.item and not state.closed then
        local kind = state.block.type
        if kind == "tool_call" then close_call(state, false)
        elseif kind == "thinking" or kind == "redacted_thinking" then close_reasoning(state)
        elseif kind == "image" then close_image(state)
        elseif state.close then state.close(state) end
      end
    end
  end

  local function last_incomplete()
    local last = output[#output]
    if type(last) == "table" and last.status then last.status = "incomplete" end
  end

  local function close_response()
    if finished then return end
    finished = true
    start()
    local status, detail = stops.encode("responses", stop or { reason = "unknown" },
      { refusal = refused })
    if status ~= "completed" and status ~= "incomplete" then
      response.fail("server_error", status == "cancelled" and "the response was cancelled"
        or "the upstream's tool call was malformed")
      failed = true
      status = "failed"
    elseif status == "incomplete" then
      last_incomplete()
    end
    response.finish(status, detail, output, usages.encode("responses", usage))
    emit_response("response." .. status)
    if not failed and request and request.replay_input then
      replay.remember(ctx, response.id, response.text(), request.replay_input)
    end
  end

  local function report(problem)
    if finished then return end
    finished = true
    local code = errors.failed_code(problem)
    if not is_codex then
      emit("error", '"code":' .. encode(problem.code or code) .. ',"message":'
        .. encode(problem.message or code) .. ',"param":'
        .. (problem.param and encode(problem.param) or "null"))
    end
    if not started then
      started = true
      response.start {}
    end
    response.fail(code, problem.message or code)
    local done = array {}
    for _, item in ipairs(output) do
      if type(item) ~= "table" or item.status ~= "in_progress" then done[#done + 1] = item end
    end
    response.finish("failed", nil, done, usages.encode("responses", usage))
    emit_response("response.failed")
  end

  function on.start(event) start(event) end
  function on.usage(event) ir.merge_usage(usage, event.usage) end
  function on.stop(event)
    stop = event.stop
    local status, _ = stops.encode("responses", stop, { refusal = refused })
    close_all(status == "incomplete" and "incomplete" or nil)
  end
  on["end"] = close_response
  function on.error(event) report(event.error or {}) end

  function on.block_start(event)
    start()
    local block = event.block
    local state = { block = block }
    blocks[event.idx + 1] = state
    -- Its signature goes before it, so the message before it ends first.
    bind(block)
    local open = begin[block.type]
    if open then open(state) else ctx.warn("drop.block", "output", block.type) end
  end

  function on.block_stop(event)
    local state = blocks[event.idx + 1]
    local close = state and not state.closed and finish[state.block.type]
    if close then close(state, event.final) end
  end

  local function take()
    local taken = frames
    frames, count = {}, 0
    return taken
  end

  local plain = {
    start = true, usage = true, stop = true, ["end"] = true, error = true, block_start = true,
    block_stop = true,
  }

  return {
    --- @param event IrEvent
    --- @return Frame[]
    event = function(event)
      local handle = on[event.type]
      -- This dialect has one choice.
      if not handle or finished or (event.choice or 0) ~= 0 then return take() end
      if plain[event.type] then
        handle(event)
      else
        local state = blocks[event.idx + 1]
        if state then handle(event, state) end
      end
      return take()
    end,
    eof = function()
      if not finished then report(errors.truncated(started and "mid" or "pre")) end
      return take()
    end,
    --- The response object as it stands.
    response = function() return response.text() end,
  }
end

--- A whole response, made of what a stream would have told.
--- @param answer IrResponse
--- @param ctx TranslationContext
--- @return string
function M.whole(answer, ctx)
  local encoder = M.stream(ctx)
  local event = encoder.event
  event { type = "start", id = answer.id, model = answer.model, created = answer.created,
    service_tier = answer.service_tier }
  local choice = answer.choices[1] or ir.choice(0)
  for i, block in ipairs(choice.blocks) do
    event { type = "block_start", idx = i - 1, block = block }
    event { type = "block_stop", idx = i - 1, final = { complete = block.complete } }
  end
  event { type = "usage", usage = answer.usage }
  event { type = "stop", stop = choice.stop }
  event { type = "end" }
  return encoder.response()
end

return M
