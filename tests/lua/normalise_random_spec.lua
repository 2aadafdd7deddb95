--- Random histories: whatever a client sends, what is encoded keeps the rules of the targets.

local caps = require "lib.caps"
local ir = require "lib.ir"
local json = require "json"
local normalise = require "lib.normalise"
local reject = require "lib.reject"

-- A generator of our own, so that a failure comes again.
local state = 7
local function random(n)
  state = (state * 1103515245 + 12345) % 2147483648
  return state // 65536 % n + 1
end
local function pick(list) return list[random(#list)] end

local IDS = { "a", "b", "c.1", "d", ("L"):rep(200), "" }
local NAMES = { "Read", "crop.image", "mcp__" .. ("x"):rep(80), "1st" }
local TEXTS = { "hi", "", "  ", "more", "x\n" }
local FAMILIES = { "anthropic", "openai", "google", "none" }

local make = {
  text = function() return ir.text(pick(TEXTS)) end,
  thinking = function()
    return { type = "thinking", text = pick { "", "T" }, form = "summary",
      sig = random(2) == 1 and { family = pick(FAMILIES), kind = pick { "thinking", "call", "text" }, data = "D" } or nil }
  end,
  tool_call = function()
    return { type = "tool_call", id = pick(IDS), name = pick(NAMES), kind = pick { "function", "custom" },
      namespace = pick { nil, "ns" }, args = pick { "{}", '{"a":1}', "bad" }, complete = true }
  end,
  tool_result = function()
    return { type = "tool_result", call_id = pick(IDS), kind = "function", is_error = false, content = { ir.text(pick(TEXTS)) } }
  end,
  image = function() return { type = "image", source = { kind = "base64", media_type = "image/png", data = "iVBORw0=" } } end,
}
local KINDS = { "text", "text", "thinking", "tool_call", "tool_call", "tool_result", "tool_result", "image" }

local function history()
  local request = ir.request()
  request.model = "m"
  for i = 1, random(8) do
    local turn = ir.turn(pick { "user", "assistant", "user", "assistant", "instruction" })
    if turn.role == "instruction" then
      turn.blocks[1] = ir.text "I"
    else
      for j = 1, random(4) do turn.blocks[j] = make[pick(KINDS)]() end
    end
    request.turns[i] = turn
  end
  if random(2) == 1 then request.tools[1] = { kind = "custom", name = "Read", extras = {} } end
  return request
end

local targets = {
  { "qwen-x", "openai_compatibility", "chat" }, { "kimi-k2", "openai_compatibility", "chat" },
  { "gpt-5.5", "codex", "responses" }, { "claude-opus-4-7", "claude", "anthropic" },
  { "claude-sonnet-4-5", "claude", "anthropic" }, { "claude-opus-4-8", "claude", "anthropic" },
  { "gemini-3-flash-preview", "gemini", "gemini" }, { "gemini-2.5-pro", "gemini", "gemini" },
}

local function check_blocks(turn, calls, seen, dialect)
  local results, others = {}, false
  for _, block in ipairs(turn.blocks) do
    if block.type == "tool_result" then
      assert(turn.role == "user" and not others, "results come first in a user turn")
      results[#results + 1] = block.call_id
      assert(block.name and block.name ~= "", "a result has a name")
    else
      others = true
    end
    if block.type == "tool_call" then
      assert(turn.role == "assistant", "calls are the assistant's")
      assert(not seen[block.id], "ids are unique")
      seen[block.id] = true
      assert(block.namespace == nil, "names are flat")
      assert(#block.name <= 128 and not block.name:find(dialect == "gemini" and "[^%w_.:-]" or "[^%w_-]"), block.name)
      if dialect == "anthropic" then assert(#block.id <= 128 and not block.id:find "[^%w_-]" and block.id ~= "") end
      if dialect == "responses" or dialect == "chat" then assert(#block.id <= 64) end
      assert(dialect == "responses" or block.kind == "function", "custom calls are wrapped")
      calls[#calls + 1] = block.id
    elseif block.type == "thinking" then
      assert(turn.role == "assistant")
      if dialect == "anthropic" then assert(block.sig.family == "anthropic") end
    elseif block.type == "text" then
      assert(block.text ~= "" or block.sig, "no empty text")
    end
  end
  return results
end

local function check(request, dialect, caps_)
  local pending, seen = {}, {}
  local joined = dialect == "anthropic" or dialect == "gemini"
  for i, turn in ipairs(request.turns) do
    assert(#turn.blocks > 0, "no empty turn")
    local calls = {}
    local results = check_blocks(turn, calls, seen, dialect)
    same(results, pending)
    pending = calls
    if joined and i > 1 and turn.role ~= "instruction" then
      assert(request.turns[i - 1].role ~= turn.role, "roles take turns")
    end
  end
  same(pending, {})
  if joined then assert(request.turns[1].role == "user") end
  if not caps_.prefill then assert(request.turns[#request.turns].role ~= "assistant") end
end

local function copied(value)
  if type(value) ~= "table" or json.is_raw(value) then return value end
  local made = {}
  for name, inner in pairs(value) do made[name] = copied(inner) end
  return made
end

test("random histories keep the rules of every target", function()
  local fine = 0
  for round = 1, 1500 do
    local request, target = history(), targets[round % #targets + 1]
    local before = copied(request)
    local ctx = {
      caps = caps.of(target[1], target[2]), warn = function() end,
      client = { dialect = "chat" }, upstream = { dialect = target[3] }, upstream_model = target[1],
    }
    local ok, got = pcall(normalise.run, request, ctx)
    if ok then
      fine = fine + 1
      check(got, target[3], ctx.caps)
      -- What was decoded only gains the names of its results.
      for i, turn in ipairs(before.turns) do
        for j, block in ipairs(turn.blocks) do
          local now = request.turns[i].blocks[j]
          for name, value in pairs(block) do
            if type(value) ~= "table" then same(now[name], value) end
          end
        end
      end
    else
      assert(reject.is(got), tostring(got))
    end
  end
  assert(fine > 1200, fine)
end)
