--- Parts of Gemini's contents: shapes, both spellings, and one part as one block.
---
--- The readers are those of lib.fields for clients and of its `soft` for upstreams.

local fields = require "lib.fields"
local json = require "json"
local media = require "lib.media"
local models = require "models.gemini"
local signatures = require "lib.signatures"

local find, gsub, lower, next, tostring, type =
  string.find, string.gsub, string.lower, next, tostring, type
local null = json.null

local M = {}

local function snake(name)
  return (gsub(name, "%u", function(letter) return "_" .. lower(letter) end))
end

--- The known names of a shape, in lowerCamelCase and in snake_case.
--- @param known table
--- @return table
function M.spelled(known)
  local both = {}
  for name, value in pairs(known) do
    if type(name) == "number" then name, value = value, true end
    if type(value) == "table" then value = M.spelled(value) end
    both[name], both[snake(name)] = value, value
  end
  return both
end

--- The names of one level, each spelling to ours.
--- @param known table  as for M.spelled
--- @return table<string, string>
function M.names(known)
  local names = {}
  for name, value in pairs(known) do
    if type(name) == "number" then name = value end
    names[name], names[snake(name)] = name, name
  end
  return names
end

--- Gives the members of an object our spelling.
--- @param object table
--- @param names table<string, string>
--- @return table? extras  members that are not modelled
function M.canon(object, names)
  local extras, renamed
  for name, value in next, object do
    local own = names[name]
    if own == nil then
      extras = extras or {}
      extras[name] = value
    elseif own ~= name then
      renamed = renamed or {}
      renamed[name] = own
    end
  end
  if renamed then
    for name, own in next, renamed do
      if object[own] == nil then object[own] = object[name] end
      object[name] = nil
    end
  end
  return extras
end

--- A list, where one object may stand for a list of one.
--- @return table
function M.list(object, name, path)
  local value = object[name]
  if value == nil or value == null then return {} end
  if type(value) == "table" then return json.is_array(value) and value or { value } end
  return fields.list(object, name, path)
end

local DATA = { "mimeType", "data", "displayName" }
local FILE = { "mimeType", "fileUri", "displayName" }
local RESPONSE = {
  "id", "name", response = "raw", parts = { inlineData = DATA, fileData = FILE },
}
local CALL = { "id", "name", args = "raw", partialArgs = true, willContinue = true }
local PART = {
  "text", "thought", "thoughtSignature", inlineData = DATA, fileData = FILE, functionCall = CALL,
  functionResponse = RESPONSE, videoMetadata = "raw", executableCode = "raw",
  codeExecutionResult = "raw", toolCall = "raw", toolResponse = "raw",
}

--- Known names of a part, for shapes.
M.PART = M.spelled(PART)

local part_names, call_names = M.names(PART), M.names(CALL)
local response_names, data_names, file_names = M.names(RESPONSE), M.names(DATA), M.names(FILE)

--- Gives a part our spelling.
--- @return table? extras
function M.canon_part(part)
  return M.canon(part, part_names)
end

--- @return table? extras
function M.canon_call(call)
  return M.canon(call, call_names)
end

--- @return table? extras
function M.canon_response(response)
  return M.canon(response, response_names)
end

--- @param members table?
--- @return table? extras  of a block
function M.extras(members)
  return members and { gemini = members } or nil
end

--- Adds what the block kept of this dialect; what is there stays.
--- @param native table
--- @param extras table?
--- @return table native
function M.extend(native, extras)
  local own = extras and extras.gemini
  if own then
    for name, value in next, own do
      if native[name] == nil then native[name] = value end
    end
  end
  return native
end

local function media_block(source, name, meta)
  local kind = media.block_type(source.media_type)
  local block = { type = kind, source = source }
  source.name = name
  if kind == "document" then block.filename = name end
  if kind == "video" and meta ~= nil then block.meta = meta end
  return block
end

local function media_type(text)
  if not text or text == "" then return nil end
  -- Parameters such as the rate of PCM count.
  return find(text, ";", 1, true) and text or media.type(text)
end

--- The block of an inlineData or fileData; nil when it says nothing.
--- @param part table  part or part of a function response, in our spelling
--- @param read table  fields or fields.soft
--- @param path string?
--- @return table? block
function M.media(part, read, path)
  local data = read.object(part, "inlineData", path)
  if data then
    path = fields.path(path, "inlineData")
    M.canon(data, data_names)
    local bytes = read.string(data, "data", path)
    if not bytes then return nil end
    local kind = media_type(read.string(data, "mimeType", path))
    bytes = media.base64(bytes)
    local source = {
      kind = "base64", data = bytes,
      media_type = kind or media.sniff(bytes) or "application/octet-stream",
    }
    return media_block(source, read.string(data, "displayName", path), part.videoMetadata)
  end
  local file = read.object(part, "fileData", path)
  if not file then return nil end
  path = fields.path(path, "fileData")
  M.canon(file, file_names)
  local uri = read.string(file, "fileUri", path)
  if not uri then return nil end
  local kind = media_type(read.string(file, "mimeType", path)) or media.type_of_name(uri)
  local source = { kind = "uri", url = uri, media_type = kind }
  return media_block(source, read.string(file, "displayName", path), part.videoMetadata)
end

--- What runs at the vendor: the native member stays with the block.
--- @param part table
--- @param id string  of the call, for a part that has none
--- @return table? block
function M.server(part, id)
  for _, name in ipairs { "executableCode", "codeExecutionResult", "toolCall", "toolResponse" } do
    local raw = part[name]
    if json.is_raw(raw) and json.type(raw) == "object" then
      local extras = { gemini = { [name] = raw } }
      local given = json.get(raw, "id")
      id = type(given) == "string" and given ~= "" and given or id
      local kind = json.get(raw, "toolType") or json.get(raw, "tool_type")
      local tool = type(kind) == "string" and models.called[lower(kind)] or "tool_search"
      if name == "executableCode" then
        return {
          type = "server_call", id = id, tool = "code", input = raw, status = "completed",
          extras = extras,
        }
      elseif name == "toolCall" then
        local args = json.get(raw, "args")
        return {
          type = "server_call", id = id, tool = tool, status = "completed", extras = extras,
          input = json.is_raw(args) and args or M.NO_ARGS,
        }
      elseif name == "codeExecutionResult" then
        local output, outcome = json.get(raw, "output"), json.get(raw, "outcome")
        if type(outcome) ~= "string" or outcome == "OUTCOME_OK" then outcome = nil end
        return {
          type = "server_result", call_id = id, tool = "code", error = outcome, extras = extras,
          output = type(output) == "string" and output or nil,
        }
      end
      local response = json.get(raw, "response")
      return {
        type = "server_result", call_id = id, tool = tool, extras = extras,
        output = response ~= nil and tostring(response) or nil,
      }
    end
  end
  return nil
end

local OUTCOME_OK, OUTCOME_FAILED = "OUTCOME_OK", "OUTCOME_FAILED"

--- The part of what ran at the vendor; nil where this dialect has none.
--- @param block table  server_call or server_result
--- @return table? part
function M.write_server(block)
  local own = block.extras and block.extras.gemini
  if own then return M.extend({}, block.extras) end
  if block.tool ~= "code" then return nil end
  if block.type == "server_call" then
    local code = block.input and (json.get(block.input, "code") or json.get(block.input, "command"))
    return type(code) == "string"
      and { executableCode = { language = "PYTHON", code = code } } or nil
  end
  return {
    codeExecutionResult = {
      outcome = block.error and OUTCOME_FAILED or OUTCOME_OK,
      output = block.output or block.error or "",
    },
  }
end

--- The signature a request may send up: Google's own, or one nobody knows.
--- @param sig table?
--- @return string?
function M.signature_up(sig)
  if not sig or sig.data == "" then return nil end
  if sig.family == "google" or sig.family == "unknown" then return sig.data end
  return sig.data == signatures.SENTINEL and sig.data or nil
end

--- Arguments of a call as the object they have to be.
--- @param text string|RawJson|nil
--- @return RawJson? object  nil when they are none
function M.args(text)
  if text == nil or text == "" then return M.NO_ARGS end
  local raw = json.raw(text)
  if not raw then return nil end
  local kind = json.type(raw)
  if kind == "object" then return raw end
  if kind == "null" then return M.NO_ARGS end
  if kind == "string" then
    -- Some gateways send the text of the arguments.
    local inner = json.raw((json.decode(raw)))
    if inner and json.type(inner) == "object" then return inner end
  end
  return nil
end

M.NO_ARGS = assert(json.raw "{}")

return M
