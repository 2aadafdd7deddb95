--- Estimates of a request's input tokens, for providers that have no counter (providers 0.12).
---
--- The texts of a body are collected, trimmed and joined by line ends; `tokens` counts them.
--- Pictures count by their size.

local crypto = require "crypto"
local fields = require "lib.fields"
local image = require "lib.image"
local ir = require "lib.ir"
local json = require "json"
local tokens = require "tokens"

local ceil, concat, find, ipairs, lower, match, min, sub, tostring, type = math.ceil, table.concat,
  string.find, ipairs, string.lower, string.match, math.min, string.sub, tostring, type
local soft = fields.soft

local M = {}

-- A picture whose size is not known, and the largest one after it was scaled down.
local PICTURE = 1600
local PIXELS_A_TOKEN = 750
-- How much is counted at once, and how near its end a piece is cut between words.
local PIECE, NEAR = 256 * 1024, 256
-- Base64 of what is looked at for the size; a multiple of four.
local HEAD_MAX = 84 * 1024

-- The first pattern that matches a model's name counts.
local families = {
  { "claude", "claude" }, { "gemini", "gemini" }, { "gemma", "gemini" },
  { "^gpt%-4o", "o200k" }, { "^gpt%-4%.[1-9]", "o200k" }, { "^gpt%-4", "cl100k" },
  { "^gpt%-3%.5", "cl100k" }, { "^gpt%-", "o200k" }, { "^o%d", "o200k" }, { "codex", "cl100k" },
  { "qwen", "qwen" }, { "deepseek", "qwen" }, { "kimi", "qwen" }, { "glm", "qwen" },
  { "llama", "qwen" }, { "mistral", "qwen" }, { "minimax", "qwen" }, { "iflow", "qwen" },
}

--- The family of a model, for tokens.count.
--- @param model string?
--- @return string
function M.family(model)
  -- A vendor's name may stand before it.
  local name = lower(match(model or "", "[^/]*$"))
  for _, row in ipairs(families) do
    if find(name, row[1]) then return row[2] end
  end
  return "o200k"
end

-- Where a piece of a long text ends: behind a line or a word, else not inside of a character.
local function piece_end(text, from)
  local last = from + PIECE - 1
  if last >= #text then return #text end
  for at = last, last - NEAR, -1 do
    local byte = string.byte(text, at)
    if byte == 10 or byte == 32 then return at end
  end
  while find(text, "^[\x80-\xBF]", last + 1) do last = last - 1 end
  return last
end

-- Counts texts of a family of models as they are added, and the tokens of pictures.
local function collector(family)
  local self = {}
  local total, texts, size = 0, {}, 0

  local function count()
    local text = concat(texts, "\n")
    local from = 1
    -- Between two pieces others have their turn.
    while from <= #text do
      local to = piece_end(text, from)
      total = total + tokens.count(sub(text, from, to), family)
      from = to + 1
    end
    texts, size = {}, 0
  end

  --- @param value any  a string or raw JSON; anything else is passed over
  function self.add(value)
    if json.is_raw(value) then
      value = json.type(value) == "null" and "" or tostring(value)
    elseif type(value) == "table" then
      value = json.encode(value)
    end
    if type(value) ~= "string" then return end
    local from, to = find(value, "%S"), #value
    if not from then return end
    while find(value, "^%s", to) do to = to - 1 end
    texts[#texts + 1] = (from > 1 or to < #value) and sub(value, from, to) or value
    size = size + to - from
    if size > PIECE then count() end
  end

  --- @param url string?
  function self.picture(url)
    if type(url) ~= "string" then return end
    if not find(url, "^[Dd][Aa][Tt][Aa]:") then return self.add(url) end
    local comma = find(url, ",", 1, true) or #url
    local head = crypto.base64_decode(sub(url, comma + 1, comma + HEAD_MAX)) or ""
    -- A head that is cut off may end inside of what is read.
    local fine, _, width, height = pcall(image.size, head)
    local cost = fine and width and height and ceil(width * height / PIXELS_A_TOKEN) or PICTURE
    total = total + min(cost, PICTURE)
  end

  --- @return integer
  function self.count()
    count()
    return total
  end

  return self
end

-- Content that is a string or parts, of chat or of responses.
local function add_content(out, content)
  if type(content) == "string" then return out.add(content) end
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "string" then
      out.add(part)
    elseif type(part) == "table" then
      out.add(part.text)
      out.add(part.refusal)
      local url = part.image_url
      out.picture(type(url) == "table" and url.url or url)
    end
  end
end

-- Walks what may be one of many things: only objects of a list are looked at.
local function each(list)
  local objects = {}
  for _, value in ipairs(type(list) == "table" and list or {}) do
    if type(value) == "table" then objects[#objects + 1] = value end
  end
  return objects
end

local function add_function(out, native)
  out.add(native.name)
  out.add(native.description)
  out.add(native.parameters)
end

local bodies = {}

local PARAMETERS = { "name", "description", parameters = "raw" }

local chat_shape = json.shape {
  known = {
    "messages", "prompt", "input", tools = { "function", ["function"] = PARAMETERS },
    functions = PARAMETERS, tool_choice = "raw", response_format = "raw",
  },
}

function bodies.chat(body, family)
  local found = json.decode(body, chat_shape)
  if type(found) ~= "table" then return nil end
  local out = collector(family)
  for _, message in ipairs(each(found.messages)) do
    out.add(message.role)
    out.add(message.name)
    add_content(out, message.content)
    out.add(message.tool_call_id)
    for _, call in ipairs(each(message.tool_calls)) do
      local native = soft.object(call, "function") or {}
      out.add(call.id)
      out.add(native.name)
      out.add(native.arguments)
    end
  end
  for _, tool in ipairs(each(found.tools)) do
    add_function(out, soft.object(tool, "function") or {})
  end
  for _, native in ipairs(each(found.functions)) do add_function(out, native) end
  out.add(found.tool_choice)
  out.add(found.response_format)
  add_content(out, found.input)
  add_content(out, found.prompt)
  return out
end

local responses_shape = json.shape {
  known = {
    "instructions", "input", tools = PARAMETERS, text = { format = { "name", schema = "raw" } },
  },
}

function bodies.responses(body, family)
  local found = json.decode(body, responses_shape)
  if type(found) ~= "table" then return nil end
  local out = collector(family)
  out.add(found.instructions)
  if type(found.input) == "string" then out.add(found.input) end
  for _, item in ipairs(each(found.input)) do
    add_content(out, item.content)
    out.add(item.name)
    out.add(item.arguments)
    out.add(type(item.input) == "string" and item.input or nil)
    if item.output ~= nil then add_content(out, item.output) end
  end
  for _, tool in ipairs(each(found.tools)) do add_function(out, tool) end
  local format = soft.object(soft.object(found, "text"), "format") or {}
  out.add(format.name)
  out.add(format.schema)
  return out
end

local add_blocks

-- Sources of pictures; other media have no size that is known.
local function add_media(out, block)
  local source = type(block.source) == "table" and block.source or {}
  if source.kind == "text" then return out.add(source.text) end
  if block.type ~= "image" then return out.add(source.url or source.name) end
  if source.kind ~= "base64" then return out.add(source.url) end
  out.picture("data:" .. (source.media_type or "image/png") .. ";base64," .. (source.data or ""))
end

local adders = {
  image = add_media, document = add_media, audio = add_media, video = add_media,
}

function adders.tool_call(out, block)
  out.add(block.name)
  out.add(block.args)
end

function adders.tool_result(out, block)
  add_blocks(out, block.content)
end

function adders.search_result(out, block)
  out.add(block.title)
  add_blocks(out, block.content)
end

function add_blocks(out, blocks)
  for _, block in ipairs(blocks or {}) do
    local add = adders[block.type]
    if add then add(out, block) else out.add(block.text) end
  end
end

--- The estimate for a request in the neutral form.
--- @param request IrRequest
--- @param model string?
--- @return integer
function M.request(request, model)
  local out = collector(M.family(model or request.model))
  add_blocks(out, request.system)
  for _, turn in ipairs(request.turns) do add_blocks(out, turn.blocks) end
  for _, tool in ipairs(request.tools) do
    out.add(tool.name)
    out.add(tool.description)
    out.add(tool.schema)
  end
  local format = request.format
  if format then
    out.add(format.name)
    out.add(format.schema)
  end
  return out.count()
end

local function decoded(dialect, body, model)
  local translator = require("translators." .. dialect)
  local side = { dialect = dialect }
  return translator.decode_request(body, {
    client = side, upstream = side, model = model or "", caps = {}, warn = function() end,
    warnings = {}, created = 0,
  })
end

--- The estimate for a body.
--- @param dialect string
--- @param body string
--- @param model string?  tells the family
--- @return integer? count  nil when the body is not JSON of that kind
function M.count(dialect, body, model)
  local collect = bodies[ir.base(dialect)]
  if collect then
    local out = collect(body, M.family(model))
    return out and out.count() or nil
  end
  local fine, request = pcall(decoded, dialect, body, model)
  return fine and M.request(request, model) or nil
end

return M
