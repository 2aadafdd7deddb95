--- Normalisation N7: thinking and signatures in the history, as far as the target takes them back.

local content = require "lib.content"
local signatures = require "lib.signatures"

local M = {}

local UNAVAILABLE = "[reasoning unavailable]"

-- What the signature of a thinking block is bound to.
local bound = { call = "tool_call", text = "text", media = "image" }

local function next_of(blocks, from, kind)
  for i = from, #blocks do
    if blocks[i].type == kind then return i end
    -- A further carrier belongs to what follows it.
    if blocks[i].type == "thinking" and kind ~= "text" then return nil end
  end
  return nil
end

-- Whether every block goes to any target as it is: nothing is signed, thought or without a word.
local function is_plain(blocks)
  for i = 1, #blocks do
    local block = blocks[i]
    local kind = block.type
    if block.sig or kind == "thinking" or kind == "redacted_thinking"
        or kind == "text" and block.text == "" then
      return false
    end
  end
  return true
end

-- Carriers give their signatures back to the parts they were taken from.
local function rebind(blocks)
  local out
  for i, block in ipairs(blocks) do
    local sig = block.sig
    local target = sig and block.type == "thinking" and bound[sig.kind]
    if target then
      if not out then out = { table.unpack(blocks) } end
      local at = next_of(blocks, i + 1, target)
      if at then
        local owner = content.copy(out[at])
        owner.sig = sig
        out[at] = owner
      end
      if block.text == "" then
        out[i] = false
      else
        local bare = content.copy(block)
        bare.sig = nil
        out[i] = bare
      end
    end
  end
  if not out then return blocks end
  local kept = {}
  for _, block in ipairs(out) do if block then kept[#kept + 1] = block end end
  return kept
end

local function dropped(block, ctx, index)
  local sig = block.sig
  if sig and sig.family ~= "none" then
    ctx.warn("drop.signature", "turns[" .. index - 1 .. "]", sig.family)
  elseif block.type == "thinking" and block.text ~= "" then
    ctx.warn("drop.block", "turns[" .. index - 1 .. "]", "thinking")
  end
end

-- Which thinking blocks a target takes.
local keeps = {}

function keeps.anthropic(block, ctx)
  return signatures.usable(block.sig, ctx.caps)
end

function keeps.responses(block, ctx)
  return signatures.usable(block.sig, ctx.caps)
end

-- Signed thoughts only; redacted ones are not Gemini's.
function keeps.gemini(block, ctx)
  return block.type == "thinking" and signatures.usable(block.sig, ctx.caps)
end

function keeps.chat(block, ctx)
  if block.type == "thinking" then return ctx.caps.reasoning_field ~= nil and block.text ~= "" end
  return false
end

local function without_foreign_sig(block, ctx)
  if not block.sig or signatures.usable(block.sig, ctx.caps) then return block end
  local bare = content.copy(block)
  bare.sig = nil
  return bare
end

local function has_call(blocks)
  for i = 1, #blocks do if blocks[i].type == "tool_call" then return true end end
  return false
end

local function has_thinking(blocks)
  for _, block in ipairs(blocks) do if block.type == "thinking" then return true end end
  return false
end

-- The block as the target takes it, or nil.
local function fit(block, index, ctx)
  local kind = block.type
  if kind == "thinking" or kind == "redacted_thinking" then
    if keeps[ctx.base](block, ctx) then return block end
  elseif kind ~= "text" or block.text ~= "" or signatures.usable(block.sig, ctx.caps) then
    return without_foreign_sig(block, ctx)
  end
  -- A text without a word only carried a signature, which is of no use here.
  dropped(block, ctx, index)
  return nil
end

-- The blocks as the target takes them; the list itself where it takes all.
local function fit_blocks(given, index, ctx)
  if is_plain(given) then return given end
  local blocks, kept = rebind(given), nil
  for i, block in ipairs(blocks) do
    local fitted = fit(block, index, ctx)
    if fitted ~= block and not kept then kept = content.head(blocks, i - 1) end
    if kept then kept[#kept + 1] = fitted end
  end
  return kept or blocks
end

local function assistant_turn(turn, index, ctx)
  local out = fit_blocks(turn.blocks, index, ctx)
  if ctx.caps.reasoning_required and ctx.base == "chat"
      and has_call(out) and not has_thinking(out) then
    out = table.move(out, 1, #out, 2, { { type = "thinking", text = UNAVAILABLE, form = "raw" } })
  end
  return out ~= turn.blocks and content.with_blocks(turn, out) or turn
end

local function is_plain_user(turn)
  if turn.role ~= "user" then return false end
  local blocks = turn.blocks
  for i = 1, #blocks do if blocks[i].type == "tool_result" then return false end end
  return true
end

-- The signature that a call goes to Google with: its own, else from the replay store, else Google's
-- sentinel where one has to be.
local function google_sig(block, needed, ctx)
  if block.sig then return block.sig end
  local carrier = ctx.replay and ctx.replay.get("sig:" .. block.id)
  local sig = carrier and signatures.unwrap(carrier)
  if sig and sig.family == "google" then return sig end
  if not needed then return nil end
  return { family = "google", kind = "call", data = signatures.SENTINEL }
end

local function signed_turn(turn, current, ctx)
  local first, blocks = true, nil
  for i, block in ipairs(turn.blocks) do
    if block.type == "tool_call" then
      local sig = google_sig(block, first and current and ctx.caps.google_sentinel, ctx)
      first = false
      if sig ~= block.sig then
        blocks = blocks or content.head(turn.blocks, #turn.blocks)
        blocks[i] = content.copy(block)
        blocks[i].sig = sig
      end
    end
  end
  return blocks and content.with_blocks(turn, blocks) or turn
end

-- Signatures that the client lost.  `turns` is a list of our own.
local function restore_google(turns, ctx)
  local current = true
  for t = #turns, 1, -1 do
    local turn = turns[t]
    if current and is_plain_user(turn) then current = false end
    -- Nothing but the replay store has signatures for the turns before.
    if not current and not ctx.replay then return end
    if turn.role == "assistant" then turns[t] = signed_turn(turn, current, ctx) end
  end
end

-- True when an assistant turn of the running tool loop no longer starts with its thinking.
local function is_loop_broken(turns)
  for t = #turns, 1, -1 do
    local turn = turns[t]
    if is_plain_user(turn) then return false end
    if turn.role == "assistant" and has_call(turn.blocks) then
      local first = turn.blocks[1].type
      if first ~= "thinking" and first ~= "redacted_thinking" then return true end
    end
  end
  return false
end

-- The turns with the assistant's as the target takes them.
local function fit_turns(turns, ctx)
  local out, gone = {}, false
  for index = 1, #turns do
    local turn = turns[index]
    if turn.role == "assistant" then turn = assistant_turn(turn, index, ctx) end
    if #turn.blocks > 0 then out[#out + 1] = turn else gone = true end
  end
  if gone and (ctx.base == "anthropic" or ctx.base == "gemini") then out = content.merge(out) end
  return out
end

--- @param turns IrTurn[]
--- @param ctx table
--- @param seen SeenContent
--- @return IrTurn[] turns
--- @return boolean broken  manual thinking is not possible in this request (Anthropic)
function M.run(turns, ctx, seen)
  local all = seen.signed or seen.thinking or ctx.caps.reasoning_required
  local out = all and fit_turns(turns, ctx) or turns
  if ctx.base == "gemini" then
    if out == turns then out = content.head(turns, #turns) end
    restore_google(out, ctx)
  end
  return out, ctx.base == "anthropic" and is_loop_broken(out)
end

--- Takes all thinking out, for the one retry after an upstream refused a signature.
--- @param turns IrTurn[]
--- @return IrTurn[]
function M.without(turns)
  local out = {}
  for _, turn in ipairs(turns) do
    if turn.role == "assistant" then
      local kept = {}
      for _, block in ipairs(turn.blocks) do
        if block.type ~= "thinking" and block.type ~= "redacted_thinking" then
          if block.sig then
            block = content.copy(block)
            block.sig = nil
          end
          kept[#kept + 1] = block
        end
      end
      turn = content.with_blocks(turn, kept)
    end
    if #turn.blocks > 0 then out[#out + 1] = turn end
  end
  return out
end

return M
