--- How a client's stream is written: Server-Sent Events, or for Gemini's `alt=json` one JSON array.

local dialects = require "lib.dialects"
local envelopes = require "lib.envelope"
local streams = require "models.streams"

local M = {}

local EVENTS = {
  ["Content-Type"] = "text/event-stream",
  ["Cache-Control"] = "no-cache",
  ["X-Accel-Buffering"] = "no",
}
local ARRAY = { ["Content-Type"] = "application/json", ["X-Accel-Buffering"] = "no" }

local Events = {}
Events.__index = Events

--- @param name string
--- @param data string
function Events:frame(name, data)
  if name ~= "" and self.names then return "event: " .. name .. "\ndata: " .. data .. "\n\n" end
  return "data: " .. data .. "\n\n"
end

--- Bytes for a problem, the last ones but `ending`.
function Events:problem(bytes)
  return bytes
end

--- The same for gemini_cli, where each answer is wrapped; `around` is for a relay that copies.
local Wrapped = setmetatable({}, { __index = Events })
Wrapped.__index = Wrapped

function Wrapped:frame(_, data)
  return "data: " .. envelopes.wrap(data) .. "\n\n"
end

-- Elements of an array, written as they come.
local Array = {}
Array.__index = Array

function Array:frame(_, data)
  local before = self.begun and "," or "["
  self.begun = true
  if self.wrapped then data = envelopes.wrap(data) end
  return before .. data .. "\n"
end

function Array:problem(bytes)
  -- What errors.event framed as an event.
  local data = bytes:match("^data: (.-)\n*$")
  local before = self.begun and "," or "["
  self.begun = true
  return before .. data .. "]"
end

function Array:close()
  return self.begun and "]" or "[]"
end

function Events:close()
  return self.ending
end

local fixed = {}
for name, rules in pairs(streams) do
  fixed[name] = setmetatable({
    headers = EVENTS, names = rules.names, keep_alive = rules.keep_alive, ending = rules.ending,
    plain = true,
  }, Events)
end
fixed.completions = fixed.chat
fixed.gemini_cli = setmetatable({
  headers = EVENTS, names = false, keep_alive = streams.gemini.keep_alive, ending = "",
  plain = true, around = { '{"response":', "}" },
}, Wrapped)

--- True when a Gemini client wants an array.
--- @param client Client
--- @return boolean
function M.wants_array(client)
  local alt = client:param("alt") or client:param("$alt")
  return alt ~= nil and alt ~= "" and alt ~= "sse"
end

--- The framing of a call: `headers`, `keep_alive`, frame(), problem(), close(); `plain` when
--- a relay in C can write it.
--- @param client Client
--- @param dialect string
--- @return table
function M.of(client, dialect)
  if dialects.base(dialect) == "gemini" and M.wants_array(client) then
    return setmetatable({
      headers = ARRAY, keep_alive = "\n", wrapped = dialect == "gemini_cli",
    }, Array)
  end
  return fixed[dialect] or fixed.chat
end

return M
