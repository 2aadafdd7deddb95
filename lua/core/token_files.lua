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

local find, gsub, lower, match, sub =
  string.find, string.gsub, string.lower, string.match, string.sub

local FILE_MAX = 1 << 20
local LOCK_PAUSE = 0.05

local M = {}

-- Every member stays as it is written.
local RAW = json.shape { known = {} }

local expiry_names = { "expired", "expire", "expires_at", "expiresAt", "expiry", "expires" }
local refresh_names = { "last_refresh", "lastRefresh", "last_refreshed_at", "lastRefreshedAt" }
local secret_names = { "access_token", "api_key" }
local token_names = { "refresh_token", "refreshToken" }
local interval_names = { "refresh_interval_seconds", "refreshIntervalSeconds",
  "refresh_interval", "refreshInterval" }

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

--- Adds to what a refresh brought that the token's end is not known, where it does not say: the end
--- of the old token would count for the new one, and it would be refreshed for ever.
--- @param document table  before the refresh
--- @param changes table  completed
function M.outdate_expiry(document, changes)
  if not first(changes, secret_names, text_of) or M.expiry(changes) then return end
  for _, place in ipairs { "", "token", "Token" } do
    local old = place == "" and document or document[place]
    local new = place == "" and changes or changes[place] or {}
    for _, name in ipairs(type(old) == "table" and expiry_names or {}) do
      if old[name] ~= nil then
        new[name] = json.null
        if place ~= "" then changes[place] = new end
      end
    end
  end
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

-- --- members about selection ---------------------------------------------------------------------

-- Files are written by hand too, and workers take what they are told as they take the checked
-- configuration: what is of another kind there is as good as absent.

local function flag(value)
  if value == true or value == "true" then return true end
  if value == false or value == "false" then return false end
end

local function integer(value)
  local number = tonumber(value)
  return number and math.tointeger(number // 1)
end

-- The values of a list that `fits` takes, or the one that stands for such a list; nil for none.
local function list_of(value, fits)
  local kept = json.array {}
  if fits(value) then value = { value } end
  for _, each in ipairs(type(value) == "table" and value or {}) do
    if fits(each) then kept[#kept + 1] = each end
  end
  return kept[1] ~= nil and kept or nil
end

local function texts(value)
  return list_of(value, text_of)
end

local function is_object(value)
  return type(value) == "table" and not json.is_array(value)
end

local function objects(value)
  return list_of(value, is_object)
end

local FIELD = "^[%w!#$%%&'*+.^_`|~-]+$"

local function headers(value)
  local kept
  for name, text in pairs(is_object(value) and value or {}) do
    if type(text) == "number" then text = tostring(text) end
    if type(text) == "string" and not find(text, "%c") and find(name, FIELD) then
      kept = kept or {}
      kept[name] = text
    end
  end
  return kept
end

local function is_alias(value)
  return is_object(value) and text_of(value.name) ~= nil
end

-- Names that models have here, as the configuration lists them: from a list of {name, alias}, or
-- from an object of names by alias.
local function aliases(value)
  if not is_object(value) or is_alias(value) then return list_of(value, is_alias) end
  local list = {}
  for _, alias in ipairs(json.keys(value)) do
    if text_of(value[alias]) then list[#list + 1] = { alias = alias, name = value[alias] } end
  end
  return list[1] and list or nil
end

-- What is made of each; the configuration has hyphens in their names.
local policy = {
  disabled = flag, prefix = text_of, priority = integer, weight = integer, note = text_of,
  headers = headers, excluded_models = texts, model_aliases = aliases, request_retry = integer,
  disable_cooling = flag, request_scoped_errors = objects,
}

--- The members about selection, in the configuration's spelling.
--- @param document table
--- @return table
function M.policy(document)
  local entry = {}
  for name, read in pairs(policy) do
    local key = gsub(name, "_", "-")
    local value = document[name]
    if value == nil or value == json.null then value = document[key] end
    entry[key] = read(value)
  end
  entry.models, entry["model-aliases"] = entry["model-aliases"], nil
  entry.disabled = entry.disabled or nil
  return entry
end

-- --- the rest ------------------------------------------------------------------------------------

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
