--- Token files that logins leave behind.

local file = require "file"
local json = require "json"

local M = {}

-- The file of the same account, whatever its name: its path and what is in it.
local function find(directory, saved)
  if not saved.same then return nil end
  for _, name in ipairs(file.list and file.list(directory) or {}) do
    if name:lower():find("%.json$") then
      local text = file.read(directory .. "/" .. name)
      local document = text and json.decode(text)
      if json.type(document) == "object" and saved.same(document) then return name, document end
    end
  end
end

--- Writes the token file of a login.  A file of the same account is updated: what else it says stays.
--- @param saved Saved
--- @param directory string
--- @return string? path
--- @return string? message
function M.save(saved, directory)
  local name, document = find(directory, saved)
  document = document or {}
  for member, value in pairs(saved.document) do document[member] = value end
  local path = directory .. "/" .. (name or saved.name)
  local fine, problem = file.write(path, json.encode(document) .. "\n")
  if not fine then return nil, problem.message end
  return path
end

return M
