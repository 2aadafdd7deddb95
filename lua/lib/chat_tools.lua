--- Tools of a Chat request and the choice among them: into the neutral form.

local declared = require "lib.declared"
local fields = require "lib.fields"
local json = require "json"
local parts = require "lib.chat_parts"
local place = require "lib.place"
local reject = require "lib.reject"

local find, ipairs, is_array, is_raw, null, type =
  string.find, ipairs, json.is_array, json.is_raw, json.null, type
local json_type = json.type
local soft = fields.soft

local M = {}

--- Members of a tool that are decoded; schemas and grammars travel raw.
local FUNCTION = { "name", "description", "strict" }
M.SHAPE = {
  "type", "name", "description", "strict", "cache_control", "prompt_cache_breakpoint",
  "search_context_size", "user_location", "filters", "allowed_domains", "blocked_domains",
  "max_uses", "defer_loading",
  ["function"] = FUNCTION, custom = { "name", "description" },
}

local IN_TOOL = {
  type = true, ["function"] = true, custom = true, cache_control = true,
  prompt_cache_breakpoint = true, name = true, description = true, strict = true,
  parameters = true, parametersJsonSchema = true, format = true, defer_loading = true,
}
local IN_FUNCTION = {
  name = true, description = true, strict = true, parameters = true, parametersJsonSchema = true,
}

local function schema(object)
  local found = object.parameters
  if found ~= nil and json_type(found) == "object" then return found end
  found = object.parametersJsonSchema
  return found ~= nil and json_type(found) == "object" and found or nil
end

-- What is right needs no path: `member` is what `path` goes on with, where that is an object.
local function required_name(object, path, member)
  local name = object.name
  if type(name) == "string" and name ~= "" then return name end
  if member then path = fields.path(path, member) end
  fields.string(object, "name", path)
  return reject.bad(path .. ".name", "is required")
end

local function description(object, path, member)
  local text = object.description
  if type(text) == "string" then return text end
  return fields.string(object, "description", member and fields.path(path, member) or path)
end

-- `function` tools, also in the flat form of the Responses format.
local function read_function(native, path)
  local object = fields.object(native, "function", path)
  local member = object and "function"
  object = object or native
  local name, text = required_name(object, path, member), description(object, path, member)
  local strict = object.strict
  if strict ~= nil then
    strict = fields.boolean(object, "strict", member and fields.path(path, member) or path)
  end
  return {
    kind = "function", name = name, description = text, schema = schema(object),
    strict = strict, cache = parts.cache(native), defer = soft.boolean(native, "defer_loading"),
    extras = member and parts.extras(object, IN_FUNCTION) or parts.extras(native, IN_TOOL),
  }
end

local function read_custom(native, path)
  local object = fields.object(native, "custom", path)
  local member = object and "custom"
  object = object or native
  local format = object.format
  return {
    kind = "custom", name = required_name(object, path, member),
    description = description(object, path, member),
    format = format ~= nil and format ~= null and format or nil, cache = parts.cache(native),
  }
end

-- Names that vendors have for tools they run themselves.
local server_tools = {
  { "^web_search", "web_search" }, { "^google_?[sS]earch", "web_search" },
  { "^web_fetch", "web_fetch" }, { "^url_?[cC]ontext", "web_fetch" },
  { "^code_interpreter", "code" }, { "^code_?[eE]xecution", "code" },
  { "^image_generation", "image_gen" }, { "^file_search", "file_search" },
  { "^computer", "computer" }, { "shell$", "shell" }, { "^mcp", "mcp" },
  { "^tool_search", "tool_search" },
}

local function strings(list)
  local kept = {}
  for _, each in ipairs(list or {}) do
    if type(each) == "string" then kept[#kept + 1] = each end
  end
  return #kept > 0 and kept or nil
end

-- A place, as OpenAI writes it in two ways.
local function location(native)
  local place = soft.object(native, "approximate") or native
  if type(place) ~= "table" then return nil end
  local found = {
    city = soft.string(place, "city"), country = soft.string(place, "country"),
    region = soft.string(place, "region"), timezone = soft.string(place, "timezone"),
  }
  return next(found) ~= nil and found or nil
end

local function search(native)
  local filters = soft.object(native, "filters")
  local function domains(name)
    return strings(soft.list(filters, name) or soft.list(native, name))
  end
  return {
    allowed = domains "allowed_domains", blocked = domains "blocked_domains",
    location = location(soft.object(native, "user_location")),
    max_uses = soft.integer(native, "max_uses"),
    context_size = soft.string(native, "search_context_size"),
  }
end

local function read_server(native, kind)
  for _, row in ipairs(server_tools) do
    if find(kind, row[1]) then
      local config = row[2] == "web_search" and search(native) or {}
      return { kind = "server", name = row[2], server = { tool = row[2], config = config } }
    end
  end
  return {
    kind = "server", name = kind, server = { tool = kind, config = {} },
    extras = parts.extras(native, IN_TOOL),
  }
end

local function read_tool(native, path)
  local kind = fields.string(native, "type", path)
  if kind == "function" or native["function"] ~= nil then return read_function(native, path) end
  if kind == "custom" then return read_custom(native, path) end
  -- A Gemini habit: the kind is the name of the only member.
  if not kind then
    for _, name in ipairs { "google_search", "googleSearch", "code_execution", "url_context" } do
      if native[name] ~= nil then return read_server({}, name) end
    end
    if native.name ~= nil then return read_function(native, path) end
    reject.bad(path .. ".type", "is required")
  end
  return read_server(native, kind)
end

local function read_list(list, name, read)
  local path, tools = place.of(name), {}
  for i = 1, #list do tools[i] = read(place.element(path, list, i), path) end
  return tools
end

--- The tools of a body, and what `web_search_options` asks for.
--- @param body table
--- @return IrTool[]
function M.read(body)
  local list = fields.list(body, "tools")
  local tools = list and declared.tools(list, read_list, "tools", read_tool) or {}
  local functions = fields.list(body, "functions")
  if functions then
    local found = read_list(functions, "functions", read_function)
    table.move(found, 1, #found, #tools + 1, tools)
  end
  local options = fields.object(body, "web_search_options")
  if options then
    tools[#tools + 1] = {
      kind = "server", name = "web_search",
      server = { tool = "web_search", config = search(options) },
    }
  end
  return tools
end

local function one(native, kind, path)
  local object = soft.object(native, kind) or native
  return { mode = "one", name = required_name(object, path, kind) }
end

local function allowed(native, path)
  local object = soft.object(native, "allowed_tools") or native
  local names = {}
  for _, each in ipairs(soft.list(object, "tools") or {}) do
    local inner = soft.object(each, "function") or soft.object(each, "custom") or each
    local name = soft.filled(inner, "name") or soft.filled(each, "type")
    if name then names[#names + 1] = name end
  end
  if #names == 0 then reject.bad(path .. ".tools", "is required") end
  return {
    mode = "allowed", allowed = names,
    allowed_mode = soft.string(object, "mode") == "required" and "required" or "auto",
  }
end

local modes = {
  auto = "auto", none = "none", required = "required", any = "required",
}

local function choice_of(native, path)
  if type(native) == "string" then
    local mode = modes[native]
    if not mode then reject.bad(path, "must be one of 'auto', 'none', 'required'") end
    return { mode = mode }
  end
  if type(native) ~= "table" or is_array(native) then
    reject.bad(path, "must be a string or an object")
  end
  local kind = fields.string(native, "type", path)
  if kind == "allowed_tools" then return allowed(native, path) end
  if kind == "custom" then return one(native, "custom", path) end
  if kind == "function" or kind == "tool" or not kind then
    return one(native, "function", path)
  end
  if modes[kind] then return { mode = modes[kind] } end
  local server = read_server({}, kind)
  return { mode = "one", name = server.name, server = server.server.tool }
end

--- The choice among tools; nil when the client left it to the vendor.
--- @param body table
--- @return table? choice  `implied` when the client only spoke of parallel calls
function M.choice(body)
  local native, path = body.tool_choice, "tool_choice"
  if native == nil or native == null then native, path = body.function_call, "function_call" end
  local choice = native ~= nil and native ~= null and not is_raw(native) and choice_of(native, path)
  local parallel = fields.boolean(body, "parallel_tool_calls")
  if parallel ~= nil then
    choice = choice or { mode = "auto", implied = true }
    choice.parallel = parallel
  end
  return choice or nil
end

return M
