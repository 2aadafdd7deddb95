--- Serves model calls: each candidate through passthrough or translation, problems in the client's
--- own form.

local attempt = require "core.attempt"
local config = require "config"
local dialects = require "lib.dialects"
local envelopes = require "lib.envelope"
local errors = require "lib.errors"
local framing = require "lib.framing"
local json = require "json"
local log = require "log"
local passthrough = require "core.passthrough"
local problems = require "lib.problems"
local refreshing = require "core.refreshing"
local retry = require "core.retry"
local router = require "core.router"
local timer = require "timer"
local trace = require "core.trace"
local translation = require "core.translation"

local find, lower = string.find, string.lower

local M = {}

local function fetch(call, candidate)
  attempt.plan(call, candidate)
  local way = call.same_dialect and passthrough or translation
  local text, problem = way.fetch(call, candidate)
  return text, attempt.without_secrets(problem)
end

--- Gets a whole answer from a candidate, in the base dialect of the client.
--- @param call Call
--- @param candidate Candidate
--- @return string? text  with the client's name of the model
--- @return Problem? problem
function M.fetch(call, candidate)
  if candidate.credential.kind ~= "oauth" then return fetch(call, candidate) end
  local text
  local problem = refreshing.around(call, candidate, function()
    local failure
    text, failure = fetch(call, candidate)
    return failure
  end)
  return text, problem
end

-- An answer in Code Assist's envelope: the upstream's own, where it came in one.
local function wrapped(call, candidate, text)
  local own = call.same_dialect and candidate.provider.envelope and call.whole
  if not own then return envelopes.wrap(text) end
  return json.splice(own, "response", json.raw(text)) or envelopes.wrap(text)
end

local function whole(call, candidate)
  local text, problem = M.fetch(call, candidate)
  if not text then return problem end
  if call.dialect == "gemini_cli" then text = wrapped(call, candidate, text) end
  call.client:respond(200, attempt.WHOLE, text)
end

local function stream_once(call, candidate)
  attempt.plan(call, candidate)
  local way = call.same_dialect and passthrough or translation
  return attempt.without_secrets(way.stream(call, candidate))
end

local function stream(call, candidate)
  return refreshing.around(call, candidate, stream_once)
end

-- Serves with a candidate; what an error inside an answer means for it, its provider says.
local function serve_once(serve, call, candidate)
  local problem, judge = serve(call, candidate), candidate.provider.judge
  return problem and problem.in_answer and judge and judge(problem) or problem
end

-- A candidate that refuses a signature or an encrypted item is asked once more without thinking.
local function serve_once_more(serve, call, candidate)
  local problem = serve_once(serve, call, candidate)
  if not problem or call.sent or call.without_thinking or problem.class ~= "upstream"
      or not problems.is_signature(problem) then
    return problem
  end
  log.info("%s refuses the thinking of model %s, once more without it", candidate.credential.name,
    call.model)
  call.without_thinking = true
  return serve_once(serve, call, candidate)
end

--- Waits between two rounds; a stream's client is kept informed.
--- @param call Call
--- @param seconds number
function M.pause(call, seconds)
  local keepalive = call.keepalive
  while keepalive and seconds > keepalive do
    timer.sleep(keepalive)
    attempt.keep_alive(call)
    seconds = seconds - keepalive
  end
  timer.sleep(seconds)
end

--- Prepares a call for being served by `attempt`s.
--- @param call Call
function M.prepare(call)
  call.base = dialects.base(call.dialect)
  if not call.stream then return end
  local seconds = config.values.streaming["keepalive-seconds"]
  call.keepalive = seconds and seconds > 0 and seconds or nil
  call.framing = framing.of(call.client, call.dialect)
end

--- Serves a call whose answer goes to the client as it comes.
--- @param call Call
--- @param resolution table
--- @return Problem?
function M.run(call, resolution)
  local serve = call.stream and stream or whole
  return retry.run(call, resolution, function(_, candidate)
    return serve_once_more(serve, call, candidate)
  end, M.pause)
end

--- Serves a model call.
--- @param call Call
--- @return Problem?
function M.serve(call)
  call.client:note { model = call.model, dialect = call.dialect }
  local resolution, problem
  resolution, problem, call.suffix = router.resolve(call.model)
  if not resolution then return problem end
  M.prepare(call)
  return M.run(call, resolution)
end

--- True for Codex CLI and its like.
--- @param client Client
--- @return boolean
function M.is_codex(client)
  for _, name in ipairs { "originator", "user-agent" } do
    local value = client:header(name)
    if value and find(lower(value), "codex", 1, true) == 1 then return true end
  end
  return false
end

--- Serves POST /v1/responses/compact: for Codex, by upstreams that have it.
--- @param call Call
--- @return Problem?
function M.compact(call)
  local unknown = errors.new("unknown_route", call.client.path .. " not found.")
  if not M.is_codex(call.client) then return unknown end
  call.client:note { model = call.model, dialect = call.dialect }
  local resolution, problem = router.resolve(call.model)
  if not resolution then return problem end
  call.operation, call.stream = "compact", false
  M.prepare(call)
  return retry.run(call, resolution, function(_, candidate)
    if candidate.provider.variant ~= "codex" then
      unknown.verdict = "other" -- somebody else may have it
      return unknown
    end
    return serve_once(whole, call, candidate)
  end, M.pause)
end

--- Tells the client a problem: as the answer, or in the stream that has begun.
--- @param call Call
--- @param problem Problem
function M.fail(call, problem)
  local client = call.client
  trace.ended(client, problem, call.dialect, call)
  if not client.started then return errors.respond(client, problem, call.dialect) end
  local relay = call.relay
  local bytes = errors.event(problem, call.dialect, {
    sequence = relay and relay.events or call.events or 0,
    failed_only = call.base == "responses" and M.is_codex(client),
    model = call.model, created = math.floor(timer.wall()),
    id = call.answer_id or "resp_" .. client.id,
  })
  local frames = call.framing
  client:write(frames and frames:problem(bytes) or bytes)
  client:finish()
end

return M
