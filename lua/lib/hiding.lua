--- Takes tokens out of texts, for who has them in the open: the keeper and logins.  (Workers never
--- have them; what upstreams repeat to those, C takes out.)

local find, gsub, lower = string.find, string.gsub, string.lower

local M = {}

local SHORTEST = 8

-- Members whose values are secrets.
local WORDS = {
  "token", "secret", "code", "verifier", "key", "cookie", "assertion", "password", "authorization",
}

local function is_secret(name)
  if type(name) ~= "string" then return false end
  name = lower(name)
  for _, word in ipairs(WORDS) do
    if find(name, word, 1, true) then return true end
  end
  return false
end

-- Adds the secrets of a table, also of those in it.
local function collect(list, from, secret)
  for name, value in pairs(from) do
    local known = secret or is_secret(name)
    if type(value) == "table" then
      collect(list, value, known)
    elseif known and type(value) == "string" then
      value = value:match("^%a+ (%S+)$") or value -- behind a scheme
      if #value >= SHORTEST then list[#list + 1] = value end
    end
  end
end

--- The secrets of tables: requests, token files.
--- @param ... table?
--- @return string[]  the longest first
function M.secrets(...)
  local list = {}
  for i = 1, select("#", ...) do
    local from = select(i, ...)
    if type(from) == "table" then collect(list, from, false) end
  end
  table.sort(list, function(a, b) return #a > #b end)
  return list
end

local function without(text, secret)
  if not find(text, secret, 1, true) then return text end
  local pattern = gsub(secret, "%p", "%%%0")
  return (gsub(text, pattern, "***"))
end

local function escaped(char)
  return ("%%%02X"):format(char:byte())
end

--- A text without these secrets, in the forms that JSON and forms give them, too.
--- @param text string
--- @param secrets string[]
--- @return string
function M.text(text, secrets)
  for _, secret in ipairs(secrets) do
    text = without(text, secret)
    text = without(text, (gsub(secret, "/", "\\/")))
    text = without(text, (gsub(secret, "[^%w%-._~]", escaped)))
  end
  return text
end

return M
