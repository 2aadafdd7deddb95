--- The worked examples of translation that have a Chat side, from the client's bytes to the upstream's
--- and back, through the hub.  Those whose other dialect is not there are left out.

local hub = require "lib.hub"
local json = require "json"
local support = require "tests.chat_support"

local same_json = support.same_json

local function context(given)
  local unique = 0
  local made = support.context { caps = given.caps, provider = given.provider, client = given.client }
  return hub.context {
    client = given.client, upstream = given.upstream, model = given.model,
    upstream_model = given.upstream_model or given.model, caps = given.caps and made.caps,
    provider = given.provider, created = 1760000001,
    unique = function(prefix, length)
      unique = unique + 1
      return prefix .. ("Z"):rep(length - #tostring(unique)) .. unique
    end,
  }
end

local function example(name, dialect, fn)
  if pcall(require, "translators." .. dialect) then test(name, fn) end
end

local function run(stream, events)
  local frames = {}
  local function add(list) for _, frame in ipairs(list) do frames[#frames + 1] = frame end end
  for _, event in ipairs(events) do
    local name, data = "", event
    if type(event) == "table" then name, data = event[1], event[2] end
    add(stream.push(name, data))
  end
  add(stream.finish())
  return frames
end

local function names_of(frames)
  local names = {}
  for i, frame in ipairs(frames) do names[i] = frame.name end
  return names
end

example("worked example 5.1 through the hub", "anthropic", function()
  local ctx = context { client = "anthropic", upstream = "chat", model = "glm-x",
    caps = { reasoning_field = "reasoning_content" } }
  local body = assert(hub.request([[
{"model":"glm-x","max_tokens":8000,"stream":true,"thinking":{"type":"enabled","budget_tokens":4000},
 "system":[{"type":"text","text":"x-anthropic-billing-header: v=1;"},{"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral"}}],
 "tools":[{"name":"Read","description":"Read a file","input_schema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}],
 "messages":[{"role":"user","content":"Open notes.txt and app.lua"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"Two files.","signature":"sc1~n~n~"},{"type":"text","text":"Reading."},{"type":"tool_use","id":"call_70","name":"Read","input":{"path":"notes.txt"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_70","content":[{"type":"text","text":"buy milk"}]},{"type":"text","text":"Next file please"}]}]}]], ctx))
  same_json(body, [[
{"model":"glm-x","stream":true,"stream_options":{"include_usage":true},"max_tokens":8000,"reasoning_effort":"medium",
 "messages":[{"role":"system","content":"You are a coding agent."},{"role":"user","content":"Open notes.txt and app.lua"},
  {"role":"assistant","content":"Reading.","reasoning_content":"Two files.","tool_calls":[{"id":"call_70","type":"function","function":{"name":"Read","arguments":"{\"path\":\"notes.txt\"}"}}]},
  {"role":"tool","tool_call_id":"call_70","content":"buy milk"},{"role":"user","content":"Next file please"}],
 "tools":[{"type":"function","function":{"name":"Read","description":"Read a file","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}}]}]])
  local frames = run(hub.stream(ctx), {
    '{"id":"c-9","created":1760000000,"model":"glm-x-2","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Now app.lua."},"finish_reason":null}]}',
    '{"id":"c-9","choices":[{"index":0,"delta":{"content":"Sure."},"finish_reason":""}]}',
    '{"id":"c-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_77","type":"function","function":{"name":"Read","arguments":""}}]}}]}',
    '{"id":"c-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"","arguments":"{\\"path\\":"}}]}}]}',
    '{"id":"c-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\"app.lua\\"}"}}]}}]}',
    '{"id":"c-9","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"id":"c-9","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":40,"total_tokens":940,"prompt_tokens_details":{"cached_tokens":600},"completion_tokens_details":{"reasoning_tokens":10}}}',
    "[DONE]",
  })
  same(table.concat(names_of(frames), " "), "message_start ping content_block_start content_block_delta "
    .. "content_block_delta content_block_stop content_block_start content_block_delta content_block_stop "
    .. "content_block_start content_block_delta content_block_delta content_block_stop message_delta message_stop")
  same_json(frames[1].data, [[{"type":"message_start","message":{"id":"msg_c-9","type":"message","role":"assistant","model":"glm-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}]])
  same_json(frames[#frames - 1].data, [[{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":300,"cache_creation_input_tokens":0,"cache_read_input_tokens":600,"output_tokens":40,"output_tokens_details":{"thinking_tokens":10}}}]])
end)

example("worked example 5.4 through the hub", "anthropic", function()
  local ctx = context { client = "chat", upstream = "anthropic", model = "claude-opus-4-7",
    provider = "claude" }
  local body = assert(hub.request([[
{"model":"claude-opus-4-7","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"high","temperature":0.2,"stop":"END","user":"u-1",
 "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Weather?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}}]},
  {"role":"assistant","content":null,"tool_calls":[{"id":"call.1","type":"function","function":{"name":"wx","arguments":"{\"city\":\"Oslo\"}"}},{"id":"call.2","type":"function","function":{"name":"wx","arguments":""}}]},
  {"role":"tool","tool_call_id":"call.1","content":"4C"},{"role":"developer","content":"Use Celsius."}],
 "tools":[{"type":"function","function":{"name":"wx","parameters":{"type":"object"}}}]}]], ctx))
  same_json(body, [[
{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},"stop_sequences":["END"],"metadata":{"user_id":"u-1"},
 "system":[{"type":"text","text":"Be brief."}],
 "messages":[{"role":"user","content":[{"type":"text","text":"Weather?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0="}}]},
  {"role":"assistant","content":[{"type":"tool_use","id":"call_1_e8b7b7b3793f991d","name":"wx","input":{"city":"Oslo"}},{"type":"tool_use","id":"call_2_bf9fb854b2b5a006","name":"wx","input":{}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1_e8b7b7b3793f991d","content":"4C"},{"type":"tool_result","tool_use_id":"call_2_bf9fb854b2b5a006","is_error":true,"content":"no result was recorded for this call"},{"type":"text","text":"<system-reminder>\nUse Celsius.\n</system-reminder>"}]}],
 "tools":[{"name":"wx","input_schema":{"type":"object","properties":{}}}]}]])
  local frames = run(hub.stream(ctx), {
    { "message_start", '{"type":"message_start","message":{"id":"msg_9","model":"claude-opus-4-7","content":[],"usage":{"input_tokens":120,"cache_creation_input_tokens":80,"cache_read_input_tokens":400,"output_tokens":1}}}' },
    { "content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}' },
    { "content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Two cities."}}' },
    { "content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqMadeUpSig"}}' },
    { "content_block_stop", '{"type":"content_block_stop","index":0}' },
    { "content_block_start", '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_A","name":"wx","input":{}}}' },
    { "content_block_delta", '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"city\\":\\"Bergen\\"}"}}' },
    { "content_block_stop", '{"type":"content_block_stop","index":1}' },
    { "content_block_start", '{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_B","name":"wx","input":{}}}' },
    { "content_block_stop", '{"type":"content_block_stop","index":2}' },
    { "message_delta", '{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":60}}' },
    { "message_stop", '{"type":"message_stop"}' },
  })
  local data = {}
  for i, frame in ipairs(frames) do data[i] = frame.data end
  same(support.deltas(data), {
    '{"content":"","role":"assistant"}', '{"reasoning_content":"Two cities."}',
    '{"reasoning_details":[{"index":0,"signature":"sc1~a~t~RXFNYWRlVXBTaWc","text":"","type":"reasoning.text"}]}',
    '{"tool_calls":[{"function":{"arguments":"","name":"wx"},"id":"toolu_A","index":0,"type":"function"}]}',
    '{"tool_calls":[{"function":{"arguments":"{\\"city\\":\\"Bergen\\"}"},"index":0}]}',
    '{"tool_calls":[{"function":{"arguments":"","name":"wx"},"id":"toolu_B","index":1,"type":"function"}]}',
    '{"tool_calls":[{"function":{"arguments":"{}"},"index":1}]}',
    "finish tool_calls", "usage", "[DONE]",
  })
  same(json.decode(data[9]).usage.prompt_tokens, 600)
end)

example("worked example 5.5 through the hub", "gemini", function()
  local ctx = context { client = "chat", upstream = "gemini", model = "gemini-2.5-flash",
    provider = "gemini" }
  local body = assert(hub.request([[
{"model":"gemini-2.5-flash","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"low","max_completion_tokens":500,"n":1,"response_format":{"type":"text"},"tool_choice":{"type":"function","function":{"name":"crop.image"}},
 "messages":[{"role":"user","content":[{"type":"text","text":"Crop it"},{"type":"image_url","image_url":{"url":"data:image/jpg;base64,/9j/4AA="}}]}],
 "tools":[{"type":"function","function":{"name":"crop.image","parameters":{"type":"object","properties":{"w":{"type":"integer","enum":[1,2]}}}}}]}]], ctx))
  same_json(body, [[
{"contents":[{"role":"user","parts":[{"text":"Crop it"},{"inlineData":{"mimeType":"image/jpeg","data":"/9j/4AA="}}]}],
 "tools":[{"functionDeclarations":[{"name":"crop.image","parametersJsonSchema":{"type":"object","properties":{"w":{"type":"string","enum":["1","2"],"description":"Allowed: 1, 2"}}}}]}],
 "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["crop.image"]}},
 "generationConfig":{"maxOutputTokens":500,"thinkingConfig":{"thinkingBudget":1024,"includeThoughts":true}}}]])
  local frames = run(hub.stream(ctx), {
    '{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"crop.image","args":{"w":"2"}},"thoughtSignature":"Q2xhcmE="}]},"index":0,"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":50,"candidatesTokenCount":8,"thoughtsTokenCount":20,"totalTokenCount":78},"modelVersion":"gemini-2.5-flash","responseId":"gr2"}',
  })
  local data = {}
  for i, frame in ipairs(frames) do data[i] = frame.data end
  local id = json.decode(data[2]).choices[1].delta.tool_calls[1].id
  same(id:sub(1, 5), "call_")
  same(support.deltas(data), {
    '{"content":"","role":"assistant"}',
    '{"tool_calls":[{"extra_content":{"google":{"thought_signature":"Q2xhcmE="}},"function":{"arguments":"","name":"crop.image"},"id":"'
      .. id .. '","index":0,"type":"function"}]}',
    '{"tool_calls":[{"function":{"arguments":"{\\"w\\":2}"},"index":0}]}',
    "finish tool_calls", "usage", "[DONE]",
  })
  same(json.decode(data[5]).usage.completion_tokens_details.reasoning_tokens, 20)
end)

example("worked example 5.7 through the hub", "responses", function()
  local ctx = context { client = "responses", upstream = "chat", model = "deep-x",
    caps = { reasoning_field = "reasoning_content",
      thinking = { kind = "level", levels = { "low", "medium", "high" } } } }
  local body = assert(hub.request([[
{"model":"deep-x","instructions":"You are Codex.","stream":true,"store":false,"reasoning":{"effort":"xhigh"},"text":{"format":{"type":"json_schema","name":"out","strict":true,"schema":{"type":"object"}}},"tools":[{"type":"function","name":"shell","parameters":{"type":"object","properties":{"cmd":{"type":"string"}}},"strict":false}],
 "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"ls"}]},{"type":"reasoning","summary":[],"encrypted_content":"sc1~n~n~","content":[{"type":"reasoning_text","text":"Run ls."}]},
  {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Running."}]},{"type":"function_call","call_id":"c1","name":"shell","arguments":"{\"cmd\":\"ls\"}"},
  {"type":"message","role":"developer","content":[{"type":"input_text","text":"Time is short."}]},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"a.c"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0="}]}]}]], ctx))
  same_json(body, [[
{"model":"deep-x","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"name":"out","strict":true,"schema":{"type":"object"}}},
 "messages":[{"role":"system","content":"You are Codex."},{"role":"user","content":"ls"},
  {"role":"assistant","content":"Running.","reasoning_content":"Run ls.","tool_calls":[{"id":"c1","type":"function","function":{"name":"shell","arguments":"{\"cmd\":\"ls\"}"}}]},
  {"role":"tool","tool_call_id":"c1","content":"a.c\n[attached below: image 1]"},
  {"role":"user","content":[{"type":"text","text":"Image 1 from tool call c1:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}}]},
  {"role":"system","content":"Time is short."}],
 "tools":[{"type":"function","function":{"name":"shell","parameters":{"type":"object","properties":{"cmd":{"type":"string"}}},"strict":false}}]}]])
  local frames = run(hub.stream(ctx), {
    '{"id":"x1","created":1760000002,"model":"deep-x","choices":[{"index":0,"delta":{"role":"assistant","reasoning":"Check."}}]}',
    '{"id":"x1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"type":"function","function":{"name":"shell","arguments":"{\\"cmd\\":\\"cat a.c\\"}"}}]}}],"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29}}',
    "[DONE]",
  })
  same({ #frames, frames[1].name, frames[#frames].name }, { 13, "response.created", "response.completed" })
end)

example("worked example 5.8 through the hub", "gemini_cli", function()
  local ctx = context { client = "gemini_cli", upstream = "chat", model = "gemini-2.5-pro",
    upstream_model = "qwen-x", caps = {} }
  ctx.stream = true
  local body = assert(hub.request([[
{"model":"gemini-2.5-pro","project":"p","user_prompt_id":"u#1","request":{"session_id":"s9","systemInstruction":{"role":"user","parts":[{"text":"CLI agent."}]},
 "contents":[{"role":"user","parts":[{"text":"show a.c and b.c"}]},
  {"role":"model","parts":[{"text":"plan","thought":true},{"functionCall":{"name":"read_file","args":{"path":"a.c"}},"thoughtSignature":"skip_thought_signature_validator"}]},
  {"role":"user","parts":[{"functionResponse":{"name":"read_file","response":{"output":"int a;"}}}]}],
 "tools":[{"functionDeclarations":[{"name":"read_file","description":"r","parametersJsonSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}]}],
 "generationConfig":{"temperature":0,"topP":1,"topK":64,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}}}}]], ctx))
  same_json(body, [[
{"model":"qwen-x","stream":true,"stream_options":{"include_usage":true},"temperature":0,"top_p":1,"reasoning_effort":"medium",
 "messages":[{"role":"system","content":"CLI agent."},{"role":"user","content":"show a.c and b.c"},
  {"role":"assistant","content":"","tool_calls":[{"id":"call_0901fb16cc16a90d78dd04b7","type":"function","function":{"name":"read_file","arguments":"{\"path\":\"a.c\"}"}}]},
  {"role":"tool","tool_call_id":"call_0901fb16cc16a90d78dd04b7","content":"int a;"}],
 "tools":[{"type":"function","function":{"name":"read_file","description":"r","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}}]}]])
end)
