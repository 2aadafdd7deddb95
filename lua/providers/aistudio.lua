--- AI Studio: Gemini through a page that has connected to /v1/ws and does the calls.
---
--- The page adds its own authentication; there is no secret here.  See docs/aistudio.md for what it
--- is sent and answers.

local answers = require "lib.aistudio_answer"
local base = require "models.catalogue_gemini"
local body_of = require "lib.google_body"
local crypto = require "crypto"
local google_errors = require "lib.google_errors"
local json = require "json"
local own = require "models.catalogue_aistudio"
local timer = require "timer"
local upstream = require "lib.upstream"
local url = require "lib.url"
local ws = require "ws"

local format = string.format

local M = { name = "aistudio", dialect = "gemini" }

local MODELS_URL = "https://generativelanguage.googleapis.com/v1beta/models/"

local catalogue = { shared = base.shared, models = {} }
for _, model in ipairs(base.models) do
  local made = {}
  for name, value in pairs(model) do made[name] = value end
  for name, value in pairs(own.changed[model.id] or {}) do made[name] = value end
  catalogue.models[#catalogue.models + 1] = made
end
table.move(own.more, 1, #own.more, #catalogue.models + 1, catalogue.models)

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

-- What the origin of the page rejects.
local function without_refused(body)
  return body_of.without_settings(body, "maxOutputTokens", "max_output_tokens",
    "responseMimeType", "response_mime_type", "responseJsonSchema", "response_json_schema")
end

--- Takes out what the API does not know, and what the page's origin rejects.
--- @param call Call
--- @param candidate Candidate
--- @param body string
--- @return string
function M.prepare(call, candidate, body)
  if call.same_dialect then
    body = body_of.without(body, "session_id", "model")
    body = body_of.fit_contents(body_of.fit_thinking(body, candidate))
  end
  if call.operation ~= "count" then return without_refused(body) end
  return body_of.without(body, "tools", "toolConfig", "tool_config", "generationConfig",
    "generation_config", "safetySettings", "safety_settings")
end

local function method_of(call)
  if call.operation == "count" then return ":countTokens" end
  return call.upstream_stream and ":streamGenerateContent?alt=sse" or ":generateContent"
end

-- RFC 3339 with a fraction.
local function now()
  local wall = timer.wall()
  local seconds = math.floor(wall)
  return format("%s.%06dZ", os.date("!%Y-%m-%dT%H:%M:%S", seconds), (wall - seconds) * 1e6 // 1 | 0)
end

--- Has the page of the credential do the call.
--- @param call Call
--- @param candidate Candidate
--- @return Response
function M.open(call, candidate)
  local id = crypto.uuid()
  local target = MODELS_URL .. url.encode(candidate.model) .. method_of(call)
  local relayed = ws.call(candidate.credential.id, id, '{"id":"' .. id
    .. '","type":"http_request","payload":{"method":"POST","url":' .. json.encode(target)
    .. ',"headers":{"Content-Type":["application/json"]},"body":', call.payload,
    ',"sent_at":"' .. now() .. '"}}')
  return answers.new(relayed, {
    timeout = upstream.TIMEOUT,
    streams = call.upstream_stream,
    counts = call.operation == "count" and M.counts or nil,
  })
end

M.classify = google_errors.classify

--- Where a whole answer of the counting endpoint has its number.
M.counts = "totalTokens"

return M
