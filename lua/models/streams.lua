--- How each dialect's stream is written and copied.
---
--- `names`: events have an `event:` line; `rename`: where the model's name stands; `watch`: members
--- that stop the copying in C; `finish`: where an event tells why the answer ended; `terminal`:
--- data that only ends the stream; `ending`: bytes after the last event; `keep_alive`: bytes that fill
--- silence.

return {
  chat = {
    names = false,
    rename = { { "model" } },
    -- A bare error has a message.
    watch = { "error", "usage", "message" },
    finish = { "choices", 1, "finish_reason" },
    terminal = "[DONE]",
    ending = "data: [DONE]\n\n",
    keep_alive = ": keep-alive\n\n",
  },
  responses = {
    names = true,
    rename = { { "response", "model" } },
    -- Its last events are told apart by their type: see lib.dialects.
    watch = { "error", "response", "item", "code" },
    terminal = "[DONE]",
    ending = "",
    keep_alive = ": keep-alive\n\n",
  },
  anthropic = {
    names = true,
    rename = { { "message", "model" } },
    watch = { "error" },
    finish = { "delta", "stop_reason" },
    terminal = "[DONE]",
    ending = "",
    keep_alive = 'event: ping\ndata: {"type":"ping"}\n\n',
  },
  gemini = {
    names = false,
    rename = { { "modelVersion" } },
    watch = { "error", "promptFeedback" },
    finish = { "candidates", 1, "finishReason" },
    terminal = "[DONE]",
    ending = "",
    keep_alive = ": keep-alive\n\n",
  },
}
