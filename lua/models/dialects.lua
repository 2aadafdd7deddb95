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
    },
    anthropic = { ping = true, message_start = true },
  },
  held_max = 16,

  -- Last events of a responses stream.
  final = { ["response.completed"] = true, ["response.incomplete"] = true },
}
