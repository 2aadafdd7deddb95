--- Streams of Responses upstreams that go through.

local codex = require "translators.codex"
local collect = require "lib.responses_collect"
local replay = require "lib.responses_replay"
local support = require "tests.responses_support"

local value = support.value

local function gather(frames, given)
  local gathered = collect.new(support.context(given or { model = "mine" }))
  for _, frame in ipairs(frames) do gathered.push(frame[1], frame[2]) end
  return gathered.finish()
end

local function item(index, text)
  return { "response.output_item.done",
    '{"type":"response.output_item.done","output_index":' .. index .. ',"item":' .. text .. "}" }
end

local EMPTY = { "", '{"type":"response.completed","response":{"id":"resp_1","model":"up","output":[],"x":1.0}}' }

test("a final event without items gets those of the stream, in their order (25)", function()
  local text = assert(gather { { "response.created", '{"type":"response.created"}' },
    item(1, '{"id":"b","n":2.0}'), item(0, '{"id":"a"}'), EMPTY })
  same(text, '{"id":"resp_1","model":"mine","output":[{"id":"a"},{"id":"b","n":2.0}],"x":1.0}')
end)

test("a final event with items stays as it is", function()
  local text = assert(gather { item(0, '{"id":"a"}'),
    { "", '{"type":"response.completed","response":{"output":[ {"id":"c"} ]}}' } })
  same(value(text).output[1].id, "c")
end)

test("a stream that fails or breaks off gives an error (21, 28)", function()
  local function kind(frames)
    local text, problem = gather(frames)
    same(text, nil)
    return problem.kind
  end
  same(kind {}, "truncated")
  same(kind { { "", "nonsense" }, { "", "7" }, { "response.completed", "{}" } }, "truncated")
  same(kind { { "error", '{"type":"error","code":"rate_limit_exceeded","message":"m"}' }, EMPTY }, "rate_limit")
  same(kind { { "", '{"type":"response.failed","response":{"error":{"code":"server_is_overloaded"}}}' } },
    "overloaded")
end)

test("an answer that went through is found again until it is forgotten", function()
  local ctx = support.context { replay = support.replay(), upstream = { dialect = "responses", variant = "codex" } }
  local body = '{"model":"m","input":"one"}'
  assert(collect.is_wanted(body, ctx) and not collect.is_wanted('{"store":false}', ctx)
    and not collect.is_wanted(body, support.context()))
  local text = assert(gather({ item(0, '{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}'), EMPTY }))
  collect.remember(ctx, text, codex.adapt(body, ctx))
  local next_body = value(codex.adapt('{"input":[{"type":"item_reference","id":"fc_1"}],"previous_response_id":"resp_1"}', ctx))
  same({ #next_body.input, next_body.input[1].content[1].text, next_body.input[2].call_id,
    next_body.input[3].call_id }, { 3, "one", "c", "c" })
  same({ replay.forget(ctx, "resp_1"), replay.forget(ctx, "resp_1"), replay.item(ctx, "fc_1") },
    { true, false })
end)
