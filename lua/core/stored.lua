--- Answers of the Responses dialect that clients may refer to, where bytes go through to an
--- upstream that stores nothing.  (Translations remember theirs in the hub.)

local errors = require "lib.errors"
local json = require "json"
local reject = require "lib.reject"
local replay = require "lib.responses_replay"
local replays = require "core.replays"

local find = string.find

local M = {}

--- A body without references to earlier answers.
--- @param call Call
--- @param body string
--- @return string? body
--- @return Problem? problem  what it refers to is not known
function M.expand(call, body)
  if not find(body, '"previous_response_id"', 1, true)
      and not find(body, '"item_reference"', 1, true) then
    return body
  end
  local ctx = { replay = replays.of(call.principal) }
  local fine, expanded = pcall(replay.expand, body, ctx)
  if fine then return expanded end
  if not reject.is(expanded) then error(expanded, 0) end
  return nil, errors.new(expanded.class, expanded.message,
    { param = expanded.param, verdict = "request" })
end

--- Keeps a finished answer unless its client wants nothing stored.
--- @param call Call
--- @param response RawJson|string
function M.keep(call, response)
  if call.operation ~= "generate" or json.get(call.body, "store") == false then return end
  local id = json.get(response, "id")
  if type(id) ~= "string" or id == "" then return end
  local ctx = { replay = replays.of(call.principal) }
  local input = json.get(call.payload, "input")
  replay.remember(ctx, id, tostring(response), replay.input_text(input))
end

return M
