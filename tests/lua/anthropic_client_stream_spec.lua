--- Streams for Anthropic's clients.

local anthropic = require "translators.anthropic"
local support = require "tests.anthropic_support"
local json = require "json"

local ctx, frames, same_frames, types =
  support.ctx, support.frames, support.same_frames, support.types

local VISIBLE = { request = { reasoning = { mode = "auto", visible = true }, extras = {} } }

local function encoder(upstream, fields)
  local given = { model = "glm-x" }
  for name, value in pairs(fields or VISIBLE) do given[name] = value end
  local context = ctx("anthropic", upstream or "chat", nil, given)
  return anthropic.encode_stream(context), context
end

local function start(id) return { type = "start", id = id, model = "up", created = 1 } end

local function open(idx, block) return { type = "block_start", idx = idx, block = block } end
local function close(idx, final) return { type = "block_stop", idx = idx, final = final } end
local function text(idx, words) return { type = "text_delta", idx = idx, text = words } end
local function thought(idx, words) return { type = "thinking_delta", idx = idx, text = words } end
local function args(idx, words) return { type = "args_delta", idx = idx, text = words } end
local function call(id, name, sig)
  return { type = "tool_call", id = id, name = name, kind = "function", args = "", sig = sig }
end
local THINKING, TEXT = { type = "thinking", text = "" }, { type = "text", text = "" }
local function stop(reason) return { type = "stop", stop = { reason = reason } } end
local END = { type = "end" }
local function usage(fields) return { type = "usage", usage = fields } end

local function plain_answer(reason)
  return { start "1", open(0, TEXT), text(0, "Hi"), close(0), stop(reason), END }
end

-- --- worked examples ----------------------------------------------------------------------------

test("example 5.1: Claude Code sees a chat upstream's thinking, text and call", function()
  same_frames(frames(encoder(), {
    start "c-9", open(0, THINKING), thought(0, "Now app.lua."), close(0),
    open(1, TEXT), text(1, "Sure."), close(1),
    open(2, call("call_77", "Read")), args(2, '{"path":'), args(2, '"app.lua"}'), close(2),
    stop "tool_call",
    usage { input = 900, cache_read = 600, output = 40, reasoning = 10 }, END,
  }), [[
E message_start        {"type":"message_start","message":{"id":"msg_c-9","type":"message","role":"assistant","model":"glm-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
E ping                 {"type":"ping"}
E content_block_start  {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Now app.lua."}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sc1~n~n~"}}
E content_block_stop   {"type":"content_block_stop","index":0}
E content_block_start  {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
E content_block_delta  {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Sure."}}
E content_block_stop   {"type":"content_block_stop","index":1}
E content_block_start  {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_77","name":"Read","input":{}}}
E content_block_delta  {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"path\":"}}
E content_block_delta  {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"app.lua\"}"}}
E content_block_stop   {"type":"content_block_stop","index":2}
E message_delta        {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":300,"cache_creation_input_tokens":0,"cache_read_input_tokens":600,"output_tokens":40,"output_tokens_details":{"thinking_tokens":10}}}
E message_stop         {"type":"message_stop"}]])
end)

local FIVE_TWO = [[
E message_start        {"type":"message_start","message":{"id":"msg_gr1","type":"message","role":"assistant","model":"glm-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":800,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
E ping                 {"type":"ping"}
E content_block_start  {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Second file."}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sc1~g~f~UTJ4aGNtRT0"}}
E content_block_stop   {"type":"content_block_stop","index":0}
E content_block_start  {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"fc9","name":"Read","input":{}}}
E content_block_delta  {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\"app.lua\"}"}}
E content_block_stop   {"type":"content_block_stop","index":1}
E message_delta        {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":300,"cache_creation_input_tokens":0,"cache_read_input_tokens":500,"output_tokens":42,"output_tokens_details":{"thinking_tokens":12}}}
E message_stop         {"type":"message_stop"}]]

test("example 5.2: the signature of Gemini's call is bound to the thinking before it", function()
  local sig = { family = "google", kind = "call", data = "Q2xhcmE=" }
  local final = usage { input = 800, cache_read = 500, output = 42, reasoning = 12 }
  local head = { start "gr1", usage { input = 800 }, open(0, THINKING), thought(0, "Second file."), close(0) }
  local tails = {
    -- The signature comes with the call, or right after its start.
    { open(1, call("fc9", "Read", sig)), args(1, '{"path":"app.lua"}'), close(1) },
    { open(1, call("fc9", "Read")), { type = "signature", idx = 1, sig = sig, mode = "set" },
      args(1, '{"path":"app.lua"}'), close(1) },
  }
  for _, tail in ipairs(tails) do
    local list = { table.unpack(head) }
    table.move(tail, 1, #tail, #list + 1, list)
    table.move({ stop "tool_call", final, END }, 1, 3, #list + 1, list)
    same_frames(frames(encoder "gemini", list), FIVE_TWO)
  end
end)

test("example 5.3: summary parts of Codex are one block with one signature", function()
  local sig = { family = "openai", kind = "reasoning", data = "gAAAAABmade-up-2" }
  same_frames(frames(encoder("responses", { model = "gpt-5.5(high)", request = VISIBLE.request }), {
    start "resp_5", open(0, THINKING), thought(0, "Plan."), { type = "thinking_part", idx = 0, part = 1 },
    thought(0, "Read it."), { type = "signature", idx = 0, sig = sig, mode = "set" }, close(0),
    open(1, call("call_a2", "Read")), args(1, '{"path":"app.lua"}'), close(1),
    usage { input = 1000, cache_read = 900, cache_write = 0, output = 55, reasoning = 20 },
    stop "tool_call", END,
  }), [[
E message_start        {"type":"message_start","message":{"id":"msg_resp_5","type":"message","role":"assistant","model":"gpt-5.5(high)","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}
E ping                 {"type":"ping"}
E content_block_start  {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Plan."}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"\n\n"}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Read it."}}
E content_block_delta  {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sc1~o~e~Z0FBQUFBQm1hZGUtdXAtMg"}}
E content_block_stop   {"type":"content_block_stop","index":0}
E content_block_start  {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_a2","name":"Read","input":{}}}
E content_block_delta  {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\"app.lua\"}"}}
E content_block_stop   {"type":"content_block_stop","index":1}
E message_delta        {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":100,"cache_creation_input_tokens":0,"cache_read_input_tokens":900,"output_tokens":55,"output_tokens_details":{"thinking_tokens":20}}}
E message_stop         {"type":"message_stop"}]])
end)

-- --- pitfalls: to the client --------------------------------------------------------------------

local function indices(list)
  local found = {}
  for _, frame in ipairs(list) do
    if frame[1] == "content_block_start" then found[#found + 1] = frame[2].index end
  end
  return found
end

local function names_of(list)
  local count = {}
  for _, frame in ipairs(list) do count[frame[1]] = (count[frame[1]] or 0) + 1 end
  return count
end

local function delta_of(list)
  for _, frame in ipairs(list) do
    if frame[1] == "message_delta" then return frame[2] end
  end
end

test("pitfall 3: indices are dense though blocks vanish", function()
  local got = frames(encoder(nil, { request = { extras = {} } }), {
    start "1", open(0, THINKING), thought(0, "secret"), close(0), open(1, TEXT), close(1),
    open(2, { type = "image" }), close(2), open(3, TEXT), text(3, "a"), close(3),
    open(4, call("c", "f")), close(4), stop "tool_call", END,
  })
  same(indices(got), { 0, 1 })
end)

test("pitfall 4: message_start, message_delta and message_stop come once", function()
  local list = plain_answer "end"
  for _, event in ipairs { stop "end", END, usage { output = 3 }, END, start "1" } do list[#list + 1] = event end
  local count = names_of(frames(encoder(), list))
  same({ count.message_start, count.message_delta, count.message_stop }, { 1, 1, 1 })
end)

test("pitfall 9: tool_use is said only when a call was announced", function()
  same(delta_of(frames(encoder(), plain_answer "tool_call")).delta.stop_reason, "end_turn")
  same(delta_of(frames(encoder(), {
    start "1", open(0, call("a", "f")), close(0), stop "end", END,
  })).delta.stop_reason, "tool_use")
end)

test("pitfall 11: a call without an id gets one", function()
  local got = frames(encoder(), { start "1", open(0, call("", "f")), close(0), stop "end", END })
  assert(got[3][2].content_block.id:find "^toolu_%w+$")
end)

test("pitfall 16: text after a call is a block of its own", function()
  local got = frames(encoder(), {
    start "1", open(0, call("a", "f")), args(0, "{}"), close(0), open(1, TEXT), text(1, "b"), close(1),
    stop "tool_call", END,
  })
  same(types(got), "message_start ping content_block_start content_block_delta content_block_stop "
    .. "content_block_start content_block_delta content_block_stop message_delta message_stop")
end)

test("pitfall 18: usage after the stop is waited for", function()
  local got = frames(encoder(), {
    start "1", open(0, TEXT), text(0, "a"), close(0), stop "end", usage { input = 5, output = 7 }, END,
  })
  same({ delta_of(got).usage.input_tokens, delta_of(got).usage.output_tokens }, { 5, 7 })
end)

test("pitfall 21: a stream that breaks off ends with an error and closes nothing", function()
  local got = frames(encoder(), {
    start "1", open(0, call("a", "f")), args(0, '{"a'),
    { type = "error", error = { kind = "truncated", status = 502, message = "gone", phase = "mid" } }, END,
  })
  same(types(got), "message_start ping content_block_start content_block_delta error")
  same(got[#got][2], { type = "error", error = { type = "api_error", message = "gone" } })
  -- The hub forgot to say so.
  same(types(frames(encoder(), { start "1", open(0, TEXT), text(0, "a") })),
    "message_start ping content_block_start content_block_delta error")
end)

test("pitfall 27: keep-alives are pings, before the start too", function()
  local enc = encoder()
  same(enc.event { type = "keepalive" }, { { name = "ping", data = '{"type":"ping"}' } })
end)

test("pitfall 28: an error before anything else is the only event", function()
  local got = frames(encoder(), {
    start "1", { type = "error", error = { kind = "overloaded", status = 529, message = "busy", phase = "pre" } },
  })
  same(got, { { "error", { type = "error", error = { type = "overloaded_error", message = "busy" } } } })
end)

test("pitfall 51: a call without arguments sends an empty object", function()
  local got = frames(encoder(), { start "1", open(0, call("a", "f")), close(0), stop "tool_call", END })
  same(got[4][2].delta, { type = "input_json_delta", partial_json = "{}" })
end)

test("pitfall 65: a signature without thinking gets a block that carries it", function()
  local sig = { family = "google", kind = "call", data = "x" }
  local list = { start "1", open(0, call("a", "f", sig)), args(0, "{}"), close(0), stop "tool_call", END }
  local got = frames(encoder "gemini", list)
  same(got[3][2].content_block.type, "thinking")
  same(got[4][2].delta.signature, "sc1~g~f~eA")
  same(got[6][2].content_block.type, "tool_use")
  -- Not for a client that never asked for thinking.
  got = frames(encoder("gemini", { request = { extras = {} } }), list)
  same(got[3][2].content_block.type, "tool_use")
  -- A text's signature stands before it.
  got = frames(encoder "gemini", {
    start "1", open(0, { type = "text", text = "", sig = { family = "google", kind = "text", data = "x" } }),
    text(0, "a"), close(0), stop "end", END,
  })
  same(got[4][2].delta.signature, "sc1~g~p~eA")
  same(got[6][2].content_block.type, "text")
end)

test("pitfall 65: thinking that is signed itself keeps its signature when a call brings one", function()
  local got = frames(encoder "gemini", {
    start "1", open(0, THINKING), thought(0, "t"),
    { type = "signature", idx = 0, sig = { family = "google", kind = "thinking", data = "own" }, mode = "set" },
    close(0), open(1, call("a", "f", { family = "google", kind = "call", data = "x" })), close(1),
    stop "tool_call", END,
  })
  local signatures = {}
  for _, frame in ipairs(got) do
    signatures[#signatures + 1] = frame[2].delta and frame[2].delta.signature or nil
  end
  same(signatures, { "sc1~g~t~b3du", "sc1~g~f~eA" })
end)

test("pitfall 71: redacted thinking is whole in its start", function()
  local got = frames(encoder "responses", {
    start "1", open(0, { type = "redacted_thinking", sig = { family = "openai", kind = "redacted", data = "x" } }),
    close(0), stop "end", END,
  })
  same(got[3][2].content_block, { type = "redacted_thinking", data = "sc1~o~r~eA" })
end)

test("pitfall 84, 87: message_delta has all counts, cached tokens apart from the input", function()
  local list = plain_answer "end"
  table.insert(list, 5, usage { input = 100, cache_read = 60, cache_write = 30, output = 9, reasoning = 2 })
  same(delta_of(frames(encoder(), list)).usage, {
    input_tokens = 10, cache_read_input_tokens = 60, cache_creation_input_tokens = 30, output_tokens = 9,
    output_tokens_details = { thinking_tokens = 2 },
  })
end)

test("pitfall 90: filtered content is a refusal with details", function()
  local delta = delta_of(frames(encoder(), plain_answer "content_filter")).delta
  same({ delta.stop_reason, delta.stop_details.type }, { "refusal", "refusal" })
end)

test("a refusal is text that ends with the stop reason refusal", function()
  local got = frames(encoder(), {
    start "1", open(0, { type = "refusal", text = "" }), { type = "refusal_delta", idx = 0, text = "No." },
    close(0), stop "end", END,
  })
  same(got[4][2].delta, { type = "text_delta", text = "No." })
  same(delta_of(got).delta.stop_reason, "refusal")
  same(delta_of(got).delta.stop_details.explanation, "No.")
end)

test("pitfall 98, 99: the client's model name is echoed and there is always an id", function()
  local got = frames(encoder(), { start(nil), open(0, TEXT), text(0, "a"), close(0), stop "end", END })
  same(got[1][2].message.model, "glm-x")
  assert(got[1][2].message.id:find "^msg_%w+$")
end)

test("pitfall 103: a search is shown with its query and hits", function()
  local got = frames(encoder("gemini", VISIBLE), {
    start "1", open(0, { type = "server_call", id = "ws_1", tool = "web_search", status = "in_progress" }),
    close(0, { input = json.raw '{"query":"cats"}' }),
    open(1, { type = "server_result", call_id = "ws_1", tool = "web_search" }),
    close(1, { results = { { url = "https://a.example", title = "A" } } }),
    open(2, TEXT), text(2, "Cats."),
    { type = "citation", idx = 2, citation = { kind = "url", url = "https://a.example", title = "A" } },
    close(2), stop "end", END,
  })
  same_frames({ got[3], got[4], got[6], got[10] }, [[
content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"srvtoolu_ws_1","name":"web_search","input":{}}}
content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"cats\"}"}}
content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"srvtoolu_ws_1","content":[{"type":"web_search_result","url":"https://a.example","title":"A","page_age":null,"encrypted_content":""}]}}
content_block_delta {"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://a.example","title":"A","cited_text":"","encrypted_index":""}}}]])
  same(delta_of(got).usage.server_tool_use, { web_search_requests = 1 })
end)

test("an answer of nothing has one empty text block", function()
  same(types(frames(encoder(), { start "1", stop "end", END })),
    "message_start ping content_block_start content_block_stop message_delta message_stop")
end)

test("omitted thinking shows blocks without text where there is a signature", function()
  local omitted = { request = { reasoning = { mode = "auto", visible = false }, extras = {} } }
  local got = frames(encoder(nil, omitted), {
    start "1", open(0, THINKING), thought(0, "a"), close(0), open(1, THINKING), thought(1, "b"),
    { type = "signature", idx = 1, sig = { family = "anthropic", kind = "thinking", data = "real" }, mode = "set" },
    close(1), open(2, TEXT), text(2, "x"), close(2), stop "end", END,
  })
  same(types(got), "message_start ping content_block_start content_block_delta content_block_stop "
    .. "content_block_start content_block_delta content_block_stop message_delta message_stop")
  same(got[4][2].delta, { type = "signature_delta", signature = "real" })
end)

test("events of other choices and unknown events are ignored", function()
  local enc = encoder()
  same(#enc.event { type = "text_delta", choice = 1, idx = 0, text = "x" }, 0)
  same(#enc.event { type = "news" }, 0)
  for _, kind in ipairs { "text_delta", "thinking_delta", "args_delta", "signature", "citation",
    "block_stop", "thinking_part" } do
    same(#enc.event { type = kind, idx = 4, text = "x" }, 0)
  end
end)

-- --- whatever comes, the grammar holds ----------------------------------------------------------

-- Checks what every Anthropic client relies on.
local function check_grammar(list)
  local at, open_index, next_index, started, ended, stopped = 0, nil, 0, false, false, false
  local function fail(why) error(why .. " at frame " .. at .. " " .. list[at][1], 0) end
  for i, frame in ipairs(list) do
    at = i
    local name, data = frame[1], frame[2]
    if data.type ~= name then fail "name and type differ" end
    if ended then fail "something after the end" end
    if name == "message_start" then
      if started then fail "twice" end
      started = true
    elseif name == "content_block_start" then
      if not started or stopped or open_index or data.index ~= next_index then fail "not its turn" end
      open_index, next_index = data.index, next_index + 1
    elseif name == "content_block_delta" then
      if data.index ~= open_index then fail "no such block" end
    elseif name == "content_block_stop" then
      if data.index ~= open_index then fail "no such block" end
      open_index = nil
    elseif name == "message_delta" then
      if not started or open_index or stopped then fail "too early or twice" end
      stopped = true
    elseif name == "message_stop" then
      if not stopped then fail "before message_delta" end
      ended = true
    elseif name == "error" then
      ended = true
    end
  end
  if not ended then fail "no end" end
end

test("any order of interleaved blocks gives one open block at a time, dense and closed", function()
  local sequencer = require "lib.sequencer"
  local seed = 7
  local function random(n)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % n + 1
  end
  local sigs = { false, { family = "google", kind = "call", data = "x" },
    { family = "anthropic", kind = "thinking", data = "real" }, { family = "none", kind = "thinking", data = "" } }
  local kinds = { "text", "thinking", "tool_call", "refusal", "redacted_thinking", "image",
    "server_call", "server_result", "opaque", "mystery" }
  local wishes = { VISIBLE, { request = { extras = {} } },
    { request = { reasoning = { mode = "auto", visible = false }, extras = {} } } }
  for run = 1, 600 do
    local enc = encoder("gemini", wishes[run % 3 + 1])
    local list, opened, live = { start "r" }, 0, {}
    for _ = 1, random(25) do
      local what = random(5)
      if what <= 2 or #live == 0 then
        local kind = kinds[random(#kinds)]
        live[#live + 1] = { idx = opened, kind = kind }
        list[#list + 1] = open(opened, { type = kind, id = random(2) == 1 and "i" .. opened or nil, name = "f",
          tool = "web_search", sig = sigs[random(4)] or nil, kind = "function", text = "" })
        opened = opened + 1
      elseif what == 3 then
        local block = table.remove(live, random(#live))
        list[#list + 1] = close(block.idx)
      elseif what == 4 then
        local block = live[random(#live)]
        local delta = ({ text = "text_delta", thinking = "thinking_delta", tool_call = "args_delta",
          refusal = "refusal_delta" })[block.kind]
        if delta then list[#list + 1] = { type = delta, idx = block.idx, text = "{}" } end
      else
        local block = live[random(#live)]
        list[#list + 1] = { type = "signature", idx = block.idx, sig = sigs[random(3) + 1], mode = "set" }
      end
      if random(9) == 1 then list[#list + 1] = { type = "keepalive" } end
    end
    if random(4) > 1 then
      list[#list + 1] = stop(random(2) == 1 and "end" or "tool_call")
      list[#list + 1] = END
    end
    local ordered = {}
    local order = sequencer.new(function(event) ordered[#ordered + 1] = event end)
    for _, event in ipairs(list) do order(event) end
    local fine, problem = pcall(check_grammar, frames(enc, ordered))
    if not fine then error("run " .. run .. ": " .. tostring(problem), 0) end
    -- And without the sequencer's help nothing is raised.
    frames(encoder("gemini", wishes[run % 3 + 1]), list)
  end
end)
