--- The neutral form as answers to Gemini's clients: whole ones and streams.
---
--- Every chunk carries whole parts; only the last one tells why the answer ended.

local fields = require "lib.fields"
local grounding = require "lib.gemini_grounding"
local json = require "json"
local parts = require "lib.gemini_parts"
local problems = require "lib.problems"
local signatures = require "lib.signatures"
local stops = require "lib.stops"
local usages = require "lib.usage"
local write = require "lib.gemini_write"

local concat, format, ipairs, pairs, tostring = table.concat, string.format, ipairs, pairs, tostring
local encode, soft = json.encode, fields.soft

local M = {}

local NOTHING = {}

-- Vendors show thoughts to those who ask for them.
local function shows_thoughts(ctx)
  local request = ctx.request
  if not request then return true end
  return request.reasoning ~= nil and request.reasoning.visible == true
end

local function shown_signature(sig)
  if not sig or sig.family == "none" or sig.data == "" then return nil end
  return signatures.show(sig, "gemini")
end

local function model_of(ctx, given)
  local model = ctx.model
  return model and model ~= "" and model or given or ""
end

-- --- whole answers ------------------------------------------------------------------------------

-- Each kind of block adds its parts to `answer.parts`.
local add = {}

local function push(answer, part, sig)
  part.thoughtSignature = shown_signature(sig)
  answer.parts[#answer.parts + 1] = part
end

function add.text(answer, block)
  if block.text == "" and not shown_signature(block.sig) then return end
  push(answer, { text = block.text }, block.sig)
  for _, citation in ipairs(block.citations or NOTHING) do
    answer.grounds.cite(citation, block.text)
  end
  if block.logprobs then answer.logprobs = block.logprobs end
  answer.said = true
end

function add.refusal(answer, block)
  push(answer, { text = block.text })
  answer.said, answer.refused = true, true
end

function add.thinking(answer, block)
  if not answer.thoughts then return end
  if (block.text or "") == "" and not shown_signature(block.sig) then return end
  push(answer, { text = block.text or "", thought = true }, block.sig)
end

function add.redacted_thinking(answer, block)
  if answer.thoughts and block.sig then push(answer, { text = "", thought = true }, block.sig) end
end

function add.tool_call(answer, block)
  local args, fine = write.args(block)
  if not fine then
    answer.ctx.warn("map.lossy", "functionCall.args", "no JSON object")
    answer.malformed = true
  else
    answer.said = true
  end
  push(answer, { functionCall = { id = block.id, name = block.name, args = args } }, block.sig)
end

local function add_media(answer, block)
  local part = write.media(block, true)
  if part then
    answer.said = true
    return push(answer, part, block.sig)
  end
  answer.ctx.warn("drop.block", "candidates", block.type)
end
add.image, add.audio, add.video, add.document = add_media, add_media, add_media, add_media

local function add_server(answer, block)
  if block.tool == "web_search" and not (block.extras and block.extras.gemini) then
    local grounds = answer.grounds
    if block.type == "server_call" then grounds.call(block) else grounds.result(block) end
    return
  end
  local part = parts.write_server(block)
  if part then return push(answer, part) end
  answer.ctx.warn("drop.block", "candidates", block.type)
end
add.server_call, add.server_result = add_server, add_server

function add.opaque(answer, block)
  if block.dialect == "gemini" then
    answer.parts[#answer.parts + 1] = block.raw
  else
    answer.ctx.warn("drop.block", "candidates", "opaque")
  end
end

local function new_answer(ctx)
  return {
    ctx = ctx, parts = json.array {}, grounds = grounding.collector(),
    thoughts = shows_thoughts(ctx),
  }
end

local function reason_of(stop, answer)
  -- A call nobody can read is no answer.
  if answer.malformed and not answer.said then return "MALFORMED_FUNCTION_CALL" end
  return (stops.encode("gemini", stop or { reason = "unknown" }, { refusal = answer.refused }))
end

-- A token and how probable it was; what an upstream says of it is not trusted.
local function logprob(entry)
  return { token = soft.string(entry, "token"), logProbability = soft.number(entry, "logprob") }
end

local function logprobs_of(list)
  if not list then return nil end
  local chosen, tops = json.array {}, json.array {}
  for i, entry in ipairs(list) do
    chosen[i] = logprob(entry)
    local candidates = json.array {}
    for k, other in ipairs(soft.list(entry, "top_logprobs") or NOTHING) do
      candidates[k] = logprob(other)
    end
    tops[i] = { candidates = candidates }
  end
  return { chosenCandidates = chosen, topCandidates = tops }
end

--- @param response IrResponse
--- @param ctx TranslationContext
--- @return string body
function M.whole(response, ctx)
  local candidates = json.array {}
  for i, choice in ipairs(response.choices) do
    local answer = new_answer(ctx)
    for _, block in ipairs(choice.blocks) do
      local handle = add[block.type]
      if handle then
        handle(answer, block)
      else
        ctx.warn("drop.block", "candidates", block.type)
      end
    end
    if not answer.parts[1] then answer.parts[1] = { text = "" } end
    candidates[i] = {
      index = choice.index, content = { role = "model", parts = answer.parts },
      finishReason = reason_of(choice.stop, answer), groundingMetadata = answer.grounds.metadata(),
      logprobsResult = logprobs_of(answer.logprobs),
    }
  end
  return encode {
    candidates = candidates, usageMetadata = usages.encode("gemini", response.usage),
    modelVersion = model_of(ctx, response.model), responseId = response.id,
  }
end

-- --- streams ------------------------------------------------------------------------------------

local HEAD = '{"candidates":[{"content":{"parts":['

--- @param ctx TranslationContext
--- @param wrapped boolean?  Gemini CLI's envelope around each chunk
--- @return StreamEncoder
function M.encoder(ctx, wrapped)
  local thoughts = shows_thoughts(ctx)
  local opening, closing, tail = HEAD, "}", nil
  local text_opening = opening .. '{"text":'
  local model, id = model_of(ctx), ""
  local choices, order = {}, {}
  local usage = nil
  local started, ended = false, false
  local out

  local function send(data)
    out[#out + 1] = { name = "", data = data }
  end

  local function begin(event)
    started = true
    model, id = model_of(ctx, event.model), event.id or ""
    tail = ',"modelVersion":' .. encode(model) .. ',"responseId":' .. encode(id)
    if wrapped then
      opening = '{"response":' .. HEAD
      text_opening = opening .. '{"text":'
      closing = '},"traceId":' .. encode(id) .. "}"
    end
  end

  local function choice_of(event)
    local index = event.choice or 0
    local choice = choices[index]
    if not choice then
      choice = { index = index, blocks = {}, answer = new_answer(ctx), foot = nil, text_foot = nil }
      choices[index], order[#order + 1] = choice, choice
    end
    return choice
  end

  -- What stands behind the part of a chunk is known when the first one is sent.
  local function foot_of(choice)
    if not started then begin(NOTHING) end
    choice.foot = '],"role":"model"},"index":' .. format("%d", choice.index) .. "}]" .. tail
      .. closing
    choice.text_foot = "}" .. choice.foot
    return choice.foot
  end

  -- A chunk with one part.
  local function chunk(choice, part)
    local foot = choice.foot or foot_of(choice)
    send(opening .. part .. foot)
  end

  -- A chunk with nothing but text.
  local function text_chunk(choice, text)
    if not choice.foot then foot_of(choice) end
    send(text_opening .. encode(text) .. choice.text_foot)
  end

  local function signed(part, sig)
    local text = shown_signature(sig)
    return text and part .. ',"thoughtSignature":' .. encode(text) .. "}" or part .. "}"
  end

  local on = {}

  function on.start(event)
    if not started then begin(event) end
  end

  function on.block_start(event)
    local choice, skeleton = choice_of(event), event.block
    choice.blocks[event.idx] = {
      kind = skeleton.type, block = skeleton, sig = skeleton.sig, pieces = {}, count = 0,
    }
  end

  local function block_of(event)
    local choice = choice_of(event)
    return choice, choice.blocks[event.idx]
  end

  function on.text_delta(event)
    local choice = choice_of(event)
    local block, answer, text = choice.blocks[event.idx], choice.answer, event.text
    if block then
      -- Citations need to know what was said.
      local count = block.count + 1
      block.count, block.pieces[count] = count, text
    end
    answer.said = true
    if event.logprobs then
      local list = answer.logprobs or {}
      table.move(event.logprobs, 1, #event.logprobs, #list + 1, list)
      answer.logprobs = list
    end
    text_chunk(choice, text)
  end

  function on.refusal_delta(event)
    local choice = choice_of(event)
    choice.answer.said, choice.answer.refused = true, true
    text_chunk(choice, event.text)
  end

  function on.thinking_delta(event)
    if thoughts then
      chunk(choice_of(event), '{"text":' .. encode(event.text) .. ',"thought":true}')
    end
  end

  function on.thinking_part(event)
    if thoughts then chunk(choice_of(event), '{"text":"\\n\\n","thought":true}') end
  end

  local function collect(event)
    local _, block = block_of(event)
    if not block or event.partial_index ~= nil then return end
    block.count = block.count + 1
    block.pieces[block.count] = event.text or event.data
  end
  on.args_delta, on.media_delta = collect, collect

  function on.signature(event)
    local _, block = block_of(event)
    local sig = event.sig
    if not block or not sig then return end
    local old = block.sig
    if event.mode == "append" and old and old.family == sig.family then
      sig = { family = old.family, kind = old.kind, data = old.data .. sig.data }
    end
    block.sig = sig
  end

  function on.citation(event)
    local choice, block = block_of(event)
    if block then choice.answer.grounds.cite(event.citation, concat(block.pieces)) end
  end

  local stop_of = {}

  local function signature_part(choice, block, part)
    if shown_signature(block.sig) then chunk(choice, signed(part, block.sig)) end
  end

  function stop_of.text(choice, block)
    signature_part(choice, block, '{"text":""')
  end

  function stop_of.thinking(choice, block)
    if thoughts then signature_part(choice, block, '{"text":"","thought":true') end
  end
  stop_of.redacted_thinking = stop_of.thinking

  function stop_of.tool_call(choice, block, final)
    local call = block.block
    local text = final.args or (block.count > 0 and concat(block.pieces)) or call.args or ""
    local args, fine = write.args { kind = call.kind, args = text }
    if not fine then
      ctx.warn("map.lossy", "functionCall.args", "no JSON object")
      choice.answer.malformed = true
    else
      choice.answer.said = true
    end
    local part = '{"functionCall":{"args":' .. tostring(args) .. ',"id":' .. encode(call.id or "")
      .. ',"name":' .. encode(call.name or "") .. "}"
    chunk(choice, signed(part, block.sig))
  end

  local function stop_media(choice, block, final)
    local shown = { type = block.kind, format = block.block.format }
    local source = final.source or block.block.source or {}
    shown.source = source
    if block.count > 0 then
      shown.source = {
        kind = "base64", media_type = source.media_type, name = source.name,
        data = (source.data or "") .. concat(block.pieces),
      }
    end
    local part = shown.source.kind and write.media(shown, true)
    if not part then
      return ctx.warn("drop.block", "candidates", block.kind)
    end
    part.thoughtSignature = shown_signature(block.sig)
    choice.answer.said = true
    chunk(choice, encode(part))
  end
  stop_of.image, stop_of.audio, stop_of.video, stop_of.document =
    stop_media, stop_media, stop_media, stop_media

  -- Blocks that come whole; what is known at their end only is in `final`.
  local function stop_whole(choice, block, final)
    local whole = {}
    for name, value in pairs(block.block) do whole[name] = value end
    for name, value in pairs(final) do whole[name] = value end
    local answer = choice.answer
    local before = #answer.parts
    add[whole.type](answer, whole)
    local part = answer.parts[before + 1]
    if part then chunk(choice, json.is_raw(part) and tostring(part) or encode(part)) end
  end
  stop_of.server_call, stop_of.server_result, stop_of.opaque = stop_whole, stop_whole, stop_whole

  function on.block_stop(event)
    local choice, block = block_of(event)
    if not block then return end
    choice.blocks[event.idx] = nil
    local stop = stop_of[block.kind]
    if stop then
      stop(choice, block, event.final or NOTHING)
    elseif block.kind ~= "refusal" then
      ctx.warn("drop.block", "candidates", block.kind)
    end
  end

  function on.usage(event)
    usage = usage or {}
    for name, value in pairs(event.usage or NOTHING) do usage[name] = value end
  end

  function on.stop(event)
    choice_of(event).stop = event.stop or NOTHING
  end

  -- The last chunk of a candidate, and with `report` of the answer.
  local function last_chunk(choice, report)
    local grounds, logprobs = choice.answer.grounds.metadata(), logprobs_of(choice.answer.logprobs)
    return opening .. '{"text":""}],"role":"model"},"finishReason":'
      .. encode(reason_of(choice.stop, choice.answer)) .. ',"index":' .. format("%d", choice.index)
      .. (grounds and ',"groundingMetadata":' .. encode(grounds) or "")
      .. (logprobs and ',"logprobsResult":' .. encode(logprobs) or "") .. "}]"
      .. (report and ',"usageMetadata":' .. encode(usages.encode("gemini", usage or NOTHING)) or "")
      .. tail .. closing
  end

  on["end"] = function()
    ended = true
    if not started then begin(NOTHING) end
    if not order[1] then choice_of(NOTHING).stop = { reason = "unknown" } end
    for i = 1, #order do send(last_chunk(order[i], i == #order)) end
  end

  function on.error(event)
    ended = true
    local found = event.error or { kind = "server", status = 502, message = "the upstream failed" }
    send(encode(problems.encode("gemini", found)))
  end

  return {
    event = function(event, into)
      local handle = on[event.type]
      if ended or not handle then return NOTHING end
      out = into or {}
      handle(event)
      return out
    end,
    eof = function()
      if ended then return NOTHING end
      out = {}
      on.error { error = problems.new("truncated", "the upstream's answer broke off", "mid") }
      return out
    end,
  }
end

return M
