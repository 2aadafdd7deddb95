--- Chat requests of clients into the neutral form.

local fields = require "lib.fields"
local ir = require "lib.ir"
local json = require "json"
local messages = require "lib.chat_messages"
local parts = require "lib.chat_parts"
local reasoning = require "lib.chat_reasoning"
local reject = require "lib.reject"
local tools = require "lib.chat_tools"

local ipairs, is_array, next, null, pairs, type =
  ipairs, json.is_array, next, json.null, pairs, type
local soft = fields.soft

local M = {}

-- Decoded whole, or by the shape of their own.
local MEMBERS = {
  "model", "stream", "stream_options", "tool_choice", "function_call", "parallel_tool_calls",
  "max_completion_tokens", "max_tokens", "temperature", "top_p", "top_k", "frequency_penalty",
  "presence_penalty", "seed", "n", "stop", "logprobs", "top_logprobs", "reasoning_effort",
  "reasoning", "thinking", "modalities", "audio", "image_config", "verbosity", "user",
  "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
  "service_tier", "store", "web_search_options",
  messages = messages.SHAPE, tools = tools.SHAPE, functions = tools.SHAPE,
  metadata = { ["*"] = "raw" }, extra_body = { google = true },
  response_format = { "type", json_schema = { "name", "description", "strict", schema = "raw" } },
  prediction = { "type", content = parts.SHAPE },
}

local SHAPE = json.shape { known = MEMBERS, strict = true, kept = { "tools" } }

-- What each reader below reads: most bodies have few of these members.
local GROUPS = {
  stream = { "stream", "stream_options" },
  tools = { "tools", "functions", "web_search_options" },
  choice = { "tool_choice", "function_call", "parallel_tool_calls" },
  sampling = {
    "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "logit_bias",
  },
  limits = {
    "max_completion_tokens", "max_tokens", "n", "stop", "logprobs", "top_logprobs",
  },
  reasoning = { "reasoning_effort", "reasoning", "thinking", "extra_body" },
  format = { "response_format" },
  output = { "modalities", "audio", "image_config", "verbosity", "prediction" },
  rest = {
    "user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "service_tier", "store",
  },
  always = { "model", "messages" },
}

local GROUP_OF = {}
for group, names in pairs(GROUPS) do
  for _, name in ipairs(names) do GROUP_OF[name] = group end
end

-- The groups that a body has members of, and its members that have no home in the neutral form.
local function groups_of(body)
  local given, extras = {}, nil
  for name, value in next, body do
    local group = GROUP_OF[name]
    if group then
      given[group] = true
    elseif value ~= null then
      extras = extras or {}
      extras[name] = value
    end
  end
  return given, extras
end

local function read_sampling(body, sampling)
  sampling.temperature = fields.number(body, "temperature")
  sampling.top_p = fields.number(body, "top_p")
  sampling.top_k = fields.integer(body, "top_k")
  sampling.frequency_penalty = fields.number(body, "frequency_penalty")
  sampling.presence_penalty = fields.number(body, "presence_penalty")
  sampling.seed = fields.integer(body, "seed")
  local bias = body.logit_bias
  if bias ~= nil and json.type(bias) == "object" then sampling.logit_bias = bias end
end

local function read_stop(body, stop)
  local native = body.stop
  if native == nil or native == null then return end
  if type(native) == "string" then
    stop[1] = native
    return
  end
  for i, each in ipairs(fields.list(body, "stop")) do
    if type(each) ~= "string" then reject.bad("stop[" .. i - 1 .. "]", "must be a string") end
    stop[i] = each
  end
end

local function read_limits(body, request)
  local limit = fields.integer(body, "max_completion_tokens") or fields.integer(body, "max_tokens")
  if limit and limit < 0 then reject.bad("max_tokens", "must not be negative") end
  request.max_output = limit
  local n = fields.integer(body, "n")
  if n and n < 1 then reject.bad("n", "must be at least 1") end
  request.n = n or 1
  read_stop(body, request.stop)
  local on, top = fields.boolean(body, "logprobs"), fields.integer(body, "top_logprobs")
  if on ~= nil or top then request.logprobs = { on = on ~= false, top = top } end
end

local formats = { text = "text", json_object = "json", json_schema = "schema" }

local function read_format(body)
  local native = fields.object(body, "response_format")
  if not native then return nil end
  local kind = fields.enum(native, "type", "response_format", formats)
  if not kind then reject.bad("response_format.type", "is required") end
  local format = { kind = formats[kind] }
  if kind ~= "json_schema" then return format end
  local path = "response_format.json_schema"
  local inner = fields.object(native, "json_schema", "response_format")
  if not inner then reject.bad(path, "is required") end
  format.name = fields.string(inner, "name", path)
  format.description = fields.string(inner, "description", path)
  format.strict = fields.boolean(inner, "strict", path)
  local schema = inner.schema
  if schema ~= nil and json.type(schema) == "object" then
    format.schema = schema
  elseif schema ~= nil and schema ~= null and json.type(schema) ~= "null" then
    reject.bad(path .. ".schema", "must be an object")
  end
  return format
end

local function read_output(body, output)
  for i, each in ipairs(fields.list(body, "modalities") or {}) do
    if type(each) ~= "string" then reject.bad("modalities[" .. i - 1 .. "]", "must be a string") end
    output.modalities[each] = true
  end
  local audio = fields.object(body, "audio")
  if audio then
    output.audio = { voice = audio.voice, format = soft.string(audio, "format") }
  end
  local image = fields.object(body, "image_config")
  if image then
    output.image = {
      aspect = soft.string(image, "aspect_ratio"), size = soft.string(image, "image_size"),
    }
  end
  output.verbosity = fields.string(body, "verbosity")
  local prediction = fields.object(body, "prediction")
  if prediction then
    output.prediction = {}
    parts.content(prediction, "prediction", output.prediction)
  end
end

local function read_rest(body, request)
  local identity, cache, service = request.identity, request.cache, request.service
  identity.user = fields.string(body, "user")
  identity.safety_id = fields.string(body, "safety_identifier")
  identity.metadata = fields.object(body, "metadata")
  cache.key = fields.string(body, "prompt_cache_key")
  cache.retention = fields.string(body, "prompt_cache_retention")
  local options = fields.object(body, "prompt_cache_options")
  if options then
    cache.options = options
    cache.ttl = soft.string(options, "ttl")
  end
  service.tier = fields.string(body, "service_tier")
  service.store = fields.boolean(body, "store")
end

local function read_stream(body, request)
  request.stream = fields.boolean(body, "stream") or false
  local options = fields.object(body, "stream_options")
  request.stream_usage = options and fields.boolean(options, "include_usage", "stream_options")
    or false
end

--- @param text string
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode(text, ctx)
  local body, problem = json.decode(text, SHAPE)
  if problem then reject.json(problem) end
  if type(body) ~= "table" or is_array(body) then reject.json "it must be an object" end
  local list = fields.list(body, "messages")
  if not list then reject.bad("messages", "is required") end
  local request = ir.request()
  local given, extras = groups_of(body)
  request.model = fields.string(body, "model") or ""
  request.stream_usage = false
  if given.stream then read_stream(body, request) end
  messages.read(list, request)
  if given.tools then request.tools = tools.read(body) end
  if given.choice then request.tool_choice = tools.choice(body) end
  if given.sampling then read_sampling(body, request.sampling) end
  if given.limits then read_limits(body, request) end
  if given.reasoning then request.reasoning = reasoning.request(body, ctx.warn) end
  if given.format then request.format = read_format(body) end
  if given.output then read_output(body, request.output) end
  if given.rest then read_rest(body, request) end
  if extras then request.extras = { chat = extras } end
  return request
end

return M
