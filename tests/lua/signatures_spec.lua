--- Carriers, whose a signature is, and hygiene of passed-through bodies.

local crypto = require "crypto"
local json = require "json"
local signatures = require "lib.signatures"

local GOOGLE = { family = "google", kind = "call", data = "Q2xhcmE=" }

test("a signature crosses dialects in a carrier and comes back byte for byte", function()
  same(signatures.wrap(GOOGLE), "sc1~g~f~UTJ4aGNtRT0")
  same(signatures.unwrap "sc1~g~f~UTJ4aGNtRT0", GOOGLE)
  same(signatures.show(GOOGLE, "gemini"), "Q2xhcmE=")
  same(signatures.show(GOOGLE, "anthropic"), "sc1~g~f~UTJ4aGNtRT0")
  local claude = { family = "anthropic", kind = "thinking", data = "EqMadeUpSig" }
  same(signatures.show(claude, "responses"), "sc1~a~t~RXFNYWRlVXBTaWc")
  same(signatures.show(claude, "gemini"), crypto.base64_encode "sc1~a~t~RXFNYWRlVXBTaWc")
  same(signatures.unwrap(signatures.show(claude, "gemini")), claude)
  same(signatures.show(nil, "anthropic"), "sc1~n~n~")
  local odd = { family = "kimi", kind = "redacted", data = "\0\xff\n=" }
  same(signatures.unwrap(signatures.wrap(odd)), odd)
end)

test("bare values are classified by their bytes", function()
  local b64 = crypto.base64_encode
  local function class(text) return (signatures.classify(text)) end
  same(class "sc1~o~e~Z0FBQUE", "openai")
  same(class "sc1~n~n~", "none")
  same(class "skip_thought_signature_validator", "sentinel")
  same(class(b64 "skip_thought_signature_validator"), "sentinel")
  same(class "gAAAAABmade-up-1", "openai")
  same(class(b64 "\x12\x05abc\x02\x03\x04claude-x"), "anthropic")
  same(class(b64(b64 "xx claude-opus")), "anthropic")
  same(class(b64 "\x12\x03abc"), "google")
  same(class(b64 "\x12\x04abc"), "unknown")
  same(class "EqMadeUpSig", "unknown")
  same(class "not base64!", "unknown")
  same(class "sc1~broken", "none")
  same(class "", "none")
end)

test("reading a field gives its signature, and none for what nobody can replay", function()
  same(signatures.read("", "thinking"), nil)
  same(signatures.read("sc1~g~f~UTJ4aGNtRT0", "thinking"), GOOGLE)
  same(signatures.read("skip_thought_signature_validator", "call").family, "none")
  same(signatures.read("gAAAAABx", "reasoning"), { family = "openai", kind = "reasoning", data = "gAAAAABx" })
  same(signatures.usable(GOOGLE, { signature_family = "google" }), true)
  same(signatures.usable(nil, { signature_family = "google" }), false)
end)

local function clean(dialect, text, caps)
  return json.decode(signatures.hygiene(dialect, text, caps))
end

test("a body that names no signature keeps its bytes", function()
  for _, dialect in ipairs { "chat", "responses", "anthropic", "gemini", "gemini_cli", "codex" } do
    local body = ' { "a" : 1.0, "messages":[ ] }'
    same(signatures.hygiene(dialect, body), body)
    same(signatures.hygiene(dialect, "nonsense \"signature\"" .. dialect), "nonsense \"signature\"" .. dialect)
  end
  local native = '{"messages":[{"role":"assistant","content":[{"type":"thinking","signature":"EqUnknown","thinking":"x"}]}]}'
  same(signatures.hygiene("anthropic", native), native)
end)

test("Anthropic loses thinking that is not its own", function()
  same(clean("anthropic", '{"messages":[{"role":"assistant","content":['
    .. '{"type":"thinking","thinking":"1","signature":""},{"type":"thinking","thinking":"2","signature":"sc1~n~n~"},'
    .. '{"type":"thinking","thinking":"3","signature":"sc1~a~t~RXFNYWRlVXBTaWc"},{"type":"redacted_thinking","data":"gAAAAABx"},'
    .. '{"type":"thinking","thinking":"4","signature":"EqOwn"},{"type":"text","text":"t"}]},'
    .. '{"role":"assistant","content":[{"type":"thinking","thinking":"5","signature":"sc1~g~f~UTJ4aGNtRT0"}]},'
    .. '{"role":"user","content":"x"}],"n":1.0}'),
    json.decode('{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"3","signature":"EqMadeUpSig"},'
    .. '{"type":"thinking","thinking":"4","signature":"EqOwn"},{"type":"text","text":"t"}]},{"role":"user","content":"x"}],"n":1.0}'))
end)

test("Responses loses reasoning that is not OpenAI's", function()
  same(clean("codex", '{"input":[{"type":"reasoning","summary":[],"encrypted_content":"sc1~a~t~RXE"},'
    .. '{"type":"reasoning","encrypted_content":"sc1~o~e~Z0FBQUFBQm1hZGUtdXAtMQ"},{"type":"reasoning","encrypted_content":null},'
    .. '{"type":"message","role":"user","content":"x"}]}'),
    json.decode('{"input":[{"type":"reasoning","encrypted_content":"gAAAAABmade-up-1"},'
    .. '{"type":"reasoning","encrypted_content":null},{"type":"message","role":"user","content":"x"}]}'))
  local text = '{"input":"x","a":"encrypted_content"}'
  same(signatures.hygiene("responses", text), text)
end)

test("Chat loses details that hold carriers", function()
  same(clean("chat", '{"messages":[{"role":"assistant","reasoning_details":[{"type":"reasoning.text","signature":"sc1~a~t~RXE"}],"content":"x"},'
    .. '{"role":"assistant","reasoning_details":[{"data":"own"}]}]}'),
    json.decode '{"messages":[{"role":"assistant","content":"x"},{"role":"assistant","reasoning_details":[{"data":"own"}]}]}')
end)

test("Gemini gets its own signatures back, foreign ones go, lost ones get the sentinel", function()
  local carrier = signatures.show({ family = "google", kind = "text", data = "Q2xhcmE=" }, "anthropic")
  local foreign = signatures.show({ family = "anthropic", kind = "thinking", data = "Eq" }, "gemini")
  local body = '{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":['
    .. '{"thought":true,"text":"t","thoughtSignature":"' .. foreign .. '"},{"text":"b","thoughtSignature":"' .. carrier .. '"},'
    .. '{"functionCall":{"name":"f","args":{"z":1.0,"a":2}}},{"functionCall":{"name":"g"}}]},'
    .. '{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}'
  local wanted = '{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":['
    .. '{"text":"b","thoughtSignature":"Q2xhcmE="},{"functionCall":{"name":"f","args":{"z":1.0,"a":2}}SIG},'
    .. '{"functionCall":{"name":"g"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}'
  same(clean("gemini", body), json.decode((wanted:gsub("SIG", ""))))
  same(clean("gemini_cli", '{"request":' .. body .. "}", { google_sentinel = true }).request,
    json.decode((wanted:gsub("SIG", ',"thoughtSignature":"skip_thought_signature_validator"'))))
end)

test("manual thinking goes with the thinking of a tool loop", function()
  local function body(signature, text)
    return '{"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"a"},'
      .. '{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"' .. signature .. '"},'
      .. '{"type":"tool_use","id":"1","name":"f","input":{}}]},'
      .. '{"role":"user","content":[{"type":"' .. text .. '"}]}]}'
  end
  same(clean("anthropic", body("sc1~n~n~", "tool_result")).thinking, nil)
  assert(clean("anthropic", body("sc1~n~n~", "text")).thinking)
  assert(clean("anthropic", body("EqOwn", "tool_result")).thinking)
end)

test("for the retry after a refused signature all thinking goes", function()
  local function strip(dialect, text, caps) return json.decode(signatures.strip(dialect, text, caps)) end
  same(strip("anthropic", '{"messages":[{"role":"assistant","content":[{"type":"thinking","signature":"EqOwn"},{"type":"text","text":"t"}]}]}'),
    json.decode '{"messages":[{"role":"assistant","content":[{"type":"text","text":"t"}]}]}')
  same(strip("codex", '{"input":[{"type":"reasoning","encrypted_content":"x"},{"type":"message"}]}'),
    json.decode '{"input":[{"type":"message"}]}')
  same(strip("gemini", '{"contents":[{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{},"thoughtSignature":"x"}]}]}',
    { google_sentinel = true }), json.decode('{"contents":[{"role":"model","parts":[{"functionCall":{},'
      .. '"thoughtSignature":"skip_thought_signature_validator"}]}]}'))
  local plain = '{ "messages": [] }'
  same(signatures.strip("anthropic", plain), plain)
end)

test("nonsense in a body that goes through never raises", function()
  for _, value in ipairs { "null", "3", '"x"', "[]", "{}", "[null]", "[3]", "[[]]", "[{}]", '[{"content":3}]', '[{"content":[3,null]}]',
    '[{"parts":[null,{"thoughtSignature":3}]}]', '[{"type":"reasoning","encrypted_content":3}]', '[{"reasoning_details":[null,3]}]',
    '[{"content":[{"type":"thinking","signature":{}}]}]' } do
    for dialect, name in pairs { chat = "messages", responses = "input", anthropic = "messages", gemini = "contents", gemini_cli = "request" } do
      local body = '{"' .. name .. '":' .. value .. ',"x":{"signature":1,"encrypted_content":1,"thoughtSignature":1,"reasoning_details":1}}'
      assert(json.raw(signatures.hygiene(dialect, body, { google_sentinel = true })))
      assert(json.raw(signatures.strip(dialect, body, { google_sentinel = true })))
    end
  end
end)

test("thinking without a signature goes, whatever else the body holds", function()
  local function body(block)
    return '{"thinking":{"type":"adaptive"},"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a",'
      .. '"signature":"EqOwn"},' .. block .. ',{"type":"text","text":"\\"signature\\": \\"\\""}]}]}'
  end
  for _, block in ipairs { '{"type":"thinking","thinking":"b"}', '{ "type" : "thinking", "thinking":"b" }',
    '{"type":"thinking","thinking":"b","signature":""}', '{"type":"thinking","thinking":"b","signature":"sc1\\u007en~n~"}' } do
    same(#clean("anthropic", body(block)).messages[1].content, 2)
  end
  local fine = body '{"type":"thinking","thinking":"b","signature" : "EqOther"}'
  same(signatures.hygiene("anthropic", fine), fine)
  local text = body '{"type":"tool_use","id":"1","name":"f","input":{"signature":""}}'
  same(#clean("anthropic", text).messages[1].content, 3)
end)
