--- Estimates of tokens: which texts count.

-- The counter itself is tested in C: here every line is a token, so that texts can be told apart.
local seen
modules.tokens = modules.tokens or {}
local real = modules.tokens.count
local estimate

local function json_of(text) return '{"input":"' .. text .. '"}' end

local function lines(fn)
  modules.tokens.count = function(text)
    seen = text
    return select(2, text:gsub("\n", "")) + 1
  end
  estimate = estimate or require "lib.estimate"
  local count = fn()
  modules.tokens.count = real
  return { seen, count }
end

local function texts(dialect, body) return lines(function() return estimate.count(dialect, body, "m") end) end

test("estimate: a chat body counts roles, names, texts, calls and tools", function()
  same(texts("chat", [[{"messages":[{"role":"user","name":"n","content":[{"type":"text","text":" a "},
    {"type":"image_url","image_url":{"url":"https://x.example/i.png"}},{"type":"text","text":"  "}]},
    {"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f",
    "description":"d","parameters":{"b":1,"a":2}}}],"tool_choice":"auto"}]]),
    { "user\nn\na\nhttps://x.example/i.png\nassistant\nc\nf\n{}\ntool\nr\nc\nf\nd\n" .. '{"b":1,"a":2}\n"auto"', 15 })
end)

test("estimate: a responses body counts instructions, items, tools and the format", function()
  same(texts("responses", [[{"instructions":"i","input":[{"type":"message","content":[{"type":"input_text","text":"a"}]},
    {"type":"function_call","name":"f","arguments":"{}"},{"type":"function_call_output","output":"o"}],
    "tools":[{"name":"f","description":"d","parameters":{}}],"text":{"format":{"name":"n","schema":{"x":1}}}}]])[1],
    'i\na\nf\n{}\no\nf\nd\n{}\nn\n{"x":1}')
  same(texts("responses", '{"input":"just this"}')[1], "just this")
end)

test("estimate: other dialects count by their neutral form", function()
  same(texts("gemini", [[{"systemInstruction":"s","contents":[{"parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"AA"}}]}],
    "tools":[{"functionDeclarations":[{"name":"f"}]}]}]]), { "s\na\nf", 1603 })
end)

test("estimate: pictures without a readable size count 1600, those with one by it", function()
  -- The head of a PNG of 75 by 100.
  local png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEsAAABkCAYAAAA="
  local function body(url) return '{"messages":[{"content":[{"image_url":{"url":"' .. url .. '"}}]}]}' end
  same(texts("chat", body "data:image/png;base64,AAAA")[2], 1600)
  same(texts("chat", body(png))[2], 10)
end)

test("estimate: what is no body of the dialect gives no estimate, nonsense inside is passed over", function()
  for _, dialect in ipairs { "chat", "responses", "gemini" } do
    same(texts(dialect, "x")[2], nil)
    same(texts(dialect, "7")[2], nil)
  end
  same(texts("chat", '{"messages":[7,null,{"content":7,"tool_calls":{"a":1}},{"role":[]}],"tools":[7,{}],"prompt":{}}')[2], 1)
  same(texts("responses", '{"input":[7,{"content":{}}],"tools":7,"text":7}')[2], 0)
end)

test("estimate: a large text is counted in pieces that end between words or characters", function()
  lines(function() end)
  local pieces
  modules.tokens.count = function(text)
    pieces[#pieces + 1] = text
    return 1
  end
  local function count_of(text)
    pieces = {}
    local count = estimate.count("responses", json_of(text), "m")
    assert(table.concat(pieces) == text)
    for _, piece in ipairs(pieces) do assert(#piece <= 256 * 1024 and utf8.len(piece)) end
    return count
  end
  same(count_of("word"), 1)
  assert(count_of(("three words here "):rep(100000) .. "end") >= 6)
  assert(pieces[1]:sub(-1) == " ")
  assert(count_of(("漢"):rep(200000)) >= 3)
  modules.tokens.count = real
end)

test("estimate: families follow the model's name", function()
  lines(function() end)
  local found = {}
  for i, model in ipairs { "claude-sonnet-4-5", "models/gemini-2.5-pro", "gpt-4-turbo", "gpt-4o", "gpt-5-codex", "qwen3-coder", "x" } do
    found[i] = estimate.family(model)
  end
  same(found, { "claude", "gemini", "cl100k", "o200k", "o200k", "qwen", "o200k" })
end)
