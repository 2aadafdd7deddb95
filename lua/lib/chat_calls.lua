--- Tool calls of one choice of an upstream's stream, from pieces that come in any order and form.

local answer = require "lib.chat_answer"
local args = require "lib.chat_args"
local fields = require "lib.fields"
local ids = require "lib.ids"

local concat, find, type = table.concat, string.find, type
local soft = fields.soft

local M = {}

local COMPLETE, INCOMPLETE = { complete = true }, { complete = false }

--- @param ctx TranslationContext
--- @param open fun(block: table): integer  opens a block and tells its number
--- @param emit fun(event: table)
--- @param choice integer?  nil for the first
--- @return table calls  {add(pieces), settle(), finish() -> announced, completed}
function M.new(ctx, open, emit, choice)
  local list, by_index, by_id, last = {}, {}, {}, nil

  local function announce(call)
    call.announced = true
    call.idx = open {
      type = "tool_call", id = call.id, name = call.name, kind = call.kind, args = "",
      complete = false, sig = call.sig,
    }
    local early = concat(call.pieces)
    if early ~= "" then
      emit { type = "args_delta", choice = choice, idx = call.idx, text = early }
    end
  end

  local function text_of(call)
    if #call.pieces > 1 then call.pieces = { concat(call.pieces) } end
    return call.pieces[1] or ""
  end

  -- Most unfinished arguments are told by their last character.
  local function is_whole(call)
    local last_piece = call.pieces[#call.pieces]
    return call.kind == "function" and last_piece and find(last_piece, "}%s*$") ~= nil
      and args.is_whole(text_of(call))
  end

  local function close(call, final)
    call.closed = true
    emit { type = "block_stop", choice = choice, idx = call.idx, final = final }
  end

  local function start(index, id)
    local call = { pieces = {}, id = id, kind = "function", at = #list }
    list[#list + 1] = call
    if index then by_index[index] = call end
    if id then by_id[id] = call end
    return call
  end

  -- Some vendors number all calls 0: another id behind whole arguments, or with another name, is
  -- another call.
  local function is_other(call, id, name)
    if not id or not call.id or id == call.id then return false end
    if #call.pieces == 0 then return name ~= nil and call.name ~= nil and name ~= call.name end
    return is_whole(call)
  end

  local function call_of(native, id, name)
    local index = soft.integer(native, "index")
    if index then
      local call = by_index[index]
      if call and is_other(call, id, name) then call = by_id[id] end
      return call or start(index, id)
    end
    if id then return by_id[id] or start(nil, id) end
    return last or start(nil, nil)
  end

  local function add_text(call, text)
    if text == "" or call.closed then return end
    call.pieces[#call.pieces + 1] = text
    if call.announced then
      emit { type = "args_delta", choice = choice, idx = call.idx, text = text }
    end
  end

  local function sign(call, native)
    local sig = native.extra_content and answer.call_signature(native)
    if not sig or call.sig then return end
    call.sig = sig
    if call.announced and not call.closed then
      emit { type = "signature", choice = choice, idx = call.idx, sig = sig, mode = "set" }
    end
  end

  local function add(native)
    local custom = native.custom
    local fn = type(custom) == "table" and custom or native["function"]
    local id, name = soft.filled(native, "id"), soft.filled(fn, "name")
    local text = answer.arguments(fn, fn == custom and "input" or "arguments") or ""
    local call = call_of(native, id, name)
    last = call
    if fn == custom and custom ~= nil then call.kind = "custom" end
    -- The first identity counts, what comes later repeats or breaks it.
    if id and not call.id then
      call.id, by_id[id] = id, call
    end
    call.name = call.name or name
    sign(call, native)
    if not call.announced and call.id and call.name then announce(call) end
    add_text(call, text)
  end

  -- What no later piece can change is closed, so that what follows it need not wait.
  local function settle()
    for i = 1, #list do
      local call = list[i]
      if call.announced and not call.closed and #call.pieces > 0 and is_whole(call) then
        close(call, COMPLETE)
      end
    end
  end

  local function complete(call)
    local text = text_of(call)
    if call.kind == "custom" then return close(call, COMPLETE) or true end
    local repaired, whole = args.repair(text, ctx.caps.repair_arguments)
    if repaired == text then
      close(call, whole and COMPLETE or INCOMPLETE)
    else
      close(call, { args = repaired, complete = whole })
    end
    return whole
  end

  local function finish()
    local announced, completed = 0, 0
    for i = 1, #list do
      local call = list[i]
      -- An empty piece without a name or an id is no call.
      if not call.announced and (call.id or call.name or #call.pieces > 0) then
        call.id = call.id or ids.fresh(ctx)
        call.name = call.name or answer.only_tool(ctx) or "tool_" .. call.at
        announce(call)
      end
      if call.announced then
        announced = announced + 1
        if call.closed or complete(call) then completed = completed + 1 end
      end
    end
    return announced, completed
  end

  return {
    --- The event of a piece that only goes on with the arguments of a call; nil where it does not.
    go_on = function(index, text)
      local call = by_index[index]
      if type(text) ~= "string" or text == "" or not call or not call.announced or call.closed then
        return nil
      end
      last = call
      call.pieces[#call.pieces + 1] = text
      return { type = "args_delta", choice = choice, idx = call.idx, text = text }
    end,
    --- Pieces of one chunk.
    add = function(pieces)
      for i = 1, #pieces do
        if type(pieces[i]) == "table" then add(pieces[i]) end
      end
    end,
    --- The legacy form has one call without an id.
    add_legacy = function(fn)
      add { index = -1, id = not by_index[-1] and ids.fresh(ctx) or nil, ["function"] = fn }
    end,
    settle = settle,
    finish = finish,
    --- True when every call is whole, and there is one.
    all_whole = function()
      for i = 1, #list do
        if not list[i].closed and not (list[i].announced and #list[i].pieces == 0)
            and not args.is_whole(text_of(list[i])) then
          return false
        end
      end
      return #list > 0
    end,
  }
end

return M
