--- What Anthropic's clients send is the same after it was read and written again.

local support = require "tests.anthropic_support"

local anthropic = require "translators.anthropic"
local json = require "json"
local reject = require "lib.reject"

local ctx, value = support.ctx, support.value

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local corpus = {}
for path in io.popen("ls tests/fixtures/anthropic/*.json"):lines() do
  corpus[#corpus + 1] = { path = path, text = read(path) }
end

local CAPS = { mid_system = true, signature_family = "anthropic", max_output = 64000 }

local function around(text)
  local context = ctx("anthropic", "anthropic", CAPS)
  return anthropic.encode_request(anthropic.decode_request(text, context), context), context
end

-- The forms that mean the same: one plain text and a string, no error and false, the default type.
local function settle(body)
  for _, message in ipairs(body.messages) do
    for _, block in ipairs(type(message.content) == "table" and message.content or {}) do
      if block.is_error == false and block.type == "tool_result" then block.is_error = nil end
    end
  end
  for _, tool in ipairs(body.tools or {}) do
    if tool.type == "custom" then tool.type = nil end
  end
  return body
end

test("the corpus holds the forms of both generations of Claude Code", function()
  assert(#corpus >= 4)
end)

for _, entry in ipairs(corpus) do
  test("reading and writing is the identity: " .. entry.path, function()
    local text, context = around(entry.text)
    same(support.differences(settle(value(entry.text)), value(text)), {})
    same(context.warnings, {})
    -- And once more, to the byte.
    same(around(text), text)
  end)

  test("raw values keep their bytes: " .. entry.path, function()
    local text = around(entry.text)
    for _, name in ipairs { "input_schema", "input", "schema", "context_management", "container" } do
      for raw in entry.text:gmatch('"' .. name .. '":(%b{})') do
        assert(text:find('"' .. name .. '":' .. raw, 1, true), raw)
      end
    end
  end)

  test("other vendors get nothing of Anthropic's own: " .. entry.path, function()
    local context = ctx("anthropic", "chat", {})
    local request = anthropic.decode_request(entry.text, context)
    for _, block in ipairs(request.system) do
      assert(not block.text:find("x-anthropic-billing-header", 1, true))
    end
    for _, tool in ipairs(request.tools) do
      same({ tool.name, tool.defer }, { tool.name })
      assert(tool.name ~= "DeferredToolPlaceholder")
    end
    assert(not request.identity.user or request.identity.user == "u-1")
  end)
end

test("deferred tools are offered to others once named, and until they are taken back", function()
  local body = [[{"tools":[{"name":"a","defer_loading":true},{"name":"b","defer_loading":true},
      {"name":"c"},{"name":"d","defer_loading":true}],
    "messages":[{"role":"user","content":"x"},
      {"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"a"}},
        {"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"e",
          "input_schema":{"type":"object"}}}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
        {"type":"tool_reference","tool_name":"b"}]}]},
      {"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"c"}}]}]}]]
  local context = ctx("anthropic", "chat", {})
  local request = anthropic.decode_request(body, context)
  local names = {}
  for i, tool in ipairs(request.tools) do names[i] = tool.name end
  same(names, { "a", "b", "e" })
  same(request.turns[2].blocks[1].text, "Tool a is available.")
  same(request.turns[3].blocks[1].content[1].text, "Tool b is available.")
  same(request.turns[4].blocks[1].text, "Tool c is no longer available.")
  same(#context.warnings, 0)
  -- For Anthropic everything stays where it was.
  request = anthropic.decode_request(body, ctx("anthropic", "anthropic", {}))
  same({ #request.tools, request.turns[2].blocks[1].type }, { 4, "opaque" })
end)

test("Claude's versioned client tools have a schema for others, unknown ones are server tools", function()
  local request = anthropic.decode_request(corpus[4].text, ctx("anthropic", "chat", {}))
  local kinds = {}
  for _, tool in ipairs(request.tools) do
    kinds[tool.name] = tool.kind == "server" and tool.server.tool or json.type(tool.schema)
  end
  same(kinds, { f = "object", web_search = "web_search", bash = "object",
    str_replace_based_edit_tool = "object", computer = "computer",
    tool_search_tool_regex = "tool_search", mcp_toolset = "mcp" })
end)

test("searches another vendor made do not go to Anthropic", function()
  local text = [[{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},
    {"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_a","name":"web_search","input":{}},
    {"type":"web_search_tool_result","tool_use_id":"srvtoolu_a","content":[{"type":"web_search_result",
      "url":"u","title":"t","encrypted_content":""}]},{"type":"text","text":"y"}]}]}]]
  same(value((around(text))).messages[2].content, "y")
end)

test("thinking in a user turn is left out, pitfall 72", function()
  local request = anthropic.decode_request([[{"messages":[{"role":"user","content":[
    {"type":"thinking","thinking":"obey","signature":"x"},{"type":"text","text":"a"}]}]}]],
    ctx("anthropic", "chat", {}))
  same(#request.turns[1].blocks, 1)
end)

test("arguments that are strings of JSON or null are objects", function()
  local request = anthropic.decode_request([[{"messages":[{"role":"assistant","content":[
    {"type":"tool_use","id":"a","name":"f","input":"{\"x\": 1.0}"},
    {"type":"tool_use","id":"b","name":"f","input":null},{"type":"tool_use","id":"c","name":"f"},
    {"type":"tool_use","id":"d","name":"f","input":"free"},
    {"type":"thinking","thinking":{"text":"t"},"signature":""}]}]}]], ctx("anthropic", "chat", {}))
  local args = {}
  for i = 1, 4 do args[i] = request.turns[1].blocks[i].args end
  same(args, { '{"x": 1.0}', "{}", "{}", '"free"' })
  same(request.turns[1].blocks[5], { type = "thinking", text = "t", form = "summary" })
end)

-- Every value of a document, as a path.
local function paths(document, path, found)
  for name, each in pairs(document) do
    local here = { table.unpack(path) }
    here[#here + 1] = name
    found[#found + 1] = here
    if type(each) == "table" then paths(each, here, found) end
  end
  return found
end

local function with(document, path, new)
  local at = document
  for i = 1, #path - 1 do at = at[path[i]] end
  local old = at[path[#path]]
  at[path[#path]] = new
  local text = json.encode(document)
  at[path[#path]] = old
  return text
end

local WRONG = { json.null, 7, -1.5, true, "", "x", json.array {}, {}, json.array { 1, json.null }, { type = 7 } }

test("whatever is wrong in a request, it is refused or understood, never a raw error", function()
  local refused, taken = 0, 0
  for _, entry in ipairs(corpus) do
    local document = value(entry.text)
    for i, path in ipairs(paths(document, {}, {})) do
      for j = i % 3 + 1, #WRONG, 3 do
        local text = with(document, path, WRONG[j])
        for _, upstream in ipairs { "anthropic", "chat" } do
          local context = ctx("anthropic", upstream, CAPS)
          local fine, problem = pcall(anthropic.decode_request, text, context)
          if fine then
            taken = taken + 1
            fine, problem = pcall(anthropic.encode_request, problem, context)
          end
          if not fine then
            refused = refused + 1
            if not reject.is(problem) then error(tostring(problem) .. "\n" .. text, 0) end
          end
        end
      end
    end
  end
  assert(refused > 100 and taken > 100)
end)

test("a call without an id has the same one every time, and its result finds it", function()
  local text = [[{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[
    {"type":"tool_use","name":"f","input":{}},{"type":"tool_use","id":"","name":"f","input":{}}]}]}]]
  local function read_ids()
    local blocks = anthropic.decode_request(text, ctx("anthropic", "chat", {})).turns[2].blocks
    return { blocks[1].id, blocks[2].id }
  end
  local ids = read_ids()
  same(ids, read_ids())
  assert(ids[1] ~= ids[2] and ids[1]:find "^call_%x+$")
end)
