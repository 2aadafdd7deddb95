--- What targets can do.

local caps = require "lib.caps"

test("an unknown model behind a compatible endpoint has the plain profile", function()
  local c = caps.of("glm-x", "openai_compatibility", {})
  same({ c.max_output_field, c.thinking.kind, c.stop_max, c.prefill, c.mid_system, c.flatten_text,
    c.empty_content, c.tool_result_media, c.structured, c.schema_profile },
    { "max_tokens", "unknown", 4, true, true, true, "", "after", "native", "full" })
  same({ c.inputs.image, c.inputs.image_url, c.inputs.pdf, c.custom_tools, c.cache_key }, { true, true })
end)

test("Claude's models differ in thinking, prefill and system turns", function()
  local function row(model)
    local c = caps.of(model, "claude")
    return { c.thinking.kind, c.max_output, c.prefill, c.mid_system, c.sampling.temperature }
  end
  same(row "claude-opus-5", { "adaptive", 128000, false, true, false })
  same(row "claude-sonnet-5", { "adaptive", 128000, false, false, false })
  same(row "claude-opus-4-8", { "adaptive", 128000, false, true, false })
  same(row "claude-opus-4-7", { "adaptive", 128000, false, false, false })
  same(row "claude-sonnet-4-6", { "adaptive", 64000, false, false, true })
  same(row "claude-sonnet-4-5-20250929", { "budget", 64000, true, false, true })
  same(row "claude-opus-4-20250514", { "budget", 32000, true, false, true })
  same(row "claude-3-5-haiku-20241022", { "none", 8192, true, false, true })
  same(row "claude-zzz", { "unknown", nil, true, false, true })
end)

test("Gemini 3 needs signatures and thinks in levels, 2.5 in budgets", function()
  local three = caps.of("gemini-3-flash-preview", "gemini")
  same({ three.thinking.kind, #three.thinking.levels, three.google_sentinel, three.tool_result_media },
    { "level", 4, true, "parts" })
  local two = caps.of("gemini-2.5-flash-lite", "gemini_cli")
  same({ two.thinking.kind, two.thinking.min, two.google_sentinel, two.inputs.image_url }, { "budget", 512 })
end)

test("Codex takes neither sampling nor a limit, GPT-5 behind chat another field", function()
  local codex = caps.of("gpt-5.5", "codex")
  same({ codex.max_output_field, codex.sampling.temperature, codex.thinking.levels[4] }, { false, false, "xhigh" })
  same(caps.of("gpt-5", "codex", { ["base-url"] = "https://x.example/v1" }).max_output_field, "max_output_tokens")
  local chat = caps.of("openai/gpt-5", "openai_compatibility", { ["base-url"] = "https://api.openai.com/v1" })
  same({ chat.max_output_field, chat.custom_tools, chat.cache_key }, { "max_completion_tokens", true, true })
end)

test("the configured entry has the last word", function()
  local entry = { ["support-prompt-cache-key"] = true, models = { { name = "m", alias = "a",
    thinking = { levels = { "none", "low", "HIGH", "odd" } }, ["input-modalities"] = { "text", "image", "audio" } } } }
  local c = caps.of("m", "openai_compatibility", entry)
  same(c.cache_key, true)
  same(c.thinking, { kind = "level", levels = { "low", "high" }, zero_ok = true })
  same(c.inputs, { image = true, image_url = true, audio = true })
  assert(rawequal(caps.of("m", "openai_compatibility", entry), c))
end)
