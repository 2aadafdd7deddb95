--- Requests to Claude after normalisation: the pitfalls that end in a 400 there.

local anthropic = require "translators.anthropic"
local support = require "tests.anthropic_support"
local caps = require "lib.caps"
local ir = require "lib.ir"
local json = require "json"
local normalise = require "lib.normalise"

local ctx, value, same_json, codes = support.ctx, support.value, support.same_json, support.codes

local PROVIDER = { name = "claude", dialect = "anthropic" }

-- A request of another dialect as its decoder leaves it, and the body that Claude gets.
local function sent(fields, model, client)
  model = model or "claude-sonnet-4-5"
  local request = ir.request()
  request.model = model
  request.turns = { ir.turn("user", { ir.text "Hi" }) }
  for name, each in pairs(fields) do request[name] = each end
  local context = ctx(client or "chat", "anthropic", caps.of(model, PROVIDER), { upstream_model = model })
  local body = anthropic.encode_request(normalise.run(request, context), context)
  return value(body), context, body
end

local function call(id, name, args)
  return { type = "tool_call", kind = "function", id = id, name = name or "wx", args = args or "{}",
    complete = true }
end

local function result(id, words)
  return { type = "tool_result", kind = "function", call_id = id, content = { ir.text(words or "ok") },
    is_error = false }
end

local function dialog(...)
  local turns = { ir.turn("user", { ir.text "Go" }) }
  for _, turn in ipairs { ... } do turns[#turns + 1] = turn end
  return { turns = turns }
end

local function tool(name, schema)
  return { kind = "function", name = name, schema = schema and json.raw(schema) or nil }
end

test("example 5.4: a chat history with dots in its ids, a lost result and a late instruction", function()
  local got, context = sent({
    stream = true, stop = { "END" }, identity = { user = "u-1" }, sampling = { temperature = 0.2 },
    reasoning = { mode = "level", level = "high", visible = true },
    system = { { type = "text", text = "Be brief.", level = "system" } },
    turns = {
      ir.turn("user", { ir.text "Weather?", { type = "image",
        source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } } }),
      ir.turn("assistant", { call("call.1", "wx", '{"city":"Oslo"}'), call("call.2", "wx", "") }),
      ir.turn("user", { result("call.1", "4C") }),
      { role = "instruction", level = "developer", blocks = { ir.text "Use Celsius." } },
    },
    tools = { tool("wx", '{"type":"object"}') },
  }, "claude-opus-4-7")
  same_json(got, [[{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,
    "thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},
    "stop_sequences":["END"],"metadata":{"user_id":"u-1"},
    "system":[{"type":"text","text":"Be brief."}],
    "messages":[{"role":"user","content":[{"type":"text","text":"Weather?"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0="}}]},
      {"role":"assistant","content":[
        {"type":"tool_use","id":"call_1_e8b7b7b3793f991d","name":"wx","input":{"city":"Oslo"}},
        {"type":"tool_use","id":"call_2_bf9fb854b2b5a006","name":"wx","input":{}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"call_1_e8b7b7b3793f991d","content":"4C"},
        {"type":"tool_result","tool_use_id":"call_2_bf9fb854b2b5a006","is_error":true,
          "content":"no result was recorded for this call"},
        {"type":"text","text":"<system-reminder>\nUse Celsius.\n</system-reminder>"}]}],
    "tools":[{"name":"wx","input_schema":{"type":"object","properties":{}}}]}]])
  assert(codes(context):find("synth.result", 1, true))
end)

test("example 5.6: Codex's tools, signature and leading developer message", function()
  local got = sent({
    stream = true, reasoning = { mode = "level", level = "medium", visible = true },
    tool_choice = { mode = "auto", parallel = false },
    system = { { type = "text", text = "You are Codex.", level = "system" },
      { type = "text", text = "Sandbox: on", level = "developer" } },
    tools = {
      { kind = "custom", name = "apply_patch", description = "Patch files",
        format = json.raw '{"type":"grammar","syntax":"lark","definition":"start: LINE"}' },
      { kind = "function", name = "lookup", namespace = "docs",
        schema = json.raw '{"type":"object","properties":{"q":{"type":"string"}}}' },
    },
    turns = {
      ir.turn("user", { ir.text "Fix a.c" }),
      ir.turn("assistant", {
        { type = "thinking", text = "Look up first.", form = "summary",
          sig = { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" } },
        { type = "tool_call", id = "toolu_1", name = "lookup", namespace = "docs", kind = "function",
          args = '{"q":"a"}', complete = true },
      }),
      ir.turn("user", { result("toolu_1", "none") }),
    },
  }, "claude-opus-4-7", "responses")
  same_json(got, [[{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,
    "thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"medium"},
    "tool_choice":{"type":"auto","disable_parallel_tool_use":true},
    "system":[{"type":"text","text":"You are Codex."},{"type":"text","text":"Sandbox: on"}],
    "tools":[{"name":"apply_patch","description":"Patch files\n\nInput grammar (lark):\nstart: LINE",
        "input_schema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}},
      {"name":"docs__lookup","input_schema":{"type":"object","properties":{"q":{"type":"string"}}}}],
    "messages":[{"role":"user","content":"Fix a.c"},
      {"role":"assistant","content":[
        {"type":"thinking","thinking":"Look up first.","signature":"EqMadeUpSig"},
        {"type":"tool_use","id":"toolu_1","name":"docs__lookup","input":{"q":"a"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"none"}]}]}]])
end)

test("pitfall 32: ids that come twice are told apart", function()
  local got = sent(dialog(
    ir.turn("assistant", { call "call_0" }), ir.turn("user", { result("call_0", "a") }),
    ir.turn("assistant", { call "call_0" }), ir.turn("user", { result("call_0", "b") })))
  local messages = got.messages
  assert(messages[2].content[1].id ~= messages[4].content[1].id)
  for i = 2, 4, 2 do
    same(messages[i + 1].content[1].tool_use_id, messages[i].content[1].id)
  end
end)

test("pitfall 33: ids with other characters are made safe on call and result", function()
  local got = sent(dialog(ir.turn("assistant", { call "a.b:c" }), ir.turn("user", { result "a.b:c" })))
  local id = got.messages[2].content[1].id
  assert(id:find "^[%w_%-]+$", id)
  same(got.messages[3].content[1].tool_use_id, id)
end)

test("pitfall 36: results stand first in the turn after their calls, in call order", function()
  local got = sent(dialog(ir.turn("assistant", { call "a", call "b" }),
    ir.turn("user", { ir.text "also" }), ir.turn("user", { result "b", result "a" })))
  local content = got.messages[3].content
  same({ content[1].tool_use_id, content[2].tool_use_id, content[3].text }, { "a", "b", "also" })
end)

test("pitfall 49: a root anyOf is merged and a missing schema is filled in", function()
  local got = sent { tools = {
    tool("f", '{"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}}}]}'),
    tool "g",
  } }
  local schema = got.tools[1].input_schema
  same({ schema.anyOf, schema.type, schema.properties.a.type, schema.properties.b.type },
    { nil, "object", "string", "string" })
  same(got.tools[2].input_schema, { type = "object", properties = {} })
end)

test("pitfall 51, 101, 102: arguments are one object, to the byte", function()
  local _, context, body = sent(dialog(
    ir.turn("assistant", { call("a", "f", ""), call("b", "f", '{"n":9007199254740993,"x":1.0,"s":"<a>"}'),
      call("c", "f", "[1]"), call("d", "f", '{"cut') }),
    ir.turn("user", { result "a", result "b", result "c", result "d" })))
  for _, text in ipairs { '"id":"a","input":{}', '"input":{"n":9007199254740993,"x":1.0,"s":"<a>"}',
    '"input":{"value":[1]}', '"id":"d","input":{}' } do
    assert(body:find(text, 1, true), text)
  end
  assert(codes(context):find("map.lossy", 1, true))
end)

test("pitfall 52, 54: results are blocks, and empty ones an empty string", function()
  local picture = { type = "image", source = { kind = "base64", media_type = "image/jpg", data = "/9j/4AA=" } }
  local got = sent(dialog(ir.turn("assistant", { call "a", call "b" }), ir.turn("user", {
    { type = "tool_result", kind = "function", call_id = "a", content = { ir.text "x", picture } },
    { type = "tool_result", kind = "function", call_id = "b", content = {} },
  })))
  local content = got.messages[3].content
  same({ content[1].content[1].text, content[1].content[2].source.media_type }, { "x", "image/jpeg" })
  same(content[2].content, "")
end)

test("pitfall 56: server tools are mapped or dropped", function()
  local got, context = sent { tools = {
    { kind = "server", name = "web_search", server = { tool = "web_search",
      config = { allowed = { "a.example" }, location = { city = "Oslo" } } } },
    { kind = "server", name = "file_search", server = { tool = "file_search", config = {} } },
  } }
  same_json(got.tools, [==[[{"type":"web_search_20250305","name":"web_search",
    "allowed_domains":["a.example"],"user_location":{"type":"approximate","city":"Oslo"}}]]==])
  same(codes(context), "drop.tool")
end)

test("pitfall 59: choices have Claude's shape", function()
  local f = { tool "f" }
  for _, row in ipairs {
    { { mode = "auto" }, nil }, { { mode = "none" }, { type = "none" } },
    { { mode = "required" }, { type = "any" } }, { { mode = "one", name = "f" }, { type = "tool", name = "f" } },
    { { mode = "auto", parallel = false }, { type = "auto", disable_parallel_tool_use = true } },
    { { mode = "required", parallel = false }, { type = "any", disable_parallel_tool_use = true } },
    { { mode = "allowed", allowed = { "f" }, allowed_mode = "required" }, { type = "any" } },
  } do
    same(sent({ tools = f, tool_choice = row[1] }).tool_choice, row[2])
  end
  same(sent({ tool_choice = { mode = "required" } }).tool_choice, nil)
end)

local function thinking_turn(family, data)
  return ir.turn("assistant", {
    { type = "thinking", text = "t", form = "summary", sig = { family = family, kind = "thinking", data = data } },
    call "a",
  })
end

test("pitfall 61, 62: only Claude's own signatures go back", function()
  for _, family in ipairs { "openai", "google", "none", "unknown" } do
    local got = sent(dialog(thinking_turn(family, "x"), ir.turn("user", { result "a" })))
    same({ family, got.messages[2].content[1].type }, { family, "tool_use" })
  end
  local got = sent(dialog(thinking_turn("anthropic", "EqX"), ir.turn("user", { result "a" })))
  same(got.messages[2].content[1], { type = "thinking", thinking = "t", signature = "EqX" })
end)

test("pitfall 68: manual thinking is off when a turn of the loop lost its thinking", function()
  local fields = dialog(thinking_turn("openai", "x"), ir.turn("user", { result "a" }))
  fields.reasoning = { mode = "budget", budget = 4000, visible = true }
  local got = sent(fields)
  assert(not got.thinking or got.thinking.type == "disabled")
end)

test("pitfall 71: redacted thinking comes back as it was", function()
  local got = sent(dialog(ir.turn("assistant", {
    { type = "redacted_thinking", sig = { family = "anthropic", kind = "redacted", data = "R" } }, call "a",
  }), ir.turn("user", { result "a" })))
  same(got.messages[2].content[1], { type = "redacted_thinking", data = "R" })
end)

test("pitfall 73: the budget stays under max_tokens", function()
  local got = sent { reasoning = { mode = "budget", budget = 70000, visible = true }, max_output = 1000 }
  assert(got.thinking.budget_tokens < got.max_tokens)
  assert(got.max_tokens <= 64000)
  got = sent { reasoning = { mode = "level", level = "medium", visible = true }, max_output = 2000 }
  assert(got.thinking.budget_tokens < got.max_tokens)
end)

test("pitfall 74: a forced tool wins over thinking", function()
  local got = sent({ tools = { tool "f" }, tool_choice = { mode = "one", name = "f" },
    reasoning = { mode = "level", level = "high", visible = true } }, "claude-opus-4-7")
  same({ got.tool_choice.type, got.thinking and got.thinking.type or "none", got.output_config },
    { "tool", got.thinking and "disabled" or "none" })
end)

test("pitfall 75: temperature and top_p are never both there, and none for the newest", function()
  local both = { temperature = 0.5, top_p = 0.9, top_k = 5 }
  local got = sent { sampling = both }
  same({ got.temperature, got.top_p, got.top_k }, { 0.5, nil, 5 })
  got = sent({ sampling = both }, "claude-opus-4-7")
  same({ got.temperature, got.top_p, got.top_k }, {})
  got = sent { sampling = both, reasoning = { mode = "level", level = "low", visible = true } }
  same({ got.temperature == nil or got.temperature == 1, got.top_k }, { true })
  same(sent({ sampling = { temperature = 1.7 } }).temperature, 1)
end)

test("pitfall 76: efforts are those the model has", function()
  local function effort(level, model)
    return sent({ reasoning = { mode = "level", level = level, visible = true } }, model).output_config.effort
  end
  same(effort("minimal", "claude-opus-4-7"), "low")
  same(effort("max", "claude-opus-4-7"), "max")
  assert(effort("xhigh", "claude-opus-4-6") ~= "xhigh")
end)

test("pitfall 79: thinking that is off stays off", function()
  local got = sent { reasoning = { mode = "off", visible = false } }
  same(got.thinking, { type = "disabled" })
  same(sent {}.thinking, nil)
end)

test("pitfall 80: a prefill goes only to models that continue it, without trailing space", function()
  local turns = dialog(ir.turn("assistant", { ir.text "{\n " }))
  same(sent(turns).messages[2], { role = "assistant", content = "{" })
  local got, context = sent(turns, "claude-opus-4-7")
  same({ #got.messages, codes(context) }, { 1, "drop.prefill" })
end)

test("pitfall 81, 82: instructions of both kinds are in the system slot", function()
  local got = sent { system = { { type = "text", text = "a", level = "system" },
    { type = "text", text = "b", level = "developer" } } }
  same_json(got.system, [==[[{"type":"text","text":"a"},{"type":"text","text":"b"}]]==])
end)

test("pitfall 97: a schema for the answer is Claude's own format", function()
  local format = { kind = "schema", name = "n", schema = json.raw '{"type":"object","properties":{}}' }
  same(sent({ format = format }, "claude-opus-4-7").output_config.format,
    { type = "json_schema", schema = { type = "object", properties = {}, additionalProperties = false } })
  same(sent({ format = format }, "claude-3-5-haiku-20241022").output_config, nil)
end)

test("pitfall 100: the same request is the same bytes", function()
  local fields = dialog(ir.turn("assistant", { call "a.b", call "c" }), ir.turn("user", { result "c" }))
  fields.tools = { tool "f", tool "g" }
  same(select(3, sent(fields)), select(3, sent(fields)))
end)

test("a conversation begins with the user, and a system prompt alone is answered too", function()
  local stub = { role = "user", content = json.array { { type = "text", text = "(continue)" } } }
  local got, context = sent { turns = { ir.turn("assistant", { call "a" }), ir.turn("user", { result "a" }) } }
  same(got.messages[1].role, "user")
  same({ #got.messages, codes(context):find("synth.turn", 1, true) ~= nil }, { 3, true })
  got = sent { turns = {}, system = { ir.text "S" } }
  assert(#got.messages == 1 and got.messages[1].role == "user")
  same(stub.role, "user")
end)

test("the last four cache marks are kept, in the order of the wire", function()
  local mark = { kind = "ephemeral", ttl = "30m" }
  local function marked(text) return { type = "text", text = text, cache = mark } end
  local got = sent {
    tools = { { kind = "function", name = "f", cache = mark } }, system = { marked "s" },
    turns = { ir.turn("user", { marked "1", marked "2", marked "3" }) },
  }
  same(got.tools[1].cache_control, nil)
  same(got.system[1].cache_control, { type = "ephemeral" })
  for i = 1, 3 do same(got.messages[1].content[i].cache_control, { type = "ephemeral" }) end
end)

test("instructions that are not text are refused", function()
  local fine, problem = pcall(sent, { system = { { type = "image", source = { kind = "url", url = "https://x" } } } })
  same({ fine, problem.class }, { false, "bad_param" })
end)

test("documents, pictures by address and foreign files", function()
  local function document(source, fields)
    local block = { type = "document", source = source }
    for name, each in pairs(fields or {}) do block[name] = each end
    return block
  end
  local got, context = sent { turns = { ir.turn("user", {
    document({ kind = "base64", media_type = "application/pdf", data = "JVBERi0=" }, { filename = "a.pdf" }),
    document { kind = "base64", media_type = "text/plain", data = "aGk=" },
    document({ kind = "text", text = "T" }, { title = "N" }),
    document { kind = "file", file_id = "file-1" },
    { type = "image", source = { kind = "url", url = "https://a.example/x.png" } },
    { type = "image", source = { kind = "base64", media_type = "image/tiff", data = "SUkq" } },
    { type = "audio", source = { kind = "base64", data = "x" }, format = "wav" },
  }) } }
  same_json(got.messages[1].content, [==[[
    {"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}},
    {"type":"document","source":{"type":"text","media_type":"text/plain","data":"hi"}},
    {"type":"document","title":"N","source":{"type":"text","media_type":"text/plain","data":"T"}},
    {"type":"image","source":{"type":"url","url":"https://a.example/x.png"}}]]==])
  same(codes(context), "drop.block drop.block drop.block")
end)
