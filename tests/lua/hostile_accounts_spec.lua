--- Token files written by hand, and answers of authorization servers that are broken: whatever they
--- hold, accounts are read or refused, and nothing raises.

local support = require "tests.support"
require "tests.login_support"
local crypto = require "crypto"
local hostile = require "tests.hostile"
local json = require "json"
local oauth = require "lib.oauth"
local times = require "lib.times"
local token_files = require "core.token_files"

local kinds = {}
for _, name in ipairs { "claude", "codex", "gemini_cli", "iflow", "qwen" } do
  kinds[name] = require("accounts." .. name)
end

local function jwt(claims)
  local function part(value) return crypto.base64url_encode(json.encode(value)) end
  return part { alg = "none" } .. "." .. part(claims) .. ".c2ln"
end

local CLAIMS = {
  exp = 1900000000, email = "a@example.com",
  ["https://api.openai.com/auth"] = { chatgpt_account_id = "acc", chatgpt_plan_type = "plus" },
}

local policy = {
  disabled = false, prefix = "team", priority = 1, weight = 2, note = "n", headers = { ["X-A"] = "b" },
  excluded_models = { "a*" }, model_aliases = { { name = "a", alias = "b" } }, request_retry = 1,
  disable_cooling = true, request_scoped_errors = { { status = 400, match = { "x" }, action = "stop" } },
  proxy_url = "socks5://p:1", refresh_interval_seconds = 60,
}

local files = {
  claude = { type = "claude", access_token = "at", refresh_token = "rt", email = "a@example.com",
    expired = "2030-01-01T00:00:00Z", last_refresh = "2029-01-01T00:00:00Z" },
  codex = { type = "codex", access_token = jwt(CLAIMS), id_token = jwt(CLAIMS), refresh_token = "rt",
    account_id = "acc", email = "a@example.com", expired = "2030-01-01T00:00:00Z" },
  gemini_cli = { type = "gemini", project_id = "p-1,p-2", email = "a@example.com", token = {
    access_token = "at", refresh_token = "rt", expiry = "2030-01-01T00:00:00Z", client_id = "c",
    client_secret = "s" }, access_token = "top", expiry = "2030-01-01T00:00:00Z" },
  iflow = { type = "iflow", access_token = "at", refresh_token = "rt", api_key = "sk", cookie = "BXAuth=x;",
    name = "n", base_url = "https://apis.iflow.cn/v1", email = "a", expired = "2030-01-01 00:00" },
  qwen = { type = "qwen", access_token = "at", refresh_token = "rt", resource_url = "portal.qwen.ai",
    email = "a", expired = "2030-01-01T00:00:00Z" },
}

local answers = {
  claude = { access_token = "at2", refresh_token = "rt2", token_type = "Bearer", expires_in = 28800,
    organization = { uuid = "o", name = "O" }, account = { uuid = "u", email_address = "a@example.com" } },
  codex = { access_token = jwt(CLAIMS), refresh_token = "rt2", id_token = jwt(CLAIMS), expires_in = 864000 },
  gemini_cli = { access_token = "at2", expires_in = 3599, token_type = "Bearer", refresh_token = "rt2" },
  iflow = { access_token = "at2", refresh_token = "rt2", expires_in = 172800, token_type = "bearer",
    scope = "read", success = true,
    data = { apiKey = "sk2", email = "a", phone = "1", name = "n", expireTime = "2030-01-01 00:00" } },
  qwen = { access_token = "at2", refresh_token = "rt2", expires_in = 21600, resource_url = "portal.qwen.ai" },
}

local function is_text(value) return type(value) == "string" end

-- What the keeper does with a file.
local function read(kind, document)
  local list, problem = kind.read(document, "file.json")
  if not list then return assert(is_text(problem) and problem) end
  for _, account in ipairs(list) do
    assert(is_text(account.label) and is_text(account.secret) and is_text(account.base_url))
    for _, host in ipairs(account.hosts) do assert(is_text(host)) end
    assert(account.suffix == nil or is_text(account.suffix))
    json.encode { facts = account.facts, expires = account.expires }
  end
  json.encode {
    policy = token_files.policy(document), expiry = token_files.expiry(document),
    last = token_files.last_refresh(document),
  }
  assert((token_files.interval(document) or 1) > 0)
  assert(oauth.proxy(document) == nil or is_text(oauth.proxy(document)))
  return list
end

for name, kind in pairs(kinds) do
  test("odd members in a token file of " .. name .. " raise nothing", function()
    local whole = {}
    for key, value in pairs(policy) do whole[key] = value end
    for key, value in pairs(files[name]) do whole[key] = value end
    hostile.each(whole, function(document) read(kind, document) end)
  end)

  local function refresh(document, answer, status, fields)
    support.reset { upstream = function() return { status = status, text = answer, fields = fields } end }
    local members, problem = kind.refresh(document)
    if not members then
      assert(is_text(problem.message))
      assert(problem.retry_after == nil or problem.retry_after > 0 and problem.retry_after <= 300)
      return nil
    end
    local text = token_files.merge(json.encode(document), members)
    local after = json.decode(text)
    read(kind, after)
    local expiry = token_files.expiry(after)
    assert(not expiry or is_text(times.rfc3339(expiry)))
    return after
  end

  test("odd members in an answer of the authorization server of " .. name .. " raise nothing", function()
    local document = files[name]
    for _, cookie in ipairs { "BXAuth=x;", false } do
      document.cookie = name == "iflow" and cookie or nil
      hostile.each(answers[name], function(answer)
        local after = refresh(document, json.encode(answer), 200)
        -- Whatever came, nothing that is needed was lost.
        if after then assert(is_text(kind.read(after, "f.json")[1].secret)) end
      end)
    end
  end)

  test("odd answers of the authorization server of " .. name .. " raise nothing", function()
    for _, text in ipairs(hostile.texts) do
      for _, status in ipairs { 100, 200, 201, 302, 400, 401, 403, 404, 429, 500, 599 } do
        refresh(files[name], text, status)
        refresh(files[name], text, status, { ["retry-after"] = "1e999", ["retry-after-ms"] = "x" })
        refresh(files[name], text, status, { ["retry-after"] = "-1", ["retry-after-ms"] = ("9"):rep(400) })
      end
    end
    hostile.each({ error = { code = "invalid_grant", message = "m", type = "t" } }, function(answer)
      refresh(files[name], json.encode(answer), 400)
    end)
    hostile.each({ error = "invalid_grant", error_description = "d" }, function(answer)
      refresh(files[name], json.encode(answer), 401)
    end)
  end)

  test("a refresh of a file of " .. name .. " with odd members raises nothing", function()
    hostile.each(files[name], function(document)
      refresh(document, json.encode(answers[name]), 200)
      refresh(document, '{"error":"invalid_grant"}', 400)
    end)
  end)
end
