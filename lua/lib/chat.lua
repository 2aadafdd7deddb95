--- Chat completion bodies and chunks: small questions, and whole answers from streams and back.

local errors = require "lib.errors"
local json = require "json"

local find = string.find

local ASKING = { include_usage = true }
local PATH_OF_WISH = { "stream_options", "include_usage" }

local M = {}

--- Asks for usage at the end of a stream.  Sets `call.usage_added` when the client had not.
--- @param body string
--- @param call Call
--- @return string
function M.ask_usage(body, call)
  local options = call.stream_options
  if options == nil or options == json.null then
    call.usage_added = true
    return assert(json.splice(body, "stream_options", ASKING))
  end
  -- What is no object is for the upstream to refuse.
  if json.type(options) ~= "object" then return body end
  if json.get(options, "include_usage") == true then return body end
  call.usage_added = true
  return assert(json.splice(body, PATH_OF_WISH, true))
end

--- @param data string
--- @return boolean
function M.is_object(data)
  return json.peek(data)
end

--- True for an event or answer with an `error` member, and for a bare error: `"object":"error"`.
--- @param data string
--- @return boolean
function M.is_error(data)
  if not find(data, '"error"', 1, true) then return false end
  local value = json.get(data, "error")
  if value == nil or value == json.null then return json.get(data, "object") == "error" end
  return true
end

--- True for the chunk that only carries usage.
--- @param data string
--- @return boolean
function M.is_usage_only(data)
  local _, choices, usage = json.peek(data, "choices", "usage")
  return json.type(choices) == "array" and find(tostring(choices), "^%[%s*%]$") ~= nil
    and json.type(usage) == "object"
end

-- One choice as it grows from deltas.
local function grow(choice, delta)
  for _, name in ipairs { "content", "reasoning_content", "reasoning", "refusal" } do
    if type(delta[name]) == "string" then
      choice[name] = choice[name] or {}
      table.insert(choice[name], delta[name])
    end
  end
  if type(delta.tool_calls) ~= "table" then return end
  for _, part in ipairs(delta.tool_calls) do
    local index = math.tointeger(tonumber(part.index)) or 0
    local known = choice.calls[index]
    if not known then
      known = { arguments = {} }
      choice.calls[index] = known
      choice.order[#choice.order + 1] = index
    end
    local fn = type(part["function"]) == "table" and part["function"] or {}
    if not known.id and type(part.id) == "string" and part.id ~= "" then known.id = part.id end
    if not known.name and type(fn.name) == "string" and fn.name ~= "" then known.name = fn.name end
    if type(fn.arguments) == "string" then table.insert(known.arguments, fn.arguments) end
  end
end

local function message_of(choice)
  local message = { role = "assistant", refusal = json.null }
  for _, name in ipairs { "content", "reasoning_content", "reasoning", "refusal" } do
    if choice[name] then message[name] = table.concat(choice[name]) end
  end
  if message.refusal == "" then message.refusal = json.null end
  if #choice.order > 0 then
    message.tool_calls = json.array {}
    for position, index in ipairs(choice.order) do
      local known = choice.calls[index]
      message.tool_calls[position] = {
        id = known.id or "call_" .. index, type = "function",
        ["function"] = { name = known.name or "tool_" .. index,
          arguments = table.concat(known.arguments) },
      }
    end
    if message.content == "" then message.content = nil end
  end
  if message.content == nil then message.content = message.tool_calls and json.null or "" end
  return message
end

local function fold_chunk(whole, chunk)
  for _, name in ipairs { "id", "created", "model", "service_tier", "system_fingerprint" } do
    if whole[name] == nil and chunk[name] ~= json.null then whole[name] = chunk[name] end
  end
  if type(chunk.usage) == "table" then whole.usage = chunk.usage end
  if type(chunk.choices) ~= "table" then return end
  for _, part in ipairs(chunk.choices) do
    local index = math.tointeger(tonumber(part.index)) or 0
    local choice = whole.choices[index]
    if not choice then
      choice = { calls = {}, order = {} }
      whole.choices[index] = choice
      whole.last = math.max(whole.last or 0, index)
    end
    if type(part.delta) == "table" then grow(choice, part.delta) end
    if type(part.finish_reason) == "string" and part.finish_reason ~= "" then
      choice.finish = part.finish_reason
      whole.finished = true
    end
  end
end

local function build(whole)
  local choices = json.array {}
  for index = 0, whole.last or -1 do
    local choice = whole.choices[index]
    if choice then
      choices[#choices + 1] = {
        index = index, message = message_of(choice), finish_reason = choice.finish or "stop",
        logprobs = json.null,
      }
    end
  end
  return json.encode {
    id = whole.id or "chatcmpl-0", object = "chat.completion", created = whole.created or 0,
    model = whole.model, choices = choices, usage = whole.usage,
    service_tier = whole.service_tier, system_fingerprint = whole.system_fingerprint,
  }
end

--- Reads a stream that came where a whole answer was wanted.
--- @param response Response
--- @param dialect string
--- @return string? text
--- @return Problem? problem
--- @return string? model  the upstream's name for it
function M.collect(response, dialect)
  local whole = { choices = {} }
  while true do
    local kind, name, data = response:next_event()
    if kind == "event" and data ~= "[DONE]" then
      if M.is_error(data) then return nil, errors.from_event(data, dialect) end
      local chunk = json.decode(data)
      if type(chunk) == "table" then fold_chunk(whole, chunk) end
    elseif kind == "event" or whole.finished and kind ~= "idle" then
      return build(whole), nil, whole.model
    elseif kind == "end" then
      return nil, errors.new("bad_upstream",
        "the upstream ended the stream before the answer was complete", { code = "broken" })
    elseif kind == "broken" then
      return nil, errors.from_http(name)
    end
  end
end

--- The chunks that say what a whole answer says; nil when it is none.
--- @param text string
--- @return string[]?
function M.unfold(text)
  local whole = json.decode(text)
  if type(whole) ~= "table" or type(whole.choices) ~= "table" then return nil end
  local events = {}
  local function chunk(choices, usage)
    events[#events + 1] = json.encode {
      id = whole.id, object = "chat.completion.chunk", created = whole.created,
      model = whole.model, choices = json.array(choices), usage = usage,
    }
  end
  for position, choice in ipairs(whole.choices) do
    local index = choice.index or position - 1
    local delta = type(choice.message) == "table" and choice.message or {}
    if type(delta.tool_calls) == "table" then
      for k, part in ipairs(delta.tool_calls) do part.index = k - 1 end
    end
    chunk({ { index = index, delta = delta, finish_reason = json.null } })
    local reason = choice.finish_reason
    if reason == nil or reason == json.null then reason = "stop" end
    chunk({ { index = index, delta = {}, finish_reason = reason } })
  end
  if type(whole.usage) == "table" then chunk({}, whole.usage) end
  return events
end

return M
