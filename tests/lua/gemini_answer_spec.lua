--- Answers of Gemini, and answers to its clients: whole ones and streams.

local caps = require "lib.caps"
local fold = require "lib.fold"
local gemini = require "translators.gemini"
local gemini_cli = require "translators.gemini_cli"
local ir = require "lib.ir"
local json = require "json"

local function context(given)
  local ctx = {
    client = { dialect = "gemini" }, upstream = { dialect = "gemini" }, model = "m",
    upstream_model = "m", created = 7, warnings = {}, base = "gemini",
  }
  for name, value in pairs(given or {}) do ctx[name] = value end
  ctx.caps = ctx.caps or caps.of(ctx.upstream_model, "gemini")
  function ctx.warn(code, path) ctx.warnings[#ctx.warnings + 1] = code .. ";" .. path end
  local count = 0
  function ctx.unique(prefix)
    count = count + 1
    return prefix .. "u" .. count
  end
  return ctx
end

-- All events of a stream, `extra` after the frames: no eof.
local function events_of(frames, given, open)
  local decoder = gemini.decode_stream(context(given))
  local events = {}
  local function take(list)
    for _, event in ipairs(list) do events[#events + 1] = event end
  end
  for _, frame in ipairs(frames) do take(decoder.frame("", frame)) end
  if not open then take(decoder.eof()) end
  return events
end

-- Events in short: type, index and what they carry.
local function short(events)
  local list = {}
  for _, event in ipairs(events) do
    local word = event.type
    if event.choice then word = word .. "@" .. event.choice end
    if event.idx then word = word .. " " .. event.idx end
    if event.block then word = word .. " " .. event.block.type end
    if event.block and event.block.sig then word = word .. " sig:" .. event.block.sig.data end
    if event.text then word = word .. " " .. event.text end
    if event.sig then word = word .. " " .. event.sig.kind .. ":" .. event.sig.data end
    if event.stop then word = word .. " " .. event.stop.reason end
    if event.error then word = word .. " " .. event.error.kind end
    list[#list + 1] = word
  end
  return list
end

local function parts(list, reason, more)
  return '{"candidates":[{"content":{"role":"model","parts":[' .. list .. ']}'
    .. (reason and ',"finishReason":"' .. reason .. '"' or "") .. ',"index":0}]'
    .. (more or "") .. ',"responseId":"r"}'
end

local function decoded(frames, given) return short(events_of(frames, given)) end

-- --- streams of Gemini --------------------------------------------------------------------------

test("gemini stream: adjacent texts are one block, a thought is another", function()
  same(decoded { parts '{"text":"a","thought":true}', parts '{"text":"b","thought":true},{"text":"c"}',
    parts('{"text":"d"}', "STOP") }, {
    "start", "block_start 0 thinking", "thinking_delta 0 a", "thinking_delta 0 b", "block_stop 0",
    "block_start 1 text", "text_delta 1 c", "text_delta 1 d", "block_stop 1", "stop end", "end",
  })
end)

test("gemini stream: a call in one chunk and STOP in the next is a call (6)", function()
  same(decoded { parts '{"functionCall":{"id":"1","name":"f","args":{"a":1.0}}}', parts('{"text":""}', "STOP") }, {
    "start", "block_start 0 tool_call", 'args_delta 0 {"a":1.0}', "block_stop 0", "stop tool_call", "end",
  })
end)

test("gemini stream: text in the chunk of a call or a finish is kept (15), after a call it is a new block (16)",
function()
  same(decoded { parts('{"text":"a"},{"functionCall":{"name":"f"}},{"text":"b"}', "STOP") }, {
    "start", "block_start 0 text", "text_delta 0 a", "block_stop 0",
    "block_start 1 tool_call", "args_delta 1 {}", "block_stop 1",
    "block_start 2 text", "text_delta 2 b", "block_stop 2", "stop tool_call", "end",
  })
end)

test("gemini stream: parallel calls are separate, with ids of their own (11, 12, 29)", function()
  local events = events_of { parts '{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"f","args":{"a":2}}}',
    parts('{"functionCall":{"name":"g"}}', "STOP") }
  local calls = {}
  for _, event in ipairs(events) do
    if event.type == "block_start" then calls[#calls + 1] = event.block.name .. event.block.id end
  end
  same(#calls, 3)
  assert(calls[1] ~= calls[2])
  same({ calls[1]:match "^f(call_)", calls[3]:match "^g(call_)" }, { "call_", "call_" })
end)

test("gemini stream: a finish on every chunk ends nothing early (5, 7), the strongest reason stays (8)", function()
  same(decoded { parts('{"text":"a"}', "STOP"), parts('{"text":"b"}', "MAX_TOKENS"), parts('{"text":"c"}', "STOP") }, {
    "start", "block_start 0 text", "text_delta 0 a", "text_delta 0 b", "text_delta 0 c", "block_stop 0",
    "stop max_tokens", "end",
  })
  same(decoded { '{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":""}]}',
    '{"candidates":[{"finishReason":null}]}' }[4], "error truncated")
end)

test("gemini stream: usage is told at once and at the end, the last one counts (18, 85)", function()
  local events = events_of { parts('{"text":"a"}', nil, ',"usageMetadata":{"promptTokenCount":800}'),
    parts('{"text":""}', "STOP", [[,"usageMetadata":{"promptTokenCount":800,"cachedContentTokenCount":500,
      "candidatesTokenCount":30,"thoughtsTokenCount":12,"totalTokenCount":842}]]) }
  same({ events[2].type, events[2].usage.input, events[2].usage.output }, { "usage", 800, nil })
  local last = events[#events - 1]
  same({ last.type, last.usage.input, last.usage.cache_read, last.usage.output, last.usage.reasoning },
    { "usage", 800, 500, 42, 12 })
end)

test("gemini stream: usage after the finish, without candidates, is taken (18)", function()
  local events = events_of { parts('{"text":"a"}', "STOP"), '{"candidates":[],"usage_metadata":{"prompt_token_count":3}}' }
  same({ events[#events - 1].usage.input, events[#events].type }, { 3, "end" })
end)

test("gemini stream: a stream that breaks off is truncated, unless a whole call came last (21)", function()
  same(decoded({ parts '{"text":"a"}' }), {
    "start", "block_start 0 text", "text_delta 0 a", "error truncated" })
  same(decoded({ parts '{"functionCall":{"name":"f"}}' })[5], "stop tool_call")
  same(decoded({}), { "error truncated" })
end)

test("gemini stream: an error in a stream is an error (28, 92)", function()
  local events = events_of { '{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}' }
  same({ #events, events[1].type, events[1].error.kind, events[1].error.message, events[1].error.phase },
    { 1, "error", "overloaded", "busy", "pre" })
  same(decoded({ '[{"error":{"code":429,"message":"slow"}}]', parts("", "STOP") }), { "error rate_limit" })
end)

test("gemini stream: [DONE] and what is not JSON are passed over (26)", function()
  same(decoded { "x", "[DONE]", "7", "[]", parts('{"text":"a"}', "STOP"), "[DONE]" }, {
    "start", "block_start 0 text", "text_delta 0 a", "block_stop 0", "stop end", "end" })
end)

test("gemini stream: signatures stay with their part (64, 65)", function()
  same(decoded { parts('{"text":"h","thought":true,"thoughtSignature":"A"},{"functionCall":{"name":"f"},"thoughtSignature":"B"}'),
    parts('{"text":"t","thoughtSignature":"C"},{"text":"","thoughtSignature":"D"}', "STOP") }, {
    "start", "block_start 0 thinking", "thinking_delta 0 h", "signature 0 thinking:A", "block_stop 0",
    "block_start 1 tool_call sig:B", "args_delta 1 {}", "block_stop 1",
    "block_start 2 text sig:C", "text_delta 2 t", "signature 2 text:D", "block_stop 2",
    "stop tool_call", "end",
  })
end)

test("gemini stream: a signature alone waits for the next block, or makes an empty one (65)", function()
  same(decoded { parts('{"text":"","thoughtSignature":"A"},{"functionCall":{"name":"f"}}', "STOP") }[2],
    "block_start 0 tool_call sig:A")
  same(decoded { parts('{"functionCall":{"name":"f"}},{"thoughtSignature":"A"}', "STOP") }[5],
    "block_start 1 text sig:A")
end)

test("gemini stream: arguments that come path by path are one object", function()
  local function part(partial, more, name)
    return parts('{"functionCall":{' .. (name and '"name":"f",' or "") .. '"partialArgs":[' .. partial
      .. '],"willContinue":' .. more .. "}}")
  end
  same(decoded { part("", "true", true), part('{"jsonPath":"$.a","stringValue":"x","willContinue":true}', "true"),
    part('{"jsonPath":"$.a","stringValue":"y"},{"jsonPath":"$.b[0].c","numberValue":1}', "true"),
    part('{"jsonPath":"$.b[1]","boolValue":true},{"jsonPath":"$[\'d e\']","nullValue":"NULL_VALUE"}', "false"),
    parts("", "STOP") }, {
    "start", "block_start 0 tool_call", 'args_delta 0 {"a":"xy","b":[{"c":1},true],"d e":null}',
    "block_stop 0", "stop tool_call", "end",
  })
end)

test("gemini stream: paths that make no sense are passed over", function()
  for _, path in ipairs { "", "$", "$..a", "$.a[99]", "$.a[-1]", "$.x.y", "$[0]", "$.b." .. ("[0]"):rep(40) } do
    local found = decoded { parts('{"functionCall":{"name":"f","partialArgs":[{"jsonPath":"$.x","stringValue":"1"},'
      .. '{"jsonPath":"' .. path .. '","numberValue":1},7,{"jsonPath":7}]}}', "STOP") }
    same({ found[3]:sub(1, 12), found[5] }, { "args_delta 0", "stop tool_call" })
  end
end)

test("gemini stream: a call that was never finished is no whole answer", function()
  same(decoded { parts '{"functionCall":{"name":"f","willContinue":true}}' }[3], "error truncated")
end)

test("gemini stream: calls without a name take the only tool's (10)", function()
  local events = events_of({ parts('{"functionCall":{"args":{"a":1}}}', "STOP") },
    { request = { tools = { { name = "only" } } } })
  same(events[2].block.name, "only")
  same(events_of { parts('{"functionCall":{"name":null,"id":"","args":"{\\"a\\":1}"}}', "STOP") }[3].text, '{"a":1}')
end)

test("gemini stream: every candidate is a choice with its own blocks (2)", function()
  same(decoded { '{"candidates":[{"index":0,"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"},'
    .. '{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"SAFETY"}]}' }, {
    "start", "block_start 0 text", "text_delta 0 a", "block_start@1 0 text", "text_delta@1 0 b",
    "block_stop 0", "stop end", "block_stop@1 0", "stop@1 content_filter", "end",
  })
end)

test("gemini stream: a prompt that is refused is a content filter (90, 91)", function()
  local events = events_of { '{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"no"},"usageMetadata":{"promptTokenCount":4}}' }
  same(short(events), { "start", "usage", "stop content_filter", "usage", "end" })
  same(events[3].stop.details, { reason = "SAFETY", message = "no" })
end)

test("gemini stream: a malformed call before anything else is an error", function()
  same(decoded { parts("", "MALFORMED_FUNCTION_CALL") }, { "start", "error malformed_call" })
  same(decoded { parts('{"text":"a"}', "MALFORMED_FUNCTION_CALL") }[5], "stop malformed_call")
end)

test("gemini stream: pictures are told once (30)", function()
  local image = '{"inlineData":{"mimeType":"image/png","data":"AAAA"}}'
  local response = fold.fold(events_of { parts(image), parts(image), parts('{"text":"x"}', "STOP") })
  same({ #response.choices[1].blocks, response.choices[1].blocks[1].source },
    { 2, { kind = "base64", media_type = "image/png", data = "AAAA" } })
end)

test("gemini stream: offsets of citations are code points (104)", function()
  local response = fold.fold(events_of { parts '{"text":"Grüße, "}', '{"candidates":[{"content":{"parts":[{"text":"日本"}]},'
    .. '"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["q"],"groundingChunks":[{"web":{"uri":"https://x.example","title":"X"}}],'
    .. '"groundingSupports":[{"segment":{"startIndex":9,"endIndex":15,"text":"日本"},"groundingChunkIndices":[0,9]}]}}]}' })
  local blocks = response.choices[1].blocks
  same(blocks[1].citations, { { kind = "url", url = "https://x.example", title = "X", quote = "日本", start = 7, ["end"] = 9 } })
  same({ blocks[2].type, tostring(blocks[2].input), blocks[3].results }, { "server_call", '{"query":"q"}',
    { { url = "https://x.example", title = "X" } } })
end)

test("gemini stream: code and its result are server blocks", function()
  local response = fold.fold(events_of { parts('{"executableCode":{"language":"PYTHON","code":"1"}},'
    .. '{"codeExecutionResult":{"outcome":"OUTCOME_FAILED","output":"e"}}', "STOP") })
  local call, result = response.choices[1].blocks[1], response.choices[1].blocks[2]
  same({ call.type, call.tool, result.call_id == call.id, result.output, result.error },
    { "server_call", "code", true, "e", "OUTCOME_FAILED" })
end)

test("gemini stream: log probabilities come with their text", function()
  local events = events_of { '{"candidates":[{"content":{"parts":[{"text":"é"}]},"finishReason":"STOP","logprobsResult":'
    .. '{"chosenCandidates":[{"token":"é","logProbability":-0.5}],"topCandidates":[{"candidates":[{"token":"e","logProbability":-1}]}]}}]}' }
  same(events[3].logprobs, { { token = "é", bytes = { 195, 169 }, logprob = -0.5,
    top_logprobs = { { token = "e", bytes = { 101 }, logprob = -1 } } } })
end)

test("gemini stream: an upstream's nonsense never raises", function()
  local values = { "null", "7", '""', '"x"', "true", "[]", "{}", "[[]]", "[null]", "[7]", '[{"a":[]}]', '{"a":1}' }
  local places = {
    '{"candidates":%s}', '{"candidates":[{"content":%s}]}', '{"candidates":[{"content":{"parts":%s}}]}',
    '{"candidates":[{"content":{"parts":[%s]}}]}', '{"candidates":[{"index":%s}]}', '{"candidates":[{"finishReason":%s}]}',
    '{"usageMetadata":%s}', '{"usageMetadata":{"promptTokenCount":%s}}', '{"promptFeedback":%s}', '{"promptFeedback":{"blockReason":%s}}',
    '{"responseId":%s}', '{"modelVersion":%s}', '{"response":%s}', '{"error":%s}', "[%s]", "%s",
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"groundingMetadata":%s}]}',
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"citationMetadata":%s}]}',
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"groundingMetadata":{"groundingChunks":%s,"groundingSupports":[{"segment":%s,"groundingChunkIndices":[0]}],"webSearchQueries":%s}}]}',
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"groundingMetadata":{"groundingChunks":[{"web":%s}],"groundingSupports":%s}}]}',
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"logprobsResult":%s}]}',
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"logprobsResult":{"chosenCandidates":%s,"topCandidates":%s}}]}',
    '{"candidates":[{"content":{"parts":[{"text":"t"}]},"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":%s}],"topCandidates":[%s]}}]}',
  }
  for _, member in ipairs { "text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "executableCode",
    "codeExecutionResult", "toolCall", "toolResponse", "unknown", "functionResponse", "videoMetadata" } do
    places[#places + 1] = '{"candidates":[{"content":{"parts":[{"' .. member .. '":%s}]}}]}'
  end
  for _, member in ipairs { "id", "name", "args", "partialArgs", "willContinue" } do
    places[#places + 1] = '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","' .. member .. '":%s}}]}}]}'
  end
  for _, member in ipairs { "mimeType", "data", "displayName" } do
    places[#places + 1] = '{"candidates":[{"content":{"parts":[{"inlineData":{"data":"AAAA","' .. member .. '":%s}}]}}]}'
  end
  for _, member in ipairs { "toolType", "args", "id", "response" } do
    places[#places + 1] = '{"candidates":[{"content":{"parts":[{"toolCall":{"' .. member .. '":%s}},{"toolResponse":{"' .. member .. '":%s}}]}}]}'
  end
  for _, place in ipairs(places) do
    for _, value in ipairs(values) do
      local text = place:gsub("%%s", (value:gsub("%%", "%%%%")))
      local encoder = gemini.encode_stream(context())
      for _, event in ipairs(events_of { text, text }) do encoder.event(event) end
      encoder.eof()
      local ctx = context()
      local response = gemini.decode_response(text, ctx)
      if response then gemini.encode_response(response, ctx) end
    end
  end
end)

test("gemini: a whole answer is read like a stream of one chunk", function()
  local response = gemini.decode_response([[{"candidates":[{"index":0,"content":{"role":"model","parts":
    [{"text":"t","thoughtSignature":"QQ=="},{"functionCall":{"name":"f","args":{"b":1,"a":2}}}]},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":10,"toolUsePromptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":3},
    "modelVersion":"g","responseId":"r"}]], context())
  local choice = response.choices[1]
  same({ response.id, response.model, response.created, choice.stop.reason, choice.stop.native },
    { "r", "g", 7, "tool_call", "STOP" })
  same({ choice.blocks[1].text, choice.blocks[1].sig.data, choice.blocks[2].args }, { "t", "QQ==", '{"b":1,"a":2}' })
  same({ response.usage.input, response.usage.output, response.usage.reasoning, response.usage.tool_prompt }, { 15, 5, 3, 5 })
end)

test("gemini: a whole answer without a finish is none the worse, one without candidates is an error", function()
  local response = gemini.decode_response('{"candidates":[{"content":{"parts":[{"text":"t"}]}}]}', context())
  same(response.choices[1].stop.reason, "unknown")
  for _, text in ipairs { "{}", "x", '{"candidates":[]}', '{"error":{"code":400,"message":"bad"}}' } do
    local none, err = gemini.decode_response(text, context())
    same({ none, type(err.message) }, { nil, "string" })
  end
end)

-- --- to Gemini's clients ------------------------------------------------------------------------

local function frames_of(events, given, translator)
  local encoder = (translator or gemini).encode_stream(context(given))
  local list = {}
  local function take(frames)
    for _, frame in ipairs(frames) do list[#list + 1] = frame.data end
  end
  for _, event in ipairs(events) do take(encoder.event(event)) end
  take(encoder.eof())
  return list
end

local function same_frames(found, expected)
  same(#found, #expected)
  for i, text in ipairs(expected) do same(json.encode(json.decode(found[i])), json.encode(json.decode(text))) end
end

local SEEN = { request = { reasoning = { visible = true }, tools = {} } }

local function stream(...)
  return { { type = "start", id = "r", model = "u", created = 1 }, ... }
end

local function chunk(list, more)
  return '{"candidates":[{"content":{"role":"model","parts":[' .. list .. ']},"index":0' .. (more or "")
    .. '}],"modelVersion":"m","responseId":"r"}'
end

local LAST = chunk('{"text":""}', ',"finishReason":"STOP"'):gsub("}$", "") ..
  ',"usageMetadata":{"promptTokenCount":0,"candidatesTokenCount":0,"totalTokenCount":0}}'

test("gemini client: chunks carry whole parts, only the last one finishes (7, 98)", function()
  same_frames(frames_of(stream(
    { type = "block_start", idx = 0, block = { type = "thinking", text = "" } },
    { type = "thinking_delta", idx = 0, text = "h" },
    { type = "signature", idx = 0, mode = "set", sig = { family = "google", kind = "thinking", data = "QQ==" } },
    { type = "block_stop", idx = 0 },
    { type = "block_start", idx = 1, block = { type = "text", text = "" } },
    { type = "text_delta", idx = 1, text = '<"é' },
    { type = "block_stop", idx = 1 },
    { type = "block_start", idx = 2, block = { type = "tool_call", id = "1", name = "f",
      sig = { family = "google", kind = "call", data = "Qg==" } } },
    { type = "args_delta", idx = 2, text = '{"b":1.0,' }, { type = "args_delta", idx = 2, text = '"a":2}' },
    { type = "block_stop", idx = 2 }, { type = "keepalive" },
    { type = "stop", stop = { reason = "tool_call" } }, { type = "end" }), SEEN), {
    chunk '{"text":"h","thought":true}', chunk '{"text":"","thought":true,"thoughtSignature":"QQ=="}',
    chunk '{"text":"<\\"é"}',
    chunk '{"functionCall":{"id":"1","name":"f","args":{"b":1.0,"a":2}},"thoughtSignature":"Qg=="}', LAST,
  })
end)

test("gemini client: thoughts are shown to those who ask, signatures of others are carriers", function()
  local events = stream(
    { type = "block_start", idx = 0, block = { type = "thinking", text = "" } },
    { type = "thinking_delta", idx = 0, text = "h" },
    { type = "signature", idx = 0, mode = "set", sig = { family = "anthropic", kind = "thinking", data = "ABC" } },
    { type = "block_stop", idx = 0 },
    { type = "block_start", idx = 1, block = { type = "redacted_thinking", sig = { family = "anthropic", kind = "redacted", data = "X" } } },
    { type = "block_stop", idx = 1 },
    { type = "stop", stop = { reason = "end" } }, { type = "end" })
  same(#frames_of(events, { request = { tools = {} } }), 1)
  local frames = frames_of(events, SEEN)
  same(#frames, 4)
  same(json.get(frames[2], { "candidates", 1, "content", "parts", 1, "thoughtSignature" }), "c2MxfmF+dH5RVUpE")
  -- What comes back is the signature again.
  local request = gemini.decode_request('{"contents":[{"role":"model","parts":['
    .. tostring(json.get(frames[3], { "candidates", 1, "content", "parts", 1 })) .. "]}]}", context())
  same(request.turns[1].blocks[1], { type = "redacted_thinking", sig = { family = "anthropic", kind = "redacted", data = "X" } })
end)

test("gemini client: arguments that are no object become one, alone they are malformed", function()
  local function told(...)
    return frames_of(stream({ type = "block_start", idx = 0, block = { type = "tool_call", id = "1", name = "f" } },
      { type = "args_delta", idx = 0, text = '{"a' }, { type = "block_stop", idx = 0 }, ...))
  end
  local finish = { "candidates", 1, "finishReason" }
  local frames = told({ type = "stop", stop = { reason = "tool_call" } }, { type = "end" })
  same(tostring(json.get(frames[1], { "candidates", 1, "content", "parts", 1, "functionCall", "args" })), "{}")
  same(json.get(frames[2], finish), "MALFORMED_FUNCTION_CALL")
  frames = told({ type = "block_start", idx = 1, block = { type = "text" } }, { type = "text_delta", idx = 1, text = "x" },
    { type = "block_stop", idx = 1 }, { type = "stop", stop = { reason = "tool_call" } }, { type = "end" })
  same(json.get(frames[3], finish), "STOP")
end)

test("gemini client: usage that comes after the stop is in the last chunk (85)", function()
  local frames = frames_of(stream({ type = "usage", usage = { input = 5 } }, { type = "stop", stop = { reason = "max_tokens" } },
    { type = "usage", usage = { output = 9, reasoning = 4, cache_read = 2 } }, { type = "end" }))
  same_frames(frames, { (chunk('{"text":""}', ',"finishReason":"MAX_TOKENS"'):gsub("}$", "")) ..
    ',"usageMetadata":{"promptTokenCount":5,"cachedContentTokenCount":2,"candidatesTokenCount":5,"thoughtsTokenCount":4,"totalTokenCount":14}}' })
end)

test("gemini client: errors have Google's form, after them nothing follows", function()
  same_frames(frames_of(stream({ type = "error", error = { kind = "rate_limit", status = 429, message = "slow" } }, { type = "end" })),
    { '{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}' })
  same(json.get(frames_of(stream())[1], { "error", "status" }), "UNAVAILABLE")
end)

test("gemini client: pictures, refusals and searches", function()
  local frames = frames_of(stream(
    { type = "block_start", idx = 0, block = { type = "image", source = { kind = "base64", media_type = "image/png" } } },
    { type = "media_delta", idx = 0, data = "preview", partial_index = 0 },
    { type = "media_delta", idx = 0, data = "AA" }, { type = "media_delta", idx = 0, data = "AA" }, { type = "block_stop", idx = 0 },
    { type = "block_start", idx = 1, block = { type = "refusal" } }, { type = "refusal_delta", idx = 1, text = "no" },
    { type = "block_stop", idx = 1 },
    { type = "block_start", idx = 2, block = { type = "server_call", id = "s", tool = "web_search", input = json.raw "{}" } },
    { type = "block_stop", idx = 2, final = { input = json.raw '{"query":"q"}' } },
    { type = "block_start", idx = 3, block = { type = "text" } }, { type = "text_delta", idx = 3, text = "é日" },
    { type = "citation", idx = 3, citation = { kind = "url", url = "https://x.example", title = "X", start = 1, ["end"] = 2 } },
    { type = "block_stop", idx = 3 },
    { type = "stop", stop = { reason = "refusal" } }, { type = "end" }))
  same({ #frames, tostring(json.get(frames[1], { "candidates", 1, "content", "parts" })) },
    { 4, '[{"inlineData":{"data":"AAAA","mimeType":"image/png"}}]' })
  local last = json.decode(frames[4]).candidates[1]
  same({ last.finishReason, last.groundingMetadata }, { "SAFETY", { webSearchQueries = { "q" },
    groundingChunks = { { web = { uri = "https://x.example", title = "X" } } },
    groundingSupports = { { segment = { startIndex = 2, endIndex = 5, text = "日" }, groundingChunkIndices = { 0 } } } } })
end)

test("gemini client: a whole answer", function()
  local response, choice = ir.response(), ir.choice(0)
  response.id, response.choices = "r", { choice }
  choice.blocks = {
    { type = "thinking", text = "h", sig = { family = "google", kind = "thinking", data = "QQ==" } },
    { type = "text", text = "t" }, { type = "tool_call", id = "1", name = "f", args = "", kind = "function" },
  }
  choice.stop = { reason = "tool_call" }
  response.usage.input, response.usage.output = 3, 4
  same(gemini.encode_response(response, context(SEEN)), '{"candidates":[{"content":{"parts":'
    .. '[{"text":"h","thought":true,"thoughtSignature":"QQ=="},{"text":"t"},{"functionCall":{"args":{},"id":"1","name":"f"}}],'
    .. '"role":"model"},"finishReason":"STOP","index":0}],"modelVersion":"m","responseId":"r",'
    .. '"usageMetadata":{"candidatesTokenCount":4,"promptTokenCount":3,"totalTokenCount":7}}')
  choice.blocks = {}
  assert(gemini_cli.encode_response(response, context()):find('^{"response":{"candidates":%[{"content":{"parts":%[{"text":""}'))
end)

-- --- worked examples ----------------------------------------------------------------------------

test("gemini: example 5.2, the upstream's stream in the neutral form", function()
  local events = events_of({
    [[{"candidates":[{"content":{"role":"model","parts":[{"text":"Second file.","thought":true}]},"index":0}],"usageMetadata":{"promptTokenCount":800},"modelVersion":"gemini-3-flash-preview","responseId":"gr1"}]],
    [[{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"fc9","name":"Read","args":{"path":"app.lua"}},"thoughtSignature":"Q2xhcmE="}]},"index":0}],"modelVersion":"gemini-3-flash-preview","responseId":"gr1"}]],
    [[{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":800,"cachedContentTokenCount":500,"candidatesTokenCount":30,"thoughtsTokenCount":12,"totalTokenCount":842}}]],
  }, { client = { dialect = "anthropic" } })
  same(short(events), {
    "start", "usage", "block_start 0 thinking", "thinking_delta 0 Second file.", "block_stop 0",
    "block_start 1 tool_call sig:Q2xhcmE=", 'args_delta 1 {"path":"app.lua"}', "block_stop 1",
    "stop tool_call", "usage", "end",
  })
  same({ events[1].id, events[1].model, events[6].block.id, events[6].block.sig.family, events[6].block.sig.kind },
    { "gr1", "gemini-3-flash-preview", "fc9", "google", "call" })
end)

test("gemini: example 5.5, a call without id gets one, its signature is known at its start", function()
  local events = events_of({ [[{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"crop.image","args":{"w":"2"}},"thoughtSignature":"Q2xhcmE="}]},"index":0,"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":50,"candidatesTokenCount":8,"thoughtsTokenCount":20,"totalTokenCount":78},"modelVersion":"gemini-2.5-flash","responseId":"gr2"}]] },
    { client = { dialect = "chat" } })
  same(short(events), { "start", "usage", "block_start 0 tool_call sig:Q2xhcmE=", 'args_delta 0 {"w":"2"}',
    "block_stop 0", "stop tool_call", "usage", "end" })
  same(events[3].block.id, "call_u1")
end)

test("gemini client: log probabilities that are none do no harm", function()
  for _, list in ipairs { "[7]", '["x"]', "[null]", '[{"token":7,"logprob":"x","top_logprobs":7}]',
    '[{"token":"a","logprob":-1,"top_logprobs":[7,{"token":"b"}]}]' } do
    local text = json.decode(list)
    local response = ir.response()
    response.choices[1] = ir.choice(0)
    response.choices[1].blocks[1] = { type = "text", text = "t", logprobs = text }
    assert(json.decode(gemini.encode_response(response, context())).candidates[1].logprobsResult)
  end
end)

test("gemini_cli: example 5.8, the client's stream", function()
  same_frames(frames_of({
    { type = "start", id = "q1", model = "qwen-x", created = 1 },
    { type = "block_start", idx = 0, block = { type = "text", text = "" } },
    { type = "text_delta", idx = 0, text = "Next b.c." }, { type = "block_stop", idx = 0 },
    { type = "block_start", idx = 1, block = { type = "tool_call", kind = "function", id = "call_9", name = "read_file" } },
    { type = "args_delta", idx = 1, text = '{"pa' }, { type = "args_delta", idx = 1, text = 'th":"b.c"}' },
    { type = "block_stop", idx = 1 }, { type = "stop", stop = { reason = "tool_call" } },
    { type = "usage", usage = { input = 70, output = 15 } }, { type = "end" },
  }, { model = "gemini-2.5-pro", client = { dialect = "gemini", variant = "gemini_cli" } }, gemini_cli), {
    [[{"response":{"candidates":[{"content":{"role":"model","parts":[{"text":"Next b.c."}]},"index":0}],"modelVersion":"gemini-2.5-pro","responseId":"q1"},"traceId":"q1"}]],
    [[{"response":{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"call_9","name":"read_file","args":{"path":"b.c"}}}]},"index":0}],"modelVersion":"gemini-2.5-pro","responseId":"q1"},"traceId":"q1"}]],
    [[{"response":{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":70,"candidatesTokenCount":15,"totalTokenCount":85},"modelVersion":"gemini-2.5-pro","responseId":"q1"},"traceId":"q1"}]],
  })
end)
