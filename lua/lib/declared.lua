--- Declarations of tools that come again: an agent sends the same ones with each of its requests.
---
--- json.decode gives the same table for the same bytes (`kept` of a shape), so what is read from
--- that table is remembered with it, and from the second time on what is made of a tool with that
--- tool.  All of it is shared by requests: whoever wants a tool to be another one copies it first.

local json = require "json"

local move = table.move

local M = {}

local weak = { __mode = "k" }
-- Tools by the native list they were read from, and what was made of a tool by the tool.
local read_before, made_of = setmetatable({}, weak), setmetatable({}, weak)

--- The tools of a native list, read where that was not done before.
--- @param native table
--- @param read fun(native: table, ...): IrTool[], boolean?  the tools, and whether something else
---   than the list had a say in them
--- @param ... any  for `read`
--- @return IrTool[] tools  a list of the caller's own; the tools are everybody's
function M.tools(native, read, ...)
  local tools = read_before[native]
  if not tools then
    local bound
    tools, bound = read(native, ...)
    if bound then return tools end
    read_before[native] = tools
  elseif tools[1] and not made_of[tools[1]] then
    -- The second time: what came again goes on doing so.
    for i = 1, #tools do M.share(tools[i]) end
  end
  return move(tools, 1, #tools, 1, {})
end

--- From now on, what is made of the tool is remembered.
--- @param tool IrTool
function M.share(tool)
  made_of[tool] = {}
end

--- Where to remember what is made of a tool; nil for one that does not come again.
--- @param tool IrTool
--- @return table?
function M.made_of(tool)
  return made_of[tool]
end

--- What an encoder makes of a tool, written once.
--- @param tool IrTool
--- @param slot string  names who writes
--- @param write fun(tool: IrTool, ...): table  must depend on nothing that differs between requests
---   to one target
--- @param ... any  for `write`
--- @return table|RawJson
function M.written(tool, slot, write, ...)
  local made = made_of[tool]
  if not made then return write(tool, ...) end
  local text = made[slot]
  if not text then
    text = json.raw(json.encode(write(tool, ...)))
    made[slot] = text
  end
  return text
end

return M
