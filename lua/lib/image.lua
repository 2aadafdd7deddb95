--- Sizes of images in data URLs, read from their first bytes.

local byte, find, lower, match, pack, sub, unpack = string.byte, string.find, string.lower,
  string.match, string.pack, string.sub, string.unpack

-- Enough for a JPEG with a large profile before its frame header.
local HEAD_MAX = 64 * 1024

local M = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local values = {}
for i = 1, 64 do values[byte(ALPHABET, i)] = i - 1 end
values[byte("-")], values[byte("_")] = 62, 63

-- Decodes base64 up to the first byte that is none.
local function decode(text)
  local out = {}
  for i = 1, #text - 3, 4 do
    local a, b, c, d = byte(text, i, i + 3)
    a, b, c, d = values[a], values[b], values[c], values[d]
    if not (a and b) then break end
    local bits = a << 18 | b << 12 | (c or 0) << 6 | (d or 0)
    out[#out + 1] = sub(pack(">I3", bits), 1, d and 3 or c and 2 or 1)
    if not d then break end
  end
  return table.concat(out)
end

local function png(data)
  if sub(data, 1, 8) ~= "\x89PNG\r\n\x1a\n" or #data < 24 then return nil end
  return unpack(">I4I4", data, 17)
end

local function gif(data)
  if not find(data, "^GIF8[79]a") or #data < 10 then return nil end
  return unpack("<I2I2", data, 7)
end

local function jpeg(data)
  if sub(data, 1, 2) ~= "\xff\xd8" then return nil end
  local at = 3
  while at + 8 <= #data do
    local marker, kind = byte(data, at, at + 1)
    if marker ~= 0xff then return nil end
    if kind == 0xff then
      at = at + 1
    elseif kind >= 0xc0 and kind <= 0xcf and kind ~= 0xc4 and kind ~= 0xc8 and kind ~= 0xcc then
      local height, width = unpack(">I2I2", data, at + 5)
      return width, height
    else
      at = at + 2 + unpack(">I2", data, at + 2)
    end
  end
end

local function webp(data)
  if sub(data, 1, 4) ~= "RIFF" or sub(data, 9, 12) ~= "WEBP" or #data < 30 then return nil end
  local kind = sub(data, 13, 16)
  if kind == "VP8 " then
    local width, height = unpack("<I2I2", data, 27)
    return width & 0x3fff, height & 0x3fff
  elseif kind == "VP8L" then
    local bits = unpack("<I4", data, 22)
    return (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1
  elseif kind == "VP8X" then
    return unpack("<I3", data, 25) + 1, unpack("<I3", data, 28) + 1
  end
end

local readers = { { "png", png }, { "jpeg", jpeg }, { "gif", gif }, { "webp", webp } }

--- Kind and size in pixels of an image's bytes.
--- @param data string
--- @return string? kind
--- @return integer? width
--- @return integer? height
function M.size(data)
  for _, reader in ipairs(readers) do
    local width, height = reader[2](data)
    if width then return reader[1], width, height end
  end
end

--- One line about an image URL, for people.
--- @param url string
--- @return string
function M.describe(url)
  if lower(sub(url, 1, 5)) ~= "data:" then return "[image by URL]" end
  local at = find(url, ",", 1, true)
  if not at or not find(lower(sub(url, 1, at)), ";base64,$") then return "[image]" end
  local length = #url - at
  local bytes = length // 4 * 3 - #(match(sub(url, -2), "=*$"))
  local text = sub(url, at + 1, at + HEAD_MAX)
  local kind, width, height = M.size(decode(text))
  if not kind then return "[image, " .. bytes .. " bytes]" end
  return "[image " .. kind .. " " .. width .. "x" .. height .. ", " .. bytes .. " bytes]"
end

return M
