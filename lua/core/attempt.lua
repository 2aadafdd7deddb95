--- What every attempt with a candidate begins with: the call upstream, and waiting for its answer.

local caps = require "lib.caps"
local config = require "config"
local credentials = require "credentials"
local chat = require "lib.chat"
local dialects = require "lib.dialects"
local envelopes = require "lib.envelope"
local errors = require "lib.errors"
local http = require "http"
local json = require "json"
local log = require "log"
local signatures = require "lib.signatures"

local find = string.find

local broken_off = require("models.problems").broken_off

local ERROR_MAX = 1024 * 1024

local M = {}

--- Headers of whole answers; the table is never changed.
M.WHOLE = { ["Content-Type"] = "application/json" }

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

--- Hands an answer's headers on to a client that has none yet.
--- @param call Call
--- @param response Response
function M.forward_headers(call, response)
  local client = call.client
  local after = response:header("retry-after")
  if after then client:set_header("Retry-After", after) end
  for _, name in ipairs(call.candidate.provider.returned or {}) do
    local value = response:header(name)
    if value then client:set_header(name, value) end
  end
  if config.values["passthrough-headers"] ~= true then return end
  for name, value in pairs(response:headers()) do
    if not kept_back[name] and find(name, "^[%w_%-]+$")
        and find(name, "access-control-", 1, true) ~= 1 then
      client:set_header(name, value)
    end
  end
end

--- Decides how this candidate is called: `same_dialect`, `upstream_stream`.
--- @param call Call
--- @param candidate Candidate
function M.plan(call, candidate)
  local provider = candidate.provider
  call.candidate = candidate
  -- An amount of reasoning in the model's name has to be put into the body.
  call.same_dialect = provider.dialect == call.base and not call.suffix
  local streams = provider.streams
  call.upstream_stream = call.operation == "generate" and (call.stream or streams == "always"
    or streams == "translated" and not call.same_dialect)
end

--- The body for an upstream of the client's dialect: the client's bytes but for its model's name,
--- signatures that the vendor would refuse, and for streams the wish to be told the usage.
--- @param call Call
--- @param candidate Candidate
--- @return string
function M.same_body(call, candidate)
  local body = call.body
  if candidate.model ~= call.model and call.base ~= "gemini" then
    body = assert(json.splice(body, "model", candidate.model))
  end
  -- The part of a name that is rare elsewhere: most bodies of chat clients have nothing to clean.
  if call.base ~= "chat" or find(body, "_details\"", 1, true) or call.without_thinking then
    local clean = call.without_thinking and signatures.strip or signatures.hygiene
    local known = caps.of(candidate.model, candidate.provider.name, candidate.credential.entry)
    body = clean(call.base, body, known)
    if call.base ~= "chat" then return body end
  end
  if call.stream and candidate.credential.entry["stream-usage"] ~= false then
    body = chat.ask_usage(body, call)
  end
  return body
end

-- The provider's own edits.  That a body cannot be edited (a name given twice) is its client's
-- fault.
local function prepared(provider, call, candidate, body)
  local fine, edited, problem = pcall(provider.prepare, call, candidate, body)
  if fine then return edited, problem end
  if type(edited) ~= "table" or edited.code ~= "json" then error(edited, 0) end
  return nil, errors.new("bad_json", "could not edit the JSON body: " .. tostring(edited),
    { verdict = "request" })
end

--- Calls the candidate with a body in its dialect.
--- @param call Call
--- @param candidate Candidate
--- @param body string
--- @return Response? response
--- @return HttpError|Problem|nil problem
function M.open(call, candidate, body)
  local credential, provider = candidate.credential, candidate.provider
  candidate.facts = candidate.facts
    or { credential = credential.label, provider = credential.name }
  call.client:note(candidate.facts)
  log.debug("Use %s %s for model %s", credential.name, credential.label, candidate.model)
  local problem
  if provider.prepare then
    body, problem = prepared(provider, call, candidate, body)
    if not body then return nil, problem end
  end
  call.payload = body
  if provider.open then return provider.open(call, candidate) end
  local request
  request, problem = provider.request(call, candidate)
  if not request then return nil, problem end
  return http.start(request)
end

--- Fills a silence.  The first one commits the head: from then on errors are told in the stream.
--- @param call Call
function M.keep_alive(call)
  local client, framing = call.client, call.framing
  if not client.started then client:start(200, framing.headers) end
  client:write(framing.keep_alive)
end

--- Waits for the head of an answer; nil when it is a good one.
--- @param call Call
--- @param candidate Candidate
--- @param response Response
--- @return Problem?
function M.await(call, candidate, response)
  while true do
    local ready, err = response:wait(call.keepalive)
    if ready then break end
    if ready == nil then return errors.from_http(err) end
    M.keep_alive(call)
  end
  local status = response.status
  if status >= 200 and status < 300 then return nil end
  local body = response:body(ERROR_MAX) or ""
  local provider = candidate.provider
  local problem = provider.classify and provider.classify(status, body, response)
  return problem or errors.from_status(status, body, response, provider.dialect)
end

--- Takes secrets out of a problem that an upstream told with status 200; others have it done already.
--- @param problem Problem?
--- @return Problem?
function M.without_secrets(problem)
  if not problem then return nil end
  local redact = credentials.redact
  problem.message = redact(problem.message)
  problem.body = problem.body and redact(problem.body)
  problem.code = problem.code and redact(problem.code)
  problem.kind = problem.kind and redact(problem.kind)
  for name, value in pairs(problem.details or {}) do
    if type(value) == "string" then problem.details[name] = redact(value) end
  end
  return problem
end

--- True when an answer is a stream of events.
--- @param response Response
--- @return boolean
function M.is_stream(response)
  local kind = response:header("content-type")
  return kind ~= nil and find(kind, "event-stream", 1, true) ~= nil
end

--- What an answer or an event says in the provider's dialect: some put it into an envelope.
--- @param candidate Candidate
--- @param text string
--- @return string
function M.inside(candidate, text)
  return candidate.provider.envelope and envelopes.inside(text) or text
end

--- Reads a whole answer and finds errors that came with status 200.
--- @param candidate Candidate
--- @param response Response
--- @return string? text
--- @return Problem? problem
--- @return any model  the upstream's name for it
--- @return string? whole  what the text was in
function M.read_whole(candidate, response)
  local whole, err = response:body()
  if not whole then return nil, errors.from_http(err) end
  local dialect, text = candidate.provider.dialect, M.inside(candidate, whole)
  local fine, found, model = json.peek(text, "error", dialects.model_member(dialect))
  if not fine then
    return nil, errors.new("bad_upstream", "the upstream's answer is not JSON")
  end
  local inspect = candidate.provider.inspect
  local problem = inspect and inspect(text)
  if problem then return nil, problem end
  if found ~= nil and found ~= json.null or dialect == "chat" and chat.is_error(text) then
    return nil, dialects.problem(dialect, dialect == "responses" and "error" or "", text)
  end
  return text, nil, model, whole
end

--- The events of a stream with JSON in it, keep-alives told meanwhile: a function that waits for
--- the next one and gives what it is ("event", "end", "done" or "broken"), its name or the error,
--- and its data.
--- @param call Call
--- @param response Response
--- @param unchecked boolean?  the caller passes over what is not JSON by itself
--- @return fun(): string, string|HttpError|nil, string?
function M.events(call, response, unchecked)
  local next_event, seconds = response.next_event, call.keepalive
  return function()
    while true do
      local kind, name, data = next_event(response, seconds)
      if kind == "idle" then
        M.keep_alive(call)
      elseif kind ~= "event" then
        return kind, name
      elseif data == "[DONE]" then
        return "done"
      elseif unchecked or chat.is_object(data) then
        return kind, name, data
      end
      -- Frames that are not JSON are skipped.
    end
  end
end

--- The problem of a stream that ended too early.
--- @param kind string  what events() said
--- @param detail any
--- @param begun boolean  events were read before
--- @param base string  dialect of the upstream
--- @return Problem
function M.cut_short(kind, detail, begun, base)
  if kind == "broken" then return errors.from_http(detail) end
  if kind == "done" and not begun then
    return errors.new("bad_upstream", "the upstream's stream is empty", { code = "empty" })
  end
  return errors.new("bad_upstream", broken_off[base] or begun
    and "the upstream ended the stream before the answer was complete"
    or "the upstream ended the stream before it began", { code = "broken" })
end

return M
