--- Declarations of tools in Anthropic requests, read into the neutral form.

local fields = require "lib.fields"
local json = require "json"
local members = require "lib.anthropic_members"
local models = require "models.anthropic"
local reject = require "lib.reject"

local find, ipairs, sub, tostring = string.find, ipairs, string.sub, tostring
local null = json.null
local cache, extras = members.cache, members.extras

local M = {}

--- Members of tools, for json.shape; what is not named stays raw.
M.SHAPE = {
  "type", "name", "description", "strict", "cache_control", "defer_loading", "max_uses",
  "allowed_domains", "blocked_domains", "user_location", input_schema = "raw",
  input_examples = "raw",
}

local FUNCTION = {
  type = true, cache_control = true, name = true, description = true, input_schema = true,
  strict = true, defer_loading = true, input_examples = true,
}
local SERVER_TOOL = { name = true, cache_control = true, defer_loading = true }

local function search_config(native)
  local soft = fields.soft
  local location = soft.object(native, "user_location")
  return {
    allowed = soft.list(native, "allowed_domains"), blocked = soft.list(native, "blocked_domains"),
    max_uses = soft.integer(native, "max_uses"),
    location = location and {
      city = soft.string(location, "city"), country = soft.string(location, "country"),
      region = soft.string(location, "region"), timezone = soft.string(location, "timezone"),
    },
  }
end

-- A versioned tool of Anthropic's: one its servers run, or one that clients run and that has
-- a schema known to everybody.
local function own_tool(native, kind, name)
  for _, row in ipairs(models.tools) do
    if sub(kind, 1, #row.prefix) == row.prefix then
      local found = { name = name or kind, extras = extras(native, SERVER_TOOL) }
      if row.server then
        found.kind, found.server = "server", { tool = row.server, config = search_config(native) }
      else
        found.kind, found.description = "function", row.like.description
        found.schema = json.raw(json.encode(row.like.schema))
      end
      return found
    end
  end
  return {
    kind = "server", name = name or kind, server = { tool = kind, config = {} },
    extras = extras(native, SERVER_TOOL),
  }
end

--- Reads the declaration of a tool.
--- @param native table
--- @param at any  its place
--- @return IrTool
function M.read(native, at)
  local kind, name = fields.string(native, "type", at), fields.string(native, "name", at)
  local found
  if kind and kind ~= "custom" then
    found = own_tool(native, kind, name)
  else
    if not name or not find(name, "%S") then reject.bad(tostring(at) .. ".name", "is required") end
    local schema, examples = native.input_schema, native.input_examples
    found = {
      kind = "function", name = name, description = fields.string(native, "description", at),
      schema = schema ~= null and schema or nil, strict = fields.boolean(native, "strict", at),
      examples = examples ~= null and examples or nil, extras = extras(native, FUNCTION),
    }
  end
  found.defer = fields.boolean(native, "defer_loading", at)
  found.cache = cache(native, at)
  return found
end

return M
