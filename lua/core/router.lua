--- From a client's model name to the groups of candidates that can serve it.

local errors = require "lib.errors"
local offers = require "core.offers"
local registry = require "core.registry"
local thinking = require "lib.thinking"

local find, lower, sub = string.find, string.lower, string.sub

local NAMED_MAX = 256

local M = {}

-- The provider's own models of a name, as {name upstream, model}, else the name as it is.
local function upstream_models(account, name)
  local names, wanted = {}, lower(name)
  for _, exact in ipairs { true, false } do
    for _, model in ipairs(offers.models(account.provider, account.credential)) do
      if model.id == name and exact or not exact and lower(model.id) == wanted then
        names[#names + 1] = { model.upstream or model.id, model }
      end
    end
    if #names > 0 then return names end
  end
  if offers.is_excluded(account.credential, name) then return {} end
  return { { name } }
end

-- `name://model`: that provider only, registered or not.
local function find_provider(known, model)
  local at = find(model, "://", 1, true)
  if not at or at == 1 then return nil end
  local name, rest = lower(sub(model, 1, at - 1)), sub(model, at + 3)
  local accounts = known.names[name]
  if not accounts or rest == "" then return nil end
  -- Counters of turns stay, and clients choose the names: those that nobody offers share one.
  local group = {
    name = name, candidates = {},
    cursor = "turn:" .. name .. ":" .. (known.models[rest] and rest or "//"),
  }
  for _, account in ipairs(accounts) do
    -- OAuth providers have no name to be called by.
    if account.credential.kind ~= "oauth" then
      for _, found in ipairs(upstream_models(account, rest)) do
        group.candidates[#group.candidates + 1] =
          registry.candidate(account.provider, account.credential, found[1], found[2])
      end
    end
  end
  group.accounts = #group.candidates
  if group.accounts == 0 then return nil end
  return { id = model, groups = { group }, cursor = group.cursor, via = "provider " .. name }
end

-- What such names led to is kept with the registry, up to a number: clients choose the names.
local function by_provider(known, model)
  if not find(model, "://", 1, true) then return nil end
  local kept = known.by_provider
  if not kept or kept.count >= NAMED_MAX then
    kept = { count = 0, found = {} }
    known.by_provider = kept
  end
  local found = kept.found[model]
  if not found then
    found = find_provider(known, model)
    kept.found[model], kept.count = found, kept.count + 1
  end
  return found
end

--- Resolves a model name.
--- @param model string
--- @return table? resolution  `groups` in order, `via` the step that found them
--- @return Problem? problem
--- @return table? amount  of reasoning, which the name had behind the model's own
function M.resolve(model)
  local known = registry.get()
  -- A registered id comes first: configured names may look like anything.
  local found = known.models[model] or by_provider(known, model)
  if found then return found end
  local base, amount = thinking.suffix(model, function(name) return known.models[name] ~= nil end)
  if base ~= model then
    found = known.models[base] or by_provider(known, base)
    if found then return found, nil, amount end
  end
  return nil, errors.new("unknown_model",
    "The model `" .. model .. "` does not exist or no account here offers it.", { param = "model" })
end

return M
