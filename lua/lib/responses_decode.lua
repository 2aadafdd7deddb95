--- Answers of the Responses dialect to neutral form: streams and whole responses.
---
--- Upstreams differ in what they send twice and what they leave out.  So everything here is
--- idempotent: deltas count, and what a closing event repeats is only used as far as it is new.

local problems = require "lib.problems"
local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local items = require "lib.responses_items"
local calls = require "lib.responses_decode_calls"
local json = require "json"
local reject = require "lib.reject"
local stops = require "lib.stops"
local texts = require "lib.responses_decode_text"
local usages = require "lib.usage"

local soft = fields.soft
local concat, ipairs, tointeger, type = table.concat, ipairs, math.tointeger, type
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

-- What most events are: a piece of text.
local TEXT_DELTA = "response.output_text.delta"
local PIECE = json.pattern {
  type = "=" .. TEXT_DELTA, output_index = 1, content_index = 2, delta = 3,
  item_id = "any", sequence_number = "any", obfuscation = "any", logprobs = "any",
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

local function stop_of(response, completed, refused)
  local status = soft.filled(response, "status")
  local native = status
  if status == "incomplete" then
    local details = soft.object(response, "incomplete_details")
    native = soft.filled(details, "reason") or "incomplete"
  end
  local stop = stops.effective(stops.decode("responses", native), completed)
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
    return reject.upstream("the upstream's answer is not a response: "
      .. tostring(problem or "no object"))
  end
  if native.status == "failed" or soft.object(native, "error") then
    local failure = problems.of_event(native, "pre")
    return reject.kind(failure.kind, failure.message, failure.param)
  end
  local response = ir.response()
  response.id = soft.string(native, "id") or ""
  response.model = soft.string(native, "model") or ""
  response.created = tointeger(soft.number(native, "created_at") or 0) or 0
  response.service_tier = soft.string(native, "service_tier")
  local choice, completed, refused = ir.choice(0), 0, false
  for n, item in ipairs(soft.list(native, "output") or {}) do
    if is_item(item) then
      local _, blocks = items.read(item, soft, nil, n - 1)
      for _, block in ipairs(blocks) do
        if block.type == "tool_call" then
          identify_call(block, item, ctx)
          if block.complete then completed = completed + 1 end
        end
        refused = refused or block.type == "refusal"
        choice.blocks[#choice.blocks + 1] = block
      end
    end
  end
  choice.stop = stop_of(native, completed, refused)
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
  local next_idx = 0
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

  -- What the parts of this decoder share: handlers of events by type, and what they were told.
  local d = {
    ctx = ctx, on = on, emit = emit, open = open, close = close, need = need, calls = 0,
    refused = false,
  }
  texts.install(d)
  calls.install(d)

  -- Whole blocks, for items that came in one piece.
  local function emit_block(block)
    if block.type == "text" or block.type == "refusal" then
      local text = block.text
      if text == "" then return end
      d.refused = d.refused or block.type == "refusal"
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
    if record.kind == "message" then d.finish_message(record, item)
    elseif record.kind == "reasoning" then d.finish_reasoning(record, item)
    elseif call_types[record.kind] then d.finish_call(record, item)
    else finish_other(record, item, record.index or #order) end
    record.done = true
  end

  on["response.output_item.added"] = function(event)
    local item = event.item
    if not is_item(item) then return end
    local record = find(event, items.kind(item))
    if not record or record.done then record = remember(item, event) end
    if call_types[record.kind] then
      d.announce(record, item)
      d.complete_args(record, soft.filled(item, "arguments") or soft.filled(item, "input"))
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
    emit { type = "stop", stop = stop_of(response, d.calls, d.refused) }
    emit { type = "end", service_tier = soft.filled(response, "service_tier") }
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
    fail(problems.of_event(response, content and "mid" or "pre"))
  end
  on["error"] = function(event) fail(problems.of_event(event, content and "mid" or "pre")) end
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
      if name == TEXT_DELTA and not string.find(data, '"logprobs":[{', 1, true) then
        local fine, index, at, text = json.match(data, PIECE)
        local record = fine and by_index[index]
        if record and record.kind == "message" and type(text) == "string"
            and d.text_piece(record, at, text) then
          return take()
        end
      end
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
      if not finished then fail(problems.truncated("responses", content and "mid" or "pre")) end
      return take()
    end,
  }
end

return M
