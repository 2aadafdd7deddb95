--- Any server with an OpenAI-compatible chat endpoint, by its entry in the configuration.

local config = require "config"
local errors = require "lib.errors"
local task = require "task"

local match, sub = string.match, string.sub

local M = { name = "openai_compatibility", dialect = "chat" }

local AGENT = "cli-proxy-api/" .. task.version
-- One table for all calls of a generation: its configuration does not change.
local limits = config.values.timeouts or {}
local TIMEOUT = {
  connect = limits.connect, first_byte = limits["first-byte"], idle = limits.idle,
}

-- Keys that were not given may come as empty defaults.
local function given(value)
  if value == "" or value == 0 then return nil end
  return value
end

--- The models of the entry: each `name` under its `alias`.
--- @param credential Credential
--- @return Model[]
function M.models(credential)
  local list = {}
  for _, model in ipairs(credential.entry.models or {}) do
    local name, alias = given(model.name), given(model.alias)
    name, alias = name or alias, alias or name
    if name then
      list[#list + 1] = {
        id = alias,
        upstream = name,
        owned_by = credential.name,
        type = "openai-compatibility",
        -- One moment for all: a list must not change from call to call.
        created = 1735689600,
        display_name = given(model["display-name"]),
        context_length = given(model["max-context-length"]),
      }
    end
  end
  return list
end

-- The entry's own headers come last; "$Name" copies the client's header of that name.
local function add_own(headers, own, client)
  for name, value in pairs(own) do
    local copied = match(value, "^%$([%w_%-]+)$")
    if copied then value = client:header(copied) end
    if value then headers[name:lower()] = value end
  end
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base = credential.base_url
  if not base or base == "" then
    return nil, errors.new("internal", "the entry " .. credential.name .. " has no base-url")
  end
  local headers = { ["content-type"] = "application/json", ["user-agent"] = AGENT }
  if credential.kind == "api_key" then headers["authorization"] = "Bearer {secret}" end
  if call.stream then
    headers["accept"] = "text/event-stream"
    headers["cache-control"] = "no-cache"
  end
  if credential.entry.headers then add_own(headers, credential.entry.headers, call.client) end
  if sub(base, -1) == "/" then base = match(base, "^(.-)/*$") end
  return {
    method = "POST",
    url = base .. "/chat/completions",
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = TIMEOUT,
  }
end

return M
