--- Streams of Anthropic's upstreams.

local anthropic = require "translators.anthropic"
local support = require "tests.anthropic_support"

local ctx, events, frames, types = support.ctx, support.events, support.frames, support.types

local function decoder(client, caps)
  local context = ctx(client or "chat", "anthropic", caps, { model = "claude-x" })
  return anthropic.decode_stream(context), context
end

local FIVE_FOUR = [[
E message_start       {"type":"message_start","message":{"id":"msg_9","model":"claude-opus-4-7","content":[],"usage":{"input_tokens":120,"cache_creation_input_tokens":80,"cache_read_input_tokens":400,"output_tokens":1}}}
E content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Two cities."}}
E content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqMadeUpSig"}}
E content_block_stop  {"type":"content_block_stop","index":0}
E content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_A","name":"wx","input":{}}}
E content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Bergen\"}"}}
E content_block_stop  {"type":"content_block_stop","index":1}
E content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_B","name":"wx","input":{}}}
E content_block_stop  {"type":"content_block_stop","index":2}
E message_delta       {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":60}}
E message_stop        {"type":"message_stop"}]]

test("example 5.4: Claude's stream is understood", function()
  local found = events(decoder(), FIVE_FOUR)
  same(types(found), "start usage block_start thinking_delta signature block_stop "
    .. "block_start args_delta block_stop block_start block_stop usage stop end")
  same({ found[1].id, found[1].model, found[1].created }, { "msg_9", "claude-opus-4-7", 1760000000 })
  same({ found[2].usage.input, found[2].usage.cache_read, found[2].usage.cache_write }, { 600, 400, 80 })
  same(found[5].sig, { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" })
  same({ found[7].idx, found[7].block.id, found[8].text }, { 1, "toolu_A", '{"city":"Bergen"}' })
  same(found[12].usage, { output = 60 })
  same(found[13].stop.reason, "tool_call")
end)

test("example 5.6: text and two calls of Claude are understood", function()
  local found = events(decoder "responses", [[
E message_start       {"type":"message_start","message":{"id":"msg_7","model":"claude-opus-4-7","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":1}}}
E ping                {"type":"ping"}
E content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
E content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Patching."}}
E content_block_stop  {"type":"content_block_stop","index":0}
E content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_2","name":"apply_patch","input":{}}}
E content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"input\":\"*** Begin"}}
E content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" Patch\"}"}}
E content_block_stop  {"type":"content_block_stop","index":1}
E content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_3","name":"docs__lookup","input":{}}}
E content_block_delta {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"q\":\"b\"}"}}
E content_block_stop  {"type":"content_block_stop","index":2}
E message_delta       {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":33,"output_tokens_details":{"thinking_tokens":0}}}
E message_stop        {"type":"message_stop"}]])
  same(types(found), "start usage keepalive block_start text_delta block_stop block_start args_delta "
    .. "args_delta block_stop block_start args_delta block_stop usage stop end")
  same(found[2].usage.input, 100)
  same({ found[14].usage.output, found[14].usage.reasoning }, { 33, 0 })
end)

-- --- pitfalls: from the upstream ----------------------------------------------------------------

test("pitfall 5: only a non-empty stop reason finishes", function()
  local found = events(decoder(), [[
message_start {"type":"message_start","message":{"id":"m","model":"c"}}
content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}
message_delta {"type":"message_delta","delta":{"stop_reason":null}}
message_delta {"type":"message_delta","delta":{"stop_reason":""}}]])
  same(types(found), "start block_start text_delta error")
  same(found[4].error.kind, "truncated")
end)

test("pitfall 21: the end without message_stop counts when there was a reason", function()
  local found = events(decoder(), [[
message_start {"type":"message_start","message":{"id":"m","model":"c"}}
content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}
message_delta {"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":4}}]])
  same(types(found), "start block_start text_delta usage block_stop stop end")
  same(found[6].stop.reason, "max_tokens")
end)

test("pitfall 26: nothing counts after the end", function()
  local dec = decoder()
  events(dec, FIVE_FOUR)
  same(#dec.frame("ping", '{"type":"ping"}'), 0)
  same(#dec.eof(), 0)
end)

test("pitfall 28: an error event is an error", function()
  local found = events(decoder(),
    'error {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
  same(types(found), "error")
  same({ found[1].error.kind, found[1].error.message, found[1].error.phase },
    { "overloaded", "Overloaded", "pre" })
end)

test("pitfall 11: a call of the upstream without an id gets one", function()
  local found = events(decoder(), [[
content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"f"}}
content_block_stop {"type":"content_block_stop","index":0}
message_delta {"type":"message_delta","delta":{"stop_reason":"tool_use"}}]])
  assert(found[2].block.id:find "^call_%w+$")
end)

test("a start may hold the whole content", function()
  local found = events(decoder(), [[
content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"t","signature":"s"}}
content_block_stop {"type":"content_block_stop","index":0}
content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"n":12345678901234567890,"x":1.0}}}
content_block_stop {"type":"content_block_stop","index":1}
message_delta {"type":"message_delta","delta":{"stop_reason":"tool_use"}}
message_stop {"type":"message_stop"}]])
  same(types(found), "start block_start thinking_delta signature block_stop block_start args_delta "
    .. "block_stop stop end")
  same(found[7].text, '{"n":12345678901234567890,"x":1.0}')
end)

test("a search of Claude's own is a call and a result", function()
  local found = events(decoder(), [[
content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}
content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":"}}
content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\"x\"}"}}
content_block_stop {"type":"content_block_stop","index":0}
content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","url":"https://a.example","title":"A","encrypted_content":"E","page_age":"1 day"}]}}
content_block_stop {"type":"content_block_stop","index":1}
content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}
content_block_delta {"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://a.example","title":"A","cited_text":"q","encrypted_index":"I"}}}
content_block_stop {"type":"content_block_stop","index":2}
message_delta {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4,"server_tool_use":{"web_search_requests":1}}}
message_stop {"type":"message_stop"}]])
  same(types(found), "start block_start block_stop block_start block_stop block_start citation "
    .. "block_stop usage stop end")
  same(tostring(found[3].final.input), '{"query":"x"}')
  same(found[4].block.results, { { url = "https://a.example", title = "A", key = "E", age = "1 day" } })
  same({ found[7].citation.url, found[7].citation.quote, found[7].citation.key }, { "https://a.example", "q", "I" })
  same(found[9].usage.search_requests, 1)
end)

test("another proxy's carriers are unwrapped, and upstreams without signatures give none", function()
  local line = 'content_block_start {"type":"content_block_start","index":0,"content_block":'
    .. '{"type":"thinking","thinking":"t","signature":"%s"}}'
  local found = events(decoder(), line:format "sc1~g~f~eA")
  same(found[4].sig, { family = "google", kind = "call", data = "x" })
  same(types(events(decoder(), line:format "sc1~n~n~")), "start block_start thinking_delta error")
  same(types(events(decoder("chat", { signature_family = "none" }), line:format "abc")),
    "start block_start thinking_delta error")
end)

-- Every event with every member missing, null, empty and of a wrong type; whatever comes, no raw
-- error, one start at most, and an end or an error at last.
test("an upstream's nonsense never raises and always ends", function()
  local members = { "type", "index", "message", "content_block", "delta", "usage", "error" }
  local values = { "null", '""', "7", "-1", "1.5", "true", "[]", "{}", '"x"', '[{"type":"text"}]',
    '{"type":"text"}', '{"type":"tool_use","id":null,"name":7,"input":"x"}', '{"type":null}',
    '{"type":"text_delta","text":4}', '{"type":"input_json_delta","partial_json":"{"}',
    '{"type":"signature_delta","signature":[]}', '{"stop_reason":{}}', '{"id":[],"model":{},"usage":"x"}',
    '{"type":"citations_delta","citation":7}', '{"type":"web_search_tool_result","content":{"error_code":7}}' }
  local names = { "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "ping", "error", "surprise" }
  for _, name in ipairs(names) do
    for _, member in ipairs(members) do
      for _, value in ipairs(values) do
        for _, before in ipairs { "", FIVE_FOUR:match "^[^\n]+\n[^\n]+" } do
          local dec = decoder()
          local found = {}
          if before ~= "" then
            for line in before:gmatch "[^\n]+" do dec.frame("", line:match "{.*") end
          end
          local data = member == "type" and ('{"type":%s}'):format(value)
            or ('{"type":"%s","%s":%s}'):format(name, member, value)
          for _, event in ipairs(dec.frame(name, data)) do found[#found + 1] = event end
          for _, event in ipairs(dec.eof()) do found[#found + 1] = event end
          local last = found[#found]
          assert(last.type == "end" or last.type == "error", data)
        end
      end
    end
  end
  local dec = decoder()
  for _, data in ipairs { "", "{", "[]", "null", "7", "[DONE]", '"x"', "{}" } do same(dec.frame("x", data), {}) end
end)

test("what Claude streams comes out for a Claude client as it was", function()
  local context = ctx("anthropic", "anthropic", nil, { model = "claude-opus-4-7" })
  local dec, enc = anthropic.decode_stream(context), anthropic.encode_stream(context)
  local list = events(dec, FIVE_FOUR)
  local got = frames(enc, list)
  same(types(got), "message_start ping content_block_start content_block_delta content_block_delta "
    .. "content_block_stop content_block_start content_block_delta content_block_stop "
    .. "content_block_start content_block_delta content_block_stop message_delta message_stop")
  same(got[5][2].delta.signature, "EqMadeUpSig")
  same(got[13][2].usage.input_tokens, 120)
end)
