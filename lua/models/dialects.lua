--- Dialects and variants: what each is based on, and how its clients say what they want.

return {
  -- A variant is its base with small steps before and after.
  bases = {
    chat = "chat", completions = "chat", responses = "responses", codex = "responses",
    anthropic = "anthropic", gemini = "gemini", gemini_cli = "gemini",
  },

  -- Where a whole answer has the model's name.
  model_member = {
    chat = "model", responses = "model", anthropic = "model", gemini = "modelVersion",
  },

  -- Events that come before anything is known about the answer: held back, so that an error right
  -- behind them can still go to another candidate.
  handshake = {
    responses = {
      ["response.created"] = true, ["response.in_progress"] = true, ["response.queued"] = true,
      ["codex.rate_limits"] = true, ["codex.response.metadata"] = true,
    },
    anthropic = { ping = true, message_start = true },
  },
  held_max = 16,

  -- Last events of a responses stream.
  final = { ["response.completed"] = true, ["response.incomplete"] = true },

  -- Statuses of errors that are told by type or code only.
  error_status = {
    invalid_request_error = 400, cyber_policy = 400, context_length_exceeded = 400,
    invalid_prompt = 400,
    authentication_error = 401, invalid_api_key = 401, billing_error = 402,
    insufficient_quota = 429, permission_error = 403, not_found_error = 404,
    model_not_found = 404, request_too_large = 413, rate_limit_error = 429,
    rate_limit_exceeded = 429, usage_limit_reached = 429, api_error = 500, server_error = 500,
    server_is_overloaded = 503, service_unavailable_error = 503, timeout_error = 504,
    overloaded_error = 529,
  },
}
