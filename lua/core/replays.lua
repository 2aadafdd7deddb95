--- What translations remember for later requests of the same client: signatures and answered items,
--- in the shared store, for an hour.

local store = require "store"

local M = {}

local TTL = 3600
-- Larger ones are not worth their memory.
local VALUE_MAX = 1024 * 1024

--- The replay store of a call's tenant.
--- @param call Call
--- @return Replay
function M.of(call)
  local replay = call.replay
  if replay then return replay end
  local prefix = "replay:" .. (call.principal or "") .. ":"
  replay = {
    get = function(key)
      local value = store.get(prefix .. key)
      return type(value) == "string" and value or nil
    end,
    set = function(key, value)
      if #value <= VALUE_MAX then store.set(prefix .. key, value, TTL) end
    end,
  }
  call.replay = replay
  return replay
end

return M
