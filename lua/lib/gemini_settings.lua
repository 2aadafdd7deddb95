--- What Gemini's clients set in `generationConfig`, in the neutral form.

local fields = require "lib.fields"
local json = require "json"
local parts = require "lib.gemini_parts"
local reject = require "lib.reject"
local schema = require "lib.schema"
local thinking = require "lib.thinking"

local ipairs, lower, next, type = ipairs, string.lower, next, type
local path_of = fields.path

local M = {}

local THINKING = { "thinkingLevel", "thinkingBudget", "includeThoughts" }
--- The members that are read, for json.shape.
M.SHAPE = {
  "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed",
  "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType",
  "responseModalities", responseSchema = "raw", responseJsonSchema = "raw",
  thinkingConfig = THINKING, imageConfig = { "aspectRatio", "imageSize" },
}

local config_names, thinking_names = parts.names(M.SHAPE), parts.names(THINKING)
local image_names = parts.names { "aspectRatio", "imageSize" }

local function read_reasoning(config, path)
  local native = fields.object(config, "thinkingConfig", path)
  if not native then return nil end
  path = path_of(path, "thinkingConfig")
  parts.canon(native, thinking_names)
  local level = fields.string(native, "thinkingLevel", path)
  local budget = fields.integer(native, "thinkingBudget", path)
  local reasoning = level and thinking.word(level) or budget and thinking.tokens(budget) or {}
  reasoning.visible = fields.boolean(native, "includeThoughts", path)
  if next(reasoning) == nil then return nil end
  reasoning.from_suffix = false
  return reasoning
end

local ANY_ROOT = { any_root = true, nullable = true }

local function read_format(config, path, extras)
  local mime = fields.string(config, "responseMimeType", path)
  local given = config.responseJsonSchema
  if given == nil and config.responseSchema ~= nil then
    given = json.type(config.responseSchema) ~= "null"
      and schema.clean(config.responseSchema, "full", ANY_ROOT) or nil
  end
  if mime and mime ~= "application/json" and mime ~= "text/plain" then
    -- text/x.enum and what may come: nobody else has it.
    extras.responseMimeType = mime
    extras.responseSchema = config.responseSchema
    extras.responseJsonSchema = config.responseJsonSchema
    return nil
  end
  if given ~= nil then return { kind = "schema", schema = given } end
  return mime and { kind = mime == "application/json" and "json" or "text" } or nil
end

local function read_output(output, config, path)
  for i, name in ipairs(fields.list(config, "responseModalities", path) or {}) do
    if type(name) ~= "string" then
      reject.bad(path_of(path_of(path, "responseModalities"), i), "must be a string")
    end
    output.modalities[lower(name)] = true
  end
  local image = fields.object(config, "imageConfig", path)
  if image then
    path = path_of(path, "imageConfig")
    local extras = parts.canon(image, image_names)
    output.image = {
      aspect = fields.string(image, "aspectRatio", path),
      size = fields.string(image, "imageSize", path),
      extras = parts.extras(extras),
    }
  end
end

--- Reads `generationConfig` into a request.
--- @param request IrRequest
--- @param body table
--- @return table? extras  members that nobody else has
function M.read(request, body)
  local config = fields.object(body, "generationConfig", "")
  if not config then return nil end
  local path = "generationConfig"
  local extras = parts.canon(config, config_names) or {}
  local sampling = request.sampling
  sampling.temperature = fields.number(config, "temperature", path)
  sampling.top_p = fields.number(config, "topP", path)
  sampling.top_k = fields.number(config, "topK", path)
  sampling.seed = fields.integer(config, "seed", path)
  sampling.presence_penalty = fields.number(config, "presencePenalty", path)
  sampling.frequency_penalty = fields.number(config, "frequencyPenalty", path)
  request.n = fields.integer(config, "candidateCount", path) or 1
  request.max_output = fields.integer(config, "maxOutputTokens", path)
  for i, stop in ipairs(fields.list(config, "stopSequences", path) or {}) do
    if type(stop) ~= "string" then
      reject.bad(path_of(path_of(path, "stopSequences"), i), "must be a string")
    end
    request.stop[i] = stop
  end
  local on = fields.boolean(config, "responseLogprobs", path)
  local top = fields.integer(config, "logprobs", path)
  if on ~= nil or top then request.logprobs = { on = on ~= false, top = top } end
  request.reasoning = read_reasoning(config, path)
  request.format = read_format(config, path, extras)
  read_output(request.output, config, path)
  return next(extras) ~= nil and extras or nil
end

return M
