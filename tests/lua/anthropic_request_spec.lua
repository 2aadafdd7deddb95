--- Anthropic requests: into the neutral form and back.

local anthropic = require "translators.anthropic"
local support = require "tests.anthropic_support"
local ir = require "lib.ir"
local json = require "json"
local reject = require "lib.reject"

local ctx, value, same_json, codes = support.ctx, support.value, support.same_json, support.codes

local function decode(body, context)
  if type(body) ~= "string" then body = json.encode(body) end
  return anthropic.decode_request(body, context or ctx("anthropic", "chat"))
end

local function refusal(body)
  local fine, problem = pcall(decode, body)
  assert(not fine, "was taken")
  assert(reject.is(problem), tostring(problem))
  return problem
end

-- A request as another dialect's decoder and the normaliser leave it.
local function request(fields)
  local made = ir.request()
  made.model = "claude-x"
  made.turns = { ir.turn("user", { ir.text "Hi" }) }
  for name, each in pairs(fields or {}) do made[name] = each end
  return made
end

local function encode(fields, caps, client)
  local context = ctx(client or "chat", "anthropic", caps)
  return value(anthropic.encode_request(request(fields), context)), context
end

local ADAPTIVE = { max_output = 128000, thinking = { kind = "adaptive" }, signature_family = "anthropic" }

test("Claude Code's request of example 5.1 becomes turns, blocks and tools", function()
  local got = decode [[{"model":"glm-x","max_tokens":8000,"stream":true,
    "thinking":{"type":"enabled","budget_tokens":4000},
    "system":[{"type":"text","text":"x-anthropic-billing-header: v=1;"},
      {"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral"}}],
    "tools":[{"name":"Read","description":"Read a file","input_schema":{"type":"object",
      "properties":{"path":{"type":"string"}},"required":["path"]}}],
    "messages":[{"role":"user","content":"Open notes.txt and app.lua"},
      {"role":"assistant","content":[{"type":"thinking","thinking":"Two files.","signature":"sc1~n~n~"},
        {"type":"text","text":"Reading."},
        {"type":"tool_use","id":"call_70","name":"Read","input":{"path":"notes.txt"}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"call_70","content":[{"type":"text","text":"buy milk"}]},
        {"type":"text","text":"Next file please"}]}]}]]
  same(got.system, { { type = "text", text = "You are a coding agent.", level = "system",
    cache = { kind = "ephemeral" } } })
  same(got.reasoning, { mode = "budget", budget = 4000, visible = true })
  same({ got.model, got.stream, got.max_output }, { "glm-x", true, 8000 })
  same(#got.turns, 3)
  same(got.turns[2].blocks[1].sig.family, "none")
  same(got.turns[2].blocks[3].args, '{"path":"notes.txt"}')
  same({ got.turns[3].blocks[1].type, got.turns[3].blocks[2].type }, { "tool_result", "text" })
  same(tostring(got.tools[1].schema):find('"required":["path"]', 1, true) ~= nil, true)
end)

test("effort, display and carriers of examples 5.2 and 5.3 are understood", function()
  local got = decode [[{"model":"m","max_tokens":16000,"system":"You are a coding agent.",
    "thinking":{"type":"adaptive"},"output_config":{"effort":"medium"},
    "metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"7f0c\"}"},
    "messages":[{"role":"user","content":"Open"},
      {"role":"assistant","content":[
        {"type":"thinking","thinking":"Need the file.","signature":"sc1~g~f~UTJ4aGNtRT0"},
        {"type":"tool_use","id":"fc8","name":"Read","input":{"path":"notes.txt"}},
        {"type":"tool_use","id":"fc8b","name":"Read","input":{"path":"todo.txt"}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"fc8b","is_error":true,"content":"no such file"},
        {"type":"tool_result","tool_use_id":"fc8","content":"buy milk"}]}]}]]
  same(got.reasoning, { mode = "level", level = "medium", visible = true })
  same(got.turns[2].blocks[1].sig, { family = "google", kind = "call", data = "Q2xhcmE=" })
  same(got.turns[3].blocks[1].is_error, true)
  same(got.identity, { session = "7f0c" })
  local openai = decode [[{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[
    {"type":"thinking","thinking":"Open it.","signature":"sc1~o~e~Z0FBQUFBQm1hZGUtdXAtMQ"}]}]}]]
  same(openai.turns[2].blocks[1].sig,
    { family = "openai", kind = "reasoning", data = "gAAAAABmade-up-1" })
end)

test("a chat request is written for Claude as in example 5.4", function()
  local body = encode({
    model = "claude-opus-4-7", stream = true, stop = { "END" }, identity = { user = "u-1" },
    reasoning = { mode = "level", level = "high", visible = true },
    system = { { type = "text", text = "Be brief.", level = "system" } },
    turns = {
      ir.turn("user", { ir.text "Weather?", { type = "image",
        source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } } }),
      ir.turn("assistant", {
        { type = "tool_call", kind = "function", id = "call_1_e8b7b7b3793f991d", name = "wx",
          args = '{"city":"Oslo"}' },
        { type = "tool_call", kind = "function", id = "call_2_bf9fb854b2b5a006", name = "wx", args = "" },
      }),
      ir.turn("user", {
        { type = "tool_result", kind = "function", call_id = "call_1_e8b7b7b3793f991d",
          content = { ir.text "4C" }, is_error = false },
        { type = "tool_result", kind = "function", call_id = "call_2_bf9fb854b2b5a006",
          content = { ir.text "no result was recorded for this call" }, is_error = true },
      }),
      ir.turn("instruction", { ir.text "Use Celsius." }),
    },
    tools = { { kind = "function", name = "wx", schema = json.raw '{"type":"object","properties":{}}' } },
  }, ADAPTIVE)
  same_json(body, [[{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,
    "thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},
    "stop_sequences":["END"],"metadata":{"user_id":"u-1"},
    "system":[{"type":"text","text":"Be brief."}],
    "messages":[{"role":"user","content":[{"type":"text","text":"Weather?"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0="}}]},
      {"role":"assistant","content":[
        {"type":"tool_use","id":"call_1_e8b7b7b3793f991d","name":"wx","input":{"city":"Oslo"}},
        {"type":"tool_use","id":"call_2_bf9fb854b2b5a006","name":"wx","input":{}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"call_1_e8b7b7b3793f991d","content":"4C"},
        {"type":"tool_result","tool_use_id":"call_2_bf9fb854b2b5a006","is_error":true,
          "content":"no result was recorded for this call"},
        {"type":"text","text":"<system-reminder>\nUse Celsius.\n</system-reminder>"}]}],
    "tools":[{"name":"wx","input_schema":{"type":"object","properties":{}}}]}]])
end)

test("a Codex request is written for Claude as in example 5.6", function()
  local body = encode({
    model = "claude-opus-4-7", stream = true, reasoning = { mode = "level", level = "medium", visible = true },
    tool_choice = { mode = "auto", parallel = false },
    system = { ir.text "You are Codex.", { type = "text", text = "Sandbox: on", level = "developer" } },
    tools = {
      { kind = "function", name = "apply_patch",
        description = "Patch files\n\nInput grammar (lark):\nstart: LINE",
        schema = json.raw '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}' },
      { kind = "function", name = "lookup", namespace = "docs",
        schema = json.raw '{"type":"object","properties":{"q":{"type":"string"}}}' },
    },
    turns = {
      ir.turn("user", { ir.text "Fix a.c" }),
      ir.turn("assistant", {
        { type = "thinking", text = "Look up first.",
          sig = { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" } },
        { type = "tool_call", id = "toolu_1", name = "lookup", namespace = "docs", kind = "function",
          args = '{"q":"a"}' },
      }),
      ir.turn("user", { { type = "tool_result", call_id = "toolu_1", kind = "function",
        content = { ir.text "none" } } }),
    },
  }, ADAPTIVE, "responses")
  same_json(body, [[{"model":"claude-opus-4-7","stream":true,"max_tokens":128000,
    "thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"medium"},
    "tool_choice":{"type":"auto","disable_parallel_tool_use":true},
    "system":[{"type":"text","text":"You are Codex."},{"type":"text","text":"Sandbox: on"}],
    "tools":[{"name":"apply_patch","description":"Patch files\n\nInput grammar (lark):\nstart: LINE",
        "input_schema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}},
      {"name":"docs__lookup","input_schema":{"type":"object","properties":{"q":{"type":"string"}}}}],
    "messages":[{"role":"user","content":"Fix a.c"},
      {"role":"assistant","content":[
        {"type":"thinking","thinking":"Look up first.","signature":"EqMadeUpSig"},
        {"type":"tool_use","id":"toolu_1","name":"docs__lookup","input":{"q":"a"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"none"}]}]}]])
end)

test("bodies that are wrong are refused by the member's name, never with a Lua error", function()
  for body, param in pairs {
    ['{"messages":{}}'] = "messages", ["{}"] = "messages", ['{"messages":[1]}'] = "messages[0]",
    ['{"messages":[{"role":"robot","content":""}]}'] = "messages[0].role",
    ['{"messages":[{"role":"user"}]}'] = "messages[0].content",
    ['{"messages":[{"role":"user","content":[{"text":"x"}]}]}'] = "messages[0].content[0].type",
    ['{"messages":[{"role":"user","content":[{"type":"text","text":1}]}]}'] =
      "messages[0].content[0].text",
    ['{"messages":[{"role":"user","content":[7]}]}'] = "messages[0].content[0]",
    ['{"messages":[{"role":"user","content":[{"type":"image"}]}]}'] = "messages[0].content[0].source",
    ['{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text"},5]}]}]}'] =
      "messages[0].content[0].content[1]",
    ['{"messages":[],"max_tokens":"many"}'] = "max_tokens",
    ['{"messages":[],"max_tokens":-1}'] = "max_tokens",
    ['{"messages":[],"tools":[{"name":""}]}'] = "tools[0].name",
    ['{"messages":[],"tools":[[]]}'] = "tools[0]",
    ['{"messages":[],"tool_choice":{"type":"tool"}}'] = "tool_choice.name",
    ['{"messages":[],"tool_choice":{"type":"maybe"}}'] = "tool_choice.type",
    ['{"messages":[],"thinking":{"type":"hard"}}'] = "thinking.type",
    ['{"messages":[],"stop_sequences":[1]}'] = "stop_sequences[0]",
    ['{"messages":[],"system":[{"type":"image","source":{"type":"url","url":"x"}}]}'] = "system[0]",
    ['{"messages":[],"metadata":"me"}'] = "metadata",
    ['{"messages":[],"output_config":{"format":{"type":"json_schema"}}}'] = "output_config.format.schema",
  } do
    same({ body, refusal(body).param }, { body, param })
  end
  same(refusal("[]").class, "bad_json")
  same(refusal("{").class, "bad_json")
  same(refusal('{"model":"a","model":"b","messages":[]}').class, "bad_json")
end)

test("results come first in their turn, consecutive turns of a role are one", function()
  local got = decode [[{"messages":[{"role":"user","content":"a"},{"role":"user","content":[
    {"type":"text","text":"b"},{"type":"tool_result","tool_use_id":"1","content":"r"},
    {"type":"tool_result","tool_use_id":"2"}]}]}]]
  same(#got.turns, 1)
  local kinds = {}
  for i, block in ipairs(got.turns[1].blocks) do kinds[i] = block.call_id or block.text end
  same(kinds, { "1", "2", "a", "b" })
  same(got.turns[1].blocks[2].content, {})
end)

test("system messages are instructions where they stand, leading ones join the system prompt", function()
  local got = decode [[{"system":"S","messages":[{"role":"system","content":"lead"},
    {"role":"user","content":"a"},{"role":"system","content":[{"type":"text","text":"mid"}]},
    {"role":"user","content":[{"type":"text","text":"b"},
      {"type":"mid_conv_system","content":[{"type":"text","text":"inner"}]},
      {"type":"text","text":"c"}]}]}]]
  same({ got.system[1].text, got.system[2].text }, { "S", "lead" })
  local roles = {}
  for i, turn in ipairs(got.turns) do roles[i] = turn.role .. ":" .. turn.blocks[1].text end
  same(roles, { "user:a", "instruction:mid", "user:b", "instruction:inner", "user:c" })
end)

test("an instruction is native where the model takes it", function()
  local turns = { ir.turn("user", { ir.text "a" }), ir.turn("instruction", { ir.text "i" }),
    ir.turn("user", { ir.text "b" }) }
  same_json(encode({ turns = turns }, { mid_system = true }).messages,
    '[{"role":"user","content":"a"},{"role":"system","content":"i"},{"role":"user","content":"b"}]')
  same_json(encode({ turns = turns }).messages, [==[[{"role":"user","content":[
    {"type":"text","text":"a"},
    {"type":"text","text":"<system-reminder>\ni\n</system-reminder>"},
    {"type":"text","text":"b"}]}]]==])
end)
