--- The neutral form as a request to Gemini.  Normalisation has fitted it to the model already.

local declared = require "lib.declared"
local ir = require "lib.ir"
local json = require "json"
local models = require "models.gemini"
local names = require "lib.names"
local parts = require "lib.gemini_parts"
local schema = require "lib.schema"
local thinking = require "lib.thinking"
local write = require "lib.gemini_write"

local array = json.array
local find, ipairs, next, pairs, upper = string.find, ipairs, next, pairs, string.upper
local extend, signature_up = parts.extend, parts.signature_up

local M = {}

-- Each kind of block adds its parts to `list`.
local add = {}

-- The turn that is written, in words: only warnings need them.
local function place_of(state)
  return "turns[" .. state.turn - 1 .. "]"
end

local function dropped(state, what)
  state.warn("drop.block", place_of(state), what)
end

local function push(list, block, part)
  local sig, extras = block.sig, block.extras
  if sig then part.thoughtSignature = signature_up(sig) end
  if extras then extend(part, extras) end
  list[#list + 1] = part
end

function add.text(_, list, block)
  if block.text == "" and not signature_up(block.sig) then return end
  push(list, block, { text = block.text })
end

function add.refusal(_, list, block)
  if block.text ~= "" then push(list, block, { text = block.text }) end
end

-- A thought without text is a server error there.
function add.thinking(state, list, block)
  if state.role ~= "model" then return end
  push(list, block, { text = block.text or "", thought = true })
end

function add.redacted_thinking(state, _, block)
  dropped(state, block.type)
end
add.compaction = add.redacted_thinking

local function add_media(state, list, block)
  local part, words = write.media(block, state.urls)
  if part then
    if block.meta ~= nil then part.videoMetadata = block.meta end
    return push(list, block, part)
  end
  dropped(state, block.type)
  if words then list[#list + 1] = { text = words } end
end
add.image, add.document, add.audio, add.video = add_media, add_media, add_media, add_media

function add.tool_call(state, list, block)
  local args, fine = write.args(block)
  if not fine then state.warn("map.lossy", place_of(state), "arguments that are no object") end
  local name = block.namespace and names.full(block.name, block.namespace) or block.name
  push(list, block, { functionCall = { id = block.id, name = name, args = args } })
end

local media_types = { image = true, document = true, audio = true, video = true }

function add.tool_result(state, list, block)
  local part = write.result(block)
  list[#list + 1] = block.extras and extend(part, block.extras) or part
  local content, inner = block.content, nil
  for i = 1, content and #content or 0 do
    local each = content[i]
    if media_types[each.type] then
      local shown, words = write.media(each, state.urls)
      if shown and state.results == "parts" then
        inner = inner or array {}
        inner[#inner + 1] = shown
      elseif shown and state.results ~= "none" then
        list[#list + 1] = shown
      else
        dropped(state, each.type)
        if words then list[#list + 1] = { text = words } end
      end
    end
  end
  if inner then part.functionResponse.parts = inner end
end

local function add_server(state, list, block)
  local part = parts.write_server(block)
  if part then return push(list, block, part) end
  if block.type == "server_call" then dropped(state, block.type) end
end
add.server_call, add.server_result = add_server, add_server

function add.search_result(_, list, block)
  list[#list + 1] = { text = write.search_text(block) }
end

function add.opaque(state, list, block)
  if block.dialect == "gemini" then
    list[#list + 1] = block.raw
  else
    dropped(state, "opaque")
  end
end

local function reminder(text)
  if find(text, "<system-reminder>", 1, true) == 1 then return text end
  return "<system-reminder>\n" .. text .. "\n</system-reminder>"
end

local function write_contents(state, request)
  local contents = array {}
  local turns, last = request.turns, nil
  for t = 1, #turns do
    local turn = turns[t]
    local blocks, role = turn.blocks, turn.role == "assistant" and "model" or "user"
    state.role, state.turn = role, t
    -- Adjacent turns of one role are one content, so parts go straight to where they belong.
    local list = last and last.role == role and last.parts or array {}
    for i = 1, #blocks do
      local block = blocks[i]
      if turn.role == "instruction" and block.type == "text" then
        block = ir.text(reminder(block.text))
      end
      local handle = add[block.type]
      if handle then
        handle(state, list, block)
      else
        dropped(state, block.type)
      end
    end
    if list[1] and (not last or last.parts ~= list) then
      last = { role = role, parts = list }
      contents[#contents + 1] = last
    end
  end
  if not contents[1] or contents[1].role == "model" then
    state.warn("synth.turn", "contents")
    table.insert(contents, 1, { role = "user", parts = { { text = "(continue)" } } })
  end
  return contents
end

local function write_system(request)
  local list = array {}
  for _, block in ipairs(request.system) do
    if block.type == "text" and block.text ~= "" then list[#list + 1] = { text = block.text } end
  end
  return list[1] and { parts = list } or nil
end

local function write_function(tool, field)
  local name = tool.namespace and names.full(tool.name, tool.namespace) or tool.name
  local shape = tool.kind == "custom" and M.CUSTOM or tool.schema or schema.EMPTY
  return extend({ name = name, description = tool.description, [field] = shape }, tool.extras)
end

local function write_tools(state, request)
  if not request.tools[1] then return nil, false end
  local list, functions = array {}, nil
  for _, tool in ipairs(request.tools) do
    if tool.kind == "server" then
      local own = tool.extras and tool.extras.gemini
      local native = models.declared[tool.server and tool.server.tool or ""]
      if own then
        list[#list + 1] = own
      elseif native then
        list[#list + 1] = { [native] = {} }
      else
        state.warn("drop.tool", "tools", tool.name)
      end
    else
      if not functions then
        functions = array {}
        list[#list + 1] = { functionDeclarations = functions }
      end
      functions[#functions + 1] = declared.written(tool, "gemini", write_function,
        state.schema_field)
    end
  end
  return list[1] and list or nil, functions ~= nil
end

local function write_choice(choice, has_functions)
  if not choice then return nil end
  local mode = choice.mode
  if mode == "none" then return { mode = "NONE" } end
  if not has_functions or choice.server then return nil end
  if mode == "auto" then return { mode = choice.validated and "VALIDATED" or "AUTO" } end
  if mode == "required" then return { mode = "ANY" } end
  if mode == "one" then
    local name = names.full(choice.name or "", choice.namespace)
    return { mode = "ANY", allowedFunctionNames = array { name } }
  end
  local allowed = choice.allowed or {}
  if mode ~= "allowed" or not allowed[1] then return nil end
  return {
    mode = choice.allowed_mode == "required" and "ANY" or "VALIDATED",
    allowedFunctionNames = array(allowed),
  }
end

local function write_thinking(reasoning, caps)
  if not reasoning then return nil end
  local mode = reasoning.mode
  local native = { includeThoughts = reasoning.visible }
  if mode == "level" and caps.thinking and caps.thinking.kind == "budget" then
    native.thinkingBudget = thinking.budget(reasoning.level)
  elseif mode == "level" then
    native.thinkingLevel = reasoning.level
  elseif mode == "budget" then
    native.thinkingBudget = reasoning.budget
  elseif mode == "auto" then
    native.thinkingBudget = -1
  elseif mode == "off" then
    native.thinkingBudget = 0
    -- Nothing is left that could be shown or hidden.
    native.includeThoughts = nil
  end
  return next(native) ~= nil and native or nil
end

local function write_output(output, config, own)
  local modalities = output.modalities
  if next(modalities) ~= nil then
    local list = array {}
    for _, name in ipairs(models.modalities) do
      if modalities[name] then list[#list + 1] = upper(name) end
    end
    -- Text alone is what every model answers with.
    if list[2] or list[1] and (own or list[1] ~= "TEXT") then config.responseModalities = list end
  end
  local image = output.image
  if image and (image.aspect or image.size or image.extras) then
    config.imageConfig = parts.extend(
      { aspectRatio = image.aspect, imageSize = image.size }, image.extras)
  end
  local voice = output.audio and output.audio.voice
  if voice then
    config.speechConfig = { voiceConfig = { prebuiltVoiceConfig = { voiceName = voice } } }
  end
end

local function write_config(request, ctx)
  local sampling, logprobs, format = request.sampling, request.logprobs, request.format
  local config = {
    temperature = sampling.temperature, topP = sampling.top_p, topK = sampling.top_k,
    seed = sampling.seed, presencePenalty = sampling.presence_penalty,
    frequencyPenalty = sampling.frequency_penalty, maxOutputTokens = request.max_output,
    candidateCount = request.n > 1 and request.n or nil,
    stopSequences = request.stop[1] and array(request.stop) or nil,
    thinkingConfig = write_thinking(request.reasoning, ctx.caps),
  }
  if logprobs and logprobs.on then
    config.responseLogprobs, config.logprobs = true, logprobs.top
  end
  if format and format.kind ~= "text" then
    config.responseMimeType, config.responseJsonSchema = "application/json", format.schema
  end
  local own = request.extras.gemini and request.extras.gemini.generationConfig
  write_output(request.output, config, own or ctx.client.dialect == "gemini")
  if own then
    for name, value in pairs(own) do
      if config[name] == nil then config[name] = value end
    end
  end
  return next(config) ~= nil and config or nil
end

--- @param request IrRequest
--- @param ctx TranslationContext
--- @return table body  for json.encode
function M.build(request, ctx)
  local caps = ctx.caps
  local state = {
    warn = ctx.warn, urls = caps.inputs and caps.inputs.image_url, results = caps.tool_result_media,
    schema_field = caps.plain_parameters and "parameters" or "parametersJsonSchema",
  }
  local tools, has_functions = write_tools(state, request)
  local calling = write_choice(request.tool_choice, has_functions)
  local body = {
    systemInstruction = write_system(request),
    contents = write_contents(state, request),
    tools = tools,
    toolConfig = calling and { functionCallingConfig = calling } or nil,
    generationConfig = write_config(request, ctx),
    safetySettings = request.safety,
    cachedContent = request.cache.handle,
    serviceTier = models.tiers[request.service.tier or ""],
  }
  local own = request.extras.gemini
  if ir.base(ctx.client.dialect) == "gemini" then body.labels = request.identity.metadata end
  if not own then return body end
  for name, value in pairs(own) do
    if name == "toolConfig" then
      body.toolConfig = body.toolConfig or {}
      for member, inner in pairs(value) do
        if body.toolConfig[member] == nil then body.toolConfig[member] = inner end
      end
    elseif body[name] == nil then
      body[name] = value
    end
  end
  return body
end

M.CUSTOM = assert(json.raw
  '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')

return M
