--- What the specs of the Responses dialect share.

local json = require "json"
local warnings = require "lib.warnings"

local M = {}

--- A context; `given` fields replace the usual ones.
function M.context(given)
  local warn, list = warnings.new()
  local made = 0
  local ctx = {
    caps = {}, warn = warn, warnings = list, model = "m", created = 1760000000,
    client = { dialect = "responses" }, upstream = { dialect = "responses" },
    unique = function(prefix, length)
      made = made + 1
      return prefix .. ("0"):rep(length - #tostring(made)) .. made
    end,
  }
  for name, value in pairs(given or {}) do ctx[name] = value end
  return ctx
end

--- A replay store, as a table of texts.
function M.replay()
  local texts = {}
  return {
    texts = texts, get = function(key) return texts[key] end,
    put = function(key, value) texts[key] = value end,
  }
end

--- Codes and paths of the warnings.
function M.warned(ctx)
  local found = {}
  for i, each in ipairs(ctx.warnings) do found[i] = each.code .. " " .. each.path end
  return found
end

--- Feeds frames, given as JSON texts, and then ends the stream.
function M.decode(decoder, frames)
  local events = {}
  local function take(list)
    for _, event in ipairs(list) do events[#events + 1] = event end
  end
  for _, data in ipairs(frames) do take(decoder.frame("", data)) end
  take(decoder.eof())
  return events
end

--- Feeds events; gives names and decoded data of the frames.
function M.encode(encoder, events)
  local frames = {}
  for _, event in ipairs(events) do
    for _, frame in ipairs(encoder.event(event)) do
      local data = assert(json.decode(frame.data))
      assert(data.type == frame.name, "type and event name differ")
      assert(data.sequence_number == #frames, "sequence_number is " .. tostring(data.sequence_number))
      frames[#frames + 1] = data
    end
  end
  return frames
end

--- The types of frames or events.
function M.types(list)
  local found = {}
  for i, each in ipairs(list) do found[i] = each.type end
  return found
end

--- JSON text to a table, for comparing values.
function M.value(text)
  return assert(json.decode(tostring(text)))
end

return M
