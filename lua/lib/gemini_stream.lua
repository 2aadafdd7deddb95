--- Answers of Gemini in the neutral form: streams, and whole answers as a stream of one chunk.
---
--- Chunks carry whole parts.  What an upstream says is never trusted: wrong types are skipped.  How
--- an answer ended is decided once, when the stream ends: some gateways finish every chunk.

local candidate = require "lib.gemini_candidate"
local fields = require "lib.fields"
local ir = require "lib.ir"
local json = require "json"
local parts = require "lib.gemini_parts"
local problems = require "lib.problems"
local usages = require "lib.usage"

local type = type
local decode, is_array, match = json.decode, json.is_array, json.match
local soft = fields.soft

local M = {}

-- More candidates than any model gives.
local MAX_CHOICES = 64

local CANDIDATE = {
  "index", "finishReason", "finishMessage", "groundingMetadata", "citationMetadata",
  "logprobsResult", content = { "role", parts = parts.PART },
}
local CHUNK = {
  "usageMetadata", "modelVersion", "responseId", "promptFeedback", "error", candidates = CANDIDATE,
}
local known = parts.spelled(CHUNK)
known.response = parts.spelled(CHUNK)
local SHAPE = json.shape { known = known }

local candidate_names, chunk_names = parts.names(CANDIDATE), parts.names(CHUNK)
local PROMPT_FEEDBACK = parts.names { "blockReason", "blockReasonMessage" }

-- What most chunks are: a piece of text or of thought.  Usage in it counts only when it is the last.
local PIECE = json.pattern {
  candidates = json.array { {
    index = 1, content = { role = "any", parts = json.array { { text = 2, thought = 3 } } },
  } },
  usageMetadata = "any", modelVersion = "any", responseId = "any", createTime = "any",
}

--- A list that `frame` gives is good until it is called again.
--- @param ctx TranslationContext
--- @param is_whole boolean?  one whole answer: a missing end is none
--- @return StreamDecoder
function M.decoder(ctx, is_whole)
  local out
  local started, ended = false, false
  local choices, order = {}, {}
  local usage, first, latest, blocked
  local last_piece

  local function emit(event)
    out[#out + 1] = event
  end

  local function begin(chunk)
    started = true
    emit {
      type = "start", created = ctx.created or 0,
      id = soft.filled(chunk, "responseId") or ctx.unique("", 24),
      model = soft.filled(chunk, "modelVersion") or ctx.model or "",
    }
  end

  local function fail(found)
    found.phase = order[1] and "mid" or "pre"
    emit { type = "error", error = found }
    ended = true
  end

  local function choice_at(native, position)
    local index = soft.integer(native, "index") or position - 1
    if index < 0 or index >= MAX_CHOICES then return nil end
    local choice = choices[index]
    if not choice then
      choice = candidate.new(index, emit, ctx)
      choices[index], order[#order + 1] = choice, choice
    end
    return choice
  end

  -- Reports are cumulative and come with every chunk: the first is told at once, for what is known
  -- of the input, and the last at the end.
  local function report(native)
    latest = native
    if usage then return end
    usage = usages.decode("gemini", native)
    if not usage then return end
    first = native
    emit { type = "usage", usage = usage }
  end

  -- Everything that was reported.
  local function whole_usage()
    local last = latest and latest ~= first and usages.decode("gemini", latest)
    if not usage or not last then return usage or last or nil end
    -- The first report may still be looked at.
    return ir.merge_usage(ir.merge_usage({}, usage), last)
  end

  local function read(chunk, data)
    -- Gemini CLI's upstream has an envelope around each chunk.
    chunk = soft.object(chunk, "response") or chunk
    if chunk.error ~= nil and chunk.error ~= json.null then
      return fail(problems.decode("gemini", 0, data, {}))
    end
    parts.canon(chunk, chunk_names)
    if not started then begin(chunk) end
    if type(chunk.usageMetadata) == "table" then
      report(chunk.usageMetadata)
      last_piece = nil
    end
    local candidates = chunk.candidates
    if type(candidates) == "table" then
      if not is_array(candidates) then candidates = { candidates } end
      for i = 1, #candidates do
        local native = candidates[i]
        if type(native) == "table" and not is_array(native) then
          parts.canon(native, candidate_names)
          local choice = choice_at(native, i)
          if choice then choice.chunk(native) end
        end
      end
    end
    local feedback = soft.object(chunk, "promptFeedback")
    if feedback then
      parts.canon(feedback, PROMPT_FEEDBACK)
      local reason = soft.filled(feedback, "blockReason")
      if reason then
        blocked = {
          reason = "content_filter", native = reason,
          details = { reason = reason, message = soft.string(feedback, "blockReasonMessage") },
        }
      end
    end
  end

  -- Events of most chunks, which have one each: a stream has thousands of them.
  local single = {}

  local function frame(_, data)
    if ended then return {} end
    local fine, index, text, thought
    if order[1] then fine, index, text, thought = match(data, PIECE) end
    local choice = fine and choices[index or 0]
    if choice and type(text) == "string" and (not thought or thought == true) then
      last_piece = data
      local event = choice.go_on(text, thought)
      if event then
        single[1] = event
        return single
      end
      out = {}
      choice.piece(text, thought)
      return out
    end
    out = {}
    if data == "[DONE]" then return out end
    local found = decode(data, SHAPE)
    if type(found) ~= "table" then return out end
    if is_array(found) then
      for i = 1, #found do
        local chunk = found[i]
        if type(chunk) == "table" and not is_array(chunk) and not ended then read(chunk, data) end
      end
    else
      read(found, data)
    end
    return out
  end

  -- Why the answer cannot be finished; nil when it can.
  local function missing()
    if not order[1] then
      if blocked then return nil end
      return { kind = "truncated", message = "the upstream gave no answer" }
    end
    local malformed, produced = false, false
    for _, choice in ipairs(order) do
      malformed, produced = malformed or choice.is_malformed(), produced or choice.produced
      if not is_whole and not blocked and not choice.is_whole() then
        return { kind = "truncated", message = "the upstream's answer broke off" }
      end
    end
    if malformed and not produced then
      return { kind = "malformed_call", message = "the model made a call that is not well formed" }
    end
    return nil
  end

  local function eof()
    if ended then return {} end
    out = {}
    local problem = missing()
    if problem then
      problem.status = 502
      fail(problem)
      return out
    end
    for _, choice in ipairs(order) do choice.finish(blocked) end
    if not order[1] then emit { type = "stop", stop = blocked } end
    local piece = last_piece and decode(last_piece, SHAPE)
    if piece and type(piece.usageMetadata) == "table" then latest = piece.usageMetadata end
    usage = whole_usage()
    if usage then emit { type = "usage", usage = usage } end
    emit { type = "end" }
    ended = true
    return out
  end

  return { frame = frame, eof = eof }
end

return M
