--- Keeps the token of an account fresh for a call: before it is used up, and once when the upstream
--- refuses it.  The keeper does the work; workers only wait for it.

local attempt = require "core.attempt"
local credentials = require "credentials"
local errors = require "lib.errors"
local json = require "json"
local keeper = require "keeper"
local timer = require "timer"

-- Seconds that a call waits for the keeper; its own limits are shorter.
local LIMIT = 180

local M = {}

-- Asks for a newer token than the one of that stamp; a stream's client is kept informed.
local function refresh(call, credential, stamp)
  local request <close> = keeper.start("refresh", json.encode { id = credential.id, stamp = stamp })
  local deadline = timer.now() + LIMIT
  local slice = call.keepalive or LIMIT
  while true do
    local answer, problem = request:wait(slice)
    if answer then return json.decode(answer) end
    if answer == nil then return { failed = problem } end
    if timer.now() >= deadline then return { failed = "the refresh takes too long" } end
    if call.keepalive then attempt.keep_alive(call) end
  end
end

local function ended(credential, result)
  if result.needs_login then
    return errors.new("upstream", ("the login of %s has ended, log in again: %s")
      :format(credential.label, result.failed), { status = 401, verdict = "needs_login",
        scope = "credential" })
  end
  return errors.new("upstream_unreachable", ("the token of %s could not be refreshed: %s")
    :format(credential.label, result.failed), { verdict = "transient", scope = "credential" })
end

-- Refreshes a token that is used up, or nearly so; nil when it will do.
local function prepare(call, credential)
  local left = credential.expires and credential.expires - timer.wall()
  if not left or left > (credential.ahead or 0) or not credential.refreshable then return nil end
  local stamp = credentials.stamp(credential.id)
  if not stamp then return nil end
  local result = refresh(call, credential, stamp)
  if result.failed and left <= 0 then return ended(credential, result) end
  return nil
end

--- Serves a call with a candidate whose token may have to be refreshed.
--- @param call Call
--- @param candidate Candidate
--- @param serve fun(call: Call, candidate: Candidate): Problem?
--- @return Problem?
function M.around(call, candidate, serve)
  local credential = candidate.credential
  if credential.kind ~= "oauth" then return serve(call, candidate) end
  local problem = prepare(call, credential)
  if problem then return problem end
  local stamp = credentials.stamp(credential.id)
  if not stamp then
    -- Since it was chosen.
    return errors.new("upstream_unreachable", credential.label .. " was removed",
      { verdict = "other" })
  end
  problem = serve(call, candidate)
  if not problem or call.sent or problem.class ~= "upstream" or problem.status ~= 401
      or not credential.refreshable then
    return problem
  end
  local result = refresh(call, credential, stamp)
  if result.failed then return ended(credential, result) end
  return serve(call, candidate)
end

return M
