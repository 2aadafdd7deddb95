--- The Responses dialect behind the hub: what the shared passes leave for it to write.

local hub = require "lib.hub"
local json = require "json"
local support = require "tests.responses_support"

local value = support.value

local function fixture(name)
  local file = assert(io.open("tests/fixtures/responses/" .. name .. ".json"))
  local text = file:read "a"
  file:close()
  return text
end

local function context(given)
  local fields = {
    client = "responses", upstream = "codex", model = "gpt-5.5", upstream_model = "gpt-5.5",
    provider = "codex", created = 1760000000,
    unique = function(prefix, length) return prefix .. ("0"):rep(length) end,
  }
  for name, each in pairs(given or {}) do fields[name] = each end
  return hub.context(fields)
end

local function ask(body, given)
  local ctx = context(given)
  local text, problem = hub.request(body, ctx)
  assert(text, problem and tostring(problem.message))
  return value(text), ctx
end

test("tools of namespaces go up under flat names and come back under their own (57)", function()
  local body, ctx = ask(fixture "codex-0.169")
  same({ body.tools[2].name, body.tools[2].namespace, body.input[5].name, body.input[5].namespace },
    { "docs__lookup", nil, "docs__lookup" })
  local stream = hub.stream(ctx)
  local done
  for _, data in ipairs {
    '{"type":"response.created","response":{"id":"resp_1"}}',
    '{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"c1","name":"docs__lookup","arguments":"{}"}}',
    '{"type":"response.completed","response":{"id":"resp_1","status":"completed"}}',
  } do
    for _, frame in ipairs(stream.push("", data)) do done = value(frame.data) end
  end
  same({ done.type, done.response.output[1].name, done.response.output[1].namespace, done.response.model },
    { "response.completed", "lookup", "docs", "gpt-5.5" })
end)

test("outputs stand right behind their calls, in their order (35, 37)", function()
  local body = ask [[{"store":false,"input":[{"role":"user","content":"x"},
    {"type":"function_call","call_id":"a","name":"f","arguments":"{}"},
    {"type":"function_call","call_id":"b","name":"f","arguments":"{}"},
    {"role":"developer","content":"Short."},
    {"type":"function_call_output","call_id":"b","output":"2"},
    {"type":"function_call_output","call_id":"a","output":"1"}]}]]
  local seen = {}
  for i, item in ipairs(body.input) do seen[i] = item.type .. " " .. (item.call_id or item.role) end
  same(seen, { "message user", "function_call a", "function_call b", "function_call_output a",
    "function_call_output b", "message developer" })
end)

test("two outputs of one call become one, the last (55)", function()
  local body = ask [[{"store":false,"input":[
    {"type":"function_call","call_id":"a","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"a","output":"1"},
    {"type":"function_call_output","call_id":"a","output":"2"}]}]]
  same({ #body.input, body.input[2].output }, { 2, "2" })
end)

test("ids longer than the dialect takes are shortened on call and output alike (34)", function()
  local long = ("x"):rep(80)
  local body = ask('{"store":false,"input":[{"type":"function_call","call_id":"' .. long
    .. '","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"' .. long
    .. '","output":"1"}]}')
  same({ #body.input[1].call_id, body.input[1].call_id == body.input[2].call_id }, { 64, true })
end)

test("reasoning of another family does not go up (61)", function()
  local body = ask [[{"store":false,"input":[
    {"type":"reasoning","summary":[],"encrypted_content":"sc1~a~t~RXFNYWRlVXBTaWc"},
    {"role":"assistant","content":"a"},{"role":"user","content":"b"}]}]]
  same({ body.input[1].type, #body.input }, { "message", 2 })
end)

test("a client without stream gets the folded answer of a stream (25, 31)", function()
  local _, ctx = ask '{"input":"x","store":false}'
  local gathered = hub.collect(ctx)
  gathered.push("", '{"type":"response.created","response":{"id":"resp_1"}}')
  gathered.push("", '{"type":"response.output_item.done","output_index":0,"item":{"id":"m","type":"message","content":[{"type":"output_text","text":"hi"}]}}')
  gathered.push("", '{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":2}}}')
  local body = value(assert(gathered.finish()))
  same({ body.output[1].content[1].text, body.usage.total_tokens, body.status, body.id },
    { "hi", 3, "completed", "resp_1" })
end)

test("a whole answer can be streamed", function()
  local _, ctx = ask('{"input":"x","stream":true}', { upstream = "responses" })
  local frames = assert(hub.unfold([[{"id":"resp_1","status":"completed","output":[
    {"id":"m","type":"message","content":[{"type":"output_text","text":"hi"}]},
    {"id":"f","type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}]], ctx))
  local last = value(frames[#frames].data).response
  same({ last.status, last.output[1].content[1].text, last.output[2].status },
    { "completed", "hi", "completed" })
end)

test("a refusal in the stream before content is a problem, not an empty answer (28)", function()
  local _, ctx = ask '{"input":"x","stream":true}'
  local stream = hub.stream(ctx)
  local frames = #stream.push("", '{"type":"response.created","response":{"id":"resp_1"}}')
    + #stream.push("", '{"type":"response.failed","response":{"error":{"code":"context_length_exceeded","message":"too long"}}}')
  same({ frames, stream.error().kind, stream.problem() ~= nil }, { 0, "context_length", true })
end)

test("what a body says wrong is a problem of the client", function()
  local text, problem = hub.request('{"input":7}', context())
  same({ text, problem.param }, { nil, "input" })
end)

test("frames are JSON and arguments keep their bytes (101)", function()
  local _, ctx = ask '{"input":"x","stream":true,"tools":[{"type":"function","name":"f"}]}'
  local stream = hub.stream(ctx)
  stream.push("", '{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"i","call_id":"c","name":"f","arguments":""}}')
  local frames = stream.push("", '{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\\"a\\":1.0,\\"b\\":12345678901234567890}"}')
  same(json.decode(frames[1].data).delta, '{"a":1.0,"b":12345678901234567890}')
end)

-- Every value of a body in every wrong type.
local function mutations(root, try)
  local wrong = { json.null, 7, -1.5, "", "x", true, json.array {}, {}, json.array { 7 }, { type = 7 } }
  local function walk(node)
    for name, old in pairs(node) do
      for _, each in ipairs(wrong) do
        node[name] = each
        try(json.encode(root))
      end
      node[name] = old
      if type(old) == "table" then walk(old) end
    end
  end
  walk(root)
end

for _, name in ipairs { "codex-0.49", "codex-0.169", "stored" } do
  test("a wrong value is carried, skipped or refused, never a fault: " .. name, function()
    local count = 0
    mutations(value(fixture(name)), function(body)
      count = count + 1
      local ctx = context { upstream = count % 2 == 0 and "codex" or "responses" }
      local text, problem = hub.request(body, ctx)
      assert(text and json.raw(text) or problem.class)
    end)
    assert(count > 500)
  end)
end
