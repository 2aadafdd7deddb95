--- What answers for Responses clients are made of: frames, items of the output, and their ids.
---
--- All functions get the answer's state, see lib.responses_encode.  Of a whole answer no frames are
--- made, only its items.

local ids = require "lib.ids"
local json = require "json"

local encode, sub = json.encode, string.sub

local M = {}

local function put(w, kind, data)
  local frames = w.frames
  frames[#frames + 1] = { name = kind, data = data }
  w.sequence = w.sequence + 1
end

--- An event of members that are text already, and of one or two that follow.
--- @param w table
--- @param kind string
--- @param at string?
--- @param name string?
--- @param value any
--- @param other string?
--- @param another any
function M.emit(w, kind, at, name, value, other, another)
  if w.whole then return end
  local members = at or ""
  if name then
    members = (at and at .. ',"' or '"') .. name .. '":' .. encode(value)
      .. (other and ',"' .. other .. '":' .. encode(another) or "")
  end
  put(w, kind, "{" .. members .. ',"sequence_number":' .. w.sequence .. ',"type":"' .. kind .. '"}')
end

--- The same for a piece of text, of which a stream has thousands: what stands around it is made
--- once, the number comes behind `foot`.
--- @param w table
--- @param kind string
--- @param head string
--- @param text string
--- @param foot string
function M.emit_piece(w, kind, head, text, foot)
  if w.whole then return end
  put(w, kind, head .. encode(text) .. foot .. w.sequence .. ',"type":"' .. kind .. '"}')
end

--- The same for the response itself, which can be long: its text in two parts.
--- @param w table
--- @param kind string
--- @param head string
--- @param fixed string
function M.emit_response(w, kind, head, fixed)
  put(w, kind, '{"response":' .. head .. fixed .. ',"sequence_number":' .. w.sequence
    .. ',"type":"' .. kind .. '"}')
end

local function unique(w, id)
  local used, candidate, n = w.used, id, 1
  while used[candidate] do
    n = n + 1
    candidate = ids.safe(id .. "_" .. n, "responses")
  end
  used[candidate] = true
  return candidate
end

--- The id of the next item: the upstream's with its kind's prefix, or one made of the answer's.
--- @param w table
--- @param prefix string
--- @param id string?
--- @return string
function M.item_id(w, prefix, id)
  if not id then
    id = prefix .. w.response.id .. "_" .. #w.output
  elseif sub(id, 1, #prefix) ~= prefix then
    id = prefix .. id
  end
  return unique(w, ids.safe(id, "responses"))
end

--- @param w table
--- @param item any
--- @return integer index
function M.open_item(w, item)
  local index = #w.output
  w.output[index + 1] = item
  M.emit(w, "response.output_item.added", nil, "item", item, "output_index", index)
  return index
end

--- @param w table
--- @param item any
--- @param index integer
function M.close_item(w, item, index)
  M.emit(w, "response.output_item.done", nil, "item", item, "output_index", index)
end

--- Where the deltas of an item stand, as the first members of their events.
--- @param w table
--- @param item table
--- @param index integer
--- @return string?
function M.place(w, item, index)
  if w.whole then return nil end
  return '"item_id":' .. encode(item.id) .. ',"output_index":' .. index
end

--- Closes what waited for the next block: thinking for the signature of a call, a search for its
--- hits.
--- @param w table
function M.release(w)
  local waiting = w.held
  w.held = nil
  if waiting then waiting.close(w, waiting.state or waiting.call) end
end

return M
