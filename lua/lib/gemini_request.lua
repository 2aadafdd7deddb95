--- Requests of Gemini's clients in the neutral form.

local declared = require "lib.declared"
local fields = require "lib.fields"
local ids = require "lib.ids"
local ir = require "lib.ir"
local json = require "json"
local models = require "models.gemini"
local parts = require "lib.gemini_parts"
local place_of = require("lib.place").of
local reject = require "lib.reject"
local schema = require "lib.schema"
local settings = require "lib.gemini_settings"
local signatures = require "lib.signatures"

local gsub, ipairs, lower, next, tostring, type =
  string.gsub, ipairs, string.lower, next, tostring, type
local is_array, match, null = json.is_array, json.match, json.null
local path_of = fields.path

local M = {}

local DECLARATION = { "name", "description", parameters = "raw", parametersJsonSchema = "raw" }
local CALLING = { "mode", "allowedFunctionNames" }
local TOOL_CONFIG = { functionCallingConfig = CALLING }
local CONTENT = { "role", parts = parts.PART }
local REQUEST = {
  "model", "sessionId", "cachedContent", "serviceTier", labels = "raw", safetySettings = "raw",
  contents = CONTENT, systemInstruction = CONTENT, toolConfig = TOOL_CONFIG,
  tools = { functionDeclarations = DECLARATION }, generationConfig = settings.SHAPE,
  generateContentRequest = "raw",
}

local SHAPE = json.shape { known = parts.spelled(REQUEST), strict = true, kept = { "tools" } }
-- One level, its members raw.
local SHALLOW = json.shape { known = { _ = "raw" } }

local request_names, content_names = parts.names(REQUEST), parts.names(CONTENT)
local tool_names = parts.names { "functionDeclarations" }
local declaration_names = parts.names(DECLARATION)
local tool_config_names, calling_names = parts.names(TOOL_CONFIG), parts.names(CALLING)

-- Where a part stands, written out only when it is wrong: most parts are fine.
local Place = {}
Place.__index = Place
Place.__tostring = function(self)
  local path = "contents[" .. self.turn .. "].parts[" .. self.block .. "]"
  return self.member and path .. "." .. self.member or path
end
Place.__concat = function(a, b) return tostring(a) .. tostring(b) end

-- What most responses are.
local OUTPUT = json.pattern { output = 1 }

-- Text of a function's response, where it is nothing but text.
local function response_text(raw)
  if raw == nil then return "", false, true end
  local fine, output = match(raw, OUTPUT)
  if fine and type(output) == "string" then return output, false, true end
  if json.type(raw) ~= "object" then
    local text = json.decode(raw)
    return type(text) == "string" and text or tostring(raw), false
  end
  local members = json.decode(raw, SHALLOW)
  local name, value = next(members)
  if name == nil then return "{}", false end
  local alone = next(members, name) == nil
  if members.error ~= nil and not alone then return tostring(raw), true end
  if alone and (name == "output" or name == "result" or name == "content" or name == "error") then
    local plain = (name == "output" or name == "error") and json.type(value) == "string"
    local text = json.type(value) == "string" and json.decode(value) or tostring(value)
    return text, name == "error", plain
  end
  return tostring(raw), false
end

-- The call that a result belongs to.  Clients put `<name>__` before ids, or take it off.
local function find_call(pending, id, name)
  if id then
    for _, call in ipairs(pending) do
      local prefix = call.name .. "__"
      if call.id == id or prefix .. id == call.id or prefix .. call.id == id then
        return call
      end
    end
  end
  for _, call in ipairs(pending) do
    if not call.used and call.name == name and not (id and call.given) then return call end
  end
  if id or name ~= "" then return nil end
  for _, call in ipairs(pending) do
    if not call.used then return call end
  end
  return nil
end

-- Media beside the response.
local function read_media(native, path, content)
  for i, part in ipairs(parts.list(native, "parts", path)) do
    local place = path_of(path_of(path, "parts"), i)
    if type(part) ~= "table" then reject.bad(place, "must be an object") end
    parts.canon_part(part)
    content[#content + 1] = parts.media(part, fields, place)
  end
end

local function tool_result(state, native, path)
  local extras = parts.canon_response(native)
  local id, name = fields.string(native, "id", path), fields.string(native, "name", path) or ""
  if id == "" then id = nil end
  local call = find_call(state.pending, id, name)
  if call then
    call.used, id = true, call.id
    if name == "" then name = call.name end
  end
  local text, is_error, plain = response_text(native.response)
  if not plain then
    -- Anything but text goes back to this dialect as it came.
    extras = extras or {}
    extras.response = native.response
  end
  local content = {}
  if text ~= "" then content[1] = ir.text(text) end
  if native.parts ~= nil then read_media(native, path, content) end
  return {
    type = "tool_result", name = name ~= "" and name or nil, kind = "function", content = content,
    call_id = id or ids.missing(path.turn, path.block, name, tostring(native.response or "{}")),
    is_error = is_error, extras = extras and parts.extras { functionResponse = extras },
  }
end

local function tool_call(state, native, path)
  parts.canon_call(native)
  local id, name = fields.string(native, "id", path), fields.string(native, "name", path) or ""
  local args = native.args
  local kind = args ~= nil and json.type(args) or "null"
  if kind ~= "object" and kind ~= "null" then
    reject.bad(path_of(path, "args"), "must be an object")
  end
  args = kind == "object" and tostring(args) or "{}"
  local given = id ~= nil and id ~= ""
  if not given then id = ids.missing(path.turn, path.block, name, args) end
  if state.role == "assistant" then
    state.pending[#state.pending + 1] = { id = id, name = name, given = given }
  end
  return {
    type = "tool_call", id = id, name = name, kind = "function", args = args, complete = true,
  }
end

-- Kinds of signatures, by the block they sit on.
local kinds = { text = "text", thinking = "thinking", tool_call = "call" }

local function block_of(state, part, place)
  local call = part.functionCall ~= nil and fields.object(part, "functionCall", place)
  if call then
    place.member = "functionCall"
    return tool_call(state, call, place)
  end
  local result = part.functionResponse ~= nil
    and fields.object(part, "functionResponse", place)
  if result then
    place.member = "functionResponse"
    return tool_result(state, result, place)
  end
  local text = fields.string(part, "text", place)
  if part.thought == true then
    -- What a user's message calls a thought is none.
    if state.role ~= "assistant" then return nil end
    return { type = "thinking", text = text or "", form = "summary" }
  end
  if text then return ir.text(text) end
  local block = parts.media(part, fields, place)
  if block then return block end
  block = parts.server(part, state.server_id or "server_" .. place.turn .. "_" .. place.block)
  if block and block.type == "server_call" then state.server_id = block.id end
  return block
end

local function same_kind(sig, block)
  if sig and sig.kind == "any" then sig.kind = kinds[block.type] or "media" end
  return sig
end


-- Clients keep the parts of a stream as they came: a thought in pieces, then its signature.  One of
-- another vendor signs the whole thought, Google's the part before.
local function join_thoughts(blocks, block, is_hidden)
  local sig = block.sig
  local own = sig.family == "google" or sig.family == "unknown"
  if own and (block.text ~= "" or is_hidden) then return block end
  local pieces, count = block.text, #blocks
  while count > 0 and blocks[count].type == "thinking" and not blocks[count].sig do
    pieces = blocks[count].text .. pieces
    blocks[count] = nil
    count = count - 1
    if own then break end
  end
  block.text = pieces
  return block
end

local function is_plain(block)
  return not block.sig and not block.extras
end

-- The words of an answer in pieces are one text, as they were: with a blank line or a message for
-- each of them an upstream would read something else.
local function join_pieces(turn)
  local blocks, count = turn.blocks, 1
  local last, total = blocks[1], #blocks
  for i = 2, total do
    local block, kind = blocks[i], last.type
    if block.type == kind and (kind == "text" or kind == "thinking") and is_plain(last)
        and is_plain(block) then
      last.text = last.text .. block.text
    else
      count = count + 1
      blocks[count], last = block, block
    end
  end
  for i = total, count + 1, -1 do blocks[i] = nil end
end

-- Part by part into `blocks`.  A signature alone goes to the block before it, else to the next.
local function read_parts(state, content, path, blocks)
  local waiting
  local place = state.place
  local list = parts.list(content, "parts", path)
  for i = 1, #list do
    local part = list[i]
    place.block, place.member = i - 1, nil
    if type(part) ~= "table" or is_array(part) then
      reject.bad(tostring(place), "must be an object")
    end
    local extras = parts.canon_part(part)
    local sig = part.thoughtSignature
    if sig ~= nil then
      sig = signatures.read(fields.string(part, "thoughtSignature", place), "any")
    end
    local block = block_of(state, part, place)
    local last = blocks[#blocks]
    if block and block.type == "text" and block.text == "" then
      if sig and last and not last.sig then
        last.sig = same_kind(sig, last)
      elseif sig then
        waiting = sig
      end
    elseif block then
      if extras then
        block.extras = block.extras or { gemini = {} }
        for name, value in next, extras do block.extras.gemini[name] = value end
      end
      sig, waiting = sig or waiting, nil
      if sig then block.sig = same_kind(sig, block) end
      if block.type == "thinking" and block.text == "" and sig and sig.kind == "redacted" then
        block = { type = "redacted_thinking", sig = sig }
      elseif block.type == "thinking" and block.sig and block.sig.family ~= "none" then
        block = join_thoughts(blocks, block, part.text == nil)
      end
      if block.type ~= "thinking" or block.text ~= "" or block.sig then
        blocks[#blocks + 1] = block
      end
    elseif extras and part.thought ~= true then
      local raw = json.raw(json.encode(part))
      blocks[#blocks + 1] = { type = "opaque", dialect = "gemini", raw = raw }
    end
  end
  if waiting then
    blocks[#blocks + 1] = { type = "text", text = "", sig = same_kind(waiting, { type = "text" }) }
  end
end

local function read_contents(request, body)
  local state = {
    pending = {}, role = nil, server_id = nil,
    place = setmetatable({ turn = 0, block = 0, member = nil }, Place),
  }
  local previous
  local list, path = parts.list(body, "contents", ""), place_of "contents"
  for i = 1, #list do
    local content = list[i]
    path.at, state.place.turn = i - 1, i - 1
    if type(content) ~= "table" or is_array(content) then
      reject.bad(tostring(path), "must be an object")
    end
    parts.canon(content, content_names)
    local native = fields.string(content, "role", path)
    if not native or native == "" then native = previous == "user" and "model" or "user" end
    local role = models.roles[lower(native)]
    if not role then reject.bad(path_of(path, "role"), "must be 'user' or 'model'") end
    previous = role == "assistant" and "model" or "user"
    state.role = role
    -- Clients that keep each event of a stream have an answer in several contents.
    local turn = request.turns[#request.turns]
    if role ~= "assistant" or not turn or turn.role ~= role then
      turn = ir.turn(role)
      request.turns[#request.turns + 1] = turn
      if role == "assistant" then state.pending, state.server_id = {}, nil end
    end
    read_parts(state, content, path, turn.blocks)
  end
  for _, turn in ipairs(request.turns) do
    if turn.role == "assistant" and #turn.blocks > 1 then join_pieces(turn) end
  end
end

local function read_system(request, body)
  local value = body.systemInstruction
  if value == nil or value == null then return end
  if type(value) == "string" then value = { parts = { text = value } } end
  if type(value) ~= "table" then fields.object(body, "systemInstruction", "") end
  if is_array(value) then value = { parts = value } end
  parts.canon(value, content_names)
  local list = parts.list(value, "parts", "systemInstruction")
  local path = place_of("parts", "systemInstruction")
  for i = 1, #list do
    local part = list[i]
    path.at = i - 1
    if type(part) == "string" then part = { text = part } end
    if type(part) ~= "table" then reject.bad(tostring(path), "must be an object") end
    local text = fields.string(part, "text", path)
    if not text then reject.bad(tostring(path), "only text can be an instruction") end
    if part.thought ~= true and text ~= "" then
      request.system[#request.system + 1] = { type = "text", text = text, level = "system" }
    end
  end
end

local NULLABLE = { nullable = true }

local function read_declaration(declaration, path)
  local extras = parts.canon(declaration, declaration_names)
  local name = fields.string(declaration, "name", path)
  if not name or name == "" then reject.bad(path_of(path, "name"), "is required") end
  local given = declaration.parametersJsonSchema
  if given ~= nil and json.type(given) == "null" then given = nil end
  if given == nil and declaration.parameters ~= nil then
    given = schema.clean(declaration.parameters, "full", NULLABLE)
  end
  return {
    kind = "function", name = name, description = fields.string(declaration, "description", path),
    schema = given, extras = parts.extras(extras),
  }
end

-- The list may be remembered by json.decode: to respell it is all that is done to it, and a second
-- reading finds the same.
local function read_tools(list)
  local tools = {}
  for i, entry in ipairs(list) do
    local path = path_of("tools", i)
    if type(entry) ~= "table" or json.is_array(entry) then reject.bad(path, "must be an object") end
    local extras = parts.canon(entry, tool_names)
    local place = place_of("functionDeclarations", path)
    for k, declaration in ipairs(parts.list(entry, "functionDeclarations", path)) do
      place.at = k - 1
      if type(declaration) ~= "table" then reject.bad(tostring(place), "must be an object") end
      tools[#tools + 1] = read_declaration(declaration, place)
    end
    for _, native in ipairs(extras and json.keys(extras) or {}) do
      local name = native:gsub("_(%l)", string.upper)
      local tool = models.server_tools[name] or name
      tools[#tools + 1] = {
        kind = "server", name = tool, server = { tool = tool, config = {} },
        extras = { gemini = { [name] = extras[native] } },
      }
    end
  end
  return tools
end

local function read_choice(request, body)
  local config = fields.object(body, "toolConfig", "")
  if not config then return nil end
  local extras = parts.canon(config, tool_config_names)
  local calling = fields.object(config, "functionCallingConfig", "toolConfig")
  if not calling then return extras end
  local path = "toolConfig.functionCallingConfig"
  parts.canon(calling, calling_names)
  local mode = lower(fields.string(calling, "mode", path) or "auto")
  local names = {}
  for i, name in ipairs(fields.list(calling, "allowedFunctionNames", path) or {}) do
    if type(name) ~= "string" then
      reject.bad(path_of(path .. ".allowedFunctionNames", i), "must be a string")
    end
    names[i] = name
  end
  local validated = mode == "validated" or nil
  if mode == "none" then
    request.tool_choice = { mode = "none" }
  elseif mode == "any" and #names <= 1 then
    request.tool_choice = { mode = names[1] and "one" or "required", name = names[1] }
  elseif mode == "any" or #names > 0 then
    request.tool_choice = {
      mode = "allowed", allowed = names, allowed_mode = mode == "any" and "required" or "auto",
      validated = validated,
    }
  elseif mode == "auto" or validated then
    request.tool_choice = { mode = "auto", validated = validated }
  end
  return extras
end

local function given(body, name)
  local value = body[name]
  return value ~= nil and json.type(value) ~= "null" and value or nil
end

local function read_rest(request, body)
  local tier = body.serviceTier ~= nil and fields.string(body, "serviceTier", "")
  request.service.tier = tier and gsub(lower(tier), "^service_tier_", "") or nil
  request.cache.handle = fields.string(body, "cachedContent", "")
  request.identity.session = fields.string(body, "sessionId", "")
  request.safety = given(body, "safetySettings")
  request.identity.metadata = given(body, "labels")
end

--- @param body string|RawJson
--- @param ctx TranslationContext
--- @return IrRequest
function M.decode(body, ctx)
  local found, problem = json.decode(body, SHAPE)
  if not found then reject.json(problem) end
  if type(found) ~= "table" or json.is_array(found) then
    reject.bad(nil, "the body must be an object")
  end
  local extras = parts.canon(found, request_names) or {}
  -- Counting has a form that wraps the request.
  local inner = found.generateContentRequest
  if inner ~= nil and json.type(inner) == "object" then return M.decode(inner, ctx) end
  local request = ir.request()
  request.model = ctx.model or ""
  request.stream = ctx.stream == true
  request.stream_usage = true
  read_system(request, found)
  read_contents(request, found)
  if found.tools ~= nil then
    request.tools = declared.tools(parts.list(found, "tools", ""), read_tools)
  end
  if found.toolConfig ~= nil then extras.toolConfig = read_choice(request, found) end
  if found.generationConfig ~= nil then
    extras.generationConfig = settings.read(request, found)
  end
  read_rest(request, found)
  if next(extras) ~= nil then request.extras.gemini = extras end
  return request
end

return M
