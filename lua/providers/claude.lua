--- Claude: Anthropic itself, by a login (Pro, Max, Team) or an API key, and any service that speaks
--- its Messages API.

local catalogue = require "models.catalogue_claude"
local config = require "config"
local errors = require "lib.errors"
local json = require "json"
local limits = require "lib.anthropic_limits"
local upstream = require "lib.upstream"

local concat, find, insert, match = table.concat, string.find, table.insert, string.match

-- Long answers that are not streamed get cut on their way: those we translate are always streamed.
local M = { name = "claude", dialect = "anthropic", streams = "translated" }

local VERSION = "2023-06-01"

-- Without it the API refuses the tokens of logins.  Claude Code names it behind the first.
local OAUTH_BETA, CODE_BETA = "oauth-2025-04-20", "claude-code-20250219"

-- What a client of this very API says about itself; `anthropic-beta` is joined with the body's.
local passed = {
  ["user-agent"] = true, ["x-app"] = true, ["x-client-request-id"] = true, ["x-client-app"] = true,
}
local passed_prefixes = { "anthropic-", "x-stainless-", "x-claude-code-", "x-claude-remote-",
  "x-anthropic-additional-protection" }

-- Members of a request that its counting twin refuses.
local not_counted = {
  { "max_tokens" }, { "stream" }, { "metadata" }, { "context_management" }, { "diagnostics" },
}

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

-- A login's token is one as well when it stands in the place of an API key.
local function is_oauth(credential)
  return credential.kind == "oauth" or (credential.facts or {}).is_oauth == true
end

local function is_claude_code(call)
  local agent = call.client:header("user-agent") or ""
  return call.dialect == "anthropic"
    and (find(agent, "^claude%-cli/") or find(agent, "^claude%-code/")) ~= nil
end

--- Whether a credential may serve a call.
--- @param call Call
--- @param credential Credential
--- @return boolean
--- @return string? reason
function M.admits(call, credential)
  if config.values["claude-oauth-clients"] ~= "claude-code-only" or not is_oauth(credential)
      or is_claude_code(call) then
    return true
  end
  return false, "kept for Claude Code by claude-oauth-clients"
end

--- Moves `betas` of a body into the header.
--- @param call Call
--- @param _ Candidate
--- @param body string
--- @return string
function M.prepare(call, _, body)
  call.betas = nil
  if call.operation == "count" then body = assert(json.splice_all(body, not_counted)) end
  -- Only clients of this very API can have named some.
  if call.base ~= M.dialect or not find(body, 'betas"', 1, true) then return body end
  local betas = json.get(body, "betas")
  if json.type(betas) ~= "array" then return body end
  local list = json.decode(betas)
  if not list then return body end -- nested too deeply: the API says so
  for _, beta in ipairs(list) do
    if type(beta) ~= "string" or find(beta, "[^%w%-_.]") then return body end
  end
  call.betas = list
  return assert(json.splice(body, "betas", nil))
end

-- The betas of header and body, each once, in the order they were given; and the login's own.
local function betas_of(header, more, with_oauth)
  if not more and not with_oauth then return header end
  local list, seen = {}, {}
  local function add(beta)
    if beta ~= "" and not seen[beta] then
      seen[beta] = true
      list[#list + 1] = beta
    end
  end
  for beta in (header or ""):gmatch("[^,%s]+") do add(beta) end
  for _, beta in ipairs(more or {}) do add(beta) end
  if with_oauth and not seen[OAUTH_BETA] then
    local at = #list + 1
    for i, beta in ipairs(list) do
      if beta == CODE_BETA then at = i + 1 end
    end
    insert(list, at, OAUTH_BETA)
  end
  return #list > 0 and concat(list, ",") or nil
end

local function is_official(base)
  return match(base .. "/", "^https://api%.anthropic%.com[:/]") ~= nil
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base, with_oauth = upstream.base(credential), is_oauth(credential)
  if not base then return nil, errors.new("internal", "the entry has no base-url") end
  local headers = { ["user-agent"] = upstream.AGENT }
  if call.base == M.dialect then
    upstream.pass_on(headers, call.client, passed, passed_prefixes)
  end
  headers["content-type"] = "application/json"
  headers["anthropic-version"] = headers["anthropic-version"] or VERSION
  headers["anthropic-beta"] = betas_of(headers["anthropic-beta"], call.betas, with_oauth)
  headers["accept"] = call.upstream_stream and "text/event-stream" or "application/json"
  if with_oauth or credential.kind == "api_key" and not is_official(base) then
    headers["authorization"] = "Bearer {secret}"
  elseif credential.kind == "api_key" then
    headers["x-api-key"] = "{secret}"
  end
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. (call.operation == "count" and "/v1/messages/count_tokens?beta=true"
      or "/v1/messages?beta=true"),
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

--- Where a whole answer of the counting endpoint has its number.
M.counts = "input_tokens"

--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem
function M.classify(status, body, response)
  local problem = errors.from_status(status, body, response, M.dialect)
  return problem.class == "upstream" and limits.judge(problem, response) or problem
end

--- The same for an error inside a stream that began well.
M.judge = limits.judge

return M
