--- Thoughts that a model writes into the head of its text, between `<think>` tags.
---
--- For endpoints whose profile says so.  Tags may be split anywhere.

local find, match, sub = string.find, string.match, string.sub

local OPEN, CLOSE = "<think>", "</think>"

local M = {}

-- How much of the end of `text` may be the beginning of `tag`.
local function overlap(text, tag)
  for length = #tag - 1, 1, -1 do
    if sub(text, -length) == sub(tag, 1, length) then return length end
  end
  return 0
end

--- A splitter for the text of one choice.
--- @return fun(text: string?): string, string  thought and text that are sure now; nil: the end
function M.new()
  local state, held = "head", ""

  local function in_thought(text)
    local first, last = find(text, CLOSE, 1, true)
    if first then
      state, held = "text", ""
      return sub(text, 1, first - 1), match(sub(text, last + 1), "^%s*(.*)$")
    end
    local keep = overlap(text, CLOSE)
    held = sub(text, #text - keep + 1)
    return sub(text, 1, #text - keep), ""
  end

  return function(text)
    if not text then
      local rest = held
      held = ""
      if state == "thought" then return rest, "" end
      return "", rest
    end
    if state == "text" then return "", text end
    text = held .. text
    if state == "thought" then return in_thought(text) end
    local body = match(text, "^%s*(.*)$")
    if #body < #OPEN and sub(OPEN, 1, #body) == body then
      held = text
      return "", ""
    end
    if sub(body, 1, #OPEN) ~= OPEN then
      state, held = "text", ""
      return "", text
    end
    state, held = "thought", ""
    return in_thought(sub(body, #OPEN + 1))
  end
end

return M
