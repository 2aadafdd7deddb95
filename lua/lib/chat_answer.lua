--- Whole Chat answers: an upstream's into the neutral form, and from it for clients.

local args = require "lib.chat_args"
local build = require "lib.chat_build"
local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local media = require "lib.media"
local parts = require "lib.chat_parts"
local problems = require "lib.problems"
local reasoning = require "lib.chat_reasoning"
local reject = require "lib.reject"
local signatures = require "lib.signatures"
local stops = require "lib.stops"
local usages = require "lib.usage"

local array, is_array, null = json.array, json.is_array, json.null
local concat, find, ipairs, type = table.concat, string.find, ipairs, type
local soft = fields.soft

local M = {}

-- --- decode -------------------------------------------------------------------------------------

local KNOWN = {
  id = true, created = true, model = true, service_tier = true, choices = true, usage = true,
  object = true, error = true,
}

--- The id of an answer; upstreams without one get it from the encoder.
local function id_of(object)
  return soft.filled(object, "id") or ""
end

-- Text, reasoning and images in one message, as some vendors have it.
local function read_parts(list, blocks)
  for _, part in ipairs(list) do
    local text = soft.filled(part, "text")
    local kind = soft.string(part, "type")
    if type(part) == "string" and part ~= "" then
      blocks[#blocks + 1] = ir.text(part)
    elseif kind == "reasoning" or kind == "thinking" then
      local thought = text or reasoning.flatten(soft.list(part, "thinking") or part.thinking)
      if thought ~= "" then
        blocks[#blocks + 1] = { type = "thinking", text = thought, form = "raw" }
      end
    elseif kind == "image_url" then
      local block = M.image(part)
      if block then blocks[#blocks + 1] = block end
    elseif text then
      blocks[#blocks + 1] = ir.text(text)
    end
  end
end

--- The block for a generated image; nil when there is none.
--- @param part any
--- @return IrBlock?
function M.image(part)
  local url = soft.filled(soft.object(part, "image_url"), "url") or soft.filled(part, "image_url")
    or soft.filled(part, "url")
  return url and { type = "image", source = media.source(url) } or nil
end

--- The citation of an annotation; nil for other kinds.
--- @param annotation any
--- @return table?
function M.citation(annotation)
  local cited = soft.object(annotation, "url_citation") or annotation
  local url = soft.filled(cited, "url")
  if not url then return nil end
  return {
    kind = "url", url = url, title = soft.string(cited, "title"),
    start = soft.integer(cited, "start_index"), ["end"] = soft.integer(cited, "end_index"),
  }
end

--- The signature of Google's that a call carries.
--- @param native table
--- @return table?
function M.call_signature(native)
  if native.extra_content == nil then return nil end
  local google = soft.object(soft.object(native, "extra_content"), "google")
  return signatures.read(soft.string(google, "thought_signature"), "call")
end

--- The only tool a nameless call can mean.
--- @param ctx TranslationContext
--- @return string?
function M.only_tool(ctx)
  local request, name, count = ctx.request, nil, 0
  for _, tool in ipairs(request and request.tools or {}) do
    if tool.kind ~= "server" then
      count = count + 1
      name = tool.namespace and tool.namespace .. "__" .. tool.name or tool.name
    end
  end
  if count ~= 1 then return nil end
  return ctx.names and ctx.names.to_upstream(name) or name
end

--- Arguments, which are text everywhere but with a few vendors.
--- @param object any
--- @param name string
--- @return string?
function M.arguments(object, name)
  local value = type(object) == "table" and object[name] or nil
  if type(value) == "string" then return value end
  if type(value) == "table" then return json.encode(value) end
  return nil
end

local function read_call(native, index, ctx)
  local custom = soft.object(native, "custom")
  local fn = custom or soft.object(native, "function") or native
  local text = M.arguments(fn, custom and "input" or "arguments") or ""
  local name = soft.filled(fn, "name")
  local id = soft.filled(native, "id")
  if not name and not id and text == "" then return nil end
  local complete = true
  if not custom then text, complete = args.repair(text, ctx.caps.repair_arguments) end
  return {
    type = "tool_call", kind = custom and "custom" or "function", id = id or ids.fresh(ctx),
    name = name or M.only_tool(ctx) or "tool_" .. index, args = text, complete = complete,
    sig = M.call_signature(native),
  }
end

local function read_calls(message, blocks, ctx)
  local announced, completed = 0, 0
  if message.tool_calls == nil and message.function_call == nil then return 0, 0 end
  local list = soft.list(message, "tool_calls")
  local legacy = not list and soft.object(message, "function_call")
  if legacy then list = { { ["function"] = legacy } } end
  for i, native in ipairs(list or {}) do
    local block = type(native) == "table" and read_call(native, i - 1, ctx)
    if block then
      blocks[#blocks + 1] = block
      announced = announced + 1
      if block.complete then completed = completed + 1 end
    end
  end
  return announced, completed
end

local function read_audio(message, blocks)
  local audio = message.audio ~= nil and soft.object(message, "audio")
  if not audio then return end
  local data = soft.filled(audio, "data")
  blocks[#blocks + 1] = {
    type = "audio", id = soft.string(audio, "id"), transcript = soft.string(audio, "transcript"),
    expires = soft.integer(audio, "expires_at"),
    source = data and {
      kind = "base64", data = data, media_type = media.sniff(data) or "audio/wav",
    } or nil,
  }
end

local function last_text(blocks)
  for i = #blocks, 1, -1 do
    if blocks[i].type == "text" then return blocks[i] end
  end
  return nil
end

local function read_text_facts(message, native, blocks)
  if not message.annotations and not native.logprobs then return end
  local text = last_text(blocks)
  if not text then return end
  for _, annotation in ipairs(soft.list(message, "annotations") or {}) do
    local citation = M.citation(annotation)
    if citation then
      text.citations = text.citations or {}
      text.citations[#text.citations + 1] = citation
    end
  end
  text.logprobs = soft.list(soft.object(native, "logprobs"), "content")
end

local function read_message(message, native, ctx)
  local blocks = {}
  reasoning.read(message, blocks)
  local content = message.content
  if type(content) == "string" then
    if content ~= "" then blocks[#blocks + 1] = ir.text(content) end
  elseif type(content) == "table" then
    read_parts(is_array(content) and content or { content }, blocks)
  end
  read_text_facts(message, native, blocks)
  local refusal = soft.filled(message, "refusal")
  if refusal then blocks[#blocks + 1] = { type = "refusal", text = refusal } end
  local images = message.images ~= nil and soft.list(message, "images")
  for i = 1, images and #images or 0 do blocks[#blocks + 1] = M.image(images[i]) end
  read_audio(message, blocks)
  return blocks, read_calls(message, blocks, ctx)
end

--- What an answer ended with, by what it holds.
--- @param native string?  the upstream's reason
--- @param announced integer  calls
--- @param completed integer  calls whose arguments are whole
--- @return table stop
function M.stop(native, announced, completed)
  local stop = native and stops.decode("chat", native) or { reason = "end" }
  if completed == 0 and stop.reason == "tool_call" then completed = announced end
  return stops.effective(stop, completed)
end

local function read_choice(native, position, ctx)
  if type(native) ~= "table" then native = {} end
  local choice = ir.choice(soft.integer(native, "index") or position - 1)
  local message = soft.object(native, "message") or soft.object(native, "delta") or {}
  local announced, completed
  choice.blocks, announced, completed = read_message(message, native, ctx)
  choice.stop = M.stop(soft.filled(native, "finish_reason"), announced, completed)
  return choice
end

--- @param text string
--- @param ctx TranslationContext
--- @return IrResponse
function M.decode(text, ctx)
  local body = json.decode(text)
  if type(body) ~= "table" or is_array(body) then
    reject.upstream "the upstream's answer is not a JSON object"
  end
  local list = soft.list(body, "choices")
  if body.error ~= nil and body.error ~= null and not (list and #list > 0) then
    local found = problems.decode("chat", 0, text, {})
    reject.kind(found.kind, found.message)
  end
  if not list then reject.upstream "the upstream's answer has no choices" end
  local response = ir.response()
  response.id, response.model = id_of(body), soft.string(body, "model") or ""
  response.created = soft.integer(body, "created") or 0
  response.service_tier = soft.string(body, "service_tier")
  for i = 1, #list do response.choices[i] = read_choice(list[i], i, ctx) end
  local usage = usages.decode("chat", body.usage)
  if usage then ir.merge_usage(response.usage, usage) else response.usage.missing = true end
  local extras = parts.extras(body, KNOWN)
  if extras then response.extras = extras end
  return response
end

-- --- encode -------------------------------------------------------------------------------------

--- The id a client is shown.
--- @param id string?
--- @param ctx TranslationContext
--- @return string
function M.client_id(id, ctx)
  if not id or id == "" then return ctx.unique("chatcmpl-", 24) end
  if find(id, "^chatcmpl%-") then return id end
  return "chatcmpl-" .. id
end

--- True when the client does not want to see thoughts.
--- @param ctx TranslationContext
--- @return boolean
function M.hides_thinking(ctx)
  local wish = ctx.request and ctx.request.reasoning
  return wish ~= nil and (wish.visible == false or wish.mode == "off")
end

--- The length of text in code points.
--- @param text string
--- @return integer
function M.length(text)
  return utf8.len(text) or #text
end

--- The annotation for a citation; nil when it has no address.
--- @param citation table
--- @param offset integer  code points before its block
--- @param length integer  of its block
--- @return table?
function M.annotation(citation, offset, length)
  if not citation.url then return nil end
  return {
    type = "url_citation",
    url_citation = {
      url = citation.url, title = citation.title or "",
      start_index = offset + (citation.start or 0),
      end_index = offset + (citation["end"] or length),
    },
  }
end

--- The image of an answer as the client gets it; nil for what has no URL.
--- @param source table?
--- @param index integer
--- @return table?
function M.image_part(source, index)
  local url = source and media.data_url(source)
  return url and { type = "image_url", index = index, image_url = { url = url } } or nil
end

local add = {}

function add.text(block, made)
  for _, citation in ipairs(block.citations or {}) do
    local note = M.annotation(citation, made.length, M.length(block.text))
    if note then
      made.annotations = made.annotations or array {}
      made.annotations[#made.annotations + 1] = note
    end
  end
  if block.logprobs and #block.logprobs > 0 then
    made.logprobs = made.logprobs or array {}
    table.move(block.logprobs, 1, #block.logprobs, #made.logprobs + 1, made.logprobs)
  end
  made.texts[#made.texts + 1] = block.text
  made.length = made.length + M.length(block.text)
end

local function add_detail(block, made, text)
  local has_text = block.text ~= nil and block.text ~= ""
  local detail = reasoning.detail(block.sig, #made.details, has_text, text)
  if detail then made.details[#made.details + 1] = detail end
end

function add.thinking(block, made)
  if made.hidden then return end
  if block.text ~= "" then made.thoughts[#made.thoughts + 1] = block.text end
  -- One thought is the text beside its signature; of several each needs its own.
  add_detail(block, made, made.several and block.text or "")
end

function add.redacted_thinking(block, made)
  if not made.hidden then add_detail(block, made, "") end
end

function add.refusal(block, made)
  made.refusal = (made.refusal or "") .. block.text
end

function add.image(block, made)
  made.images = made.images or array {}
  made.images[#made.images + 1] = M.image_part(block.source, #made.images)
end

function add.audio(block, made)
  made.audio = {
    id = block.id or "audio_0", data = block.source and block.source.data or "",
    expires_at = block.expires or 0, transcript = block.transcript or "",
  }
end

--- The Google signature that goes with a call.
--- @param sig table?
--- @return table? extra_content
function M.extra_content(sig)
  if not sig or sig.family ~= "google" then return nil end
  return { google = { thought_signature = sig.data } }
end

function add.tool_call(block, made)
  local one = { id = block.id, extra_content = M.extra_content(block.sig) }
  if block.kind == "custom" then
    one.type, one.custom = "custom", { name = block.name, input = block.args }
  else
    local text = block.args
    if not text or text == "" then text = "{}" end
    one.type, one["function"] = "function", { name = block.name, arguments = text }
  end
  made.calls = made.calls or array {}
  made.calls[#made.calls + 1] = one
end

local function is_thinking(blocks)
  local count = 0
  for _, block in ipairs(blocks) do if block.type == "thinking" then count = count + 1 end end
  return count
end

local function message_of(choice, ctx)
  local made = {
    texts = {}, thoughts = {}, details = array {}, length = 0, hidden = M.hides_thinking(ctx),
    several = is_thinking(choice.blocks) > 1,
  }
  for _, block in ipairs(choice.blocks) do
    local put = add[block.type]
    if put then
      put(block, made)
    else
      local text = build.server_text(block)
      if text then add.text({ text = text }, made) end
    end
  end
  local text = concat(made.texts)
  local message = {
    role = "assistant", refusal = made.refusal or null, tool_calls = made.calls,
    images = made.images, audio = made.audio, annotations = made.annotations,
    content = (text ~= "" or not made.calls) and text or null,
  }
  if made.thoughts[1] then message.reasoning_content = concat(made.thoughts, "\n\n") end
  if made.details[1] then message.reasoning_details = made.details end
  return message, made
end

local function choice_of(choice, ctx)
  local message, made = message_of(choice, ctx)
  local finish = stops.encode("chat", choice.stop, { refusal = made.refusal ~= nil })
  return {
    index = choice.index, message = message, finish_reason = finish,
    logprobs = made.logprobs and { content = made.logprobs, refusal = null } or null,
  }
end

--- The usage a client may see.
--- @param usage table?
--- @return table?
function M.usage(usage)
  if not usage or usage.missing or usage.estimated then return nil end
  return usages.encode("chat", usage)
end

--- @param response IrResponse
--- @param ctx TranslationContext
--- @return string
function M.encode(response, ctx)
  local choices = array {}
  for i, choice in ipairs(response.choices) do choices[i] = choice_of(choice, ctx) end
  local created = response.created
  if not created or created == 0 then created = ctx.created end
  return json.encode(build.add_extras({
    id = M.client_id(response.id, ctx), object = "chat.completion", created = created,
    model = ctx.model, choices = choices, usage = M.usage(response.usage),
    service_tier = response.service_tier,
  }, response.extras))
end

return M
