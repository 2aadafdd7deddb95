--- Writes tests/fixtures/json/coding_agent_request.json: about 126 KB as a coding agent sends them
--- (system prompt, 25 tools with schemas, a long conversation with tool calls and file contents).
--- Deterministic.  Run: lua5.4 bench/json_fixture.lua > tests/fixtures/json/coding_agent_request.json

local seed = 42
local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n + 1
end
local function pick(list) return list[random(#list)] end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }
local function quote(s) return '"' .. s:gsub('["\\\n\t]', escapes) .. '"' end

local words = {}
for word in ([[the file reads a value from one table and writes it to another when its caller asks for
the next record before the queue is empty so that every worker sees the same state after a restart
use this tool only if the path exists return an error message with line and column keep the tests
small prefer plain functions do not change public names without a reason explain what was found]])
  :gmatch "%a+" do
  words[#words + 1] = word
end

local function sentence(n)
  local out = {}
  for i = 1, n do out[i] = pick(words) end
  local s = table.concat(out, " ")
  return s:sub(1, 1):upper() .. s:sub(2) .. "."
end

local function prose(sentences)
  local out = {}
  for i = 1, sentences do out[i] = sentence(8 + random(10)) end
  return table.concat(out, random(4) == 1 and "\n\n" or " ")
end

local lines = {
  "local %s = require \"%s\"", "\tif (%s == NULL || %s->len > 0) {", "        return %s(\"%s\\n\");",
  "    for index, %s in ipairs(%s) do", "\t}", "", "  -- %s the %s", "    %s = %s + 1;",
  "static int %s(struct %s *self)", "    self.%s[\"%s\"] = {\"a\": 1, \"b\": [2, 3]}",
  "    log.debug(\"%s: %s → done\", count)",
}
local function code(n)
  local out = {}
  for i = 1, n do
    out[i] = ("%6d\t"):format(i) .. pick(lines):gsub("%%s", function() return pick(words) .. "_" .. pick(words) end)
  end
  return table.concat(out, "\n")
end

local function property(name)
  local kind = pick { "string", "string", "integer", "boolean", "array" }
  local extra = kind == "array" and ',"items":{"type":"string"}' or kind == "integer" and ',"minimum":0' or ""
  return ('%s:{"type":"%s","description":%s%s}'):format(quote(name), kind, quote(sentence(9)), extra)
end

local function tool(i)
  local properties, required = {}, {}
  for k = 1, 2 + random(4) do
    local name = pick(words) .. "_" .. k
    properties[k] = property(name)
    if k <= 2 then required[k] = quote(name) end
  end
  return ('{"name":"tool_%d","description":%s,"input_schema":{"$schema":"http://json-schema.org/draft-07/schema#",'
    .. '"type":"object","properties":{%s},"required":[%s],"additionalProperties":false}}')
    :format(i, quote(prose(5)), table.concat(properties, ","), table.concat(required, ","))
end

local function turn(i)
  local id = ("toolu_%08x%08x"):format(i * 7919, i * 104729)
  return ('{"role":"assistant","content":[{"type":"text","text":%s},{"type":"tool_use","id":"%s","name":"tool_%d",'
    .. '"input":{"path":"src/%s/%s.lua","limit":%d,"ratio":0.%d}}]},'
    .. '{"role":"user","content":[{"type":"tool_result","tool_use_id":"%s","content":[{"type":"text","text":%s}]}]}')
    :format(quote(prose(2)), id, random(25), pick(words), pick(words), random(4000), random(99), id,
      quote(code(20 + random(40))))
end

local tools, messages = {}, { ('{"role":"user","content":%s}'):format(quote(prose(6))) }
for i = 1, 25 do tools[i] = tool(i) end
for i = 1, 37 do messages[#messages + 1] = turn(i) end
io.write(('{"model":"some-model-1","max_tokens":32000,"temperature":1,"stream":true,'
  .. '"metadata":{"user_id":"user_0001"},"system":[{"type":"text","text":%s,"cache_control":{"type":"ephemeral"}}],'
  .. '"tools":[%s],"messages":[%s]}'):format(quote(prose(110)), table.concat(tools, ","), table.concat(messages, ",")), "\n")
