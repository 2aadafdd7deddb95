--- The response object that clients of the Responses dialect see: what they asked for is echoed.

local json = require "json"
local tools = require "lib.responses_tools"

local array, encode, null, raw = json.array, json.encode, json.null, json.raw
local max, sub = math.max, string.sub

-- What most answers echo, as text.
local NO_REASONING = raw '{"effort":null,"summary":null}'
local PLAIN_TEXT = raw '{"format":{"type":"text"}}'
local NO_TOOLS, NO_METADATA = raw "[]", raw "{}"

local M = {}

local function instructions_of(request)
  for _, block in ipairs(request.system) do
    if not block.item and block.level ~= "developer" then return block.text end
  end
  return nil
end

local function echo_reasoning(reasoning)
  if not reasoning then return NO_REASONING end
  local effort = reasoning.level
  if reasoning.mode == "off" then effort = "none" end
  return { effort = effort or null, summary = reasoning.detail or null }
end

local format_kinds = { text = "text", json = "json_object", schema = "json_schema" }

local function echo_text(request)
  local format = request.format
  if not format and not request.output.verbosity then return PLAIN_TEXT end
  local native = { type = format and format_kinds[format.kind] or "text" }
  if format and format.kind == "schema" then
    native.name, native.schema = format.name or "output", format.schema or {}
    native.strict = format.strict or false
  end
  return { format = native, verbosity = request.output.verbosity }
end

local function or_null(value)
  if value == nil then return null end
  return value
end

-- Everything that stays the same while the answer grows.
local function echo(ctx)
  local request = ctx.request or {
    system = {}, tools = {}, sampling = {}, output = {}, identity = {}, service = {}, cache = {},
  }
  local service, choice = request.service, request.tool_choice
  local parallel = choice and choice.parallel
  local store = service.store
  return {
    object = "response", background = service.background or false,
    instructions = or_null(instructions_of(request)),
    max_output_tokens = or_null(request.max_output),
    max_tool_calls = or_null(request.max_tool_calls),
    model = ctx.model or request.model or "", parallel_tool_calls = parallel ~= false,
    previous_response_id = or_null(service.previous_id),
    reasoning = echo_reasoning(request.reasoning),
    service_tier = service.tier or "auto", store = store == nil or store,
    temperature = request.sampling.temperature or 1, top_p = request.sampling.top_p or 1,
    text = echo_text(request), tool_choice = tools.write_choice(request) or "auto",
    tools = tools.write(request) or NO_TOOLS,
    top_logprobs = request.logprobs and request.logprobs.top or 0,
    truncation = service.truncation or "disabled", user = or_null(request.identity.user),
    metadata = request.identity.metadata or NO_METADATA,
  }
end

local tiers = { standard = "default" }

--- Makes the object of one answer.
--- @param ctx TranslationContext
--- @return table object  its `id`, and what the functions below need
function M.new(ctx)
  return {
    id = "", ctx = ctx,
    -- Members that change; the others follow as text (`fixed`), made once.
    changing = {
      created_at = 0, completed_at = null, status = "in_progress", error = null,
      incomplete_details = null, output = array {}, usage = null, id = nil, service_tier = nil,
    },
    fixed = nil, failure = nil,
  }
end

--- The tier that the upstream tells it served with.
--- @param object table
--- @param tier string?
function M.tier(object, tier)
  if tier then object.changing.service_tier = tiers[tier] or tier end
end

--- @param object table
--- @param event table  of type start
function M.start(object, event)
  local ctx, changing, id = object.ctx, object.changing, event.id
  if not id or id == "" then
    id = ctx.unique("resp_", 24)
  elseif sub(id, 1, 5) ~= "resp_" then
    id = "resp_" .. id
  end
  object.id, changing.id = id, id
  local created = event.created
  changing.created_at = created and created > 0 and created or ctx.created or 0
  local members = echo(ctx)
  changing.service_tier, members.service_tier = members.service_tier, nil
  M.tier(object, event.service_tier)
  object.fixed = sub(encode(members), 2)
end

--- @param object table
--- @param code string
--- @param message string
function M.fail(object, code, message)
  object.failure = { code = code, message = message }
end

--- @param object table
--- @param status string
--- @param detail string?  why it is incomplete
--- @param output table
--- @param usage table
function M.finish(object, status, detail, output, usage)
  local changing = object.changing
  changing.status, changing.output, changing.usage = status, output, usage
  changing.error = object.failure or null
  if status == "incomplete" then changing.incomplete_details = { reason = detail } end
  if status == "completed" then
    changing.completed_at = max(changing.created_at, object.ctx.created or 0)
  end
end

--- The object as it stands, as JSON text in two parts: the second one can be long, and is always
--- the same.
--- @param object table
--- @return string head
--- @return string fixed
function M.parts(object)
  return sub(encode(object.changing), 1, -2) .. ",", object.fixed
end

--- @param object table
--- @return string  JSON text
function M.text(object)
  local head, fixed = M.parts(object)
  return head .. fixed
end

return M
