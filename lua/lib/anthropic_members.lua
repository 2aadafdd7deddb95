--- What objects of Anthropic's requests have in common: members nobody knows, and cache marks.

local fields = require "lib.fields"

local next = next

local M = {}

--- What the neutral form has no field for.
--- @param native table
--- @param names table<string, boolean>
--- @return table? extras
function M.extras(native, names)
  local found
  for name, value in next, native do
    if not names[name] then
      found = found or {}
      found[name] = value
    end
  end
  return found and { anthropic = found } or nil
end

local CACHE = { type = true, ttl = true }

--- Reads a cache mark.
--- @param native table
--- @param at any
--- @return table? cache
function M.cache(native, at)
  if native.cache_control == nil then return nil end
  local value = fields.object(native, "cache_control", at)
  if not value then return nil end
  return {
    kind = "ephemeral", ttl = fields.string(value, "ttl", at), extras = M.extras(value, CACHE),
  }
end

return M
