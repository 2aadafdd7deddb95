--- Accounts of `auth-dir`: found, and published to all workers.  Runs in the keeper only; how they
--- are kept alive is core.renewal's part.
---
--- In the store: `needs-login:<file>`, the stamp of a refresh token that was refused for good and
--- why; `auth-file:<file>`, what the log says about a file; `account:<file>`, the stamp of the last
--- refresh token that was seen there; `unsaved:<file>`, a text that could not be written.

local accounts = require "accounts"
local cooldowns = require "core.cooldowns"
local file = require "file"
local json = require "json"
local keeper = require "keeper"
local log = require "log"
local oauth = require "lib.oauth"
local store = require "store"
local task = require "task"
local timer = require "timer"
local token_files = require "core.token_files"
local url = require "lib.url"

local find, gsub, lower, match = string.find, string.gsub, string.lower, string.match

-- Seconds.  Files may vanish for a moment while they are replaced.
local REMOVAL = 1

--- Before this many seconds of its time are left a request refreshes first, where the kind does not
--- say.
local M = { AHEAD = 10 }

-- By file name: text, document, kind, accounts (what it offers), problem (why it offers nothing),
-- missing (it was not there at the last look), saving (a new text is being written).
local known = {}

-- --- kinds ---------------------------------------------------------------------------------------

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

-- --- files ---------------------------------------------------------------------------------------

--- @param name string
--- @return string
function M.path_of(name)
  return accounts.directory() .. "/" .. name
end

--- Why an account needs a new login, or nil.
--- @param name string
--- @param document table
--- @return string?
function M.needs_login(name, document)
  local value = store.get("needs-login:" .. name)
  if not value then return nil end
  local stamp, message = match(value, "^(%x+) (.*)$")
  if stamp == token_files.stamp(token_files.refresh_token(document) or "") then return message end
  store.set("needs-login:" .. name, nil) -- somebody has logged in again
  return nil
end

-- Why an account cannot be: nobody could send its secret, or know where to.
local function fault_of(account)
  if find(account.secret, "%c") then return "its token has characters that no token has" end
  if not url.is_address(account.base_url) then return "it has an address that is none" end
  for _, host in ipairs(account.hosts) do
    if not url.is_address(host) then return "it has an address that is none" end
  end
end

-- What a file offers; nil and why it is not usable.
local function read_accounts(kind, document, name)
  local fine, list, why = pcall(kind.read, document, name)
  if not fine or not list then return nil, tostring(fine and why or list) end
  for _, account in ipairs(list) do
    local fault = fault_of(account)
    if fault then return nil, fault end
  end
  return list
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
    -- A word may be repeated; what was put there by mistake may not.
    local word = document.type:match "^%a[%w_%-]*$"
    entry.problem = word and #word <= 24 and "nothing here knows the type " .. word
      or "nothing here knows its type"
    return
  end
  local list
  list, entry.problem = read_accounts(entry.kind, document, entry.name)
  entry.accounts = list or {}
end

local function describe(entry)
  if entry.problem then return "cannot be used: " .. entry.problem end
  local count = #entry.accounts
  return ("%d account%s of %s%s"):format(count, count == 1 and "" or "s", entry.kind.type,
    token_files.policy(entry.document).disabled and ", disabled" or "")
end

-- Scripts that take over find all files new; what was said about one is not said again.
local function tell(verb, entry)
  local key, now = "auth-file:" .. entry.name, describe(entry)
  if verb == "added" and store.get(key) == now then return end
  store.set(key, now)
  local level = entry.problem and log.warn or log.info
  level("auth file %s (%s), %s", verb, entry.name, now)
end

--- The id of a credential.
--- @param entry table
--- @param account Account
--- @return string
function M.id_of(entry, account)
  return account.suffix and entry.name .. "#" .. account.suffix or entry.name
end

-- Notes which login a file holds.  What happened before another one says nothing about it, even
-- when the file was away meanwhile.
local function note_login(entry, is_ours)
  local token = entry.document and token_files.refresh_token(entry.document)
  if not token then return end
  local key, stamp = "account:" .. entry.name, token_files.stamp(token)
  local before = store.get(key)
  if before == stamp then return end
  store.set(key, stamp)
  if before and not is_ours then cooldowns.forget(entry.name) end
end

--- The text of a file that could not be written: newer than what is on the disk.
--- @param name string
--- @return string?
function M.unsaved(name)
  return store.get("unsaved:" .. name)
end

--- Takes up a text of a file; true when it is news.
--- @param name string
--- @param text string
--- @return boolean
function M.take(name, text)
  local entry = known[name]
  if entry and entry.text == text then
    entry.missing = nil
    return false
  end
  local verb = entry and "changed" or "added"
  entry = entry or { name = name }
  known[name] = entry
  entry.text, entry.missing = text, nil
  examine(entry)
  note_login(entry, false)
  tell(verb, entry)
  return true
end

-- --- publishing ----------------------------------------------------------------------------------

local function details_of(entry, account)
  local policy = token_files.policy(entry.document)
  return json.encode {
    entry = policy,
    facts = account.facts or json.object {},
    expires = account.expires or token_files.expiry(entry.document),
    ahead = entry.kind.ahead or M.AHEAD,
    refreshable = entry.kind.refresh ~= nil and token_files.refresh_token(entry.document) ~= nil
      or account.refreshable == true,
    problem = M.needs_login(entry.name, entry.document),
    file = entry.name,
  }
end

local function public(entry, account)
  local name = gsub(entry.kind.provider, "_", "-")
  return {
    id = M.id_of(entry, account),
    provider = entry.kind.provider,
    name = name,
    secret = account.secret or "",
    label = account.label or entry.name,
    hosts = account.hosts,
    base_url = account.base_url,
    proxy = oauth.proxy(entry.document),
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

-- --- looking at the folder -----------------------------------------------------------------------

-- A file that is gone is kept for a moment: it may be on its way back.
local function forget_missing(seen)
  local changed, waiting = false, false
  local now = timer.now()
  for name, entry in pairs(known) do
    if not seen[name] and not M.unsaved(name) then
      entry.missing = entry.missing or now
      if now - entry.missing >= REMOVAL then
        known[name] = nil
        changed = true
        store.set("auth-file:" .. name, nil)
        log.info("auth file removed (%s)", name)
      else
        waiting = true
      end
    end
  end
  if waiting then keeper.post("rescan", "") end
  return changed
end

-- Reads a file.  A refresh may replace it while it is read: then what was read is older than what is
-- known.
local function read(name)
  local text, problem, entry
  repeat
    entry = known[name]
    local before, saving = entry and entry.text, entry and entry.saving
    text, problem = token_files.read(M.path_of(name))
    entry = known[name]
  until not entry or entry.saving or entry.text == before and not saving
  if entry and entry.saving then return entry.text end
  local unsaved = M.unsaved(name)
  if unsaved then return unsaved end
  return text, problem
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
      local text, problem = read(name)
      seen[name] = true
      if text then
        -- An empty file is about to be written.
        if text ~= "" then changed = M.take(name, text) or changed end
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

-- --- for core.renewal ----------------------------------------------------------------------------

--- Keeps a new text: in memory first, so that it serves even where the disk is full.
--- @param entry table
--- @param text string
function M.keep(entry, text)
  local old = entry.text
  entry.text, entry.saving = text, true
  examine(entry)
  note_login(entry, true)
  local ok, err = token_files.write(M.path_of(entry.name), text, old)
  entry.saving = nil
  store.set("unsaved:" .. entry.name, not ok and text or nil)
  if not ok then
    log.error("auth file %s holds a token that is used up and cannot be written (%s); "
      .. "the new one is only in memory, writing is tried again", entry.name, err.message)
  end
end

--- Writes what could not be written before, by whatever generation.
function M.write_unsaved()
  for _, key in ipairs(store.keys "unsaved:") do
    local name, text = key:sub(#"unsaved:" + 1), store.get(key)
    -- A refresh may have made a newer one meanwhile.
    if text and token_files.write(M.path_of(name), text) and store.get(key) == text then
      store.set(key, nil)
    end
  end
end

--- What is known of a file: `text`, `document`, `kind`, `accounts`; nil when there is none.
--- @param name string
--- @return table?
function M.entry(name)
  return known[name]
end

--- All files by name.  Not to be changed.
--- @return table<string, table>
function M.entries()
  return known
end

return M
