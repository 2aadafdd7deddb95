--- One exchange with one candidate whose upstream speaks another dialect, through lib.hub.
---
--- Ends as passthrough does: nil, or a problem.  Errors of the upstream are told apart here, before
--- the hub sees them, so that another candidate can be tried as long as nothing was sent.

local attempt = require "core.attempt"
local crypto = require "crypto"
local dialects = require "lib.dialects"
local errors = require "lib.errors"
local hub = require "lib.hub"
local problems = require "lib.problems"
local reject = require "lib.reject"
local replays = require "core.replays"
local timer = require "timer"
local warnings = require "lib.warnings"

local concat, floor = table.concat, math.floor
local problem_of = dialects.problem

local M = {}

-- The problem that a translator refused with; anything else raised is a bug.
local function refusal(raised)
  if not reject.is(raised) then error(raised, 0) end
  return errors.new(raised.class, raised.message, { param = raised.param })
end

-- Calls the hub; what a translator refuses becomes a problem.
local function guarded(work, ...)
  local fine, value, more = pcall(work, ...)
  if fine then return value, more end
  return nil, refusal(value)
end

-- A random id; only answers have them.
local function unique(prefix, length)
  return prefix .. crypto.hex(crypto.random((length + 1) // 2)):sub(1, length)
end

-- What the hub has to know about both ends.  A gemini_cli client's request is unwrapped already.
local function context(call, candidate)
  local provider = candidate.provider
  return hub.context {
    client = { dialect = call.base, agent = call.client:header("user-agent") },
    upstream = {
      dialect = provider.dialect, variant = provider.variant,
      profile = provider.profile and provider.profile(candidate) or nil,
    },
    provider = provider.name,
    entry = candidate.credential.entry,
    model = call.model,
    upstream_model = candidate.model,
    created = floor(timer.wall()),
    unique = unique,
    replay = replays.of(call.principal),
    stream = call.upstream_stream,
    upstream_stream = call.upstream_stream,
    suffix = call.suffix,
    without_thinking = call.without_thinking,
  }
end

-- The body in the provider's dialect.
local function translate(call, candidate, ctx)
  local body, problem = guarded(hub.request, call.body, ctx)
  if not body then
    problem.verdict = problem.verdict or "request"
    return nil, problem
  end
  return body
end

--- A counting request in the provider's dialect.
--- @param call Call
--- @param candidate Candidate
--- @return string? body
--- @return Problem? problem
function M.body(call, candidate)
  return translate(call, candidate, context(call, candidate))
end

local function open(call, candidate)
  local ctx = context(call, candidate)
  local body, problem = translate(call, candidate, ctx)
  if not body then return nil, problem end
  local response
  response, problem = attempt.open(call, candidate, body)
  if not response then return nil, errors.from_http(problem) end
  return response, nil, ctx
end

local function tell_warnings(call, ctx)
  local text = warnings.header(ctx.warnings)
  if text then call.client:set_header("x-translation-warnings", text) end
end

-- Gives the events of a stream to `take` until that says true, or a problem.
local function read_all(call, response, take)
  local candidate, begun = call.candidate, false
  local base, wrapped = candidate.provider.dialect, candidate.provider.envelope
  local next_event = attempt.events(call, response, true)
  while true do
    local kind, name, data = next_event()
    if kind == "event" then
      if wrapped then data = attempt.inside(candidate, data) end
      local problem = problem_of(base, name, data)
      if problem then return problem end
      begun = true
      local done
      done, problem = take(name, data)
      if done or problem then return problem end
    else
      local cut = attempt.cut_short(kind, name, begun, base)
      -- Behind it nothing comes, whatever was left open.
      if kind == "done" and base == "chat" and begun then
        local _, problem = take("", "[DONE]")
        return problem, cut
      end
      return nil, cut
    end
  end
end

-- Reads a stream.  When the upstream ends it, the second result tells how: it counts unless the
-- answer turns out to be whole.
local function read(call, response, take)
  local fine, problem, cut = pcall(read_all, call, response, take)
  if fine then return problem, cut end
  return refusal(problem)
end

--- Folds a stream into one answer of the client's dialect.
--- @param call Call
--- @param candidate Candidate
--- @param response Response
--- @param ctx TranslationContext?  made here when both ends speak the same dialect
--- @return string? text
--- @return Problem? problem
function M.collect(call, candidate, response, ctx)
  if not ctx then
    ctx = context(call, candidate)
    local body, problem = guarded(hub.request, call.body, ctx)
    if not body then return nil, problem end
  end
  local collector = hub.collect(ctx)
  local problem, cut = read(call, response, collector.push)
  if problem then return nil, problem end
  local text
  text, problem = guarded(collector.finish)
  if text then return text end
  return nil, cut or problem
end

--- Gets a whole answer from a candidate, in the client's dialect.
--- @param call Call
--- @param candidate Candidate
--- @return string? text
--- @return Problem? problem
function M.fetch(call, candidate)
  local response <close>, problem, ctx = open(call, candidate)
  if not response then return nil, problem end
  problem = attempt.await(call, candidate, response)
  if problem then return nil, problem end
  local text
  if attempt.is_stream(response) then
    text, problem = M.collect(call, candidate, response, ctx)
  else
    text, problem = attempt.read_whole(candidate, response)
    if text then text, problem = guarded(hub.whole, text, ctx) end
  end
  if not text then return nil, problem end
  attempt.forward_headers(call, response)
  tell_warnings(call, ctx)
  return text
end

-- The bytes of frames, and how many they are.  Nearly all come alone.
local function bytes_of(call, frames)
  local framing, convert = call.framing, call.convert
  local bytes, parts, count = nil, nil, 0
  for i = 1, #frames do
    local name, data = frames[i].name, frames[i].data
    if data ~= "[DONE]" and convert then data = convert(data) end
    if data and data ~= "[DONE]" then
      local part = framing:frame(name, data)
      count = count + 1
      if count == 1 then
        bytes = part
      else
        parts = parts or { bytes }
        parts[count] = part
      end
    end
  end
  return parts and concat(parts) or bytes, count
end

-- Commits the head.
local function start(call, frames, response, ctx)
  local client = call.client
  if not client.started then
    attempt.forward_headers(call, response)
    tell_warnings(call, ctx)
    client:start(200, call.framing.headers)
  end
  if call.base == "responses" then call.answer_id = dialects.id_of(frames[1].data) end
  call.sent = true
end

-- Writes frames; the first ones commit the head.
local function send(call, frames, response, ctx)
  if #frames == 0 then return end
  local bytes, count = bytes_of(call, frames)
  if count == 0 then return end
  if not call.sent then start(call, frames, response, ctx) end
  call.events = (call.events or 0) + count
  call.client:write(bytes)
end

local function finish(call, frames, response, ctx)
  send(call, frames, response, ctx)
  if call.more then return end
  local client = call.client
  if not client.started then client:start(200, call.framing.headers) end
  client:write(call.framing:close())
  client:finish()
end

--- Serves a stream from a whole answer.
--- @param call Call
--- @param candidate Candidate
--- @param response Response
--- @param ctx TranslationContext?
--- @return Problem?
function M.unfold(call, candidate, response, ctx)
  local text, problem = attempt.read_whole(candidate, response)
  if not text then return problem end
  if not ctx then
    ctx = context(call, candidate)
    local body
    body, problem = guarded(hub.request, call.body, ctx)
    if not body then return problem end
  end
  local frames
  frames, problem = guarded(hub.unfold, text, ctx)
  if not frames then return problem end
  finish(call, frames, response, ctx)
end

--- Serves a stream event by event.
--- @param call Call
--- @param candidate Candidate
--- @return Problem?
function M.stream(call, candidate)
  local response <close>, problem, ctx = open(call, candidate)
  if not response then return problem end
  problem = attempt.await(call, candidate, response)
  if problem then return problem end
  if not attempt.is_stream(response) then return M.unfold(call, candidate, response, ctx) end

  local translator, cut = hub.stream(ctx), nil
  local push = translator.push
  problem, cut = read(call, response, function(name, data)
    local frames, done = push(name, data)
    -- Errors, also those behind content, are told by whoever serves the call.
    local failure = done and translator.error()
    if failure then return true, problems.problem(failure) end
    send(call, frames, response, ctx)
    return done
  end)
  if problem then return cut or problem end
  local frames
  frames, problem = guarded(translator.finish)
  if not problem and translator.error() then problem = problems.problem(translator.error()) end
  if problem then return cut or problem end
  finish(call, frames, response, ctx)
end

return M
