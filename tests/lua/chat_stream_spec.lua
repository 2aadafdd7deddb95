--- Streams of Chat: an upstream's chunks into events.

local chat = require "translators.chat"
local json = require "json"
local support = require "tests.chat_support"

local brief, events = support.brief, support.events

-- A chunk with one choice; `delta` and `rest` are JSON text.
local function chunk(delta, finish, rest)
  return '{"id":"c-9","object":"chat.completion.chunk","created":1760000000,"model":"up","choices":'
    .. '[{"index":0,"delta":' .. delta .. (finish and ',"finish_reason":' .. finish or "") .. "}]"
    .. (rest or "") .. "}"
end

local function calls(...)
  return chunk('{"tool_calls":[' .. table.concat({ ... }, ",") .. "]}")
end

local USAGE = '{"id":"c-9","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":40,'
  .. '"total_tokens":940,"prompt_tokens_details":{"cached_tokens":600},'
  .. '"completion_tokens_details":{"reasoning_tokens":10}}}'

local function lines(frames, options)
  return brief(events(frames, support.context(options)))
end

local function find(list, kind)
  for _, event in ipairs(list) do if event.type == kind then return event end end
end

test("worked example 5.1: the upstream's stream as events", function()
  local list = events {
    chunk('{"role":"assistant","reasoning_content":"Now app.lua."}', "null"),
    chunk('{"content":"Sure."}', '""'),
    calls '{"index":0,"id":"call_77","type":"function","function":{"name":"Read","arguments":""}}',
    calls '{"index":0,"function":{"name":"","arguments":"{\\"path\\":"}}',
    calls '{"index":0,"function":{"arguments":"\\"app.lua\\"}"}}',
    chunk("{}", '"stop"'), USAGE, "[DONE]",
  }
  same(brief(list), {
    "start", "block_start 0 thinking", "thinking_delta 0 Now app.lua.", "block_stop 0",
    "block_start 1 text", "text_delta 1 Sure.", "block_stop 1",
    "block_start 2 tool_call call_77 Read", 'args_delta 2 {"path":', 'args_delta 2 "app.lua"}',
    "block_stop 2", "stop tool_call", "usage", "end",
  })
  local usage = find(list, "usage").usage
  same({ usage.input, usage.cache_read, usage.output, usage.reasoning }, { 900, 600, 40, 10 })
  same({ list[1].id, list[1].model, list[1].created }, { "c-9", "up", 1760000000 })
end)

test("worked example 5.7: a call without an id is announced at the end", function()
  local list = events {
    chunk '{"role":"assistant","reasoning":"Check."}',
    chunk('{"tool_calls":[{"index":0,"type":"function","function":{"name":"shell",'
      .. '"arguments":"{\\"cmd\\":\\"cat a.c\\"}"}}]}', nil,
      ',"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29}'),
    "[DONE]",
  }
  local id = list[5].block.id
  same({ id:sub(1, 5), #id }, { "call_", 29 })
  same(brief(list), {
    "start", "block_start 0 thinking", "thinking_delta 0 Check.", "block_stop 0",
    "block_start 1 tool_call " .. id .. " shell", 'args_delta 1 {"cmd":"cat a.c"}', "block_stop 1",
    "stop tool_call", "usage", "end",
  })
end)

test("worked example 5.8: the upstream's stream as events", function()
  same(lines {
    chunk('{"role":"assistant","content":"Next b.c."}', "null"),
    calls '{"index":0,"id":"call_9","type":"function","function":{"name":"read_file","arguments":"{\\"pa"}}',
    chunk('{"tool_calls":[{"index":0,"function":{"arguments":"th\\":\\"b.c\\"}"}}]}', '"tool_calls"'),
    '{"id":"q1","choices":[],"usage":{"prompt_tokens":70,"completion_tokens":15,"total_tokens":85}}',
    "[DONE]",
  }, {
    "start", "block_start 0 text", "text_delta 0 Next b.c.", "block_stop 0",
    "block_start 1 tool_call call_9 read_file", 'args_delta 1 {"pa', 'args_delta 1 th":"b.c"}',
    "block_stop 1", "stop tool_call", "usage", "end",
  })
end)

test("pitfall 5: only a filled finish reason finishes", function()
  same(lines { chunk('{"content":"a"}', "null"), chunk('{"content":"b"}', '""'),
    chunk("{}", '"stop"'), "[DONE]" },
    { "start", "block_start 0 text", "text_delta 0 a", "text_delta 0 b", "block_stop 0",
      "stop end", "end" })
end)

test("pitfall 8: a limit that was reached stays, calls or not", function()
  local list = lines { calls '{"index":0,"id":"a","function":{"name":"f","arguments":"{\\"x"}}',
    chunk("{}", '"length"'), chunk("{}", "null"), "[DONE]" }
  same({ list[#list - 2], list[#list - 1] }, { "block_stop 0 incomplete", "stop max_tokens" })
end)

test("pitfall 9: tool calls that never came end the answer as text", function()
  local list = lines { chunk('{"content":"a"}'), chunk('{"tool_calls":[]}', '"tool_calls"'), "[DONE]" }
  same(list[#list - 1], "stop end")
end)

test("pitfall 10: the first name and id count, later ones are not heard", function()
  same(lines {
    calls '{"index":0,"id":"a","function":{"name":"f","arguments":""}}',
    calls '{"index":0,"id":"","function":{"name":"f","arguments":"{"}}',
    calls '{"index":0,"id":"b","function":{"name":null,"arguments":"}"}}',
    chunk("{}", '"tool_calls"'), "[DONE]",
  }, { "start", "block_start 0 tool_call a f", "args_delta 0 {", "args_delta 0 }", "block_stop 0",
    "stop tool_call", "end" })
end)

test("pitfall 10: a call without a name has that of the only tool, else a number", function()
  local frames = { calls '{"index":0,"id":"a","function":{"arguments":"{}"}}',
    chunk("{}", '"tool_calls"'), "[DONE]" }
  same(lines(frames)[2], "block_start 0 tool_call a tool_0")
  same(lines(frames, { request = { tools = { { kind = "function", name = "only" } } } })[2],
    "block_start 0 tool_call a only")
end)

test("pitfall 11: an id that comes late waits for its arguments, or they for it", function()
  same(lines {
    calls '{"index":0,"function":{"name":"f","arguments":"{\\"a\\""}}',
    calls '{"index":0,"id":"late","function":{"arguments":":1}"}}',
    chunk("{}", '"stop"'), "[DONE]",
  }, { "start", "block_start 0 tool_call late f", 'args_delta 0 {"a"', "args_delta 0 :1}",
    "block_stop 0", "stop tool_call", "end" })
end)

test("pitfall 12: calls that are all numbered 0 are told apart by their ids", function()
  same(lines {
    calls '{"index":0,"id":"a","function":{"name":"f","arguments":"{\\"x\\":1}"}}',
    calls '{"index":0,"id":"b","function":{"name":"f","arguments":"{"}}',
    calls '{"index":0,"function":{"arguments":"}"}}',
    chunk("{}", '"stop"'), "[DONE]",
  }, { "start", "block_start 0 tool_call a f", 'args_delta 0 {"x":1}',
    "block_start 1 tool_call b f", "args_delta 1 {", "args_delta 1 }", "block_stop 0",
    "block_stop 1", "stop tool_call", "end" })
end)

test("pitfall 14: interleaved arguments keep to their calls", function()
  same(lines {
    calls('{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}',
      '{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}'),
    calls('{"index":1,"function":{"arguments":"}"}}', '{"index":0,"function":{"arguments":"}"}}'),
    chunk("{}", '"tool_calls"'), "[DONE]",
  }, { "start", "block_start 0 tool_call a f", "args_delta 0 {", "block_start 1 tool_call b g",
    "args_delta 1 {", "args_delta 1 }", "args_delta 0 }", "block_stop 0", "block_stop 1",
    "stop tool_call", "end" })
end)

test("pitfall 15: one chunk may hold everything", function()
  same(lines { chunk('{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}],'
    .. '"content":"c","reasoning_content":"r"}', '"tool_calls"'), "[DONE]" },
    { "start", "block_start 0 thinking", "thinking_delta 0 r", "block_stop 0", "block_start 1 text",
      "text_delta 1 c", "block_stop 1", "block_start 2 tool_call a f", "args_delta 2 {}",
      "block_stop 2", "stop tool_call", "end" })
end)

test("pitfall 16: text behind a call is a new block, and closes the whole call", function()
  same(lines { chunk '{"content":"a"}',
    calls '{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}',
    chunk('{"content":"b"}', '"tool_calls"'), "[DONE]" },
    { "start", "block_start 0 text", "text_delta 0 a", "block_stop 0",
      "block_start 1 tool_call a f", "args_delta 1 {}", "block_stop 1", "block_start 2 text",
      "text_delta 2 b", "block_stop 2", "stop tool_call", "end" })
end)

test("pitfall 18: usage is taken from any chunk, the last one counts", function()
  local list = events {
    chunk('{"content":"a"}', nil, ',"usage":{"prompt_tokens":5,"completion_tokens":1}'),
    chunk("{}", '"stop"', ',"usage":null'),
    '{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}', "[DONE]",
  }
  same({ brief(list)[#list - 1], list[#list - 1].usage.output }, { "usage", 2 })
end)

test("pitfalls 20 and 21: an end without a reason is inferred, a break is an error", function()
  same(lines { chunk '{"content":"a"}', "[DONE]" },
    { "start", "block_start 0 text", "text_delta 0 a", "block_stop 0", "stop end", "end" })
  local list = lines { chunk '{"content":"a"}' }
  same(list[#list], "error truncated")
  list = lines { calls '{"index":0,"id":"a","function":{"name":"f","arguments":"{\\"x"}}', "[DONE]" }
  same({ list[#list], #list }, { "error truncated", 4 })
  same(lines { chunk('{"content":"a"}', '"stop"') },
    { "start", "block_start 0 text", "text_delta 0 a", "block_stop 0", "stop end", "end" })
  same(lines {}, { "error truncated" })
  same(lines { "[DONE]" }, { "error truncated" })
end)

test("pitfall 26: nothing counts behind [DONE]", function()
  same(lines { chunk('{"content":"a"}', '"stop"'), "[DONE]", chunk '{"content":"b"}', "[DONE]" },
    { "start", "block_start 0 text", "text_delta 0 a", "block_stop 0", "stop end", "end" })
end)

test("pitfall 28: an error inside the stream is one, before and after the first word", function()
  local list = events { '{"error":{"message":"busy","type":"server_error","code":"server_is_overloaded"}}' }
  same({ #list, list[1].error.kind, list[1].error.phase, list[1].error.message },
    { 1, "overloaded", "pre", "busy" })
  list = events { chunk '{"content":"a"}', '{"error":{"message":"x"},"choices":[]}', chunk '{"content":"b"}' }
  same({ list[#list].type, list[#list].error.phase }, { "error", "mid" })
end)

test("pitfall 90: a filtered answer says so", function()
  for _, word in ipairs { "content_filter", "sensitive", "safety" } do
    local list = lines { chunk('{"content":"a"}', '"' .. word .. '"'), "[DONE]" }
    same(list[#list - 1], "stop content_filter")
  end
end)

test("pitfall 2: choices keep their numbers", function()
  local list = lines {
    '{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}',
    '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"length"}]}',
    "[DONE]",
  }
  same(list, { "start", "block_start/1 0 text", "text_delta/1 0 b", "block_start 0 text",
    "text_delta 0 a", "block_stop/1 0", "stop/1 max_tokens", "block_stop 0", "stop end", "end" })
end)

test("arguments whose form is wrong are repaired, others are marked", function()
  local function final(args)
    local list = brief(events { calls('{"index":0,"id":"a","function":{"name":"f","arguments":'
      .. json.encode(args) .. "}}"), chunk("{}", '"tool_calls"'), "[DONE]" })
    return list[#list - 2]
  end
  same(final "{'a': 'it\\'s \"b\"'}", [[block_stop 0 = {"a": "it's \"b\""}]])
  same(final '{"a":"}"}}}', 'block_stop 0 = {"a":"}"}')
  same(final '{"a":', "block_stop 0 incomplete")
  same(final "[1]", "block_stop 0 incomplete")
end)

test("arguments as an object, legacy calls and whole messages are read too", function()
  same(lines { chunk('{"tool_calls":{"id":"a","function":{"name":"f","arguments":{"x":1}}}}', '"tool_calls"'),
    "[DONE]" }, { "start", "block_start 0 tool_call a f", 'args_delta 0 {"x":1}', "block_stop 0",
    "stop tool_call", "end" })
  local list = lines { chunk '{"function_call":{"name":"f","arguments":"{"}}',
    chunk('{"function_call":{"arguments":"}"}}', '"function_call"'), "[DONE]" }
  same({ list[3], list[4], list[6] }, { "args_delta 0 {", "args_delta 0 }", "stop tool_call" })
  same(lines { '{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}' }[3],
    "text_delta 0 whole")
end)

test("reasoning comes in any vendor's form, with its signature", function()
  same(lines { chunk '{"reasoning":{"text":"a"}}', chunk '{"reasoning_details":[{"type":"reasoning.summary","summary":"b"}]}',
    chunk('{"content":[{"type":"text","text":"c"}]}', '"stop"'), "[DONE]" },
    { "start", "block_start 0 thinking", "thinking_delta 0 a", "thinking_delta 0 b", "block_stop 0",
      "block_start 1 text", "text_delta 1 c", "block_stop 1", "stop end", "end" })
  local list = events { chunk '{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a"}]}',
    chunk '{"reasoning_details":[{"type":"reasoning.text","text":"","signature":"sc1~a~t~QUJD"}]}',
    chunk '{"reasoning_details":[{"type":"reasoning.encrypted","data":"sc1~a~r~QUJD"}]}',
    chunk('{"content":"c"}', '"stop"'), "[DONE]" }
  same(brief(list), { "start", "block_start 0 thinking", "thinking_delta 0 a", "signature 0",
    "block_stop 0", "block_start 1 redacted_thinking", "block_stop 1", "block_start 2 text",
    "text_delta 2 c", "block_stop 2", "stop end", "end" })
  same(find(list, "signature").sig, { family = "anthropic", kind = "thinking", data = "ABC" })
end)

test("thoughts between tags are told from text where the profile says so, split anywhere", function()
  local text = "\n<think>Hm <b> so</think>\n\nAnswer <think>"
  local options = { caps = { inline_thinking = true } }
  for cut = 1, #text - 1 do
    local frames = { chunk('{"content":' .. json.encode(text:sub(1, cut)) .. "}"),
      chunk('{"content":' .. json.encode(text:sub(cut + 1)) .. "}"), chunk("{}", '"stop"'), "[DONE]" }
    local said = { thinking_delta = "", text_delta = "" }
    for _, event in ipairs(events(frames, support.context(options))) do
      if event.text then said[event.type] = said[event.type] .. event.text end
    end
    same({ said.thinking_delta, said.text_delta:gsub("^\n+", "") },
      { "Hm <b> so", "Answer <think>", #said.text_delta:match "^\n*" > 0 and 1 or 0 })
  end
  same(lines { chunk('{"content":"<think>x"}', '"stop"'), "[DONE]" }[3], "text_delta 0 <think>x")
end)

test("images, audio, refusals, citations and Google's signatures are events", function()
  local list = events {
    chunk '{"content":"See","annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":3}}]}',
    chunk '{"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}}]}',
    chunk '{"audio":{"id":"au","data":"AAAA"}}', chunk '{"audio":{"transcript":"hi","expires_at":5}}',
    chunk '{"refusal":"No."}',
    calls '{"index":0,"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"EgQxMjM0"}}}',
    chunk("{}", '"tool_calls"'), "[DONE]",
  }
  same(brief(list), { "start", "block_start 0 text", "text_delta 0 See", "citation 0", "block_stop 0",
    "block_start 1 image", "block_stop 1", "block_start 2 audio", "media_delta 2",
    "block_start 3 refusal", "refusal_delta 3 No.", "block_stop 3", "block_start 4 tool_call a f",
    "args_delta 4 {}", "block_stop 2", "block_stop 4", "stop tool_call", "end" })
  same(find(list, "citation").citation, { kind = "url", url = "u", title = "t", start = 0, ["end"] = 3 })
  same(list[13].block.sig, { family = "google", kind = "call", data = "EgQxMjM0" })
  same(list[15].final, { id = "au", transcript = "hi", expires = 5 })
end)

test("pitfalls 27 and 30: what is no chunk is skipped", function()
  same(lines { "", "ping", "{", "7", "[]", '"x"', chunk('{"content":"a"}', '"stop"'), "{}", "[DONE]" },
    { "start", "block_start 0 text", "text_delta 0 a", "block_stop 0", "stop end", "end" })
end)

-- Whatever an upstream sends, its stream ends with one terminal event and raises nothing.
test("any value in the place of any other never breaks the decoder", function()
  local whole = json.decode [[{"id":"i","created":1,"model":"m","service_tier":"x","choices":[{"index":0,"finish_reason":"stop",
    "logprobs":{"content":[{"token":"t"}]},
    "delta":{"role":"assistant","content":"c","reasoning_content":"r","reasoning":"r","refusal":"n",
    "reasoning_details":[{"type":"reasoning.text","text":"x","signature":"s","data":"d","index":0}],
    "tool_calls":[{"index":0,"id":"i","type":"function","function":{"name":"f","arguments":"{}"},"custom":{"name":"n","input":"x"},"extra_content":{"google":{"thought_signature":"x"}}}],
    "function_call":{"name":"f","arguments":"{}"},"images":[{"image_url":{"url":"u"}}],"audio":{"id":"a","data":"d","transcript":"t","expires_at":1},
    "annotations":[{"url_citation":{"url":"u","title":"t","start_index":0,"end_index":1}}]}}],
    "usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}]]
  local wrong = { json.null, "", "zz", 7, -1.5, true, json.array {}, json.object {}, json.array { 1, json.null, "x" },
    json.array { json.array {} } }
  local function try()
    local data = json.encode(whole)
    local list = events({ data, data, "[DONE]" }, support.context { caps = { inline_thinking = true } })
    local terminal, open = 0, 0
    for _, event in ipairs(list) do
      if event.type == "end" or event.type == "error" then terminal = terminal + 1 end
      if event.type == "block_start" then open = open + 1 end
      if event.type == "block_stop" then open = open - 1 end
    end
    local last = list[#list].type
    assert(terminal == 1 and (last == "end" or last == "error"), data)
    assert(open == 0 or last == "error", data)
    support.frames(list)
    local fine, problem = pcall(chat.decode_response, data:gsub('"delta"', '"message"'), support.context())
    assert(fine or require("lib.reject").is(problem), problem)
    if fine then chat.encode_response(problem, support.context()) end
  end
  local function walk(value)
    for key, inner in pairs(value) do
      for _, other in ipairs(wrong) do
        value[key] = other
        try()
      end
      value[key] = inner
      if type(inner) == "table" then walk(inner) end
    end
  end
  walk(whole)
end)
