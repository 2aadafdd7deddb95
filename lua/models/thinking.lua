--- Amounts of reasoning, and names of models that stand for a model with an amount.

return {
  -- From the least to the most.
  levels = { "minimal", "low", "medium", "high", "xhigh", "max" },

  budgets = {
    minimal = 512, low = 1024, medium = 8192, high = 24576, xhigh = 32768, max = 128000,
  },

  -- The largest budget of a level; above them all is "max".
  ceilings = {
    { 512, "minimal" }, { 1024, "low" }, { 8192, "medium" }, { 24576, "high" }, { 49152, "xhigh" },
  },

  words = {
    none = "off", off = "off", nothinking = "off", ["0"] = "off",
    auto = "auto", ["-1"] = "auto", thinking = "auto",
  },

  -- Effort names that a provider lists: base model and level.
  efforts = {
    ["gpt-5-minimal"] = { model = "gpt-5", level = "minimal" },
    ["gpt-5-low"] = { model = "gpt-5", level = "low" },
    ["gpt-5-medium"] = { model = "gpt-5", level = "medium" },
    ["gpt-5-high"] = { model = "gpt-5", level = "high" },
    ["gpt-5-codex-low"] = { model = "gpt-5-codex", level = "low" },
    ["gpt-5-codex-medium"] = { model = "gpt-5-codex", level = "medium" },
    ["gpt-5-codex-high"] = { model = "gpt-5-codex", level = "high" },
  },
}
