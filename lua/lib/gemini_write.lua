--- Blocks as parts of Gemini's contents, for requests and for whole answers.

local crypto = require "crypto"
local json = require "json"
local media = require "lib.media"
local parts = require "lib.gemini_parts"

local concat, find, ipairs, type = table.concat, string.find, ipairs, type

local M = {}

-- Where the vendor fetches by itself, without the caps of a model.
local own_places = {
  "^gs://", "^files/", "^https://generativelanguage%.googleapis%.com/",
  "^https://www%.youtube%.com/", "^https://youtu%.be/",
}

local function is_vendors(url)
  for _, pattern in ipairs(own_places) do
    if find(url, pattern) then return true end
  end
  return false
end

local default_types = {
  image = "image/jpeg", document = "application/pdf", audio = "audio/mpeg", video = "video/mp4",
}

local function data_part(media_type, data, name)
  return { inlineData = { mimeType = media_type, data = data, displayName = name } }
end

--- The part of a block of media; nil and a text that stands for it when there is none.
--- @param block IrBlock
--- @param urls boolean?  the target takes https URLs
--- @return table? part
--- @return string? text
function M.media(block, urls)
  local source = block.source
  if type(source) ~= "table" then return nil end
  local kind = source.kind
  local media_type = source.media_type
  if kind == "base64" then
    if not media_type and block.format then media_type = media.audio_type(block.format) end
    media_type = media_type or media.sniff(source.data) or "application/octet-stream"
    if not find(media_type, ";", 1, true) then media_type = media.type(media_type) end
    return data_part(media_type, source.data, source.name)
  elseif kind == "text" then
    local data = crypto.base64_encode(source.text or "")
    return data_part(media_type or "text/plain", data, source.name)
  end
  local url = source.url or source.file_id
  if type(url) ~= "string" then return nil end
  -- Ids of files are foreign unless they are URIs.
  if kind == "uri" or is_vendors(url) or kind == "url" and urls and find(url, "^https?://") then
    media_type = media_type or media.type_of_name(url)
    if not media_type and kind ~= "uri" then media_type = default_types[block.type] end
    return { fileData = { fileUri = url, mimeType = media_type, displayName = source.name } }
  end
  return nil, "[" .. block.type .. ": " .. url .. "]"
end

--- Text of the blocks in a tool's result.
--- @param content IrBlock[]
--- @return string
function M.result_text(content)
  local first = content[1]
  if first and first.type == "text" and not content[2] then return first.text end
  local texts = {}
  for _, block in ipairs(content) do
    if block.type == "text" then
      texts[#texts + 1] = block.text
    elseif block.type == "search_result" then
      texts[#texts + 1] = M.search_text(block)
    end
  end
  return concat(texts, "\n")
end

--- @param block IrBlock  search_result
--- @return string
function M.search_text(block)
  local lines = { block.title or "", block.url or "" }
  for _, inner in ipairs(block.content or {}) do
    if inner.text then lines[#lines + 1] = inner.text end
  end
  return concat(lines, "\n")
end

--- The object of a call's arguments, also of one in free text.
--- @param block IrBlock  tool_call
--- @return RawJson args
--- @return boolean fine  false: what was there is none
function M.args(block)
  if block.kind == "custom" then
    return json.raw('{"input":' .. json.encode(block.args or "") .. "}"), true
  end
  local args = parts.args(block.args)
  return args or parts.NO_ARGS, args ~= nil
end

--- The part of a tool's result, without media.
--- @param block IrBlock
--- @return table part
function M.result(block)
  local extras = block.extras
  local own = extras and extras.gemini and extras.gemini.functionResponse
  local response = own and own.response
  if response == nil or json.type(response) ~= "object" then
    local content = block.content
    local text = content and M.result_text(content) or ""
    response = block.is_error and { error = text } or { output = text }
  end
  local native = { id = block.call_id, name = block.name or "unknown", response = response }
  if own then
    for name, value in pairs(own) do
      if native[name] == nil then native[name] = value end
    end
  end
  return { functionResponse = native }
end

return M
