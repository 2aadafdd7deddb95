--- Whole answers of Anthropic: into the neutral form and out of it.

local blocks = require "lib.anthropic_blocks"
local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local members = require "lib.anthropic_members"
local models = require "models.anthropic"
local parts = require "lib.anthropic_parts"
local problems = require "lib.problems"
local reject = require "lib.reject"
local show = require "lib.anthropic_show"
local stops = require "lib.stops"
local stream = require "lib.anthropic_stream"
local usages = require "lib.usage"

local ipairs, type = ipairs, type
local soft = fields.soft

local M = {}

local SHAPE = json.shape {
  known = {
    "type", "id", "model", "stop_reason", "stop_sequence", "usage", "error",
    content = blocks.BLOCK, stop_details = "raw",
  },
}

local readers = {}

function readers.text(native)
  local text = soft.string(native, "text") or ""
  if text == "" then return nil end
  local citations = blocks.citations(soft.list(native, "citations"))
  return { type = "text", text = text, citations = citations }
end

function readers.thinking(native, ctx)
  return {
    type = "thinking", text = soft.string(native, "thinking") or "", form = "summary",
    sig = stream.signature(soft.string(native, "signature"), "thinking", ctx),
  }
end

function readers.redacted_thinking(native, ctx)
  local sig = stream.signature(soft.string(native, "data"), "redacted", ctx)
  return { type = "redacted_thinking", sig = sig }
end

function readers.tool_use(native, ctx)
  return {
    type = "tool_call", kind = "function", id = soft.filled(native, "id") or ids.fresh(ctx),
    name = soft.string(native, "name") or "", args = blocks.args(native.input), complete = true,
    caller = native.caller,
  }
end

local SERVER_CALL = { id = true, input = true }

local function server_call(native)
  local input = native.input ~= nil and json.raw(blocks.args(native.input)) or json.raw "{}"
  return {
    type = "server_call", id = soft.string(native, "id") or "", input = input, status = "completed",
    tool = native.type == "mcp_tool_use" and "mcp"
      or models.called[soft.string(native, "name") or ""] or "tool_search",
    extras = members.extras(native, SERVER_CALL),
  }
end
readers.server_tool_use, readers.mcp_tool_use = server_call, server_call

local function read_block(native, ctx)
  if type(native) ~= "table" or json.is_array(native) then return nil end
  local kind = soft.string(native, "type") or ""
  if readers[kind] then return readers[kind](native, ctx) end
  if models.results[kind] then return blocks.server_result(native, models.results[kind]) end
  return blocks.opaque(native)
end

--- @param text string
--- @param ctx TranslationContext
--- @return IrResponse?
--- @return table? error  when the body tells one
function M.decode(text, ctx)
  local body, problem = json.decode(text, SHAPE)
  if problem then
    reject.upstream("the upstream's answer is not valid JSON: " .. tostring(problem))
  end
  if type(body) ~= "table" or json.is_array(body) then
    reject.upstream "the upstream's answer is not an object"
  end
  if body.type == "error" or soft.object(body, "error") then
    return nil, problems.decode("anthropic", nil, text)
  end
  local response, choice, calls = ir.response(), ir.choice(0), 0
  response.id = soft.filled(body, "id") or ctx.unique("msg_", 24)
  response.model = soft.filled(body, "model") or ctx.model or ""
  response.created = ctx.created or 0
  for _, native in ipairs(soft.list(body, "content") or {}) do
    local block = read_block(native, ctx)
    choice.blocks[#choice.blocks + 1] = block
    if block and block.type == "tool_call" then calls = calls + 1 end
  end
  local stop = stops.decode("anthropic", soft.filled(body, "stop_reason"))
  stop.sequence = soft.filled(body, "stop_sequence")
  if json.is_raw(body.stop_details) and json.type(body.stop_details) == "object" then
    stop.details = body.stop_details
  end
  choice.stop = stops.effective(stop, calls)
  response.choices[1] = choice
  ir.merge_usage(response.usage, usages.decode("anthropic", body.usage))
  local tier = soft.string(body.usage, "service_tier")
  response.service_tier = tier and (models.served[tier] or tier)
  return response
end

-- Adds thinking that holds a signature of the block that follows, unless the thinking before it is
-- free to hold it.
local function bind(out, wanted, sig)
  if not sig or wanted == "none" then return end
  local last = out[#out]
  local text = show.signature(sig)
  if type(last) == "table" and last.type == "thinking" and not last.signature then
    last.signature = text
  else
    out[#out + 1] = { type = "thinking", thinking = "", signature = text }
  end
end

local writers = {}

function writers.text(block, out, state)
  bind(out, state.wanted, show.bound(block))
  if not block.text or block.text == "" then return end
  local citations
  if block.citations and block.citations[1] then
    citations = json.array {}
    for i, citation in ipairs(block.citations) do citations[i] = show.citation(citation) end
  end
  out[#out + 1] = { type = "text", text = block.text, citations = citations }
end

function writers.refusal(block, out, state)
  state.facts.refusal = (state.facts.refusal or "") .. (block.text or "")
  if block.text and block.text ~= "" then out[#out + 1] = { type = "text", text = block.text } end
end

function writers.thinking(block, out, state)
  if state.wanted == "none" then return end
  local sig = show.usable(block.sig)
  out[#out + 1] = {
    type = "thinking", thinking = state.wanted == "full" and block.text or "",
    signature = sig and show.signature(sig) or nil,
  }
end

function writers.redacted_thinking(block, out, state)
  if state.wanted == "none" or not show.usable(block.sig) then return end
  out[#out + 1] = { type = "redacted_thinking", data = show.signature(block.sig) }
end

function writers.tool_call(block, out, state)
  bind(out, state.wanted, show.bound(block))
  out[#out + 1] = {
    type = "tool_use", id = show.call_id(block, state.ctx), name = block.name or "",
    input = parts.input(block, state),
  }
  state.facts.calls = state.facts.calls + 1
end

local function not_shown(block, state)
  state.ctx.warn("drop.block", "answer", tostring(block.type))
end

function writers.server_call(block, out, state)
  local native = show.server_call(block, state.server_id(block.id, true))
  if not native then return not_shown(block, state) end
  out[#out + 1] = native
  if block.tool == "web_search" then state.searches = state.searches + 1 end
end

function writers.server_result(block, out, state)
  local native = show.server_result(block, state.server_id(block.call_id, false))
  if not native then return not_shown(block, state) end
  out[#out + 1] = native
end

function writers.opaque(block, out, state)
  if block.dialect ~= "anthropic" then return not_shown(block, state) end
  out[#out + 1] = block.raw
end

-- Thinking nobody signed says so; empty thinking without a signature is nothing.
local function settle(out)
  local list = json.array {}
  for _, native in ipairs(out) do
    if type(native) == "table" and native.type == "thinking" and not native.signature then
      if native.thinking ~= "" then
        native.signature = show.signature(nil)
        list[#list + 1] = native
      end
    else
      list[#list + 1] = native
    end
  end
  if not list[1] then list[1] = { type = "text", text = "" } end
  return list
end

--- @param response IrResponse
--- @param ctx TranslationContext
--- @return string body
function M.encode(response, ctx)
  local state = {
    ctx = ctx, warn = ctx.warn, at = "answer", wanted = show.thinking(ctx),
    facts = { calls = 0 }, searches = 0, server_id = show.server_ids(ctx),
  }
  local choice, out = response.choices[1] or ir.choice(0), {}
  for _, block in ipairs(choice.blocks) do
    local writer = writers[block.type] or not_shown
    if writer == not_shown then not_shown(block, state) else writer(block, out, state) end
  end
  local content = settle(out)
  local reason, sequence, details = show.stop(choice.stop, state.facts, ctx)
  return json.encode {
    type = "message", role = "assistant", id = show.id(response.id, ctx),
    model = ctx.model or response.model, content = content, stop_reason = reason,
    stop_sequence = sequence or json.null, stop_details = details or json.null,
    usage = show.usage(response.usage, state.searches, response.service_tier),
  }
end

return M
