--- What an Anthropic client is shown of an answer: thinking, signatures, searches, citations.
--- Used for whole answers and for streams.

local ids = require "lib.ids"
local json = require "json"
local models = require "models.anthropic"
local signatures = require "lib.signatures"
local stops = require "lib.stops"
local usages = require "lib.usage"

local ipairs, max, pairs, sub = ipairs, math.max, pairs, string.sub

local M = {}

--- How much of the thinking the client asked for.
--- @param ctx TranslationContext
--- @return "full"|"omitted"|"none"
function M.thinking(ctx)
  local request = ctx.request
  if not request then return "full" end
  local reasoning = request.reasoning
  if not reasoning or reasoning.mode == "off" or reasoning.visible == nil then return "none" end
  return reasoning.visible and "full" or "omitted"
end

--- @param sig table?
--- @return string
function M.signature(sig)
  return signatures.show(sig, "anthropic")
end

--- @param sig table?
--- @return table? sig  nil when it says nothing
function M.usable(sig)
  if not sig or sig.family == "none" or not sig.data or sig.data == "" then return nil end
  return sig
end

--- The signature of a call or a text, which has to travel in a block of thinking beside it.
--- @param block table
--- @return table? sig
function M.bound(block)
  local sig = M.usable(block.sig)
  if not sig then return nil end
  local kind = block.type == "tool_call" and "call" or "text"
  if sig.kind == kind then return sig end
  return { family = sig.family, kind = kind, data = sig.data }
end

--- The id of an answer.
--- @param id string?
--- @param ctx TranslationContext
--- @return string
function M.id(id, ctx)
  if not id or id == "" then return ctx.unique("msg_", 24) end
  return sub(id, 1, 4) == "msg_" and id or "msg_" .. id
end

--- The id of a call; never empty.
function M.call_id(block, ctx)
  local id = block.id
  return id and id ~= "" and id or ids.fresh(ctx)
end

--- Makes ids of searches, the same for a call and its result.
--- @param ctx TranslationContext
--- @return fun(id: string?, is_call: boolean): string
function M.server_ids(ctx)
  local made, last = {}, nil
  return function(id, is_call)
    if not id or id == "" then
      if is_call or not last then last = ctx.unique("srvtoolu_", 24) end
      return last
    end
    if not made[id] then
      local safe = ids.safe(id, "anthropic")
      made[id] = sub(safe, 1, 9) == "srvtoolu_" and safe or "srvtoolu_" .. safe
    end
    last = made[id]
    return last
  end
end

--- @param citation table
--- @return table native
function M.citation(citation)
  local loc = citation.loc
  if json.is_raw(loc) and models.citations[json.get(loc, "type") or ""] then return loc end
  return {
    type = "web_search_result_location", url = citation.url or "",
    title = citation.title or json.null, cited_text = citation.quote or "",
    encrypted_index = citation.key or "",
  }
end

local function extend(native, extras)
  for name, value in pairs(extras and extras.anthropic or {}) do
    if native[name] == nil then native[name] = value end
  end
  return native
end
M.extend = extend

--- A call of a server's tool; nil for tools this dialect has not.
--- @param block table
--- @param id string
--- @return table? native
function M.server_call(block, id)
  local input = block.input or json.raw "{}"
  if block.extras and block.extras.anthropic then
    return extend({ id = block.id, input = input }, block.extras)
  end
  local declared = models.declared[block.tool]
  if not declared then return nil end
  return { type = "server_tool_use", id = id, name = declared.name, input = input }
end

local results = {}

function results.web_search(block)
  local content = json.array {}
  for _, hit in ipairs(block.results or {}) do
    content[#content + 1] = {
      type = "web_search_result", url = hit.url or "", title = hit.title or "",
      page_age = hit.age or json.null, encrypted_content = hit.key or "",
    }
  end
  if not content[1] and block.error then
    return { type = "web_search_tool_result_error", error_code = "unavailable" }
  end
  return content
end

function results.web_fetch(block)
  local hit = block.results and block.results[1]
  return {
    type = "web_fetch_result", url = hit and hit.url or "", retrieved_at = json.null,
    content = {
      type = "document", title = hit and hit.title or json.null,
      source = {
        type = "text", media_type = "text/plain",
        data = block.output or hit and hit.snippet or "",
      },
    },
  }
end

function results.code(block)
  return {
    type = "code_execution_result", stdout = block.output or "", stderr = block.error or "",
    return_code = block.error and 1 or 0, content = json.array {},
  }
end

--- A result of a server's tool; nil for tools this dialect has not.
--- @param block table
--- @param id string
--- @return table? native
function M.server_result(block, id)
  if block.extras and block.extras.anthropic then
    return extend({ tool_use_id = block.call_id }, block.extras)
  end
  local make = results[block.tool]
  if not make then return nil end
  return {
    type = models.declared[block.tool].name .. "_tool_result", tool_use_id = id,
    content = make(block),
  }
end

--- The token counts of an answer.
--- @param usage table
--- @param searches integer  searches the client was shown
--- @param tier string?
--- @return table native
function M.usage(usage, searches, tier)
  if searches > (usage.search_requests or 0) then
    local counted = {}
    for name, value in pairs(usage) do counted[name] = value end
    counted.search_requests = max(searches, counted.search_requests or 0)
    usage = counted
  end
  local native = usages.encode("anthropic", usage)
  if tier then native.service_tier = models.served_back[tier] end
  return native
end

local function knows_compaction(ctx)
  local own = ctx.request and ctx.request.extras and ctx.request.extras.anthropic
  local management = own and own.context_management
  return management ~= nil and tostring(management):find("compact", 1, true) ~= nil
end

--- Why the answer ended.
--- @param stop table?
--- @param facts {calls: integer, refusal: string?}  what the client was shown
--- @param ctx TranslationContext
--- @return string reason
--- @return string? sequence
--- @return any details  nil when there are none
function M.stop(stop, facts, ctx)
  stop = stops.effective(stop, facts.calls)
  local reason = stop.reason
  if facts.refusal and (reason == "end" or reason == "unknown" or reason == "content_filter") then
    reason = "refusal"
  end
  if reason ~= stop.reason then stop = { reason = reason, details = stop.details } end
  local native, sequence = stops.encode("anthropic", stop, { compaction = knows_compaction(ctx) })
  local details
  if native == "refusal" then
    details = json.is_raw(stop.details) and stop.details
      or { type = "refusal", category = json.null, explanation = facts.refusal or json.null }
  end
  return native, sequence, details
end

return M
