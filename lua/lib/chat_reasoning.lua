--- Reasoning in Chat messages: the texts and signed details that vendors added to the format.

local fields = require "lib.fields"
local signatures = require "lib.signatures"
local thinking = require "lib.thinking"

local concat, sub, type = table.concat, string.sub, type
local soft = fields.soft

local M = {}

-- Reasoning text as vendors write it: a string, a list of texts, an object with a text.
local function flatten(value)
  if type(value) == "string" then return value end
  if type(value) ~= "table" then return "" end
  if type(value.text) == "string" then return value.text end
  if value.content ~= nil then return flatten(value.content) end
  local parts = {}
  for i = 1, #value do parts[i] = flatten(value[i]) end
  return concat(parts)
end
M.flatten = flatten

--- The plain reasoning text of a message or a delta.
--- @param message table
--- @return string  "" when there is none
function M.text(message)
  local text = flatten(message.reasoning_content)
  if text ~= "" then return text end
  return flatten(message.reasoning)
end

--- The signature in an entry of `reasoning_details`.
--- @param detail table
--- @return table? sig
function M.signature(detail)
  local text = soft.filled(detail, "signature")
  if text then return signatures.read(text, "thinking") end
  text = soft.filled(detail, "data")
  return text and signatures.read(text, "reasoning") or nil
end

--- The text in an entry of `reasoning_details`.
--- @param detail table
--- @return string
function M.detail_text(detail)
  return soft.string(detail, "text") or soft.string(detail, "summary") or ""
end

-- One block for each run of entries that belong together.
local function blocks_of(details)
  local blocks, current, index = {}, nil, nil
  for i = 1, #details do
    local detail = details[i]
    if type(detail) == "table" then
      local sig, text = M.signature(detail), M.detail_text(detail)
      if sig and sig.kind == "redacted" then
        blocks[#blocks + 1] = { type = "redacted_thinking", sig = sig }
        current = nil
      elseif sig or text ~= "" then
        if not current or current.sig or detail.index ~= index then
          local form = detail.type == "reasoning.summary" and "summary" or "raw"
          current = { type = "thinking", text = "", form = form }
          blocks[#blocks + 1], index = current, detail.index
        end
        current.text = current.text .. text
        current.sig = sig or current.sig
      end
    end
  end
  return blocks
end

-- Details that came as a stream have signatures only, their text stands beside them.  Which of it
-- belongs to which of several is not known: signatures that bind their text cannot be replayed.
local function give_text(blocks, plain)
  local unsigned, first = 0, nil
  for _, block in ipairs(blocks) do
    if block.type == "thinking" then
      if block.text ~= "" then return end
      unsigned, first = unsigned + 1, first or block
    end
  end
  if not first then
    table.insert(blocks, 1, { type = "thinking", text = plain, form = "raw" })
  elseif unsigned == 1 then
    first.text = plain
  else
    first.text = plain
    for _, block in ipairs(blocks) do
      local sig = block.sig
      if block.type == "thinking" and sig and sig.family ~= "openai" then block.sig = nil end
    end
  end
end

--- The thinking blocks of an assistant message, appended to `blocks`.
--- @param message table
--- @param blocks IrBlock[]
function M.read(message, blocks)
  if message.reasoning_content == nil and message.reasoning == nil
      and message.reasoning_details == nil then
    return
  end
  local plain = M.text(message)
  local details = soft.list(message, "reasoning_details")
  if not details then
    if plain ~= "" then
      blocks[#blocks + 1] = { type = "thinking", text = plain, form = "raw" }
    end
    return
  end
  local found = blocks_of(details)
  if plain ~= "" then give_text(found, plain) end
  for _, block in ipairs(found) do
    if block.type ~= "thinking" or block.text ~= "" or block.sig then
      blocks[#blocks + 1] = block
    end
  end
end

--- The entry of `reasoning_details` for a signature; nil when it carries nothing.
--- @param sig table?
--- @param index integer
--- @param has_text boolean  the block has shown text
--- @param text string  its text, when the entry is to repeat it
--- @return table?
function M.detail(sig, index, has_text, text)
  if not sig or sig.family == "none" then return nil end
  local carrier = signatures.show(sig, "chat")
  if sig.kind == "redacted" or not has_text then
    return { type = "reasoning.encrypted", index = index, data = carrier }
  end
  return { type = "reasoning.text", index = index, text = text, signature = carrier }
end

local function from_effort(value, warn, path)
  if type(value) ~= "string" then return nil end
  local reasoning = thinking.word(value)
  if not reasoning then
    warn("native.unknown", path, sub(value, 1, 40))
  elseif reasoning.mode ~= "off" then
    reasoning.visible = true
  end
  return reasoning
end

-- OpenRouter's object.
local function from_object(body, warn)
  local object = fields.object(body, "reasoning")
  if not object then return nil end
  local reasoning = from_effort(object.effort, warn, "reasoning.effort")
  local tokens = soft.integer(object, "max_tokens")
  if not reasoning and tokens then
    reasoning = thinking.tokens(tokens)
  elseif not reasoning and object.enabled ~= nil then
    reasoning = { mode = object.enabled == false and "off" or "auto" }
  end
  local summary = soft.string(object, "summary")
  if summary or object.exclude ~= nil then reasoning = reasoning or {} end
  if not reasoning or reasoning.mode == "off" then return reasoning end
  reasoning.visible = object.exclude ~= true
  if summary == "auto" or summary == "concise" or summary == "detailed" then
    reasoning.detail = summary
  end
  return reasoning
end

local function from_thinking(body)
  local object = soft.object(body, "thinking")
  if not object then return nil end
  if object.type == "disabled" then return { mode = "off" } end
  local tokens = soft.integer(object, "budget_tokens")
  local reasoning = tokens and thinking.tokens(tokens) or { mode = "auto" }
  if reasoning.mode ~= "off" then reasoning.visible = true end
  return reasoning
end

-- Google's own settings, in the spelling of its API and that of its Python SDK.
local function from_google(body, warn)
  local google = soft.object(soft.object(body, "extra_body"), "google")
  local config = soft.object(google, "thinking_config") or soft.object(google, "thinkingConfig")
  if not config then return nil end
  local level = config.thinking_level or config.thinkingLevel
  local budget = soft.integer(config, "thinking_budget") or soft.integer(config, "thinkingBudget")
  local reasoning = from_effort(level, warn, "extra_body.google.thinking_config")
    or budget and thinking.tokens(budget)
  local shown = config.include_thoughts
  if shown == nil then shown = config.includeThoughts end
  if type(shown) == "boolean" then
    reasoning = reasoning or {}
    if reasoning.mode ~= "off" then reasoning.visible = shown end
  elseif reasoning then
    reasoning.visible = nil
  end
  return reasoning
end

--- How much a client wants.
--- @param body table
--- @param warn fun(code: string, path: string, detail: string?)
--- @return table? reasoning
function M.request(body, warn)
  local effort = fields.string(body, "reasoning_effort")
  local reasoning = effort and from_effort(effort, warn, "reasoning_effort")
  return reasoning or from_object(body, warn) or from_thinking(body) or from_google(body, warn)
end

return M
