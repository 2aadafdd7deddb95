--- GET /v1/ws: clients that become sessions and serve requests.

local ws = require "ws"

local M = {}

--- Makes the client a session; from then on the registry offers what it can.
--- @param client Client
--- @param _ any
--- @param _ any
--- @param principal string?
function M.accept(client, _, _, principal)
  local id = ws.accept(client, "aistudio", principal ~= nil)
  if id then client:note { credential = id, provider = "aistudio" } end
end

return M
