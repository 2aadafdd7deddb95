--- Codex accounts: token files, refresh, logins.

local support = require "tests.support"
local codex = require "accounts.codex"
local crypto = require "crypto"
local json = require "json"
local oauth = require "lib.oauth"

local NOW = 1800001000
local ISSUER = "https://auth.openai.com"
local CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
local ACCOUNT = "00000000-1111-2222-3333-444444444444"

local function jwt(claims)
  local function part(value) return crypto.base64url_encode(json.encode(value)) end
  return part { alg = "none" } .. "." .. part(claims) .. ".c2ln"
end

local function identity(email, account, plan)
  return jwt { email = email, ["https://api.openai.com/auth"] =
    { chatgpt_account_id = account, chatgpt_plan_type = plan } }
end

local ID = identity("one@example.com", ACCOUNT, "plus")
local ACCESS = jwt { exp = NOW + 864000 }

local function tokens(members)
  local all = { id_token = ID, access_token = ACCESS, refresh_token = "rt_new", expires_in = 863999 }
  for name, value in pairs(members or {}) do all[name] = value or nil end
  return { text = json.encode(all) }
end

local function given(...)
  return support.reset { upstream = { ... } }
end

local FILE = {
  type = "codex", id_token = ID, access_token = ACCESS, refresh_token = "rt_old",
  account_id = ACCOUNT, email = "one@example.com",
}

local function form(call) return oauth.parse_query(call.body) end

test("a token file offers one account with its workspace and plan", function()
  same(codex.read(FILE, "codex-one@example.com.json"), { {
    label = "one@example.com", secret = ACCESS, hosts = { "https://chatgpt.com" },
    base_url = "https://chatgpt.com/backend-api/codex", expires = NOW + 864000,
    facts = { account_id = ACCOUNT, plan = "plus" },
  } })
end)

test("what a file does not say its tokens may", function()
  local account = codex.read({ access_token = "opaque", id_token = ID }, "x.json")[1]
  same({ account.label, account.facts, account.expires },
    { "one@example.com", { account_id = ACCOUNT, plan = "plus" }, nil })
  account = codex.read({ access_token = identity(nil, "acc", "pro"), id_token = "" }, "x.json")[1]
  same({ account.label, account.facts }, { "x.json", { account_id = "acc", plan = "pro" } })
  same({ codex.read({ access_token = "" }, "x.json") }, { nil, "the file has no access_token" })
  same({ codex.read({ access_token = "opaque" }, "x.json") }, { nil, "the file names no account_id" })
end)

test("a refresh sends a form and gives what changes", function()
  local state = given(tokens { id_token = identity("new@example.com", "acc-2", "pro") })
  local members = codex.refresh(FILE)
  local call = state.calls[1]
  same({ call.url, call.headers["content-type"], call.headers.accept },
    { ISSUER .. "/oauth/token", "application/x-www-form-urlencoded", "application/json" })
  same(form(call), { client_id = CLIENT, grant_type = "refresh_token", refresh_token = "rt_old",
    scope = "openid profile email" })
  same(members, {
    type = "codex", id_token = identity("new@example.com", "acc-2", "pro"), access_token = ACCESS,
    refresh_token = "rt_new", account_id = "acc-2", email = "new@example.com",
    last_refresh = oauth.timestamp(NOW), expired = oauth.timestamp(NOW + 863999),
  })
end)

test("what an answer leaves out is not overwritten", function()
  given(tokens { id_token = false, refresh_token = false, expires_in = false })
  same(codex.refresh(FILE), { type = "codex", access_token = ACCESS,
    last_refresh = oauth.timestamp(NOW), expired = oauth.timestamp(NOW + 864000) })
  given(tokens { id_token = jwt { email = "" } })
  local members = codex.refresh(FILE)
  same({ members.email, members.account_id }, { nil, nil })
end)

test("spent and refused tokens need a login and are never sent again", function()
  for _, text in ipairs {
    '{"error":{"code":"refresh_token_reused","message":"used: rt_old"}}',
    '{"error":{"code":"refresh_token_expired"}}', '{"error":"refresh_token_invalidated"}',
    '{"error":"invalid_grant"}',
  } do
    for _, status in ipairs { 400, 401 } do
      local state = given { status = status, text = text }
      local _, problem = codex.refresh(FILE)
      same({ problem.needs_login, problem.message:find("rt_old", 1, true), #state.calls },
        { true, nil, 1 })
    end
  end
end)

test("a lost answer is asked for once more with the same token", function()
  local lost = { error = { code = "timeout", message = "no whole answer" } }
  local state = given(lost, tokens())
  same(codex.refresh(FILE).refresh_token, "rt_new")
  same(state.calls[1].body, state.calls[2].body)
  given(lost, { status = 401, text = '{"error":{"code":"refresh_token_reused"}}' })
  local _, problem = codex.refresh(FILE)
  same(problem.needs_login, true)
  state = given({ status = 503 }, { status = 503 }, { status = 503 })
  _, problem = codex.refresh(FILE)
  same({ problem.needs_login, #state.calls, state.slept }, { nil, 3, { 1, 2 } })
end)

local function session()
  return { state = ("ab"):rep(16), verifier = ("v"):rep(128), challenge = ("c"):rep(43) }
end

test("the login page gets what is registered, and our own name", function()
  local made = session()
  codex.login.begin(made, { redirect_uri = "http://localhost:9999/auth/callback" })
  local query = oauth.parse_query(made.url:match "^https://auth%.openai%.com/oauth/authorize%?(.*)$")
  same(query, {
    client_id = CLIENT, response_type = "code", redirect_uri = "http://localhost:1455/auth/callback",
    scope = "openid email profile offline_access", state = ("ab"):rep(16),
    code_challenge = ("c"):rep(43), code_challenge_method = "S256", prompt = "login",
    id_token_add_organizations = "true", codex_cli_simplified_flow = "true",
    originator = "cli-proxy-api",
  })
  codex.login.begin(made, { redirect_uri = "http://localhost:1457/auth/callback" })
  same(oauth.parse_query(made.url).redirect_uri, "http://localhost:1457/auth/callback")
end)

test("a code becomes a token file", function()
  local state = given(tokens())
  local made = session()
  codex.login.begin(made, {})
  local saved = codex.login.finish(made, "code-1")
  same(form(state.calls[1]), {
    grant_type = "authorization_code", client_id = CLIENT, code = "code-1",
    redirect_uri = "http://localhost:1455/auth/callback", code_verifier = ("v"):rep(128),
  })
  same(saved.document, {
    type = "codex", id_token = ID, access_token = ACCESS, refresh_token = "rt_new",
    account_id = ACCOUNT, email = "one@example.com", last_refresh = oauth.timestamp(NOW),
    expired = oauth.timestamp(NOW + 863999),
  })
  same({ saved.name, saved.other_name }, { "codex-one@example.com.json",
    "codex-" .. crypto.sha256_hex(ACCOUNT):sub(1, 8) .. "-one@example.com-plus.json" })
  same({ saved.same { type = "codex", account_id = ACCOUNT, email = "other@example.com" },
    saved.same { type = "codex", account_id = "other", email = "one@example.com" } }, { true, false })
end)

test("long names leave out what is not known and have plain plans", function()
  given(tokens { id_token = identity("one@example.com", ACCOUNT, "Self Serve__Team") })
  local made = session()
  codex.login.begin(made, {})
  same(codex.login.finish(made, "c").other_name:match "one@.*", "one@example.com-self-serve-team.json")
  given(tokens { id_token = identity("one@example.com", ACCOUNT, nil) })
  same(codex.login.finish(made, "c").other_name:match "one@.*", "one@example.com.json")
end)

test("a login without an address or a workspace fails", function()
  local made = session()
  codex.login.begin(made, {})
  given(tokens { id_token = identity(nil, ACCOUNT) })
  same({ codex.login.finish(made, "c") },
    { nil, "the account has no email address, so its file has no name" })
  given(tokens { id_token = identity("one@example.com") })
  same({ codex.login.finish(made, "c") }, { nil, "the login names no ChatGPT account" })
  given(tokens { id_token = jwt { ["https://api.openai.com/profile"] = { email = "two@example.com" },
    ["https://api.openai.com/auth"] = { chatgpt_account_id = "a" } } })
  same(codex.login.finish(made, "c").name, "codex-two@example.com.json")
end)

test("the device login shows a code, waits for it, and exchanges what comes", function()
  local made = {}
  local state = given({ text = '{"device_auth_id":"d-1","usercode":"ABCD-EFGH","interval":"7"}' },
    { status = 403, text = "{}" }, { status = 404 }, { error = { code = "broken", message = "m" } },
    { text = '{"authorization_code":"ac","code_verifier":"cv","code_challenge":"cc"}' }, tokens())
  same(codex.device_login.begin(made), true)
  same(made, { device_auth_id = "d-1", user_code = "ABCD-EFGH", interval = 7, expires_in = 900,
    url = ISSUER .. "/codex/device" })
  for _ = 1, 3 do same((codex.device_login.poll(made)), "wait") end
  same(codex.device_login.poll(made).name, "codex-one@example.com.json")
  same({ state.calls[1].url, json.decode(state.calls[1].body) },
    { ISSUER .. "/api/accounts/deviceauth/usercode", { client_id = CLIENT } })
  same({ state.calls[5].url, json.decode(state.calls[5].body) },
    { ISSUER .. "/api/accounts/deviceauth/token", { device_auth_id = "d-1", user_code = "ABCD-EFGH" } })
  same(form(state.calls[6]), { grant_type = "authorization_code", client_id = CLIENT, code = "ac",
    redirect_uri = ISSUER .. "/deviceauth/callback", code_verifier = "cv" })
end)

test("a device login that is not offered or refused says so", function()
  given { status = 404 }
  same({ codex.device_login.begin {} },
    { nil, "device login is not enabled for this account; use --codex-login" })
  given { status = 400, text = '{"error":"access_denied"}' }
  same({ codex.device_login.poll { device_auth_id = "d", user_code = "u" } },
    { nil, "Failed to poll for the device login: status 400, access_denied" })
end)
