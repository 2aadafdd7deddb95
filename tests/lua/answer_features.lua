--- What an answer can hold, in the words of each dialect: how an upstream tells it, and what of it is
--- seen in the answer for a client.  Data of tests/lua/matrix_spec.lua, as tests/lua/features.lua.
---
--- `say`: members of a small answer {message, parts, items, blocks, stop, usage, choice}, as JSON.

local PNG = "iVBORw0KGgo="

local list = {}

local function feature(name, say, seen, hint)
  list[#list + 1] = { name = name, say = say, seen = seen, hint = hint }
end

feature("text", {
  chat = { message = '"content":"WORDS"' },
  responses = { items = { '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"WORDS","annotations":[]}]}' } },
  anthropic = { blocks = { '{"type":"text","text":"WORDS"}' } }, gemini = { parts = { '{"text":"WORDS"}' } },
}, {
  chat = '"content":"WORDS"', responses = '"text":"WORDS"', anthropic = '"text":"WORDS"', gemini = '"text":"WORDS"',
})

feature("thoughts", {
  chat = { message = '"content":"x","reasoning_content":"THOUGHT"' },
  responses = { items = { '{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"THOUGHT"}]}' } },
  anthropic = { blocks = { '{"type":"thinking","thinking":"THOUGHT","signature":"EqMadeUp"}', '{"type":"text","text":"x"}' } },
  gemini = { parts = { '{"text":"THOUGHT","thought":true}', '{"text":"x"}' } },
}, {
  chat = '"reasoning_content":"THOUGHT"', responses = '"text":"THOUGHT","type":"summary_text"', anthropic = '"thinking":"THOUGHT"',
  gemini = '"text":"THOUGHT","thought":true',
})

feature("their signature, as a carrier", {
  responses = { items = { '{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"T"}],"encrypted_content":"gAAAAAmade"}' } },
  anthropic = { blocks = { '{"type":"thinking","thinking":"T","signature":"EqMadeUp"}', '{"type":"text","text":"x"}' } },
  gemini = { parts = { '{"functionCall":{"id":"c1","name":"find","args":{}},"thoughtSignature":"Q2xhcmE="}' } },
}, {
  chat = { any = { "sc1~", '"thought_signature":"Q2xhcmE="' } }, responses = '"encrypted_content":"sc1~', anthropic = '"signature":"sc1~',
  -- Base64 of a carrier.
  gemini = '"thoughtSignature":"c2Mxf',
})

feature("redacted thoughts", {
  anthropic = { blocks = { '{"type":"redacted_thinking","data":"REDACTED"}', '{"type":"text","text":"x"}' } },
}, { chat = '"data":"sc1~a~r~', responses = '"encrypted_content":"sc1~a~r~', gemini = '"thoughtSignature":"c2Mxf' })

feature("parallel calls", {
  chat = { message = '"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{\\"q\\":1}"}},'
    .. '{"id":"c2","type":"function","function":{"name":"find","arguments":"{\\"q\\":2}"}}]', stop = '"tool_calls"' },
  responses = { items = {
    '{"type":"function_call","id":"fc_1","call_id":"c1","name":"find","arguments":"{\\"q\\":1}","status":"completed"}',
    '{"type":"function_call","id":"fc_2","call_id":"c2","name":"find","arguments":"{\\"q\\":2}","status":"completed"}',
  } },
  anthropic = { stop = '"tool_use"', blocks = {
    '{"type":"tool_use","id":"c1","name":"find","input":{"q":1}}', '{"type":"tool_use","id":"c2","name":"find","input":{"q":2}}',
  } },
  gemini = { parts = {
    '{"functionCall":{"id":"c1","name":"find","args":{"q":1}}}', '{"functionCall":{"id":"c2","name":"find","args":{"q":2}}}',
  } },
}, {
  chat = { '"arguments":"{\\"q\\":1}"', '"arguments":"{\\"q\\":2}"', '"finish_reason":"tool_calls"' },
  responses = { '"arguments":"{\\"q\\":1}"', '"arguments":"{\\"q\\":2}"' },
  anthropic = { '"input":{"q":1}', '"input":{"q":2}', '"stop_reason":"tool_use"' }, gemini = { '"args":{"q":1}', '"args":{"q":2}' },
})

feature("refusal", {
  chat = { message = '"content":null,"refusal":"NO"' },
  responses = { items = { '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"NO"}]}' } },
}, {
  chat = '"refusal":"NO"', responses = '{"refusal":"NO","type":"refusal"}', anthropic = { '"text":"NO"', '"stop_reason":"refusal"' },
  gemini = { '"text":"NO"', '"finishReason":"SAFETY"' },
})

feature("citation of a page", {
  chat = { message = '"content":"WORDS","annotations":[{"type":"url_citation","url_citation":{"url":"https://x.example","title":"T","start_index":0,"end_index":5}}]' },
  responses = { items = { '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"WORDS",'
    .. '"annotations":[{"type":"url_citation","url":"https://x.example","title":"T","start_index":0,"end_index":5}]}]}' } },
  anthropic = { blocks = { '{"type":"text","text":"WORDS","citations":[{"type":"web_search_result_location","url":"https://x.example","title":"T",'
    .. '"cited_text":"W","encrypted_index":"E"}]}' } },
  gemini = { parts = { '{"text":"WORDS"}' }, choice = '"groundingMetadata":{"webSearchQueries":["q"],"groundingChunks":[{"web":'
    .. '{"uri":"https://x.example","title":"T"}}],"groundingSupports":[{"segment":{"startIndex":0,"endIndex":5,"text":"WORDS"},"groundingChunkIndices":[0]}]}' },
}, { chat = '"url":"https://x.example"', responses = '"url":"https://x.example"', anthropic = '"url":"https://x.example"', gemini = '"uri":"https://x.example"' })

feature("search with its query", {
  responses = { items = {
    '{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"QUERY"}}',
    '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"x","annotations":[]}]}',
  } },
  anthropic = { blocks = {
    '{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"QUERY"}}',
    '{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"type":"web_search_result","url":"https://x.example","title":"T","encrypted_content":"E"}]}',
    '{"type":"text","text":"x"}',
  } },
  gemini = { parts = { '{"text":"x"}' }, choice = '"groundingMetadata":{"webSearchQueries":["QUERY"],"groundingChunks":[{"web":{"uri":"https://x.example","title":"T"}}]}' },
}, { responses = '"query":"QUERY"', anthropic = '"query":"QUERY"', gemini = '"webSearchQueries":["QUERY"]' })

feature("code that was run, and its output", {
  anthropic = { blocks = {
    '{"type":"server_tool_use","id":"s1","name":"code_execution","input":{"code":"print(1)"}}',
    '{"type":"code_execution_tool_result","tool_use_id":"s1","content":{"type":"code_execution_result","stdout":"OUTPUT","stderr":"","return_code":0,"content":[]}}',
    '{"type":"text","text":"x"}',
  } },
  gemini = { parts = {
    '{"executableCode":{"language":"PYTHON","code":"print(1)"}}', '{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"OUTPUT"}}', '{"text":"x"}',
  } },
}, { chat = "OUTPUT", responses = "OUTPUT", anthropic = "OUTPUT", gemini = "OUTPUT" })

feature("picture", {
  chat = { message = '"content":"x","images":[{"type":"image_url","index":0,"image_url":{"url":"data:image/png;base64,' .. PNG .. '"}}]' },
  responses = { items = { '{"type":"image_generation_call","id":"ig_1","status":"completed","result":"' .. PNG .. '"}' } },
  gemini = { parts = { '{"inlineData":{"mimeType":"image/png","data":"' .. PNG .. '"}}' } },
}, { chat = PNG, responses = '"result":"' .. PNG, anthropic = PNG, gemini = PNG })

feature("speech", {
  chat = { message = '"content":null,"audio":{"id":"a1","data":"UklGRg==","expires_at":9,"transcript":"t"}' },
  gemini = { parts = { '{"inlineData":{"mimeType":"audio/wav","data":"UklGRg=="}}' } },
}, { chat = "UklGRg==", responses = "UklGRg==", anthropic = "UklGRg==", gemini = "UklGRg==" })

feature("log probabilities", {
  chat = { message = '"content":"x"', choice = '"logprobs":{"content":[{"token":"TOKEN","logprob":-0.5,"bytes":[120],"top_logprobs":[]}]}' },
  responses = { items = { '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"x",'
    .. '"annotations":[],"logprobs":[{"token":"TOKEN","logprob":-0.5,"bytes":[120],"top_logprobs":[]}]}]}' } },
  gemini = { parts = { '{"text":"x"}' }, choice = '"logprobsResult":{"chosenCandidates":[{"token":"TOKEN","logProbability":-0.5}],"topCandidates":[]}' },
}, { chat = '"token":"TOKEN"', responses = '"token":"TOKEN"', gemini = '"token":"TOKEN"' })

feature("end by the limit", {
  chat = { message = '"content":"x"', stop = '"length"' },
  responses = { status = '"incomplete","incomplete_details":{"reason":"max_output_tokens"}', items = {
    '{"type":"message","id":"msg_1","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":"x","annotations":[]}]}',
  } },
  anthropic = { stop = '"max_tokens"', blocks = { '{"type":"text","text":"x"}' } }, gemini = { stop = '"MAX_TOKENS"', parts = { '{"text":"x"}' } },
}, { chat = '"length"', responses = '"reason":"max_output_tokens"', anthropic = '"stop_reason":"max_tokens"', gemini = '"MAX_TOKENS"' })

feature("end by a stop sequence", {
  anthropic = { stop = '"stop_sequence","stop_sequence":"END"', blocks = { '{"type":"text","text":"x"}' } },
}, { chat = "stop_sequence", responses = "stop_sequence", anthropic = "stop_sequence", gemini = "stop_sequence" }, true)

feature("end by a filter", {
  chat = { message = '"content":"x"', stop = '"content_filter"' },
  responses = { status = '"incomplete","incomplete_details":{"reason":"content_filter"}', items = {
    '{"type":"message","id":"msg_1","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":"x","annotations":[]}]}',
  } },
  anthropic = { stop = '"refusal"', blocks = { '{"type":"text","text":"x"}' } }, gemini = { stop = '"SAFETY"', parts = { '{"text":"x"}' } },
}, { chat = '"content_filter"', responses = '"reason":"content_filter"', anthropic = '"stop_reason":"refusal"', gemini = '"SAFETY"' })

feature("pause of a long turn", {
  anthropic = { stop = '"pause_turn"', blocks = { '{"type":"text","text":"x"}' } },
}, { chat = "pause", responses = "pause", anthropic = "pause", gemini = "pause" }, true)

feature("tokens read from a cache", {
  chat = { message = '"content":"x"', usage = '{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}' },
  responses = { usage = '{"input_tokens":10,"output_tokens":3,"input_tokens_details":{"cached_tokens":4}}' },
  anthropic = { blocks = { '{"type":"text","text":"x"}' }, usage = '{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":3}' },
  gemini = { parts = { '{"text":"x"}' }, usage = '{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":3}' },
}, {
  chat = { '"prompt_tokens":10', '"cached_tokens":4' }, responses = { '"input_tokens":10', '"cached_tokens":4' },
  anthropic = { '"input_tokens":6', '"cache_read_input_tokens":4' }, gemini = { '"promptTokenCount":10', '"cachedContentTokenCount":4' },
})

feature("tokens written to a cache", {
  chat = { message = '"content":"x"', usage = '{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cache_write_tokens":4}}' },
  responses = { usage = '{"input_tokens":10,"output_tokens":3,"input_tokens_details":{"cache_write_tokens":4}}' },
  anthropic = { blocks = { '{"type":"text","text":"x"}' }, usage = '{"input_tokens":6,"cache_creation_input_tokens":4,"output_tokens":3}' },
}, {
  chat = { '"prompt_tokens":10', '"cache_write_tokens":4' }, responses = { '"input_tokens":10', '"cache_write_tokens":4' },
  anthropic = { '"input_tokens":6', '"cache_creation_input_tokens":4' }, gemini = "cache_write",
}, true)

feature("tokens of thinking", {
  chat = { message = '"content":"x"', usage = '{"prompt_tokens":9,"completion_tokens":8,"completion_tokens_details":{"reasoning_tokens":5}}' },
  responses = { usage = '{"input_tokens":9,"output_tokens":8,"output_tokens_details":{"reasoning_tokens":5}}' },
  anthropic = { blocks = { '{"type":"text","text":"x"}' }, usage = '{"input_tokens":9,"output_tokens":8,"output_tokens_details":{"thinking_tokens":5}}' },
  gemini = { parts = { '{"text":"x"}' }, usage = '{"promptTokenCount":9,"candidatesTokenCount":3,"thoughtsTokenCount":5}' },
}, {
  chat = { '"completion_tokens":8', '"reasoning_tokens":5' }, responses = { '"output_tokens":8', '"reasoning_tokens":5' },
  anthropic = { '"output_tokens":8', '"thinking_tokens":5' }, gemini = { '"candidatesTokenCount":3', '"thoughtsTokenCount":5' },
})

feature("tier that served", {
  chat = { message = '"content":"x"', rest = '"service_tier":"priority"' }, responses = { rest = '"service_tier":"priority"' },
}, { chat = '"service_tier":"priority"', responses = '"service_tier":"priority"', anthropic = "priority", gemini = "priority" }, true)

return list
