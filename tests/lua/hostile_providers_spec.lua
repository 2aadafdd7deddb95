--- Bodies of clients and answers of upstreams that are of the wrong kind in any place: providers
--- serve them, refuse them or name a problem, and raise nothing.

local support = require "tests.support"
local attempt = require "core.attempt"
local cooldowns = require "core.cooldowns"
local errors = require "lib.errors"
local hostile = require "tests.hostile"
local json = require "json"
local verdicts = require "core.verdicts"

local bases = { chat = "chat", anthropic = "anthropic", responses = "responses", gemini = "gemini" }

local providers = {}
for _, name in ipairs { "claude", "codex", "gemini", "gemini_cli", "iflow", "qwen", "openai_compatibility" } do
  providers[name] = require("providers." .. name)
end

local function candidate_of(provider)
  local credential = { id = "a", provider = provider.name, name = provider.name, kind = "oauth", label = "a",
    base_url = "https://api.example/v1", entry = {}, facts = { project_id = "p", account_id = "acc" } }
  return { provider = provider, credential = credential, model = "m-1", cool = "cool:a:m-1",
    level = "level:a:m-1", entry = { id = "m" } }
end

local errors_of = {
  google = { error = { code = 429, message = "after 17s", status = "RESOURCE_EXHAUSTED", details = {
    { ["@type"] = "type.googleapis.com/google.rpc.RetryInfo", retryDelay = "0.8s" },
    { ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo", reason = "RATE_LIMIT_EXCEEDED",
      metadata = { quotaResetDelay = "373.8ms", validation_link = "https://x" } },
    { violations = { { quotaId = "PerDay" } }, links = { { url = "https://x", description = "d" } } },
  } } },
  openai = { error = { message = "m", type = "usage_limit_reached", param = "p", code = "c",
    resets_at = 1900000000, resets_in_seconds = 5, plan_type = "plus", status = 429 } },
  anthropic = { type = "error", error = { type = "rate_limit_error", message = "m" }, request_id = "r" },
  plain = { detail = "d", message = "m", code = 400, status = "434", msg = "m", error = "e" },
}

local fields = {
  { ["retry-after"] = "1e999", ["retry-after-ms"] = ("9"):rep(400), ["content-type"] = "text/html",
    ["anthropic-ratelimit-unified-5h-status"] = "rejected", ["anthropic-ratelimit-unified-5h-reset"] = "1e999",
    ["anthropic-ratelimit-unified-reset"] = ("9"):rep(30) },
  { ["retry-after"] = "Wed, 99 Foo 0000 99:99:99 GMT", ["anthropic-ratelimit-unified-status"] = "rejected",
    ["anthropic-ratelimit-unified-reset"] = "nan" },
  { ["retry-after"] = "-5", ["cf-mitigated"] = "challenge" },
}

-- What the pipeline does with a problem.
local function digest(problem, candidate)
  if not problem then return end
  attempt.without_secrets(problem)
  local verdict = verdicts.on(problem, candidate)
  assert(type(verdict) == "string" and type(problem.message) == "string")
  support.state().store = {}
  cooldowns.failed(candidate, verdict, problem, 999, "said")
  for _, item in pairs(support.state().store) do
    assert(not item.due or item.due > 0 and item.due <= support.state().now + 8 * 86400)
  end
  for _, dialect in ipairs { "chat", "responses", "anthropic", "gemini", "gemini_cli" } do
    local status, headers, body = errors.render(problem, dialect, "1")
    assert(math.type(status) == "integer" and status >= 400 and status <= 599, status)
    assert(not headers["Retry-After"] or headers["Retry-After"]:find "^[1-9]%d*$", headers["Retry-After"])
    assert(body:find "^%s*[%[{]")
    if not problem.body then assert(json.decode(body)) end
    assert(type(errors.event(problem, dialect, {})) == "string")
  end
end

for name, provider in pairs(providers) do
  local candidate = candidate_of(provider)

  local function judge(status, text, headers)
    local response = { header = function(_, key) return headers[key] end, headers = function() return headers end }
    if provider.classify then digest(provider.classify(status, text, response), candidate) end
    digest(errors.from_status(status, text, response, provider.dialect), candidate)
    local problem = errors.from_event(text, provider.dialect)
    if provider.judge and problem.class == "upstream" then problem = provider.judge(problem) end
    digest(problem, candidate)
    if provider.inspect then digest(provider.inspect(text), candidate) end
  end

  test("odd errors of the upstream of " .. name .. " are judged", function()
    support.reset {}
    for _, document in pairs(errors_of) do
      hostile.each(document, function(odd)
        local text = json.encode(odd)
        for i, status in ipairs { 400, 403, 429 } do judge(status, text, fields[i]) end
      end)
    end
    for _, text in ipairs(hostile.texts) do
      for _, status in ipairs { 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529, 599 } do
        for _, headers in ipairs(fields) do judge(status, text, headers) end
      end
    end
  end)

  local bodies = {
    chat = { model = "m", stream = true, messages = { { role = "system", content = "s" }, { role = "user",
      content = { { type = "text", text = "t" } } } }, tools = { { type = "function" } },
      tool_choice = { type = "x" }, stream_options = { include_usage = true } },
    anthropic = { model = "m", betas = { "b-1" }, max_tokens = 5, stream = true, metadata = { user_id = "u" },
      messages = { { role = "user", content = "x" } } },
    responses = { model = "m", input = { { type = "message", role = "system", id = "x", content = {
      { type = "input_text", prompt_cache_breakpoint = true } }, output = { { a = 1 } } } },
      tools = { { type = "web_search_preview" } }, tool_choice = { type = "x", tools = { { type = "y" } } },
      include = { "a" }, reasoning = { effort = "low" }, stream_options = { reasoning_summary_delivery = "x" },
      service_tier = "fast", prompt_cache_key = "k", metadata = { a = 1 } },
    gemini = { contents = { { role = "function", parts = { { functionCall = { id = "1", name = "f" } } } },
      { role = "user", parts = { { functionResponse = { id = "1", name = "f" } }, { inlineData = { a = 1 } } } } },
      system_instruction = { parts = { { text = "s" } } }, tools = { { a = 1 } }, session_id = "s",
      generationConfig = { thinkingConfig = { thinkingBudget = 1 } }, serviceTier = "x" },
  }

  test("odd bodies for " .. name .. " are prepared or refused", function()
    support.reset {}
    if not provider.prepare then return end
    local function prepare(odd)
      local body = json.encode(odd)
      for _, operation in ipairs { "generate", "count" } do
        for _, envelope in ipairs { false, provider.envelope and { user_prompt_id = "u", project = 1 } } do
          for _, base in ipairs { provider.dialect, "chat" } do
            local call = { client = support.client("POST", "/v1/x"), base = base, dialect = base, body = body,
              same_dialect = base == provider.dialect, operation = operation, stream = true,
              upstream_stream = true, model = "m", envelope = envelope or nil }
            local fine, made, problem = pcall(provider.prepare, call, candidate, body)
            if not fine then
              -- What cannot be edited has an error of its own, see core.attempt.
              assert(type(made) == "table" and made.code == "json", made)
            elseif made then
              call.payload = made
              local request, refused = provider.request(call, candidate)
              assert(request or refused)
            else
              digest(problem, candidate)
            end
          end
        end
      end
    end
    hostile.each(bodies[bases[provider.dialect]], prepare)
    hostile.each(bodies[bases[provider.dialect]], prepare, hostile.deep)
  end)
end
