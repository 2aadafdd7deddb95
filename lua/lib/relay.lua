--- Copies an event stream to a client in Lua: the interface of client:relay() for streams that have
--- no connection behind them (mock), or whose events or framing change on the way.

local json = require "json"

local Relay = {}
Relay.__index = Relay

local M = {}

--- @param client Client
--- @param response Response  anything with next_event()
--- @param rules RelayRules
--- @param convert (fun(data: string): string?)?  nil drops the event
--- @param framing table?  of lib.framing
--- @return Relay
function M.new(client, response, rules, convert, framing)
  return setmetatable({
    client = client, response = response, rules = rules, convert = convert, framing = framing,
    finished = false, events = 0,
  }, Relay)
end

local function present(data, path)
  local value = json.get(data, path)
  return value ~= nil and value ~= json.null
end

-- The event itself, taken out of the member that the rules name.
local function inside(data, rules)
  local inner = rules.inner and json.get(data, rules.inner)
  return json.type(inner) == "object" and tostring(inner) or data
end

-- Puts an event back to where it was, and into the client's envelope.
local function wrap(data, whole, rules)
  if whole and not rules.unwrap then
    data = assert(json.splice(whole, rules.inner, json.raw(data)))
  end
  local around = rules.around
  return around and around[1] .. data .. around[2] or data
end

function Relay:send(name, whole)
  local rules = self.rules
  local data = inside(whole, rules)
  if data == whole then whole = nil end
  -- Some upstreams send an empty reason until there is one.
  if rules.finish and present(data, rules.finish) and json.get(data, rules.finish) ~= "" then
    self.finished = true
  end
  if self.convert then
    data = self.convert(data)
    if not data then return end
  end
  if rules.model then
    for _, path in ipairs(rules.rename) do
      if type(json.get(data, path)) == "string" then
        data = assert(json.splice(data, path, rules.model))
      end
    end
  end
  self.events = self.events + 1
  if self.framing then return self.client:write(self.framing:frame(name, data)) end
  data = wrap(data, whole, rules)
  if rules.names and name ~= "" then
    self.client:write("event: " .. name .. "\ndata: " .. data .. "\n\n")
  else
    self.client:write("data: " .. data .. "\n\n")
  end
end

function Relay:next(seconds)
  local rules = self.rules
  while true do
    local kind, name, data = self.response:next_event(seconds)
    if kind ~= "event" then return kind, name end
    if data == rules.terminal then return "done" end
    -- Frames that are not JSON are skipped.
    if json.peek(data) then
      local said = inside(data, rules)
      for _, member in ipairs(rules.watch) do
        if present(said, { member }) then return "event", name, data end
      end
      self:send(name, data)
    end
  end
end

return M
