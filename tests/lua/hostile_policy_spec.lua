--- Members about selection in a token file, of the wrong kind in any place: requests are served, and
--- people are told how the account stands.

local support = require "tests.support"
require "tests.login_support"
local explain = require "core.explain"
local explain_text = require "core.explain_text"
local hostile = require "tests.hostile"
local json = require "json"
local token_files = require "core.token_files"

local POLICY = {
  disabled = false, prefix = "team", priority = 1, weight = 2, note = "n", headers = { ["X-A"] = "$X-B" },
  excluded_models = { "a*" }, model_aliases = { { name = "qwen3-coder-plus", alias = "b", fork = true } },
  request_retry = 1, disable_cooling = false,
  request_scoped_errors = { { status = 429, match = { "m" }, ["match-regexr"] = { "m+" },
    action = "continue" } },
}

local function account(id, entry)
  return { id = id, provider = "qwen", name = "qwen", kind = "oauth", label = id, file = id,
    base_url = "https://portal.qwen.ai/v1", entry = entry, facts = {}, refreshable = true,
    expires = 1900000000 }
end

for _, strategy in ipairs { "round-robin", "weighted-round-robin", "fill-first" } do
  test("odd members about selection harm nobody, " .. strategy, function()
    hostile.each(POLICY, function(odd)
      -- As workers get it: through JSON.
      local entry = json.decode(json.encode(token_files.policy(odd)))
      local first = true
      support.reset {
        credentials = { account("a.json", entry), account("b.json", {}) },
        values = { routing = { strategy = strategy }, ["save-cooldown-status"] = true },
        upstream = function()
          if first then
            first = false
            return { status = 429, text = '{"error":{"message":"m"}}' }
          end
          return { text = '{"id":"1","choices":[]}' }
        end,
      }
      -- The odd one may be kept out, and the other one was refused.
      local status = support.chat('{"model":"qwen3-coder-plus","messages":[]}').status
      assert(status == 200 or status == 429, status)
      status = support.chat('{"model":"b","messages":[]}').status
      assert(status == 200 or status == 404 or status == 429 or status == 503, status)
      for _, live in ipairs { true, false } do
        local report = json.decode(json.encode(explain.report("qwen3-coder-plus", "chat", live)))
        assert(type(explain_text.report(report, false)) == "string")
      end
    end)
  end)
end
