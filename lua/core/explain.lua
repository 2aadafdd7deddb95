--- Why requests for a model go where they go: every account, kept or refused, and what would help.
---
--- A report is what GET /v0/local/explain answers and `explain --json` prints:
---
--- | member      | says                                                                       |
--- |-------------|----------------------------------------------------------------------------|
--- | model, dialect | what was asked for                                                      |
--- | usable      | whether a request now would find somebody                                  |
--- | live        | asked of a running server; else cooldowns are not known                    |
--- | resolved    | how the name was understood: `how` ("name", "alias", "prefix", "suffix",   |
--- |             | "provider", "unknown"), `name` that was looked up, `text` for people       |
--- | strategy    | `routing.strategy`                                                         |
--- | candidates  | in the order of the next request, then the refused ones                    |
--- | next        | of the candidate that is asked first: `credential`, `provider`, `why`      |
--- | nearest     | known names like an unknown one                                            |
--- | providers   | what is configured: `name`, number of `accounts` and of `models`           |
---
--- A candidate: `provider`, `credential`, `id`, `kind`, `model` (upstream's name), `verdict` ("kept",
--- "refused"), `reason` (a code) and `why` of a refusal, `seconds` left, what the upstream `said`,
--- `fix` (what would help), `priority`, `weight`, `position`, `route` ("as it is", "translated"),
--- `notes`.

local config = require "config"
local credentials = require "credentials"
local data = require "models.explain"
local dialects = require "lib.dialects"
local json = require "json"
local nearest = require "lib.nearest"
local registry = require "core.registry"
local router = require "core.router"
local selector = require "core.selector"
local store = require "store"
local timer = require "timer"

local format, lower, sub = string.format, string.lower, string.sub

local M = {}

local NEAREST = 5

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

-- --- where an account comes from ------------------------------------------------------------------

local function config_file()
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
    return format("the entry `%s` of %s in %s", credential.name, list, config_file())
  end
  return format("%s in %s", list, config_file())
end

local function login_of(credential)
  local flag = data.logins[credential.provider]
  return flag and "cli-proxy-api " .. flag or nil
end

-- --- refusals ---------------------------------------------------------------------------------------

local function set_key(credential, key, value)
  if is_file(credential) then
    return format("set \"%s\": %s in %s", (key:gsub("-", "_")), value, place_of(credential))
  end
  return format("set `%s: %s` for %s", key, value, place_of(credential))
end

-- What would help against a cooldown.
local function cooling_fix(credential, reason, seconds)
  local wait = "wait " .. M.span(seconds or 0)
  if reason == "unauthorized" then
    local login = is_file(credential) and login_of(credential)
    return login or "check the key in " .. place_of(credential)
  end
  if reason == "payment_required" then return "pay for the account, or add another one" end
  if reason == "forbidden" then
    return "read what the upstream said; it is asked again in " .. M.span(seconds or 0)
  end
  if reason == "unsupported" then return "ask for a model that the account has" end
  return wait
end

local function needs_login(credential)
  return {
    reason = "needs_login", why = credential.problem,
    fix = login_of(credential) or "log in again",
  }
end

-- Why a candidate that has the model is left out now, or nil.
local function refusal_of(candidate, live)
  local credential = candidate.credential
  if credential.problem then return needs_login(credential) end
  if not live then return nil end
  local reason, seconds, said = selector.blocked(candidate)
  if not reason then return nil end
  return {
    reason = "cooling_" .. reason, why = data.cooling[reason] or reason, seconds = seconds,
    said = said, fix = cooling_fix(credential, reason, seconds),
  }
end

local function models_of(provider, credential)
  local fine, list = pcall(provider.models, credential)
  return fine and list or {}
end

-- The account without a setting of its entry.
local function without(credential, key)
  local entry = setmetatable({ [key] = false }, { __index = credential.entry })
  return setmetatable({ entry = entry }, { __index = credential })
end

local function find_model(list, name, field)
  local wanted = lower(name)
  for _, model in ipairs(list) do
    local value = model[field]
    if value and lower(value) == wanted then return model end
  end
end

-- Why an account has no part in a model; `names` are what the model may be called.
local function absence(provider, credential, names, asked)
  local entry = credential.entry or {}
  local all = models_of(provider, without(credential, "excluded-models"))
  local offered, renamed
  for _, name in ipairs(names) do
    local prefix = entry.prefix
    if prefix and prefix ~= "" and sub(name, 1, #prefix + 1) == prefix .. "/" then
      name = sub(name, #prefix + 2)
    end
    offered = offered or find_model(all, name, "id")
    renamed = renamed or find_model(all, name, "upstream")
  end
  if entry.disabled and (offered or renamed) then
    return { reason = "disabled", why = "it is disabled", model = offered and offered.upstream,
      fix = set_key(credential, "disabled", "false") }
  end
  if not offered then
    if not renamed then
      return { reason = "other_models", why = "it offers other models",
        fix = not is_file(credential) and "add the model to `models` of " .. place_of(credential)
          or nil }
    end
    return { reason = "renamed", why = format("it offers the model as `%s`", renamed.id),
      fix = format("ask for `%s`", renamed.id) }
  end
  if not find_model(models_of(provider, credential), offered.id, "id") then
    return { reason = "excluded", why = "`excluded-models` takes the model out",
      fix = "change `excluded-models` of " .. place_of(credential) }
  end
  if entry.prefix and entry.prefix ~= "" and not asked:find(entry.prefix .. "/", 1, true) then
    return { reason = "prefix_only", why = "it serves only names with its prefix",
      fix = format("ask for `%s/%s`", entry.prefix, offered.id) }
  end
  if asked ~= offered.id and lower(asked) == lower(offered.id) then
    return { reason = "other_case", why = format("the model's name is `%s`", offered.id),
      fix = format("ask for `%s`", offered.id) }
  end
  return { reason = "other_provider", why = "the name asks for another provider",
    fix = format("ask for `%s`", offered.id) }
end

-- --- who is asked first -------------------------------------------------------------------------------

-- The order of the next request, without making it anybody's turn.
local function order_of(resolution, kept)
  local order = {}
  local groups = resolution.groups
  local function turn(cursor, count)
    local value = count > 1 and store.get(cursor)
    return value and value % count or 0
  end
  local first = turn(resolution.cursor, #groups)
  for i = 0, #groups - 1 do
    local group, usable = groups[(first + i) % #groups + 1], {}
    for _, candidate in ipairs(group.candidates) do
      if kept[candidate] then usable[#usable + 1] = candidate end
    end
    local at = turn(group.cursor, #usable)
    for k = 0, #usable - 1 do order[#order + 1] = usable[(at + k) % #usable + 1] end
  end
  return order
end

-- --- the report -----------------------------------------------------------------------------------------

local function describe(candidate, dialect, suffix)
  local credential, entry = candidate.credential, candidate.credential.entry or {}
  local route
  if dialect then
    route = candidate.provider.dialect == dialects.base(dialect) and not suffix and "as it is"
      or "translated"
  end
  return {
    provider = credential.name, credential = credential.label, id = credential.id,
    kind = credential.kind, model = candidate.model, route = route,
    priority = entry.priority or 0, weight = entry.weight or 1,
  }
end

local function notes_of(credential, live)
  local notes = json.array {}
  local expires = credential.expires
  if live and expires then
    local left = expires - timer.wall()
    notes[1] = left > 0 and "its token expires in " .. M.span(left)
      or "its token has expired and is refreshed before use"
  end
  return notes
end

local function refuse(row, refusal)
  row.verdict = "refused"
  for _, name in ipairs { "reason", "why", "said", "fix" } do
    if refusal[name] ~= "" then row[name] = refusal[name] end
  end
  row.model = row.model or refusal.model
  row.seconds = refusal.seconds and math.ceil(refusal.seconds)
end

-- How the name was understood.
local function resolved_as(model, resolution, suffix)
  if not resolution then
    return { how = "unknown", text = "no account here offers a model of that name" }
  end
  local first = resolution.groups[1].candidates[1]
  local name, upstream = resolution.id, first.model
  local prefix = first.credential.entry and first.credential.entry.prefix
  local how, text
  if resolution.via ~= "registered" then
    how = "provider"
    text = format("`%s` of %s alone", upstream, resolution.groups[1].name)
  elseif suffix or name ~= model then
    how, text = "suffix", format("`%s`, the rest asks for an amount of reasoning", name)
  elseif prefix and prefix ~= "" and sub(name, 1, #prefix + 1) == prefix .. "/" then
    how, text = "prefix", format("`%s` of the accounts with the prefix `%s`", upstream, prefix)
  elseif upstream ~= name then
    how, text = "alias", format("an alias of `%s`", upstream)
  else
    how, text = "name", "a model of that name"
  end
  return { how = how, name = name, text = text }
end

-- The names an account may know the model by.
local function names_of(model, resolution)
  local names = { model }
  if resolution and resolution.id ~= model then names[2] = resolution.id end
  local rest = model:match("^[^:]+://(.+)$")
  if rest then names[#names + 1] = rest end
  return names
end

local function provider_of(credential)
  local fine, provider = pcall(require, "providers." .. credential.provider)
  return fine and provider or nil
end

-- The accounts that have no part in the model, each with the reason.
local function add_absent(rows, report, resolution, seen)
  local names = names_of(report.model, resolution)
  for _, credential in ipairs(credentials.list()) do
    if not seen[credential.id] then
      local provider = provider_of(credential)
      local row = describe({ provider = provider or {}, credential = credential }, nil)
      refuse(row, provider and absence(provider, credential, names, report.model)
        or { reason = "no_script", why = "there is no script for its provider" })
      if credential.problem and row.reason ~= "other_models" then
        refuse(row, needs_login(credential))
      end
      row.notes = json.array {}
      rows[#rows + 1] = row
    end
  end
end

local function add_mock(rows, report)
  local fine, mock = pcall(require, "providers.mock")
  if not fine or not find_model(mock.models {}, report.model, "id") then return end
  rows[#rows + 1] = {
    provider = "mock", credential = "mock", id = "mock", kind = "none", model = report.model,
    verdict = "refused", reason = "mock_off", priority = 0, weight = 1, notes = json.array {},
    why = config.values.mock == false and "`mock: false` turns the mock models off"
      or "the mock models go when there is a real account",
    fix = "set `mock: true` in " .. config_file(),
  }
end

local function configured()
  local count, order = {}, {}
  for _, credential in ipairs(credentials.list()) do
    local row = count[credential.name]
    if not row then
      row = { name = credential.name, accounts = 0, disabled = 0, models = 0 }
      count[credential.name] = row
      order[#order + 1] = row
    end
    row.accounts = row.accounts + 1
    if credential.entry and credential.entry.disabled then row.disabled = row.disabled + 1 end
  end
  local known = registry.get()
  for _, id in ipairs(known.ids) do
    for _, group in ipairs(known.models[id].groups) do
      local row = count[group.name]
      if row then row.models = row.models + 1 end
    end
  end
  table.sort(order, function(a, b) return a.name < b.name end)
  return json.array(order)
end

local function why_first(order, strategy)
  if #order == 1 then return "it is the only usable one" end
  return strategy .. ": it is its turn"
end

--- Explains a model.
--- @param model string  as a client names it
--- @param dialect string?  of the client
--- @param live boolean  within a running server
--- @return table
function M.report(model, dialect, live)
  dialect = dialect and (data.dialects[dialect] or dialect)
  local resolution, _, suffix = router.resolve(model)
  local routing = config.values.routing or {}
  local report = {
    model = model, dialect = dialect, live = live, usable = false,
    resolved = resolved_as(model, resolution, suffix),
    strategy = routing.strategy or "round-robin",
    candidates = json.array {}, providers = configured(), nearest = json.array {},
  }
  local kept, seen, rows, refused = {}, {}, {}, {}
  for _, group in ipairs(resolution and resolution.groups or {}) do
    for _, candidate in ipairs(group.candidates) do
      local row = describe(candidate, dialect, suffix)
      local refusal = refusal_of(candidate, live)
      seen[candidate.credential.id] = true
      row.notes = notes_of(candidate.credential, live)
      rows[candidate] = row
      if refusal then
        refuse(row, refusal)
        refused[#refused + 1] = row
      else
        row.verdict, kept[candidate] = "kept", true
      end
    end
  end
  local order = resolution and live and order_of(resolution, kept) or {}
  if resolution and not live then
    for _, group in ipairs(resolution.groups) do
      for _, candidate in ipairs(group.candidates) do
        if kept[candidate] then order[#order + 1] = candidate end
      end
    end
  end
  for i, candidate in ipairs(order) do
    local row = rows[candidate]
    row.position = live and i or nil
    report.candidates[i] = row
  end
  add_absent(refused, report, resolution, seen)
  if not seen.mock then add_mock(refused, report) end
  for _, row in ipairs(refused) do report.candidates[#report.candidates + 1] = row end
  report.usable = #order > 0
  if report.usable and live then
    local first = rows[order[1]]
    report.next = {
      provider = first.provider, credential = first.credential, model = first.model,
      why = why_first(order, report.strategy),
    }
  end
  if not resolution then
    report.nearest = json.array(nearest.of(model, registry.get().ids, NEAREST))
  end
  return report
end

return M
