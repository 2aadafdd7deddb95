--- Claude models: what is listed, and what each one takes.

local function model(id, name, created, context, output, thinking)
  return {
    id = id, display_name = name, created = created, context_length = context,
    max_completion_tokens = output, thinking = thinking,
  }
end

-- Anthropic's own short name of a model, in no list.
local function short(id, of)
  of.id, of.upstream, of.hidden = id, of.id, true
  return of
end

local M1, K200 = 1000000, 200000
local BUDGET = { kind = "budget", min = 1024, max = 128000 }
local BUDGET_OR_NONE = { kind = "budget", min = 1024, max = 128000, zero_ok = true }
local LEVELS_MAX = { "low", "medium", "high", "max" }
local LEVELS_XMAX = { "low", "medium", "high", "xhigh", "max" }
local function hybrid(levels)
  return { kind = "hybrid", min = 1024, max = 128000, zero_ok = true, levels = levels }
end
local ADAPTIVE = { kind = "adaptive", zero_ok = true, dynamic_ok = true, levels = LEVELS_XMAX }

return {
  shared = { owned_by = "anthropic", type = "claude", created = 1759276800 },
  models = {
    model("claude-opus-5", "Claude Opus 5", nil, M1, 128000, ADAPTIVE),
    model("claude-sonnet-5", "Claude Sonnet 5", nil, M1, 128000, ADAPTIVE),
    model("claude-fable-5", "Claude Fable 5", nil, M1, 128000, hybrid(LEVELS_XMAX)),
    model("claude-opus-4-8", "Claude Opus 4.8", nil, M1, 128000, hybrid(LEVELS_XMAX)),
    model("claude-opus-4-7", "Claude Opus 4.7", nil, M1, 128000, hybrid(LEVELS_XMAX)),
    model("claude-opus-4-6", "Claude Opus 4.6", nil, M1, 128000, hybrid(LEVELS_MAX)),
    model("claude-sonnet-4-6", "Claude Sonnet 4.6", nil, K200, 64000, hybrid(LEVELS_MAX)),
    model("claude-opus-4-5-20251101", "Claude 4.5 Opus", 1761955200, K200, 64000,
      BUDGET_OR_NONE),
    model("claude-haiku-4-5-20251001", "Claude 4.5 Haiku", 1759276800, K200, 64000,
      BUDGET_OR_NONE),
    model("claude-sonnet-4-5-20250929", "Claude 4.5 Sonnet", 1759104000, K200, 64000,
      BUDGET_OR_NONE),
    model("claude-opus-4-1-20250805", "Claude 4.1 Opus", 1754352000, K200, 32000, BUDGET),
    model("claude-opus-4-20250514", "Claude 4 Opus", 1747180800, K200, 32000, BUDGET),
    model("claude-sonnet-4-20250514", "Claude 4 Sonnet", 1747180800, K200, 64000, BUDGET),
    model("claude-3-7-sonnet-20250219", "Claude 3.7 Sonnet", 1739923200, 128000, 8192, BUDGET),
    model("claude-3-5-haiku-20241022", "Claude 3.5 Haiku", 1729555200, 128000, 8192,
      { kind = "none" }),
    short("claude-opus-4-5", model("claude-opus-4-5-20251101", "Claude 4.5 Opus", 1761955200, K200,
      64000, BUDGET_OR_NONE)),
    short("claude-haiku-4-5", model("claude-haiku-4-5-20251001", "Claude 4.5 Haiku", 1759276800, K200,
      64000, BUDGET_OR_NONE)),
    short("claude-sonnet-4-5", model("claude-sonnet-4-5-20250929", "Claude 4.5 Sonnet", 1759104000,
      K200, 64000, BUDGET_OR_NONE)),
    short("claude-opus-4-1", model("claude-opus-4-1-20250805", "Claude 4.1 Opus", 1754352000, K200,
      32000, BUDGET)),
    -- Samples in older documents call it: it reaches the upstream, and is in no list.
    {
      id = "claude-3-5-sonnet-20241022", display_name = "Claude 3.5 Sonnet", created = 1729555200,
      context_length = K200, max_completion_tokens = 8192, thinking = { kind = "none" },
      hidden = true,
    },
  },
}
