--- What models and endpoints can do (translation 0.4).  Later layers win: the dialect, the model's
--- family, the provider, the configured entry.

local OPENAI_NAMES = { max = 64, charset = "openai" }

local LMH = { "low", "medium", "high" }
local LMHX = { "low", "medium", "high", "xhigh" }
local ALL_BUT_MINIMAL = { "low", "medium", "high", "xhigh", "max" }
local LMH_MAX = { "low", "medium", "high", "max" }
local MINIMAL_LMH = { "minimal", "low", "medium", "high" }

local BUDGET = { kind = "budget", min = 128, max = 32768, dynamic_ok = true }

local NO_SAMPLING = {
  temperature = false, top_p = false, top_k = false, penalties = false, seed = false,
}

return {
  dialects = {
    chat = {
      max_output_field = "max_tokens", thinking = { kind = "unknown" },
      sampling = {
        temperature = true, top_p = true, top_k = false, penalties = true, seed = true,
        temp_max = 2,
      },
      stop_max = 4, prefill = true, mid_system = true, forced_tool_with_thinking = true,
      tool_name = OPENAI_NAMES, inputs = { image = true, image_url = true },
      tool_result_media = "after", structured = "native", schema_profile = "full",
      signature_family = "none", flatten_text = true, developer_role = false,
      empty_content = "", n_max = 1,
    },
    responses = {
      max_output_field = "max_output_tokens", thinking = { kind = "unknown" },
      sampling = {
        temperature = true, top_p = true, top_k = false, penalties = false, seed = false,
        temp_max = 2,
      },
      stop_max = 0, prefill = true, mid_system = true, forced_tool_with_thinking = true,
      tool_name = OPENAI_NAMES,
      inputs = { image = true, image_url = true, pdf = true, audio = true },
      tool_result_media = "inline", structured = "native", schema_profile = "full",
      signature_family = "openai", developer_role = true, custom_tools = true, cache_key = true,
      search = true, search_with_tools = true, code = true, n_max = 1, logprobs = true,
    },
    anthropic = {
      max_output_field = "max_tokens", thinking = { kind = "unknown" },
      sampling = {
        temperature = true, top_p = true, top_k = true, penalties = false, seed = false,
        temp_max = 1,
      },
      prefill = true, mid_system = false, forced_tool_with_thinking = false,
      tool_name = { max = 64, charset = "anthropic" },
      inputs = { image = true, image_url = true, pdf = true },
      tool_result_media = "inline", structured = "prompt", schema_profile = "claude",
      signature_family = "anthropic", search = true, search_with_tools = true, code = true,
      n_max = 1,
    },
    gemini = {
      max_output_field = "maxOutputTokens", thinking = { kind = "unknown" },
      sampling = {
        temperature = true, top_p = true, top_k = true, penalties = true, seed = true,
        temp_max = 2,
      },
      stop_max = 5, prefill = false, mid_system = false, forced_tool_with_thinking = true,
      tool_name = { max = 64, charset = "gemini" },
      inputs = { image = true, image_url = true, pdf = true, audio = true, video = true },
      tool_result_media = "sibling", structured = "native", schema_profile = "gemini_strict",
      signature_family = "google", search = true, search_with_tools = false, code = true,
      n_max = 8, logprobs = true,
    },
  },

  -- The first pattern that matches a model in one of the dialects counts.
  families = {
    {
      pattern = "^claude%-opus%-[5-9]", dialects = { anthropic = true },
      caps = {
        max_output = 128000, prefill = false, mid_system = true, structured = "native",
        sampling = NO_SAMPLING,
        thinking = {
          kind = "adaptive", levels = ALL_BUT_MINIMAL, zero_ok = true, dynamic_ok = true,
        },
      },
    },
    {
      pattern = "^claude%-%a+%-[5-9]", dialects = { anthropic = true },
      caps = {
        max_output = 128000, prefill = false, structured = "native", sampling = NO_SAMPLING,
        thinking = {
          kind = "adaptive", levels = ALL_BUT_MINIMAL, zero_ok = true, dynamic_ok = true,
        },
      },
    },
    {
      pattern = "^claude%-opus%-4[%-%.][89]", dialects = { anthropic = true },
      caps = {
        max_output = 128000, prefill = false, mid_system = true, structured = "native",
        sampling = NO_SAMPLING,
        thinking = { kind = "adaptive", levels = ALL_BUT_MINIMAL, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-opus%-4[%-%.]7", dialects = { anthropic = true },
      caps = {
        max_output = 128000, prefill = false, structured = "native", sampling = NO_SAMPLING,
        thinking = { kind = "adaptive", levels = ALL_BUT_MINIMAL, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-opus%-4[%-%.]6", dialects = { anthropic = true },
      caps = {
        max_output = 128000, prefill = false, structured = "native",
        thinking = { kind = "adaptive", levels = LMH_MAX, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-%a+%-4[%-%.]6", dialects = { anthropic = true },
      caps = {
        max_output = 64000, prefill = false, structured = "native",
        thinking = { kind = "adaptive", levels = LMH_MAX, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-%a+%-4[%-%.]5", dialects = { anthropic = true },
      caps = {
        max_output = 64000, structured = "native",
        thinking = { kind = "budget", min = 1024, max = 128000, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-opus%-4", dialects = { anthropic = true },
      caps = {
        max_output = 32000,
        thinking = { kind = "budget", min = 1024, max = 128000, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-sonnet%-4", dialects = { anthropic = true },
      caps = {
        max_output = 64000,
        thinking = { kind = "budget", min = 1024, max = 128000, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-3[%-%.]7", dialects = { anthropic = true },
      caps = {
        max_output = 8192,
        thinking = { kind = "budget", min = 1024, max = 128000, zero_ok = true },
      },
    },
    {
      pattern = "^claude%-3", dialects = { anthropic = true },
      caps = { max_output = 8192, thinking = { kind = "none" } },
    },

    {
      pattern = "^gpt%-5%.6", dialects = { responses = true, chat = true },
      caps = {
        max_output = 128000, sampling = NO_SAMPLING, stop_max = 0, logprobs = false,
        thinking = { kind = "level", levels = ALL_BUT_MINIMAL },
      },
      chat = { max_output_field = "max_completion_tokens" },
    },
    {
      pattern = "^gpt%-5%.%d", dialects = { responses = true, chat = true },
      caps = {
        max_output = 128000, sampling = NO_SAMPLING, stop_max = 0, logprobs = false,
        thinking = { kind = "level", levels = LMHX },
      },
      chat = { max_output_field = "max_completion_tokens" },
    },
    {
      pattern = "^gpt%-5%-codex", dialects = { responses = true, chat = true },
      caps = {
        max_output = 128000, sampling = NO_SAMPLING, stop_max = 0, logprobs = false,
        thinking = { kind = "level", levels = LMH },
      },
      chat = { max_output_field = "max_completion_tokens" },
    },
    {
      pattern = "^gpt%-5", dialects = { responses = true, chat = true },
      caps = {
        max_output = 128000, sampling = NO_SAMPLING, stop_max = 0, logprobs = false,
        thinking = { kind = "level", levels = MINIMAL_LMH },
      },
      chat = { max_output_field = "max_completion_tokens" },
    },
    {
      pattern = "^o%d", dialects = { responses = true, chat = true },
      caps = {
        max_output = 100000, sampling = NO_SAMPLING, stop_max = 0, logprobs = false,
        thinking = { kind = "level", levels = LMH },
      },
      chat = { max_output_field = "max_completion_tokens" },
    },
    {
      pattern = "^codex%-", dialects = { responses = true, chat = true },
      caps = {
        sampling = NO_SAMPLING, stop_max = 0, logprobs = false,
        thinking = { kind = "level", levels = LMHX },
      },
      chat = { max_output_field = "max_completion_tokens" },
    },

    {
      pattern = "^gemini%-2%.5%-flash%-image", dialects = { gemini = true },
      caps = { max_output = 8192, thinking = { kind = "none" } },
    },
    {
      pattern = "^gemini%-2%.5%-flash%-lite", dialects = { gemini = true },
      caps = {
        max_output = 65536,
        thinking = { kind = "budget", min = 512, max = 24576, zero_ok = true, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-flash%-lite%-latest", dialects = { gemini = true },
      caps = {
        max_output = 65536,
        thinking = { kind = "budget", min = 512, max = 24576, zero_ok = true, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-2%.5%-flash", dialects = { gemini = true },
      caps = {
        max_output = 65536,
        thinking = { kind = "budget", min = 0, max = 24576, zero_ok = true, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-flash%-latest", dialects = { gemini = true },
      caps = {
        max_output = 65536,
        thinking = { kind = "budget", min = 0, max = 24576, zero_ok = true, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-2%.5", dialects = { gemini = true },
      caps = {
        max_output = 65536,
        thinking = { kind = "budget", min = 128, max = 32768, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-pro%-latest", dialects = { gemini = true },
      caps = {
        max_output = 65536,
        thinking = { kind = "budget", min = 128, max = 32768, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-3%-pro", dialects = { gemini = true },
      caps = {
        max_output = 65536, tool_result_media = "parts", google_sentinel = true,
        search_with_tools = true,
        thinking = {
          kind = "level", levels = { "low", "high" }, min = 128, max = 32768, dynamic_ok = true,
        },
      },
    },
    {
      pattern = "^gemini%-3%.1%-flash%-%a+%-?.*preview", dialects = { gemini = true },
      caps = {
        max_output = 65536, tool_result_media = "parts", google_sentinel = true,
        search_with_tools = true,
        thinking = {
          kind = "level", levels = { "minimal", "high" }, min = 128, max = 32768,
          dynamic_ok = true,
        },
      },
    },
    {
      pattern = "^gemini%-3[%.%d]*%-pro", dialects = { gemini = true },
      caps = {
        max_output = 65536, tool_result_media = "parts", google_sentinel = true,
        search_with_tools = true,
        thinking = { kind = "level", levels = LMH, min = 128, max = 32768, dynamic_ok = true },
      },
    },
    {
      pattern = "^gemini%-[3-9]", dialects = { gemini = true },
      caps = {
        max_output = 65536, tool_result_media = "parts", google_sentinel = true,
        search_with_tools = true,
        thinking = {
          kind = "level", levels = MINIMAL_LMH, min = 128, max = 65535, dynamic_ok = true,
        },
      },
    },

    -- Models behind chat endpoints that take their reasoning back.
    {
      pattern = "kimi", dialects = { chat = true },
      caps = { reasoning_field = "reasoning_content", reasoning_required = true },
    },
    {
      pattern = "deepseek", dialects = { chat = true },
      caps = { reasoning_field = "reasoning_content" },
    },
    {
      pattern = "^glm", dialects = { chat = true },
      caps = { reasoning_field = "reasoning_content" },
    },
  },

  -- Models that answer with pictures, by the last part of their names.
  image_models = { "%-image" },

  providers = {
    claude = { dialect = "anthropic", caps = { tool_name = { max = 128, charset = "anthropic" } } },
    codex = {
      dialect = "responses", variant = "codex",
      -- Its backend refuses all of these.
      caps = { max_output_field = false, sampling = NO_SAMPLING, stop_max = 0, logprobs = false },
    },
    gemini = { dialect = "gemini", caps = {} },
    aistudio = {
      dialect = "gemini", caps = {},
      -- Their thinking has no levels there.
      models = {
        ["gemini-3-pro-preview"] = { thinking = BUDGET },
        ["gemini-3.1-pro-preview"] = { thinking = BUDGET },
        ["gemini-3-flash-preview"] = { thinking = BUDGET },
      },
    },
    gemini_cli = {
      dialect = "gemini", variant = "gemini_cli",
      caps = { inputs = { image = true, pdf = true, audio = true, video = true } },
    },
    qwen = { dialect = "chat", caps = {} },
    iflow = { dialect = "chat", caps = {} },
    openai_compatibility = { dialect = "chat", caps = {} },
    mock = { dialect = "chat", caps = {} },
  },

  hosts = {
    ["api.openai.com"] = {
      custom_tools = true, cache_key = true, developer_role = true, flatten_text = false,
      n_max = 128, logprobs = true, empty_content = "null",
      inputs = { image = true, image_url = true, pdf = true, audio = true },
    },
  },
}
