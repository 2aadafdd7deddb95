--- Recorded answers, tests/fixtures/<provider>/<name>.http: status line, headers, an empty line, the
--- body.  `{now+N}` is N seconds from now in Unix time, `{date+N}` the same as a date.

local sse = require "sse"

local M = {}

local function filled(text)
  text = text:gsub("{now%+(%d+)}", function(seconds) return tostring(os.time() + seconds) end)
  return (text:gsub("{date%+(%d+)}", function(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + seconds)
  end))
end

local function events_of(body)
  local decoder, list = sse.decoder(), {}
  assert(decoder:feed(body))
  decoder:finish()
  for name, data in function() return decoder:next() end do
    list[#list + 1] = { name = name, data = data }
  end
  return list
end

--- An answer for the stand-in of `http`.
--- @param name string  such as "claude/limit_5h"
function M.answer(name)
  local file <close> = assert(io.open("tests/fixtures/" .. name .. ".http"))
  local head, body = filled(file:read "a"):match "^(.-)\n\n(.*)$"
  local answer = { status = tonumber(head:match "^HTTP/1%.1 (%d+)"), fields = {}, text = body }
  for field, value in head:gmatch "\n([^:\n]+): ([^\n]*)" do answer.fields[field] = value end
  if answer.fields["content-type"]:find "event%-stream" then answer.events = events_of(body) end
  return answer
end

--- A token file.
function M.file(name)
  local file <close> = assert(io.open("tests/fixtures/" .. name .. ".json"))
  return file:read "a"
end

return M
