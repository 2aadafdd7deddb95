--- Pages of AI Studio that answer with values of the wrong kind: calls end with an answer or a
--- problem in the client's form.

local support = require "tests.support"
local hostile = require "tests.hostile"
local json = require "json"

local PAGE = { id = "aistudio-x", provider = "aistudio", name = "aistudio", kind = "none", label = "page", entry = {} }

local BODY = '{"contents":[{"role":"user","parts":[{"text":"x"}]}]}'

local scripts = {
  { { "http_response", { status = 200, headers = { ["content-type"] = { "application/json" } },
    body = '{"candidates":[]}' } } },
  { { "stream_start", { status = 200, headers = { a = "b" } } },
    { "stream_chunk", { data = 'data: {"candidates":[{"finishReason":"STOP"}]}\n\n' } }, { "stream_end", {} } },
  { { "error", { status = 503, error = "no" } } },
  { { "stream_start", { status = 429, headers = {} } }, { "stream_chunk", { data = '{"error":{"code":429}}' } },
    { "stream_end", {} } },
}

for n, script in ipairs(scripts) do
  test("odd messages of a page raise nothing, script " .. n, function()
    hostile.each(script, function(odd)
      -- C gives every message a type; what is none ends nothing.
      local messages = {}
      for i, message in ipairs(type(odd) == "table" and odd or {}) do
        local kind, payload = script[i] and script[i][1] or "other", type(message) == "table" and message[2]
        messages[i] = { kind, type(payload) == "table" and payload or {} }
      end
      for _, method in ipairs { "generateContent", "streamGenerateContent?alt=sse", "countTokens" } do
        support.reset { credentials = { PAGE }, page = messages }
        local client = support.ask("POST", "/v1beta/models/gemini-2.5-flash:" .. method, nil, BODY)
        assert(client.finished and client.status ~= 500, client.sent)
        assert(client.status == 200 or json.decode(client.sent))
      end
    end)
  end)
end
