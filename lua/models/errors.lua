--- The mapping of error classes and upstream statuses to what each dialect says.

local INVALID = "invalid_request_error"

return {
  -- status; OpenAI type and code; Anthropic type; Gemini status.
  classes = {
    bad_json = { status = 400, type = INVALID, anthropic = INVALID, gemini = "INVALID_ARGUMENT" },
    bad_param = { status = 400, type = INVALID, anthropic = INVALID, gemini = "INVALID_ARGUMENT" },
    missing_model = {
      status = 400, type = INVALID, anthropic = INVALID, gemini = "INVALID_ARGUMENT",
    },
    unsupported_encoding = {
      status = 415, type = INVALID, code = "unsupported_content_encoding",
      anthropic = INVALID, gemini = "INVALID_ARGUMENT",
    },
    unknown_model = {
      status = 404, type = INVALID, code = "model_not_found",
      anthropic = "not_found_error", gemini = "NOT_FOUND",
    },
    unknown_route = {
      status = 404, type = INVALID, anthropic = "not_found_error", gemini = "NOT_FOUND",
    },
    wrong_method = {
      status = 405, type = INVALID, code = "method_not_supported",
      anthropic = INVALID, gemini = "UNIMPLEMENTED",
    },
    missing_key = {
      status = 401, type = INVALID, anthropic = "authentication_error", gemini = "UNAUTHENTICATED",
    },
    invalid_key = {
      status = 401, type = INVALID, code = "invalid_api_key",
      anthropic = "authentication_error", gemini = "UNAUTHENTICATED",
    },
    local_only = {
      status = 403, type = INVALID, code = "forbidden",
      anthropic = "permission_error", gemini = "PERMISSION_DENIED",
    },
    unsafe_config = {
      status = 403, type = INVALID, code = "unsafe_example_api_key",
      anthropic = "permission_error", gemini = "PERMISSION_DENIED",
    },
    key_policy = {
      status = 403, type = INVALID, code = "key_policy",
      anthropic = "permission_error", gemini = "PERMISSION_DENIED",
    },
    key_rate = {
      status = 429, type = "rate_limit_error", code = "rate_limit_exceeded",
      anthropic = "rate_limit_error", gemini = "RESOURCE_EXHAUSTED",
    },
    key_budget = {
      status = 429, type = "insufficient_quota", code = "insufficient_quota",
      anthropic = "rate_limit_error", gemini = "RESOURCE_EXHAUSTED",
    },
    body_too_large = {
      status = 413, type = INVALID, code = "request_too_large",
      anthropic = "request_too_large", gemini = "INVALID_ARGUMENT",
    },
    body_timeout = {
      status = 408, type = INVALID, code = "request_timeout",
      anthropic = INVALID, gemini = "DEADLINE_EXCEEDED",
    },
    no_credential = {
      status = 503, type = "server_error", code = "no_available_credential",
      anthropic = "overloaded_error", gemini = "UNAVAILABLE",
    },
    cooling = {
      status = 429, type = "rate_limit_error", code = "rate_limit_exceeded",
      anthropic = "rate_limit_error", gemini = "RESOURCE_EXHAUSTED",
    },
    upstream_unreachable = {
      status = 502, type = "server_error", code = "upstream_error",
      anthropic = "api_error", gemini = "UNAVAILABLE",
    },
    bad_upstream = {
      status = 502, type = "server_error", code = "upstream_error",
      anthropic = "api_error", gemini = "UNAVAILABLE",
    },
    upstream_timeout = {
      status = 504, type = "server_error", code = "timeout",
      anthropic = "timeout_error", gemini = "DEADLINE_EXCEEDED",
    },
    internal = {
      status = 500, type = "server_error", anthropic = "api_error", gemini = "INTERNAL",
    },
  },

  -- Class "upstream", by the upstream's status.
  upstream = {
    [401] = {
      type = INVALID, code = "upstream_unauthorized",
      anthropic = "authentication_error", gemini = "UNAUTHENTICATED",
    },
    [402] = {
      type = "insufficient_quota", code = "insufficient_quota",
      anthropic = "billing_error", gemini = "FAILED_PRECONDITION",
    },
    [403] = {
      type = INVALID, code = "permission_denied",
      anthropic = "permission_error", gemini = "PERMISSION_DENIED",
    },
    -- The code is left out when the answer is not about the model.
    [404] = {
      type = INVALID, code = "model_not_found",
      anthropic = "not_found_error", gemini = "NOT_FOUND",
    },
    [408] = {
      type = "server_error", code = "timeout",
      anthropic = "api_error", gemini = "DEADLINE_EXCEEDED",
    },
    [413] = {
      type = INVALID, code = "request_too_large",
      anthropic = "request_too_large", gemini = "INVALID_ARGUMENT",
    },
    [429] = {
      type = "rate_limit_error", code = "rate_limit_exceeded",
      anthropic = "rate_limit_error", gemini = "RESOURCE_EXHAUSTED",
    },
    [502] = {
      type = "server_error", code = "upstream_error",
      anthropic = "api_error", gemini = "UNAVAILABLE",
    },
    [503] = {
      type = "server_error", code = "server_is_overloaded",
      anthropic = "overloaded_error", gemini = "UNAVAILABLE",
    },
    [504] = {
      type = "server_error", code = "timeout",
      anthropic = "timeout_error", gemini = "DEADLINE_EXCEEDED",
    },
    [529] = {
      type = "server_error", code = "server_is_overloaded",
      anthropic = "overloaded_error", gemini = "UNAVAILABLE",
    },
  },

  fallback = {
    client = { type = INVALID, anthropic = INVALID, gemini = "INVALID_ARGUMENT" },
    server = { type = "server_error", anthropic = "api_error", gemini = "INTERNAL" },
  },

  -- Whose shape a dialect's errors have; the others are "chat".
  shapes = { anthropic = "anthropic", gemini = "gemini", gemini_cli = "gemini" },

  -- Failures of a call without an answer.
  http = {
    unreachable = "upstream_unreachable",
    timeout = "upstream_timeout",
    broken = "bad_upstream",
    bad_proxy = "upstream_unreachable",
    too_large = "bad_upstream",
  },

  -- Members of an upstream's error object that clients act on.
  details = { "resets_at", "resets_in_seconds", "plan_type", "retryDelay" },

  -- Upstream codes that say more than ours.
  kept_codes = {
    context_length_exceeded = true, message_too_big = true, string_above_max_length = true,
    invalid_prompt = true, invalid_value = true, unsupported_value = true,
    previous_response_not_found = true, cyber_policy = true, content_policy_violation = true,
    invalid_encrypted_content = true,
    insufficient_quota = true, model_not_found = true, usage_limit_reached = true,
  },

  -- Codes and types that put the fault on the request, whatever the status.
  request_codes = {
    context_length_exceeded = true, message_too_big = true, string_above_max_length = true,
    invalid_prompt = true, invalid_value = true, unsupported_value = true,
    invalid_request_error = true, previous_response_not_found = true, cyber_policy = true,
  },

  -- With the word "model" in the same text: the account cannot use it.
  model_words = {
    "not found", "does not exist", "not supported", "unsupported", "unknown model", "no such model",
    "do not have access", "does not have access", "not available", "not a valid model",
  },

  -- Patterns (lower case) of 400 and 422 that are about the account's models and not a parameter.
  unsupported_words = {
    "model %S* ?is not supported", "model is not supported", "unsupported model",
    "model %S* ?does not exist", "model %S* ?is not available",
  },

  -- Titles of the web pages with which a guard before the API refuses programs.
  challenge_pages = { "just a moment", "attention required", "checking your browser" },

  months = {
    Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6,
    Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
  },
}
