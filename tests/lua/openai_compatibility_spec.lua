--- OpenAI-compatible servers: what is recorded of their oddities.

local support = require "tests.support"
local json = require "json"
local wire = require "tests.wire"

local function given(name, fields)
  return support.reset {
    credentials = { support.account("a", { nice = "vendor/real" }, fields) },
    upstream = { wire.answer("openai_compatibility/" .. name) },
  }
end

-- A stream as the client sees it: its text, why it ended, whether [DONE] is its last event (and there
-- is one), the error in it.
local function stream(name, body)
  given(name)
  local client = support.chat(body or '{"model":"nice","stream":true,"messages":[]}')
  local seen = { status = client.status, text = "", chunks = {} }
  if client.sent_headers["content-type"]:find("json", 1, true) then
    seen.problem = json.decode(client.sent).error
    return seen
  end
  local list = {}
  for data in client.sent:gmatch "data: ([^\n]*)\n\n" do list[#list + 1] = data end
  seen.done = list[#list] == "[DONE]" and select(2, client.sent:gsub("%[DONE%]", "")) == 1
  for _, data in ipairs(list) do
    local chunk = data ~= "[DONE]" and json.decode(data)
    if chunk and chunk.error then seen.problem = chunk.error end
    seen.chunks[#seen.chunks + 1] = chunk or nil
    local choice = chunk and chunk.choices and chunk.choices[1]
    if choice then
      seen.text = seen.text .. (choice.delta.content or "")
      if choice.finish_reason ~= json.null then seen.reason = choice.finish_reason end
    end
  end
  return seen
end

for _, name in ipairs { "stream_comments", "stream_without_done", "stream_done_twice",
  "stream_without_spaces", "stream_azure_filter", "stream_usage_in_every_chunk",
  "stream_empty_reason" } do
  test(name .. ": arrives whole and ends once", function()
    local seen = stream(name)
    same({ seen.status, seen.text, seen.reason, seen.done, seen.problem }, { 200, "Hello", "stop", true })
  end)
end

test("usage that nobody asked for is left out, all else stays", function()
  same(#stream("stream_comments").chunks, 3)
  local asked = '{"model":"nice","stream":true,"messages":[],"stream_options":{"include_usage":true}}'
  local seen = stream("stream_comments", asked)
  same(#seen.chunks, 4)
  same(seen.chunks[4].usage.total_tokens, 11)
  -- Not the chunk that only tells of filters.
  same(stream("stream_azure_filter").chunks[1].prompt_filter_results ~= nil, true)
  same(stream("stream_usage_in_every_chunk").chunks[2].usage.total_tokens, 11)
end)

test("a stream that just stops is not complete", function()
  local seen = stream "stream_without_end"
  same({ seen.status, seen.text, seen.done }, { 200, "Hello", false })
  same(seen.problem.message:find("before the answer was complete", 1, true) ~= nil, true)
end)

test("an error that comes first has a status of its own", function()
  for name, status in pairs {
    stream_error_first = 429, stream_error_unwrapped = 500, stream_error_text = 502,
    error_in_200 = 429, error_in_200_no_code = 502, error_text_in_200 = 502,
    error_unwrapped_in_200 = 400, error_unwrapped = 400,
  } do
    local seen = stream(name)
    same({ name, seen.status, type(seen.problem.message) }, { name, status, "string" })
  end
end)

test("an error in the middle of a stream is the end of it", function()
  for name, message in pairs {
    stream_error_midway = "Upstream idle timeout exceeded",
    stream_error_unwrapped_midway = "The engine is dead.",
  } do
    local seen = stream(name)
    same({ seen.status, seen.text, seen.done, seen.problem.message }, { 200, "Hel", false, message })
  end
end)

test("whole answers and their errors", function()
  local function whole(name)
    given(name)
    local client = support.chat '{"model":"nice","messages":[]}'
    return client.status, json.decode(client.sent), client.sent_headers["retry-after"]
  end
  local status, answer = whole "whole_behind_blank_lines"
  same({ status, answer.model, answer.choices[1].message.content }, { 200, "nice", "Hello" })
  for name, expected in pairs {
    error_in_200 = { 429, "Rate limit exceeded: free-models-per-day" },
    error_in_200_no_code = { 502, "No instances available" },
    error_text_in_200 = { 502, "model 'x' not found, try pulling it first" },
    error_unwrapped_in_200 = { 400, "This model's maximum context length is 4096 tokens." },
    error_unwrapped = { 400, "This model's maximum context length is 4096 tokens." },
    error_list = { 429, "Resource has been exhausted" },
    error_detail = { 401, "Invalid API key" },
  } do
    status, answer = whole(name)
    same({ name, status, answer.error.message }, { name, expected[1], expected[2] })
  end
  -- In the client's own shape already: unchanged.  Another client is told the words inside.
  same(select(2, whole "error_nested").error.message:find "^{" ~= nil, true)
  given "error_nested"
  local client = support.ask("POST", "/v1/messages", {},
    '{"model":"nice","max_tokens":9,"messages":[{"role":"user","content":"x"}]}')
  same(json.decode(client.sent).error.message, "tools is not supported")
  local after
  status, answer, after = whole "error_retry_after"
  same({ status, answer.error.message, after }, { 429, "slow down", "12" })
end)

test("several names under one alias are a pool", function()
  local state = support.reset {
    credentials = { support.account("a", {}, { entry = { models = {
      { name = "big-1", alias = "big" }, { name = "big-2", alias = "big" }, { name = "small" },
    } } }) },
  }
  state.upstream = function() return { text = '{"choices":[]}' } end
  for _ = 1, 4 do support.chat '{"model":"big","messages":[]}' end
  local seen = {}
  for i, call in ipairs(state.calls) do seen[i] = json.decode(call.body).model end
  same(seen, { "big-1", "big-2", "big-1", "big-2" })
  -- One that fails leaves the request to the other.
  state.upstream = function(request)
    local name = json.decode(request.body).model
    return name == "big-1" and { status = 429, text = "{}" } or { text = '{"choices":[]}' }
  end
  for _ = 1, 3 do same(support.chat('{"model":"big","messages":[]}').status, 200) end
end)

test("an entry that is off, or has no address, serves nobody", function()
  support.reset { credentials = { support.account("a", { nice = "n" }, { entry = { disabled = true } }) } }
  same(support.chat('{"model":"nice","messages":[]}').status, 404)
  support.reset { credentials = { support.account("a", { nice = "n" }, { base_url = "" }) } }
  local client = support.chat '{"model":"nice","messages":[]}'
  same(client.status, 500)
  same(client.sent:find("base-url", 1, true) ~= nil, true)
end)
