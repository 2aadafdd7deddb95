--- Tools and tool choices of the Responses dialect, both ways.

local declared = require "lib.declared"
local fields = require "lib.fields"
local json = require "json"
local names = require "lib.names"
local items = require "lib.responses_items"
local place = require "lib.place"
local reject = require "lib.reject"
local search = require "lib.responses_search"

local ipairs, next, sub, tostring, type = ipairs, next, string.sub, tostring, type
local soft, null = fields.soft, json.null
local encode, is_array, raw = json.encode, json.is_array, json.raw

local M = {}

local inner = { "name", "description", "strict" }

--- What of a tool is decoded.
M.TOOL = {
  "type", "name", "description", "strict", "defer_loading", "search_context_size",
  "external_web_access", "execution",
  ["function"] = inner, custom = inner,
  filters = { "allowed_domains", "blocked_domains" },
  user_location = { "type", "city", "country", "region", "timezone" },
}
M.TOOL.tools = M.TOOL

local member = { "type", "name", "namespace", ["function"] = { "name" }, custom = { "name" } }

--- What of a tool choice is decoded.
M.CHOICE = {
  "type", "name", "namespace", "mode", tools = member,
  ["function"] = { "name" }, custom = { "name" }, allowed_tools = { "mode", tools = member },
}

local modelled = {}
for _, name in ipairs {
  "type", "name", "description", "strict", "defer_loading", "parameters", "format", "function",
  "custom", "tools",
} do modelled[name] = true end

-- Names of the server's tools in the neutral form.
local server_tools = {
  web_search = "web_search", web_search_2025_08_26 = "web_search",
  web_search_preview = "web_search", web_search_preview_2025_03_11 = "web_search",
  code_interpreter = "code", image_generation = "image_gen", file_search = "file_search",
  mcp = "mcp", computer = "computer", computer_use_preview = "computer", shell = "shell",
  local_shell = "shell", tool_search = "tool_search",
}
local native_tools = {
  web_search = "web_search", code = "code_interpreter", image_gen = "image_generation",
}

M.server_tools = server_tools

local NO_PARAMETERS = raw '{"type":"object","properties":{}}'

local function strings(list)
  local found = {}
  for _, each in ipairs(type(list) == "table" and list or {}) do
    if type(each) == "string" then found[#found + 1] = each end
  end
  return found
end

local function search_config(native)
  local filters, location = native.filters, native.user_location
  filters = type(filters) == "table" and filters or {}
  location = type(location) == "table" and location or nil
  local external, size = native.external_web_access, native.search_context_size
  return {
    allowed = strings(filters.allowed_domains), blocked = strings(filters.blocked_domains),
    location = location and {
      city = soft.string(location, "city"), country = soft.string(location, "country"),
      region = soft.string(location, "region"), timezone = soft.string(location, "timezone"),
    },
    context_size = type(size) == "string" and size or nil,
    external = external ~= false,
  }
end

local function object_or_nil(value)
  return value ~= nil and json.type(value) == "object" and value or nil
end

local function callable(native, path, kind, group)
  local from = fields.object(native, kind, path) or native
  local name = fields.string(from, "name", path)
  if not name or name == "" then reject.bad(path .. ".name", "must be a name") end
  return {
    kind = kind, name = name, namespace = group and group.name, group = group,
    description = fields.string(from, "description", path),
    schema = kind == "function" and object_or_nil(from.parameters) or nil,
    strict = fields.boolean(from, "strict", path),
    format = kind == "custom" and object_or_nil(from.format) or nil,
    defer = fields.boolean(native, "defer_loading", path),
    extras = items.extras(native, modelled),
  }
end

local function server(native, kind)
  local tool = server_tools[kind] or kind
  return {
    kind = "server", name = kind,
    server = { tool = tool, config = tool == "web_search" and search_config(native) or nil },
    native = { dialect = "responses", raw = raw(encode(native)) },
  }
end

local add

-- True when more than the declaration had a say.
local function add_one(request, native, path, ctx, group)
  local kind = fields.string(native, "type", path) or "function"
  local list = request.tools
  if kind == "function" or kind == "custom" then
    list[#list + 1] = callable(native, path, kind, group)
  elseif kind == "namespace" then
    local name = fields.string(native, "name", path)
    return add(request, fields.list(native, "tools", path), path .. ".tools", ctx, {
      name = name, description = fields.string(native, "description", path),
    })
  elseif kind == "tool_search" and native.execution == "client" then
    list[#list + 1] = search.is_ours(native, ctx) and search.tool(request, native, path)
      or server(native, kind)
    return true
  else
    local tool = server(native, kind)
    local config = tool.server.config
    -- Search in what the vendor has stored: no other vendor has that.
    if config and not config.external and ctx.upstream and ctx.upstream.dialect ~= "responses" then
      ctx.warn("drop.tool", tostring(path), "web search without access to the web")
    else
      list[#list + 1] = tool
    end
    return config and not config.external
  end
end

function add(request, list, path, ctx, group)
  local at, bound = place.of(path), false
  for i = 1, list and #list or 0 do
    if add_one(request, place.element(at, list, i), at, ctx, group) then bound = true end
  end
  return bound
end

--- Appends a list of tools to the request.
--- @param request IrRequest
--- @param list table?
--- @param path string
--- @param ctx TranslationContext
function M.add(request, list, path, ctx)
  add(request, list, path, ctx)
end

local function read_all(list, request, ctx)
  local into = { tools = {} }
  local bound = add(into, list, "tools", ctx)
  if into.finder then request.finder = true end
  return into.tools, bound
end

--- The tools of a body.
--- @param request IrRequest
--- @param body table
--- @param ctx TranslationContext
function M.read(request, body, ctx)
  local list = fields.list(body, "tools")
  if not list then return end
  local found = declared.tools(list, read_all, request, ctx)
  table.move(found, 1, #found, #request.tools + 1, request.tools)
end

-- The tool that a member of a choice names.
local function named(native, path)
  local kind = fields.string(native, "type", path) or "function"
  if kind == "function" or kind == "custom" then
    local from = fields.object(native, kind, path) or native
    local name = fields.string(from, "name", path)
    if not name or name == "" then reject.bad(path .. ".name", "must be a name") end
    return { name = name, namespace = fields.string(native, "namespace", path), kind = kind }
  end
  return { server = server_tools[kind] or kind, native = kind }
end

local modes = { auto = "auto", none = "none", required = "required", any = "required" }

local function allowed(native, path)
  local from = fields.object(native, "allowed_tools", path) or native
  local found = { mode = "allowed", allowed = {} }
  found.allowed_mode = fields.string(from, "mode", path) == "required" and "required" or "auto"
  local list = fields.list(from, "tools", path)
  for i = 1, list and #list or 0 do
    local each = named(fields.element(list, i, path .. ".tools"), path .. ".tools[" .. i - 1 .. "]")
    found.allowed[i] = each.native or names.full(each.name, each.namespace)
  end
  return found
end

local function read_choice(native)
  if type(native) == "string" then
    if not modes[native] then
      reject.bad("tool_choice", "must be none, auto, required or an object")
    end
    return { mode = modes[native] }
  end
  if type(native) ~= "table" or is_array(native) then
    reject.bad("tool_choice", "must be a string or an object")
  end
  local kind = fields.string(native, "type", "tool_choice")
  if kind == "allowed_tools" then return allowed(native, "tool_choice") end
  if modes[kind] then return { mode = modes[kind] } end
  local found = named(native, "tool_choice")
  found.mode = "one"
  return found
end

--- Reads `tool_choice` and `parallel_tool_calls`.
--- @param request IrRequest
--- @param body table
function M.choice(request, body)
  local native = body.tool_choice
  local parallel = fields.boolean(body, "parallel_tool_calls")
  if native ~= nil and native ~= null then
    request.tool_choice = read_choice(native)
  elseif parallel ~= nil then
    request.tool_choice = { mode = "auto", implied = true }
  end
  if parallel ~= nil then request.tool_choice.parallel = parallel end
end

-- Writing.

local function write_extras(native, extras)
  local own = extras and extras.responses
  if not own then return native end
  for name, value in next, own do
    if native[name] == nil then native[name] = value end
  end
  return native
end

local function write_callable(tool)
  if tool.kind == "custom" then
    return write_extras({
      type = "custom", name = tool.name, description = tool.description, format = tool.format,
      defer_loading = tool.defer,
    }, tool.extras)
  end
  return write_extras({
    type = "function", name = tool.name, description = tool.description,
    parameters = tool.schema or NO_PARAMETERS, strict = tool.strict or false,
    defer_loading = tool.defer,
  }, tool.extras)
end

local function write_search(config)
  local blocked, allowed_domains = config.blocked or {}, config.allowed or {}
  local filters
  if #allowed_domains > 0 or #blocked > 0 then
    filters = {
      allowed_domains = #allowed_domains > 0 and json.array(allowed_domains) or nil,
      blocked_domains = #blocked > 0 and json.array(blocked) or nil,
    }
  end
  local location
  if config.location and next(config.location) then
    location = { type = "approximate" }
    for name, value in next, config.location do location[name] = value end
  end
  return {
    type = "web_search", filters = filters, user_location = location,
    search_context_size = config.context_size,
  }
end

local function write_server(tool, ctx, i)
  local native = tool.native
  if native and native.dialect == "responses" then return native.raw end
  local kind = tool.server.tool
  if kind == "web_search" then return write_search(tool.server.config or {}) end
  if kind == "code" then return { type = "code_interpreter", container = { type = "auto" } } end
  if kind == "image_gen" then return { type = "image_generation" } end
  if ctx then ctx.warn("drop.tool", "tools[" .. i - 1 .. "]", tool.name) end
  return nil
end

--- The tools of a request; those of one namespace stand together again.
--- @param request IrRequest
--- @param ctx TranslationContext?  nil: no warnings
--- @return table? tools  nil when there are none
function M.write(request, ctx)
  if not request.tools[1] then return nil end
  local list, spaces = json.array(), {}
  for i, tool in ipairs(request.tools) do
    local native
    if tool.kind == "server" then
      native = write_server(tool, ctx, i)
    elseif not tool.found then
      native = tool.native and tool.native.raw
        or declared.written(tool, "responses", write_callable)
    end
    local space = native and tool.namespace
    if space then
      local group = spaces[space]
      if not group then
        group = {
          type = "namespace", name = space, tools = json.array(),
          description = tool.group and tool.group.description,
        }
        spaces[space] = group
        list[#list + 1] = group
      end
      group.tools[#group.tools + 1] = native
    elseif native then
      list[#list + 1] = native
    end
  end
  return #list > 0 and list or nil
end

local function find(request, name)
  for _, tool in ipairs(request.tools) do
    if tool.name == name or names.full(tool.name, tool.namespace) == name then return tool end
  end
  return nil
end

local function write_allowed(request, choice)
  local list = json.array()
  for _, name in ipairs(choice.allowed or {}) do
    local tool = find(request, name)
    if tool and tool.kind == "server" then
      list[#list + 1] = { type = native_tools[tool.server.tool] or tool.name }
    else
      list[#list + 1] = {
        type = tool and tool.kind or "function", name = tool and tool.name or name,
        namespace = tool and tool.namespace,
      }
    end
  end
  return { type = "allowed_tools", mode = choice.allowed_mode or "auto", tools = list }
end

--- @param request IrRequest
--- @return any  nil when nothing is to be said
function M.write_choice(request)
  local choice = request.tool_choice
  if not choice or choice.implied then return nil end
  if choice.mode == "allowed" then return write_allowed(request, choice) end
  if choice.mode ~= "one" then return choice.mode end
  if choice.server then
    return { type = choice.native or native_tools[choice.server] or choice.server }
  end
  local kind, tool = choice.kind, find(request, choice.name)
  if tool and tool.kind ~= "server" then kind = tool.kind end
  return { type = kind or "function", name = choice.name, namespace = choice.namespace }
end

--- The type that Codex has now for one of the older names of web search.
--- @param kind any
--- @return string? renamed  nil when it stays
function M.renamed(kind)
  return type(kind) == "string" and sub(kind, 1, 18) == "web_search_preview" and "web_search" or nil
end

return M
