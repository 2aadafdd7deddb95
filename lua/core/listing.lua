--- Model lists in the three forms that clients expect.

local errors = require "lib.errors"
local json = require "json"
local registry = require "core.registry"
local selector = require "core.selector"
local url = require "lib.url"

local find, sub = string.find, string.sub

local JSON = { ["Content-Type"] = "application/json; charset=utf-8" }

local M = {}

--- Which form a client of /v1/models wants.
--- @param client Client
--- @return "chat"|"anthropic"|"gemini"
function M.dialect(client)
  local agent = client:header("user-agent")
  if client:header("anthropic-version") or agent and find(agent, "claude-cli", 1, true) == 1 then
    return "anthropic"
  end
  if client:header("x-goog-api-key") then return "gemini" end
  return "chat"
end

-- A model is hidden while every account that offers it is refused for other reasons than these.
local passing = { quota = true, transient = true, challenge = true }

local function is_usable(entry)
  for _, group in ipairs(entry.groups) do
    for _, candidate in ipairs(group.candidates) do
      local reason = selector.blocked(candidate)
      if not reason or passing[reason] then return true end
    end
  end
  return false
end

local function listed()
  local known, list = registry.get(), {}
  for _, id in ipairs(known.ids) do
    local entry = known.models[id]
    if entry.listed and is_usable(entry) then list[#list + 1] = entry end
  end
  return list
end

local form = {}

function form.chat(entry)
  local model = entry.model
  return {
    id = entry.id, object = "model", created = model.created or 0, owned_by = model.owned_by or "",
  }
end

function form.anthropic(entry)
  local model = entry.model
  return {
    type = "model", id = entry.id, display_name = model.display_name or entry.id,
    created_at = os.date("!%Y-%m-%dT%H:%M:%SZ", model.created or 0),
    max_input_tokens = model.context_length or 200000,
    max_tokens = model.max_completion_tokens or 64000,
  }
end

function form.gemini(entry)
  local model = entry.model
  return {
    name = "models/" .. entry.id, displayName = model.display_name or entry.id,
    version = model.version, description = model.description,
    inputTokenLimit = model.context_length, outputTokenLimit = model.max_completion_tokens,
    supportedGenerationMethods = json.array(model.methods or { "generateContent", "countTokens" }),
  }
end

local list = {}

function list.chat(_, entries)
  local data = json.array {}
  for i, entry in ipairs(entries) do data[i] = form.chat(entry) end
  return { object = "list", data = data }
end

local function position(entries, id)
  for i, entry in ipairs(entries) do
    if entry.id == id then return i end
  end
end

local function count_of(text, default, max)
  local count = math.tointeger(tonumber(text))
  return count and count > 0 and math.min(count, max) or default
end

local function by_display_name(a, b)
  local one, two = a.model.display_name or a.id, b.model.display_name or b.id
  if one ~= two then return one < two end
  return a.id < b.id
end

function list.anthropic(client, entries)
  table.sort(entries, by_display_name)
  local limit = count_of(client:param("limit"), #entries, 1000)
  local after, before = client:param("after_id"), client:param("before_id")
  local first, last = 1, #entries
  if after then first = (position(entries, after) or 0) + 1 end
  if before then last = (position(entries, before) or #entries + 1) - 1 end
  local more = last - first + 1 > limit
  if more then
    -- A page before an id is the one that ends there.
    if before and not after then first = last - limit + 1 else last = first + limit - 1 end
  end
  local data = json.array {}
  for i = first, last do data[#data + 1] = form.anthropic(entries[i]) end
  return {
    data = data, has_more = more,
    first_id = data[1] and data[1].id or json.null,
    last_id = data[#data] and data[#data].id or json.null,
  }
end

function list.gemini(client, entries)
  local size = count_of(client:param("pageSize"), #entries, 1000)
  local first = count_of(client:param("pageToken"), 1, #entries + 1)
  local last = math.min(first + size - 1, #entries)
  local models = json.array {}
  for i = first, last do models[#models + 1] = form.gemini(entries[i]) end
  return { models = models, nextPageToken = last < #entries and tostring(last + 1) or nil }
end

--- Answers GET /v1/models and GET /v1beta/models.
--- @param client Client
--- @param _ nil
--- @param dialect string
function M.list(client, _, dialect)
  client:respond(200, JSON, json.encode(list[dialect](client, listed())))
end

--- Answers GET /v1/models/{id} and GET /v1beta/models/{id}.
--- @param client Client
--- @param argument string  percent-encoded
--- @param dialect string
function M.one(client, argument, dialect)
  local id = url.decode(argument)
  local models = registry.get().models
  local entry = models[id]
  if not entry and sub(id, 1, 7) == "models/" then entry = models[sub(id, 8)] end
  if not entry then
    return errors.respond(client, errors.new("unknown_model", dialect == "gemini"
      and "models/" .. id .. " is not found for API version v1beta."
      or "The model `" .. id .. "` does not exist.", { param = "model" }), dialect)
  end
  client:respond(200, JSON, json.encode(form[dialect](entry)))
end

return M
