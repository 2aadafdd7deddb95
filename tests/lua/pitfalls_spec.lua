--- Every pitfall of tests/lua/pitfalls.lua has a test that names it: "pitfall 7: ..." or "... (7)" in
--- Lua, `pitfall_7` in the name of a Python test.

local hub = require "lib.hub"
local json = require "json"
local made_up = require "tests.properties_support"
local titles = require "tests.pitfalls"

local TARGETS = made_up.TARGETS

local function numbers(name, found)
  local front, back = name:match "^pitfalls? ([%d, and]+):", name:match "%(([%d, ]+)%)$"
  for _, list in ipairs { front or "", back or "" } do
    for number in list:gmatch "%d+" do found[tonumber(number)] = true end
  end
end

local function lines_of(pattern)
  return io.popen("cat " .. pattern):lines()
end

test("each pitfall has a test of its name, and no test names another", function()
  local found = {}
  for line in lines_of "tests/lua/*_spec.lua" do
    local name = line:match '^%s*test%("(.-)", function'
    if name then numbers(name, found) end
  end
  for line in lines_of "tests/integration/test_*.py" do
    local name = line:match "^def (test_[%w_]+)"
    for number in (name or ""):gmatch "pitfall_(%d+)" do found[tonumber(number)] = true end
  end
  local missing = {}
  for number in ipairs(titles) do
    if not found[number] then missing[#missing + 1] = number end
    found[number] = nil
  end
  same({ #titles, missing, found }, { 104, {}, {} })
end)

local function context(client, upstream)
  local target = TARGETS[upstream]
  return hub.context {
    client = client, upstream = upstream, model = "m", upstream_model = target.model,
    provider = target.provider, created = 1, stream = false,
    unique = function(prefix, length) return prefix .. ("x"):rep(length) end,
  }
end

local function request(client, upstream, body)
  local ctx = context(client, upstream)
  return json.decode(assert(hub.request(body, ctx))), ctx
end

local function anthropic_tools(...)
  local tools = {}
  for i, name in ipairs { ... } do
    tools[i] = '{"name":"' .. name .. '","input_schema":{"type":"object","properties":{}}}'
  end
  return '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"}],"tools":['
    .. table.concat(tools, ",") .. "]}"
end

test("pitfall 43: an upstream's name in the wrong case is the tool that was declared", function()
  local _, ctx = request("anthropic", "chat", anthropic_tools("Bash", "Read"))
  local answer = json.decode(assert(hub.whole([[{"id":"1","choices":[{"index":0,"message":{"tool_calls":[
    {"id":"a","type":"function","function":{"name":"bash","arguments":"{}"}},
    {"id":"b","type":"function","function":{"name":"READ","arguments":"{}"}},
    {"id":"c","type":"function","function":{"name":"other","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}]], ctx)))
  same({ answer.content[1].name, answer.content[2].name, answer.content[3].name }, { "Bash", "Read", "other" })
end)

test("pitfall 44: two names that begin alike stay two, and come back as they were", function()
  local long = "mcp__" .. ("documentation_"):rep(5)
  for upstream, read in pairs {
    chat = function(body, i) return body.tools[i]["function"].name end,
    responses = function(body, i) return body.tools[i].name end,
    gemini = function(body, i) return body.tools[1].functionDeclarations[i].name end,
  } do
    local body, ctx = request("anthropic", upstream, anthropic_tools(long .. "search", long .. "fetch"))
    local first, second = read(body, 1), read(body, 2)
    assert(first ~= second and #first <= 64 and #second <= 64, upstream)
    same({ (ctx.names.to_client(first)), (ctx.names.to_client(second)) }, { long .. "search", long .. "fetch" })
  end
end)

test("pitfall 47: arguments in the history keep members that look like keywords", function()
  local args = '{"title":"t","format":"f","default":1.0,"$schema":"s","properties":{"x":{"const":1}},"enum":[1]}'
  local body = [[{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant",
    "content":[{"type":"tool_use","id":"a","name":"f","input":]] .. args .. [[}]},{"role":"user","content":[
    {"type":"tool_result","tool_use_id":"a","content":"r"}]}],"tools":[{"name":"f","input_schema":{"type":"object",
    "properties":{"title":{"type":"string","default":"d"}},"$schema":"s"}}]}]]
  local sent = assert(hub.request(body, context("anthropic", "gemini")))
  assert(sent:find('"args":' .. args, 1, true), sent)
  assert(not sent:find('"default":"d"', 1, true), sent)
end)
