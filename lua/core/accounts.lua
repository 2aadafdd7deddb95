--- Accounts of `auth-dir`: found, published to all workers, refreshed in time.
---
--- Runs in the keeper only.  Per file one flock (`<file>.lock`) guards reading, refreshing and
--- writing: within the program and against other processes on the same folder.
---
--- In the store: `needs-login:<file>`, the stamp of a refresh token that was refused for good and
--- why; `refresh-wait:<file>`, present while a further try would be too early.

local accounts = require "accounts"
local cooldowns = require "core.cooldowns"
local credentials = require "credentials"
local file = require "file"
local json = require "json"
local keeper = require "keeper"
local log = require "log"
local store = require "store"
local task = require "task"
local timer = require "timer"
local times = require "lib.times"
local token_files = require "core.token_files"

local gsub, lower, match = string.gsub, string.lower, string.match

-- Seconds.  How long another refresh of the same file is waited for.
local LOCK_SECONDS = 120
-- After a failure: before the next try in the background, and before one that a request wants.
local PAUSE, PAUSE_REQUEST = 300, 10
-- A new token that is due again already.
local PAUSE_SHORT = 30
-- Files may vanish for a moment while they are replaced.
local REMOVAL = 1
-- Background refreshes at once.
local REFRESHES = 16
-- Before this much of its time is left a request refreshes first, where the kind does not say.
local AHEAD = 10

local M = {}

-- By file name: text, document, kind, accounts (what it offers), problem (why it offers nothing),
-- missing (it was not there at the last look), unsaved (its text could not be written).
local known = {}
local running = 0

-- --- kinds ------------------------------------------------------------------------------------------

local kinds

-- The script for a `type`; all are loaded when the first token file is seen.
local function kind_of(name)
  if not kinds then
    kinds = {}
    for _, script in ipairs(task.scripts("accounts")) do
      local fine, kind = pcall(require, "accounts." .. script)
      if fine then
        kind.provider = kind.provider or script
        kinds[kind.type] = kind
      else
        log.error("lua/accounts/%s.lua: %s", script, kind)
      end
    end
  end
  return kinds[name]
end

-- --- files ------------------------------------------------------------------------------------------

local function path_of(name)
  return accounts.directory() .. "/" .. name
end

local function mark_of(name, document)
  local value = store.get("needs-login:" .. name)
  if not value then return nil end
  local stamp, message = match(value, "^(%x+) (.*)$")
  if stamp == token_files.stamp(token_files.refresh_token(document) or "") then return message end
  store.set("needs-login:" .. name, nil) -- somebody has logged in again
  return nil
end

-- Finds out what a file offers.
local function examine(entry)
  entry.document, entry.kind, entry.accounts, entry.problem = nil, nil, {}, nil
  local document, problem = token_files.decode(entry.text)
  entry.document = document
  if not document then
    entry.problem = problem
    return
  end
  if type(document.type) ~= "string" or document.type == "" then
    entry.problem = "it has no `type`"
    return
  end
  entry.kind = kind_of(lower(document.type))
  if not entry.kind then
    entry.problem = "nothing here knows the type " .. document.type
    return
  end
  local fine, list, why = pcall(entry.kind.read, document, entry.name)
  if fine and list then
    entry.accounts = list
  else
    entry.problem = tostring(fine and why or list)
  end
end

local function describe(entry)
  if entry.problem then return "cannot be used: " .. entry.problem end
  return ("%d account(s) of %s"):format(#entry.accounts, entry.kind.type)
end

local function id_of(entry, account)
  return account.suffix and entry.name .. "#" .. account.suffix or entry.name
end

-- Takes up a text of a file; true when it is news.
local function take(name, text)
  local entry = known[name]
  if entry and entry.text == text then
    entry.missing = nil
    return false
  end
  local verb = entry and "changed" or "added"
  local before = entry and entry.document and token_files.refresh_token(entry.document)
  entry = entry or { name = name }
  known[name] = entry
  entry.text, entry.missing, entry.unsaved = text, nil, nil
  examine(entry)
  if before and entry.document and token_files.refresh_token(entry.document) ~= before then
    -- What happened before a new login says nothing about the account any more.
    for _, account in ipairs(entry.accounts) do cooldowns.forget(id_of(entry, account)) end
  end
  local level = entry.problem and log.warn or log.info
  level("auth file %s (%s), %s", verb, name, describe(entry))
  return true
end

-- --- publishing -------------------------------------------------------------------------------------

local function details_of(entry, account)
  local policy = token_files.policy(entry.document)
  return json.encode {
    entry = policy,
    facts = account.facts or json.object {},
    expires = account.expires or token_files.expiry(entry.document),
    ahead = entry.kind.ahead or AHEAD,
    refreshable = entry.kind.refresh ~= nil and token_files.refresh_token(entry.document) ~= nil
      or account.refreshable == true,
    problem = mark_of(entry.name, entry.document),
    file = entry.name,
  }
end

local function public(entry, account)
  local name = gsub(entry.kind.provider, "_", "-")
  return {
    id = id_of(entry, account),
    provider = entry.kind.provider,
    name = name,
    secret = account.secret or "",
    label = account.label or entry.name,
    hosts = account.hosts,
    base_url = account.base_url,
    proxy = token_files.proxy(entry.document),
    details = details_of(entry, account),
  }
end

--- Tells all workers about the accounts as they are now.
function M.publish()
  local list = {}
  for _, entry in pairs(known) do
    for _, account in ipairs(entry.accounts) do list[#list + 1] = public(entry, account) end
  end
  accounts.publish(list)
end

-- --- looking at the folder ----------------------------------------------------------------------------

-- A file that is gone is kept for a moment: it may be on its way back.
local function forget_missing(seen)
  local changed, waiting = false, false
  local now = timer.now()
  for name, entry in pairs(known) do
    if not seen[name] and not entry.unsaved then
      entry.missing = entry.missing or now
      if now - entry.missing >= REMOVAL then
        known[name] = nil
        changed = true
        log.info("auth file removed (%s)", name)
      else
        waiting = true
      end
    end
  end
  if waiting then keeper.post("rescan", "") end
  return changed
end

local function look()
  local names, err = file.list(accounts.directory())
  if not names and err.code ~= "not_found" then
    log.warn("auth-dir: %s", err.message)
    return false
  end
  local changed, seen = false, {}
  for _, name in ipairs(names or {}) do
    if token_files.is_name(name) then
      local text, problem = token_files.read(path_of(name))
      local entry = known[name]
      seen[name] = true
      if entry and entry.unsaved then
        text = entry.text -- what is in memory is newer
      end
      if text then
        -- An empty file is about to be written.
        if text ~= "" then changed = take(name, text) or changed end
      elseif problem.code == "not_found" then
        seen[name] = nil
      else
        log.warn("auth file %s: %s", name, problem.message)
      end
    end
  end
  return forget_missing(seen) or changed
end

local looking, again = false, false

--- Looks at the folder and publishes what has changed.
--- @param force boolean?  publishes in any case
function M.scan(force)
  if looking then
    again = true
    return
  end
  looking = true
  local fine, problem = pcall(function()
    repeat
      again = false
      if look() or force then M.publish() end
      force = false
    until not again
  end)
  looking = false
  if not fine then error(problem, 0) end
end

--- The files that offer no account, and why.
--- @return {file: string, problem: string}[]
function M.unusable()
  local list = {}
  for name, entry in pairs(known) do
    if entry.problem then list[#list + 1] = { file = name, problem = entry.problem } end
  end
  table.sort(list, function(a, b) return a.file < b.file end)
  return list
end

--- Looks again after a moment.
function M.rescan()
  timer.sleep(REMOVAL + 0.1)
  M.scan()
end

-- --- refreshing ---------------------------------------------------------------------------------------

-- Keeps the new text: in memory first, so that it serves even where the disk is full.
local function keep(entry, text)
  local old = entry.text
  entry.text = text
  examine(entry)
  local ok, err = token_files.write(path_of(entry.name), text, old)
  entry.unsaved = not ok or nil
  if not ok then
    log.error("auth file %s holds a token that is used up and cannot be written (%s); "
      .. "the new one is only in memory, writing is tried again", entry.name, err.message)
  end
end

local function refused(entry, problem)
  log.warn("%s: the refresh of %s failed: %s", entry.kind.provider, entry.name, problem.message)
  if problem.needs_login then
    local stamp = token_files.stamp(token_files.refresh_token(entry.document) or "")
    store.set("needs-login:" .. entry.name, stamp .. " " .. problem.message)
    M.publish()
  else
    local seconds = problem.retry_after or PAUSE
    store.set("refresh-wait:" .. entry.name, timer.wall() + math.min(seconds, PAUSE_REQUEST),
      seconds)
  end
  return { failed = problem.message, needs_login = problem.needs_login }
end

local function label_of(entry)
  local account = entry.accounts[1]
  return account and account.label or entry.name
end

-- Asks the authorization server; the lock is held, the file was read under it.
local function ask(entry)
  local fine, changes, problem = pcall(entry.kind.refresh, entry.document)
  if not fine then
    problem = { message = "a script failed: " .. tostring(changes) }
    log.error("lua/accounts: %s", problem.message)
    changes = nil
  end
  if not changes then
    -- Who does not know of locks may have refreshed meanwhile.
    local text = token_files.read(path_of(entry.name))
    local before = token_files.refresh_token(entry.document)
    if text and text ~= entry.text and take(entry.name, text) and entry.document
        and token_files.refresh_token(entry.document) ~= before then
      M.publish()
      return { adopted = true }
    end
    return refused(entry, problem or { message = "no answer" })
  end
  keep(entry, token_files.merge(entry.text, changes))
  store.set("refresh-wait:" .. entry.name, nil)
  M.publish()
  local expiry = token_files.expiry(entry.document)
  log.info("%s: the token of %s was refreshed%s", entry.kind.provider, label_of(entry),
    expiry and ", valid until " .. times.rfc3339(expiry) or "")
  return { refreshed = true }
end

-- True while a further try would be too early.
local function must_wait(name, background)
  local not_before = store.get("refresh-wait:" .. name)
  return not_before ~= nil and (background or timer.wall() < not_before)
end

--- Refreshes the token of an account, unless somebody has done so already.
--- @param wanted {id: string, stamp: string, background: boolean?}  stamp of the secret that will
---   not do any more
--- @return table? result  `refreshed`, `adopted` (there is a newer one), or `failed` with a message
---   and perhaps `needs_login`
--- @return string? problem
function M.refresh(wanted)
  local name = match(wanted.id, "^(.-%.[jJ][sS][oO][nN])#?.*$")
  local entry = name and known[name]
  if not entry or not entry.kind then return nil, "there is no such account" end
  if credentials.stamp(wanted.id) ~= wanted.stamp then return { adopted = true } end
  if not entry.kind.refresh then return { failed = "it cannot be refreshed" } end
  local lock <close>, problem = token_files.lock(path_of(name), LOCK_SECONDS)
  if not lock then return { failed = problem } end
  if not entry.unsaved then
    local text = token_files.read(path_of(name))
    if text and text ~= "" and take(name, text) then M.publish() end
  end
  if credentials.stamp(wanted.id) ~= wanted.stamp then return { adopted = true } end
  if not entry.document or not entry.kind then return nil, "there is no such account" end
  local mark = mark_of(name, entry.document)
  if mark then return { failed = mark, needs_login = true } end
  if must_wait(name, wanted.background) then
    return { failed = "the last refresh failed a moment ago" }
  end
  return ask(entry)
end

--- True when a token is to be refreshed in the background now (spec providers 0.6).
--- @param document table
--- @param lead number  of the kind
--- @param now number
--- @return boolean
function M.is_due(document, lead, now)
  local expiry, last = token_files.expiry(document), token_files.last_refresh(document)
  local interval = token_files.interval(document)
  if interval then
    return expiry ~= nil and expiry - now <= interval or last ~= nil and now - last >= interval
  end
  if expiry then
    -- A token that lives shorter than the lead is refreshed at half of its life.
    if last and expiry > last then lead = math.min(lead, (expiry - last) / 2) end
    return expiry - now <= lead
  end
  return not last or now - last >= lead
end

-- So that many accounts of one login day are not refreshed in one second: up to a twentieth of the
-- lead, five minutes at most, always the same for a file.
local function jitter(name, lead)
  local number = tonumber(token_files.stamp(name):sub(1, 4), 16) / 65536
  return number * math.min(lead / 20, 300)
end

local function is_wanted(entry, now)
  local first = entry.accounts[1]
  local lead = first and (first.lead or entry.kind.lead)
  return lead and entry.document and entry.kind.refresh
    and (token_files.refresh_token(entry.document) or entry.accounts[1].refreshable)
    and not token_files.policy(entry.document).disabled
    and not mark_of(entry.name, entry.document)
    and not store.get("refresh-wait:" .. entry.name)
    and M.is_due(entry.document, lead, now + jitter(entry.name, lead))
end

--- Starts what is due, and writes what could not be written before.
function M.tick()
  local now = timer.wall()
  for name, entry in pairs(known) do
    if entry.unsaved then
      entry.unsaved = not token_files.write(path_of(name), entry.text) or nil
    elseif running < REFRESHES and is_wanted(entry, now) then
      local id = id_of(entry, entry.accounts[1])
      -- Present until it ends, or for a minute: nobody starts it twice.
      store.set("refresh-wait:" .. name, 0, 60)
      keeper.post("background", json.encode { id = id, stamp = credentials.stamp(id) })
    end
  end
end

--- A refresh that tick() started.
--- @param wanted {id: string, stamp: string}
function M.background(wanted)
  local name = match(wanted.id, "^(.-%.[jJ][sS][oO][nN])#?.*$")
  store.set("refresh-wait:" .. name, nil)
  running = running + 1
  local fine, result = pcall(M.refresh, wanted)
  running = running - 1
  if not fine then error(result, 0) end
  local entry = known[name]
  if result and result.refreshed and entry and entry.kind
      and M.is_due(entry.document, entry.kind.lead, timer.wall()) then
    store.set("refresh-wait:" .. name, 0, PAUSE_SHORT)
  end
end

return M
