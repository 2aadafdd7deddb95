local duration = require "lib.duration"
local times = require "lib.times"

test("times of token files are read in every form they were written in", function()
  same(times.unix("2025-10-15T20:11:05+08:00"), 1760530265)
  same(times.unix("2025-10-15T12:11:05Z"), 1760530265)
  same(times.unix("2025-10-15T12:11:05.5Z"), 1760530265.5)
  same(times.unix("2025-10-15T12:11:05.123456789-00:30"), 1760532065.123456789)
  same(times.unix(1760530265), 1760530265)
  same(times.unix("1760530265"), 1760530265)
  same(times.unix(1760530265000), 1760530265.0)
  same(times.unix("1760530265123"), 1760530265.123)
  same(times.unix("2024-02-29T00:00:00Z"), 1709164800)
  same(times.unix("2000-03-01T00:00:00Z"), 951868800)
end)

test("a time without a zone is the machine's own", function()
  same(times.unix("2025-10-15 12:11:05"),
    os.time { year = 2025, month = 10, day = 15, hour = 12, min = 11, sec = 5 })
end)

test("what is no time is nil", function()
  for _, value in ipairs { "", "soon", "2025-10-15", "2025-10-15T12:11:05+8", 0, -5, true, {} } do
    same(times.unix(value), nil)
  end
  same(times.unix(nil), nil)
end)

test("times are written as they always were, and read back the same", function()
  local text = times.rfc3339(1760530265.9)
  assert(text:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[Z+-][%d:]*$"), text)
  same(times.unix(text), 1760530265)
end)

test("durations are numbers or texts", function()
  same(duration.seconds("1h2m3.5s"), 3723.5)
  same(duration.seconds("30m"), 1800)
  same(duration.seconds("250ms"), 0.25)
  same(duration.seconds("90"), 90)
  same(duration.seconds(12), 12)
  same(duration.seconds("soon"), nil)
  same(duration.seconds("5 parsecs"), nil)
end)

test("what no calendar has is no time, and raises nothing", function()
  for _, value in ipairs { 1e308, "1e999", 1e15, ("9"):rep(400), -1, 0, "-1" } do
    same(times.unix(value), nil)
  end
  same(#times.rfc3339(1e308), #times.rfc3339(0))
  same(times.rfc3339(math.huge):sub(1, 4) >= "9999", true)
end)
