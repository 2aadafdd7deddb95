--- Cooldowns over a restart (`save-cooldown-status`): `.cooldowns` in `auth-dir`, written a moment
--- after a change.  Runs in the keeper.

local accounts = require "accounts"
local config = require "config"
local cooldowns = require "core.cooldowns"
local file = require "file"
local json = require "json"
local log = require "log"
local store = require "store"
local timer = require "timer"

local M = {}

-- Changes within this time are written together.
local PAUSE = 1

local function is_on()
  return config.values["save-cooldown-status"] == true
end

local function path()
  return accounts.directory() .. "/.cooldowns"
end

--- What is known, as text.
--- @return string
function M.snapshot()
  local list = json.array {}
  for i, rest in ipairs(cooldowns.all()) do
    list[i] = {
      key = rest.key, reason = rest.reason, last = rest.last, seconds = rest.seconds,
      ["until"] = math.floor(timer.wall() + rest.left + 0.5),
    }
  end
  return json.encode { version = 1, rests = list } .. "\n"
end

local function is_rest(rest)
  return type(rest) == "table" and type(rest.key) == "string" and type(rest.reason) == "string"
    and type(rest["until"]) == "number" and type(rest.seconds) == "number"
end

--- Takes up a snapshot: what is over by now is left out, newer knowledge stays.
--- @param text string
--- @return integer? count  nil when the text is no snapshot
function M.restore(text)
  local document = json.decode(text)
  if type(document) ~= "table" or document.version ~= 1 or type(document.rests) ~= "table" then
    return nil
  end
  local count, now = 0, timer.wall()
  for _, rest in ipairs(document.rests) do
    if is_rest(rest) and rest["until"] > now and cooldowns.restore(rest.key, rest.reason,
        rest["until"] - now, rest.seconds, tostring(rest.last or "")) then
      count = count + 1
    end
  end
  return count
end

--- Reads the file, once in the life of the process.
function M.load()
  if not is_on() or not store.claim("cooldowns-loaded", true) then return end
  local text, err = file.read(path())
  local count = text and M.restore(text)
  if count then
    log.info("%d cooldown(s) from before the start", count)
  elseif text or err.code ~= "not_found" then
    log.warn("%s: %s", path(), err and err.message or "it is not a list of cooldowns")
  end
end

--- Writes the file after a moment.
function M.save()
  timer.sleep(PAUSE)
  store.set(cooldowns.SAVING, nil)
  if not is_on() then return end
  local ok, err = file.write(path(), M.snapshot())
  if not ok then log.warn("cooldowns could not be saved: %s", err.message) end
end

return M
