--- Codex: the ChatGPT backend by a login, or the Responses API behind a base URL by an API key.
--- Always streamed, nothing stored.

local catalogue = require "models.catalogue_codex"
local caps = require "lib.caps"
local codex_body = require "lib.codex_body"
local codex_limits = require "lib.codex_limits"
local errors = require "lib.errors"
local json = require "json"
local signatures = require "lib.signatures"
local upstream = require "lib.upstream"

local find = string.find

local M = { name = "codex", dialect = "responses", variant = "codex", streams = "always" }

-- What we call ourselves where a client says nothing of its own.
local ORIGINATOR = "cli-proxy-api"
local LITE = "x-openai-internal-codex-responses-lite"

-- What Codex CLI says about itself; "session_id" is written with an underscore.
local passed = {
  ["originator"] = true, ["user-agent"] = true, ["version"] = true, ["session-id"] = true,
  ["session_id"] = true, ["conversation_id"] = true, ["thread-id"] = true,
  ["x-client-request-id"] = true, [LITE] = true, ["x-openai-subagent"] = true,
  ["openai-beta"] = true,
}
local passed_prefixes = { "x-codex-" }

-- Whether a plan has a model, and how much of it.
local function fit(model, plan)
  local wanted = catalogue.plans[model.plan] or 0
  if plan and (catalogue.plans[plan] or math.huge) < wanted then return nil end
  if plan == "pro" and model.context_of_pro then model.context_length = model.context_of_pro end
  return model
end

--- The models of the entry or of the login's plan; of a plan nobody described, all.
--- @param credential Credential
--- @return Model[]
function M.models(credential)
  local all = upstream.models(credential, catalogue)
  if credential.kind ~= "oauth" then return all end
  local plan, list = (credential.facts or {}).plan, {}
  plan = type(plan) == "string" and plan:lower() or nil
  for _, model in ipairs(all) do list[#list + 1] = fit(model, plan) end
  return list
end

local function is_backend(candidate)
  local base = upstream.base(candidate.credential)
  return base ~= nil and find(base, "/backend%-api/codex$") ~= nil
end

--- Other hosts of the dialect take what the backend of ChatGPT refuses.
--- @param candidate Candidate
--- @return string?
function M.profile(candidate)
  return not is_backend(candidate) and "platform" or nil
end

local function set_effort(body, effort)
  local has_reasoning = json.type(json.get(body, "reasoning")) == "object"
  if has_reasoning then return assert(json.splice(body, { "reasoning", "effort" }, effort)) end
  return assert(json.splice(body, "reasoning", { effort = effort }))
end

--- What this upstream needs in a body of the Responses API.
--- @param call Call
--- @param candidate Candidate
--- @param body string
--- @return string? body
--- @return Problem? problem
function M.prepare(call, candidate, body)
  local effort = candidate.entry and candidate.entry.effort
  if call.base ~= M.dialect then
    -- The translator has obeyed the other rules.
    return effort and set_effort(body, effort) or body
  end
  if call.without_thinking then
    -- Items of stored answers have come in since the client's own were taken out.
    local known = caps.of(candidate.model, M.name, candidate.credential.entry)
    body = signatures.strip(M.dialect, body, known)
  end
  local edited, fault = codex_body.adapt(body, {
    platform = not is_backend(candidate), is_lite = call.client:header(LITE) == "true",
    is_compact = call.operation == "compact", effort = effort,
  })
  if edited then return edited end
  return nil, errors.new("bad_json", "could not parse the JSON body: " .. tostring(fault),
    { verdict = "request" })
end

-- Requests with one key are led to one cache.
local function add_session(headers, call)
  if headers["session_id"] or headers["session-id"] then return end
  local key = json.get(call.payload, "prompt_cache_key")
  if type(key) == "string" and key ~= "" and #key <= 256 and not find(key, "[^%g]") then
    headers["session_id"] = key
  end
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base = upstream.base(credential)
  if not base then return nil, errors.new("internal", "the entry has no base-url") end
  local headers = { ["user-agent"] = upstream.AGENT }
  if call.base == M.dialect then
    upstream.pass_on(headers, call.client, passed, passed_prefixes)
  end
  headers["content-type"] = "application/json"
  headers["accept"] = call.upstream_stream and "text/event-stream" or "application/json"
  if credential.kind ~= "none" then headers["authorization"] = "Bearer {secret}" end
  if credential.kind == "oauth" then
    headers["chatgpt-account-id"] = (credential.facts or {}).account_id
    headers["originator"] = headers["originator"] or ORIGINATOR
  end
  add_session(headers, call)
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. (call.operation == "compact" and "/responses/compact" or "/responses"),
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

--- An answer's headers that the client gets.
M.returned = { "x-codex-turn-state" }

--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem
function M.classify(status, body, response)
  local problem = errors.from_status(status, body, response, "responses")
  return problem.class == "upstream" and codex_limits.judge(problem, response, body) or problem
end

--- The same for an error inside a stream that began well.
M.judge = codex_limits.judge

return M
