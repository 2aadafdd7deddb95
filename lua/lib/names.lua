--- Names of tools: one flat name for the upstream, the client's own name back.

local crypto = require "crypto"

local find, gsub, lower, sub = string.find, string.gsub, string.lower, string.sub

local M = {}

local DEFAULT = { max = 64, charset = "openai" }

-- What is illegal, and what may not come first.
local charsets = {
  openai = { illegal = "[^%w_%-]" },
  anthropic = { illegal = "[^%w_%-]" },
  gemini = { illegal = "[^%w_%.:%-]", first = "^[^%a_]" },
}

--- The flat name of a tool in a namespace.
--- @param name string
--- @param namespace string?
--- @return string
function M.full(name, namespace)
  if not namespace or namespace == "" then return name end
  if sub(name, 1, 5) == "mcp__" or sub(name, 1, #namespace + 2) == namespace .. "__" then
    return name
  end
  if sub(namespace, -2) == "__" then return namespace .. name end
  return namespace .. "__" .. name
end

--- The name itself where the target takes it, else one that depends on nothing but it.
--- @param full string
--- @param caps Caps
--- @return string
function M.safe(full, caps)
  local rule = caps.tool_name or DEFAULT
  local set = charsets[rule.charset] or charsets.openai
  local max = rule.max or 64
  local illegal, first = find(full, set.illegal), set.first and find(full, set.first)
  if not illegal and not first and #full <= max and full ~= "" then return full end
  local legal = illegal and gsub(full, set.illegal, "_") or full
  if set.first and find(legal, set.first) then legal = "_" .. legal end
  local hash = sub(crypto.sha256_hex(full), 1, 8)
  if #legal + 9 <= max then return legal .. "_" .. hash end
  if max < 27 then return sub(legal, 1, max - 9) .. "_" .. hash end
  return sub(legal, 1, 16) .. "_" .. hash .. "_" .. sub(legal, -(max - 26))
end

-- Collects the tools of a request, in their order: the first declaration of a name wins, direct
-- ones over those of namespaces.
local function collect_tools(tools, add)
  local spaced = false
  for i = 1, #tools do
    local tool = tools[i]
    if tool.kind ~= "server" then
      if tool.namespace then spaced = true else add(tool) end
    end
  end
  if not spaced then return end
  for _, tool in ipairs(tools) do
    if tool.kind ~= "server" and tool.namespace then add(tool) end
  end
end

local function loose(name)
  return lower((gsub(name, "^_+", "")))
end

-- For upstreams that change the case: names by their loose form, false where two share one.
local function loosely(entries)
  local found = {}
  for name, entry in pairs(entries) do
    local key = loose(name)
    if found[key] == nil then found[key] = entry else found[key] = false end
  end
  return found
end

--- Both directions, for one request.  Calls of the history whose tools are not declared any more
--- are named to to_upstream(), so that an answer may call them too.
--- @param request IrRequest
--- @param caps Caps
--- @return NameMap
function M.map(request, caps)
  local upstream, entries, relaxed = {}, {}, nil

  local function to_upstream(full, named)
    local safe = upstream[full]
    if not safe then
      safe = M.safe(full, caps)
      upstream[full] = safe
    end
    if named and not entries[safe] then
      entries[safe] = { name = named.name, namespace = named.namespace, kind = named.kind }
    end
    return safe
  end

  collect_tools(request.tools, function(tool)
    local safe = to_upstream(M.full(tool.name, tool.namespace))
    if not entries[safe] then entries[safe] = tool end
  end)
  return {
    known = upstream,
    --- @param full string
    --- @param named table?  a call of that name
    --- @return string
    to_upstream = to_upstream,
    --- @param name string  the upstream's
    --- @return string name, string? namespace, string? kind  kind nil: not a name of the request
    to_client = function(name)
      local entry = entries[name]
      if not entry then
        relaxed = relaxed or loosely(entries)
        entry = relaxed[loose(name)]
      end
      if not entry then return name end
      return entry.name, entry.namespace, entry.kind or "function"
    end,
  }
end

return M
