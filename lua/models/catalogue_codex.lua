--- Codex models.  `<model>-<effort>` exists for each of the efforts minimal, low, medium and high
--- that a model declares as a level.

local LEVELS = { "low", "medium", "high" }
local LEVELS_X = { "low", "medium", "high", "xhigh" }
local LEVELS_XMAX = { "low", "medium", "high", "xhigh", "max" }
local TOOLS = { "tools" }

local function model(id, name, context, levels, version)
  return {
    id = id, display_name = name, version = version or id, context_length = context,
    max_completion_tokens = 128000, supported_parameters = TOOLS,
    thinking = { kind = "level", levels = levels },
  }
end

return {
  shared = { owned_by = "openai", type = "openai", created = 1757894400 },
  efforts = true,
  models = {
    model("gpt-5", "GPT 5", 400000, { "minimal", "low", "medium", "high" }, "gpt-5-2025-08-07"),
    model("gpt-5-codex", "GPT 5 Codex", 400000, LEVELS, "gpt-5-2025-09-15"),
    {
      id = "codex-mini-latest", display_name = "Codex Mini", version = "1.0", context_length = 4096,
      max_completion_tokens = 2048,
      supported_parameters = { "temperature", "max_tokens", "stream", "stop" },
    },
    model("gpt-5.3-codex-spark", "GPT 5.3 Codex Spark", 128000, LEVELS_X),
    model("gpt-5.4", "GPT 5.4", 1050000, LEVELS_X),
    model("gpt-5.4-mini", "GPT 5.4 Mini", 400000, LEVELS_X),
    model("gpt-5.5", "GPT 5.5", 272000, LEVELS_X),
    model("gpt-5.6-sol", "GPT 5.6 Sol", 372000, LEVELS_XMAX),
    model("gpt-5.6-terra", "GPT 5.6 Terra", 372000, LEVELS_XMAX),
    model("gpt-5.6-luna", "GPT 5.6 Luna", 372000, LEVELS_XMAX),
    model("codex-auto-review", "Codex Auto Review", 272000, LEVELS_X),
  },
}
