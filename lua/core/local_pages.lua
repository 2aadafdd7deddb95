--- What commands on this machine ask of the running server, with the key that it left in a file.
---
--- To anybody else these paths do not exist.

local access = require "core.access"
local config = require "config"
local errors = require "lib.errors"
local json = require "json"
local keeper = require "keeper"
local task = require "task"

local M = {}

local KEEPER_SECONDS = 2

local JSON = {
  ["Content-Type"] = "application/json; charset=utf-8", ["Cache-Control"] = "no-store",
}

local function is_admitted(client)
  if not client.is_local or client:header("origin") then return false end
  local host, given = client:header("host"), client:header("authorization")
  if not host or not given or not access.is_loopback_host(host) then return false end
  return config.local_key(given:match("^[Bb]earer%s+(%x+)%s*$") or "") == true
end

local function page(answer)
  return function(client, _, dialect)
    if is_admitted(client) then return answer(client) end
    local unknown = errors.new("unknown_route", client.path .. " not found.")
    return errors.respond(client, unknown, dialect)
  end
end

local function given(client, name)
  local value = client:param(name)
  return value ~= "" and value or nil
end

-- What the keeper knows of token files; nothing when it is busy.
local function unusable_files()
  local request <close> = keeper.start("unusable", "")
  local answer = request:wait(KEEPER_SECONDS)
  return answer and json.decode(answer) or {}
end

--- GET /v0/local/explain?model=NAME&dialect=NAME
M.explain = page(function(client)
  local model = given(client, "model")
  if not model or #model > 256 then
    return client:respond(400, JSON, '{"error":"model: 1 to 256 bytes are needed"}')
  end
  local report = require("core.explain").report(model, given(client, "dialect"), true)
  report.server = { version = task.version }
  report.unusable = json.array(unusable_files())
  client:respond(200, JSON, json.encode(report))
end)

--- GET /v0/local/trace?id=ID
M.trace = page(function(client)
  local trace = task.trace(given(client, "id") or "")
  client:respond(200, JSON, '{"trace":' .. (trace or "null") .. "}")
end)

return M
