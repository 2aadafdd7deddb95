--- Parts of messages and tool outputs of the Responses dialect, written from blocks.

local json = require "json"
local media = require "lib.media"

local concat, ipairs, next, tostring = table.concat, ipairs, next, tostring
local array = json.array

local M = {}

local BREAKPOINT = { mode = "explicit" }

--- Adds the members that only this dialect knows; its own come first.
--- @param native table
--- @param extras table?
--- @return table native
function M.extend(native, extras)
  local own = extras and extras.responses
  if own then
    for name, value in next, own do
      if native[name] == nil then native[name] = value end
    end
  end
  return native
end

-- Parts of messages, by type of block.
local part = {}

function part.text(block, role)
  if role == "assistant" then return { type = "output_text", text = block.text } end
  return { type = "input_text", text = block.text }
end

function part.refusal(block, role)
  if role == "assistant" then return { type = "refusal", refusal = block.text } end
  return { type = "input_text", text = block.text }
end

function part.image(block)
  local source = block.source
  local url = source.kind ~= "file" and media.data_url(source) or nil
  if not url and not source.file_id then return nil end
  return { type = "input_image", image_url = url, file_id = source.file_id, detail = block.detail }
end

local function document_text(block)
  local title = block.title or block.filename
  return title and title .. "\n\n" .. block.source.text or block.source.text
end

function part.document(block)
  local source = block.source
  if source.kind == "text" then return { type = "input_text", text = document_text(block) } end
  if source.kind == "file" then
    return { type = "input_file", file_id = source.file_id, filename = block.filename }
  end
  if source.kind == "base64" then
    return {
      type = "input_file", file_data = media.data_url(source),
      filename = block.filename or source.name or media.filename(source.media_type),
    }
  end
  return source.url and { type = "input_file", file_url = source.url, filename = block.filename }
end

function part.audio(block)
  local source = block.source
  local format = block.format or source and media.audio_format(source.media_type)
  if not source or source.kind ~= "base64" or not format then return nil end
  return { type = "input_audio", input_audio = { data = source.data, format = format } }
end

function part.search_result(block)
  local lines = { (block.title or "") .. "\n" .. (block.url or "") }
  for _, each in ipairs(block.content or {}) do
    if each.type == "text" then lines[#lines + 1] = each.text end
  end
  return { type = "input_text", text = concat(lines, "\n") }
end

function part.opaque(block)
  return block.dialect == "responses" and block.raw or nil
end

--- A citation as annotation; nil for those that this dialect cannot show.
--- @param citation table
--- @return table?
function M.annotation(citation)
  local own = citation.extras and citation.extras.responses
  if own then return own end
  if citation.kind ~= "url" and citation.kind ~= "search" or not citation.url then return nil end
  return {
    type = "url_citation", url = citation.url, title = citation.title or "",
    start_index = citation.start or 0, end_index = citation["end"] or 0,
  }
end

local function annotate(native, block)
  local list = array()
  for _, each in ipairs(block.citations) do list[#list + 1] = M.annotation(each) end
  if #list > 0 then native.annotations = list end
end

--- A block as part of a message or an output.
--- @param block IrBlock
--- @param role string  "assistant", or "user" for all others
--- @param state {ctx: TranslationContext, path: any}
--- @return any  nil when it cannot be carried
function M.write(block, role, state)
  local write = part[block.type]
  local native = write and write(block, role)
  if not native then
    state.ctx.warn("drop.block", tostring(state.path), block.type)
    return nil
  end
  if block.type == "opaque" then return native end
  if role == "assistant" then
    if block.citations then annotate(native, block) end
    native.logprobs = block.logprobs
  end
  if block.cache and native.type ~= "refusal" then native.prompt_cache_breakpoint = BREAKPOINT end
  return M.extend(native, block.extras)
end

return M
