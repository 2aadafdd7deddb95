--- Requests of Gemini's clients come out of the neutral form as they went in.
---
--- A fixture is {request, canonical?, translator?}: canonical is what comes out where the same thing
--- has several spellings; in it `%turn|block|name|args%` stands for the id of a call without one.

local caps = require "lib.caps"
local ids = require "lib.ids"
local json = require "json"

local SHAPE = json.shape { known = { "translator", request = "raw", canonical = "raw" } }

local names = {
  "small", "spellings", "gemini_cli", "gemini_cli_router", "ai_sdk_google", "ai_sdk_google_history",
  "everything", "choices", "thinking_auto",
}

local function read(name)
  local file = assert(io.open("tests/fixtures/gemini/" .. name .. ".json"))
  local text = file:read "a"
  file:close()
  return assert(json.decode(text, SHAPE))
end

local function value(text)
  return json.encode((json.decode((tostring(text):gsub("%%(%d)|(%d)|(%w+)|(.-)%%",
    function(turn, block, tool, args) return ids.missing(turn, block, tool, (args:gsub("\\", ""))) end)))))
end

for _, name in ipairs(names) do
  test("gemini: the request of " .. name .. " comes out as it went in", function()
    local fixture = read(name)
    local translator = require("translators." .. (fixture.translator or "gemini"))
    local model = "gemini-2.5-pro"
    local own = {}
    for key, cap in pairs(caps.of(model, "gemini")) do own[key] = cap end
    own.tool_result_media = "parts"
    -- Amounts are fitted by normalisation, not here.
    own.thinking = { kind = "hybrid" }
    local ctx = {
      client = { dialect = "gemini" }, upstream = { dialect = "gemini" }, model = model,
      upstream_model = model, caps = own, warn = function(code) error(code) end,
    }
    local out = translator.encode_request(translator.decode_request(tostring(fixture.request), ctx), ctx)
    same(value(out), value(fixture.canonical or fixture.request))
    -- What came out is canonical.
    same(translator.encode_request(translator.decode_request(out, ctx), ctx), out)
  end)
end

test("gemini: raw values come out byte for byte (101)", function()
  local translator = require "translators.gemini"
  local ctx = {
    client = { dialect = "gemini" }, upstream = { dialect = "gemini" }, caps = caps.of("g", "gemini"),
    warn = function(code) error(code) end,
  }
  local out = translator.encode_request(translator.decode_request(tostring(read "everything".request), ctx), ctx)
  for _, raw in ipairs {
    '{"z":1.0,"a":[{},[],null]}', '{"a":{"b":2.50},"list":[]}', '{"k":[1.0,12345678901234567890]}',
    '{"startOffset":"3s","fps":0.50}', '{"type":"object","properties":{"z":{"type":"number","default":1.0}}}',
  } do
    assert(out:find(raw, 1, true), raw)
  end
end)
