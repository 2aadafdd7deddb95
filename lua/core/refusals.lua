--- Why an account is not asked for a model, in words, and what would help.
---
--- A refusal: `reason` (a code), `why`, `fix`, `seconds` left, what the upstream `said`.

local config = require "config"
local data = require "models.explain"
local offers = require "core.offers"
local plans = require "core.plans"
local selector = require "core.selector"

local format, lower, sub = string.format, string.lower, string.sub

local M = {}

--- A time span for people.
--- @param seconds number
--- @return string
function M.span(seconds)
  seconds = math.max(0, math.ceil(seconds))
  if seconds < 60 then return seconds .. "s" end
  local text
  if seconds < 3600 then
    text = format("%dm %ds", seconds // 60, seconds % 60)
  elseif seconds < 86400 then
    text = format("%dh %dm", seconds // 3600, seconds % 3600 // 60)
  else
    text = format("%dd %dh", seconds // 86400, seconds % 86400 // 3600)
  end
  return (text:gsub(" 0%a$", ""))
end

-- --- where an account comes from -----------------------------------------------------------------

--- The configuration, as a message names it.
--- @return string
function M.config_file()
  return config.path ~= "" and config.path or "config.yaml"
end

local function is_file(credential)
  return credential.kind == "oauth" or credential.file ~= nil
end

-- Where a setting of the account is: in its file, or in its entry of the configuration.
local function place_of(credential)
  if is_file(credential) then
    local directory = config.values["auth-dir"]
    local file = credential.file or credential.id:match("^[^#]*")
    if sub(file, 1, 1) == "/" or not directory or directory == "" then return file end
    return directory:gsub("/+$", "") .. "/" .. file
  end
  local list = data.lists[credential.provider] or credential.provider
  if credential.provider == "openai_compatibility" then
    return format("the entry `%s` of %s in %s", credential.name, list, M.config_file())
  end
  return format("%s in %s", list, M.config_file())
end

--- The command that logs in to an account's provider, or nil.
--- @param credential Credential
--- @return string?
function M.login_of(credential)
  local flag = data.logins[credential.provider]
  return flag and "cli-proxy-api " .. flag or nil
end

-- --- refusals ------------------------------------------------------------------------------------

local function set_key(credential, key, value)
  if is_file(credential) then
    return format("set \"%s\": %s in %s", (key:gsub("-", "_")), value, place_of(credential))
  end
  return format("set `%s: %s` for %s", key, value, place_of(credential))
end

-- What would help against a cooldown.
local function cooling_fix(credential, reason, seconds)
  local left = M.span(seconds or 0)
  if reason == "unauthorized" then
    local login = is_file(credential) and M.login_of(credential)
    return login or "check the key in " .. place_of(credential)
  end
  if reason == "payment_required" then return "pay for the account, or add another one" end
  if reason == "forbidden" then
    return "read what the upstream said; it is asked again in " .. left
  end
  if reason == "unsupported" then return "ask for a model that the account has" end
  return "wait " .. left
end

-- Refusals of an account that nothing but its owner can change: functions of it and of what is
-- known about the refusal.
local owners = {}

function owners.needs_login(credential, said)
  local problem = credential.problem or said
  return {
    reason = "needs_login", why = problem and problem ~= "" and problem or "it has to log in again",
    fix = M.login_of(credential) or "check the key in " .. place_of(credential),
  }
end

function owners.expired(credential)
  return {
    reason = "expired", why = "its token has expired and cannot be renewed",
    fix = M.login_of(credential) or "put a new token into " .. place_of(credential),
  }
end

function owners.disabled(credential)
  return {
    reason = "disabled", why = "it is disabled", fix = set_key(credential, "disabled", "false"),
  }
end

function owners.weight(credential)
  return {
    reason = "weight", why = "its weight is 0, so it never has a turn",
    fix = set_key(credential, "weight", "1"),
  }
end

function owners.not_admitted(_, said)
  return {
    reason = "not_admitted", why = said,
    fix = "let other clients in with `claude-oauth-clients: any` in " .. M.config_file(),
  }
end

-- A call as the provider asks about it: some client of a dialect, or Claude Code.
local function call_of(dialect, agent)
  local client = {}
  function client.header(_, name) return name == "user-agent" and agent or nil end
  return { dialect = dialect, client = client }
end

--- What a provider has against clients of a dialect: why, and whether that is so for all of them.
--- @param candidate Candidate
--- @param dialect string?  nil: any
--- @return string? why
--- @return boolean? all
function M.admission(candidate, dialect)
  local admits, credential = candidate.provider.admits, candidate.credential
  if not admits then return nil end
  local fine, why = admits(call_of(dialect or "chat"), credential)
  if fine then return nil end
  return why, not admits(call_of(dialect or "anthropic", "claude-cli/2"), credential)
end

--- Why a candidate that has the model is left out now, or nil.
--- @param candidate Candidate
--- @param live boolean  else only what is written down counts
--- @param dialect string?  of the client
--- @return table?
function M.of(candidate, live, dialect)
  local credential = candidate.credential
  local status
  local kept_out, all = M.admission(candidate, dialect)
  if kept_out and all then return owners.not_admitted(credential, kept_out) end
  if live then
    status = selector.status(candidate)
  elseif credential.problem and (credential.expires or math.huge) <= os.time() then
    status = { reason = "needs_login" }
  else
    status = { reason = plans.is_excluded(candidate) and "weight" or nil }
  end
  local reason = status.reason
  if not reason then return nil end
  local owner = owners[reason]
  if owner then return owner(credential, status.last) end
  return {
    reason = "cooling_" .. reason, why = data.cooling[reason] or reason, seconds = status.seconds,
    said = status.last, fix = cooling_fix(credential, reason, status.seconds),
  }
end

--- The account has to log in again.
M.needs_login = owners.needs_login

-- All that the provider has for such an account, whatever its settings keep out.
local function catalogue_of(provider, credential)
  local settings = { ["excluded-models"] = false }
  if credential.kind == "oauth" then settings.models = false end
  local bare = setmetatable({
    entry = setmetatable(settings, { __index = credential.entry }),
  }, { __index = credential })
  local fine, list = pcall(provider.models, bare)
  return fine and list or {}
end

local function offered_by(provider, credential)
  local fine, list = pcall(offers.models, provider, credential)
  return fine and list or {}
end

--- The model of a list whose `field` is a name, whatever the case.
--- @param list Model[]
--- @param name string
--- @param field "id"|"upstream"
--- @return Model?
function M.find_model(list, name, field)
  local wanted = lower(name)
  for _, model in ipairs(list) do
    local value = model[field]
    if value and lower(value) == wanted then return model end
  end
end

-- What an account offers under one of some names, and what it has under another name or not at all.
local function look_up(provider, credential, names)
  local offered, all = offered_by(provider, credential), catalogue_of(provider, credential)
  local prefix = (credential.entry.prefix or "") .. "/"
  local found = {}
  for _, name in ipairs(names) do
    if #prefix > 1 and sub(name, 1, #prefix) == prefix then name = sub(name, #prefix + 1) end
    found.offered = found.offered or M.find_model(offered, name, "id")
    found.renamed = found.renamed or M.find_model(offered, name, "upstream")
    local kept_out = M.find_model(all, name, "id")
    if kept_out and not found.offered then found.excluded = found.excluded or kept_out end
  end
  return found
end

local function absence_of_offered(credential, model, asked)
  local prefix = credential.entry.prefix or ""
  if prefix ~= "" and sub(asked, 1, #prefix + 1) ~= prefix .. "/" then
    return { reason = "prefix_only", why = "it serves only names with its prefix",
      fix = format("ask for `%s/%s`", prefix, model.id) }
  end
  if asked ~= model.id and lower(asked) == lower(model.id) then
    return { reason = "other_case", why = format("the model's name is `%s`", model.id),
      fix = format("ask for `%s`", model.id) }
  end
  return { reason = "other_provider", why = "the name asks for another provider",
    fix = format("ask for `%s`", model.id) }
end

local function exclusion_fix(credential)
  local patterns = credential.entry["excluded-models"]
  if credential.kind ~= "oauth" or patterns and patterns[1] then
    return "change `excluded-models` of " .. place_of(credential)
  end
  return format("change `oauth-excluded-models` for %s in %s", credential.name, M.config_file())
end

--- Why an account has no part in a model.
--- @param provider Provider
--- @param credential Credential
--- @param names string[]  what the model may be called
--- @param asked string  as the client names it
--- @return table  with the upstream's name of the `model`, when the account has it
function M.absence(provider, credential, names, asked)
  local found = look_up(provider, credential, names)
  local model = found.offered or found.renamed or found.excluded
  if credential.entry.disabled and model then
    local refusal = owners.disabled(credential)
    refusal.model = model.upstream or model.id
    return refusal
  end
  if found.offered then return absence_of_offered(credential, found.offered, asked) end
  if found.renamed then
    return { reason = "renamed", why = format("it offers the model as `%s`", found.renamed.id),
      fix = format("ask for `%s`", found.renamed.id) }
  end
  if found.excluded then
    return { reason = "excluded", why = "`excluded-models` takes the model out",
      fix = exclusion_fix(credential) }
  end
  return { reason = "other_models", why = "it offers other models",
    fix = not is_file(credential) and "add the model to `models` of " .. place_of(credential)
      or nil }
end

return M
