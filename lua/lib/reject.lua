--- Refusals: what a translator raises when a body cannot be translated.  The hub catches them.
---
--- A refusal is {class, message, param}: `class` is a row of models.errors, so that lib.errors can
--- render it in any dialect.

local M = {}

local Refusal = {}
Refusal.__index = Refusal
Refusal.__tostring = function(self)
  return self.param and self.param .. ": " .. self.message or self.message
end

-- Kinds of upstream errors that have another name among the classes.
local classes = {
  invalid_request = "bad_param", context_length = "bad_param", too_large = "body_too_large",
  not_found = "unknown_model", server = "bad_upstream", truncated = "bad_upstream",
  malformed_call = "bad_upstream", timeout = "upstream_timeout",
}

--- Raises a refusal of a class of models.errors, or of a kind of error.
--- @param kind string
--- @param message string
--- @param param string?  the member that is wrong
function M.kind(kind, message, param)
  local refusal = { class = classes[kind] or kind, message = message, param = param }
  error(setmetatable(refusal, Refusal), 0)
end

--- Refuses one member of a client's body.
--- @param path string?  such as `messages[3].content`
--- @param message string
function M.bad(path, message)
  M.kind("bad_param", path and path .. ": " .. message or message, path)
end

--- Refuses a client's body that is not JSON as it has to be.
--- @param problem any  error of json.decode, or words
function M.json(problem)
  M.kind("bad_json", "the body is not valid JSON: " .. tostring(problem))
end

--- Refuses an upstream's answer.
--- @param message string
function M.upstream(message)
  M.kind("bad_upstream", message)
end

--- True for what this module raised.
--- @param value any
--- @return boolean
function M.is(value)
  return getmetatable(value) == Refusal
end

return M
