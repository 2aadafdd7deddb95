--- Times as token files and providers write them: RFC 3339 and Unix seconds.

local match = string.match

-- The end of the year 9999: what is later is no time.
local LAST = 253402300799

local M = {}

-- Days from 1970-01-01 of a date of the Gregorian calendar.
local function days(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = year // 400
  local of_era = year - era * 400
  local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

-- Seconds east of UTC, or nil; the machine's own zone where the text has none.
local function zone_seconds(zone, fields)
  if zone == "Z" or zone == "z" then return 0 end
  local sign, hours, minutes = match(zone, "^([+-])(%d%d):?(%d%d)$")
  if sign then
    local seconds = tonumber(hours) * 3600 + tonumber(minutes) * 60
    return sign == "-" and -seconds or seconds
  end
  if zone ~= "" then return nil end
  local as_utc = days(fields.year, fields.month, fields.day) * 86400 + fields.hour * 3600
    + fields.min * 60 + fields.sec
  return as_utc - os.time(fields)
end

local function parse_text(text)
  local year, month, day, hour, min, sec, fraction, zone =
    match(text, "^%s*(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):?(%d*)(%.?%d*)%s*([Zz+%-:%d]*)%s*$")
  if not year then return nil end
  local fields = {
    year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = tonumber(hour),
    min = tonumber(min), sec = tonumber(sec) or 0,
  }
  local east = zone_seconds(zone, fields)
  if not east then return nil end
  return days(fields.year, fields.month, fields.day) * 86400 + fields.hour * 3600
    + fields.min * 60 + fields.sec + (tonumber("0" .. fraction) or 0) - east
end

--- Unix time of RFC 3339 with or without fraction, `2006-01-02 15:04:05` (local), a number or
--- numeric text of seconds, or of milliseconds above 10^12.
--- @param value any
--- @return number?
function M.unix(value)
  local number = type(value) == "number" and value
    or type(value) == "string" and match(value, "^%s*%d+%.?%d*%s*$") and tonumber(value)
  if number then
    if number > 1e12 then number = number / 1000 end
    return number > 0 and number <= LAST and number or nil
  end
  return type(value) == "string" and parse_text(value) or nil
end

--- RFC 3339 with the local offset, as the product has always written it.
--- @param unix number
--- @return string
function M.rfc3339(unix)
  unix = math.floor(math.max(0, math.min(unix, LAST)))
  local zone = os.date("%z", unix)
  zone = zone == "+0000" and "Z" or zone:sub(1, 3) .. ":" .. zone:sub(4, 5)
  return os.date("%Y-%m-%dT%H:%M:%S", unix) .. zone
end

return M
