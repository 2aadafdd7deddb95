--- Content parts of Chat messages: a client's into blocks of the neutral form.

local fields = require "lib.fields"
local json = require "json"
local media = require "lib.media"
local place = require "lib.place"
local reject = require "lib.reject"

local is_array, is_raw, null = json.is_array, json.is_raw, json.null
local next, tostring, type = next, tostring, type

local M = {}

--- Members of a part that are decoded; the others stay raw.
M.SHAPE = {
  "type", "text", "refusal", "image_url", "input_audio", "file", "video_url", "cache_control",
  "prompt_cache_breakpoint", "detail",
}

local COMMON = { type = true, cache_control = true, prompt_cache_breakpoint = true }

local known = {
  text = { text = true }, refusal = { refusal = true }, input_audio = { input_audio = true },
  image_url = { image_url = true, detail = true }, file = { file = true },
  video_url = { video_url = true },
}

local details = { auto = true, low = true, high = true, original = true }

--- The members that have no home in the neutral form, as `extras`.
--- @param object table
--- @param ours table<string, true>
--- @param common table<string, true>?
--- @return table? extras
function M.extras(object, ours, common)
  local found
  for name, value in next, object do
    if not ours[name] and not (common and common[name]) and value ~= null then
      found = found or {}
      found[name] = value
    end
  end
  return found and { chat = found } or nil
end

--- The cache hint of a part, a message or a tool.
--- @param object table
--- @return table? cache
function M.cache(object)
  local mark = object.cache_control
  if mark == nil then mark = object.prompt_cache_breakpoint end
  if mark == nil or mark == null or mark == false then return nil end
  if is_raw(mark) then mark = json.decode(mark) end
  local ttl = fields.soft.string(mark, "ttl")
  return { kind = "ephemeral", ttl = ttl }
end

-- A member that is an object with a `url`, or the URL itself.
local function url_of(part, name, path)
  local value = part[name]
  if type(value) == "string" then return value, nil end
  local object = fields.object(part, name, path)
  if not object then reject.bad(fields.path(path, name), "is required") end
  local url = fields.string(object, "url", fields.path(path, name))
  if not url then reject.bad(fields.path(path, name) .. ".url", "is required") end
  return url, object
end

local read = {}

function read.text(part, path)
  local text = fields.string(part, "text", path)
  if not text then reject.bad(fields.path(path, "text"), "is required") end
  return { type = "text", text = text }
end
known.input_text, read.input_text = known.text, read.text
known.output_text, read.output_text = known.text, read.text

function read.refusal(part, path)
  return { type = "refusal", text = fields.string(part, "refusal", path) or "" }
end

function read.image_url(part, path)
  local url, object = url_of(part, "image_url", path)
  local detail = object and object.detail or part.detail
  return { type = "image", source = media.source(url), detail = details[detail] and detail or nil }
end
known.input_image, read.input_image = known.image_url, read.image_url

function read.input_audio(part, path)
  local object = fields.object(part, "input_audio", path)
  local data = object and fields.string(object, "data", path)
  if not data then reject.bad(fields.path(path, "input_audio"), "needs `data`") end
  local format = fields.string(object, "format", path)
  local source = media.parse(data)
    or { kind = "base64", data = data, media_type = media.audio_type(format) or "audio/wav" }
  return { type = "audio", source = source, format = format }
end

function read.file(part, path)
  local object = fields.object(part, "file", path)
  if not object then reject.bad(fields.path(path, "file"), "is required") end
  path = fields.path(path, "file")
  local filename = fields.string(object, "filename", path)
  local data = fields.string(object, "file_data", path)
  if data then
    local source = media.file(data, filename)
    return { type = "document", source = source, filename = filename }
  end
  local id = fields.string(object, "file_id", path)
  if not id then reject.bad(path, "needs `file_data` or `file_id`") end
  return {
    type = "document", source = { kind = "file", file_id = id }, filename = filename,
  }
end

function read.video_url(part, path)
  return { type = "video", source = media.source((url_of(part, "video_url", path))) }
end

--- One part; nil for empty text.
--- @param part any
--- @param path any  a string or a place
--- @return IrBlock?
function M.read(part, path)
  if type(part) == "string" then
    return part ~= "" and { type = "text", text = part } or nil
  end
  if type(part) ~= "table" or is_array(part) then
    reject.bad(tostring(path), "must be an object")
  end
  local kind = fields.string(part, "type", path)
    or part.text ~= nil and "text" or part.image_url ~= nil and "image_url"
  local reader = read[kind]
  if not reader then
    if not kind then reject.bad(path .. ".type", "is required") end
    return { type = "opaque", dialect = "chat", raw = json.raw(json.encode(part)) }
  end
  local block = reader(part, path)
  if block.text == "" then return nil end
  block.cache = M.cache(part)
  block.extras = M.extras(part, known[kind], COMMON)
  return block
end

--- The `content` of a message, appended to `blocks`.
--- @param object table
--- @param path any  of the object, a string or a place
--- @param blocks IrBlock[]
function M.content(object, path, blocks)
  -- A string, a list of parts, null or nothing.
  local content = object.content
  if type(content) == "string" then
    if content ~= "" then blocks[#blocks + 1] = { type = "text", text = content } end
    return
  end
  if content == nil or content == null then return end
  if type(content) ~= "table" then
    reject.bad(path .. ".content", "must be a string or an array of parts")
  end
  if not is_array(content) then
    -- One part without its list; `{}` is what some clients make of an empty list.
    if next(content) == nil then return end
    content = { content }
  end
  local at = place.of("content", path)
  for i = 1, #content do
    at.at = i - 1
    local block = M.read(content[i], at)
    if block then blocks[#blocks + 1] = block end
  end
end

return M
