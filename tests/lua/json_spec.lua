--- The module `json` as scripts see it.

local json = require "json"

local function roundtrip(text, options) return json.encode(assert(json.decode(text, options))) end

local function refused(text, options)
  local value, err = json.decode(text, options)
  same(value, nil)
  assert(type(err.message) == "string" and math.type(err.offset) == "integer")
  return err
end

-- decode and encode -------------------------------------------------------------------------------

test("empty arrays, empty objects, null and absent stay distinct", function()
  local v = json.decode '{"a":[],"o":{},"n":null}'
  assert(json.is_array(v.a) and not json.is_array(v.o))
  assert(v.n == json.null and v.absent == nil)
  same(json.encode(v), '{"a":[],"n":null,"o":{}}')
  same(roundtrip '[[],{},[{}],null]', '[[],{},[{}],null]')
end)

test("64-bit integers survive, larger and fractional numbers are floats", function()
  local v = json.decode "[9223372036854775807,-9223372036854775808,9223372036854775808,1.5,1e2,0]"
  same({ table.unpack(v) }, { math.maxinteger, math.mininteger, 2.0 ^ 63, 1.5, 100.0, 0 })
  same(json.encode(v), "[9223372036854775807,-9223372036854775808,9.223372036854776e+18,1.5,100,0]")
end)

test("a negative zero keeps its sign", function()
  same(roundtrip "[-0,-0.0,0]", "[-0,-0,0]")
end)

test("floats are written as short as they read back the same", function()
  for _, text in ipairs { "0.1", "1e+21", "5e-324", "1.7976931348623157e+308", "0.30000000000000004", "1e-07" } do
    same(json.encode(json.decode(text)), text)
  end
  same(json.encode(1.0), "1")
  same(json.encode(2.0 ^ 53), "9007199254740992")
end)

test("random floats read back as the same double", function()
  for _ = 1, 2000 do
    local d = string.unpack("d", string.pack("i8", math.random(0)))
    if d == d and d ~= math.huge and d ~= -math.huge then
      assert(json.decode(json.encode(d)) == d)
    end
  end
end)

test("a number beyond the floats is an error", function()
  same(refused("[1,1e999]").path, "[1]")
end)

test("strings are decoded and only what must be is escaped", function()
  same(json.decode [["\u00e9\ud83d\ude00\n\/\"\\"]], "é😀\n/\"\\")
  same(json.encode "é😀\n/\"\\\1\127<>&", "\"é😀\\n/\\\"\\\\\\u0001\127<>&\"")
  same(json.decode [["\ud83d x \ude00"]], "\u{fffd} x \u{fffd}")
end)

test("invalid UTF-8 is replaced, or refused from clients", function()
  same(json.decode '"a\xffb"', "a\u{fffd}b")
  same(json.decode('{"k\xc3":"x"}')["k\u{fffd}"], "x")
  same(refused('{"a":"\xff"}', { strict = true }).path, "a")
  same(json.encode "a\xffb\xe2\x82", '"a\u{fffd}b\u{fffd}\u{fffd}"')
  same(tostring(json.decode('{"r":["\xff"]}', { raw = { "r" } }).r), '["\u{fffd}"]')
end)

test("a name given twice is the last one, or refused from clients", function()
  same(json.decode '{"a":1,"b":2,"a":3}', { a = 3, b = 2 })
  local err = refused('{"x":{"a":1,"\\u0061":3}}', { strict = true })
  same({ err.message, err.path }, { "member given twice", "x.\\u0061" })
end)

test("errors name byte offset and path", function()
  local err = refused '{"messages":[{},{"content":tru}]}'
  same(err.path, "messages[1].content")
  same(err.offset, 27)
  same(tostring(err), "expected a value at byte 27 (messages[1].content)")
  same(refused "".offset, 0)
  same(tostring(refused "{} x"), "trailing bytes after the value at byte 3")
end)

test("64 levels decode, 65 do not, raw values take 512", function()
  assert(json.decode(("["):rep(64) .. ("]"):rep(64)))
  same(refused(("["):rep(65) .. ("]"):rep(65)).message, "nested too deeply")
  assert(json.raw(("["):rep(512) .. ("]"):rep(512)))
  same(json.raw(("["):rep(513) .. ("]"):rep(513)), nil)
end)

test("encode writes members in byte order of their names", function()
  same(json.encode { b = 1, a = 2, ab = 3, ["é"] = 4, B = 5 }, '{"B":5,"a":2,"ab":3,"b":1,"é":4}')
  local many, names = {}, {}
  for i = 1, 500 do many["n" .. i] = i end
  for name in json.encode(many):gmatch '"(n%d+)"' do names[#names + 1] = name end
  local sorted = table.move(names, 1, #names, 1, {})
  table.sort(sorted)
  same(#names, 500)
  same(names, sorted)
end)

test("tables are arrays when marked or a sequence, else objects", function()
  same(json.encode {}, "{}")
  same(json.encode(json.array {}), "[]")
  same(json.encode(json.array()), "[]")
  same(json.encode(json.object {}), "{}")
  same(json.encode { 1, { 2 }, "x", true, json.null }, '[1,[2],"x",true,null]')
end)

test("elements that came in another order are written once each", function()
  local function disordered(first, depth)
    -- Keys in the hash part come out in no order.
    local list = { first, a = 1, b = 2, c = 3, d = 4, e = 5, f = 6 }
    for key = 7, 2, -1 do list[key] = key end
    for name in ("abcdef"):gmatch "." do list[name] = nil end
    return depth == 0 and list or disordered(list, depth - 1)
  end
  local text = json.encode(disordered("x", 0))
  same(text, '["x",2,3,4,5,6,7]')
  for _ = 1, 60 do text = "[" .. text .. ",2,3,4,5,6,7]" end
  same(json.encode(disordered("x", 60)), text)
end)

test("encode raises on what has no JSON form", function()
  local cycle = {}
  cycle[1] = cycle
  local named = {}
  named.self = named
  for _, bad in ipairs { print, 0 / 0, math.huge, cycle, named, { 1, a = 2 }, { [2] = 1 }, { [true] = 1 },
    json.array { a = 1 }, json.object { 1 }, io.stdout, coroutine.create(print) } do
    assert(not pcall(json.encode, bad), "encoded")
    same(json.encode { 1 }, "[1]")
  end
  assert(not pcall(json.encode))
  assert(not pcall(json.encode, nil))
end)

test("a finalizer may use json in the middle of another call", function()
  local ran, many = 0, {}
  for i = 1, 200 do many["name " .. i] = { "a\nb", i } end
  local text = json.encode(many)
  for _ = 1, 50 do
    for _ = 1, 20 do
      setmetatable({}, { __gc = function()
        ran = ran + 1
        json.encode(json.decode '{"x":"\\n","y":[1]}')
      end })
    end
    assert(json.encode(json.decode(text)) == text)
  end
  collectgarbage()
  assert(ran > 0)
end)

-- raw values --------------------------------------------------------------------------------------

test("RawJson is checked, compares by bytes and is copied verbatim", function()
  local raw = json.raw ' {"b" : 1.50,"a":[ ]} '
  assert(json.is_raw(raw) and not json.is_raw "x")
  same(tostring(raw), '{"b" : 1.50,"a":[ ]}')
  same(#raw, 20)
  assert(raw == json.raw '{"b" : 1.50,"a":[ ]}' and raw ~= json.raw "1")
  same(json.encode { x = raw }, '{"x":{"b" : 1.50,"a":[ ]}}')
  local none, err = json.raw "{,}"
  same({ none, err.offset }, { nil, 1 })
end)

test("json.type looks into raw values", function()
  same({ json.type(json.null), json.type(true), json.type(1), json.type "", json.type { 1 }, json.type {} },
    { "null", "boolean", "number", "string", "array", "object" })
  same({ json.type(json.raw "[]"), json.type(json.raw "null"), json.type(json.raw "-1") }, { "array", "null", "number" })
  same(json.type(nil), nil)
  same(json.type(print), nil)
end)

test("raw names stay raw wherever they occur", function()
  local v = json.decode('{"t":[{"schema":{"b":1,"a":1.0}},{"x":{"schema":null}}]}', { raw = { "schema" } })
  same(tostring(v.t[1].schema), '{"b":1,"a":1.0}')
  same(tostring(v.t[2].x.schema), "null")
  same(json.encode(v), '{"t":[{"schema":{"b":1,"a":1.0}},{"x":{"schema":null}}]}')
end)

test("members a shape does not know stay raw, arrays hand the shape on", function()
  local block = { "type", "text", input = "raw" }
  block.content = block
  local shape = json.shape {
    known = { "model", messages = { "role", content = block }, map = { ["*"] = { "a" } }, any = true },
    raw = { "schema" },
  }
  local v = json.decode([[{"model":"m","top_k":4.0,"any":{"x":{"y":1},"schema":[]},
    "map":{"k":{"a":1,"b":2}},
    "messages":[{"role":"user","content":"hi","id":7},
      {"role":"user","content":[{"type":"r","input":{"z":1},"content":[{"text":"t","foo":{}}]}]}]}]], shape)
  same(tostring(v.top_k), "4.0")
  assert(json.is_raw(v.top_k) and json.is_raw(v.messages[1].id) and json.is_raw(v.map.k.b))
  assert(json.is_raw(v.any.schema))
  same({ v.any.x.y, v.map.k.a, v.messages[1].content }, { 1, 1, "hi" })
  local inner = v.messages[2].content[1]
  assert(json.is_raw(inner.input) and json.is_raw(inner.content[1].foo))
  same(inner.content[1].text, "t")
  same(json.decode('{"a":1,"b":2}', { known = { "a" } }).a, 1)
end)

-- A JSON text with a member `t` of about `size` bytes.
local function holding(name, size)
  return '{"a":1, "t": [{"name":"' .. name .. '","text":"' .. ("x"):rep(size) .. '"}],"b":[2]}'
end

test("kept members are decoded once for the same bytes", function()
  local shape = json.shape { known = { "a", "b", t = { "name" } }, kept = { "t" }, strict = true }
  local first, second = json.decode(holding("n", 300), shape), json.decode(holding("n", 300), shape)
  same({ first.a, first.t[1].name, first.b[1] }, { 1, "n", 2 })
  assert(json.is_raw(first.t[1].text))
  assert(first.t == second.t and first.b ~= second.b)
  same(json.encode(first), json.encode(second))
  local other = json.decode(holding("m", 300), shape)
  assert(other.t ~= first.t and other.t[1].name == "m")
  -- A longer text that begins alike, and one that is cut inside what is known.
  local longer = json.decode((holding("n", 300):gsub('"}]', '"},{"name":"z"}]')), shape)
  same({ #longer.t, longer.t[2].name, #json.decode(holding("n", 300), shape).t }, { 2, "z", 1 })
  for cut = 1, #holding("n", 300) - 1 do
    assert(not json.decode(holding("n", 300):sub(1, cut), shape))
  end
  -- What is small is decoded anew, and so is what is not at the top.
  assert(json.decode(holding("n", 9), shape).t ~= json.decode(holding("n", 9), shape).t)
  local inner = json.shape { known = { o = true }, kept = { "t" } }
  local deep = '{"o":' .. holding("n", 300) .. "}"
  assert(json.decode(deep, inner).o.t ~= json.decode(deep, inner).o.t)
end)

test("kept members are checked like others, and only what is right is kept", function()
  local shape = json.shape { kept = { "t" }, strict = true }
  local twice = holding("n", 300):gsub('"text"', '"name"')
  for _ = 1, 2 do
    local _, err = json.decode(twice, shape)
    same(err.path, "t[0].name")
  end
  local again = '{"t":1,"t":' .. holding("n", 300) .. "}"
  local _, err = json.decode(again, shape)
  assert(err.path == "t")
  -- A list that is whole, in a body that is not.
  assert(not json.decode(holding("k", 300) .. "}", shape))
  same(json.decode(holding("k", 300), shape).t[1].name, "k")
  for _, value in ipairs { '"' .. ("s"):rep(400) .. '"', "null", "true", ("1"):rep(300) .. ".5" } do
    local text = '{"t":' .. value .. "}"
    same(json.decode(text, shape), json.decode(text, shape))
  end
end)

test("only so much is kept", function()
  local shape = json.shape { kept = { "t" } }
  local first = json.decode(holding("1", 300), shape).t
  for i = 2, 8 do json.decode(holding(tostring(i), 300), shape) end
  assert(json.decode(holding("1", 300), shape).t == first)
  json.decode(holding("9", 300), shape)
  assert(json.decode(holding("1", 300), shape).t ~= first)
  local large = json.decode(holding("l", 400 * 1024), shape).t
  assert(json.decode(holding("l", 400 * 1024), shape).t == large)
  json.decode(holding("m", 200 * 1024), shape)
  assert(json.decode(holding("l", 400 * 1024), shape).t ~= large)
  local huge = holding("h", 600 * 1024)
  assert(json.decode(huge, shape).t ~= json.decode(huge, shape).t)
  -- Nothing of it outlives its shape.
  local seen = setmetatable({ json.decode(holding("w", 300), shape).t }, { __mode = "v" })
  collectgarbage()
  assert(seen[1])
  shape = nil
  collectgarbage()
  assert(not seen[1])
end)

test("a shape that says nonsense is refused", function()
  for _, bad in ipairs { { known = { a = 1 } }, { known = 1 }, { raw = { 1 } }, { known = { [true] = true } },
    { kept = 1 }, { kept = { 1 } } } do
    assert(not pcall(json.shape, bad))
  end
  assert(not pcall(json.decode, "1", "x"))
  assert(not pcall(json.decode, "1", json.raw "1"))
end)

-- order -------------------------------------------------------------------------------------------

test("ordered objects are written in their order, new members last", function()
  local v = json.decode('{"z":1,"a":{"y":1,"b":[]},"m":3,"z":4}', { order = true })
  same(json.encode(v), '{"z":4,"a":{"y":1,"b":[]},"m":3}')
  v.a.y, v.q, v.c, v.m = nil, 1, 2, "new"
  same(json.encode(v), '{"z":4,"a":{"b":[]},"m":"new","c":2,"q":1}')
  same(json.keys(v), { "z", "a", "m", "c", "q" })
  same(json.keys { b = 1, a = 2 }, { "a", "b" })
  same(json.encode(json.decode("{}", { order = true })), "{}")
end)

-- peek, get, splice -------------------------------------------------------------------------------

local DELTA = json.pattern {
  type = "=delta", index = "any", usage = "null", choices = json.array { { n = 2, delta = { content = 1, role = "any" } } },
}

test("match gives the values of a text that has the form", function()
  local function matched(text) return { json.match(text, DELTA) } end
  same(matched '{"type":"delta","index":{"a":[1]},"choices":[{"n":7,"delta":{"content":" hi"}}],"usage":null}',
    { true, " hi", 7 })
  same(matched ' {"choices" : [ { "delta" : { "role" : null , "content" : "\\u00e9\\n" } } ] } ', { true, "é\n" })
  same(matched '{"choices":[{"n":true,"delta":{"content":null}}]}', { true, nil, true })
  same(matched "{}", { true })
  same({ json.match(json.raw '{"type":"delta"}', DELTA) }, { true })
end)

test("match refuses any other form, and what is not JSON", function()
  for _, text in ipairs {
    "", "null", "[]", "7", '"delta"', "{", '{"type":"other"}', '{"type":7}', '{"more":1}', '{"usage":{}}', '{"choices":[]}',
    '{"choices":[{},{}]}', '{"choices":[7]}', '{"choices":{}}', '{"choices":[{"delta":{"tool_calls":[]}}]}',
    '{"choices":[{"delta":{"content":[]}}]}', '{"choices":[{"n":1.5}]}', '{"choices":[{"delta":{"content":"\xff"}}]}',
    '{"type":"delta"}x', '{"type":"delta",}', '{"choices":[{"delta":{"content":"\\u12"}}]}', '{"ty\\u0070e":"delta"}',
  } do same({ text, json.match(text, DELTA) }, { text, false }) end
end)

test("a pattern that says nonsense is refused", function()
  for _, form in ipairs { { 7 }, { a = true }, { a = "some" }, { a = 0 }, { a = 17 }, { a = json.array {} }, { a = json.array { 1, 2 } } } do
    assert(not pcall(json.pattern, form))
  end
  local deep = {}
  deep.a = deep
  assert(not pcall(json.pattern, deep))
  assert(not pcall(json.match, "{}", json.shape {}))
end)

test("peek reads top-level members in one pass", function()
  same({ json.peek('{"model":"m\\n","stream":true,"n":1,"x":null,"o":{"a": 1}}', "model", "stream", "n", "x", "none") },
    { true, "m\n", true, 1, json.null, nil })
  local _, o = json.peek('{"o":{"a": 1}}', "o")
  same(tostring(o), '{"a": 1}')
  same({ json.peek "{}" }, { true })
end)

test("peek checks the whole text", function()
  local ok, err = json.peek('{"model":"m"', "model")
  same({ ok, err.offset }, { false, 12 })
  same((json.peek("[]", "model")), false)
  same((json.peek('{"model":"m"} {}', "model")), false)
end)

test("peek_strict refuses a wanted name given twice, however it is written", function()
  local text = '{"model":"a","mo\\u0064el":"b"}'
  same({ json.peek(text, "model") }, { true, "b" })
  local ok, err = json.peek_strict(text, "model")
  same({ ok, err.message }, { false, "member given twice" })
  same((json.peek_strict(text, "other")), true)
  same((json.peek_strict('{"a":"\xff"}', "model")), false)
end)

test("get finds a nested value", function()
  local text = '{"a":[1,{"b":"x"},[2]]}'
  same(json.get(text, { "a", 2, "b" }), "x")
  same(tostring(json.get(text, { "a", 3 })), "[2]")
  same(json.get(text, { "a", 4 }), nil)
  same(json.get(text, { "b" }), nil)
  same(json.get(json.raw(text), { "a", 1 }), 1)
  assert(not pcall(json.get, text, { "a", 0 }))
end)

test("splice replaces, inserts and removes, and leaves all other bytes alone", function()
  local text = '{ "a" : 1.0, "b":[1, 2 ,3] }'
  same(json.splice(text, { "a" }, "x"), '{ "a" : "x", "b":[1, 2 ,3] }')
  same(json.splice(text, "c", json.raw "{ }"), '{ "a" : 1.0, "b":[1, 2 ,3],"c":{ } }')
  same(json.splice(text, { "b", 4 }, json.null), '{ "a" : 1.0, "b":[1, 2 ,3,null] }')
  same(json.splice(text, { "a" }, nil), '{ "b":[1, 2 ,3] }')
  same(json.splice(text, { "b" }, nil), '{ "a" : 1.0 }')
  same(json.splice(text, { "b", 2 }, nil), '{ "a" : 1.0, "b":[1, 3] }')
  same(json.splice(text, { "none", "x" }, nil), text)
  same(json.splice("{}", { "k\n" }, {}), '{"k\\n":{}}')
  assert(json.splice(json.raw "[]", { 1 }, true) == json.raw "[true]")
end)

test("splice says why it cannot", function()
  for _, case in ipairs { { "{", { "a" }, 1 }, { "{}", { "a", "b" }, 1 }, { '{"a":1,"a":2}', { "a" }, 1 },
    { "[1]", { 3 }, 1 }, { "1", {}, nil } } do
    local text, err = json.splice(case[1], case[2], case[3])
    same(text, nil)
    same(type(err.message), "string")
  end
end)

test("splice_all applies its edits in turn", function()
  same(json.splice_all('{"a":1}', { { "b", {} }, { { "b", "c" }, 2 }, { "a" } }), '{"b":{"c":2}}')
  local text, err = json.splice_all('{"a":1}', { { "b", 1 }, { { "x", "y" }, 2 } })
  same({ text, err.message }, { nil, "the path leads nowhere" })
  same(json.splice_all("{}", {}), "{}")
end)
