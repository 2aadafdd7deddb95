--- Normalisation N4: every call has exactly one result, right behind it, in the order of the calls.

local content = require "lib.content"
local ir = require "lib.ir"

local type = type

local M = {}

local NO_RESULT = "no result was recorded for this call"

-- A call as the walk knows it: `block` may be renamed, `result` is found later.
local function note_call(state, block, turn)
  local original = block.id or ""
  local queue = state.by_id[original]
  local id = original
  if queue then
    -- The same id again: results are taken in order.
    local number = #queue + 1
    id = original .. "_" .. number
    while state.by_id[id] do
      number = number + 1
      id = original .. "_" .. number
    end
    state.by_id[id] = {}
    block = content.copy(block)
    block.id = id
    state.ctx.warn("renamed", "tool_call", original)
  end
  -- `result` has its place in the table from the start.
  local call = { block = block, id = id, turn = turn, result = nil }
  if queue then queue[#queue + 1] = call else state.by_id[original] = { call } end
  return call
end

local function open_call(queue)
  for i = 1, queue and #queue or 0 do
    local call = queue[i]
    if not call.result then return call end
  end
  return nil
end

-- The call that a result belongs to.
local function find_call(state, block)
  local id = block.call_id
  if type(id) == "string" and id ~= "" then
    local queue = state.by_id[id]
    if not queue then return nil end
    -- A second result for one call: the last word counts.
    return open_call(queue) or queue[#queue]
  end
  local calls = state.latest
  if not calls then return nil end
  if block.name and block.name ~= "" then
    for _, call in ipairs(calls) do
      if not call.result and call.block.name == block.name then return call end
    end
    return nil
  end
  return open_call(calls)
end

local function orphan(block, ctx, path)
  ctx.warn("orphan.result", path)
  local name = block.name and block.name ~= "" and block.name or block.call_id or "unknown"
  local parts = block.content or {}
  local text = content.text_of(parts)
  local made = { ir.text("Result of an earlier tool call (" .. name .. "): " .. text) }
  for _, part in ipairs(parts) do
    if part.type ~= "text" then made[#made + 1] = part end
  end
  return made
end

-- A call where none can be: what it says stays as text.
local function demoted_call(block, ctx, path)
  ctx.warn("map.lossy", path, "tool call in a user turn")
  return ir.text("Tool call " .. (block.name or "") .. ": " .. (block.args or ""))
end

local function demoted_result(block, ctx, path)
  ctx.warn("map.lossy", path, "tool result in an assistant turn")
  return ir.text("Tool result: " .. content.text_of(block.content or {}))
end

local function walk_assistant(state, turn, index)
  local calls, blocks
  local given = turn.blocks
  for i = 1, #given do
    local block = given[i]
    local kept = block
    if block.type == "tool_call" then
      local call = note_call(state, block, index)
      if calls then calls[#calls + 1] = call else calls = { call } end
      kept = call.block
    elseif block.type == "tool_result" then
      kept = demoted_result(block, state.ctx, "turns[" .. index - 1 .. "]")
    end
    if kept ~= block then
      blocks = blocks or { table.unpack(given) }
      blocks[i] = kept
    end
  end
  if blocks then turn = content.with_blocks(turn, blocks) end
  if calls then state.latest, state.latest_turn = calls, index end
  return { turn = turn, calls = calls }
end

local function take_result(state, call, block, index)
  local before = call.result
  call.result = block
  -- Between the calls and here may stand only turns of results.
  if not before and state.broken[call.turn] then
    state.ctx.warn("reorder", "turns[" .. index - 1 .. "]")
  end
end

local function walk_user(state, turn, index)
  local rest = {}
  local given = turn.blocks
  for i = 1, #given do
    local block = given[i]
    if block.type == "tool_result" then
      local call = find_call(state, block)
      if call then
        take_result(state, call, block, index)
      else
        for _, each in ipairs(orphan(block, state.ctx, "turns[" .. index - 1 .. "]")) do
          rest[#rest + 1] = each
        end
      end
    elseif block.type == "tool_call" then
      rest[#rest + 1] = demoted_call(block, state.ctx, "turns[" .. index - 1 .. "]")
    else
      rest[#rest + 1] = block
    end
  end
  return { turn = content.with_blocks(turn, rest) }
end

local function synthesised(call, ctx)
  ctx.warn("synth.result", "turns[" .. call.turn - 1 .. "]", call.id)
  return {
    type = "tool_result", call_id = call.id, name = call.block.name, kind = call.block.kind,
    content = { ir.text(NO_RESULT) }, is_error = true,
  }
end

local function result_of(call, ctx)
  local block = call.result
  if not block then return synthesised(call, ctx) end
  local kind = call.block.kind
  if block.call_id == call.id and block.name == call.block.name and block.kind == kind then
    return block
  end
  if block.call_id == call.id and block.name == nil
      and (block.kind == nil or block.kind == kind) then
    -- The body left it out, so nothing of the client's is changed.
    block.name, block.kind = call.block.name, kind
    return block
  end
  block = content.copy(block)
  block.call_id, block.name, block.kind = call.id, call.block.name, kind
  return block
end

local function mark_broken(state, index)
  if state.latest_turn and state.latest_turn < index then state.broken[state.latest_turn] = true end
end

local function lay_out(entries, ctx)
  local out, open = {}, nil
  for _, entry in ipairs(entries) do
    local turn = entry.turn
    if entry.calls then
      local results = {}
      for i, call in ipairs(entry.calls) do results[i] = result_of(call, ctx) end
      open = ir.turn("user", results)
      out[#out + 1] = turn
      out[#out + 1] = open
    elseif turn.role == "user" then
      -- What the user says right behind the results stands in the same turn.
      if open and #turn.blocks > 0 then
        table.move(turn.blocks, 1, #turn.blocks, #open.blocks + 1, open.blocks)
        open.name = turn.name
        open = nil
      elseif #turn.blocks > 0 then
        out[#out + 1] = turn
      end
    else
      open = nil
      out[#out + 1] = turn
    end
  end
  return out
end

-- The calls of an assistant turn, which follow nothing that waits for a result; false when
-- something has to be mended.
local function calls_in_order(turn, seen)
  local calls
  local blocks = turn.blocks
  for i = 1, #blocks do
    local block = blocks[i]
    local kind = block.type
    if kind == "tool_call" then
      local id = block.id
      if not id or id == "" or seen[id] then return false end
      seen[id] = true
      if calls then calls[#calls + 1] = block else calls = { block } end
    elseif kind == "tool_result" then
      return false
    end
  end
  return calls
end

-- Whether a user turn begins with the results of these calls, in their order, and has no others.
-- Results learn what they are results of.
local function answers_in_order(turn, calls)
  local blocks = turn.blocks
  local count = calls and #calls or 0
  for i = 1, count do
    local block, call = blocks[i], calls[i]
    if not block or block.type ~= "tool_result" or block.call_id ~= call.id then return false end
    local name, kind = block.name, block.kind
    if name ~= nil and name ~= call.name or kind ~= nil and kind ~= call.kind then return false end
    -- The body left it out, so nothing of the client's is changed.
    if name == nil then block.name = call.name end
    if kind == nil then block.kind = call.kind end
  end
  for i = count + 1, #blocks do
    local kind = blocks[i].type
    if kind == "tool_result" or kind == "tool_call" then return false end
  end
  return true
end

-- Whether everything stands where it has to, the usual case: then no turn need be laid out anew.
local function is_paired(turns)
  local seen, open = {}, nil
  for t = 1, #turns do
    local turn = turns[t]
    local role = turn.role
    if role == "user" then
      if not answers_in_order(turn, open) then return false end
      open = nil
    elseif open then
      return false
    else
      if role == "assistant" then open = calls_in_order(turn, seen) end
      if open == false then return false end
    end
  end
  return not open
end

--- @param turns IrTurn[]
--- @param ctx table
--- @return IrTurn[]
function M.run(turns, ctx)
  if is_paired(turns) then return turns end
  local state = { by_id = {}, ctx = ctx, broken = {} }
  local entries = {}
  for index, turn in ipairs(turns) do
    if turn.role == "assistant" then
      mark_broken(state, index)
      entries[index] = walk_assistant(state, turn, index)
    elseif turn.role == "user" then
      local entry = walk_user(state, turn, index)
      if #entry.turn.blocks > 0 then mark_broken(state, index) end
      entries[index] = entry
    else
      mark_broken(state, index)
      entries[index] = { turn = turn }
    end
  end
  return lay_out(entries, ctx)
end

return M
