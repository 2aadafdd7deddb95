--- One choice of a Chat stream: its blocks, as events of the neutral form.

local answer = require "lib.chat_answer"
local calls = require "lib.chat_calls"
local fields = require "lib.fields"
local json = require "json"
local reasoning = require "lib.chat_reasoning"
local think = require "lib.chat_think"

local concat, is_array, type = table.concat, json.is_array, type
local soft = fields.soft

local M = {}

--- @class ChatChoice
--- @field stream {out: IrEvent[], ctx: TranslationContext}  events are appended to its `out`
--- @field number integer?  nil for the first choice
--- @field next_idx integer  of the next block
--- @field open_kind string?  of the block that texts go to, and its index
--- @field open_idx integer?
--- @field last_text integer?  index of the last block of text
--- @field has_text boolean
--- @field finish string?  the reason that the upstream gave
--- @field stopped boolean  all was said
--- @field tools table?  calls, see lib.chat_calls
--- @field audio table?
--- @field splitter function?  parts thoughts from text, see lib.chat_think

--- @param index integer  the upstream's
--- @param stream table
--- @return ChatChoice
function M.new(index, stream)
  return {
    stream = stream, number = index > 0 and index or nil, next_idx = 0, open_kind = nil,
    open_idx = nil, last_text = nil, has_text = false, finish = nil, stopped = false, tools = nil,
    audio = nil, splitter = stream.ctx.caps.inline_thinking and think.new() or nil,
  }
end

local function emit(c, event)
  local out = c.stream.out
  event.choice = c.number
  out[#out + 1] = event
end

local function close(c)
  if c.open_kind then
    emit(c, { type = "block_stop", idx = c.open_idx })
    c.open_kind = nil
  end
end

local function start(c, block)
  local idx = c.next_idx
  c.next_idx = idx + 1
  emit(c, { type = "block_start", idx = idx, block = block })
  return idx
end

-- The block of a kind that texts go to: the open one, or a new one.
local function enter(c, kind, block)
  if c.open_kind == kind then return c.open_idx end
  close(c)
  if c.tools then c.tools.settle() end
  local idx = start(c, block or { type = kind, text = "" })
  c.open_idx, c.open_kind = idx, kind
  return idx
end

local function enter_thinking(c)
  if c.open_kind == "thinking" then return c.open_idx end
  return enter(c, "thinking", { type = "thinking", text = "", form = "raw" })
end

local function on_thinking(c, text)
  emit(c, { type = "thinking_delta", idx = enter_thinking(c), text = text })
end

local function on_text(c, text, logprobs)
  local idx = enter(c, "text")
  c.has_text, c.last_text = true, idx
  emit(c, { type = "text_delta", idx = idx, text = text, logprobs = logprobs })
end

-- Text may hide thoughts in its head, where the profile says so.
local function on_content(c, text, logprobs)
  if not c.splitter then return on_text(c, text, logprobs) end
  local thought, rest = c.splitter(text)
  if thought ~= "" then on_thinking(c, thought) end
  if rest ~= "" then on_text(c, rest, logprobs) end
end

local function on_image(c, part)
  local block = answer.image(part)
  if not block then return end
  close(c)
  emit(c, { type = "block_stop", idx = start(c, block) })
end

local function on_parts(c, list, logprobs)
  for i = 1, #list do
    local part = list[i]
    local text = type(part) == "string" and part or soft.string(part, "text") or ""
    local kind = soft.string(part, "type")
    if kind == "reasoning" or kind == "thinking" then
      local thought = text ~= "" and text or reasoning.flatten(part.thinking)
      if thought ~= "" then on_thinking(c, thought) end
    elseif kind == "image_url" then
      on_image(c, part)
    elseif text ~= "" then
      on_content(c, text, logprobs)
    end
  end
end

-- Signatures close their thought; redacted thoughts are blocks of their own.
local function on_detail(c, detail, has_plain)
  local text = reasoning.detail_text(detail)
  if text ~= "" and not has_plain then on_thinking(c, text) end
  local sig = reasoning.signature(detail)
  if not sig then return end
  if sig.kind == "redacted" then
    close(c)
    local idx = start(c, { type = "redacted_thinking", sig = sig })
    return emit(c, { type = "block_stop", idx = idx })
  end
  emit(c, { type = "signature", idx = enter_thinking(c), sig = sig, mode = "set" })
end

local function on_reasoning(c, delta)
  local text = delta.reasoning_content
  if type(text) ~= "string" or text == "" then text = reasoning.text(delta) end
  local has_plain = text ~= ""
  if has_plain then on_thinking(c, text) end
  local details = soft.list(delta, "reasoning_details")
  for i = 1, details and #details or 0 do
    if type(details[i]) == "table" then on_detail(c, details[i], has_plain) end
  end
end

local function on_audio(c, piece)
  local audio = c.audio
  if not audio then
    close(c)
    audio = { transcript = {}, idx = start(c, { type = "audio", id = soft.string(piece, "id") }) }
    c.audio = audio
  end
  audio.id = audio.id or soft.string(piece, "id")
  audio.expires = soft.integer(piece, "expires_at") or audio.expires
  local text, data = soft.filled(piece, "transcript"), soft.filled(piece, "data")
  if text then audio.transcript[#audio.transcript + 1] = text end
  if data then emit(c, { type = "media_delta", idx = audio.idx, data = data }) end
end

local function tools_of(c)
  local tools = c.tools
  if not tools then
    tools = calls.new(c.stream.ctx, function(block) return start(c, block) end,
      function(event) emit(c, event) end, c.number)
    c.tools = tools
  end
  return tools
end

local function on_calls(c, pieces)
  if #pieces == 0 then return end
  close(c)
  tools_of(c).add(pieces)
end

local function on_annotations(c, list)
  if not c.last_text or c.open_kind ~= "text" then return end
  for i = 1, #list do
    local citation = answer.citation(list[i])
    if citation then
      emit(c, { type = "citation", idx = c.last_text, citation = citation })
    end
  end
end

local function on_rare(c, delta)
  local refusal = soft.filled(delta, "refusal")
  if refusal then
    local idx = enter(c, "refusal")
    emit(c, { type = "refusal_delta", idx = idx, text = refusal })
  end
  local notes, images = soft.list(delta, "annotations"), soft.list(delta, "images")
  if notes then on_annotations(c, notes) end
  for i = 1, images and #images or 0 do on_image(c, images[i]) end
  local piece = soft.object(delta, "audio")
  if piece then on_audio(c, piece) end
  local legacy = soft.object(delta, "function_call")
  if legacy then
    close(c)
    tools_of(c).add_legacy(legacy)
  end
end

--- The event of a piece of text or thought that goes on with the open block, as most do; nil where
--- it does not.
--- @param c ChatChoice
--- @param text string?
--- @param thought string?
--- @return IrEvent?
function M.go_on(c, text, thought)
  if text == "" then text = nil end
  if thought == "" then thought = nil end
  local kind = c.open_kind
  if kind == "text" and text and not thought and not c.splitter then
    return { type = "text_delta", choice = c.number, idx = c.open_idx, text = text }
  elseif kind == "thinking" and thought and not text then
    return { type = "thinking_delta", choice = c.number, idx = c.open_idx, text = thought }
  end
  return nil
end

--- The same for a piece of a call's arguments.
--- @param c ChatChoice
--- @param index integer?  the call's
--- @param text string?
--- @return IrEvent?
function M.go_on_calling(c, index, text)
  return not c.open_kind and c.tools and c.tools.go_on(index, text) or nil
end

--- Takes any other piece of text and thought.
--- @param c ChatChoice
--- @param text string?
--- @param thought string?
function M.take_piece(c, text, thought)
  if c.stopped then return end
  if thought and thought ~= "" then on_thinking(c, thought) end
  if text and text ~= "" then on_content(c, text) end
end

--- Takes the choice of a chunk: reasoning, text, calls, then the end.
--- @param c ChatChoice
--- @param native table
function M.take(c, native)
  if c.stopped then return end
  local delta = native.delta
  if type(delta) ~= "table" then delta = soft.object(native, "message") end
  if delta then
    local content, pieces = delta.content, delta.tool_calls
    if delta.reasoning_content or delta.reasoning or delta.reasoning_details then
      on_reasoning(c, delta)
    end
    local logprobs = native.logprobs and soft.list(soft.object(native, "logprobs"), "content")
    if type(content) == "string" then
      if content ~= "" then on_content(c, content, logprobs) end
    elseif type(content) == "table" then
      on_parts(c, is_array(content) and content or { content }, logprobs)
    end
    if type(pieces) == "table" then on_calls(c, is_array(pieces) and pieces or { pieces }) end
    if delta.refusal or delta.annotations or delta.images or delta.audio
        or delta.function_call then
      on_rare(c, delta)
    end
  end
  local finish = native.finish_reason
  if type(finish) == "string" and finish ~= "" then c.finish = finish end
end

--- What an end without a reason means; nil when the answer broke off.
--- @param c ChatChoice
--- @return string?
function M.infer(c)
  if c.tools then return c.tools.all_whole() and "tool_calls" or nil end
  return c.has_text and "stop" or nil
end

--- Closes everything, with the reason that was found.
--- @param c ChatChoice
function M.stop(c)
  if c.stopped then return end
  if c.splitter then
    local thought, rest = c.splitter(nil)
    if thought ~= "" then on_thinking(c, thought) end
    if rest ~= "" then on_text(c, rest) end
  end
  close(c)
  local audio, tools = c.audio, c.tools
  if audio then
    emit(c, { type = "block_stop", idx = audio.idx, final = {
      id = audio.id, transcript = concat(audio.transcript), expires = audio.expires,
    } })
  end
  local announced, completed = 0, 0
  if tools then announced, completed = tools.finish() end
  c.stopped = true
  emit(c, { type = "stop", stop = answer.stop(c.finish, announced, completed) })
end

return M
