--- Qwen accounts: token files, refresh, login with a device code.

local support = require "tests.support"
local json = require "json"
local oauth = require "lib.oauth"
local qwen = require "accounts.qwen"
local wire = require "tests.wire"

local NOW = 1800001000
local TOKEN = "https://chat.qwen.ai/api/v1/oauth2/token"
local CLIENT = "f0304373b74a44d2b584a3fb70ca9e56"

local function given(...)
  local answers = { ... }
  for i, name in ipairs(answers) do
    if type(name) == "string" then answers[i] = wire.answer("qwen/" .. name) end
  end
  return support.reset { upstream = answers }
end

local FILE = { type = "qwen", access_token = "old", refresh_token = "qwen-refresh-OLD",
  email = "someone@example.com", resource_url = "portal.qwen.ai", proxy_url = "socks5://127.0.0.1:9" }

test("files of the reference are read, in old and new form", function()
  for _, name in ipairs { "file_base", "file_late" } do
    local account = qwen.read(json.decode(wire.file("qwen/" .. name)), name .. ".json")[1]
    same({ account.secret, account.base_url, account.hosts }, { "EXAMPLE-ACCESS",
      "https://portal.qwen.ai/v1", { "https://portal.qwen.ai/v1" } })
  end
  same(qwen.read({ access_token = "a" }, "x.json")[1].label, "x.json")
  same({ qwen.read({ access_token = "" }, "x.json") }, { nil, "the file has no access_token" })
end)

test("a resource_url in any form is the base of requests", function()
  for resource, base in pairs {
    ["portal.qwen.ai"] = "https://portal.qwen.ai/v1",
    ["portal.qwen.ai/v1"] = "https://portal.qwen.ai/v1",
    ["https://portal.qwen.ai/v1//"] = "https://portal.qwen.ai/v1",
    ["http://127.0.0.1:8080/x/"] = "http://127.0.0.1:8080/x/v1",
    [""] = "https://portal.qwen.ai/v1",
  } do
    same(qwen.base_url(resource), base)
  end
  same(qwen.base_url(nil), "https://portal.qwen.ai/v1")
end)

test("a refresh is a form, through the account's proxy, and rotates", function()
  local state = given "tokens"
  local members = qwen.refresh(FILE)
  local call = state.calls[1]
  same({ call.url, call.proxy, call.headers["content-type"] },
    { TOKEN, "socks5://127.0.0.1:9", "application/x-www-form-urlencoded" })
  same(oauth.parse_query(call.body), { grant_type = "refresh_token", refresh_token = "qwen-refresh-OLD",
    client_id = CLIENT })
  same(members, { type = "qwen", access_token = "qwen-access-EXAMPLE",
    refresh_token = "qwen-refresh-EXAMPLE", resource_url = "portal.qwen.ai",
    last_refresh = oauth.timestamp(NOW), expired = oauth.timestamp(NOW + 21600) })
end)

test("what an answer leaves out is not overwritten", function()
  given "tokens_not_rotated"
  local members = qwen.refresh(FILE)
  same({ members.refresh_token, members.resource_url }, {})
  given { text = "{}" }
  same({ qwen.refresh(FILE) }, { nil, { message = "the answer has no access token" } })
end)

test("a refused refresh needs a login, a failing server does not", function()
  given "invalid_grant"
  local _, problem = qwen.refresh(FILE)
  same(problem.needs_login, true)
  same(problem.message:find("invalid_grant", 1, true) ~= nil, true)
  same(problem.message:find("qwen-refresh-OLD", 1, true), nil)
  given({ status = 503, text = "" }, { status = 503, text = "" }, { status = 503, text = "" })
  _, problem = qwen.refresh(FILE)
  same(problem.needs_login, nil)
  _, problem = qwen.refresh { access_token = "a" }
  same(problem.needs_login, true)
end)

-- --- login ---------------------------------------------------------------------------------------

local function session()
  return { state = ("0"):rep(32), verifier = "the-verifier", challenge = "the-challenge" }
end

test("a login asks for a device code with a challenge", function()
  local state = given "device_code"
  local made = session()
  same(qwen.login.begin(made), true)
  same(state.calls[1].url, "https://chat.qwen.ai/api/v1/oauth2/device/code")
  same(oauth.parse_query(state.calls[1].body), { client_id = CLIENT,
    scope = "openid profile email model.completion", code_challenge = "the-challenge",
    code_challenge_method = "S256" })
  same({ made.url, made.device_code, made.user_code, made.interval, made.expires_in }, {
    "https://chat.qwen.ai/authorize?user_code=ABCD-1234&client=qwen-code", "device-EXAMPLE", "ABCD-1234",
    5, 900 })
  same(qwen.login.verifier_bytes, 32)
  -- All of it can be kept as JSON.
  same(json.decode(json.encode(made)), made)
end)

test("no device code, no login", function()
  given "device_code_missing"
  local fine, message = qwen.login.begin(session())
  same(fine, nil)
  same(message, "no device code was given: status 200")
  given { error = { code = "unreachable", message = "could not connect" } }
  same({ qwen.login.begin(session()) }, { nil, "could not connect" })
end)

local function poll(made, answer, options)
  local state = given(answer)
  local result, message = qwen.login.poll(made, options or {})
  return result, message, state
end

test("polling goes on while nobody has agreed, slower when told so", function()
  local made = session()
  made.device_code, made.interval = "d", 5
  local result, _, state = poll(made, "authorization_pending")
  same(result, "wait")
  same(oauth.parse_query(state.calls[1].body), {
    grant_type = "urn:ietf:params:oauth:grant-type:device_code", client_id = CLIENT,
    device_code = "d", code_verifier = "the-verifier" })
  same(poll(made, "slow_down"), "wait")
  same(made.interval, 7.5)
  same(poll(made, "slow_down_429"), "wait")
  same(made.interval, 10)
  same(poll(made, "slow_down"), "wait")
  same(made.interval, 10)
  same(poll(made, { error = { code = "unreachable", message = "x" } }), "wait")
  same(poll(made, { status = 502, text = "" }), "wait")
end)

test("polling ends when the code does, or the person says no", function()
  local made = session()
  made.interval = 5
  same(select(2, poll(made, "expired_token")), "device code expired")
  same(select(2, poll(made, "access_denied")), "access was denied")
  same(select(2, poll(made, "invalid_grant")),
    "status 400, invalid_grant: The refresh token is invalid or expired.")
  same(select(2, poll(made, { text = "{}" })), "status 200")
end)

test("the account is named by its owner, or by the clock", function()
  local made = session()
  made.interval = 5
  local saved = poll(made, "tokens", { ask = function() return "me/you@example.com" end })
  same(saved.name, "qwen-me_you@example.com.json")
  same(saved.document, { type = "qwen", access_token = "qwen-access-EXAMPLE",
    refresh_token = "qwen-refresh-EXAMPLE", resource_url = "portal.qwen.ai", email = "me/you@example.com",
    last_refresh = oauth.timestamp(NOW), expired = oauth.timestamp(NOW + 21600) })
  same(saved.same { type = "qwen", email = "me/you@example.com" }, true)
  same(saved.same { type = "claude", email = "me/you@example.com" }, false)
  saved = poll(made, "tokens")
  same(saved.name, "qwen-qwen-1800001000000.json")
  same(saved.document.email, "qwen-1800001000000")
  saved = poll(made, "tokens", { ask = function() return "" end })
  same(saved.document.email, "qwen-1800001000000")
end)
