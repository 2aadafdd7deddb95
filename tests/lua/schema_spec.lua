--- Cleaning JSON Schemas for the targets.

local json = require "json"
local schema = require "lib.schema"

local function clean(text, profile, options)
  local raw, coercions = schema.clean(json.raw(text), profile, options)
  return json.decode(raw), coercions, tostring(raw)
end

local function check(text, profile, wanted, options)
  local got, coercions = clean(text, profile, options)
  same(got, json.decode(wanted))
  return coercions
end

local PROFILES = { "full", "claude", "gemini_strict", "gemini_rich" }

test("what is no schema becomes one of an object without properties", function()
  for _, profile in ipairs(PROFILES) do
    same(tostring(schema.clean(nil, profile)), '{"type":"object","properties":{}}')
    for _, text in ipairs { "null", "3", '"x"', "true", "[]", "{}", '{"type":"OBJECT"}', '{"type":7}' } do
      check(text, profile, '{"type":"object","properties":{}}')
    end
  end
end)

test("objects get properties, types are lower-cased, required lists are mended", function()
  for _, profile in ipairs(PROFILES) do
    check('{"type":"OBJECT","properties":{"a":{"type":"STRING","required":true},"b":{"type":"object"}}}',
      profile, '{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"object","properties":{}}},'
        .. '"required":["a"]}')
    check('{"q":{"type":"string"},"n":{"type":"integer"}}', profile,
      '{"type":"object","properties":{"q":{"type":"string"},"n":{"type":"integer"}}}')
  end
end)

test("pitfall 46: names of properties are data, even when they look like keywords", function()
  local text = '{"type":"object","properties":{"title":{"type":"string"},"format":{"type":"string"},'
    .. '"properties":{"type":"object","properties":{"default":{"type":"string"}}},'
    .. '"type":{"type":"string"},"$ref":{"type":"string"},"required":{"type":"boolean"}},"required":["title"]}'
  for _, profile in ipairs(PROFILES) do check(text, profile, text) end
end)

test("OpenAI keeps all but $schema", function()
  check('{"$schema":"s","type":"object","properties":{"a":{"type":["string","null"],"minLength":1,'
    .. '"default":"x","anyOf":[{"const":"x"}]}},"additionalProperties":false}', "full",
    '{"type":"object","properties":{"a":{"type":["string","null"],"minLength":1,"default":"x",'
    .. '"anyOf":[{"const":"x"}]}},"additionalProperties":false}')
end)

test("Claude gets no choice at the root but keeps nested ones", function()
  check('{"$schema":"s","anyOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},'
    .. '{"properties":{"b":{"anyOf":[{"type":"string"},{"type":"null"}]}}}]}', "claude",
    '{"$schema":"s","type":"object","properties":{"a":{"type":"string"},'
    .. '"b":{"anyOf":[{"type":"string"},{"type":"null"}]}}}')
  check('{"allOf":[{"properties":{"a":{"type":"string"}},"required":["a"]}]}', "claude",
    '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}')
end)

test("the order of members is kept", function()
  local _, _, text = clean('{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}',
    "gemini_strict")
  same(text, '{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}')
end)

test("the example of the specification", function()
  check('{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"path":'
    .. '{"type":"string","minLength":1},"limit":{"type":["integer","null"]}},"required":["path","limit"],'
    .. '"additionalProperties":false}', "gemini_strict",
    '{"type":"object","properties":{"path":{"type":"string","description":"minLength: 1"},"limit":'
    .. '{"type":"integer","description":"nullable"}},"required":["path"],'
    .. '"description":"No extra properties allowed"}')
end)

test("strict Gemini: hints follow a description, and are not repeated", function()
  check('{"type":"object","properties":{"a":{"type":"string","description":"A","pattern":"^x$","format":"uri",'
    .. '"x-y":1,"title":"T","uniqueItems":true},"b":{"type":"array","description":"minItems: 1","minItems":1}}}',
    "gemini_strict",
    '{"type":"object","properties":{"a":{"type":"string","description":"A (pattern: ^x$; format: uri; '
    .. 'uniqueItems: true)"},"b":{"type":"array","description":"minItems: 1","items":{"type":"string"}}}}')
end)

test("strict Gemini: enumerations become strings and answers are turned back", function()
  local coercions = check('{"type":"object","properties":{"w":{"type":"integer","enum":[1,2]},'
    .. '"b":{"enum":[true]},"l":{"type":"array","items":{"const":1.5}},"s":{"type":"string","enum":["x"]}}}',
    "gemini_strict", '{"type":"object","properties":{"w":{"type":"string","enum":["1","2"],'
    .. '"description":"Allowed: 1, 2"},"b":{"type":"string","enum":["true"]},"l":{"type":"array","items":'
    .. '{"type":"string","enum":["1.5"]}},"s":{"type":"string","enum":["x"]}}}')
  same(schema.coerce('{"w":"2","b":"true","l":["1.5","z"],"s":"x"}', coercions),
    '{"w":2,"b":true,"l":[1.5,"z"],"s":"x"}')
  same(schema.coerce('{"w":"2 or 3","b":"yes"}', coercions), '{"w":"2 or 3","b":"yes"}')
  same(schema.coerce('{"w":', coercions), '{"w":')
  same(schema.coerce('{}', coercions), '{}')
end)

test("strict Gemini: one branch of a choice is taken, null makes it optional", function()
  check('{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"object","properties":'
    .. '{"k":{"type":"string"}}},{"type":"null"}]},"b":{"oneOf":[{"type":"integer"},{"type":"null"}],'
    .. '"description":"B"},"c":{"anyOf":[{"const":"x"},{"const":"y"}]}},"required":["a","b","gone"]}',
    "gemini_strict", '{"type":"object","properties":{"a":{"type":"object","properties":{"k":{"type":"string"}},'
    .. '"description":"Accepts: string, object; nullable"},"b":{"type":"integer","description":"B (nullable)"},'
    .. '"c":{"type":"string","enum":["x","y"],"description":"Allowed: x, y"}}}')
end)

test("strict Gemini: local references are inlined, cycles and others are named", function()
  check('{"type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"here"},"n":{"$ref":"#/$defs/N"},'
    .. '"x":{"$ref":"https://x.example/s.json#/X"}},"$defs":{"A":{"type":"string","description":"there"},'
    .. '"N":{"type":"object","properties":{"next":{"$ref":"#/$defs/N"}}}}}', "gemini_strict",
    '{"type":"object","properties":{"a":{"type":"string","description":"here"},"n":{"type":"object","properties":'
    .. '{"next":{"type":"object","description":"See: N"}}},"x":{"type":"object","description":"See: X"}}}')
end)

test("strict Gemini: allOf merges, the parent wins, conditions add properties", function()
  check('{"type":"object","description":"P","allOf":[{"description":"C","properties":{"a":{"type":"string"}},'
    .. '"required":["a"]}],"if":{"properties":{"a":{"const":"x"}}},"then":{"properties":{"b":{"type":"string"}}}}',
    "gemini_strict", '{"type":"object","description":"P","properties":{"a":{"type":"string"},'
    .. '"b":{"type":"string"}},"required":["a"]}')
end)

test("rich Gemini keeps choices, references, types and limits", function()
  check('{"$schema":"s","$id":"i","type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"x"},'
    .. '"b":{"oneOf":[{"type":"string","minLength":2},{"type":"null"}]},"c":{"const":1},"d":{"type":"array",'
    .. '"minItems":1},"e":{"type":["string","null"],"title":"E"}},"$defs":{"A":{"type":"string"}},'
    .. '"additionalProperties":false,"patternProperties":{"x":{}},"required":["a","zz"]}', "gemini_rich",
    '{"$id":"i","type":"object","properties":{"a":{"$ref":"#/$defs/A"},"b":{"anyOf":[{"type":"string",'
    .. '"description":"minLength: 2"},{"type":"null"}]},"c":{"enum":[1]},"d":{"type":"array","minItems":1,'
    .. '"items":{"type":"string"}},"e":{"type":["string","null"],"title":"E"}},"$defs":{"A":{"type":"string"}},'
    .. '"additionalProperties":false,"required":["a"]}')
end)

test("a schema of answers may have any root", function()
  check('{"type":"array","items":{"type":"string"}}', "gemini_rich",
    '{"type":"array","items":{"type":"string"}}', { any_root = true })
end)

test("Claude's answers have closed objects and no words that are not enforced", function()
  check('{"$schema":"s","type":"object","properties":{"n":{"type":"integer","minimum":1,'
    .. '"description":"N"},"l":{"type":"array","items":{"type":"object","properties":{}},'
    .. '"minItems":1,"maxItems":9}}}', "claude_answer",
    '{"type":"object","properties":{"n":{"type":"integer","description":"N (minimum: 1)"},'
    .. '"l":{"type":"array","items":{"type":"object","properties":{},"additionalProperties":false},'
    .. '"minItems":1,"description":"maxItems: 9"}},"additionalProperties":false}', { any_root = true })
end)

test("words of Google's own schemas may be in snake_case, names of properties stay", function()
  check('{"type":"OBJECT","properties":{"any_of":{"any_of":[{"type":"STRING"}],"max_length":"3"}},'
    .. '"additional_properties":false}', "full", '{"type":"object","properties":{"any_of":'
    .. '{"anyOf":[{"type":"string"}],"maxLength":3}},"additionalProperties":false}', { nullable = true })
end)

test("nullable becomes a type list where it comes from Gemini's clients", function()
  check('{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}}}', "full",
    '{"type":"object","properties":{"a":{"type":["string","null"]}}}', { nullable = true })
  check('{"type":"object","properties":{"a":{"type":"string","nullable":true}},"required":["a"]}',
    "gemini_strict", '{"type":"object","properties":{"a":{"type":"string","description":"nullable"}}}')
end)

test("references that multiply come to an end", function()
  local defs = {}
  for i = 1, 30 do
    local ref = '{"$ref":"#/$defs/d' .. i + 1 .. '"}'
    defs[i] = '"d' .. i .. '":{"type":"object","properties":{"a":' .. ref .. ',"b":' .. ref .. "}}"
  end
  local _, _, text = clean('{"type":"object","properties":{"r":{"$ref":"#/$defs/d1"}},"$defs":{'
    .. table.concat(defs, ",") .. "}}", "gemini_strict")
  assert(#text < 4000000, #text)
  local deep = ('{"type":"object","properties":{"a":'):rep(25) .. "{}" .. ("}}"):rep(25)
  for _, profile in ipairs(PROFILES) do clean(deep, profile) end
end)

test("nonsense inside a schema never raises", function()
  for _, value in ipairs { "null", "3", '"x"', "true", "[]", "{}", "[3]", '[null,{"type":[]}]', '{"a":null}' } do
    for _, word in ipairs { "type", "properties", "required", "items", "enum", "const", "anyOf", "allOf",
      "oneOf", "$ref", "$defs", "additionalProperties", "description", "minItems", "if", "then", "not",
      "nullable", "format", "default" } do
      for _, profile in ipairs(PROFILES) do
        local text = '{"type":"object","' .. word .. '":' .. value .. "}"
        if word == "type" then text = '{"type":' .. value .. "}" end
        clean(text, profile)
        clean('{"type":"object","properties":{"p":' .. text .. "}}", profile)
      end
    end
  end
end)

test("strict mode of OpenAI needs all properties and no others", function()
  same(schema.is_strict '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}', true)
  same(schema.is_strict '{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}', false)
  same(schema.is_strict '{"type":"object","properties":{}}', false)
end)
