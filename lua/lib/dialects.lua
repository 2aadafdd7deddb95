--- What an upstream's event or answer means, asked of its text without a translation.

local chat = require "lib.chat"
local data_of = require "models.dialects"
local errors = require "lib.errors"
local google_errors = require "lib.google_errors"
local json = require "json"
local streams = require "models.streams"

local find, sub = string.find, string.sub
local bases, final, handshake = data_of.bases, data_of.final, data_of.handshake

local FIRST_CHOICE = { "choices", 1 }
local RESPONSE_ID = { "response", "id" }

local M = {}

--- The dialect whose bodies a variant has.
--- @param dialect string
--- @return string
function M.base(dialect)
  return bases[dialect] or "chat"
end

--- The type of an event that has one.
--- @param name string  of the `event:` line
--- @param data string
--- @return string
function M.type_of(name, data)
  if name ~= "" then return name end
  local kind = json.get(data, "type")
  return type(kind) == "string" and kind or ""
end

local function is_present(value)
  return value ~= nil and value ~= json.null
end

-- The error object of an event, as a text that has it as its member `error`.
local function error_text(base, name, data)
  if base == "responses" then
    local kind = M.type_of(name, data)
    if kind == "response.failed" then
      local inner = json.get(data, { "response", "error" })
      return '{"error":' .. (is_present(inner) and tostring(inner)
        or '{"message":"the upstream failed","code":"server_error"}') .. "}"
    end
    if kind == "error" then
      if is_present(json.get(data, "error")) then return data end
      return '{"error":' .. data .. "}"
    end
    return nil
  end
  -- Anthropic tells by its name what an event is.
  if base == "anthropic" and name ~= "" and name ~= "error" then return nil end
  return chat.is_error(data) and data or nil
end

--- The problem that an event tells, or nil.
--- @param base string  dialect of the upstream
--- @param name string
--- @param data string
--- @return Problem?
function M.problem(base, name, data)
  local text = error_text(base, name, data)
  if not text then return nil end
  if base == "gemini" then
    -- Google tells delays and reasons in the error's details.
    local status = json.get(text, { "error", "code" })
    if math.type(status) == "integer" and status >= 400 and status <= 599 then
      local problem = google_errors.classify(status, text)
      problem.in_answer = true
      return problem
    end
  end
  -- An event of the Responses API has another shape than the error of an answer.
  return errors.from_event(text, base ~= "responses" and base or nil)
end

local function is_empty(value)
  return value == "" or value == json.null
    or type(value) == "table" and next(value) == nil
end

-- A chat stream often begins with a chunk that only tells whose turn it is.
local function opens_chat(data)
  local choice = json.get(data, FIRST_CHOICE)
  if choice == nil then return not is_present(json.get(data, "usage")) end
  if json.type(choice) ~= "object" then return false end
  local reason, delta = json.get(choice, "finish_reason"), json.get(choice, "delta")
  if is_present(reason) and reason ~= "" or json.type(delta) ~= "object" then return false end
  local members = json.decode(delta)
  if not members then return false end -- nested too deeply to be an opening
  for name, value in pairs(members) do
    if name ~= "role" and not is_empty(value) then return false end
  end
  return true
end

--- True for events that say nothing about the answer yet.
--- @param base string
--- @param name string
--- @param data string
--- @return boolean
function M.is_handshake(base, name, data)
  if base == "chat" then return opens_chat(data) end
  local known = handshake[base]
  if not known then return false end
  local kind = M.type_of(name, data)
  return known[kind] == true or base == "responses" and sub(kind, 1, 6) == "codex."
end

--- True for an event with which the answer is complete.
--- @param base string
--- @param name string
--- @param data string
--- @return boolean
function M.is_final(base, name, data)
  if base == "responses" then return final[M.type_of(name, data)] == true end
  local reason = json.get(data, streams[base].finish)
  if type(reason) == "string" and reason ~= "" then return true end
  return base == "gemini" and find(data, '"blockReason"', 1, true) ~= nil
    and json.get(data, { "promptFeedback", "blockReason" }) ~= nil
end

--- The id of the answer that the first event of a responses stream announces.
--- @param data string
--- @return string?
function M.id_of(data)
  local id = json.get(data, RESPONSE_ID)
  return type(id) == "string" and id ~= "" and id or nil
end

--- Where a whole answer of the dialect has the model's name.
--- @param base string
--- @return string
function M.model_member(base)
  return data_of.model_member[base]
end

return M
