--- Tools that are declared again: nothing but time tells the requests apart.

local caps_of = require "lib.caps"
local hub = require "lib.hub"
local json = require "json"

local DIALECTS = { "chat", "responses", "anthropic", "gemini" }
local PROVIDERS = {
  chat = "openai_compatibility", responses = "codex", anthropic = "claude", gemini = "gemini",
}
local MODELS = { anthropic = "claude-sonnet-4-5", gemini = "gemini-2.5-pro" }

local SCHEMA = [[{"type":"object","$schema":"http://json-schema.org/draft-07/schema#","properties":{
  "path":{"type":"string","minLength":1},"depth":{"type":"integer","enum":[1,2]},
  "filter":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["path"],"additionalProperties":false}]]
local WORDS = ("What it does, in many words. "):rep(12)

-- The same three functions, and one whose name is illegal almost everywhere, in each dialect, and
-- what only that dialect has.  %s is the second tool's name.
local TOOLS = {
  chat = [[{"type":"function","function":{"name":"read","description":"W","parameters":S,"strict":true}},
    {"type":"function","function":{"name":"%s","parameters":S},"x_own":{"deep":[1]}},
    {"type":"function","function":{"name":"a.b/c","description":"W"}},
    {"type":"function","function":{"name":"read","description":"again"}},
    {"type":"custom","custom":{"name":"patch","description":"W","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}}},
    {"type":"web_search"}]],
  responses = [[{"type":"function","name":"read","description":"W","parameters":S,"strict":true},
    {"type":"function","name":"%s","parameters":S,"x_own":{"deep":[1]}},
    {"type":"function","name":"a.b/c","description":"W"},
    {"type":"namespace","name":"ns","tools":[{"type":"function","name":"inner","parameters":S}]},
    {"type":"custom","name":"patch","description":"W","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},
    {"type":"web_search","search_context_size":"low"}]],
  anthropic = [[{"name":"read","description":"W","input_schema":S,"strict":true},
    {"name":"%s","input_schema":S,"x_own":{"deep":[1]}},
    {"name":"a.b/c","description":"W","input_schema":S},
    {"name":"late","description":"W","input_schema":S,"defer_loading":true},
    {"name":"marked","input_schema":S,"cache_control":{"type":"ephemeral","ttl":"1h"}},
    {"type":"web_search_20250305","name":"web_search","max_uses":3}]],
  gemini = [[{"functionDeclarations":[{"name":"read","description":"W","parametersJsonSchema":S},
    {"name":"%s","parameters":S,"x_own":{"deep":[1]}},{"name":"a.b/c","description":"W"}]},
    {"google_search":{}}]],
}

local REST = {
  chat = '"model":"m","messages":[{"role":"user","content":"hi"}]',
  responses = '"model":"m","input":"hi"',
  anthropic = '"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]',
  gemini = '"contents":[{"role":"user","parts":[{"text":"hi"}]}]',
}

local function tools_of(dialect, name)
  local text = TOOLS[dialect]:gsub("%%s", name):gsub('"W"', function() return '"' .. WORDS .. '"' end)
  return (text:gsub("%f[%w]S%f[%W]", function() return SCHEMA end))
end

-- `blanks` make other bytes of the same list.
local function body_of(dialect, name, blanks, rest)
  return "{" .. (rest or REST[dialect]) .. ',"tools":[' .. tools_of(dialect, name)
    .. (" "):rep(blanks) .. "]}"
end

local function translate(client, upstream, body)
  local model = MODELS[upstream] or "m"
  local ctx = hub.context {
    client = client, upstream = upstream, provider = PROVIDERS[upstream], model = "m",
    upstream_model = model, created = 1, unique = function(prefix) return prefix .. "0" end,
  }
  local made, problem = hub.request(body, ctx)
  assert(made, problem and tostring(problem))
  return made, json.encode { warnings = json.array(ctx.warnings), coercions = ctx.coercions },
    ctx.request
end

local blanks = 0
local function anew() blanks = blanks + 1 return blanks end

test("tools that come again are translated as at the first time, for every pair", function()
  for _, client in ipairs(DIALECTS) do
    for _, upstream in ipairs(DIALECTS) do
      local fresh, told = translate(client, upstream, body_of(client, "write", anew()))
      local other = translate(client, upstream, body_of(client, "erase", anew()))
      assert(fresh ~= other and fresh:find('"write"', 1, true) and other:find('"erase"', 1, true))
      local again, else_where = body_of(client, "write", anew()), body_of(client, "erase", anew())
      for _ = 1, 3 do
        local made, warned = translate(client, upstream, again)
        same(made, fresh)
        same(warned, told)
        same((translate(client, upstream, else_where)), other)
      end
    end
  end
end)

test("one list serves all targets, in any order", function()
  for _, client in ipairs(DIALECTS) do
    local expected, list = {}, body_of(client, "write", anew())
    for _, upstream in ipairs(DIALECTS) do
      expected[upstream] = translate(client, upstream, body_of(client, "write", anew()))
    end
    for round = 1, 3 do
      for i = 1, #DIALECTS do
        local upstream = DIALECTS[(round * i) % #DIALECTS + 1]
        same((translate(client, upstream, list)), expected[upstream])
      end
    end
  end
end)

test("the tools of two requests are the same tables, and nothing is written into them", function()
  local function shown(tools) return json.encode(json.array { table.unpack(tools) }) end
  for _, client in ipairs(DIALECTS) do
    local list = body_of(client, "write", anew())
    local _, _, first = translate(client, "chat", list)
    local before = shown(first.tools)
    for _, upstream in ipairs(DIALECTS) do
      local _, _, request = translate(client, upstream, list)
      assert(request.tools ~= first.tools)
      -- Anthropic's own tools that wait are copied where they are offered.
      if client ~= "anthropic" or upstream == "chat" then
        same(rawequal(request.tools[1], first.tools[1]), true)
      end
    end
    same(shown(first.tools), before)
  end
end)

test("a tool that one conversation names stays hidden in the others", function()
  local named = [["model":"m","max_tokens":9,"messages":[{"role":"user","content":"find"},
    {"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"read","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1",
      "content":[{"type":"tool_reference","tool_name":"late"}]}]}] ]]
  for _, upstream in ipairs { "chat", "gemini", "responses" } do
    local space = anew()
    for _ = 1, 2 do
      local plain = translate("anthropic", upstream, body_of("anthropic", "write", space))
      assert(not plain:find('"late"', 1, true))
      local offered = translate("anthropic", upstream, body_of("anthropic", "write", space, named))
      assert(offered:find('"late"', 1, true))
    end
  end
end)

test("what depends on the target is read for each: Codex' search for tools", function()
  local body = '{"model":"m","input":"hi","tools":[{"type":"tool_search","execution":"client",'
    .. '"description":"' .. WORDS .. '","parameters":{"type":"object"}}]}'
  for _ = 1, 2 do
    local own, _, at_home = translate("responses", "responses", body)
    assert(own:find('"type":"tool_search"', 1, true) and not at_home.finder)
    local made, _, abroad = translate("responses", "chat", body)
    assert(made:find('"name":"tool_search"', 1, true) and abroad.finder)
  end
end)

test("what depends on the target is read for each: search without access to the web", function()
  local body = '{"model":"m","input":"hi","tools":[{"type":"function","name":"f","description":"'
    .. WORDS .. '"},{"type":"web_search","external_web_access":false}]}'
  for _ = 1, 2 do
    local own = translate("responses", "responses", body)
    assert(own:find('"web_search"', 1, true))
    local _, warned = translate("responses", "chat", body)
    assert(warned:find("without access to the web", 1, true))
  end
end)

test("two models of one dialect that take different schemas", function()
  local body = body_of("chat", "write", anew())
  local strict, rich = caps_of.of("gemini-2.5-pro", "gemini"), {}
  for name, value in pairs(strict) do rich[name] = value end
  rich.schema_profile = "gemini_rich"
  local function made_for(caps)
    local ctx = hub.context {
      client = "chat", upstream = "gemini", caps = caps, model = "m", upstream_model = "m",
      created = 1, unique = function(prefix) return prefix .. "0" end,
    }
    return assert(hub.request(body, ctx))
  end
  local first, second = made_for(strict), made_for(rich)
  assert(first ~= second)
  for _ = 1, 2 do
    same(made_for(strict), first)
    same(made_for(rich), second)
  end
end)

test("a wrong tool is refused each time, and where it is", function()
  for _, client in ipairs(DIALECTS) do
    local body = body_of(client, "", anew())
    local function refusal()
      local ctx = hub.context {
        client = client, upstream = "chat", provider = "openai_compatibility", model = "m",
        upstream_model = "m", created = 1, unique = function(prefix) return prefix .. "0" end,
      }
      local made, problem = hub.request(body, ctx)
      assert(not made)
      return problem.param
    end
    local first = refusal()
    assert(first and first:find("tools[", 1, true) == 1, first)
    same(refusal(), first)
  end
end)
