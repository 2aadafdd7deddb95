--- What can be said in a request, in the words of each dialect: how a client says it, and what of it
--- is seen in the body for an upstream.  Data of tests/lua/matrix_spec.lua.
---
--- `say`: additions to a small request {top, config, parts, turns, tools, system}, as JSON; a dialect
--- that is not there has no word for it.  `seen`: text that the upstream's body then holds; a list of
--- texts for all of them, `any` for one of them.  `hint`: losing it changes nothing, so nobody is told.

local PNG = "iVBORw0KGgo="
local PDF = "JVBERi0="
local SCHEMA = '{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}'
local ANSWER = '{"type":"object","properties":{"age":{"type":"integer"}},"required":["age"],"additionalProperties":false}'

local list = {}

local function feature(name, say, seen, hint)
  list[#list + 1] = { name = name, say = say, seen = seen, hint = hint }
end

-- The same member at the top in several dialects.
local function top(name, value)
  return { top = { [name] = value } }
end
local function config(name, value)
  return { config = { [name] = value } }
end

-- --- tools of the small request -------------------------------------------------------------------

local function chat_tool(name, more)
  return '{"type":"function","function":{"name":"' .. name .. '","parameters":' .. SCHEMA .. (more or "") .. "}}"
end
local function responses_tool(name, more)
  return '{"type":"function","name":"' .. name .. '","parameters":' .. SCHEMA .. (more or "") .. "}"
end
local function anthropic_tool(name, more)
  return '{"name":"' .. name .. '","input_schema":' .. SCHEMA .. (more or "") .. "}"
end
local function gemini_tool(name)
  return '{"functionDeclarations":[{"name":"' .. name .. '","parametersJsonSchema":' .. SCHEMA .. "}]}"
end

local function tools(more, ...)
  local made = { chat = {}, responses = {}, anthropic = {}, gemini = {} }
  for i, name in ipairs { ... } do
    made.chat[i], made.responses[i] = chat_tool(name), responses_tool(name)
    made.anthropic[i], made.gemini[i] = anthropic_tool(name), gemini_tool(name)
  end
  for dialect, say in pairs(more) do say.tools = say.tools or made[dialect] end
  return more
end

-- --- conversation ----------------------------------------------------------------------------------

feature("system prompt", {
  chat = { system = '{"role":"system","content":"Be brief"}' },
  responses = top("instructions", '"Be brief"'),
  anthropic = top("system", '"Be brief"'),
  gemini = top("systemInstruction", '{"parts":[{"text":"Be brief"}]}'),
}, {
  chat = '{"content":"Be brief","role":"system"}', responses = '"instructions":"Be brief"',
  anthropic = '"system":[{"text":"Be brief","type":"text"}]',
  gemini = '"systemInstruction":{"parts":[{"text":"Be brief"}]}',
})

feature("instruction in mid-conversation", {
  chat = { turns = { '{"role":"assistant","content":"ok"}', '{"role":"system","content":"MID"}', '{"role":"user","content":"go"}' } },
  responses = { turns = {
    '{"role":"assistant","content":"ok"}', '{"role":"developer","content":"MID"}', '{"role":"user","content":"go"}',
  } },
  anthropic = { turns = { '{"role":"assistant","content":"ok"}', '{"role":"system","content":"MID"}', '{"role":"user","content":"go"}' } },
}, {
  chat = '{"content":"MID","role":"system"}', responses = '"content":[{"text":"MID","type":"input_text"}],"role":"',
  anthropic = "<system-reminder>\\nMID", gemini = "<system-reminder>\\nMID",
})

feature("unfinished answer to continue (prefill)", {
  chat = { turns = { '{"role":"assistant","content":"PRE"}' } },
  responses = { turns = { '{"role":"assistant","content":"PRE"}' } },
  anthropic = { turns = { '{"role":"assistant","content":"PRE"}' } },
  gemini = { turns = { '{"role":"model","parts":[{"text":"PRE"}]}' } },
}, { chat = "PRE", responses = "PRE", anthropic = "PRE", gemini = "PRE" })

-- --- media ----------------------------------------------------------------------------------------

feature("picture, as bytes", {
  chat = { parts = { '{"type":"image_url","image_url":{"url":"data:image/png;base64,' .. PNG .. '"}}' } },
  responses = { parts = { '{"type":"input_image","image_url":"data:image/png;base64,' .. PNG .. '"}' } },
  anthropic = { parts = { '{"type":"image","source":{"type":"base64","media_type":"image/png","data":"' .. PNG .. '"}}' } },
  gemini = { parts = { '{"inlineData":{"mimeType":"image/png","data":"' .. PNG .. '"}}' } },
}, { chat = PNG, responses = PNG, anthropic = PNG, gemini = PNG })

feature("picture, as a web address", {
  chat = { parts = { '{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}' } },
  responses = { parts = { '{"type":"input_image","image_url":"https://x.example/a.png"}' } },
  anthropic = { parts = { '{"type":"image","source":{"type":"url","url":"https://x.example/a.png"}}' } },
}, {
  chat = '"image_url":{"url":"https://x.example/a.png"}', responses = '"image_url":"https://x.example/a.png"',
  anthropic = '"url":"https://x.example/a.png"', gemini = '"fileUri":"https://x.example/a.png"',
})

feature("PDF", {
  chat = { parts = { '{"type":"file","file":{"file_data":"data:application/pdf;base64,' .. PDF .. '","filename":"a.pdf"}}' } },
  responses = { parts = { '{"type":"input_file","file_data":"data:application/pdf;base64,' .. PDF .. '","filename":"a.pdf"}' } },
  anthropic = { parts = { '{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"' .. PDF .. '"}}' } },
  gemini = { parts = { '{"inlineData":{"mimeType":"application/pdf","data":"' .. PDF .. '"}}' } },
}, { chat = PDF, responses = PDF, anthropic = PDF, gemini = PDF })

feature("text document", {
  anthropic = { parts = { '{"type":"document","source":{"type":"text","media_type":"text/plain","data":"WORDS"},"title":"T"}' } },
  gemini = { parts = { '{"inlineData":{"mimeType":"text/plain","data":"V09SRFM="}}' } },
}, { chat = "WORDS", responses = { any = { "WORDS", "V09SRFM=" } }, anthropic = "WORDS", gemini = "V09SRFM=" })

feature("audio", {
  chat = { parts = { '{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}' } },
  responses = { parts = { '{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}' } },
  gemini = { parts = { '{"inlineData":{"mimeType":"audio/wav","data":"UklGRg=="}}' } },
}, { chat = "UklGRg==", responses = "UklGRg==", anthropic = "UklGRg==", gemini = "UklGRg==" })

feature("video", {
  chat = { parts = { '{"type":"video_url","video_url":{"url":"data:video/mp4;base64,AAAA"}}' } },
  gemini = { parts = { '{"inlineData":{"mimeType":"video/mp4","data":"AAAA"}}' } },
}, { chat = "base64,AAAA", responses = "AAAA", anthropic = "AAAA", gemini = '"data":"AAAA"' })

feature("file by its id", {
  chat = { parts = { '{"type":"file","file":{"file_id":"file-1"}}' } },
  responses = { parts = { '{"type":"input_file","file_id":"file-1"}' } },
  anthropic = { parts = { '{"type":"document","source":{"type":"file","file_id":"file-1"}}' } },
  gemini = { parts = { '{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/file-1","mimeType":"application/pdf"}}' } },
}, { chat = "file-1", responses = "file-1", anthropic = "file-1", gemini = "file-1" })

-- --- tools ----------------------------------------------------------------------------------------

feature("function with a JSON Schema", tools({ chat = {}, responses = {}, anthropic = {}, gemini = {} }, "find"), {
  chat = { '"name":"find"', SCHEMA }, responses = { '"name":"find"', SCHEMA }, anthropic = { '"name":"find"', SCHEMA },
  gemini = { '"name":"find"', SCHEMA },
})

feature("strict function", {
  chat = { tools = { '{"type":"function","function":{"name":"find","strict":true,"parameters":' .. ANSWER .. "}}" } },
  responses = { tools = { '{"type":"function","name":"find","strict":true,"parameters":' .. ANSWER .. "}" } },
  anthropic = { tools = { '{"name":"find","strict":true,"input_schema":' .. ANSWER .. "}" } },
}, { chat = '"strict":true', responses = '"strict":true', anthropic = '"strict":true', gemini = '"strict":true' }, true)

feature("free-form (custom) tool", {
  chat = { tools = { '{"type":"custom","custom":{"name":"patch"}}' } },
  responses = { tools = { '{"type":"custom","name":"patch"}' } },
}, {
  chat = { '"name":"patch"', '"input":{"type":"string"}' }, responses = '{"name":"patch","type":"custom"}',
  anthropic = { '"name":"patch"', '"input":{"type":"string"}' }, gemini = { '"name":"patch"', '"input":{"type":"string"}' },
})

local calls = {
  chat = { tools = { chat_tool "find" }, turns = {
    '{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{\\"q\\":1}"}},'
      .. '{"id":"c2","type":"function","function":{"name":"find","arguments":"{\\"q\\":2}"}}]}',
    '{"role":"tool","tool_call_id":"c1","content":"ONE"}', '{"role":"tool","tool_call_id":"c2","content":"TWO"}',
  } },
  responses = { tools = { responses_tool "find" }, turns = {
    '{"type":"function_call","call_id":"c1","name":"find","arguments":"{\\"q\\":1}"}',
    '{"type":"function_call","call_id":"c2","name":"find","arguments":"{\\"q\\":2}"}',
    '{"type":"function_call_output","call_id":"c1","output":"ONE"}', '{"type":"function_call_output","call_id":"c2","output":"TWO"}',
  } },
  anthropic = { tools = { anthropic_tool "find" }, turns = {
    '{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"find","input":{"q":1}},{"type":"tool_use","id":"c2","name":"find","input":{"q":2}}]}',
    '{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"ONE"},{"type":"tool_result","tool_use_id":"c2","content":"TWO"}]}',
  } },
  gemini = { tools = { gemini_tool "find" }, turns = {
    '{"role":"model","parts":[{"functionCall":{"id":"c1","name":"find","args":{"q":1}}},{"functionCall":{"id":"c2","name":"find","args":{"q":2}}}]}',
    '{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"find","response":{"output":"ONE"}}},'
      .. '{"functionResponse":{"id":"c2","name":"find","response":{"output":"TWO"}}}]}',
  } },
}
feature("parallel calls with their results", calls, {
  chat = { '"arguments":"{\\"q\\":1}"', '"arguments":"{\\"q\\":2}"', "ONE", "TWO" },
  responses = { '"arguments":"{\\"q\\":1}"', '"arguments":"{\\"q\\":2}"', "ONE", "TWO" },
  anthropic = { '"input":{"q":1}', '"input":{"q":2}', "ONE", "TWO" },
  gemini = { '"args":{"q":1}', '"args":{"q":2}', "ONE", "TWO" },
})

feature("result that is an error", {
  anthropic = { tools = { anthropic_tool "find" }, turns = {
    '{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"find","input":{}}]}',
    '{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","is_error":true,"content":"BAD"}]}',
  } },
  gemini = { tools = { gemini_tool "find" }, turns = {
    '{"role":"model","parts":[{"functionCall":{"id":"c1","name":"find","args":{}}}]}',
    '{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"find","response":{"error":"BAD"}}}]}',
  } },
}, { chat = "Error: BAD", responses = "Error: BAD", anthropic = '"is_error":true', gemini = '"error":"BAD"' })

feature("picture in a result", {
  responses = { tools = { responses_tool "find" }, turns = {
    '{"type":"function_call","call_id":"c1","name":"find","arguments":"{}"}',
    '{"type":"function_call_output","call_id":"c1","output":[{"type":"input_image","image_url":"data:image/png;base64,' .. PNG .. '"}]}',
  } },
  anthropic = { tools = { anthropic_tool "find" }, turns = {
    '{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"find","input":{}}]}',
    '{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"image","source":'
      .. '{"type":"base64","media_type":"image/png","data":"' .. PNG .. '"}}]}]}',
  } },
  gemini = { tools = { gemini_tool "find" }, turns = {
    '{"role":"model","parts":[{"functionCall":{"id":"c1","name":"find","args":{}}}]}',
    '{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"find","response":{"output":""},"parts":'
      .. '[{"inlineData":{"mimeType":"image/png","data":"' .. PNG .. '"}}]}}]}',
  } },
}, { chat = PNG, responses = PNG, anthropic = PNG, gemini = PNG })

feature("a tool has to be called", tools({
  chat = top("tool_choice", '"required"'), responses = top("tool_choice", '"required"'),
  anthropic = top("tool_choice", '{"type":"any"}'), gemini = top("toolConfig", '{"functionCallingConfig":{"mode":"ANY"}}'),
}, "find"), {
  chat = '"tool_choice":"required"', responses = '"tool_choice":"required"', anthropic = '"type":"any"', gemini = '"mode":"ANY"',
})

feature("a certain tool has to be called", tools({
  chat = top("tool_choice", '{"type":"function","function":{"name":"find"}}'),
  responses = top("tool_choice", '{"type":"function","name":"find"}'), anthropic = top("tool_choice", '{"type":"tool","name":"find"}'),
  gemini = top("toolConfig", '{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["find"]}}'),
}, "find", "other"), {
  chat = '"tool_choice":{"function":{"name":"find"}', responses = '"tool_choice":{"name":"find"',
  anthropic = '"tool_choice":{"name":"find","type":"tool"}', gemini = '"allowedFunctionNames":["find"]',
})

feature("no tool may be called", tools({
  chat = top("tool_choice", '"none"'), responses = top("tool_choice", '"none"'), anthropic = top("tool_choice", '{"type":"none"}'),
  gemini = top("toolConfig", '{"functionCallingConfig":{"mode":"NONE"}}'),
}, "find"), {
  chat = '"tool_choice":"none"', responses = '"tool_choice":"none"', anthropic = '"type":"none"', gemini = '"mode":"NONE"',
})

feature("some of the tools may be called", tools({
  chat = top("tool_choice", '{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"find"}},'
    .. '{"type":"function","function":{"name":"read"}}]}}'),
  responses = top("tool_choice", '{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"find"},{"type":"function","name":"read"}]}'),
  gemini = top("toolConfig", '{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["find","read"]}}'),
}, "find", "read", "other"), {
  chat = '"allowed_tools"', responses = '"allowed_tools"', anthropic = '"type":"any"', gemini = '"allowedFunctionNames":["find","read"]',
})

feature("one call at a time", tools({
  chat = top("parallel_tool_calls", "false"), responses = top("parallel_tool_calls", "false"),
  anthropic = top("tool_choice", '{"type":"auto","disable_parallel_tool_use":true}'),
}, "find"), {
  chat = '"parallel_tool_calls":false', responses = '"parallel_tool_calls":false',
  anthropic = '"disable_parallel_tool_use":true', gemini = "parallel",
})

feature("web search by the vendor", {
  chat = top("web_search_options", "{}"), responses = { tools = { '{"type":"web_search"}' } },
  anthropic = { tools = { '{"type":"web_search_20250305","name":"web_search"}' } }, gemini = { tools = { '{"googleSearch":{}}' } },
}, {
  chat = '"web_search_options"', responses = '"type":"web_search"', anthropic = '"type":"web_search_20250305"', gemini = '"googleSearch":{}',
})

feature("code run by the vendor", {
  responses = { tools = { '{"type":"code_interpreter","container":{"type":"auto"}}' } },
  anthropic = { tools = { '{"type":"code_execution_20250825","name":"code_execution"}' } }, gemini = { tools = { '{"codeExecution":{}}' } },
}, {
  chat = "code_", responses = '"type":"code_interpreter"', anthropic = '"type":"code_execution_', gemini = '"codeExecution":{}',
})

feature("pages read by the vendor", {
  anthropic = { tools = { '{"type":"web_fetch_20250910","name":"web_fetch"}' } }, gemini = { tools = { '{"urlContext":{}}' } },
}, { chat = "fetch", responses = "fetch", anthropic = '"type":"web_fetch_', gemini = '"urlContext":{}' })

feature("other tools of the vendor", {
  responses = { tools = { '{"type":"file_search","vector_store_ids":["v"]}' } },
  anthropic = { tools = { '{"type":"computer_20250124","name":"computer","display_width_px":9,"display_height_px":9}' } },
  gemini = { tools = { '{"googleMaps":{}}' } },
}, { chat = "nothing", responses = "nothing", anthropic = "nothing", gemini = "nothing" })

-- --- sampling and limits --------------------------------------------------------------------------

feature("temperature", {
  chat = top("temperature", "0.5"), responses = top("temperature", "0.5"), anthropic = top("temperature", "0.5"),
  gemini = config("temperature", "0.5"),
}, { chat = '"temperature":0.5', responses = '"temperature":0.5', anthropic = '"temperature":0.5', gemini = '"temperature":0.5' })

feature("top_p", {
  chat = top("top_p", "0.5"), responses = top("top_p", "0.5"), anthropic = top("top_p", "0.5"), gemini = config("topP", "0.5"),
}, { chat = '"top_p":0.5', responses = '"top_p":0.5', anthropic = '"top_p":0.5', gemini = '"topP":0.5' })

feature("top_k", {
  chat = top("top_k", "5"), anthropic = top("top_k", "5"), gemini = config("topK", "5"),
}, { chat = '"top_k":5', responses = '"top_k":5', anthropic = '"top_k":5', gemini = '"topK":5' })

feature("penalties", {
  chat = top("frequency_penalty", "0.5"), gemini = config("frequencyPenalty", "0.5"),
}, { chat = '"frequency_penalty":0.5', responses = "penalty", anthropic = "penalty", gemini = '"frequencyPenalty":0.5' })

feature("seed", {
  chat = top("seed", "5"), gemini = config("seed", "5"),
}, { chat = '"seed":5', responses = '"seed":5', anthropic = '"seed":5', gemini = '"seed":5' })

feature("logit bias", { chat = top("logit_bias", '{"5":1}') },
  { chat = "logit_bias", responses = "logit_bias", anthropic = "logit_bias", gemini = "logit_bias" })

feature("several answers (n)", {
  chat = top("n", "2"), gemini = config("candidateCount", "2"),
}, { chat = '"n":2', responses = '"n":2', anthropic = '"n":2', gemini = '"candidateCount":2' })

feature("log probabilities", {
  chat = { top = { logprobs = "true", top_logprobs = "2" } },
  responses = { top = { include = '["message.output_text.logprobs"]', top_logprobs = "2" } },
  gemini = { config = { responseLogprobs = "true", logprobs = "2" } },
}, { chat = '"logprobs":true', responses = '"top_logprobs":2', anthropic = "logprobs", gemini = '"responseLogprobs":true' })

feature("stop sequence", {
  chat = top("stop", '"END"'), anthropic = top("stop_sequences", '["END"]'), gemini = config("stopSequences", '["END"]'),
}, { chat = '"stop":["END"]', responses = "END", anthropic = '"stop_sequences":["END"]', gemini = '"stopSequences":["END"]' })

feature("six stop sequences", {
  anthropic = top("stop_sequences", '["a1","a2","a3","a4","a5","a6"]'),
}, { chat = '"a4"', responses = '"a4"', anthropic = '"a6"', gemini = '"a5"' })

feature("limit of the output", {
  chat = top("max_completion_tokens", "77"), responses = top("max_output_tokens", "77"), anthropic = top("max_tokens", "77"),
  gemini = config("maxOutputTokens", "77"),
}, { chat = '"max_tokens":77', responses = '"max_output_tokens":77', anthropic = '"max_tokens":77', gemini = '"maxOutputTokens":77' })

-- --- thinking ---------------------------------------------------------------------------------------

feature("effort", {
  chat = top("reasoning_effort", '"high"'), responses = top("reasoning", '{"effort":"high"}'),
  anthropic = top("output_config", '{"effort":"high"}'), gemini = config("thinkingConfig", '{"thinkingLevel":"high"}'),
}, {
  chat = '"reasoning_effort":"high"', responses = '"effort":"high"', anthropic = '"budget_tokens":', gemini = '"thinkingLevel":"high"',
})

feature("budget of thinking", {
  chat = top("reasoning", '{"max_tokens":2048}'), anthropic = top("thinking", '{"type":"enabled","budget_tokens":2048}'),
  gemini = config("thinkingConfig", '{"thinkingBudget":2048}'),
}, {
  chat = '"reasoning_effort":"medium"', responses = '"effort":"medium"', anthropic = '"budget_tokens":2048', gemini = '"thinkingLevel":"medium"',
})

feature("no thinking", {
  chat = top("reasoning_effort", '"none"'), responses = top("reasoning", '{"effort":"none"}'),
  anthropic = top("thinking", '{"type":"disabled"}'), gemini = config("thinkingConfig", '{"thinkingBudget":0}'),
}, {
  chat = '"reasoning_effort":"none"', responses = '"effort":"none"', anthropic = '"thinking":{"type":"disabled"}',
  gemini = '"thinkingLevel":"minimal"',
})

feature("thoughts are to be shown", {
  responses = top("reasoning", '{"effort":"high","summary":"auto"}'),
  anthropic = top("thinking", '{"type":"enabled","budget_tokens":2048,"display":"summarized"}'),
  gemini = config("thinkingConfig", '{"thinkingLevel":"high","includeThoughts":true}'),
}, { chat = "summary", responses = '"summary":"auto"', anthropic = '"display":"summarized"', gemini = '"includeThoughts":true' }, true)

-- Thoughts of earlier answers: signed by the vendor that they go to, and of another one.
local signed = {
  responses = { carrier = "sc1~o~e~Z0FBQUFBbWFkZQ", data = "gAAAAAmade" },
  anthropic = { carrier = "sc1~a~t~RXFNYWRl", data = "EqMade" },
  gemini = { carrier = "sc1~g~f~UTJ4aGNtRT0", data = "Q2xhcmE=" },
}

local function thought_turns(client, sig)
  if client == "chat" then
    return { tools = { chat_tool "find" }, turns = {
      '{"role":"assistant","content":"so","reasoning_content":"THOUGHT","reasoning_details":[{"type":"reasoning.text","index":0,'
        .. '"text":"THOUGHT","signature":"' .. sig .. '"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{}"}}]}',
      '{"role":"tool","tool_call_id":"c1","content":"r"}',
    } }
  elseif client == "responses" then
    return { tools = { responses_tool "find" }, turns = {
      '{"type":"reasoning","summary":[{"type":"summary_text","text":"THOUGHT"}],"encrypted_content":"' .. sig .. '"}',
      '{"type":"function_call","call_id":"c1","name":"find","arguments":"{}"}', '{"type":"function_call_output","call_id":"c1","output":"r"}',
    } }
  elseif client == "anthropic" then
    return { tools = { anthropic_tool "find" }, turns = {
      '{"role":"assistant","content":[{"type":"thinking","thinking":"THOUGHT","signature":"' .. sig .. '"},'
        .. '{"type":"tool_use","id":"c1","name":"find","input":{}}]}',
      '{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r"}]}',
    } }
  end
  return { tools = { gemini_tool "find" }, turns = {
    '{"role":"model","parts":[{"text":"THOUGHT","thought":true,"thoughtSignature":"' .. sig .. '"},{"functionCall":{"id":"c1","name":"find","args":{}}}]}',
    '{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"find","response":{"output":"r"}}}]}',
  } }
end

--- Features whose words depend on the upstream too: say(client, upstream).
local function signed_by(upstream, client)
  local own = signed[upstream]
  if not own then return nil end
  if client ~= "gemini" then return thought_turns(client, own.carrier) end
  return thought_turns(client, require("crypto").base64_encode(own.carrier))
end

list[#list + 1] = {
  name = "earlier thoughts, signed by the upstream's vendor", say = signed_by,
  seen = { responses = signed.responses.data, anthropic = signed.anthropic.data, gemini = signed.gemini.data },
}
list[#list + 1] = {
  name = "earlier thoughts of another vendor",
  say = function(upstream, client)
    return signed_by(upstream == "anthropic" and "gemini" or "anthropic", client)
  end,
  seen = { chat = "THOUGHT", responses = "THOUGHT", anthropic = "THOUGHT", gemini = "THOUGHT" },
}

-- --- the form of the answer --------------------------------------------------------------------------

feature("answer by a JSON Schema", {
  chat = top("response_format", '{"type":"json_schema","json_schema":{"name":"a","schema":' .. ANSWER .. "}}"),
  responses = top("text", '{"format":{"type":"json_schema","name":"a","schema":' .. ANSWER .. "}}"),
  anthropic = top("output_config", '{"format":{"type":"json_schema","schema":' .. ANSWER .. "}}"),
  gemini = { config = { responseMimeType = '"application/json"', responseJsonSchema = ANSWER } },
}, {
  chat = '"json_schema":{', responses = '"type":"json_schema"', anthropic = '"type":"json_schema"', gemini = '"responseJsonSchema":{',
})

feature("answer in JSON", {
  chat = top("response_format", '{"type":"json_object"}'), responses = top("text", '{"format":{"type":"json_object"}}'),
  gemini = config("responseMimeType", '"application/json"'),
}, {
  chat = '"json_object"', responses = '"json_object"', anthropic = "Reply with JSON only", gemini = '"responseMimeType":"application/json"',
})

feature("verbosity", { chat = top("verbosity", '"low"'), responses = top("text", '{"verbosity":"low"}') },
  { chat = '"verbosity":"low"', responses = '"verbosity":"low"', anthropic = "verbosity", gemini = "verbosity" })

feature("prediction", { chat = top("prediction", '{"type":"content","content":"P"}') },
  { chat = "prediction", responses = "prediction", anthropic = "prediction", gemini = "prediction" })

feature("pictures as answer", {
  chat = top("modalities", '["text","image"]'), responses = { tools = { '{"type":"image_generation"}' } },
  gemini = config("responseModalities", '["TEXT","IMAGE"]'),
}, {
  chat = '"modalities":["image","text"]', responses = '"type":"image_generation"', anthropic = "image", gemini = '"responseModalities":["TEXT","IMAGE"]',
})

feature("speech as answer", {
  chat = { top = { modalities = '["text","audio"]', audio = '{"voice":"v","format":"wav"}' } },
  gemini = { config = { responseModalities = '["AUDIO"]', speechConfig = '{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"v"}}}' } },
}, { chat = '"audio"', responses = "audio", anthropic = "audio", gemini = '"AUDIO"' })

-- --- the rest ----------------------------------------------------------------------------------------

feature("who asks", {
  chat = top("user", '"u-1"'), responses = top("user", '"u-1"'), anthropic = top("metadata", '{"user_id":"u-1"}'),
}, { chat = '"user":"u-1"', responses = '"user":"u-1"', anthropic = '"user_id":"u-1"', gemini = "u-1" }, true)

feature("metadata", {
  chat = top("metadata", '{"k":"v"}'), responses = top("metadata", '{"k":"v"}'), gemini = top("labels", '{"k":"v"}'),
}, { chat = '"k":"v"', responses = '"k":"v"', anthropic = '"k":"v"', gemini = '"k":"v"' }, true)

feature("cache marks", {
  chat = { parts = { '{"type":"text","text":"more","prompt_cache_breakpoint":{"mode":"explicit"}}' } },
  responses = { parts = { '{"type":"input_text","text":"more","prompt_cache_breakpoint":{"mode":"explicit"}}' } },
  anthropic = { parts = { '{"type":"text","text":"more","cache_control":{"type":"ephemeral"}}' } },
}, { chat = "breakpoint", responses = '"prompt_cache_breakpoint"', anthropic = '"cache_control"', gemini = "cache" }, true)

feature("key of the cache", {
  chat = top("prompt_cache_key", '"key-1"'), responses = top("prompt_cache_key", '"key-1"'),
}, { chat = "key-1", responses = "key-1", anthropic = "key-1", gemini = "key-1" }, true)

feature("priority", {
  chat = top("service_tier", '"priority"'), responses = top("service_tier", '"priority"'), gemini = top("serviceTier", '"priority"'),
}, { chat = '"service_tier":"priority"', responses = '"service_tier":"priority"', anthropic = '"service_tier":"auto"', gemini = '"serviceTier":"priority"' })

feature("safety settings", {
  gemini = top("safetySettings", '[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]'),
}, { chat = "HARM", responses = "HARM", anthropic = "HARM", gemini = "HARM" })

return list
