--- Codex: the Responses dialect as the ChatGPT backend takes it.
---
--- Two ways in: bodies made here (encode_request), and bodies of Responses clients that go through
--- (adapt), where only what the backend refuses is edited.  `ctx.upstream.profile` is "platform"
--- for other hosts of the dialect, which take all members: there only streaming is forced.

local errors = require "lib.responses_errors"
local json = require "json"
local replay = require "lib.responses_replay"
local responses = require "translators.responses"
local build = require "lib.responses_build"
local tools = require "lib.responses_tools"

local find, sub, type = string.find, string.sub, type
local array, is_array, null = json.array, json.is_array, json.null

local M = {
  dialect = "responses", variant = "codex",
  decode_request = responses.decode_request,
  decode_response = responses.decode_response,
  encode_response = responses.encode_response,
  decode_stream = responses.decode_stream,
  encode_stream = responses.encode_stream,
}

-- Each of these is refused by the backend.
local refused = {
  "max_output_tokens", "max_completion_tokens", "temperature", "top_p", "user",
  "safety_identifier", "metadata", "truncation", "context_management", "previous_response_id",
  "prompt_cache_retention", "prompt_cache_options", "generate", "top_logprobs", "background",
}
-- Losing these is nothing to tell: they say nothing about the answer.
local quiet = { safety_identifier = true, truncation = true, generate = true, background = true }

local ENCRYPTED = "reasoning.encrypted_content"
local ID_MAX = 64
local HELD_MAX = 16

-- How ids of items begin.
local prefixes = {
  message = "msg", reasoning = "rs", function_call = "fc", custom_tool_call = "ctc",
}

local function is_object(value)
  return type(value) == "table" and not is_array(value)
end

local function strip_part(list)
  if type(list) ~= "table" or not is_array(list) then return false end
  local changed = false
  for _, part in ipairs(list) do
    if type(part) == "table" and part.prompt_cache_breakpoint ~= nil then
      part.prompt_cache_breakpoint = nil
      changed = true
    end
  end
  return changed
end

local function adapt_item(item)
  local changed = false
  if item.role == "system" then
    item.role = "developer"
    changed = true
  end
  local id = item.id
  local prefix = prefixes[item.type or item.role and "message"]
  if type(id) == "string" and (#id > ID_MAX or prefix and sub(id, 1, #prefix) ~= prefix) then
    item.id = nil
    changed = true
  end
  changed = strip_part(item.content) or changed
  return strip_part(item.output) or changed
end

local function adapt_input(body)
  local input = body.input
  if type(input) == "string" then
    body.input = array {
      {
        type = "message", role = "user",
        content = array { { type = "input_text", text = input } },
      },
    }
    return true
  end
  local changed = false
  if type(input) ~= "table" then return changed end
  for _, item in ipairs(input) do
    if is_object(item) and adapt_item(item) then changed = true end
  end
  return changed
end

local function rename(object)
  local renamed = type(object) == "table" and tools.renamed(object.type)
  if renamed then object.type = renamed end
  return renamed ~= nil and renamed ~= false
end

local function rename_all(list)
  local changed = false
  if type(list) ~= "table" then return changed end
  for _, each in ipairs(list) do changed = rename(each) or changed end
  return changed
end

local function adapt_tools(body)
  local changed = rename_all(body.tools)
  local choice = body.tool_choice
  if is_object(choice) then
    changed = rename(choice) or changed
    changed = rename_all(choice.tools) or changed
  end
  return changed
end

local function adapt_parallel(body, is_lite)
  local before = body.parallel_tool_calls
  local list = body.tools
  if is_lite then
    body.parallel_tool_calls = false
  elseif type(list) ~= "table" or #list == 0 then
    body.parallel_tool_calls = nil
  elseif before == nil or before == null then
    body.parallel_tool_calls = true
  end
  return body.parallel_tool_calls ~= before
end

local function adapt_tier(body)
  local tier = body.service_tier
  if tier == nil or tier == "priority" then return false end
  body.service_tier = tier == "fast" and "priority" or nil
  return true
end

local function adapt_options(body)
  local options = body.stream_options
  if options == nil then return false end
  local delivery = is_object(options) and options.reasoning_summary_delivery
  local kept = delivery and delivery ~= null and { reasoning_summary_delivery = delivery } or nil
  if kept and next(options, next(options)) == nil then return false end
  body.stream_options = kept
  return true
end

local function remove(body, warn)
  local changed = false
  for _, name in ipairs(refused) do
    if body[name] ~= nil then
      if warn and not quiet[name] then warn("drop.param", name) end
      body[name] = nil
      changed = true
    end
  end
  return changed
end

-- What every upstream of this kind needs: answers only come as streams and are not stored.
local function force(body)
  local changed = body.stream ~= true or body.store ~= false
  body.stream, body.store = true, false
  local include = body.include
  if type(include) ~= "table" or not is_array(include) then include = nil end
  local whole = build.with(include, ENCRYPTED)
  if whole ~= include then
    body.include = whole
    changed = true
  end
  return changed
end

local function restrict(body, ctx, is_lite)
  local changed = force(body)
  if ctx.upstream and ctx.upstream.profile == "platform" then return changed end
  if type(body.instructions) ~= "string" then
    body.instructions = ""
    changed = true
  end
  changed = adapt_input(body) or changed
  changed = adapt_tools(body) or changed
  changed = adapt_parallel(body, is_lite) or changed
  changed = adapt_tier(body) or changed
  changed = adapt_options(body) or changed
  return remove(body, ctx.warn) or changed
end

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return string
function M.encode_request(request, ctx)
  local is_platform = ctx.upstream and ctx.upstream.profile == "platform"
  local is_own = ctx.client and ctx.client.dialect == "responses"
  local body = build.build(request, ctx, not is_platform and not is_own)
  restrict(body, ctx, ctx.client and ctx.client.lite)
  return json.encode(body)
end

local part = { "prompt_cache_breakpoint" }
local kind = { "type" }

-- Only what the rules above look at is read; all other values keep their bytes.
local SHAPE = json.shape {
  known = {
    "stream", "store", "include", "instructions", "parallel_tool_calls", "service_tier",
    input = { "type", "role", "id", content = part, output = part },
    tools = kind, tool_choice = { "type", tools = kind },
    stream_options = { "reasoning_summary_delivery" },
  },
  order = true, strict = true,
}

--- Edits a body of a Responses client for this upstream.
--- @param body string
--- @param ctx TranslationContext
--- @return string body  the same string when nothing has to change
function M.adapt(body, ctx)
  body = replay.expand(body, ctx)
  local document = json.decode(body, SHAPE)
  -- What is not well formed is for the caller to refuse.
  if not is_object(document) then return body end
  if not restrict(document, ctx, ctx.client and ctx.client.lite) then return body end
  return json.encode(document)
end

local handshakes = {
  ["response.created"] = true, ["response.in_progress"] = true, ["response.queued"] = true,
}

--- Holds back what comes before the first content, so that a refusal inside the stream can still
--- become a status, or another credential's turn.
--- @return {push: fun(name: string, data: string): table[]?, table?, flush: fun(): table[]}
---   push gives the frames to pass on ({name, data}), or nil while it holds; then an error when the
---   stream was refused before any content
function M.hold()
  local held, is_open = {}, false
  local function release(name, data)
    is_open = true
    local frames = held
    held = {}
    if name then frames[#frames + 1] = { name = name, data = data } end
    return frames
  end
  return {
    push = function(name, data)
      if is_open then return { { name = name, data = data } } end
      local fine, event_kind = json.peek(data, "type")
      event_kind = fine and type(event_kind) == "string" and event_kind or name
      if handshakes[event_kind] or sub(event_kind, 1, 6) == "codex." then
        if #held < HELD_MAX then
          held[#held + 1] = { name = name, data = data }
          return nil
        end
      elseif event_kind == "error" or event_kind == "response.failed" then
        return nil, M.rejection(data)
      end
      return release(name, data)
    end,
    flush = function() return release() end,
  }
end

--- Reads an `error` or `response.failed` event as an error.
--- @param data string
--- @return table error
function M.rejection(data)
  local event = json.decode(data)
  event = is_object(event) and event or {}
  local inner = is_object(event.response) and event.response or event
  return errors.decode(inner, "pre")
end

--- True for the base URL of the ChatGPT backend, whose restrictions these are.
--- @param base_url string
--- @return boolean
function M.is_backend(base_url)
  local path = base_url:gsub("[?#].*$", ""):gsub("/+$", "")
  return find(path, "/backend-api/codex", -18, true) ~= nil
end

return M
