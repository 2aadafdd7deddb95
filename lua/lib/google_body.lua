--- Bodies of Gemini's clients, made to fit what Google takes.
---
--- Only what has to change is decoded; all other values keep their bytes, and a body that is fine
--- is the same string.

local json = require "json"

local find, ipairs, type = string.find, ipairs, type

local M = {}

local CALL = { "id", "name" }
local ROLES = json.shape { known = { contents = { "role" } }, order = true, strict = true }
local PARTS = json.shape {
  known = {
    contents = {
      "role", parts = {
        functionCall = CALL, function_call = CALL,
        functionResponse = CALL, function_response = CALL,
      },
    },
  },
  order = true, strict = true,
}

local STUB = json.raw '{"role":"user","parts":[{"text":"(continue)"}]}'

local function is_object(value)
  return type(value) == "table" and not json.is_array(value)
end

local function list_of(value)
  return type(value) == "table" and json.is_array(value) and value or {}
end

-- --- roles ---------------------------------------------------------------------------------------

-- Old names of what speaks for the user.
local users = { ["function"] = true, tool = true }

-- Other roles take turns: the first is the user's, each next one the opposite of the one before.
local function fit_roles(contents)
  local changed, before = false, "model"
  for _, content in ipairs(contents) do
    if is_object(content) then
      if content.role ~= "user" and content.role ~= "model" then
        local turn = before == "user" and not users[content.role] and "model" or "user"
        content.role, changed = turn, true
      end
      before = content.role
    end
  end
  return changed
end

-- --- calls and their responses -------------------------------------------------------------------

local function call_in(part)
  local call = is_object(part) and (part.functionCall or part.function_call)
  return is_object(call) and call or nil
end

local function response_in(part)
  local response = is_object(part) and (part.functionResponse or part.function_response)
  return is_object(response) and response or nil
end

local function collect(content, find_in)
  local found = {}
  for _, part in ipairs(is_object(content) and list_of(content.parts) or {}) do
    found[#found + 1] = find_in(part)
  end
  return found
end

local function text_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

-- True when a response can be the answer to a call.
local function belongs(response, call)
  local id, wanted = text_of(response.id), text_of(call.id)
  if id and wanted then return id == wanted end
  local name = text_of(response.name)
  return not name or name == call.name
end

-- True when each content with calls is followed by exactly their responses, in order.
local function in_place(contents)
  local calls = {}
  for _, content in ipairs(contents) do
    local responses = collect(content, response_in)
    if #responses ~= #calls then return false end
    for i, call in ipairs(calls) do
      if not belongs(responses[i], call) then return false end
    end
    calls = collect(content, call_in)
  end
  -- Calls at the end have no responses yet.
  return true
end

local MEDIA = { "inlineData", "inline_data", "fileData", "file_data" }

local function is_media(part)
  for _, name in ipairs(MEDIA) do
    if part[name] ~= nil then return true end
  end
  return false
end

-- Takes the responses out of a content; media behind one belongs to it.
local function take_responses(content, at, pool)
  if #collect(content, response_in) == 0 then return end
  local kept, last = json.array {}, nil
  for _, part in ipairs(content.parts) do
    local response = response_in(part)
    if response then
      last = { response = response, at = at, parts = { part } }
      pool[#pool + 1] = last
    elseif last and is_object(part) and is_media(part) then
      last.parts[#last.parts + 1] = part
    else
      kept[#kept + 1], last = part, nil
    end
  end
  content.parts = kept
end

-- The response to a call, from what comes behind it.
local function answer_to(call, at, pool)
  for _, each in ipairs(pool) do
    if not each.used and each.at > at and belongs(each.response, call) then
      each.used = true
      return each
    end
  end
end

-- Responses nobody asked for go back to where they were: the upstream shall judge.
local function put_back(contents, pool)
  for i = #pool, 1, -1 do
    local each = pool[i]
    if not each.used then
      local parts = contents[each.at].parts
      for n = #each.parts, 1, -1 do table.insert(parts, 1, each.parts[n]) end
    end
  end
end

-- Puts the responses of each content with calls into one content directly behind it.
local function regroup(contents)
  local pool, groups = {}, {}
  for at, content in ipairs(contents) do take_responses(content, at, pool) end
  for at, content in ipairs(contents) do
    for _, call in ipairs(collect(content, call_in)) do
      local answer = answer_to(call, at, pool)
      if answer then
        local parts = groups[at] or json.array {}
        for _, part in ipairs(answer.parts) do parts[#parts + 1] = part end
        groups[at] = parts
      end
    end
  end
  put_back(contents, pool)
  local list = json.array {}
  for at, content in ipairs(contents) do
    if not is_object(content) or list_of(content.parts)[1] ~= nil then list[#list + 1] = content end
    if groups[at] then list[#list + 1] = { role = "user", parts = groups[at] } end
  end
  return list
end

local CONFIGS = { "generationConfig", "generation_config" }

-- --- bodies --------------------------------------------------------------------------------------

local function has(body, name)
  return find(body, '"' .. name .. '"', 1, true) ~= nil
end

--- Fits the contents: roles, and an answer of the model cannot come first.
--- @param body string
--- @param grouped boolean?  responses must stand directly behind their calls
--- @return string body  the same string when nothing has to change
function M.fit_contents(body, grouped)
  local calls = grouped and (has(body, "functionResponse") or has(body, "function_response"))
  local document = json.decode(body, calls and PARTS or ROLES)
  -- What is not well formed is for the upstream to refuse.
  if not is_object(document) or not list_of(document.contents)[1] then return body end
  local contents = document.contents
  local changed = fit_roles(contents)
  if calls and not in_place(contents) then
    document.contents, changed = regroup(contents), true
  end
  local first = document.contents[1]
  if is_object(first) and first.role == "model" then
    table.insert(document.contents, 1, STUB)
    changed = true
  end
  return changed and json.encode(document) or body
end

--- Takes members out, given by their paths.
--- @param body string
--- @param ... string
--- @return string
function M.without(body, ...)
  for _, name in ipairs { ... } do
    if has(body, name) then body = assert(json.splice(body, name, nil)) end
  end
  return body
end

--- Takes members of its configuration out of a body, under both spellings of that.
--- @param body string
--- @param ... string
--- @return string
function M.without_settings(body, ...)
  for _, name in ipairs { ... } do
    for _, config in ipairs(has(body, name) and CONFIGS or {}) do
      if json.get(body, { config, name }) ~= nil then
        body = assert(json.splice(body, { config, name }, nil))
      end
    end
  end
  return body
end

--- Takes the wish to think out of a body for a model that cannot.
--- @param body string
--- @param candidate Candidate
--- @return string
function M.fit_thinking(body, candidate)
  local thinking = candidate.entry and candidate.entry.thinking
  if not thinking or thinking.kind ~= "none" then return body end
  return M.without_settings(body, "thinkingConfig", "thinking_config")
end

return M
