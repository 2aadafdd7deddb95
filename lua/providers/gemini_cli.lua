--- Gemini through Code Assist, with a Google account and one of its projects.
---
--- Requests and answers are those of Gemini in an envelope.  Google ended the service for
--- individuals on 2026-06-18; seats of Code Assist Standard and Enterprise go on.

local body_of = require "lib.google_body"
local catalogue = require "models.catalogue_gemini"
local envelopes = require "lib.envelope"
local errors = require "lib.errors"
local google = require "lib.google"
local google_errors = require "lib.google_errors"
local json = require "json"
local models = require "models.google"
local upstream = require "lib.upstream"

local find = string.find

local M = { name = "gemini_cli", dialect = "gemini", envelope = true }

local served = {}
for _, id in ipairs(catalogue.code_assist) do served[id] = true end
local own = { shared = catalogue.shared, models = {} }
for _, model in ipairs(catalogue.models) do
  if served[model.id] then own.models[#own.models + 1] = model end
end

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, own)
end

-- What a request to count has to do with its number.
local not_counted = { "generationConfig", "generation_config", "safetySettings", "safety_settings",
  "toolConfig", "tool_config", "session_id", "sessionId", "labels", "cachedContent" }

-- The member has another spelling here.
local function rename_system(body)
  if not find(body, '"system_instruction"', 1, true) then return body end
  local system = json.get(body, "system_instruction")
  if system == nil then return body end
  return assert(json.splice_all(body, {
    { "system_instruction", nil }, { "systemInstruction", system },
  }))
end

-- A translation has lost what only this upstream knows.
local function restore_session(call, body)
  for _, name in ipairs { "session_id", "sessionId" } do
    local session = json.get(call.body, name)
    if type(session) == "string" then return assert(json.splice(body, name, session)) end
  end
  return body
end

--- Puts the request into the envelope: with this credential's project, and with what a client that
--- knows the envelope had put there.
--- @param call Call
--- @param candidate Candidate
--- @param body string
--- @return string
function M.prepare(call, candidate, body)
  local given = call.envelope
  -- The API does not know tiers.  A translated body has no model, and this spelling only.
  if call.same_dialect then
    body = body_of.without(body, "model", "serviceTier", "service_tier")
    body = body_of.fit_thinking(body, candidate)
    if not given then body = body_of.fit_contents(rename_system(body), true) end
  else
    if json.get(body, "serviceTier") ~= nil then
      body = assert(json.splice(body, "serviceTier", nil))
    end
    if given then body = restore_session(call, body) end
  end
  if call.operation == "count" then
    body = body_of.without(body, table.unpack(not_counted))
    return envelopes.close(assert(json.splice(body, "model", "models/" .. candidate.model)), {})
  end
  local members = envelopes.beside(given or {}, "model", "project")
  members.model = candidate.model
  members.project = (candidate.credential.facts or {}).project_id
  return envelopes.close(body, members)
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base = upstream.base(credential)
  if not base then return nil, errors.new("internal", "the account has no address") end
  local headers = { ["user-agent"] = upstream.AGENT }
  google.pass_on(headers, call)
  headers["content-type"] = "application/json"
  headers["accept"] = call.upstream_stream and "text/event-stream" or "application/json"
  headers["authorization"] = "Bearer {secret}"
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. "/v1internal" .. google.method(call),
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

local function says_retired(message)
  for _, words in ipairs(models.retired) do
    if find(message, words, 1, true) then return true end
  end
  return false
end

--- What an error means here beyond what it means at Google in general.
--- @param problem Problem
--- @return Problem
function M.judge(problem)
  local status = problem.status
  -- All paths are the same: what was not found is the model, or not for this account.
  if status == 404 and problem.shape == "gemini" then
    problem.verdict = problem.verdict or "unsupported"
  end
  if (status == 403 or status == 400) and says_retired(problem.message) then
    problem.verdict, problem.scope = "forbidden", "credential"
    problem.message = problem.message .. " (Google ended Gemini CLI logins of individuals on "
      .. "2026-06-18; seats of Code Assist Standard and Enterprise still work, and API keys do)"
  end
  return problem
end

--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem
function M.classify(status, body, response)
  return M.judge((google_errors.classify(status, body, response)))
end

--- Where a whole answer of the counting endpoint has its number.
M.counts = "totalTokens"

return M
