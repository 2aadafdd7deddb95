--- The models of a credential: a provider's built-in list, or the ones its entry names.

local lower = string.lower

-- Efforts that are names of their own, `<model>-high`; see models.catalogue_codex.
local EFFORTS = { "minimal", "low", "medium", "high" }

local M = {}

-- Keys that were not given may come as empty defaults.
local function given(value)
  if value == "" or value == 0 then return nil end
  return value
end

local function copy(record)
  local made = {}
  for name, value in pairs(record or {}) do made[name] = value end
  return made
end

local function has_level(model, level)
  local thinking = model.thinking
  for _, known in ipairs(thinking and thinking.levels or {}) do
    if known == level then return true end
  end
  return false
end

local function title(word)
  return word:sub(1, 1):upper() .. word:sub(2)
end

-- Appends `<model>-<effort>` for each level that a model declares.
local function add_efforts(list, model)
  for _, effort in ipairs(EFFORTS) do
    if has_level(model, effort) then
      local made = copy(model)
      made.id = model.id .. "-" .. effort
      made.upstream = model.upstream or model.id
      made.display_name = (model.display_name or model.id) .. " " .. title(effort)
      made.effort = effort
      list[#list + 1] = made
    end
  end
end

local function record_of(catalogue, name)
  local wanted = lower(name)
  for _, model in ipairs(catalogue.models) do
    if lower(model.id) == wanted then return model end
  end
end

-- The models that an entry names, each under its alias.  Several under one alias are a pool.
local function configured(entry, catalogue)
  local list, seen = {}, {}
  for _, model in ipairs(entry.models) do
    local name, alias = given(model.name), given(model.alias)
    name, alias = name or alias, alias or name
    local key = name and lower(alias) .. "\0" .. name
    if name and not seen[key] then
      seen[key] = true
      local made = copy(record_of(catalogue, name))
      made.id, made.upstream, made.hidden = alias, name, nil
      made.display_name = given(model["display-name"]) or made.display_name or name
      made.context_length = given(model["max-context-length"]) or made.context_length
      local levels = type(model.thinking) == "table" and model.thinking.levels
      if levels and levels[1] then made.thinking = { kind = "level", levels = levels } end
      list[#list + 1] = made
    end
  end
  return list
end

--- The models that a credential offers, before some are excluded (core.offers).
--- @param credential Credential
--- @param catalogue table  of lua/models: `models`, and what all of them share
--- @return Model[]
function M.models(credential, catalogue)
  local entry = credential.entry or {}
  local base = entry.models and entry.models[1] and configured(entry, catalogue)
    or catalogue.models
  local list = {}
  for _, record in ipairs(base) do
    local model = copy(record)
    for name, value in pairs(catalogue.shared) do
      if model[name] == nil then model[name] = value end
    end
    list[#list + 1] = model
    if catalogue.efforts then add_efforts(list, model) end
  end
  return list
end

return M
