--- Codex models.  `<model>-<effort>` exists for each of the efforts minimal, low, medium and high
--- that a model declares as a level.  Logins have the models of their plan: `plan` is the smallest
--- one with the model, nil where every plan has it.

local LEVELS = { "low", "medium", "high" }
local LEVELS_X = { "low", "medium", "high", "xhigh" }
local LEVELS_XMAX = { "low", "medium", "high", "xhigh", "max" }
local TOOLS = { "tools" }

local function model(id, name, context, levels, version, plan)
  return {
    id = id, display_name = name, version = version or id, context_length = context,
    max_completion_tokens = 128000, supported_parameters = TOOLS,
    thinking = { kind = "level", levels = levels }, plan = plan,
  }
end

-- The largest plan has more room.
local function roomy(id, name, plan)
  local made = model(id, name, 372000, LEVELS_XMAX, nil, plan)
  made.context_of_pro = 921000
  return made
end

return {
  shared = { owned_by = "openai", type = "openai", created = 1757894400 },
  efforts = true,
  -- By the models they have; a plan that is not here has them all.
  plans = { free = 1, team = 2, business = 2, plus = 3, pro = 4 },
  models = {
    model("gpt-5", "GPT 5", 400000, { "minimal", "low", "medium", "high" }, "gpt-5-2025-08-07"),
    model("gpt-5-codex", "GPT 5 Codex", 400000, LEVELS, "gpt-5-2025-09-15"),
    {
      id = "codex-mini-latest", display_name = "Codex Mini", version = "1.0", context_length = 4096,
      max_completion_tokens = 2048,
      supported_parameters = { "temperature", "max_tokens", "stream", "stop" },
    },
    model("gpt-5.3-codex-spark", "GPT 5.3 Codex Spark", 128000, LEVELS_X, nil, "plus"),
    model("gpt-5.4", "GPT 5.4", 1050000, LEVELS_X, nil, "team"),
    model("gpt-5.4-mini", "GPT 5.4 Mini", 400000, LEVELS_X),
    model("gpt-5.5", "GPT 5.5", 272000, LEVELS_X),
    roomy("gpt-5.6-sol", "GPT 5.6 Sol", "team"),
    roomy("gpt-5.6-terra", "GPT 5.6 Terra"),
    roomy("gpt-5.6-luna", "GPT 5.6 Luna"),
    model("codex-auto-review", "Codex Auto Review", 272000, LEVELS_X),
  },
}
