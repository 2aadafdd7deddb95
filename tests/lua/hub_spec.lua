--- Events in their order, whole answers and streams, and the hub around them.

local fence = require "lib.fence"
local fold = require "lib.fold"
local hub = require "lib.hub"
local ir = require "lib.ir"
local json = require "json"
local problems = require "lib.problems"
local reject = require "lib.reject"
local restore = require "lib.restore"
local sequencer = require "lib.sequencer"

local function start(idx, kind, fields)
  local block = { type = kind or "text" }
  for name, value in pairs(fields or {}) do block[name] = value end
  return { type = "block_start", idx = idx, block = block }
end
local function text(idx, words) return { type = "text_delta", idx = idx, text = words } end
local function think(idx, words) return { type = "thinking_delta", idx = idx, text = words } end
local function args(idx, words) return { type = "args_delta", idx = idx, text = words } end
local function close(idx, final) return { type = "block_stop", idx = idx, final = final } end
local function call(idx, id, name) return start(idx, "tool_call", { id = id, name = name or "f", kind = "function" }) end
local function stop(reason) return { type = "stop", stop = { reason = reason or "end" } } end
local START = { type = "start", id = "x", model = "up", created = 5 }
local END = { type = "end" }

local function outline(events)
  local words = {}
  for i, event in ipairs(events) do
    local word = event.type
    if event.idx then word = word .. event.idx end
    if event.text then word = word .. "=" .. event.text end
    if event.final and event.final.complete == false then word = word .. "!" end
    words[i] = word
  end
  return table.concat(words, " ")
end

-- A list, and what appends to it.
local function gather()
  local out = {}
  return out, function(event) out[#out + 1] = event end
end

local function sequence(...)
  local out, sink = gather()
  local order = sequencer.new(sink)
  for _, event in ipairs { ... } do order(event) end
  return outline(out)
end

test("the oldest block streams live, younger ones wait", function()
  same(sequence(call(0, "a"), call(1, "b"), args(1, "{"), args(0, "{"), args(1, "}"), close(1), args(0, "}"), close(0), stop(), END),
    "block_start0 args_delta0={ args_delta0=} block_stop0 block_start1 args_delta1={ args_delta1=} block_stop1 stop end")
  same(sequence(START, start(0), text(0, "a"), { type = "usage" }, close(0), stop()),
    "start block_start0 text_delta0=a usage block_stop0 stop")
end)

test("a waiting block that is still open becomes the live one", function()
  same(sequence(start(0), call(1, "b"), call(2, "c"), args(2, "x"), close(0), args(1, "1"), close(1), args(2, "y"), close(2)),
    "block_start0 block_stop0 block_start1 args_delta1=1 block_stop1 block_start2 args_delta2=x args_delta2=y block_stop2")
end)

test("a stop closes what is open, and tells which calls are not whole", function()
  same(sequence(call(0, "a"), args(0, '{"a":1}'), call(1, "b"), args(1, '{"a":'), start(2), stop()),
    'block_start0 args_delta0={"a":1} block_stop0 block_start1 args_delta1={"a": block_stop1! block_start2 block_stop2 stop')
end)

test("an error closes nothing, and events of unknown blocks are dropped", function()
  same(sequence(start(0), { type = "error", error = {} }), "block_start0 error")
  same(sequence(text(3, "x"), close(3), END), "end")
end)

test("choices do not wait for each other", function()
  local a, b = start(0), start(0)
  b.choice = 1
  same(sequence(a, b, END), "block_start0 block_start0 block_stop0 block_stop0 end")
end)

local function events_of_everything()
  return {
    START, start(0, "thinking", { form = "summary" }), think(0, "A"), { type = "thinking_part", idx = 0, part = 1 }, think(0, "B"),
    { type = "signature", idx = 0, mode = "set", sig = { family = "openai", kind = "reasoning", data = "1" } },
    { type = "signature", idx = 0, mode = "append", sig = { family = "openai", kind = "reasoning", data = "2" } }, close(0),
    start(1), text(1, "He"), text(1, "llo"), { type = "citation", idx = 1, citation = { kind = "url", url = "u" } }, close(1),
    call(2, "c1"), args(2, '{"a"'), args(2, ":1}"), close(2), call(3, "c2"), close(3),
    start(4, "image", { source = { kind = "base64", media_type = "image/png" } }),
    { type = "media_delta", idx = 4, data = "pre", partial_index = 0 }, { type = "media_delta", idx = 4, data = "QUJD" }, close(4),
    { type = "usage", usage = { input = 3 } }, { type = "usage", usage = { output = 4 } }, stop "tool_call", END,
  }
end

test("a stream folds into a whole answer", function()
  local response = fold.fold(events_of_everything())
  local blocks = response.choices[1].blocks
  same({ response.id, response.model, response.created, response.usage.input, response.usage.output, response.usage.missing },
    { "x", "up", 5, 3, 4 })
  same({ blocks[1].text, blocks[1].parts, blocks[1].sig.data }, { "A\n\nB", { "A", "B" }, "12" })
  same({ blocks[2].text, #blocks[2].citations }, { "Hello", 1 })
  same({ blocks[3].args, blocks[3].complete, blocks[4].args, blocks[4].complete }, { '{"a":1}', true, "{}", true })
  same(blocks[5].source, { kind = "base64", media_type = "image/png", data = "QUJD" })
  same(response.choices[1].stop.reason, "tool_call")
end)

test("a stream that failed folds into its error", function()
  local response, err = fold.fold { START, start(0), { type = "error", error = { kind = "server" } } }
  same({ response, err.kind }, { nil, "server" })
  same(fold.fold({ START, END }).usage.missing, true)
end)

test("a whole answer becomes a stream and comes back the same", function()
  local response = fold.fold(events_of_everything())
  same(fold.fold(fold.unfold(response)), response)
end)

local counter = 0
local function context(fields)
  local ctx = {
    client = { dialect = "chat" }, upstream = { dialect = "anthropic" }, model = "mine", created = 77, caps = {},
    unique = function(prefix) counter = counter + 1 return prefix .. counter end,
  }
  for name, value in pairs(fields or {}) do ctx[name] = value end
  return ctx
end

local function restored(ctx, ...)
  local out, sink = gather()
  local filter = restore.new(ctx, sink)
  for _, event in ipairs { ... } do filter(event) end
  return out, outline(out)
end

test("answers carry the client's model, an id of its kind and a time", function()
  local out = restored(context(), { type = "start", id = "msg_9", model = "up" })
  same({ out[1].id, out[1].model, out[1].created }, { "chatcmpl-msg_9", "mine", 77 })
  same(restore.response_id("msg_9", context { client = { dialect = "anthropic" } }), "msg_9")
  same(restore.response_id("gr", context { client = { dialect = "gemini" } }), "gr")
  assert(restore.response_id(nil, context()):find "^chatcmpl%-%d")
end)

local function named(kinds)
  return { to_client = function(name) local k = kinds[name] if k then return k[1], k[2], k[3] end return name end }
end
local IDS = { to_client = function(id) return "c-" .. id end }

test("names, namespaces, kinds and ids are the client's again", function()
  local kept = {}
  local ctx = context { names = named { docs__l = { "l", "docs", "function" } }, ids = IDS,
    replay = { set = function(key, value) kept[key] = value end } }
  local out = restored(ctx, call(0, "1", "docs__l"),
    { type = "signature", idx = 0, sig = { family = "google", kind = "call", data = "Q2xhcmE=" } }, close(0))
  same({ out[1].block.name, out[1].block.namespace, out[1].block.id }, { "l", "docs", "c-1" })
  same(kept["sig:c-1"], "sc1~g~f~UTJ4aGNtRT0")
end)

test("a signature of a call is kept but not shown to who did not ask for thinking", function()
  local kept = {}
  local ctx = context { client = { dialect = "anthropic" }, request = {}, replay = { set = function(key, value) kept[key] = value end } }
  local sig = { family = "google", kind = "call", data = "x" }
  local out, line = restored(ctx, call(0, "1"), { type = "signature", idx = 0, sig = sig }, close(0))
  same({ line, kept["sig:1"], out[1].block.sig }, { "block_start0 block_stop0", "sc1~g~f~eA" })
end)

test("an emulated custom call is unwrapped in one piece", function()
  local ctx = context { names = named { patch = { "patch", nil, "custom" } } }
  local out, line = restored(ctx, call(0, "1", "patch"), args(0, '{"input":"*** Begin'), args(0, ' Patch"}'), close(0))
  same({ out[1].block.kind, line }, { "custom", "block_start0 args_delta0=*** Begin Patch block_stop0" })
  same(restore.unwrap_input '{"input":{"a":1}}', '{"a":1}')
  same(restore.unwrap_input "plain", "plain")
  same(restore.unwrap_input '{"x":1}', '{"x":1}')
end)

test("arguments whose types were changed are turned back", function()
  local ctx = context { coercions = { crop = { properties = { w = { type = "integer" } } } } }
  local _, line = restored(ctx, call(0, "1", "crop"), args(0, '{"w":'), args(0, '"2"}'), close(0))
  same(line, 'block_start0 args_delta0={"w":2} block_stop0')
end)

test("Anthropic's clients see thinking only when they asked, and indices stay dense", function()
  local function line(reasoning, ...)
    return select(2, restored(context { client = { dialect = "anthropic" }, request = { reasoning = reasoning } }, ...))
  end
  local events = function() return start(0, "thinking"), think(0, "T"), close(0), start(1), text(1, "x"), close(1) end
  same(line(nil, events()), "block_start0 text_delta0=x block_stop0")
  same(line({ mode = "off" }, events()), "block_start0 text_delta0=x block_stop0")
  same(line({ mode = "auto", visible = true }, events()),
    "block_start0 thinking_delta0=T block_stop0 block_start1 text_delta1=x block_stop1")
  same(line({ mode = "auto", visible = false }, events()), "block_start0 text_delta0=x block_stop0")
  same(line({ mode = "auto", visible = false }, start(0, "thinking"), think(0, "T"),
    { type = "signature", idx = 0, sig = { family = "openai", kind = "reasoning", data = "x" } }, close(0), start(1), close(1)),
    "block_start0 signature0 block_stop0 block_start1 block_stop1")
end)

local function unfenced(...)
  local filter, out = fence.new(), {}
  for i, piece in ipairs { ... } do out[i] = filter.push(piece) end
  return table.concat(out) .. filter.finish()
end

test("a code fence around JSON goes, however it is cut", function()
  local whole = '```json\n{"a":"``"}\n```\n'
  for size = 1, #whole do
    local pieces = {}
    for at = 1, #whole, size do pieces[#pieces + 1] = whole:sub(at, at + size - 1) end
    same(unfenced(table.unpack(pieces)), '{"a":"``"}')
  end
  for _, plain in ipairs { '{"a":1}', "", "`x`", "``", '  {"a":1}\n', "x ```" } do
    same(unfenced(plain), plain)
    same(unfenced(plain:sub(1, 1), plain:sub(2)), plain)
  end
end)

test("the hidden tool of structured answers becomes text", function()
  local ctx = context { emulation = "tool" }
  local out, line = restored(ctx, call(0, "1", "emit_structured_output"), args(0, '{"a":1}'), close(0), stop "tool_call")
  same({ line, out[1].block.type, out[4].stop.reason }, { 'block_start0 text_delta0={"a":1} block_stop0 stop', "text", "end" })
  local response = ir.response()
  response.choices[1] = ir.choice(0)
  response.choices[1].blocks[1] = { type = "tool_call", id = "1", name = "emit_structured_output", args = '{"a":1}' }
  response.choices[1].stop = { reason = "tool_call" }
  restore.response(response, ctx)
  same({ response.choices[1].blocks[1], response.choices[1].stop.reason }, { { type = "text", text = '{"a":1}' }, "end" })
end)

test("errors are read from any vendor's shape", function()
  local function read(status, body, headers)
    local err = problems.decode(nil, status, body, headers)
    return { err.kind, err.status, err.message }
  end
  same(read(400, '{"error":{"message":"bad","type":"invalid_request_error"}}'), { "invalid_request", 400, "bad" })
  same(read(400, '{"error":{"message":"This model\'s maximum context length is 5","code":"context_length_exceeded"}}')[1], "context_length")
  same(read(400, '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 5"}}')[1], "context_length")
  same(read(400, '[{"error":{"code":400,"message":"The input token count exceeds","status":"INVALID_ARGUMENT"}}]')[1], "context_length")
  same(read(529, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'), { "overloaded", 529, "Overloaded" })
  same(read(nil, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'), { "overloaded", 529, "Overloaded" })
  same(read(429, '{"error":{"type":"usage_limit_reached","message":"x"}}')[1], "billing")
  same(read(500, '{"error":{"message":"{\\"error\\":{\\"message\\":\\"inner\\"}}"}}'), { "server", 500, "inner" })
  same(read(502, "<html><title>Bad  gateway</title>"), { "server", 502, "the upstream answered 502 with a web page: Bad gateway" })
  same(read(503, "  try later "), { "overloaded", 503, "try later" })
  same(read(401, ""), { "auth", 401, "the upstream answered 401" })
  same(read(nil, '{"type":"error","code":"rate_limit_exceeded","message":"flat"}'), { "rate_limit", 429, "flat" })
  same(read(nil, '{"response":{"error":{"code":"server_error","message":"failed"}}}')[3], "failed")
  same(read(nil, '"{\\"detail\\":\\"stringed\\"}"')[3], "stringed")
  for _, body in ipairs { "null", "[]", "{}", "3", '{"error":null}', '{"error":[]}', '{"error":3}', '[[]]', '{"error":{"message":{}}}' } do
    assert(read(nil, body)[3])
  end
end)

test("errors tell how long to wait", function()
  local function after(body, headers) return problems.decode(nil, 429, body, headers).retry_after end
  same(after("{}", { ["retry-after"] = "7" }), 7)
  same(after '{"error":{"message":"x","details":[{"retryDelay":"3.5s"}]}}', 3.5)
  same(after '{"error":{"message":"Please try again in 250ms."}}', 0.25)
  same(after '{"error":{"message":"Please try again in 12s."}}', 12)
end)

test("errors are written in each dialect", function()
  local function row(kind, status)
    local err = { kind = kind, status = status or 500, message = "m" }
    local chat, claude, google = problems.encode("chat", err), problems.encode("anthropic", err), problems.encode("gemini", err)
    return { problems.status("chat", err), chat.error.code, claude.error.type, google.error.status, problems.failed_code(err) }
  end
  same(row("context_length", 400), { 400, "context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT", "context_length_exceeded" })
  same(row("overloaded", 529), { 503, "server_is_overloaded", "overloaded_error", "UNAVAILABLE", "server_is_overloaded" })
  same(row("rate_limit", 429), { 429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "rate_limit_exceeded" })
  same(row("server", 500), { 500, "upstream_error", "api_error", "INTERNAL", "server_error" })
  same(row("truncated", 200), { 502, "upstream_error", "api_error", "UNAVAILABLE", "server_error" })
  same(problems.status("anthropic", { kind = "overloaded" }), 529)
  same(problems.encode("anthropic", { kind = "context_length", message = "maximum context" }).error.message,
    "prompt is too long: maximum context")
  same(problems.is_signature { status = 400, message = "messages.1: Invalid signature in thinking block" }, true)
end)

-- A dialect for tests: a body is the text of the only user turn; frames are names of events.
local toy = {}
function toy.decode_request(body)
  if body == "bad" then reject.bad("x", "is bad") end
  local request = ir.request()
  request.model = "mine"
  request.turns[1] = ir.turn("user", { ir.text(body) })
  return request
end
function toy.encode_request(request) return request.model .. ":" .. request.turns[1].blocks[1].text end
function toy.decode_response(body)
  local response = ir.response()
  response.id, response.choices[1] = "r", ir.choice(0)
  response.choices[1].stop = { reason = "end" }
  response.choices[1].blocks[1] = ir.text(body)
  return response
end
function toy.encode_response(response) return response.model .. "/" .. response.choices[1].blocks[1].text end
function toy.decode_stream()
  local script = {
    start = { START }, ping = { { type = "keepalive" } }, usage = { { type = "usage", usage = { input = 2 } } },
    error = { { type = "error", error = { kind = "overloaded", status = 503, message = "busy" } } },
    open = { start(0) }, close = { close(0) }, stop = { stop() }, ["end"] = { END }, malformed = { stop "malformed_call" },
  }
  return {
    frame = function(name, data)
      if name == "text" then return { text(0, data) } end
      return script[name] or {}
    end,
    eof = function() return { { type = "error", error = problems.new("truncated", "cut") } } end,
  }
end
function toy.encode_stream()
  return {
    event = function(event) return { { name = "", data = event.type .. (event.text or "") } } end,
    eof = function() return { { name = "", data = "eof" } } end,
  }
end

local function made()
  return hub.context {
    client = "anthropic", upstream = "codex", model = "mine", upstream_model = "theirs", provider = "openai_compatibility",
    created = 1, unique = function(prefix) return prefix .. "u" end, translators = { client = toy, upstream = toy },
  }
end

test("a request goes through decoding, normalisation and encoding", function()
  local ctx = made()
  same({ ctx.client, ctx.upstream }, { { dialect = "anthropic" }, { dialect = "responses", variant = "codex" } })
  same(hub.request("hello", ctx), "theirs:hello")
  local body, problem = hub.request("bad", made())
  same({ body, problem.class, problem.param }, { nil, "bad_param", "x" })
  same(hub.whole("answer", ctx), "mine/answer")
  local frames = hub.unfold("answer", ctx)
  same({ frames[1].data, frames[3].data, frames[#frames].data }, { "start", "text_deltaanswer", "eof" })
end)

local function told(frames)
  local words = {}
  for i, frame in ipairs(frames) do words[i] = frame.data end
  return table.concat(words, " ")
end

test("nothing is given out before content, then all at once", function()
  local stream = hub.stream(made())
  for _, name in ipairs { "start", "ping", "usage" } do same(#stream.push(name, ""), 0) end
  same(stream.is_committed(), false)
  same(told(stream.push("open", "")), "start usage block_start")
  same({ stream.is_committed(), stream.usage().input }, { true, 2 })
  same(told(stream.push("text", "x")), "text_deltax")
  same(told(stream.push("ping", "")), "keepalive")
  same({ told(stream.push("close", "")), told(stream.push("stop", "")) }, { "block_stop", "stop" })
  local frames, done = stream.push("end", "")
  same({ told(frames), done }, { "end", true })
  frames, done = stream.push("text", "late")
  same({ #frames, done, told(stream.finish()) }, { 0, true, "eof" })
end)

test("an error before content is a problem, after it a frame", function()
  local stream = hub.stream(made())
  stream.push("start", "")
  same(#stream.push("error", ""), 0)
  same({ stream.problem().class, stream.problem().status, stream.problem().message, #stream.finish() }, { "upstream", 503, "busy", 0 })
  stream = hub.stream(made())
  stream.push("start", "")
  stream.push("open", "")
  same(told(stream.push("error", "")), "error")
  same({ stream.problem(), stream.error().kind, stream.error().phase }, { nil, "overloaded" })
end)

test("once the head is out an early error comes as a frame of its own", function()
  local stream = hub.stream(made())
  stream.push("start", "")
  stream.begin()
  same(told(stream.push("error", "")), "error")
  same(stream.error().phase, "pre")
end)

test("a stream that ends early is an error, a malformed call before content too", function()
  local stream = hub.stream(made())
  same({ #stream.finish(), stream.problem().class }, { 0, "bad_upstream" })
  stream = hub.stream(made())
  stream.push("start", "")
  stream.push("malformed", "")
  same(stream.problem().class, "bad_upstream")
  stream = hub.stream(made())
  stream.push("open", "")
  same(told(stream.finish()), "error eof")
end)

test("a stream is gathered for a client that wants a whole answer", function()
  local gathered = hub.collect(made())
  for _, name in ipairs { "start", "open", "text", "close", "stop" } do
    same(gathered.push(name, "abc"), false)
  end
  same({ gathered.push("end", "abc"), gathered.push("text", "late"), gathered.finish() }, { true, true, "mine/abc" })
  gathered = hub.collect(made())
  gathered.push("start", "")
  local body, problem = gathered.finish()
  same({ body, problem.class }, { nil, "bad_upstream" })
end)

test("what is no JSON object in a stream is passed over by every dialect", function()
  for _, upstream in ipairs { "chat", "responses", "anthropic", "gemini" } do
    local ctx = hub.context {
      client = "anthropic", upstream = upstream, model = "m", upstream_model = "m", provider = "mock", created = 1,
      unique = function(prefix, length) return prefix .. ("x"):rep(length) end,
    }
    local decoder = ctx.of_upstream.decode_stream(ctx)
    for _, data in ipairs { "", "x", "{", "7", "null", "[]", '"text"', "[1]", '{"a":' } do
      same({ upstream, data, decoder.frame("", data) }, { upstream, data, {} })
      same({ upstream, data, decoder.frame("message", data) }, { upstream, data, {} })
    end
  end
end)

test("nothing of a conversation stays while its answer is waited for", function()
  local kept = setmetatable({}, { __mode = "v" })
  local chat = require "translators.chat"
  local client = setmetatable({
    decode_request = function(body, ctx)
      local request = chat.decode_request(body, ctx)
      kept.turns, kept.blocks = request.turns, request.turns[1].blocks
      return request
    end,
  }, { __index = chat })
  for _, upstream in ipairs { "chat", "responses", "anthropic", "gemini" } do
    local ctx = hub.context {
      client = "chat", upstream = upstream, model = "m", upstream_model = "m", provider = "x", created = 1,
      unique = function(prefix) return prefix end,
      translators = { client = client, upstream = require("translators." .. upstream) },
    }
    assert(hub.request([[{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":
      [{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}]}]], ctx))
    collectgarbage()
    collectgarbage()
    same({ upstream, kept.turns, kept.blocks }, { upstream })
    -- But its names are still known.
    same(ctx.names.to_client("F"), "f")
  end
end)
