--- Which conversation a request belongs to: the name its client gives it, or how it begins.
---
--- Only a few members are looked at, whatever the size of the body.

local crypto = require "crypto"
local json = require "json"
local names = require "models.sessions"

local concat, find, match, sub = table.concat, string.find, string.match, string.sub

local M = {}

local ID_MAX = 64

-- Anything that can be a name, short enough for a key.
local function name_of(value)
  if math.type(value) == "integer" then value = tostring(value) end
  if type(value) ~= "string" or not find(value, "%S") then return nil end
  if #value > ID_MAX or find(value, "%c") then return sub(crypto.sha256_hex(value), 1, 32) end
  return value
end

-- Claude Code puts the session into the user's id: behind `_session_`, or in a JSON object.
local function claude_session(metadata)
  if json.type(metadata) ~= "object" then return nil end
  local user = json.get(metadata, "user_id")
  if type(user) ~= "string" then return nil end
  if find(user, "^%s*{") then return name_of(json.get(user, "session_id")) end
  return name_of(match(user, "_session_([%w%-]+)$"))
end

local function in_body(body)
  local members = names.members
  local fine, metadata, a, b, c = json.peek(body, "metadata", members[1], members[2], members[3])
  if not fine then return nil end
  if json.type(c) == "object" then c = json.get(c, "id") end
  return claude_session(metadata) or name_of(a) or name_of(b) or name_of(c)
end

-- The text of a message's content, in any dialect: a string, or a list of parts.
local function text_of(content, most)
  if type(content) == "string" then return sub(content, 1, most) end
  if json.type(content) ~= "array" then return "" end
  local pieces, length, i = {}, 0, 1
  while length < most do
    local part = json.get(content, { i })
    if part == nil then break end
    local text = part
    if json.type(part) == "object" then text = json.get(part, "text") end
    if type(text) == "string" then
      pieces[#pieces + 1] = text
      length = length + #text
    end
    i = i + 1
  end
  return sub(concat(pieces, "\n"), 1, most)
end

local is_system = { system = true, developer = true }

-- Reads a list of messages up to the first question.
local function read_list(body, list, content)
  local system, i = "", 1
  while i <= 16 do
    local message = json.get(body, { list, i })
    if json.type(message) ~= "object" then break end
    local role = json.get(message, "role")
    if not is_system[role] then
      return system, text_of(json.get(message, content), names.question_bytes)
    end
    system = system .. text_of(json.get(message, content), names.system_bytes)
    i = i + 1
  end
  return system, ""
end

-- System prompt and first question, by dialect.
local begin = {}

function begin.chat(body)
  return read_list(body, "messages", "content")
end

function begin.anthropic(body)
  local _, question = read_list(body, "messages", "content")
  return text_of(json.get(body, "system"), names.system_bytes), question
end

function begin.responses(body)
  local input = json.get(body, "input")
  local system, question = "", input
  if type(input) == "string" then
    question = sub(input, 1, names.question_bytes)
  else
    system, question = read_list(body, "input", "content")
  end
  return text_of(json.get(body, "instructions"), names.system_bytes) .. system, question
end

function begin.gemini(body)
  local _, question = read_list(body, "contents", "parts")
  local system = json.get(body, { "systemInstruction", "parts" })
    or json.get(body, { "system_instruction", "parts" })
  return text_of(system, names.system_bytes), question
end

--- How a conversation begins, as a short name; nil for one that is too short to matter.
--- @param base string  dialect of the body
--- @param body string
--- @return string?
function M.beginning(base, body)
  if #body < names.cached_from then return nil end
  local system, question = begin[base](body)
  if system == "" and question == "" then return nil end
  return "=" .. sub(crypto.sha256_hex(system .. "\0" .. question), 1, 32)
end

--- The conversation of a call.
--- @param call Call
--- @return string?
function M.of(call)
  local client = call.client
  local id = name_of(client:header(names.first))
  if id then return id end
  local base = call.base
  -- The one client whose header comes and goes names itself in the body.
  if base == "anthropic" then
    id = in_body(call.body)
    if id then return id end
  end
  for _, header in ipairs(names.headers) do
    id = name_of(client:header(header))
    if id then return id end
  end
  if base ~= "anthropic" then id = in_body(call.body) end
  return id or name_of(client:header(names.last)) or M.beginning(base, call.body)
end

return M
