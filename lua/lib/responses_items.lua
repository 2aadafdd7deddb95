--- Items of the Responses dialect as blocks: what stands in `input` of a request and in `output` of
--- an answer.
---
--- Reading goes through a set of readers: lib.fields for clients, whose mistakes are refused by
--- name, lib.fields.soft for upstreams, whose nonsense is skipped.

local soft = require("lib.fields").soft
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local media = require "lib.media"
local signatures = require "lib.signatures"

local concat, ipairs, next, type = table.concat, ipairs, next, type
local null = json.null
local encode, is_array, raw = json.encode, json.is_array, json.raw

local M = {}

-- A name only here stays raw: it goes into extras.
M.PART = {
  "type", "text", "refusal", "file_id", "detail", "file_data", "file_url", "filename", "data",
  "format", "logprobs",
  image_url = { "url", "detail" }, input_audio = { "data", "format" }, prompt_cache_breakpoint = {},
  annotations = { "type", "url", "title", "start_index", "end_index" },
}

--- What of an item is decoded; `tools` is added by lib.responses_request.
M.ITEM = {
  "type", "role", "id", "status", "phase", "call_id", "name", "namespace", "input", "result",
  "encrypted_content", "code", "output_format", "execution",
  arguments = {}, output = M.PART, content = M.PART, summary = { "type", "text" },
}

local function set(...)
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  return names
end

-- Members that blocks hold in fields of their own.
local of_message = set("type", "role", "id", "status", "phase", "content")
local of_reasoning = set("type", "id", "status", "summary", "content", "encrypted_content")
local of_call = set("type", "id", "status", "call_id", "name", "namespace", "arguments", "input")
local of_output = set("type", "id", "status", "call_id", "name", "output")
local of_server = set("type", "id", "status")
local of_image = set("type", "id", "status", "result")
local of_compaction = set("type", "id", "status", "encrypted_content")
local of_part = set("type", "text", "refusal", "image_url", "file_id", "detail", "file_data",
  "file_url", "filename", "input_audio", "data", "format", "annotations", "logprobs",
  "prompt_cache_breakpoint")

--- The members of an object that have no field of their own.
--- @param object table
--- @param modelled table<string, boolean>
--- @return table? extras
function M.extras(object, modelled)
  local found
  for name, value in next, object do
    if not modelled[name] then
      found = found or {}
      found[name] = value
    end
  end
  return found and { responses = found }
end

local function opaque(object)
  return { type = "opaque", dialect = "responses", raw = raw(encode(object)) }
end

-- Parts of messages and of tool outputs.
local part = {}

--- One annotation as citation; other kinds than links keep their form.
--- @param native table
--- @return table
function M.citation(native)
  if native.type ~= "url_citation" then
    return { kind = "file", extras = { responses = native } }
  end
  return {
    kind = "url", url = soft.string(native, "url"), title = soft.string(native, "title"),
    start = soft.integer(native, "start_index"), ["end"] = soft.integer(native, "end_index"),
  }
end

--- Annotations of a text as citations.
--- @param list any
--- @return table[]?
function M.citations(list)
  if type(list) ~= "table" or not is_array(list) or #list == 0 then return nil end
  local found = {}
  for _, native in ipairs(list) do
    if type(native) == "table" then found[#found + 1] = M.citation(native) end
  end
  return found
end

function part.output_text(each, r, path, from)
  local block = { type = "text", text = r.string(each, "text", path) or "", item = from }
  local annotations, logprobs = each.annotations, each.logprobs
  if annotations then block.citations = M.citations(annotations) end
  if type(logprobs) == "table" and #logprobs > 0 then block.logprobs = logprobs end
  return block
end
part.input_text, part.text = part.output_text, part.output_text

function part.refusal(each, r, path)
  return { type = "refusal", text = r.string(each, "refusal", path) or "" }
end

function part.input_image(each, r, path)
  local url, detail = each.image_url, each.detail
  if type(url) == "table" then
    detail, url = url.detail or detail, url.url
  end
  local source
  if type(url) == "string" then
    source = media.source(url)
  else
    local id = r.string(each, "file_id", path)
    source = id and { kind = "file", file_id = id }
  end
  if not source then return nil end
  return { type = "image", source = source, detail = type(detail) == "string" and detail or nil }
end
part.image_url = part.input_image

function part.input_file(each, r, path)
  local name = r.string(each, "filename", path)
  local data, id = r.string(each, "file_data", path), r.string(each, "file_id", path)
  local source
  if data then
    source = media.file(data, name)
  elseif id then
    source = { kind = "file", file_id = id, name = name }
  else
    local url = r.string(each, "file_url", path)
    source = url and {
      kind = "url", url = url, name = name, media_type = media.type_of_name(name or url),
    }
  end
  return source and { type = "document", source = source, filename = name }
end

function part.input_audio(each, r, path)
  local inner = r.object(each, "input_audio", path) or each
  local data, format = r.string(inner, "data", path), r.string(inner, "format", path)
  if not data then return nil end
  return {
    type = "audio", format = format,
    source = { kind = "base64", media_type = media.audio_type(format), data = data },
  }
end

local function read_part(each, r, path, from)
  local read = part[each.type]
  local block = read and read(each, r, path, from)
  if not block then
    block = opaque(each)
    block.item = from
    return block
  end
  local breakpoint = each.prompt_cache_breakpoint
  if breakpoint ~= nil and breakpoint ~= null then block.cache = { kind = "ephemeral" } end
  local extras = M.extras(each, of_part)
  if extras then block.extras = extras end
  block.item = from
  return block
end

--- The blocks of a `content` or `output`: text, or a list of parts.
--- @param from table?  the item of the blocks
--- @return IrBlock[]
function M.parts(object, name, r, path, from)
  local content = object[name]
  if type(content) == "string" then
    return content ~= "" and { { type = "text", text = content, item = from } } or {}
  end
  local list = r.list(object, name, path)
  local blocks = {}
  if not list then return blocks end
  for i = 1, #list do
    local each = list[i]
    if type(each) == "table" and not is_array(each) then
      blocks[#blocks + 1] = read_part(each, r, path, from)
    elseif type(each) == "string" then
      blocks[#blocks + 1] = { type = "text", text = each, item = from }
    end
  end
  return blocks
end

local function origin(item, group, modelled)
  local extras = M.extras(item, modelled)
  local id, status, phase = item.id, item.status, item.phase
  if id == nil and status == nil and not extras and (phase == nil or not group) then
    return group and { group = group }
  end
  return {
    id = type(id) == "string" and id ~= "" and id or nil,
    status = type(status) == "string" and status or nil,
    phase = type(phase) == "string" and phase or nil,
    group = group, extras = extras,
  }
end

-- Kinds of items: each gives the side it stands on and its blocks.
local kinds = {}

local sides = { user = "user", assistant = "assistant", system = "system", developer = "developer" }

local function side_of(item, r, path)
  local side = sides[r.string(item, "role", path)] or "user"
  -- Some clients give their answers back without the role of the assistant.
  if side == "user" and type(item.content) == "table" then
    for _, each in ipairs(item.content) do
      if type(each) == "table" and each.type == "output_text" then return "assistant" end
    end
  end
  return side
end

function kinds.message(item, r, path, n)
  local blocks = M.parts(item, "content", r, path, origin(item, n, of_message))
  return side_of(item, r, path), blocks
end

local function texts(list)
  local found = {}
  for _, each in ipairs(list or found) do
    local text = type(each) == "table" and each.text or each
    if type(text) == "string" then found[#found + 1] = text end
  end
  return found
end

function kinds.reasoning(item, r, path)
  local parts, form = texts(r.list(item, "summary", path)), "summary"
  local content = type(item.content) == "table" and texts(item.content) or {}
  local from = origin(item, nil, of_reasoning)
  if #parts == 0 then
    if #content > 0 then parts, form = content, "raw" end
  elseif #content > 0 then
    from = from or {}
    from.extras = from.extras or { responses = {} }
    from.extras.responses.content = item.content
  end
  local sig = signatures.read(r.string(item, "encrypted_content", path), "reasoning")
  if sig and sig.kind == "redacted" then
    return "assistant", { { type = "redacted_thinking", sig = sig, item = from } }
  end
  return "assistant", {
    {
      type = "thinking", text = concat(parts, "\n\n"), parts = parts, form = form, sig = sig,
      item = from,
    },
  }
end

-- Argument texts as they came; some clients write them as objects.
local function argument_text(item, name)
  local value = item[name]
  if type(value) == "string" then return value end
  if value == nil or value == null then return "" end
  return encode(value)
end

local function call(item, r, path, n, kind, args)
  local name = r.string(item, "name", path) or ""
  local id = r.string(item, "call_id", path)
  if not id or id == "" then id = r.string(item, "id", path) end
  if not id or id == "" then id = ids.missing(n, 0, name, args) end
  return "assistant", {
    {
      type = "tool_call", id = id, name = name, namespace = r.string(item, "namespace", path),
      kind = kind, args = args, complete = item.status ~= "incomplete",
      item = origin(item, nil, of_call),
    },
  }
end

function kinds.function_call(item, r, path, n)
  local args = argument_text(item, "arguments")
  return call(item, r, path, n, "function", args ~= "" and args or "{}")
end

function kinds.custom_tool_call(item, r, path, n)
  return call(item, r, path, n, "custom", argument_text(item, "input"))
end

local function result(item, r, path, kind)
  local output = item.output
  local from = origin(item, nil, of_output)
  local content
  if type(output) == "table" and is_array(output) then
    content = M.parts(item, "output", r, path)
    from = from or {}
    from.list = true
  elseif output == nil or output == null or output == "" then
    content = {}
  else
    content = { ir.text(type(output) == "string" and output or encode(output)) }
  end
  return "output", {
    {
      type = "tool_result", call_id = r.string(item, "call_id", path),
      name = r.string(item, "name", path), kind = kind, content = content, is_error = false,
      item = from,
    },
  }
end

function kinds.function_call_output(item, r, path) return result(item, r, path, "function") end

function kinds.custom_tool_call_output(item, r, path) return result(item, r, path, "custom") end

local ACTION = json.shape { known = { sources = { "url", "title" } } }

-- Hits that a search tells; the query alone is no result.
local function hits(item)
  local action = item.action
  local decoded = action and json.decode(json.is_raw(action) and action or encode(action), ACTION)
  local sources = type(decoded) == "table" and decoded.sources
  if type(sources) ~= "table" or not is_array(sources) or #sources == 0 then return nil end
  local found = {}
  for _, each in ipairs(sources) do
    if type(each) == "table" and type(each.url) == "string" then
      local title = each.title
      found[#found + 1] = { url = each.url, title = type(title) == "string" and title or "" }
    end
  end
  return found
end

local function server_call(item, n, tool, input)
  local id = type(item.id) == "string" and item.id ~= "" and item.id
    or ids.missing(n, 0, tool, tostring(input))
  return {
    type = "server_call", id = id, tool = tool, input = input,
    status = type(item.status) == "string" and item.status or "completed",
    item = origin(item, nil, of_server) or {}, native = item.type,
  }
end

function kinds.web_search_call(item, _, _, n)
  local action = item.action
  if action == nil or json.type(action) ~= "object" then action = raw "{}" end
  local block = server_call(item, n, "web_search", action)
  local found = hits(item)
  if not found then return "assistant", { block } end
  return "assistant", {
    block, { type = "server_result", call_id = block.id, tool = "web_search", results = found },
  }
end

function kinds.file_search_call(item, _, _, n)
  local input = raw(encode { queries = item.queries or json.array() })
  return "assistant", { server_call(item, n, "file_search", input) }
end

local OUTPUTS = json.shape { known = { "type", "logs" } }

local function logs(outputs)
  local list = outputs ~= nil and outputs ~= null and json.decode(outputs, OUTPUTS)
  if type(list) ~= "table" then return nil end
  local found = {}
  for _, each in ipairs(list) do
    if type(each) == "table" and type(each.logs) == "string" then found[#found + 1] = each.logs end
  end
  return concat(found)
end

function kinds.code_interpreter_call(item, _, _, n)
  local input = raw(encode { code = type(item.code) == "string" and item.code or "" })
  local block = server_call(item, n, "code", input)
  local output = json.is_raw(item.outputs) and logs(item.outputs)
  if not output then return "assistant", { block } end
  return "assistant", {
    block, { type = "server_result", call_id = block.id, tool = "code", output = output },
  }
end

function kinds.image_generation_call(item)
  if type(item.result) ~= "string" or item.result == "" then
    return "assistant", { opaque(item) }
  end
  local format = item.output_format
  local media_type = media.sniff(item.result)
    or type(format) == "string" and "image/" .. format or "image/png"
  local from = origin(item, nil, of_image) or {}
  from.generated = true
  return "assistant", {
    {
      type = "image", item = from,
      source = { kind = "base64", media_type = media_type, data = item.result },
    },
  }
end

function kinds.compaction(item, r, path)
  local sig = signatures.read(r.string(item, "encrypted_content", path), "reasoning")
  return "assistant", {
    { type = "compaction", sig = sig, item = origin(item, nil, of_compaction) },
  }
end

--- The kind of an item; items without one are messages.
--- @param item table
--- @return string
function M.kind(item)
  local kind = item.type
  if type(kind) == "string" then return kind end
  return "message"
end

--- Reads one item.
--- @param item table  decoded with ITEM
--- @param r table  lib.fields or lib.fields.soft
--- @param path any
--- @param n integer  its place, from 0
--- @return "user"|"assistant"|"system"|"developer"|"output" side
--- @return IrBlock[] blocks
function M.read(item, r, path, n)
  local read = kinds[item.type or "message"]
  if read then return read(item, r, path, n) end
  local kind = M.kind(item)
  if kind == "message" then return kinds.message(item, r, path, n) end
  local outside = kind:sub(-7) == "_output" or kind == "mcp_approval_response"
  return outside and "output" or "assistant", { opaque(item) }
end

return M
