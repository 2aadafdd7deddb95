--- Gemini with an API key.

local body_of = require "lib.google_body"
local catalogue = require "models.catalogue_gemini"
local errors = require "lib.errors"
local google = require "lib.google"
local google_errors = require "lib.google_errors"
local json = require "json"
local upstream = require "lib.upstream"
local url = require "lib.url"

local M = { name = "gemini", dialect = "gemini" }

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

-- The counting endpoint takes nothing but contents, or a whole request with its model.
local function counted(body, candidate)
  if json.get(body, "generateContentRequest") ~= nil then return body end
  local whole = false
  for _, name in ipairs { "tools", "systemInstruction", "system_instruction" } do
    whole = whole or json.get(body, name) ~= nil
  end
  if not whole then
    return body_of.without(body, "generationConfig", "generation_config", "safetySettings",
      "safety_settings", "toolConfig", "tool_config")
  end
  local request = assert(json.splice(body, "model", "models/" .. candidate.model))
  return '{"generateContentRequest":' .. request .. "}"
end

--- Takes out what the API does not know, and fits the rest.
--- @param call Call
--- @param candidate Candidate
--- @param body string
--- @return string
function M.prepare(call, candidate, body)
  -- A translated body has neither.
  if call.same_dialect then
    body = body_of.without(body, "session_id", "model")
    body = body_of.fit_contents(body_of.fit_thinking(body, candidate))
  end
  return call.operation == "count" and counted(body, candidate) or body
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base = upstream.base(credential)
  if not base then return nil, errors.new("internal", "the entry has no base-url") end
  local headers = { ["content-type"] = "application/json", ["user-agent"] = upstream.AGENT }
  google.pass_on(headers, call)
  if credential.kind == "api_key" then
    headers["x-goog-api-key"] = "{secret}"
  elseif credential.kind == "oauth" then
    headers["authorization"] = "Bearer {secret}"
  end
  if call.upstream_stream then headers["accept"] = "text/event-stream" end
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. "/v1beta/models/" .. url.encode(candidate.model) .. google.method(call),
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

M.classify = google_errors.classify

--- Where a whole answer of the counting endpoint has its number.
M.counts = "totalTokens"

return M
