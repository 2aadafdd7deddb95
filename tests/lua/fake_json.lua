--- The module `json` in plain Lua, for running the specs without the C runner.

local M = {}

M.null = setmetatable({}, { __tostring = function() return "null" end, __name = "null" })
local ARRAY = { __name = "array" }
local RAW = { __name = "raw" }
RAW.__tostring = function(value) return value[1] end

function M.array(value) return setmetatable(value or {}, ARRAY) end
function M.raw(text) return setmetatable({ text }, RAW) end

local skip

local function blank(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end
local function fail(at) error("malformed JSON at byte " .. at, 0) end

local function skip_string(text, at)
  local i = at + 1
  while true do
    local stop = text:find('["\\]', i) or fail(at)
    if text:sub(stop, stop) == '"' then return stop + 1 end
    i = stop + 2
  end
end

-- Walks an object's or array's elements: each(name or index, from, to_exclusive).
local function walk(text, at, each)
  local is_object = text:sub(at, at) == "{"
  local close, index = is_object and "}" or "]", 0
  at = blank(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    local name = index
    if is_object then
      if text:sub(at, at) ~= '"' then fail(at) end
      local stop = skip_string(text, at)
      name = M.decode(text:sub(at, stop - 1))
      at = blank(text, stop)
      if text:sub(at, at) ~= ":" then fail(at) end
      at = blank(text, at + 1)
    end
    local stop = skip(text, at)
    if each then each(name, at, stop) end
    at, index = blank(text, stop), index + 1
    local mark = text:sub(at, at)
    if mark == close then return at + 1 end
    if mark ~= "," then fail(at) end
    at = blank(text, at + 1)
  end
end

function skip(text, at)
  local first = text:sub(at, at)
  if first == '"' then return skip_string(text, at) end
  if first == "{" or first == "[" then return walk(text, at) end
  for _, word in ipairs { "true", "false", "null" } do
    if text:sub(at, at + #word - 1) == word then return at + #word end
  end
  local _, stop = text:find("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if not stop then fail(at) end
  return stop + 1
end

local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function value_at(text, at)
  local first = text:sub(at, at)
  if first == "{" then
    local out = {}
    walk(text, at, function(name, from) out[name] = value_at(text, from) end)
    return out
  elseif first == "[" then
    local out = M.array {}
    walk(text, at, function(index, from) out[index + 1] = value_at(text, from) end)
    return out
  elseif first == '"' then
    return (text:sub(at + 1, skip_string(text, at) - 2):gsub("\\(u?)(....?)", function(u, rest)
      if u == "u" then return utf8.char(tonumber(rest, 16)) end
    end):gsub("\\(.)", function(letter) return escapes[letter] or letter end))
  end
  local word = text:sub(at, skip(text, at) - 1)
  if word == "true" then return true elseif word == "false" then return false end
  if word == "null" then return M.null end
  return math.tointeger(tonumber(word)) or tonumber(word)
end

local function check(text)
  local at = blank(text, 1)
  local stop = skip(text, at)
  if blank(text, stop) <= #text then fail(stop) end
  return at
end

function M.decode(text)
  return value_at(text, check(text))
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(letter)
    if letter == '"' or letter == "\\" then return "\\" .. letter end
    if letter == "\n" then return "\\n" end
    return string.format("\\u%04x", letter:byte())
  end) .. '"'
end

function M.encode(value)
  if value == M.null then return "null" end
  local kind, meta = type(value), getmetatable(value)
  if kind == "string" then return quote(value) end
  if kind ~= "table" then return tostring(value) end
  if meta == RAW then return value[1] end
  local parts = {}
  if meta == ARRAY or #value > 0 then
    for i, element in ipairs(value) do parts[i] = M.encode(element) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = quote(name) .. ":" .. M.encode(value[name]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Where the value at a path stands; else where its parent does.
local function locate(text, path)
  local at, stop = check(text), nil
  stop = skip(text, at)
  for depth, step in ipairs(path) do
    local from, to
    local first = text:sub(at, at)
    if first == "{" and type(step) == "string" or first == "[" and type(step) == "number" then
      walk(text, at, function(name, a, b) if name == step then from, to = a, b end end)
    end
    if not from then return nil, depth == #path and at or nil end
    at, stop = from, to
  end
  return at, stop
end

function M.get(text, path)
  local fine, at, stop = pcall(locate, text, path)
  if not fine or not at then return nil end
  return M.raw(text:sub(at, stop - 1))
end

function M.peek(text, ...)
  check(text)
  if not text:find("^%s*{") then error("not an object", 0) end
  local names, out = table.pack(...), {}
  walk(text, blank(text, 1), function(name, from, to)
    for i = 1, names.n do
      if names[i] == name then
        local first = text:sub(from, from)
        out[i] = (first == "{" or first == "[") and M.raw(text:sub(from, to - 1))
          or value_at(text, from)
      end
    end
  end)
  return table.unpack(out, 1, names.n)
end

function M.splice(text, path, raw)
  local at, stop = locate(text, path)
  if at then return text:sub(1, at - 1) .. tostring(raw) .. text:sub(stop) end
  if not stop then error("no such place", 0) end
  local empty = text:find("^{%s*}", stop)
  local close = skip(text, stop) - 1
  return text:sub(1, close - 1) .. (empty and "" or ",") .. quote(path[#path]) .. ":"
    .. tostring(raw) .. text:sub(close)
end

return M
