--- How each dialect's stream is copied: what ends it, what stops the copying, what fills silence.

return {
  chat = {
    names = false,
    rename = { { "model" } },
    watch = { "error", "usage" },
    finish = { "choices", 1, "finish_reason" },
    terminal = "[DONE]",
    ending = "data: [DONE]\n\n",
    keep_alive = ": keep-alive\n\n",
  },
}
