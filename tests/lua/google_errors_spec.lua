--- What Google's errors mean, on the forms they come in: tests/fixtures/{gemini,gemini_cli}/error_*.

require "tests.support"
local errors = require "lib.errors"
local google_errors = require "lib.google_errors"
local json = require "json"
local verdicts = require "core.verdicts"

local FIXTURE = json.shape {
  known = { "status", "text", body = "raw",
    expect = { "verdict", "retry_after", "scope", "message", "tomorrow", "unwrapped", "says" } },
}

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return assert(json.decode(text, FIXTURE))
end

local function response(headers)
  return { header = function(_, name) return headers and headers[name] end }
end

for _, provider in ipairs { "gemini", "gemini_cli" } do
  for path in io.popen("ls tests/fixtures/" .. provider .. "/error_*.json"):lines() do
    test("google: " .. path:match "([%w_/]+)%.json$", function()
      local fixture = read(path)
      local body = fixture.text or tostring(fixture.body)
      local want = fixture.expect
      local problem = require("providers." .. provider).classify(fixture.status, body, response())
      same({ problem.status, problem.verdict, problem.scope },
        { fixture.status, want.verdict, want.scope })
      if want.tomorrow then
        local left = google_errors.until_tomorrow(os.time())
        assert(math.abs(problem.retry_after - left) <= 2 and left > 0 and left <= 25 * 3600)
      else
        same(problem.retry_after and math.floor(problem.retry_after * 1e6 + 0.5),
          want.retry_after and math.floor(want.retry_after * 1e6 + 0.5))
      end
      if want.message then same(problem.message, want.message) end
      if want.says then assert(problem.message:find(want.says), problem.message) end
      -- Clients of Gemini get what Google says, but not in an array.
      if not fixture.text then
        local inner = want.unwrapped and json.get(body, { 1 }) or body
        same(problem.body, tostring(inner))
        local status, _, text = errors.render(problem, "gemini_cli")
        same({ status, text }, { fixture.status, tostring(inner) })
      end
    end)
  end
end

test("google: what is retried after a moment is told from what is over", function()
  local function verdict(path)
    local fixture = read("tests/fixtures/" .. path .. ".json")
    return verdicts.of(google_errors.classify(fixture.status, tostring(fixture.body), response()))
  end
  same(verdict "gemini/error_overloaded", "transient")
  same(verdict "gemini_cli/error_invalid", "request")
  same(verdict "gemini_cli/error_quota_message", "quota")
end)

test("google: details of odd types harm nothing", function()
  for _, details in ipairs { "null", "7", '"x"', "{}", "[null]", "[7]", "[[]]", '[{"metadata":7}]',
    '[{"retryDelay":7,"reason":{},"links":[7,{"url":9}],"violations":[null,{"quotaId":1}]}]',
    '[{"retryDelay":"soon"}]', '[{"retryDelay":"1.2.3s"}]', '[{"retryDelay":""}]' } do
    local body = '{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":'
      .. details .. "}}"
    local problem = google_errors.classify(429, body, response { ["retry-after"] = "7" })
    same({ problem.status, problem.retry_after }, { 429, 7 })
  end
  same(google_errors.classify(429, "[]", nil).status, 429)
  same(google_errors.classify(500, "", nil).status, 500)
end)

-- Unix time of a moment UTC.
local function utc(year, month, day, hour)
  local now = os.time()
  local zone = os.time(os.date("*t", now)) - os.time(os.date("!*t", now))
  return os.time { year = year, month = month, day = day, hour = hour, isdst = false } + zone
end

test("google: quotas of a day begin anew at midnight in California", function()
  local hour = 3600
  local function left(...) return google_errors.until_tomorrow(utc(...)) end
  same(left(2026, 1, 10, 7), 1 * hour)  -- 23:00 PST
  same(left(2026, 1, 10, 8), 24 * hour) -- 00:00 PST
  same(left(2026, 7, 10, 6), 1 * hour)  -- 23:00 PDT
  same(left(2026, 7, 10, 7), 24 * hour) -- 00:00 PDT
  -- The clock goes forward on 2026-03-08 and back on 2026-11-01.
  same(left(2026, 3, 8, 8), 23 * hour)
  same(left(2026, 3, 8, 12), 19 * hour)
  same(left(2026, 3, 9, 7), 24 * hour)
  same(left(2026, 11, 1, 7), 25 * hour)
  same(left(2026, 11, 1, 12), 20 * hour)
  same(left(2026, 11, 2, 8), 24 * hour)
end)
