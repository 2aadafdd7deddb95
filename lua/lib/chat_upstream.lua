--- Chat requests for upstreams, from the neutral form.  The request is normalised: names, ids,
--- amounts and limits are what the upstream takes.

local build = require "lib.chat_build"
local declared = require "lib.declared"
local ir = require "lib.ir"
local json = require "json"
local thinking = require "lib.thinking"

local array, ipairs, next = json.array, ipairs, next

local M = {}

-- --- tools --------------------------------------------------------------------------------------

local INPUT = assert(json.raw
  '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')

local function approximate(place)
  if not place then return nil end
  return {
    type = "approximate",
    approximate = {
      city = place.city, country = place.country, region = place.region, timezone = place.timezone,
    },
  }
end

local function search_options(tool)
  local config = tool.server.config or {}
  return {
    search_context_size = config.context_size, user_location = approximate(config.location),
  }
end

local function write_tool(tool, ctx)
  if tool.kind == "custom" and ctx.caps.custom_tools then
    return {
      type = "custom",
      custom = { name = tool.name, description = tool.description, format = tool.format },
    }
  end
  local schema = tool.schema
  if tool.kind == "custom" then schema = INPUT end
  local fn = {
    name = tool.name, description = tool.description, parameters = schema, strict = tool.strict,
  }
  if tool.extras then build.add_extras(fn, tool.extras) end
  return { type = "function", ["function"] = fn }
end

local function add_tools(body, request, ctx)
  local given = request.tools
  if not given[1] then return end
  local tools = array {}
  for i = 1, #given do
    local tool = given[i]
    if tool.kind ~= "server" then
      tools[#tools + 1] = declared.written(tool, "chat", write_tool, ctx)
    elseif ctx.caps.search and tool.server and tool.server.tool == "web_search" then
      body.web_search_options = search_options(tool)
    else
      ctx.warn("drop.tool", "tools[" .. i - 1 .. "]", tool.name)
    end
  end
  if tools[1] then body.tools = tools end
end

-- Names of tools as a choice has them.
local function named(names, tools, ctx)
  local kinds, list = {}, array {}
  for _, tool in ipairs(tools) do
    if tool.kind == "custom" and ctx.caps.custom_tools then kinds[tool.name] = "custom" end
  end
  for i, name in ipairs(names) do
    local kind = kinds[name] or "function"
    list[i] = { type = kind, [kind] = { name = name } }
  end
  return list
end

local function add_choice(body, request, ctx)
  local choice = request.tool_choice
  if not choice or not body.tools then return end
  body.parallel_tool_calls = choice.parallel
  if choice.mode == "one" then
    -- A search cannot be forced here.
    if not choice.server then body.tool_choice = named({ choice.name }, request.tools, ctx)[1] end
  elseif choice.mode == "allowed" then
    body.tool_choice = {
      type = "allowed_tools",
      allowed_tools = {
        mode = choice.allowed_mode or "auto",
        tools = named(choice.allowed or {}, request.tools, ctx),
      },
    }
  elseif not choice.implied then
    body.tool_choice = choice.mode
  end
end

-- --- settings -----------------------------------------------------------------------------------

local function add_limits(body, request, ctx)
  local sampling, caps = request.sampling, ctx.caps
  local field = caps.max_output_field
  if request.max_output and field ~= false then body[field or "max_tokens"] = request.max_output end
  if caps.sampling and caps.sampling.top_k then body.top_k = sampling.top_k end
  if request.n > 1 then body.n = request.n end
  if request.stop[1] then body.stop = array(request.stop) end
  local logprobs = request.logprobs
  if logprobs then
    body.logprobs = logprobs.on
    if logprobs.on then body.top_logprobs = logprobs.top end
  end
end

local function effort_of(reasoning, caps)
  if reasoning.mode == "level" then return reasoning.level end
  if reasoning.mode == "budget" then
    local level = thinking.level(reasoning.budget)
    if thinking.is_level(level) then return level end
    return level == "off" and caps.zero_ok and "none" or nil
  end
  return reasoning.mode == "off" and caps.zero_ok and "none" or nil
end

local function add_reasoning(body, request, ctx)
  local reasoning = request.reasoning
  if not reasoning then return end
  body.reasoning_effort = effort_of(reasoning, ctx.caps.thinking or {})
end

local function add_format(body, request)
  local format = request.format
  if not format or format.kind == "text" then return end
  if format.kind == "json" or not format.schema then
    body.response_format = { type = "json_object" }
    return
  end
  body.response_format = {
    type = "json_schema",
    json_schema = {
      name = format.name or "output", description = format.description, schema = format.schema,
      strict = format.strict,
    },
  }
end

local ORDER = { "image", "text", "audio", "video" }

local function add_output(body, request, ctx)
  local output = request.output
  local modalities = output.modalities
  local first = next(modalities)
  local only_text = first == "text" and next(modalities, first) == nil
  if first and not only_text then
    local list = array {}
    for _, name in ipairs(ORDER) do
      if modalities[name] then list[#list + 1] = name end
    end
    if #list > 0 then body.modalities = list end
  end
  local audio, image = output.audio, output.image
  if audio then body.audio = { voice = audio.voice, format = audio.format } end
  if image and (image.aspect or image.size) then
    body.image_config = { aspect_ratio = image.aspect, image_size = image.size }
  end
  if output.prediction then
    body.prediction = { type = "content", content = build.content(output.prediction, ctx) }
  end
end

-- What is known to one vendor's clients goes to its own format only.
local function add_rest(body, request, ctx)
  local identity, cache = request.identity, request.cache
  if ctx.caps.cache_key then
    body.prompt_cache_key = cache.key
    body.prompt_cache_retention = cache.retention
    body.prompt_cache_options = cache.options
  end
  if ir.base(ctx.client.dialect) == "chat" then
    body.safety_identifier = identity.safety_id
    body.metadata, body.store = identity.metadata, request.service.store
  end
end

-- Without it the upstream says nothing of usage.
local function stream_options(ctx)
  return ctx.caps.stream_usage ~= false and { include_usage = true } or nil
end

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return string
function M.encode(request, ctx)
  local sampling = request.sampling
  local body = {
    model = ctx.upstream_model or request.model, messages = build.messages(request, ctx),
    stream = request.stream or nil, stream_options = request.stream and stream_options(ctx) or nil,
    temperature = sampling.temperature, top_p = sampling.top_p,
    frequency_penalty = sampling.frequency_penalty, presence_penalty = sampling.presence_penalty,
    seed = sampling.seed, logit_bias = sampling.logit_bias, verbosity = request.output.verbosity,
    service_tier = request.service.tier, user = request.identity.user,
  }
  add_tools(body, request, ctx)
  add_choice(body, request, ctx)
  add_limits(body, request, ctx)
  add_reasoning(body, request, ctx)
  add_format(body, request)
  add_output(body, request, ctx)
  add_rest(body, request, ctx)
  return json.encode(build.add_extras(body, request.extras))
end

return M
