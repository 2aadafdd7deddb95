--- What refusals of Codex upstreams mean for a credential: how long they last and what they cover.

local problems = require "lib.problems"

local find, lower, match, sub = string.find, string.lower, string.match, string.sub

local M = {}

-- A plan's own limit says when it ends (lib.errors); others may in other ways.
local function judge_limit(problem, response)
  local ms = response and match(response:header("retry-after-ms") or "", "^%d+$")
  problem.retry_after = problem.retry_after or ms and tonumber(ms) / 1000
    or problems.wait_in(problem.message)
end

local function is_page(response, body)
  local kind = response and response:header("content-type")
  if kind and find(lower(kind), "text/html", 1, true) then return true end
  local head = lower(sub(body or "", 1, 512))
  return find(head, "<html", 1, true) ~= nil or find(head, "<!doctype html", 1, true) ~= nil
end

--- Adds what a problem means for the credential.
--- @param problem Problem  of class "upstream"
--- @param response Response?  nil for an error inside a stream
--- @param body string?
--- @return Problem
function M.judge(problem, response, body)
  local kind, code = problem.kind, problem.code
  if kind == "usage_not_included" or code == "usage_not_included" then
    problem.message = problem.message .. " (the account's plan does not include Codex)"
    problem.verdict, problem.scope = "payment_required", "credential"
  elseif kind == "insufficient_quota" or code == "insufficient_quota" then
    problem.verdict, problem.scope = "payment_required", "credential"
  elseif problem.status == 429 then
    judge_limit(problem, response)
  elseif problem.status == 403 and is_page(response, body) then
    problem.message = "refused by the network in front of the API, not by the API itself: "
      .. problem.message
    problem.code, problem.scope = "edge_refusal", "credential"
  end
  return problem
end

return M
