--- Streams of Chat upstreams into events of the neutral form.

local choices = require "lib.chat_choice"
local fields = require "lib.fields"
local json = require "json"
local problems = require "lib.problems"
local usages = require "lib.usage"

local is_array, math_type, null, type = json.is_array, math.type, json.null, type
local decode_json, match = json.decode, json.match
local go_on, go_on_calling = choices.go_on, choices.go_on_calling
local soft = fields.soft

local M = {}

local NOTHING = {}

-- A chunk that has one choice with this delta, whose index is the first result.
local function pattern(delta)
  return json.pattern {
    id = "any", object = "any", created = "any", model = "any", system_fingerprint = "any",
    service_tier = "any", provider = "any", obfuscation = "any", usage = "null",
    choices = json.array { {
      index = 1, logprobs = "null", finish_reason = "null", native_finish_reason = "null",
      delta = delta,
    } },
  }
end

-- What most chunks are: a piece of text or of thought, and nothing else.
local PIECE = pattern {
  content = 2, reasoning_content = 3, role = "any", refusal = "null", tool_calls = "null",
  function_call = "null", reasoning = "null", audio = "null", annotations = "null",
}

-- The other ones: a piece of a call's arguments.
local ARGUMENTS = pattern {
  tool_calls = json.array { {
    index = 2, id = 4, type = "any", ["function"] = { arguments = 3, name = 5 },
  } },
  content = 6, role = "any", refusal = "null", reasoning_content = "null",
  function_call = "null", reasoning = "null", audio = "null", annotations = "null",
}

-- True for text and for nothing at all.
local function is_text(value)
  return not value or type(value) == "string"
end

local function is_said(value)
  return value ~= nil and value ~= ""
end

-- One stream's state:
--   ctx, out         the events of the chunk at hand
--   started, ended   the first chunk was told; all is said
--   calling          chunks are no PIECE: they may be ARGUMENTS
--   choices, order   by the upstream's index, and as they came
--   usage, told      what was reported, and what of it was told
--   single           the list for a chunk with one event, as most have: a stream has thousands

local function emit(s, event)
  local out = s.out
  out[#out + 1] = event
end

local function start(s, chunk)
  s.started = true
  emit(s, {
    type = "start", id = soft.filled(chunk, "id") or "",
    model = soft.string(chunk, "model") or "",
    created = soft.integer(chunk, "created") or 0,
    service_tier = soft.string(chunk, "service_tier"),
  })
end

local function choice_of(s, native, position)
  local index = native.index
  if math_type(index) ~= "integer" or index < 0 or index > 127 then index = position - 1 end
  local choice = s.choices[index]
  if not choice then
    choice = choices.new(index, s)
    s.choices[index], s.order[#s.order + 1] = choice, choice
  end
  return choice
end

local function all_finished(s)
  local order = s.order
  for i = 1, #order do if not order[i].finish then return false end end
  return #order > 0
end

local function tell_usage(s)
  local usage = s.usage
  if usage and usage ~= s.told then
    emit(s, { type = "usage", usage = usage })
    s.told = usage
  end
end

local function stop_all(s)
  local order = s.order
  for i = 1, #order do choices.stop(order[i]) end
end

local function fail(s, problem)
  problem.phase = #s.order > 0 and "mid" or "pre"
  s.ended = true
  emit(s, { type = "error", error = problem })
end

local function broken(s)
  fail(s, { kind = "truncated", status = 502, message = "the upstream's answer broke off" })
end

-- `said` tells that the upstream called this the end.
local function finish(s, said)
  local order = s.order
  for i = 1, #order do
    local choice = order[i]
    if not choice.finish and said then choice.finish = choices.infer(choice) end
    if not choice.finish then return broken(s) end
  end
  if #order == 0 then return broken(s) end
  stop_all(s)
  tell_usage(s)
  s.ended = true
  emit(s, { type = "end" })
end

local function take(s, chunk)
  local list = chunk.choices
  if type(list) == "table" then
    for i = 1, #list do
      local native = list[i]
      if type(native) == "table" then choices.take(choice_of(s, native, i), native) end
    end
  end
  local report = chunk.usage
  if type(report) == "table" then
    s.usage = usages.decode("chat", report) or s.usage
    -- Nothing follows usage that comes behind the end.
    if all_finished(s) then
      stop_all(s)
      tell_usage(s)
    end
  end
end

-- The event of a chunk that goes on with a call's arguments; nil for any other.
local function next_arguments(s, data)
  local fine, index, call, text, id, name, content = match(data, ARGUMENTS)
  local known = fine and s.choices[index or 0]
  if not known or is_said(id) or is_said(name) or is_said(content) then return nil end
  return go_on_calling(known, call, text)
end

-- The events of a chunk that is no PIECE.
local function take_chunk(s, data)
  if data == "[DONE]" then return finish(s, true) end
  local chunk = decode_json(data)
  if type(chunk) ~= "table" or is_array(chunk) then return end
  local problem = chunk.error
  if problem ~= nil and problem ~= null and problem ~= false then
    return fail(s, problems.decode("chat", 0, data, {}))
  end
  if not s.started then start(s, chunk) end
  take(s, chunk)
end

local function frame(s, data)
  if s.ended then return NOTHING end
  local event
  if s.calling then event = next_arguments(s, data) end
  if not event then
    local fine, index, text, thought
    if s.started then
      fine, index, text, thought = match(data, PIECE)
      s.calling = not fine
    end
    local known = fine and s.choices[index or 0]
    known = known and is_text(text) and is_text(thought) and known
    event = known and go_on(known, text, thought)
    if not event then
      s.out = {}
      if known then choices.take_piece(known, text, thought) else take_chunk(s, data) end
      return s.out
    end
  end
  local single = s.single
  single[1] = event
  return single
end

--- A list that `frame` gives is good until it is called again.
--- @param ctx TranslationContext
--- @return StreamDecoder
function M.new(ctx)
  local s = {
    ctx = ctx, out = nil, started = false, ended = false, calling = false, choices = {},
    order = {}, usage = nil, told = nil, single = {},
  }
  return {
    frame = function(_, data) return frame(s, data) end,
    eof = function()
      if s.ended then return NOTHING end
      s.out = {}
      finish(s, false)
      return s.out
    end,
  }
end

return M
