--- Contexts and short forms for the specs of the Anthropic translator.

local json = require "json"
local warnings = require "lib.warnings"

local M = {}

--- A context: `client` and `upstream` are dialects, `caps` those of the target.
function M.ctx(client, upstream, caps, fields)
  local warn, list = warnings.new()
  local count = 0
  local ctx = {
    caps = caps or {}, warn = warn, warnings = list, created = 1760000000,
    client = { dialect = client }, upstream = { dialect = upstream },
    unique = function(prefix, length)
      count = count + 1
      return prefix .. ("0"):rep(length - 1) .. count
    end,
  }
  ctx.caps.thinking = ctx.caps.thinking or { kind = "unknown" }
  for name, value in pairs(fields or {}) do ctx[name] = value end
  return ctx
end

--- A JSON text or value as plain tables, for comparison.
function M.value(text)
  if type(text) ~= "string" then return text end
  local value, problem = json.decode(text)
  if problem then error(tostring(problem) .. "\n" .. text, 2) end
  return value
end

--- What is different between two values, as lines; `[]` and `{}` are.
function M.differences(a, b, path, found)
  path, found = path or "", found or {}
  if type(a) ~= type(b) or type(a) ~= "table" then
    if a ~= b then found[#found + 1] = path .. ": " .. tostring(a) .. " / " .. tostring(b) end
    return found
  end
  if next(a) == nil and next(b) == nil and json.is_array(a) ~= json.is_array(b) then
    found[#found + 1] = path .. ": [] / {}"
  end
  for name in pairs(a) do M.differences(a[name], b[name], path .. "." .. name, found) end
  for name in pairs(b) do
    if a[name] == nil then found[#found + 1] = path .. "." .. name .. " is new" end
  end
  return found
end

--- Compares two JSON texts as values.
function M.same_json(got, wanted)
  same(M.differences(M.value(got), M.value(wanted)), {})
end

--- Client frames of a list of events, as "name json" lines.
function M.frames(encoder, events)
  local lines = {}
  local function take(frames)
    for _, frame in ipairs(frames) do lines[#lines + 1] = { frame.name, M.value(frame.data) } end
  end
  for _, event in ipairs(events) do take(encoder.event(event)) end
  take(encoder.eof())
  return lines
end

--- Compares frames with "name json" lines of one text.
function M.same_frames(got, text)
  local wanted = {}
  for line in text:gmatch "[^\n]+" do
    local name, data = line:match "^%s*E?%s*([%w_]+)%s+(.+)$"
    wanted[#wanted + 1] = { name, M.value(data) }
  end
  for i = 1, math.max(#got, #wanted) do
    same(M.differences(got[i], wanted[i], tostring(i)), {})
  end
end

--- Events of upstream frames, written as "name json" lines; the end of the stream follows.
function M.events(decoder, text)
  local found = {}
  for line in text:gmatch "[^\n]+" do
    local name, data = line:match "^%s*E?%s*([%w_]+)%s+(.+)$"
    for _, event in ipairs(decoder.frame(name, data)) do found[#found + 1] = event end
  end
  for _, event in ipairs(decoder.eof()) do found[#found + 1] = event end
  return found
end

--- The types of events or the names of frames.
function M.types(list)
  local found = {}
  for i, each in ipairs(list) do found[i] = each.type or each[1] end
  return table.concat(found, " ")
end

--- Codes of the warnings of a context.
function M.codes(ctx)
  local found = {}
  for i, warning in ipairs(ctx.warnings) do found[i] = warning.code end
  return table.concat(found, " ")
end

return M
