--- Reads a model call from a client: its body, model and stream flag.

local dialects = require "lib.dialects"
local errors = require "lib.errors"
local json = require "json"
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
function read.gemini_cli(call, model)
  local inner = json.get(call.body, "request")
  if json.type(inner) ~= "object" then
    return errors.new("bad_param", "request: an object is required", { param = "request" })
  end
  call.model, call.body = model, tostring(inner)
end

-- Sets what a path of Gemini asks for; the problem of one that is unknown.
local function find_method(call)
  local pattern = call.dialect == "gemini" and ":(%a+)/?$" or "^(%a+)/?$"
  local method = methods[match(call.argument, pattern)]
  if not method then
    return errors.new("unknown_route", call.client.path .. " not found.")
  end
  call.argument = match(call.argument, "^(.-)/?$")
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

--- @param client Client
--- @param route table
--- @param argument string?
--- @param principal string?
--- @return Call? call
--- @return Problem? problem
function M.read(client, route, argument, principal)
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
  local body, err = client:body()
  if not body then
    return nil, errors.new(body_classes[err.code] or "bad_json", err.message)
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
