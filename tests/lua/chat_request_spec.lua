--- Chat requests of clients: into the neutral form.

local chat = require "translators.chat"
local json = require "json"
local reject = require "lib.reject"
local support = require "tests.chat_support"

local decode = support.decode

local function refused(body)
  local fine, problem = pcall(decode, body)
  assert(not fine, "was taken")
  assert(reject.is(problem), tostring(problem))
  return problem.param or problem.class
end

local function one(message)
  return decode { messages = { message } }
end

local function first_block(part)
  return one { role = "user", content = { part } }.turns[1].blocks[1]
end

test("leading system and developer messages are instructions with their level", function()
  local request = decode [[{"model":"m","messages":[{"role":"system","content":"A"},
    {"role":"developer","content":[{"type":"text","text":"B"},{"type":"text","text":"C"}]},
    {"role":"user","content":"hi"},{"role":"developer","content":"D"}]}]]
  same({ #request.system, request.system[1].level, request.system[2].level, request.system[3].text },
    { 3, "system", "developer", "C" })
  same({ request.turns[2].role, request.turns[2].level, request.turns[2].blocks[1].text },
    { "instruction", "developer", "D" })
end)

test("worked example 5.4: the client's request in the neutral form", function()
  local request = decode [[
{"model":"claude-opus-4-7","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"high","temperature":0.2,"stop":"END","user":"u-1",
 "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Weather?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}}]},
  {"role":"assistant","content":null,"tool_calls":[{"id":"call.1","type":"function","function":{"name":"wx","arguments":"{\"city\":\"Oslo\"}"}},{"id":"call.2","type":"function","function":{"name":"wx","arguments":""}}]},
  {"role":"tool","tool_call_id":"call.1","content":"4C"},{"role":"developer","content":"Use Celsius."}],
 "tools":[{"type":"function","function":{"name":"wx","parameters":{"type":"object"}}}]}]]
  same({ request.model, request.stream, request.stream_usage, request.stop[1], request.identity.user },
    { "claude-opus-4-7", true, true, "END", "u-1" })
  same(request.reasoning, { mode = "level", level = "high", visible = true })
  same(request.sampling.temperature, 0.2)
  same(request.system[1].text, "Be brief.")
  same(request.turns[1].blocks[2],
    { type = "image", source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } })
  local calls = request.turns[2].blocks
  same({ #calls, calls[1].id, calls[1].args, calls[2].id, calls[2].args },
    { 2, "call.1", '{"city":"Oslo"}', "call.2", "{}" })
  local result = request.turns[3].blocks[1]
  same({ result.call_id, result.name, result.content[1].text }, { "call.1", "wx", "4C" })
  same(request.turns[4].role, "instruction")
  same(tostring(request.tools[1].schema), '{"type":"object"}')
end)

test("worked example 5.5: the client's request in the neutral form", function()
  local request = decode [[
{"model":"gemini-2.5-flash","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"low","max_completion_tokens":500,"n":1,"response_format":{"type":"text"},"tool_choice":{"type":"function","function":{"name":"crop.image"}},
 "messages":[{"role":"user","content":[{"type":"text","text":"Crop it"},{"type":"image_url","image_url":{"url":"data:image/jpg;base64,/9j/4AA="}}]}],
 "tools":[{"type":"function","function":{"name":"crop.image","parameters":{"type":"object","properties":{"w":{"type":"integer","enum":[1,2]}}}}}]}]]
  same(request.turns[1].blocks[2].source.media_type, "image/jpeg")
  same({ request.max_output, request.n, request.format.kind }, { 500, 1, "text" })
  same(request.tool_choice, { mode = "one", name = "crop.image" })
  same(request.reasoning.level, "low")
end)

test("pitfall 51: a call without arguments has an empty object", function()
  for _, args in ipairs { '""', '"  "', "null" } do
    local request = decode('{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":'
      .. '{"name":"f","arguments":' .. args .. "}}]}]}")
    same(request.turns[1].blocks[1].args, "{}")
  end
end)

test("pitfall 60: one stop sequence and a list of them are both a list", function()
  same(decode { messages = {}, stop = "x" }.stop, { "x" })
  same(decode { messages = {}, stop = { "x", "y" } }.stop, { "x", "y" })
  same(decode('{"messages":[],"stop":null}').stop, {})
end)

test("pitfall 81: developer messages are never user text", function()
  local request = decode { messages = {
    { role = "user", content = "x" }, { role = "developer", content = "y" },
  } }
  same({ #request.turns, request.turns[2].role }, { 2, "instruction" })
end)

test("pitfall 93: both spellings of the output limit count", function()
  same(decode { messages = {}, max_tokens = 5 }.max_output, 5)
  same(decode { messages = {}, max_completion_tokens = 6 }.max_output, 6)
  same(decode { messages = {}, max_completion_tokens = 6, max_tokens = 5 }.max_output, 6)
end)

test("pitfall 95: files are read as data URL and as bare base64", function()
  local source = first_block {
    type = "file", file = { file_data = "data:application/pdf;base64,JVBERi0=", filename = "a.pdf" },
  }.source
  same({ source.media_type, source.data }, { "application/pdf", "JVBERi0=" })
  source = first_block { type = "file", file = { file_data = "AAAA", filename = "b.PDF" } }.source
  same({ source.media_type, source.data }, { "application/pdf", "AAAA" })
  same(first_block { type = "file", file = { file_id = "f1" } }.source, { kind = "file", file_id = "f1" })
end)

test("pitfall 101: numbers in arguments and schemas keep their digits", function()
  local request = decode [[{"messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function",
    "function":{"name":"f","arguments":"{\"n\":9007199254740993,\"x\":1.0}"}}]}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","maximum":1.0,"a":12345678901234567890}}}]}]]
  same(request.turns[1].blocks[1].args, '{"n":9007199254740993,"x":1.0}')
  same(tostring(request.tools[1].schema), '{"type":"object","maximum":1.0,"a":12345678901234567890}')
end)

test("pitfall 72: reasoning counts in assistant messages only", function()
  local request = decode { messages = {
    { role = "user", content = "x", reasoning_content = "I decided" },
    { role = "assistant", content = "y", reasoning_content = "I think" },
  } }
  same(request.turns[1].blocks[1].type, "text")
  same({ request.turns[2].blocks[1].type, request.turns[2].blocks[1].text }, { "thinking", "I think" })
end)

test("pitfall 78: Google's thinking settings are read in both spellings", function()
  local function google(config)
    return decode { messages = {}, extra_body = { google = config } }.reasoning
  end
  same(google { thinking_config = { thinking_budget = 100, include_thoughts = true } },
    { mode = "budget", budget = 100, visible = true })
  same(google { thinkingConfig = { thinkingLevel = "HIGH", includeThoughts = false } },
    { mode = "level", level = "high", visible = false })
end)

test("pitfall 59: every form of a tool choice is understood", function()
  local function choice(value)
    return decode { messages = {}, tool_choice = value }.tool_choice
  end
  same(choice "none", { mode = "none" })
  same(choice "required", { mode = "required" })
  same(choice { type = "function", name = "f" }, { mode = "one", name = "f" })
  same(choice { type = "function", ["function"] = { name = "f" } }, { mode = "one", name = "f" })
  same(choice { type = "custom", custom = { name = "f" } }, { mode = "one", name = "f" })
  same(choice { type = "allowed_tools", allowed_tools = { mode = "required", tools = {
    { type = "function", ["function"] = { name = "a" } }, { type = "custom", custom = { name = "b" } },
  } } }, { mode = "allowed", allowed = { "a", "b" }, allowed_mode = "required" })
  same(decode { messages = {}, parallel_tool_calls = false }.tool_choice,
    { mode = "auto", implied = true, parallel = false })
end)

test("amounts of reasoning are read from every vendor's setting", function()
  local function amount(body)
    body.messages = {}
    return decode(body).reasoning
  end
  same(amount { reasoning_effort = "none" }, { mode = "off" })
  same(amount { reasoning_effort = "auto" }, { mode = "auto", visible = true })
  same(amount { reasoning = { effort = "low", exclude = true } },
    { mode = "level", level = "low", visible = false })
  same(amount { reasoning = { max_tokens = 2000 } }, { mode = "budget", budget = 2000, visible = true })
  same(amount { reasoning = { enabled = false } }, { mode = "off" })
  same(amount { thinking = { type = "enabled", budget_tokens = 99 } },
    { mode = "budget", budget = 99, visible = true })
  same(amount { thinking = { type = "disabled" } }, { mode = "off" })
  same(amount {}, nil)
  local ctx = support.context()
  same(decode({ messages = {}, reasoning_effort = "extreme" }, ctx).reasoning, nil)
  same(support.codes(ctx), { "native.unknown" })
end)

test("results in a row are one turn, and legacy results find their call", function()
  local request = decode { messages = {
    { role = "assistant", function_call = { name = "f", arguments = "{}" } },
    { role = "function", name = "f", content = "1" },
    { role = "assistant", tool_calls = {
      { id = "a", type = "function", ["function"] = { name = "g", arguments = "{}" } },
      { id = "b", type = "function", ["function"] = { name = "h", arguments = "{}" } },
    } },
    { role = "tool", tool_call_id = "b", content = { { type = "text", text = "2" } } },
    { role = "tool", tool_call_id = "a", content = "3" },
  } }
  same(#request.turns, 4)
  local call, result = request.turns[1].blocks[1], request.turns[2].blocks[1]
  same({ call.id:sub(1, 5), #call.id, result.call_id == call.id }, { "call_", 29, true })
  local results = request.turns[4].blocks
  same({ results[1].name, results[2].name, results[1].content[1].text }, { "h", "g", "2" })
end)

test("the id of a call without one is equal every time", function()
  local body = { messages = { { role = "assistant", tool_calls = {
    { ["function"] = { name = "read_file", arguments = '{"path":"a.c"}' } },
  } } } }
  same(decode(body).turns[1].blocks[1].id, decode(body).turns[1].blocks[1].id)
end)

test("signed details of reasoning become thinking with its signature", function()
  local function blocks(message)
    message.role = "assistant"
    return one(message).turns[1].blocks
  end
  same(blocks { reasoning_content = "T", reasoning_details = {
    { type = "reasoning.text", index = 0, text = "", signature = "sc1~a~t~RXFNYWRlVXBTaWc" },
  } }, { { type = "thinking", form = "raw", text = "T",
    sig = { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" } } })
  same(blocks { reasoning_details = {
    { type = "reasoning.encrypted", index = 0, data = "sc1~a~r~QUJD" },
  } }, { { type = "redacted_thinking",
    sig = { family = "anthropic", kind = "redacted", data = "ABC" } } })
  -- Two thoughts and one text: no signature is for that text.
  local several = blocks { reasoning_content = "A\n\nB", reasoning_details = {
    { type = "reasoning.text", index = 0, text = "", signature = "sc1~a~t~QUJD" },
    { type = "reasoning.text", index = 1, text = "", signature = "sc1~a~t~REVG" },
  } }
  same({ #several, several[1].text, several[1].sig }, { 1, "A\n\nB", nil })
  several = blocks { reasoning_details = {
    { type = "reasoning.text", index = 0, text = "A", signature = "sc1~a~t~QUJD" },
    { type = "reasoning.text", index = 1, text = "B", signature = "sc1~a~t~REVG" },
  } }
  same({ several[1].text, several[1].sig.data, several[2].text, several[2].sig.data },
    { "A", "ABC", "B", "DEF" })
end)

test("a Google signature of a call is its own", function()
  local block = one { role = "assistant", tool_calls = { {
    id = "a", type = "function", ["function"] = { name = "f", arguments = "{}" },
    extra_content = { google = { thought_signature = "Q2xhcmE=" } },
  } } }.turns[1].blocks[1]
  same(block.sig, { family = "unknown", kind = "call", data = "Q2xhcmE=" })
end)

test("cache hints stand on blocks, those of messages on their last block", function()
  local turn = one { role = "user", cache_control = { type = "ephemeral", ttl = "1h" }, content = {
    { type = "text", text = "a", prompt_cache_breakpoint = { mode = "explicit" } },
    { type = "text", text = "b" },
  } }.turns[1]
  same({ turn.blocks[1].cache, turn.blocks[2].cache, turn.extras },
    { { kind = "ephemeral" }, { kind = "ephemeral", ttl = "1h" }, nil })
end)

test("empty text is dropped, and tools of other kinds are the server's", function()
  same(#one { role = "user", content = { { type = "text", text = "" } } }.turns[1].blocks, 0)
  local tools = decode([[{"messages":[],"tools":[{"type":"web_search","search_context_size":"low",
    "user_location":{"type":"approximate","approximate":{"city":"Oslo"}}},{"google_search":{}},
    {"type":"brand_new","x":1},{"type":"function","name":"flat","parameters":{}},
    {"type":"custom","name":"patch"}],"functions":[{"name":"old"}]}]]).tools
  same(tools[1].server, { tool = "web_search",
    config = { context_size = "low", location = { city = "Oslo" } } })
  same({ tools[2].server.tool, tools[3].server.tool, tools[4].name, tools[5].kind, tools[6].name },
    { "web_search", "brand_new", "flat", "custom", "old" })
end)

test("what is not modelled stays raw", function()
  local request = decode [[{"messages":[{"role":"user","content":[{"type":"text","text":"a","z":{"b":1,"a":[]}}],"zz":1.0}],
    "vendor":{"b":1,"a":2},"enable_thinking":false}]]
  same(tostring(request.extras.chat.vendor), '{"b":1,"a":2}')
  same(tostring(request.extras.chat.enable_thinking), "false")
  same(tostring(request.turns[1].blocks[1].extras.chat.z), '{"b":1,"a":[]}')
  same(tostring(request.turns[1].extras.chat.zz), "1.0")
end)

test("wrong bodies are refused by the name of what is wrong", function()
  same(refused "{", "bad_json")
  same(refused "[]", "bad_json")
  same(refused "{}", "messages")
  same(refused { messages = 1 }, "messages")
  same(refused { messages = { 1 } }, "messages[0]")
  same(refused { messages = { {} } }, "messages[0].role")
  same(refused { messages = { { role = "king" } } }, "messages[0].role")
  same(refused { messages = { { role = "user", content = 5 } } }, "messages[0].content")
  same(refused { messages = { { role = "user", content = { 5 } } } }, "messages[0].content[0]")
  same(refused { messages = { { role = "user", content = { { type = "text" } } } } },
    "messages[0].content[0].text")
  same(refused { messages = { { role = "user", content = { { type = "image_url" } } } } },
    "messages[0].content[0].image_url")
  same(refused { messages = { { role = "assistant", tool_calls = { {} } } } },
    "messages[0].tool_calls[0].function.name")
  same(refused { messages = {}, temperature = "hot" }, "temperature")
  same(refused { messages = {}, tools = { { type = "function" } } }, "tools[0].name")
  same(refused { messages = {}, n = 0 }, "n")
  same(refused { messages = {}, response_format = { type = "xml" } }, "response_format.type")
  same(refused '{"messages":[],"messages":[]}', "bad_json")
end)

-- Nonsense in any place is refused in words, never by a Lua error.
test("any value in the place of any other is taken or refused in words", function()
  local whole = json.decode [[{"model":"m","stream":true,"stream_options":{"include_usage":true},
    "messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"t"},
    {"type":"image_url","image_url":{"url":"u","detail":"low"}},{"type":"input_audio","input_audio":{"data":"d","format":"wav"}},
    {"type":"file","file":{"file_data":"x","filename":"f.pdf"}},{"type":"video_url","video_url":{"url":"v"}}]},
    {"role":"assistant","content":"c","reasoning_content":"r","reasoning_details":[{"type":"reasoning.text","text":"x","signature":"s"}],
     "refusal":"n","audio":{"id":"a"},"images":[{"image_url":{"url":"u"}}],
     "tool_calls":[{"id":"i","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"x"}}}]},
    {"role":"tool","tool_call_id":"i","content":"r"}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}},{"type":"custom","custom":{"name":"c","format":{}}},
     {"type":"web_search","user_location":{"approximate":{"city":"x"}},"filters":{"allowed_domains":["a"]}}],
    "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}},
    "stop":["a"],"modalities":["text"],"audio":{"voice":"v","format":"wav"},"image_config":{"aspect_ratio":"1:1"},
    "prediction":{"type":"content","content":"p"},"reasoning":{"effort":"low"},"thinking":{"type":"enabled","budget_tokens":1},
    "extra_body":{"google":{"thinking_config":{"thinking_budget":1}}},"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},
    "logit_bias":{"1":2},"metadata":{"a":"b"},"web_search_options":{"search_context_size":"low"},"user":"u","seed":1,"n":1,"top_logprobs":1}]]
  local wrong = { json.null, "", "zz", 7, -1.5, true, json.array {}, json.object {}, json.array { 1, json.null, "x" } }
  local count = 0
  local function try()
    local fine, problem = pcall(chat.decode_request, json.encode(whole), support.context())
    assert(fine or reject.is(problem), tostring(problem))
    count = count + 1
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
  assert(count > 900, count)
end)
