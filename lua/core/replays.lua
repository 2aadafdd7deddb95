--- What translations remember for later requests of the same client: signatures and answered items,
--- in the shared store.
---
--- Kept for an hour, and together within a limit: what came first leaves first.  In the store,
--- beside the values: `replays:bytes` in use, `replays:head` and `replays:tail` count what came and left,
--- `replays:at:<n>` says which value the n-th is.

local store = require "store"

local match = string.match

local M = {}

local TTL = 3600
local TOTAL_MAX = 16 * 1024 * 1024
local VALUE_MAX = 2 * 1024 * 1024

-- Lets the oldest go until everything fits.  Other workers may do the same at this moment.
local function make_room(total)
  while total > TOTAL_MAX do
    local head, tail = store.get("replays:head") or 0, store.add("replays:tail")
    if tail > head then return end
    local at = "replays:at:" .. tail
    local size, key = match(store.get(at) or "", "^(%d+) (.*)$")
    store.set(at, nil)
    if key then
      store.set(key, nil)
      total = store.add("replays:bytes", -math.tointeger(size))
    end
  end
end

local function remember(key, value)
  local size = #key + #value
  if size > VALUE_MAX then return end
  local total = store.add("replays:bytes", size)
  store.set(key, value, TTL)
  store.set("replays:at:" .. store.add("replays:head"), size .. " " .. key)
  if total > TOTAL_MAX then make_room(total) end
end

--- The replay store of one tenant.
--- @param principal string?  nil where no key is required
--- @return Replay
function M.of(principal)
  local prefix = "replay:" .. (principal or "") .. ":"
  return {
    get = function(key)
      local value = store.get(prefix .. key)
      return type(value) == "string" and value or nil
    end,
    set = function(key, value)
      remember(prefix .. key, value)
    end,
    forget = function(key)
      store.set(prefix .. key, nil)
    end,
  }
end

return M
