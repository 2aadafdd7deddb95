--- Gemini CLI's Code Assist form: Gemini's bodies in an envelope.
---
--- The six functions of a translator, and for passthrough between the two forms the byte-level
--- steps: unwrap_request, wrap_request, unwrap_response, wrap_response.

local answers = require "lib.gemini_client"
local gemini = require "translators.gemini"
local ir = require "lib.ir"
local json = require "json"
local reject = require "lib.reject"
local upstream = require "lib.gemini_upstream"

local concat, next, pairs, sub, tostring, type =
  table.concat, next, pairs, string.sub, tostring, type

local M = { sequential = gemini.sequential }

-- Members of the envelope stay raw.
local ENVELOPE = json.shape { known = { "model", request = "raw" }, strict = true }

local function open(body)
  local envelope, problem = json.decode(body, ENVELOPE)
  if not envelope then reject.json(problem) end
  if type(envelope) ~= "table" or json.is_array(envelope) then
    reject.bad(nil, "the body must be an object")
  end
  local request = envelope.request
  if not json.is_raw(request) or json.type(request) ~= "object" then
    reject.bad("request", "must be an object")
  end
  envelope.request = nil
  return request, envelope
end

-- Counting names the model inside, as `models/<name>`.
local function model_of(request, envelope)
  local model = envelope.model
  if type(model) ~= "string" or model == "" then
    model = json.get(request, "model")
  end
  if type(model) ~= "string" or model == "" then return nil end
  if sub(model, 1, 7) == "models/" then return sub(model, 8) end
  return model
end

--- The Gemini request inside, for passthrough to the public API.
--- @param body string
--- @return string request  without the members that only the envelope's upstream knows
--- @return string? model
--- @return table envelope  its other members
function M.unwrap_request(body)
  local request, envelope = open(body)
  local model = model_of(request, envelope)
  envelope.model = nil
  local inner = tostring(request)
  for _, name in ipairs { "model", "session_id", "sessionId" } do
    if json.get(inner, name) ~= nil then inner = assert(json.splice(inner, name, nil)) end
  end
  return inner, model, envelope
end

--- Puts a Gemini request into the envelope.
--- @param request string
--- @param model string
--- @param envelope table?  project, user_prompt_id, ...
--- @return string body
function M.wrap_request(request, model, envelope)
  local inner = assert(json.raw(request))
  if json.get(inner, "model") ~= nil then inner = assert(json.splice(inner, "model", nil)) end
  local whole = { model = model, request = inner }
  for name, value in pairs(envelope or {}) do
    if whole[name] == nil then whole[name] = value end
  end
  return json.encode(whole)
end

--- The Gemini response inside a whole answer or a frame; what has none (an error) stays.
--- @param text string
--- @return string
function M.unwrap_response(text)
  local inner = json.get(text, "response")
  return json.is_raw(inner) and json.type(inner) == "object" and tostring(inner) or text
end

--- Puts a Gemini response into the envelope; errors have none.
--- @param text string
--- @return string
function M.wrap_response(text)
  local fine, failure, id = json.peek(text, "error", "responseId")
  if not fine or failure ~= nil and failure ~= json.null then return text end
  local parts = { '{"response":', text }
  if type(id) == "string" then
    parts[3] = ',"traceId":'
    parts[4] = json.encode(id)
  end
  parts[#parts + 1] = "}"
  return concat(parts)
end

--- @param body string
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode_request(body, ctx)
  local inner, envelope = open(body)
  local request = gemini.decode_request(inner, ctx)
  request.model = ctx.model or model_of(inner, envelope) or ""
  envelope.model = nil
  if next(envelope) ~= nil then request.extras.gemini_cli = envelope end
  return request
end

--- The project is the provider's to add.
--- @param request IrRequest
--- @param ctx TranslationContext
--- @return string body
function M.encode_request(request, ctx)
  local inner = upstream.build(request, ctx)
  if ir.base(ctx.client.dialect) == "gemini" then inner.session_id = request.identity.session end
  local body = { model = ctx.upstream_model or request.model, request = inner }
  for name, value in pairs(request.extras.gemini_cli or {}) do
    if body[name] == nil then body[name] = value end
  end
  return json.encode(body)
end

--- Answers come with or without the envelope.
M.decode_response = gemini.decode_response
M.decode_stream = gemini.decode_stream

--- @param response IrResponse
--- @param ctx TranslationContext
--- @return string body
function M.encode_response(response, ctx)
  return M.wrap_response(answers.whole(response, ctx))
end

--- @param ctx TranslationContext
--- @return StreamEncoder
function M.encode_stream(ctx)
  return answers.encoder(ctx, true)
end

return M
