--- One candidate of Gemini's answers in the neutral form, as its parts come.

local fields = require "lib.fields"
local grounding = require "lib.gemini_grounding"
local ids = require "lib.ids"
local json = require "json"
local parts = require "lib.gemini_parts"
local paths = require "lib.gemini_paths"
local signatures = require "lib.signatures"
local stops = require "lib.stops"

local concat, ipairs, next, tostring, type = table.concat, ipairs, next, tostring, type
local decode, is_array = json.decode, json.is_array
local soft = fields.soft

local M = {}

-- A signature of this upstream.  Another proxy may have put a carrier there.
local function signature(text, kind)
  if not text or text == "" then return nil end
  local sig = signatures.unwrap(text)
  if sig then return sig.family ~= "none" and sig or nil end
  if text == signatures.SENTINEL then return nil end
  return { family = "google", kind = kind, data = text }
end

local function bytes_of(token)
  return json.array { token:byte(1, 64) }
end

local function logprob(native)
  local token = soft.string(native, "token")
  if not token then return nil end
  local value = soft.number(native, "logProbability") or 0
  return { token = token, bytes = bytes_of(token), logprob = value }
end

local function logprobs_of(result)
  local chosen = soft.list(result, "chosenCandidates")
  if not chosen then return nil end
  local tops, list = soft.list(result, "topCandidates") or {}, json.array {}
  for i = 1, #chosen do
    local entry = logprob(chosen[i])
    if entry then
      entry.top_logprobs = json.array {}
      for _, other in ipairs(soft.list(tops[i], "candidates") or {}) do
        entry.top_logprobs[#entry.top_logprobs + 1] = logprob(other)
      end
      list[#list + 1] = entry
    end
  end
  return list[1] and list or nil
end

--- @class GeminiCandidate
--- @field stream {out: IrEvent[], ctx: TranslationContext}  events are appended to its `out`
--- @field number integer?  nil for the first one
--- @field count integer    of blocks that were opened
--- @field calls integer
--- @field open string?     the open block: "text", "thinking" or "call"
--- @field waiting table?   a signature that waits for a block
--- @field call table?      {id, args} of a call whose arguments go on
--- @field text string[]?   pieces of the open text
--- @field seen_image string?
--- @field server_id string?  of the last call of a server's tool
--- @field meta table?      what grounds the text, and what it recites
--- @field recited table?
--- @field stop table?
--- @field produced boolean  there was a block
--- @field ended_with_call boolean

--- One candidate as it grows.
--- @param number integer
--- @param stream table
--- @return GeminiCandidate
function M.new(number, stream)
  return {
    stream = stream, number = number ~= 0 and number or nil, count = 0, calls = 0, open = nil,
    waiting = nil, call = nil, text = nil, seen_image = nil, server_id = nil, meta = nil,
    recited = nil, stop = nil, produced = false, ended_with_call = false,
  }
end

local function emit(c, event)
  local out = c.stream.out
  event.choice = c.number
  out[#out + 1] = event
end

-- The same for the block that was opened last.
local function emit_here(c, event)
  event.idx = c.count - 1
  emit(c, event)
end

local function begin(c, block)
  c.count = c.count + 1
  c.produced = true
  local waiting = c.waiting
  if waiting and not block.sig then
    waiting.kind = block.type == "tool_call" and "call" or waiting.kind
    block.sig, c.waiting = waiting, nil
  end
  emit_here(c, { type = "block_start", block = block })
end

local function cite(c)
  local said, meta, recited = concat(c.text), c.meta, c.recited
  local citations = meta and grounding.citations(meta, said) or {}
  for _, each in ipairs(recited and grounding.recited(recited, said) or {}) do
    citations[#citations + 1] = each
  end
  -- What was searched is still to be told.
  c.meta = meta and {
    webSearchQueries = meta.webSearchQueries, groundingChunks = meta.groundingChunks,
  }
  c.recited = nil
  for _, citation in ipairs(citations) do
    emit_here(c, { type = "citation", citation = citation })
  end
end

local function close(c)
  local open = c.open
  if not open then return end
  if open == "text" and (c.meta or c.recited) then cite(c) end
  if open == "call" then
    local args = next(c.call.args) == nil and "{}" or json.encode(c.call.args)
    emit_here(c, { type = "args_delta", text = args })
    c.calls, c.call = c.calls + 1, nil
  end
  c.open = nil
  emit_here(c, { type = "block_stop" })
end

local function whole(c, block, delta)
  close(c)
  begin(c, block)
  if delta then emit_here(c, delta) end
  emit_here(c, { type = "block_stop" })
  c.ended_with_call = false
end

local function enter(c, kind, sig)
  close(c)
  if kind == "text" then
    c.text = {}
    -- Said first, so that it can be placed before the text.
    begin(c, { type = "text", text = "", sig = sig })
  else
    begin(c, { type = "thinking", text = "", form = "summary" })
  end
  c.open = kind
end

local function say(c, kind, piece, sig, logprobs)
  if c.open ~= kind then
    enter(c, kind, sig)
    if kind == "text" then sig = nil end
  end
  c.ended_with_call = false
  if piece ~= "" then
    local name = "thinking_delta"
    if kind == "text" then
      name = "text_delta"
      c.text[#c.text + 1] = piece
    end
    emit_here(c, { type = name, idx = nil, text = piece, logprobs = logprobs })
  end
  if sig then emit_here(c, { type = "signature", sig = sig, mode = "set" }) end
end

local function on_text(c, part, piece, logprobs)
  local kind = part.thought == true and "thinking" or "text"
  local sig = signature(soft.string(part, "thoughtSignature"), kind)
  if piece ~= "" or sig and kind == "thinking" then return say(c, kind, piece, sig, logprobs) end
  if not sig then return end
  local open = c.open
  if open == "text" or open == "thinking" then
    sig.kind = open
    return emit_here(c, { type = "signature", sig = sig, mode = "set" })
  end
  c.waiting = sig
end

--- The event of a piece that goes on with the open block, as most do; nil where it does not.
--- @param c GeminiCandidate
--- @param piece string
--- @param is_thought boolean?
--- @return IrEvent?
function M.go_on(c, piece, is_thought)
  if c.open ~= (is_thought and "thinking" or "text") or piece == "" then return nil end
  if is_thought then
    return { type = "thinking_delta", choice = c.number, idx = c.count - 1, text = piece }
  end
  c.text[#c.text + 1] = piece
  return { type = "text_delta", choice = c.number, idx = c.count - 1, text = piece }
end

--- Takes any other piece.
--- @param c GeminiCandidate
--- @param piece string
--- @param is_thought boolean?
function M.piece(c, piece, is_thought)
  if piece ~= "" then say(c, is_thought and "thinking" or "text", piece) end
end

local function only_tool(ctx)
  local tools = ctx.request and ctx.request.tools
  if not tools or #tools ~= 1 then return nil end
  return tools[1].name
end

local function partial(c, native)
  local all = c.call.args
  for _, each in ipairs(soft.list(native, "partialArgs") or {}) do paths.apply(all, each) end
  if native.args ~= nil then
    local args = decode(native.args)
    if type(args) == "table" and not is_array(args) then
      for name, value in next, args do all[name] = value end
    end
  end
  if native.willContinue ~= true then close(c) end
end

local function on_call(c, part, native)
  parts.canon_call(native)
  local ctx = c.stream.ctx
  local name, id = soft.filled(native, "name"), soft.filled(native, "id")
  c.ended_with_call = true
  -- A call whose arguments go on has no name any more.
  if c.open == "call" and (not name or id and id == c.call.id) then return partial(c, native) end
  close(c)
  if not name and native.args == nil and not native.partialArgs then return end
  begin(c, {
    type = "tool_call", id = id or ids.fresh(ctx), kind = "function", args = "",
    name = name or only_tool(ctx) or "tool_" .. c.calls,
    sig = signature(soft.string(part, "thoughtSignature"), "call"),
  })
  if native.willContinue == true or soft.list(native, "partialArgs") then
    c.open, c.call = "call", { id = id, args = {} }
    return partial(c, native)
  end
  local args = parts.args(native.args)
  if not args then ctx.warn("map.lossy", "functionCall.args", "no object") end
  emit_here(c, { type = "args_delta", text = tostring(args or parts.NO_ARGS) })
  c.calls = c.calls + 1
  emit_here(c, { type = "block_stop" })
end

local function on_media(c, part)
  local block = parts.media(part, soft)
  if not block then return end
  local data = block.source.data
  -- The same preview once more says nothing.
  if data and data == c.seen_image then return end
  block.sig = signature(soft.string(part, "thoughtSignature"), "media")
  if not data then return whole(c, block) end
  c.seen_image, block.source.data = data, ""
  whole(c, block, { type = "media_delta", data = data })
end

local function on_part(c, part, logprobs)
  local extras = parts.canon_part(part)
  local piece = soft.string(part, "text")
  local native = soft.object(part, "functionCall")
  if piece then on_text(c, part, piece, logprobs) end
  if native then return on_call(c, part, native) end
  if piece then return end
  if part.inlineData ~= nil or part.fileData ~= nil then return on_media(c, part) end
  local server = parts.server(part, c.server_id or c.stream.ctx.unique("srvtoolu_", 24))
  if server then
    if server.type == "server_call" then c.server_id = server.id end
    return whole(c, server)
  end
  if part.thoughtSignature ~= nil then return on_text(c, part, "") end
  local raw = extras and json.raw(json.encode(extras))
  if raw then whole(c, { type = "opaque", dialect = "gemini", raw = raw }) end
end

--- Takes what one chunk says.
--- @param c GeminiCandidate
--- @param native table
function M.chunk(c, native)
  local logprobs = native.logprobsResult and logprobs_of(native.logprobsResult)
  local list = type(native.content) == "table" and native.content.parts
  if type(list) == "table" then
    if is_array(list) then
      for i = 1, #list do
        if type(list[i]) == "table" and not is_array(list[i]) then
          on_part(c, list[i], logprobs)
          logprobs = nil
        end
      end
    else
      on_part(c, list, logprobs)
    end
  end
  c.meta = soft.object(native, "groundingMetadata") or c.meta
  c.recited = soft.object(native, "citationMetadata") or c.recited
  local reason, stop = soft.filled(native, "finishReason"), c.stop
  -- A reason that says more than "done" is not taken back.
  if reason and (not stop or stop.reason == "end" or stop.reason == "unknown") then
    stop = stops.decode("gemini", reason)
    stop.details = soft.filled(native, "finishMessage")
    c.stop = stop
  end
end

-- What was searched is told after the text: the vendor tells it last.
local function searched(c)
  if not c.meta then return end
  local queries, hits = grounding.hits(c.meta)
  if not queries[1] and not hits[1] then return end
  local id = c.stream.ctx.unique("srvtoolu_", 24)
  whole(c, {
    type = "server_call", id = id, tool = "web_search", status = "completed",
    input = json.raw(json.encode { query = queries[1] or "" }),
  })
  whole(c, { type = "server_result", call_id = id, tool = "web_search", results = hits })
end

--- Closes everything.
--- @param c GeminiCandidate
--- @param reason table?  a stop for candidates that have none
function M.finish(c, reason)
  close(c)
  searched(c)
  if c.waiting then whole(c, { type = "text", text = "" }) end
  emit(c, { type = "stop", stop = stops.effective(c.stop or reason, c.calls) })
end

--- True when it ended, or nothing can be missing.
--- @param c GeminiCandidate
--- @return boolean
function M.is_whole(c)
  return c.stop ~= nil or c.ended_with_call and c.open == nil
end

--- @param c GeminiCandidate
--- @return boolean
function M.is_malformed(c)
  return c.stop ~= nil and c.stop.reason == "malformed_call" and not c.produced
end

return M
