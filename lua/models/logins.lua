--- Times of logins, and what each channel's browser is shown.

return {
  answer_seconds = 300,   -- for the browser to come back
  device_seconds = 900,   -- a device code at most
  session_seconds = 1800, -- a session, whatever happens to it
  done_seconds = 600,     -- a finished one, to be asked about
  paste_seconds = 15,     -- then the address can be pasted into the terminal
  progress_seconds = 30,  -- between signs of life at the terminal
  tick_seconds = 0.25,
  linger_seconds = 2,     -- for the browser to fetch the last page
  port_seconds = 3,       -- for an abandoned login to let go of its port
  ask_seconds = 300,      -- for an answer at the terminal

  channels = {
    anthropic = {
      link = { "https://console.anthropic.com/", "Anthropic Console" },
      timeout = "Timeout waiting for OAuth callback", refused = "Bad request",
    },
    codex = {
      link = { "https://platform.openai.com", "OpenAI Platform" },
      timeout = "Timeout waiting for OAuth callback", refused = "Bad Request",
    },
    google = {
      inline = true, -- the page is the answer to the callback; failures are plain text
      timeout = "OAuth flow timed out", refused = "Authentication failed",
      no_code = "Authentication failed: code not found",
    },
    iflow = {
      success = "https://iflow.cn/oauth/success", failure = "https://iflow.cn/oauth/error",
      timeout = "Timeout waiting for OAuth callback", refused = "Authentication failed",
    },
    qwen = { timeout = "Authentication failed", refused = "Authentication failed" },
  },
}
