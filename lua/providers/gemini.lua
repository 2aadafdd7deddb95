--- Gemini with an API key.

local catalogue = require "models.catalogue_gemini"
local errors = require "lib.errors"
local json = require "json"
local upstream = require "lib.upstream"
local url = require "lib.url"

local find = string.find

local M = { name = "gemini", dialect = "gemini" }

local STUB = '{"role":"user","parts":[{"text":"(continue)"}]}'
local FIRST_ROLE = { "contents", 1, "role" }

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

-- What the counting endpoint does not take beside `contents`.
local not_counted = { "tools", "generationConfig", "generation_config", "safetySettings",
  "safety_settings", "toolConfig", "tool_config" }

-- An answer of the model cannot be the first content.
local function begin_with_user(body)
  if json.get(body, FIRST_ROLE) ~= "model" then return body end
  local rest = tostring(json.get(body, "contents")):match("^%[(.*)$")
  return assert(json.splice(body, "contents", json.raw("[" .. STUB .. "," .. rest)))
end

--- Takes out what the API does not know.
--- @param call Call
--- @param _ Candidate
--- @param body string
--- @return string
function M.prepare(call, _, body)
  for _, name in ipairs { "session_id", "model" } do
    if find(body, '"' .. name .. '"', 1, true) then body = assert(json.splice(body, name, nil)) end
  end
  body = begin_with_user(body)
  if call.operation ~= "count" then return body end
  for _, name in ipairs(not_counted) do
    if find(body, '"' .. name .. '"', 1, true) then body = assert(json.splice(body, name, nil)) end
  end
  return body
end

local function method_of(call)
  if call.operation == "count" then return ":countTokens" end
  if call.upstream_stream then return ":streamGenerateContent?alt=sse" end
  local alt = call.same_dialect and (call.client:param("alt") or call.client:param("$alt"))
  if not alt or alt == "" or alt == "sse" or find(alt, "[^%w;=_-]") then
    return ":generateContent"
  end
  return ":generateContent?$alt=" .. alt
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
  if credential.kind == "api_key" then headers["x-goog-api-key"] = "{secret}" end
  if call.upstream_stream then headers["accept"] = "text/event-stream" end
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. "/v1beta/models/" .. url.encode(candidate.model) .. method_of(call),
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

local unit_seconds = { ms = 0.001, s = 1, m = 60, h = 3600 }

-- Seconds of "1h2m3.5s"; nil for anything else.
local function seconds_of(text)
  if type(text) ~= "string" then return nil end
  local total
  for number, unit in text:gmatch("([%d.]+)(%a+)") do
    local factor, value = unit_seconds[unit], tonumber(number)
    if not factor or not value then return nil end
    total = (total or 0) + value * factor
  end
  return total
end

--- Reads what Google says in `details`: a wrong key comes as 400, and delays are told there.
--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem?
function M.classify(status, body, response)
  local problem = errors.from_status(status, body, response, "gemini")
  local document = errors.decode(body)
  local details = document and type(document.error) == "table" and document.error.details
  for _, detail in ipairs(type(details) == "table" and details or {}) do
    if type(detail) == "table" then
      if status == 400 and detail.reason == "API_KEY_INVALID" then
        problem.verdict = "unauthorized"
      end
      local metadata = type(detail.metadata) == "table" and detail.metadata or {}
      problem.retry_after = problem.retry_after or seconds_of(detail.retryDelay)
        or seconds_of(metadata.quotaResetDelay)
    end
  end
  if status == 429 and not problem.retry_after then
    problem.retry_after = seconds_of(problem.message:match("after ([%d.hms]+s)")
      or problem.message:match("retry in ([%d.hms]+s)"))
  end
  return problem
end

--- Where a whole answer of the counting endpoint has its number.
M.counts = "totalTokens"

return M
