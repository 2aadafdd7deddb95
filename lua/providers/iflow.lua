--- iFlow, by accounts logged in to it.  The service closed in April 2026.

local catalogue = require "models.catalogue_iflow"
local chat_request = require "lib.chat_account"
local errors = require "lib.errors"
local json = require "json"
local upstream = require "lib.upstream"

local match = string.match

local M = { name = "iflow", dialect = "chat" }

local OVER = " (iFlow closed on 2026-04-17)"

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

--- Streams with an empty list of tools are refused.
--- @param _ Call
--- @param _ Candidate
--- @param body string
--- @return string
function M.prepare(_, _, body)
  local tools = json.get(body, "tools")
  if not json.is_raw(tools) or not match(tostring(tools), "^%[%s*%]$") then return body end
  return assert(json.splice_all(body, { { "tools" }, { "tool_choice" } }))
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest
function M.request(call, candidate)
  return chat_request.new(call, candidate)
end

-- What the service's own numbers mean.
local codes = { [434] = 401, [438] = 401, [439] = 401, [449] = 429, [435] = 404 }

--- Errors come with status 200 too: `{"status":"434","msg":"Invalid apiKey","body":null}`.
--- @param text string
--- @return Problem?
function M.inspect(text)
  local _, code, message, choices = json.peek(text, "status", "msg", "choices")
  if choices ~= nil or type(message) ~= "string" then return nil end
  local number = tonumber(code)
  local status = codes[number] or 502
  local problem = errors.new("upstream", ("%s (iFlow's error %s)"):format(message, tostring(code)),
    { status = status, in_answer = true })
  if number == 435 then problem.verdict = "unsupported" end
  return problem
end

--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem?
function M.classify(status, body, response)
  if status ~= 401 and status ~= 403 and status ~= 404 then return nil end
  local problem = errors.from_status(status, body, response, "chat")
  if status == 404 and errors.about_model(problem) then return problem end
  problem.message, problem.body = problem.message .. OVER, nil
  return problem
end

return M
