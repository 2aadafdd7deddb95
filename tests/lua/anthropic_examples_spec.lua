--- The worked examples of the specification that Anthropic takes part in, through the hub.

local hub = require "lib.hub"
local json = require "json"
local support = require "tests.anthropic_support"

local value, same_json = support.value, support.same_json

local function has(...)
  for _, name in ipairs { ... } do
    local file = io.open("lua/translators/" .. name .. ".lua")
    if not file then return false end
    file:close()
  end
  return true
end

local function context(fields)
  local count = 0
  fields.created = fields.created or 1760000001
  fields.unique = function(prefix, length)
    count = count + 1
    return prefix .. ("0"):rep(length - 1) .. count
  end
  return hub.context(fields)
end

-- Pushes "data: json" or "E name json" lines; gives the frames for the client.
local function stream(ctx, text)
  local running, out = hub.stream(ctx), {}
  local function take(frames)
    for _, frame in ipairs(frames) do
      out[#out + 1] = { frame.name, frame.data == "[DONE]" and "[DONE]" or value(frame.data) }
    end
  end
  for line in text:gmatch "[^\n]+" do
    local name, data = line:match "^E%s+(%S+)%s+(.+)$"
    if not name then name, data = "", line:match "^data:%s*(.-)%s*$" end
    take(running.push(name, data))
  end
  take(running.finish())
  return out
end

-- Members of `wanted` are in `got` with the same values; others may be there too.
local function holds(got, wanted, path)
  if type(wanted) ~= "table" then
    if got ~= wanted then error(path .. ": got " .. tostring(got) .. ", not " .. tostring(wanted), 0) end
    return
  end
  if type(got) ~= "table" then error(path .. " is " .. tostring(got), 0) end
  if json.is_array(wanted) and #got ~= #wanted then error(path .. " has " .. #got .. " elements", 0) end
  for name, each in pairs(wanted) do holds(got[name], each, path .. "." .. tostring(name)) end
end

local function check(got, text)
  local i = 0
  for line in text:gmatch "[^\n]+" do
    i = i + 1
    local name, data = line:match "^E%s+(%S+)%s+(.+)$"
    if not name then name, data = "", line:match "^data:%s*(.-)%s*$" end
    if not got[i] then error("frame " .. i .. " is missing: " .. line, 0) end
    if data == "[DONE]" then same(got[i][2], data) else
      same({ i, got[i][1] }, { i, name })
      holds(got[i][2], value((data:gsub("%.%.%.,", ""))), "frame " .. i)
    end
  end
  same(#got, i)
end

local READ = '{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}'

if has "chat" then
  test("example 5.1: Claude Code to a chat upstream", function()
    local ctx = context {
      client = "anthropic", upstream = "chat", model = "glm-x", upstream_model = "glm-x",
      caps = {
        max_output_field = "max_tokens", thinking = { kind = "level", levels = { "low", "medium", "high" } },
        sampling = { temperature = true, top_p = true }, stop_max = 4, prefill = true, mid_system = true,
        inputs = { image = true, image_url = true }, tool_result_media = "after", structured = "native",
        schema_profile = "full", signature_family = "none", flatten_text = true, empty_content = "",
        reasoning_field = "reasoning_content",
      },
    }
    local body = assert(hub.request(([[{"model":"glm-x","max_tokens":8000,"stream":true,
 "thinking":{"type":"enabled","budget_tokens":4000},
 "system":[{"type":"text","text":"x-anthropic-billing-header: v=1;"},
  {"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral"}}],
 "tools":[{"name":"Read","description":"Read a file","input_schema":READ}],
 "messages":[{"role":"user","content":"Open notes.txt and app.lua"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"Two files.","signature":"sc1~n~n~"},
   {"type":"text","text":"Reading."},{"type":"tool_use","id":"call_70","name":"Read","input":{"path":"notes.txt"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_70","content":[{"type":"text","text":"buy milk"}]},
   {"type":"text","text":"Next file please"}]}]}]]):gsub("READ", READ), ctx))
    same_json(value(body), (([[{"model":"glm-x","stream":true,"stream_options":{"include_usage":true},
 "max_tokens":8000,"reasoning_effort":"medium",
 "messages":[{"role":"system","content":"You are a coding agent."},
  {"role":"user","content":"Open notes.txt and app.lua"},
  {"role":"assistant","content":"Reading.","reasoning_content":"Two files.","tool_calls":[{"id":"call_70",
   "type":"function","function":{"name":"Read","arguments":"{\"path\":\"notes.txt\"}"}}]},
  {"role":"tool","tool_call_id":"call_70","content":"buy milk"},{"role":"user","content":"Next file please"}],
 "tools":[{"type":"function","function":{"name":"Read","description":"Read a file","parameters":READ}}]}]])
      :gsub("READ", READ)))
    check(stream(ctx, [[
data: {"id":"c-9","object":"chat.completion.chunk","created":1760000000,"model":"glm-x-2","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Now app.lua."},"finish_reason":null}]}
data: {"id":"c-9","choices":[{"index":0,"delta":{"content":"Sure."},"finish_reason":""}]}
data: {"id":"c-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_77","type":"function","function":{"name":"Read","arguments":""}}]}}]}
data: {"id":"c-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"","arguments":"{\"path\":"}}]}}]}
data: {"id":"c-9","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"app.lua\"}"}}]}}]}
data: {"id":"c-9","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
data: {"id":"c-9","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":40,"total_tokens":940,"prompt_tokens_details":{"cached_tokens":600},"completion_tokens_details":{"reasoning_tokens":10}}}
data: [DONE] ]]), [[
E message_start {"type":"message_start","message":{"id":"msg_c-9","type":"message","role":"assistant","model":"glm-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
E ping {"type":"ping"}
E content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"Now app.lua."}}
E content_block_delta {"index":0,"delta":{"type":"signature_delta","signature":"sc1~n~n~"}}
E content_block_stop {"index":0}
E content_block_start {"index":1,"content_block":{"type":"text","text":""}}
E content_block_delta {"index":1,"delta":{"type":"text_delta","text":"Sure."}}
E content_block_stop {"index":1}
E content_block_start {"index":2,"content_block":{"type":"tool_use","id":"call_77","name":"Read","input":{}}}
E content_block_delta {"index":2,"delta":{"type":"input_json_delta","partial_json":"{\"path\":"}}
E content_block_delta {"index":2,"delta":{"type":"input_json_delta","partial_json":"\"app.lua\"}"}}
E content_block_stop {"index":2}
E message_delta {"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":300,"cache_creation_input_tokens":0,"cache_read_input_tokens":600,"output_tokens":40,"output_tokens_details":{"thinking_tokens":10}}}
E message_stop {"type":"message_stop"}]])
  end)

  test("example 5.4: OpenAI Chat to Claude", function()
    local ctx = context {
      client = "chat", upstream = "anthropic", model = "claude-opus-4-7", upstream_model = "claude-opus-4-7",
      provider = "claude",
    }
    local body = assert(hub.request([[{"model":"claude-opus-4-7","stream":true,"stream_options":{"include_usage":true},"reasoning_effort":"high","temperature":0.2,"stop":"END","user":"u-1",
 "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Weather?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0="}}]},
  {"role":"assistant","content":null,"tool_calls":[{"id":"call.1","type":"function","function":{"name":"wx","arguments":"{\"city\":\"Oslo\"}"}},{"id":"call.2","type":"function","function":{"name":"wx","arguments":""}}]},
  {"role":"tool","tool_call_id":"call.1","content":"4C"},{"role":"developer","content":"Use Celsius."}],
 "tools":[{"type":"function","function":{"name":"wx","parameters":{"type":"object"}}}]}]], ctx))
    same_json(value(body), [[{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},"stop_sequences":["END"],"metadata":{"user_id":"u-1"},
 "system":[{"type":"text","text":"Be brief."}],
 "messages":[{"role":"user","content":[{"type":"text","text":"Weather?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0="}}]},
  {"role":"assistant","content":[{"type":"tool_use","id":"call_1_e8b7b7b3793f991d","name":"wx","input":{"city":"Oslo"}},{"type":"tool_use","id":"call_2_bf9fb854b2b5a006","name":"wx","input":{}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1_e8b7b7b3793f991d","content":"4C"},{"type":"tool_result","tool_use_id":"call_2_bf9fb854b2b5a006","is_error":true,"content":"no result was recorded for this call"},{"type":"text","text":"<system-reminder>\nUse Celsius.\n</system-reminder>"}]}],
 "tools":[{"name":"wx","input_schema":{"type":"object","properties":{}}}]}]])
    check(stream(ctx, [[
E message_start {"type":"message_start","message":{"id":"msg_9","model":"claude-opus-4-7","content":[],"usage":{"input_tokens":120,"cache_creation_input_tokens":80,"cache_read_input_tokens":400,"output_tokens":1}}}
E content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Two cities."}}
E content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqMadeUpSig"}}
E content_block_stop {"type":"content_block_stop","index":0}
E content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_A","name":"wx","input":{}}}
E content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Bergen\"}"}}
E content_block_stop {"type":"content_block_stop","index":1}
E content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_B","name":"wx","input":{}}}
E content_block_stop {"type":"content_block_stop","index":2}
E message_delta {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":60}}
E message_stop {"type":"message_stop"}]]), [[
data: {"id":"chatcmpl-msg_9","object":"chat.completion.chunk","created":1760000001,"model":"claude-opus-4-7","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{"reasoning_content":"Two cities."},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.text","index":0,"text":"","signature":"sc1~a~t~RXFNYWRlVXBTaWc"}]},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"toolu_A","type":"function","function":{"name":"wx","arguments":""}}]},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Bergen\"}"}}]},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"toolu_B","type":"function","function":{"name":"wx","arguments":""}}]},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"finish_reason":null}]}
data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}
data: {"choices":[],"usage":{"prompt_tokens":600,"completion_tokens":60,"total_tokens":660,"prompt_tokens_details":{"cached_tokens":400,"cache_write_tokens":80},"completion_tokens_details":{"reasoning_tokens":0}}}
data: [DONE] ]])
  end)
end

if has "gemini" then
  test("example 5.2: Claude Code to Gemini", function()
    local ctx = context {
      client = "anthropic", upstream = "gemini", model = "gemini-3-flash-preview",
      upstream_model = "gemini-3-flash-preview", provider = "gemini",
    }
    local body = assert(hub.request([[{"model":"gemini-3-flash-preview","max_tokens":16000,"stream":true,"system":"You are a coding agent.","thinking":{"type":"adaptive"},"output_config":{"effort":"medium"},
 "tools":[{"name":"Read","description":"Read a file","input_schema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"path":{"type":"string","minLength":1},"limit":{"type":["integer","null"]}},"required":["path","limit"],"additionalProperties":false},"cache_control":{"type":"ephemeral"}}],
 "messages":[{"role":"user","content":"Open notes.txt and app.lua"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"Need the file.","signature":"sc1~g~f~UTJ4aGNtRT0"},{"type":"tool_use","id":"fc8","name":"Read","input":{"path":"notes.txt"}},{"type":"tool_use","id":"fc8b","name":"Read","input":{"path":"todo.txt"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"fc8b","is_error":true,"content":"no such file"},{"type":"tool_result","tool_use_id":"fc8","content":"buy milk"}]}]}]], ctx))
    same_json(value(body), [[{"systemInstruction":{"parts":[{"text":"You are a coding agent."}]},
 "contents":[{"role":"user","parts":[{"text":"Open notes.txt and app.lua"}]},
  {"role":"model","parts":[{"functionCall":{"id":"fc8","name":"Read","args":{"path":"notes.txt"}},"thoughtSignature":"Q2xhcmE="},{"functionCall":{"id":"fc8b","name":"Read","args":{"path":"todo.txt"}}}]},
  {"role":"user","parts":[{"functionResponse":{"id":"fc8","name":"Read","response":{"output":"buy milk"}}},{"functionResponse":{"id":"fc8b","name":"Read","response":{"error":"no such file"}}}]}],
 "tools":[{"functionDeclarations":[{"name":"Read","description":"Read a file","parametersJsonSchema":{"type":"object","properties":{"path":{"type":"string","description":"minLength: 1"},"limit":{"type":"integer","description":"nullable"}},"required":["path"],"description":"No extra properties allowed"}}]}],
 "generationConfig":{"maxOutputTokens":16000,"thinkingConfig":{"thinkingLevel":"medium","includeThoughts":true}}}]])
    check(stream(ctx, [[
data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Second file.","thought":true}]},"index":0}],"usageMetadata":{"promptTokenCount":800},"modelVersion":"gemini-3-flash-preview","responseId":"gr1"}
data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"id":"fc9","name":"Read","args":{"path":"app.lua"}},"thoughtSignature":"Q2xhcmE="}]},"index":0}],"responseId":"gr1"}
data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":800,"cachedContentTokenCount":500,"candidatesTokenCount":30,"thoughtsTokenCount":12,"totalTokenCount":842},"responseId":"gr1"}]]), [[
E message_start {"message":{"id":"msg_gr1","model":"gemini-3-flash-preview","content":[],"usage":{"input_tokens":800,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
E ping {"type":"ping"}
E content_block_start {"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"Second file."}}
E content_block_delta {"index":0,"delta":{"type":"signature_delta","signature":"sc1~g~f~UTJ4aGNtRT0"}}
E content_block_stop {"index":0}
E content_block_start {"index":1,"content_block":{"type":"tool_use","id":"fc9","name":"Read","input":{}}}
E content_block_delta {"index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\"app.lua\"}"}}
E content_block_stop {"index":1}
E message_delta {"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":300,"cache_creation_input_tokens":0,"cache_read_input_tokens":500,"output_tokens":42,"output_tokens_details":{"thinking_tokens":12}}}
E message_stop {"type":"message_stop"}]])
  end)
end

if has("responses", "codex") then
  test("example 5.3: Claude Code to Codex", function()
    local ctx = context {
      client = "anthropic", upstream = "codex", model = "gpt-5.5(high)", upstream_model = "gpt-5.5",
      provider = "codex",
    }
    local body = assert(hub.request(([[{"model":"gpt-5.5(high)","max_tokens":32000,"stream":true,"system":[{"type":"text","text":"You are a coding agent."}],"thinking":{"type":"adaptive"},"metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"7f0c\"}"},"temperature":1,
 "tools":[{"name":"Read","description":"Read a file","input_schema":READ}],"tool_choice":{"type":"auto"},
 "messages":[{"role":"user","content":"Open notes.txt"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"Open it.","signature":"sc1~o~e~Z0FBQUFBQm1hZGUtdXAtMQ"},{"type":"tool_use","id":"call_a1","name":"Read","input":{"path":"notes.txt"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_a1","content":"buy milk"},{"type":"text","text":"Now app.lua"}]}]}]])
      :gsub("READ", READ), ctx))
    same_json(value(body), (([[{"model":"gpt-5.5","instructions":"","stream":true,"store":false,"include":["reasoning.encrypted_content"],"parallel_tool_calls":true,"prompt_cache_key":"7f0c","reasoning":{"effort":"high","summary":"auto"},"tool_choice":"auto",
 "tools":[{"type":"function","name":"Read","description":"Read a file","parameters":READ,"strict":false}],
 "input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"You are a coding agent."}]},
  {"type":"message","role":"user","content":[{"type":"input_text","text":"Open notes.txt"}]},
  {"type":"reasoning","summary":[],"encrypted_content":"gAAAAABmade-up-1"},
  {"type":"function_call","call_id":"call_a1","name":"Read","arguments":"{\"path\":\"notes.txt\"}"},
  {"type":"function_call_output","call_id":"call_a1","output":"buy milk"},
  {"type":"message","role":"user","content":[{"type":"input_text","text":"Now app.lua"}]}]}]]):gsub("READ", READ)))
    check(stream(ctx, [[
E response.created {"type":"response.created","sequence_number":0,"response":{"id":"resp_5","status":"in_progress","model":"gpt-5.5","output":[]}}
E response.output_item.added {"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAAAABprovisional"}}
E response.reasoning_summary_part.added {"type":"response.reasoning_summary_part.added","output_index":0,"item_id":"rs_1","summary_index":0,"part":{"type":"summary_text","text":""}}
E response.reasoning_summary_text.delta {"type":"response.reasoning_summary_text.delta","output_index":0,"item_id":"rs_1","summary_index":0,"delta":"Plan."}
E response.reasoning_summary_part.added {"type":"response.reasoning_summary_part.added","output_index":0,"item_id":"rs_1","summary_index":1,"part":{"type":"summary_text","text":""}}
E response.reasoning_summary_text.delta {"type":"response.reasoning_summary_text.delta","output_index":0,"item_id":"rs_1","summary_index":1,"delta":"Read it."}
E response.output_item.done {"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Plan."},{"type":"summary_text","text":"Read it."}],"encrypted_content":"gAAAAABmade-up-2"}}
E response.output_item.added {"type":"response.output_item.added","output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"call_a2","name":"Read","arguments":""}}
E response.function_call_arguments.delta {"type":"response.function_call_arguments.delta","output_index":1,"item_id":"fc_1","delta":"{\"path\":\"app.lua\"}"}
E response.function_call_arguments.done {"type":"response.function_call_arguments.done","output_index":1,"item_id":"fc_1","arguments":"{\"path\":\"app.lua\"}"}
E response.output_item.done {"type":"response.output_item.done","output_index":1,"item":{"id":"fc_1","type":"function_call","call_id":"call_a2","name":"Read","arguments":"{\"path\":\"app.lua\"}","status":"completed"}}
E response.completed {"type":"response.completed","response":{"id":"resp_5","status":"completed","output":[],"usage":{"input_tokens":1000,"input_tokens_details":{"cached_tokens":900,"cache_write_tokens":0},"output_tokens":55,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":1055}}}]]), [[
E message_start {"message":{"id":"msg_resp_5","model":"gpt-5.5(high)","content":[]}}
E ping {"type":"ping"}
E content_block_start {"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"Plan."}}
E content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"\n\n"}}
E content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"Read it."}}
E content_block_delta {"index":0,"delta":{"type":"signature_delta","signature":"sc1~o~e~Z0FBQUFBQm1hZGUtdXAtMg"}}
E content_block_stop {"index":0}
E content_block_start {"index":1,"content_block":{"type":"tool_use","id":"call_a2","name":"Read","input":{}}}
E content_block_delta {"index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\"app.lua\"}"}}
E content_block_stop {"index":1}
E message_delta {"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":100,"cache_creation_input_tokens":0,"cache_read_input_tokens":900,"output_tokens":55,"output_tokens_details":{"thinking_tokens":20}}}
E message_stop {"type":"message_stop"}]])
  end)
end

if has "responses" then
  test("example 5.6: Codex CLI to Claude", function()
    local ctx = context {
      client = "responses", upstream = "anthropic", model = "claude-opus-4-7",
      upstream_model = "claude-opus-4-7", provider = "claude",
    }
    local body = assert(hub.request([[{"model":"claude-opus-4-7","instructions":"You are Codex.","stream":true,"store":false,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"medium","summary":"auto"},"parallel_tool_calls":false,"tool_choice":"auto","prompt_cache_key":"s-1",
 "tools":[{"type":"custom","name":"apply_patch","description":"Patch files","format":{"type":"grammar","syntax":"lark","definition":"start: LINE"}},{"type":"namespace","name":"docs","description":"d","tools":[{"type":"function","name":"lookup","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}]}],
 "input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"Sandbox: on"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"Fix a.c"}]},
  {"type":"reasoning","summary":[{"type":"summary_text","text":"Look up first."}],"encrypted_content":"sc1~a~t~RXFNYWRlVXBTaWc"},
  {"type":"function_call","call_id":"toolu_1","name":"lookup","namespace":"docs","arguments":"{\"q\":\"a\"}"},{"type":"function_call_output","call_id":"toolu_1","output":[{"type":"input_text","text":"none"}]}]}]], ctx))
    same_json(value(body), [[{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"medium"},"tool_choice":{"type":"auto","disable_parallel_tool_use":true},
 "system":[{"type":"text","text":"You are Codex."},{"type":"text","text":"Sandbox: on"}],
 "tools":[{"name":"apply_patch","description":"Patch files\n\nInput grammar (lark):\nstart: LINE","input_schema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}},{"name":"docs__lookup","input_schema":{"type":"object","properties":{"q":{"type":"string"}}}}],
 "messages":[{"role":"user","content":"Fix a.c"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"Look up first.","signature":"EqMadeUpSig"},{"type":"tool_use","id":"toolu_1","name":"docs__lookup","input":{"q":"a"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"none"}]}]}]])
    local got = stream(ctx, [[
E message_start {"type":"message_start","message":{"id":"msg_7","model":"claude-opus-4-7","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":1}}}
E content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
E content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Patching."}}
E content_block_stop {"type":"content_block_stop","index":0}
E content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_2","name":"apply_patch","input":{}}}
E content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"input\":\"*** Begin"}}
E content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" Patch\"}"}}
E content_block_stop {"type":"content_block_stop","index":1}
E content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_3","name":"docs__lookup","input":{}}}
E content_block_delta {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"q\":\"b\"}"}}
E content_block_stop {"type":"content_block_stop","index":2}
E message_delta {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":33,"output_tokens_details":{"thinking_tokens":0}}}
E message_stop {"type":"message_stop"}]])
    check(got, [[
E response.created {"sequence_number":0,"response":{"id":"resp_msg_7","object":"response","status":"in_progress","model":"claude-opus-4-7","output":[]}}
E response.in_progress {"sequence_number":1}
E response.output_item.added {"sequence_number":2,"output_index":0,"item":{"type":"message","status":"in_progress","role":"assistant","content":[]}}
E response.content_part.added {"sequence_number":3,"output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}
E response.output_text.delta {"sequence_number":4,"output_index":0,"content_index":0,"delta":"Patching."}
E response.output_text.done {"sequence_number":5,"text":"Patching."}
E response.content_part.done {"sequence_number":6}
E response.output_item.done {"sequence_number":7,"output_index":0,"item":{"type":"message","status":"completed"}}
E response.output_item.added {"sequence_number":8,"output_index":1,"item":{"type":"custom_tool_call","status":"in_progress","call_id":"toolu_2","name":"apply_patch","input":""}}
E response.custom_tool_call_input.delta {"sequence_number":9,"output_index":1,"delta":"*** Begin Patch"}
E response.custom_tool_call_input.done {"sequence_number":10,"input":"*** Begin Patch"}
E response.output_item.done {"sequence_number":11,"output_index":1,"item":{"type":"custom_tool_call","status":"completed","call_id":"toolu_2","name":"apply_patch","input":"*** Begin Patch"}}
E response.output_item.added {"sequence_number":12,"output_index":2,"item":{"type":"function_call","status":"in_progress","call_id":"toolu_3","name":"lookup","namespace":"docs","arguments":""}}
E response.function_call_arguments.delta {"sequence_number":13,"output_index":2,"delta":"{\"q\":\"b\"}"}
E response.function_call_arguments.done {"sequence_number":14,"output_index":2,"arguments":"{\"q\":\"b\"}"}
E response.output_item.done {"sequence_number":15,"output_index":2,"item":{"type":"function_call","status":"completed","call_id":"toolu_3","name":"lookup","namespace":"docs","arguments":"{\"q\":\"b\"}"}}
E response.completed {"sequence_number":16,"response":{"id":"resp_msg_7","status":"completed","usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":90,"cache_write_tokens":0},"output_tokens":33,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":133}}}]])
  end)
end
