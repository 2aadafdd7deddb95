--- Answers for Chat clients: whole ones and streams, and whole answers of Chat upstreams.

local chat = require "translators.chat"
local fold = require "lib.fold"
local ir = require "lib.ir"
local json = require "json"
local reject = require "lib.reject"
local support = require "tests.chat_support"

local deltas, frames, same_json = support.deltas, support.frames, support.same_json

local function request(fields)
  local made = ir.request()
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local STREAM = request { stream = true, stream_usage = true }

local function start(id) return { type = "start", id = id or "x", model = "up", created = 1760000001 } end
local function open(idx, block) return { type = "block_start", idx = idx, block = block } end
local function close(idx, final) return { type = "block_stop", idx = idx, final = final } end
local function say(idx, text) return { type = "text_delta", idx = idx, text = text } end
local function think(idx, text) return { type = "thinking_delta", idx = idx, text = text } end
local function args(idx, text) return { type = "args_delta", idx = idx, text = text } end
local function stop(reason) return { type = "stop", stop = { reason = reason } } end
local function tool(id, name) return { type = "tool_call", kind = "function", id = id, name = name } end
local END = { type = "end" }

local function stream(events, options)
  options = options or { request = STREAM }
  return frames(events, support.context(options))
end

-- --- streams ------------------------------------------------------------------------------------

test("worked example 5.4: the client's stream", function()
  local got = stream({
    start "msg_9",
    open(0, { type = "thinking", text = "" }), think(0, "Two cities."),
    { type = "signature", idx = 0, mode = "set",
      sig = { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" } }, close(0),
    open(1, tool("toolu_A", "wx")), args(1, '{"city":"Bergen"}'), close(1),
    open(2, tool("toolu_B", "wx")), close(2),
    { type = "usage", usage = { input = 600, cache_read = 400, cache_write = 80, output = 60 } },
    stop "tool_call", END,
  }, { request = STREAM, model = "claude-opus-4-7" })
  local function wanted(delta, finish)
    return '{"id":"chatcmpl-msg_9","object":"chat.completion.chunk","created":1760000001,'
      .. '"model":"claude-opus-4-7","choices":[{"index":0,"delta":' .. delta .. ',"finish_reason":'
      .. (finish or "null") .. '}],"usage":null}'
  end
  local expected = {
    wanted '{"role":"assistant","content":""}', wanted '{"reasoning_content":"Two cities."}',
    wanted '{"reasoning_details":[{"type":"reasoning.text","index":0,"text":"","signature":"sc1~a~t~RXFNYWRlVXBTaWc"}]}',
    wanted '{"tool_calls":[{"index":0,"id":"toolu_A","type":"function","function":{"name":"wx","arguments":""}}]}',
    wanted '{"tool_calls":[{"index":0,"function":{"arguments":"{\\"city\\":\\"Bergen\\"}"}}]}',
    wanted '{"tool_calls":[{"index":1,"id":"toolu_B","type":"function","function":{"name":"wx","arguments":""}}]}',
    wanted '{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}',
    wanted("{}", '"tool_calls"'),
    [[{"id":"chatcmpl-msg_9","object":"chat.completion.chunk","created":1760000001,"model":"claude-opus-4-7","choices":[],"usage":{"prompt_tokens":600,"completion_tokens":60,"total_tokens":660,"prompt_tokens_details":{"cached_tokens":400,"cache_write_tokens":80},"completion_tokens_details":{"reasoning_tokens":0}}}]],
  }
  same(#got, #expected + 1)
  for i, each in ipairs(expected) do same_json(got[i], each) end
  same(got[#got], "[DONE]")
end)

test("worked example 5.5: a call with Google's signature", function()
  local call = tool("call_Zk3", "crop.image")
  call.sig = { family = "google", kind = "call", data = "Q2xhcmE=" }
  same(deltas(stream { start "gr2", open(0, call), args(0, '{"w":2}'), close(0), stop "tool_call",
    { type = "usage", usage = { input = 50, output = 28, reasoning = 20 } }, END }), {
    '{"content":"","role":"assistant"}',
    '{"tool_calls":[{"extra_content":{"google":{"thought_signature":"Q2xhcmE="}},"function":'
      .. '{"arguments":"","name":"crop.image"},"id":"call_Zk3","index":0,"type":"function"}]}',
    '{"tool_calls":[{"function":{"arguments":"{\\"w\\":2}"},"index":0}]}',
    "finish tool_calls", "usage", "[DONE]",
  })
end)

test("pitfall 1: the index of a call counts calls, not blocks", function()
  local list = deltas(stream { start(), open(0, { type = "text", text = "" }), say(0, "a"), close(0),
    open(1, tool("t", "f")), args(1, "{}"), close(1), stop "tool_call", END })
  same(list[3], '{"tool_calls":[{"function":{"arguments":"","name":"f"},"id":"t","index":0,"type":"function"}]}')
end)

test("pitfall 2: the index of a choice is the candidate's", function()
  local function of_second(event)
    event.choice = 1
    return event
  end
  same(deltas(stream { start(), of_second(open(0, { type = "text", text = "" })),
    of_second(say(0, "b")), of_second(close(0)), stop "end", of_second(stop "max_tokens"), END }), {
    '{"content":"","role":"assistant"}', '1 {"content":"","role":"assistant"}', '1 {"content":"b"}',
    "finish stop", "finish length", "[DONE]",
  })
end)

test("pitfall 4: one start, one finish, one end, whatever the order of usage", function()
  local usage = { type = "usage", usage = { input = 1, output = 1 } }
  for _, list in ipairs {
    { start(), start(), usage, stop "end", stop "end", END, END, usage },
    { start(), stop "end", usage, END, usage },
  } do
    same(deltas(stream(list)), { '{"content":"","role":"assistant"}', "finish stop", "usage", "[DONE]" })
  end
end)

test("pitfall 8: no value from outside the table reaches a client", function()
  local names = { ["end"] = "stop", tool_call = "tool_calls", max_tokens = "length",
    context_window = "length", stop_sequence = "stop", refusal = "content_filter",
    content_filter = "content_filter", pause = "stop", compaction = "stop", unknown = "stop" }
  for reason, name in pairs(names) do
    same(deltas(stream { start(), stop(reason), END })[2], "finish " .. name)
  end
  same(deltas(stream { start(), { type = "refusal_delta", idx = 0, text = "No." }, stop "refusal", END })[3],
    "finish stop")
end)

test("pitfall 19: who did not ask for usage gets none, who did gets null until the end", function()
  local events = { start(), { type = "usage", usage = { input = 1, output = 2 } }, stop "end", END }
  local got = stream(events, { request = request { stream = true } })
  same(#got, 3)
  for i = 1, 2 do same(json.decode(got[i]).usage, nil) end
  got = stream(events)
  for i = 1, 2 do same(json.decode(got[i]).usage, json.null) end
  same(json.decode(got[3]).usage.total_tokens, 3)
  -- An upstream that said nothing of usage: the chunk is left out.
  same(deltas(stream { start(), stop "end", END })[3], "[DONE]")
end)

test("pitfall 26: nothing follows the end, and there is one [DONE]", function()
  same(deltas(stream { start(), stop "end", END, say(0, "x"), END }),
    { '{"content":"","role":"assistant"}', "finish stop", "[DONE]" })
end)

test("an error ends the stream in its own form, without [DONE]", function()
  local got = stream { start(), { type = "error", error = {
    kind = "overloaded", status = 503, message = "busy", phase = "mid" } }, END }
  same(#got, 2)
  local err = json.decode(got[2]).error
  same({ err.message, err.type, err.code }, { "busy", "server_error", "server_is_overloaded" })
end)

test("a stream that is left without an end gets one", function()
  same(deltas(stream { start(), stop "end" }), { '{"content":"","role":"assistant"}', "finish stop", "[DONE]" })
  same(deltas(stream { start() })[2]:sub(1, 5), "error")
end)

test("thoughts and their parts are told apart by a blank line", function()
  same(deltas(stream { start(), open(0, { type = "thinking", text = "" }), think(0, "a"),
    { type = "thinking_part", idx = 0, part = 1 }, think(0, "b"), close(0),
    open(1, { type = "thinking", text = "" }), think(1, "c"), close(1), stop "end", END }), {
    '{"content":"","role":"assistant"}', '{"reasoning_content":"a"}', '{"reasoning_content":"\\n\\nb"}',
    '{"reasoning_content":"\\n\\nc"}', "finish stop", "[DONE]",
  })
end)

test("pitfall 71: redacted thinking travels in reasoning_details", function()
  same(deltas(stream { start(), open(0, { type = "redacted_thinking",
    sig = { family = "anthropic", kind = "redacted", data = "ABC" } }), close(0), stop "end", END })[2],
    '{"reasoning_details":[{"data":"sc1~a~r~QUJD","index":0,"type":"reasoning.encrypted"}]}')
end)

test("who does not want to see thoughts sees none", function()
  same(deltas(stream({ start(), open(0, { type = "thinking", text = "" }), think(0, "a"), close(0),
    open(1, { type = "text", text = "" }), say(1, "b"), close(1), stop "end", END },
    { request = request { reasoning = { mode = "auto", visible = false } } })),
    { '{"content":"","role":"assistant"}', '{"content":"b"}', "finish stop", "[DONE]" })
end)

test("citations come before the finish, counted in the whole text", function()
  local list = deltas(stream { start(), open(0, { type = "text", text = "" }), say(0, "né "), close(0),
    open(1, { type = "text", text = "" }), say(1, "cited"),
    { type = "citation", idx = 1, citation = { kind = "url", url = "u", title = "t", start = 0, ["end"] = 2 } },
    { type = "citation", idx = 1, citation = { kind = "url", url = "v" } }, close(1), stop "end", END })
  same(list[4], '{"annotations":[{"type":"url_citation","url_citation":{"end_index":5,"start_index":3,'
    .. '"title":"t","url":"u"}},{"type":"url_citation","url_citation":{"end_index":8,"start_index":3,'
    .. '"title":"","url":"v"}}]}')
end)

test("images, custom calls, late signatures and log probabilities have their chunks", function()
  local custom = { type = "tool_call", kind = "custom", id = "c", name = "patch" }
  local text = say(0, "a")
  text.logprobs = { { token = "a", logprob = -0.5 } }
  local got = stream { start(), open(0, { type = "text", text = "" }), text, close(0),
    open(1, { type = "image", source = { kind = "base64", media_type = "image/png", data = "AA==" } }), close(1),
    open(2, { type = "image" }), { type = "media_delta", idx = 2, data = "BB==" },
    close(2, { source = { kind = "base64", media_type = "image/webp", data = "" } }),
    open(3, custom), args(3, "*** x"), close(3),
    { type = "signature", idx = 3, mode = "set", sig = { family = "google", kind = "call", data = "EgA=" } },
    open(4, tool("d", "f")), close(4, { args = '{"a":1}' }), stop "tool_call", END }
  local list = deltas(got)
  same(json.decode(got[2]).choices[1].logprobs.content[1].token, "a")
  same({ list[3], list[4] }, {
    '{"images":[{"image_url":{"url":"data:image/png;base64,AA=="},"index":0,"type":"image_url"}]}',
    '{"images":[{"image_url":{"url":"data:image/webp;base64,BB=="},"index":1,"type":"image_url"}]}' })
  same({ list[5], list[6], list[7], list[9] }, {
    '{"tool_calls":[{"custom":{"input":"","name":"patch"},"id":"c","index":0,"type":"custom"}]}',
    '{"tool_calls":[{"custom":{"input":"*** x"},"index":0}]}',
    '{"tool_calls":[{"extra_content":{"google":{"thought_signature":"EgA="}},"index":0}]}',
    '{"tool_calls":[{"function":{"arguments":"{\\"a\\":1}"},"index":1}]}' })
end)

-- --- whole answers ------------------------------------------------------------------------------

local function response(blocks, reason)
  local made = ir.response()
  made.id, made.created = "msg_1", 1760000001
  made.choices[1] = { index = 0, blocks = blocks, stop = { reason = reason or "end" } }
  made.usage = { input = 10, cache_read = 4, cache_write = 0, output = 3, reasoning = 1, estimated = false }
  return made
end

local function encode(blocks, reason, options)
  return json.decode(chat.encode_response(response(blocks, reason), support.context(options)))
end

test("a whole answer has everything in its place", function()
  local text = chat.encode_response(response({
    { type = "thinking", text = "A", sig = { family = "anthropic", kind = "thinking", data = "ABC" } },
    { type = "text", text = "One " }, { type = "text", text = "two" },
    { type = "tool_call", kind = "function", id = "t", name = "f", args = '{"x":1}', complete = true },
  }, "tool_call"), support.context { model = "mine" })
  same_json(text, [[{"id":"chatcmpl-msg_1","object":"chat.completion","created":1760000001,"model":"mine",
    "choices":[{"index":0,"finish_reason":"tool_calls","logprobs":null,"message":{"role":"assistant","content":"One two","refusal":null,
    "reasoning_content":"A","reasoning_details":[{"type":"reasoning.text","index":0,"text":"","signature":"sc1~a~t~QUJD"}],
    "tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}}],
    "usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":1}}}]])
end)

test("content is null only where there are calls and no text", function()
  local call = { type = "tool_call", kind = "function", id = "t", name = "f", args = "" }
  local message = encode({ call }, "tool_call").choices[1].message
  same({ message.content == json.null, message.tool_calls[1]["function"].arguments }, { true, "{}" })
  message = encode({}).choices[1].message
  same({ message.content, message.tool_calls, message.refusal == json.null }, { "", nil, true })
end)

test("the texts of several signed thoughts stand beside their signatures", function()
  local function thought(text, data)
    return { type = "thinking", text = text, sig = { family = "anthropic", kind = "thinking", data = data } }
  end
  local message = encode { thought("A", "ABC"), thought("B", "DEF") }.choices[1].message
  same(message.reasoning_content, "A\n\nB")
  -- And come back as they were.
  message.role = "assistant"
  local blocks = support.decode { messages = { message } }.turns[1].blocks
  same({ blocks[1].text, blocks[1].sig.data, blocks[2].text, blocks[2].sig.data }, { "A", "ABC", "B", "DEF" })
end)

test("pitfalls 98 and 99: the client's model, an id and a time are always there", function()
  local made = ir.response()
  made.choices[1] = { index = 0, blocks = {}, stop = { reason = "end" } }
  made.usage.missing = true
  local body = json.decode(chat.encode_response(made, support.context { model = "mine", created = 7 }))
  same({ body.model, body.created, body.id:find "^chatcmpl%-" ~= nil, body.usage }, { "mine", 7, true, nil })
  local first = json.decode(stream({ { type = "start" }, stop "end", END }, { model = "mine", created = 7 })[1])
  same({ first.model, first.created, first.id:find "^chatcmpl%-" ~= nil }, { "mine", 7, true })
end)

test("a refusal, images, audio and citations of a whole answer", function()
  local body = encode({
    { type = "text", text = "ab" }, { type = "text", text = "cd", citations = { { kind = "url", url = "u" } },
      logprobs = { { token = "cd" } } },
    { type = "refusal", text = "No." },
    { type = "image", source = { kind = "base64", media_type = "image/png", data = "AA==" } },
    { type = "audio", id = "au", source = { kind = "base64", data = "BB==" }, transcript = "hi" },
  }, "refusal")
  local message = body.choices[1].message
  same({ body.choices[1].finish_reason, message.content, message.refusal }, { "stop", "abcd", "No." })
  same_json(message.annotations,
    '[{"type":"url_citation","url_citation":{"url":"u","title":"","start_index":2,"end_index":4}}]')
  same({ message.images[1].image_url.url, message.audio.transcript,
    body.choices[1].logprobs.content[1].token }, { "data:image/png;base64,AA==", "hi", "cd" })
end)

-- --- answers of upstreams -----------------------------------------------------------------------

local WHOLE = [[{"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"up","service_tier":"default",
  "system_fingerprint":"fp","choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant",
  "content":"Text","reasoning_content":"T","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":4}}],
  "tool_calls":[{"id":"","type":"function","function":{"name":"f","arguments":"{'a': 1}"}}]}}],
  "usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_cache_hit_tokens":3}}]]

test("pitfalls 86 and 11: a whole answer is read with its calls, cache and missing ids", function()
  local got = chat.decode_response(WHOLE, support.context())
  local blocks = got.choices[1].blocks
  same({ blocks[1].text, blocks[2].text, blocks[2].citations[1].url, blocks[3].args, blocks[3].complete },
    { "T", "Text", "u", '{"a": 1}', true })
  same({ #blocks[3].id, got.choices[1].stop.reason, got.usage.cache_read, got.extras.chat.system_fingerprint },
    { 29, "tool_call", 3, "fp" })
end)

test("pitfall 92: what is no answer is refused in words", function()
  for _, body in ipairs { "", "[]", "7", "{}", '{"choices":1}', '{"error":{"message":"x"}}',
    '{"error":"x"}', '{"choices":[],"error":{"code":429}}' } do
    local fine, problem = pcall(chat.decode_response, body, support.context())
    assert(not fine and reject.is(problem), tostring(problem))
  end
end)

test("content in parts is text, thinking and images", function()
  local blocks = chat.decode_response([[{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"T"}]},
    {"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}},"b"]}}]}]],
    support.context()).choices[1].blocks
  local kinds = {}
  for i, block in ipairs(blocks) do kinds[i] = block.type .. " " .. (block.text or "") end
  same(kinds, { "thinking T", "text a", "image ", "text b" })
end)

test("a stream that is folded says what the whole answer says", function()
  local ctx = support.context { request = STREAM }
  local whole = chat.decode_response(WHOLE, ctx)
  local again = fold.fold(fold.unfold(whole))
  same_json(chat.encode_response(again, ctx), chat.encode_response(whole, ctx))
end)

test("a Chat stream over a Chat stream tells the same", function()
  local function chunk(delta, finish)
    return '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":'
      .. delta .. ',"finish_reason":' .. (finish or "null") .. '}],"usage":null}'
  end
  local upstream = {
    chunk '{"role":"assistant","content":""}', chunk '{"reasoning_content":"T"}', chunk '{"content":"a"}',
    chunk '{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}',
    chunk '{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}', chunk("{}", '"tool_calls"'),
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"m","choices":[],"usage":'
      .. '{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},'
      .. '"completion_tokens_details":{"reasoning_tokens":0}}}',
    "[DONE]",
  }
  local got = stream(support.events(upstream))
  same(#got, #upstream)
  for i = 1, #got - 1 do same_json(got[i], upstream[i]) end
end)

test("pitfalls 88 and 89: errors have the codes clients look for", function()
  local codes = {
    context_length = "context_length_exceeded", overloaded = "server_is_overloaded",
    rate_limit = "rate_limit_exceeded",
  }
  for kind, code in pairs(codes) do
    local got = stream { start(), { type = "error", error = { kind = kind, status = 400, message = "m" } } }
    same(json.decode(got[2]).error.code, code)
  end
end)
