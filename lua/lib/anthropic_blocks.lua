--- Content blocks of Anthropic requests, read into the neutral form.
---
--- `at` says where a block stands and makes words of it only when something is wrong, see M.place.

local fields = require "lib.fields"
local ids = require "lib.ids"
local json = require "json"
local members = require "lib.anthropic_members"
local models = require "models.anthropic"
local reject = require "lib.reject"
local signatures = require "lib.signatures"
local tools = require "lib.anthropic_tools"

local concat, ipairs, tostring, type = table.concat, ipairs, tostring, type
local is_array, null = json.is_array, json.null
local cache, extras = members.cache, members.extras

local M = {}

-- Members of blocks of all types.
local block = {
  "type", "text", "thinking", "signature", "data", "id", "name", "tool_use_id", "is_error", "title",
  "context", "cache_control", "citations", "tool_name", "url", "encrypted_content", "page_age",
  input = "raw", tool = { "type", "name", "tool_name", definition = tools.SHAPE },
  source = { "type", "media_type", "data", "url", "file_id" },
}
block.content = block
block.source.content = block

M.BLOCK = block

--- Where a block stands, as a value that is words only when they are asked for.
local Place = {}
Place.__index = Place
function Place.__tostring(at)
  local parts = { at.root }
  for i = 1, 3 do
    if at[i] == 0 then break end
    if i > 1 then parts[#parts + 1] = ".content" end
    parts[#parts + 1] = "[" .. at[i] - 1 .. "]"
  end
  return concat(parts)
end
function Place.__concat(a, b)
  return tostring(a) .. tostring(b)
end

--- @param root string  member of the body
function M.place(root)
  return setmetatable({ root = root, 0, 0, 0 }, Place)
end

local function known(...)
  local set = { type = true, cache_control = true }
  for _, name in ipairs { ... } do set[name] = true end
  return set
end

local TEXT = known("text", "citations")
local THINKING = known("thinking", "signature")
local REDACTED = known "data"
local MEDIA = known "source"
local DOCUMENT = known("source", "title", "context", "citations")
local SEARCH_RESULT = known("source", "title", "content", "citations")
local TOOL_USE = known("id", "name", "input", "caller")
local TOOL_RESULT = known("tool_use_id", "content", "is_error")
local COMPACTION = known "content"
local SERVER_CALL = { id = true, input = true, cache_control = true }
local SERVER_RESULT = { tool_use_id = true, cache_control = true }

--- A block that only Anthropic understands, as it was.
local function opaque(native)
  return { type = "opaque", dialect = "anthropic", raw = json.raw(json.encode(native)) }
end
M.opaque = opaque

--- @param native any  one citation
--- @return table? citation
function M.citation(native)
  if type(native) ~= "table" then return nil end
  local kind = models.citations[native.type]
  if not kind then return nil end
  local soft = fields.soft
  return {
    kind = kind, quote = soft.string(native, "cited_text"),
    url = soft.string(native, "url") or kind == "search" and soft.string(native, "source") or nil,
    title = soft.string(native, "title") or soft.string(native, "document_title"),
    doc_index = soft.integer(native, "document_index"),
    key = soft.string(native, "encrypted_index"), loc = json.raw(json.encode(native)),
  }
end

--- @param list table?  citations of a text
--- @return table[]? citations
function M.citations(list)
  local found
  for _, native in ipairs(list or {}) do
    local citation = M.citation(native)
    if citation then
      found = found or {}
      found[#found + 1] = citation
    end
  end
  return found
end

local readers = {}

function readers.text(native, at)
  local text = native.text
  if type(text) ~= "string" then text = fields.string(native, "text", at) or "" end
  local found = {
    type = "text", text = text, cache = native.cache_control ~= nil and cache(native, at) or nil,
    extras = extras(native, TEXT),
  }
  if native.citations ~= nil then
    found.citations = M.citations(fields.list(native, "citations", at))
  end
  return found
end

function readers.thinking(native, at)
  local text = native.thinking
  if type(text) == "table" and not is_array(text) then text = fields.string(text, "text", at)
  else text = fields.string(native, "thinking", at) end
  return {
    type = "thinking", text = text or "", form = "summary",
    sig = signatures.read(fields.string(native, "signature", at), "thinking"),
    extras = extras(native, THINKING),
  }
end

function readers.redacted_thinking(native, at)
  return {
    type = "redacted_thinking", extras = extras(native, REDACTED),
    sig = signatures.read(fields.string(native, "data", at), "redacted"),
  }
end

-- The places where media come from.
local function source(native, at)
  local value = fields.object(native, "source", at)
  if not value then reject.bad(tostring(at) .. ".source", "is required") end
  local kind = fields.string(value, "type", at)
  local media_type = fields.string(value, "media_type", at)
  if kind == "base64" then
    local data = fields.string(value, "data", at) or ""
    return { kind = "base64", media_type = media_type, data = data }
  elseif kind == "url" then
    return { kind = "url", url = fields.string(value, "url", at) or "" }
  elseif kind == "file" then
    return { kind = "file", file_id = fields.string(value, "file_id", at) or "" }
  elseif kind == "text" then
    return {
      kind = "text", media_type = media_type or "text/plain",
      text = fields.string(value, "data", at) or "",
    }
  end
  return nil, value
end

function readers.image(native, at)
  local from = source(native, at)
  if not from then return opaque(native) end
  return {
    type = "image", source = from, cache = cache(native, at), extras = extras(native, MEDIA),
  }
end

local function is_enabled(native, at)
  local value = native.citations
  if value == nil or value == null then return nil end
  return fields.boolean(fields.object(native, "citations", at), "enabled", at)
end

-- A document made of blocks is its blocks, for upstreams that know no such thing.
local function nested_document(native, value, at, state)
  if not state.foreign then return opaque(native) end
  local title = fields.string(native, "title", at)
  local found = M.list(value, "content", at, state)
  if title and title ~= "" then table.insert(found, 1, { type = "text", text = title }) end
  return nil, found
end

function readers.document(native, at, state)
  local from, value = source(native, at)
  if not from then
    if value.type == "content" then return nested_document(native, value, at, state) end
    return opaque(native)
  end
  return {
    type = "document", source = from, title = fields.string(native, "title", at),
    context = fields.string(native, "context", at), cite = is_enabled(native, at),
    cache = cache(native, at), extras = extras(native, DOCUMENT),
  }
end

function readers.search_result(native, at, state)
  return {
    type = "search_result", title = fields.string(native, "title", at) or "",
    url = fields.string(native, "source", at) or "", content = M.list(native, "content", at, state),
    cite = is_enabled(native, at), cache = cache(native, at),
    extras = extras(native, SEARCH_RESULT),
  }
end

--- The arguments of a call as JSON text.  Some clients send them as a string of JSON.
--- @param input any  RawJson, null or nil
--- @return string
function M.args(input)
  local kind = input ~= nil and json.type(input) or "null"
  if kind == "null" then return "{}" end
  if kind == "string" then
    local inner = json.raw(json.decode(input))
    if inner and json.type(inner) == "object" then return tostring(inner) end
  end
  return json.is_raw(input) and tostring(input) or json.encode(input)
end

function readers.tool_use(native, at)
  local name, id = native.name, native.id
  if type(name) ~= "string" then
    name = fields.string(native, "name", at)
    if not name then reject.bad(tostring(at) .. ".name", "is required") end
  end
  if type(id) ~= "string" then id = fields.string(native, "id", at) end
  local args = M.args(native.input)
  if not id or id == "" then id = ids.missing(at[1] - 1, at[2] - 1, name, args) end
  return {
    type = "tool_call", id = id, name = name, kind = "function", args = args, complete = true,
    caller = native.caller, cache = native.cache_control ~= nil and cache(native, at) or nil,
    extras = extras(native, TOOL_USE),
  }
end

function readers.tool_result(native, at, state)
  local id, content, failed = native.tool_use_id, native.content, native.is_error
  if type(id) ~= "string" then id = fields.string(native, "tool_use_id", at) or "" end
  -- Most results are one string.
  if type(content) == "string" then
    content = content ~= "" and { { type = "text", text = content } } or {}
  else
    content = M.list(native, "content", at, state)
  end
  if failed ~= nil then failed = fields.boolean(native, "is_error", at) end
  return {
    type = "tool_result", call_id = id, kind = "function", content = content,
    is_error = failed == true, cache = native.cache_control ~= nil and cache(native, at) or nil,
    extras = extras(native, TOOL_RESULT),
  }
end

function readers.compaction(native, at)
  if type(native.content) ~= "string" then return opaque(native) end
  return {
    type = "compaction", cache = cache(native, at), extras = extras(native, COMPACTION),
    sig = { family = "anthropic", kind = "reasoning", data = native.content },
  }
end

local function server_call(native, at)
  local name = fields.string(native, "name", at) or ""
  local input = native.input
  return {
    type = "server_call", id = fields.string(native, "id", at) or "",
    tool = native.type == "mcp_tool_use" and "mcp" or models.called[name] or "tool_search",
    input = input ~= nil and input ~= null and json.raw(M.args(input)) or json.raw "{}",
    status = "completed", cache = cache(native, at), extras = extras(native, SERVER_CALL),
  }
end
readers.server_tool_use, readers.mcp_tool_use = server_call, server_call

local function hits(content)
  local found = {}
  for _, hit in ipairs(type(content) == "table" and is_array(content) and content or {}) do
    if type(hit) == "table" and type(hit.url) == "string" then
      found[#found + 1] = {
        url = hit.url, title = fields.soft.string(hit, "title") or "",
        age = fields.soft.string(hit, "page_age"),
        key = fields.soft.string(hit, "encrypted_content") or "",
      }
    end
  end
  return found
end

local function plain(value)
  if not json.is_raw(value) then return value end
  return json.decode(value)
end

-- What a program printed, or the text of an MCP tool.
local function output(content)
  if type(content) ~= "table" then return type(content) == "string" and content or nil end
  if is_array(content) then
    local parts = {}
    for _, each in ipairs(content) do parts[#parts + 1] = fields.soft.string(each, "text") end
    return concat(parts, "\n")
  end
  local out, err = plain(content.stdout), plain(content.stderr)
  if type(out) ~= "string" then return nil end
  return type(err) == "string" and err ~= "" and out .. err or out
end

--- A result of a server's tool.
--- @param native table
--- @param tool_name string
--- @return table block
function M.server_result(native, tool_name)
  local content = native.content
  local found = {
    type = "server_result", call_id = fields.soft.string(native, "tool_use_id") or "",
    tool = tool_name, extras = extras(native, SERVER_RESULT),
  }
  if tool_name == "web_search" then found.results = hits(content)
  else found.output = output(content) end
  local code = type(content) == "table" and plain(content.error_code)
  if type(code) == "string" then found.error = code end
  return found
end

local function reference_name(native)
  local value = fields.soft.object(native, "tool") or native
  return fields.soft.filled(value, "name") or fields.soft.filled(value, "tool_name")
end

-- Tools that come and go in the conversation.  Anthropic takes the blocks as they are.
local function change(native, state, name, offered)
  if name then state.offered[name] = offered end
  if not state.foreign then return opaque(native) end
  if not name then return nil end
  local words = offered and " is available." or " is no longer available."
  return { type = "text", text = "Tool " .. name .. words }
end

function readers.tool_reference(native, _, state)
  return change(native, state, reference_name(native), true)
end

function readers.tool_addition(native, at, state)
  local value = fields.soft.object(native, "tool")
  local definition = value and fields.soft.object(value, "definition")
  if not definition then return change(native, state, reference_name(native), true) end
  local added = tools.read(definition, at)
  if state.foreign then state.added[#state.added + 1] = added end
  return change(native, state, added.name, true)
end

function readers.tool_removal(native, _, state)
  return change(native, state, reference_name(native), false)
end

--- Reads one block.
--- @param native any
--- @param at any  its place
--- @param state {foreign: boolean, offered: table, added: table, warn: fun}
--- @return table? block  nil: there is nothing to keep
--- @return table[]? blocks  when it is several
function M.read(native, at, state)
  local kind = type(native) == "table" and native.type
  if type(kind) ~= "string" then
    if type(native) ~= "table" or is_array(native) then
      reject.bad(tostring(at), "must be an object")
    end
    reject.bad(tostring(at) .. ".type", "must be a string")
  end
  local reader = readers[kind]
  if reader then return reader(native, at, state) end
  local result = models.results[kind]
  if result then
    local found = M.server_result(native, result)
    found.cache = cache(native, at)
    return found
  end
  return opaque(native)
end

--- Reads the content of a block: a string, blocks or nothing.
--- @return table[] blocks
function M.list(owner, name, at, state)
  local content = owner[name]
  if content == nil or content == null then return {} end
  if type(content) == "string" then
    return content ~= "" and { { type = "text", text = content } } or {}
  end
  local depth = at[2] == 0 and 2 or 3
  local list, found, count = fields.list(owner, name, at), {}, 0
  for i = 1, #list do
    at[depth] = i
    local one, several = M.read(list[i], at, state)
    if one then
      count = count + 1
      found[count] = one
    elseif several then
      for _, each in ipairs(several) do
        count = count + 1
        found[count] = each
      end
    end
  end
  at[depth] = 0
  return found
end

return M
