--- Made-up conversations and answers, written in every dialect.
---
--- Each text, call and result holds a word that occurs once, so that what was lost or moved is seen.

local ir = require "lib.ir"
local json = require "json"

local concat = table.concat

local M = {}

M.DIALECTS = { "chat", "responses", "anthropic", "gemini" }

--- A model and a provider for each dialect as upstream.
M.TARGETS = {
  chat = { model = "qwen-x", provider = "openai_compatibility" },
  responses = { model = "gpt-5.5", provider = "codex" },
  anthropic = { model = "claude-opus-4-7", provider = "claude" },
  gemini = { model = "gemini-3-flash-preview", provider = "gemini" },
}

-- --- chance --------------------------------------------------------------------------------------

--- A generator of our own, so that a failure comes again.
--- @param seed integer
--- @return fun(n: integer): integer random  1 to n
function M.chance(seed)
  local state = seed * 2654435761 % 2147483648
  return function(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n + 1
  end
end

local IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
-- Letters that are more than one byte, and what JSON and SSE escape.
local TAILS = { "", " größer 漢字 😀", ' "quoted" \\ back', "\nline\r\nline", " </script>\t", " data: [DONE]" }
local NAMES = { "read_file", "search", "Bash" }

--- A conversation: a list of steps {role, texts, thinking, image, calls, results}.
--- @param seed integer
function M.conversation(seed)
  local random, count = M.chance(seed), 0
  local function word(kind)
    count = count + 1
    return kind .. "-" .. seed .. "-" .. count .. "-" .. TAILS[random(#TAILS)]
  end
  local made = { model = "m", steps = {}, system = random(2) == 1 and word "system" or nil }
  for _ = 1, random(3) do
    local user = { role = "user", texts = { word "ask" }, image = random(4) == 1 }
    if random(3) == 1 then user.texts[2] = word "ask" end
    made.steps[#made.steps + 1] = user
    if random(6) == 1 then made.steps[#made.steps + 1] = { role = "instruction", texts = { word "rule" } } end
    if random(2) == 1 then
      local calls, results = {}, {}
      for i = 1, random(3) do
        count = count + 1
        local id = "call_" .. seed .. "_" .. count
        calls[i] = { id = id, name = NAMES[random(#NAMES)], args = json.encode { path = word "args" } }
        results[i] = { id = id, name = calls[i].name, text = word "result" }
      end
      made.steps[#made.steps + 1] = {
        role = "assistant", texts = random(2) == 1 and { word "say" } or {}, calls = calls,
        thinking = random(2) == 1 and word "think" or nil,
      }
      made.steps[#made.steps + 1] = { role = "results", results = results }
    end
    made.steps[#made.steps + 1] = { role = "assistant", texts = { word "say" },
      thinking = random(3) == 1 and word "think" or nil }
  end
  made.steps[#made.steps + 1] = { role = "user", texts = { word "ask" } }
  return made
end

-- --- requests ------------------------------------------------------------------------------------

local SCHEMA = json.raw '{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}'

local function each_tool(make)
  local list = json.array {}
  for i, name in ipairs(NAMES) do list[i] = make(name) end
  return list
end

local function texts(list, type, more)
  local parts = json.array {}
  for i, text in ipairs(list) do parts[i] = { type = type, text = text } end
  parts[#parts + 1] = more
  return parts
end

local write = {}

function write.chat(made)
  local messages = json.array {}
  local function add(message) messages[#messages + 1] = message end
  if made.system then add { role = "system", content = made.system } end
  for _, step in ipairs(made.steps) do
    if step.role == "results" then
      for _, result in ipairs(step.results) do
        add { role = "tool", tool_call_id = result.id, content = result.text }
      end
    elseif step.role == "assistant" then
      local calls = step.calls and json.array {} or nil
      for i, call in ipairs(step.calls or {}) do
        calls[i] = { id = call.id, type = "function", ["function"] = { name = call.name, arguments = call.args } }
      end
      add { role = "assistant", content = step.texts[1] or json.null, tool_calls = calls,
        reasoning_content = step.thinking }
    else
      add { role = step.role == "instruction" and "system" or "user",
        content = texts(step.texts, "text", step.image and {
          type = "image_url", image_url = { url = "data:image/png;base64," .. IMAGE },
        } or nil) }
    end
  end
  return { model = made.model, messages = messages, tools = each_tool(function(name)
    return { type = "function", ["function"] = { name = name, parameters = SCHEMA } }
  end) }
end

function write.responses(made)
  local input = json.array {}
  local function add(item) input[#input + 1] = item end
  for i, step in ipairs(made.steps) do
    for _, result in ipairs(step.results or {}) do
      add { type = "function_call_output", call_id = result.id, output = result.text }
    end
    if step.thinking then
      add { type = "reasoning", id = "rs_" .. i,
        summary = json.array { { type = "summary_text", text = step.thinking } } }
    end
    if step.texts and #step.texts > 0 then
      local answer = step.role == "assistant"
      add { type = "message", role = step.role == "instruction" and "developer" or step.role,
        content = texts(step.texts, answer and "output_text" or "input_text",
          step.image and { type = "input_image", image_url = "data:image/png;base64," .. IMAGE } or nil) }
    end
    for _, call in ipairs(step.calls or {}) do
      add { type = "function_call", call_id = call.id, name = call.name, arguments = call.args }
    end
  end
  return { model = made.model, input = input, instructions = made.system, tools = each_tool(function(name)
    return { type = "function", name = name, parameters = SCHEMA }
  end) }
end

function write.anthropic(made)
  local messages = json.array {}
  for _, step in ipairs(made.steps) do
    local content = json.array {}
    for i, result in ipairs(step.results or {}) do
      content[i] = { type = "tool_result", tool_use_id = result.id, content = result.text }
    end
    if step.thinking then content[1] = { type = "thinking", thinking = step.thinking, signature = "" } end
    for _, text in ipairs(step.texts or {}) do content[#content + 1] = { type = "text", text = text } end
    if step.image then
      content[#content + 1] = { type = "image", source = { type = "base64", media_type = "image/png", data = IMAGE } }
    end
    for _, call in ipairs(step.calls or {}) do
      content[#content + 1] = { type = "tool_use", id = call.id, name = call.name, input = json.raw(call.args) }
    end
    local role = step.role == "assistant" and "assistant" or step.role == "instruction" and "system" or "user"
    messages[#messages + 1] = { role = role, content = content }
  end
  return { model = made.model, max_tokens = 1024, system = made.system, messages = messages,
    tools = each_tool(function(name) return { name = name, input_schema = SCHEMA } end) }
end

function write.gemini(made)
  local contents = json.array {}
  for _, step in ipairs(made.steps) do
    local parts = json.array {}
    for i, result in ipairs(step.results or {}) do
      parts[i] = { functionResponse = { id = result.id, name = result.name, response = { output = result.text } } }
    end
    if step.thinking then parts[1] = { text = step.thinking, thought = true } end
    for _, text in ipairs(step.texts or {}) do parts[#parts + 1] = { text = text } end
    if step.image then parts[#parts + 1] = { inlineData = { mimeType = "image/png", data = IMAGE } } end
    for _, call in ipairs(step.calls or {}) do
      parts[#parts + 1] = { functionCall = { id = call.id, name = call.name, args = json.raw(call.args) } }
    end
    contents[#contents + 1] = { role = step.role == "assistant" and "model" or "user", parts = parts }
  end
  return { contents = contents,
    systemInstruction = made.system and { parts = json.array { { text = made.system } } } or nil,
    tools = json.array { { functionDeclarations = each_tool(function(name)
      return { name = name, parameters = SCHEMA }
    end) } } }
end

--- The conversation as a body of the dialect.
function M.body(made, dialect)
  return json.encode(write[dialect](made))
end

-- --- answers -------------------------------------------------------------------------------------

--- A whole answer in the neutral form.
--- @param seed integer
--- @return IrResponse
function M.answer(seed)
  local random, count = M.chance(seed), 0
  local response, choice = ir.response(), ir.choice(0)
  response.id, response.model, response.created = "id-" .. seed, "up", 1760000000
  response.usage.input, response.usage.output = 11, 7
  response.choices[1] = choice
  local function word(kind)
    count = count + 1
    return kind .. "-" .. seed .. "-" .. count .. "-" .. TAILS[random(#TAILS)]
  end
  if random(2) == 1 then
    choice.blocks[1] = { type = "thinking", text = word "think", form = "summary" }
  end
  if random(4) > 1 then choice.blocks[#choice.blocks + 1] = ir.text(word "say") end
  local calls = random(4) - 1
  for i = 1, calls do
    choice.blocks[#choice.blocks + 1] = {
      type = "tool_call", id = "call_" .. seed .. "_" .. i, name = NAMES[random(#NAMES)],
      kind = "function", args = json.encode { path = word "args" }, complete = true,
    }
  end
  if calls == 0 and random(2) == 1 then choice.blocks[#choice.blocks + 1] = ir.text(word "say") end
  if #choice.blocks == 0 or choice.blocks[#choice.blocks].type == "thinking" then
    choice.blocks[#choice.blocks + 1] = ir.text(word "say")
  end
  choice.stop = { reason = calls > 0 and "tool_call" or "end" }
  return response
end

--- Frames as bytes of a stream.
function M.bytes(frames)
  local parts = {}
  for i, frame in ipairs(frames) do
    local name = frame.name ~= "" and "event: " .. frame.name .. "\n" or ""
    parts[i] = name .. "data: " .. frame.data .. "\n\n"
  end
  return concat(parts)
end

return M
