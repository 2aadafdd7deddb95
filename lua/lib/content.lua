--- Normalisation N2, N3, N5, N6: empty and foreign blocks, merging, instructions, prefill.
---
--- No pass changes a turn or a list of turns that it was given, so that the decoded request stays
--- the client's; and what need not change is not copied, since most requests are fine as they come.

local ir = require "lib.ir"
local reject = require "lib.reject"

local byte, concat, find, gsub, sub =
  string.byte, table.concat, string.find, string.gsub, string.sub
local ipairs, move, pairs, type = ipairs, table.move, pairs, type

local M = {}

local OMITTED = "[image omitted: not supported by this model]"
-- Blanks are this byte and some below it.
local SPACE = byte " "
-- What a user says who has to say something.
local STUB = "(continue)"
local ATTRIBUTION = "x-anthropic-billing-header:"

local function copy_of(block)
  local made = {}
  for name, value in pairs(block) do made[name] = value end
  return made
end
M.copy = copy_of

--- The first members of a list, as a list of one's own.
--- @param list any[]
--- @param count integer
--- @return any[]
local function head(list, count)
  return move(list, 1, count, 1, {})
end
M.head = head

--- The plain text of blocks, joined by blank lines.
--- @param blocks IrBlock[]
--- @return string
function M.text_of(blocks)
  local parts = {}
  for _, block in ipairs(blocks) do
    if type(block.text) == "string" and block.type ~= "thinking" then
      parts[#parts + 1] = block.text
    end
  end
  return concat(parts, "\n\n")
end

local openai = { chat = true, responses = true }

-- Files of one vendor mean nothing to another one.
local function is_same_vendor(ctx)
  local client, upstream = ir.base(ctx.client.dialect), ctx.base
  return client == upstream or openai[client] and openai[upstream]
end

-- Whether the target takes a source of a kind of media; false and a text that stands for it.
local function takes(source, kind, ctx)
  local inputs = ctx.caps.inputs or {}
  if kind == "document" then
    local media_type = source.media_type or ""
    if source.kind == "text" or sub(media_type, 1, 5) == "text/" then return true end
    kind = "pdf"
  end
  if source.kind == "file" then return is_same_vendor(ctx) end
  if source.kind == "uri" then
    if ctx.base == "gemini" then return inputs[kind] end
    return false
  end
  if not inputs[kind] then return false end
  if source.kind == "url" and not inputs.image_url and not find(source.url or "", "^gs://")
      and not find(source.url or "", "^https://generativelanguage%.googleapis%.com/") then
    return false, "[" .. (kind == "pdf" and "document" or kind) .. ": " .. (source.url or "") .. "]"
  end
  return true
end

local function path_of(turn, block)
  return "turns[" .. turn - 1 .. "].blocks[" .. block - 1 .. "]"
end

local media = { image = true, document = true, audio = true, video = true }

-- The block for the target, another one in its place, or nil.
local function fit_media(block, ctx, turn, at)
  local source = block.source
  if not source then
    -- Audio of an earlier answer is known by its id, to its own vendor.
    if block.id and is_same_vendor(ctx) then return block end
    ctx.warn("drop.block", path_of(turn, at), block.type)
    return nil
  end
  local fine, words = takes(source, block.type, ctx)
  if fine then return block end
  ctx.warn("drop.block", path_of(turn, at), block.type)
  return words and ir.text(words) or nil
end

-- Content of tool results: what is not supported leaves a word behind.
local function fit_result(block, ctx, turn, at)
  local content = block.content
  if type(content) ~= "table" then return block end
  local changed
  for i = 1, #content do
    local part = content[i]
    if media[part.type] then
      local fitted = part
      if part.type == "image" and ctx.caps.tool_result_media == "none" then
        ctx.warn("drop.block", path_of(turn, at), "image")
        fitted = ir.text(OMITTED)
      else
        fitted = fit_media(part, ctx, turn, at)
        if not fitted and part.type == "image" then fitted = ir.text(OMITTED) end
      end
      if fitted ~= part then
        changed = changed or { table.unpack(content) }
        changed[i] = fitted or false
      end
    end
  end
  if not changed then return block end
  local kept = {}
  for _, part in ipairs(changed) do if part then kept[#kept + 1] = part end end
  local made = copy_of(block)
  made.content = kept
  return made
end

-- What a chat upstream can be told of a server's tool: the code and its output, as text.
local function server_text(block)
  if block.type == "server_result" and block.output and block.output ~= "" then
    return ir.text("```\n" .. block.output .. "\n```")
  end
  return nil
end

local fit = {}
fit.image, fit.document, fit.audio, fit.video = fit_media, fit_media, fit_media, fit_media
fit.tool_result = fit_result

function fit.opaque(block, ctx, turn, at)
  if ir.base(block.dialect or "") == ctx.base then return block end
  ctx.warn("drop.block", path_of(turn, at), "opaque")
  return nil
end

function fit.compaction(block, ctx, turn, at)
  local family = block.sig and block.sig.family
  if family and family == ctx.caps.signature_family then return block end
  ctx.warn("drop.block", path_of(turn, at), "compaction")
  return nil
end

function fit.server_call(block, ctx, turn, at)
  if ctx.base ~= "chat" then return block end
  ctx.warn("drop.block", path_of(turn, at), block.type)
  return nil
end

function fit.server_result(block, ctx, turn, at)
  if ctx.base ~= "chat" then return block end
  local text = block.tool == "code" and server_text(block) or nil
  if not text then ctx.warn("drop.block", path_of(turn, at), block.type) end
  return text
end

local function is_blank(text)
  return not find(text, "%S")
end

--- A turn with other blocks.
--- @param turn IrTurn
--- @param blocks IrBlock[]
--- @return IrTurn
local function with_blocks(turn, blocks)
  local made = { role = turn.role, blocks = blocks }
  local name, level, phase, extras = turn.name, turn.level, turn.phase, turn.extras
  if name ~= nil then made.name = name end
  if level ~= nil then made.level = level end
  if phase ~= nil then made.phase = phase end
  if extras ~= nil then made.extras = extras end
  return made
end
M.with_blocks = with_blocks

-- What a turn says that has only blanks to say.
local function only_blank(turn, ctx, index)
  for _, block in ipairs(turn.role ~= "assistant" and turn.blocks or {}) do
    if block.type == "text" and block.text ~= "" and is_blank(block.text) then
      -- Anthropic takes no text that is nothing but white space.
      if ctx.base ~= "anthropic" then return { block } end
      ctx.warn("synth.turn", path_of(index, 1))
      return { ir.text(STUB) }
    end
  end
  return nil
end

-- The turn, another one in its place, or nil.
local function strip_turn(turn, ctx, index, seen)
  local of_user = turn.role ~= "assistant"
  local given, kept = turn.blocks, nil
  for i = 1, #given do
    local block = given[i]
    local kind, fitted = block.type, block
    if block.sig then seen.signed = true end
    if kind == "text" then
      -- White space matters only when there is nothing else.
      if (byte(block.text) or 0) <= SPACE and not block.sig and is_blank(block.text) then
        fitted = nil
      end
    elseif kind == "thinking" or kind == "redacted_thinking" then
      if of_user then
        ctx.warn("drop.block", path_of(index, i), kind)
        fitted = nil
      else
        seen.thinking = true
      end
    else
      if kind == "image" and not of_user then seen.image = true end
      local own = fit[kind]
      if own then fitted = own(block, ctx, index, i) end
    end
    if fitted ~= block and not kept then kept = head(given, i - 1) end
    if kept then kept[#kept + 1] = fitted end
  end
  if not kept then return #given > 0 and turn or nil end
  if #kept == 0 then kept = only_blank(turn, ctx, index) end
  return kept and with_blocks(turn, kept)
end

--- What most conversations do not hold, so that passes about it can be left out.
--- @class SeenContent
--- @field signed boolean?    some block has a signature
--- @field thinking boolean?  the assistant thought
--- @field image boolean?     the assistant made an image

--- N2: the turns without what is empty or unsupported.
--- @param turns IrTurn[]
--- @param ctx table
--- @return IrTurn[] turns
--- @return SeenContent seen
function M.strip(turns, ctx)
  local kept, seen = nil, { signed = nil, thinking = nil, image = nil }
  for index = 1, #turns do
    local turn = turns[index]
    local stripped = strip_turn(turn, ctx, index, seen)
    if stripped ~= turn and not kept then kept = head(turns, index - 1) end
    if kept then kept[#kept + 1] = stripped end
  end
  return kept or turns, seen
end

--- The leading instructions for a target.
--- @param system IrBlock[]
--- @param ctx table
--- @return IrBlock[]
function M.system(system, ctx)
  local kept = {}
  for _, block in ipairs(system) do
    local text = block.text
    local attribution = ctx.base ~= "anthropic" and text
      and sub(text, 1, #ATTRIBUTION) == ATTRIBUTION
    if text ~= "" and not attribution then
      if ctx.base == "chat" and block.level == "developer" and not ctx.caps.developer_role then
        block = copy_of(block)
        block.level = "system"
      end
      kept[#kept + 1] = block
    end
  end
  return kept
end

-- Images that the model made stand in a user turn where it may not have any.
local function move_images(turns)
  local moved, out = nil, {}
  for _, turn in ipairs(turns) do
    if turn.role == "assistant" then
      local kept, images
      for i, block in ipairs(turn.blocks) do
        if block.type == "image" then
          if not kept then kept, images = { table.unpack(turn.blocks, 1, i - 1) }, {} end
          images[#images + 1] = block
        elseif kept then
          kept[#kept + 1] = block
        end
      end
      if moved then out[#out + 1] = ir.turn("user", moved) end
      moved = images
      if kept then turn = #kept > 0 and with_blocks(turn, kept) or nil end
    elseif moved and turn.role == "user" then
      -- Results come first in a user turn: the pairing sees to that.
      turn = with_blocks(turn, { table.unpack(turn.blocks) })
      move(turn.blocks, 1, #turn.blocks, #moved + 1)
      move(moved, 1, #moved, 1, turn.blocks)
      moved = nil
    end
    out[#out + 1] = turn
  end
  if moved then out[#out + 1] = ir.turn("user", moved) end
  return out
end

--- Images of the assistant go to the next user turn, but for Gemini.
--- @param turns IrTurn[]
--- @param ctx table
--- @param seen SeenContent
--- @return IrTurn[]
function M.place_images(turns, ctx, seen)
  if ctx.base == "gemini" or not seen.image then return turns end
  return move_images(turns)
end

local function joins(a, b)
  return a.role == b.role and b.role ~= "instruction"
end

local function has_neighbours(turns)
  local before
  for i = 1, #turns do
    local role = turns[i].role
    if role == before and role ~= "instruction" then return true end
    before = role
  end
  return false
end

--- N3: adjacent turns of one role become one.
--- @param turns IrTurn[]
--- @return IrTurn[]
function M.merge(turns)
  if not has_neighbours(turns) then return turns end
  local out, last, is_own = {}, nil, false
  for _, turn in ipairs(turns) do
    if last and joins(last, turn) then
      if not is_own then
        last, is_own = with_blocks(last, head(last.blocks, #last.blocks)), true
        out[#out] = last
      end
      move(turn.blocks, 1, #turn.blocks, #last.blocks + 1, last.blocks)
    else
      out[#out + 1] = turn
      last, is_own = turn, false
    end
  end
  return out
end

local function wrapped(turn, index)
  for _, block in ipairs(turn.blocks) do
    if block.type ~= "text" then
      reject.bad("messages[" .. index - 1 .. "]",
        "an instruction may hold text only for this model")
    end
  end
  return ir.text("<system-reminder>\n" .. M.text_of(turn.blocks) .. "\n</system-reminder>")
end

--- N5: instructions in the middle, where the target has no place for them.
--- @param turns IrTurn[]
--- @param ctx table
--- @return IrTurn[]
function M.instructions(turns, ctx)
  local wrap = ctx.base == "gemini" or not ctx.caps.mid_system
  local lower_level = ctx.base == "chat" and not ctx.caps.developer_role
  if not wrap and not lower_level then return turns end
  local out
  for i = 1, #turns do
    local turn = turns[i]
    if turn.role == "instruction" and (wrap or lower_level and turn.level ~= "system") then
      out = out or head(turns, #turns)
      if wrap then
        out[i] = ir.turn("user", { wrapped(turn, i) })
      else
        out[i] = with_blocks(turn, turn.blocks)
        out[i].level = "system"
      end
    end
  end
  if out and wrap and (ctx.base == "gemini" or ctx.base == "anthropic") then return M.merge(out) end
  return out or turns
end

-- A native prefill may not end in white space.
local function trim_prefill(turn)
  local blocks = { table.unpack(turn.blocks) }
  local last = blocks[#blocks]
  if last.type ~= "text" or not find(last.text, "%s$") then return turn end
  blocks[#blocks] = copy_of(last)
  blocks[#blocks].text = gsub(last.text, "%s+$", "")
  if blocks[#blocks].text == "" then blocks[#blocks] = nil end
  return #blocks > 0 and with_blocks(turn, blocks) or nil
end

--- N6: what ends or begins a conversation.
--- @param turns IrTurn[]
--- @param request IrRequest
--- @param ctx table
--- @return IrTurn[]
function M.ends(turns, request, ctx)
  local last = turns[#turns]
  if last and last.role == "assistant" then
    local index = #turns
    turns = head(turns, index - 1)
    if ctx.caps.prefill then
      turns[index] = trim_prefill(last)
    else
      ctx.warn("drop.prefill", "turns[" .. index - 1 .. "]")
    end
  end
  if #turns == 0 and #request.system == 0 and #request.turns == 0 then
    reject.bad(nil, "the request holds no input")
  end
  if ctx.base == "chat" then
    if #turns == 0 and #request.system == 0 then reject.bad(nil, "the request holds no input") end
    return turns
  end
  local first = turns[1]
  if not first or ctx.base ~= "responses" and first.role ~= "user" then
    if not first and #request.system == 0 then reject.bad(nil, "the request holds no input") end
    turns = move(turns, 1, #turns, 2, { ir.turn("user", { ir.text(STUB) }) })
    ctx.warn("synth.turn", "turns[0]")
  end
  return turns
end

return M
