--- Grounding: searches, hits and citations, in Gemini's words and in ours.
---
--- Its offsets count UTF-8 bytes, ours code points.

local fields = require "lib.fields"
local json = require "json"

local ipairs, min, offset, type, utf8_len = ipairs, math.min, utf8.offset, type, utf8.len
local soft = fields.soft

local M = {}

-- Code points before a byte offset; one inside a character counts as before it.
local function points(text, bytes)
  bytes = min(bytes, #text)
  if bytes <= 0 then return 0 end
  for back = 0, 3 do
    local count = utf8_len(text, 1, bytes - back)
    if count then
      -- The last character has to end where the offset is.
      local after = offset(text, 2, offset(text, 0, bytes - back))
      return after and after - 1 <= bytes and count or count - 1
    end
  end
  return bytes
end

local function bytes(text, count)
  local at = utf8_len(text) and offset(text, count + 1)
  return at and at - 1 or min(count, #text)
end

local function chunk_of(chunks, index)
  local chunk = chunks[index + 1]
  local web = soft.object(chunk, "web") or soft.object(chunk, "retrievedContext")
    or soft.object(chunk, "maps")
  local url = soft.filled(web, "uri")
  return url and { url = url, title = soft.string(web, "title") or "" } or nil
end

--- @param meta table  groundingMetadata
--- @return string[] queries
--- @return table[] hits
function M.hits(meta)
  local queries, hits = {}, {}
  for _, query in ipairs(soft.list(meta, "webSearchQueries") or {}) do
    if type(query) == "string" then queries[#queries + 1] = query end
  end
  local chunks = soft.list(meta, "groundingChunks") or {}
  for i = 1, #chunks do hits[#hits + 1] = chunk_of(chunks, i - 1) end
  return queries, hits
end

--- @param meta table  groundingMetadata
--- @param text string  what was said
--- @return table[] citations
function M.citations(meta, text)
  local found = {}
  local chunks = soft.list(meta, "groundingChunks") or {}
  for _, support in ipairs(soft.list(meta, "groundingSupports") or {}) do
    local segment = soft.object(support, "segment") or {}
    local from, to = soft.integer(segment, "startIndex") or 0, soft.integer(segment, "endIndex")
    for _, index in ipairs(soft.list(support, "groundingChunkIndices") or {}) do
      local chunk = math.type(index) == "integer" and chunk_of(chunks, index)
      if chunk then
        found[#found + 1] = {
          kind = "url", url = chunk.url, title = chunk.title, quote = soft.string(segment, "text"),
          start = points(text, from), ["end"] = points(text, to or #text),
        }
      end
    end
  end
  return found
end

--- Citations of what a model recited.
--- @param meta table  citationMetadata
--- @param text string
--- @return table[] citations
function M.recited(meta, text)
  local found = {}
  local sources = soft.list(meta, "citationSources") or soft.list(meta, "citations")
  for _, source in ipairs(sources or {}) do
    local url = soft.filled(source, "uri")
    if url then
      found[#found + 1] = {
        kind = "url", url = url, title = soft.string(source, "title"),
        start = points(text, soft.integer(source, "startIndex") or 0),
        ["end"] = points(text, soft.integer(source, "endIndex") or #text),
      }
    end
  end
  return found
end

--- Collects what there is to ground an answer with.
--- @return table collector {query, hit, cite, metadata}
function M.collector()
  local queries, chunks, supports, known = json.array {}, json.array {}, json.array {}, {}

  local function index_of(url, title)
    local index = known[url]
    if not index then
      index = #chunks
      known[url] = index
      chunks[index + 1] = { web = { uri = url, title = title or "" } }
    end
    return index
  end

  local M = {}

  --- @param block table  server_call
  function M.call(block)
    local input = block.input
    local query = json.is_raw(input) and json.get(input, "query") or nil
    if type(query) == "string" and query ~= "" then queries[#queries + 1] = query end
  end

  --- @param block table  server_result
  function M.result(block)
    for _, hit in ipairs(block.results or {}) do
      if type(hit.url) == "string" then index_of(hit.url, hit.title) end
    end
  end

  --- @param citation table
  --- @param text string  of its block
  function M.cite(citation, text)
    if type(citation.url) ~= "string" then return end
    local from = bytes(text, citation.start or 0)
    local to = citation["end"] and bytes(text, citation["end"]) or #text
    supports[#supports + 1] = {
      segment = { startIndex = from, endIndex = to, text = text:sub(from + 1, to) },
      groundingChunkIndices = json.array { index_of(citation.url, citation.title) },
    }
  end

  --- @return table? groundingMetadata
  function M.metadata()
    if not queries[1] and not chunks[1] then return nil end
    return {
      webSearchQueries = queries[1] and queries or nil,
      groundingChunks = chunks[1] and chunks or nil,
      groundingSupports = supports[1] and supports or nil,
    }
  end

  return M
end

return M
