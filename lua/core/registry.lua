--- Which credential offers which model.  Rebuilt when the credentials change.

local config = require "config"
local credentials = require "credentials"
local log = require "log"
local offers = require "core.offers"

local lower, sort = string.lower, table.sort

local M = {}

-- Stands for the mock provider, which has no account.
local MOCK = {
  id = "mock", provider = "mock", name = "mock", kind = "none", label = "mock", entry = {},
}

local function provider_of(credential, seen)
  local name = credential.provider
  if seen[name] == nil then
    local fine, provider = pcall(require, "providers." .. name)
    if not fine then
      log.warn("no provider script for %s: %s", name, provider)
      provider = false
    end
    seen[name] = provider
  end
  return seen[name] or nil
end

local function accounts()
  local list = {}
  for _, credential in ipairs(credentials.list()) do
    if not (credential.entry and credential.entry.disabled) then list[#list + 1] = credential end
  end
  local mock = config.values.mock
  if mock == true or mock ~= false and #list == 0 then list[#list + 1] = MOCK end
  return list
end

-- The part of a registry entry that belongs to one routing name.
local function group_of(entry, name)
  for _, group in ipairs(entry.groups) do
    if group.name == name then return group end
  end
  local group = {
    name = name, candidates = {}, accounts = 0,
    cursor = "turn:" .. name .. ":" .. entry.id,
  }
  entry.groups[#entry.groups + 1] = group
  return group
end

--- Makes one way to serve a model.
--- @param provider Provider
--- @param credential Credential
--- @param upstream string  upstream's name of the model
--- @param entry Model?  what the provider says about it
--- @return Candidate
function M.candidate(provider, credential, upstream, entry)
  return {
    provider = provider,
    credential = credential,
    model = upstream,
    entry = entry,
    -- Names in the shared store, made once.
    cool = "cool:" .. credential.id .. ":" .. upstream,
    level = "level:" .. credential.id .. ":" .. upstream,
    facts = nil,
  }
end

local function offer(registry, id, model, provider, credential)
  local entry = registry.models[id]
  if not entry then
    entry = { id = id, groups = {}, cursor = "turn:" .. id, via = "registered" }
    registry.models[id] = entry
    registry.ids[#registry.ids + 1] = id
  end
  -- The record of the provider that comes first by name describes the model.
  if not entry.model or credential.name < entry.owner then
    entry.model, entry.owner = model, credential.name
  end
  if not model.hidden then entry.listed = true end
  local group = group_of(entry, credential.name)
  if group.last ~= credential.id then
    group.last, group.accounts = credential.id, group.accounts + 1
  end
  group.candidates[#group.candidates + 1] =
    M.candidate(provider, credential, model.upstream or model.id, model)
end

local function by_accounts(a, b)
  if a.accounts ~= b.accounts then return a.accounts > b.accounts end
  return a.name < b.name
end

local function build()
  local registry = { models = {}, ids = {}, names = {} }
  local seen = {}
  local only_prefixed = config.values["force-model-prefix"] == true
  for _, credential in ipairs(accounts()) do
    local provider = provider_of(credential, seen)
    if provider then
      local name = lower(credential.name)
      local named = registry.names[name] or {}
      registry.names[name] = named
      named[#named + 1] = { provider = provider, credential = credential }
      local prefix = credential.entry and credential.entry.prefix
      if prefix == "" then prefix = nil end
      for _, model in ipairs(offers.models(provider, credential)) do
        if not (prefix and only_prefixed) then
          offer(registry, model.id, model, provider, credential)
        end
        if prefix then offer(registry, prefix .. "/" .. model.id, model, provider, credential) end
      end
    end
  end
  sort(registry.ids)
  for _, entry in pairs(registry.models) do sort(entry.groups, by_accounts) end
  return registry
end

local current, current_version

--- The registry of the present credentials:
--- `models` by id (each a resolution with groups of candidates), sorted `ids`, accounts by `names`.
--- @return table
function M.get()
  local version = credentials.version()
  if version ~= current_version then
    current, current_version = build(), version
  end
  return current
end

return M
