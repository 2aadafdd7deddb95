--- Percent-encoding in paths.

local M = {}

--- Undoes percent-encoding; `+` stays.
--- @param text string
--- @return string
function M.decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

return M
