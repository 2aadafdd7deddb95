--- What explanations say: where accounts come from, and what would help against a refusal.

return {
  --- The list of the configuration that a provider's keys are in.
  lists = {
    openai_compatibility = "openai-compatibility", claude = "claude-api-key",
    codex = "codex-api-key", gemini = "gemini-api-key",
  },

  --- The flag that logs in to a provider.
  logins = {
    claude = "--claude-login", codex = "--codex-login", gemini_cli = "--login",
    qwen = "--qwen-login", iflow = "--iflow-login",
  },

  --- Why a candidate waits (core.selector), in words.
  cooling = {
    quota = "its quota is used up",
    transient = "it failed a moment ago",
    unauthorized = "the upstream refused its key or token",
    payment_required = "the upstream wants to be paid",
    forbidden = "the upstream forbade it",
    unsupported = "the upstream says that it cannot use this model",
    challenge = "a guard before the upstream's API took the proxy for a robot",
  },

  --- Dialects by the names that users know.
  dialects = {
    openai = "chat", ["openai-response"] = "responses", claude = "anthropic",
    ["gemini-cli"] = "gemini_cli",
  },
}
