--- Mock: answers without a network, so that a first start works and failures can be rehearsed.
---
--- | model               | what it does                                                         |
--- |---------------------|----------------------------------------------------------------------|
--- | mock                | says what it got: the last user message, sizes of its images         |
--- | mock-tools          | calls the forced or first tool; answers with text after its result   |
--- | mock-tools-2        | the same with two parallel calls                                     |
--- | mock-slow           | an event every 200 ms; `mock-slow-<ms>` sets the pause (0 to 60000)  |
--- | mock-think-slow     | silent for 20 s, then thinks and answers                             |
--- | mock-long           | 500 events                                                           |
--- | mock-empty          | an answer without content                                            |
--- | mock-4xx, mock-5xx  | fails with that status, such as mock-401 or mock-529; the answer of    |
--- |                     | mock-429 has a Retry-After                                           |
--- | mock-error-event    | a stream of status 200 whose first event is an error                 |
--- | mock-cut            | breaks in the middle of the answer                                   |
--- | mock-no-done        | closes cleanly after the finish reason, without the terminal event   |
--- | mock-truncated      | closes cleanly in the middle of the answer                           |
--- | mock-malformed      | an event in the middle is not JSON; a whole answer is not JSON       |
--- | mock-hang           | never says anything; ends with the timeout for the first byte        |
---
--- The same request always gets the same answer.  Models: lua/models/mock.lua.

local behaviours = require "models.mock"
local config = require "config"
local image = require "lib.image"
local json = require "json"
local timer = require "timer"

local concat, format = table.concat, string.format
local floor, max, min = math.floor, math.max, math.min

local M = { name = "mock", dialect = "chat" }

-- A moment that is the same in every answer.
local CREATED = 1735689600

--- @return Model[]
function M.models()
  local list = {}
  for _, behaviour in ipairs(behaviours) do
    list[#list + 1] = {
      id = behaviour.id, owned_by = "mock", type = "mock", created = CREATED,
      display_name = behaviour.display_name, context_length = 128000, max_completion_tokens = 16384,
      hidden = behaviour.hidden,
    }
  end
  return list
end

-- A number that depends on every byte of a text, for ids.
local function digest(text)
  local value = 5381
  for i = 1, #text, max(1, floor(#text / 4096)) do
    value = (value * 33 + text:byte(i)) & 0xffffffff
  end
  return format("%08x", (value ~ #text) & 0xffffffff)
end

local function tokens_in(text)
  return (#text + 3) // 4
end

-- What the last user message says, one line a part.
local function describe(message)
  local content = message.content
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if part.type == "text" and type(part.text) == "string" then
      parts[#parts + 1] = part.text
    elseif part.type == "image_url" and type(part.image_url) == "table" then
      parts[#parts + 1] = image.describe(tostring(part.image_url.url or ""))
    elseif type(part.type) == "string" then
      parts[#parts + 1] = "[" .. part.type .. "]"
    end
  end
  return concat(parts, "\n")
end

local function last_of(messages, role)
  for i = #messages, 1, -1 do
    if type(messages[i]) == "table" and messages[i].role == role then return messages[i] end
  end
end

-- A value that satisfies a schema well enough to look at.
local function sample(schema, depth)
  if type(schema) ~= "table" or depth > 8 then return "sample" end
  if schema.default ~= nil then return schema.default end
  if schema.const ~= nil then return schema.const end
  if type(schema.enum) == "table" and schema.enum[1] ~= nil then return schema.enum[1] end
  local choices = schema.anyOf or schema.oneOf or schema.allOf
  if type(choices) == "table" and choices[1] then return sample(choices[1], depth + 1) end
  local kind = schema.type
  if type(kind) == "table" then kind = kind[1] end
  if kind == "object" or kind == nil and schema.properties then
    local value = json.object {}
    for name, property in pairs(type(schema.properties) == "table" and schema.properties or {}) do
      value[name] = sample(property, depth + 1)
    end
    return value
  end
  if kind == "array" then return json.array { sample(schema.items, depth + 1) } end
  if kind == "integer" or kind == "number" then
    return type(schema.minimum) == "number" and schema.minimum or 1
  end
  if kind == "boolean" then return true end
  if kind == "null" then return json.null end
  return "sample"
end

-- The tools a request offers, the forced one first.
local function offered(request)
  local tools, choice = {}, request.tool_choice
  local forced = type(choice) == "table" and type(choice["function"]) == "table"
    and choice["function"].name
  for _, tool in ipairs(type(request.tools) == "table" and request.tools or {}) do
    local fn = tool["function"]
    if type(fn) == "table" and type(fn.name) == "string" then
      table.insert(tools, fn.name == forced and 1 or #tools + 1, fn)
    end
  end
  return choice ~= "none" and tools or {}
end

local function tool_calls(request, wanted, seed)
  local messages = request.messages
  local last = messages[#messages]
  if type(last) == "table" and last.role == "tool" then return nil end
  local tools = offered(request)
  if #tools == 0 then return nil end
  local calls = json.array {}
  for i = 1, wanted do
    local tool = tools[(i - 1) % #tools + 1]
    calls[i] = {
      id = "call_" .. seed .. i, type = "function",
      ["function"] = {
        name = tool.name,
        arguments = json.encode(sample(tool.parameters or { type = "object" }, 0)),
      },
    }
  end
  return calls
end

-- What the answer says: text, reasoning, calls.
local function compose(behaviour, request, seed)
  local messages = request.messages
  if behaviour.empty then return { text = "" } end
  if behaviour.calls then
    local calls = tool_calls(request, behaviour.calls, seed)
    if calls then return { calls = calls } end
    local result = last_of(messages, "tool")
    if result then return { text = "The tool said: " .. describe(result) } end
  end
  if behaviour.long then
    local words = {}
    for i = 1, behaviour.long do words[i] = "word" .. i end
    return { text = concat(words, " ") }
  end
  local said = last_of(messages, "user")
  local text = "You said: " .. (said and describe(said) or "(nothing)")
  return { text = text, reasoning = behaviour.reasoning }
end

-- Pieces of a text as a model would send them: a word and the blank before it.
local function pieces(text)
  local list = {}
  local at = 1
  while at <= #text do
    local _, stop = text:find("^%s*%S+", at)
    stop = stop or #text
    list[#list + 1] = text:sub(at, stop)
    at = stop + 1
  end
  return list
end

local function usage_of(body, answer)
  local completion = tokens_in(answer.text or "") + tokens_in(answer.reasoning or "")
  for _, call in ipairs(answer.calls or {}) do
    completion = completion + tokens_in(call["function"].arguments) + 4
  end
  local prompt = tokens_in(body)
  return { prompt_tokens = prompt, completion_tokens = completion,
    total_tokens = prompt + completion }
end

-- The events of a streamed answer, as data lines.
local function events_of(head, answer, usage, wants_usage)
  local events = {}
  local function add(delta, reason)
    events[#events + 1] = json.encode {
      id = head.id, object = "chat.completion.chunk", created = CREATED, model = head.model,
      choices = json.array { { index = 0, delta = delta, finish_reason = reason or json.null } },
    }
  end
  add { role = "assistant", content = "" }
  for _, piece in ipairs(pieces(answer.reasoning or "")) do add { reasoning_content = piece } end
  for _, piece in ipairs(pieces(answer.text or "")) do add { content = piece } end
  for i, call in ipairs(answer.calls or {}) do
    local fn = call["function"]
    add { tool_calls = json.array { { index = i - 1, id = call.id, type = "function",
      ["function"] = { name = fn.name, arguments = "" } } } }
    local middle = #fn.arguments // 2
    for _, part in ipairs { fn.arguments:sub(1, middle), fn.arguments:sub(middle + 1) } do
      if part ~= "" then
        add { tool_calls = json.array { { index = i - 1, ["function"] = { arguments = part } } } }
      end
    end
  end
  add({}, answer.calls and "tool_calls" or "stop")
  if wants_usage then
    events[#events + 1] = json.encode {
      id = head.id, object = "chat.completion.chunk", created = CREATED, model = head.model,
      choices = json.array {}, usage = usage,
    }
  end
  events[#events + 1] = "[DONE]"
  return events
end

local function whole_of(head, answer, usage)
  local message = {
    role = "assistant", content = answer.text or json.null, refusal = json.null,
    tool_calls = answer.calls, reasoning_content = answer.reasoning,
  }
  return json.encode {
    id = head.id, object = "chat.completion", created = CREATED, model = head.model,
    choices = json.array { {
      index = 0, message = message, finish_reason = answer.calls and "tool_calls" or "stop",
      logprobs = json.null,
    } },
    usage = usage,
  }
end

-- A Response without a connection: `steps` are {delay, data} or {delay, error = HttpError}.
local Response = {}
Response.__index = Response
Response.__close = function() end

-- Sleeps through what is left of a delay, at most `seconds`; true when it is over.
local function pass(self, seconds)
  local left = self.left
  if left <= 0 then return true end
  local now = seconds and min(left, seconds) or left
  timer.sleep(now)
  self.left = left - now
  return self.left <= 0
end

function Response:wait(seconds)
  if not pass(self, seconds) then return false end
  if self.failure then return nil, self.failure end
  self.status = self.answered
  return true
end

function Response:header(name)
  return self.fields[name:lower()]
end

function Response:headers()
  return self.fields
end

function Response:body()
  if self.broken then return nil, self.broken end
  return self.text
end

function Response:next_event(seconds)
  local step = self.steps[self.at]
  if not step then return "end" end
  if not self.entered then
    self.entered, self.left = true, step.delay or 0
  end
  if not pass(self, seconds) then return "idle" end
  self.at, self.entered = self.at + 1, false
  if step.error then return "broken", step.error end
  return "event", "", step.data
end

function Response:close() end

local function respond(fields)
  fields.status, fields.left, fields.at = 0, fields.left or 0, 1
  return setmetatable(fields, Response)
end

local function failure(status)
  local kind = behaviours.failures[status] or behaviours.failures[500]
  local fields = { ["content-type"] = "application/json" }
  if status == 429 then fields["retry-after"] = tostring(behaviours.retry_after) end
  return respond {
    answered = status, fields = fields,
    text = json.encode { error = {
      message = "mock-" .. status .. ": " .. kind.message, type = kind.type, code = kind.code,
      param = json.null,
    } },
  }
end

local BROKEN = { code = "broken", message = "mock: the connection broke" }

-- Puts a behaviour's faults and pauses into the events of a good answer.
local function script(behaviour, events, pause)
  local steps, middle = {}, max(2, #events // 2)
  for i, data in ipairs(events) do
    if i == middle then
      if behaviour.cut then
        steps[#steps + 1] = { error = BROKEN }
        return steps
      elseif behaviour.truncated then
        return steps
      elseif behaviour.malformed then
        steps[#steps + 1] = { data = '{"choices":[{"index":0,"delta":{"content":' }
      end
    end
    if not (behaviour.no_done and data == "[DONE]") then
      steps[#steps + 1] = { delay = i > 1 and pause or 0, data = data }
    end
  end
  return steps
end

local function find_behaviour(model)
  for _, behaviour in ipairs(behaviours) do
    if behaviour.id == model then return behaviour end
  end
  local pause = tonumber(model:match("^mock%-slow%-(%d+)$"))
  if pause then return { id = model, pause = min(pause, 60000) / 1000 } end
  local status = math.tointeger(tonumber(model:match("^mock%-([45]%d%d)$")))
  return status and { id = model, status = status } or behaviours[1]
end

--- Answers a call.
--- @param call Call
--- @param candidate Candidate
--- @return Response
function M.open(call, candidate)
  local behaviour = find_behaviour(candidate.model)
  if behaviour.status then return failure(behaviour.status) end
  if behaviour.hang then
    return respond {
      left = (config.values.timeouts or {})["first-byte"] or 600, fields = {},
      failure = { code = "timeout", message = "mock: no answer in time" },
    }
  end
  local body = call.payload
  local request = json.decode(body)
  if type(request) ~= "table" then return failure(400) end
  if type(request.messages) ~= "table" then request.messages = {} end

  local head = { id = "chatcmpl-mock" .. digest(body), model = candidate.model }
  local answer = compose(behaviour, request, digest(body))
  local usage = usage_of(body, answer)
  if call.upstream_stream then
    local options = request.stream_options
    local wants_usage = type(options) == "table" and options.include_usage == true
    local events = events_of(head, answer, usage, wants_usage)
    if behaviour.error_event then
      events = { '{"error":{"message":"mock: the stream begins with an error",'
        .. '"type":"server_error","code":503}}' }
    end
    return respond {
      left = behaviour.wait or 0, answered = 200,
      fields = { ["content-type"] = "text/event-stream" },
      steps = script(behaviour, events, behaviour.pause),
    }
  end
  local text = whole_of(head, answer, usage)
  return respond {
    left = (behaviour.wait or 0) + (behaviour.pause or 0), answered = 200,
    fields = { ["content-type"] = "application/json" },
    text = behaviour.malformed and text:sub(1, #text // 2)
      or behaviour.error_event and '{"error":{"message":"mock: an error with 200","code":503}}'
      or text,
    broken = (behaviour.cut or behaviour.truncated) and BROKEN or nil,
  }
end

return M
