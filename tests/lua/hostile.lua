--- Values of the wrong kind, put in the place of every member in turn: what people write by hand
--- and what broken servers answer.

local json = require "json"

local M = {}

M.values = {
  json.null, true, false, 0, -1, 0.5, 1e308, -1e308, 9007199254740993, "", " ", "x", "\n", "a\r\nb: c",
  "nan", "1e999", "-1e999", "0x10", "inf", "null", "https://", "ftp://h", "http://h:x", "999999-99-99T99:99:99Z",
  json.object {}, json.array {}, json.array { 1 }, json.array { "x", json.null, json.object {} },
  json.object { a = 1 }, json.object { message = json.array {} }, ("9"):rep(400), ("x"):rep(5000),
}

local function copy(value)
  if type(value) ~= "table" then return value end
  local made = json.is_array(value) and json.array {} or json.object {}
  for name, member in pairs(value) do made[name] = copy(member) end
  return made
end

--- Valid, and deeper than what is decoded.
M.deep = {
  json.raw(("["):rep(70) .. ("]"):rep(70)), json.raw(("{\"a\":"):rep(70) .. "1" .. ("}"):rep(70)),
}

local function each_place(root, value, visit, values)
  for _, name in ipairs(json.is_array(value) and { 1 } or json.keys(value)) do
    local before = value[name]
    for _, odd in ipairs(values) do
      value[name] = odd
      visit(root, tostring(name))
    end
    value[name] = before
    if type(before) == "table" then each_place(root, before, visit, values) end
  end
end

--- Calls `visit` with a document once for each of its members and each odd value in its place, and
--- with the whole replaced.
--- @param document table
--- @param visit fun(document: any, name: string)
--- @param values any[]?  instead of M.values
function M.each(document, visit, values)
  local root = copy(json.decode(json.encode(document)))
  each_place(root, root, function(whole, name) visit(copy(whole), name) end, values or M.values)
end

--- Texts that are no answer, or a strange one.
M.texts = {
  "", " ", "null", "true", "0", "-1", "\"\"", "\"x\"", "{}", "[]", "[[]]", "[1]", "[null]", "{", "[{}]",
  "<html><title></title>", "<!doctype html><html>", "{\"error\":null}", "{\"error\":[]}", "{\"error\":{}}",
  "{\"error\":[{}]}", "{\"error\":1}", "{\"error\":true}", "{\"error\":\"{\"}", "[{\"error\":{\"details\":1}}]",
  "{\"error\":{\"message\":\"{\\\"error\\\":1}\"}}", "\xff\xfe", "{\"a\":1,\"a\":2}", ("["):rep(300),
}

return M
