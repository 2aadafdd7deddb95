--- Who rests, why and for how long: the evidence of failures, in the shared store.
---
--- | key                | value                                                                |
--- |--------------------|----------------------------------------------------------------------|
--- | `cool:<id>`        | the whole credential rests: "reason when seconds what was said"      |
--- | `cool:<id>:<model>`| the same for one of its models; both leave with the cooldown         |
--- | `level:<id>:<...>` | how many failures in a row, and when the last one counted            |
--- | `probe:cool:...`   | until then nobody asks whether a long rest ended early               |
--- | `cool:changes`     | counts every change above, so that others need to look once only     |
---
--- What was read is kept in this state until `cool:changes` moves: a request with nothing to fear
--- looks into the store once, however many accounts there are.

local classes = require "models.cooldowns"
local config = require "config"
local keeper = require "keeper"
local store = require "store"
local timer = require "timer"

local find, format, match, sub = string.find, string.format, string.match, string.sub
local max, min = math.max, math.min
local get = store.get

local CHANGES = "cool:changes"

-- A row of failures is forgotten after this long without one.
local LEVEL_LIFE = 7200
-- A provider that says more than this is not believed.
local HINT_MAX = 7 * 86400
-- A delay that is no account's quota (an overloaded server) has a lower limit.
local TRANSIENT_MAX = 1800
-- Rests longer than this may end early (a quota that was raised or reset): now and then one request
-- is let through to see.
local LONG, PROBE_EVERY = 3600, 1800
local LAST_MAX = 200
local KNOWN_MAX = 10000

--- The key that is there while the keeper is about to save what changed (core.cooldown_file).
local M = { SAVING = "cooldowns-saving" }

-- Read so far: records by key, false where there is none.
local known, count, version = {}, 0, nil

local function changed()
  store.add(CHANGES)
  if config.values["save-cooldown-status"] and store.claim(M.SAVING, true, 30) then
    keeper.post("cooldowns", "")
  end
end

local function parse(value, left)
  local reason, at, seconds, last = match(value, "^(%S+) (%S+) (%S+) ?(.*)$")
  if not reason then return false end
  return {
    reason = reason, last = last, at = tonumber(at) or 0, seconds = tonumber(seconds) or left,
    due = timer.now() + left, probe = 0,
  }
end

--- Takes notice of what others recorded.  Called once before a row of `of`.
function M.look()
  local now = get(CHANGES)
  if now ~= version then known, count, version = {}, 0, now end
end

-- Clients choose names of models (`provider://anything`), so what is kept has a limit.
local function keep(key, record)
  if count >= KNOWN_MAX then known, count = {}, 0 end
  known[key], count = record, count + 1
end

local function read(key)
  local record = known[key]
  if record == nil then
    local value, left = get(key)
    record = value and parse(value, left or 0) or false
    keep(key, record)
  end
  if record and record.due <= timer.now() then return nil end
  return record or nil
end

local function wide_key(candidate)
  local key = candidate.wide
  if not key then
    key = "cool:" .. candidate.credential.id
    candidate.wide = key
  end
  return key
end

--- Why a candidate rests, or nil.  Looks at what is known; see `look`.
--- @param candidate Candidate
--- @return {reason: string, due: number, at: number, seconds: number, last: string}? record
function M.of(candidate)
  if not version then return nil end
  local wide, own = read(wide_key(candidate)), read(candidate.cool)
  if wide and own then return own.due > wide.due and own or wide end
  return wide or own
end

--- Why a candidate must wait, or nil.
--- @param candidate Candidate
--- @return string? reason  "quota", "transient", ...
--- @return number? seconds
--- @return string? last  what the upstream said
function M.blocked(candidate)
  M.look()
  local record = M.of(candidate)
  if not record then return nil end
  return record.reason, record.due - timer.now(), record.last
end

--- True when it is time to ask whether a long rest has ended early.
--- @param candidate Candidate
--- @return boolean
function M.is_probe_due(candidate)
  local record = M.of(candidate)
  return record ~= nil and record.reason == "quota" and record.seconds > LONG
    and record.probe <= timer.now()
end

--- Makes the caller the one who asks; false when somebody else does.
--- @param candidate Candidate
--- @return boolean
function M.claim_probe(candidate)
  local record = M.of(candidate)
  if not record then return false end
  local key = "probe:" .. (read(wide_key(candidate)) == record and candidate.wide or candidate.cool)
  local claimed = store.claim(key, true, PROBE_EVERY)
  local _, left = get(key)
  record.probe = timer.now() + (left or PROBE_EVERY)
  return claimed
end

--- True when nothing a candidate does has consequences.
--- @param candidate Candidate
--- @return boolean
function M.is_off(candidate)
  -- An entry's own word counts more than the general one.
  local off = candidate.credential.entry["disable-cooling"]
  if off == nil then off = config.values["disable-cooling"] end
  return off == true or off == "true"
end

-- The level a failure leads to: failures of calls that began before the last one counted are the
-- same event.  The second result tells whether it has to be counted.
local function next_level(key, since)
  local value = get(key)
  local level, at = match(value or "", "^(%d+) (%S+)$")
  level, at = math.tointeger(tonumber(level)) or 0, tonumber(at) or 0
  if level > 0 and since < at then return level, false end
  return level + 1, true
end

local function hinted(class, problem)
  local hint = class.hinted and problem.retry_after
  if not hint or hint <= 0 then return nil end
  return min(hint, class.spares and TRANSIENT_MAX or HINT_MAX)
end

local function fixed(class)
  if not class.spares then return class.seconds end
  local seconds = config.values["transient-error-cooldown-seconds"] or 0
  if seconds < 0 then return nil end
  return seconds == 0 and class.seconds or seconds
end

local function write(key, reason, seconds, last)
  store.set(key, format("%s %.3f %.3f %s", reason, timer.now(), seconds, last), seconds)
  if seconds > LONG then store.set("probe:" .. key, true, PROBE_EVERY) end
  changed()
end

-- Doubles with each failure in a row.  Of parallel ones, the first to claim the window counts.
local function grow(candidate, key, class, reason, since, last)
  local level, counts = next_level(candidate.level, since)
  local seconds = min(class.from << min(level - 1, 20), class.most)
  local now = timer.now()
  if not store.claim(key, format("%s %.3f %.3f %s", reason, now, seconds, last), seconds) then
    return
  end
  if counts then store.set(candidate.level, format("%d %.3f", level, now), LEVEL_LIFE) end
  changed()
end

--- Records a failure.
--- @param candidate Candidate
--- @param verdict string
--- @param problem Problem  its `scope` "credential" makes all of the credential's models rest
--- @param since number  `timer.now()` when the call began
--- @param last string  what the upstream said
--- @param spared boolean?  the candidate is the last one left
function M.failed(candidate, verdict, problem, since, last, spared)
  local class = classes[verdict]
  if not class or problem.scope == "request" or M.is_off(candidate) then return end
  if class.spares and spared then return end
  local wide = class.wide or problem.scope == "credential"
  local key = wide and wide_key(candidate) or candidate.cool
  last = sub(last, 1, LAST_MAX)
  local seconds = hinted(class, problem)
  if not seconds and class.from then return grow(candidate, key, class, verdict, since, last) end
  local usual = fixed(class)
  -- A hint does not bring back what was switched off.
  if not class.from and not usual then return end
  seconds = seconds or usual
  M.look()
  -- Older evidence does not shorten what newer evidence made long.
  local record = read(key)
  if record and record.at >= since and record.due >= timer.now() + seconds then return end
  write(key, verdict, seconds, last)
end

local function forget_before(key, since)
  local record = read(key)
  if not record or record.at >= since then return end
  store.set(key, nil)
  store.set("probe:" .. key, nil)
  changed()
end

--- An answer came: what was held against the candidate before this call began is forgotten.
--- @param candidate Candidate
--- @param since number
function M.succeeded(candidate, since)
  if not version then return end
  forget_before(wide_key(candidate), since)
  forget_before(candidate.cool, since)
  local level = candidate.level
  if known[level] == nil then
    keep(level, tonumber(match(get(level) or "", " (%S+)$")) or false)
  end
  if known[level] and known[level] < since then
    store.set(level, nil)
    known[level] = false
  end
end

-- The keys of one credential, behind any prefix of the table above.
local function keys_of(prefix, credential_id)
  local key = prefix .. credential_id
  local keys = store.keys(key .. ":")
  keys[#keys + 1] = key
  return keys, #key + 2
end

--- One reason why a credential has to wait.
--- @class Rest
--- @field model string?  nil: all of them
--- @field reason string
--- @field seconds number  left
--- @field since number  seconds ago
--- @field last string  what the upstream said
--- @field probe number?  seconds until one request may look whether the rest ended early

--- Everything that keeps a credential waiting.
--- @param credential_id string
--- @return Rest[]
function M.describe(credential_id)
  local keys, at = keys_of("cool:", credential_id)
  local list, now = {}, timer.now()
  for _, key in ipairs(keys) do
    local value, left = get(key)
    local record = value and parse(value, left or 0)
    if record then
      local _, probe = get("probe:" .. key)
      list[#list + 1] = {
        model = #key >= at and sub(key, at) or nil, reason = record.reason,
        seconds = max(0, record.due - now), since = max(0, now - record.at), last = record.last,
        probe = probe,
      }
    end
  end
  table.sort(list, function(a, b) return (a.model or "") < (b.model or "") end)
  return list
end

--- Forgets all that is held against a credential: somebody logged in anew, or says so.
--- @param credential_id string  of a token file: all its accounts
function M.forget(credential_id)
  for _, prefix in ipairs { "cool:", "level:", "probe:cool:" } do
    for _, key in ipairs(keys_of(prefix, credential_id)) do store.set(key, nil) end
    for _, key in ipairs(store.keys(prefix .. credential_id .. "#")) do store.set(key, nil) end
  end
  changed()
end

--- Everybody who rests.
--- @return {key: string, reason: string, left: number, seconds: number, last: string}[]
function M.all()
  local list = {}
  for _, key in ipairs(store.keys "cool:") do
    local value, left = get(key)
    local record = type(value) == "string" and parse(value, left or 0)
    if record then
      list[#list + 1] = {
        key = key, reason = record.reason, left = left or 0, seconds = record.seconds,
        last = record.last,
      }
    end
  end
  return list
end

--- Takes up what was known before a restart.
--- @param key string  as `all` gave it
--- @param reason string
--- @param left number
--- @param seconds number  when it began
--- @param last string
--- @return boolean taken
function M.restore(key, reason, left, seconds, last)
  local class = classes[reason]
  if not find(key, "^cool:") or key == CHANGES or not class or class.login then return false end
  store.claim(key, format("%s %.3f %.3f %s", reason, timer.now() - max(0, seconds - left), seconds,
    sub(last, 1, LAST_MAX)), min(left, HINT_MAX))
  if seconds > LONG then store.claim("probe:" .. key, true, PROBE_EVERY) end
  changed()
  return true
end

return M
