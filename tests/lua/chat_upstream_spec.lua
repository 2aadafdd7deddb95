--- Chat requests for upstreams, from the neutral form.

local chat = require "translators.chat"
local ir = require "lib.ir"
local json = require "json"
local normalise = require "lib.normalise"
local support = require "tests.chat_support"

local same_json = support.same_json

local function raw(text) return assert(json.raw(text)) end
local function user(...) return ir.turn("user", { ... }) end
local function assistant(...) return ir.turn("assistant", { ... }) end
local text = ir.text

local function call(id, name, args)
  return { type = "tool_call", kind = "function", id = id, name = name, args = args, complete = true }
end

local function result(id, ...)
  return { type = "tool_result", kind = "function", call_id = id, content = { ... }, is_error = false }
end

local function image(data)
  return {
    type = "image", source = { kind = "base64", media_type = "image/png", data = data or "iVBORw0=" },
  }
end

-- A request with turns and other fields, encoded after all passes of the hub.
local function encode(fields, options)
  options = options or {}
  local request = ir.request()
  for name, value in pairs(fields) do request[name] = value end
  local ctx = support.context(options)
  ctx.request = request
  local body = chat.encode_request(normalise.run(request, ctx), ctx)
  return json.decode(body), body, ctx
end

local function messages(turns, options)
  return encode({ turns = turns }, options).messages
end

-- --- the corpus ---------------------------------------------------------------------------------

-- Everything a request can carry, over a target that takes everything.
local RICH = {
  custom_tools = true, cache_key = true, developer_role = true, flatten_text = false, n_max = 8,
  logprobs = true, empty_content = "null", max_output_field = "max_completion_tokens",
  inputs = { image = true, image_url = true, pdf = true, audio = true, video = true },
  reasoning_field = "reasoning_content", search = true,
  sampling = { temperature = true, top_p = true, top_k = true, penalties = true, seed = true },
}

for path in io.popen("ls tests/fixtures/chat/*.json"):lines() do
  local name = path:match "([%w_]+)%.json$"
  local file <close> = assert(io.open(path))
  local body = file:read "a"
  test("what the request '" .. name .. "' carries is the same after decoding and encoding", function()
    local ctx = support.context { caps = RICH }
    same_json(chat.encode_request(chat.decode_request(body, ctx), ctx), body)
    same(support.codes(ctx), {})
  end)
  test("the request '" .. name .. "' is encoded to the same bytes every time", function()
    local first = support.through(body, { caps = RICH })
    same(support.through(body, { caps = RICH }) == first, true)
  end)
end

-- --- worked examples ----------------------------------------------------------------------------

local READ = raw
  '{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}'

test("worked example 5.1: a request of Claude Code for a Chat upstream", function()
  local _, body = encode({
    model = "glm-x", stream = true, max_output = 8000,
    reasoning = { mode = "budget", budget = 4000, visible = true },
    system = {
      { type = "text", text = "You are a coding agent.", level = "system",
        cache = { kind = "ephemeral" } },
    },
    tools = { { kind = "function", name = "Read", description = "Read a file", schema = READ } },
    turns = {
      user(text "Open notes.txt and app.lua"),
      assistant({ type = "thinking", text = "Two files.", form = "raw",
        sig = { family = "none", kind = "thinking", data = "" } }, text "Reading.",
        call("call_70", "Read", '{"path":"notes.txt"}')),
      user(result("call_70", text "buy milk"), text "Next file please"),
    },
  }, { client = "anthropic", caps = { reasoning_field = "reasoning_content" } })
  same_json(body, [[
{"model":"glm-x","stream":true,"stream_options":{"include_usage":true},"max_tokens":8000,"reasoning_effort":"medium",
 "messages":[{"role":"system","content":"You are a coding agent."},{"role":"user","content":"Open notes.txt and app.lua"},
  {"role":"assistant","content":"Reading.","reasoning_content":"Two files.","tool_calls":[{"id":"call_70","type":"function","function":{"name":"Read","arguments":"{\"path\":\"notes.txt\"}"}}]},
  {"role":"tool","tool_call_id":"call_70","content":"buy milk"},{"role":"user","content":"Next file please"}],
 "tools":[{"type":"function","function":{"name":"Read","description":"Read a file","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}}]}]])
end)

test("worked example 5.7: a request of Codex for a Chat upstream", function()
  local instruction = ir.turn("instruction", { text "Time is short." })
  instruction.level = "developer"
  local _, body, ctx = encode({
    model = "deep-x", stream = true, service = { store = false },
    reasoning = { mode = "level", level = "xhigh" },
    format = { kind = "schema", name = "out", strict = true, schema = raw '{"type":"object"}' },
    system = { { type = "text", text = "You are Codex.", level = "system" } },
    tools = { { kind = "function", name = "shell", strict = false,
      schema = raw '{"type":"object","properties":{"cmd":{"type":"string"}}}' } },
    turns = {
      user(text "ls"),
      assistant({ type = "thinking", text = "Run ls.", form = "raw" }, text "Running.",
        call("c1", "shell", '{"cmd":"ls"}')),
      instruction,
      user(result("c1", text "a.c", image())),
    },
  }, { client = "responses", caps = {
    reasoning_field = "reasoning_content",
    thinking = { kind = "level", levels = { "low", "medium", "high" } },
  } })
  same_json(body, [[
{"model":"deep-x","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"name":"out","strict":true,"schema":{"type":"object"}}},
 "messages":[{"role":"system","content":"You are Codex."},{"role":"user","content":"ls"},
  {"role":"assistant","content":"Running.","reasoning_content":"Run ls.","tool_calls":[{"id":"c1","type":"function","function":{"name":"shell","arguments":"{\"cmd\":\"ls\"}"}}]},
  {"role":"tool","tool_call_id":"c1","content":"a.c\n[attached below: image 1]"},
  {"role":"user","content":[{"type":"text","text":"Image 1 from tool call c1:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}}]},
  {"role":"system","content":"Time is short."}],
 "tools":[{"type":"function","function":{"name":"shell","parameters":{"type":"object","properties":{"cmd":{"type":"string"}}},"strict":false}}]}]])
  same(table.concat(support.codes(ctx), " "):find "map.lossy" ~= nil, true)
end)

test("worked example 5.8: a request of Gemini CLI for a Chat upstream", function()
  local id = "call_0901fb16cc16a90d78dd04b7"
  local _, body = encode({
    model = "gemini-2.5-pro", stream = true, identity = { session = "s9" },
    reasoning = { mode = "budget", budget = 8192, visible = true },
    sampling = { temperature = 0, top_p = 1, top_k = 64 },
    system = { { type = "text", text = "CLI agent.", level = "system" } },
    tools = { { kind = "function", name = "read_file", description = "r", schema = READ } },
    turns = {
      user(text "show a.c and b.c"),
      assistant({ type = "thinking", text = "plan", form = "raw" },
        call(id, "read_file", '{"path":"a.c"}')),
      user(result(id, text "int a;")),
    },
  }, { client = "gemini", upstream_model = "qwen-x" })
  same_json(body, [[
{"model":"qwen-x","stream":true,"stream_options":{"include_usage":true},"temperature":0,"top_p":1,"reasoning_effort":"medium",
 "messages":[{"role":"system","content":"CLI agent."},{"role":"user","content":"show a.c and b.c"},
  {"role":"assistant","content":"","tool_calls":[{"id":"call_0901fb16cc16a90d78dd04b7","type":"function","function":{"name":"read_file","arguments":"{\"path\":\"a.c\"}"}}]},
  {"role":"tool","tool_call_id":"call_0901fb16cc16a90d78dd04b7","content":"int a;"}],
 "tools":[{"type":"function","function":{"name":"read_file","description":"r","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}}]}]])
end)

-- --- pitfalls -----------------------------------------------------------------------------------

test("pitfall 35: a message that would be empty is not sent", function()
  local list = messages {
    user(text "a"), assistant { type = "thinking", text = "lost", form = "raw" },
    user(text "b"), assistant(call("c", "f", "{}")), user(result "c"),
  }
  local roles = {}
  for i, message in ipairs(list) do roles[i] = message.role end
  same(roles, { "user", "user", "assistant", "tool" })
end)

test("pitfall 37: nothing stands between calls and their results", function()
  local instruction = ir.turn("instruction", { text "now" })
  instruction.level = "system"
  -- As it would come from a decoder, past the pairing of the hub.
  local request = ir.request()
  request.turns = {
    assistant(call("a", "f", "{}"), call("b", "f", "{}")), instruction,
    user(result("a", text "1"), result("b", text "2"), text "go on"),
  }
  local ctx = support.context()
  local list = json.decode(chat.encode_request(request, ctx)).messages
  same({ list[2].role, list[3].role, list[4].role, list[5].role, #list },
    { "tool", "tool", "user", "system", 5 })
end)

test("pitfalls 40 and 41: one assistant message holds the text and all calls of a turn", function()
  local list = messages {
    user(text "x"),
    assistant(text "First.", call("a", "f", "{}"), text "Then.", call("b", "g", "{}")),
    user(result("a", text "1"), result("b", text "2")),
  }
  same({ #list, list[2].content, #list[2].tool_calls }, { 4, "First.\n\nThen.", 2 })
end)

test("pitfall 52: results of several parts are text, not JSON in text", function()
  local turns = { user(text "x"), assistant(call("a", "f", "{}")),
    user(result("a", text "one", text "two")) }
  same(messages(turns)[3].content, "one\n\ntwo")
  same_json(messages(turns, { caps = { flatten_text = false } })[3].content,
    '[{"type":"text","text":"one"},{"type":"text","text":"two"}]')
end)

test("pitfall 53: images of results follow in one user message behind all results", function()
  local list = messages {
    user(text "x"), assistant(call("a", "f", "{}"), call("b", "f", "{}")),
    user(result("a", image "iVBORw0A"), result("b", text "t", image "iVBORw0B"), text "Next"),
  }
  same({ #list, list[3].content, list[4].content },
    { 5, "[attached below: image 1]", "t\n[attached below: image 2]" })
  local kinds = {}
  for i, part in ipairs(list[5].content) do kinds[i] = part.text or part.image_url.url end
  same(kinds, { "Image 1 from tool call a:", "data:image/png;base64,iVBORw0A",
    "Image 2 from tool call b:", "data:image/png;base64,iVBORw0B", "Next" })
end)

test("pitfall 54: a result without content is an empty string", function()
  same(messages { user(text "x"), assistant(call("a", "f", "{}")), user(result "a") }[3].content, "")
end)

test("a failed result says so once", function()
  local failed, said = result("a", text "no file"), result("b", text "Error: no file")
  failed.is_error, said.is_error = true, true
  local list = messages {
    user(text "x"), assistant(call("a", "f", "{}"), call("b", "f", "{}")), user(failed, said),
  }
  same({ list[3].content, list[4].content }, { "Error: no file", "Error: no file" })
end)

test("pitfall 51: a call without arguments is sent an empty object", function()
  local list = messages { user(text "x"), assistant(call("a", "f", "")), user(result "a") }
  same(list[2].tool_calls[1]["function"].arguments, "{}")
end)

test("pitfall 58: a custom call is a function where the upstream knows none", function()
  local turns = {
    user(text "x"),
    assistant { type = "tool_call", kind = "custom", id = "a", name = "patch", args = 'say "x"' },
    user(result "a"),
  }
  local tools = { { kind = "custom", name = "patch" } }
  local body = encode { turns = turns, tools = tools }
  same(body.messages[2].tool_calls[1]["function"].arguments, [[{"input":"say \"x\""}]])
  same(body.tools[1]["function"].parameters.required[1], "input")
  body = encode({ turns = turns, tools = tools }, { caps = { custom_tools = true } })
  same({ body.messages[2].tool_calls[1].custom.input, body.tools[1].type }, { 'say "x"', "custom" })
end)

test("pitfall 42: names Chat does not take are changed in tools, history and choice alike", function()
  local body = encode {
    turns = { user(text "x"), assistant(call("a", "crop.image", "{}")), user(result "a") },
    tools = { { kind = "function", name = "crop.image", schema = READ } },
    tool_choice = { mode = "one", name = "crop.image" },
  }
  local name = body.tools[1]["function"].name
  same({ name:find "^[%w_-]+$" ~= nil, body.tool_choice["function"].name == name,
    body.messages[2].tool_calls[1]["function"].name == name }, { true, true, true })
end)

test("pitfall 60: stop sequences are a list of at most four", function()
  local body = encode { turns = { user(text "x") }, stop = { "a", "b", "c", "d", "e" } }
  same_json(body.stop, '["a","b","c","d"]')
  same_json(encode { turns = { user(text "x") }, stop = { "a" } }.stop, '["a"]')
end)

test("pitfall 59: no choice without tools, and parallel calls only beside tools", function()
  local body = encode { turns = { user(text "x") },
    tool_choice = { mode = "required", parallel = false } }
  same({ body.tool_choice, body.parallel_tool_calls, body.tools }, { nil, nil, nil })
end)

test("pitfall 70: reasoning is sent back where it is required", function()
  local caps = { reasoning_field = "reasoning_content", reasoning_required = true }
  local turns = { user(text "x"), assistant(call("a", "f", "{}")), user(result "a") }
  same(messages(turns, { caps = caps })[2].reasoning_content, "[reasoning unavailable]")
  turns[2] = assistant({ type = "thinking", text = "A", form = "raw" },
    { type = "thinking", text = "B", form = "raw" }, call("a", "f", "{}"))
  same(messages(turns, { caps = caps })[2].reasoning_content, "A\n\nB")
  same(messages(turns)[2].reasoning_content, nil)
end)

test("pitfall 76: an amount is clamped to what the target has", function()
  local body = encode({ turns = { user(text "x") }, reasoning = { mode = "level", level = "max" } },
    { client = "anthropic", caps = { thinking = { kind = "level", levels = { "low", "high" } } } })
  same(body.reasoning_effort, "high")
end)

test("thinking that is off is `none` where that is known, and left out elsewhere", function()
  local fields = { turns = { user(text "x") }, reasoning = { mode = "off" } }
  same(encode(fields).reasoning_effort, nil)
  same(encode(fields, { caps = { thinking = { kind = "level", levels = { "low" }, zero_ok = true } } })
    .reasoning_effort, "none")
end)

test("pitfalls 81 and 82: instructions are system messages, developer ones where they are known", function()
  local fields = { turns = { user(text "x") }, system = {
    { type = "text", text = "a", level = "system" }, { type = "text", text = "b", level = "developer" },
  } }
  same_json(encode(fields).messages,
    '[{"role":"system","content":"a\\n\\nb"},{"role":"user","content":"x"}]')
  same_json(encode(fields, { caps = { developer_role = true } }).messages,
    '[{"role":"system","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"x"}]')
end)

test("pitfall 83: the attribution of another vendor's client is not sent", function()
  same_json(encode({ turns = { user(text "x") }, system = {
    { type = "text", text = "x-anthropic-billing-header: v=1;", level = "system" },
  } }, { client = "anthropic" }).messages, '[{"role":"user","content":"x"}]')
end)

test("pitfall 93: the output limit has the upstream's name", function()
  local fields = { turns = { user(text "x") }, max_output = 9 }
  same(encode(fields).max_tokens, 9)
  same(encode(fields, { caps = { max_output_field = "max_completion_tokens" } }).max_completion_tokens, 9)
end)

test("pitfall 95: documents are files, and text documents are text", function()
  local pdf = { type = "document", source = { kind = "base64", media_type = "application/pdf",
    data = "JVBERi0=" } }
  local note = { type = "document", title = "Notes", source = { kind = "text", text = "buy milk" } }
  local list = messages({ user(pdf, note) }, { caps = { inputs = { pdf = true } } })
  same_json(list[1].content, '[{"type":"file","file":{"filename":"document.pdf",'
    .. '"file_data":"data:application/pdf;base64,JVBERi0="}},'
    .. '{"type":"text","text":"Notes\\n\\nbuy milk"}]')
end)

test("pitfall 100: what was sent before is sent again in the same bytes", function()
  local turns = { user(text "x"), assistant(call("call.1:2", "f", '{"b":1,"a":2}')),
    user(result("call.1:2", text "r")) }
  local _, first = encode { turns = turns }
  local longer = { turns[1], turns[2], turns[3], assistant(text "y"), user(text "z") }
  local _, second = encode { turns = longer }
  local head = first:match '^.-"messages":%[(.*)%]' or ""
  same({ #head > 50, second:find(head, 1, true) ~= nil }, { true, true })
end)

test("pitfalls 101 and 102: arguments and schemas keep their bytes", function()
  local args = '{"n":9007199254740993,"x":1.0,"t":"<a> & b"}'
  local body, text_of = encode {
    turns = { user(text "x"), assistant(call("a", "f", args)), user(result "a") },
    tools = { { kind = "function", name = "f",
      schema = raw '{"type":"object","properties":{"z":{"type":"number","maximum":1.5},"a":{"type":"string"}}}' } },
  }
  same(body.messages[2].tool_calls[1]["function"].arguments, args)
  same(text_of:find('{"z":{"type":"number","maximum":1.5},"a":{"type":"string"}}', 1, true) ~= nil, true)
end)

test("what belongs to the client's vendor goes to its own format only", function()
  local fields = { turns = { user(text "x") }, identity = { user = "u", safety_id = "s",
    metadata = { k = "v" } }, service = { store = true }, extras = { responses = { a = 1 } } }
  local body = encode(fields, { client = "responses" })
  same({ body.user, body.safety_identifier, body.metadata, body.store, body.a }, { "s" })
  body = encode(fields)
  same({ body.user, body.safety_identifier, body.metadata.k, body.store }, { "u", "s", "v", true })
end)

test("what has no place in Chat is dropped with a warning, and code is shown as text", function()
  local body, _, ctx = encode { turns = {
    user(text "x"),
    assistant(text "a",
      { type = "server_call", id = "s", tool = "web_search", input = raw '{"query":"q"}' },
      { type = "server_result", call_id = "s", tool = "code", output = "42" },
      { type = "opaque", dialect = "gemini", raw = raw "{}" }),
    user(text "y"),
  }, tools = { { kind = "server", name = "code", server = { tool = "code", config = {} } } } }
  same(body.messages[2].content, "a\n\n```\n42\n```")
  same(body.tools, nil)
  same(support.codes(ctx), { "drop.block", "drop.block", "drop.tool" })
end)

test("the search is an option, where the upstream has one", function()
  local tools = { { kind = "server", name = "web_search",
    server = { tool = "web_search", config = { context_size = "high", location = { city = "Bergen" } } } } }
  same_json(encode({ turns = { user(text "x") }, tools = tools }, { caps = { search = true } })
    .web_search_options,
    '{"search_context_size":"high","user_location":{"type":"approximate","approximate":{"city":"Bergen"}}}')
  same(encode { turns = { user(text "x") }, tools = tools }.web_search_options, nil)
end)

test("an upstream that refuses stream options gets none", function()
  local body = encode({ turns = { user(text "x") }, stream = true }, { caps = { stream_usage = false } })
  same({ body.stream, body.stream_options }, { true, nil })
end)

test("pitfall 32: ids that repeat in a history are told apart, calls and results alike", function()
  local list = messages {
    user(text "x"), assistant(call("call_0", "f", "{}")), user(result("call_0", text "1")),
    assistant(call("call_0", "f", "{}")), user(result("call_0", text "2")),
  }
  local first, second = list[2].tool_calls[1].id, list[4].tool_calls[1].id
  same({ first ~= second, list[3].tool_call_id == first, list[5].tool_call_id == second,
    list[5].content }, { true, true, true, "2" })
end)

test("pitfall 50: the schema of an object always has properties", function()
  local body = encode { turns = { user(text "x") },
    tools = { { kind = "function", name = "f", schema = raw '{"type":"object"}' } } }
  same_json(body.tools[1]["function"].parameters, '{"type":"object","properties":{}}')
end)

test("pitfall 55: of two results for one call the last one is sent", function()
  local list = messages {
    user(text "x"), assistant(call("a", "f", "{}")), user(result("a", text "1"), result("a", text "2")),
  }
  same({ #list, list[3].content }, { 3, "2" })
end)

test("pitfall 34: ids that are too long are shortened, on calls and results alike", function()
  local long = ("read_file__"):rep(9)
  local list = messages {
    user(text "x"), assistant(call(long, "f", "{}")), user(result(long, text "1")),
  }
  same({ #list[2].tool_calls[1].id <= 64, list[3].tool_call_id == list[2].tool_calls[1].id },
    { true, true })
end)

test("pitfall 97: formats of answers are sent where the upstream knows them", function()
  same_json(encode { turns = { user(text "x") }, format = { kind = "json" } }.response_format,
    '{"type":"json_object"}')
  same_json(encode { turns = { user(text "x") },
    format = { kind = "schema", schema = raw '{"type":"object"}' } }.response_format,
    '{"type":"json_schema","json_schema":{"name":"output","schema":{"type":"object"}}}')
  same(encode { turns = { user(text "x") }, format = { kind = "text" } }.response_format, nil)
end)
