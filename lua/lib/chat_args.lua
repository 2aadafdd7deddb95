--- Arguments of calls as upstreams write them: whole, or as whole as they can be made.

local json = require "json"

local byte, concat, find, sub = string.byte, table.concat, string.find, string.sub
local peek = json.peek

local M = {}

--- True for the text of one JSON object.
--- @param text string
--- @return boolean
function M.is_whole(text)
  return (peek(text))
end

local QUOTE, SINGLE, ESCAPE, OPEN = 34, 39, 92, 123

-- The end of the object a text begins with; nil when it does not end.
local function end_of_object(text)
  local depth, quoted, at = 0, false, 1
  while true do
    at = find(text, '["\\{}]', at)
    if not at then return nil end
    local c = byte(text, at)
    if c == ESCAPE then
      at = at + 1
    elseif c == QUOTE then
      quoted = not quoted
    elseif not quoted then
      depth = depth + (c == OPEN and 1 or -1)
      if depth == 0 then return at end
    end
    at = at + 1
  end
end

-- {'a': 'it\'s "b"'} with the quotes of JSON.
local function requote(text)
  local out, at, inside = {}, 1, nil
  while true do
    local found = find(text, "[\"'\\]", at)
    if not found then break end
    out[#out + 1] = sub(text, at, found - 1)
    local c = byte(text, found)
    if c == ESCAPE then
      local next_one = sub(text, found + 1, found + 1)
      out[#out + 1] = next_one == "'" and "'" or "\\" .. next_one
      found = found + 1
    elseif c == SINGLE and inside ~= QUOTE or c == QUOTE and inside ~= SINGLE then
      out[#out + 1] = '"'
      inside = not inside and c or nil
    else
      out[#out + 1] = c == QUOTE and '\\"' or "'"
    end
    at = found + 1
  end
  out[#out + 1] = sub(text, at)
  return concat(out)
end

--- Makes arguments whole when only their form is wrong.
--- @param text string
--- @param repairs boolean?  false leaves them as they came
--- @return string text
--- @return boolean complete
function M.repair(text, repairs)
  if text == "" or not find(text, "%S") then return "{}", true end
  if peek(text) then return text, true end
  if repairs == false then return text, false end
  local start = find(text, "%S")
  if byte(text, start) ~= OPEN then
    -- A JSON string that holds the object.
    local inner = byte(text, start) == QUOTE and json.decode(text)
    if type(inner) == "string" and peek(inner) then return inner, true end
    return text, false
  end
  local stop = end_of_object(text)
  if stop and stop < #text then
    local cut = sub(text, start, stop)
    if peek(cut) then return cut, true end
  end
  if find(text, "'", 1, true) then
    local quoted = requote(text)
    if peek(quoted) then return quoted, true end
  end
  return text, false
end

return M
