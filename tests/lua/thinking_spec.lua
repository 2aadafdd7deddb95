--- Amounts of reasoning.

local thinking = require "lib.thinking"
local warnings = require "lib.warnings"

local models = { ["gpt-5"] = true, ["gemini-2.5-pro"] = true, ["claude-sonnet-4-5"] = true,
  ["o-mini-high"] = true, ["o-mini"] = true }
local function known(name) return models[name] == true end

local function suffix(name) return { thinking.suffix(name, known) } end

test("levels and budgets stand for each other", function()
  for level, budget in pairs { minimal = 512, low = 1024, medium = 8192, high = 24576, xhigh = 32768, max = 128000 } do
    same(thinking.budget(level), budget)
    same(thinking.level(budget), level)
  end
  same({ thinking.level(0), thinking.level(-1), thinking.level(513), thinking.level(49153) },
    { "off", "auto", "low", "max" })
end)

test("a suffix in parentheses always counts", function()
  same(suffix "gemini-2.5-pro(8192)", { "gemini-2.5-pro", { mode = "budget", budget = 8192, from_suffix = true } })
  same(suffix "x(HIGH)", { "x", { mode = "level", level = "high", from_suffix = true } })
  same(suffix "x(0)", { "x", { mode = "off", from_suffix = true } })
  same(suffix "x(-1)", { "x", { mode = "auto", from_suffix = true } })
  same(suffix "x(often)", { "x", nil, "often" })
  same(suffix "x()", { "x", nil, "" })
end)

test("other suffixes count only behind the name of a model", function()
  same(suffix "gpt-5-high", { "gpt-5", { mode = "level", level = "high", from_suffix = true } })
  same(suffix "claude-sonnet-4-5-thinking", { "claude-sonnet-4-5", { mode = "auto", from_suffix = true } })
  same(suffix "claude-sonnet-4-5-thinking-2000",
    { "claude-sonnet-4-5", { mode = "budget", budget = 2000, from_suffix = true } })
  same(suffix "gpt-5:1024", { "gpt-5", { mode = "budget", budget = 1024, from_suffix = true } })
  same(suffix "gpt-5:none", { "gpt-5", { mode = "off", from_suffix = true } })
  same(suffix "gpt-5-1024", { "gpt-5-1024" })
  same(suffix "o-mini-high", { "o-mini-high" })
  same(suffix "unknown-high", { "unknown-high" })
  same({ thinking.suffix "gpt-5-high" }, { "gpt-5-high" })
end)

local function fit(reasoning, caps, client, upstream)
  local warn, list = warnings.new()
  local got = thinking.fit(reasoning, caps, {
    client = { dialect = client or "chat" }, upstream = { dialect = upstream or "responses" }, warn = warn,
  })
  return got, #list
end

local function mode(...)
  local got, warned = fit(...)
  return got and { got.mode, got.level or got.budget, warned } or { "nothing", warned }
end

local GPT = { kind = "level", levels = { "minimal", "low", "medium", "high" } }
local CLAUDE = { kind = "adaptive", levels = { "low", "medium", "high", "max" }, zero_ok = true }
local OLD_CLAUDE = { kind = "budget", min = 1024, max = 64000, zero_ok = true }
local FLASH = { kind = "budget", min = 0, max = 24576, zero_ok = true, dynamic_ok = true }
local PRO = { kind = "budget", min = 128, max = 32768, dynamic_ok = true }

test("what the client did not say is not said to the upstream", function()
  same(fit(nil, GPT), nil)
  same(fit({ visible = true }, GPT), { visible = true })
end)

test("an amount is fitted into what the target takes", function()
  same(mode({ mode = "level", level = "xhigh" }, GPT), { "level", "high", 1 })
  same(mode({ mode = "budget", budget = 8000 }, GPT), { "level", "medium", 0 })
  same(mode({ mode = "off" }, GPT), { "level", "minimal", 1 })
  same(mode({ mode = "auto" }, GPT), { "nothing", 0 })
  same(mode({ mode = "auto" }, GPT, "anthropic"), { "level", "high", 0 })
  same(mode({ mode = "level", level = "minimal" }, CLAUDE, "chat", "anthropic"), { "level", "low", 1 })
  same(mode({ mode = "level", level = "xhigh" }, CLAUDE, "chat", "anthropic"), { "level", "high", 1 })
  same(mode({ mode = "auto" }, CLAUDE, "chat", "anthropic"), { "auto", nil, 0 })
  same(mode({ mode = "off" }, CLAUDE, "chat", "anthropic"), { "off", nil, 0 })
  same(mode({ mode = "level", level = "low" }, OLD_CLAUDE, "chat", "anthropic"), { "budget", 1024, 0 })
  same(mode({ mode = "auto" }, OLD_CLAUDE, "chat", "anthropic"), { "budget", 32512, 0 })
  same(mode({ mode = "auto" }, FLASH, "chat", "gemini"), { "auto", nil, 0 })
  same(mode({ mode = "off" }, PRO, "chat", "gemini"), { "budget", 128, 1 })
  same(mode({ mode = "level", level = "max" }, PRO, "chat", "gemini"), { "budget", 32768, 1 })
  same(mode({ mode = "budget", budget = -1 }, PRO, "chat", "gemini"), { "auto", nil, 0 })
end)

test("a model that does not think is not asked to", function()
  same(mode({ mode = "level", level = "low" }, { kind = "none" }), { "nothing", 1 })
  same(mode({ mode = "off" }, { kind = "none" }), { "nothing", 0 })
end)

test("an unknown model gets what was asked for", function()
  same(mode({ mode = "level", level = "max" }, { kind = "unknown" }, "anthropic", "chat"), { "level", "max", 0 })
  same(mode({ mode = "budget", budget = 4000 }, { kind = "unknown" }, "anthropic", "chat"), { "level", "medium", 0 })
  same(mode({ mode = "off" }, { kind = "unknown" }, "anthropic", "chat"), { "nothing", 1 })
end)

test("nothing is hidden or shown when thinking is off, and forced thinking stays hidden", function()
  same(fit({ mode = "off", visible = false }, CLAUDE, "chat", "anthropic"), { mode = "off" })
  local got = fit({ mode = "off" }, { kind = "adaptive", levels = { "low", "high" }, always_on = true }, "chat", "anthropic")
  same({ got.mode, got.level, got.visible }, { "level", "low", false })
end)
