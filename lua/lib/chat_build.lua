--- Messages of a Chat request, from blocks of the neutral form.

local crypto = require "crypto"
local json = require "json"
local media = require "lib.media"

local array, null = json.array, json.null
local concat, find, gsub, ipairs, next, pairs, sub, type =
  table.concat, string.find, string.gsub, ipairs, next, pairs, string.sub, type

local M = {}

-- Members of an object that came with it and have no home in the neutral form; they never override.
local function add_extras(object, extras)
  local own = extras and extras.chat
  if not own then return object end
  for name, value in pairs(own) do
    if object[name] == nil then object[name] = value end
  end
  return object
end
M.add_extras = add_extras

-- --- parts --------------------------------------------------------------------------------------

-- A part that is nothing but text is a string until it turns out that the message needs a list:
-- most messages do not, and their texts never become tables.

local function text_part(text)
  return { type = "text", text = text }
end

-- Where something stands, in words: `path` is the number of a turn, or words already.
local function where(path)
  return type(path) == "number" and "turns[" .. path - 1 .. "]" or path
end

local function dropped(block, ctx, path)
  ctx.warn("drop.block", where(path), block.type)
  return nil
end

local part = {}

function part.text(block)
  return block.text
end
part.refusal = part.text

function part.image(block, ctx, path)
  local url = media.data_url(block.source)
  if not url then return dropped(block, ctx, path) end
  local detail = block.detail
  if detail == "original" then detail = "high" end
  return { type = "image_url", image_url = { url = url, detail = detail } }
end

-- Text files are text with their title above it.
local function text_of_document(block, source)
  local text = source.text
  if not text and source.kind == "base64" then text = crypto.base64_decode(source.data) end
  if not text then return nil end
  local title = block.title or block.filename or source.name
  return title and title ~= "" and title .. "\n\n" .. text or text
end

function part.document(block, ctx, path)
  local source = block.source
  local media_type = source.media_type or ""
  if source.kind == "text" or source.kind == "base64" and sub(media_type, 1, 5) == "text/" then
    local text = text_of_document(block, source)
    if text and text ~= "" then return text end
  elseif source.kind == "base64" then
    local name = block.filename or source.name or media.filename(media_type)
    return { type = "file", file = { file_data = media.data_url(source), filename = name } }
  elseif source.kind == "file" then
    return { type = "file", file = { file_id = source.file_id, filename = block.filename } }
  end
  dropped(block, ctx, path)
  return source.url and "[document: " .. source.url .. "]" or nil
end

function part.audio(block, ctx, path)
  local source = block.source
  local format = source and (block.format or media.audio_format(source.media_type))
  if not source or source.kind ~= "base64" or format ~= "wav" and format ~= "mp3" then
    return dropped(block, ctx, path)
  end
  return { type = "input_audio", input_audio = { data = source.data, format = format } }
end

function part.video(block, ctx, path)
  local url = media.data_url(block.source)
  if not url then return dropped(block, ctx, path) end
  return { type = "video_url", video_url = { url = url } }
end

function part.search_result(block)
  local lines = { block.title, block.url }
  for _, inner in ipairs(block.content or {}) do
    if inner.type == "text" then lines[#lines + 1] = inner.text end
  end
  return concat(lines, "\n")
end

function part.opaque(block, ctx, path)
  if block.dialect ~= "chat" then return dropped(block, ctx, path) end
  return block.raw
end

local EXPLICIT = { mode = "explicit" }

-- One part for a block; nil for what Chat has no place for.
local function part_of(block, ctx, path)
  if block.type == "text" and not block.cache and not block.extras then return block.text end
  local build = part[block.type]
  if not build then return dropped(block, ctx, path) end
  local made = build(block, ctx, path)
  local marked = block.cache and ctx.caps.cache_key
  local own = block.extras and block.extras.chat
  if not made or json.is_raw(made) or not marked and not own then return made end
  if type(made) == "string" then made = text_part(made) end
  if marked then made.prompt_cache_breakpoint = EXPLICIT end
  return add_extras(made, block.extras)
end

-- The text of blocks that are one text and nothing more, as most results are.
local function only_text(blocks, ctx)
  local block = blocks and blocks[1]
  if not block or blocks[2] or block.type ~= "text" then return nil end
  local made = part_of(block, ctx)
  return type(made) == "string" and made or nil
end

local function all_text(list)
  for i = 1, #list do
    if type(list[i]) ~= "string" then return false end
  end
  return true
end

-- The content of a message: a string wherever that says the same.
local function content_of(list, caps)
  local count = #list
  if count == 0 then return nil end
  if count == 1 and type(list[1]) == "string" then return list[1] end
  if caps.flatten_text ~= false and all_text(list) then return concat(list, "\n\n") end
  for i = 1, count do
    if type(list[i]) == "string" then list[i] = text_part(list[i]) end
  end
  return array(list)
end

local function parts_of(blocks, ctx, path, list)
  list = list or {}
  for i = 1, #blocks do
    local block = blocks[i]
    if block.type ~= "tool_result" then list[#list + 1] = part_of(block, ctx, path) end
  end
  return list
end

-- --- instructions -------------------------------------------------------------------------------

local function role_of(level, caps)
  return level == "developer" and caps.developer_role and "developer" or "system"
end

local function add_system(messages, role, list, ctx)
  local content = content_of(list, ctx.caps)
  if content then messages[#messages + 1] = { role = role, content = content } end
end

--- The leading instructions: one message for each run of a level.
--- @param system IrBlock[]
--- @param ctx TranslationContext
--- @param messages table
function M.system(system, ctx, messages)
  local role, list
  for i = 1, #system do
    local block = system[i]
    local now = role_of(block.level, ctx.caps)
    if now ~= role then
      if list then add_system(messages, role, list, ctx) end
      role, list = now, {}
    end
    list[#list + 1] = part_of(block, ctx, "system")
  end
  if list then add_system(messages, role, list, ctx) end
end

local on = {}

function on.instruction(turn, ctx, path, messages)
  local content = content_of(parts_of(turn.blocks, ctx, path), ctx.caps)
  if not content then return end
  messages[#messages + 1] = add_extras({
    role = role_of(turn.level, ctx.caps), content = content, name = turn.name,
  }, turn.extras)
end

-- --- results ------------------------------------------------------------------------------------

local attached = { image = "image", document = "document", audio = "audio", video = "video" }

-- Texts of a result stay with it; media follow behind all results of the turn.
local function split_result(block, ctx, path, state)
  local list, notes = {}, nil
  for _, inner in ipairs(block.content or {}) do
    local made = part_of(inner, ctx, path)
    local label = attached[inner.type]
    if made and label and type(made) ~= "string" then
      state.count = state.count + 1
      notes = notes or {}
      notes[#notes + 1] = "[attached below: " .. label .. " " .. state.count .. "]"
      local words = gsub(label, "^%l", string.upper)
      state.parts[#state.parts + 1] =
        words .. " " .. state.count .. " from tool call " .. block.call_id .. ":"
      state.parts[#state.parts + 1] = made
      ctx.warn("map.lossy", where(path), label)
    elseif made then
      list[#list + 1] = made
    end
  end
  return list, notes
end

local function result_content(block, ctx, path, state)
  local list, notes = split_result(block, ctx, path, state)
  local content = content_of(list, ctx.caps)
  if not notes then return content end
  local note = concat(notes, "\n")
  if not content then return note end
  if type(content) == "string" then return content .. "\n" .. note end
  content[#content + 1] = text_part(note)
  return content
end

local function result(block, content, messages)
  if block.is_error then
    if type(content) == "table" then
      table.insert(content, 1, text_part "Error: ")
    elseif not content or sub(content, 1, 7) ~= "Error: " then
      content = "Error: " .. (content or "")
    end
  end
  local message = { role = "tool", tool_call_id = block.call_id, content = content or "" }
  messages[#messages + 1] = block.extras and add_extras(message, block.extras) or message
end

function on.user(turn, ctx, path, messages)
  local blocks = turn.blocks
  local state, others = nil, false
  for i = 1, #blocks do
    local block = blocks[i]
    if block.type == "tool_result" then
      local content = only_text(block.content, ctx)
      if not content then
        state = state or { count = 0, parts = {} }
        content = result_content(block, ctx, path, state)
      end
      result(block, content, messages)
    else
      others = true
    end
  end
  if not others and not state then return end
  local content = content_of(parts_of(blocks, ctx, path, state and state.parts), ctx.caps)
  if not content then return end
  messages[#messages + 1] = add_extras({
    role = "user", content = content, name = turn.name,
  }, turn.extras)
end

-- --- answers of the assistant -------------------------------------------------------------------

local function call(block, ctx)
  if block.kind == "custom" and ctx.caps.custom_tools then
    return {
      id = block.id, type = "custom", custom = { name = block.name, input = block.args },
    }
  end
  local args = block.args
  if block.kind == "custom" then
    args = '{"input":' .. json.encode(args) .. "}"
  elseif not args or not find(args, "%S") then
    args = "{}"
  end
  local made = {
    id = block.id, type = "function", ["function"] = { name = block.name, arguments = args },
  }
  local sig = block.sig
  if sig and sig.family == "google" and ctx.caps.signature_family == "google" then
    made.extra_content = { google = { thought_signature = sig.data } }
  end
  return made
end

local UNAVAILABLE = "[reasoning unavailable]"

local function add_reasoning(message, thoughts, has_calls, caps)
  if not thoughts and not has_calls then return end
  local field = caps.reasoning_field
  local text = field and thoughts and concat(thoughts, "\n\n") or ""
  if text == "" and has_calls and caps.reasoning_required then
    field, text = field or "reasoning_content", UNAVAILABLE
  end
  if text ~= "" then message[field] = text end
end

local function server_text(block)
  if block.tool ~= "code" then return nil end
  local text = block.output
  if block.type == "server_call" then text = block.input and json.get(block.input, "code") end
  if type(text) ~= "string" or text == "" then return nil end
  return "```\n" .. text .. "\n```"
end
M.server_text = server_text

-- Sorts the blocks of a turn: Chat has one place for each kind, calls behind all text.
local function sort_blocks(blocks, ctx, path)
  local texts, thoughts, refusal, calls, audio = {}, nil, nil, nil, nil
  for i = 1, #blocks do
    local block = blocks[i]
    local kind = block.type
    if kind == "text" then
      texts[#texts + 1] = part_of(block, ctx, path)
    elseif kind == "thinking" then
      if block.text ~= "" then
        thoughts = thoughts or {}
        thoughts[#thoughts + 1] = block.text
      end
    elseif kind == "tool_call" then
      calls = calls or array {}
      calls[#calls + 1] = call(block, ctx)
    elseif kind == "refusal" then
      refusal = (refusal or "") .. block.text
    elseif kind == "audio" and block.id then
      audio = { id = block.id }
    elseif kind == "opaque" and block.dialect == "chat" then
      texts[#texts + 1] = block.raw
    else
      local text = (kind == "server_call" or kind == "server_result") and server_text(block)
      if text then texts[#texts + 1] = text else dropped(block, ctx, path) end
    end
  end
  return texts, thoughts, refusal, calls, audio
end

function on.assistant(turn, ctx, path, messages)
  local texts, thoughts, refusal, calls, audio = sort_blocks(turn.blocks, ctx, path)
  local content = content_of(texts, ctx.caps)
  -- Nothing but lost thoughts: an empty message would part calls from their results.
  if not content and not calls and not refusal and not audio then return end
  if not content then
    local empty = ctx.caps.empty_content
    content = (empty == "null" or empty == null or refusal or audio) and null or empty or ""
  end
  local message = {
    role = "assistant", content = content, tool_calls = calls, refusal = refusal, audio = audio,
    name = turn.name,
  }
  add_reasoning(message, thoughts, calls ~= nil, ctx.caps)
  messages[#messages + 1] = add_extras(message, turn.extras)
end

-- --- all ----------------------------------------------------------------------------------------

local function is_answer(turn)
  local first = turn and turn.role == "user" and turn.blocks[1]
  return first and first.type == "tool_result"
end

local function has_calls(message)
  return message and (message.tool_calls ~= nil or message.role == "tool")
end

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return table messages
function M.messages(request, ctx)
  local messages = array {}
  M.system(request.system, ctx, messages)
  local turns, held = request.turns, nil
  for i = 1, #turns do
    local turn = turns[i]
    if turn.role == "instruction" and is_answer(turns[i + 1])
        and has_calls(messages[#messages]) then
      -- Nothing may stand between a call and its result.
      held = held or {}
      held[#held + 1] = turn
    else
      on[turn.role](turn, ctx, i, messages)
      if held and not is_answer(turns[i + 1]) then
        for k = 1, #held do on.instruction(held[k], ctx, i, messages) end
        held = nil
      end
    end
  end
  return messages
end

--- The content of a prediction: a string or parts.
--- @param blocks IrBlock[]
--- @param ctx TranslationContext
--- @return any
function M.content(blocks, ctx)
  return content_of(parts_of(blocks, ctx, "prediction"), ctx.caps)
end

return M
