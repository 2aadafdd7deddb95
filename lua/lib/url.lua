--- Percent-encoding in paths.

local M = {}

--- Undoes percent-encoding; `+` stays.
--- @param text string
--- @return string
function M.decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- Percent-encodes a path; slashes, colons and "@" stay.
--- @param text string
--- @return string
function M.encode(text)
  return (text:gsub("[^%w%-._~/:@]", function(char)
    return string.format("%%%02X", char:byte())
  end))
end

return M
