--- Chat requests to services that accounts are logged in to.

local upstream = require "lib.upstream"

local M = {}

--- The request for `<base>/chat/completions`.
--- @param call Call
--- @param candidate Candidate
--- @param more? table<string, string>  headers of this service
--- @return HttpRequest
function M.new(call, candidate, more)
  local credential = candidate.credential
  local headers = {
    ["content-type"] = "application/json", ["user-agent"] = upstream.AGENT,
    authorization = "Bearer {secret}",
    accept = call.upstream_stream and "text/event-stream" or "application/json",
  }
  for name, value in pairs(more or {}) do headers[name] = value end
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST", url = upstream.base(credential) .. "/chat/completions",
    credential = credential.id, headers = headers, body = call.payload, timeout = upstream.TIMEOUT,
  }
end

return M
