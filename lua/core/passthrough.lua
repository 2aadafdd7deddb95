--- One exchange with one candidate, where both ends speak the same dialect: bytes go through.
---
--- An attempt ends with nil (the client has its answer) or a problem.  `call.sent` tells that
--- content reached the client, so that nobody else can be tried; a head with keep-alives alone does
--- not count.

local attempt = require "core.attempt"
local chat = require "lib.chat"
local dialects = require "lib.dialects"
local errors = require "lib.errors"
local json = require "json"
local relays = require "lib.relay"
local responses = require "lib.responses"
local stored = require "core.stored"
local streams = require "models.streams"

local M = {}

local HELD_MAX = require("models.dialects").held_max

-- The rules of the relay for a call: those of the dialect, and the name the client knows.
-- Envelopes are for clients that know them; where the framing puts them on, they are taken off.
local function rules_for(call, candidate)
  local rules, framing = streams[call.base], call.framing
  local wraps = framing.around ~= nil
  local wrapped = candidate.provider.envelope == true
  return {
    names = rules.names, rename = rules.rename, model = call.model, watch = rules.watch,
    finish = rules.finish, terminal = rules.terminal,
    inner = wrapped and "response" or nil,
    unwrap = wrapped and not wraps,
    around = wraps and not wrapped and framing.around or nil,
  }
end

-- The upstream's body, and whether it forgets what it answers.
local function open(call, candidate)
  local body, forgets = attempt.same_body(call, candidate), candidate.provider.variant == "codex"
  local problem
  if forgets then
    body, problem = stored.expand(call, body)
    if not body then return nil, problem end
  end
  call.forgotten = forgets
  return attempt.open(call, candidate, body)
end

-- A stream where one whole answer was wanted.
local function collect(call, candidate, response)
  if call.base == "chat" then return chat.collect(response, candidate.provider.dialect) end
  if call.base == "responses" then return responses.collect(response) end
  -- The others' streams are folded by the hub.
  return require("core.translation").collect(call, candidate, response)
end

--- Gets a whole answer from a candidate.
--- @param call Call
--- @param candidate Candidate
--- @return string? text  with the client's name of the model
--- @return Problem? problem
function M.fetch(call, candidate)
  local response <close>, err = open(call, candidate)
  if not response then return nil, errors.from_http(err) end
  local problem = attempt.await(call, candidate, response)
  if problem then return nil, problem end
  local text, model
  call.whole = nil
  if attempt.is_stream(response) then
    text, problem, model = collect(call, candidate, response)
  else
    text, problem, model, call.whole = attempt.read_whole(candidate, response)
  end
  if not text then return nil, problem end
  if call.forgotten then stored.keep(call, text) end
  attempt.forward_headers(call, response)
  if type(model) == "string" and model ~= call.model then
    text = assert(json.splice(text, dialects.model_member(call.base), call.model))
  end
  return text
end

-- The first event decides whether this candidate serves: nothing was sent yet.  What says nothing
-- about the answer is held back, as name and data in turn.
local function first_event(call, candidate, response)
  local base, held = call.base, nil
  local next_event = attempt.events(call, response)
  while true do
    local kind, name, data = next_event()
    if kind ~= "event" then return attempt.cut_short(kind, name, false, base) end
    local problem = dialects.problem(base, name, attempt.inside(candidate, data))
    if problem then return problem end
    if not dialects.is_handshake(base, name, data) or held and #held >= 2 * HELD_MAX then
      return nil, name, data, held
    end
    held = held or {}
    held[#held + 1], held[#held + 2] = name, data
  end
end

-- An event of a responses stream that Lua looks at: the last one may lack what came before.
local function watched_item(call, name, data)
  local kind = dialects.type_of(name, data)
  if kind == "response.output_item.done" then
    responses.keep(call, data)
  elseif dialects.is_final("responses", kind, data) then
    call.complete = true
    data = responses.restore(call, data)
    local answer = call.forgotten and json.get(data, "response")
    if json.type(answer) == "object" then stored.keep(call, answer) end
  end
  return data
end

-- A watched event: an error, or usage.  Returns the problem, or nothing.
local function watched(call, relay, name, data)
  local base = call.base
  local said = attempt.inside(call.candidate, data)
  local problem = dialects.problem(base, name, said)
  if problem then return problem end
  if base == "chat" then
    call.usage = data
    if call.usage_added and chat.is_usage_only(data) then return nil end
  elseif base == "responses" then
    data = watched_item(call, name, data)
  elseif dialects.is_final(base, name, said) then
    call.complete = true
  end
  relay:send(name, data)
end

-- Copies the rest of a stream.
local function copy(call, relay)
  while true do
    local kind, detail, data = relay:next(call.keepalive)
    if kind == "event" then
      local problem = watched(call, relay, detail, data)
      if problem then return problem end
    elseif kind == "idle" then
      attempt.keep_alive(call)
    elseif call.complete or relay.finished or kind == "done" and call.base ~= "responses" then
      -- Some upstreams close without the terminal event, or are cut after the answer is complete.
      return nil
    else
      return attempt.cut_short(kind, detail, true, call.base)
    end
  end
end

local function finish(call)
  if call.more then return end
  local client = call.client
  client:write(call.framing:close())
  client:finish()
end

-- A relay for this call; the one in C where nothing changes on the way.
local function relay_for(call, candidate, response)
  local framing, rules = call.framing, rules_for(call, candidate)
  if call.convert or candidate.provider.open or not framing.plain then
    return relays.new(call.client, response, rules, call.convert, framing)
  end
  return call.client:relay(response, rules)
end

-- An upstream that answers a stream request with one JSON body: its events are made here.
local function unfold(call, candidate, response)
  if call.base ~= "chat" then
    return require("core.translation").unfold(call, candidate, response)
  end
  local text, problem = attempt.read_whole(candidate, response)
  if not text then return problem end
  local client = call.client
  local rules = rules_for(call, candidate)
  local relay = relays.new(client, nil, rules, call.convert, call.framing)
  local events = chat.unfold(text)
  if not events then
    return errors.new("bad_upstream", "the upstream's answer is not a chat completion")
  end
  if not client.started then client:start(200, call.framing.headers) end
  call.sent = true
  for _, data in ipairs(events) do
    if not (call.usage_added and chat.is_usage_only(data)) then relay:send("", data) end
  end
  finish(call)
end

--- Copies a candidate's stream to the client.
--- @param call Call
--- @param candidate Candidate
--- @return Problem?
function M.stream(call, candidate)
  local response <close>, err = open(call, candidate)
  if not response then return errors.from_http(err) end
  local problem = attempt.await(call, candidate, response)
  if problem then return problem end
  if not attempt.is_stream(response) then return unfold(call, candidate, response) end
  local name, data, held
  problem, name, data, held = first_event(call, candidate, response)
  if problem then return problem end

  local client = call.client
  if not client.started then
    attempt.forward_headers(call, response)
    client:start(200, call.framing.headers)
  end
  call.sent, call.items = true, nil
  local relay = relay_for(call, candidate, response)
  call.relay = relay
  if call.base == "responses" then call.answer_id = dialects.id_of(held and held[2] or data) end
  for i = 1, held and #held or 0, 2 do relay:send(held[i], held[i + 1]) end
  -- Through the same gate as the others: usage may come first, or the answer be one event.
  call.complete = dialects.is_final(call.base, name, attempt.inside(candidate, data))
  problem = watched(call, relay, name, data) or copy(call, relay)
  if problem then return problem end
  finish(call)
end

return M
