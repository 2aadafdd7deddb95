--- Requests and answers of Code Assist, from outside: one client request through the pipeline.

local support = require "tests.support"
local body_of = require "lib.google_body"
local json = require "json"
local sse = require "sse"

local ACCOUNT = {
  id = "gemini-someone@example.com-made-up-project-1.json", provider = "gemini_cli",
  name = "gemini-cli", kind = "oauth", label = "someone@example.com (made-up-project-1)",
  base_url = "https://cloudcode-pa.googleapis.com", entry = {},
  facts = { project_id = "made-up-project-1" },
}
local GENUINE = {
  ["User-Agent"] = "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)",
  ["X-Goog-Api-Client"] = "gl-node/20", ["Client-Metadata"] = "pluginType=GEMINI",
  authorization = "Bearer ya29.of-the-client",
}
local SSE = { ["content-type"] = "text/event-stream" }

local function given(answers, entry, values)
  local account = {}
  for name, value in pairs(ACCOUNT) do account[name] = value end
  account.entry = entry or {}
  return support.reset { credentials = { account }, upstream = answers, values = values }
end

local function chunk(text, finish)
  return '{"response":{"candidates":[{"content":{"role":"model","parts":[{"text":"' .. text
    .. '"}]}' .. (finish and ',"finishReason":"' .. finish .. '"' or "")
    .. '}],"modelVersion":"gemini-2.5-pro-001","responseId":"r1"},"traceId":"t1"}'
end

local WHOLE = { text = chunk("Hi", "STOP") }
local CONTENTS = '"contents":[{"role":"user","parts":[{"text":"Hello"}]}]'

local function sent(state, at)
  return state.calls[at or #state.calls]
end

test("code assist: a request of another dialect goes in an envelope with the project", function()
  local state = given { WHOLE }
  local client = support.chat('{"model":"gemini-2.5-pro","messages":[{"role":"user","content":"Hello"}]}',
    { ["user-agent"] = "python-openai/1", ["x-goog-api-client"] = "none of theirs" })
  same({ client.status, json.get(client.sent, { "choices", 1, "message", "content" }) }, { 200, "Hi" })
  local request = sent(state)
  same(request.url, "https://cloudcode-pa.googleapis.com/v1internal:generateContent")
  same(json.decode(request.body), {
    model = "gemini-2.5-pro", project = "made-up-project-1",
    request = { contents = { { role = "user", parts = { { text = "Hello" } } } } },
  })
  same(request.headers, {
    ["content-type"] = "application/json", accept = "application/json",
    authorization = "Bearer {secret}", ["user-agent"] = "cli-proxy-api/0.0",
  })
  same(request.credential, ACCOUNT.id)
end)

test("code assist: Gemini CLI's envelope stays, but for project and model", function()
  local state = given({ WHOLE }, { models = { { name = "gemini-2.5-pro", alias = "mine" } } })
  local inner = '{ ' .. CONTENTS .. ',"session_id":"s-1","generationConfig":{"temperature":1.0}}'
  local client = support.ask("POST", "/v1internal:generateContent", GENUINE,
    '{"model":"mine","project":"theirs","user_prompt_id":"p#1","enabled_credit_types":["G1"],'
    .. '"request":' .. inner .. "}")
  same(client.status, 200)
  same(sent(state).body, '{"enabled_credit_types":["G1"],"model":"gemini-2.5-pro",'
    .. '"project":"made-up-project-1","user_prompt_id":"p#1","request":' .. inner .. "}")
  local headers = sent(state).headers
  same({ headers["user-agent"], headers["x-goog-api-client"], headers["client-metadata"],
    headers.authorization }, { GENUINE["User-Agent"], "gl-node/20", "pluginType=GEMINI",
    "Bearer {secret}" })
  -- The answer comes back wrapped, as it was, with the name the client knows.
  same(client.sent, (chunk("Hi", "STOP"):gsub("gemini%-2%.5%-pro%-001", "mine")))
end)

test("code assist: what is no Gemini CLI keeps our name", function()
  local state = given { WHOLE }
  support.ask("POST", "/v1beta/models/gemini-2.5-pro:generateContent",
    { ["user-agent"] = "google-genai-sdk/1", ["x-goog-api-client"] = "google-genai-sdk/1" },
    "{" .. CONTENTS .. "}")
  same({ sent(state).headers["user-agent"], sent(state).headers["x-goog-api-client"] },
    { "cli-proxy-api/0.0", "google-genai-sdk/1" })
end)

test("code assist: a stream is wrapped for its own clients and unwrapped for Gemini's", function()
  local function stream_to(path, body, headers)
    local state = given { { fields = SSE, events = { chunk("Hel"), chunk("lo", "STOP") } } }
    local client = support.ask("POST", path, headers, body)
    assert(client.finished and client.status == 200, client.sent)
    same(sent(state).url, "https://cloudcode-pa.googleapis.com/v1internal:streamGenerateContent?alt=sse")
    same(sent(state).headers.accept, "text/event-stream")
    return client.sent
  end
  local function renamed(text, finish)
    return (chunk(text, finish):gsub("gemini%-2%.5%-pro%-001", "gemini-2.5-pro"))
  end
  local function bare(text, finish)
    return tostring(json.get(renamed(text, finish), "response"))
  end
  same(stream_to("/v1internal:streamGenerateContent?alt=sse",
    '{"model":"gemini-2.5-pro","request":{' .. CONTENTS .. "}}", GENUINE),
    "data: " .. renamed "Hel" .. "\n\ndata: " .. renamed("lo", "STOP") .. "\n\n")
  same(stream_to("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "{" .. CONTENTS .. "}"),
    "data: " .. bare "Hel" .. "\n\ndata: " .. bare("lo", "STOP") .. "\n\n")
  same(json.decode(stream_to("/v1internal:streamGenerateContent?alt=json",
    '{"model":"gemini-2.5-pro","request":{' .. CONTENTS .. "}}", GENUINE))[2].response.responseId, "r1")
end)

test("code assist: a blocked prompt is an answer, an error in a stream is none", function()
  local blocked = '{"response":{"promptFeedback":{"blockReason":"SAFETY"}},"traceId":"t"}'
  given { { fields = SSE, events = { blocked } } }
  local body = "{" .. CONTENTS .. "}"
  local path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
  same(support.ask("POST", path, nil, body).sent, 'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n')
  given { { fields = SSE, events = { '{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED",'
    .. '"details":[{"retryDelay":"40s"}]}}' } } }
  local client = support.ask("POST", path, nil, body)
  same({ client.status, client.sent_headers["retry-after"] }, { 429, "40" })
  given { { fields = SSE, events = { chunk "half" } } }
  client = support.ask("POST", path, nil, body)
  assert(client.sent:find '"error"' and client.sent:find "UNAVAILABLE", client.sent)
end)

test("code assist: an error in an array goes to a Gemini client without it", function()
  given { { status = 403, text = '[{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}]' } }
  local client = support.ask("POST", "/v1beta/models/gemini-2.5-pro:generateContent", nil,
    "{" .. CONTENTS .. "}")
  same({ client.status, client.sent },
    { 403, '{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}' })
end)

test("code assist: tokens are counted with the request alone", function()
  local state = given { { text = '{"totalTokens":42}' } }
  local client = support.ask("POST", "/v1beta/models/gemini-2.5-pro:countTokens", nil,
    '{"system_instruction":{"parts":[{"text":"s"}]},' .. CONTENTS
    .. ',"generationConfig":{"temperature":1},"session_id":"s"}')
  same(json.get(client.sent, "totalTokens"), 42)
  same(sent(state).url, "https://cloudcode-pa.googleapis.com/v1internal:countTokens")
  same(json.decode(sent(state).body), { request = {
    model = "models/gemini-2.5-pro", contents = { { role = "user", parts = { { text = "Hello" } } } },
    systemInstruction = { parts = { { text = "s" } } },
  } })
  state = given { { text = '{"totalTokens":7}' } }
  client = support.ask("POST", "/v1/messages/count_tokens", nil,
    '{"model":"gemini-2.5-pro","messages":[{"role":"user","content":"Hello"}]}')
  same(client.sent, '{"input_tokens":7}')
  same(json.get(sent(state).body, { "request", "model" }), "models/gemini-2.5-pro")
end)

test("code assist: a suffix of the model keeps the session of Gemini CLI", function()
  local state = given { WHOLE }
  local client = support.ask("POST", "/v1internal:generateContent", GENUINE,
    '{"model":"gemini-2.5-pro-thinking-2000","user_prompt_id":"p","request":{' .. CONTENTS
    .. ',"session_id":"s-1"}}')
  same(client.status, 200)
  local body = json.decode(sent(state).body)
  same({ body.model, body.user_prompt_id, body.request.session_id,
    body.request.generationConfig.thinkingConfig.thinkingBudget },
    { "gemini-2.5-pro", "p", "s-1", 2000 })
end)

test("code assist: other forms of alt go on with whole answers", function()
  local state = given { WHOLE }
  support.ask("POST", "/v1beta/models/gemini-2.5-pro:generateContent?$alt=json", nil,
    "{" .. CONTENTS .. "}")
  assert(sent(state).url:find("generateContent%?%$alt=json$"), sent(state).url)
end)

test("code assist: models that cannot think are not asked to", function()
  local state = given { WHOLE }
  support.ask("POST", "/v1beta/models/gemini-2.5-flash-image:generateContent", nil, "{" .. CONTENTS
    .. ',"generationConfig":{"thinkingConfig":{"thinkingBudget":5},"imageConfig":{"aspectRatio":"1:1"}}}')
  same(json.decode(sent(state).body).request.generationConfig, { imageConfig = { aspectRatio = "1:1" } })
end)

test("code assist: who asks for the envelope without one is told", function()
  given {}
  for body, status in pairs { ["{}"] = 400, ['{"request":[]}'] = 400, ["nope"] = 400,
    ['{"request":{}}'] = 400 } do
    local client = support.ask("POST", "/v1internal:generateContent", nil, body)
    same({ client.status, json.get(client.sent, { "error", "status" }) }, { status, "INVALID_ARGUMENT" })
  end
end)

-- --- streams as they come -------------------------------------------------------------------------

-- The events of a recorded stream.
local function recorded(name)
  local file = assert(io.open("tests/fixtures/gemini_cli/stream_" .. name .. ".sse", "rb"))
  local decoder, events = sse.decoder(), {}
  assert(decoder:feed(file:read "a"))
  file:close()
  decoder:finish()
  for _, data in function() return decoder:next() end do events[#events + 1] = data end
  return { fields = SSE, events = events }
end

local function play(name, path, body)
  given { recorded(name) }
  return support.ask("POST", path, nil, body)
end

local CHAT = '{"model":"%s","stream":true,"stream_options":{"include_usage":true},'
  .. '"messages":[{"role":"user","content":"Hello"}]%s}'
local TOOLS = ',"tools":[{"type":"function","function":{"name":"read_file","parameters":{"type":"object"}}}]'

-- What a chat client puts together: text, calls, the finish reason, usage.
local function gathered(client)
  local text, calls, finish, usage = "", {}, nil, nil
  for data in client.sent:gmatch "data: ([^\n]*)\n" do
    local chunk = data ~= "[DONE]" and json.decode(data) or { choices = {} }
    if chunk.usage and chunk.usage ~= json.null then usage = chunk.usage end
    local choice = chunk.choices[1]
    local delta = choice and choice.delta or {}
    if type(delta.content) == "string" then text = text .. delta.content end
    for _, call in ipairs(delta.tool_calls or {}) do
      local before = calls[call.index + 1] or ""
      calls[call.index + 1] = before .. call["function"].arguments
    end
    if choice and choice.finish_reason ~= json.null then finish = choice.finish_reason or finish end
  end
  return text, calls, finish, usage
end

test("code assist: data over several lines, comments and usage that grows", function()
  local text, _, finish, usage = gathered(play("lines", "/v1/chat/completions", CHAT:format("gemini-2.5-pro", "")))
  same({ text, finish, usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens },
    { "Hello", "stop", 7, 3, 4 })
  local client = play("lines", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "{" .. CONTENTS .. "}")
  same(select(2, client.sent:gsub("traceId", "")), 0)
  same({ client.status, select(2, client.sent:gsub('"usageMetadata"', "")) }, { 200, 3 })
end)

test("code assist: thoughts, signed calls without ids and a finish behind them", function()
  local text, calls, finish, usage = gathered(play("thoughts", "/v1/chat/completions",
    CHAT:format("gemini-3-pro-preview", TOOLS)))
  same({ text, calls, finish, usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens },
    { "", { '{"path":"a.c","lines":[1.0,2]}', '{"path":"b.c"}' }, "tool_calls", 50, 40 })
end)

test("code assist: a prompt that is refused, and a stream that begins with an error", function()
  local _, _, finish = gathered(play("blocked", "/v1/chat/completions", CHAT:format("gemini-2.5-pro", "")))
  same(finish, "content_filter")
  local client = play("error", "/v1/chat/completions", CHAT:format("gemini-2.5-pro", ""))
  same({ client.status, json.get(client.sent, { "error", "code" }) }, { 503, "server_is_overloaded" })
end)

-- --- contents -------------------------------------------------------------------------------------

-- Contents in short: "user:text", "model:call a,call b", "user:response a", ...
local function contents(...)
  local list = json.array {}
  for i, text in ipairs { ... } do
    local role, rest = text:match "^(%a*):(.*)$"
    local parts = json.array {}
    for word in rest:gmatch "[^,]+" do
      local kind, name, id = word:match "^(%a+) ?(%w*)#?(%w*)$"
      id = id ~= "" and id or nil
      if kind == "call" then
        parts[#parts + 1] = { functionCall = { name = name, id = id, args = json.object {} } }
      elseif kind == "response" then
        parts[#parts + 1] = { functionResponse = { name = name, id = id, response = json.raw '{"z":1.0}' } }
      elseif kind == "image" then
        parts[#parts + 1] = { inlineData = { mimeType = "image/png", data = "" } }
      else
        parts[#parts + 1] = { text = kind }
      end
    end
    list[i] = { role = role ~= "" and role or nil, parts = parts }
  end
  return json.encode { contents = list }
end

local function short(body)
  local list = {}
  for i, content in ipairs(json.decode(body).contents) do
    local words = {}
    for n, part in ipairs(content.parts) do
      local call, response = part.functionCall, part.functionResponse
      local it = call or response
      words[n] = it and (call and "call " or "response ") .. it.name .. (it.id and "#" .. it.id or "")
        or part.inlineData and "image" or part.text
    end
    list[i] = (content.role or "") .. ":" .. table.concat(words, ",")
  end
  return list
end

test("contents: roles take turns where they are missing or unknown", function()
  local body = contents("user:a", "model:b", "user:c")
  assert(body_of.fit_contents(body, true) == body)
  same(short(body_of.fit_contents(contents(":a", ":b", "assistant:c", "model:d", "function:e", "tool:f"))),
    { "user:a", "model:b", "user:c", "model:d", "user:e", "user:f" })
end)

test("contents: an answer of the model cannot come first", function()
  same(short(body_of.fit_contents(contents("model:a", "user:b"))), { "user:(continue)", "model:a", "user:b" })
end)

test("contents: responses that stand right are left alone", function()
  for _, body in ipairs {
    contents("user:q", "model:call a,call b", "user:response a,response b", "model:done"),
    contents("user:q", "model:call a#1,call a#2", "user:response a#1,image,response a#2,text"),
    contents("user:q", "model:call a"),
    contents("user:q", "model:think,call a", "user:response a", "model:call a", "user:response a"),
  } do
    assert(body_of.fit_contents(body, true) == body, body)
  end
end)

test("contents: stray responses are put directly behind their calls, in order", function()
  local function fitted(...) return short(body_of.fit_contents(contents(...), true)) end
  -- One content each.
  same(fitted("user:q", "model:call a,call b", "user:response a", "user:response b"),
    { "user:q", "model:call a,call b", "user:response a,response b" })
  -- The other order, by id and by name.
  same(fitted("user:q", "model:call a#1,call a#2", "user:response a#2,response a#1"),
    { "user:q", "model:call a#1,call a#2", "user:response a#1,response a#2" })
  same(fitted("user:q", "model:call a,call b", "function:response b,response a"),
    { "user:q", "model:call a,call b", "user:response a,response b" })
  -- Something between, and calls in two contents.
  same(fitted("user:q", "model:call a", "user:wait", "user:response a"),
    { "user:q", "model:call a", "user:response a", "user:wait" })
  same(fitted("user:q", "model:call a", "model:call b", "user:response a,response b,text"),
    { "user:q", "model:call a", "user:response a", "model:call b", "user:response b", "user:text" })
  -- Pictures go with their response.
  same(fitted("user:q", "model:call a,call b", "user:response b,image,response a,image,text"),
    { "user:q", "model:call a,call b", "user:response a,image,response b,image", "user:text" })
  -- What nobody asked for stays where it was.
  same(fitted("user:response x,text", "model:call a", "user:response a"),
    { "user:response x,text", "model:call a", "user:response a" })
  same(fitted("user:q", "model:call a", "user:text"), { "user:q", "model:call a", "user:text" })
end)

test("contents: values keep their bytes", function()
  local body = body_of.fit_contents('{"z":1.0,"contents":[{"parts":[{"text":"a","x":1e3}]}],"a":{"b":2.50}}')
  same(body, '{"z":1.0,"contents":[{"parts":[{"text":"a","x":1e3}],"role":"user"}],"a":{"b":2.50}}')
end)

test("contents: nonsense is for the upstream to refuse", function()
  for _, body in ipairs { "{}", '{"contents":7}', '{"contents":[]}', '{"contents":[7,null]}', '{"contents":{}}',
    '{"contents":[{"role":"user"}]}', '{"contents":[{"role":"user","parts":7}]}',
    '{"contents":[{"role":"user","parts":[7,{"functionResponse":7},{"functionCall":[]}]}]}' } do
    same(body_of.fit_contents(body, true), body)
  end
end)
