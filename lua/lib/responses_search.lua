--- Codex' search for tools: the model calls `tool_search`, Codex itself looks among the tools that
--- it has kept back, and an item tells what it found, which may be called from then on.
---
--- Models of other vendors get it as a function, and what was found as tools.

local fields = require "lib.fields"
local json = require "json"
local names = require "lib.names"
local reject = require "lib.reject"

local M = {}

--- The name that the function has.
M.NAME = "tool_search"

local EMPTY = assert(json.raw "{}")

--- The kinds of items that are of a search.
M.ITEMS = { tool_search_call = true, tool_search_output = true }

--- Whether a tool or an item is of a search that the client does, for a model of another vendor.
--- @param native table
--- @param ctx TranslationContext
--- @return boolean
function M.is_ours(native, ctx)
  return native.execution == "client" and ctx.upstream ~= nil
    and ctx.upstream.dialect ~= "responses"
end

--- The declaration of the function.
--- @param request IrRequest  remembers that there is one
--- @param native table
--- @param path string
--- @return IrTool
function M.tool(request, native, path)
  local schema = native.parameters
  request.finder = true
  return {
    kind = "function", name = M.NAME, description = fields.string(native, "description", path),
    schema = json.type(schema) == "object" and schema or nil,
    native = { dialect = "responses", raw = json.raw(json.encode(native)) },
  }
end

local function has(request, tool)
  for _, each in ipairs(request.tools) do
    if each.name == tool.name and each.namespace == tool.namespace then return true end
  end
  return false
end

-- Keeps what is new among what was found, and gives the names of all.
local function take_found(request, found)
  local told = {}
  for _, tool in ipairs(found) do
    if tool.kind ~= "server" then
      told[#told + 1] = names.full(tool.name, tool.namespace)
      -- It was kept back only until now; and the client need not be told what it told itself.
      tool.defer, tool.found = nil, true
      if not has(request, tool) then request.tools[#request.tools + 1] = tool end
    end
  end
  return told
end

--- An item of a search as the item of a call or of its result.
--- @param request IrRequest
--- @param native table
--- @param path any
--- @param read fun(into: IrRequest, list: table?, path: string, ctx: TranslationContext)  tools
--- @param ctx TranslationContext
--- @return table item
function M.item(request, native, path, read, ctx)
  local id = fields.string(native, "call_id", path) or fields.string(native, "id", path)
  if not id then reject.bad(path .. ".call_id", "is required") end
  if native.type == "tool_search_call" then
    return {
      type = "function_call", call_id = id, name = M.NAME,
      arguments = native.arguments or EMPTY, status = native.status,
    }
  end
  local found = { tools = {} }
  read(found, fields.list(native, "tools", path), path .. ".tools", ctx)
  local told = take_found(request, found.tools)
  local words = told[1] and "Found tools, which can be called now: " .. table.concat(told, ", ")
    or "No tools found"
  return { type = "function_call_output", call_id = id, output = words }
end

return M
