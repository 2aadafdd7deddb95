--- Whole answers from streams, and streams from whole answers.

local ir = require "lib.ir"
local json = require "json"

local concat = table.concat

local M = {}

-- --- events to a response -----------------------------------------------------------------------

local function finish_text(block, entry)
  block.text = (block.text or "") .. concat(entry.text)
end

local function finish_thinking(block, entry)
  if entry.part_starts then
    local parts, from = {}, 1
    for _, at in ipairs(entry.part_starts) do
      parts[#parts + 1] = concat(entry.text, "", from, at)
      from = at + 1
    end
    parts[#parts + 1] = concat(entry.text, "", from)
    block.parts, block.text = parts, concat(parts, "\n\n")
  else
    finish_text(block, entry)
    block.text = block.text or ""
  end
end

local function finish_call(block, entry)
  if #entry.text > 0 then block.args = concat(entry.text) end
  block.args = block.args or ""
  if block.kind == "custom" then
    if block.complete == nil then block.complete = true end
    return
  end
  if block.args == "" then block.args = "{}" end
end

local finishers = {
  text = finish_text, refusal = finish_text, thinking = finish_thinking, tool_call = finish_call,
}

local function finish(entry)
  local block = entry.block
  local finisher = finishers[block.type]
  if finisher then finisher(block, entry) end
  if entry.media then
    block.source = block.source or { kind = "base64" }
    block.source.data = (block.source.data or "") .. concat(entry.media)
  end
  for name, value in pairs(entry.final or {}) do block[name] = value end
  if block.type == "tool_call" and block.complete == nil then
    block.complete = json.raw(block.args) ~= nil
  end
  return block
end

local function choice_of(f, event)
  local index = event.choice or 0
  local choice = f.choices[index]
  if not choice then
    choice = { index = index, entries = {}, order = {}, stop = nil }
    f.choices[index] = choice
  end
  return choice
end

local function entry_of(f, event)
  local choice = f.choices[event.choice or 0]
  return choice and choice.entries[event.idx]
end

local on = {}

function on.start(f, event)
  local response = f.response
  response.id, response.model = event.id or "", event.model or ""
  response.created = event.created or 0
  response.service_tier = event.service_tier or response.service_tier
  response.extras = event.extras or response.extras
end

function on.block_start(f, event)
  local choice, block = choice_of(f, event), {}
  for name, value in pairs(event.block) do block[name] = value end
  choice.entries[event.idx] = { block = block, text = {}, media = nil, final = nil }
  choice.order[#choice.order + 1] = event.idx
end

local function add_text(f, event)
  local entry = entry_of(f, event)
  if not entry then return end
  local text = entry.text
  text[#text + 1] = event.text
  if event.logprobs then
    local list = entry.block.logprobs or {}
    table.move(event.logprobs, 1, #event.logprobs, #list + 1, list)
    entry.block.logprobs = list
  end
end
on.text_delta, on.thinking_delta, on.refusal_delta, on.args_delta =
  add_text, add_text, add_text, add_text

function on.thinking_part(f, event)
  local entry = entry_of(f, event)
  if not entry then return end
  entry.part_starts = entry.part_starts or {}
  table.insert(entry.part_starts, #entry.text)
end

function on.media_delta(f, event)
  local entry = entry_of(f, event)
  -- Previews are not the image.
  if not entry or event.partial_index ~= nil then return end
  entry.media = entry.media or {}
  table.insert(entry.media, event.data)
end

function on.signature(f, event)
  local entry = entry_of(f, event)
  if not entry or not event.sig then return end
  local old = entry.block.sig
  if event.mode == "append" and old then
    entry.block.sig = { family = old.family, kind = old.kind, data = old.data .. event.sig.data }
  else
    entry.block.sig = event.sig
  end
end

function on.citation(f, event)
  local entry = entry_of(f, event)
  if not entry then return end
  entry.block.citations = entry.block.citations or {}
  table.insert(entry.block.citations, event.citation)
end

function on.block_stop(f, event)
  local entry = entry_of(f, event)
  if entry then entry.final = event.final end
end

function on.usage(f, event)
  ir.merge_usage(f.response.usage, event.usage)
end

function on.stop(f, event)
  choice_of(f, event).stop = event.stop
end

function on.error(f, event)
  f.failure = f.failure or event.error
end

on["end"] = function(f, event)
  local response = f.response
  response.service_tier = event.service_tier or response.service_tier
end

--- What gathers events as they come.
--- @return table fold
function M.new()
  local response = ir.response()
  response.usage.missing = true
  return { response = response, choices = {}, failure = nil }
end

--- Takes an event; nothing of it is kept.
--- @param fold table
--- @param event IrEvent
function M.push(fold, event)
  local handler = on[event.type]
  if handler then handler(fold, event) end
end

--- The whole answer.  Once.
--- @param fold table
--- @return IrResponse?
--- @return table? error  of a stream that failed
function M.response(fold)
  if fold.failure then return nil, fold.failure end
  local response, choices, indexes = fold.response, fold.choices, {}
  for index in pairs(choices) do indexes[#indexes + 1] = index end
  table.sort(indexes)
  for i, index in ipairs(indexes) do
    local choice = choices[index]
    local made = ir.choice(index)
    made.stop = choice.stop or made.stop
    for j, idx in ipairs(choice.order) do made.blocks[j] = finish(choice.entries[idx]) end
    response.choices[i] = made
  end
  return response
end

--- @param events IrEvent[]
--- @return IrResponse?
--- @return table? error  of a stream that failed
function M.fold(events)
  local fold = M.new()
  for _, event in ipairs(events) do M.push(fold, event) end
  return M.response(fold)
end

-- --- a response to events -----------------------------------------------------------------------

-- What comes in events of its own.
local streamed = { text = true, args = true, parts = true, citations = true, logprobs = true }

local function skeleton(block)
  local made = {}
  for name, value in pairs(block) do
    if not streamed[name] and name ~= "sig" then made[name] = value end
  end
  return made
end

local unfolds = {}

function unfolds.text(block, add)
  if block.text and block.text ~= "" then
    add { type = "text_delta", text = block.text, logprobs = block.logprobs }
  end
  for _, citation in ipairs(block.citations or {}) do
    add { type = "citation", citation = citation }
  end
end

function unfolds.refusal(block, add)
  if block.text and block.text ~= "" then add { type = "refusal_delta", text = block.text } end
end

function unfolds.thinking(block, add)
  local parts = block.parts
  if not parts or #parts == 0 then parts = { block.text } end
  for i, part in ipairs(parts) do
    if i > 1 then add { type = "thinking_part", part = i - 1 } end
    if part and part ~= "" then add { type = "thinking_delta", text = part, part = i - 1 } end
  end
end

function unfolds.tool_call(block, add)
  if block.args and block.args ~= "" then add { type = "args_delta", text = block.args } end
end

--- @param response IrResponse
--- @return IrEvent[]
function M.unfold(response)
  local events = {
    {
      type = "start", id = response.id, model = response.model, created = response.created,
      service_tier = response.service_tier, extras = response.extras,
    },
  }
  for _, choice in ipairs(response.choices) do
    for i, block in ipairs(choice.blocks) do
      local function add(event)
        event.choice, event.idx = choice.index, i - 1
        events[#events + 1] = event
      end
      local unfold = unfolds[block.type]
      if unfold then
        -- A tool call's signature is known from its beginning.
        local start = skeleton(block)
        if block.type == "tool_call" then start.sig = block.sig end
        add { type = "block_start", block = start }
        unfold(block, add)
        if block.sig and block.type ~= "tool_call" then
          add { type = "signature", sig = block.sig, mode = "set" }
        end
      else
        add { type = "block_start", block = block }
      end
      add { type = "block_stop" }
    end
    events[#events + 1] = { type = "stop", choice = choice.index, stop = choice.stop }
  end
  if response.usage and not response.usage.missing then
    events[#events + 1] = { type = "usage", usage = response.usage }
  end
  events[#events + 1] = { type = "end", service_tier = response.service_tier }
  return events
end

return M
