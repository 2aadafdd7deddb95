--- Normalisation of requests before they are encoded.

local caps = require "lib.caps"
local ir = require "lib.ir"
local json = require "json"
local normalise = require "lib.normalise"
local reject = require "lib.reject"
local warnings = require "lib.warnings"

local targets = {
  chat = { "qwen-x", "openai_compatibility" }, codex = { "gpt-5.5", "codex" },
  responses = { "gpt-4.1", "plain_responses" },
  anthropic = { "claude-sonnet-4-5-20250929", "claude" }, adaptive = { "claude-opus-4-7", "claude" },
  gemini = { "gemini-2.5-flash", "gemini" }, gemini3 = { "gemini-3-flash-preview", "gemini" },
}
local dialects = { adaptive = "anthropic", gemini3 = "gemini", codex = "responses" }

local function copied(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for name, inner in pairs(value) do made[name] = copied(inner) end
  return made
end

-- The normalised request, its warnings' codes, and the context.
local function run(request, target, change)
  local warn, list = warnings.new()
  local name = targets[target]
  local dialect = dialects[target] or target
  local provider = name[2] == "plain_responses" and { name = "plain", dialect = "responses" } or name[2]
  local ctx = {
    caps = copied(caps.of(name[1], provider)), warn = warn, warnings = list,
    client = { dialect = "chat" }, upstream = { dialect = dialect }, upstream_model = name[1],
  }
  for key, value in pairs(change or {}) do
    if key == "caps" then for k, v in pairs(value) do ctx.caps[k] = v end else ctx[key] = value end
  end
  local got = normalise.run(request, ctx)
  local codes = {}
  for i, warning in ipairs(list) do codes[i] = warning.code end
  return got, table.concat(codes, " "), ctx
end

local function request(turns, members)
  local made = ir.request()
  made.model = "m"
  made.turns = turns
  for name, value in pairs(members or {}) do made[name] = value end
  return made
end

local function user(...)
  local blocks = { ... }
  for i, block in ipairs(blocks) do if type(block) == "string" then blocks[i] = ir.text(block) end end
  return ir.turn("user", blocks)
end
local function assistant(...)
  local turn = user(...)
  turn.role = "assistant"
  return turn
end
local function instruction(text) return { role = "instruction", level = "developer", blocks = { ir.text(text) } } end
local function call(id, name, args)
  return { type = "tool_call", id = id, name = name or "f", kind = "function", args = args or "{}", complete = true }
end
local function result(id, text, name)
  return { type = "tool_result", call_id = id, name = name, kind = "function", is_error = false,
    content = { ir.text(text or "r") } }
end
local function thought(text, family, kind)
  return { type = "thinking", text = text, form = "summary",
    sig = family and { family = family, kind = kind or "thinking", data = "D" } }
end

-- A conversation in short: roles with what their blocks say.
local function outline(got)
  local parts = {}
  for i, turn in ipairs(got.turns) do
    local words = {}
    for j, block in ipairs(turn.blocks) do
      local kind = block.type
      if kind == "text" then words[j] = block.text
      elseif kind == "tool_call" then words[j] = "call:" .. block.id
      elseif kind == "tool_result" then
        words[j] = "result:" .. block.call_id .. "=" .. (block.content[1] and block.content[1].text or "")
      elseif kind == "thinking" then words[j] = "think:" .. block.text
      else words[j] = kind end
      if block.sig then words[j] = words[j] .. "+" .. block.sig.data end
    end
    parts[i] = turn.role .. "(" .. table.concat(words, "|") .. ")"
  end
  return table.concat(parts, " ")
end

local function lines(turns, target, change)
  local got, codes = run(request(turns), target, change)
  return outline(got), codes
end

test("empty texts and turns vanish, and their neighbours meet", function()
  same(lines({ user("a", ""), assistant(""), user("b") }, "anthropic"), "user(a|b)")
  same(lines({ user("a"), assistant(""), user("b") }, "chat"), "user(a) user(b)")
  same(lines({ user("  ") }, "chat"), "user(  )")
  same(lines({ user("  ", "a"), assistant("\n", call "1"), user(result "1") }, "anthropic"),
    "user(a) assistant(call:1) user(result:1=r)")
end)

test("white space alone is not said to Anthropic, which refuses it", function()
  same({ lines({ user("  ") }, "anthropic") }, { "user((continue))", "synth.turn" })
  same({ lines({ user("  ") }, "gemini") }, { "user(  )", "" })
end)

test("OpenAI's newer name for who asks counts first in other dialects", function()
  local function user_for(target, client)
    local made = request({ user "a" }, { identity = { user = "u", safety_id = "s" } })
    return run(made, target, { client = { dialect = client } }).identity.user
  end
  same({ user_for("anthropic", "chat"), user_for("codex", "chat"), user_for("chat", "chat") }, { "s", "s", "u" })
end)

test("a request without input is refused", function()
  for _, target in ipairs { "chat", "codex", "anthropic", "gemini" } do
    local fine, problem = pcall(run, request { user("") }, target)
    same({ fine, reject.is(problem) and problem.class }, { false, "bad_param" })
  end
end)

test("instructions alone get a stub turn but for chat", function()
  local function only(target)
    return outline((run(request({}, { system = { ir.text "s" } }), target)))
  end
  same(only "chat", "")
  same(only "anthropic", "user((continue))")
  same(only "gemini", "user((continue))")
end)

test("a history that starts with the assistant gets a first user turn", function()
  same(lines({ assistant("hi"), user("a") }, "anthropic"), "user((continue)) assistant(hi) user(a)")
  same(lines({ assistant("hi"), user("a") }, "chat"), "assistant(hi) user(a)")
end)

test("a prefill stays where the model takes one", function()
  same({ lines({ user("a"), assistant("{ ") }, "anthropic") }, { "user(a) assistant({)", "" })
  same({ lines({ user("a"), assistant("{") }, "adaptive") }, { "user(a)", "drop.prefill" })
  same({ lines({ user("a"), assistant("{") }, "gemini") }, { "user(a)", "drop.prefill" })
end)

test("results stand behind their calls, in the order of the calls, before other blocks", function()
  same({ lines({ user("a"), assistant(call "1", call "2"), user("x", result("2", "B"), result("1", "A")) }, "chat") },
    { "user(a) assistant(call:1|call:2) user(result:1=A|result:2=B|x)", "" })
end)

test("a late result moves up, an instruction between waits", function()
  same({ lines({ user("a"), assistant(call "1"), instruction "I", user(result "1", "t") }, "chat") },
    { "user(a) assistant(call:1) user(result:1=r) instruction(I) user(t)", "reorder" })
  same({ lines({ user("a"), assistant(call "1"), user("b"), assistant("c"), user(result "1") }, "responses") },
    { "user(a) assistant(call:1) user(result:1=r|b) assistant(c)", "reorder" })
end)

test("calls without result get one, results without call become text", function()
  same({ lines({ user("a"), assistant(call "1", call "2"), user(result "1"), assistant("z"), user("y") }, "anthropic") },
    { "user(a) assistant(call:1|call:2) user(result:1=r|result:2=no result was recorded for this call)"
      .. " assistant(z) user(y)", "synth.result" })
  same({ lines({ user("a"), assistant(call "1") }, "gemini") },
    { "user(a) assistant(call:1) user(result:1=no result was recorded for this call)", "synth.result" })
  same({ lines({ user("a", result("9", "R")) }, "chat") },
    { "user(a|Result of an earlier tool call (9): R)", "orphan.result" })
end)

test("a second result for a call replaces the first one", function()
  same(lines({ user("a"), assistant(call "1", call "2"), user(result("1", "old"), result("2", "B"), result("1", "new")) },
    "chat"), "user(a) assistant(call:1|call:2) user(result:1=new|result:2=B)")
end)

test("ids that come twice become different and take their results in order", function()
  same(lines({ user("a"), assistant(call "1"), user(result("1", "A")), assistant(call "1"), user(result("1", "B")) }, "chat"),
    "user(a) assistant(call:1) user(result:1=A) assistant(call:1_2) user(result:1_2=B)")
end)

test("results without ids find their calls by name, then by place", function()
  same(lines({ user("a"), assistant(call("1", "f"), call("2", "g")), user(result("", "G", "g"), result(nil, "F", "f")) },
    "gemini"), "user(a) assistant(call:1|call:2) user(result:1=F|result:2=G)")
  same(lines({ user("a"), assistant(call("1", "f"), call("2", "g")), user(result("", "F"), result("", "G")) }, "gemini"),
    "user(a) assistant(call:1|call:2) user(result:1=F|result:2=G)")
end)

test("calls of users and results of assistants are only text", function()
  local got, codes = lines({ user(call "1", "a"), assistant("b", result "1"), user("c") }, "chat")
  same({ got, codes }, { "user(Tool call f: {}|a) assistant(b|Tool result: r) user(c)", "map.lossy map.lossy" })
end)

test("instructions are wrapped for those without a place for them", function()
  same(lines({ user("a"), instruction "I", assistant("b"), user("c") }, "adaptive"),
    "user(a|<system-reminder>\nI\n</system-reminder>) assistant(b) user(c)")
  same(lines({ user("a"), instruction "I" }, "anthropic", { caps = { mid_system = true } }), "user(a) instruction(I)")
  local got = run(request { user("a"), instruction "I" }, "chat")
  same(got.turns[2].level, "system")
  local bad = instruction "I"
  bad.blocks[2] = { type = "image", source = { kind = "base64", data = "" } }
  same(pcall(run, request { user("a"), bad }, "gemini"), false)
end)

test("the attribution block of a client reaches its own vendor only", function()
  local made = request({ user("a") }, { system = { ir.text "x-anthropic-billing-header: v", ir.text "S" } })
  same(#run(made, "chat").system, 1)
  same(#run(made, "anthropic").system, 2)
end)

test("thinking goes back only to who signed it", function()
  local function history(...) return { user("a"), assistant(...), user(result "1") } end
  same({ lines(history(thought("T", "anthropic"), call "1"), "anthropic") },
    { "user(a) assistant(think:T+D|call:1) user(result:1=r)", "" })
  same({ lines(history(thought("T", "openai", "reasoning"), call "1"), "anthropic") },
    { "user(a) assistant(call:1) user(result:1=r)", "drop.signature" })
  same(lines(history(thought("T", "openai", "reasoning"), call "1"), "responses"),
    "user(a) assistant(think:T+D|call:1) user(result:1=r)")
  same(lines(history(thought("T"), call "1"), "chat", { caps = { reasoning_field = "reasoning_content" } }),
    "user(a) assistant(think:T|call:1) user(result:1=r)")
  same(lines(history(thought("T"), call "1"), "chat"), "user(a) assistant(call:1) user(result:1=r)")
  same(lines(history(call "1"), "chat", { caps = { reasoning_field = "r", reasoning_required = true } }),
    "user(a) assistant(think:[reasoning unavailable]|call:1) user(result:1=r)")
end)

test("a carrier gives its signature back to the call, and its empty block goes", function()
  same(lines({ user("a"), assistant(thought("", "google", "call"), call "1", call "2"), user(result "1", result "2") }, "gemini3"),
    "user(a) assistant(call:1+D|call:2) user(result:1=r|result:2=r)")
  same(lines({ user("a"), assistant(thought("", "google", "text"), "t"), user("b") }, "gemini3"),
    "user(a) assistant(t+D) user(b)")
end)

test("Gemini 3 gets the sentinel on the first unsigned call of each running turn", function()
  local S = "skip_thought_signature_validator"
  local turns = { user("a"), assistant(call "0"), user(result "0", "b"), assistant(call "1", call "2"),
    user(result "1", result "2"), assistant(call "3"), user(result "3") }
  table.insert(turns, 4, user("plain"))
  same(lines(turns, "gemini"), "user(a) assistant(call:0) user(result:0=r|b|plain) assistant(call:1|call:2)"
    .. " user(result:1=r|result:2=r) assistant(call:3) user(result:3=r)")
  local kept = { get = function(key) return key == "sig:3" and "sc1~g~f~UTJ4aGNtRT0" or nil end }
  same(lines({ user("a"), assistant(call "0"), user(result "0"), assistant("x"), user("b"), assistant(call "1", call "2"),
    user(result "1", result "2"), assistant(call "3"), user(result "3") }, "gemini3", { replay = kept }),
    "user(a) assistant(call:0) user(result:0=r) assistant(x) user(b) assistant(call:1+" .. S .. "|call:2)"
    .. " user(result:1=r|result:2=r) assistant(call:3+Q2xhcmE=) user(result:3=r)")
end)

test("manual thinking is off when the tool loop lost its thinking", function()
  local turns = { user("a"), assistant(call "1"), user(result "1") }
  local members = { reasoning = { mode = "budget", budget = 2000 } }
  same(run(request(turns, members), "anthropic").reasoning.mode, "off")
  same(run(request(turns, members), "adaptive").reasoning.mode, "level")
  turns[2] = assistant(thought("T", "anthropic"), call "1")
  same(run(request(turns, members), "anthropic").reasoning.mode, "budget")
end)

test("names and ids become the upstream's, in calls, results, tools and choice", function()
  local made = request({ user("a"), assistant(call("call.1", "crop.image")), user(result("call.1", "r")) }, {
    tools = { { kind = "function", name = "crop.image", extras = {} },
      { kind = "function", name = "lookup", namespace = "docs", extras = {} } },
    tool_choice = { mode = "one", name = "lookup", namespace = "docs" },
  })
  local got, codes, ctx = run(made, "anthropic")
  local name = got.tools[1].name
  assert(name:find "^crop_image_%x+$")
  same({ got.turns[2].blocks[1].name, got.turns[2].blocks[1].id, got.turns[3].blocks[1].call_id, got.turns[3].blocks[1].name },
    { name, "call_1_e8b7b7b3793f991d", "call_1_e8b7b7b3793f991d", name })
  same({ got.tools[2].name, got.tools[2].namespace, got.tool_choice.name, codes }, { "docs__lookup", nil, "docs__lookup", "renamed" })
  same({ ctx.names.to_client(name) }, { "crop.image", nil, "function" })
  same({ ctx.names.to_client "docs__lookup" }, { "lookup", "docs", "function" })
  -- The client's request is as it was.
  same({ made.tools[1].name, made.turns[2].blocks[1].name, made.tool_choice.name }, { "crop.image", "crop.image", "lookup" })
end)

test("a custom tool becomes a function where there are none", function()
  local made = request({ user("a"), assistant({ type = "tool_call", id = "1", name = "patch", kind = "custom", args = "x\"y", complete = true }),
    user({ type = "tool_result", call_id = "1", kind = "custom", content = {} }) }, {
    tools = { { kind = "custom", name = "patch", description = "Patch files",
      format = json.raw '{"type":"grammar","syntax":"lark","definition":"start: LINE"}' } } })
  local got, codes = run(made, "anthropic")
  same({ got.tools[1].kind, got.tools[1].description, codes },
    { "function", "Patch files\n\nInput grammar (lark):\nstart: LINE", "emulated" })
  same({ got.turns[2].blocks[1].kind, got.turns[2].blocks[1].args, got.turns[3].blocks[1].kind },
    { "function", '{"input":"x\\"y"}', "function" })
  same(run(made, "codex").tools[1].kind, "custom")
end)

test("a forced tool has to exist, a choice without tools is left out", function()
  local made = request({ user("a") }, { tool_choice = { mode = "one", name = "f" } })
  same(pcall(run, made, "chat"), false)
  made.tool_choice = { mode = "required" }
  same(run(made, "chat").tool_choice, nil)
end)

test("allowed tools are a filter for Claude", function()
  local made = request({ user("a") }, {
    tools = { { kind = "function", name = "f" }, { kind = "function", name = "g" } },
    tool_choice = { mode = "allowed", allowed = { "g" }, allowed_mode = "required" } })
  local got, codes = run(made, "anthropic")
  same({ #got.tools, got.tools[1].name, got.tool_choice.mode, codes }, { 1, "g", "required", "map.lossy" })
  same(run(made, "gemini").tool_choice.allowed, { "g" })
end)

test("tools of vendors are dropped where there is nothing like them", function()
  local made = request({ user("a") }, { tools = {
    { kind = "server", name = "s", server = { tool = "web_search", config = {} } },
    { kind = "server", name = "m", server = { tool = "mcp" } }, { kind = "function", name = "f" } } })
  local function row(target)
    local got, codes = run(made, target, { client = { dialect = "mine" } })
    return { #got.tools, codes }
  end
  same(row "chat", { 1, "drop.tool drop.tool" })
  same(row "codex", { 2, "drop.tool" })
  same(row "gemini", { 1, "drop.tool drop.tool" })
  same(row "gemini3", { 2, "drop.tool" })
end)

test("deferred tools wait until they are referenced", function()
  local made = request({ user("a") }, { tools = { { kind = "function", name = "f", defer = true },
    { kind = "function", name = "g", defer = true, live = true } } })
  local got, codes = run(made, "chat")
  same({ #got.tools, got.tools[1].name, codes }, { 1, "g", "" })
  same(#run(made, "anthropic").tools, 2)
end)

test("schemas are cleaned and coercions kept for the answer", function()
  local made = request({ user("a") }, { tools = { { kind = "function", name = "f",
    schema = json.raw '{"type":"object","properties":{"w":{"type":"integer","enum":[1,2]}}}' } } })
  local _, _, ctx = run(made, "gemini")
  same(ctx.coercions.f.properties.w.type, "integer")
  same(select(3, run(made, "chat")).coercions, nil)
end)

test("media that the model cannot see goes with a warning", function()
  local image = { type = "image", source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } }
  local pdf = { type = "document", source = { kind = "base64", media_type = "application/pdf", data = "JVBERi0=" } }
  local url = { type = "image", source = { kind = "url", url = "https://x.example/a.png" } }
  same({ lines({ user("a", image, pdf) }, "chat") }, { "user(a|image)", "drop.block" })
  same({ lines({ user("a", image, pdf) }, "anthropic") }, { "user(a|image|document)", "" })
  same({ lines({ user("a", url) }, "gemini", { caps = { inputs = { image = true } } }) },
    { "user(a|[image: https://x.example/a.png])", "drop.block" })
  same({ lines({ user("a", image) }, "chat", { caps = { inputs = {} } }) }, { "user(a)", "drop.block" })
  local shot = result "1"
  shot.content[2] = image
  local got = run(request { user("a"), assistant(call "1"), user(shot) }, "chat", { caps = { tool_result_media = "none" } })
  same(got.turns[3].blocks[1].content[2].text, "[image omitted: not supported by this model]")
  same(lines({ user("a"), assistant("b", image), user("c") }, "chat"), "user(a) assistant(b) user(image|c)")
  same(lines({ user("a"), assistant("b", image), user("c") }, "gemini"), "user(a) assistant(b|image) user(c)")
end)

test("the output limit and the budget of thinking fit together on Claude", function()
  local function row(limit, budget, change)
    local got, codes = run(request({ user("a") }, { max_output = limit,
      reasoning = budget and { mode = "budget", budget = budget } }), "anthropic", change)
    return { got.max_output, got.reasoning and (got.reasoning.budget or got.reasoning.mode), codes }
  end
  same(row(nil, nil), { 64000, nil, "" })
  same(row(100000, nil), { 64000, nil, "clamp" })
  same(row(1000, 2000), { 3024, 2000, "clamp" })
  same(row(1000, 100000), { 64000, 63999, "clamp" })
  same(row(1000, 2000, { caps = { max_output = 1000 } }), { 1000, "off", "drop.param" })
  same(run(request({ user("a") }, { max_output = 5 }), "codex").max_output, nil)
  same(run(request { user("a") }, "gemini").max_output, nil)
end)

test("sampling is what the model takes", function()
  local function row(target, sampling, members)
    local all = members or {}
    all.sampling = sampling
    local got, codes = run(request({ user("a") }, all), target)
    local s = got.sampling
    return { s.temperature, s.top_p, s.top_k, codes }
  end
  same(row("adaptive", { temperature = 0.2, top_k = 5 }), { nil, nil, nil, "drop.param drop.param" })
  same(row("anthropic", { temperature = 1.5, top_p = 0.9 }), { 1, nil, nil, "clamp drop.param" })
  same(row("anthropic", { temperature = 0.5, top_k = 3 }, { reasoning = { mode = "budget", budget = 2000 } }),
    { nil, nil, nil, "drop.param drop.param" })
  same(row("chat", { temperature = 0, top_k = 64 }), { 0, nil, nil, "drop.param" })
  same(row("codex", { temperature = 1 }), { nil, nil, nil, "drop.param" })
  same(row("gemini", { temperature = 0.5, top_k = 64 }), { 0.5, nil, 64, "" })
end)

test("a forced tool takes thinking away on Claude", function()
  local got = run(request({ user("a") }, { tools = { { kind = "function", name = "f" } },
    tool_choice = { mode = "required" }, reasoning = { mode = "level", level = "high", visible = true } }), "adaptive")
  same({ got.reasoning.mode, got.tool_choice.mode }, { "off", "required" })
end)

test("stop sequences, candidates and tiers are cut to what there is", function()
  local got, codes = run(request({ user("a") }, { stop = { "a", "b", "c", "d", "e" }, n = 3 }), "chat")
  same({ #got.stop, got.n, codes }, { 4, 1, "clamp clamp" })
  got, codes = run(request({ user("a") }, { stop = { " ", "x" } }), "anthropic")
  same({ got.stop, codes }, { { "x" }, "drop.param" })
  same(#run(request({ user("a") }, { stop = { "x" } }), "codex").stop, 0)
  same(run(request({ user("a") }, { service = { tier = "default" } }), "anthropic").service.tier, "standard_only")
  same(run(request({ user("a") }, { service = { tier = "flex" } }), "anthropic").service.tier, nil)
  same(run(request({ user("a") }, { service = { tier = "default" } }), "gemini").service.tier, "standard")
end)

test("the suffix of the model beats the body", function()
  local made = request({ user("a") }, { reasoning = { mode = "auto", visible = true } })
  made.model = "gpt-5.5(high)"
  local got = run(made, "codex", { client = { dialect = "anthropic" } })
  same({ got.model, got.reasoning.mode, got.reasoning.level, got.reasoning.visible }, { "gpt-5.5", "level", "high", true })
end)

test("the cache key is the client's, else the session, else the beginning of the conversation", function()
  local made = request({ user("a") }, { identity = { session = "7f0c" } })
  same(run(made, "codex").cache.key, "7f0c")
  made.cache = { key = "k" }
  same(run(made, "codex").cache.key, "k")
  same(#run(request { user("a") }, "codex").cache.key, 32)
  same(run(made, "chat").cache.key, nil)
  same(#run(request({ user("a") }, { identity = { user = ("u"):rep(65) } }), "chat").identity.user, 64)
end)

test("JSON answers are asked for in words where there is no other way", function()
  local made = request({ user("a") }, { format = { kind = "schema", name = "o", schema = json.raw '{"type":"object"}' } })
  local got, codes, ctx = run(made, "anthropic", { caps = { structured = "prompt" } })
  same({ got.format, #got.system, codes, ctx.emulation }, { nil, 1, "emulated", "fence" })
  got, codes, ctx = run(made, "anthropic", { caps = { structured = "tool" } })
  same({ got.tools[1].name, got.tool_choice.name, ctx.emulation }, { "emit_structured_output", "emit_structured_output", "tool" })
  same(tostring(run(made, "gemini").format.schema), '{"type":"object","properties":{}}')
end)

test("the same history always gives the same request", function()
  local made = request({ user("a"), assistant(call("x.1", "a.b"), call "x.1"), user(result "x.1") }, {
    tools = { { kind = "function", name = "a.b" }, { kind = "function", name = "z" } } })
  for target in pairs(targets) do
    local first = outline((run(made, target)))
    for _ = 1, 5 do same(outline((run(made, target))), first) end
  end
end)
