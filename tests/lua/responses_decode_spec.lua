--- Answers of Responses upstreams: streams and whole responses.

local json = require "json"
local reject = require "lib.reject"
local responses = require "translators.responses"
local support = require "tests.responses_support"

local context, types = support.context, support.types

local function decode(...)
  return support.decode(responses.decode_stream(context()), { ... })
end

local CREATED = '{"type":"response.created","response":{"id":"resp_1","model":"up","created_at":5}}'
local COMPLETED = '{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],'
  .. '"usage":{"input_tokens":1000,"input_tokens_details":{"cached_tokens":900,"cache_write_tokens":7},'
  .. '"output_tokens":55,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":1055}}}'

local function item(kind, index, text)
  return '{"type":"response.output_item.' .. kind .. '","output_index":' .. index .. ',"item":' .. text .. "}"
end

local function text_delta(index, text)
  return '{"type":"response.output_text.delta","output_index":' .. index .. ',"content_index":0,"delta":'
    .. json.encode(text) .. ',"logprobs":[],"obfuscation":"xx","sequence_number":4}'
end

local function args_delta(index, text)
  return '{"type":"response.function_call_arguments.delta","output_index":' .. index .. ',"delta":'
    .. json.encode(text) .. "}"
end

local CALL = '{"id":"fc_1","type":"function_call","call_id":"c1","name":"f","arguments":'

local function args_of(events, idx)
  local pieces = {}
  for _, event in ipairs(events) do
    if event.type == "args_delta" and event.idx == idx then pieces[#pieces + 1] = event.text end
  end
  return table.concat(pieces)
end

local function texts_of(events)
  local pieces = {}
  for _, event in ipairs(events) do
    if event.type == "text_delta" then pieces[#pieces + 1] = event.text end
  end
  return table.concat(pieces)
end

local function only(events, kind)
  local found = {}
  for _, event in ipairs(events) do
    if event.type == kind then found[#found + 1] = event end
  end
  return found
end

local function last(events) return events[#events] end

test("the stream of Claude Code over Codex is understood (example 5.3, 17)", function()
  local events = decode(
    '{"type":"response.created","sequence_number":0,"response":{"id":"resp_5","status":"in_progress","model":"gpt-5.5","output":[]}}',
    item("added", 0, '{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAAAABprovisional"}'),
    '{"type":"response.reasoning_summary_part.added","item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}',
    '{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"Plan."}',
    '{"type":"response.reasoning_summary_part.added","item_id":"rs_1","output_index":0,"summary_index":1,"part":{"type":"summary_text","text":""}}',
    '{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":1,"delta":"Read it."}',
    item("done", 0, '{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Plan."},{"type":"summary_text","text":"Read it."}],"encrypted_content":"gAAAAABmade-up-2"}'),
    item("added", 1, '{"id":"fc_1","type":"function_call","call_id":"call_a2","name":"Read","arguments":""}'),
    args_delta(1, '{"path":"app.lua"}'),
    '{"type":"response.function_call_arguments.done","output_index":1,"item_id":"fc_1","arguments":"{\\"path\\":\\"app.lua\\"}"}',
    item("done", 1, '{"id":"fc_1","type":"function_call","call_id":"call_a2","name":"Read","arguments":"{\\"path\\":\\"app.lua\\"}","status":"completed"}'),
    COMPLETED)
  same(events, {
    { type = "start", id = "resp_5", model = "gpt-5.5", created = 0, choice = 0 },
    { type = "block_start", idx = 0, choice = 0,
      block = { type = "thinking", text = "", form = "summary", item = { id = "rs_1" } } },
    { type = "thinking_delta", idx = 0, text = "Plan.", part = 0, choice = 0 },
    { type = "thinking_part", idx = 0, part = 1, choice = 0 },
    { type = "thinking_delta", idx = 0, text = "Read it.", part = 1, choice = 0 },
    { type = "signature", idx = 0, mode = "set", choice = 0,
      sig = { family = "openai", kind = "reasoning", data = "gAAAAABmade-up-2" } },
    { type = "block_stop", idx = 0, choice = 0 },
    { type = "block_start", idx = 1, choice = 0, block = {
      type = "tool_call", id = "call_a2", name = "Read", kind = "function", args = "",
      complete = false, item = { id = "fc_1" },
    } },
    { type = "args_delta", idx = 1, text = '{"path":"app.lua"}', choice = 0 },
    { type = "block_stop", idx = 1, final = { complete = true }, choice = 0 },
    { type = "usage", choice = 0,
      usage = { input = 1000, cache_read = 900, cache_write = 7, output = 55, reasoning = 20 } },
    { type = "stop", stop = { reason = "tool_call", native = "completed" }, choice = 0 },
    { type = "end", choice = 0 },
  })
end)

test("arguments come once, from deltas, from done, or from the item (13)", function()
  local done = '{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\\"a\\":1}"}'
  local finished = item("done", 0, CALL .. '"{\\"a\\":1}"}')
  for _, frames in ipairs {
    { item("added", 0, CALL .. '""}'), args_delta(0, '{"a"'), args_delta(0, ":1}"), done, finished },
    { item("added", 0, CALL .. '""}'), args_delta(0, '{"a"'), done, finished },
    { item("added", 0, CALL .. '""}'), done, finished },
    { item("added", 0, CALL .. '""}'), finished },
    { finished }, { finished, finished },
    { item("added", 0, CALL .. '"{\\"a\\":1}"}'), finished },
  } do
    frames[#frames + 1] = COMPLETED
    local events = decode(table.unpack(frames))
    same({ args_of(events, 0), #only(events, "block_start"), #only(events, "block_stop") },
      { '{"a":1}', 1, 1 })
  end
end)

test("a name that comes late delays the call, not its arguments (10, 11)", function()
  local events = decode(item("added", 0, '{"id":"fc_1","type":"function_call","arguments":""}'),
    args_delta(0, "{}"), item("done", 0, CALL .. '"{}"}'), COMPLETED)
  same(types(events), { "start", "block_start", "args_delta", "block_stop", "usage", "stop", "end" })
  same({ events[2].block.name, events[2].block.id }, { "f", "c1" })
end)

test("a call without any id gets one (11)", function()
  local events = decode(item("done", 0, '{"type":"function_call","name":"f","arguments":"{}"}'), COMPLETED)
  assert(events[2].block.id:find "^call_")
end)

test("interleaved calls keep their arguments apart (12, 14)", function()
  local second = CALL:gsub("fc_1", "fc_2"):gsub("c1", "c2", 1)
  second = '{"id":"fc_2","type":"function_call","call_id":"c2","name":"f","arguments":'
  local events = decode(item("added", 0, CALL .. '""}'), item("added", 1, second .. '""}'),
    args_delta(0, "{"), args_delta(1, "["), args_delta(0, "}"), args_delta(1, "]"),
    item("done", 0, CALL .. '"{}"}'), item("done", 1, second .. '"[]"}'), COMPLETED)
  same({ args_of(events, 0), args_of(events, 1) }, { "{}", "[]" })
end)

test("deltas that name only their item id are found", function()
  local events = decode('{"type":"response.output_item.added","item":' .. CALL .. '""}}',
    '{"type":"response.function_call_arguments.delta","item_id":"fc_1","delta":"{}"}',
    '{"type":"response.output_item.done","item":' .. CALL .. '"{}"}}', COMPLETED)
  same({ args_of(events, 0), #only(events, "block_start") }, { "{}", 1 })
end)

test("text that was never streamed is taken from what closes it", function()
  local done = '{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"Hello"}'
  local part = '{"type":"response.content_part.done","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hello","annotations":[]}}'
  local message = '{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}'
  local added = item("added", 0, '{"id":"msg_1","type":"message","content":[]}')
  for _, frames in ipairs {
    { added, text_delta(0, "Hel"), text_delta(0, "lo"), done, part, item("done", 0, message) },
    { added, text_delta(0, "Hel"), done, part }, { added, done }, { added, part }, { text_delta(0, "Hello") },
    { added, item("done", 0, message) }, { item("done", 0, message) },
    { '{"type":"response.output_text.delta","delta":"Hello"}' },
  } do
    frames[#frames + 1] = COMPLETED
    local events = decode(table.unpack(frames))
    same({ texts_of(events), #only(events, "block_start"), #only(events, "block_stop") }, { "Hello", 1, 1 })
  end
end)

test("a completed response without items has those of the stream (25)", function()
  same(texts_of(decode(item("done", 0,
    '{"id":"m","type":"message","content":[{"type":"output_text","text":"x"}]}'), COMPLETED)), "x")
end)

test("items that only the final list has are not lost, and others not doubled (25)", function()
  local message = '{"id":"m","type":"message","content":[{"type":"output_text","text":"x"}]}'
  local completed = '{"type":"response.completed","response":{"status":"completed","output":['
    .. message .. "," .. CALL .. '"{}"}]}}'
  local events = decode(item("done", 0, message), completed)
  same({ texts_of(events), args_of(events, 1), only(events, "stop")[1].stop.reason },
    { "x", "{}", "tool_call" })
  events = decode(completed)
  same({ texts_of(events), args_of(events, 1) }, { "x", "{}" })
end)

test("the provisional signature counts only when the item ends without one (17)", function()
  local added = item("added", 0, '{"id":"rs","type":"reasoning","encrypted_content":"gAAAAABp"}')
  local function sig(...)
    local found = only(decode(added, ...), "signature")
    return #found == 1 and found[1].sig.data
  end
  same(sig(item("done", 0, '{"id":"rs","type":"reasoning","encrypted_content":"gAAAAABq"}'), COMPLETED),
    "gAAAAABq")
  same(sig(item("done", 0, '{"id":"rs","type":"reasoning"}'), COMPLETED), "gAAAAABp")
  same(sig(COMPLETED), "gAAAAABp")
end)

test("raw reasoning text is thinking too, once", function()
  local events = decode(item("added", 0, '{"id":"rs","type":"reasoning"}'),
    '{"type":"response.reasoning_text.delta","output_index":0,"content_index":0,"delta":"Hm"}',
    item("done", 0, '{"id":"rs","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]}'),
    COMPLETED)
  same(types(events), { "start", "block_start", "thinking_delta", "thinking_delta", "block_stop",
    "usage", "stop", "end" })
  same({ events[2].block.form, events[4].text }, { "raw", "." })
end)

test("refusals are blocks, and the reason of the stop", function()
  local events = decode('{"type":"response.refusal.delta","output_index":0,"delta":"No"}',
    '{"type":"response.refusal.done","output_index":0,"refusal":"No."}', COMPLETED)
  same({ events[2].block.type, events[4].text, only(events, "stop")[1].stop.reason },
    { "refusal", ".", "refusal" })
end)

test("citations follow their text", function()
  local note = '{"type":"url_citation","url":"https://x.example/","title":"X","start_index":0,"end_index":1}'
  local events = decode(text_delta(0, "a"),
    '{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation":' .. note .. "}",
    '{"type":"response.content_part.done","output_index":0,"content_index":0,"part":{"type":"output_text","text":"a","annotations":[' .. note .. "]}}",
    COMPLETED)
  same(types(events), { "start", "block_start", "text_delta", "citation", "block_stop", "usage", "stop", "end" })
  same(events[4].citation, { kind = "url", url = "https://x.example/", title = "X", start = 0, ["end"] = 1 })
end)

test("a search is told when it is complete (103)", function()
  local events = decode(item("added", 0, '{"id":"ws_1","type":"web_search_call","status":"in_progress"}'),
    '{"type":"response.web_search_call.searching","output_index":0}',
    item("done", 0, '{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"q","sources":[{"type":"url","url":"https://x.example/"}]}}'),
    COMPLETED)
  same(types(events), { "start", "block_start", "block_stop", "block_start", "block_stop", "usage", "stop", "end" })
  same({ json.get(events[2].block.input, "query"), events[4].block.results[1].url },
    { "q", "https://x.example/" })
end)

test("equal previews of an image are sent once", function()
  local preview = '{"type":"response.image_generation_call.partial_image","output_index":0,"partial_image_index":0,"partial_image_b64":"QQ=="}'
  local events = decode(item("added", 0, '{"id":"ig","type":"image_generation_call"}'), preview, preview,
    item("done", 0, '{"id":"ig","type":"image_generation_call","status":"completed","result":"iVBORw0=","output_format":"png"}'),
    COMPLETED)
  same(types(events), { "start", "block_start", "media_delta", "block_stop", "usage", "stop", "end" })
  same(events[4].final.source.data, "iVBORw0=")
end)

test("an incomplete response tells why (8, 90)", function()
  local function reason(text)
    return only(decode(text_delta(0, "a"),
      '{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":'
      .. text .. "}}"), "stop")[1].stop.reason
  end
  same({ reason '{"reason":"max_output_tokens"}', reason '{"reason":"max_tokens"}',
    reason '{"reason":"content_filter"}', reason "null" },
    { "max_tokens", "max_tokens", "content_filter", "unknown" })
end)

test("a call that the end cuts off is not complete (21)", function()
  local events = decode(item("added", 0, CALL .. '""}'), args_delta(0, '{"a'),
    '{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}')
  same({ only(events, "block_stop")[1].final.complete, only(events, "stop")[1].stop.reason },
    { false, "max_tokens" })
end)

test("a stream that breaks off is an error and closes nothing (20, 21)", function()
  local events = decode(CREATED, item("added", 0, CALL .. '""}'), args_delta(0, '{"a'))
  same({ last(events).error.kind, last(events).error.phase, #only(events, "block_stop") },
    { "truncated", "mid", 0 })
  same({ last(decode(CREATED)).error.phase, last(decode()).error.kind }, { "pre", "truncated" })
end)

test("failures are read in every form (28, 92)", function()
  for frame, wanted in pairs {
    ['{"type":"error","code":"server_is_overloaded","message":"m","param":null}'] = { "overloaded", 503 },
    ['{"type":"error","error":{"type":"invalid_request_error","message":"m"}}'] = { "invalid_request", 400 },
    ['{"type":"error","status":429,"error":{"type":"usage_limit_reached","message":"m"}}'] = { "billing", 429 },
    ['{"type":"error","message":"Selected model is at capacity."}'] = { "rate_limit", 429 },
    ['{"error":{"type":"service_unavailable_error","message":"m"}}'] = { "overloaded", 503 },
    ['{"type":"response.failed","response":{"status":"failed","error":{"code":"context_length_exceeded","message":"m"}}}'] = { "context_length", 400 },
    ['{"type":"response.failed","response":{"error":{"code":"insufficient_quota","message":"m"}}}'] = { "billing", 429 },
    ['{"type":"response.failed"}'] = { "server", 502 },
    ['{"type":"error"}'] = { "server", 502 },
    ['{"type":"error","error":"boom"}'] = { "server", 502 },
  } do
    local problem = last(decode(CREATED, frame)).error
    same({ frame, problem.kind, problem.status, problem.phase }, { frame, wanted[1], wanted[2], "pre" })
  end
end)

test("nothing follows an error or the end (26)", function()
  same(types(decode('{"type":"error","message":"m"}', text_delta(0, "a"), COMPLETED)), { "error" })
  same(#only(decode(COMPLETED, COMPLETED, text_delta(0, "a")), "end"), 1)
end)

test("unknown events and metadata are skipped (27)", function()
  same(types(decode('{"type":"codex.rate_limits","plan":"plus"}', '{"type":"response.new","x":1}', "",
    "[DONE]", "nonsense", "[1]", "null", COMPLETED)), { "start", "usage", "stop", "end" })
end)

-- Every member of every event in every wrong type.
test("an upstream's nonsense never raises", function()
  local kinds = {
    "response.created", "response.in_progress", "response.output_item.added",
    "response.output_item.done", "response.content_part.added", "response.content_part.done",
    "response.output_text.delta", "response.output_text.done", "response.refusal.delta",
    "response.refusal.done", "response.output_text.annotation.added",
    "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done", "response.reasoning_text.delta",
    "response.reasoning_text.done", "response.function_call_arguments.delta",
    "response.function_call_arguments.done", "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done", "response.image_generation_call.partial_image",
    "response.completed", "response.incomplete", "response.failed", "response.cancelled", "error",
  }
  local values = { "null", '""', "7", "-1", "1.5", "true", "[]", "{}", '[null,7,"x",[],{}]', '{"type":7}',
    '[{"type":[]}]' }
  for _, kind in ipairs { "message", "reasoning", "function_call", "custom_tool_call", "web_search_call",
    "image_generation_call", "code_interpreter_call", "file_search_call", "compaction", "x" } do
    for _, value in ipairs { "null", '""', "7", "[]", '[null,7,{"type":"output_text","text":7}]', "{}" } do
      for _, member in ipairs { "id", "content", "summary", "arguments", "input", "name", "call_id",
        "action", "result", "outputs", "encrypted_content", "status", "output", "namespace", "code" } do
        values[#values + 1] = '{"type":"' .. kind .. '","' .. member .. '":' .. value .. "}"
      end
    end
  end
  local members = { "item", "part", "response", "delta", "output_index", "content_index",
    "summary_index", "annotation", "arguments", "item_id", "text", "error", "logprobs", "input" }
  for _, kind in ipairs(kinds) do
    for i, value in ipairs(values) do
      for m, member in ipairs(members) do
        if i < 12 or member == "item" and kind:find "item" then
          local frame = '{"type":"' .. kind .. '","' .. member .. '":' .. value .. "}"
          local decoder = responses.decode_stream(context())
          decoder.frame("", '{"type":"response.output_item.added","output_index":0,"item":' .. CALL .. '""}}')
          decoder.frame("", frame)
          decoder.frame("", frame)
          decoder.frame("", '{"type":"response.completed","response":{"output":[' .. value .. "]}}")
          decoder.eof()
          if m == 1 then
            pcall(responses.decode_response, '{"output":[' .. value .. ']}', context())
          end
        end
      end
    end
  end
  for i = 12, #values do responses.decode_response('{"output":[' .. values[i] .. "]}", context()) end
end)

test("a whole response has its blocks, stop and usage", function()
  local answer = responses.decode_response([[{"id":"resp_1","model":"up","created_at":5,"status":"completed","output":[
    {"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"gAAAAABx"},
    {"id":"m","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]},{"type":"refusal","refusal":"r"}]},
    {"id":"fc","type":"function_call","call_id":"c","name":"f","arguments":"{}"}],
    "usage":{"input_tokens":3,"output_tokens":4}}]], context())
  local seen = {}
  for i, block in ipairs(answer.choices[1].blocks) do seen[i] = block.type end
  same(seen, { "thinking", "text", "refusal", "tool_call" })
  same({ answer.id, answer.created, answer.usage.input, answer.usage.cache_read,
    answer.choices[1].stop.reason }, { "resp_1", 5, 3, 0, "tool_call" })
end)

test("a whole response that failed, and what is no response, is refused", function()
  for _, body in ipairs { '{"status":"failed","error":{"code":"server_is_overloaded","message":"m"}}',
    "[]", "<html>", "", '{"error":{"message":"m"}}' } do
    local fine, problem = pcall(responses.decode_response, body, context())
    same({ fine, reject.is(problem) }, { false, true })
  end
end)
