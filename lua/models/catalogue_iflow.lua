--- Models of iFlow.

local function model(id, name)
  return { id = id, display_name = name }
end

return {
  shared = { owned_by = "iflow", type = "iflow", created = 1757894400 },
  models = {
    model("tstars2.0", "TStars-2.0"),
    model("qwen3-coder-plus", "Qwen3-Coder-Plus"),
    model("qwen3-coder", "Qwen3-Coder-480B-A35B"),
    model("qwen3-max", "Qwen3-Max"),
    model("qwen3-vl-plus", "Qwen3-VL-Plus"),
    model("qwen3-max-preview", "Qwen3-Max-Preview"),
    model("kimi-k2-0905", "Kimi-K2-Instruct-0905"),
    model("kimi-k2", "Kimi-K2"),
    model("glm-4.6", "GLM-4.6"),
    model("glm-4.5", "GLM-4.5"),
    model("deepseek-v3.2", "DeepSeek-V3.2-Exp"),
    model("deepseek-v3.1", "DeepSeek-V3.1-Terminus"),
    model("deepseek-r1", "DeepSeek-R1"),
    model("deepseek-v3", "DeepSeek-V3-671B"),
    model("qwen3-32b", "Qwen3-32B"),
    model("qwen3-235b-a22b-thinking-2507", "Qwen3-235B-A22B-Thinking"),
    model("qwen3-235b-a22b-instruct", "Qwen3-235B-A22B-Instruct"),
    model("qwen3-235b", "Qwen3-235B-A22B"),
  },
}
