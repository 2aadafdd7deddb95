--- The scripts of the main thread: looks after accounts, and answers calls of all workers.

local accounts = require "core.accounts"
local cooldown_file = require "core.cooldown_file"
local json = require "json"
local keeper = require "keeper"
local log = require "log"
local renewal = require "core.renewal"
local store = require "store"
local timer = require "timer"

-- Logins are rare: their scripts are loaded when they are needed.
local function login_call(name)
  return function(argument, reply)
    return require("core.login_calls").calls[name](argument, reply)
  end
end

-- Seconds between two looks at what is due for a refresh (spec http-api 5.6).
local TICK = 5

local M = {}

--- What can be asked for, by name.  Each takes the decoded argument and returns a result to be
--- encoded, or nil and a message; one that goes on may give its result to `reply` before.
M.calls = {
  scan = function()
    accounts.scan(true)
    return true
  end,
  rescan = function()
    accounts.rescan()
    return true
  end,
  cooldowns = function()
    cooldown_file.save()
    return true
  end,
  unusable = function() return json.array(accounts.unusable()) end,
  refresh = function(argument) return renewal.refresh(argument) end,
  background = function(argument)
    renewal.background(argument)
    return true
  end,
}
for _, name in ipairs { "begin", "follow", "callback", "status", "cancel" } do
  M.calls["login_" .. name] = login_call("login_" .. name)
end

--- Runs while this generation is the current one.
function M.run()
  cooldown_file.load()
  accounts.scan(true)
  if store.keys("login:")[1] then require("core.login_calls").resume() end
  while true do
    renewal.tick()
    timer.sleep(TICK)
  end
end

--- Answers one call; in a task of its own.
--- @param name string
--- @param argument string  JSON, or ""
function M.handle(name, argument)
  local call = M.calls[name]
  if not call then return keeper.reply(nil, "there is no call " .. name) end
  local decoded = argument ~= "" and assert(json.decode(argument)) or nil
  local result, problem = call(decoded, function(early) keeper.reply(json.encode(early)) end)
  if result == nil then
    if problem then log.debug("%s: %s", name, problem) end
    return keeper.reply(nil, problem or "failed")
  end
  keeper.reply(json.encode(result))
end

return M
