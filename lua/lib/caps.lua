--- What a target can do: the layers of models.caps and of the configuration, merged.

local data = require "models.caps"

local find, lower, match, type = string.find, string.lower, string.match, type

local M = {}

local MAX_KEPT = 256

-- Merged ones by entry; they go with the configuration.
local kept = setmetatable({}, { __mode = "k" })
local NO_ENTRY = {}

local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for name, inner in pairs(value) do made[name] = copy(inner) end
  return made
end

-- Sets of flags are merged, everything else is replaced.
local function layer(caps, from)
  for name, value in pairs(from or {}) do
    if name == "sampling" and type(caps[name]) == "table" then
      for key, flag in pairs(value) do caps[name][key] = flag end
    else
      caps[name] = copy(value)
    end
  end
end

local function family_of(model, dialect)
  for _, row in ipairs(data.families) do
    if row.dialects[dialect] and find(model, row.pattern) then return row end
  end
  return nil
end

local function levels_of(thinking)
  local levels = type(thinking) == "table" and thinking.levels
  if type(levels) ~= "table" or #levels == 0 then return nil end
  local known, zero = {}, false
  for _, level in ipairs(levels) do
    level = lower(tostring(level))
    if level == "none" then zero = true else known[#known + 1] = level end
  end
  return { kind = "level", levels = known, zero_ok = zero or nil }
end

-- `input-modalities` of a configured model.
local function inputs_of(list, before)
  if type(list) ~= "table" or #list == 0 then return before end
  local inputs = {}
  for _, name in ipairs(list) do
    if name == "image" then inputs.image, inputs.image_url = true, before.image_url end
    if name == "pdf" or name == "audio" or name == "video" then inputs[name] = true end
    if name == "file" then inputs.pdf = true end
  end
  return inputs
end

local rank = { minimal = 1, low = 2, medium = 3, high = 4, xhigh = 5, max = 6 }

-- What the configuration says about a model.
local function configured(caps, model, entry)
  if entry["support-prompt-cache-key"] ~= nil then
    caps.cache_key = entry["support-prompt-cache-key"] == true
  end
  local models = type(entry.models) == "table" and entry.models or {}
  for _, each in ipairs(models) do
    if type(each) == "table" and (each.name == model or each.alias == model) then
      local thinking = levels_of(each.thinking)
      if thinking then
        local fine = {}
        for _, level in ipairs(thinking.levels) do
          if rank[level] then fine[#fine + 1] = level end
        end
        thinking.levels = fine
        if #fine > 0 then caps.thinking = thinking end
      end
      caps.inputs = inputs_of(each["input-modalities"], caps.inputs)
      return
    end
  end
end

local function build(model, provider, entry)
  local name = type(provider) == "table" and provider.name or provider
  local row = data.providers[name] or {}
  local dialect = row.dialect or type(provider) == "table" and provider.dialect or "chat"
  local caps = copy(data.dialects[dialect] or data.dialects.chat)
  local name_of_model = lower(match(model, "([^/]*)$"))
  local family = family_of(name_of_model, dialect)
  for _, pattern in ipairs(data.image_models) do
    if find(name_of_model, pattern) then caps.image_output = true end
  end
  if family then
    layer(caps, family.caps)
    layer(caps, family[dialect])
  end
  local url = entry["base-url"] or entry.base_url
  local host = type(url) == "string" and match(lower(url), "^%w+://([^/:]+)")
  -- Any other host may be stricter than the vendor's.
  if host and dialect == "anthropic" and host ~= "api.anthropic.com" then
    layer(caps, row.caps)
    caps.tool_name = { max = 64, charset = "anthropic" }
  elseif name == "codex" and url and not find(url, "/backend%-api/codex/?$") then
    -- A plain Responses endpoint.
    host = nil
  else
    layer(caps, row.caps)
  end
  if host and dialect == "chat" then layer(caps, data.hosts[host]) end
  if row.models then layer(caps, row.models[lower(model)]) end
  configured(caps, model, entry)
  return caps
end

--- What a model of a provider can do.  The result is shared: do not change it.
--- @param model string  upstream's name
--- @param provider string|table  name of a provider, or its script
--- @param entry table?  the configuration's entry
--- @return Caps
function M.of(model, provider, entry)
  entry = entry or NO_ENTRY
  local key = (type(provider) == "table" and provider.name or provider) .. " " .. model
  local known = kept[entry]
  if not known or known.count > MAX_KEPT then
    known = { count = 0 }
    kept[entry] = known
  end
  if not known[key] then
    known[key] = build(model, provider, entry)
    known.count = known.count + 1
  end
  return known[key]
end

return M
