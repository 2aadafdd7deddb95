--- The walk over candidates: who is tried next, how often, and which error is told at the end.

local config = require "config"
local cooldowns = require "core.cooldowns"
local errors = require "lib.errors"
local log = require "log"
local plans = require "core.plans"
local previews = require "core.previews"
local selector = require "core.selector"
local shortage = require "core.shortage"
local timer = require "timer"
local trace = require "core.trace"
local verdicts = require "core.verdicts"

local M = {}

-- How much an error tells the user; see `more_useful`.
local rank = {
  quota = 4, unauthorized = 3, needs_login = 3, payment_required = 3, forbidden = 3, challenge = 3,
  unsupported = 2, transient = 1, other = 1,
}

-- After these a further round may do better.
local passing = { transient = true, quota = true, forbidden = true, challenge = true }

local network = { upstream_unreachable = true, upstream_timeout = true, bad_upstream = true }

local function more_useful(best, problem, verdict)
  problem.verdict = verdict
  if not best then return problem end
  local a, b = rank[best.verdict] or 0, rank[verdict] or 0
  if a ~= b then return b > a and problem or best end
  local sooner = (problem.retry_after or math.huge) < (best.retry_after or math.huge)
  return verdict == "quota" and sooner and problem or best
end

local function what_was_said(problem)
  return (errors.status(problem, "chat") .. " " .. problem.message:sub(1, 512)):gsub("%c", " ")
end

-- Notes what a failure means, for others too.
local function judge(call, resolution, candidate, problem, since)
  local verdict, stop = verdicts.on(problem, candidate)
  local said = what_was_said(problem)
  trace.failed(call, candidate, problem, verdict)
  log.warn("%s (%s) failed for model %s: %s: %s", candidate.credential.name,
    candidate.credential.label, call.model, verdict, said)
  cooldowns.failed(candidate, verdict, problem, since, said,
    verdict == "transient" and not selector.has_others(resolution, candidate))
  previews.failed(candidate, problem)
  return verdict, stop
end

local function begin_passed(call)
  local streaming = config.values.streaming
  return {
    tried = {}, projects = {}, round = 0,
    least = call.stream and streaming and streaming["bootstrap-retries"] or 0,
  }
end

-- One pass over the candidates.  Returns true when the client has its answer, else the problem to
-- tell it at once, if there is one.
local function walk(call, resolution, attempt, state)
  local limit = config.values["max-retry-credentials"] or 0
  local passed, tries, candidate = state.passed, 0, nil
  while limit <= 0 or tries < limit do
    candidate = candidate or selector.pick(resolution, call, passed)
    if not candidate then return false end
    tries, state.asked = tries + 1, true
    local since = timer.now()
    local problem = attempt(call, candidate)
    if not problem then
      cooldowns.succeeded(candidate, since)
      return true
    end
    local verdict, stop = judge(call, resolution, candidate, problem, since)
    if call.sent or stop then return false, problem end
    passed = passed or begin_passed(call)
    state.passed = passed
    candidate = selector.pass(passed, candidate, verdict)
    state.best = more_useful(state.best, problem, verdict)
    state.again = state.again or passing[verdict] or network[problem.class]
  end
  return false
end

-- What the client is told when everything was tried.
local function final(call, resolution, state)
  local best = state.best
  if not best then return shortage.problem(resolution, call) end
  if best.verdict == "quota" and not best.retry_after then
    best.retry_after = shortage.earliest(resolution)
  end
  return best
end

--- Serves a call with the first candidate that can.
--- @param call Call
--- @param resolution table
--- @param attempt fun(call: Call, candidate: Candidate): Problem?  nil: the client has its answer;
---   with `call.sent` set the client has part of one, and nobody else can be tried
--- @param pause fun(call: Call, seconds: number)
--- @return Problem?
function M.run(call, resolution, attempt, pause)
  local state = {}
  local done, problem = walk(call, resolution, attempt, state)
  if done or problem then return problem end
  local passed = state.passed or begin_passed(call)
  local rounds = math.max(plans.of(resolution).most_rounds, passed.least)
  for round = 1, rounds do
    -- Where nobody could be asked, they may rest for a short while only.
    if state.asked and not state.again then break end
    passed.round, passed.tried = round, {}
    local seconds = shortage.pause(resolution, passed, call)
    if not seconds then break end
    pause(call, seconds)
    state.passed, state.again, state.asked = passed, false, false
    done, problem = walk(call, resolution, attempt, state)
    if done or problem then return problem end
  end
  return final(call, resolution, state)
end

return M
