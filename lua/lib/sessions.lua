--- Which conversation a request belongs to: the name its client gives it, or how it begins.
---
--- Only a few members are looked at, whatever the size of the body.

local crypto = require "crypto"
local json = require "json"
local names = require "models.sessions"

local concat, find, match, sub = table.concat, string.find, string.match, string.sub

local M = {}

local ID_MAX = 64
-- Parts of one content that are looked at: each is searched for from the beginning.
local PARTS_MAX = 32

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

-- Where a dialect has its system prompt, beside the messages.
local system_members = {
  chat = {}, anthropic = { "system" }, responses = { "instructions" },
  gemini = { "systemInstruction", "system_instruction" },
}

local function present(value)
  return value ~= nil and value ~= json.null and value or nil
end

-- What the body says as the session's name, and its system prompt: one look at the whole text.
local function in_body(base, body)
  local members, systems = names.members, system_members[base]
  local fine, metadata, a, b, c, system, other = json.peek(body, "metadata", members[1], members[2],
    members[3], table.unpack(systems))
  if not fine then return nil end
  if json.type(c) == "object" then c = json.get(c, "id") end
  return claude_session(metadata) or name_of(a) or name_of(b) or name_of(c),
    present(system) or present(other)
end

-- The text of a message's content, in any dialect: a string, or a list of parts.
local function text_of(content, most)
  if type(content) == "string" then return sub(content, 1, most) end
  if json.type(content) ~= "array" then return "" end
  local pieces, length, i = {}, 0, 1
  while length < most and i <= PARTS_MAX do
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

-- Question and what came before it in the list, by dialect.
local question_of = {}

function question_of.chat(body)
  return read_list(body, "messages", "content")
end

function question_of.anthropic(body)
  local _, question = read_list(body, "messages", "content")
  return "", question
end

function question_of.responses(body)
  local input = json.get(body, { "input", 1 }) == nil and json.get(body, "input")
  if type(input) == "string" then return "", sub(input, 1, names.question_bytes) end
  return read_list(body, "input", "content")
end

function question_of.gemini(body)
  local _, question = read_list(body, "contents", "parts")
  return "", question
end

-- How a conversation begins, as a short name; nil for one that is too short to matter.
local function beginning(base, body, system)
  if #body < names.cached_from then return nil end
  if json.type(system) == "object" then system = json.get(system, "parts") end
  local before, question = question_of[base](body)
  before = text_of(system, names.system_bytes) .. before
  if before == "" and question == "" then return nil end
  return "=" .. sub(crypto.sha256_hex(before .. "\0" .. question), 1, 32)
end

--- The conversation of a call.
--- @param call Call
--- @return string?
function M.of(call)
  local client, base, body = call.client, call.base, call.body
  local id = name_of(client:header(names.first))
  if id then return id end
  local system
  -- The one client whose header comes and goes names itself in the body.
  if base == "anthropic" then
    id, system = in_body(base, body)
    if id then return id end
  end
  for _, header in ipairs(names.headers) do
    id = name_of(client:header(header))
    if id then return id end
  end
  if base ~= "anthropic" then id, system = in_body(base, body) end
  return id or name_of(client:header(names.last)) or beginning(base, body, system)
end

return M
