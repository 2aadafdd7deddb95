--- Responses streams without a translation: their last event is the whole answer.

local dialects = require "lib.dialects"
local errors = require "lib.errors"
local json = require "json"

local broken_off = require("models.problems").broken_off.responses

local concat, find = table.concat, string.find

local M = {}

-- Items kept until the end of a stream, together.
local KEPT_MAX = 64 * 1024 * 1024

--- Keeps an item that is done.
--- @param call table  its `items` grow
--- @param data string  event `response.output_item.done`
function M.keep(call, data)
  local item = json.get(data, "item")
  if json.type(item) ~= "object" then return end
  local items = call.items
  if not items then
    items = { bytes = 0 }
    call.items = items
  end
  local text = tostring(item)
  if items.bytes + #text > KEPT_MAX then return end
  items.bytes = items.bytes + #text
  local index = json.get(data, "output_index")
  items[#items + 1] = { index = math.type(index) == "integer" and index or #items, text = text }
end

--- Puts the kept items into a last event that came without any.
--- @param call table
--- @param data string
--- @return string data
function M.restore(call, data)
  local items = call.items
  call.items = nil
  if not items or #items == 0 then return data end
  local output = json.get(data, { "response", "output" })
  if json.type(output) == "array" and not find(tostring(output), "^%[%s*%]$") then return data end
  if json.type(json.get(data, "response")) ~= "object" then return data end
  table.sort(items, function(a, b) return a.index < b.index end)
  local texts = {}
  for i, item in ipairs(items) do texts[i] = item.text end
  return json.splice(data, { "response", "output" }, json.raw("[" .. concat(texts, ",") .. "]"))
    or data
end

--- Reads a stream that came where a whole answer was wanted.
--- @param response Response
--- @return string? text
--- @return Problem? problem
--- @return string? model  the upstream's name for it
function M.collect(response)
  local state = {}
  while true do
    local kind, name, data = response:next_event()
    if kind == "broken" then return nil, errors.from_http(name) end
    if kind == "end" or kind == "event" and data == "[DONE]" then
      return nil, errors.new("bad_upstream", broken_off, { code = "broken" })
    end
    if kind == "event" and json.peek(data) then
      local problem = dialects.problem("responses", name, data)
      if problem then return nil, problem end
      if dialects.is_final("responses", name, data) then
        data = M.restore(state, data)
        local answer = json.get(data, "response")
        if json.type(answer) ~= "object" then
          return nil, errors.new("bad_upstream", "the upstream's last event has no response")
        end
        return tostring(answer), nil, json.get(answer, "model")
      end
      if dialects.type_of(name, data) == "response.output_item.done" then M.keep(state, data) end
    end
  end
end

return M
