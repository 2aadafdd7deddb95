--- Where the Gemini models of AI Studio differ from those of the public API.

local function budget(min, max, zero_ok)
  return { kind = "budget", min = min, max = max, zero_ok = zero_ok, dynamic_ok = true }
end

return {
  -- Members that are others there.
  changed = {
    ["gemini-3-pro-preview"] = { thinking = budget(128, 32768, false) },
    ["gemini-3.1-pro-preview"] = { thinking = budget(128, 32768, false) },
    ["gemini-3-flash-preview"] = { thinking = budget(128, 32768, false) },
    ["gemini-3.1-flash-lite-preview"] = {
      thinking = {
        kind = "hybrid", min = 128, max = 32768, dynamic_ok = true,
        levels = { "minimal", "low", "medium", "high" },
      },
    },
  },
  -- Models that exist only there.
  more = {
    {
      id = "gemini-pro-latest", version = "2.5", display_name = "Gemini Pro Latest",
      thinking = budget(128, 32768, false),
    },
    {
      id = "gemini-flash-latest", version = "2.5", display_name = "Gemini Flash Latest",
      thinking = budget(0, 24576, true),
    },
    {
      id = "gemini-flash-lite-latest", version = "2.5", display_name = "Gemini Flash-Lite Latest",
      thinking = budget(512, 24576, true),
    },
  },
}
