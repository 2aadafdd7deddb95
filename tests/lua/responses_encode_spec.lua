--- Answers for Responses clients: streams and whole responses.

local ir = require "lib.ir"
local json = require "json"
local responses = require "translators.responses"
local support = require "tests.responses_support"

local context, types, value = support.context, support.types, support.value

local function encode(events, given)
  local ctx = context(given)
  return support.encode(responses.encode_stream(ctx), events), ctx
end

local START = { type = "start", id = "x1", model = "up", created = 1760000002 }
local END = { type = "end" }

local function stop(reason) return { type = "stop", stop = { reason = reason } } end

local function text_block(idx, text)
  return { type = "block_start", idx = idx, block = ir.text "" },
    { type = "text_delta", idx = idx, text = text }, { type = "block_stop", idx = idx }
end

local function call_block(idx, id, name, args, more)
  local block = { type = "tool_call", id = id, name = name, kind = "function", args = "", complete = false }
  for key, each in pairs(more or {}) do block[key] = each end
  return { type = "block_start", idx = idx, block = block },
    { type = "args_delta", idx = idx, text = args },
    { type = "block_stop", idx = idx, final = { complete = true } }
end

local function list(...)
  return { ... }
end

local function join(...)
  local all = {}
  for _, part in ipairs { ... } do
    for _, each in ipairs(part) do all[#all + 1] = each end
  end
  return all
end

local function last(frames) return frames[#frames] end

local function has(frames, kind)
  for _, frame in ipairs(frames) do if frame.type == kind then return frame end end
  return nil
end

-- Members that an expected value names are compared.
local function includes(got, wanted, path)
  for name, each in pairs(wanted) do
    local where = path .. "." .. name
    if type(each) == "table" then
      if type(got[name]) ~= "table" then error(where .. " is " .. tostring(got[name])) end
      if json.is_array(each) then same({ where, #got[name] }, { where, #each }) end
      includes(got[name], each, where)
    else
      same({ where, got[name] }, { where, each })
    end
  end
end

local function matches(frames, lines)
  same(#frames, #lines)
  for i, line in ipairs(lines) do includes(frames[i], value(line), "frame " .. i - 1) end
end

local CODEX = [[{"model":"claude-opus-4-7","instructions":"You are Codex.","stream":true,"store":false,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"medium","summary":"auto"},"parallel_tool_calls":false,"tool_choice":"auto","prompt_cache_key":"s-1",
 "tools":[{"type":"custom","name":"apply_patch","description":"Patch files","format":{"type":"grammar","syntax":"lark","definition":"start: LINE"}},{"type":"namespace","name":"docs","description":"d","tools":[{"type":"function","name":"lookup","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}]}],
 "input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"Sandbox: on"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"Fix a.c"}]},
  {"type":"reasoning","summary":[{"type":"summary_text","text":"Look up first."}],"encrypted_content":"sc1~a~t~RXFNYWRlVXBTaWc"},
  {"type":"function_call","call_id":"toolu_1","name":"lookup","namespace":"docs","arguments":"{\"q\":\"a\"}"},{"type":"function_call_output","call_id":"toolu_1","output":[{"type":"input_text","text":"none"}]}]}]]

test("Codex over Claude: its request is understood (example 5.6)", function()
  local request = responses.decode_request(CODEX, context())
  same(request.system, {
    { type = "text", text = "You are Codex.", level = "system" },
    { type = "text", text = "Sandbox: on", level = "developer", item = { group = 0 } },
  })
  same({ request.reasoning, request.tool_choice }, {
    { mode = "level", level = "medium", visible = true, detail = "auto", from_suffix = false },
    { mode = "auto", parallel = false },
  })
  same(request.turns[2].blocks, {
    { type = "thinking", text = "Look up first.", parts = { "Look up first." }, form = "summary",
      sig = { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" } },
    { type = "tool_call", id = "toolu_1", name = "lookup", namespace = "docs", kind = "function",
      args = '{"q":"a"}', complete = true },
  })
  same({ request.tools[1].kind, request.tools[1].format ~= nil, request.tools[2].namespace,
    request.cache.key }, { "custom", true, "docs", "s-1" })
  same(request.turns[3].blocks[1].content, { ir.text "none" })
end)

test("Codex over Claude: the stream of its answer (example 5.6, 23, 24, 57, 58)", function()
  local ctx = { model = "claude-opus-4-7", client = { dialect = "responses", variant = "codex" } }
  ctx.request = responses.decode_request(CODEX, context())
  local frames = encode(join({ { type = "start", id = "msg_7", created = 5 },
      { type = "usage", usage = { input = 100, cache_read = 90 } } },
    list(text_block(0, "Patching.")),
    list(call_block(1, "toolu_2", "apply_patch", "*** Begin Patch", { kind = "custom" })),
    list(call_block(2, "toolu_3", "lookup", '{"q":"b"}', { namespace = "docs" })),
    { { type = "usage", usage = { output = 33 } }, stop "tool_call", END }), ctx)
  matches(frames, {
    '{"type":"response.created","response":{"id":"resp_msg_7","object":"response","status":"in_progress","model":"claude-opus-4-7","output":[],"instructions":"You are Codex.","parallel_tool_calls":false,"store":false,"temperature":1,"top_p":1,"truncation":"disabled","tool_choice":"auto"}}',
    '{"type":"response.in_progress"}',
    '{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_resp_msg_7_0","type":"message","status":"in_progress","role":"assistant","content":[]}}',
    '{"type":"response.content_part.added","item_id":"msg_resp_msg_7_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}',
    '{"type":"response.output_text.delta","item_id":"msg_resp_msg_7_0","output_index":0,"content_index":0,"delta":"Patching.","logprobs":[]}',
    '{"type":"response.output_text.done","item_id":"msg_resp_msg_7_0","text":"Patching.","logprobs":[]}',
    '{"type":"response.content_part.done","content_index":0,"part":{"type":"output_text","text":"Patching.","annotations":[],"logprobs":[]}}',
    '{"type":"response.output_item.done","output_index":0,"item":{"id":"msg_resp_msg_7_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Patching.","annotations":[],"logprobs":[]}]}}',
    '{"type":"response.output_item.added","output_index":1,"item":{"id":"ctc_toolu_2","type":"custom_tool_call","status":"in_progress","call_id":"toolu_2","name":"apply_patch","input":""}}',
    '{"type":"response.custom_tool_call_input.delta","item_id":"ctc_toolu_2","output_index":1,"delta":"*** Begin Patch"}',
    '{"type":"response.custom_tool_call_input.done","input":"*** Begin Patch"}',
    '{"type":"response.output_item.done","output_index":1,"item":{"id":"ctc_toolu_2","type":"custom_tool_call","status":"completed","call_id":"toolu_2","name":"apply_patch","input":"*** Begin Patch"}}',
    '{"type":"response.output_item.added","output_index":2,"item":{"id":"fc_toolu_3","type":"function_call","status":"in_progress","call_id":"toolu_3","name":"lookup","namespace":"docs","arguments":""}}',
    '{"type":"response.function_call_arguments.delta","item_id":"fc_toolu_3","output_index":2,"delta":"{\\"q\\":\\"b\\"}"}',
    '{"type":"response.function_call_arguments.done","item_id":"fc_toolu_3","output_index":2,"name":"lookup","arguments":"{\\"q\\":\\"b\\"}"}',
    '{"type":"response.output_item.done","output_index":2,"item":{"id":"fc_toolu_3","type":"function_call","status":"completed","call_id":"toolu_3","name":"lookup","namespace":"docs","arguments":"{\\"q\\":\\"b\\"}"}}',
    '{"type":"response.completed","response":{"id":"resp_msg_7","status":"completed","output":[{"type":"message"},{"type":"custom_tool_call"},{"type":"function_call"}],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":90,"cache_write_tokens":0},"output_tokens":33,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":133}}}',
  })
end)

test("Codex over Chat: its request and the stream of its answer (example 5.7)", function()
  local text = [[{"model":"deep-x","instructions":"You are Codex.","stream":true,"store":false,"reasoning":{"effort":"xhigh"},"text":{"format":{"type":"json_schema","name":"out","strict":true,"schema":{"type":"object"}}},"tools":[{"type":"function","name":"shell","parameters":{"type":"object","properties":{"cmd":{"type":"string"}}},"strict":false}],
 "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"ls"}]},{"type":"reasoning","summary":[],"encrypted_content":"sc1~n~n~","content":[{"type":"reasoning_text","text":"Run ls."}]},
  {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Running."}]},{"type":"function_call","call_id":"c1","name":"shell","arguments":"{\"cmd\":\"ls\"}"},
  {"type":"message","role":"developer","content":[{"type":"input_text","text":"Time is short."}]},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"a.c"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0="}]}]}]]
  local request = responses.decode_request(text, context())
  same({ request.turns[2].blocks[1].text, request.turns[2].blocks[2].text, request.turns[2].blocks[3].id,
    request.turns[3].role, request.turns[4].blocks[1].content[2].source.data, request.format.strict },
    { "Run ls.", "Running.", "c1", "instruction", "iVBORw0=", true })
  local frames = encode(join({ START,
      { type = "block_start", idx = 0, block = { type = "thinking", text = "", form = "raw" } },
      { type = "thinking_delta", idx = 0, text = "Check." }, { type = "block_stop", idx = 0 } },
    list(call_block(1, "call_9Qp", "shell", '{"cmd":"cat a.c"}')),
    { { type = "usage", usage = { input = 20, output = 9 } }, stop "tool_call", END }),
    { request = request, model = "deep-x" })
  matches(frames, {
    '{"type":"response.created","response":{"id":"resp_x1"}}', '{"type":"response.in_progress"}',
    '{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_resp_x1_0","type":"reasoning","summary":[]}}',
    '{"type":"response.reasoning_summary_part.added","item_id":"rs_resp_x1_0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}',
    '{"type":"response.reasoning_summary_text.delta","delta":"Check."}',
    '{"type":"response.reasoning_summary_text.done","text":"Check."}',
    '{"type":"response.reasoning_summary_part.done","part":{"type":"summary_text","text":"Check."}}',
    '{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_resp_x1_0","type":"reasoning","summary":[{"type":"summary_text","text":"Check."}],"encrypted_content":"sc1~n~n~"}}',
    '{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_call_9Qp","type":"function_call","status":"in_progress","call_id":"call_9Qp","name":"shell","arguments":""}}',
    '{"type":"response.function_call_arguments.delta","delta":"{\\"cmd\\":\\"cat a.c\\"}"}',
    '{"type":"response.function_call_arguments.done","name":"shell","arguments":"{\\"cmd\\":\\"cat a.c\\"}"}',
    '{"type":"response.output_item.done","output_index":1,"item":{"status":"completed","arguments":"{\\"cmd\\":\\"cat a.c\\"}"}}',
    '{"type":"response.completed","response":{"status":"completed","output":[{"type":"reasoning"},{"type":"function_call"}],"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":29}}}',
  })
end)

test("usage always has its details, also when the upstream told none (22)", function()
  local usage = last(encode { START, stop "end", END }).response.usage
  same(usage, value [[{"input_tokens":0,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
    "output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":0}]])
end)

test("cache counters reach the client, streamed or whole (86)", function()
  local counts = { input = 10, cache_read = 4, cache_write = 3, output = 5, reasoning = 2 }
  local streamed = last(encode { START, { type = "usage", usage = counts }, stop "end", END }).response.usage
  local whole = value(responses.encode_response({ id = "a", model = "m", created = 1, usage = counts,
    choices = { { index = 0, blocks = {}, stop = { reason = "end" } } } }, context())).usage
  same(streamed, whole)
  same({ whole.input_tokens_details, whole.output_tokens_details },
    { { cached_tokens = 4, cache_write_tokens = 3 }, { reasoning_tokens = 2 } })
end)

test("every stream ends with one terminal event (20)", function()
  same(types(encode { START, END }), { "response.created", "response.in_progress", "response.completed" })
  local frames = encode(join({ START }, list(text_block(0, "a")), { stop "end", END, END, stop "end" }))
  same(last(frames).type, "response.completed")
  local encoder = responses.encode_stream(context())
  encoder.event(START)
  local ended = encoder.eof()
  same({ ended[1].name, ended[2].name, #ended, #encoder.eof() }, { "error", "response.failed", 2, 0 })
end)

test("a broken stream fails and its open call is not among the items (21)", function()
  local open, delta = call_block(0, "c", "f", '{"a')
  local frames = encode { START, open, delta,
    { type = "error", error = { kind = "truncated", status = 502, message = "gone" } } }
  same({ frames[#frames - 1].type, last(frames).type, last(frames).response.error.code,
    #last(frames).response.output }, { "error", "response.failed", "server_error", 0 })
  same(has(frames, "response.output_item.done"), nil)
end)

test("Codex gets no error event, and codes it knows (89)", function()
  for kind, code in pairs { overloaded = "server_is_overloaded", rate_limit = "rate_limit_exceeded",
    context_length = "context_length_exceeded", server = "server_error" } do
    local frames = encode({ START, { type = "error", error = { kind = kind, message = "m" } } },
      { client = { dialect = "responses", variant = "codex" } })
    same({ #frames, last(frames).type, last(frames).response.error.code, last(frames).response.status },
      { 3, "response.failed", code, "failed" })
  end
end)

test("stop reasons become the status of the response (8, 90)", function()
  local function status(reason)
    local response = last(encode(join({ START }, list(text_block(0, "a")), { stop(reason), END }))).response
    return response.status .. " " .. tostring(type(response.incomplete_details) == "table"
      and response.incomplete_details.reason) .. " " .. tostring(response.output[1].status)
  end
  same({ status "end", status "max_tokens", status "context_window", status "content_filter",
    status "refusal", status "pause", status "unknown", status "malformed_call" }, {
    "completed false completed", "incomplete max_output_tokens incomplete",
    "incomplete max_output_tokens incomplete", "incomplete content_filter incomplete",
    "incomplete content_filter incomplete", "completed false completed", "completed false completed",
    "failed false completed" })
end)

test("a refusal is a part of its own, for Codex a text", function()
  local events = { START, { type = "block_start", idx = 0, block = { type = "refusal", text = "" } },
    { type = "refusal_delta", idx = 0, text = "No." }, { type = "block_stop", idx = 0 },
    stop "refusal", END }
  local response = last(encode(events)).response
  same({ response.status, response.output[1].content[1] }, { "completed", { type = "refusal", refusal = "No." } })
  local frames = encode(events, { client = { dialect = "responses", variant = "codex" } })
  same(last(frames).response.output[1].content[1].text, "No.")
  same(has(frames, "response.refusal.delta"), nil)
end)

test("text after a call is a new message (16, 24)", function()
  local frames = encode(join({ START }, list(text_block(0, "a")), list(call_block(1, "c", "f", "{}")),
    list(text_block(2, "b")), { stop "end", END }))
  local seen = {}
  for i, item in ipairs(last(frames).response.output) do seen[i] = item.type .. " " .. item.id end
  same(seen, { "message msg_resp_x1_0", "function_call fc_c", "message msg_resp_x1_2" })
end)

test("texts in a row are parts of one message", function()
  local frames = encode(join({ START }, list(text_block(0, "a")), list(text_block(1, "b")), { stop "end", END }))
  same({ #last(frames).response.output, last(frames).response.output[1].content[2].text }, { 1, "b" })
end)

test("interleaved calls keep their items apart (14, 23)", function()
  local a1, a2, a3 = call_block(0, "a", "f", "{}")
  local b1, b2, b3 = call_block(1, "b", "g", "[]")
  local frames = encode { START, a1, b1, b2, a2, b3, a3, stop "tool_call", END }
  local output = last(frames).response.output
  same({ output[1].arguments, output[2].arguments, output[1].call_id }, { "{}", "[]", "a" })
end)

test("a call without arguments has an empty object, also in its deltas (51)", function()
  local open, _, close = call_block(0, "c", "f", "")
  local frames = encode { START, open, close, stop "tool_call", END }
  same({ has(frames, "response.function_call_arguments.delta").delta,
    has(frames, "response.function_call_arguments.done").arguments }, { "{}", "{}" })
end)

test("equal call ids do not share an item id (32)", function()
  local frames = encode(join({ START }, list(call_block(0, "c", "f", "{}")), list(call_block(1, "c", "f", "{}")),
    { stop "tool_call", END }))
  local output = last(frames).response.output
  same({ output[1].id, output[2].id }, { "fc_c", "fc_c_2" })
end)

test("long ids are cut to what the dialect takes (34)", function()
  local frames = encode(join({ START }, list(call_block(0, ("c"):rep(64), "f", "{}")), { stop "end", END }))
  assert(#last(frames).response.output[1].id <= 64)
end)

test("signatures are carried, the own family bare (65, 71)", function()
  local function shown(block, sig)
    local events = { START, { type = "block_start", idx = 0, block = block } }
    if sig then events[#events + 1] = { type = "signature", idx = 0, sig = sig, mode = "set" } end
    for _, each in ipairs { { type = "block_stop", idx = 0 }, stop "end", END } do events[#events + 1] = each end
    return last(encode(events)).response.output[1].encrypted_content
  end
  same(shown({ type = "thinking", text = "" }, { family = "openai", kind = "reasoning", data = "gAAAAABx" }), "gAAAAABx")
  same(shown({ type = "thinking", text = "" }, { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" }),
    "sc1~a~t~RXFNYWRlVXBTaWc")
  same(shown { type = "redacted_thinking", sig = { family = "anthropic", kind = "redacted", data = "Red" } },
    "sc1~a~r~UmVk")
end)

test("the signature of a call travels in the reasoning before it", function()
  local sig = { family = "google", kind = "call", data = "AB" }
  local request = responses.decode_request('{"input":"x","include":["reasoning.encrypted_content"]}', context())
  local call = join(list(call_block(1, "c", "f", "{}", { sig = sig })), { stop "tool_call", END })
  local thought = { { type = "block_start", idx = 0, block = { type = "thinking", text = "" } },
    { type = "thinking_delta", idx = 0, text = "t" }, { type = "block_stop", idx = 0 } }
  local output = last(encode(join({ START }, thought, call), { request = request })).response.output
  same({ #output, output[1].encrypted_content, output[1].summary[1].text }, { 2, "sc1~g~f~QUI", "t" })
  output = last(encode(join({ START }, list(text_block(0, "a")), call), { request = request })).response.output
  same({ output[1].type, output[2].encrypted_content, #output[2].summary, output[3].type },
    { "message", "sc1~g~f~QUI", 0, "function_call" })
  same(#last(encode(join({ START }, list(text_block(0, "a")), call))).response.output, 2)
end)

test("summary parts of one item stay one item (17)", function()
  local frames = encode { START, { type = "block_start", idx = 0, block = { type = "thinking", text = "" } },
    { type = "thinking_delta", idx = 0, text = "a" }, { type = "thinking_part", idx = 0, part = 1 },
    { type = "thinking_delta", idx = 0, text = "b" }, { type = "block_stop", idx = 0 }, stop "end", END }
  local summary = last(frames).response.output[1].summary
  same({ summary[1].text, summary[2].text, #last(frames).response.output }, { "a", "b", 1 })
end)

test("a search shows its query and what it found (103)", function()
  local frames = encode { START,
    { type = "block_start", idx = 0, block = { type = "server_call", id = "srvtoolu_1", tool = "web_search", status = "in_progress" } },
    { type = "block_stop", idx = 0, final = { input = json.raw '{"query":"q"}' } },
    { type = "block_start", idx = 1, block = { type = "server_result", call_id = "srvtoolu_1", tool = "web_search",
      results = { { url = "https://x.example/", title = "X" } } } },
    { type = "block_stop", idx = 1 }, stop "end", END }
  same(types(frames), { "response.created", "response.in_progress", "response.output_item.added",
    "response.web_search_call.in_progress", "response.web_search_call.searching",
    "response.web_search_call.completed", "response.output_item.done", "response.completed" })
  same(last(frames).response.output[1], value [[{"type":"web_search_call","id":"ws_srvtoolu_1","status":"completed",
    "action":{"type":"search","query":"q","sources":[{"type":"url","url":"https://x.example/"}]}}]])
end)

test("an image comes with its previews", function()
  local frames = encode { START,
    { type = "block_start", idx = 0, block = { type = "image", source = { kind = "base64", media_type = "image/png", data = "" } } },
    { type = "media_delta", idx = 0, data = "QQ==", partial_index = 0 },
    { type = "block_stop", idx = 0, final = { source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } } },
    stop "end", END }
  same(has(frames, "response.image_generation_call.partial_image").partial_image_b64, "QQ==")
  same({ last(frames).response.output[1].result, last(frames).response.output[1].output_format }, { "iVBORw0=", "png" })
end)

test("citations are annotations, without offsets over the whole text (104)", function()
  local frames = encode { START, { type = "block_start", idx = 0, block = ir.text "" },
    { type = "text_delta", idx = 0, text = "äb" },
    { type = "citation", idx = 0, citation = { kind = "url", url = "https://x.example/" } },
    { type = "block_stop", idx = 0 }, stop "end", END }
  same(last(frames).response.output[1].content[1].annotations[1], { type = "url_citation",
    url = "https://x.example/", title = "", start_index = 0, end_index = 2 })
end)

test("the client sees its own name of the model, and an id and time of ours (98, 99)", function()
  local response = last(encode({ { type = "start", id = "", created = 0 }, stop "end", END }, { model = "mine" })).response
  same({ response.model, response.created_at, response.id:sub(1, 5), #response.id },
    { "mine", 1760000000, "resp_", 29 })
end)

test("text in frames is not escaped for HTML (102)", function()
  local encoder = responses.encode_stream(context())
  encoder.event(START)
  local open, delta = text_block(0, "<a&b>")
  encoder.event(open)
  assert(encoder.event(delta)[1].data:find('"delta":"<a&b>"', 1, true))
end)

test("what the dialect cannot show is dropped with a warning", function()
  local frames, ctx = encode { START, { type = "block_start", idx = 0, block = { type = "audio", source = {} } },
    { type = "media_delta", idx = 0, data = "x" }, { type = "block_stop", idx = 0 }, stop "end", END }
  same({ #last(frames).response.output, support.warned(ctx)[1] }, { 0, "drop.block output" })
end)

test("a whole response is what its stream would have told", function()
  local body = value(responses.encode_response({
    id = "a", model = "up", created = 5, usage = { input = 3, output = 4 }, choices = { {
      index = 0, stop = { reason = "tool_call" }, blocks = {
        { type = "thinking", text = "t", form = "summary" }, ir.text "b",
        { type = "tool_call", id = "c", name = "f", kind = "function", args = '{"a":1.0}', complete = true },
      },
    } },
  }, context()))
  same({ body.status, body.output[1].summary[1].text, body.output[2].content[1].text,
    body.output[3].arguments, body.usage.total_tokens, body.output_text },
    { "completed", "t", "b", '{"a":1.0}', 7 })
end)

test("events for blocks that never opened are skipped", function()
  same(#encode { START, { type = "text_delta", idx = 4, text = "a" }, { type = "block_stop", idx = 4 }, END }, 3)
end)

test("decoding what was encoded gives the same events again", function()
  local events = join({ START }, list(text_block(0, "a")), list(call_block(1, "c", "f", "{}")),
    { { type = "usage", usage = { input = 3, output = 4 } }, stop "tool_call", END })
  local decoder, texts = responses.decode_stream(context()), {}
  for _, frame in ipairs(encode(events)) do texts[#texts + 1] = json.encode(frame) end
  local again = support.decode(decoder, texts)
  same(types(again), types(events))
end)
