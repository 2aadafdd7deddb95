--- Requests of the Responses dialect.

local json = require "json"
local reject = require "lib.reject"
local responses = require "translators.responses"
local support = require "tests.responses_support"

local context, value, warned = support.context, support.value, support.warned

local function decode(body, given)
  local ctx = context(given)
  return responses.decode_request(body, ctx), ctx
end

local function again(body, given)
  local request, ctx = decode(body, given)
  return value(responses.encode_request(request, ctx)), ctx
end

local function refusal(body, given)
  local fine, problem = pcall(decode, body, given)
  assert(not fine and reject.is(problem), tostring(problem))
  return problem
end

local function fixture(name)
  local file = assert(io.open("tests/fixtures/responses/" .. name .. ".json"))
  local text = file:read "a"
  file:close()
  return text
end

-- Without storing, an upstream knows no ids.
local function without_ids(body)
  for _, item in ipairs(body.input) do
    if item.type ~= "web_search_call" then item.id = nil end
  end
  return body
end

for _, name in ipairs { "codex-0.49", "codex-0.169", "stored" } do
  test("decoding and encoding keeps the request of " .. name, function()
    local text = fixture(name)
    local expected = value(text)
    if not expected.store then without_ids(expected) end
    expected.model = "up"
    if name == "stored" then expected.tool_choice.tools[3].name = nil end
    local got, ctx = again(text, { upstream_model = "up" })
    for member, wanted in pairs(expected) do
      same({ member, json.encode { got[member] } }, { member, json.encode { wanted } })
    end
    for member in pairs(got) do same({ member, expected[member] ~= nil }, { member, true }) end
    same(warned(ctx), {})
  end)
end

test("what is raw keeps its bytes", function()
  local request, ctx = decode(fixture "stored")
  local body = responses.encode_request(request, ctx)
  for _, bytes in ipairs {
    '{"z":1.0,"type":"object","properties":{"a":{"const":12345678901234567890}},"required":["a"],',
    '{"type":"object","z":1.0,"a":2,', '"metadata":{"b":"1","a":"2"}', "[1,2.50]",
  } do assert(body:find(bytes, 1, true), bytes) end
end)

test("a string is one user turn", function()
  same(again('{"model":"m","input":"hi"}').input,
    value '[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]')
end)

test("items of the assistant are one turn and outputs another", function()
  local request = decode(fixture "codex-0.49")
  local seen = {}
  for i, turn in ipairs(request.turns) do
    local types = {}
    for b, block in ipairs(turn.blocks) do types[b] = block.type end
    seen[i] = turn.role .. " " .. table.concat(types, " ")
  end
  same(seen, {
    "user text", "user text image", "assistant thinking tool_call", "user tool_result",
    "assistant tool_call", "user tool_result", "assistant text", "user text",
  })
end)

test("parallel calls and the text before them are one turn (40, 41)", function()
  local request = decode [[{"input":[
    {"role":"assistant","content":"Both."},
    {"type":"function_call","call_id":"a","name":"f","arguments":"{}"},
    {"type":"function_call","call_id":"b","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"a","output":"1"},
    {"type":"function_call_output","call_id":"b","output":"2"}]}]]
  same({ #request.turns, #request.turns[1].blocks, #request.turns[2].blocks }, { 2, 3, 2 })
end)

test("leading developer messages are system text and later ones instructions (81, 82)", function()
  local request = decode(fixture "codex-0.169")
  same({ request.system[1].text, request.system[1].level, #request.system },
    { "You are Codex.", "developer", 2 })
  same({ request.turns[4].role, request.turns[5].role, request.turns[5].level },
    { "assistant", "instruction", "developer" })
end)

test("tools of namespaces are flat, with their namespace (57)", function()
  local request = decode(fixture "codex-0.169")
  local seen = {}
  for i, tool in ipairs(request.tools) do seen[i] = { tool.kind, tool.name, tool.namespace } end
  same(seen, {
    { "function", "exec_command" }, { "function", "lookup", "docs" }, { "function", "open", "docs" },
    { "server", "web_search" },
  })
  same({ request.tools[3].defer, request.turns[2].blocks[3].namespace }, { true, "docs" })
end)

test("additional tools come behind the others (57)", function()
  local request = decode [[{"tools":[{"type":"function","name":"a"}],"input":[
    {"type":"additional_tools","tools":[{"type":"custom","name":"p"},
      {"type":"namespace","name":"n","tools":[{"type":"function","name":"l"}]}]},
    {"role":"user","content":"x"}]}]]
  same({ request.tools[2].kind, request.tools[2].name, request.tools[3].namespace, #request.turns },
    { "custom", "p", "n", 1 })
end)

test("web search without access to the web is for its own vendor only", function()
  local body = '{"input":"x","tools":[{"type":"web_search","external_web_access":false}]}'
  local request, ctx = decode(body, { upstream = { dialect = "anthropic" } })
  same({ #request.tools, warned(ctx)[1] }, { 0, "drop.tool tools[0]" })
  same(#decode(body).tools, 1)
end)

test("tools of the server have their own kind (56)", function()
  local request = decode [[{"input":"x","tools":[{"type":"web_search_preview"},{"type":"mcp"},
    {"type":"code_interpreter","container":{"type":"auto"}},{"type":"quantum"}]}]]
  local seen = {}
  for i, tool in ipairs(request.tools) do seen[i] = tool.kind .. " " .. tool.server.tool end
  same(seen, { "server web_search", "server mcp", "server code", "server quantum" })
end)

test("tool choices are read in both shapes (59)", function()
  local function choice(text) return decode('{"input":"x",' .. text .. "}").tool_choice end
  same(choice '"tool_choice":"none"', { mode = "none" })
  same(choice '"tool_choice":{"type":"function","name":"f"}',
    { mode = "one", name = "f", kind = "function" })
  same(choice '"tool_choice":{"type":"function","function":{"name":"f"}}',
    { mode = "one", name = "f", kind = "function" })
  same(choice '"tool_choice":{"type":"custom","custom":{"name":"f"}}',
    { mode = "one", name = "f", kind = "custom" })
  same(choice '"tool_choice":{"type":"web_search_preview"}',
    { mode = "one", server = "web_search", native = "web_search_preview" })
  same(choice '"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","name":"f"}]}}',
    { mode = "allowed", allowed_mode = "auto", allowed = { "f" } })
  same(choice '"parallel_tool_calls":false', { mode = "auto", implied = true, parallel = false })
  same(choice '"tool_choice":null', nil)
end)

test("reasoning is read as amount and visibility", function()
  local function reasoning(text) return decode('{"input":"x","reasoning":' .. text .. "}").reasoning end
  same(reasoning '{"effort":"none"}', { mode = "off", from_suffix = false })
  same(reasoning '{"effort":"xhigh","summary":null}',
    { mode = "level", level = "xhigh", from_suffix = false })
  same(reasoning '{"generate_summary":"concise","mode":"pro"}',
    { visible = true, detail = "concise", exec = "pro", from_suffix = false })
  same(reasoning "null", nil)
end)

test("a carrier in encrypted_content is unwrapped, also one of redacted thinking (71)", function()
  local request = decode [[{"input":[
    {"type":"reasoning","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}],
     "encrypted_content":"sc1~a~t~RXFNYWRlVXBTaWc"},
    {"type":"reasoning","summary":[],"encrypted_content":"sc1~a~r~UmVk"},
    {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"c"}],
     "encrypted_content":"sc1~n~n~"}]}]]
  local blocks = request.turns[1].blocks
  same({ blocks[1].text, blocks[1].sig.family, blocks[1].sig.data },
    { "a\n\nb", "anthropic", "EqMadeUpSig" })
  same({ blocks[2].type, blocks[2].sig.data }, { "redacted_thinking", "Red" })
  same({ blocks[3].form, blocks[3].text, blocks[3].sig.family }, { "raw", "c", "none" })
end)

test("a user item with output_text is the assistant's", function()
  local request = decode '{"input":[{"role":"user","content":[{"type":"output_text","text":"a"}]}]}'
  same(request.turns[1].role, "assistant")
end)

test("reasoning in a user item is no thinking (72)", function()
  local request = decode '{"input":[{"role":"user","content":[{"type":"reasoning_text","text":"a"}]}]}'
  same({ request.turns[1].role, request.turns[1].blocks[1].type }, { "user", "opaque" })
end)

test("a call without an id has the same one every time (100)", function()
  local body = '{"input":[{"type":"function_call","name":"f","arguments":"{}"}]}'
  local first, second = decode(body).turns[1].blocks[1].id, decode(body).turns[1].blocks[1].id
  same({ first, #first }, { second, 29 })
end)

test("empty arguments are an empty object (51)", function()
  same(decode '{"input":[{"type":"function_call","call_id":"a","name":"f","arguments":""}]}'
    .turns[1].blocks[1].args, "{}")
end)

test("an output may be text, parts, an object or nothing (52, 54)", function()
  local function output(text)
    return decode('{"input":[{"type":"function_call_output","call_id":"a","output":' .. text
      .. "}]}").turns[1].blocks[1].content
  end
  same(output '"x"', { { type = "text", text = "x" } })
  same(output "null", {})
  same(output '""', {})
  same(output '{"a":[1.0]}', { { type = "text", text = '{"a":[1.0]}' } })
  same(output '[{"type":"input_image","image_url":"data:image/png;base64,iVBORw0="}]', {
    { type = "image", source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } },
  })
end)

test("files are read in all their forms (95)", function()
  local blocks = decode [[{"input":[{"role":"user","content":[
    {"type":"input_file","file_data":"JVBERi0=","filename":"a.pdf"},
    {"type":"input_file","file_url":"https://x.example/b.pdf"},
    {"type":"input_audio","data":"UklGRg==","format":"wav"},
    {"type":"input_image","image_url":{"url":"https://x.example/c.png"},"detail":"low"}]}]}]]
    .turns[1].blocks
  same({ blocks[1].source.media_type, blocks[2].source.url, blocks[3].source.media_type,
    blocks[4].source.url, blocks[4].detail },
    { "application/pdf", "https://x.example/b.pdf", "audio/wav", "https://x.example/c.png", "low" })
end)

test("wrong types are refused by their path", function()
  for body, param in pairs {
    ['{"input":7}'] = "input", ['{"input":[7]}'] = "input[0]",
    ['{"input":[{"role":"user","content":7}]}'] = "input[0].content",
    ['{"input":"x","tools":{}}'] = "tools", ['{"input":"x","tools":[1]}'] = "tools[0]",
    ['{"input":"x","tools":[{"type":"function"}]}'] = "tools[0].name",
    ['{"input":"x","temperature":"warm"}'] = "temperature",
    ['{"input":"x","tool_choice":"sometimes"}'] = "tool_choice",
    ['{"input":"x","reasoning":{"effort":1}}'] = "reasoning.effort",
    ['{"input":"x","include":[1]}'] = "include[0]",
  } do same({ body, refusal(body).param }, { body, param }) end
  for _, body in ipairs { "", "[]", "{", '"x"', '{"input":"a","input":"b"}', "null" } do
    same(refusal(body).class, "bad_json")
  end
end)

test("unknown members are never refused", function()
  decode [[{"input":[{"role":"user","content":null},{"type":"new_thing","x":1},{"type":"reasoning"},
    {"type":"web_search_call"},{"type":"image_generation_call"},{"type":"compaction"},
    {"type":"file_search_call"},{"type":"code_interpreter_call","outputs":7},
    {"type":"function_call_output"},{"type":"function_call"}],
    "client_metadata":null,"prompt":{"id":"p"},"moderation":{},"metadata":null,
    "tools":null,"conversation":null,"context_management":null,"text":{"format":null}}]]
end)

-- Encoding.

local ir = require "lib.ir"

local function request(turns, more)
  local made = ir.request()
  made.turns = turns
  for name, each in pairs(more or {}) do made[name] = each end
  return made
end

local function encode(made, given)
  local ctx = context { client = { dialect = "anthropic" } }
  for name, each in pairs(given or {}) do ctx[name] = each end
  return value(responses.encode_request(made, ctx)), ctx
end

local OPENAI = { family = "openai", kind = "reasoning", data = "gAAAAABx" }

test("only reasoning of the own family is sent, without id and text (61, 69)", function()
  local body = encode(request {
    ir.turn("assistant", {
      { type = "thinking", text = "a", form = "summary", sig = OPENAI },
      { type = "thinking", text = "b", form = "summary",
        sig = { family = "anthropic", kind = "thinking", data = "E" } },
      { type = "thinking", text = "c", form = "summary" },
      { type = "redacted_thinking", sig = { family = "anthropic", kind = "redacted", data = "E" } },
      ir.text "d",
    }),
  })
  same(body.input, value [=[[{"type":"reasoning","summary":[],"encrypted_content":"gAAAAABx"},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"d"}]}]]=])
end)

test("what an instruction cannot carry is told with its own place", function()
  local turn = ir.turn("instruction", { ir.text "b", { type = "audio" } })
  local body, ctx = encode(request { ir.turn("user", { ir.text "a" }), turn })
  same({ #body.input, #body.input[2].content, warned(ctx) },
    { 2, 1, { "drop.block turns[1].blocks[1]" } })
end)

test("reasoning that nothing follows is dropped (69)", function()
  local body, ctx = encode(request {
    ir.turn("assistant", { ir.text "a", { type = "thinking", text = "", sig = OPENAI } }),
    ir.turn("user", { ir.text "b" }),
  })
  same({ #body.input, body.input[2].role, warned(ctx)[1] },
    { 2, "user", "drop.block turns[0].blocks[1]" })
end)

test("no empty message is sent (35)", function()
  local body = encode(request {
    ir.turn("assistant", { ir.text "", {
      type = "tool_call", id = "a", name = "f", kind = "function", args = "", complete = true,
    } }),
    ir.turn("user", { { type = "tool_result", call_id = "a", content = {}, is_error = false } }),
    ir.turn("user", {}),
  })
  same(body.input, value [=[[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"a","output":""}]]=])
end)

test("a failed tool says so once", function()
  local function output(text)
    return encode(request {
      ir.turn("user", {
        { type = "tool_result", call_id = "a", content = { ir.text(text) }, is_error = true },
      }),
    }).input[1].output
  end
  same({ output "no", output "Error: no" }, { "Error: no", "Error: no" })
end)

test("the result of a custom call is a custom result", function()
  local body = encode(request {
    ir.turn("assistant", {
      { type = "tool_call", id = "a", name = "p", kind = "custom", args = "x", complete = true },
    }),
    ir.turn("user", { { type = "tool_result", call_id = "a", content = { ir.text "y" } } }),
  })
  same({ body.input[1].type, body.input[2].type }, { "custom_tool_call", "custom_tool_call_output" })
end)

test("images of tools stay in their output (52)", function()
  local body = encode(request {
    ir.turn("user", { {
      type = "tool_result", call_id = "a", content = { ir.text "see", {
        type = "image", source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" },
      } },
    } }),
  })
  same(body.input[1].output, value [=[[{"type":"input_text","text":"see"},
    {"type":"input_image","image_url":"data:image/png;base64,iVBORw0="}]]=])
end)

test("a cached system block is a developer message and the rest follows it", function()
  local body = encode(request({}, { system = {
    { type = "text", text = "a" }, { type = "text", text = "b" },
    { type = "text", text = "c", cache = { kind = "ephemeral" } }, { type = "text", text = "d" },
  } }))
  same({ body.instructions, body.input[1].role, body.input[2].content[1].text },
    { "a\n\nb", "developer", "d" })
  same(body.input[1].content[1].prompt_cache_breakpoint, { mode = "explicit" })
end)

test("a tool without strict is not strict, and one without parameters has an empty object (50)", function()
  local body = encode(request({}, { tools = { { kind = "function", name = "f" } } }))
  same(body.tools, value
    '[{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}]')
end)

test("what the dialect lacks is dropped with a warning (60)", function()
  local body, ctx = encode(request({}, {
    sampling = { top_k = 1, seed = 2, temperature = 0.5 }, stop = { "x" }, n = 2,
  }))
  same(warned(ctx), { "drop.param top_k", "drop.param seed", "drop.param stop", "clamp n" })
  same({ body.temperature, body.stop, body.n }, { 0.5 })
end)

test("nothing is stored and thinking comes back encrypted unless the client chose", function()
  local body = encode(request({}))
  same({ body.store, body.include }, { false, { "reasoning.encrypted_content" } })
  body = again '{"input":"x","store":true}'
  same({ body.store, body.include }, { true })
end)

test("the safety identifier stays in its dialect", function()
  local body = encode(request({}, { identity = { user = "u", safety_id = "s" } }))
  same({ body.user, body.safety_identifier }, { "u" })
end)

test("a hidden summary alone does not turn thinking on (79)", function()
  same(encode(request({}, { reasoning = { visible = false } })).reasoning, nil)
  same(encode(request({}, { reasoning = { mode = "off" } })).reasoning, { effort = "none" })
end)

test("the same request is the same bytes (29, 100)", function()
  local text = fixture "codex-0.169"
  local first, ctx = decode(text)
  local second = decode(text)
  same(responses.encode_request(first, ctx) == responses.encode_request(second, ctx), true)
end)

-- Replay.

test("a reference is replaced by what was answered before", function()
  local replay = support.replay()
  replay.put("item:fc_1", '{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{}"}')
  local upstream = { dialect = "anthropic" }
  local found = decode([[{"input":[{"type":"item_reference","id":"fc_1"},
    {"type":"function_call_output","call_id":"c1","output":"x"}]}]],
    { replay = replay, upstream = upstream })
  same({ found.turns[1].blocks[1].id, found.turns[2].blocks[1].call_id }, { "c1", "c1" })
  local problem = refusal('{"input":[{"type":"item_reference","id":"fc_2"}]}',
    { replay = replay, upstream = upstream })
  same({ problem.class, problem.param, problem.message },
    { "bad_param", "input", "input: Item with id 'fc_2' not found." })
end)

test("an answer is remembered and continued", function()
  local replay = support.replay()
  local upstream = { dialect = "anthropic" }
  local made, ctx = decode('{"input":"one"}', { replay = replay, upstream = upstream })
  ctx.request = made
  responses.encode_response({
    id = "msg_1", model = "x", created = 5, usage = ir.usage(), choices = { {
      index = 0, blocks = { ir.text "two" }, stop = { reason = "end" },
    } },
  }, ctx)
  made, ctx = decode('{"input":"three","previous_response_id":"resp_msg_1"}',
    { replay = replay, upstream = upstream })
  local texts = {}
  for i, turn in ipairs(made.turns) do texts[i] = turn.role .. " " .. turn.blocks[1].text end
  same(texts, { "user one", "assistant two", "user three" })
  same(value(made.replay_input)[3].content[1].text, "three")
  assert(replay.texts["item:msg_resp_msg_1_0"])
end)

test("a client that stores nothing has nothing stored", function()
  local replay = support.replay()
  local made = decode('{"input":"one","store":false}', { replay = replay })
  same(made.replay_input, nil)
end)

test("unknown responses and conversations are refused for upstreams without memory only", function()
  local anthropic = { upstream = { dialect = "anthropic" } }
  same(refusal('{"input":"x","previous_response_id":"resp_9"}', anthropic).param,
    "previous_response_id")
  same(refusal('{"input":"x","conversation":{"id":"conv_9"}}', anthropic).param, "conversation")
  same(decode '{"input":"x","conversation":"conv_9"}'.service.conversation, "conv_9")
end)
