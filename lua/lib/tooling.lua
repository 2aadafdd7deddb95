--- Normalisation N8 and N9: names and ids as the upstream takes them, tools, schemas, choice.

local content = require "lib.content"
local declared = require "lib.declared"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local names = require "lib.names"
local reject = require "lib.reject"
local schema = require "lib.schema"

local M = {}

local copy = content.copy

local CUSTOM_SCHEMA = assert(json.raw
  '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')

local function takes_custom(ctx)
  return ctx.base == "responses" or ctx.caps.custom_tools == true
end

-- --- names and ids of the history ---------------------------------------------------------------

--- The arguments of a custom call where it has to be a function.
--- @param text string
--- @return string
function M.wrap_input(text)
  return '{"input":' .. json.encode(text) .. "}"
end

-- The name and the id for the upstream: most were asked for before.
local function name_of(ctx, full, block)
  return ctx.names.known[full] or ctx.names.to_upstream(full, block)
end

local function id_of(ctx, id)
  return ctx.ids.known[id] or ctx.ids.to_upstream(id)
end

-- `renamed` gets the new names of calls, by their ids.
local function map_call(block, ctx, custom, renamed)
  local given, given_id, namespace = block.name, block.id, block.namespace
  local full = namespace and names.full(given, namespace) or given
  local name, id = name_of(ctx, full, block), id_of(ctx, given_id)
  if name ~= given then renamed[given_id] = name end
  local unwrap = block.kind == "custom" and not custom
  if name == given and id == given_id and not namespace and not unwrap then return block end
  local made = copy(block)
  made.name, made.id, made.namespace = name, id, nil
  if unwrap then
    made.kind = "function"
    made.args = M.wrap_input(block.args or "")
  end
  return made
end

local function map_result(block, ctx, custom, renamed)
  local call_id, called_kind = block.call_id, block.kind
  local id, name = id_of(ctx, call_id), renamed[call_id] or block.name
  local kind = called_kind == "custom" and not custom and "function" or called_kind
  if id == call_id and name == block.name and kind == called_kind then return block end
  local made = copy(block)
  made.call_id, made.name, made.kind = id, name, kind
  return made
end

local function map_turn(turn, ctx, custom, renamed)
  local given, blocks = turn.blocks, nil
  for i = 1, #given do
    local block = given[i]
    local kind, mapped = block.type, block
    if kind == "tool_call" then
      mapped = map_call(block, ctx, custom, renamed)
    elseif kind == "tool_result" then
      mapped = map_result(block, ctx, custom, renamed)
    end
    if mapped ~= block then
      blocks = blocks or content.head(given, #given)
      blocks[i] = mapped
    end
  end
  return blocks and content.with_blocks(turn, blocks) or turn
end

--- N8.  Sets ctx.names and ctx.ids.
--- @param request IrRequest  the copy
--- @param ctx table
function M.map(request, ctx)
  ctx.names = names.map(request, ctx.caps)
  ctx.ids = ids.map(request, ctx)
  local custom, turns, renamed, mapped = takes_custom(ctx), request.turns, {}, nil
  for i = 1, #turns do
    local turn = map_turn(turns[i], ctx, custom, renamed)
    if turn ~= turns[i] and not mapped then
      mapped = content.head(turns, #turns)
      request.turns = mapped
    end
    if mapped then mapped[i] = turn end
  end
end

-- --- tools --------------------------------------------------------------------------------------

local function grammar_text(format)
  local read = format and json.decode(format)
  if type(read) ~= "table" then return nil end
  -- Chat has it one level deeper.
  local grammar = type(read.grammar) == "table" and read.grammar or read
  if type(grammar.definition) ~= "string" then return nil end
  return "Input grammar (" .. tostring(grammar.syntax or "text") .. "):\n" .. grammar.definition
end

local function as_function(tool, ctx, path)
  local made = copy(tool)
  made.kind, made.schema, made.format, made.strict = "function", CUSTOM_SCHEMA, nil, nil
  local grammar = grammar_text(tool.format)
  if grammar then
    local before = tool.description
    made.description = before and before ~= "" and before .. "\n\n" .. grammar or grammar
  end
  ctx.warn("emulated", path, "custom tool")
  return made
end

local function fit_strict(tool, ctx)
  if tool.strict ~= true then return tool.strict end
  -- Only OpenAI's clients promise what its strict mode needs.
  if ctx.client.dialect == "chat" or ctx.client.dialect == "responses" then return true end
  if ctx.base == "anthropic" then return true end
  return schema.is_strict(tool.schema)
end

local function path_of(index)
  return "tools[" .. index - 1 .. "]"
end

-- The second result is true when all that was done is in the tool.
local function fitted(given, ctx, name, full, index)
  local tool, silent = nil, name == full
  if given.kind == "custom" and not takes_custom(ctx) then
    tool, silent = as_function(given, ctx, path_of(index)), false
  else
    tool = copy(given)
  end
  if name ~= full then ctx.warn("renamed", path_of(index), name) end
  tool.name, tool.namespace = name, nil
  if tool.kind == "function" then
    local coercions
    tool.schema, coercions = schema.clean(tool.schema, ctx.caps.schema_profile, ctx.schema_options)
    if coercions then
      ctx.coercions = ctx.coercions or {}
      ctx.coercions[name], silent = coercions, false
    end
    tool.strict = fit_strict(tool, ctx)
  end
  return tool, silent
end

-- A tool that comes again is fitted once for its latest target.  Capabilities are one table for
-- each target, and what a fitted tool keeps is of that target, too.
local function function_tool(tool, ctx, full, index)
  local before, caps, client = declared.made_of(tool), ctx.caps, ctx.client.dialect
  if before and before.caps == caps and before.client == client and before.base == ctx.base then
    return before.fitted
  end
  local made, silent = fitted(tool, ctx, ctx.names.to_upstream(full), full, index)
  if before and silent then
    before.caps, before.client, before.base, before.fitted = caps, client, ctx.base, made
    declared.share(made)
  end
  return made
end

-- Which of the vendors' own tools a target has something for.
local function has_server_tool(tool, ctx)
  local name = tool.server and tool.server.tool
  if ctx.base == ir.base(ctx.client.dialect) then return true end
  if name == "web_search" then return ctx.caps.search == true end
  if ctx.base == "chat" then return false end
  if name == "code" then return ctx.caps.code == true end
  if name == "web_fetch" then
    return (ctx.base == "anthropic" or ctx.base == "gemini") and ctx.caps.search == true
  end
  return name == "image_gen" and ctx.base == "responses"
end

-- Deferred tools are Anthropic's; others see them once they are referenced.
local function is_waiting(tool, ctx)
  return tool.defer == true and not tool.live and ctx.base ~= "anthropic"
end

-- The first declaration of a name wins, direct ones over those of namespaces.  By flat name, the
-- tool that wins.
local function winners(tools)
  local wins, spaced = {}, false
  for i = 1, #tools do
    local tool = tools[i]
    if tool.kind ~= "server" then
      if tool.namespace then
        spaced = true
      else
        local name = tool.name
        if not wins[name] then wins[name] = i end
      end
    end
  end
  if not spaced then return wins end
  for i, tool in ipairs(tools) do
    if tool.kind ~= "server" and tool.namespace then
      local full = names.full(tool.name, tool.namespace)
      if not wins[full] then wins[full] = i end
    end
  end
  return wins
end

local function with_modalities(output, modalities)
  local made = copy(output)
  made.modalities = modalities
  return made
end

-- Pictures are asked for with a tool in the Responses dialect.
local function ask_for_pictures(request, ctx, servers)
  if ctx.base ~= "responses" or not request.output.modalities.image then return end
  for _, tool in ipairs(servers) do
    if tool.server and tool.server.tool == "image_gen" then return end
  end
  servers[#servers + 1] = {
    kind = "server", name = "image_generation", server = { tool = "image_gen", config = {} },
  }
end

local function fit_tools(request, ctx)
  local wins = winners(request.tools)
  local functions, servers = {}, {}
  for i, tool in ipairs(request.tools) do
    local full = tool.kind ~= "server" and names.full(tool.name, tool.namespace)
    if not full then
      if has_server_tool(tool, ctx) then
        servers[#servers + 1] = tool
      elseif tool.server and tool.server.tool == "image_gen" and ctx.caps.image_output then
        request.output = with_modalities(request.output, { image = true, text = true })
      else
        ctx.warn("drop.tool", path_of(i), tool.server and tool.server.tool or tool.name)
        ctx.dropped_server = true
      end
    elseif wins[full] ~= i then
      ctx.warn("drop.tool", path_of(i), tool.name)
    elseif not is_waiting(tool, ctx) then
      functions[#functions + 1] = function_tool(tool, ctx, full, i)
    end
  end
  ask_for_pictures(request, ctx, servers)
  if #functions > 0 and #servers > 0 and ctx.caps.search_with_tools == false then
    for _ in ipairs(servers) do ctx.warn("drop.tool", "tools", "cannot be mixed with functions") end
    servers = {}
  end
  table.move(servers, 1, #servers, #functions + 1, functions)
  return functions
end

-- --- choice -------------------------------------------------------------------------------------

local function is_declared(tools, name)
  for _, tool in ipairs(tools) do
    if tool.kind ~= "server" and tool.name == name then return true end
  end
  return false
end

local function has_server(tools, name)
  for _, tool in ipairs(tools) do
    if tool.kind == "server" and tool.server and tool.server.tool == name then return true end
  end
  return false
end

local function only_allowed(tools, allowed)
  local kept = {}
  for _, tool in ipairs(tools) do
    if tool.kind == "server" or allowed[tool.name] then kept[#kept + 1] = tool end
  end
  return kept
end

local function fit_allowed(request, choice, ctx)
  local mapped, set = {}, {}
  for _, name in ipairs(choice.allowed or {}) do
    local upstream = ctx.names.to_upstream(name)
    if is_declared(request.tools, upstream) and not set[upstream] then
      mapped[#mapped + 1], set[upstream] = upstream, true
    end
  end
  choice.allowed = mapped
  if ctx.base == "anthropic" then
    request.tools = only_allowed(request.tools, set)
    choice.mode = choice.allowed_mode == "required" and "required" or "auto"
    choice.allowed, choice.allowed_mode = nil, nil
    ctx.warn("map.lossy", "tool_choice", "allowed tools")
  end
end

local function fit_choice(request, ctx)
  local choice = request.tool_choice
  if not choice then return end
  choice = copy(choice)
  request.tool_choice = choice
  if choice.parallel == false and ctx.base == "gemini" then
    choice.parallel = nil
    ctx.warn("drop.param", "parallel_tool_calls")
  end
  if choice.mode == "one" and choice.server then
    if not has_server(request.tools, choice.server) then
      if #request.tools == 0 then
        reject.bad("tool_choice", "the model has no tool '" .. choice.server .. "'")
      end
      ctx.warn("map.lossy", "tool_choice")
      choice.mode, choice.server = "auto", nil
    end
  elseif choice.mode == "one" then
    local name = ctx.names.to_upstream(names.full(choice.name or "", choice.namespace))
    if not is_declared(request.tools, name) then
      reject.bad("tool_choice", "there is no tool '" .. (choice.name or "") .. "'")
    end
    choice.name, choice.namespace = name, nil
  elseif choice.mode == "allowed" then
    fit_allowed(request, choice, ctx)
  end
  if #request.tools == 0 then request.tool_choice = nil end
end

--- N9.
--- @param request IrRequest  the copy
--- @param ctx table
function M.fit(request, ctx)
  if ir.base(ctx.client.dialect) == "gemini" then ctx.schema_options = { nullable = true } end
  request.tools = fit_tools(request, ctx)
  fit_choice(request, ctx)
end

-- --- structured output --------------------------------------------------------------------------

local ANY_ROOT = { any_root = true }
local EMITTER = "emit_structured_output"

local function ask_in_words(request, format)
  local text = "Reply with JSON only, without any other text and without a code fence."
  if format.schema then
    text = text .. " The JSON must match this JSON Schema:\n" .. tostring(format.schema)
  end
  local system = { table.unpack(request.system) }
  system[#system + 1] = { type = "text", text = text, level = "system" }
  request.system = system
end

-- What a schema of answers has to be like, where a dialect does not take any.
local answer_profiles = { gemini = "gemini_rich", anthropic = "claude_answer" }

--- Schemas of answers, natively or by other means.  Sets ctx.emulation ("fence" or "tool").
--- @param request IrRequest  the copy
--- @param ctx table
function M.structure(request, ctx)
  local format = request.format
  if not format or format.kind == "text" then return end
  local way = ctx.caps.structured
  if ctx.base == "anthropic" and format.kind == "json" then way = "prompt" end
  -- Gemini before 3 cannot answer in JSON and call functions.
  if ctx.base == "gemini" and not ctx.caps.search_with_tools and #request.tools > 0 then
    way = "prompt"
  end
  local thinks = request.reasoning and request.reasoning.mode and request.reasoning.mode ~= "off"
  if way == "tool" and (#request.tools > 0 or thinks or format.kind ~= "schema") then
    way = "prompt"
  end
  if way == "native" then
    local profile = ir.base(ctx.client.dialect) ~= ctx.base and answer_profiles[ctx.base]
    if format.schema and profile then
      format = copy(format)
      format.schema = schema.clean(format.schema, profile, ANY_ROOT)
      request.format = format
    end
    return
  end
  ctx.warn("emulated", "response_format", way)
  if way == "tool" then
    request.tools = {
      {
        kind = "function", name = EMITTER, description = format.description,
        schema = schema.clean(format.schema, ctx.caps.schema_profile),
      },
    }
    request.tool_choice = { mode = "one", name = EMITTER }
    ctx.emulation = "tool"
  else
    ask_in_words(request, format)
    ctx.emulation = "fence"
  end
  request.format = nil
end

M.EMITTER = EMITTER

return M
