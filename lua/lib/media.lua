--- Media: data URLs, types by content and by file name.  Payloads are base64 and may be large: only
--- their heads are looked at.

local crypto = require "crypto"
local data = require "models.media"

local char, find, gsub, lower, match, sub =
  string.char, string.find, string.gsub, string.lower, string.match, string.sub

-- A data URL's part before the comma; longer ones are not data URLs.
local HEAD_MAX = 1024

local M = {}

--- The usual name of a media type, without parameters.
--- @param media_type string?
--- @return string?
function M.type(media_type)
  if not media_type then return nil end
  local name = lower(match(media_type, "^%s*([^;%s]*)"))
  if name == "" then return nil end
  return data.aliases[name] or name
end

--- The type of what base64 text begins with; nil when it is none of the known ones.
--- @param base64 string
--- @return string?
function M.sniff(base64)
  for _, row in ipairs(data.magic) do
    if sub(base64, 1, #row[1]) == row[1] then return row[2] end
  end
  if sub(base64, 1, 5) == "UklGR" then
    local head = crypto.base64_decode(sub(base64, 1, 16)) or ""
    local kind = sub(head, 9, 12)
    if kind == "WEBP" then return "image/webp" end
    if kind == "WAVE" then return "audio/wav" end
  end
  return nil
end

--- Base64 with the usual letters and padding: Google's SDKs write the letters of URLs.
--- @param text string
--- @return string
function M.base64(text)
  if not find(text, "[-_]") then return text end
  text = gsub(gsub(text, "-", "+"), "_", "/")
  return text .. ("="):rep(-#text % 4)
end

local function percent_decode(text)
  return (gsub(text, "%%(%x%x)", function(hex) return char(tonumber(hex, 16)) end))
end

--- @param url string
--- @return boolean
function M.is_data_url(url)
  return lower(sub(url, 1, 5)) == "data:"
end

--- Reads a data URL as a source.
--- @param url string
--- @return table? source  {kind = "base64", media_type, data}; nil when it is no data URL
function M.parse(url)
  if not M.is_data_url(url) then return nil end
  local comma = find(sub(url, 1, HEAD_MAX), ",", 1, true)
  if not comma then return nil end
  local head, payload = sub(url, 6, comma - 1), sub(url, comma + 1)
  local is_base64 = lower(sub(head, -7)) == ";base64"
  if not is_base64 then payload = crypto.base64_encode(percent_decode(payload)) end
  local named = sub(head, 1, 1) ~= ";" and M.type(head) or nil
  if not named or named == "application/octet-stream" or named == "base64" then
    named = M.sniff(payload) or "application/octet-stream"
  end
  return { kind = "base64", media_type = named, data = payload }
end

--- A source for the URL of an image: its bytes when it holds them.
--- @param url string
--- @return table source
function M.source(url)
  return M.parse(url) or { kind = "url", url = url }
end

--- The URL of a source; nil for those that have none.
--- @param source table
--- @return string?
function M.data_url(source)
  if source.kind == "base64" then
    return "data:" .. (source.media_type or "application/octet-stream") .. ";base64," .. source.data
  end
  if source.kind == "text" then
    return "data:" .. (source.media_type or "text/plain") .. ";base64,"
      .. crypto.base64_encode(source.text or "")
  end
  return source.url
end

--- The type that a file name or a URL tells.
--- @param name string?
--- @return string?
function M.type_of_name(name)
  local path = name and match(name, "^[^?#]*")
  local extension = path and match(path, "%.(%w+)$")
  return extension and data.by_extension[lower(extension)] or nil
end

--- The name of a file that has none.
--- @param media_type string?
--- @return string
function M.filename(media_type)
  return "document." .. (data.extensions[M.type(media_type) or ""] or "bin")
end

--- A source of file data as OpenAI has it: a data URL or bare base64.
--- @param file_data string
--- @param filename string?
--- @return table source
function M.file(file_data, filename)
  local source = M.parse(file_data)
  if not source then
    source = {
      kind = "base64", data = file_data,
      media_type = M.type_of_name(filename) or M.sniff(file_data) or "application/octet-stream",
    }
  elseif source.media_type == "application/octet-stream" then
    source.media_type = M.type_of_name(filename) or source.media_type
  end
  source.name = filename
  return source
end

--- The kind of block that holds a media type.
--- @param media_type string?
--- @return "image"|"audio"|"video"|"document"
function M.block_type(media_type)
  local major = media_type and match(media_type, "^%a+")
  if major == "image" or major == "audio" or major == "video" then return major end
  return "document"
end

--- OpenAI's name of an audio format ("wav", "mp3", ...); nil when it has none.
--- @param media_type string?
--- @return string?
function M.audio_format(media_type)
  local name = M.type(media_type)
  if name == "audio/wav" then return "wav" end
  if name == "audio/mpeg" then return "mp3" end
  for format, known in pairs(data.audio) do
    if known == name and format ~= "opus" and format ~= "pcm16" and format ~= "g711_alaw" then
      return format
    end
  end
  return nil
end

--- @param format string?
--- @return string?
function M.audio_type(format)
  return format and data.audio[lower(format)] or nil
end

return M
