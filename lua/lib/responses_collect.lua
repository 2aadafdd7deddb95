--- Streams of Responses upstreams that go through: what is gathered of them beside the bytes.
---
--- Two uses: a client that did not ask for a stream gets the finished response, as native as it
--- came; and answers that may be referred to later are kept (lib.responses_replay).

local errors = require "lib.responses_errors"
local json = require "json"
local replay = require "lib.responses_replay"

local sort, type = table.sort, type
local null = json.null
local is_raw, peek, splice = json.is_raw, json.peek, json.splice

local M = {}

local terminal = {
  ["response.completed"] = true, ["response.incomplete"] = true, ["response.done"] = true,
}
local failing = { ["response.failed"] = true, error = true }

-- The items of a stream in their order, for a final event that lists none.
local function listed(items)
  local indexes, list = {}, json.array()
  for index in next, items do indexes[#indexes + 1] = index end
  sort(indexes)
  for i, index in ipairs(indexes) do list[i] = items[index] end
  return list
end

local function with_items(response, items)
  local output = json.get(response, "output")
  local is_empty = output == nil or output == null or tostring(output):find "^%[%s*%]$"
  if not is_empty or not next(items) then return response end
  return splice(response, { "output" }, listed(items)) or response
end

--- Whether a client's body leaves its answer to be referred to.
--- @param body string
--- @param ctx TranslationContext
--- @return boolean
function M.is_wanted(body, ctx)
  if not ctx.replay then return false end
  local fine, store = peek(body, "store")
  return fine and store ~= false
end

--- @param ctx TranslationContext  its `model` is what the client calls the model
--- @return {push: fun(name: string, data: string), is_done: fun(): boolean, finish: fun(): string?,
---   table?}  finish gives the response object's text, or nil and an error (lib.problems)
function M.new(ctx)
  local items, count = {}, 0
  local response, failure

  return {
    push = function(name, data)
      if response or failure then return end
      if name ~= "" and name ~= "response.output_item.done" and not terminal[name]
          and not failing[name] then
        return
      end
      local fine, kind, index, item, whole = peek(data, "type", "output_index", "item", "response")
      if not fine then return end
      if type(kind) ~= "string" then kind = name end
      if kind == "response.output_item.done" and is_raw(item) then
        count = count + 1
        items[math.type(index) == "integer" and index or count - 1] = item
      elseif terminal[kind] and is_raw(whole) then
        response = tostring(whole)
      elseif failing[kind] then
        local event = json.decode(is_raw(whole) and whole or data)
        failure = errors.decode(event, count > 0 and "mid" or "pre")
      end
    end,
    is_done = function() return response ~= nil or failure ~= nil end,
    finish = function()
      if not response then return nil, failure or errors.truncated("mid") end
      local text = with_items(response, items)
      return ctx.model and splice(text, { "model" }, ctx.model) or text
    end,
  }
end

--- Keeps a finished response under its id.
--- @param ctx TranslationContext
--- @param response string  as finish gave it
--- @param body string  the request it answers, its references resolved
function M.remember(ctx, response, body)
  local id = json.get(response, "id")
  if type(id) ~= "string" or id == "" then return end
  local input = json.get(body, "input")
  replay.remember(ctx, id, response, replay.input_text(input))
end

return M
