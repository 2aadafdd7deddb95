--- Errors: one mapping from internal classes to every dialect's shape, whole and mid-stream.

local json = require "json"
local problems = require "lib.problems"
local task = require "task"
local wire = require "models.errors"

local MESSAGE_MAX = 2048
-- Seconds.  An upstream that wants more than a month is not believed.
local WAIT_MAX = 86400 * 31

local classes, upstream, fallback = wire.classes, wire.upstream, wire.fallback
local find, format, gsub, lower, match, sub =
  string.find, string.format, string.gsub, string.lower, string.match, string.sub

local M = {}

local function quote(text)
  return text and json.encode(text) or "null"
end

--- Makes a problem.
--- @param class string  row of models.errors
--- @param message string
--- @param extra table?  further fields of Problem; becomes the problem
--- @return Problem
function M.new(class, message, extra)
  local problem = extra or {}
  problem.class, problem.message = class, message
  return problem
end

--- Takes out what must not reach a client or a log: keys in URLs, bearer tokens.
--- @param text string
--- @return string
function M.scrub(text)
  text = gsub(text, "([?&][%w_%-]*[kK][eE][yY]=)[^&%s\"']+", "%1***")
  text = gsub(text, "([?&][%w_%-]*[tT][oO][kK][eE][nN]=)[^&%s\"']+", "%1***")
  return (gsub(text, "([bB]earer%s+)[%w%-%._~%+/=]+", "%1***"))
end

-- Cuts without splitting a UTF-8 character.
local function cut(text, max)
  if #text <= max then return text end
  local last = max
  while last > 0 and find(text, "^[\x80-\xBF]", last + 1) do last = last - 1 end
  return sub(text, 1, last) .. "..."
end

local function trim(text)
  return match(text, "^%s*(.-)%s*$")
end

-- HTML pages become one line: their title, else a plain statement.
local function summary_of_page(text, status)
  local title = match(text, "<[tT][iI][tT][lL][eE][^>]*>%s*(.-)%s*</")
  if title and title ~= "" then
    return format("the upstream answered %d with a web page: %s", status,
      cut((gsub(title, "%s+", " ")), 200))
  end
  return format("the upstream answered %d with a web page", status)
end

local function text_of(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- Reads an upstream's error text, whatever its vendor.
--- @param body string
--- @return table? document  the decoded body, its array wrapper taken off
function M.decode(body)
  if not find(body, "^%s*[%[{]") then return nil end
  local document = json.decode(body)
  if type(document) ~= "table" then return nil end
  if document[1] ~= nil and type(document[1]) == "table" then document = document[1] end
  return document
end

local function message_of(body, document, status)
  if document then
    local inner = document.error
    local found = type(inner) == "table" and text_of(inner.message) or text_of(document.message)
      or text_of(document.detail) or text_of(inner)
    if found then
      -- Some gateways put the vendor's JSON into the message as text.
      local nested = M.decode(found)
      return nested and message_of(found, nested, status) or found
    end
  end
  local text = trim(body)
  if text == "" then return format("the upstream answered %d without a body", status) end
  if find(lower(sub(text, 1, 512)), "<!doctype html", 1, true)
      or find(lower(sub(text, 1, 512)), "<html", 1, true) then
    return summary_of_page(text, status)
  end
  return text
end

-- A body that is an error of the dialect already, so it can pass through unchanged.
local function in_dialect(document, dialect)
  local inner = document and document.error
  if type(inner) ~= "table" or type(inner.message) ~= "string" then return false end
  if dialect == "anthropic" then
    return document.type == "error" and type(inner.type) == "string"
  end
  if dialect == "gemini" then return type(inner.status) == "string" end
  return document.type == nil and type(inner.status) ~= "string"
end

--- The base of a dialect: whose error shape it uses.
--- @param dialect string
--- @return "chat"|"anthropic"|"gemini"
function M.shape(dialect)
  return wire.shapes[dialect] or "chat"
end

-- True for the page of a guard that wants a browser: the API was not reached.
local function is_challenge(problem, response)
  if problem.status ~= 403 and problem.status ~= 503 then return false end
  if response and response:header("cf-mitigated") == "challenge" then return true end
  local text = lower(problem.message)
  if not find(text, " with a web page: ", 1, true) then return false end
  for _, title in ipairs(wire.challenge_pages) do
    if find(text, title, 1, true) then return true end
  end
  return false
end

-- Seconds until the moment that an error's own members give.
local function told_delay(details)
  if not details then return nil end
  local at, seconds = tonumber(details.resets_at), tonumber(details.resets_in_seconds)
  local left = at and at - os.time()
  if left and left > 0 then return left end
  return seconds and seconds > 0 and seconds or nil
end

--- Makes the problem of an upstream answer with an error status.
--- @param status integer
--- @param body string
--- @param response table?  asked for its headers when given
--- @param dialect string?  dialect of the body; kept unchanged for clients of the same shape
--- @return Problem
function M.from_status(status, body, response, dialect)
  if status < 400 then
    return { class = "bad_upstream", message = "the upstream answered " .. status }
  end
  local document = M.decode(body)
  local inner = document and type(document.error) == "table" and document.error or document
  local problem = {
    class = "upstream",
    status = status,
    message = cut(M.scrub(message_of(body, document, status)), MESSAGE_MAX),
    code = inner and text_of(inner.code) or nil,
    kind = inner and text_of(inner.type) or nil,
    retry_after = response and M.retry_after(response:header("retry-after")) or nil,
    said = body,
  }
  problem.challenge = is_challenge(problem, response) or nil
  local shape = dialect and M.shape(dialect)
  if shape and in_dialect(document, shape) then
    problem.body, problem.shape = body, shape
  end
  if inner then
    for _, name in ipairs(wire.details) do
      if type(inner[name]) == "number" or type(inner[name]) == "string" then
        problem.details = problem.details or {}
        problem.details[name] = inner[name]
      end
    end
  end
  if status == 429 then
    problem.retry_after = told_delay(problem.details) or problem.retry_after
    -- A plan's limit is one for all models.
    if problem.kind == "usage_limit_reached" then problem.scope = "credential" end
  end
  return problem
end

--- Makes the problem of an error object that came with status 200.
--- @param data string  JSON text with a top-level `error`
--- @param dialect string?
--- @return Problem  with `in_answer`
function M.from_event(data, dialect)
  local err = problems.decode(dialect, nil, data)
  local problem = M.from_status(err.status, data, nil, dialect)
  problem.retry_after, problem.in_answer = problem.retry_after or err.retry_after, true
  return problem
end

--- Makes the problem of a call that failed without an answer.
--- @param err HttpError|Problem  a problem stays as it is
--- @return Problem
function M.from_http(err)
  if err.class then return err end
  local class = wire.http[err.code] or "bad_upstream"
  local message = M.scrub(err.message or err.code or "no answer")
  return { class = class, message = message, code = err.code }
end

--- Seconds of a Retry-After header: a number, or a date.
--- @param value string?
--- @return number?
function M.retry_after(value)
  if not value then return nil end
  local seconds = tonumber(value)
  if seconds then return seconds >= 0 and math.min(seconds, WAIT_MAX) or nil end
  local day, month, year, hour, minute, second =
    match(value, "(%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d)")
  if not day or not wire.months[month] then return nil end
  local now = os.time()
  local stamp = os.time {
    year = tonumber(year), month = wire.months[month], day = tonumber(day),
    hour = tonumber(hour), min = tonumber(minute), sec = tonumber(second), isdst = false,
  }
  -- os.time reads local time: take the zone's offset off.
  local here = os.time(os.date("!*t", now) --[[@as osdateparam]])
  stamp = stamp + (now - here)
  return math.max(0, math.min(stamp - now, WAIT_MAX))
end

-- The row of the mapping that a problem uses, and its HTTP status.
local function row_of(problem, shape)
  if problem.class ~= "upstream" then
    local row = classes[problem.class] or classes.internal
    return row, row.status
  end
  local status = problem.status or 502
  local row = upstream[status] or (status >= 500 and fallback.server or fallback.client)
  if status == 529 and shape ~= "anthropic" then return row, 503 end
  return row, status
end

--- HTTP status that a client of the dialect sees.
--- @param problem Problem
--- @param dialect string
--- @return integer
function M.status(problem, dialect)
  local _, status = row_of(problem, M.shape(dialect))
  return status
end

-- Upstream's own words win where its shape has them and ours would say less.
local function chat_object(problem, row)
  local kind, code = row.type, row.code
  if problem.class == "upstream" then
    if wire.kept_codes[problem.code or ""] then
      code = problem.code
    elseif problem.status == 404 and not M.about_model(problem) then
      code = nil
    end
    if problem.kind == "insufficient_quota" or problem.code == "insufficient_quota" then
      kind, code = "insufficient_quota", "insufficient_quota"
    end
  end
  local details = ""
  for _, name in ipairs(wire.details) do
    local value = problem.details and problem.details[name]
    if value ~= nil then details = details .. "," .. quote(name) .. ":" .. json.encode(value) end
  end
  return '{"message":' .. quote(problem.message) .. ',"type":' .. quote(kind)
    .. ',"param":' .. quote(problem.param) .. ',"code":' .. quote(code) .. details .. "}"
end

-- The time a client is asked to wait: some bodies name delays that no header can hold.
local function whole_seconds(problem)
  return math.ceil(math.max(1, math.min(problem.retry_after, WAIT_MAX)))
end

local function gemini_details(problem, status)
  local details = {}
  if problem.class == "invalid_key" then
    details[1] = '{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
      .. '"reason":"API_KEY_INVALID","domain":"googleapis.com"}'
  end
  if status == 429 and problem.retry_after then
    details[#details + 1] = '{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"'
      .. whole_seconds(problem) .. 's"}'
  end
  return "[" .. table.concat(details, ",") .. "]"
end

local function gemini_object(problem, row, status)
  return '{"code":' .. status .. ',"message":' .. quote(problem.message) .. ',"status":'
    .. quote(row.gemini) .. ',"details":' .. gemini_details(problem, status) .. "}"
end

--- True when an upstream's words are about the model and not about a path or a stored item.
--- @param problem Problem
--- @return boolean
function M.about_model(problem)
  if problem.code == "model_not_found" or problem.code == "model_not_supported" then return true end
  local text = lower(problem.message or "")
  if not find(text, "model", 1, true) then return false end
  for _, words in ipairs(wire.model_words) do
    if find(text, words, 1, true) then return true end
  end
  return false
end

--- A problem as the whole answer of a dialect.
--- @param problem Problem
--- @param dialect string
--- @param id string?  request id
--- @return integer status, table<string, string> headers, string body
function M.render(problem, dialect, id)
  local shape = M.shape(dialect)
  local row, status = row_of(problem, shape)
  local headers = { ["Content-Type"] = "application/json" }
  if problem.retry_after then
    headers["Retry-After"] = tostring(whole_seconds(problem))
  end
  if problem.allow then headers["Allow"] = problem.allow end
  if dialect == "management" then
    return status, headers, '{"error":' .. quote(problem.message) .. "}"
  end
  if problem.body and problem.shape == shape then
    return status, headers, problem.body
  end
  if shape == "anthropic" then
    local request = "req_" .. (id or task.id() or "0")
    headers["request-id"] = request
    return status, headers, '{"type":"error","error":{"type":' .. quote(row.anthropic)
      .. ',"message":' .. quote(problem.message) .. '},"request_id":' .. quote(request) .. "}"
  end
  if shape == "gemini" then
    return status, headers, '{"error":' .. gemini_object(problem, row, status) .. "}"
  end
  return status, headers, '{"error":' .. chat_object(problem, row) .. "}"
end

-- The last events of a responses stream; Codex takes the second one alone.
local function failed_response(problem, row, facts)
  local code = quote(problem.class == "upstream" and wire.kept_codes[problem.code or ""]
    and problem.code or row.code or row.type)
  local message, at = quote(problem.message), facts.sequence or 0
  local events = ""
  if not facts.failed_only then
    events = 'event: error\ndata: {"type":"error","code":' .. code .. ',"message":' .. message
      .. ',"param":' .. quote(problem.param) .. ',"sequence_number":' .. at .. "}\n\n"
    at = at + 1
  end
  return events .. 'event: response.failed\ndata: {"type":"response.failed","sequence_number":'
    .. at .. ',"response":{"id":' .. quote(facts.id or "resp_0")
    .. ',"object":"response","created_at":' .. (facts.created or 0) .. ',"status":"failed","error":{"code":' .. code .. ',"message":'
    .. message .. '},"incomplete_details":null,"model":' .. quote(facts.model or "")
    .. ',"output":[],"usage":null}}\n\n'
end

--- A problem as the last event of a stream that has begun.
--- @param problem Problem
--- @param dialect string
--- @param facts table?  of the stream: `sequence` of the next event, `id`, `model`, `created`;
---   `failed_only` for clients that know no `error` event
--- @return string bytes  framed; nothing may follow
function M.event(problem, dialect, facts)
  local shape = M.shape(dialect)
  local row, status = row_of(problem, shape)
  if shape == "anthropic" then
    return 'event: error\ndata: {"type":"error","error":{"type":' .. quote(row.anthropic)
      .. ',"message":' .. quote(problem.message) .. "}}\n\n"
  end
  if shape == "gemini" then
    return 'data: {"error":' .. gemini_object(problem, row, status) .. "}\n\n"
  end
  if dialect == "responses" then return failed_response(problem, row, facts or {}) end
  return 'data: {"error":' .. chat_object(problem, row) .. "}\n\n"
end

--- Answers a client that has not been answered yet.
--- @param client Client
--- @param problem Problem
--- @param dialect string
function M.respond(client, problem, dialect)
  client:respond(M.render(problem, dialect, client.id))
end

return M
