--- Gemini CLI's Code Assist form: Gemini's bodies in an envelope.
---
--- The six functions of a translator, and for passthrough between the two forms the byte-level
--- steps: unwrap_request, wrap_request, unwrap_response, wrap_response.

local answers = require "lib.gemini_client"
local envelopes = require "lib.envelope"
local gemini = require "translators.gemini"
local ir = require "lib.ir"
local json = require "json"
local upstream = require "lib.gemini_upstream"

local next, pairs, tostring = next, pairs, tostring

local M = { sequential = gemini.sequential }

--- The Gemini request inside, for passthrough to the public API.
--- @param body string
--- @return string request  without the members that only the envelope's upstream knows
--- @return string? model
--- @return table envelope  its other members
function M.unwrap_request(body)
  local request, envelope = envelopes.open(body)
  local model = envelopes.model(request, envelope)
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
  local members = envelopes.beside(envelope or {}, "request")
  members.model = model
  return envelopes.close(tostring(inner), members)
end

M.unwrap_response = envelopes.inside
M.wrap_response = envelopes.wrap

--- @param body string
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode_request(body, ctx)
  local inner, envelope = envelopes.open(body)
  local request = gemini.decode_request(inner, ctx)
  request.model = ctx.model or envelopes.model(inner, envelope) or ""
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
