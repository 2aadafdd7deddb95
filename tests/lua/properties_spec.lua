--- Properties that hold for every pair of dialects, on made-up conversations and answers.

local fold = require "lib.fold"
local hub = require "lib.hub"
local json = require "json"
local made_up = require "tests.properties_support"
local normalise = require "lib.normalise"
local sse = require "sse"

local DIALECTS, TARGETS = made_up.DIALECTS, made_up.TARGETS

-- A context with ids that count, so that two runs give the same bytes.
local function context(client, upstream, stream)
  local target, count = TARGETS[upstream], 0
  return hub.context {
    client = client, upstream = upstream, model = "m", upstream_model = target.model,
    provider = target.provider, created = 1760000001, stream = stream,
    unique = function(prefix, length)
      count = count + 1
      return prefix .. ("x"):rep(length - #tostring(count)) .. count
    end,
  }
end

local function each_pair(work)
  for _, client in ipairs(DIALECTS) do
    for _, upstream in ipairs(DIALECTS) do
      local fine, problem = xpcall(work, function(raised)
        return client .. " to " .. upstream .. ": " .. debug.traceback(tostring(raised))
      end, client, upstream)
      if not fine then error(problem, 0) end
    end
  end
end

-- --- requests ------------------------------------------------------------------------------------

-- All strings of a value, in the order of its lists; JSON inside strings is looked into as well.
local function strings(value, out)
  out = out or {}
  if type(value) == "string" then
    local inner = value:sub(1, 1) == "{" and json.decode(value)
    if type(inner) == "table" then return strings(inner, out) end
    out[#out + 1] = value
  elseif type(value) == "table" then
    if json.is_array(value) then
      for _, inner in ipairs(value) do strings(inner, out) end
    else
      for _, name in ipairs(json.keys(value)) do strings(value[name], out) end
    end
  end
  return out
end

local function count_of(list, word)
  local count = 0
  for _, text in ipairs(list) do
    local at = text:find(word, 1, true)
    while at do
      count = count + 1
      at = text:find(word, at + #word, true)
    end
  end
  return count
end

local function check_words(made, body)
  local list = strings(body)
  local function once(word) same({ word, count_of(list, word) }, { word, 1 }) end
  if made.system then once(made.system) end
  for _, step in ipairs(made.steps) do
    for _, text in ipairs(step.texts or {}) do once(text) end
    for _, call in ipairs(step.calls or {}) do once(json.decode(call.args).path) end
    for _, result in ipairs(step.results or {}) do once(result.text) end
  end
end

local order = {}

function order.chat(body)
  local open = {}
  for _, message in ipairs(body.messages) do
    if message.role == "tool" then
      assert(open[1] == message.tool_call_id, "results stand right behind their calls")
      table.remove(open, 1)
    else
      same(open, {})
    end
    for _, call in ipairs(message.tool_calls or {}) do open[#open + 1] = call.id end
    assert(message.tool_calls or message.content ~= json.null and message.content ~= "", "no empty message")
  end
  same(open, {})
end

function order.responses(body)
  local open = {}
  for _, item in ipairs(body.input) do
    if item.type == "function_call" then
      assert(not open[item.call_id], "ids are unique")
      open[item.call_id] = true
    elseif item.type == "function_call_output" then
      assert(open[item.call_id], "a result comes after its call")
      open[item.call_id] = nil
    elseif item.type == "message" or item.role then
      assert(next(open) == nil, "nothing stands between calls and results")
    end
  end
  assert(next(open) == nil, "every call has a result")
end

function order.anthropic(body)
  local open, before = {}, nil
  for _, message in ipairs(body.messages) do
    assert(message.role == "user" or message.role == "assistant" or message.role == "system", message.role)
    assert(message.role == "system" or message.role ~= before, "roles take turns")
    if message.role ~= "system" then before = message.role end
    local calls, content = {}, message.content
    for i, block in ipairs(type(content) == "table" and content or {}) do
      if block.type == "tool_result" then
        same(block.tool_use_id, open[1])
        assert(i == 1 or content[i - 1].type == "tool_result", "results come first")
        table.remove(open, 1)
      elseif block.type == "tool_use" then
        calls[#calls + 1] = block.id
      elseif block.type == "thinking" then
        assert(block.signature ~= "", "thinking is signed")
      end
    end
    same(open, {})
    open = calls
  end
  same(open, {})
  same(body.messages[1].role, "user")
end

function order.gemini(body)
  local open, before = 0, nil
  for _, content in ipairs(body.contents) do
    assert(content.role == "user" or content.role == "model", content.role)
    assert(content.role ~= before, "roles take turns")
    before = content.role
    local calls, results = 0, 0
    for _, part in ipairs(content.parts) do
      if part.functionCall then calls = calls + 1 end
      if part.functionResponse then results = results + 1 end
    end
    same(results, open)
    open = calls
  end
  same(open, 0)
  same(body.contents[1].role, "user")
end

test("no text, call or result of a conversation is lost between any two dialects", function()
  each_pair(function(client, upstream)
    for seed = 1, 60 do
      local made = made_up.conversation(seed)
      local ctx = context(client, upstream)
      local text, problem = hub.request(made_up.body(made, client), ctx)
      assert(text, problem and problem.message)
      local body = assert(json.decode(text))
      check_words(made, body)
      order[upstream](body)
    end
  end)
end)

-- A value written down; what the pairing tells results about their calls does not count.
local function written(value)
  if type(value) ~= "table" then return tostring(value) end
  local of_result, names, parts = value.type == "tool_result", {}, {}
  for name in pairs(value) do
    if not of_result or name ~= "name" and name ~= "kind" then names[#names + 1] = tostring(name) end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    parts[i] = name .. "=" .. written(value[name] == nil and value[tonumber(name)] or value[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

test("the request that was decoded stays as it was, for the next candidate", function()
  each_pair(function(client, upstream)
    for seed = 1, 20 do
      local ctx = context(client, upstream)
      local request = assert(hub.read(made_up.body(made_up.conversation(seed), client), ctx))
      local before = written(request)
      normalise.run(request, ctx)
      same(written(request), before)
    end
  end)
end)

test("the same request gives the same bytes again", function()
  each_pair(function(client, upstream)
    for seed = 1, 10 do
      local body = made_up.body(made_up.conversation(seed), client)
      same(hub.request(body, context(client, upstream)), hub.request(body, context(client, upstream)))
    end
  end)
end)

-- --- answers -------------------------------------------------------------------------------------

-- What an upstream of the dialect would send for the answer.
local function upstream_frames(response, dialect)
  local ctx = context(dialect, dialect, true)
  local encoder = ctx.of_client.encode_stream(ctx)
  local frames = {}
  local function add(more)
    for _, frame in ipairs(more or {}) do frames[#frames + 1] = { name = frame.name, data = frame.data } end
  end
  for _, event in ipairs(fold.unfold(response)) do add(encoder.event(event)) end
  add(encoder.eof())
  return frames
end

-- A context whose request was translated: a small one, as it is done for each cut of a stream.
local requests = {}
local function prepared(client, upstream)
  requests[client] = requests[client]
    or made_up.body({ model = "m", steps = { { role = "user", texts = { "hi" } } } }, client)
  local ctx = context(client, upstream, true)
  assert(hub.request(requests[client], ctx))
  return ctx
end

-- The client's frames for the pieces of an upstream's stream.
local function translated(client, upstream, pieces)
  local decoder, stream, lines = sse.decoder(), hub.stream(prepared(client, upstream)), {}
  local function add(frames)
    for _, frame in ipairs(frames) do lines[#lines + 1] = frame.name .. " " .. frame.data end
  end
  local function take()
    for name, data in function() return decoder:next() end do add(stream.push(name, data)) end
  end
  for _, piece in ipairs(pieces) do
    assert(decoder:feed(piece))
    take()
  end
  decoder:finish()
  take()
  add(stream.finish())
  assert(not stream.error(), "the stream ended well")
  return lines
end

-- The words of an answer as a client of the dialect reads them: collected from its stream.
local function read_back(dialect, lines)
  local collector = hub.collect(context("chat", dialect, true))
  for _, line in ipairs(lines) do
    local name, data = line:match("^(%S*) (.*)$")
    collector.push(name, data)
  end
  return assert(collector.finish())
end

local function check_answer(response, text)
  local message = json.decode(text).choices[1].message
  local words, args = {}, {}
  for _, block in ipairs(response.choices[1].blocks) do
    if block.type == "text" then words[#words + 1] = block.text end
    if block.type == "tool_call" then args[#args + 1] = block.name .. " " .. block.args end
  end
  local got = {}
  for i, call in ipairs(message.tool_calls or {}) do
    got[i] = call["function"].name .. " " .. json.encode(json.decode(call["function"].arguments))
  end
  same(got, args)
  local content = message.content ~= json.null and message.content or ""
  for _, word in ipairs(words) do same({ word, count_of({ content }, word) }, { word, 1 }) end
end

test("no text or call of a streamed answer is lost between any two dialects", function()
  each_pair(function(client, upstream)
    for seed = 1, 30 do
      local response = made_up.answer(seed)
      local bytes = made_up.bytes(upstream_frames(response, upstream))
      check_answer(response, read_back(client, translated(client, upstream, { bytes })))
    end
  end)
end)

test("no text or call of a whole answer is lost between any two dialects", function()
  each_pair(function(client, upstream)
    for seed = 1, 30 do
      local response = made_up.answer(seed)
      local from = context(upstream, upstream)
      local whole = from.of_client.encode_response(response, from)
      local text = assert(hub.whole(whole, prepared(client, upstream)))
      check_answer(response, assert(hub.whole(text, context("chat", client))))
    end
  end)
end)

local place = {}
for i, dialect in ipairs(DIALECTS) do place[dialect] = i end

test("a stream cut at any byte gives the same frames", function()
  each_pair(function(client, upstream)
    local bytes = made_up.bytes(upstream_frames(made_up.answer(2), upstream))
    local wanted = table.concat(translated(client, upstream, { bytes }), "\n")
    -- A cut at every byte in one run, then one cut at a time.
    local single = {}
    for i = 1, #bytes do single[i] = bytes:sub(i, i) end
    same(table.concat(translated(client, upstream, single), "\n"), wanted)
    -- Each cut for one of the clients: what comes after the decoder is the same for all.
    for cut = place[client], #bytes - 1, #DIALECTS do
      local got = translated(client, upstream, { bytes:sub(1, cut), bytes:sub(cut + 1) })
      if table.concat(got, "\n") ~= wanted then
        error("cut at byte " .. cut .. ": " .. bytes:sub(cut - 20, cut))
      end
    end
  end)
end)

test("a stream that breaks off at any event ends in frames or a problem", function()
  each_pair(function(client, upstream)
    local frames = upstream_frames(made_up.answer(5), upstream)
    for last = 0, #frames - 1 do
      local stream, count = hub.stream(prepared(client, upstream)), 0
      for i = 1, last do count = count + #stream.push(frames[i].name, frames[i].data) end
      count = count + #stream.finish()
      assert(count > 0 or stream.problem(), "neither frames nor a problem after event " .. last)
    end
  end)
end)
