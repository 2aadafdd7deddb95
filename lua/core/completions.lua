--- Serves legacy completions: one chat call a prompt, one after the other, one answer.

local errors = require "lib.errors"
local exchange = require "core.exchange"
local json = require "json"
local retry = require "core.retry"
local router = require "core.router"
local translator = require "translators.completions"

local M = {}

local WHOLE = { ["Content-Type"] = "application/json" }

local function serve_whole(call, resolution, prompts, answers, request)
  local function attempt(_, candidate)
    local text, problem = exchange.fetch(call, candidate)
    if not text then return problem end
    answers.add(text)
  end
  for _, prompt in ipairs(prompts) do
    answers.begin(prompt)
    call.body = translator.request(request, prompt)
    local problem = retry.run(call, resolution, attempt, exchange.pause)
    if problem then return problem end
  end
  call.client:respond(200, WHOLE, answers.body())
end

local function serve_stream(call, resolution, prompts, answers, request)
  local asked = json.type(call.stream_options) == "object"
    and json.get(call.stream_options, "include_usage") == true
  call.convert = answers.convert
  call.more = true
  for _, prompt in ipairs(prompts) do
    answers.begin(prompt)
    call.body = translator.request(request, prompt)
    -- The usage chunk belongs to all prompts together.
    call.sent, call.usage_added = nil, nil
    local problem = exchange.run(call, resolution)
    if problem then return problem end
    answers.close()
  end
  local client = call.client
  local usage = asked and answers.usage_chunk()
  if usage then client:write("data: " .. usage .. "\n\n") end
  client:write("data: [DONE]\n\n")
  client:finish()
end

--- Serves a completions call.
--- @param call Call
--- @return Problem?
function M.serve(call)
  call.client:note { model = call.model, dialect = call.dialect }
  local request, prompts, fault = translator.read(call.body)
  if not request then return errors.new("bad_param", fault, { param = prompts }) end
  local resolution, problem = router.resolve(call.model)
  if not resolution then return problem end
  exchange.prepare(call)
  local answers = translator.gather(request.echo == true, call.model)
  local serve = call.stream and serve_stream or serve_whole
  return serve(call, resolution, prompts, answers, request)
end

return M
