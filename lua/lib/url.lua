--- Addresses, and percent-encoding in paths.

local M = {}

--- True for an http or https URL that begins with a host, and perhaps a port.
--- @param text any
--- @return boolean
function M.is_address(text)
  if type(text) ~= "string" or not text:find "^https?://%g+$" then return false end
  local host, port = text:match "^%a+://([%w%-._]+):?(%d*)%f[/?#\0]"
  if not host then host, port = text:match "^%a+://(%[[%x:.]+%]):?(%d*)%f[/?#\0]" end
  if not host then return false end
  local number = tonumber(port)
  return port == "" or #port <= 5 and number > 0 and number <= 65535
end

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
