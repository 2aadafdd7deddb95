--- Normalisation N10: reasoning, output limit, sampling, stop sequences, and other numbers.

local content = require "lib.content"
local crypto = require "crypto"
local ir = require "lib.ir"
local thinking = require "lib.thinking"

local find, max, min = string.find, math.max, math.min

local M = {}

local DEFAULT_OUTPUT = 32000
local USER_MAX = 64

local function is_active(reasoning)
  return reasoning and reasoning.mode and reasoning.mode ~= "off"
end

-- Forced tools and manual thinking exclude each other on Claude.
local function fit_forced(request, ctx)
  local choice = request.tool_choice
  if not choice or choice.mode ~= "required" and choice.mode ~= "one" then return end
  if ctx.caps.forced_tool_with_thinking ~= false or not is_active(request.reasoning) then return end
  if ctx.caps.thinking.always_on then
    local words = choice.mode == "one" and "Call the tool " .. choice.name .. " now."
      or "Call one of the tools now."
    request.system = { table.unpack(request.system) }
    request.system[#request.system + 1] = { type = "text", text = words, level = "system" }
    request.tool_choice = { mode = "auto", parallel = choice.parallel }
    ctx.warn("map.lossy", "tool_choice", "forced tool while thinking")
  else
    request.reasoning = { mode = "off" }
    ctx.warn("drop.param", "reasoning", "not together with a forced tool")
  end
end

-- Thinking is a part of the output: its budget has to be below the limit.
local function fit_budget(request, caps, ctx)
  local reasoning = request.reasoning
  if not reasoning or reasoning.mode ~= "budget" or not request.max_output then return end
  local budget = reasoning.budget
  if request.max_output > budget then return end
  local raised = budget + 1024
  if caps.max_output then raised = min(raised, caps.max_output) end
  if raised > budget then
    request.max_output = raised
    ctx.warn("clamp", "max_tokens", tostring(raised))
    return
  end
  request.max_output = max(request.max_output, raised)
  local left = request.max_output - 1
  reasoning = content.copy(reasoning)
  if left < (caps.thinking.min or 1024) then
    request.reasoning = { mode = "off" }
    ctx.warn("drop.param", "reasoning", "the output limit is too small")
  else
    reasoning.budget = left
    request.reasoning = reasoning
    ctx.warn("clamp", "reasoning", tostring(left))
  end
end

local function fit_output(request, ctx)
  local caps, base = ctx.caps, ctx.base
  local wanted = request.max_output
  if caps.max_output_field == false then
    if wanted then ctx.warn("drop.param", "max_tokens") end
    request.max_output = nil
    return
  end
  if wanted and wanted <= 0 and base ~= "anthropic" then wanted = nil end
  if wanted and caps.max_output and wanted > caps.max_output then
    wanted = caps.max_output
    ctx.warn("clamp", "max_tokens", tostring(wanted))
  end
  if base == "anthropic" then
    request.max_output = wanted or caps.max_output or DEFAULT_OUTPUT
    fit_budget(request, caps, ctx)
  else
    request.max_output = wanted
  end
end

local groups = {
  temperature = "temperature", top_p = "top_p", top_k = "top_k", seed = "seed",
  frequency_penalty = "penalties", presence_penalty = "penalties",
}
local MODALITIES = { "image", "audio", "video" }
local ORDER = { "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed",
  "logit_bias" }

-- Claude while thinking, and Claude otherwise.
local function fit_claude_sampling(sampling, request, ctx)
  if is_active(request.reasoning) then
    if sampling.temperature and sampling.temperature ~= 1 then
      sampling.temperature = nil
      ctx.warn("drop.param", "temperature")
    end
    if sampling.top_p and sampling.top_p < 0.95 then
      sampling.top_p = nil
      ctx.warn("drop.param", "top_p")
    end
    if sampling.top_k then
      sampling.top_k = nil
      ctx.warn("drop.param", "top_k")
    end
  end
  if sampling.temperature and sampling.top_p then
    sampling.top_p = nil
    ctx.warn("drop.param", "top_p")
  end
end

local function fit_sampling(request, ctx)
  if next(request.sampling) == nil then return end
  local allowed, sampling = ctx.caps.sampling or {}, {}
  for _, name in ipairs(ORDER) do
    local value = request.sampling[name]
    if value ~= nil then
      local fine
      if name == "logit_bias" then fine = ctx.base == "chat" else fine = allowed[groups[name]] end
      if fine then
        sampling[name] = value
      else
        ctx.warn("drop.param", name)
      end
    end
  end
  local warmth, highest = sampling.temperature, allowed.temp_max
  if warmth and highest and warmth > highest then
    sampling.temperature = highest
    ctx.warn("clamp", "temperature", tostring(highest))
  end
  if ctx.base == "anthropic" then fit_claude_sampling(sampling, request, ctx) end
  request.sampling = sampling
end

local function fit_stop(request, ctx)
  if #request.stop == 0 then return end
  local most, kept = ctx.caps.stop_max, {}
  for _, sequence in ipairs(request.stop) do
    if ctx.base == "anthropic" and not find(sequence, "%S") then
      ctx.warn("drop.param", "stop")
    elseif most and #kept >= most then
      ctx.warn(most == 0 and "drop.param" or "clamp", "stop")
      break
    elseif sequence ~= "" then
      kept[#kept + 1] = sequence
    end
  end
  request.stop = kept
end

local openai_tiers = {
  auto = true, default = true, flex = true, scale = true, priority = true, fast = true,
}

local tiers = {
  gemini = { default = "standard", flex = "flex", priority = "priority", fast = "priority" },
  openai = { standard = "default", flex = "flex", priority = "priority", standard_only = "default",
    auto = "auto" },
  anthropic = { default = "standard_only", standard = "standard_only", auto = "auto",
    standard_only = "standard_only", priority = "auto", fast = "auto" },
}

local function fit_service(request, ctx)
  local service = request.service
  if service.tier == nil then return end
  local client = ir.base(ctx.client.dialect)
  local openai = ctx.base == "chat" or ctx.base == "responses"
  if client == ctx.base or openai and openai_tiers[service.tier]
      and (client == "chat" or client == "responses") then
    return
  end
  service = content.copy(service)
  request.service = service
  local before = service.tier
  service.tier = tiers[openai and "openai" or ctx.base][before]
  if ctx.base == "anthropic" and (before == "priority" or before == "fast")
      and ctx.caps.fast then
    service.speed = "fast"
  end
  if not service.tier then ctx.warn("drop.param", "service_tier", before) end
end

local function fit_rest(request, ctx)
  local caps, base = ctx.caps, ctx.base
  local most = caps.n_max or 1
  if request.n > most then
    request.n = most
    ctx.warn("clamp", "n", tostring(most))
  end
  if request.logprobs and not caps.logprobs then
    if request.logprobs.on ~= false then ctx.warn("drop.param", "logprobs") end
    request.logprobs = nil
  end
  if request.safety and base ~= "gemini" then ctx.warn("drop.param", "safety") end
  local output = request.output
  local verbosity = output.verbosity and base ~= "chat" and base ~= "responses"
  local prediction = output.prediction and base ~= "chat"
  if verbosity or prediction then
    output = content.copy(output)
    request.output = output
    if verbosity then
      output.verbosity = nil
      ctx.warn("drop.param", "verbosity")
    end
    if prediction then
      output.prediction = nil
      ctx.warn("drop.param", "prediction")
    end
  end
end

-- What kinds of answers a dialect knows; pictures of Responses are a tool.
local function fit_modalities(request, ctx)
  if ctx.base == "chat" or ctx.base == "gemini" then return end
  local wanted = request.output.modalities
  for _, name in ipairs(MODALITIES) do
    if wanted[name] and not (name == "image" and ctx.base == "responses") then
      ctx.warn("drop.param", "modalities", name)
    end
  end
end

local function first_user_text(turns)
  for _, turn in ipairs(turns) do
    if turn.role == "user" then return content.text_of(turn.blocks) end
  end
  return ""
end

-- Who asks: OpenAI's newer name for it counts first, and goes as such to its own dialect only.
local function fit_user(request, ctx)
  local identity = request.identity
  local user = identity.user
  if identity.safety_id and ir.base(ctx.client.dialect) ~= ctx.base then user = identity.safety_id end
  if user and #user > USER_MAX and (ctx.base == "chat" or ctx.base == "responses") then
    user = crypto.sha256_hex(user)
  end
  if user == identity.user then return end
  request.identity = content.copy(identity)
  request.identity.user = user
end

-- A key that stays the same for a conversation lets the upstream's cache work.
local function fit_cache(request, ctx)
  if ctx.base ~= "chat" and ctx.base ~= "responses" then return end
  local cache = content.copy(request.cache)
  request.cache = cache
  if not ctx.caps.cache_key then
    cache.key = nil
    return
  end
  if not cache.key then
    local beginning = request.identity.session == nil
      and content.text_of(request.system) .. first_user_text(request.turns)
    cache.key = request.identity.session or crypto.sha256_hex(beginning):sub(1, 32)
  end
  if #cache.key > USER_MAX then cache.key = crypto.sha256_hex(cache.key) end
end

--- @param request IrRequest  the copy
--- @param ctx table
--- @param broken boolean  manual thinking is not possible
function M.run(request, ctx, broken)
  request.reasoning = thinking.fit(request.reasoning, ctx.caps.thinking, ctx)
  if broken and ctx.caps.thinking.kind ~= "adaptive" and is_active(request.reasoning) then
    request.reasoning = { mode = "off" }
    ctx.warn("drop.param", "reasoning", "the history lacks its thinking")
  end
  fit_forced(request, ctx)
  fit_output(request, ctx)
  fit_sampling(request, ctx)
  fit_stop(request, ctx)
  fit_service(request, ctx)
  fit_rest(request, ctx)
  fit_modalities(request, ctx)
  fit_user(request, ctx)
  fit_cache(request, ctx)
end

return M
