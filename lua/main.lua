--- The request pipeline, in order.

local access = require "core.access"
local calls = require "core.calls"
local errors = require "lib.errors"
local exchange = require "core.exchange"
local framing = require "lib.framing"
local routes = require "core.routes"
local trace = require "core.trace"

local M = {}

local function refuse(client, problem, dialect, route)
  if route.serve then trace.ended(client, problem, dialect) end
  return errors.respond(client, problem, dialect)
end

--- Serves one request.
--- @param client Client
function M.handle(client)
  client:set_header("X-Request-Id", client.id)

  -- What is asked for, and may this client ask for it?
  local route, argument, unknown = routes.find(client)
  local dialect = routes.dialect(route, client)
  local principal, problem = access.admit(client, route.auth)
  problem = problem or unknown
  if problem then return refuse(client, problem, dialect, route) end

  -- Pages and lists need no model.
  if route.answer then return route.answer(client, argument, dialect, principal) end

  -- A model call: read it, find who can serve it, and hand it over.
  local call
  call, problem = calls.read(client, route, argument, principal)
  if problem then return refuse(client, problem, dialect, route) end
  problem = route.serve(call)
  if problem then exchange.fail(call, problem) end
end

--- Answers for a script that failed.  Runs in a task of its own.
--- @param client Client
function M.failed(client)
  if client.finished then return end
  local dialect = routes.dialect_of(client)
  -- What went wrong is in the log, where paths and lines may be told.
  local problem = errors.new("internal", "internal error, see the log of request " .. client.id)
  trace.ended(client, problem, dialect)
  if not client.started then
    client:set_header("X-Request-Id", client.id)
    return errors.respond(client, problem, dialect)
  end
  -- Only streams are begun before they are complete.
  client:write(framing.of(client, dialect):problem(errors.event(problem, dialect)))
  client:finish()
end

return M
