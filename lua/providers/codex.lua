--- Codex with an API key: the Responses API behind a base URL, always streamed, nothing stored.

local catalogue = require "models.catalogue_codex"
local errors = require "lib.errors"
local json = require "json"
local upstream = require "lib.upstream"

local find, match = string.find, string.match

local M = { name = "codex", dialect = "responses", variant = "codex", streams = "always" }

local ENCRYPTED = "reasoning.encrypted_content"

-- What Codex CLI says about itself; "session_id" is written with an underscore.
local passed = {
  ["originator"] = true, ["user-agent"] = true, ["version"] = true, ["session-id"] = true,
  ["session_id"] = true, ["conversation_id"] = true, ["thread-id"] = true,
  ["x-client-request-id"] = true, ["x-openai-internal-codex-responses-lite"] = true,
  ["x-openai-subagent"] = true, ["openai-beta"] = true,
}
local passed_prefixes = { "x-codex-" }

-- Each of them is an error for the backend of ChatGPT; the platform takes them.
local refused = {
  "previous_response_id", "max_output_tokens", "max_completion_tokens", "temperature", "top_p",
  "metadata", "generate", "prompt_cache_retention", "prompt_cache_options", "safety_identifier",
  "truncation", "context_management", "user", "stream_options",
}

local old_search = { web_search_preview = true, web_search_preview_2025_03_11 = true }

-- What the rules below look at; all else stays as it is.
local BODY = json.shape {
  known = {
    "stream", "store", "parallel_tool_calls", "instructions",
    include = true, reasoning = { "effort" }, input = { "role" }, tools = { "type" },
    tool_choice = { "type", tools = { "type" } },
  },
}

--- @param credential Credential
--- @return Model[]
function M.models(credential)
  return upstream.models(credential, catalogue)
end

local function is_object(value)
  return type(value) == "table" and not json.is_array(value)
end

local function is_backend(candidate)
  local base = upstream.base(candidate.credential)
  return base ~= nil and find(base, "/backend%-api/codex$") ~= nil
end

--- Other hosts of the dialect take what the backend of ChatGPT refuses.
--- @param candidate Candidate
--- @return string?
function M.profile(candidate)
  return not is_backend(candidate) and "platform" or nil
end

local function edit_input(known, edits)
  local input = known.input
  if type(input) == "string" then
    edits[#edits + 1] = { "input", json.array { {
      type = "message", role = "user",
      content = json.array { { type = "input_text", text = input } },
    } } }
  elseif type(input) == "table" then
    for i, item in ipairs(input) do
      if is_object(item) and item.role == "system" then
        edits[#edits + 1] = { { "input", i, "role" }, "developer" }
      end
    end
  end
end

local function edit_list(list, path, edits)
  for i, tool in ipairs(type(list) == "table" and list or {}) do
    if is_object(tool) and old_search[tool.type] then
      local at = { table.unpack(path) }
      at[#at + 1], at[#at + 2] = i, "type"
      edits[#edits + 1] = { at, "web_search" }
    end
  end
end

local function edit_tools(known, call, edits)
  edit_list(known.tools, { "tools" }, edits)
  local choice = known.tool_choice
  if is_object(choice) then
    if old_search[choice.type] then
      edits[#edits + 1] = { { "tool_choice", "type" }, "web_search" }
    end
    edit_list(choice.tools, { "tool_choice", "tools" }, edits)
  end
  local has_tools = type(known.tools) == "table" and #known.tools > 0
  if not has_tools then
    if known.parallel_tool_calls ~= nil then edits[#edits + 1] = { "parallel_tool_calls", nil } end
  elseif call.client:header("x-openai-internal-codex-responses-lite") == "true" then
    edits[#edits + 1] = { "parallel_tool_calls", false }
  elseif known.parallel_tool_calls == nil then
    edits[#edits + 1] = { "parallel_tool_calls", true }
  end
end

local function edit_include(known, edits)
  local include = known.include
  if type(include) ~= "table" then
    edits[#edits + 1] = { "include", json.array { ENCRYPTED } }
    return
  end
  for _, name in ipairs(include) do
    if name == ENCRYPTED then return end
  end
  edits[#edits + 1] = { { "include", #include + 1 }, ENCRYPTED }
end

local function edit_effort(known, candidate, edits)
  local effort = candidate.entry and candidate.entry.effort
  if not effort then return end
  if is_object(known.reasoning) then
    edits[#edits + 1] = { { "reasoning", "effort" }, effort }
  else
    edits[#edits + 1] = { "reasoning", { effort = effort } }
  end
end

--- What this upstream needs in a body of the Responses API.
--- @param call Call
--- @param candidate Candidate
--- @param body string
--- @return string? body
--- @return Problem? problem
function M.prepare(call, candidate, body)
  local known, fault = json.decode(body, BODY)
  if not is_object(known) then
    return nil, errors.new("bad_json", "could not parse the JSON body: " .. tostring(fault),
      { verdict = "request" })
  end
  local edits = {}
  edit_input(known, edits)
  edit_tools(known, call, edits)
  edit_effort(known, candidate, edits)
  if known.instructions == nil or known.instructions == json.null then
    edits[#edits + 1] = { "instructions", "" }
  end
  if call.operation ~= "compact" then
    if known.stream ~= true then edits[#edits + 1] = { "stream", true } end
    if known.store ~= false then edits[#edits + 1] = { "store", false } end
    edit_include(known, edits)
  end
  if is_backend(candidate) then
    for _, name in ipairs(refused) do edits[#edits + 1] = { name, nil } end
  end
  if #edits == 0 then return body end
  return assert(json.splice_all(body, edits))
end

local function add_session(headers, call)
  if headers["session_id"] or headers["session-id"] then return end
  local key = json.get(call.payload, "prompt_cache_key")
  if type(key) == "string" and key ~= "" and #key <= 256 and not find(key, "[^%g]") then
    headers["session_id"] = key
  end
end

--- @param call Call
--- @param candidate Candidate
--- @return HttpRequest? request
--- @return Problem? problem
function M.request(call, candidate)
  local credential = candidate.credential
  local base = upstream.base(credential)
  if not base then return nil, errors.new("internal", "the entry has no base-url") end
  local headers = { ["user-agent"] = upstream.AGENT }
  if call.same_dialect then upstream.pass_on(headers, call.client, passed, passed_prefixes) end
  headers["content-type"] = "application/json"
  headers["accept"] = call.upstream_stream and "text/event-stream" or "application/json"
  if credential.kind == "api_key" then headers["authorization"] = "Bearer {secret}" end
  add_session(headers, call)
  upstream.add_own(headers, credential, call.client)
  return {
    method = "POST",
    url = base .. (call.operation == "compact" and "/responses/compact" or "/responses"),
    credential = credential.id,
    headers = headers,
    body = call.payload,
    timeout = upstream.TIMEOUT,
  }
end

--- An answer's headers that the client gets.
M.returned = { "x-codex-turn-state" }

--- A limit of the plan says when it ends.
--- @param status integer
--- @param body string
--- @param response Response
--- @return Problem?
function M.classify(status, body, response)
  local problem = errors.from_status(status, body, response, "responses")
  if status ~= 429 then return problem end
  if problem.kind == "insufficient_quota" or problem.code == "insufficient_quota" then
    problem.verdict = "payment_required"
    return problem
  end
  local details = problem.details or {}
  local at, left = tonumber(details.resets_at), tonumber(details.resets_in_seconds)
  local ms = match(response:header("retry-after-ms") or "", "^%d+$")
  problem.retry_after = problem.retry_after or ms and tonumber(ms) / 1000
    or at and math.max(0, at - os.time()) or left
  return problem
end

return M
