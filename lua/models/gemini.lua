--- Words of Gemini's generateContent.

return {
  roles = {
    model = "assistant", assistant = "assistant", user = "user", ["function"] = "user",
    tool = "user", system = "instruction",
  },

  -- Tools that run at the vendor, by their member of an entry of `tools`.
  server_tools = {
    googleSearch = "web_search", googleSearchRetrieval = "web_search", urlContext = "web_fetch",
    codeExecution = "code", fileSearch = "file_search", computerUse = "computer",
    googleMaps = "maps", mcpServers = "mcp",
  },
  -- How those of other dialects are declared.
  declared = { web_search = "googleSearch", web_fetch = "urlContext", code = "codeExecution" },
  -- `toolType` of toolCall parts, lower-cased.
  called = {
    google_search = "web_search", google_search_web = "web_search",
    google_search_image = "web_search", url_context = "web_fetch", code_execution = "code",
    file_search = "file_search", google_maps = "maps",
  },

  -- Service tiers a request may name, and what others call them.
  tiers = {
    standard = "standard", default = "standard", standard_only = "standard", flex = "flex",
    priority = "priority", fast = "priority",
  },

  modalities = { "text", "image", "audio", "video" },
}
