--- Answers of Gemini in the neutral form: streams, and whole answers as a stream of one chunk.
---
--- Chunks carry whole parts.  What an upstream says is never trusted: wrong types are skipped.  How
--- an answer ended is decided once, when the stream ends: some gateways finish every chunk.

local candidates = require "lib.gemini_candidate"
local fields = require "lib.fields"
local ir = require "lib.ir"
local json = require "json"
local parts = require "lib.gemini_parts"
local problems = require "lib.problems"
local usages = require "lib.usage"

local ipairs, type = ipairs, type
local decode, is_array, match = json.decode, json.is_array, json.match
local go_on = candidates.go_on
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

-- What most chunks are: a piece of text or of thought.  Usage in it counts only when it is the
-- last.
local PIECE = json.pattern {
  candidates = json.array { {
    index = 1, content = { role = "any", parts = json.array { { text = 2, thought = 3 } } },
  } },
  usageMetadata = "any", modelVersion = "any", responseId = "any", createTime = "any",
}

local NOTHING = {}

-- One stream's state:
--   ctx, out         the events of the chunk at hand
--   is_whole         one whole answer: a missing end is none
--   started, ended   the start was told; all is said
--   choices, order   candidates by their index, and as they came
--   usage            what was told of it; the reports it is from, and the latest
--   first, latest
--   last_piece       the text of the last PIECE: it may have the latest report
--   blocked          why the prompt was refused
--   single           the list for a chunk with one event, as most have: a stream has thousands

local function emit(s, event)
  local out = s.out
  out[#out + 1] = event
end

local function begin(s, chunk)
  local ctx = s.ctx
  s.started = true
  emit(s, {
    type = "start", created = ctx.created or 0,
    id = soft.filled(chunk, "responseId") or ctx.unique("", 24),
    model = soft.filled(chunk, "modelVersion") or ctx.model or "",
  })
end

local function fail(s, found)
  found.phase = s.order[1] and "mid" or "pre"
  emit(s, { type = "error", error = found })
  s.ended = true
end

local function choice_at(s, native, position)
  local index = soft.integer(native, "index") or position - 1
  if index < 0 or index >= MAX_CHOICES then return nil end
  local choice = s.choices[index]
  if not choice then
    choice = candidates.new(index, s)
    s.choices[index], s.order[#s.order + 1] = choice, choice
  end
  return choice
end

-- Reports are cumulative and come with every chunk: the first is told at once, for what is known
-- of the input, and the last at the end.
local function report(s, native)
  s.latest, s.last_piece = native, nil
  if s.usage then return end
  local usage = usages.decode("gemini", native)
  if not usage then return end
  s.usage, s.first = usage, native
  emit(s, { type = "usage", usage = usage })
end

-- Everything that was reported.
local function whole_usage(s)
  local usage, latest = s.usage, s.latest
  local last = latest and latest ~= s.first and usages.decode("gemini", latest)
  if not usage or not last then return usage or last or nil end
  -- The first report may still be looked at.
  return ir.merge_usage(ir.merge_usage({}, usage), last)
end

local function read_feedback(s, feedback)
  parts.canon(feedback, PROMPT_FEEDBACK)
  local reason = soft.filled(feedback, "blockReason")
  if not reason then return end
  s.blocked = {
    reason = "content_filter", native = reason,
    details = { reason = reason, message = soft.string(feedback, "blockReasonMessage") },
  }
end

local function read(s, chunk, data)
  -- Gemini CLI's upstream has an envelope around each chunk.
  chunk = soft.object(chunk, "response") or chunk
  if chunk.error ~= nil and chunk.error ~= json.null then
    return fail(s, problems.decode("gemini", 0, data, {}))
  end
  parts.canon(chunk, chunk_names)
  if not s.started then begin(s, chunk) end
  if type(chunk.usageMetadata) == "table" then report(s, chunk.usageMetadata) end
  local list = chunk.candidates
  if type(list) == "table" then
    if not is_array(list) then list = { list } end
    for i = 1, #list do
      local native = list[i]
      if type(native) == "table" and not is_array(native) then
        parts.canon(native, candidate_names)
        local choice = choice_at(s, native, i)
        if choice then candidates.chunk(choice, native) end
      end
    end
  end
  local feedback = soft.object(chunk, "promptFeedback")
  if feedback then read_feedback(s, feedback) end
end

local function read_all(s, data)
  local found = data ~= "[DONE]" and decode(data, SHAPE)
  if type(found) ~= "table" then return end
  if not is_array(found) then return read(s, found, data) end
  for i = 1, #found do
    local chunk = found[i]
    if type(chunk) == "table" and not is_array(chunk) and not s.ended then read(s, chunk, data) end
  end
end

local function frame(s, data)
  if s.ended then return NOTHING end
  local fine, index, text, thought
  if s.order[1] then fine, index, text, thought = match(data, PIECE) end
  local choice = fine and s.choices[index or 0]
  if not choice or type(text) ~= "string" or thought and thought ~= true then
    s.out = {}
    read_all(s, data)
    return s.out
  end
  s.last_piece = data
  local event = go_on(choice, text, thought)
  if event then
    local single = s.single
    single[1] = event
    return single
  end
  s.out = {}
  candidates.piece(choice, text, thought)
  return s.out
end

-- Why the answer cannot be finished; nil when it can.
local function missing(s)
  local order, blocked = s.order, s.blocked
  if not order[1] then
    if blocked then return nil end
    return { kind = "truncated", message = "the upstream gave no answer" }
  end
  local malformed, produced = false, false
  for _, choice in ipairs(order) do
    malformed = malformed or candidates.is_malformed(choice)
    produced = produced or choice.produced
    if not s.is_whole and not blocked and not candidates.is_whole(choice) then
      return { kind = "truncated", message = "the upstream's answer broke off" }
    end
  end
  if malformed and not produced then
    return { kind = "malformed_call", message = "the model made a call that is not well formed" }
  end
  return nil
end

local function eof(s)
  if s.ended then return NOTHING end
  s.out = {}
  local problem = missing(s)
  if problem then
    problem.status = 502
    fail(s, problem)
    return s.out
  end
  for _, choice in ipairs(s.order) do candidates.finish(choice, s.blocked) end
  if not s.order[1] then emit(s, { type = "stop", stop = s.blocked }) end
  local piece = s.last_piece and decode(s.last_piece, SHAPE)
  if piece and type(piece.usageMetadata) == "table" then s.latest = piece.usageMetadata end
  local usage = whole_usage(s)
  if usage then emit(s, { type = "usage", usage = usage }) end
  emit(s, { type = "end" })
  s.ended = true
  return s.out
end

--- A list that `frame` gives is good until it is called again.
--- @param ctx TranslationContext
--- @param is_whole boolean?  one whole answer: a missing end is none
--- @return StreamDecoder
function M.decoder(ctx, is_whole)
  local s = {
    ctx = ctx, out = nil, is_whole = is_whole, started = false, ended = false, choices = {},
    order = {}, usage = nil, first = nil, latest = nil, last_piece = nil, blocked = nil,
    single = {},
  }
  return {
    frame = function(_, data) return frame(s, data) end,
    eof = function() return eof(s) end,
  }
end

return M
