--- The small pages: what this is, that it lives, and what browsers ask beforehand.

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

--- OPTIONS of any path; the CORS headers are set by access.
--- @param client Client
function M.preflight(client)
  client:respond(204)
end

return M
