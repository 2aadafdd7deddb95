--- Stop reasons between the dialects.

local data = require "models.stops"
local ir = require "lib.ir"

local M = {}

--- @param dialect string
--- @param native string?  finish_reason, stop_reason, finishReason; for responses the reason of an
---   incomplete response, else its status
--- @return table stop  {reason, native}
function M.decode(dialect, native)
  if type(native) ~= "string" then return { reason = "unknown" } end
  local known = data.decode[ir.base(dialect)]
  return { reason = known[native] or known[native:lower()] or "unknown", native = native }
end

--- What the answer really ended with: tool calls count, not what the upstream said of them.
--- @param stop table?  as decode gave it
--- @param completed integer  calls whose arguments are whole
--- @return table stop
function M.effective(stop, completed)
  local reason = stop and stop.reason or "unknown"
  if completed > 0 then
    if data.weaker_than_call[reason] then reason = "tool_call" end
  elseif reason == "tool_call" then
    reason = "end"
  end
  if stop and stop.reason == reason then return stop end
  local changed = { reason = reason }
  for name, value in pairs(stop or {}) do
    if name ~= "reason" then changed[name] = value end
  end
  return changed
end

--- @param dialect string
--- @param stop table
--- @param facts {refusal: boolean?, compaction: boolean?}?  the answer has a refusal block; the
---   client knows the stop reason `compaction`
--- @return string native  responses: the status
--- @return string? detail  responses: reason of an incomplete response; anthropic: the sequence
function M.encode(dialect, stop, facts)
  local base = ir.base(dialect)
  local reason = stop.reason
  local native = data.encode[base][reason]
  if base == "responses" then
    if reason == "malformed_call" then return "failed" end
    if reason == "cancelled" then return "cancelled" end
    if not native or reason == "refusal" and facts and facts.refusal then return "completed" end
    return "incomplete", native
  end
  if base == "chat" and reason == "refusal" and facts and facts.refusal then return "stop" end
  if base == "anthropic" then
    if reason == "compaction" and not (facts and facts.compaction) then native = nil end
    return native or "end_turn", reason == "stop_sequence" and stop.sequence or nil
  end
  -- A refusal is text like any other there: the reason has to tell.
  if base == "gemini" and facts and facts.refusal and (reason == "end" or reason == "unknown") then
    return data.encode.gemini.refusal
  end
  return native or data.plain[base]
end

return M
