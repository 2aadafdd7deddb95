--- Token counting: the upstream's own number where it has a counting endpoint, else an estimate.
---
--- A failure to count says nothing about a credential: nothing cools down here.

local attempt = require "core.attempt"
local dialects = require "lib.dialects"
local errors = require "lib.errors"
local json = require "json"
local log = require "log"
local refreshing = require "core.refreshing"
local router = require "core.router"
local selector = require "core.selector"
local translation = require "core.translation"

local M = {}

local has_estimate, estimate = pcall(require, "lib.estimate")

-- The number in each client's form.
local form = {}

function form.anthropic(count)
  return '{"input_tokens":' .. count .. "}"
end

function form.responses(count)
  return '{"object":"response.input_tokens","input_tokens":' .. count .. "}"
end

function form.gemini(count)
  return '{"totalTokens":' .. count .. ',"promptTokensDetails":[{"modality":"TEXT","tokenCount":'
    .. count .. "}]}"
end

-- A rough number when nothing better is at hand: four bytes a token, without the JSON around it.
local function rough(body)
  local bytes = #body - select(2, body:gsub('["{}%[%],:]', ""))
  return math.max(1, (bytes + 3) // 4)
end

local function estimated(call)
  if has_estimate and estimate.count then
    local fine, count = pcall(estimate.count, call.base, call.body, call.model)
    if fine and math.type(count) == "integer" then return count end
    log.warn("no estimate of tokens: %s", tostring(count))
  end
  return rough(call.body)
end

-- Asks a candidate that can count; the problem is only told to the log.
local function ask(call, candidate)
  attempt.plan(call, candidate)
  local body, problem
  if call.same_dialect then
    body = attempt.same_body(call, candidate)
  else
    body, problem = translation.body(call, candidate)
    if not body then return nil, problem end
  end
  local response <close>, err = attempt.open(call, candidate, body)
  if not response then return nil, errors.from_http(err) end
  problem = attempt.await(call, candidate, response)
  if problem then return nil, problem end
  local text
  text, problem = attempt.read_whole(candidate, response)
  if not text then return nil, problem end
  local count = json.get(text, candidate.provider.counts)
  if math.type(count) ~= "integer" or count < 0 then
    return nil, errors.new("bad_upstream", "the upstream's answer has no number of tokens")
  end
  return count
end

-- True when the request itself is at fault, so that its client has to know.
local function is_clients(call, problem)
  return problem.verdict == "request"
    or call.same_dialect and problem.class == "upstream" and problem.status == 400
end

--- Serves a counting call.
--- @param call Call
--- @return Problem?
function M.serve(call)
  call.client:note { model = call.model, dialect = call.dialect }
  call.base = dialects.base(call.dialect)
  local resolution, problem = router.resolve(call.model)
  if not resolution then return problem end
  local count
  local candidate = selector.pick(resolution, call)
  if candidate and candidate.provider.counts then
    problem = refreshing.around(call, candidate, function()
      local failure
      count, failure = ask(call, candidate)
      return failure
    end)
    if problem then
      attempt.without_secrets(problem)
      if is_clients(call, problem) then return problem end
      log.info("%s does not count tokens: %s", candidate.credential.name, problem.message)
    end
  end
  count = count or estimated(call)
  call.client:respond(200, attempt.WHOLE, form[call.base](count))
end

return M
