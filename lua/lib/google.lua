--- What Google's two Gemini APIs have in common.

local find, lower, match = string.find, string.lower, string.match

local M = {}

--- A text that says something.
--- @param value any
--- @return string?
function M.text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- The objects of a list, whatever else is in it.
--- @param value any
--- @return table[]
function M.objects(value)
  local list = {}
  for _, each in ipairs(type(value) == "table" and value or {}) do
    if type(each) == "table" then list[#list + 1] = each end
  end
  return list
end

-- What clients of Gemini's own form say about themselves.
local passed = { "x-goog-api-client", "client-metadata" }

--- True for Gemini CLI, whatever surface it runs on.
--- @param client Client
--- @return boolean
function M.is_cli(client)
  return find(lower(client:header("user-agent") or ""), "^geminicli") ~= nil
end

--- Adds the headers that a client of Gemini's own form says about itself; its name only when it is
--- Gemini CLI.
--- @param headers table<string, string>
--- @param call Call
function M.pass_on(headers, call)
  if call.base ~= "gemini" then return end
  local client = call.client
  for _, name in ipairs(passed) do headers[name] = client:header(name) end
  if M.is_cli(client) then headers["user-agent"] = client:header("user-agent") end
end

--- The method of a call with its query, such as ":streamGenerateContent?alt=sse".
--- @param call Call
--- @return string
function M.method(call)
  if call.operation == "count" then return ":countTokens" end
  -- A client's own framing of a stream is made here, so that its events can be read.
  if call.upstream_stream then return ":streamGenerateContent?alt=sse" end
  local alt = call.same_dialect and (call.client:param("alt") or call.client:param("$alt"))
  if not alt or alt == "" or alt == "sse" or not match(alt, "^[%w;=_-]+$") then
    return ":generateContent"
  end
  return ":generateContent?$alt=" .. alt
end

return M
