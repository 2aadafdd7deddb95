--- The small pages: what this is, that it lives, and what browsers ask beforehand.

local config = require "config"
local errors = require "lib.errors"
local json = require "json"
local replays = require "core.replays"
local url = require "lib.url"

local M = {}

local JSON = { ["Content-Type"] = "application/json; charset=utf-8" }
local ROOT = '{"message":"CLI Proxy API Server","endpoints":["POST /v1/chat/completions",'
  .. '"POST /v1/completions","GET /v1/models"]}'

--- @param client Client
function M.root(client)
  client:respond(200, JSON, ROOT)
end

--- @param client Client
function M.health(client)
  client:respond(200, JSON, '{"status":"ok"}')
end

--- A sign of life of the program that started the proxy with a password; unknown without one.
--- @param client Client
--- @param _ any
--- @param dialect string
function M.keep_alive(client, _, dialect)
  local given = client:header("authorization")
  given = given and (given:match("^[Bb]earer%s+(.+)$") or given) or client:header("x-local-password")
  local right = config.local_password(given or "")
  if right == nil or not client.is_local then
    return errors.respond(client, errors.new("unknown_route", "not found"), dialect)
  end
  if not right then return client:respond(401, JSON, '{"error":"invalid password"}') end
  client:respond(200, JSON, '{"status":"ok"}')
end

--- Stored responses: GET and DELETE of what this client was answered within the hour.
--- @param client Client
--- @param argument string  id, percent-encoded
--- @param dialect string
--- @param principal string?
function M.stored(client, argument, dialect, principal)
  local id = url.decode(argument):gsub("%c", "")
  local replay = replays.of(principal)
  local text = replay.get("response:" .. id)
  if not text then
    return errors.respond(client, errors.new("unknown_route",
      "Response with id '" .. id .. "' not found.", { param = "id" }), dialect)
  end
  if client.method ~= "DELETE" then return client:respond(200, JSON, text) end
  replay.forget("response:" .. id)
  replay.forget("input:" .. id)
  client:respond(200, JSON, json.encode { id = id, object = "response", deleted = true })
end

--- OPTIONS of any path; the CORS headers are set by access.
--- @param client Client
function M.preflight(client)
  client:respond(204)
end

return M
