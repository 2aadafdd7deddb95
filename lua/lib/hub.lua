--- The translation hub: runs the translators of both sides with everything that is shared between.
---
--- Pure logic: bodies and events in, bodies and frames out.  I/O, waiting and retrying are the
--- caller's.

local caps_of = require "lib.caps"
local fold = require "lib.fold"
local ids = require "lib.ids"
local ir = require "lib.ir"
local names = require "lib.names"
local normalise = require "lib.normalise"
local problems = require "lib.problems"
local reject = require "lib.reject"
local restore = require "lib.restore"
local sequencer = require "lib.sequencer"
local warnings = require "lib.warnings"

local pcall, type = pcall, type

local M = {}

-- Events that come before anything is known to be good.
local HELD_MAX = 64

local NOTHING = {}

-- A variant may have a translator of its own; that of its base does without one.
local function translator(side)
  if side.variant then
    local fine, found = pcall(require, "translators." .. side.variant)
    if fine and type(found) == "table" and found.decode_request and found.encode_stream then
      return found
    end
  end
  return require("translators." .. side.dialect)
end

local loaded = {}

local function translator_of(side)
  local key = side.variant or side.dialect
  local found = loaded[key]
  if not found then
    found = translator(side)
    loaded[key] = found
  end
  return found
end

local function side_of(given)
  if type(given) == "table" then return given end
  local base = ir.base(given)
  return { dialect = base, variant = base ~= given and given or nil }
end

--- Makes the context of one translation.
--- @param given table  client and upstream (a dialect's or variant's name, or {dialect, variant,
---   ...}), model, upstream_model, provider and entry (or caps), created, unique, and optional:
---   replay, known_model, suffix (an amount of reasoning found by the router), stream (for bodies
---   that do not tell), upstream_stream (whether the upstream shall stream, else what the client
---   wishes), without_thinking (the retry after a refused signature), translators
---   ({client, upstream}, for tests)
--- @return TranslationContext
function M.context(given)
  local warn, list = warnings.new()
  local ctx = {
    client = side_of(given.client), upstream = side_of(given.upstream),
    model = given.model, upstream_model = given.upstream_model,
    caps = given.caps or caps_of.of(given.upstream_model or "", given.provider or "", given.entry),
    created = given.created, unique = given.unique, replay = given.replay,
    known_model = given.known_model, suffix = given.suffix,
    without_thinking = given.without_thinking, stream = given.stream,
    upstream_stream = given.upstream_stream,
    warn = warn, warnings = list,
  }
  ctx.base = ir.base(ctx.upstream.dialect)
  local own = given.translators
  ctx.of_client = own and own.client or translator_of(ctx.client)
  ctx.of_upstream = own and own.upstream or translator_of(ctx.upstream)
  return ctx
end

-- What `fn` gives, or nil and the problem it refused with.  Anything else raised is a bug.
local function guarded(fn, ...)
  local fine, result, more = pcall(fn, ...)
  if fine then return result, more end
  if reject.is(result) then return nil, result end
  error(result, 0)
end

local function translate_request(body, ctx)
  ctx.request = ctx.of_client.decode_request(body, ctx)
  -- Another candidate may be tried with the same context: nothing of an earlier one stays.
  ctx.coercions, ctx.emulation, ctx.names, ctx.ids = nil, nil, nil, nil
  local encoded = ctx.of_upstream.encode_request(normalise.run(ctx.request, ctx), ctx)
  -- An answer can take minutes, and no one asks for the conversation again.
  ctx.request.turns = {}
  return encoded
end

--- Translates a client's body for the upstream.
--- @param body string
--- @param ctx TranslationContext
--- @return string? body
--- @return Problem? problem
function M.request(body, ctx)
  return guarded(translate_request, body, ctx)
end

--- Reads a client's request without sending it (token counting).
--- @param body string
--- @param ctx TranslationContext
--- @return IrRequest?
--- @return Problem?
function M.read(body, ctx)
  return guarded(function()
    ctx.request = ctx.of_client.decode_request(body, ctx)
    return ctx.request
  end)
end

-- The maps are needed even where no request was translated.
local function ensure_maps(ctx)
  local request = ctx.request or ir.request()
  ctx.names = ctx.names or names.map(request, ctx.caps)
  ctx.ids = ctx.ids or ids.map(request, ctx)
end

local function is_empty(response)
  for _, choice in ipairs(response.choices) do
    if #choice.blocks > 0 then return false end
  end
  return true
end

-- A whole answer as the client's encoder gets it; nil and the problem of one that is none.
local function restored(response, err, ctx)
  if not response then return nil, problems.problem(err or problems.new("server", "no answer")) end
  local first = response.choices[1]
  if first and first.stop.reason == "malformed_call" and is_empty(response) then
    return nil, problems.problem(problems.new("malformed_call", "the model made a malformed call"))
  end
  ctx.usage = response.usage
  return restore.response(response, ctx)
end

local function decode_whole(body, ctx)
  ensure_maps(ctx)
  local response, err = ctx.of_upstream.decode_response(body, ctx)
  return restored(response, err, ctx)
end

--- Translates an upstream's whole answer for the client.
--- @param body string
--- @param ctx TranslationContext
--- @return string? body
--- @return Problem? problem
function M.whole(body, ctx)
  return guarded(function()
    local response, problem = decode_whole(body, ctx)
    if not response then return nil, problem end
    return ctx.of_client.encode_response(response, ctx)
  end)
end

-- Into a list of our own: an encoder may give the same list again and again.
local function append(frames, more)
  for i = 1, more and #more or 0 do frames[#frames + 1] = more[i] end
  return frames
end

-- The last part of the way from events to the client's frames, sequencer (where needed) and
-- encoder: `write(event)` appends to `frames`, which whoever has events sets before.
local function output(ctx)
  local encoder = ctx.of_client.encode_stream(ctx)
  local encode, self = encoder.event, { frames = nil, write = nil, eof = encoder.eof }

  local function write(event)
    local frames = self.frames
    local made = encode(event, frames)
    if made ~= frames then append(frames, made) end
  end

  self.write = ctx.of_client.sequential and sequencer.new(write) or write
  return self
end

--- A whole answer for a client that wants a stream: all its frames.
--- @param body string
--- @param ctx TranslationContext
--- @return Frame[]?
--- @return Problem?
function M.unfold(body, ctx)
  return guarded(function()
    local response, problem = decode_whole(body, ctx)
    if not response then return nil, problem end
    local out, frames = output(ctx), {}
    out.frames = frames
    for _, event in ipairs(fold.unfold(response)) do out.write(event) end
    return append(frames, out.eof())
  end)
end

--- A stream for a client that wants a whole answer: `push` the upstream's events, then `finish`.
--- @param ctx TranslationContext
--- @return {push: fun(name: string, data: string): boolean, finish: fun(): string?, Problem?}
function M.collect(ctx)
  ensure_maps(ctx)
  ctx.collecting = true
  local decoder = ctx.of_upstream.decode_stream(ctx)
  local gathered, push, frame, done = fold.new(), fold.push, decoder.frame, false

  local function take(events)
    for i = 1, #events do
      if done then return end
      local event = events[i]
      push(gathered, event)
      local kind = event.type
      done = kind == "end" or kind == "error"
    end
  end

  return {
    --- True when the answer is whole, so that nothing more has to be read.
    push = function(name, data)
      if not done then take(frame(name, data)) end
      return done
    end,
    finish = function()
      return guarded(function()
        if not done then take(decoder.eof()) end
        local gave, err = fold.response(gathered)
        local response, problem = restored(gave, err, ctx)
        if not response then return nil, problem end
        return ctx.of_client.encode_response(response, ctx)
      end)
    end,
  }
end

-- Events that say nothing about whether the answer will be good.
local metadata = { start = true, usage = true, keepalive = true }

--- One stream for a client.
---
--- Until the first event that is content, push gives no frames, so that a failure can still become
--- an HTTP error or another candidate's turn: then `problem` is set and nothing was given out.
--- After `begin()` (the head went out with keep-alives) errors before content come as frames.
--- A list of frames is good until the next call.
--- @class HubStream
--- @field push fun(name: string, data: string): Frame[], boolean  one upstream event; true when all
---   is said, and what comes after is ignored
--- @field finish fun(): Frame[]     the upstream closed
--- @field begin fun()               the head of the answer is out
--- @field fail fun(err: table): Frame[]  ends the stream with an error of our own (lib.problems)
--- @field is_committed fun(): boolean  content went out
--- @field problem fun(): Problem?   why it failed before the commit point
--- @field error fun(): table?       the error it ended with, before or after
--- @field usage fun(): table?       what the upstream reported so far

--- @param ctx TranslationContext
--- @return HubStream
function M.stream(ctx)
  ensure_maps(ctx)
  local decoder, out = ctx.of_upstream.decode_stream(ctx), output(ctx)
  local decode, emit = decoder.frame, restore.new(ctx, out.write)
  local held, committed, begun, done = {}, false, false, false
  local failure, usage

  local function commit()
    committed = true
    local waiting = held
    held = nil
    for i = 1, #waiting do emit(waiting[i]) end
  end

  local function fail(err)
    failure, done = err, true
    if not committed and not begun then return end
    if not committed then err.phase = "pre" end
    out.write { type = "error", error = err }
  end

  local function before_commit(event, kind)
    if kind == "stop" and event.stop and event.stop.reason == "malformed_call" then
      return fail(problems.new("malformed_call", "the model made a malformed call", "pre"))
    end
    if metadata[kind] and #held < HELD_MAX then
      if kind ~= "keepalive" then held[#held + 1] = event end
      return
    end
    commit()
    emit(event)
  end

  local function take(event)
    local kind = event.type
    if kind == "usage" then
      usage = ir.merge_usage(usage or ir.usage(), event.usage)
      ctx.usage = usage
    elseif kind == "error" then
      return fail(event.error or problems.new("server", "the upstream failed"))
    elseif kind == "end" then
      if not committed then commit() end
      done = true
    end
    if committed then emit(event) else before_commit(event, kind) end
  end

  local function take_all(list)
    for i = 1, #list do
      if done then break end
      take(list[i])
    end
  end

  local frames = {}
  out.frames = frames

  -- A stream has thousands of events, so there is one list.
  local function clear()
    for i = #frames, 1, -1 do frames[i] = nil end
  end

  return {
    push = function(name, data)
      if done then return NOTHING, true end
      clear()
      take_all(decode(name, data))
      return frames, done
    end,
    finish = function()
      clear()
      if not done then take_all(decoder.eof()) end
      if not done then
        fail(problems.new("truncated", "the upstream ended the stream early",
          committed and "mid" or "pre"))
      end
      if committed or begun then append(frames, out.eof()) end
      return frames
    end,
    begin = function() begun = true end,
    fail = function(err)
      if done then return NOTHING end
      clear()
      fail(err)
      return frames
    end,
    is_committed = function() return committed end,
    problem = function()
      return failure and not committed and problems.problem(failure) or nil
    end,
    error = function() return failure end,
    usage = function() return usage end,
  }
end

return M
