--- Requests of Gemini's clients, and requests to Gemini.

local caps = require "lib.caps"
local gemini = require "translators.gemini"
local gemini_cli = require "translators.gemini_cli"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local names = require "lib.names"
local normalise = require "lib.normalise"
local reject = require "lib.reject"

local function context(given)
  local ctx = {
    client = { dialect = "gemini" }, upstream = { dialect = "gemini" }, model = "m",
    upstream_model = "m", created = 1, warnings = {}, base = "gemini",
  }
  for name, value in pairs(given or {}) do ctx[name] = value end
  ctx.caps = ctx.caps or caps.of(ctx.upstream_model, "gemini")
  function ctx.warn(code, path) ctx.warnings[#ctx.warnings + 1] = code .. ";" .. path end
  function ctx.unique(prefix, length) return prefix .. ("x"):rep(length) end
  return ctx
end

local function decode(body, given) return gemini.decode_request(body, context(given)) end

local function encode(request, given)
  local ctx = context(given)
  return json.decode(gemini.encode_request(request, ctx)), ctx
end

local function refused(body)
  local fine, problem = pcall(decode, body)
  assert(not fine and reject.is(problem), tostring(problem))
  return problem.param
end

-- --- decoding -----------------------------------------------------------------------------------

test("gemini: snake_case and single objects are read like lists in camelCase (78)", function()
  local request = decode [[{"system_instruction":{"parts":{"text":"S"}},
    "contents":{"parts":{"text":"hi"}},
    "tools":{"function_declarations":{"name":"f","parameters_json_schema":{"type":"object"}}},
    "tool_config":{"function_calling_config":{"mode":"any","allowed_function_names":["f"]}},
    "generation_config":{"max_output_tokens":5,"top_k":3,"stop_sequences":["x"],
      "thinking_config":{"thinking_budget":512,"include_thoughts":true}}}]]
  same(request.system, { { type = "text", text = "S", level = "system" } })
  same(request.turns, { { role = "user", blocks = { { type = "text", text = "hi" } } } })
  same({ request.tools[1].name, tostring(request.tools[1].schema) }, { "f", '{"type":"object"}' })
  same(request.tool_choice, { mode = "one", name = "f" })
  same({ request.max_output, request.sampling.top_k, request.stop[1] }, { 5, 3, "x" })
  same(request.reasoning,
    { mode = "budget", budget = 512, visible = true, from_suffix = false })
end)

test("gemini: names inside raw values are not respelled", function()
  local request = decode [[{"contents":[{"role":"model","parts":[{"function_call":
    {"name":"f","args":{"function_call":1.0,"mime_type":2}}}]}]}]]
  same(request.turns[1].blocks[1].args, '{"function_call":1.0,"mime_type":2}')
end)

test("gemini: a system instruction may be a string, its thoughts are ignored", function()
  same(decode('{"systemInstruction":"S","contents":[]}').system[1].text, "S")
  local request = decode '{"systemInstruction":{"parts":[{"text":"a","thought":true},{"text":"b"}]}}'
  same({ #request.system, request.system[1].text }, { 1, "b" })
end)

test("gemini: missing roles alternate from user", function()
  local request = decode [[{"contents":[{"parts":[{"text":"a"}]},{"parts":[{"text":"b"}]},
    {"role":"function","parts":[{"text":"c"}]}]}]]
  same({ request.turns[1].role, request.turns[2].role, request.turns[3].role },
    { "user", "assistant", "user" })
end)

test("gemini: a call without id gets one that depends on its place and content (100)", function()
  local body = [[{"contents":[{"role":"user","parts":[{"text":"show a.c and b.c"}]},
    {"role":"model","parts":[{"text":"plan","thought":true},
      {"functionCall":{"name":"read_file","args":{"path":"a.c"}}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"read_file","response":{"output":"x"}}}]}]}]]
  local request = decode(body)
  local id = "call_0901fb16cc16a90d78dd04b7"
  same(request.turns[2].blocks[2].id, id)
  same(request.turns[3].blocks[1].call_id, id)
  same(decode(body), request)
end)

test("gemini: results find their calls by id, with or without the name before it (34)", function()
  local function paired(call, result)
    local request = decode('{"contents":[{"role":"model","parts":[{"functionCall":{"id":"' .. call
      .. '","name":"f"}}]},{"parts":[{"functionResponse":{"id":"' .. result
      .. '","name":"f","response":{}}}]}]}')
    return { request.turns[1].blocks[1].id, request.turns[2].blocks[1].call_id }
  end
  same(paired("c1", "c1"), { "c1", "c1" })
  same(paired("f__c1", "c1"), { "f__c1", "f__c1" })
  same(paired("c1", "f__c1"), { "c1", "c1" })
  same(paired("c1", "zz"), { "c1", "zz" })
end)

test("gemini: results without ids go by name in order, then by place; names come back (39)", function()
  local request = decode [[{"contents":[{"role":"model","parts":[
      {"functionCall":{"id":"1","name":"f"}},{"functionCall":{"id":"2","name":"g"}},
      {"functionCall":{"id":"3","name":"f"}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"a"}}},
      {"functionResponse":{"name":"f","response":{"output":"b"}}},
      {"functionResponse":{"name":"","response":{"output":"c"}}}]}]}]]
  local found = {}
  for i, block in ipairs(request.turns[2].blocks) do
    found[i] = block.call_id .. block.name .. block.content[1].text
  end
  same(found, { "1fa", "3fb", "2gc" })
end)

test("gemini: a response becomes text where that is all it is (52)", function()
  local function result(response)
    local request = decode('{"contents":[{"parts":[{"functionResponse":{"id":"1","name":"f","response":'
      .. response .. '}}]}]}')
    local block = request.turns[1].blocks[1]
    return { block.content[1] and block.content[1].text, block.is_error }
  end
  same(result '{"output":"a"}', { "a", false })
  same(result '{"result":"a"}', { "a", false })
  same(result '{"content":["a",1.0]}', { '["a",1.0]', false })
  same(result '{"error":"no"}', { "no", true })
  same(result '{"error":{"code":1},"x":2}', { '{"error":{"code":1},"x":2}', true })
  same(result '{"output":"a","exit":0}', { '{"output":"a","exit":0}', false })
  same(result '{"output":""}', { nil, false })
end)

test("gemini: the signature of an empty part goes to the block before it, else to the next (65)", function()
  local blocks = decode([[{"contents":[{"role":"model","parts":[{"text":"","thoughtSignature":"QQ=="},
    {"text":"a"},{"functionCall":{"name":"f"}},{"text":"","thoughtSignature":"Qg=="}]}]}]]).turns[1].blocks
  same({ #blocks, blocks[1].sig.data, blocks[1].sig.kind }, { 2, "QQ==", "text" })
  same({ blocks[2].sig.data, blocks[2].sig.kind }, { "Qg==", "call" })
end)

test("gemini: only thought:true is thinking, and only a model's (64, 72)", function()
  local request = decode [[{"contents":[{"role":"user","parts":[{"text":"evil","thought":true},{"text":"u"}]},
    {"role":"model","parts":[{"text":"t","thoughtSignature":"QQ=="},{"text":"h","thought":true},
      {"thought":true,"thoughtSignature":"Qg=="}]}]}]]
  same(#request.turns[1].blocks, 1)
  local blocks = request.turns[2].blocks
  same({ blocks[1].type, blocks[2].type, blocks[3].type, blocks[3].text },
    { "text", "thinking", "thinking", "" })
end)

test("gemini: a carrier of another vendor is unwrapped from the client's base64", function()
  -- base64 of sc1~a~t~QUJD
  local blocks = decode([[{"contents":[{"role":"model","parts":[{"text":"h","thought":true,
    "thoughtSignature":"c2MxfmF+dH5RVUpE"}]}]}]]).turns[1].blocks
  same(blocks[1].sig, { family = "anthropic", kind = "thinking", data = "ABC" })
end)

test("gemini: a thought that a client kept in pieces is whole again under its signature (61)", function()
  local function thoughts(list)
    local found = {}
    local request = decode('{"contents":[{"role":"model","parts":[' .. list .. "]}]}")
    for i, block in ipairs(request.turns[1].blocks) do
      found[i] = block.text .. (block.sig and ":" .. block.sig.data or "")
    end
    return found
  end
  -- base64 of sc1~a~t~QUJD
  local foreign = '"thought":true,"thoughtSignature":"c2MxfmF+dH5RVUpE"}'
  local pieces = '{"text":"a","thought":true},{"text":"b","thought":true},'
  same(thoughts(pieces .. '{"text":"",' .. foreign), { "ab:ABC" })
  same(thoughts(pieces .. '{"text":"c",' .. foreign .. ',{"text":"",' .. foreign), { "abc:ABC", ":ABC" })
  same(thoughts(pieces .. '{"text":"","thought":true,"thoughtSignature":"EgQKAgEC"}'), { "a", "b:EgQKAgEC" })
  same(thoughts(pieces .. '{"text":"c","thought":true,"thoughtSignature":"EgQKAgEC"}'),
    { "ab", "c:EgQKAgEC" })
end)

test("gemini: an answer that a client kept event by event is one turn with one text", function()
  local request = decode [[{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]},
    {"role":"model","parts":[{"text":"Hel"}]},{"role":"model","parts":[{"text":"lo"}]},
    {"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},
    {"role":"model","parts":[{"functionCall":{"name":"g","args":{}}},{"text":""}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"1"}}},
      {"functionResponse":{"name":"g","response":{"output":"2"}}}]}]}]]
  same({ #request.turns, #request.turns[1].blocks }, { 3, 2 })
  local model, user = request.turns[2].blocks, request.turns[3].blocks
  same({ #model, model[1].text, model[2].name, model[3].name }, { 3, "Hello", "f", "g" })
  same({ user[1].call_id, user[2].call_id }, { model[2].id, model[3].id })
end)

test("gemini: bytes in the letters of URLs, as Google's SDKs write them, are usual base64", function()
  local blocks = decode [[{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png",
    "data":"iVBOR-_w0KGg"}},{"inline_data":{"mime_type":"image/png","data":"_-8"}}]}]}]]
    .turns[1].blocks
  same({ blocks[1].source.data, blocks[2].source.data }, { "iVBOR+/w0KGg", "/+8=" })
end)

test("gemini: schemas in Google's dialect become JSON Schema", function()
  local request = decode [[{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":
    {"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}},"required":["a"]}}]}]}]]
  local schema = json.decode(request.tools[1].schema)
  same(schema.type, "object")
  same(schema.properties.a.type, { "string", "null" })
end)

test("gemini: wrong types are refused and named", function()
  same(refused '{"contents":[{"role":"user","parts":[{"text":7}]}]}', "contents[0].parts[0].text")
  same(refused '{"contents":7}', "contents")
  same(refused '{"contents":[7]}', "contents[0]")
  same(refused '{"contents":[{"role":"robot","parts":[]}]}', "contents[0].role")
  same(refused '{"contents":[{"parts":[{"functionCall":{"name":"f","args":[1]}}]}]}',
    "contents[0].parts[0].functionCall.args")
  same(refused '{"tools":[{"functionDeclarations":[{}]}]}', "tools[0].functionDeclarations[0].name")
  same(refused '{"generationConfig":{"temperature":"hot"}}', "generationConfig.temperature")
  same(refused '{"generationConfig":{"stopSequences":"x"}}', "generationConfig.stopSequences")
  same(refused '{"systemInstruction":{"parts":[{"inlineData":{"data":""}}]}}',
    "systemInstruction.parts[0]")
  refused "[]"
  refused "{"
end)

test("gemini: choices of tools are all read", function()
  local function choice(mode, list)
    return decode('{"toolConfig":{"functionCallingConfig":{"mode":"' .. mode .. '"'
      .. (list and ',"allowedFunctionNames":' .. list or "") .. "}}}").tool_choice
  end
  same(choice "AUTO", { mode = "auto" })
  same(choice "NONE", { mode = "none" })
  same(choice "ANY", { mode = "required" })
  same(choice("ANY", '["a"]'), { mode = "one", name = "a" })
  same(choice("ANY", '["a","b"]'), { mode = "allowed", allowed = { "a", "b" }, allowed_mode = "required" })
  same(choice "VALIDATED", { mode = "auto", validated = true })
  same(choice "MODE_UNSPECIFIED", nil)
end)

-- --- encoding -----------------------------------------------------------------------------------

local function asked(blocks, role)
  local request = ir.request()
  request.turns = { ir.turn("user", { ir.text "q" }), ir.turn(role or "assistant", blocks) }
  return request
end

test("gemini: empty parts and contents are left out, neighbours of one role are joined (67, 35)", function()
  local request = ir.request()
  request.turns = {
    ir.turn("user", { ir.text "a", ir.text "" }), ir.turn("assistant", { ir.text "" }),
    ir.turn("user", { ir.text "b" }), ir.turn("instruction", { ir.text "c" }),
  }
  same(encode(request).contents, {
    { role = "user", parts = { { text = "a" }, { text = "b" },
      { text = "<system-reminder>\nc\n</system-reminder>" } } },
  })
end)

test("gemini: contents start with a user, also when there are none", function()
  same(encode(ir.request()).contents, { { role = "user", parts = { { text = "(continue)" } } } })
  local request = ir.request()
  request.turns = { ir.turn("assistant", { ir.text "a" }) }
  local body, ctx = encode(request)
  same({ body.contents[1].role, body.contents[2].role, ctx.warnings }, { "user", "model", { "synth.turn;contents" } })
end)

test("gemini: a thought always has a text, and signatures stay on their part (63, 66)", function()
  local sig = { family = "google", kind = "call", data = "QQ==" }
  same(encode(asked {
    { type = "thinking", sig = sig },
    { type = "tool_call", id = "1", name = "f", args = "", sig = sig },
    { type = "text", text = "t", sig = { family = "anthropic", kind = "thinking", data = "x" } },
  }).contents[2].parts, {
    { text = "", thought = true, thoughtSignature = "QQ==" },
    { functionCall = { id = "1", name = "f", args = {} }, thoughtSignature = "QQ==" },
    { text = "t" },
  })
end)

test("gemini: arguments go up as they came, those that are none become an object (51, 101, 102)", function()
  local request = asked {
    { type = "tool_call", id = "1", name = "f", args = '{"b":1.0,"a":12345678901234567890,"c":"<&>"}' },
    { type = "tool_call", id = "2", name = "f", args = "{broken" },
  }
  local ctx = context()
  local text = gemini.encode_request(request, ctx)
  assert(text:find('"args":{"b":1.0,"a":12345678901234567890,"c":"<&>"}', 1, true), text)
  assert(text:find('"args":{},"id":"2"', 1, true), text)
  same(ctx.warnings, { "map.lossy;turns[1]" })
end)

test("gemini: results are objects, errors under their own name", function()
  local request = asked({
    { type = "tool_result", call_id = "1", name = "f", content = { ir.text "a", ir.text "b" }, is_error = false },
    { type = "tool_result", call_id = "2", name = "g", content = {}, is_error = true },
  }, "user")
  same(encode(request).contents[1].parts, {
    { text = "q" },
    { functionResponse = { id = "1", name = "f", response = { output = "a\nb" } } },
    { functionResponse = { id = "2", name = "g", response = { error = "" } } },
  })
end)

test("gemini: pictures in results go inside or beside them, as the model takes them (52, 53)", function()
  local image = { type = "image", source = { kind = "base64", media_type = "image/png", data = "AAAA" } }
  local request = asked({
    { type = "tool_result", call_id = "1", name = "f", content = { ir.text "a", image }, is_error = false },
  }, "user")
  local data = { inlineData = { mimeType = "image/png", data = "AAAA" } }
  local inside = { id = "1", name = "f", response = { output = "a" }, parts = { data } }
  local function parts(media)
    local made = {}
    for name, value in pairs(caps.of("gemini-2.5-pro", "gemini")) do made[name] = value end
    made.tool_result_media = media
    return encode(request, { caps = made }).contents[1].parts
  end
  same(parts "parts", { { text = "q" }, { functionResponse = inside } })
  inside.parts = nil
  same(parts "sibling", { { text = "q" }, { functionResponse = inside }, data })
end)

test("gemini: media of all sources (95, 96)", function()
  local function part(block) return encode(asked({ block }, "user")).contents[1].parts[2] end
  same(part { type = "image", source = { kind = "url", url = "https://x.example/a.png" } },
    { fileData = { fileUri = "https://x.example/a.png", mimeType = "image/png" } })
  same(part { type = "document", source = { kind = "text", text = "hi" } },
    { inlineData = { mimeType = "text/plain", data = "aGk=" } })
  same(part { type = "audio", format = "mp3", source = { kind = "base64", data = "AAAA" } },
    { inlineData = { mimeType = "audio/mpeg", data = "AAAA" } })
  same(part { type = "image", source = { kind = "base64", media_type = "image/jpg", data = "/9j/" } },
    { inlineData = { mimeType = "image/jpeg", data = "/9j/" } })
  same(part { type = "image", source = { kind = "file", file_id = "file-123" } },
    { text = "[image: file-123]" })
end)

test("gemini: one of level and budget is sent, never both (77)", function()
  local function thinking(reasoning)
    local request = asked {}
    request.reasoning = reasoning
    local config = encode(request).generationConfig
    return config and config.thinkingConfig
  end
  same(thinking { mode = "level", level = "low", visible = true },
    { thinkingLevel = "low", includeThoughts = true })
  same(thinking { mode = "budget", budget = 5, visible = false },
    { thinkingBudget = 5, includeThoughts = false })
  same(thinking { mode = "auto" }, { thinkingBudget = -1 })
  -- Nothing is left to hide (79).
  same(thinking { mode = "off", visible = false }, { thinkingBudget = 0 })
  same(thinking(nil), nil)
end)

test("gemini: the output limit, stops and formats go up (94, 97)", function()
  local request = asked {}
  request.max_output, request.stop, request.n = 7, { "a", "b" }, 2
  request.format = { kind = "schema", schema = json.raw '{"type":"object"}', name = "n" }
  same(encode(request).generationConfig, {
    maxOutputTokens = 7, stopSequences = { "a", "b" }, candidateCount = 2,
    responseMimeType = "application/json", responseJsonSchema = { type = "object" },
  })
end)

test("gemini: declarations are one entry, without other vendors' members (45)", function()
  local request = asked {}
  request.tools = {
    { kind = "function", name = "f", description = "d", strict = true, defer = true, cache = {},
      extras = { anthropic = { type = json.raw '"x"' } } },
    { kind = "server", name = "web_search", server = { tool = "web_search", config = {} } },
    { kind = "function", name = "g", schema = json.raw '{"type":"object"}' },
  }
  same(encode(request).tools, {
    { functionDeclarations = {
      { name = "f", description = "d", parametersJsonSchema = { type = "object", properties = {} } },
      { name = "g", parametersJsonSchema = { type = "object" } } } },
    { googleSearch = {} },
  })
end)

test("gemini: choices of tools go up, without functions there is none (59)", function()
  local function choice(given, tools)
    local request = asked {}
    request.tool_choice = given
    request.tools = tools or { { kind = "function", name = "a" } }
    local config = encode(request).toolConfig
    return config and config.functionCallingConfig
  end
  same(choice { mode = "required" }, { mode = "ANY" })
  same(choice { mode = "none" }, { mode = "NONE" })
  same(choice { mode = "one", name = "a" }, { mode = "ANY", allowedFunctionNames = { "a" } })
  same(choice { mode = "allowed", allowed = { "a", "b" }, allowed_mode = "auto" },
    { mode = "VALIDATED", allowedFunctionNames = { "a", "b" } })
  same(choice { mode = "auto", validated = true }, { mode = "VALIDATED" })
  same(choice({ mode = "required" }, {}), nil)
end)

test("gemini: the same request gives the same bytes (100)", function()
  local request = asked {
    { type = "tool_call", id = "1", name = "f", args = '{"a":1}' }, { type = "text", text = "x" },
  }
  request.sampling = { temperature = 0, top_p = 0.9, seed = 4 }
  same(gemini.encode_request(request, context()), gemini.encode_request(request, context()))
end)

-- --- worked examples ----------------------------------------------------------------------------

local function normalised(request, ctx)
  ctx.request = request
  ctx.names, ctx.ids = names.map(request, ctx.caps), ids.map(request, ctx)
  return gemini.encode_request(normalise.run(request, ctx), ctx)
end

-- Compares as values, however deep.
local function same_json(a, b)
  same(json.encode(json.decode(a)), json.encode(json.decode(b)))
end

test("gemini: example 5.2, Claude Code to a level model (38, 63)", function()
  local request = ir.request()
  request.model, request.max_output, request.stream = "gemini-3-flash-preview", 16000, true
  request.system = { { type = "text", text = "You are a coding agent.", level = "system" } }
  request.reasoning = { mode = "level", level = "medium", visible = true, from_suffix = false }
  request.tools = { {
    kind = "function", name = "Read", description = "Read a file", cache = { kind = "ephemeral" },
    schema = json.raw [[{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"path":{"type":"string","minLength":1},"limit":{"type":["integer","null"]}},"required":["path","limit"],"additionalProperties":false}]],
  } }
  request.turns = {
    ir.turn("user", { ir.text "Open notes.txt and app.lua" }),
    ir.turn("assistant", {
      { type = "thinking", text = "Need the file.", form = "summary",
        sig = { family = "google", kind = "call", data = "Q2xhcmE=" } },
      { type = "tool_call", kind = "function", id = "fc8", name = "Read", args = '{"path":"notes.txt"}', complete = true },
      { type = "tool_call", kind = "function", id = "fc8b", name = "Read", args = '{"path":"todo.txt"}', complete = true },
    }),
    ir.turn("user", {
      { type = "tool_result", kind = "function", call_id = "fc8b", is_error = true, content = { ir.text "no such file" } },
      { type = "tool_result", kind = "function", call_id = "fc8", is_error = false, content = { ir.text "buy milk" } },
    }),
  }
  local ctx = context {
    client = { dialect = "anthropic" }, model = "gemini-3-flash-preview",
    upstream_model = "gemini-3-flash-preview",
  }
  same_json(normalised(request, ctx), [[
{"systemInstruction":{"parts":[{"text":"You are a coding agent."}]},
 "contents":[{"role":"user","parts":[{"text":"Open notes.txt and app.lua"}]},
  {"role":"model","parts":[{"functionCall":{"id":"fc8","name":"Read","args":{"path":"notes.txt"}},"thoughtSignature":"Q2xhcmE="},{"functionCall":{"id":"fc8b","name":"Read","args":{"path":"todo.txt"}}}]},
  {"role":"user","parts":[{"functionResponse":{"id":"fc8","name":"Read","response":{"output":"buy milk"}}},{"functionResponse":{"id":"fc8b","name":"Read","response":{"error":"no such file"}}}]}],
 "tools":[{"functionDeclarations":[{"name":"Read","description":"Read a file","parametersJsonSchema":{"type":"object","properties":{"path":{"type":"string","description":"minLength: 1"},"limit":{"type":"integer","description":"nullable"}},"required":["path"],"description":"No extra properties allowed"}}]}],
 "generationConfig":{"maxOutputTokens":16000,"thinkingConfig":{"thinkingLevel":"medium","includeThoughts":true}}}]])
end)

test("gemini: example 5.5, OpenAI chat to a budget model (48, 42)", function()
  local request = ir.request()
  request.model, request.max_output, request.stream = "gemini-2.5-flash", 500, true
  request.reasoning = { mode = "level", level = "low", visible = true, from_suffix = false }
  request.format, request.tool_choice = { kind = "text" }, { mode = "one", name = "crop.image" }
  request.turns = { ir.turn("user", {
    ir.text "Crop it",
    { type = "image", source = { kind = "base64", media_type = "image/jpeg", data = "/9j/4AA=" } },
  }) }
  request.tools = { {
    kind = "function", name = "crop.image",
    schema = json.raw [[{"type":"object","properties":{"w":{"type":"integer","enum":[1,2]}}}]],
  } }
  local ctx = context {
    client = { dialect = "chat" }, model = "gemini-2.5-flash", upstream_model = "gemini-2.5-flash",
  }
  same_json(normalised(request, ctx), [[
{"contents":[{"role":"user","parts":[{"text":"Crop it"},{"inlineData":{"mimeType":"image/jpeg","data":"/9j/4AA="}}]}],
 "tools":[{"functionDeclarations":[{"name":"crop.image","parametersJsonSchema":{"type":"object","properties":{"w":{"type":"string","enum":["1","2"],"description":"Allowed: 1, 2"}}}}]}],
 "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["crop.image"]}},
 "generationConfig":{"maxOutputTokens":500,"thinkingConfig":{"thinkingBudget":1024,"includeThoughts":true}}}]])
end)

local CLI = [[
{"model":"gemini-2.5-pro","project":"p","user_prompt_id":"u#1","request":{"session_id":"s9","systemInstruction":{"role":"user","parts":[{"text":"CLI agent."}]},
 "contents":[{"role":"user","parts":[{"text":"show a.c and b.c"}]},
  {"role":"model","parts":[{"text":"plan","thought":true},{"functionCall":{"name":"read_file","args":{"path":"a.c"}},"thoughtSignature":"skip_thought_signature_validator"}]},
  {"role":"user","parts":[{"functionResponse":{"name":"read_file","response":{"output":"int a;"}}}]}],
 "tools":[{"functionDeclarations":[{"name":"read_file","description":"r","parametersJsonSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}]}],
 "generationConfig":{"temperature":0,"topP":1,"topK":64,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}}}}]]

test("gemini_cli: example 5.8, the request is read out of its envelope", function()
  local request = gemini_cli.decode_request(CLI, context { model = "gemini-2.5-pro" })
  local id = "call_0901fb16cc16a90d78dd04b7"
  same({ request.model, request.identity.session, request.system[1].text },
    { "gemini-2.5-pro", "s9", "CLI agent." })
  local call, result = request.turns[2].blocks[2], request.turns[3].blocks[1]
  same({ call.id, call.name, call.args, call.sig.family },
    { id, "read_file", '{"path":"a.c"}', "none" })
  same({ result.call_id, result.content[1].text, result.is_error }, { id, "int a;", false })
  same(request.sampling, { temperature = 0, top_p = 1, top_k = 64 })
  same(request.reasoning, { mode = "budget", budget = 8192, visible = true, from_suffix = false })
  same(json.encode(request.extras.gemini_cli), '{"project":"p","user_prompt_id":"u#1"}')
end)

test("gemini_cli: the envelope is taken off and put on for passthrough", function()
  local inner, model, envelope = gemini_cli.unwrap_request(CLI)
  same({ model, json.get(inner, "session_id"), json.encode(envelope) },
    { "gemini-2.5-pro", nil, '{"project":"p","user_prompt_id":"u#1"}' })
  assert(inner:find('"temperature":0,"topP":1', 1, true))
  same(gemini_cli.wrap_request('{"contents":[1.0]}', "m", { project = "p" }),
    '{"model":"m","project":"p","request":{"contents":[1.0]}}')
  local counted, name = gemini_cli.unwrap_request '{"request":{"model":"models/x","contents":[]}}'
  same({ counted, name }, { '{"contents":[]}', "x" })
  same(gemini_cli.wrap_response '{"candidates":[],"responseId":"r"}',
    '{"response":{"candidates":[],"responseId":"r"},"traceId":"r"}')
  same(gemini_cli.wrap_response '{"error":{"code":429}}', '{"error":{"code":429}}')
  same(gemini_cli.unwrap_response '{"response":{"a":1.0},"traceId":"t"}', '{"a":1.0}')
  same(gemini_cli.unwrap_response '{"error":{}}', '{"error":{}}')
  for _, wrong in ipairs { "[]", "{}", '{"request":7}', "{" } do
    local fine, problem = pcall(gemini_cli.unwrap_request, wrong)
    assert(not fine and reject.is(problem))
  end
end)

test("gemini: a client's nonsense is read or refused, never anything else", function()
  local values = { "null", "7", '""', '"x"', "true", "[]", "{}", "[[]]", "[null]", "[7]", '[{"a":[]}]', '{"a":1}' }
  local places = { "%s", '{"request":%s}' }
  for _, member in ipairs { "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings",
    "cachedContent", "labels", "serviceTier", "sessionId", "generateContentRequest", "model", "other" } do
    places[#places + 1] = '{"' .. member .. '":%s}'
  end
  for _, member in ipairs { "role", "parts", "other" } do
    places[#places + 1] = '{"contents":[{"' .. member .. '":%s}]}'
    places[#places + 1] = '{"systemInstruction":{"' .. member .. '":%s}}'
  end
  for _, member in ipairs { "text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse",
    "executableCode", "codeExecutionResult", "toolCall", "toolResponse", "videoMetadata", "other" } do
    places[#places + 1] = '{"contents":[{"role":"model","parts":[{"' .. member .. '":%s},{"text":"a","' .. member .. '":%s}]}]}'
  end
  for object, members in pairs {
    functionCall = { "id", "name", "args" }, functionResponse = { "id", "name", "response", "parts", "other" },
    inlineData = { "mimeType", "data", "displayName" }, fileData = { "mimeType", "fileUri" },
    toolCall = { "id", "toolType", "args" }, codeExecutionResult = { "outcome", "output" },
  } do
    for _, member in ipairs(members) do
      places[#places + 1] = '{"contents":[{"role":"model","parts":[{"' .. object .. '":{"' .. member .. '":%s}}]}]}'
    end
  end
  for _, member in ipairs { "temperature", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseLogprobs", "logprobs",
    "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig", "imageConfig", "responseModalities", "other" } do
    places[#places + 1] = '{"generationConfig":{"' .. member .. '":%s}}'
  end
  for _, member in ipairs { "thinkingLevel", "thinkingBudget", "includeThoughts" } do
    places[#places + 1] = '{"generationConfig":{"thinkingConfig":{"' .. member .. '":%s}}}'
  end
  for _, member in ipairs { "name", "description", "parameters", "parametersJsonSchema", "other" } do
    places[#places + 1] = '{"tools":[{"functionDeclarations":[{"name":"f","' .. member .. '":%s}]}]}'
  end
  for _, member in ipairs { "mode", "allowedFunctionNames" } do
    places[#places + 1] = '{"toolConfig":{"functionCallingConfig":{"' .. member .. '":%s}}}'
  end
  for _, place in ipairs(places) do
    for _, value in ipairs(values) do
      local body = place:gsub("%%s", value)
      for _, translator in ipairs { gemini, gemini_cli } do
        local ctx = context()
        local fine, result = pcall(translator.decode_request, body, ctx)
        if fine then
          assert(json.decode(translator.encode_request(result, ctx)), body)
          ctx.client = { dialect = "chat" }
          ctx.names, ctx.ids = names.map(result, ctx.caps), ids.map(result, ctx)
          fine, result = pcall(normalise.run, result, ctx)
        end
        if not fine and not reject.is(result) then error(body .. ": " .. tostring(result)) end
      end
    end
  end
end)
