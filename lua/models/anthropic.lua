--- Names of Anthropic's own tools and blocks, and what stands for them elsewhere.

local text = { type = "string" }
local integer = { type = "integer" }

local function schema(properties, required)
  return { type = "object", properties = properties, required = required }
end

local view_range = { type = "array", items = integer }

local bash = {
  description = "Run a command in a persistent bash session.",
  schema = schema({ command = text, restart = { type = "boolean" } }),
}

local text_editor = {
  description = "View, create and edit text files. `view` shows a file or directory (view_range: "
    .. "[first, last] line), `create` writes file_text, `str_replace` replaces the only occurrence "
    .. "of old_str by new_str, `insert` puts insert_text after line insert_line.",
  schema = schema({
    command = { type = "string", enum = { "view", "create", "str_replace", "insert" } },
    path = text, file_text = text, old_str = text, new_str = text, insert_line = integer,
    insert_text = text, view_range = view_range,
  }, { "command", "path" }),
}

local memory = {
  description = "Read and write files under /memories, which outlive the conversation.",
  schema = schema({
    command = {
      type = "string", enum = { "view", "create", "str_replace", "insert", "delete", "rename" },
    },
    path = text, file_text = text, old_str = text, new_str = text, insert_line = integer,
    insert_text = text, old_path = text, new_path = text, view_range = view_range,
  }, { "command" }),
}

return {
  -- Tools by the start of their versioned type, longest first where one begins another.
  tools = {
    { prefix = "web_search_", server = "web_search" },
    { prefix = "web_fetch_", server = "web_fetch" },
    { prefix = "code_execution_", server = "code" },
    { prefix = "tool_search_", server = "tool_search" },
    { prefix = "computer_", server = "computer" },
    { prefix = "browser", server = "computer" },
    { prefix = "mcp_toolset", server = "mcp" },
    { prefix = "bash_", like = bash },
    { prefix = "text_editor_", like = text_editor },
    { prefix = "memory_", like = memory },
  },

  -- How a server tool of the neutral form is declared and called here.
  declared = {
    web_search = { type = "web_search_20250305", name = "web_search" },
    web_fetch = { type = "web_fetch_20250910", name = "web_fetch" },
    code = { type = "code_execution_20250825", name = "code_execution" },
  },

  -- Calls by name; other names are those of clients' tool search and the like.
  called = {
    web_search = "web_search", web_fetch = "web_fetch", code_execution = "code",
    bash_code_execution = "code", text_editor_code_execution = "code",
    tool_search_tool_regex = "tool_search", tool_search_tool_bm25 = "tool_search",
  },

  results = {
    web_search_tool_result = "web_search", web_fetch_tool_result = "web_fetch",
    code_execution_tool_result = "code", bash_code_execution_tool_result = "code",
    text_editor_code_execution_tool_result = "code", tool_search_tool_result = "tool_search",
    mcp_tool_result = "mcp",
  },

  citations = {
    char_location = "document", page_location = "document", content_block_location = "document",
    search_result_location = "search", web_search_result_location = "url",
  },

  images = {
    ["image/png"] = true, ["image/jpeg"] = true, ["image/gif"] = true, ["image/webp"] = true,
  },

  -- Service tiers that may be asked for.
  tiers = { auto = "auto", standard_only = "standard_only", default = "standard_only" },
  -- Service tiers of answers, which have OpenAI's words in the neutral form.
  served = { standard = "default", priority = "priority", batch = "flex" },
  served_back = { default = "standard", priority = "priority" },
}
