--- Answers of the Responses dialect: neutral events to frames, and whole responses.

local calls = require "lib.responses_encode_calls"
local frames = require "lib.responses_frames"
local ir = require "lib.ir"
local json = require "json"
local object = require "lib.responses_object"
local problems = require "lib.problems"
local replay = require "lib.responses_replay"
local stops = require "lib.stops"
local texts = require "lib.responses_encode_text"
local usages = require "lib.usage"

local ipairs, type = ipairs, type
local array, encode = json.array, json.encode
local emit, release = frames.emit, frames.release

local M = {}

-- Handlers by type, those of all parts: of events that belong to a block, and of the beginning and
-- the end of blocks.
local function all(name)
  local handlers = {}
  for _, part in ipairs { texts, calls } do
    for kind, handler in pairs(part[name]) do handlers[kind] = handler end
  end
  return handlers
end

local inside, begin, finish = all "on", all "begin", all "finish"

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

-- The state of one answer:
--   ctx, whole           no frames are made of a whole answer
--   frames, sequence     of the event at hand; number of the next one
--   response, output     see lib.responses_object; its items
--   used, blocks         ids that are taken; states of blocks by their index + 1
--   stop, usage          what was told
--   started, finished    response.created went out; all is said
--   is_codex, carriers   what kind of client it is
--   message, refused     the open message; whether something was refused
--   held                 what waits for the next block before it closes, see frames.release
local function answer_of(ctx, whole)
  return {
    ctx = ctx, whole = whole, frames = nil, sequence = 0, response = object.new(ctx),
    output = array {}, used = {}, blocks = {}, stop = nil, usage = nil, started = false,
    finished = false, is_codex = ctx.client ~= nil and ctx.client.variant == "codex",
    carriers = wants_carriers(ctx.request), message = nil, refused = false, held = nil,
  }
end

-- A frame with the response as it stands, and perhaps a second one with the same.
local function emit_response(w, kind, another)
  if w.whole then return end
  local head, fixed = object.parts(w.response)
  frames.emit_response(w, kind, head, fixed)
  if another then frames.emit_response(w, another, head, fixed) end
end

local function start(w, event)
  if w.started then return end
  w.started = true
  object.start(w.response, event)
  emit_response(w, "response.created", "response.in_progress")
end

-- --- the end -------------------------------------------------------------------------------------

local function close_block(w, state)
  local kind = state.block.type
  if kind == "tool_call" then
    calls.close_call(w, state, false)
  elseif kind == "thinking" or kind == "redacted_thinking" then
    texts.close_reasoning(w, state)
  elseif kind == "image" then
    calls.close_image(w, state)
  elseif state.close then
    state.close(w, state)
  end
end

local function close_all(w, status)
  release(w)
  texts.close_message(w, status)
  for _, state in ipairs(w.blocks) do
    if state.item and not state.closed then close_block(w, state) end
  end
end

local function last_incomplete(w)
  local last = w.output[#w.output]
  if type(last) == "table" and last.status then last.status = "incomplete" end
end

local function usage_of(w)
  return usages.encode("responses", w.usage or ir.usage())
end

local function close_response(w)
  if w.finished then return end
  w.finished = true
  start(w, {})
  local response, failed = w.response, false
  local status, detail = stops.encode("responses", w.stop or { reason = "unknown" },
    { refusal = w.refused })
  if status ~= "completed" and status ~= "incomplete" then
    object.fail(response, "server_error", status == "cancelled" and "the response was cancelled"
      or "the upstream's tool call was malformed")
    failed = true
    status = "failed"
  elseif status == "incomplete" then
    last_incomplete(w)
  end
  object.finish(response, status, detail, w.output, usage_of(w))
  emit_response(w, "response." .. status)
  local ctx, request = w.ctx, w.ctx.request
  if not failed and request and request.replay_input then
    replay.remember(ctx, response.id, object.text(response), request.replay_input)
  end
end

local function report(w, problem)
  if w.finished then return end
  w.finished = true
  local code, response = problems.failed_code(problem), w.response
  if not w.is_codex then
    emit(w, "error", '"code":' .. encode(problem.code or code) .. ',"message":'
      .. encode(problem.message or code) .. ',"param":'
      .. (problem.param and encode(problem.param) or "null"))
  end
  if not w.started then
    w.started = true
    object.start(response, {})
  end
  object.fail(response, code, problem.message or code)
  local done = array {}
  for _, item in ipairs(w.output) do
    if type(item) ~= "table" or item.status ~= "in_progress" then done[#done + 1] = item end
  end
  object.finish(response, "failed", nil, done, usage_of(w))
  emit_response(w, "response.failed")
end

-- --- events of the answer and of its blocks' bounds ----------------------------------------------

local on = { start = start }

function on.usage(w, event)
  w.usage = ir.merge_usage(w.usage or ir.usage(), event.usage)
end

function on.stop(w, event)
  w.stop = event.stop
  local status = stops.encode("responses", w.stop, { refusal = w.refused })
  close_all(w, status == "incomplete" and "incomplete" or nil)
end

on["end"] = function(w, event)
  object.tier(w.response, event.service_tier)
  close_response(w)
end

function on.error(w, event)
  report(w, event.error or {})
end

function on.block_start(w, event)
  if not w.started then start(w, {}) end
  local block = event.block
  local state = {
    block = block, item = nil, index = nil, place = nil, pieces = nil, part = nil, closed = nil,
  }
  w.blocks[event.idx + 1] = state
  -- Its signature goes before it, so the message before it ends first.
  texts.bind(w, block)
  local open = begin[block.type]
  if open then open(w, state) else w.ctx.warn("drop.block", "output", block.type) end
end

function on.block_stop(w, event)
  local state = w.blocks[event.idx + 1]
  local close = state and not state.closed and finish[state.block.type]
  if close then close(w, state, event.final) end
end

local function take(w, event)
  -- This dialect has one choice.
  if w.finished or (event.choice or 0) ~= 0 then return end
  local kind = event.type
  local handle = inside[kind]
  if handle then
    local state = w.blocks[event.idx + 1]
    if state then handle(w, event, state) end
    return
  end
  handle = on[kind]
  if handle then handle(w, event) end
end

--- Makes the state of one stream.
--- @param ctx TranslationContext
--- @return StreamEncoder
function M.stream(ctx)
  local w = answer_of(ctx, false)
  return {
    event = function(event, into)
      w.frames = into or {}
      take(w, event)
      return w.frames
    end,
    eof = function()
      w.frames = {}
      if not w.finished then
        report(w, problems.truncated("responses", w.started and "mid" or "pre"))
      end
      return w.frames
    end,
    --- The response object as it stands.
    response = function() return object.text(w.response) end,
  }
end

--- A whole response, made of what a stream would have told.
--- @param answer IrResponse
--- @param ctx TranslationContext
--- @return string
function M.whole(answer, ctx)
  local w = answer_of(ctx, true)
  start(w, answer)
  local choice = answer.choices[1] or ir.choice(0)
  for i, block in ipairs(choice.blocks) do
    on.block_start(w, { idx = i - 1, block = block })
    on.block_stop(w, { idx = i - 1, final = { complete = block.complete } })
  end
  on.usage(w, answer)
  on.stop(w, choice)
  close_response(w)
  return object.text(w.response)
end

return M
