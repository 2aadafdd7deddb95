--- Errors of upstreams: read from any vendor's shape, written in any dialect's.
---
--- An error is {kind, status, message, code, param, retry_after, phase}; lib.errors has the
--- product's own problems, and `M.problem` makes one of an error.

local data = require "models.problems"
local ir = require "lib.ir"
local json = require "json"

local find, format, gsub, lower, match, sub =
  string.find, string.format, string.gsub, string.lower, string.match, string.sub
local type = type

local M = {}

local MESSAGE_MAX = 2048
local NESTING_MAX = 4

local kinds = data.kinds

local function text_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

local function object_of(text)
  if type(text) ~= "string" or not find(text, "^%s*[%[{\"]") then return nil end
  local document = json.decode(text)
  if type(document) == "string" then return object_of(document) end
  if type(document) ~= "table" then return nil end
  if document[1] ~= nil then document = document[1] end
  return type(document) == "table" and document or nil
end

-- The object that holds message and code, whatever stands around it.
local function inner_of(document)
  local response = type(document.response) == "table" and document.response or nil
  local found = response and response.error or document.error
  if type(found) == "table" then
    if found[1] ~= nil and type(found[1]) == "table" then found = found[1] end
    return found
  end
  return document, text_of(found)
end

local function message_in(document, depth)
  local inner, words = inner_of(document)
  local found = text_of(inner.message) or words or text_of(document.message)
    or text_of(document.detail) or text_of(inner.detail)
  if type(document.detail) == "table" then
    found = found or text_of(document.detail.message)
  end
  if not found then return nil, inner end
  -- Some gateways put the vendor's JSON into the message.
  local nested = depth < NESTING_MAX and find(found, "^%s*[%[{]") and object_of(found)
  if nested then
    local message, nested_inner = message_in(nested, depth + 1)
    if message then return message, nested_inner end
  end
  return found, inner
end

local function of_page(text, status)
  local title = match(text, "<[tT][iI][tT][lL][eE][^>]*>%s*(.-)%s*</")
  local where = "the upstream answered" .. (status and " " .. status or "") .. " with a web page"
  return title and title ~= "" and where .. ": " .. sub(gsub(title, "%s+", " "), 1, 200) or where
end

local function cut(text)
  if #text <= MESSAGE_MAX then return text end
  local last = MESSAGE_MAX
  while last > 0 and find(text, "^[\x80-\xBF]", last + 1) do last = last - 1 end
  return sub(text, 1, last) .. "..."
end

local function contains_one(text, list)
  text = lower(text)
  for _, words in ipairs(list) do
    if find(text, words, 1, true) then return true end
  end
  return false
end

local function word_of(value)
  local text = text_of(value)
  return text and data.words[lower(text)]
end

local function integer_of(value)
  return math.tointeger(tonumber(value))
end

local function status_of(object)
  for _, name in ipairs { "status", "status_code", "code" } do
    local status = integer_of(object[name])
    if status and status >= 400 and status <= 599 then return status end
  end
end

-- The status of an error inside an answer that began well: its own, or by its words.
local function status_within(document, inner, message)
  return status_of(inner) or status_of(document) or data.inner_statuses[inner.code]
    or data.inner_statuses[document.code] or data.inner_statuses[inner.type]
    or find(lower(message), "selected model is at capacity", 1, true) and 429 or nil
end

local function kind_of(inner, status, message)
  local named = word_of(inner.code) or word_of(inner.type) or word_of(inner.status)
  local kind = named
  if not kind or kind == "server" or kind == "invalid_request" then
    kind = data.statuses[status or 0] or kind
  end
  if kind == "billing" and inner.status == "FAILED_PRECONDITION" and status == 400 then
    kind = "invalid_request"
  end
  kind = kind or (status and status >= 400 and status < 500 and "invalid_request") or "server"
  if (kind == "invalid_request" or kind == "too_large")
      and contains_one(message, data.too_long) then
    kind = "context_length"
  end
  return kind
end

--- Seconds that a message says to wait: "Please try again in 1.898s."
--- @param message string
--- @return number?
function M.wait_in(message)
  local number, unit = match(message, "[tT]ry again in ([%d%.]+)%s*(m?s)")
  number = tonumber(number)
  return number and (unit == "ms" and number / 1000 or number)
end

-- Seconds until another try, as the body tells them.
local function delay_in(inner, message)
  if type(inner.details) == "table" then
    for _, detail in ipairs(inner.details) do
      local text = type(detail) == "table" and text_of(detail.retryDelay)
      local seconds = text and tonumber(match(text, "^([%d%.]+)s$"))
      if seconds then return seconds end
    end
  end
  local seconds = tonumber(inner.resets_in_seconds) or tonumber(inner.retry_after)
  return seconds or M.wait_in(message)
end

local function header_of(headers, name)
  if type(headers) == "function" then return headers(name) end
  return type(headers) == "table" and headers[name] or nil
end

-- The error of a document: `inner` is the object in it that holds message and code.
local function read(document, inner, message, status)
  if not status or status < 400 then status = status_within(document, inner, message or "") end
  message = cut(message or text_of(inner.code) or text_of(document.code)
    or "the upstream answered" .. (status and " " .. status or " with an error"))
  local kind = kind_of(inner, status, message)
  if kind == "context_length" then status = 400 end
  local name = text_of(inner.type)
  return {
    kind = kind, status = status or kinds[kind].status, message = message,
    code = text_of(inner.code) or text_of(document.code), param = text_of(inner.param),
    -- That of an event says only that it is one.
    type = name ~= "error" and name or nil, retry_after = delay_in(inner, message), phase = "pre",
  }
end

--- Reads an upstream's error.
--- @param _ string?  dialect; bodies are recognised in any shape
--- @param status integer?  of the answer; nil for an event in a stream that began with 200
--- @param body string
--- @param headers (table<string, string>|fun(name: string): string?)?  names in lower case
--- @return table error
function M.decode(_, status, body, headers)
  local document = object_of(body)
  local message, inner = nil, {}
  if document then
    message, inner = message_in(document, 0)
  elseif find(lower(sub(body, 1, 512)), "<html", 1, true)
      or find(lower(sub(body, 1, 512)), "<!doctype", 1, true) then
    message = of_page(body, status)
  else
    message = text_of(match(body, "^%s*(.-)%s*$"))
  end
  local err = read(document or inner, inner, message, status)
  err.retry_after = tonumber(header_of(headers, "retry-after") or nil) or err.retry_after
  return err
end

--- Reads an event that tells an error, or the failed answer in one.
--- @param event table?  decoded
--- @param phase "pre"|"mid"
--- @return table error
function M.of_event(event, phase)
  event = type(event) == "table" and event or {}
  local message, inner = message_in(event, 0)
  local err = read(event, inner, message, nil)
  err.code, err.phase = err.code or err.type, phase
  return err
end

--- The error of a stream that ended too early.
--- @param base string  dialect of the upstream
--- @param phase "pre"|"mid"
--- @return table error
function M.truncated(base, phase)
  return M.new("truncated", data.broken_off[base] or "the upstream's answer broke off", phase)
end

--- Makes an error of one's own about an upstream.
--- @param kind string
--- @param message string
--- @param phase "pre"|"mid"|nil
--- @return table error
function M.new(kind, message, phase)
  return { kind = kind, status = kinds[kind].status, message = message, phase = phase or "mid" }
end

--- True when an upstream refused a signature or an encrypted item: worth one try without thinking.
--- @param err table
--- @return boolean
function M.is_signature(err)
  return err.status == 400 and (err.code == "invalid_encrypted_content"
    or contains_one(err.message, data.bad_signature))
end

--- The HTTP status for clients of a dialect.
--- @param dialect string
--- @param err table
--- @return integer
function M.status(dialect, err)
  local row = kinds[err.kind] or kinds.server
  if err.kind == "overloaded" and ir.base(dialect) == "anthropic" then return 529 end
  if err.kind == "billing" then return err.status == 402 and 402 or 429 end
  if row.status == 502 then return err.status == 500 and 500 or 502 end
  return row.status
end

-- What Claude Code looks for before it compacts.
local function anthropic_message(err)
  if err.kind == "context_length" and sub(err.message, 1, 18) ~= "prompt is too long" then
    return "prompt is too long: " .. err.message
  end
  return err.message
end

--- The code of a failed response.
--- @param err table
--- @return string
function M.failed_code(err)
  return (kinds[err.kind] or kinds.server).failed
end

--- An error as the object of a dialect.
--- @param dialect string
--- @param err table
--- @return table  chat and responses: {error = {message, type, param, code}}; anthropic: {type =
---   "error", error}; gemini: {error = {code, message, status}}
function M.encode(dialect, err)
  local row, base = kinds[err.kind] or kinds.server, ir.base(dialect)
  if base == "anthropic" then
    local name = row.anthropic
    if err.kind == "billing" and err.status == 402 then name = "billing_error" end
    return { type = "error", error = { type = name, message = anthropic_message(err) } }
  end
  if base == "gemini" then
    local status, name = M.status(dialect, err), row.gemini
    if status == 500 then name = "INTERNAL" end
    if status == 402 then name = "FAILED_PRECONDITION" end
    return { error = { code = status, message = err.message, status = name } }
  end
  return {
    error = {
      message = err.message, type = row.type, param = err.param or json.null,
      code = row.code or err.code or json.null,
    },
  }
end

--- The product's problem for an error, for answers that have not begun (lib.errors).
--- @param err table
--- @return Problem
function M.problem(err)
  local row = kinds[err.kind] or kinds.server
  if row.status == 502 and err.status ~= 500 then
    return { class = "bad_upstream", message = err.message, error = err }
  end
  return {
    class = "upstream", status = M.status("chat", err), message = err.message,
    code = err.kind == "context_length" and "context_length_exceeded" or err.code or row.code,
    kind = err.type, param = err.param, retry_after = err.retry_after, error = err,
  }
end

--- Words for an error's log line.
--- @param err table
--- @return string
function M.describe(err)
  return format("%s (%d): %s", err.kind, err.status, err.message)
end

return M
