--- Whole answers of Anthropic, both ways.

local anthropic = require "translators.anthropic"
local support = require "tests.anthropic_support"
local ir = require "lib.ir"
local json = require "json"
local reject = require "lib.reject"

local ctx, value, same_json = support.ctx, support.value, support.same_json

local VISIBLE = { mode = "auto", visible = true }

local function encode(blocks, reason, fields)
  local response = ir.response()
  response.id = "r1"
  response.choices[1] = { index = 0, blocks = blocks, stop = { reason = reason or "end" } }
  for name, each in pairs(fields or {}) do response[name] = each end
  local context = ctx("anthropic", "chat", nil, {
    model = "glm-x", request = { reasoning = VISIBLE, extras = {} },
  })
  local text = anthropic.encode_response(response, context)
  return value(text), context, text
end

local function decode(text, client, caps)
  return anthropic.decode_response(text, ctx(client or "chat", "anthropic", caps))
end

local function call(sig)
  return { type = "tool_call", id = "c1", name = "f", kind = "function", args = '{"a":1.0}', complete = true,
    sig = sig }
end

test("an answer has thinking, text and calls in the order of its blocks", function()
  local got, _, text = encode({
    { type = "thinking", text = "Hm.", form = "raw" }, ir.text "Sure.", call(),
  }, "end", { usage = { input = 900, cache_read = 600, output = 40, reasoning = 10 }, service_tier = "default" })
  same_json(got, [[{"id":"msg_r1","type":"message","role":"assistant","model":"glm-x","content":[
    {"type":"thinking","thinking":"Hm.","signature":"sc1~n~n~"},{"type":"text","text":"Sure."},
    {"type":"tool_use","id":"c1","name":"f","input":{"a":1.0}}],
    "stop_reason":"tool_use","stop_sequence":null,"stop_details":null,
    "usage":{"input_tokens":300,"cache_read_input_tokens":600,"cache_creation_input_tokens":0,
      "output_tokens":40,"output_tokens_details":{"thinking_tokens":10},"service_tier":"standard"}}]])
  assert(text:find('"input":{"a":1.0}', 1, true))
end)

test("the signature of a call is bound to the thinking before it, or to a block of its own", function()
  local sig = { family = "google", kind = "call", data = "x" }
  local thought = { type = "thinking", text = "t", form = "raw" }
  same(encode({ thought, call(sig) }).content[1].signature, "sc1~g~f~eA")
  local content = encode({ ir.text "a", call(sig) }).content
  same({ content[2].type, content[2].thinking, content[2].signature, content[3].type },
    { "thinking", "", "sc1~g~f~eA", "tool_use" })
end)

test("an answer of nothing has one empty text", function()
  same_json(encode({}).content, [==[[{"type":"text","text":""}]]==])
  same_json(encode({ { type = "image", source = {} } }).content, [==[[{"type":"text","text":""}]]==])
end)

test("stop reasons, their sequences and details", function()
  local response = ir.response()
  response.choices[1] = { index = 0, blocks = { ir.text "a" },
    stop = { reason = "stop_sequence", sequence = "END" } }
  local got = value(anthropic.encode_response(response, ctx("anthropic", "chat", nil, { model = "m" })))
  same({ got.stop_reason, got.stop_sequence }, { "stop_sequence", "END" })
  for reason, native in pairs {
    max_tokens = "max_tokens", context_window = "model_context_window_exceeded", pause = "pause_turn",
    content_filter = "refusal", unknown = "end_turn", compaction = "end_turn", malformed_call = "end_turn",
    tool_call = "end_turn", cancelled = "end_turn",
  } do
    same({ reason, encode({ ir.text "a" }, reason).stop_reason }, { reason, native })
  end
  got = encode({ { type = "refusal", text = "No." } }, "end")
  same({ got.stop_reason, got.stop_details.explanation, got.content[1].text }, { "refusal", "No.", "No." })
end)

test("a search is shown and counted", function()
  local got = encode({
    { type = "server_call", id = "ws", tool = "web_search", input = json.raw '{"query":"q"}' },
    { type = "server_result", call_id = "ws", tool = "web_search", results = { { url = "u", title = "t" } } },
    { type = "server_call", id = "x", tool = "image_gen" },
    { type = "text", text = "a", citations = { { kind = "url", url = "u", title = "t", quote = "q" } } },
  })
  same_json(got.content, [==[[
    {"type":"server_tool_use","id":"srvtoolu_ws","name":"web_search","input":{"query":"q"}},
    {"type":"web_search_tool_result","tool_use_id":"srvtoolu_ws","content":[
      {"type":"web_search_result","url":"u","title":"t","page_age":null,"encrypted_content":""}]},
    {"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"u","title":"t",
      "cited_text":"q","encrypted_index":""}]}]]==])
  same(got.usage.server_tool_use.web_search_requests, 1)
end)

test("arguments that are no JSON do not break the answer", function()
  local broken = call()
  broken.args = '{"a'
  local got, context = encode({ broken })
  same({ #got.content, context.warnings[1].code }, { 1, "map.lossy" })
end)

test("Claude's answer is read", function()
  local got = decode [[{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[
    {"type":"thinking","thinking":"t","signature":"S"},{"type":"redacted_thinking","data":"R"},
    {"type":"text","text":"a","citations":[{"type":"char_location","cited_text":"q","document_index":2,
      "document_title":"D","start_char_index":0,"end_char_index":1}]},
    {"type":"tool_use","id":"t1","name":"f","input":{"big":9007199254740993,"x":1.0}},
    {"type":"mystery","x":[1]}],
    "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"cache_read_input_tokens":90,
    "cache_creation_input_tokens":5,"output_tokens":7,"service_tier":"standard"}}]]
  local blocks = got.choices[1].blocks
  same(blocks[1].sig, { family = "anthropic", kind = "thinking", data = "S" })
  same(blocks[2].sig, { family = "anthropic", kind = "redacted", data = "R" })
  same({ blocks[3].citations[1].kind, blocks[3].citations[1].doc_index, blocks[3].citations[1].title },
    { "document", 2, "D" })
  same(blocks[4].args, '{"big":9007199254740993,"x":1.0}')
  same({ blocks[5].type, tostring(blocks[5].raw) }, { "opaque", '{"type":"mystery","x":[1]}' })
  -- Claude's endpoints say end_turn, the call says more.
  same(got.choices[1].stop, { reason = "tool_call", native = "end_turn" })
  same({ got.usage.input, got.usage.cache_read, got.usage.cache_write, got.usage.output }, { 105, 90, 5, 7 })
  same({ got.id, got.model, got.created, got.service_tier }, { "msg_1", "c", 1760000000, "default" })
end)

test("an error in place of an answer is refused, as are texts that are none", function()
  local none, err = decode '{"type":"error","error":{"type":"overloaded_error","message":"m"}}'
  same({ none, err.kind, err.message }, { nil, "overloaded", "m" })
  for _, text in ipairs { "", "[]", "7", "<html>" } do
    local fine, problem = pcall(decode, text)
    same({ text, fine, reject.is(problem) }, { text, false, true })
  end
end)

test("nonsense in an answer never raises a raw error", function()
  local values = { "null", "7", '""', '"x"', "[]", "{}", "[null]", "[[]]", "[7]", '[{"type":7}]', "true",
    '[{"type":"text"}]', '[{"type":"text","text":7,"citations":{}}]', '[{"type":"text","text":"a","citations":[7]}]',
    '[{"type":"thinking","thinking":{},"signature":[]}]', '[{"type":"tool_use","id":7,"name":null,"input":null}]',
    '[{"type":"tool_use","input":"x"}]', '[{"type":"server_tool_use","name":{},"input":7}]',
    '[{"type":"web_search_tool_result","content":7}]', '[{"type":"web_search_tool_result","content":[7,{"url":7}]}]',
    '[{"type":"code_execution_tool_result","content":{"stdout":7}}]', '[{"type":"redacted_thinking"}]',
    '[{"type":"mcp_tool_result","content":[{"text":7}]}]', '{"input_tokens":"x","cache_creation":7}' }
  for _, name in ipairs { "id", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage", "type" } do
    for _, each in ipairs(values) do
      local text = ('{"%s":%s}'):format(name, each)
      local fine, problem = pcall(decode, text)
      assert(fine or reject.is(problem), text .. " " .. tostring(problem))
      if fine and problem then
        -- What was read can be written.
        anthropic.encode_response(problem, ctx("anthropic", "anthropic", nil, { model = "m" }))
      end
    end
  end
end)

test("an answer read and written is the same", function()
  local text = [[{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[
    {"type":"thinking","thinking":"t","signature":"S"},{"type":"redacted_thinking","data":"R"},
    {"type":"server_tool_use","id":"srvtoolu_1","name":"bash_code_execution","input":{"command":"ls"},
      "caller":{"type":"direct"}},
    {"type":"bash_code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{
      "type":"bash_code_execution_result","stdout":"a","stderr":"","return_code":0,"content":[]}},
    {"type":"text","text":"a","citations":[{"type":"page_location","cited_text":"q","document_index":0,
      "document_title":null,"start_page_number":1,"end_page_number":2}]},
    {"type":"tool_use","id":"t1","name":"f","input":{"x":1.0}},{"type":"container_upload","file_id":"f"}],
    "stop_reason":"tool_use","stop_sequence":null,"stop_details":null,
    "usage":{"input_tokens":10,"cache_read_input_tokens":90,"cache_creation_input_tokens":5,"output_tokens":7,
    "cache_creation":{"ephemeral_1h_input_tokens":2,"ephemeral_5m_input_tokens":3},
    "output_tokens_details":{"thinking_tokens":3},"service_tier":"standard"}}]]
  local context = ctx("anthropic", "anthropic", nil, { model = "c" })
  same_json(anthropic.encode_response(anthropic.decode_response(text, context), context), text)
end)
