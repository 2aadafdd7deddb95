--- Codex' search for tools, over upstreams of other vendors.

local hub = require "lib.hub"
local json = require "json"
local support = require "tests.responses_support"

local value = support.value

local TOOL = '{"type":"tool_search","execution":"client","description":"finds","parameters":'
  .. '{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}}'
local CALL = '{"type":"tool_search_call","id":"tsc_1","call_id":"c1","execution":"client",'
  .. '"status":"completed","arguments":{"query":"write"}}'

local function output(id, ...)
  local tools = {}
  for i, name in ipairs { ... } do
    tools[i] = '{"type":"function","name":"' .. name .. '","defer_loading":true,"parameters":'
      .. '{"type":"object","properties":{}}}'
  end
  local space = #tools > 0 and '{"type":"namespace","name":"mcp__desk","description":"d","tools":['
    .. table.concat(tools, ",") .. "]}" or ""
  return '{"type":"tool_search_output","call_id":"' .. id .. '","execution":"client",'
    .. '"status":"completed","tools":[' .. space .. "]}"
end

local function ask(items, upstream, tool)
  local ctx = hub.context {
    client = "responses", upstream = upstream, model = "gpt-5.5", upstream_model = "m",
    provider = ({ chat = "openai_compatibility", codex = "codex" })[upstream],
    created = 1760000000,
    unique = function(prefix, length) return prefix .. ("0"):rep(length) end,
  }
  local text, problem = hub.request('{"model":"gpt-5.5","input":[{"role":"user","content":"x"}'
    .. items .. '],"tools":[' .. (tool or TOOL) .. "]}", ctx)
  assert(text, problem and problem.message)
  return value(text), ctx
end

local function warned(ctx)
  local codes = {}
  for i, warning in ipairs(ctx.warnings) do codes[i] = warning.code end
  return codes
end

test("the search is a function for others, and as it was for OpenAI", function()
  local body, ctx = ask("", "chat")
  local fn = body.tools[1]["function"]
  same({ fn.name, fn.description, fn.parameters.required, warned(ctx) },
    { "tool_search", "finds", { "query" }, {} })
  same(ask("", "codex").tools[1], value(TOOL))
end)

test("a search of OpenAI's servers is nothing for others", function()
  local body, ctx = ask("", "chat", '{"type":"tool_search"}')
  same({ body.tools, warned(ctx) }, { nil, { "drop.tool" } })
end)

test("what was found is declared, once, and said in words", function()
  local body, ctx = ask("," .. CALL .. "," .. output("c1", "write", "read") .. "," .. CALL:gsub('"c1"', '"c2"')
    .. "," .. output("c2", "write") .. "," .. CALL:gsub('"c1"', '"c3"') .. "," .. output "c3", "chat")
  local names = {}
  for i, tool in ipairs(body.tools) do names[i] = tool["function"].name end
  same(names, { "tool_search", "mcp__desk__write", "mcp__desk__read" })
  local call = body.messages[2].tool_calls[1]
  same({ call.id, call["function"].name, value(call["function"].arguments) },
    { "c1", "tool_search", { query = "write" } })
  same({ body.messages[3].content, body.messages[7].content }, {
    "Found tools, which can be called now: mcp__desk__write, mcp__desk__read", "No tools found",
  })
  same(warned(ctx), {})
end)

test("items of a search go back to OpenAI as they were", function()
  local body = ask("," .. CALL .. "," .. output("c1", "write"), "codex")
  same({ body.input[2], json.encode(body.input[3]) },
    { value(CALL), json.encode(value(output("c1", "write"))) })
end)

test("an item of a search without an id is refused", function()
  local ctx = hub.context { client = "responses", upstream = "chat", model = "m", upstream_model = "m",
    provider = "openai_compatibility", created = 1 }
  local text, problem = hub.request('{"model":"m","input":[' .. output("c1"):gsub('"c1"', "null")
    .. "]}", ctx)
  same({ text, problem.param }, { nil, "input[0].call_id" })
end)

local function chunk(delta, finish)
  return '{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    .. '"delta":' .. delta .. ',"finish_reason":' .. (finish or "null") .. "}]}"
end

test("a call of the search comes back as an item of its own, whole", function()
  local _, ctx = ask("", "chat")
  local stream = hub.stream(ctx)
  local told, last = {}, nil
  for _, data in ipairs {
    chunk '{"role":"assistant","tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"tool_search","arguments":""}}]}',
    chunk '{"tool_calls":[{"index":0,"function":{"arguments":"{\\"query\\":"}}]}',
    chunk '{"tool_calls":[{"index":0,"function":{"arguments":"\\"write\\"}"}}]}',
    chunk("{}", '"tool_calls"'), "[DONE]",
  } do
    for _, frame in ipairs(stream.push("", data)) do
      last = value(frame.data)
      told[#told + 1] = last.type .. (last.item and " " .. json.encode(last.item.arguments) or "")
    end
  end
  same(told, {
    "response.created", "response.in_progress", "response.output_item.added {}",
    'response.output_item.done {"query":"write"}', "response.completed",
  })
  same(last.response.output[1], {
    type = "tool_search_call", id = "tsc_c1", call_id = "c1", execution = "client",
    status = "completed", arguments = { query = "write" },
  })
  same(last.response.tools, { value(TOOL) })
end)

test("a cut off call of the search is incomplete", function()
  local _, ctx = ask("", "chat")
  local text = assert(hub.whole('{"id":"1","model":"m","choices":[{"index":0,"finish_reason":"length",'
    .. '"message":{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":'
    .. '{"name":"tool_search","arguments":"{\\"que"}}]}}]}', ctx))
  local item = value(text).output[1]
  same({ item.type, item.status, item.arguments }, { "tool_search_call", "incomplete", {} })
end)
