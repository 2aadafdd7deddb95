--- Codex: what the ChatGPT backend takes.

local codex = require "translators.codex"
local codex_body = require "lib.codex_body"
local ir = require "lib.ir"
local json = require "json"
local support = require "tests.responses_support"

local context, value, warned = support.context, support.value, support.warned

local UPSTREAM = { dialect = "responses", variant = "codex" }

local function adapt(body, facts)
  local ctx = context()
  local all = { warn = ctx.warn }
  for name, value in pairs(facts or {}) do all[name] = value end
  return codex_body.adapt(body, all), ctx
end

local function adapted(body, facts)
  local text, ctx = adapt(body, facts)
  return value(text), ctx
end

test("Claude Code over Codex: the request (example 5.3)", function()
  local request = ir.request()
  request.model, request.stream = "gpt-5.5", true
  request.system = { { type = "text", text = "You are a coding agent.", level = "system" } }
  request.identity.session, request.cache.key = "7f0c", "7f0c"
  request.reasoning = { mode = "level", level = "high", visible = true, from_suffix = true }
  request.tool_choice = { mode = "auto" }
  request.max_output, request.sampling.temperature = 32000, 1
  request.tools = { {
    kind = "function", name = "Read", description = "Read a file",
    schema = json.raw '{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}',
  } }
  request.turns = {
    ir.turn("user", { ir.text "Open notes.txt" }),
    ir.turn("assistant", {
      { type = "thinking", text = "Open it.", form = "summary",
        sig = { family = "openai", kind = "reasoning", data = "gAAAAABmade-up-1" } },
      { type = "tool_call", id = "call_a1", name = "Read", kind = "function",
        args = '{"path":"notes.txt"}', complete = true },
    }),
    ir.turn("user", {
      { type = "tool_result", call_id = "call_a1", kind = "function", content = { ir.text "buy milk" },
        is_error = false },
      ir.text "Now app.lua",
    }),
  }
  local ctx = context { client = { dialect = "anthropic" }, upstream = UPSTREAM, upstream_model = "gpt-5.5" }
  same(value(codex.encode_request(request, ctx)), value [[
{"model":"gpt-5.5","instructions":"","stream":true,"store":false,"include":["reasoning.encrypted_content"],"parallel_tool_calls":true,"prompt_cache_key":"7f0c","reasoning":{"effort":"high","summary":"auto"},"tool_choice":"auto",
 "tools":[{"type":"function","name":"Read","description":"Read a file","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]},"strict":false}],
 "input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"You are a coding agent."}]},
  {"type":"message","role":"user","content":[{"type":"input_text","text":"Open notes.txt"}]},
  {"type":"reasoning","summary":[],"encrypted_content":"gAAAAABmade-up-1"},
  {"type":"function_call","call_id":"call_a1","name":"Read","arguments":"{\"path\":\"notes.txt\"}"},
  {"type":"function_call_output","call_id":"call_a1","output":"buy milk"},
  {"type":"message","role":"user","content":[{"type":"input_text","text":"Now app.lua"}]}]}]])
  same(warned(ctx), { "drop.param max_output_tokens", "drop.param temperature" })
end)

for _, name in ipairs { "codex-0.49", "codex-0.169" } do
  test("the body of a genuine client goes through: " .. name, function()
    local file = assert(io.open("tests/fixtures/responses/" .. name .. ".json"))
    local text = file:read "a"
    file:close()
    local got, ctx = adapt(text)
    if name == "codex-0.49" then
      same(got == text, true)
    else
      local expected = value(text)
      expected.instructions = ""
      same(json.encode(value(got)), json.encode(expected))
      assert(got:find('"n":12345678901234567890', 1, true))
    end
    same(warned(ctx), {})
  end)
end

test("what the backend refuses is removed, and what it needs is there", function()
  local body, ctx = adapted [[{"model":"m","input":"hi","stream":false,"store":true,"max_output_tokens":5,
    "max_completion_tokens":5,"temperature":1,"top_p":1,"user":"u","safety_identifier":"s","metadata":{},
    "truncation":"auto","context_management":[],"prompt_cache_retention":"24h",
    "prompt_cache_options":{},"generate":false,"service_tier":"flex","stream_options":{"include_obfuscation":false},
    "parallel_tool_calls":true,"tools":[],"prompt_cache_key":"k"}]]
  same(body, value [[{"model":"m","instructions":"","stream":true,"store":false,"prompt_cache_key":"k",
    "include":["reasoning.encrypted_content"],"tools":[],
    "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]}]])
  same(warned(ctx)[1], "drop.param max_output_tokens")
end)

test("other hosts of the dialect keep their members", function()
  local body = adapted('{"model":"m","input":"hi","temperature":1,"service_tier":"flex"}',
    { platform = true })
  same(body, value [[{"model":"m","temperature":1,"service_tier":"flex","stream":true,"store":false,
    "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],
    "instructions":"","include":["reasoning.encrypted_content"]}]])
end)

test("tiers are priority or nothing", function()
  local function tier(text) return adapted('{"input":"x","service_tier":' .. text .. "}").service_tier end
  same({ tier '"priority"', tier '"fast"', tier '"auto"' }, { "priority", "priority" })
end)

test("calls are parallel unless the client disabled it, or is lite", function()
  local function parallel(more, given)
    return adapted('{"input":"x","tools":[{"type":"function","name":"f"}]' .. more .. "}", given)
      .parallel_tool_calls
  end
  same({ parallel "", parallel ',"parallel_tool_calls":false', parallel ',"parallel_tool_calls":null',
    parallel(',"parallel_tool_calls":true', { is_lite = true }) },
    { true, false, true, false })
end)

test("older names of web search are renamed everywhere", function()
  local body = adapted [[{"input":"x","tools":[{"type":"web_search_preview_2025_03_11","x":1.0}],
    "tool_choice":{"type":"allowed_tools","tools":[{"type":"web_search_preview"}]}}]]
  same({ body.tools[1].type, body.tool_choice.tools[1].type }, { "web_search", "web_search" })
  same(adapted '{"input":"x","tool_choice":{"type":"web_search_preview"}}'.tool_choice.type, "web_search")
end)

test("system items become developer items, ids are legal, and cache marks go", function()
  local body = adapted('{"input":[{"role":"system","id":"x_1","content":[{"type":"input_text","text":"a",'
    .. '"prompt_cache_breakpoint":{"mode":"explicit"}}]},{"type":"reasoning","id":"rs_' .. ("r"):rep(64)
    .. '","summary":[]},{"type":"function_call","id":"fc_1"},{"type":"function_call","id":"call_1"},'
    .. '{"type":"web_search_call","id":"ws_1"}]}')
  same(body.input, value [=[[{"role":"developer","content":[{"type":"input_text","text":"a"}]},
    {"type":"reasoning","summary":[]},{"type":"function_call","id":"fc_1"},{"type":"function_call"},
    {"type":"web_search_call","id":"ws_1"}]]=])
end)

test("the delivery of summaries is the one option of streams that stays", function()
  same(adapted '{"input":"x","stream_options":{"reasoning_summary_delivery":"a","include_usage":true}}'
    .stream_options, { reasoning_summary_delivery = "a" })
  same(adapted '{"input":"x","stream_options":null}'.stream_options, nil)
end)

test("bodies that are no requests are refused, odd members are not", function()
  for _, body in ipairs { "", "[]", "7", "{" } do same(adapt(body), nil) end
  for _, body in ipairs { '{"input":7,"tools":7,"tool_choice":7,"include":7,"stream_options":7}',
    '{"input":[7,null,[],{"content":7,"id":7,"type":[]}],"tools":[7],"tool_choice":{"tools":7}}',
    '{"input":[{"role":"user","content":[7,null]}]}' } do adapt(body) end
end)

test("a name that stands for an effort sets it", function()
  local function effort(text) return adapted(text, { effort = "low" }).reasoning end
  same({ effort '{"input":"x"}', effort '{"input":"x","reasoning":{"effort":"high","summary":"auto"}}' },
    { { effort = "low" }, { effort = "low", summary = "auto" } })
end)

test("a compact body is not made a stream", function()
  local body = adapted('{"model":"m","input":[]}', { is_compact = true })
  same({ body.stream, body.store, body.include, body.instructions }, { nil, nil, nil, "" })
end)

test("a wrong value in a body that goes through is never a fault", function()
  local file = assert(io.open "tests/fixtures/responses/codex-0.169.json")
  local root = value(file:read "a")
  file:close()
  local function walk(node)
    for name, old in pairs(node) do
      for _, each in ipairs { json.null, 7, "", true, json.array {}, {}, json.array { 7 } } do
        node[name] = each
        assert(json.raw((adapt(json.encode(root)))))
      end
      node[name] = old
      if type(old) == "table" then walk(old) end
    end
  end
  walk(root)
end)
