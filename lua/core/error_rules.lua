--- `request-scoped-errors`: what the user says certain upstream errors mean.
---
--- A rule has a `status`, `match` (texts that may occur) or `match-regexr` (regular expressions),
--- and an `action`.  The rules of an entry come first, then those of its kind of login.

local config = require "config"
local log = require "log"
local regex = require "lib.regex"

local find = string.find

local M = {}

local SAID_MAX = 16384

local actions = {
  ["stop"] = { stop = true, rest = false },
  ["stop-and-cooldown"] = { stop = true, rest = true },
  ["continue"] = { stop = false, rest = false },
  ["continue-and-cooldown"] = { stop = false, rest = true },
}

-- Compiled expressions; false for those that cannot be.
local compiled = {}

local function expression(text)
  local found = compiled[text]
  if found == nil then
    local problem
    found, problem = regex.compile(text)
    if not found then log.warn("request-scoped-errors: %s: %s", text, problem) end
    compiled[text] = found or false
  end
  return found
end

-- A list, or one value that stands for a list of itself.
local function each(value)
  return ipairs(type(value) == "table" and value or { value })
end

local function fits(rule, said)
  for _, text in each(rule.match) do
    if type(text) == "string" and text ~= "" and find(said, text, 1, true) then return true end
  end
  for _, text in each(rule["match-regexr"]) do
    local found = type(text) == "string" and text ~= "" and expression(text)
    if found and found(said) then return true end
  end
  return false
end

local function first(list, problem, said)
  for _, rule in each(list) do
    if type(rule) == "table" and tonumber(rule.status) == problem.status
        and actions[rule.action] and fits(rule, said) then
      return actions[rule.action]
    end
  end
end

--- What the rules for a candidate say about a failure.
--- @param problem Problem
--- @param candidate Candidate
--- @return {stop: boolean, rest: boolean}?
function M.action(problem, candidate)
  if problem.class ~= "upstream" then return nil end
  local credential = candidate.credential
  local own = credential.entry["request-scoped-errors"]
  local general = credential.kind == "oauth" and config.values["oauth-request-scoped-errors"]
  general = general and general[credential.name]
  if type(own) ~= "table" then own = nil end
  if not (own and own[1]) and not (general and general[1]) then return nil end
  local said = (problem.said or problem.body or problem.message):sub(1, SAID_MAX)
  return first(own, problem, said) or first(general, problem, said)
end

return M
