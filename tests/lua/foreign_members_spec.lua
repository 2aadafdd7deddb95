--- Members that only one dialect has stay at home: each of them, put into a small request, reaches
--- no upstream of another dialect, neither by its name nor by its value.
---
--- The rows are the field lists of the dialects (translation 2.1.1, 2.2.1, 2.3.1, 2.4.1).

local hub = require "lib.hub"
local json = require "json"
local made_up = require "tests.properties_support"

local TARGETS = made_up.TARGETS

-- Small requests; `%NAME%` marks the places where members can be put.
local bodies = {
  chat = [[{"model":"m","messages":[{"role":"system","content":"s"%SYSTEM%},
    {"role":"user","content":[{"type":"text","text":"hi"%PART%},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="%IMAGE%}}]%MESSAGE%},
    {"role":"assistant","content":"ok","tool_calls":[{"id":"c1","type":"function",
      "function":{"name":"f","arguments":"{}"%CALL%}%CALLS%}]%ANSWER%},
    {"role":"tool","tool_call_id":"c1","content":"r"%RESULT%},{"role":"user","content":"go on"}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}%FUNCTION%}%TOOL%}]%TOP%}]],
  responses = [[{"model":"m","input":[
    {"type":"message","role":"user","content":[{"type":"input_text","text":"hi"%PART%}]%MESSAGE%},
    {"type":"reasoning","summary":[],"encrypted_content":"gAAAAmade-up"%REASONING%},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok"%TEXT%}]%ANSWER%},
    {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"%CALL%},
    {"type":"function_call_output","call_id":"c1","output":"r"%RESULT%}%ITEM%],
    "tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}%TOOL%}]%TOP%}]],
  anthropic = [[{"model":"m","max_tokens":99,"system":[{"type":"text","text":"s"%SYSTEM%}],"messages":[
    {"role":"user","content":[{"type":"text","text":"hi"%PART%}%BLOCK%]%MESSAGE%},
    {"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{}%CALL%}]%ANSWER%},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r"%RESULT%}]}],
    "tools":[{"name":"f","input_schema":{"type":"object","properties":{}}%TOOL%}]%TOP%}]],
  gemini = [[{"contents":[{"role":"user","parts":[{"text":"hi"%PART%}]%MESSAGE%},
    {"role":"model","parts":[{"functionCall":{"name":"f","args":{}%CALL%}%CALLS%}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"r"}%RESULT%}}%BLOCK%]}],
    "tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"object","properties":{}}%FUNCTION%}]%TOOL%}],
    "generationConfig":{"topP":0.5%CONFIG%}%TOP%}]],
}

-- Dialect, place, name, value (JSON; MARK in it is looked for), targets that have the member too.
local rows = {}
local function row(dialect, place, name, value, shared)
  rows[#rows + 1] = {
    dialect = dialect, place = place, name = name, value = value, shared = shared or {},
  }
end

local function each(dialect, place, list, shared)
  for name, value in pairs(list) do row(dialect, place, name, value, shared and shared[name]) end
end

-- Nobody knows these, wherever they stand.
for dialect, places in pairs {
  chat = "SYSTEM PART IMAGE MESSAGE CALL CALLS ANSWER RESULT FUNCTION TOOL TOP",
  responses = "PART MESSAGE REASONING TEXT ANSWER CALL RESULT TOOL TOP",
  anthropic = "SYSTEM PART MESSAGE CALL ANSWER RESULT TOOL TOP",
  gemini = "PART MESSAGE CALL CALLS RESULT FUNCTION CONFIG TOP",
} do
  for place in places:gmatch "%u+" do
    row(dialect, place, "x_unknown", '"MARK"')
    row(dialect, place, "x_object", '{"a":["MARK",1.0,{}]}')
  end
end

local OPENAI = { chat = true, responses = true }

each("chat", "TOP", {
  logit_bias = '{"50256":-100}', n = "2", seed = "77", frequency_penalty = "0.7",
  presence_penalty = "0.7", prediction = '{"type":"content","content":"MARK"}', verbosity = '"low"',
  metadata = '{"k":"MARK"}', safety_identifier = '"MARK"', store = "true", top_logprobs = "3",
  prompt_cache_retention = '"24h"', prompt_cache_options = '{"ttl":"MARK"}', logprobs = "true",
  web_search_options = '{"search_context_size":"low"}', stream_options = '{"include_usage":true}',
  reasoning_effort = '"low"', max_completion_tokens = "50", response_format = '{"type":"text"}',
  parallel_tool_calls = "false", modalities = '["text"]', audio = '{"voice":"MARK","format":"wav"}',
  image_config = '{"aspect_ratio":"MARK"}', extra_body = '{"google":{"MARK":1}}', top_k = "40",
  thinking = '{"type":"disabled"}', enable_thinking = "false", chat_template_kwargs = '{"a":"MARK"}',
}, {
  -- What another dialect has under the same name, or a word of its own for.
  audio = { gemini = true }, image_config = { gemini = true }, verbosity = { responses = true },
  safety_identifier = { responses = true, anthropic = true },
  metadata = { responses = true }, store = { responses = true }, parallel_tool_calls = { responses = true },
  prompt_cache_retention = { responses = true }, seed = { gemini = true }, thinking = { anthropic = true },
})
each("chat", "PART", { prompt_cache_breakpoint = '{"mode":"explicit"}', cache_control = '{"type":"ephemeral"}' }, {
  prompt_cache_breakpoint = { responses = true }, cache_control = { anthropic = true },
})
each("chat", "IMAGE", { detail = '"low"' }, { detail = { responses = true } })
each("chat", "MESSAGE", { name = '"MARK"' }, { name = { responses = true, anthropic = true, gemini = true } })
each("chat", "ANSWER", {
  refusal = '""', annotations = '[{"MARK":1}]', audio = "null", reasoning_content = '"MARK"',
  reasoning_details = '[{"type":"reasoning.text","text":"MARK","signature":"sc1~k~t~QUJD"}]',
  prefix = "true", function_call = "null",
})
each("chat", "CALLS", { index = "0", extra_content = '{"google":{"thought_signature":"MARKMARK"}}' })
each("chat", "FUNCTION", { strict = "false", examples = '["MARK"]' }, { strict = { responses = true } })
each("chat", "RESULT", { name = '"f"' }, { name = { responses = true, anthropic = true, gemini = true } })

each("responses", "TOP", {
  include = '["message.output_text.logprobs"]', background = "false", truncation = '"auto"',
  context_management = '[{"type":"MARK"}]', client_metadata = '{"MARK":"1"}', prompt = '{"id":"MARK"}',
  moderation = '{"MARK":1}', max_tool_calls = "3", safety_identifier = '"MARK"',
  prompt_cache_retention = '"24h"', prompt_cache_options = '{"ttl":"MARK"}', metadata = '{"k":"MARK"}',
  max_output_tokens = "50", store = "true",
  reasoning = '{"effort":"low","summary":"detailed","context":"all_turns","mode":"standard"}',
  stream_options = '{"include_obfuscation":false}', top_logprobs = "2", instructions = '"be brief"',
  parallel_tool_calls = "false", prompt_cache_key = '"MARK"',
}, {
  -- Nothing may be asked of a stream that is none; a chat upstream has it all the same.
  metadata = { chat = true }, parallel_tool_calls = { chat = true }, stream_options = { chat = true },
  prompt_cache_retention = { chat = true }, top_logprobs = { chat = true },
  safety_identifier = { chat = true, anthropic = true },
})
each("responses", "MESSAGE", { id = '"msg_MARK"', status = '"completed"' }, {
  id = { chat = true, anthropic = true, gemini = true }, -- a member of calls there
})
each("responses", "ANSWER", { id = '"msg_MARK"', phase = '"commentary"', status = '"completed"' }, {
  id = { chat = true, anthropic = true, gemini = true },
})
each("responses", "TEXT", { annotations = '[{"type":"url_citation","url":"https://MARK","title":"t","start_index":0,"end_index":1}]',
  logprobs = '[{"token":"MARK"}]' })
each("responses", "CALL", { id = '"fc_MARK"', status = '"completed"' }, {
  id = { chat = true, anthropic = true, gemini = true },
})
each("responses", "RESULT", { id = '"fco_MARK"', status = '"completed"' }, {
  id = { chat = true, anthropic = true, gemini = true },
})
each("responses", "TOOL", { strict = "false", output_schema = '{"MARK":1}', defer_loading = "false" }, {
  strict = { chat = true },
})
for _, item in ipairs {
  '{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"MARK"}}',
  '{"type":"file_search_call","id":"fs_1","status":"completed","queries":["MARK"],"results":null}',
  '{"type":"mcp_call","id":"mcp_1","name":"MARK","arguments":"{}","server_label":"s"}',
  '{"type":"local_shell_call","id":"ls_1","call_id":"x","action":{"type":"exec","command":["MARK"]},"status":"completed"}',
  '{"type":"compaction","id":"cmp_1","encrypted_content":"MARK"}',
} do rows[#rows + 1] = { dialect = "responses", item = item, name = "encrypted_content", shared = {} } end

each("anthropic", "TOP", {
  cache_control = '{"type":"ephemeral","ttl":"1h"}', container = '{"id":"MARK"}', inference_geo = '"MARK"',
  context_management = '{"edits":[{"type":"MARK"}]}', mcp_servers = '[{"type":"url","url":"https://MARK","name":"m"}]',
  betas = '["MARK"]', speed = '"fast"', thinking = '{"type":"enabled","budget_tokens":2000,"display":"omitted"}',
  output_config = '{"effort":"low","task_budget":{"MARK":1}}', stop_sequences = '["MARK-stop"]', top_k = "40",
  service_tier = '"standard_only"', metadata = '{"user_id":"user_1","other":"MARK"}',
  tool_choice = '{"type":"auto","disable_parallel_tool_use":true}', diagnostics = '{"MARK":1}',
}, {
  -- Shared ideas under a shared name.
  service_tier = OPENAI, tool_choice = OPENAI,
})
each("anthropic", "SYSTEM", { cache_control = '{"type":"ephemeral"}', citations = "null" })
each("anthropic", "PART", { cache_control = '{"type":"ephemeral","ttl":"1h"}', citations = '[{"type":"char_location","cited_text":"MARK"}]' })
each("anthropic", "MESSAGE", { output_config = '{"effort":"MARK"}' })
each("anthropic", "CALL", { caller = '{"type":"MARK"}', cache_control = '{"type":"ephemeral"}' })
each("anthropic", "RESULT", { cache_control = '{"type":"ephemeral"}', is_error = "true" })
each("anthropic", "TOOL", {
  cache_control = '{"type":"ephemeral"}', defer_loading = "false", input_examples = '[{"MARK":1}]', strict = "true",
  eager_input_streaming = "true", allowed_callers = '["MARK"]',
}, { strict = OPENAI })
for _, block in ipairs {
  '{"type":"container_upload","file_id":"MARK"}', '{"type":"fallback","MARK":1}',
} do rows[#rows + 1] = { dialect = "anthropic", block = block, name = "container_upload", shared = {} } end

each("gemini", "TOP", {
  safetySettings = '[{"category":"MARK","threshold":"BLOCK_NONE"}]', cachedContent = '"cachedContents/MARK"',
  labels = '{"k":"MARK"}', toolConfig = '{"functionCallingConfig":{"mode":"AUTO"},"retrievalConfig":{"languageCode":"MARK"}}',
  systemInstruction = '{"role":"user","parts":[{"text":"brief"}]}', session_id = '"MARK"',
}, {
  -- The key of a cache, where there is one.
  session_id = { responses = true },
})
each("gemini", "CONFIG", {
  thinkingConfig = '{"thinkingBudget":2048,"includeThoughts":true}', responseModalities = '["TEXT"]', seed = "7",
  speechConfig = '{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"MARK"}}}', mediaResolution = '"MARK"', topK = "9",
  responseMimeType = '"text/plain"', candidateCount = "2", presencePenalty = "0.1", maxOutputTokens = "50",
  stopSequences = '["MARK-stop"]', responseLogprobs = "true", enableEnhancedCivicAnswers = "true",
  imageConfig = '{"aspectRatio":"16:9"}',
}, { seed = { chat = true } })
each("gemini", "PART", { videoMetadata = '{"fps":1,"x":"MARK"}', partMetadata = '{"k":"MARK"}', mediaResolution = '{"level":"MARK"}' })
each("gemini", "CALLS", { thoughtSignature = '"TUFSS01BUks="', partMetadata = '{"k":"MARK"}' })
each("gemini", "RESULT", { willContinue = "false", scheduling = '"MARK"' })
each("gemini", "FUNCTION", { response = '{"type":"OBJECT","title":"MARK"}', behavior = '"MARK"', responseJsonSchema = '{"title":"MARK"}' })
for _, tool in ipairs { "googleMaps", "fileSearch", "computerUse" } do row("gemini", "TOOL", tool, '{"x":"MARK"}') end
for _, part in ipairs {
  '{"toolCall":{"id":"t","toolType":"GOOGLE_MAPS","args":{"q":"MARK"}}}', '{"x_part":{"MARK":1}}',
} do rows[#rows + 1] = { dialect = "gemini", block = part, name = "toolCall", shared = {} } end

-- What may carry a value over: stop sequences are everybody's, errors have a word for them.
local carried = { ["MARK-stop"] = true }

local function body_of(given)
  local text = bodies[given.dialect]
  if given.place then
    text = text:gsub("%%" .. given.place .. "%%", function() return "," .. json.encode(given.name) .. ":" .. given.value end)
  end
  if given.item then text = text:gsub("%%ITEM%%", function() return "," .. given.item end) end
  if given.block then text = text:gsub("%%BLOCK%%", function() return "," .. given.block end) end
  return (text:gsub("%%%u+%%", ""))
end

-- What the upstream is sent; a refusal with status 400 reaches nobody either.
local function sent(body, dialect, target)
  local model = TARGETS[target]
  local ctx = hub.context {
    client = dialect, upstream = target == "responses" and { dialect = "responses", variant = "codex", profile = "platform" } or target,
    model = "m", upstream_model = model.model, provider = model.provider, created = 1, stream = false,
    unique = function(prefix, length) return prefix .. ("x"):rep(length) end,
  }
  return hub.request(body, ctx)
end

for _, given in ipairs(rows) do
  local what = given.item or given.block or given.place .. "." .. given.name
  test("a member of " .. given.dialect .. " stays at home: " .. what, function()
    local body = body_of(given)
    assert(json.peek(body), body)
    for target in pairs(TARGETS) do
      local got = target ~= given.dialect and sent(body, given.dialect, target)
      if got then
        local seen = got:gsub("MARK%-stop", function(word) return carried[word] and "" or word end)
        if seen:find("MARK", 1, true) and not given.shared[target] then
          error("its value reaches " .. target .. ": " .. got)
        end
        if not given.shared[target] and got:find('"' .. given.name .. '":', 1, true) then
          error("its name reaches " .. target .. ": " .. got)
        end
      end
    end
  end)
end
