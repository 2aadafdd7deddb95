--- Puts interleaved blocks one after the other, for encoders that have one block open at a time.
---
--- The oldest open block streams live; what comes for younger ones waits until it stops.

local json = require "json"

local M = {}

-- A choice's state: the index of the active block, the order of the waiting ones, what waits by
-- index, which blocks are open, and the pieces of calls' arguments.
local function state_of(choices, choice)
  local state = choices[choice]
  if not state then
    state = { active = nil, order = {}, waiting = {}, open = {}, args = {} }
    choices[choice] = state
  end
  return state
end

-- Takes waiting blocks until one of them is still open.
local function advance(state, sink)
  while not state.active do
    local idx = table.remove(state.order, 1)
    if not idx then return end
    state.active = idx
    local queue = state.waiting[idx]
    state.waiting[idx] = nil
    for _, event in ipairs(queue) do
      if event.type == "block_stop" then state.active = nil end
      sink(event)
    end
  end
end

local function is_whole(state, idx)
  local parts = state.args[idx]
  if not parts then return nil end
  local text = table.concat(parts)
  return text == "" or json.raw(text) ~= nil
end

-- Closes what the decoder left open.
local function close_all(choice, state, sink)
  local left = {}
  for idx in pairs(state.open) do left[#left + 1] = idx end
  table.sort(left)
  for _, idx in ipairs(left) do
    local event = { type = "block_stop", choice = choice, idx = idx }
    if is_whole(state, idx) == false then event.final = { complete = false } end
    state.open[idx] = nil
    if idx == state.active then
      state.active = nil
      sink(event)
    else
      local queue = state.waiting[idx]
      queue[#queue + 1] = event
    end
  end
  advance(state, sink)
end

local function note(state, event, kind)
  local idx = event.idx
  if kind == "block_start" then
    state.open[idx] = true
    if event.block and event.block.type == "tool_call" and event.block.kind ~= "custom" then
      state.args[idx] = {}
    end
  elseif kind == "block_stop" then
    state.open[idx], state.args[idx] = nil, nil
  elseif kind == "args_delta" then
    local parts = state.args[idx]
    if parts then parts[#parts + 1] = event.text end
  end
end

-- An event of a whole choice, or of the whole answer.
local function on_other(choices, event, kind, sink)
  if kind == "stop" then
    local choice = event.choice or 0
    close_all(choice, state_of(choices, choice), sink)
  elseif kind == "end" then
    for choice, state in pairs(choices) do close_all(choice, state, sink) end
  end
  sink(event)
end

local function hold(state, idx, event)
  local queue = state.waiting[idx]
  if not queue then
    queue = {}
    state.waiting[idx] = queue
    state.order[#state.order + 1] = idx
  end
  queue[#queue + 1] = event
end

--- One stream's sequencer.
--- @param sink fun(event: IrEvent)  gets the events that may go on
--- @return fun(event: IrEvent)
function M.new(sink)
  local choices = {}
  return function(event)
    local kind, idx = event.type, event.idx
    if idx == nil then return on_other(choices, event, kind, sink) end
    local choice = event.choice or 0
    local state = choices[choice] or state_of(choices, choice)
    -- Events of blocks that are not open are of no use to anybody.
    if kind ~= "block_start" and not state.open[idx] then return end
    -- Nothing is noted of a text.
    if kind ~= "text_delta" then note(state, event, kind) end
    if state.active == nil and kind == "block_start" then state.active = idx end
    if state.active ~= idx then return hold(state, idx, event) end
    if kind ~= "block_stop" then return sink(event) end
    state.active = nil
    sink(event)
    advance(state, sink)
  end
end

return M
