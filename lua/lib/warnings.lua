--- Warnings of a translation: what was dropped, changed or made up.

local concat = table.concat

local MAX_SHOWN = 20
local MAX_BYTES = 1024
-- A body with a million faults must not fill the memory.
local MAX_KEPT = 200

local M = {}

--- @return fun(code: string, path: string, detail: string?) warn
--- @return {code: string, path: string, detail: string?}[] list
function M.new()
  local list = {}
  return function(code, path, detail)
    if #list < MAX_KEPT then
      list[#list + 1] = { code = code, path = path or "", detail = detail }
    end
  end, list
end

--- The value of `x-translation-warnings`; nil when there is nothing to say.
--- @param list {code: string, path: string}[]
--- @return string?
function M.header(list)
  local parts, bytes = {}, 0
  for i, warning in ipairs(list) do
    -- Paths hold names that clients chose.
    local part = warning.code .. ";" .. warning.path:gsub("[^%w%.%[%]_%-]", "_")
    bytes = bytes + #part + 1
    if i > MAX_SHOWN or bytes > MAX_BYTES then break end
    parts[i] = part
  end
  return parts[1] and concat(parts, ",") or nil
end

return M
