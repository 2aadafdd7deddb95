--- Runs the specs under plain Lua 5.4, without the program: lua_specs [file...]
---
--- Needs the C modules `json`, `crypto` and `sse`: build/asan/lua_specs has them.

modules = { json = require "json", crypto = require "crypto", sse = require "sse" }

local loaded = {}

function require(name)
  local found = modules[name] or loaded[name]
  if found then return found end
  local path = name:match("^tests%.(.+)$")
  path = path and "tests/lua/" .. path .. ".lua" or "lua/" .. name:gsub("%.", "/") .. ".lua"
  local chunk, problem = loadfile(path)
  if not chunk then error("module " .. name .. ": " .. problem, 2) end
  local result = chunk(name)
  loaded[name] = result == nil and true or result
  return loaded[name]
end

local function show(value, depth)
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) ~= "table" or (depth or 0) > 6 then return tostring(value) end
  local parts, names = {}, {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for i, name in ipairs(names) do
    parts[i] = tostring(name) .. " = " .. show(value[name], (depth or 0) + 1)
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function same(a, b)
  if show(a) ~= show(b) then error("got  " .. show(a) .. "\nnot  " .. show(b), 2) end
end

local passed, failed = 0, 0

function test(name, fn)
  local fine, problem = xpcall(fn, function(raised) return debug.traceback(tostring(raised)) end)
  if fine then
    passed = passed + 1
  else
    failed = failed + 1
    io.write("FAILED ", name, "\n  ", (problem:gsub("\n", "\n  ")), "\n")
  end
end

-- Scripts may not make globals.
setmetatable(_G, { __newindex = function(_, name) error("new global " .. name, 2) end })

local specs = { table.unpack(arg) }
if #specs == 0 then
  for path in io.popen("ls tests/lua/*_spec.lua"):lines() do specs[#specs + 1] = path end
end
for _, path in ipairs(specs) do assert(loadfile(path))() end
io.write(passed, " passed, ", failed, " failed\n")
os.exit(failed == 0)
