--- What upstreams' errors mean (translation 3.17).

local INVALID = "invalid_request_error"

return {
  -- status; OpenAI type and code; Anthropic type; Gemini status; code of a failed response.
  kinds = {
    invalid_request = {
      status = 400, type = INVALID, anthropic = INVALID, gemini = "INVALID_ARGUMENT",
      failed = "invalid_prompt",
    },
    context_length = {
      status = 400, type = INVALID, code = "context_length_exceeded", anthropic = INVALID,
      gemini = "INVALID_ARGUMENT", failed = "context_length_exceeded",
    },
    too_large = {
      status = 413, type = INVALID, code = "request_too_large", anthropic = "request_too_large",
      gemini = "INVALID_ARGUMENT", failed = "invalid_prompt",
    },
    auth = {
      status = 401, type = INVALID, code = "upstream_unauthorized",
      anthropic = "authentication_error", gemini = "UNAUTHENTICATED", failed = "server_error",
    },
    billing = {
      status = 429, type = "insufficient_quota", code = "insufficient_quota",
      anthropic = "rate_limit_error", gemini = "RESOURCE_EXHAUSTED", failed = "insufficient_quota",
    },
    permission = {
      status = 403, type = INVALID, code = "permission_denied", anthropic = "permission_error",
      gemini = "PERMISSION_DENIED", failed = "server_error",
    },
    not_found = {
      status = 404, type = INVALID, code = "model_not_found", anthropic = "not_found_error",
      gemini = "NOT_FOUND", failed = "server_error",
    },
    rate_limit = {
      status = 429, type = "rate_limit_error", code = "rate_limit_exceeded",
      anthropic = "rate_limit_error", gemini = "RESOURCE_EXHAUSTED", failed = "rate_limit_exceeded",
    },
    overloaded = {
      status = 503, type = "server_error", code = "server_is_overloaded",
      anthropic = "overloaded_error", gemini = "UNAVAILABLE", failed = "server_is_overloaded",
    },
    timeout = {
      status = 504, type = "server_error", code = "timeout", anthropic = "timeout_error",
      gemini = "DEADLINE_EXCEEDED", failed = "server_error",
    },
    server = {
      status = 502, type = "server_error", code = "upstream_error", anthropic = "api_error",
      gemini = "UNAVAILABLE", failed = "server_error",
    },
    truncated = {
      status = 502, type = "server_error", code = "upstream_error", anthropic = "api_error",
      gemini = "UNAVAILABLE", failed = "server_error",
    },
    malformed_call = {
      status = 502, type = "server_error", code = "upstream_error", anthropic = "api_error",
      gemini = "UNAVAILABLE", failed = "server_error",
    },
  },

  -- Words of vendors: `code`, `type` or `status` of the error, lower-cased.
  words = {
    context_length_exceeded = "context_length", string_above_max_length = "context_length",
    message_too_big = "context_length",
    request_too_large = "too_large",
    authentication_error = "auth", unauthenticated = "auth", invalid_api_key = "auth",
    insufficient_quota = "billing", billing_error = "billing", usage_limit_reached = "billing",
    billing_hard_limit_reached = "billing", failed_precondition = "billing",
    permission_error = "permission", permission_denied = "permission",
    not_found_error = "not_found", not_found = "not_found", model_not_found = "not_found",
    rate_limit_error = "rate_limit", rate_limit_exceeded = "rate_limit",
    resource_exhausted = "rate_limit", too_many_requests = "rate_limit",
    overloaded_error = "overloaded", unavailable = "overloaded",
    server_is_overloaded = "overloaded", slow_down = "overloaded", overloaded = "overloaded",
    service_unavailable_error = "overloaded",
    timeout_error = "timeout", deadline_exceeded = "timeout", timeout = "timeout",
    invalid_request_error = "invalid_request", invalid_argument = "invalid_request",
    invalid_prompt = "invalid_request", bad_request = "invalid_request",
    cyber_policy = "invalid_request",
    api_error = "server", server_error = "server", internal = "server",
    internal_server_error = "server", upstream_error = "server",
  },

  statuses = {
    [400] = "invalid_request", [401] = "auth", [402] = "billing", [403] = "permission",
    [404] = "not_found", [405] = "invalid_request", [408] = "timeout", [409] = "invalid_request",
    [413] = "too_large", [415] = "invalid_request", [422] = "invalid_request",
    [429] = "rate_limit", [503] = "overloaded", [504] = "timeout", [529] = "overloaded",
  },

  -- Statuses of errors inside an answer that began with 200, by code or type.
  inner_statuses = {
    invalid_request_error = 400, cyber_policy = 400, context_length_exceeded = 400,
    invalid_prompt = 400, invalid_encrypted_content = 400,
    authentication_error = 401, invalid_api_key = 401, billing_error = 402,
    insufficient_quota = 429, permission_error = 403, not_found_error = 404,
    model_not_found = 404, request_too_large = 413, rate_limit_error = 429,
    rate_limit_exceeded = 429, usage_limit_reached = 429, api_error = 500,
    server_is_overloaded = 503, service_unavailable_error = 503, timeout_error = 504,
    overloaded_error = 529,
  },

  -- What is said where a stream ended too early; a dialect's clients may look for its own words.
  broken_off = {
    responses = "stream error: stream disconnected before completion: "
      .. "stream closed before response.completed",
  },

  -- In messages of 400 and 413: the conversation is too long.
  too_long = {
    "prompt is too long", "maximum context length", "context_length_exceeded", "context window",
    "exceeds the maximum number of tokens", "input token count", "too many tokens",
    "input is too long", "reduce the length", "exceeds the context", "max_context",
  },

  -- In messages of 400: a signature or an encrypted item was refused.
  bad_signature = {
    "invalid signature", "could not decrypt", "invalid_encrypted_content",
    "invalid `signature`", "encrypted content could not", "thought signature is not valid",
    "corrupted thought signature",
  },
}
