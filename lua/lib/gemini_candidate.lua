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

--- One candidate as it grows.
--- @param number integer
--- @param emit fun(event: IrEvent)
--- @param ctx TranslationContext
function M.new(number, emit, ctx)
  local choice = number ~= 0 and number or nil
  local count, calls = 0, 0
  -- The open block: nil, "text", "thinking" or "call"; signatures that wait for a block.
  local open, waiting, call, text, seen_image, server_id
  local meta, recited, stop
  local self = { produced = false, ended_with_call = false }

  local function begin(block)
    count = count + 1
    self.produced = true
    if waiting and not block.sig then
      waiting.kind = block.type == "tool_call" and "call" or waiting.kind
      block.sig, waiting = waiting, nil
    end
    emit { type = "block_start", choice = choice, idx = count - 1, block = block }
  end

  local function cite()
    local said = concat(text)
    local citations = meta and grounding.citations(meta, said) or {}
    for _, each in ipairs(recited and grounding.recited(recited, said) or {}) do
      citations[#citations + 1] = each
    end
    -- What was searched is still to be told.
    meta = meta and {
      webSearchQueries = meta.webSearchQueries, groundingChunks = meta.groundingChunks,
    }
    recited = nil
    for _, citation in ipairs(citations) do
      emit { type = "citation", choice = choice, idx = count - 1, citation = citation }
    end
  end

  local function close()
    if not open then return end
    if open == "text" and (meta or recited) then cite() end
    if open == "call" then
      local args = next(call.args) == nil and "{}" or json.encode(call.args)
      emit { type = "args_delta", choice = choice, idx = count - 1, text = args }
      calls, call = calls + 1, nil
    end
    open = nil
    emit { type = "block_stop", choice = choice, idx = count - 1 }
  end

  local function whole(block, delta)
    close()
    begin(block)
    if delta then emit(delta) end
    emit { type = "block_stop", choice = choice, idx = count - 1 }
    self.ended_with_call = false
  end

  local function say(kind, piece, sig, logprobs)
    if open ~= kind then
      close()
      if kind == "text" then
        text = {}
        -- Said first, so that it can be placed before the text.
        begin { type = "text", text = "", sig = sig }
        sig = nil
      else
        begin { type = "thinking", text = "", form = "summary" }
      end
      open = kind
    end
    self.ended_with_call = false
    if piece ~= "" then
      if kind == "text" then text[#text + 1] = piece end
      emit {
        type = kind == "text" and "text_delta" or "thinking_delta", choice = choice,
        idx = count - 1, text = piece, logprobs = logprobs,
      }
    end
    if sig then
      emit { type = "signature", choice = choice, idx = count - 1, sig = sig, mode = "set" }
    end
  end

  local function on_text(part, piece, logprobs)
    local kind = part.thought == true and "thinking" or "text"
    local sig = signature(soft.string(part, "thoughtSignature"), kind)
    if piece ~= "" or sig and kind == "thinking" then return say(kind, piece, sig, logprobs) end
    if not sig then return end
    if open == "text" or open == "thinking" then
      sig.kind = open
      return emit { type = "signature", choice = choice, idx = count - 1, sig = sig, mode = "set" }
    end
    waiting = sig
  end

  --- The event of a PIECE that goes on with the open block, as most do; nil where it does not.
  function self.go_on(piece, is_thought)
    if open ~= (is_thought and "thinking" or "text") or piece == "" then return nil end
    if is_thought then
      return { type = "thinking_delta", choice = choice, idx = count - 1, text = piece }
    end
    text[#text + 1] = piece
    return { type = "text_delta", choice = choice, idx = count - 1, text = piece }
  end

  --- Any other PIECE.
  function self.piece(piece, is_thought)
    if piece ~= "" then say(is_thought and "thinking" or "text", piece) end
  end

  local function only_tool()
    local tools = ctx.request and ctx.request.tools
    if not tools or #tools ~= 1 then return nil end
    return tools[1].name
  end

  local function partial(native)
    for _, each in ipairs(soft.list(native, "partialArgs") or {}) do
      paths.apply(call.args, each)
    end
    if native.args ~= nil then
      local args = decode(native.args)
      if type(args) == "table" and not is_array(args) then
        for name, value in next, args do call.args[name] = value end
      end
    end
    if native.willContinue ~= true then close() end
  end

  local function on_call(part, native)
    parts.canon_call(native)
    local name, id = soft.filled(native, "name"), soft.filled(native, "id")
    self.ended_with_call = true
    -- A call whose arguments go on has no name any more.
    if open == "call" and (not name or id and id == call.id) then return partial(native) end
    close()
    if not name and native.args == nil and not native.partialArgs then return end
    local block = {
      type = "tool_call", id = id or ids.fresh(ctx), kind = "function", args = "",
      name = name or only_tool() or "tool_" .. calls,
      sig = signature(soft.string(part, "thoughtSignature"), "call"),
    }
    begin(block)
    if native.willContinue == true or soft.list(native, "partialArgs") then
      open, call = "call", { id = id, args = {} }
      return partial(native)
    end
    local args = parts.args(native.args)
    if not args then ctx.warn("map.lossy", "functionCall.args", "no object") end
    emit {
      type = "args_delta", choice = choice, idx = count - 1, text = tostring(args or parts.NO_ARGS),
    }
    calls = calls + 1
    emit { type = "block_stop", choice = choice, idx = count - 1 }
  end

  local function on_media(part)
    local block = parts.media(part, soft)
    if not block then return end
    local data = block.source.data
    -- The same preview once more says nothing.
    if data and data == seen_image then return end
    local sig = signature(soft.string(part, "thoughtSignature"), "media")
    block.sig = sig
    if not data then return whole(block) end
    seen_image, block.source.data = data, ""
    whole(block, { type = "media_delta", choice = choice, idx = count, data = data })
  end

  local function on_part(part, logprobs)
    local extras = parts.canon_part(part)
    local piece = soft.string(part, "text")
    local native = soft.object(part, "functionCall")
    if piece then on_text(part, piece, logprobs) end
    if native then return on_call(part, native) end
    if piece then return end
    if part.inlineData ~= nil or part.fileData ~= nil then return on_media(part) end
    local server = parts.server(part, server_id or ctx.unique("srvtoolu_", 24))
    if server then
      if server.type == "server_call" then server_id = server.id end
      return whole(server)
    end
    if part.thoughtSignature ~= nil then return on_text(part, "") end
    local raw = extras and json.raw(json.encode(extras))
    if raw then whole { type = "opaque", dialect = "gemini", raw = raw } end
  end

  --- @param native table  the candidate in one chunk
  function self.chunk(native)
    local logprobs = native.logprobsResult and logprobs_of(native.logprobsResult)
    local list = type(native.content) == "table" and native.content.parts
    if type(list) == "table" then
      if is_array(list) then
        for i = 1, #list do
          if type(list[i]) == "table" and not is_array(list[i]) then
            on_part(list[i], logprobs)
            logprobs = nil
          end
        end
      else
        on_part(list, logprobs)
      end
    end
    meta = soft.object(native, "groundingMetadata") or meta
    recited = soft.object(native, "citationMetadata") or recited
    local reason = soft.filled(native, "finishReason")
    -- A reason that says more than "done" is not taken back.
    if reason and (not stop or stop.reason == "end" or stop.reason == "unknown") then
      stop = stops.decode("gemini", reason)
      stop.details = soft.filled(native, "finishMessage")
    end
  end

  -- What was searched is told after the text: the vendor tells it last.
  local function searched()
    if not meta then return end
    local queries, hits = grounding.hits(meta)
    if not queries[1] and not hits[1] then return end
    local id = ctx.unique("srvtoolu_", 24)
    whole {
      type = "server_call", id = id, tool = "web_search", status = "completed",
      input = json.raw(json.encode { query = queries[1] or "" }),
    }
    whole { type = "server_result", call_id = id, tool = "web_search", results = hits }
  end

  --- @param reason table?  a stop for candidates that have none
  function self.finish(reason)
    close()
    searched()
    if waiting then whole { type = "text", text = "" } end
    emit { type = "stop", choice = choice, stop = stops.effective(stop or reason, calls) }
  end

  --- True when it ended, or nothing can be missing.
  function self.is_whole()
    return stop ~= nil or self.ended_with_call and open == nil
  end

  function self.is_malformed()
    return stop ~= nil and stop.reason == "malformed_call" and not self.produced
  end

  return self
end

return M
