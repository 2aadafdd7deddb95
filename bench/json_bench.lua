--- Run by json_bench.c: the two codecs by turns, the best of several rounds.

local json = require "json"
local cjson = require "cjson"

local file <close> = assert(io.open(fixture, "rb"))
local text = file:read "a"

local shape = json.shape {
  known = {
    "model", "max_tokens", "temperature", "stream", "system",
    tools = { "name", "description" },
    messages = { "role", content = { "type", "text", "id", "name", "tool_use_id", "content" } },
  },
  raw = { "input_schema", "input" },
  strict = true,
}
local ours, shaped, theirs = json.decode(text), json.decode(text, shape), cjson.decode(text)

local cases = {
  { "cjson.decode", function() cjson.decode(text) end },
  { "json.decode", function() json.decode(text) end },
  { "json.decode shape", function() json.decode(text, shape) end },
  { "cjson.encode", function() cjson.encode(theirs) end },
  { "json.encode", function() json.encode(ours) end },
  { "json.encode shaped", function() json.encode(shaped) end },
  { "json.peek", function() json.peek_strict(text, "model", "stream") end },
  { "json.splice", function() json.splice(text, "model", "other") end },
}
local best = {}
for _ = 1, 7 do
  for i, case in ipairs(cases) do
    collectgarbage()
    local start = os.clock()
    for _ = 1, 100 do case[2]() end
    best[i] = math.min(best[i] or math.huge, (os.clock() - start) * 1e4)
  end
end
print(#text .. " bytes")
for i, case in ipairs(cases) do print(("%-20s %8.1f us"):format(case[1], best[i])) end
