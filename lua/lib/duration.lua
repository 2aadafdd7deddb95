--- Durations as text: "90s", "1h2m3.5s", "373.8ms", or a number of seconds.

local gmatch, match = string.gmatch, string.match

local M = {}

local units = { ns = 1e-9, us = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600, d = 86400 }

--- @param text any
--- @return number? seconds  nil for what is no duration
function M.seconds(text)
  local plain = tonumber(text)
  if plain or type(text) ~= "string" then return plain end
  local total, length = 0, 0
  for number, unit in gmatch(text, "([%d.]+)(%a+)") do
    local value, factor = tonumber(number), units[unit]
    if not value or not factor then return nil end
    total, length = total + value * factor, length + #number + #unit
  end
  return length > 0 and length == #match(text, "^%s*(.-)%s*$") and total or nil
end

return M
