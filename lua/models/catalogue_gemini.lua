--- Gemini models of the public API, and which of them Code Assist serves.

local LOW_HIGH = { "low", "high" }
local MINIMAL_HIGH = { "minimal", "high" }
local LEVELS = { "low", "medium", "high" }
local ALL = { "minimal", "low", "medium", "high" }

local function budget(min, max, zero_ok)
  return { kind = "budget", min = min, max = max, zero_ok = zero_ok, dynamic_ok = true }
end

local function hybrid(levels, max)
  return { kind = "hybrid", min = 128, max = max or 32768, dynamic_ok = true, levels = levels }
end

local function model(id, version, name, thinking, output)
  return {
    id = id, version = version, display_name = name, thinking = thinking,
    max_completion_tokens = output,
  }
end

local NONE = { kind = "none" }

return {
  shared = {
    owned_by = "google", type = "gemini", created = 1750118400, context_length = 1048576,
    max_completion_tokens = 65536,
    methods = { "generateContent", "countTokens", "createCachedContent", "batchGenerateContent" },
  },
  models = {
    model("gemini-2.5-pro", "2.5", "Gemini 2.5 Pro", budget(128, 32768, false)),
    model("gemini-2.5-flash", "001", "Gemini 2.5 Flash", budget(0, 24576, true)),
    model("gemini-2.5-flash-lite", "2.5", "Gemini 2.5 Flash Lite", budget(512, 24576, true)),
    model("gemini-2.5-flash-image", "2.5", "Gemini 2.5 Flash Image", NONE, 8192),
    model("gemini-2.5-flash-image-preview", "2.5", "Gemini 2.5 Flash Image Preview", NONE, 8192),
    model("gemini-3-pro-preview", "3", "Gemini 3 Pro Preview", hybrid(LOW_HIGH)),
    model("gemini-3.1-pro-preview", "3.1", "Gemini 3.1 Pro Preview", hybrid(LEVELS)),
    model("gemini-3-flash-preview", "3", "Gemini 3 Flash Preview", hybrid(ALL)),
    model("gemini-3.1-flash-lite-preview", "3.1", "Gemini 3.1 Flash Lite Preview",
      hybrid(MINIMAL_HIGH)),
    model("gemini-3.1-flash-image-preview", "3.1", "Gemini 3.1 Flash Image Preview",
      hybrid(MINIMAL_HIGH)),
    model("gemini-3-pro-image-preview", "3", "Gemini 3 Pro Image Preview", hybrid(LOW_HIGH)),
    model("gemini-3.5-flash", "3.5", "Gemini 3.5 Flash", hybrid(ALL)),
    model("gemini-3.5-flash-lite", "3.5", "Gemini 3.5 Flash Lite", hybrid(ALL)),
    model("gemini-3.6-flash", "3.6", "Gemini 3.6 Flash", hybrid(ALL)),
    model("gemini-3.7-flash", "3.7", "Gemini 3.7 Flash", hybrid(ALL, 65535)),
  },
  code_assist = {
    "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-flash-image",
    "gemini-2.5-flash-image-preview", "gemini-3-pro-preview", "gemini-3.1-pro-preview",
    "gemini-3-flash-preview", "gemini-3.1-flash-lite-preview",
  },
}
