--- Models of Qwen Code's OAuth service.

local PARAMETERS = { "temperature", "top_p", "max_tokens", "stream", "stop" }

local function model(id, name, context, output)
  return {
    id = id, display_name = name, version = "3.0", context_length = context,
    max_completion_tokens = output, supported_parameters = PARAMETERS,
  }
end

return {
  shared = { owned_by = "qwen", type = "qwen", created = 1753142400 },
  models = {
    model("qwen3-coder-plus", "Qwen3 Coder Plus", 32768, 8192),
    model("qwen3-coder-flash", "Qwen3 Coder Flash", 8192, 2048),
    model("vision-model", "Qwen3 Vision Model", 32768, 2048),
    model("coder-model", "Qwen Coder Model", 32768, 8192),
  },
}
