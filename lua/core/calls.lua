--- Reads a model call from a client: its body, model and stream flag.

local dialects = require "lib.dialects"
local envelopes = require "lib.envelope"
local errors = require "lib.errors"
local json = require "json"
local reject = require "lib.reject"
local url = require "lib.url"

local find, match, sub = string.find, string.match, string.sub

local NAME_MAX = 256

local M = {}

local body_classes = {
  body_too_large = "body_too_large",
  body_timeout = "body_timeout",
  bad_body = "bad_json",
  unsupported_encoding = "unsupported_encoding",
}

-- Methods of Gemini's paths: what is done, and whether the answer is a stream.
local methods = {
  generateContent = { "generate", false },
  streamGenerateContent = { "generate", true },
  countTokens = { "count", false },
}

-- How each dialect's clients say what they want: functions of a call whose body is read, and of
-- what the body says as `model` and `stream`.
local read = {}

function read.chat(call, model, stream)
  call.model, call.stream = model, stream == true
end

read.completions, read.responses = read.chat, read.chat

function read.anthropic(call, model, stream)
  call.model, call.stream = model, stream == true
  if stream == nil or stream == json.null or type(stream) == "boolean" then return nil end
  return errors.new("bad_param", "stream: Input should be a valid boolean", { param = "stream" })
end

-- The model is in the path, behind an optional "models/" and before the last colon.
function read.gemini(call)
  local name = match(url.decode(call.argument), "^(.*):%a+$")
  if sub(name, 1, 7) == "models/" then name = sub(name, 8) end
  call.model = name
end

-- The request is wrapped, with the model beside it.
function read.gemini_cli(call)
  local fine, request, envelope = pcall(envelopes.open, call.body)
  if not fine then
    if not reject.is(request) then error(request, 0) end
    return errors.new(request.class, request.message, { param = request.param })
  end
  call.model = envelopes.model(request, envelope)
  call.body, call.envelope = tostring(request), envelope
end

-- Sets what a path of Gemini asks for; the problem of one that is unknown.
local function find_method(call)
  local path = call.client.path
  local method = methods[match(path, ":(%a+)/?$")]
  if not method then return errors.new("unknown_route", path .. " not found.") end
  call.argument = call.argument and match(call.argument, "^(.-)/?$")
  call.operation, call.stream = method[1], method[2]
end

local function check_model(call)
  local model = call.model
  if type(model) == "number" then
    model = tostring(model)
    call.model = model
  end
  if type(model) ~= "string" or model == "" then
    return errors.new("missing_model", "you must provide a model parameter", { param = "model" })
  end
  -- The name goes into messages, logs and keys of the store.
  if #model > NAME_MAX or find(model, "%c") then
    return errors.new("bad_param", "the model's name is not a valid one", { param = "model" })
  end
end

--- The problem of a body that could not be read.
--- @param err {code: string, message: string}
--- @return Problem
function M.body_problem(err)
  return errors.new(body_classes[err.code] or "bad_json", err.message)
end

--- @param client Client
--- @param route table
--- @param argument string?
--- @param principal string?
--- @param body string?  where it was read before
--- @return Call? call
--- @return Problem? problem
function M.read(client, route, argument, principal, body)
  local dialect, problem = route.dialect, nil
  local call = {
    client = client,
    dialect = dialect,
    base = dialects.base(dialect),
    operation = route.operation or "generate",
    stream = false,
    argument = argument,
    principal = principal,
  }
  if call.base == "gemini" then
    problem = find_method(call)
    if problem then return nil, problem end
  end
  local err
  if not body then
    body, err = client:body()
    if not body then return nil, M.body_problem(err) end
  end
  local fine, model, stream, options = json.peek_strict(body, "model", "stream", "stream_options")
  if not fine then
    return nil, errors.new("bad_json", "could not parse the JSON body: " .. tostring(model))
  end
  call.body, call.stream_options = body, options
  problem = read[dialect](call, model, stream) or check_model(call)
  if problem then return nil, problem end
  if call.operation ~= "generate" then call.stream = false end
  return call
end

return M
