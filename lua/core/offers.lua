--- What a credential offers: its provider's models, without those that are not to be used here, and
--- for logins under the names that the configuration gives them.
---
--- Replies name a model as the client did, whatever `force-mapping` says.

local config = require "config"
local log = require "log"

local find, gsub, lower = string.find, string.gsub, string.lower

local M = {}

-- A list of the configuration for a credential's kind of login.
local function for_channel(key, credential)
  if credential.kind ~= "oauth" then return nil end
  local by_channel = config.values[key]
  return by_channel and by_channel[credential.name]
end

-- True when a name fits a pattern, in which `*` stands for anything.
local function fits(name, pattern)
  local exact = gsub(lower(pattern), "[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
  return find(name, "^" .. gsub(exact, "%*", ".*") .. "$") ~= nil
end

local function in_patterns(patterns, name)
  for _, pattern in ipairs(type(patterns) == "table" and patterns or { patterns }) do
    if type(pattern) == "string" and fits(lower(name), pattern) then return true end
  end
  return false
end

--- True when a model is not to be used with a credential.
--- @param credential Credential
--- @param name string
--- @return boolean
function M.is_excluded(credential, name)
  return in_patterns(credential.entry["excluded-models"], name)
    or in_patterns(for_channel("oauth-excluded-models", credential), name)
end

local function without_excluded(credential, list)
  local kept = {}
  for _, model in ipairs(list) do
    -- A name that stands for an effort is not the name of the model.
    local name = not model.effort and model.upstream
    if not M.is_excluded(credential, model.id)
        and not (name and M.is_excluded(credential, name)) then
      kept[#kept + 1] = model
    end
  end
  return kept
end

local function given(value)
  return type(value) == "string" and value ~= "" and value or nil
end

local function copy_of(model)
  local made = {}
  for name, value in pairs(model) do made[name] = value end
  return made
end

local function with_id(list, name)
  for _, model in ipairs(list) do
    if lower(model.id) == lower(name) then return model end
  end
end

-- A model that no catalogue has yet is taken at the configuration's word.
local function unlisted(list, name)
  local like = list[1] or {}
  return { id = name, owned_by = like.owned_by, type = like.type, created = like.created }
end

local function renamed(list, alias)
  local name, id = given(alias.name), given(alias.alias)
  if not name then return nil end
  id = id or name
  local model = with_id(list, name)
  if lower(name) == lower(id) then return not model and unlisted(list, name) or nil end
  model = model or unlisted(list, name)
  local made = copy_of(model)
  made.id, made.upstream, made.hidden = id, model.upstream or model.id, nil
  made.display_name = given(alias["display-name"]) or model.display_name
  return made, not alias.fork and lower(name)
end

-- The list with other names, and without the names they replace.
local function with_aliases(list, ...)
  local gone, more, all = {}, {}, {}
  for _, aliases in ipairs { ... } do
    for _, alias in ipairs(aliases) do
      local made, replaced = renamed(list, alias)
      more[#more + 1] = made
      if replaced then gone[replaced] = true end
    end
  end
  for _, model in ipairs(list) do
    if not gone[lower(model.id)] then all[#all + 1] = model end
  end
  return table.move(more, 1, #more, #all + 1, all)
end

-- The models of a login: names in its file do not replace the provider's list as those of a key do.
local function of_login(provider, credential, everything)
  local bare, entry = copy_of(credential), copy_of(credential.entry)
  bare.entry, entry.models = entry, nil
  local list = provider.models(bare)
  if not everything then list = without_excluded(credential, list) end
  return with_aliases(list, credential.entry.models or {},
    for_channel("oauth-model-alias", credential) or {})
end

local function list_of(provider, credential, everything)
  local list = credential.kind == "oauth" and of_login(provider, credential, everything)
    or provider.models(credential)
  return everything and list or without_excluded(credential, list)
end

--- A provider whose list breaks offers nothing, so that requests to the others are served.
--- @param provider Provider
--- @param credential Credential
--- @param everything boolean?  with the excluded ones
--- @return Model[]
function M.models(provider, credential, everything)
  local fine, list = pcall(list_of, provider, credential, everything)
  if fine then return list end
  log.error("providers/%s.lua: the models of %s cannot be listed: %s", provider.name,
    credential.label or credential.id, tostring(list))
  return {}
end

return M
