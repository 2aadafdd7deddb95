--- Reads a model call from a client: its body, model and stream flag.

local errors = require "lib.errors"
local json = require "json"

local find = string.find

local NAME_MAX = 256

local M = {}

local body_classes = {
  body_too_large = "body_too_large",
  body_timeout = "body_timeout",
  bad_body = "bad_json",
  unsupported_encoding = "unsupported_encoding",
}

--- @param client Client
--- @param route table
--- @param argument string?
--- @param principal string?
--- @return Call? call
--- @return Problem? problem
function M.read(client, route, argument, principal)
  local body, err = client:body()
  if not body then
    return nil, errors.new(body_classes[err.code] or "bad_json", err.message)
  end
  local fine, model, stream, options = json.peek_strict(body, "model", "stream", "stream_options")
  if not fine then
    return nil, errors.new("bad_json", "could not parse the JSON body: " .. tostring(model))
  end
  if type(model) == "number" then model = tostring(model) end
  if type(model) ~= "string" or model == "" then
    return nil,
      errors.new("missing_model", "you must provide a model parameter", { param = "model" })
  end
  -- The name goes into messages, logs and keys of the store.
  if #model > NAME_MAX or find(model, "%c") then
    return nil, errors.new("bad_param", "the model's name is not a valid one", { param = "model" })
  end
  return {
    client = client,
    dialect = route.dialect,
    operation = "generate",
    model = model,
    stream = stream == true,
    stream_options = options,
    body = body,
    argument = argument,
    principal = principal,
  }
end

return M
