--- Route traces: steps only where something was refused or failed.

local support = require "tests.support"

local OK = { text = '{"id":"1","choices":[]}' }

local function account(id) return support.account(id, { m = "m-1" }) end

local function failure(status, message)
  return { status = status, text = '{"error":{"message":"' .. message .. '"}}' }
end

local function steps(client)
  local list = {}
  for i, step in ipairs(client.steps) do
    list[i] = step.step .. (step.credential and " " .. step.credential or "")
  end
  return list
end

local function given(upstream, ...)
  local list = {}
  for i, id in ipairs { ... } do list[i] = account(id) end
  return support.reset { credentials = list, upstream = upstream }
end

local function chat() return support.chat '{"model":"m"}' end

test("a call that goes well has no steps", function()
  given({ OK }, "a", "b")
  same(steps(chat()), {})
end)

test("a failed attempt and what became of the others is told", function()
  given({ failure(500, "x"), OK }, "a", "b")
  local client = chat()
  same(steps(client), { "resolved", "failed sk-...a" })
  local resolved, failed = client.steps[1], client.steps[2]
  same({ resolved.name, resolved.via, resolved.candidates }, { "m", "registered", 2 })
  same({ failed.status, failed.verdict, failed.said, failed.model, failed.seconds },
    { 500, "transient", "x", "m-1", 0.25 })
  given({ failure(400, "y") }, "a", "b")
  same(steps(chat()), { "resolved", "failed sk-...a", "kept sk-...b", "ended" })
end)

test("who is left out is told with the reason, up to a number", function()
  local names = {}
  for i = 1, 40 do names[i] = ("k%02d"):format(i) end
  given(function() return failure(429, "z") end, table.unpack(names))
  chat()
  local client = chat()
  local refused = client.steps[2]
  same({ refused.step, refused.reason, refused.seconds, refused.said },
    { "refused", "quota", 1, "429 z" })
  same(#client.steps, 1 + 16 + 1)
  same(client.steps[18].refused, 40)
end)

test("a name that leads nowhere is told, other pages are not", function()
  given({}, "a")
  local client = support.chat '{"model":"unknown"}'
  same({ steps(client), client.steps[1].class }, { { "ended" }, "unknown_model" })
  same(steps(support.ask("GET", "/nowhere")), {})
  same(steps(support.ask("GET", "/v1/models")), {})
end)

test("long words of an upstream are cut", function()
  given({ failure(500, ("w"):rep(1000)) }, "a")
  same(#chat().steps[2].said, 303)
end)
