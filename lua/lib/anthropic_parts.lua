--- Content blocks of the neutral form as an Anthropic upstream takes them.

local crypto = require "crypto"
local json = require "json"
local media = require "lib.media"
local models = require "models.anthropic"
local names = require "lib.names"
local reject = require "lib.reject"

local find, ipairs, lower, next, pairs, sub, type =
  string.find, ipairs, string.lower, next, pairs, string.sub, type

local M = {}

--- Adds what Anthropic itself had written and the neutral form has no field for.
--- @param native table
--- @param extras table?
--- @return table native
local function extend(native, extras)
  local own = extras and extras.anthropic
  if own then
    for name, value in pairs(own) do
      if native[name] == nil then native[name] = value end
    end
  end
  return native
end
M.extend = extend

--- Puts a cache mark on a block and remembers it: only so many are allowed.
--- @param state table  {marks, same}
--- @param native table
--- @param cache table?
--- @return table native
local function mark(state, native, cache)
  if cache then
    -- How long a mark lives is not translated between vendors.
    native.cache_control = extend({
      type = "ephemeral", ttl = state.same and cache.ttl or nil,
    }, state.same and cache.extras or nil)
    state.marks[#state.marks + 1] = native
  end
  return native
end
M.mark = mark

--- Adds what most blocks and tools lack: extras and a cache mark.
--- @param state table
--- @param native table
--- @param block table
--- @return table native
local function finish(state, native, block)
  if block.extras then extend(native, block.extras) end
  if block.cache then mark(state, native, block.cache) end
  return native
end
M.finish = finish

-- Where the blocks at hand stand, in words: `state.at` is the number of a turn, or a name.
local function where(state)
  local at = state.at
  return type(at) == "number" and "turns[" .. at - 1 .. "]" or at
end

local function drop(state, block, why)
  state.warn("drop.block", where(state), why or block.type)
  return nil
end

local writers = {}

-- A citation of another vendor's search has no key, and one without is refused.
local function citations(state, block)
  if not state.same then return nil end
  local list = json.array {}
  for _, citation in ipairs(block.citations) do list[#list + 1] = citation.loc end
  return list[1] and list or nil
end

function writers.text(state, block)
  if block.text == "" then return nil end
  local native = {
    type = "text", text = block.text,
    citations = block.citations and citations(state, block) or nil,
  }
  return finish(state, native, block)
end

function writers.refusal(_, block)
  if block.text == "" then return nil end
  return { type = "text", text = block.text }
end

-- Only what the upstream signed itself goes back, byte for byte.
local function usable(state, block)
  local sig = block.sig
  if sig and sig.data ~= "" then
    if sig.family == state.family then return sig.data end
    if sig.family == "unknown" and state.same then return sig.data end
  end
  state.warn("drop.signature", where(state), block.type)
  return nil
end

function writers.thinking(state, block)
  local signature = usable(state, block)
  if not signature then return nil end
  local native = { type = "thinking", thinking = block.text or "", signature = signature }
  return extend(native, block.extras)
end

function writers.redacted_thinking(state, block)
  local data = usable(state, block)
  return data and extend({ type = "redacted_thinking", data = data }, block.extras) or nil
end

local function base64_source(state, block, source)
  local found = media.type(source.media_type)
  if not models.images[found or ""] then found = media.sniff(source.data) end
  if not models.images[found or ""] then
    return drop(state, block, "images of type " .. tostring(source.media_type))
  end
  return { type = "base64", media_type = found, data = source.data }
end

function writers.image(state, block)
  local source, native = block.source, nil
  -- The hub shows what an assistant drew in a user turn.
  if state.of_assistant then return drop(state, block, "image of the assistant") end
  if source.kind == "base64" then
    native = base64_source(state, block, source)
  elseif source.url and (source.kind == "url" or source.kind == "uri")
      and find(lower(sub(source.url, 1, 8)), "^https?://") then
    native = { type = "url", url = source.url }
  elseif source.kind == "file" and state.same then
    native = { type = "file", file_id = source.file_id }
  else
    return drop(state, block)
  end
  if not native then return nil end
  return mark(state, extend({ type = "image", source = native }, block.extras), block.cache)
end

local function is_text(media_type)
  return sub(media_type or "", 1, 5) == "text/" or media_type == "application/json"
end

local function document_source(state, block)
  local source = block.source
  local found = media.type(source.media_type)
  if source.kind == "text" then
    return { type = "text", media_type = "text/plain", data = source.text or "" }
  elseif source.kind == "base64" and is_text(found) then
    local text = crypto.base64_decode(source.data)
    if text then return { type = "text", media_type = "text/plain", data = text } end
  elseif source.kind == "base64" then
    if found ~= "application/pdf" and not state.same then found = media.sniff(source.data) end
    if found == "application/pdf" or state.same then
      return { type = "base64", media_type = found, data = source.data }
    end
  elseif source.url and (source.kind == "url" or source.kind == "uri")
      and find(lower(sub(source.url, 1, 8)), "^https?://") then
    return { type = "url", url = source.url }
  elseif source.kind == "file" and state.same then
    return { type = "file", file_id = source.file_id }
  end
  return drop(state, block)
end

function writers.document(state, block)
  local source = document_source(state, block)
  if not source then return nil end
  local title = block.title or block.filename or block.source.name
  local native = {
    type = "document", source = source, title = title, context = block.context,
    citations = block.cite ~= nil and { enabled = block.cite } or nil,
  }
  return mark(state, extend(native, block.extras), block.cache)
end

function writers.search_result(state, block)
  local native = {
    type = "search_result", source = block.url or "", title = block.title or "",
    content = M.list(state, block.content),
    citations = block.cite ~= nil and { enabled = block.cite } or nil,
  }
  return mark(state, extend(native, block.extras), block.cache)
end

--- The arguments of a call as the object they have to be.
--- @param block table  tool_call
--- @param state table  {warn, at}
--- @return RawJson input
function M.input(block, state)
  local args = block.args or ""
  if block.kind == "custom" then return json.raw(json.encode { input = args }) end
  if not find(args, "%S") then return json.raw "{}" end
  local raw = json.raw(args)
  if not raw then
    local name = tostring(block.name)
    state.warn("map.lossy", where(state), "arguments of " .. name .. " are not JSON")
    return json.raw "{}"
  end
  if json.type(raw) ~= "object" then raw = json.raw(json.encode { value = raw }) end
  return raw
end

function writers.tool_call(state, block)
  local native = {
    type = "tool_use", id = block.id, name = names.full(block.name, block.namespace),
    input = M.input(block, state), caller = state.same and block.caller or nil,
  }
  return finish(state, native, block)
end

local function is_plain(native)
  if type(native) ~= "table" or native.type ~= "text" then return false end
  for name in next, native do
    if name ~= "type" and name ~= "text" then return false end
  end
  return true
end

--- Content as it is written: one plain text is a string.
--- @param list table[]
--- @return string|table
function M.content(list)
  if #list == 1 and is_plain(list[1]) then return list[1].text end
  return list
end

-- The text of blocks that are one text and nothing more, as most results are.
local function only_text(blocks)
  local block = blocks and blocks[1]
  if not block or blocks[2] or block.type ~= "text" then return nil end
  if block.cache or block.extras or block.citations then return nil end
  return block.text
end

local function result_content(state, blocks)
  local list = M.list(state, blocks)
  return list[1] and M.content(list) or ""
end

function writers.tool_result(state, block)
  local native = {
    type = "tool_result", tool_use_id = block.call_id, is_error = block.is_error and true or nil,
    content = only_text(block.content) or result_content(state, block.content),
  }
  return finish(state, native, block)
end

-- Searches that this program wrote for another vendor's cannot go to Anthropic: their keys cannot
-- be forged.
local function is_own(state, block)
  return state.same and block.extras and block.extras.anthropic and not state.foreign_calls[block.id
    or block.call_id]
end

function writers.server_call(state, block)
  if not is_own(state, block) then return drop(state, block) end
  local native = { id = block.id, input = block.input }
  return mark(state, extend(native, block.extras), block.cache)
end

function writers.server_result(state, block)
  if not is_own(state, block) then return drop(state, block) end
  return mark(state, extend({ tool_use_id = block.call_id }, block.extras), block.cache)
end

function writers.compaction(state, block)
  local sig = block.sig
  if not sig or sig.family ~= "anthropic" then return drop(state, block) end
  return mark(state, extend({ type = "compaction", content = sig.data }, block.extras), block.cache)
end

function writers.opaque(state, block)
  if block.dialect ~= "anthropic" then
    return drop(state, block, "of " .. tostring(block.dialect))
  end
  return block.raw
end

--- Writes blocks; what cannot be carried is left out with a warning.
--- @param state table  {warn, at, marks, same, family, foreign_calls}
--- @param blocks table[]?
--- @return table[] list
function M.list(state, blocks)
  local list, count = {}, 0
  for i = 1, blocks and #blocks or 0 do
    local block = blocks[i]
    local writer = writers[block.type] or drop
    local native = writer(state, block)
    if native then
      count = count + 1
      list[count] = native
    end
  end
  return json.array(list)
end

--- Writes the blocks of an instruction, which can only be text.
--- @param state table
--- @param blocks table[]
--- @param as fun(blocks: table[])?  what to write in their place
--- @return table[] list
function M.instruction(state, blocks, as)
  for _, block in ipairs(blocks) do
    if block.type ~= "text" and not (block.type == "opaque" and block.dialect == "anthropic") then
      reject.bad(where(state), "instructions can only hold text, not " .. tostring(block.type))
    end
  end
  return M.list(state, as and as(blocks) or blocks)
end

return M
