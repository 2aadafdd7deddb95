--- Errors inside streams and failed responses of the Responses dialect, where status and headers
--- tell nothing: they have the fields of lib.problems.

local fields = require "lib.fields"
local problems = require "lib.problems"

local soft = fields.soft
local find, lower = string.find, string.lower
local math_type, tointeger, type = math.type, math.tointeger, type

local M = {}

local TRUNCATED = "stream error: stream disconnected before completion: "
  .. "stream closed before response.completed"

-- Kind and status, by code or type of the upstream.
local known = {
  context_length_exceeded = { "context_length", 400 },
  invalid_request_error = { "invalid_request", 400 }, cyber_policy = { "invalid_request", 400 },
  invalid_prompt = { "invalid_request", 400 },
  authentication_error = { "auth", 401 }, invalid_api_key = { "auth", 401 },
  permission_error = { "permission", 403 },
  not_found_error = { "not_found", 404 }, model_not_found = { "not_found", 404 },
  insufficient_quota = { "billing", 429 },
  rate_limit_error = { "rate_limit", 429 }, rate_limit_exceeded = { "rate_limit", 429 },
  usage_limit_reached = { "billing", 429 },
  server_is_overloaded = { "overloaded", 503 }, service_unavailable_error = { "overloaded", 503 },
}

local by_status = {
  [400] = "invalid_request", [401] = "auth", [402] = "billing", [403] = "permission",
  [404] = "not_found", [413] = "too_large", [429] = "rate_limit", [503] = "overloaded",
  [504] = "timeout", [529] = "overloaded",
}

local function status_of(object)
  local status = object.status or object.status_code
  status = math_type(status) and tointeger(status)
  return status and status >= 400 and status <= 599 and status or nil
end

--- Reads an error: the object under `error`, or an event that holds the members itself.
--- @param event table?
--- @param phase "pre"|"mid"
--- @return table error
function M.decode(event, phase)
  event = type(event) == "table" and event or {}
  local object = soft.object(event, "error") or event
  local code = soft.filled(object, "code") or soft.filled(event, "code")
  local kind_name = soft.filled(object, "type")
  if object == event then kind_name = nil end
  local message = soft.filled(object, "message") or soft.filled(event, "message")
    or soft.filled(event, "error") or code or "the upstream reported an error without a message"
  -- A code tells more than a type.
  local row = known[code] or known[kind_name]
  if not row and find(lower(message), "selected model is at capacity", 1, true) then
    row = { "rate_limit", 429 }
  end
  local status = status_of(object) or status_of(event)
  local kind = row and row[1] or status and by_status[status] or "server"
  if kind == "context_length" then status = 400 end
  return {
    kind = kind, status = status or row and row[2] or 502, message = message,
    code = code or kind_name, param = soft.filled(object, "param"), phase = phase,
    retry_after = soft.number(object, "resets_in_seconds"),
    resets_at = soft.integer(object, "resets_at"),
  }
end

--- @param phase "pre"|"mid"
--- @return table error
function M.truncated(phase)
  return problems.new("truncated", TRUNCATED, phase)
end

return M
