--- What else may be asked when a quota is used up.

return {
  -- Providers whose accounts are projects of one owner: with `quota-exceeded.switch-project` off, a
  -- request that one of them refused for its quota is not taken to another.
  projects = { gemini_cli = true },

  -- By provider and model: other names of the same account that have a quota of their own, in the
  -- order in which they are tried (`quota-exceeded.switch-preview-model`), for instance
  --   gemini_cli = { ["gemini-2.5-pro"] = { "gemini-2.5-pro-preview-06-05" } }
  -- Those that once existed are gone upstream.  A name that answers 404 is left out from then on.
  previews = {},
}
