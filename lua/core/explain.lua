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
--- | unusable    | token files that offer no account: `file`, `problem`                       |
--- | server      | `version` and `address` of the one that answered                           |
---
--- A candidate: `provider`, `credential`, `id`, `kind`, `model` (upstream's name), `verdict`
--- ("kept", "refused"), `reason` (a code) and `why` of a refusal, `seconds` left, what the upstream
--- `said`, `fix` (what would help), `priority`, `weight`, `position`, `route` ("as it is",
--- "translated"), `notes`.

local config = require "config"
local credentials = require "credentials"
local data = require "models.explain"
local dialects = require "lib.dialects"
local json = require "json"
local nearest = require "lib.nearest"
local plans = require "core.plans"
local previews = require "core.previews"
local refusals = require "core.refusals"
local registry = require "core.registry"
local router = require "core.router"
local selector = require "core.selector"
local timer = require "timer"
local turns = require "core.turns"

local format, lower, sub = string.format, string.lower, string.sub

local M = {}

local NEAREST = 5

-- The model of the same account that is asked instead of one that is out of quota, or nil.
local function stand_in(candidate)
  return previews.next(candidate, function(other) return selector.blocked(other) ~= nil end)
end

local function describe(candidate, dialect, suffix)
  local credential, route = candidate.credential, nil
  if dialect then
    route = candidate.provider.dialect == dialects.base(dialect) and not suffix and "as it is"
      or "translated"
  end
  return {
    provider = credential.name, credential = credential.label, id = credential.id,
    kind = credential.kind, model = candidate.model, route = route,
    priority = plans.priority(candidate), weight = plans.weight(candidate),
  }
end

local function notes_of(credential, live)
  local notes = json.array {}
  local expires = credential.expires
  local left = expires and expires - (live and timer.wall() or os.time())
  if credential.problem and not (left and left <= 0) then
    notes[1] = format("%s; it serves until its token %s: %s", credential.problem,
      left and "expires in " .. refusals.span(left) or "is refused",
      refusals.login_of(credential) or "log in again")
  elseif left then
    notes[1] = left > 0 and "its token expires in " .. refusals.span(left)
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

local function add_mock(rows, report)
  local fine, mock = pcall(require, "providers.mock")
  if not fine or not refusals.find_model(mock.models {}, report.model, "id") then return end
  rows[#rows + 1] = {
    provider = "mock", credential = "mock", id = "mock", kind = "none", model = report.model,
    verdict = "refused", reason = "mock_off", priority = 0, weight = 1, notes = json.array {},
    why = config.values.mock == false and "`mock: false` turns the mock models off"
      or "the mock models go when there is a real account",
    fix = "set `mock: true` in " .. refusals.config_file(),
  }
end

-- The accounts that have no part in the model, each with the reason; those of other models last.
local function add_absent(rows, report, resolution, seen)
  local names, others = names_of(report.model, resolution), {}
  for _, credential in ipairs(credentials.list()) do
    if not seen[credential.id] then
      local provider = provider_of(credential)
      local row = describe({ provider = provider or {}, credential = credential }, nil)
      refuse(row, provider and refusals.absence(provider, credential, names, report.model)
        or { reason = "no_script", why = "there is no script for its provider" })
      if credential.problem and row.reason ~= "other_models" then
        refuse(row, refusals.needs_login(credential))
      end
      row.notes = json.array {}
      local list = row.reason == "other_models" and others or rows
      list[#list + 1] = row
    end
  end
  if not seen.mock then add_mock(rows, report) end
  table.move(others, 1, #others, #rows + 1, rows)
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

-- Decides on a candidate of the resolution: `kept` gets it unless it is refused.
local function judge(candidate, row, kept, live, dialect)
  local kept_out, all = refusals.admission(candidate, dialect)
  if kept_out and not all then table.insert(row.notes, kept_out) end
  local refusal = refusals.of(candidate, live, dialect)
  if not refusal then
    row.verdict, kept[candidate] = "kept", true
    return
  end
  local quota = refusal.reason == "cooling_quota"
  local instead = quota and stand_in(candidate)
  if instead then
    row.verdict, kept[candidate] = "kept", true
    table.insert(row.notes, "out of quota for `" .. row.model .. "`, so `" .. instead.model
      .. "` stands in")
    row.model = instead.model
  elseif quota and turns.is_probed(candidate) then
    row.verdict, kept[candidate] = "kept", "probe"
    table.insert(row.notes, "out of quota for a long time: the next request looks whether that is"
      .. " still so")
  else
    refuse(row, refusal)
  end
end

local function add_resort(order, resolution, rows)
  local candidate = turns.last_resort(resolution, rows)
  if not candidate then return end
  local row = rows[candidate]
  table.insert(row.notes, format("%s (%s left), but nobody else is left", row.why,
    refusals.span(row.seconds)))
  row.verdict, row.reason, row.why, row.fix, row.seconds = "kept", nil, nil, nil, nil
  order[1] = candidate
end

local function why_first(order, rows, plan)
  if #order == 1 then return "it is the only usable one" end
  local first, second = rows[order[1]], rows[order[2]]
  if first.priority > second.priority then
    return format("its priority is the highest (%d)", first.priority)
  end
  local why = plan.strategy
    .. (plan.strategy == "fill-first" and ": the first one that can" or ": it is its turn")
  local routing = config.values.routing or {}
  if routing["session-affinity"] == false then return why end
  return why .. "; conversations that have begun stay where they are"
end

-- The candidates of a resolution: appends the usable ones in order and the refused ones to `rows`.
-- Returns the usable candidates, and the rows of all by candidate.
local function add_candidates(rows, resolution, dialect, suffix, live)
  local kept, row_of, order, refused = {}, {}, {}, {}
  local all = plans.of(resolution).all
  for _, candidate in ipairs(all) do
    local row = describe(candidate, dialect, suffix)
    row.notes = notes_of(candidate.credential, live)
    row_of[candidate] = row
    judge(candidate, row, kept, live, dialect)
  end
  if live then
    order = turns.order(resolution, kept)
    if #order == 0 then add_resort(order, resolution, row_of) end
  end
  for _, candidate in ipairs(all) do
    if row_of[candidate].verdict == "refused" then
      refused[#refused + 1] = row_of[candidate]
    elseif not live then
      order[#order + 1] = candidate
    end
  end
  for i, candidate in ipairs(order) do
    rows[#rows + 1] = row_of[candidate]
    row_of[candidate].position = live and i or nil
  end
  table.move(refused, 1, #refused, #rows + 1, rows)
  return order, row_of
end

local function first_of(order, row_of, plan)
  local first = row_of[order[1]]
  return {
    provider = first.provider, credential = first.credential, model = first.model,
    why = why_first(order, row_of, plan),
  }
end

--- Explains a model.
--- @param model string  as a client names it
--- @param dialect string?  of the client
--- @param live boolean  within a running server
--- @return table
function M.report(model, dialect, live)
  dialect = dialect and (data.dialects[dialect] or dialect)
  local resolution, _, suffix = router.resolve(model)
  local report = {
    model = model, dialect = dialect, live = live, usable = false,
    resolved = resolved_as(model, resolution, suffix), strategy = plans.strategy(),
    candidates = json.array {}, providers = configured(), nearest = json.array {},
  }
  local seen = {}
  if resolution then
    local order, row_of = add_candidates(report.candidates, resolution, dialect, suffix, live)
    report.usable = #order > 0
    if report.usable and live then
      report.next = first_of(order, row_of, plans.of(resolution))
    end
    for candidate in pairs(row_of) do seen[candidate.credential.id] = true end
  else
    report.nearest = json.array(nearest.of(model, registry.get().ids, NEAREST))
  end
  add_absent(report.candidates, report, resolution, seen)
  return report
end

return M
