--- Legacy completions over chat completions: prompts become user turns, chunks become text.

local json = require "json"

local concat = table.concat

local M = {}

-- Members that chat has under the same name.
local copied = {
  "model",
  "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop",
  "stream", "seed", "user", "n", "logit_bias", "stream_options", "top_logprobs",
}

local reasons = { stop = "stop", length = "length", content_filter = "content_filter" }

-- What is read here; all other members stay as they were written.
local SHAPE = json.shape {
  known = { "prompt", "suffix", "echo", "logprobs", "tools" }, strict = true,
}

--- Reads a body.
--- @param body string
--- @return table? request
--- @return string[]|string|nil prompts  or the member that is wrong
--- @return string? fault  what is wrong with it
function M.read(body)
  local request, problem = json.decode(body, SHAPE)
  if not request then return nil, nil, tostring(problem) end
  if request.tools ~= nil and request.tools ~= json.null then
    return nil, "tools", "tools cannot be used with completions"
  end
  local prompt = request.prompt
  if prompt == nil or prompt == json.null then return request, { "" } end
  if type(prompt) == "string" then return request, { prompt } end
  if not json.is_array(prompt) or #prompt == 0 then
    return nil, "prompt", "prompt must be a string or an array of strings"
  end
  for _, element in ipairs(prompt) do
    if type(element) ~= "string" then
      return nil, "prompt",
        "prompt must be a string or an array of strings; token arrays are not supported"
    end
  end
  return request, prompt
end

-- `logprobs` is a number here and a switch with a number there.
local function logprobs_wanted(request)
  local wanted = request.logprobs
  if wanted == nil or wanted == json.null or wanted == false then return nil end
  return true, math.type(wanted) == "integer" and wanted or nil
end

--- The chat body for one prompt.
--- @param request table  as `read` gave it
--- @param prompt string
--- @return string
function M.request(request, prompt)
  local body = {}
  for _, name in ipairs(copied) do body[name] = request[name] end
  local count
  body.logprobs, count = logprobs_wanted(request)
  body.top_logprobs = body.top_logprobs or count
  body.messages = json.array { { role = "user", content = prompt } }
  local suffix = request.suffix
  if type(suffix) == "string" and suffix ~= "" then
    table.insert(body.messages, 1, {
      role = "system",
      content = "Write only the text that belongs between the user's text and this ending:\n"
        .. suffix,
    })
  end
  return json.encode(body)
end

-- The four parallel arrays of the old format; offsets count characters.
local function logprobs_of(value, offset)
  local content = type(value) == "table" and value.content
  if type(content) ~= "table" then return json.null end
  local out = {
    tokens = json.array {}, token_logprobs = json.array {}, top_logprobs = json.array {},
    text_offset = json.array {},
  }
  for i, token in ipairs(content) do
    out.tokens[i], out.token_logprobs[i], out.text_offset[i] = token.token, token.logprob, offset
    local top = {}
    local others = type(token.top_logprobs) == "table" and token.top_logprobs or {}
    for _, other in ipairs(others) do top[other.token] = other.logprob end
    out.top_logprobs[i] = top
    offset = offset + (utf8.len(token.token) or #token.token)
  end
  return out
end

local function text_of(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return "" end
  local parts = {}
  for _, part in ipairs(content) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return concat(parts)
end

local function completion_id(id)
  if type(id) ~= "string" then return "cmpl-0" end
  return (id:gsub("^chatcmpl%-", "cmpl-"):gsub("^([^c])", "cmpl-%1", 1))
end

local function add_numbers(total, usage)
  for name, value in pairs(usage) do
    if type(value) == "number" then
      total[name] = (type(total[name]) == "number" and total[name] or 0) + value
    elseif type(value) == "table" then
      total[name] = type(total[name]) == "table" and total[name] or {}
      add_numbers(total[name], value)
    end
  end
end

--- Gathers the answers to the prompts of one request, whole or as they stream.
--- @param echo boolean    begin each text with its prompt
--- @param model string    the client's name for it
--- @return table
function M.gather(echo, model)
  local self = { choices = {}, usage = nil, id = nil, created = nil }
  local base, width, prompt, begun = 0, 0, "", {}

  local function keep_head(document)
    self.id = self.id or completion_id(document.id)
    if type(document.created) == "number" then self.created = self.created or document.created end
    if type(document.usage) == "table" then
      self.usage = self.usage or {}
      add_numbers(self.usage, document.usage)
    end
  end

  -- Choices of the next prompt are numbered after those of the one before.
  function self.begin(next_prompt)
    base, width, prompt, begun = base + width, 1, next_prompt, {}
  end

  local function index_of(choice)
    local index = math.tointeger(tonumber(choice.index)) or 0
    width = math.max(width, index + 1)
    return base + index
  end

  --- Takes one whole chat answer.
  function self.add(text)
    local document = assert(json.decode(text))
    keep_head(document)
    for _, choice in ipairs(type(document.choices) == "table" and document.choices or {}) do
      local answer = text_of(type(choice.message) == "table" and choice.message.content)
      self.choices[#self.choices + 1] = {
        text = echo and prompt .. answer or answer, index = index_of(choice),
        logprobs = logprobs_of(choice.logprobs, echo and utf8.len(prompt) or 0),
        finish_reason = reasons[choice.finish_reason] or "stop",
      }
    end
  end

  --- The whole answer.
  function self.body()
    return json.encode {
      id = self.id or "cmpl-0", object = "text_completion", created = self.created or 0,
      model = model, choices = json.array(self.choices), usage = self.usage,
    }
  end

  local function chunk(choices, usage)
    return json.encode {
      id = self.id or "cmpl-0", object = "text_completion", created = self.created or 0,
      model = model, choices = json.array(choices), usage = usage,
    }
  end

  --- Turns one chat chunk into one of ours; nil when it says nothing here.
  function self.convert(data)
    local document = json.decode(data)
    if type(document) ~= "table" then return nil end
    -- Usage is told once, at the end; some upstreams repeat a growing one in every chunk.
    local usage = document.usage
    document.usage = nil
    keep_head(document)
    if type(usage) == "table" then self.latest = usage end
    local choices = {}
    for _, choice in ipairs(type(document.choices) == "table" and document.choices or {}) do
      local index = index_of(choice)
      local text = text_of(type(choice.delta) == "table" and choice.delta.content)
      if echo and not begun[index] then
        text = prompt .. text
      end
      begun[index] = true
      local reason = choice.finish_reason
      if type(reason) ~= "string" or reason == "" then reason = nil end
      if text ~= "" or reason then
        choices[#choices + 1] = {
          text = text, index = index, logprobs = logprobs_of(choice.logprobs, 0),
          finish_reason = reason and (reasons[reason] or "stop") or json.null,
        }
      end
    end
    if #choices == 0 then return nil end
    return chunk(choices)
  end

  --- Ends a prompt's stream: its usage counts.
  function self.close()
    if not self.latest then return end
    self.usage = self.usage or {}
    add_numbers(self.usage, self.latest)
    self.latest = nil
  end

  --- The usage chunk; nil when no upstream told any.
  function self.usage_chunk()
    return self.usage and chunk({}, self.usage) or nil
  end

  return self
end

return M
