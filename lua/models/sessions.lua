--- How clients name the conversation that a request belongs to, in the order of belief.

return {
  -- Claude Code says it twice, the second time in the body: see lib.sessions.
  first = "x-claude-code-session-id",
  -- Codex and its kin, then what gateways and other agents use.
  headers = { "session-id", "session_id", "x-session-id", "x-session-affinity" },
  -- Members of the body.  `conversation` may be an object with an id.
  members = { "session_id", "prompt_cache_key", "conversation" },
  -- With some clients this names the conversation, with others every request: it is believed when
  -- nothing better is there.
  last = "x-client-request-id",

  -- Without a name: a conversation is known by how it begins.  Prompts shorter than this (1,024
  -- tokens) are cached by nobody, so they need not stay anywhere.
  cached_from = 4096,
  -- How much of the system prompt and of the first question counts.  Clients write the time and the
  -- state of the workspace further down.
  system_bytes = 1024,
  question_bytes = 4096,
}
