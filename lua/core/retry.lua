--- The walk over candidates: who is tried next, how often, and which error is told at the end.

local config = require "config"
local errors = require "lib.errors"
local log = require "log"
local selector = require "core.selector"
local trace = require "core.trace"

local M = {}

-- How much an error tells the user; see `more_useful`.
local rank = {
  quota = 4, unauthorized = 3, payment_required = 3, forbidden = 3, unsupported = 2,
  transient = 1, other = 1,
}

local function more_useful(best, problem, verdict)
  problem.verdict = verdict
  if not best then return problem end
  local a, b = rank[best.verdict] or 0, rank[verdict] or 0
  if a ~= b then return b > a and problem or best end
  local sooner = (problem.retry_after or math.huge) < (best.retry_after or math.huge)
  return verdict == "quota" and sooner and problem or best
end

local function note_failure(call, candidate, problem, verdict)
  trace.failed(call, candidate, problem, verdict)
  log.warn("%s (%s) failed for model %s: %d %s: %s", candidate.credential.name,
    candidate.credential.label, call.model, errors.status(problem, "chat"), verdict,
    (problem.message:sub(1, 512):gsub("%c", " ")))
end

-- Seconds until a further round makes sense, or nil.
local function pause_before(resolution, failures, round)
  local shortest
  for _, group in ipairs(resolution.groups) do
    for _, candidate in ipairs(group.candidates) do
      local reason, seconds = selector.blocked(candidate)
      -- What failed in this very request may be asked again soon.
      if not reason or reason == "transient" and failures[candidate] == "transient" then
        seconds = round
      end
      if seconds and (not shortest or seconds < shortest) then shortest = seconds end
    end
  end
  if not shortest or shortest > (config.values["max-retry-interval"] or 30) then return nil end
  return shortest + math.random() * math.min(shortest / 4, 2)
end

--- Serves a call with the first candidate that can.
--- @param call Call
--- @param resolution table
--- @param attempt fun(call: Call, candidate: Candidate): Problem?  nil: the client has its answer;
---   with `call.sent` set the client has part of one, and nobody else can be tried
--- @param pause fun(call: Call, seconds: number)
--- @return Problem?
function M.run(call, resolution, attempt, pause)
  local best, failures
  local rounds = config.values["request-retry"] or 0
  local limit = config.values["max-retry-credentials"] or 0
  for round = 0, rounds do
    local again = false
    local order = selector.order(resolution, call, failures)
    for i = 1, limit > 0 and math.min(limit, #order) or #order do
      local candidate = order[i]
      local problem = attempt(call, candidate)
      if not problem then
        selector.succeeded(candidate)
        return nil
      end
      local verdict = selector.verdict(problem)
      note_failure(call, candidate, problem, verdict)
      selector.failed(resolution, candidate, problem, verdict)
      if call.sent or verdict == "request" then return problem end
      failures = failures or {}
      failures[candidate] = verdict
      best = more_useful(best, problem, verdict)
      again = again or verdict == "transient" or verdict == "quota" or verdict == "forbidden"
      if i < #order then selector.advance(resolution, candidate) end
    end
    if not best then return selector.exhausted(resolution) end
    if not again or round == rounds then return best end
    local seconds = pause_before(resolution, failures, round + 1)
    if not seconds then return best end
    pause(call, seconds)
  end
  return best
end

return M
