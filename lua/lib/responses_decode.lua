--- Answers of the Responses dialect to neutral form: streams and whole responses.
---
--- Upstreams differ in what they send twice and what they leave out.  So everything here is
--- idempotent: deltas count, and what a closing event repeats is only used as far as it is new.

local errors = require "lib.responses_errors"
local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local items = require "lib.responses_items"
local json = require "json"
local reject = require "lib.reject"
local signatures = require "lib.signatures"
local stops = require "lib.stops"
local usages = require "lib.usage"

local soft = fields.soft
local concat, ipairs, sub, tointeger, type = table.concat, ipairs, string.sub, math.tointeger, type
local is_array = json.is_array

local M = {}

local USAGE = {
  "input_tokens", "output_tokens", "total_tokens",
  input_tokens_details = { "cached_tokens", "cache_write_tokens" },
  output_tokens_details = { "reasoning_tokens" },
}
local ERROR = {
  "type", "code", "message", "param", "status", "status_code", "resets_at", "resets_in_seconds",
}
local RESPONSE = {
  "id", "model", "created_at", "status", "service_tier", output = items.ITEM, usage = USAGE,
  error = ERROR, incomplete_details = { "reason" },
}

-- Members of deltas are all named, so that none is kept raw in vain.
local EVENT = json.shape {
  known = {
    "type", "delta", "output_index", "content_index", "summary_index", "item_id", "sequence_number",
    "text", "refusal", "name", "input", "call_id", "obfuscation", "code", "message", "param",
    "status", "status_code", "partial_image_b64", "partial_image_index", "logprobs",
    arguments = {}, item = items.ITEM, part = items.PART, annotation = items.PART.annotations,
    response = RESPONSE, error = ERROR,
  },
}
local WHOLE = json.shape { known = RESPONSE }

local function stop_of(response, calls, refused)
  local status = soft.filled(response, "status")
  local native = status
  if status == "incomplete" then
    local details = soft.object(response, "incomplete_details")
    native = soft.filled(details, "reason") or "incomplete"
  end
  local stop = stops.effective(stops.decode("responses", native), calls)
  if refused and (stop.reason == "end" or stop.reason == "content_filter") then
    stop = { reason = "refusal", native = native }
  end
  return stop
end

local function is_item(item)
  return type(item) == "table" and not is_array(item)
end

local call_types = { function_call = true, custom_tool_call = true }

-- Upstreams that give a call no id: it gets one before the client sees it.
local function identify_call(block, item, ctx)
  if soft.filled(item, "call_id") == nil and soft.filled(item, "id") == nil then
    block.id = ids.fresh(ctx)
  end
end

--- Reads a whole response.
--- @param body string
--- @param ctx TranslationContext
--- @return IrResponse
function M.whole(body, ctx)
  local native, problem = json.decode(body, WHOLE)
  if not is_item(native) then
    return reject.upstream("the upstream's answer is not a response: " .. tostring(problem or "no object"))
  end
  if native.status == "failed" or soft.object(native, "error") then
    local failure = errors.decode(native, "pre")
    return reject.kind(failure.kind, failure.message, failure.param)
  end
  local response = ir.response()
  response.id = soft.string(native, "id") or ""
  response.model = soft.string(native, "model") or ""
  response.created = tointeger(soft.number(native, "created_at") or 0) or 0
  response.service_tier = soft.string(native, "service_tier")
  local choice, calls, refused = ir.choice(0), 0, false
  for n, item in ipairs(soft.list(native, "output") or {}) do
    if is_item(item) then
      local _, blocks = items.read(item, soft, nil, n - 1)
      for _, block in ipairs(blocks) do
        if block.type == "tool_call" then
          identify_call(block, item, ctx)
          if block.complete then calls = calls + 1 end
        end
        refused = refused or block.type == "refusal"
        choice.blocks[#choice.blocks + 1] = block
      end
    end
  end
  choice.stop = stop_of(native, calls, refused)
  response.choices[1] = choice
  ir.merge_usage(response.usage, usages.decode("responses", native.usage))
  return response
end

--- Makes the state of one stream.
--- @param ctx TranslationContext
--- @return StreamDecoder
function M.stream(ctx)
  local events, count = {}, 0
  local started, finished, content = false, false, false
  local next_idx, calls, refused = 0, 0, false
  -- Items by place and by id, in the order they came.
  local by_index, by_id, order, latest = {}, {}, {}, {}
  local on = {}

  local function emit(event)
    event.choice = 0
    count = count + 1
    events[count] = event
    return event
  end

  local function start(response)
    if started then return end
    started = true
    emit {
      type = "start", id = soft.string(response, "id") or "",
      model = soft.string(response, "model") or "",
      created = tointeger(soft.number(response, "created_at") or 0) or 0,
    }
  end

  local function open(block)
    start()
    content = true
    local idx = next_idx
    next_idx = idx + 1
    emit { type = "block_start", idx = idx, block = block }
    return idx
  end

  local function close(idx, final)
    emit { type = "block_stop", idx = idx, final = final }
  end

  -- Whole blocks, for items that came in one piece.
  local function emit_block(block)
    if block.type == "text" or block.type == "refusal" then
      local text = block.text
      if text == "" then return end
      refused = refused or block.type == "refusal"
      local citations, logprobs = block.citations, block.logprobs
      block.text, block.citations, block.logprobs = "", nil, nil
      local idx = open(block)
      emit { type = block.type .. "_delta", idx = idx, text = text, logprobs = logprobs }
      for _, each in ipairs(citations or {}) do
        emit { type = "citation", idx = idx, citation = each }
      end
      return close(idx)
    end
    close(open(block), { status = block.status, input = block.input, source = block.source })
  end

  local function remember(item, event)
    local index = soft.integer(event, "output_index")
    local id = soft.filled(item, "id") or soft.filled(event, "item_id")
    local kind = items.kind(item)
    local record = { kind = kind, index = index, id = id, item = item, parts = {} }
    if index then by_index[index] = record end
    if id then by_id[id] = record end
    local call_id = soft.filled(item, "call_id")
    if call_id then by_id[call_id] = by_id[call_id] or record end
    order[#order + 1] = record
    latest[kind] = record
    return record
  end

  -- The item of an event: by place, by id, by call, else the last one of its kind.
  local function find(event, kind)
    local found = by_index[event.output_index]
    if found and (not kind or found.kind == kind) then return found end
    local item = event.item
    local id = soft.filled(item, "id") or soft.filled(event, "item_id")
    found = id and by_id[id]
    if found and (not kind or found.kind == kind) then return found end
    local call_id = soft.filled(item, "call_id") or soft.filled(event, "call_id")
    found = call_id and by_id[call_id]
    if found and (not kind or found.kind == kind) then return found end
    -- A place or an id that is new is a new item.
    if type(event.output_index) == "number" and not by_index[event.output_index] and id then
      return nil
    end
    found = kind and latest[kind]
    if found and not found.done then return found end
    return nil
  end

  local function need(event, kind)
    return find(event, kind) or remember({ type = kind, id = soft.filled(event, "item_id") }, event)
  end

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
    if part.kind == "refusal" then refused = true end
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

  local function finish_message(record, item)
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
  local function finish_reasoning(record, item)
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
      record.idx = open { type = "thinking", text = "", form = "summary", item = { id = record.id } }
    end
    if sig then emit { type = "signature", idx = record.idx, sig = sig, mode = "set" } end
    close(record.idx)
  end

  -- Calls.

  local function announce(record, item, last)
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

  local function complete_args(record, text)
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
    if soft.filled(event, "name") then announce(record, event) end
    complete_args(record, text_of(event[name]))
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

  local function finish_call(record, item)
    complete_args(record, text_of(item.arguments) or text_of(item.input))
    announce(record, item, true)
    local complete = item.status ~= "incomplete"
    if complete then calls = calls + 1 end
    close(record.idx, { complete = complete })
  end

  -- Images come with previews.
  on["response.image_generation_call.partial_image"] = function(event)
    local data = soft.filled(event, "partial_image_b64")
    if not data then return end
    local record = need(event, "image_generation_call")
    if record.done or data == record.preview then return end
    record.preview = data
    record.idx = record.idx or open {
      type = "image", source = { kind = "base64", media_type = "image/png", data = "" },
      item = { id = record.id, generated = true },
    }
    emit {
      type = "media_delta", idx = record.idx, data = data,
      partial_index = soft.integer(event, "partial_image_index") or 0,
    }
  end

  local function finish_other(record, item, n)
    local _, blocks = items.read(item, soft, nil, n)
    if record.idx then
      return close(record.idx, blocks[1] and { source = blocks[1].source })
    end
    for _, block in ipairs(blocks) do emit_block(block) end
  end

  local function finish_item(record, item)
    if record.done then return end
    if record.kind == "message" then finish_message(record, item)
    elseif record.kind == "reasoning" then finish_reasoning(record, item)
    elseif call_types[record.kind] then finish_call(record, item)
    else finish_other(record, item, record.index or #order) end
    record.done = true
  end

  on["response.output_item.added"] = function(event)
    local item = event.item
    if not is_item(item) then return end
    local record = find(event, items.kind(item))
    if not record or record.done then record = remember(item, event) end
    if call_types[record.kind] then
      announce(record, item)
      complete_args(record, soft.filled(item, "arguments") or soft.filled(item, "input"))
    end
  end

  on["response.output_item.done"] = function(event)
    local item = event.item
    if not is_item(item) then return end
    finish_item(find(event, items.kind(item)) or remember(item, event), item)
  end

  on["response.created"] = function(event) start(soft.object(event, "response")) end

  -- Terminal events.

  -- Items that the stream never finished, then those it never named.
  local function fill(response)
    for n, item in ipairs(soft.list(response, "output") or {}) do
      if is_item(item) then
        local event = { item = item, output_index = n - 1 }
        local record = find(event, items.kind(item))
        if not record or not record.done then
          finish_item(record or remember(item, event), item)
        end
      end
    end
    for _, record in ipairs(order) do
      if not record.done then
        local item = record.item
        if call_types[record.kind] then
          local args = concat(record.pieces or {})
          local whole = record.kind == "custom_tool_call" or json.raw(args) ~= nil
          item = { status = not whole and "incomplete" or nil }
        end
        if call_types[record.kind] or record.kind == "message" or record.kind == "reasoning"
            or record.idx then
          finish_item(record, item)
        end
      end
    end
  end

  local function fail(problem)
    finished = true
    emit { type = "error", error = problem }
  end

  local function finish(response)
    response = response or {}
    start(response)
    fill(response)
    local usage = usages.decode("responses", response.usage)
    if usage then emit { type = "usage", usage = usage } end
    emit { type = "stop", stop = stop_of(response, calls, refused) }
    emit { type = "end" }
    finished = true
  end

  on["response.completed"] = function(event)
    local response = soft.object(event, "response") or {}
    if not soft.filled(response, "status") then response.status = "completed" end
    finish(response)
  end
  on["response.done"] = on["response.completed"]
  on["response.incomplete"] = function(event)
    local response = soft.object(event, "response") or {}
    response.status = "incomplete"
    finish(response)
  end
  on["response.cancelled"] = function(event)
    local response = soft.object(event, "response") or {}
    response.status = "cancelled"
    finish(response)
  end

  on["response.failed"] = function(event)
    local response = soft.object(event, "response") or event
    fail(errors.decode(response, content and "mid" or "pre"))
  end
  on["error"] = function(event) fail(errors.decode(event, content and "mid" or "pre")) end
  on["ping"] = function() emit { type = "keepalive" } end
  on["keepalive"] = on["ping"]

  local function take()
    local taken = events
    events, count = {}, 0
    return taken
  end

  return {
    --- @param name string
    --- @param data string
    --- @return IrEvent[]
    frame = function(name, data)
      if finished or data == "[DONE]" then return take() end
      local event = json.decode(data, EVENT)
      -- What is not an object is skipped: it says nothing.
      if not is_item(event) then return take() end
      local kind = event.type
      if type(kind) ~= "string" then kind = name end
      local handle = on[kind]
      if handle then
        handle(event)
      elseif type(event.error) == "table" and kind:sub(1, 9) ~= "response." then
        on["error"](event)
      end
      return take()
    end,
    eof = function()
      if not finished then fail(errors.truncated(content and "mid" or "pre")) end
      return take()
    end,
  }
end

return M
