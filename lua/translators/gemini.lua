--- Gemini's generateContent: requests, answers and streams, to and from the neutral form.

local answers = require "lib.gemini_client"
local fold = require "lib.fold"
local json = require "json"
local requests = require "lib.gemini_request"
local streams = require "lib.gemini_stream"
local upstream = require "lib.gemini_upstream"

-- Its encoder takes one block after the other.
local M = { sequential = true }

--- @param body string
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode_request(body, ctx)
  return requests.decode(body, ctx)
end

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return string body
function M.encode_request(request, ctx)
  return json.encode(upstream.build(request, ctx))
end

--- @param body string
--- @param ctx TranslationContext
--- @return IrResponse? response
--- @return table? error  of an answer that is none
function M.decode_response(body, ctx)
  local decoder = streams.decoder(ctx, true)
  local events = decoder.frame("", body)
  local last = decoder.eof()
  table.move(last, 1, #last, #events + 1, events)
  return fold.fold(events)
end

--- @param response IrResponse
--- @param ctx TranslationContext
--- @return string body
function M.encode_response(response, ctx)
  return answers.whole(response, ctx)
end

--- @param ctx TranslationContext
--- @return StreamDecoder
function M.decode_stream(ctx)
  return streams.decoder(ctx)
end

--- @param ctx TranslationContext
--- @return StreamEncoder
function M.encode_stream(ctx)
  return answers.encoder(ctx)
end

return M
