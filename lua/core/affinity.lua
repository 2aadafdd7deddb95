--- Keeps a conversation where its prompt is cached: which account serves it, in the shared store.
---
--- `pin:<principal>:<session>` holds what plans call pins, one a line: of different models of a
--- session, different accounts may be the right ones.  It lives `routing.session-affinity-ttl`
--- beyond the last request.  Whether a pinned account can serve is not decided here.

local config = require "config"
local duration = require "lib.duration"
local sessions = require "lib.sessions"
local store = require "store"

local gmatch = string.gmatch

local M = {}

local TTL = 3600
-- Accounts that one session remembers.
local PINS_MAX = 4

local function settings()
  return config.values.routing or {}
end

--- The session of a call as a key, or nil.
--- @param call Call
--- @return string?
function M.session(call)
  local session = call.session
  if session == nil then
    local id = settings()["session-affinity"] ~= false and sessions.of(call)
    session = id and "pin:" .. (call.principal or "") .. ":" .. id or false
    call.session = session
  end
  return session or nil
end

local function read(value, plan)
  for pin in gmatch(value or "", "[^\n]+") do
    local candidate = plan.by_pin[pin]
    if candidate then return candidate end
  end
end

--- The candidate that serves this session, usable or not.
--- @param call Call
--- @param plan table
--- @return Candidate?
function M.find(call, plan)
  local session = M.session(call)
  if not session then return nil end
  local value, left = store.get(session)
  if type(value) ~= "string" then value = nil end
  local pinned = read(value, plan)
  call.pinned = { text = value, left = left, candidate = pinned }
  return pinned
end

-- What is remembered with a new pin: the accounts of other models stay.
local function text_with(text, plan, pin)
  local lines = { pin }
  for other in gmatch(text or "", "[^\n]+") do
    if not plan.by_pin[other] and #lines < PINS_MAX then lines[#lines + 1] = other end
  end
  return table.concat(lines, "\n")
end

local function ttl()
  local seconds = duration.seconds(settings()["session-affinity-ttl"])
  return seconds and seconds > 0 and seconds or TTL
end

--- Remembers who serves a session.  After `find`.
--- @param call Call
--- @param plan table
--- @param candidate Candidate
--- @return Candidate? other  somebody else was faster: this one serves the session already
function M.bind(call, plan, candidate)
  candidate = candidate.base or candidate
  local pinned, seconds = call.pinned, ttl()
  if pinned.candidate == candidate then
    -- Its life is prolonged now and then, not with every request.
    if (pinned.left or seconds) < seconds - seconds / 16 then
      store.set(call.session, pinned.text, seconds)
    end
    return nil
  end
  local pin = plan.pins[candidate]
  if pinned.text or not store.claim(call.session, pin, seconds) then
    if not pinned.text then
      local other = M.find(call, plan)
      if other then return other end
    end
    store.set(call.session, text_with(call.pinned.text, plan, pin), seconds)
  end
end

return M
