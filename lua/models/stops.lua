--- Why an answer ended, in each dialect (translation 3.2).  Decoding takes lower-cased names.

return {
  decode = {
    chat = {
      stop = "end", tool_calls = "tool_call", function_call = "tool_call",
      length = "max_tokens", max_tokens = "max_tokens", content_filter = "content_filter",
      sensitive = "content_filter", safety = "content_filter", error = "malformed_call",
    },
    responses = {
      completed = "end", max_output_tokens = "max_tokens", max_tokens = "max_tokens",
      content_filter = "content_filter", cancelled = "cancelled",
    },
    anthropic = {
      end_turn = "end", tool_use = "tool_call", max_tokens = "max_tokens",
      model_context_window_exceeded = "context_window", stop_sequence = "stop_sequence",
      refusal = "refusal", pause_turn = "pause", compaction = "compaction",
    },
    gemini = {
      stop = "end", max_tokens = "max_tokens",
      safety = "content_filter", blocklist = "content_filter",
      prohibited_content = "content_filter", spii = "content_filter",
      recitation = "content_filter", image_safety = "content_filter",
      image_prohibited_content = "content_filter", image_recitation = "content_filter",
      malformed_function_call = "malformed_call", unexpected_tool_call = "malformed_call",
      too_many_tool_calls = "malformed_call",
    },
  },

  -- What is not named here is the dialect's plain end.
  encode = {
    chat = {
      tool_call = "tool_calls", max_tokens = "length", context_window = "length",
      refusal = "content_filter", content_filter = "content_filter",
    },
    -- Reasons of an incomplete response.
    responses = {
      max_tokens = "max_output_tokens", context_window = "max_output_tokens",
      refusal = "content_filter", content_filter = "content_filter",
    },
    anthropic = {
      tool_call = "tool_use", max_tokens = "max_tokens",
      context_window = "model_context_window_exceeded", stop_sequence = "stop_sequence",
      refusal = "refusal", content_filter = "refusal", pause = "pause_turn",
      compaction = "compaction",
    },
    gemini = {
      max_tokens = "MAX_TOKENS", context_window = "MAX_TOKENS", refusal = "SAFETY",
      content_filter = "SAFETY", malformed_call = "MALFORMED_FUNCTION_CALL", unknown = "OTHER",
      cancelled = "OTHER",
    },
  },

  plain = { chat = "stop", responses = "completed", anthropic = "end_turn", gemini = "STOP" },

  -- What a completed tool call outranks.
  weaker_than_call = {
    ["end"] = true, unknown = true, stop_sequence = true, tool_call = true,
  },
}
