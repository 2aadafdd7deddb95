--- Any server with an OpenAI-compatible chat endpoint, by its entry in the configuration.

local errors = require "lib.errors"
local upstream = require "lib.upstream"

local M = { name = "openai_compatibility", dialect = "chat" }

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

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base = upstream.base(credential)
  if not base then
    return nil, errors.new("internal", "the entry " .. credential.name .. " has no base-url")
  end
  local headers = { ["content-type"] = "application/json", ["user-agent"] = upstream.AGENT }
  if credential.kind == "api_key" then headers["authorization"] = "Bearer {secret}" end
  if call.upstream_stream then
    headers["accept"] = "text/event-stream"
    headers["cache-control"] = "no-cache"
  end
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. "/chat/completions",
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

return M
