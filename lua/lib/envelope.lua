--- The envelope of Gemini CLI's Code Assist form, put on and taken off byte by byte.

local json = require "json"
local reject = require "lib.reject"

local concat, next, pairs, sub, tostring, type =
  table.concat, next, pairs, string.sub, tostring, type

local M = {}

-- Members beside the request stay raw.
local ENVELOPE = json.shape { known = { "model", request = "raw" }, strict = true }

--- Takes a request out of its envelope; raises a `lib.reject` error for what is none.
--- @param body string
--- @return RawJson request
--- @return table envelope  the other members, `model` among them
function M.open(body)
  local envelope, problem = json.decode(body, ENVELOPE)
  if not envelope then reject.json(problem) end
  if type(envelope) ~= "table" or json.is_array(envelope) then
    reject.bad(nil, "the body must be an object")
  end
  local request = envelope.request
  if not json.is_raw(request) or json.type(request) ~= "object" then
    reject.bad("request", "must be an object")
  end
  envelope.request = nil
  return request, envelope
end

--- The model that is asked for.  Counting names it inside, as `models/<name>`.
--- @param request RawJson|string
--- @param envelope table
--- @return string?
function M.model(request, envelope)
  local model = envelope.model
  if type(model) ~= "string" or model == "" then model = json.get(request, "model") end
  if type(model) ~= "string" or model == "" then return nil end
  if sub(model, 1, 7) == "models/" then return sub(model, 8) end
  return model
end

--- Puts a Gemini request into an envelope.
--- @param request string  JSON text of an object, not looked at
--- @param members table  of the envelope
--- @return string body
function M.close(request, members)
  if next(members) == nil then return '{"request":' .. request .. "}" end
  return concat { sub(json.encode(members), 1, -2), ',"request":', request, "}" }
end

--- The Gemini response inside a whole answer or an event; what has none (an error, a count) stays.
--- @param text string
--- @return string
function M.inside(text)
  local inner = json.get(text, "response")
  return json.is_raw(inner) and json.type(inner) == "object" and tostring(inner) or text
end

--- Puts a Gemini response into the envelope; errors have none.
--- @param text string
--- @return string
function M.wrap(text)
  local fine, failure, id = json.peek(text, "error", "responseId")
  if not fine or failure ~= nil and failure ~= json.null then return text end
  local trace = type(id) == "string" and ',"traceId":' .. json.encode(id) or ""
  return concat { '{"response":', text, trace, "}" }
end

--- The members of an envelope without some of them.
--- @param envelope table
--- @param ... string
--- @return table
function M.beside(envelope, ...)
  local members = {}
  for name, value in pairs(envelope) do members[name] = value end
  for _, name in ipairs { ... } do members[name] = nil end
  return members
end

return M
