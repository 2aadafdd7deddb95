--- What Codex upstreams take of a body of the Responses API: one set of rules, for bodies made by
--- the translator and for those of clients that go through.
---
--- The backend of ChatGPT refuses much of what the platform takes.  `facts`: `platform` (any other
--- host: nothing is taken out), `is_lite` (the client asked for a light answer), `is_compact` (POST
--- /responses/compact), `effort` (that the model's name stands for), `warn`.

local build = require "lib.responses_build"
local json = require "json"
local tools = require "lib.responses_tools"

local sub, type = string.sub, type
local array, is_array, null = json.array, json.is_array, json.null

local M = {}

-- Each of these is an error for the backend.
local refused = {
  "max_output_tokens", "max_completion_tokens", "temperature", "top_p", "user",
  "safety_identifier", "metadata", "truncation", "context_management", "previous_response_id",
  "prompt_cache_retention", "prompt_cache_options", "generate", "top_logprobs", "background",
}
-- Losing these is nothing to tell: they say nothing about the answer.
local quiet = { safety_identifier = true, truncation = true, generate = true, background = true }

local ENCRYPTED = "reasoning.encrypted_content"
local ID_MAX = 64

-- How ids of items begin.
local prefixes = {
  message = "msg", reasoning = "rs", function_call = "fc", custom_tool_call = "ctc",
}

local function is_object(value)
  return type(value) == "table" and not is_array(value)
end

local function strip_parts(list)
  local changed = false
  for i = 1, is_array(list) and #list or 0 do
    local part = list[i]
    if type(part) == "table" and part.prompt_cache_breakpoint ~= nil then
      part.prompt_cache_breakpoint = nil
      changed = true
    end
  end
  return changed
end

local function is_foreign(id, item)
  if type(id) ~= "string" then return false end
  local prefix = prefixes[item.type or item.role and "message"]
  return #id > ID_MAX or prefix ~= nil and sub(id, 1, #prefix) ~= prefix
end

-- What the backend refuses in an item.
local function restrict_item(item)
  local changed, id, content, output = false, item.id, item.content, item.output
  if id ~= nil and is_foreign(id, item) then
    item.id = nil
    changed = true
  end
  if type(content) == "table" then changed = strip_parts(content) or changed end
  if type(output) == "table" then changed = strip_parts(output) or changed end
  return changed
end

local function adapt_item(item, is_platform)
  local changed = item.role == "system"
  if changed then item.role = "developer" end
  return not is_platform and restrict_item(item) or changed
end

local function adapt_input(body, is_platform)
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
  for i = 1, #input do
    local item = input[i]
    if is_object(item) and adapt_item(item, is_platform) then changed = true end
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

local function set_effort(body, effort)
  if is_object(body.reasoning) then
    if body.reasoning.effort == effort then return false end
    body.reasoning.effort = effort
  else
    body.reasoning = { effort = effort }
  end
  return true
end

--- Fits a body to its upstream.
--- @param body table  changed
--- @param facts table
--- @return boolean changed
function M.restrict(body, facts)
  local changed = not facts.is_compact and force(body)
  if facts.effort then changed = set_effort(body, facts.effort) or changed end
  if type(body.instructions) ~= "string" then
    body.instructions = ""
    changed = true
  end
  changed = adapt_input(body, facts.platform) or changed
  changed = adapt_tools(body) or changed
  changed = adapt_parallel(body, facts.is_lite) or changed
  if facts.platform then return changed end
  changed = adapt_tier(body) or changed
  changed = adapt_options(body) or changed
  return remove(body, facts.warn) or changed
end

local part = { "prompt_cache_breakpoint" }
local kind = { "type" }

-- Only what the rules above look at is read; all other values keep their bytes.
local SHAPE = json.shape {
  known = {
    "stream", "store", "include", "instructions", "parallel_tool_calls", "service_tier",
    input = { "type", "role", "id", content = part, output = part },
    tools = kind, tool_choice = { "type", tools = kind }, reasoning = { "effort" },
    stream_options = { "reasoning_summary_delivery" },
  },
  order = true, strict = true,
}

--- Fits a body of a Responses client.
--- @param text string
--- @param facts table
--- @return string? text  the same string when nothing has to change; nil when it is no object
--- @return any fault
function M.adapt(text, facts)
  local body, fault = json.decode(text, SHAPE)
  if not is_object(body) then return nil, fault or "not an object" end
  return M.restrict(body, facts) and json.encode(body) or text
end

return M
