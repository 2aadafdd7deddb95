--- Streams of Chat upstreams into events of the neutral form.

local answer = require "lib.chat_answer"
local calls = require "lib.chat_calls"
local fields = require "lib.fields"
local json = require "json"
local problems = require "lib.problems"
local reasoning = require "lib.chat_reasoning"
local think = require "lib.chat_think"
local usages = require "lib.usage"

local concat, is_array, math_type, null, type =
  table.concat, json.is_array, math.type, json.null, type
local decode_json, match = json.decode, json.match
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

-- One choice: the blocks it has open, and what is known of its end.
local function choice_state(index, ctx, emit)
  local choice = index > 0 and index or nil
  local next_idx, open_kind, open_idx, last_text = 0, nil, nil, nil
  local tools, splitter, audio
  local state = { finish = nil, has_text = false, stopped = false }

  local function close()
    if open_kind then
      emit { type = "block_stop", choice = choice, idx = open_idx }
      open_kind = nil
    end
  end

  local function start(block)
    local idx = next_idx
    next_idx = idx + 1
    emit { type = "block_start", choice = choice, idx = idx, block = block }
    return idx
  end

  -- The block of a kind that texts go to: the open one, or a new one.
  local function enter(kind, block)
    if open_kind == kind then return open_idx end
    close()
    if tools then tools.settle() end
    open_idx, open_kind = start(block or { type = kind, text = "" }), kind
    return open_idx
  end

  local function on_thinking(text)
    local idx = open_kind == "thinking" and open_idx
      or enter("thinking", { type = "thinking", text = "", form = "raw" })
    emit { type = "thinking_delta", choice = choice, idx = idx, text = text }
  end

  local function on_text(text, logprobs)
    local idx = open_kind == "text" and open_idx or enter("text")
    state.has_text, last_text = true, idx
    emit { type = "text_delta", choice = choice, idx = idx, text = text, logprobs = logprobs }
  end

  -- Text may hide thoughts in its head, where the profile says so.
  local function on_content(text, logprobs)
    if not splitter then return on_text(text, logprobs) end
    local thought, rest = splitter(text)
    if thought ~= "" then on_thinking(thought) end
    if rest ~= "" then on_text(rest, logprobs) end
  end

  local function on_parts(list, logprobs)
    for i = 1, #list do
      local part = list[i]
      local text = type(part) == "string" and part or soft.string(part, "text") or ""
      local kind = soft.string(part, "type")
      if kind == "reasoning" or kind == "thinking" then
        local thought = text ~= "" and text or reasoning.flatten(part.thinking)
        if thought ~= "" then on_thinking(thought) end
      elseif kind == "image_url" then
        state.image(part)
      elseif text ~= "" then
        on_content(text, logprobs)
      end
    end
  end

  -- Signatures close their thought; redacted thoughts are blocks of their own.
  local function on_detail(detail, has_plain)
    local text = reasoning.detail_text(detail)
    if text ~= "" and not has_plain then on_thinking(text) end
    local sig = reasoning.signature(detail)
    if not sig then return end
    if sig.kind == "redacted" then
      close()
      return emit {
        type = "block_stop", choice = choice,
        idx = start { type = "redacted_thinking", sig = sig },
      }
    end
    local idx = enter("thinking", { type = "thinking", text = "", form = "raw" })
    emit { type = "signature", choice = choice, idx = idx, sig = sig, mode = "set" }
  end

  local function on_reasoning(delta)
    local text = delta.reasoning_content
    if type(text) ~= "string" or text == "" then text = reasoning.text(delta) end
    local has_plain = text ~= ""
    if has_plain then on_thinking(text) end
    local details = soft.list(delta, "reasoning_details")
    for i = 1, details and #details or 0 do
      if type(details[i]) == "table" then on_detail(details[i], has_plain) end
    end
  end

  function state.image(part)
    local block = answer.image(part)
    if not block then return end
    close()
    emit { type = "block_stop", choice = choice, idx = start(block) }
  end

  local function on_audio(piece)
    if not audio then
      close()
      audio = { transcript = {} }
      audio.idx = start { type = "audio", id = soft.string(piece, "id") }
    end
    audio.id = audio.id or soft.string(piece, "id")
    audio.expires = soft.integer(piece, "expires_at") or audio.expires
    local text, data = soft.filled(piece, "transcript"), soft.filled(piece, "data")
    if text then audio.transcript[#audio.transcript + 1] = text end
    if data then emit { type = "media_delta", choice = choice, idx = audio.idx, data = data } end
  end

  local function on_calls(pieces)
    if #pieces == 0 then return end
    close()
    tools = tools or calls.new(ctx, start, emit, choice)
    tools.add(pieces)
  end

  local function on_annotations(list)
    if not last_text or open_kind ~= "text" then return end
    for i = 1, #list do
      local citation = answer.citation(list[i])
      if citation then
        emit { type = "citation", choice = choice, idx = last_text, citation = citation }
      end
    end
  end

  local function on_rare(delta)
    local refusal = soft.filled(delta, "refusal")
    if refusal then
      emit { type = "refusal_delta", choice = choice, idx = enter("refusal"), text = refusal }
    end
    local notes, images = soft.list(delta, "annotations"), soft.list(delta, "images")
    if notes then on_annotations(notes) end
    for i = 1, images and #images or 0 do state.image(images[i]) end
    local piece = soft.object(delta, "audio")
    if piece then on_audio(piece) end
    local legacy = soft.object(delta, "function_call")
    if legacy then
      close()
      tools = tools or calls.new(ctx, start, emit, choice)
      tools.add_legacy(legacy)
    end
  end

  --- The event of a PIECE that goes on with the open block, as most do; nil where it does not.
  function state.go_on(text, thought)
    if text == "" then text = nil end
    if thought == "" then thought = nil end
    if open_kind == "text" and text and not thought and not splitter then
      return { type = "text_delta", choice = choice, idx = open_idx, text = text }
    elseif open_kind == "thinking" and thought and not text then
      return { type = "thinking_delta", choice = choice, idx = open_idx, text = thought }
    end
    return nil
  end

  --- The same for ARGUMENTS.
  function state.go_on_calling(index, text)
    return not open_kind and tools and tools.go_on(index, text) or nil
  end

  --- The events of any other PIECE.
  function state.take_piece(text, thought)
    if state.stopped then return end
    if thought and thought ~= "" then on_thinking(thought) end
    if text and text ~= "" then on_content(text) end
  end

  --- One choice of a chunk: reasoning, text, calls, then the end.
  function state.take(native)
    if state.stopped then return end
    local delta = native.delta
    if type(delta) ~= "table" then delta = soft.object(native, "message") end
    if delta then
      local content, pieces = delta.content, delta.tool_calls
      if delta.reasoning_content or delta.reasoning or delta.reasoning_details then
        on_reasoning(delta)
      end
      local logprobs = native.logprobs and soft.list(soft.object(native, "logprobs"), "content")
      if type(content) == "string" then
        if content ~= "" then on_content(content, logprobs) end
      elseif type(content) == "table" then
        on_parts(is_array(content) and content or { content }, logprobs)
      end
      if type(pieces) == "table" then on_calls(is_array(pieces) and pieces or { pieces }) end
      if delta.refusal or delta.annotations or delta.images or delta.audio
          or delta.function_call then
        on_rare(delta)
      end
    end
    local finish = native.finish_reason
    if type(finish) == "string" and finish ~= "" then state.finish = finish end
  end

  --- What an end without a reason means; nil when the answer broke off.
  function state.infer()
    if tools then return tools.all_whole() and "tool_calls" or nil end
    return state.has_text and "stop" or nil
  end

  --- Closes everything.
  function state.stop(native)
    if state.stopped then return end
    if splitter then
      local thought, rest = splitter(nil)
      if thought ~= "" then on_thinking(thought) end
      if rest ~= "" then on_text(rest) end
    end
    close()
    if audio then
      emit { type = "block_stop", choice = choice, idx = audio.idx, final = {
        id = audio.id, transcript = concat(audio.transcript), expires = audio.expires,
      } }
    end
    local announced, completed = 0, 0
    if tools then announced, completed = tools.finish() end
    state.stopped = true
    emit { type = "stop", choice = choice, stop = answer.stop(native, announced, completed) }
  end

  if ctx.caps.inline_thinking then splitter = think.new() end
  return state
end

--- A list that `frame` gives is good until it is called again.
--- @param ctx TranslationContext
--- @return StreamDecoder
function M.new(ctx)
  local out, started, ended = nil, false, false
  -- True while chunks are no PIECE: they may be ARGUMENTS.
  local calling = false
  local choices, order = {}, {}
  local usage, told

  local function emit(event)
    out[#out + 1] = event
  end

  local function start(chunk)
    started = true
    emit {
      type = "start", id = soft.filled(chunk, "id") or "",
      model = soft.string(chunk, "model") or "",
      created = soft.integer(chunk, "created") or 0,
      service_tier = soft.string(chunk, "service_tier"),
    }
  end

  local function choice_of(native, position)
    local index = native.index
    if math_type(index) ~= "integer" or index < 0 or index > 127 then index = position - 1 end
    local state = choices[index]
    if not state then
      state = choice_state(index, ctx, emit)
      choices[index], order[#order + 1] = state, state
    end
    return state
  end

  local function all_finished()
    for i = 1, #order do if not order[i].finish then return false end end
    return #order > 0
  end

  local function tell_usage()
    if usage and usage ~= told then
      emit { type = "usage", usage = usage }
      told = usage
    end
  end

  local function stop_all()
    for i = 1, #order do order[i].stop(order[i].finish) end
  end

  local function fail(problem)
    problem.phase = #order > 0 and "mid" or "pre"
    ended = true
    emit { type = "error", error = problem }
  end

  local function broken()
    fail { kind = "truncated", status = 502, message = "the upstream's answer broke off" }
  end

  -- `said` tells that the upstream called this the end.
  local function finish(said)
    for i = 1, #order do
      local state = order[i]
      if not state.finish and said then state.finish = state.infer() end
      if not state.finish then return broken() end
    end
    if #order == 0 then return broken() end
    stop_all()
    tell_usage()
    ended = true
    emit { type = "end" }
  end

  local function take(chunk)
    local list = chunk.choices
    if type(list) == "table" then
      for i = 1, #list do
        local native = list[i]
        if type(native) == "table" then choice_of(native, i).take(native) end
      end
    end
    local report = chunk.usage
    if type(report) == "table" then
      usage = usages.decode("chat", report) or usage
      -- Nothing follows usage that comes behind the end.
      if all_finished() then
        stop_all()
        tell_usage()
      end
    end
  end

  -- Events of most chunks, which have one each: a stream has thousands of them.
  local single = {}

  -- The event of a chunk that goes on with a call's arguments; nil for any other.
  local function next_arguments(data)
    local fine, index, call, text, id, name, content = match(data, ARGUMENTS)
    local known = fine and choices[index or 0]
    if not known or is_said(id) or is_said(name) or is_said(content) then return nil end
    return known.go_on_calling(call, text)
  end

  local function frame(_, data)
    if ended then return NOTHING end
    if calling then
      local event = next_arguments(data)
      if event then
        single[1] = event
        return single
      end
    end
    local fine, index, text, thought
    if started then fine, index, text, thought = match(data, PIECE) end
    calling = started and not fine
    local known = fine and choices[index or 0]
    if known and is_text(text) and is_text(thought) then
      local event = known.go_on(text, thought)
      if event then
        single[1] = event
        return single
      end
      out = {}
      known.take_piece(text, thought)
      return out
    end
    out = {}
    if data == "[DONE]" then
      finish(true)
      return out
    end
    local chunk = decode_json(data)
    if type(chunk) ~= "table" or is_array(chunk) then return out end
    local problem = chunk.error
    if problem ~= nil and problem ~= null and problem ~= false then
      fail(problems.decode("chat", 0, data, {}))
      return out
    end
    if not started then start(chunk) end
    take(chunk)
    return out
  end

  local function eof()
    if ended then return NOTHING end
    out = {}
    finish(false)
    return out
  end

  return { frame = frame, eof = eof }
end

return M
