--- One exchange with one candidate, where both ends speak the same dialect: bytes go through.
---
--- An attempt ends with nil (the client has its answer) or a problem.  `call.sent` tells that
--- content reached the client, so that nobody else can be tried; a head with keep-alives alone does
--- not count.

local config = require "config"
local chat = require "lib.chat"
local errors = require "lib.errors"
local http = require "http"
local json = require "json"
local log = require "log"
local relays = require "lib.relay"
local retry = require "core.retry"
local router = require "core.router"
local streams = require "models.streams"
local timer = require "timer"

local find = string.find

local ERROR_MAX = 1024 * 1024

local M = {}

-- Headers of answers; the tables are never changed.
local STREAM = {
  ["Content-Type"] = "text/event-stream",
  ["Cache-Control"] = "no-cache",
  ["X-Accel-Buffering"] = "no",
}
local WHOLE = { ["Content-Type"] = "application/json" }

-- Upstream headers that `passthrough-headers` never forwards: they are about the upstream's
-- connection or about the body as it was there, or ours to set.
local kept_back = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-authenticate"] = true,
  ["proxy-authorization"] = true, ["te"] = true, ["trailer"] = true,
  ["transfer-encoding"] = true, ["upgrade"] = true, ["set-cookie"] = true,
  ["content-length"] = true, ["content-encoding"] = true, ["content-type"] = true,
  ["cache-control"] = true, ["date"] = true, ["vary"] = true, ["alt-svc"] = true,
  ["strict-transport-security"] = true, ["x-request-id"] = true, ["x-accel-buffering"] = true,
}

-- The body for the upstream: the client's bytes but for its model's name, and for streams the wish
-- to be told the usage.
local function payload_of(call, candidate)
  local body = call.body
  if candidate.model ~= call.model then
    body = assert(json.splice(body, "model", candidate.model))
  end
  if call.stream and candidate.credential.entry["stream-usage"] ~= false then
    body = chat.ask_usage(body, call)
  end
  return body
end

local function forward_headers(call, response)
  local after = response:header("retry-after")
  if after then call.client:set_header("Retry-After", after) end
  if config.values["passthrough-headers"] ~= true then return end
  for name, value in pairs(response:headers()) do
    if not kept_back[name] and find(name, "^[%w_%-]+$")
        and find(name, "access-control-", 1, true) ~= 1 then
      call.client:set_header(name, value)
    end
  end
end

local function open(call, candidate)
  local credential = candidate.credential
  candidate.facts = candidate.facts
    or { credential = credential.label, provider = credential.name }
  call.client:note(candidate.facts)
  log.debug("Use %s %s for model %s", credential.name, credential.label, candidate.model)
  call.candidate = candidate
  call.payload = payload_of(call, candidate)
  local provider = candidate.provider
  if provider.open then return provider.open(call, candidate) end
  local request, problem = provider.request(call, candidate)
  if not request then return nil, problem end
  return http.start(request)
end

-- Fills a silence.  The first one commits the head: from then on errors are told in the stream.
local function keep_alive(call)
  local client = call.client
  if not client.started then client:start(200, STREAM) end
  client:write(streams[call.rules or "chat"].keep_alive)
end

-- Waits for the head of an answer; nil when it is a good one.
local function await(call, candidate, response)
  while true do
    local ready, err = response:wait(call.keepalive)
    if ready then break end
    if ready == nil then return errors.from_http(err) end
    keep_alive(call)
  end
  local status = response.status
  if status >= 200 and status < 300 then return nil end
  local body = response:body(ERROR_MAX) or ""
  local provider = candidate.provider
  local problem = provider.classify and provider.classify(status, body, response)
  return problem or errors.from_status(status, body, response, provider.dialect)
end

local function is_stream(response)
  local kind = response:header("content-type")
  return kind ~= nil and find(kind, "event-stream", 1, true) ~= nil
end

-- Reads a whole answer and finds errors that came with status 200.
local function read_whole(call, candidate, response)
  if is_stream(response) then return chat.collect(response, candidate.provider.dialect) end
  local text, err = response:body()
  if not text then return nil, errors.from_http(err) end
  local fine, found, model = json.peek(text, "error", "model")
  if not fine then
    return nil, errors.new("bad_upstream", "the upstream's answer is not JSON")
  end
  if found ~= nil and found ~= json.null then
    return nil, errors.from_event(text, candidate.provider.dialect)
  end
  return text, nil, model
end

--- Gets a whole answer from a candidate, in the provider's dialect.
--- @param call Call
--- @param candidate Candidate
--- @return string? text  with the client's name of the model
--- @return Problem? problem
function M.fetch(call, candidate)
  local response <close>, err = open(call, candidate)
  if not response then return nil, errors.from_http(err) end
  local problem = await(call, candidate, response)
  if problem then return nil, problem end
  local text, model
  text, problem, model = read_whole(call, candidate, response)
  if not text then return nil, problem end
  forward_headers(call, response)
  if type(model) == "string" and model ~= call.model then
    text = assert(json.splice(text, "model", call.model))
  end
  return text
end

local function whole(call, candidate)
  local text, problem = M.fetch(call, candidate)
  if not text then return problem end
  call.client:respond(200, WHOLE, text)
end

-- The first event decides whether this candidate serves: nothing was sent yet.
local function first_event(call, candidate, response)
  while true do
    local kind, name, data = response:next_event(call.keepalive)
    if kind == "idle" then
      keep_alive(call)
    elseif kind == "broken" then
      return errors.from_http(name)
    elseif kind == "end" then
      return errors.new("bad_upstream", "the upstream ended the stream before it began",
        { code = "broken" })
    elseif data == "[DONE]" then
      return errors.new("bad_upstream", "the upstream's stream is empty", { code = "empty" })
    elseif chat.is_error(data) then
      return errors.from_event(data, candidate.provider.dialect)
    elseif chat.is_object(data) then
      return nil, name, data
    end
    -- Frames that are not JSON are skipped.
  end
end

-- A watched event: an error, or usage.  Returns the problem, or nothing.
local function watched(call, candidate, relay, name, data)
  if chat.is_error(data) then return errors.from_event(data, candidate.provider.dialect) end
  call.usage = data
  if call.usage_added and chat.is_usage_only(data) then return nil end
  relay:send(name, data)
end

-- Copies the rest of a stream.
local function copy(call, candidate, relay, finished)
  while true do
    local kind, detail, data = relay:next(call.keepalive)
    if kind == "event" then
      local problem = watched(call, candidate, relay, detail, data)
      if problem then return problem end
    elseif kind == "idle" then
      keep_alive(call)
    elseif kind == "done" or finished or relay.finished then
      -- Some upstreams close without the terminal event, or are cut after the answer is complete.
      return nil
    elseif kind == "end" then
      return errors.new("bad_upstream",
        "the upstream ended the stream before the answer was complete", { code = "broken" })
    else
      return errors.from_http(detail)
    end
  end
end

local function finish(call)
  if call.more then return end
  local client = call.client
  client:write(streams[call.rules or "chat"].ending)
  client:finish()
end

-- An upstream that answers a stream request with one JSON body: its events are made here.
local function unfold(call, candidate, response)
  local text, problem = read_whole(call, candidate, response)
  if not text then return problem end
  local client = call.client
  local relay = relays.new(client, nil, call.relay_rules, call.convert)
  local events = chat.unfold(text)
  if not events then
    return errors.new("bad_upstream", "the upstream's answer is not a chat completion")
  end
  if not client.started then client:start(200, STREAM) end
  call.sent = true
  for _, data in ipairs(events) do
    if not (call.usage_added and chat.is_usage_only(data)) then relay:send("", data) end
  end
  finish(call)
end

local function stream(call, candidate)
  local response <close>, err = open(call, candidate)
  if not response then return errors.from_http(err) end
  local problem = await(call, candidate, response)
  if problem then return problem end
  if not is_stream(response) then return unfold(call, candidate, response) end
  local name, data
  problem, name, data = first_event(call, candidate, response)
  if problem then return problem end

  local client = call.client
  if not client.started then
    forward_headers(call, response)
    client:start(200, STREAM)
  end
  call.sent = true
  local relay = (call.convert or candidate.provider.open)
    and relays.new(client, response, call.relay_rules, call.convert)
    or client:relay(response, call.relay_rules)
  -- Through the same gate as the others: usage may come first, or the answer be one event.
  watched(call, candidate, relay, name, data)
  problem = copy(call, candidate, relay, chat.is_finished(data))
  if problem then return problem end
  finish(call)
end

--- Waits between two rounds; a stream's client is kept informed.
--- @param call Call
--- @param seconds number
function M.pause(call, seconds)
  local keepalive = call.keepalive
  while keepalive and seconds > keepalive do
    timer.sleep(keepalive)
    keep_alive(call)
    seconds = seconds - keepalive
  end
  timer.sleep(seconds)
end

-- The relay's rules for a call: those of the dialect, and the name the client knows.
local function rules_for(call)
  local rules = streams.chat
  return {
    names = rules.names, rename = rules.rename, model = call.model, watch = rules.watch,
    finish = rules.finish, terminal = rules.terminal,
  }
end

--- Prepares a call for being served by `attempt`s.
--- @param call Call
function M.prepare(call)
  if not call.stream then return end
  local seconds = config.values.streaming["keepalive-seconds"]
  call.keepalive = seconds and seconds > 0 and seconds or nil
  call.relay_rules = rules_for(call)
end

--- Serves a call whose answer goes to the client as it comes.
--- @param call Call
--- @param resolution table
--- @return Problem?
function M.run(call, resolution)
  return retry.run(call, resolution, call.stream and stream or whole, M.pause)
end

--- Serves a model call.
--- @param call Call
--- @return Problem?
function M.serve(call)
  call.client:note { model = call.model, dialect = call.dialect }
  local resolution, problem = router.resolve(call.model)
  if not resolution then return problem end
  M.prepare(call)
  return M.run(call, resolution)
end

--- Tells the client a problem: as the answer, or in the stream that has begun.
--- @param call Call
--- @param problem Problem
function M.fail(call, problem)
  local client = call.client
  if not client.started then return errors.respond(client, problem, call.dialect) end
  client:write(errors.event(problem, call.dialect))
  client:finish()
end

return M
