--- Signature hygiene: takes thinking out of a passed-through body that its vendor would refuse,
--- because this program or another vendor made it.  Native and unknown values are not touched.
---
--- Only objects down to the signatures are read; all other values keep their bytes.

local ir = require "lib.ir"
local json = require "json"
local signatures = require "lib.signatures"

local find, match, sub = string.find, string.match, string.sub
local max, remove, type = math.max, table.remove, type
local is_array = json.is_array

local M = {}

local part = { "type", "signature", "data" }
local google_part = {
  "thoughtSignature", "thought_signature", "thought", "text",
  functionCall = {}, function_call = {}, functionResponse = {}, function_response = {},
}
local google_content = { "role", parts = google_part }

local function shape(known)
  return json.shape { known = known, order = true, strict = true }
end

local SHAPES = {
  chat = shape { messages = { reasoning_details = { "signature", "data" } } },
  responses = shape { input = { "type", "encrypted_content" } },
  anthropic = shape { messages = { "role", content = part } },
  gemini = shape { contents = google_content },
  gemini_cli = shape { request = { contents = google_content } },
}

-- A body without these names has nothing to clean.
local marks = {
  chat = { '"reasoning_details"' },
  responses = { '"encrypted_content"' },
  anthropic = { '"signature"', '"redacted_thinking"' },
  gemini = { '"thoughtSignature"', '"thought_signature"' },
}

local function objects(value)
  return type(value) == "table" and is_array(value) and value or {}
end

-- What becomes of a value: nothing (nil), another one, or false when it has to go.
local function verdict(text, family)
  if type(text) ~= "string" then return nil end
  local found, sig = signatures.classify(text)
  if found == family then return sig and sig.data or nil end
  if found == "unknown" and not sig then return nil end
  return false
end

-- --- looking without decoding -------------------------------------------------------------------

-- True when a member's values are all fine as they stand; also how many there are.  A value with an
-- escape in it is none of the vendors', so it has to be looked at properly.
local function all_fine(body, name, family)
  local quoted, at, count = '"' .. name .. '"', 1, 0
  while true do
    local _, last = find(body, quoted, at, true)
    if not last then return true, count end
    local from = match(body, '^%s*:%s*"()', last + 1)
    if from then
      local value = sub(body, from, (find(body, '"', from, true) or from) - 1)
      if find(value, "\\", 1, true) or verdict(value, family) ~= nil then return false end
      count = count + 1
    elseif find(body, "^%s*:", last + 1) and not find(body, "^%s*:%s*null", last + 1) then
      return false
    end
    at = last + 1
  end
end

-- How often a word is a member's value.
local function count_values(body, word)
  local quoted, at, count = '"' .. word .. '"', 1, 0
  while true do
    local first, last = find(body, quoted, at, true)
    if not first then return count end
    if find(sub(body, max(1, first - 8), first - 1), ":%s*$") then count = count + 1 end
    at = last + 1
  end
end

local is_fine = {}

function is_fine.anthropic(body)
  if find(body, '"redacted_thinking"', 1, true) then return false end
  local fine, count = all_fine(body, "signature", "anthropic")
  -- Thinking without a signature has to go too.
  return fine and count_values(body, "thinking") <= count
end

function is_fine.responses(body)
  return (all_fine(body, "encrypted_content", "openai"))
end

local clean = {}

-- True when an assistant turn of the running tool loop does not start with thinking.
local function is_loop_broken(messages)
  for m = #messages, 1, -1 do
    local message = type(messages[m]) == "table" and messages[m] or {}
    local first, calls, results = nil, false, false
    for i, block in ipairs(objects(message.content)) do
      local kind = type(block) == "table" and block.type
      if i == 1 then first = kind end
      calls, results = calls or kind == "tool_use", results or kind == "tool_result"
    end
    if message.role == "user" and not results then return false end
    if message.role == "assistant" and calls
        and first ~= "thinking" and first ~= "redacted_thinking" then
      return true
    end
  end
  return false
end

-- Manual thinking needs all thinking of a tool loop.
local function stop_manual_thinking(body, messages)
  if body.thinking ~= nil and json.get(json.encode(body.thinking), "type") == "enabled"
      and is_loop_broken(messages) then
    body.thinking = nil
  end
end

-- Where a block has its signature.
local signed = { thinking = "signature", redacted_thinking = "data" }

function clean.anthropic(body)
  local changed = false
  local messages = objects(body.messages)
  for m = #messages, 1, -1 do
    local content = objects(type(messages[m]) == "table" and messages[m].content)
    local had = #content
    for i = had, 1, -1 do
      local block = content[i]
      local name = type(block) == "table" and signed[block.type]
      if name then
        local value = verdict(block[name] == nil and "" or block[name], "anthropic")
        if value then block[name] = value elseif value == false then remove(content, i) end
        changed = changed or value ~= nil
      end
    end
    if had > 0 and #content == 0 then remove(messages, m) end
  end
  if changed then stop_manual_thinking(body, messages) end
  return changed
end

function clean.responses(body)
  local changed = false
  local items = objects(body.input)
  for i = #items, 1, -1 do
    local item = items[i]
    if type(item) == "table" and item.type == "reasoning" then
      local value = verdict(item.encrypted_content, "openai")
      if value then item.encrypted_content = value elseif value == false then remove(items, i) end
      changed = changed or value ~= nil
    end
  end
  return changed
end

function clean.chat(body)
  local changed = false
  for _, message in ipairs(objects(body.messages)) do
    local details = type(message) == "table" and objects(message.reasoning_details) or {}
    local had = #details
    for i = had, 1, -1 do
      local entry = details[i]
      for _, name in ipairs { "signature", "data" } do
        local text = type(entry) == "table" and entry[name]
        if type(text) == "string" and (signatures.unwrap(text) or text:sub(1, 4) == "sc1~") then
          remove(details, i)
          changed = true
          break
        end
      end
    end
    if had > 0 and #details == 0 then message.reasoning_details = nil end
  end
  return changed
end

local function clean_google_part(parts, i)
  local each = parts[i]
  if type(each) ~= "table" then return false end
  local name = each.thoughtSignature ~= nil and "thoughtSignature" or "thought_signature"
  if each[name] == nil or each[name] == json.null then return false end
  local value
  -- The sentinel is Google's own.
  if each[name] ~= signatures.SENTINEL then value = verdict(each[name], "google") end
  if value == nil then return false end
  each[name] = value or nil
  local bare = each.thought == true
    or each.text == "" and each.functionCall == nil and each.function_call == nil
  if value == false and bare then remove(parts, i) end
  return true
end

local function call_of(each)
  return type(each) == "table" and (each.functionCall or each.function_call)
end

local function is_plain_user(content)
  if type(content) ~= "table" or content.role == "model" then return false end
  for _, each in ipairs(objects(content.parts)) do
    if type(each) == "table" and (each.functionResponse or each.function_response) then
      return false
    end
  end
  return true
end

-- The first call of each model turn since the user last spoke needs a signature.
local function add_sentinels(contents)
  local changed = false
  for c = #contents, 1, -1 do
    local content = contents[c]
    if is_plain_user(content) then break end
    for _, each in ipairs(objects(type(content) == "table" and content.parts)) do
      if call_of(each) then
        if not each.thoughtSignature and not each.thought_signature then
          each.thoughtSignature = signatures.SENTINEL
          changed = true
        end
        break
      end
    end
  end
  return changed
end

function clean.gemini(body, caps)
  local inner = type(body.request) == "table" and body.request or body
  local contents, changed = objects(inner.contents), false
  for c = #contents, 1, -1 do
    local parts = objects(type(contents[c]) == "table" and contents[c].parts)
    local had = #parts
    for i = had, 1, -1 do changed = clean_google_part(parts, i) or changed end
    if had > 0 and #parts == 0 then remove(contents, c) end
  end
  if caps and caps.google_sentinel then changed = add_sentinels(contents) or changed end
  return changed
end

local function is_marked(base, body, caps)
  if base == "gemini" and caps and caps.google_sentinel
      and (find(body, '"functionCall"', 1, true) or find(body, '"function_call"', 1, true)) then
    return true
  end
  for _, mark in ipairs(marks[base]) do
    if find(body, mark, 1, true) then return true end
  end
  return false
end

local strip = {}

local function remove_where(list, wrong)
  local had = #list
  for i = had, 1, -1 do
    if type(list[i]) == "table" and wrong(list[i]) then remove(list, i) end
  end
  return #list < had
end

function strip.anthropic(body)
  local changed = false
  local messages = objects(body.messages)
  for m = #messages, 1, -1 do
    local content = objects(type(messages[m]) == "table" and messages[m].content)
    local gone = remove_where(content, function(block)
      return block.type == "thinking" or block.type == "redacted_thinking"
    end)
    if gone and #content == 0 then remove(messages, m) end
    changed = changed or gone
  end
  if changed then stop_manual_thinking(body, messages) end
  return changed
end

function strip.responses(body)
  return remove_where(objects(body.input), function(item) return item.type == "reasoning" end)
end

function strip.chat(body)
  local changed = false
  for _, message in ipairs(objects(body.messages)) do
    if type(message) == "table" and message.reasoning_details ~= nil then
      message.reasoning_details, changed = nil, true
    end
  end
  return changed
end

function strip.gemini(body, caps)
  local inner = type(body.request) == "table" and body.request or body
  local contents, changed = objects(inner.contents), false
  for c = #contents, 1, -1 do
    local parts = objects(type(contents[c]) == "table" and contents[c].parts)
    local gone = remove_where(parts, function(each) return each.thought == true end)
    for _, each in ipairs(parts) do
      if type(each) == "table" then
        changed = changed or each.thoughtSignature ~= nil or each.thought_signature ~= nil
        each.thoughtSignature, each.thought_signature = nil, nil
      end
    end
    if gone and #parts == 0 then remove(contents, c) end
    changed = changed or gone
  end
  if caps and caps.google_sentinel then changed = add_sentinels(contents) or changed end
  return changed
end

local function edit(dialect, body, caps, work)
  -- What is not well formed is for the vendor to refuse.
  local base = ir.base(dialect)
  local document = json.decode(body, dialect == "gemini_cli" and SHAPES.gemini_cli or SHAPES[base])
  if type(document) ~= "table" or is_array(document) then return body end
  return work[base](document, caps) and json.encode(document) or body
end

--- @param dialect string  a dialect or variant
--- @param body string
--- @param caps Caps?  of the target
--- @return string body  the same string when there is nothing to clean
function M.run(dialect, body, caps)
  local base = ir.base(dialect)
  if not marks[base] or not is_marked(base, body, caps) then return body end
  if is_fine[base] and is_fine[base](body) then return body end
  return edit(dialect, body, caps, clean)
end

--- Takes all thinking out, for the one retry after an upstream refused a signature.
--- @param dialect string
--- @param body string
--- @param caps Caps?
--- @return string body  the same string when there was none
function M.strip(dialect, body, caps)
  return edit(dialect, body, caps, strip)
end

return M
