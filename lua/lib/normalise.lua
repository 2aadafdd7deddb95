--- Normalisation: what is done to every request between its decoding and its encoding, in order.
---
--- A pure function of the request and the target, so that the same history always gives the same
--- upstream prefix.  The decoded request is not changed.

local content = require "lib.content"
local ir = require "lib.ir"
local limits = require "lib.limits"
local pairing = require "lib.pairing"
local replaying = require "lib.replaying"
local thinking = require "lib.thinking"
local tooling = require "lib.tooling"

local M = {}

-- N1: what a suffix says beats the body; what it does not say stays.
local function take_suffix(request, ctx)
  local _, amount, odd = thinking.suffix(request.model, ctx.known_model)
  amount = amount or ctx.suffix
  if odd then ctx.warn("drop.param", "model", odd) end
  if amount then
    local reasoning = content.copy(request.reasoning or {})
    reasoning.mode, reasoning.level, reasoning.budget = amount.mode, amount.level, amount.budget
    reasoning.from_suffix = true
    request.reasoning = reasoning
  end
  request.model = ctx.upstream_model or request.model
end

--- @param original IrRequest
--- @param ctx TranslationContext  gets base, names, ids, coercions and emulation
--- @return IrRequest
function M.run(original, ctx)
  ctx.base = ctx.base or ir.base(ctx.upstream.dialect)
  local request = content.copy(original)
  local joins = ctx.base == "anthropic" or ctx.base == "gemini"
  take_suffix(request, ctx)
  if ctx.upstream_stream ~= nil then request.stream = ctx.upstream_stream end
  request.system = content.system(request.system, ctx)
  local turns, seen = content.strip(request.turns, ctx)
  turns = content.place_images(turns, ctx, seen)
  if joins then turns = content.merge(turns) end
  local merged = turns
  turns = pairing.run(turns, ctx)
  turns = content.instructions(turns, ctx)
  if joins and turns ~= merged then turns = content.merge(turns) end
  turns = content.ends(turns, request, ctx)
  local broken
  turns, broken = replaying.run(turns, ctx, seen)
  if ctx.without_thinking then turns = replaying.without(turns) end
  request.turns = turns
  tooling.map(request, ctx)
  tooling.fit(request, ctx)
  limits.run(request, ctx, broken)
  tooling.structure(request, ctx)
  return request
end

return M
