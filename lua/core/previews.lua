--- Other models of the same account, asked when the quota of one is used up: names and order are in
--- models.quota.  One that the upstream does not know is left out while this process lives.

local config = require "config"
local log = require "log"
local quota = require "models.quota"
local registry = require "core.registry"
local store = require "store"

local M = {}

local NONE = {}

local function gone_key(candidate)
  return "gone:" .. candidate.provider.name .. ":" .. candidate.model
end

-- The alternatives of a candidate, made once.
local function list_of(candidate)
  local list = candidate.previews
  if list then return list end
  local named = quota.previews[candidate.provider.name]
  named = named and named[candidate.model]
  list = named and {} or NONE
  for i, name in ipairs(named or NONE) do
    list[i] = registry.candidate(candidate.provider, candidate.credential, name, candidate.entry)
    list[i].base = candidate
  end
  candidate.previews = list
  return list
end

local function is_on()
  local switches = config.values["quota-exceeded"]
  return not switches or switches["switch-preview-model"] ~= false
end

--- The next alternative of a candidate that is out of quota.
--- @param candidate Candidate  itself or an alternative
--- @param refused fun(candidate: Candidate): boolean  it was tried, or rests
--- @return Candidate?
function M.next(candidate, refused)
  local list = list_of(candidate.base or candidate)
  if #list == 0 or not is_on() then return nil end
  for _, other in ipairs(list) do
    if not refused(other) and not store.get(gone_key(other)) then return other end
  end
end

--- Learns from the failure of an alternative.
--- @param candidate Candidate
--- @param problem Problem
function M.failed(candidate, problem)
  if not candidate.base or problem.status ~= 404 then return end
  store.set(gone_key(candidate), true)
  log.info("%s does not know %s any more", candidate.credential.name, candidate.model)
end

return M
