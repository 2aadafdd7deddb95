--- Legacy completions over chat completions: prompts become user turns, chunks become text.

local json = require "json"

local concat, format = table.concat, string.format

local M = {}

-- Members that chat has under the same name.
local copied = {
  "model", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop",
  "stream", "seed", "user", "n", "logit_bias", "stream_options", "top_logprobs",
}

local reasons = { stop = "stop", length = "length", content_filter = "content_filter" }

local function raw(body, name)
  local value = json.get(body, { name })
  if value == nil then return nil end
  value = tostring(value)
  return value ~= "null" and value or nil
end

--- Reads the prompts of a body.
--- @param body string
--- @return string[]? prompts
--- @return string? fault  what is wrong with them
function M.prompts(body)
  local text = raw(body, "prompt")
  if raw(body, "tools") then return nil, "tools cannot be used with completions" end
  if not text then return { "" } end
  local value = json.decode('{"prompt":' .. text .. "}").prompt
  if type(value) == "string" then return { value } end
  if type(value) ~= "table" then return nil, "prompt must be a string or an array of strings" end
  local prompts = {}
  for i, element in ipairs(value) do
    if type(element) ~= "string" then
      return nil, "prompt must be a string or an array of strings; token arrays are not supported"
    end
    prompts[i] = element
  end
  if #prompts == 0 then return nil, "prompt is empty" end
  return prompts
end

-- `logprobs` is a number here and a switch with a number there.
local function add_logprobs(members, body)
  local wanted = raw(body, "logprobs")
  if not wanted or wanted == "false" then return end
  members[#members + 1] = '"logprobs":true'
  local count = math.tointeger(tonumber(wanted))
  if count and not raw(body, "top_logprobs") then
    members[#members + 1] = '"top_logprobs":' .. count
  end
end

--- The chat body for one prompt.
--- @param body string
--- @param prompt string
--- @return string
function M.request(body, prompt)
  local members = {}
  for _, name in ipairs(copied) do
    local value = raw(body, name)
    if value then members[#members + 1] = '"' .. name .. '":' .. value end
  end
  add_logprobs(members, body)
  local suffix = raw(body, "suffix")
  suffix = suffix and json.decode('{"suffix":' .. suffix .. "}").suffix
  local messages = '[{"role":"user","content":' .. json.encode(prompt) .. "}]"
  if type(suffix) == "string" and suffix ~= "" then
    messages = format('[{"role":"system","content":%s},{"role":"user","content":%s}]',
      json.encode("Write only the text that belongs between the user's text and this ending:\n"
        .. suffix), json.encode(prompt))
  end
  members[#members + 1] = '"messages":' .. messages
  return "{" .. concat(members, ",") .. "}"
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
    for _, other in ipairs(token.top_logprobs or {}) do top[other.token] = other.logprob end
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
    elseif type(value) == "table" and value ~= json.null then
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
    local document = json.decode(text)
    keep_head(document)
    for _, choice in ipairs(document.choices or {}) do
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
    local fine, document = pcall(json.decode, data)
    if not fine or type(document) ~= "table" then return nil end
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
