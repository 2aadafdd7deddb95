--- Claude, with an API key: Anthropic itself, or any service that speaks its Messages API.

local catalogue = require "models.catalogue_claude"
local errors = require "lib.errors"
local json = require "json"
local upstream = require "lib.upstream"

local concat, find, match = table.concat, string.find, string.match

-- Long answers that are not streamed get cut on their way: those we translate are always streamed.
local M = { name = "claude", dialect = "anthropic", streams = "translated" }

local VERSION = "2023-06-01"

-- What a client of this very API says about itself; `anthropic-beta` is joined with the body's.
local passed = {
  ["user-agent"] = true, ["x-app"] = true, ["x-client-request-id"] = true, ["x-client-app"] = true,
}
local passed_prefixes = { "anthropic-", "x-stainless-", "x-claude-code-", "x-claude-remote-",
  "x-anthropic-additional-protection" }

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

--- Moves `betas` of a body into the header.
--- @param call Call
--- @param _ Candidate
--- @param body string
--- @return string
function M.prepare(call, _, body)
  call.betas = nil
  if call.operation == "count" then
    body = assert(json.splice_all(body, { { "max_tokens" }, { "stream" } }))
  end
  if not find(body, '"betas"', 1, true) then return body end
  local betas = json.get(body, "betas")
  if json.type(betas) ~= "array" then return body end
  local list = json.decode(betas)
  for _, beta in ipairs(list) do
    if type(beta) ~= "string" or find(beta, "[^%w%-_.]") then return body end
  end
  call.betas = list
  return assert(json.splice(body, "betas", nil))
end

-- The betas of header and body, each once, in the order they were given.
local function betas_of(header, more)
  if not more then return header end
  local list, seen = {}, {}
  local function add(beta)
    if beta ~= "" and not seen[beta] then
      seen[beta] = true
      list[#list + 1] = beta
    end
  end
  for beta in (header or ""):gmatch("[^,%s]+") do add(beta) end
  for _, beta in ipairs(more) do add(beta) end
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
  local base = upstream.base(credential)
  if not base then return nil, errors.new("internal", "the entry has no base-url") end
  local headers = { ["user-agent"] = upstream.AGENT }
  if call.same_dialect then upstream.pass_on(headers, call.client, passed, passed_prefixes) end
  headers["content-type"] = "application/json"
  headers["anthropic-version"] = headers["anthropic-version"] or VERSION
  headers["anthropic-beta"] = betas_of(headers["anthropic-beta"], call.betas)
  headers["accept"] = call.upstream_stream and "text/event-stream" or "application/json"
  if credential.kind == "api_key" then
    if is_official(base) then
      headers["x-api-key"] = "{secret}"
    else
      headers["authorization"] = "Bearer {secret}"
    end
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

return M
