--- The small shared modules of translation.

local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local media = require "lib.media"
local names = require "lib.names"
local reject = require "lib.reject"
local stops = require "lib.stops"
local usage = require "lib.usage"
local warnings = require "lib.warnings"

local function refusal(fn, ...)
  local fine, problem = pcall(fn, ...)
  assert(not fine and reject.is(problem), tostring(problem))
  return problem
end

test("a refusal carries its class, words and member", function()
  local problem = refusal(reject.bad, "messages[3].content", "must be a string")
  same({ problem.class, problem.param, tostring(problem):find("content: must", 1, true) ~= nil },
    { "bad_param", "messages[3].content", true })
  same(refusal(reject.json, "byte 3").class, "bad_json")
  same(refusal(reject.kind, "truncated", "x").class, "bad_upstream")
end)

test("readers give nil for what is absent or null and refuse wrong types by path", function()
  local body = json.decode '{"a":"x","b":null,"c":2.0,"d":2.5,"e":[],"f":{},"g":true}'
  same(fields.string(body, "a"), "x")
  same(fields.string(body, "b"), nil)
  same(fields.string(body, "z"), nil)
  same(fields.integer(body, "c"), 2)
  same(fields.number(body, "d"), 2.5)
  same(fields.boolean(body, "g"), true)
  same(#fields.list(body, "e"), 0)
  same(next(fields.object(body, "f")), nil)
  same(refusal(fields.string, body, "c", "top").param, "top.c")
  same(refusal(fields.integer, body, "d").param, "d")
  same(refusal(fields.integer, body, "a").param, "a")
  same(refusal(fields.list, body, "f").param, "f")
  same(refusal(fields.object, body, "e").param, "e")
  same(refusal(fields.enum, body, "a", "p", { y = true }).message, "p.a: must be one of 'y'")
  same(refusal(fields.element, json.decode "[1]", 1, "messages").param, "messages[0]")
end)

test("soft readers skip nonsense", function()
  for _, value in ipairs { json.null, 1, "x", true, {} } do
    same(fields.soft.object(value, "a"), nil)
  end
  local body = { a = 1, b = json.null, c = "", d = json.array {} }
  same({ fields.soft.string(body, "a"), fields.soft.filled(body, "c"),
    fields.soft.object(body, "d"), fields.soft.integer(body, "b") }, {})
  same(fields.soft.string(body, "c"), "")
end)

test("stop reasons are those of the table", function()
  for _, row in ipairs {
    { "end", "stop", "completed", "end_turn", "STOP" },
    { "tool_call", "tool_calls", "completed", "tool_use", "STOP" },
    { "max_tokens", "length", "incomplete", "max_tokens", "MAX_TOKENS" },
    { "context_window", "length", "incomplete", "model_context_window_exceeded", "MAX_TOKENS" },
    { "stop_sequence", "stop", "completed", "stop_sequence", "STOP" },
    { "refusal", "content_filter", "incomplete", "refusal", "SAFETY" },
    { "content_filter", "content_filter", "incomplete", "refusal", "SAFETY" },
    { "pause", "stop", "completed", "pause_turn", "STOP" },
    { "compaction", "stop", "completed", "end_turn", "STOP" },
    { "malformed_call", "stop", "failed", "end_turn", "MALFORMED_FUNCTION_CALL" },
    { "unknown", "stop", "completed", "end_turn", "OTHER" },
  } do
    local stop = { reason = row[1] }
    for i, dialect in ipairs { "chat", "responses", "anthropic", "gemini" } do
      same({ row[1], (stops.encode(dialect, stop)) }, { row[1], row[i + 1] })
    end
  end
  same({ stops.encode("responses", { reason = "max_tokens" }) }, { "incomplete", "max_output_tokens" })
  same(stops.encode("chat", { reason = "refusal" }, { refusal = true }), "stop")
  same(stops.encode("codex", { reason = "refusal" }, { refusal = true }), "completed")
  same(stops.encode("anthropic", { reason = "compaction" }, { compaction = true }), "compaction")
  same({ stops.encode("anthropic", { reason = "stop_sequence", sequence = "X" }) },
    { "stop_sequence", "X" })
end)

test("native stop reasons are read in any case, and what is unknown is so", function()
  same(stops.decode("gemini", "recitation"), { reason = "content_filter", native = "recitation" })
  same(stops.decode("gemini_cli", "STOP").reason, "end")
  same(stops.decode("chat", "max_tokens").reason, "max_tokens")
  same(stops.decode("anthropic", "new_one").reason, "unknown")
  same(stops.decode("chat", json.null).reason, "unknown")
end)

test("a completed call outranks a plain end but not a cut", function()
  same(stops.effective({ reason = "end" }, 1).reason, "tool_call")
  same(stops.effective(nil, 2).reason, "tool_call")
  same(stops.effective({ reason = "max_tokens" }, 1).reason, "max_tokens")
  same(stops.effective({ reason = "tool_call", native = "tool_calls" }, 0),
    { reason = "end", native = "tool_calls" })
end)

test("usage goes between the dialects without losing the cache or the thoughts", function()
  local told = usage.decode("anthropic", { input_tokens = 300, cache_read_input_tokens = 500,
    cache_creation_input_tokens = 80, output_tokens = 40, output_tokens_details = { thinking_tokens = 10 } })
  same({ told.input, told.cache_read, told.cache_write, told.output }, { 880, 500, 80, 40 })
  same(usage.encode("gemini", told), { promptTokenCount = 880, cachedContentTokenCount = 500,
    candidatesTokenCount = 30, thoughtsTokenCount = 10, totalTokenCount = 920 })
  same(usage.decode("gemini", usage.encode("gemini", told)).output, 40)
  same(usage.encode("chat", told), { prompt_tokens = 880, completion_tokens = 40, total_tokens = 920,
    prompt_tokens_details = { cached_tokens = 500, cache_write_tokens = 80 },
    completion_tokens_details = { reasoning_tokens = 10 } })
  same(usage.encode("anthropic", usage.decode("chat", usage.encode("chat", told))), {
    input_tokens = 300, cache_read_input_tokens = 500, cache_creation_input_tokens = 80,
    output_tokens = 40, output_tokens_details = { thinking_tokens = 10 } })
end)

test("a later report of Anthropic may restate a part of the input", function()
  local first = usage.decode("anthropic", { input_tokens = 20, cache_read_input_tokens = 400 })
  local merged = ir.merge_usage(ir.usage(), first)
  same(merged.input, 420)
  local later = usage.decode("anthropic", { input_tokens = 25, output_tokens = 7 }, merged)
  ir.merge_usage(merged, later)
  same({ merged.input, merged.cache_read, merged.output }, { 425, 400, 7 })
end)

test("usage of other spellings is read, nonsense is not", function()
  same(usage.decode("chat", { prompt_tokens = 5, prompt_cache_hit_tokens = 3 }).cache_read, 3)
  same(usage.decode("gemini", { prompt_token_count = 5, thoughts_token_count = 3 }),
    { input = 5, output = 3, reasoning = 3 })
  for _, value in ipairs { json.null, "x", 3, true, {} } do
    for _, dialect in ipairs { "chat", "responses", "anthropic", "gemini" } do
      same(usage.decode(dialect, value), nil)
    end
  end
  same(usage.decode("responses", { input_tokens = "5", input_tokens_details = json.null,
    output_tokens = -2 }), { output = 0 })
end)

test("illegal ids become legal, the same way each time", function()
  same(ids.safe("call.1", "anthropic"), "call_1_e8b7b7b3793f991d")
  same(ids.safe("call.2", "anthropic"), "call_2_bf9fb854b2b5a006")
  same(ids.safe("call.1", "chat"), "call.1")
  same(#ids.safe(("x"):rep(300), "codex"), 64)
  same(#ids.safe(("x"):rep(300), "anthropic"), 128)
  same(ids.safe(("x"):rep(300), "gemini"), ("x"):rep(300))
  same(ids.safe("", "anthropic"):sub(1, 1), "_")
  same(ids.missing(1, 1, "read_file", '{"path":"a.c"}'), "call_0901fb16cc16a90d78dd04b7")
end)

test("an id that was changed for the client comes back as the upstream's own", function()
  local kept = {}
  local ctx = {
    client = { dialect = "anthropic" }, upstream = { dialect = "gemini" },
    replay = { get = function(key) return kept[key] end,
      set = function(key, value) kept[key] = value end },
  }
  local map = ids.map({}, ctx)
  local shown = map.to_client "fn:1"
  assert(shown:find "^fn_1_%x+$")
  same(ids.map({}, ctx).to_upstream(shown), "fn:1")
  same(map.to_upstream "toolu_1", "toolu_1")
end)

local OPENAI = { tool_name = { max = 64, charset = "openai" } }
local GEMINI = { tool_name = { max = 64, charset = "gemini" } }

test("tool names are flattened and shortened", function()
  same(names.full("lookup", "docs"), "docs__lookup")
  same(names.full("docs__lookup", "docs"), "docs__lookup")
  same(names.full("mcp__a__b", "a"), "mcp__a__b")
  same(names.full("x", "mcp__a__"), "mcp__a__x")
  same(names.full("x"), "x")
  same(names.safe("mcp__very-long-server-name-for-docs__search_the_internal_documentation_index_by_phrase",
    OPENAI), "mcp__very-long-s_e682122e_internal_documentation_index_by_phrase")
  same(names.safe("crop.image", GEMINI), "crop.image")
  assert(names.safe("crop.image", OPENAI):find "^crop_image_%x+$")
  assert(names.safe("1st", GEMINI):find "^_1st_%x+$")
  same(#names.safe(("é"):rep(90), OPENAI), 64)
end)

test("the client's names come back, whatever the upstream did to their case", function()
  local request = ir.request()
  request.tools = {
    { kind = "custom", name = "apply_patch" },
    { kind = "function", name = "lookup", namespace = "docs" },
    { kind = "function", name = "Bash" },
    { kind = "function", name = "docs__lookup" },
  }
  local map = names.map(request, OPENAI)
  same({ map.to_client "apply_patch" }, { "apply_patch", nil, "custom" })
  same({ map.to_client "bash" }, { "Bash", nil, "function" })
  -- The direct declaration wins over the namespaced one.
  same({ map.to_client "docs__lookup" }, { "docs__lookup", nil, "function" })
  same({ map.to_client "nobody" }, { "nobody" })
end)

test("data URLs are read, with and without type and base64", function()
  same(media.parse "data:image/png;base64,iVBORw0=",
    { kind = "base64", media_type = "image/png", data = "iVBORw0=" })
  same(media.parse "DATA:image/jpg;name=a;BASE64,/9j/4AA=",
    { kind = "base64", media_type = "image/jpeg", data = "/9j/4AA=" })
  same(media.parse "data:;base64,iVBORw0=".media_type, "image/png")
  same(media.parse "data:text/plain,a%20b", { kind = "base64", media_type = "text/plain", data = "YSBi" })
  same(media.parse "https://x.example/a.png", nil)
  same(media.parse "data:nothing", nil)
  same(media.source "https://x.example/a.png", { kind = "url", url = "https://x.example/a.png" })
  same(media.file("JVBERi0x", nil).media_type, "application/pdf")
  same(media.file("AAAA", "a.TXT"), { kind = "base64", data = "AAAA", media_type = "text/plain", name = "a.TXT" })
  same(media.sniff "UklGRgAAAABXRUJQ", "image/webp")
  same(media.filename "application/pdf", "document.pdf")
  same(media.type_of_name "https://x.example/a.jpg?b=c.png", "image/jpeg")
  same({ media.audio_format "audio/mp3", media.audio_type "pcm16" }, { "mp3", "audio/pcm" })
  same({ media.block_type "video/mp4", media.block_type "text/plain" }, { "video", "document" })
end)

test("warnings fit a header", function()
  local warn, list = warnings.new()
  same(warnings.header(list), nil)
  warn("drop.param", "temperature")
  warn("clamp", "tools[0].a,b\n")
  same(warnings.header(list), "drop.param;temperature,clamp;tools[0].a_b_")
  for i = 1, 300 do warn("clamp", "n" .. i) end
  same(#list, 200)
  same(select(2, warnings.header(list):gsub(";", "")), 20)
end)
