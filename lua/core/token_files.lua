--- Token files: what is in them, and how they are rewritten without losing a member.
---
--- One JSON object a file.  `type` says whose account it is; see spec providers 0.5 for the members
--- that all kinds share.  Only the keeper and logins on the command line use this.

local crypto = require "crypto"
local duration = require "lib.duration"
local file = require "file"
local json = require "json"
local times = require "lib.times"
local timer = require "timer"

local find, lower, match, sub = string.find, string.lower, string.match, string.sub

local FILE_MAX = 1 << 20
local LOCK_PAUSE = 0.05

local M = {}

-- Every member stays as it is written.
local RAW = json.shape { known = {} }

local expiry_names = { "expired", "expire", "expires_at", "expiresAt", "expiry", "expires" }
local refresh_names = { "last_refresh", "lastRefresh", "last_refreshed_at", "lastRefreshedAt" }
local token_names = { "refresh_token", "refreshToken" }
local interval_names = { "refresh_interval_seconds", "refreshIntervalSeconds",
  "refresh_interval", "refreshInterval" }

-- Members about selection, and what the same thing is called in the configuration.
local policy = {
  disabled = "disabled", prefix = "prefix", priority = "priority", weight = "weight",
  note = "note", headers = "headers", excluded_models = "excluded-models",
  request_retry = "request-retry",
  disable_cooling = "disable-cooling", request_scoped_errors = "request-scoped-errors",
}

-- --- reading ---------------------------------------------------------------------------------------

-- First member of these names that `read` makes something of, at the top or inside the token.
local function first(document, names, read)
  for _, place in ipairs { document, document.token or false, document.Token or false } do
    if type(place) == "table" then
      for _, name in ipairs(names) do
        local value = read(place[name])
        if value then return value end
      end
    end
  end
  return nil
end

local function text_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- Unix time at which the access token ends; nil when the file does not say.
--- @param document table
--- @return number?
function M.expiry(document)
  return first(document, expiry_names, times.unix)
end

--- Unix time of the last refresh; nil when the file does not say.
--- @param document table
--- @return number?
function M.last_refresh(document)
  return first(document, refresh_names, times.unix)
end

--- @param document table
--- @return string?
function M.refresh_token(document)
  return first(document, token_names, text_of)
end

--- Seconds between refreshes that the file asks for.
--- @param document table
--- @return number?
function M.interval(document)
  return first(document, interval_names, function(value)
    local seconds = duration.seconds(value)
    return seconds and seconds > 0 and seconds or nil
  end)
end

--- What tells one secret from another without telling it.
--- @param secret string
--- @return string
function M.stamp(secret)
  return crypto.sha256_hex(secret):sub(1, 12)
end

-- Names that models have here, as the configuration lists them: from a list of {name, alias}, or
-- from an object of names by alias.
local function aliases(value)
  if type(value) ~= "table" then return nil end
  if json.is_array(value) then return value end
  local list = {}
  for _, alias in ipairs(json.keys(value)) do
    if type(value[alias]) == "string" then
      list[#list + 1] = { alias = alias, name = value[alias] }
    end
  end
  return list
end

--- The members about selection, in the configuration's spelling.
--- @param document table
--- @return table
function M.policy(document)
  local entry = {}
  for name, key in pairs(policy) do
    local value = document[name]
    if value == nil then value = document[key] end
    if value ~= nil and value ~= json.null then entry[key] = value end
  end
  entry.models = aliases(document.model_aliases or document["model-aliases"])
  if entry.disabled ~= true and entry.disabled ~= "true" then entry.disabled = nil end
  if entry.disabled then entry.disabled = true end
  return entry
end

--- The proxy of this account, under both spellings.
--- @param document table
--- @return string?
function M.proxy(document)
  return text_of(document.proxy_url) or text_of(document["proxy-url"])
end

--- Decodes a token file.
--- @param text string
--- @return table? document
--- @return string? problem
function M.decode(text)
  local document, err = json.decode(text)
  if json.type(document) ~= "object" then
    return nil, err and tostring(err) or "not a JSON object"
  end
  return document
end

--- True for names that may hold a token file.
--- @param name string
--- @return boolean
function M.is_name(name)
  return match(lower(name), "%.json$") ~= nil
end

--- Reads a file.
--- @param path string
--- @return string? text
--- @return {code: string, message: string}? err
function M.read(path)
  return file.read(path, FILE_MAX)
end

-- --- writing ---------------------------------------------------------------------------------------

-- JSON without the white space between its tokens.
local function compact(text)
  local parts, at = {}, 1
  while true do
    local from, to = find(text, '[%s"]', at)
    if not from then break end
    parts[#parts + 1] = sub(text, at, from - 1)
    if sub(text, from, from) == '"' then
      to = from + 1
      while true do
        to = find(text, '["\\]', to)
        if sub(text, to, to) == '"' then break end
        to = to + 2
      end
      parts[#parts + 1] = sub(text, from, to)
    end
    at = to + 1
  end
  parts[#parts + 1] = sub(text, at)
  return table.concat(parts)
end

--- The text with changed members: objects are merged, anything else is replaced; all other members
--- stay as they were written.  Compact, names in order.
--- @param text string  a JSON object
--- @param changes table
--- @return string
function M.merge(text, changes)
  local members = assert(json.decode(text, RAW))
  for name, value in pairs(changes) do
    local old = members[name]
    if type(value) == "table" and json.type(value) == "object" and not json.is_raw(value)
        and json.type(old) == "object" then
      value = json.raw(M.merge(tostring(old), value))
    end
    members[name] = value
  end
  return compact(json.encode(members))
end

-- The same content in one form, whatever order and white space it has.
local function canonical(text)
  local value = json.decode(text)
  return value ~= nil and json.encode(value) or text
end

--- Writes a file unless it says the same already.
--- @param path string
--- @param text string
--- @param old string?  what it holds now
--- @return boolean? ok
--- @return {code: string, message: string}? err
function M.write(path, text, old)
  if old and canonical(old) == canonical(text) then return true end
  return file.write(path, text)
end

--- Takes the lock of a token file, which all processes that refresh it respect.  Close it.
--- @param path string
--- @param seconds number  how long to wait
--- @return FileLock? lock
--- @return string? problem
function M.lock(path, seconds)
  local deadline = timer.now() + seconds
  while true do
    local lock, err = file.try_lock(path .. ".lock")
    if lock then return lock end
    if err.code ~= "busy" or timer.now() >= deadline then return nil, err.message end
    timer.sleep(LOCK_PAUSE)
  end
end

-- The name for the file of an account: of the one that holds it already, whatever it is called, else
-- the given one, or the other one when that is somebody else's.  nil and why it must not be saved.
local function name_for(directory, saved)
  local name, other = saved.name:gsub("[/\\%c]", "_"), nil
  for _, there in ipairs(file.list(directory) or {}) do
    local text = M.is_name(there) and M.read(directory .. "/" .. there)
    local document = text and M.decode(text)
    local clash = document and saved.clash and saved.clash(document)
    if clash then return nil, there .. ": " .. clash end
    if document and saved.same and saved.same(document) then return there end
    if document and there == name then other = saved.other_name end
  end
  return other and other:gsub("[/\\%c]", "_") or name
end

--- Saves what a login gave.  An existing file of the same account keeps its other members.
--- @param directory string
--- @param saved Saved
--- @return string? name  in the directory
--- @return string? problem
function M.save(directory, saved)
  local name, problem = name_for(directory, saved)
  if not name then return nil, problem end
  local path = directory .. "/" .. name
  local lock <close>, busy = M.lock(path, 30)
  if not lock then return nil, busy end
  local old = M.read(path)
  local text
  if old and M.decode(old) then
    text = M.merge(old, saved.document)
  else
    text = json.encode(saved.document) .. "\n"
  end
  local ok, err = M.write(path, text, old)
  if not ok then return nil, err.message end
  return name
end

return M
