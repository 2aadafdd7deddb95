--- Takes the code fence off an answer that should be JSON only, also when it comes in pieces.

local find, match, sub = string.find, string.match, string.sub

local M = {}

-- A first line that is longer is no fence.
local HEAD_MAX = 64

--- @return {push: fun(text: string): string, finish: fun(): string}
function M.new()
  local head, fenced, tail = "", nil, ""

  -- Holds back what may be the end of the fence.
  local function body(text)
    text = tail .. text
    local from = find(text, "%s*`*%s*$")
    tail = sub(text, from)
    return sub(text, 1, from - 1)
  end

  local function decide(text)
    head = head .. text
    local start = match(head, "^%s*()")
    local opening = sub(head, start, start + 2)
    if opening ~= sub("```", 1, #opening) then
      fenced = false
    elseif #opening == 3 then
      local line = find(head, "\n", start, true)
      if not line then
        if #head < HEAD_MAX then return "" end
        fenced = false
      else
        fenced = true
        head = sub(head, line + 1)
        return body(head)
      end
    else
      return ""
    end
    return head
  end

  return {
    push = function(text)
      if fenced == nil then return decide(text) end
      return fenced and body(text) or text
    end,
    finish = function()
      if fenced == nil then return head end
      if not fenced then return "" end
      -- The fence itself, or white space and ticks of a text that was cut.
      return find(tail, "```", 1, true) and "" or tail
    end,
  }
end

return M
