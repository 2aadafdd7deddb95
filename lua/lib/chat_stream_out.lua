--- Events of the neutral form into chunks for Chat clients.
---
--- Chunks are put together as text: what is the same in all of them is written once.

local answer = require "lib.chat_answer"
local build = require "lib.chat_build"
local ir = require "lib.ir"
local json = require "json"
local problems = require "lib.problems"
local reasoning = require "lib.chat_reasoning"
local stops = require "lib.stops"

local array, encode = json.array, json.encode
local concat, ipairs, utf8_len = table.concat, ipairs, utf8.len

local M = {}

local NOTHING = {}
local DONE = { name = "", data = "[DONE]" }

--- @param ctx TranslationContext
--- @return StreamEncoder
function M.new(ctx)
  local request = ctx.request
  local with_usage = request ~= nil and request.stream_usage == true
  local hidden = answer.hides_thinking(ctx)
  local tail = with_usage and ',"usage":null}' or "}"
  -- Behind the delta of a chunk that is not the last one of its choice.
  local foot = ',"finish_reason":null}]' .. tail
  local head
  local choices, usage, stopped, ended = {}, nil, false, false
  local out

  local function send(data)
    out[#out + 1] = { name = "", data = data }
  end

  -- `delta` is JSON text.
  local function chunk(choice, delta)
    send(choice.head .. delta .. foot)
  end

  local function begin(event)
    local created = event.created
    if not created or created == 0 then created = ctx.created end
    head = '{"id":' .. encode(answer.client_id(event.id, ctx))
      .. ',"object":"chat.completion.chunk","created":' .. encode(created)
      .. ',"model":' .. encode(ctx.model)
    if event.service_tier then head = head .. ',"service_tier":' .. encode(event.service_tier) end
  end

  local function choice_of(event)
    local index = event.choice or 0
    local choice = choices[index]
    if not choice then
      if not head then begin(NOTHING) end
      -- `head` stands before each delta, `text_head` before the text of one.
      local before = head .. ',"choices":[{"index":' .. index .. ',"delta":'
      choice = {
        head = before, text_head = before .. '{"content":', blocks = {}, calls = 0, details = 0,
        images = 0, length = 0,
      }
      choices[index] = choice
      chunk(choice, '{"role":"assistant","content":""}')
    end
    return choice
  end

  local function known(event)
    local choice = choice_of(event)
    return choice.blocks[event.idx], choice
  end

  local on = {}

  function on.start(event)
    if head then return end
    begin(event)
    choice_of(NOTHING)
  end

  local text_foot = "}" .. foot

  local function content(choice, text, logprobs)
    choice.length = choice.length + (utf8_len(text) or #text)
    if logprobs then
      return send(choice.text_head .. encode(text) .. '},"logprobs":'
        .. encode { content = array(logprobs), refusal = json.null } .. foot)
    end
    send(choice.text_head .. encode(text) .. text_foot)
  end

  function on.text_delta(event)
    content(choice_of(event), event.text, event.logprobs)
  end

  function on.thinking_delta(event)
    if hidden then return end
    local block, choice = known(event)
    local text = event.text
    -- Parts and thoughts are told apart by a blank line.
    if choice.parted then text = "\n\n" .. text end
    choice.parted, choice.thought = nil, true
    if block then block.shown = true end
    chunk(choice, '{"reasoning_content":' .. encode(text) .. "}")
  end

  function on.thinking_part(event)
    local choice = choice_of(event)
    if choice.thought then choice.parted = true end
  end

  function on.refusal_delta(event)
    local choice = choice_of(event)
    choice.refusal = true
    chunk(choice, '{"refusal":' .. encode(event.text) .. "}")
  end

  local function start_call(choice, block)
    block.k = choice.calls
    choice.calls = block.k + 1
    local skeleton = block.skeleton
    local name = encode(skeleton.name or "")
    local body = skeleton.kind == "custom"
      and ',"type":"custom","custom":{"name":' .. name .. ',"input":""}'
      or ',"type":"function","function":{"name":' .. name .. ',"arguments":""}'
    local extra = answer.extra_content(skeleton.sig)
    chunk(choice, '{"tool_calls":[{"index":' .. block.k .. ',"id":'
      .. encode(skeleton.id or "") .. body .. (extra and ',"extra_content":' .. encode(extra) or "")
      .. "}]}")
  end

  function on.block_start(event)
    local choice = choice_of(event)
    local skeleton = event.block
    local block = {
      type = skeleton.type, skeleton = skeleton, sig = skeleton.sig, offset = choice.length,
    }
    choice.blocks[event.idx] = block
    if block.type == "tool_call" then
      start_call(choice, block)
    elseif block.type == "thinking" and choice.thought then
      choice.parted = true
    end
  end

  local function call_delta(choice, block, text)
    block.has_args = true
    local body = block.skeleton.kind == "custom" and ',"custom":{"input":'
      or ',"function":{"arguments":'
    chunk(choice, '{"tool_calls":[{"index":' .. block.k .. body .. encode(text) .. "}}]}")
  end

  function on.args_delta(event)
    local block, choice = known(event)
    if block and block.k then call_delta(choice, block, event.text) end
  end

  function on.media_delta(event)
    local block = known(event)
    if not block or event.partial_index then return end
    block.media = block.media or {}
    block.media[#block.media + 1] = event.data
  end

  function on.signature(event)
    local block, choice = known(event)
    if not block then return end
    if block.k then
      local extra = answer.extra_content(event.sig)
      if extra then
        chunk(choice, '{"tool_calls":[{"index":' .. block.k .. ',"extra_content":'
          .. encode(extra) .. "}]}")
      end
      return
    end
    if event.mode == "append" and block.sig then
      block.sig = {
        family = event.sig.family, kind = event.sig.kind, data = block.sig.data .. event.sig.data,
      }
    else
      block.sig = event.sig
    end
  end

  function on.citation(event)
    local block, choice = known(event)
    choice.cited = choice.cited or {}
    choice.cited[#choice.cited + 1] = { event.citation, block and block.offset or 0 }
    if block then block.cited = true end
  end

  local close = {}

  local function show_signature(choice, block)
    if hidden then return end
    local detail = reasoning.detail(block.sig, choice.details, block.shown == true, "")
    if not detail then return end
    choice.details = choice.details + 1
    chunk(choice, '{"reasoning_details":[' .. encode(detail) .. "]}")
  end
  close.thinking, close.redacted_thinking = show_signature, show_signature

  function close.tool_call(choice, block, final)
    if block.has_args then return end
    local text = final and final.args or block.skeleton.args
    if not text or text == "" then
      if block.skeleton.kind == "custom" then return end
      text = "{}"
    end
    call_delta(choice, block, text)
  end

  local function source_of(block, final)
    local source = final and final.source or block.skeleton.source
    if block.media then
      local data = concat(block.media)
      return { kind = "base64", data = data, media_type = source and source.media_type }
    end
    return source
  end

  function close.image(choice, block, final)
    local source = source_of(block, final)
    local part = source and answer.image_part(source, choice.images)
    if not part then return end
    choice.images = choice.images + 1
    chunk(choice, '{"images":[' .. encode(part) .. "]}")
  end

  function close.audio(choice, block, final)
    local source = source_of(block, final)
    final = final or NOTHING
    chunk(choice, '{"audio":' .. encode {
      id = final.id or block.skeleton.id or "audio_0", data = source and source.data or "",
      transcript = final.transcript or block.skeleton.transcript,
      expires_at = final.expires or block.skeleton.expires,
    } .. "}")
  end

  function close.text(choice, block)
    -- Citations without a range are about the whole block.
    for _, cited in ipairs(block.cited and choice.cited or NOTHING) do
      if cited[2] == block.offset then cited[3] = choice.length - block.offset end
    end
  end

  local function close_server(choice, block, final)
    local skeleton = block.skeleton
    local text = build.server_text {
      type = skeleton.type, tool = skeleton.tool, input = final and final.input or skeleton.input,
      output = final and final.output or skeleton.output,
    }
    if text then content(choice, text) end
  end
  close.server_call, close.server_result = close_server, close_server

  function on.block_stop(event)
    local block, choice = known(event)
    if not block or block.closed then return end
    block.closed = true
    local done = close[block.type]
    if done then done(choice, block, event.final) end
  end

  local function annotate(choice)
    local notes = array {}
    for _, cited in ipairs(choice.cited) do
      local length = cited[3] or choice.length - cited[2]
      notes[#notes + 1] = answer.annotation(cited[1], cited[2], length)
    end
    if notes[1] then chunk(choice, '{"annotations":' .. encode(notes) .. "}") end
  end

  function on.stop(event)
    local choice = choice_of(event)
    if choice.stopped then return end
    choice.stopped, stopped = true, true
    if choice.cited then annotate(choice) end
    local finish = stops.encode("chat", event.stop, { refusal = choice.refusal })
    send(choice.head .. '{},"finish_reason":' .. encode(finish) .. "}]" .. tail)
  end

  function on.usage(event)
    usage = ir.merge_usage(usage or ir.usage(), event.usage)
  end

  on["end"] = function()
    ended = true
    local shown = with_usage and answer.usage(usage)
    if shown then send(head .. ',"choices":[],"usage":' .. encode(shown) .. "}") end
    out[#out + 1] = DONE
  end

  function on.error(event)
    ended = true
    send(encode(problems.encode("chat", event.error)))
  end

  local function event(one, into)
    local handle = on[one.type]
    if ended or not handle then return NOTHING end
    out = into or {}
    handle(one)
    return out
  end

  local function eof()
    if ended then return NOTHING end
    out = {}
    if stopped then
      on["end"]()
    else
      on.error { error = {
        kind = "truncated", status = 502, phase = "mid",
        message = "the upstream's answer broke off",
      } }
    end
    return out
  end

  return { event = event, eof = eof }
end

return M
