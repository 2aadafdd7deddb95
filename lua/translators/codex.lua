--- Codex: the Responses dialect as Codex upstreams take it.
---
--- `ctx.upstream.profile` is "platform" for other hosts than the backend of ChatGPT, which take all
--- members (see lib.codex_body).

local build = require "lib.responses_build"
local codex_body = require "lib.codex_body"
local json = require "json"
local responses = require "translators.responses"

local M = {
  dialect = "responses", variant = "codex",
  decode_request = responses.decode_request,
  decode_response = responses.decode_response,
  encode_response = responses.encode_response,
  decode_stream = responses.decode_stream,
  encode_stream = responses.encode_stream,
}

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return string
function M.encode_request(request, ctx)
  local is_platform = ctx.upstream ~= nil and ctx.upstream.profile == "platform"
  local is_own = ctx.client ~= nil and ctx.client.dialect == "responses"
  local body = build.build(request, ctx, not is_platform and not is_own)
  codex_body.restrict(body, { platform = is_platform, warn = ctx.warn })
  return json.encode(body)
end

return M
