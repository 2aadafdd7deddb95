--- What an AI Studio page sends back for one call, with the methods of a Response.
---
--- A page answers with one `http_response`, or with `stream_start`, `stream_chunk`s and a
--- `stream_end`, or with an `error`, whatever it was asked for.  The data of chunks is the text of
--- an event stream, cut anywhere.

local dialects = require "lib.dialects"
local errors = require "lib.errors"
local json = require "json"
local timer = require "timer"

local concat, find, lower, min, sub =
  table.concat, string.find, string.lower, math.min, string.sub

local M = {}

local BODY_MAX = 64 * 1024 * 1024
local EVENT_MAX = 64 * 1024 * 1024

local Answer = {}
Answer.__index = Answer

--- @param relayed SessionCall
--- @param wanted table  `timeout`: HttpTimeout; `streams`: a stream was asked for; `counts`: where
---   the number of tokens is, when they are counted
--- @return Response
function M.new(relayed, wanted)
  return setmetatable({
    relayed = relayed, timeout = wanted.timeout, streams = wanted.streams, counts = wanted.counts,
    status = 0, fields = {},
    text = nil,   -- the whole answer, or what comes before the next chunk
    ended = false,
    failure = nil, -- an `error` in the middle
    parts = {}, held = 0, -- of the line that is not complete
    events = {}, first = 1, last = 0,
    finished = false, -- an event told that the answer is complete
  }, Answer)
end

-- --- messages ------------------------------------------------------------------------------------

local known = {
  http_response = true, stream_start = true, stream_chunk = true, stream_end = true, error = true,
}

-- The type of the next message; "idle" when `seconds` passed first; nil and why there is none.
local function take(self, seconds)
  local limit = self.status == 0 and self.timeout.first_byte or self.timeout.idle or 600
  -- A silence begins when somebody listens.
  self.silent_since = self.silent_since or timer.now()
  while true do
    local left = self.silent_since + limit - timer.now()
    if left <= 0 then
      return nil, { code = "timeout", message = self.status == 0
        and "the page did not answer in time" or "the page was silent for too long" }
    end
    local kind, err = self.relayed:next(seconds and min(seconds, left) or left)
    if err then return nil, err end
    if known[kind] then
      self.silent_since = nil
      return kind
    end
    if not kind and seconds and seconds < left then return "idle" end
  end
end

local function status_of(text)
  local status = math.tointeger(tonumber(text))
  return status and status >= 100 and status <= 599 and status or nil
end

-- Headers with names in lower case; a value may be a list.  What is no header line is left out.
local function fields_of(text)
  local fields, document = {}, text and json.decode(text)
  for name, value in pairs(type(document) == "table" and document or {}) do
    if type(value) == "table" then
      local list = {}
      for _, each in ipairs(value) do list[#list + 1] = type(each) == "string" and each or nil end
      value = concat(list, ", ")
    end
    if type(name) == "string" and find(name, "^[%w_%-]+$") and type(value) == "string"
        and not find(value, "[\0-\8\10-\31\127]") then
      fields[lower(name)] = value
    end
  end
  return fields
end

local function problem_of(relayed)
  local status, text = status_of(relayed:get "status"), relayed:get "error" or ""
  if status and status >= 400 then return errors.from_status(status, text, nil, "gemini") end
  return errors.new("bad_upstream", "the page could not do the request: "
    .. (text ~= "" and errors.scrub(sub(text, 1, 2048)) or "it does not say why"))
end

-- What the first message says about the answer.
local begin = {}

function begin.http_response(self, relayed)
  self.status = status_of(relayed:get "status") or 200
  self.fields = fields_of(relayed:get "headers")
  self.text, self.ended = relayed:get "body" or "", true
  self.streams = find(self.fields["content-type"] or "", "event-stream", 1, true) ~= nil
    or find(self.text, "^%s*data:") ~= nil
  relayed:close()
end

function begin.stream_start(self, relayed)
  self.status = status_of(relayed:get "status") or 200
  self.fields = fields_of(relayed:get "headers")
end

function begin.stream_chunk(self, relayed)
  self.status, self.text = 200, relayed:get "data"
end

function begin.stream_end(self)
  self.status, self.ended = 200, true
end

-- An error with a status is an answer like any other.
function begin.error(self, relayed)
  local status = status_of(relayed:get "status")
  if not status or status < 400 then return problem_of(relayed) end
  self.status, self.text, self.ended = status, relayed:get "error" or "", true
end

function Answer:wait(seconds)
  if self.status ~= 0 then return true end
  local kind, err = take(self, seconds)
  if not kind then return nil, err end
  if kind == "idle" then return false end
  local problem = begin[kind](self, self.relayed)
  if problem then return nil, problem end
  return true
end

-- The next piece of data; nil at the end; nil and why when it broke; "idle" as second of three.
local function read(self, seconds)
  local text = self.text
  if text then
    self.text = nil
    return text
  end
  if self.ended then return nil end
  local kind, err = take(self, seconds)
  if kind == "idle" then return nil, nil, true end
  if not kind then return nil, err end
  if kind == "error" then return nil, problem_of(self.relayed) end
  if kind == "stream_end" then
    self.ended = true
    return nil
  end
  if kind == "http_response" then
    self.ended = true
    return self.relayed:get "body" or ""
  end
  return self.relayed:get "data" or ""
end

-- --- the answer as a whole -----------------------------------------------------------------------

function Answer:header(name)
  name = lower(name)
  -- What it is follows from what was asked for and how it came.
  if name == "content-type" then
    return self.streams and "text/event-stream" or "application/json"
  end
  return self.fields[name]
end

function Answer:headers()
  return self.fields
end

-- A number of tokens that is none makes the answer useless.
local function checked(self, text)
  if not self.counts or self.status >= 300 then return text end
  local count = json.get(text, self.counts)
  if math.type(count) == "integer" and count > 0 then return text end
  return nil, errors.new("bad_upstream", "the page's answer has no number of tokens")
end

function Answer:body(max)
  local parts, size = {}, 0
  max = max or BODY_MAX
  while true do
    local text, err = read(self)
    if err then return nil, err end
    if not text then break end
    size = size + #text
    if size > max then
      return nil, { code = "too_large", message = "the answer is larger than " .. max .. " bytes" }
    end
    parts[#parts + 1] = text
  end
  return checked(self, concat(parts))
end

-- --- the answer as events ------------------------------------------------------------------------

-- Usage is told in every event and grows; only the one of the whole answer counts.
local function without_early_usage(self, data)
  self.finished = self.finished or dialects.is_final("gemini", "", data)
  if self.finished then return data end
  for _, name in ipairs { "usageMetadata", "usage_metadata" } do
    if find(data, '"' .. name .. '"', 1, true) then data = json.splice(data, name, nil) or data end
  end
  return data
end

local function add(self, data)
  self.last = self.last + 1
  self.events[self.last] = without_early_usage(self, data)
end

-- What stands behind `data:`, or nil.
local function data_of(line)
  if sub(line, 1, 5) ~= "data:" then return nil end
  local stop = #line
  if sub(line, stop) == "\r" then stop = stop - 1 end
  return sub(line, sub(line, 6, 6) == " " and 7 or 6, stop)
end

local function hold(self, text)
  self.parts[#self.parts + 1] = text
  self.held = self.held + #text
end

-- The line that was held, which is over.
local function let_go(self)
  local line = concat(self.parts)
  self.parts, self.held = {}, 0
  return line
end

-- The last line has no line break.  Often it is complete all the same; else it is kept when it may
-- go on.
local function try_last(self, piece)
  local start = self.parts[1]
  if #self.parts == 1 and sub(start, 1, 5) ~= "data:" then
    if #start < 5 and sub("data:", 1, #start) == start then return end
    let_go(self)
  elseif find(sub(piece, -16), "}%s*$") then
    local data = data_of(concat(self.parts))
    if data and json.peek(data) then
      let_go(self)
      add(self, data)
    end
  end
end

-- Takes the events out of a piece of the stream.
local function feed(self, text)
  local at = 1
  while true do
    local stop = find(text, "\n", at, true)
    if not stop then break end
    hold(self, sub(text, at, stop - 1))
    local data = data_of(let_go(self))
    if data and data ~= "" then add(self, data) end
    at = stop + 1
  end
  if at > #text then return end
  local piece = sub(text, at)
  hold(self, piece)
  try_last(self, piece)
end

function Answer:next_event(seconds)
  while self.first > self.last do
    if self.over then return "end" end
    local text, err, idle = read(self, seconds)
    if idle then return "idle" end
    if err then return "broken", err end
    if text then
      feed(self, text)
      if self.held > EVENT_MAX then
        return "broken", { code = "too_large", message = "an event is too large" }
      end
    else
      self.over = true
      local data = data_of(let_go(self))
      if data and data ~= "" then add(self, data) end
    end
  end
  local data = self.events[self.first]
  self.events[self.first] = nil
  self.first = self.first + 1
  return "event", "", data
end

--- Ends the call: what the page still sends for it is dropped.
function Answer:close()
  self.relayed:close()
end

Answer.__close = Answer.close

return M
