--- Runs every feature of tests/lua/features.lua from each client to each upstream and says what came
--- of it: the matrix "what is lost where" of docs/translation.md.

local features = require "tests.features"
local hub = require "lib.hub"
local json = require "json"

local M = {}

M.DIALECTS = { "chat", "responses", "anthropic", "gemini" }

-- Models that take what their dialect can say, so that the matrix is about dialects.
local upstreams = {
  chat = { upstream = "chat", model = "any-model", provider = "openai_compatibility" },
  responses = {
    upstream = { dialect = "responses", variant = "codex", profile = "platform" }, model = "any-model",
    provider = "codex", entry = { ["base-url"] = "https://responses.example/v1" },
  },
  anthropic = {
    upstream = "anthropic", model = "claude-sonnet-4-5", provider = "claude",
    entry = { ["base-url"] = "https://api.anthropic.com" },
  },
  gemini = { upstream = "gemini", model = "gemini-3-flash-preview", provider = "gemini" },
}

local function members(given)
  local names, parts = {}, {}
  for name in pairs(given or {}) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = json.encode(name) .. ":" .. given[name] end
  return parts
end

local function object(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

local function array(list)
  return "[" .. table.concat(list, ",") .. "]"
end

local function joined(first, list)
  local all = { first }
  for _, each in ipairs(list or {}) do all[#all + 1] = each end
  return all
end

local write = {}

local function with_tools(parts, say)
  if say.tools then parts[#parts + 1] = '"tools":' .. array(say.tools) end
  return object(parts)
end

function write.chat(say)
  local content = array(joined('{"type":"text","text":"hi"}', say.parts))
  local turns = joined('{"role":"user","content":' .. content .. "}", say.turns)
  if say.system then table.insert(turns, 1, say.system) end
  local parts = members(say.top)
  parts[#parts + 1] = '"model":"m","messages":' .. array(turns)
  return with_tools(parts, say)
end

function write.responses(say)
  local content = array(joined('{"type":"input_text","text":"hi"}', say.parts))
  local parts = members(say.top)
  parts[#parts + 1] = '"model":"m","input":' .. array(joined('{"role":"user","content":' .. content .. "}", say.turns))
  return with_tools(parts, say)
end

function write.anthropic(say)
  local content = array(joined('{"type":"text","text":"hi"}', say.parts))
  local parts = members(say.top)
  if not (say.top and say.top.max_tokens) then parts[#parts + 1] = '"max_tokens":9999' end
  parts[#parts + 1] = '"model":"m","messages":' .. array(joined('{"role":"user","content":' .. content .. "}", say.turns))
  return with_tools(parts, say)
end

function write.gemini(say)
  local content = array(joined('{"text":"hi"}', say.parts))
  local parts = members(say.top)
  parts[#parts + 1] = '"contents":' .. array(joined('{"role":"user","parts":' .. content .. "}", say.turns))
  if say.config then parts[#parts + 1] = '"generationConfig":' .. object(members(say.config)) end
  return with_tools(parts, say)
end

local function context(client, upstream)
  local target = upstreams[upstream]
  return hub.context {
    client = client, upstream = target.upstream, model = "m", upstream_model = target.model, entry = target.entry,
    provider = target.provider, created = 1, stream = false,
    unique = function(prefix, length) return prefix .. ("x"):rep(length) end,
  }
end

local function holds(body, wanted)
  if type(wanted) == "table" and wanted.any then
    for _, text in ipairs(wanted.any) do
      if body:find(text, 1, true) then return true end
    end
    return false
  end
  for _, text in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    if not body:find(text, 1, true) then return false end
  end
  return true
end

local function codes(ctx)
  local found, seen = {}, {}
  for _, warning in ipairs(ctx.warnings) do
    if not seen[warning.code] then
      seen[warning.code] = true
      found[#found + 1] = warning.code
    end
  end
  table.sort(found)
  return found
end

--- What comes of a feature from a client to an upstream.
--- @return {outcome: "unsaid"|"kept"|"lost"|"refused", codes: string[]}
function M.run(feature, client, upstream)
  local say = feature.say
  if type(say) == "function" then say = say(upstream, client) else say = say[client] end
  local wanted = feature.seen[upstream]
  if not say or wanted == nil then return { outcome = "unsaid", codes = {} } end
  local ctx = context(client, upstream)
  local body, problem = hub.request(write[client](say), ctx)
  if not body then return { outcome = "refused", codes = { problem.message } } end
  return { outcome = holds(body, wanted) and "kept" or "lost", codes = codes(ctx), body = body }
end

-- --- answers ------------------------------------------------------------------------------------

local tell = {}

local function rest(say)
  return say.rest and "," .. say.rest or ""
end

function tell.chat(say)
  return '{"id":"1","object":"chat.completion","created":9,"model":"up","choices":[{"index":0,"message":{"role":"assistant",'
    .. say.message .. '},"finish_reason":' .. (say.stop or '"stop"') .. (say.choice and "," .. say.choice or "")
    .. '}],"usage":' .. (say.usage or '{"prompt_tokens":1,"completion_tokens":1}') .. rest(say) .. "}"
end

local PLAIN = '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"x","annotations":[]}]}'

function tell.responses(say)
  return '{"id":"resp_1","object":"response","created_at":9,"model":"up","status":' .. (say.status or '"completed"')
    .. ',"output":' .. array(say.items or { PLAIN }) .. ',"usage":' .. (say.usage or '{"input_tokens":1,"output_tokens":1}') .. rest(say) .. "}"
end

function tell.anthropic(say)
  return '{"id":"msg_1","type":"message","role":"assistant","model":"up","content":' .. array(say.blocks)
    .. ',"stop_reason":' .. (say.stop or '"end_turn"') .. ',"usage":' .. (say.usage or '{"input_tokens":1,"output_tokens":1}') .. rest(say) .. "}"
end

function tell.gemini(say)
  return '{"candidates":[{"index":0,"content":{"role":"model","parts":' .. array(say.parts) .. '},"finishReason":' .. (say.stop or '"STOP"')
    .. (say.choice and "," .. say.choice or "") .. '}],"usageMetadata":' .. (say.usage or '{"promptTokenCount":1,"candidatesTokenCount":1}')
    .. ',"modelVersion":"up","responseId":"r1"' .. rest(say) .. "}"
end

-- What a client has to ask for to be shown all of it.
local asks = {
  chat = '{"model":"m","messages":[{"role":"user","content":"hi"}],"reasoning_effort":"high","logprobs":true}',
  responses = '{"model":"m","input":"hi","reasoning":{"effort":"high","summary":"auto"},"include":["reasoning.encrypted_content","message.output_text.logprobs"]}',
  anthropic = '{"model":"m","max_tokens":9999,"thinking":{"type":"enabled","budget_tokens":2048},"messages":[{"role":"user","content":"hi"}]}',
  gemini = '{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"responseLogprobs":true,"thinkingConfig":{"thinkingLevel":"high","includeThoughts":true}}}',
}

--- What comes of a part of an answer from an upstream to a client.
function M.answer(feature, client, upstream)
  local say, wanted = feature.say[upstream], feature.seen[client]
  if not say or wanted == nil then return { outcome = "unsaid", codes = {} } end
  local ctx = context(client, upstream)
  assert(hub.request(asks[client], ctx))
  local before = #ctx.warnings
  local body, problem = hub.whole(tell[upstream](say), ctx)
  if not body then return { outcome = "refused", codes = { problem.message } } end
  for i = 1, before do ctx.warnings[i] = { code = "" } end
  local found = codes(ctx)
  if found[1] == "" then table.remove(found, 1) end
  return { outcome = holds(body, wanted) and "kept" or "lost", codes = found, body = body }
end

M.features = features
M.answers = require "tests.answer_features"

return M
