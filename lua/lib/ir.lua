--- Constructors of the neutral form (lua/types/ir.lua), with all defaults.

local M = {}

-- Variants are a base dialect with small changes.
local bases = { completions = "chat", codex = "responses", gemini_cli = "gemini" }

--- The base of a variant; a dialect is its own.
--- @param dialect string
--- @return Dialect
function M.base(dialect)
  return bases[dialect] or dialect
end

--- @return IrRequest
function M.request()
  return {
    model = "", stream = false, system = {}, turns = {}, tools = {}, sampling = {}, n = 1,
    stop = {}, output = { modalities = {} }, cache = {}, identity = {}, service = {}, extras = {},
  }
end

--- @param role "user"|"assistant"|"instruction"
--- @param blocks IrBlock[]?
--- @return IrTurn
function M.turn(role, blocks)
  return { role = role, blocks = blocks or {} }
end

--- @param text string
--- @return IrBlock
function M.text(text)
  return { type = "text", text = text }
end

--- @return table usage  all counts 0
function M.usage()
  return {
    input = 0, cache_read = 0, cache_write = 0, output = 0, reasoning = 0, estimated = false,
  }
end

--- A later report replaces an earlier one field by field; what it lacks stays.
--- @param into table
--- @param from table?
--- @return table into
function M.merge_usage(into, from)
  if from then
    for name, value in pairs(from) do into[name] = value end
    if from.missing == nil then into.missing = nil end
  end
  return into
end

--- @return IrResponse
function M.response()
  return { id = "", model = "", created = 0, choices = {}, usage = M.usage(), extras = {} }
end

--- A choice of a response.
--- @param index integer
--- @return table
function M.choice(index)
  return { index = index, blocks = {}, stop = { reason = "unknown" } }
end

return M
