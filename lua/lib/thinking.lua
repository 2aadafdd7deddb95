--- How much a model is to think: levels, budgets, suffixes of model names, and what a target takes.

local data = require "models.thinking"
local ir = require "lib.ir"

local lower, match, sub, tointeger = string.lower, string.match, string.sub, math.tointeger

local M = {}

local rank = {}
for i, level in ipairs(data.levels) do rank[level] = i end

--- The level that a budget stands for.
--- @param budget integer
--- @return string  a level, "off" or "auto"
function M.level(budget)
  if budget == 0 then return "off" end
  if budget < 0 then return "auto" end
  for _, row in ipairs(data.ceilings) do
    if budget <= row[1] then return row[2] end
  end
  return "max"
end

--- @param level string
--- @return integer  0 for "off", -1 for "auto" and what is no level
function M.budget(level)
  return data.budgets[level] or level == "off" and 0 or -1
end

--- @param value any
--- @return boolean
function M.is_level(value)
  return rank[value] ~= nil
end

--- Reads a word for an amount: a level, "none", "auto", ...
--- @param word string
--- @return table? reasoning  {mode, level}; nil for other words
function M.word(word)
  word = lower(word)
  if rank[word] then return { mode = "level", level = word } end
  local mode = data.words[word]
  return mode and { mode = mode } or nil
end

--- Reads a number of tokens.
--- @param budget integer
--- @return table reasoning
function M.tokens(budget)
  if budget == 0 then return { mode = "off" } end
  if budget < 0 then return { mode = "auto" } end
  return { mode = "budget", budget = budget }
end

-- The amount a suffix names; a bare number counts where `numbers` is true.
local function amount(value, numbers)
  local found = M.word(value)
  if not found then
    local digits = match(lower(value), "^thinking%-(%d+)$") or numbers and match(value, "^%d+$")
    -- Digits without end are as good as the largest budget.
    local budget = digits and (tointeger(tonumber(digits)) or math.maxinteger)
    found = budget and M.tokens(budget) or nil
  end
  if found then found.from_suffix = true end
  return found
end

--- Takes an amount of reasoning off a model's name.
--- @param model string
--- @param known fun(name: string): boolean?  true for names of models
--- @return string model
--- @return table? reasoning
--- @return string? odd  a suffix that was taken off but says nothing
function M.suffix(model, known)
  local base, value = match(model, "^(.+)%(([^()]*)%)$")
  if base then
    local reasoning = amount(value, true)
    return base, reasoning, not reasoning and value or nil
  end
  if not known then return model end
  local effort = data.efforts[model]
  if effort and known(effort.model) then
    return effort.model, { mode = "level", level = effort.level, from_suffix = true }
  end
  if known(model) then return model end
  base, value = match(model, "^(.+):([^:]*)$")
  if base and known(base) then
    local reasoning = amount(value, true)
    if reasoning then return base, reasoning end
  end
  base, value = match(model, "^(.+)%-([Tt][Hh][Ii][Nn][Kk][Ii][Nn][Gg]%-%d+)$")
  if not base then base, value = match(model, "^(.+)%-(%a+)$") end
  if base and known(base) then
    local reasoning = amount(value, false)
    if reasoning then return base, reasoning end
  end
  return model
end

--- The supported level nearest to one; of two equally near the lower.
--- @param level string
--- @param levels string[]?
--- @return string
function M.nearest(level, levels)
  if not levels or #levels == 0 then return level end
  local best, distance
  for _, each in ipairs(levels) do
    local far = math.abs((rank[each] or 99) - rank[level])
    if not best or far < distance or far == distance and rank[each] < rank[best] then
      best, distance = each, far
    end
  end
  return best
end

local function lowest(levels)
  local best
  for _, each in ipairs(levels or {}) do
    if not best or rank[each] < rank[best] then best = each end
  end
  return best or "minimal"
end

local function within(budget, caps)
  if caps.min and budget < caps.min then return caps.min end
  if caps.max and budget > caps.max then return caps.max end
  return budget
end

-- The middle of the range, for targets that cannot choose by themselves.  Thinking is a part of the
-- output, so the range ends there.
local function middle(caps, limit)
  local top = caps.max or 32768
  if limit and limit < top then top = limit end
  return ((caps.min or 1024) + top) // 2
end

local fits = {}

-- Each takes the wanted amount and gives {mode, level, budget, hidden}, or nil to leave it out.

function fits.level(want, caps, ctx)
  local mode, level = want.mode, want.level
  if mode == "budget" then
    if caps.kind == "hybrid" then
      return { mode = "budget", budget = within(want.budget, caps) }
    end
    level = M.level(want.budget)
  elseif mode == "auto" then
    if caps.kind == "adaptive" or caps.dynamic_ok then return { mode = "auto" } end
    -- Anthropic's own default is high; elsewhere a left out amount is the vendor's choice.
    if ctx.client.dialect ~= "anthropic" then return nil end
    level = "high"
  elseif mode == "off" then
    if caps.zero_ok and not caps.always_on then return { mode = "off" } end
    return { mode = "level", level = lowest(caps.levels), hidden = caps.always_on }
  end
  return { mode = "level", level = M.nearest(level, caps.levels) }
end
fits.hybrid, fits.adaptive = fits.level, fits.level

function fits.budget(want, caps, ctx)
  if want.mode == "off" then
    if (caps.zero_ok or ir.base(ctx.upstream.dialect) == "anthropic") and not caps.always_on then
      return { mode = "off" }
    end
    return { mode = "budget", budget = caps.min or 128, hidden = caps.always_on }
  elseif want.mode == "auto" then
    if caps.dynamic_ok then return { mode = "auto" } end
    return { mode = "budget", budget = middle(caps, ctx.caps and ctx.caps.max_output) }
  end
  return { mode = "budget", budget = within(want.budget or M.budget(want.level), caps) }
end

function fits.unknown(want, _, ctx)
  local base = ir.base(ctx.upstream.dialect)
  if base == "anthropic" or base == "gemini" then return want end
  if want.mode == "budget" then return { mode = "level", level = M.level(want.budget) } end
  if want.mode == "off" then ctx.warn("drop.param", "reasoning", "nobody knows how to turn it off") end
  return want.mode == "level" and want or nil
end

local function differs(want, got)
  if want.mode == "level" and got.mode == "level" then return want.level ~= got.level end
  if want.mode == "budget" and got.mode == "budget" then return want.budget ~= got.budget end
  if want.mode == "level" and got.mode == "budget" then
    return M.budget(want.level) ~= got.budget
  end
  return want.mode == "off" and got.mode ~= "off"
end

--- Fits a wish into what a target takes.  What comes back has the form of the target's kind:
--- a level for `level` and `adaptive`, a budget for `budget`, either for `hybrid`; or `off`, or
--- `auto`.
--- @param reasoning table?
--- @param caps table  Caps.thinking
--- @param ctx TranslationContext
--- @return table? reasoning  nil: say nothing to the upstream; mode nil: only visibility
function M.fit(reasoning, caps, ctx)
  if not reasoning then return nil end
  if caps.kind == "none" then
    if reasoning.mode ~= "off" then
      ctx.warn("drop.param", "reasoning", "the model does not think")
    end
    return nil
  end
  local fitted = {}
  for name, value in pairs(reasoning) do fitted[name] = value end
  if not reasoning.mode then return fitted end
  local want = reasoning
  if want.mode == "budget" and want.budget <= 0 then
    want = { mode = want.budget == 0 and "off" or "auto" }
  end
  local got = (fits[caps.kind] or fits.unknown)(want, caps, ctx)
  if not got then
    if reasoning.visible == nil then return nil end
    fitted.mode, fitted.level, fitted.budget = nil, nil, nil
    -- Nothing is left to be hidden or shown when thinking was to be off.
    return want.mode ~= "off" and fitted or nil
  end
  if caps.kind ~= "unknown" and differs(want, got) then
    ctx.warn("clamp", "reasoning", got.level or got.budget and tostring(got.budget) or got.mode)
  end
  fitted.mode, fitted.level, fitted.budget = got.mode, got.level, got.budget
  if got.hidden then fitted.visible = false end
  if got.mode == "off" then fitted.visible = nil end
  return fitted
end

return M
