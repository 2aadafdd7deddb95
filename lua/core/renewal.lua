--- Keeps accounts alive: tokens are refreshed in time, once, and written before they are used.
---
--- Runs in the keeper only.  Per file one flock (`<file>.lock`) guards reading, refreshing and
--- writing: within the program and against other processes on the same folder.
---
--- In the store: `refresh-wait:<file>`, present while a further try would be too early: until when
--- requests wait, and what was said.

local accounts = require "core.accounts"
local credentials = require "credentials"
local hiding = require "lib.hiding"
local json = require "json"
local keeper = require "keeper"
local log = require "log"
local store = require "store"
local timer = require "timer"
local times = require "lib.times"
local token_files = require "core.token_files"

local match = string.match

-- Seconds.  How long another refresh of the same file is waited for.
local LOCK_SECONDS = 120
-- After a failure: before the next try in the background, and before one that a request wants.
local PAUSE, PAUSE_REQUEST = 300, 10
-- A new token that is due again already.
local PAUSE_SHORT = 30
-- Background refreshes at once.
local REFRESHES = 16
-- A file that is replaced may be away for a moment.
local REPLACING = 1

local M = {}

local running = 0

-- The file of a credential.
local function name_of(id)
  return token_files.is_name(id) and id or match(id, "^(.*%.[jJ][sS][oO][nN])#")
end

-- What a file holds now; `gone` when there is none.
local function read_now(entry)
  local path = accounts.path_of(entry.name)
  local text, problem = token_files.read(path)
  if not text and problem.code == "not_found" then
    timer.sleep(REPLACING)
    text, problem = token_files.read(path)
  end
  return text ~= "" and text or nil, not text and problem.code == "not_found"
end

local function refused(entry, problem)
  log.warn("%s: the refresh of %s failed: %s", entry.kind.provider, entry.name, problem.message)
  if problem.needs_login then
    local stamp = token_files.stamp(token_files.refresh_token(entry.document) or "")
    store.set("needs-login:" .. entry.name, stamp .. " " .. problem.message)
    accounts.publish()
  else
    local seconds = problem.retry_after or PAUSE
    store.set("refresh-wait:" .. entry.name, ("%.3f %s"):format(
      timer.wall() + math.min(seconds, PAUSE_REQUEST), problem.message), seconds)
  end
  return { failed = problem.message, needs_login = problem.needs_login }
end

local function label_of(entry)
  local account = entry.accounts[1]
  return account and account.label or entry.name
end

local GONE = "its file was removed"

-- Takes over a login that somebody has put into the file; true when there is one.
local function adopt(entry, text, token)
  local document = text and token_files.decode(text)
  if not document or token_files.refresh_token(document) == token then return false end
  accounts.take(entry.name, text)
  accounts.publish()
  return true
end

-- Writes what the server gave.  People, and programs that know of no lock, may have changed the file
-- meanwhile: their members stay, and so does a removal.
local function save(entry, changes, before, token)
  local base = before
  if not entry.unsaved then
    local text, gone = read_now(entry)
    if gone then
      log.warn("auth file %s was removed while its token was refreshed", entry.name)
      return { failed = GONE }
    end
    if adopt(entry, text, token) then return { adopted = true } end
    if text and token_files.decode(text) then base = text end
  end
  accounts.keep(entry, token_files.merge(base, changes))
  store.set("refresh-wait:" .. entry.name, nil)
  accounts.publish()
  local expiry = token_files.expiry(entry.document)
  log.info("%s: the token of %s was refreshed%s", entry.kind.provider, label_of(entry),
    expiry and ", valid until " .. times.rfc3339(expiry) or "")
  return { refreshed = true }
end

-- Asks the authorization server; the lock is held, the file was read under it.
local function ask(entry)
  local text, document = entry.text, entry.document
  local token = token_files.refresh_token(document)
  local fine, changes, problem = pcall(entry.kind.refresh, document)
  if not fine then
    local said = hiding.text(tostring(changes), hiding.secrets(document))
    problem = { message = "a script failed: " .. said }
    log.error("lua/accounts: %s", problem.message)
    changes = nil
  end
  if changes then return save(entry, changes, text, token) end
  -- Who does not know of locks may have refreshed meanwhile.
  local now = not entry.unsaved and token_files.read(accounts.path_of(entry.name))
  if adopt(entry, now, token) then return { adopted = true } end
  return refused(entry, problem or { message = "no answer" })
end

-- Why a further try would be too early, or nil.
local function must_wait(name, background)
  local value = store.get("refresh-wait:" .. name)
  if not value then return nil end
  local not_before, said = match(value, "^(%S+) ?(.*)$")
  if not background and timer.wall() >= tonumber(not_before) then return nil end
  return said ~= "" and said or "the last refresh was a moment ago"
end

--- Refreshes the token of an account, unless somebody has done so already.
--- @param wanted {id: string, stamp: string, background: boolean?}  stamp of the secret that will
---   not do any more
--- @return table? result  `refreshed`, `adopted` (there is a newer one), or `failed` with a message
---   and perhaps `needs_login`
--- @return string? problem
function M.refresh(wanted)
  local name = name_of(wanted.id)
  local entry = name and accounts.entry(name)
  if not entry or not entry.kind then return nil, "there is no such account" end
  if credentials.stamp(wanted.id) ~= wanted.stamp then return { adopted = true } end
  if not entry.kind.refresh then return { failed = "it cannot be refreshed" } end
  local lock <close>, problem = token_files.lock(accounts.path_of(name), LOCK_SECONDS)
  if not lock then return { failed = problem } end
  if not entry.unsaved then
    local text, gone = read_now(entry)
    if gone then return { failed = GONE } end
    if text and accounts.take(name, text) then accounts.publish() end
  end
  if credentials.stamp(wanted.id) ~= wanted.stamp then return { adopted = true } end
  if not entry.document or not entry.kind then return nil, "there is no such account" end
  local mark = accounts.needs_login(name, entry.document)
  if mark then return { failed = mark, needs_login = true } end
  local wait = must_wait(name, wanted.background)
  if wait then return { failed = wait } end
  return ask(entry)
end

-- So that many accounts of one login day are not refreshed in one second: up to a twentieth of the
-- lead, five minutes at most, always the same for a file.
local function jitter(name, lead)
  local number = tonumber(token_files.stamp(name):sub(1, 4), 16) / 65536
  return number * math.min(lead / 20, 300)
end

--- True when a token is to be refreshed in the background now (spec providers 0.6).
--- @param document table
--- @param lead number  of the kind
--- @param now number
--- @param name string?  of the file, whose own moment is a little earlier than that of others
--- @return boolean
function M.is_due(document, lead, now, name)
  local expiry, last = token_files.expiry(document), token_files.last_refresh(document)
  local interval = token_files.interval(document)
  if interval then
    return expiry ~= nil and expiry - now <= interval or last ~= nil and now - last >= interval
  end
  if expiry then
    -- A token that lives shorter than the lead is refreshed at half of its life.
    if last and expiry > last then lead = math.min(lead, (expiry - last) / 2) end
    return expiry - now <= lead + (name and jitter(name, lead) or 0)
  end
  return not last or now - last >= lead - (name and jitter(name, lead) or 0)
end

local function lead_of(entry)
  local first = entry.accounts[1]
  return first and (first.lead or entry.kind.lead)
end

local function is_wanted(entry, now)
  local lead = lead_of(entry)
  return lead and entry.document and entry.kind.refresh
    and (token_files.refresh_token(entry.document) or entry.accounts[1].refreshable)
    and not token_files.policy(entry.document).disabled
    and not accounts.needs_login(entry.name, entry.document)
    and not store.get("refresh-wait:" .. entry.name)
    and M.is_due(entry.document, lead, now, entry.name)
end

--- Starts what is due, and writes what could not be written before.
function M.tick()
  accounts.write_unsaved()
  local now = timer.wall()
  for name, entry in pairs(accounts.entries()) do
    if running < REFRESHES and is_wanted(entry, now) then
      local id = accounts.id_of(entry, entry.accounts[1])
      -- Present until it ends, or for a minute: nobody starts it twice.
      store.set("refresh-wait:" .. name, "0", 60)
      keeper.post("background", json.encode { id = id, stamp = credentials.stamp(id) })
    end
  end
end

--- A refresh that tick() started.
--- @param wanted {id: string, stamp: string}
function M.background(wanted)
  local name = name_of(wanted.id)
  store.set("refresh-wait:" .. name, nil)
  running = running + 1
  local fine, result = pcall(M.refresh, wanted)
  running = running - 1
  if not fine then error(result, 0) end
  local entry = accounts.entry(name)
  local lead = entry and result and result.refreshed and lead_of(entry)
  if lead and M.is_due(entry.document, lead, timer.wall(), name) then
    store.set("refresh-wait:" .. name, "0", PAUSE_SHORT)
  end
end

return M
