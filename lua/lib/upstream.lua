--- What providers have in common: base URLs, headers, and the models of an entry.

local catalogue = require "lib.catalogue"
local config = require "config"
local task = require "task"

local find, lower, match, sub = string.find, string.lower, string.match, string.sub

local M = {}

--- The product's own `User-Agent`.
M.AGENT = "cli-proxy-api/" .. task.version

local limits = config.values.timeouts or {}
--- One table for all calls of a generation: its configuration does not change.
M.TIMEOUT = { connect = limits.connect, first_byte = limits["first-byte"], idle = limits.idle }

--- The base URL without slashes at its end; nil when there is none.
--- @param credential Credential
--- @return string?
function M.base(credential)
  local base = credential.base_url
  if not base or base == "" then return nil end
  if sub(base, -1) == "/" then base = match(base, "^(.-)/*$") end
  return base
end

--- Adds the headers of the entry, which come last; "$Name" copies the client's header of that name.
--- @param headers table<string, string>
--- @param credential Credential
--- @param client Client
function M.add_own(headers, credential, client)
  local own = credential.entry.headers
  if not own then return end
  for name, value in pairs(own) do
    local copied = match(value, "^%$([%w_%-]+)$")
    if copied then value = client:header(copied) end
    if value then headers[lower(name)] = value end
  end
end

--- Copies headers of a genuine client: listed ones, and those that begin with a prefix.
--- @param headers table<string, string>
--- @param client Client
--- @param names table<string, boolean>
--- @param prefixes string[]
function M.pass_on(headers, client, names, prefixes)
  for _, pair in ipairs(client:headers()) do
    local name = lower(pair[1])
    local wanted = names[name]
    for i = 1, wanted and 0 or #prefixes do
      wanted = wanted or find(name, prefixes[i], 1, true) == 1
    end
    if wanted then headers[name] = pair[2] end
  end
end

--- The models of an entry, see lib.catalogue.
M.models = catalogue.models

return M
