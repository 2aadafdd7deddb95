--- Answers of the Responses dialect: neutral events to frames, and whole responses.

local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local calls = require "lib.responses_encode_calls"
local object = require "lib.responses_object"
local stops = require "lib.stops"
local texts = require "lib.responses_encode_text"
local usages = require "lib.usage"
local problems = require "lib.problems"
local replay = require "lib.responses_replay"

local ipairs, type = ipairs, type
local array, encode = json.array, json.encode

local M = {}

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

local function silent() end

-- Makes the state of one answer; with `whole` no frames are made, only the response is.
local function answer_of(ctx, whole)
  local request = ctx.request
  local is_codex = ctx.client ~= nil and ctx.client.variant == "codex"
  local frames, count, sequence = {}, 0, 0
  local started, finished, failed = false, false, false
  local response = object.new(ctx)
  local output, used, blocks = array {}, {}, {}
  local stop, usage = nil, ir.usage()
  local on, begin, finish = {}, {}, {}

  -- `at` are members that are text already, and one or two members follow.  Nothing is encoded
  -- before it is known that somebody wants frames.
  local emit = whole and silent or function(kind, at, name, value, other, another)
    local members = at or ""
    if name then
      members = (at and at .. ',"' or '"') .. name .. '":' .. encode(value)
        .. (other and ',"' .. other .. '":' .. encode(another) or "")
    end
    count = count + 1
    frames[count] = {
      name = kind,
      data = "{" .. members .. ',"sequence_number":' .. sequence .. ',"type":"' .. kind .. '"}',
    }
    sequence = sequence + 1
  end

  -- The same for a piece of text, of which a stream has thousands: what stands around it is made
  -- once, the number comes behind `foot`.
  local emit_piece = whole and silent or function(kind, head, text, foot)
    count = count + 1
    frames[count] = {
      name = kind, data = head .. encode(text) .. foot .. sequence .. ',"type":"' .. kind .. '"}',
    }
    sequence = sequence + 1
  end

  local emit_response = whole and silent or function(kind)
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
    emit("response.output_item.added", nil, "item", item, "output_index", index)
    return index
  end

  local function close_item(item, index)
    emit("response.output_item.done", nil, "item", item, "output_index", index)
  end

  -- Where the deltas of an item stand, as the first members of their events.
  local place = whole and silent or function(item, index)
    return '"item_id":' .. encode(item.id) .. ',"output_index":' .. index
  end

  -- What the parts of this encoder share: handlers of events by type, of the beginning and end of
  -- blocks by type, and what waits for the next block before it closes (thinking for the signature
  -- of a call, a search for its hits).
  local w = {
    ctx = ctx, on = on, begin = begin, finish = finish, is_codex = is_codex,
    carriers = wants_carriers(request), emit = emit, emit_piece = emit_piece, item_id = item_id,
    open_item = open_item, close_item = close_item, place = place, refused = false,
  }

  function w.release()
    local waiting = w.held
    w.held = nil
    if waiting then waiting.close() end
  end

  texts.install(w)

  -- How blocks of a type begin.  Many answers are nothing but text, and need no more.
  local function beginning(kind)
    if not begin[kind] and not w.close_call then calls.install(w) end
    return begin[kind]
  end

  -- The end.

  local function close_all(status)
    w.release()
    w.close_message(status)
    for _, state in ipairs(blocks) do
      if state.item and not state.closed then
        local kind = state.block.type
        if kind == "tool_call" then w.close_call(state, false)
        elseif kind == "thinking" or kind == "redacted_thinking" then w.close_reasoning(state)
        elseif kind == "image" then w.close_image(state)
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
      { refusal = w.refused })
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
    local code = problems.failed_code(problem)
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
    local status = stops.encode("responses", stop, { refusal = w.refused })
    close_all(status == "incomplete" and "incomplete" or nil)
  end
  on["end"] = function(event)
    response.tier(event.service_tier)
    close_response()
  end
  function on.error(event) report(event.error or {}) end

  function on.block_start(event)
    start()
    local block = event.block
    local state = { block = block }
    blocks[event.idx + 1] = state
    -- Its signature goes before it, so the message before it ends first.
    w.bind(block)
    local open = beginning(block.type)
    if open then open(state) else ctx.warn("drop.block", "output", block.type) end
  end

  function on.block_stop(event)
    local state = blocks[event.idx + 1]
    local close = state and not state.closed and finish[state.block.type]
    if close then close(state, event.final) end
  end

  local plain = {
    start = true, usage = true, stop = true, ["end"] = true, error = true, block_start = true,
    block_stop = true,
  }

  return {
    --- @param event IrEvent
    --- @param into Frame[]?  gets the frames instead of a new list
    --- @return Frame[]
    event = function(event, into)
      frames = into or {}
      count = #frames
      local handle = on[event.type]
      -- This dialect has one choice.
      if not handle or finished or (event.choice or 0) ~= 0 then return frames end
      if plain[event.type] then
        handle(event)
      else
        local state = blocks[event.idx + 1]
        if state then handle(event, state) end
      end
      return frames
    end,
    eof = function()
      frames, count = {}, 0
      if not finished then report(problems.truncated("responses", started and "mid" or "pre")) end
      return frames
    end,
    --- The response object as it stands.
    response = function() return response.text() end,
  }
end

--- Makes the state of one stream.
--- @param ctx TranslationContext
--- @return StreamEncoder
function M.stream(ctx)
  return answer_of(ctx, false)
end

--- A whole response, made of what a stream would have told.
--- @param answer IrResponse
--- @param ctx TranslationContext
--- @return string
function M.whole(answer, ctx)
  local encoder = answer_of(ctx, true)
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
