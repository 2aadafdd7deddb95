--- Ids of tool calls: legal for the other side, and equal every time.

local crypto = require "crypto"
local ir = require "lib.ir"

local find, gsub, sub = string.find, string.gsub, string.sub
local sha256_hex = crypto.sha256_hex

local M = {}

local limits = { chat = 64, responses = 64, anthropic = 128 }

--- The id itself where the dialect takes it, else one that depends on nothing but it.
--- @param id string
--- @param dialect string
--- @return string
function M.safe(id, dialect)
  local base = ir.base(dialect)
  local limit = limits[base]
  if not limit then return id end
  local illegal = base == "anthropic" and find(id, "[^%w_%-]")
  if #id <= limit and not illegal and id ~= "" then return id end
  local legal = gsub(id, "[^%w_%-]", "_")
  return sub(legal, 1, limit - 17) .. "_" .. sub(sha256_hex(id), 1, 16)
end

--- The id of a call in a history that has none.
--- @param turn integer  from 0, as the body has them
--- @param block integer  from 0
--- @param name string
--- @param args string  JSON text as it came
--- @return string
function M.missing(turn, block, name, args)
  local key = turn .. "|" .. block .. "|" .. name .. "|" .. args
  return "call_" .. sub(sha256_hex(key), 1, 24)
end

--- An id for a call in an answer that has none.
--- @param ctx TranslationContext
--- @return string
function M.fresh(ctx)
  return ctx.unique(ctx.client.dialect == "anthropic" and "toolu_" or "call_", 24)
end

--- Both directions.  An id that had to be changed for the client is remembered in the replay store,
--- since the upstream must see its own again.
--- @param _ IrRequest
--- @param ctx TranslationContext
--- @return IdMap
function M.map(_, ctx)
  local client, upstream, replay = ctx.client.dialect, ctx.upstream.dialect, ctx.replay
  -- Then there is nothing to look up either.
  local takes_all = not replay and limits[ir.base(upstream)] == nil
  local known = {}
  return {
    known = known,
    to_upstream = function(id)
      if takes_all then return id end
      local mapped = known[id]
      if not mapped then
        local original = replay and replay.get("id:" .. id)
        mapped = M.safe(original or id, upstream)
        known[id] = mapped
      end
      return mapped
    end,
    to_client = function(id)
      local mapped = M.safe(id, client)
      if mapped ~= id and replay then replay.set("id:" .. mapped, id) end
      return mapped
    end,
  }
end

return M
