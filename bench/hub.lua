-- The hub alone, without any network: microseconds a call, or which function takes the VM's time.
--
--     build/release/bench/bench_hub CLIENT UPSTREAM STAGE FILE [TIMES] [profile|memory]
--
-- FILE is a request in the client's dialect (STAGE `request`, or only `decode`, `normalise` or
-- `encode` of it), or an answer (`whole`) or `stream` (`collect`: for a whole answer) in the
-- upstream's dialect.  Called by bench/hub.c, which gives `clock`, `profile` and `memory`.

package.path = "lua/?.lua"

local hub = require "lib.hub"
local normalise = require "lib.normalise"
local sse = require "sse"

local client, upstream, stage, file, times, how = table.unpack(arg)
if not file then
  error("usage: bench_hub CLIENT UPSTREAM STAGE FILE [TIMES] [profile|memory]", 0)
end

local PROVIDERS = {
  chat = "openai_compatibility", responses = "codex", anthropic = "claude", gemini = "gemini",
}
local MODELS = { anthropic = "claude-sonnet-4-5", gemini = "gemini-2.5-pro" }

local handle = assert(io.open(file, "rb"))
local text = handle:read "a"
handle:close()

local function unique(prefix, length) return prefix .. ("0"):rep(length) end

local function context()
  local model = MODELS[upstream] or "bench-model"
  return hub.context {
    client = client, upstream = upstream, provider = PROVIDERS[upstream], model = model,
    upstream_model = model, created = 1, unique = unique, stream = stage == "stream",
  }
end

local function events_of(whole)
  local decoder, events = sse.decoder(), {}
  assert(decoder:feed(whole))
  decoder:finish()
  for name, data in function() return decoder:next() end do events[#events + 1] = { name, data } end
  return events
end

local stages = {}

function stages.request()
  return function() return assert(hub.request(text, context())) end
end

local function decoded(ctx)
  local request = ctx.of_client.decode_request(text, ctx)
  ctx.request = request
  return request
end

function stages.decode()
  return function() return decoded(context()) end
end

function stages.normalise()
  local ctx = context()
  local request = decoded(ctx)
  return function() return normalise.run(request, ctx) end
end

function stages.encode()
  local ctx = context()
  local request = normalise.run(decoded(ctx), ctx)
  return function() return ctx.of_upstream.encode_request(request, ctx) end
end

function stages.whole()
  return function() return assert(hub.whole(text, context())) end
end

function stages.stream()
  local events = events_of(text)
  return function()
    local stream = hub.stream(context())
    for i = 1, #events do stream.push(events[i][1], events[i][2]) end
    stream.finish()
    assert(not stream.error(), "the stream ends in an error")
  end
end

function stages.collect()
  local events = events_of(text)
  return function()
    local collector = hub.collect(context())
    for i = 1, #events do collector.push(events[i][1], events[i][2]) end
    return assert(collector.finish())
  end
end

local work = assert(stages[stage], "no such stage")()
times = tonumber(times) or 1000
for _ = 1, 20 do work() end

if not how then
  local begun = clock()
  for _ = 1, times do work() end
  print(("%.1f us"):format((clock() - begun) * 1e6 / times))
  return
end

-- The places with the largest figures.
local function show(title, found, form)
  local places = {}
  for place in pairs(found) do places[#places + 1] = place end
  table.sort(places, function(a, b)
    if found[a] ~= found[b] then return found[a] > found[b] end
    return a < b
  end)
  print(title)
  for i = 1, math.min(#places, 40) do print(form(found[places[i]], places[i])) end
end

if how == "memory" then
  for kind, found in pairs(memory(work)) do
    local sum = 0
    for _, count in pairs(found) do sum = sum + count end
    show(kind .. ": " .. sum, found, function(count, place)
      return ("%6d  %s"):format(count, place)
    end)
  end
  return
end

local counts = profile(work, times)
local function percent(count, place)
  return ("%6.1f %%  %s"):format(100 * count / counts.samples, place)
end

for place, n in pairs(counts.own) do counts.below[place] = (counts.below[place] or 0) + n end
show("in the function itself", counts.own, percent)
show("with what it calls", counts.below, percent)
