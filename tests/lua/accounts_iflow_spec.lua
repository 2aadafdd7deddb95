--- iFlow accounts: token files, refresh, the login in the browser and the one with its cookie.

local support = require "tests.support"
local iflow = require "accounts.iflow"
local json = require "json"
local oauth = require "lib.oauth"
local times = require "lib.times"
local wire = require "tests.wire"

local NOW = 1800001000
local TOKEN = "https://iflow.cn/oauth/token"
local KEYS = "https://platform.iflow.cn/api/openapi/apikey"
local BASIC = "Basic MTAwMDkzMTEwMDE6NFozWWpYeWNWc1F2eUdGMWV0aU5sSUJCNFJzcVNEdFc="
local WHO = { client_id = "10009311001", client_secret = "4Z3YjXycVsQvyGF1etiNlIBB4RsqSDtW" }

local function given(...)
  local answers = { ... }
  for i, name in ipairs(answers) do
    if type(name) == "string" then answers[i] = wire.answer("iflow/" .. name) end
  end
  return support.reset { upstream = answers }
end

local function with_who(fields)
  for name, value in pairs(WHO) do fields[name] = value end
  return fields
end

local FILE = { type = "iflow", access_token = "old", refresh_token = "iflow-refresh-OLD",
  api_key = "sk-iflow-OLD", email = "someone@example.com", proxy_url = "http://127.0.0.1:9" }

test("files of the reference are read: requests carry the key, not the token", function()
  local account = iflow.read(json.decode(wire.file "iflow/file_base"), "a.json")[1]
  same(account, { label = "someone@example.com", secret = "sk-EXAMPLE",
    hosts = { "https://apis.iflow.cn/v1" }, base_url = "https://apis.iflow.cn/v1" })
  account = iflow.read(json.decode(wire.file "iflow/file_late"), "a.json")[1]
  same({ account.base_url, account.hosts, account.label },
    { "https://gateway.example/iflow/v1", { "https://gateway.example/iflow/v1" }, "13000000000" })
  same({ iflow.read({ type = "iflow", access_token = "a" }, "a.json") },
    { nil, "the file has no api_key" })
end)

test("a key of a cookie is renewed two days before its end", function()
  local document = json.decode(wire.file "iflow/file_cookie")
  local account = iflow.read(document, "a.json")[1]
  same({ account.lead, account.refreshable, account.secret }, { 172800, true, "sk-EXAMPLE" })
  same(times.unix(document.expired),
    os.time { year = 2025, month = 12, day = 31, hour = 12, min = 0, sec = 0 })
end)

test("a refresh asks for tokens, then for the key, both through the account's proxy", function()
  local state = given("tokens", "user_info")
  local members, problem = iflow.refresh(FILE)
  same(problem, nil)
  local first, second = state.calls[1], state.calls[2]
  same({ first.url, first.headers.authorization, first.headers.accept, first.proxy },
    { TOKEN, BASIC, "application/json", "http://127.0.0.1:9" })
  same(oauth.parse_query(first.body),
    with_who { grant_type = "refresh_token", refresh_token = "iflow-refresh-OLD" })
  same({ second.url, second.method, second.body, second.proxy }, {
    "https://iflow.cn/api/oauth/getUserInfo?accessToken=iflow-access-EXAMPLE", nil, nil,
    "http://127.0.0.1:9" })
  same(members, { type = "iflow", access_token = "iflow-access-EXAMPLE",
    refresh_token = "iflow-refresh-EXAMPLE", api_key = "sk-iflow-EXAMPLE",
    token_type = "bearer", scope = "read", last_refresh = oauth.timestamp(NOW),
    expired = oauth.timestamp(NOW + 172800) })
end)

test("new tokens are kept even where the key cannot be read", function()
  for _, answer in ipairs { "user_info_refused", "user_info_without_key",
    { error = { code = "timeout", message = "too late" } } } do
    given("tokens", answer)
    local members, problem = iflow.refresh(FILE)
    same(members.refresh_token, "iflow-refresh-EXAMPLE")
    same({ members.api_key, members.email }, {})
    same(problem.message:find "^the API key could not be read: " ~= nil, true)
  end
end)

test("a refused refresh needs a login", function()
  given "invalid_grant"
  local _, problem = iflow.refresh(FILE)
  same(problem.needs_login, true)
  _, problem = iflow.refresh { type = "iflow", api_key = "k" }
  same(problem.needs_login, true)
end)

test("a cookie's key is asked for by its name", function()
  local state = given "fresh_key"
  local document = json.decode(wire.file "iflow/file_cookie")
  same(iflow.refresh(document), { type = "iflow", api_key = "sk-iflow-FRESH",
    expired = "2026-02-07 12:00", last_refresh = oauth.timestamp(NOW) })
  same({ state.calls[1].url, state.calls[1].headers.cookie, state.calls[1].body },
    { KEYS, "BXAuth=EXAMPLE;", '{"name":"someone"}' })
  given { status = 401, text = "" }
  local _, problem = iflow.refresh(document)
  same(problem.needs_login, true)
  given "key_refused"
  _, problem = iflow.refresh(document)
  same({ problem.needs_login, problem.message }, { nil, "status 200, 401: not logged in" })
end)

-- --- logins --------------------------------------------------------------------------------------

local REDIRECT = "http://localhost:11451/oauth2callback"

test("the address has the parameters of iFlow, and no others", function()
  local session = { state = "s1", verifier = "v", challenge = "c" }
  same(iflow.login.begin(session, { redirect_uri = REDIRECT }), true)
  local base, query = session.url:match "^(.-)%?(.*)$"
  same(base, "https://iflow.cn/oauth")
  same(oauth.parse_query(query), { loginMethod = "phone", type = "phone", redirect = REDIRECT,
    state = "s1", client_id = "10009311001" })
end)

test("a code becomes tokens, a key and an identity", function()
  local state = given("tokens", "user_info")
  local saved = iflow.login.finish({ redirect = REDIRECT }, "the code")
  same(oauth.parse_query(state.calls[1].body), with_who { grant_type = "authorization_code",
    code = "the code", redirect_uri = REDIRECT })
  same(state.calls[1].headers.authorization, BASIC)
  same(saved.name, "iflow-someone@example.com.json")
  same(saved.document, { type = "iflow", access_token = "iflow-access-EXAMPLE",
    refresh_token = "iflow-refresh-EXAMPLE", api_key = "sk-iflow-EXAMPLE", email = "someone@example.com",
    token_type = "bearer", scope = "read", last_refresh = oauth.timestamp(NOW),
    expired = oauth.timestamp(NOW + 172800) })
  same(saved.same { type = "iflow", email = "someone@example.com" }, true)
  same(saved.same { type = "iflow", email = "someone@example.com", cookie = "BXAuth=x;" }, false)
  given("tokens", "user_info_by_phone")
  same(iflow.login.finish({ redirect = REDIRECT }, "c").name, "iflow-13000000000.json")
end)

test("without a key or an identity there is no account", function()
  given("tokens", "user_info_without_key")
  same({ iflow.login.finish({ redirect = REDIRECT }, "c") },
    { nil, "Failed to get the API key: the account has no API key" })
  given("tokens", { text = '{"success":true,"data":{"apiKey":"k"}}' })
  same({ iflow.login.finish({ redirect = REDIRECT }, "c") },
    { nil, "the account has neither an e-mail address nor a phone number" })
  given "invalid_grant"
  same({ iflow.login.finish({ redirect = REDIRECT }, "c") },
    { nil, "token exchange failed with status 400: invalid_grant: Invalid refresh token" })
end)

local function with_cookie(text, ...)
  local state = given(...)
  local saved, message = iflow.cookie_login.at_once { ask = function() return text end }
  return saved, message, state
end

test("of a pasted cookie one part counts, and gives a fresh key", function()
  local saved, _, state = with_cookie("a=1; BXAuth=abc-1; XBXAuth=no; b=2", "key", "fresh_key")
  same({ state.calls[1].url, state.calls[1].headers.cookie, state.calls[1].body },
    { KEYS, "BXAuth=abc-1;", nil })
  same({ state.calls[2].headers.cookie, state.calls[2].body }, { "BXAuth=abc-1;", '{"name":"a/b user"}' })
  same(saved.name, "iflow-a_b user-1800001000.json")
  same(saved.document, { type = "iflow", api_key = "sk-iflow-FRESH", cookie = "BXAuth=abc-1;",
    email = "a/b user", expired = "2026-02-07 12:00", last_refresh = oauth.timestamp(NOW) })
  same(saved.clash { cookie = "BXAuth=abc-1;" }, "this cookie is in use already")
  same(saved.clash { cookie = "BXAuth=other;" }, nil)
end)

test("a cookie that will not do is told", function()
  for _, text in ipairs { "", "a=1; XBXAuth=2", "BXAuth=" } do
    same(select(2, with_cookie(text)), "there is no BXAuth in it")
  end
  same(select(2, with_cookie("BXAuth=x", "key_refused")), "status 200, 401: not logged in")
  same(select(2, with_cookie("BXAuth=x", "key", "key")), "the answer has no API key")
  same(select(2, with_cookie(nil)), "there is no BXAuth in it")
end)

test("a new access token that the service repeats in a refusal is not told", function()
  support.reset { upstream = {
    { text = json.encode { access_token = "at-brand-new-1", refresh_token = "rt", expires_in = 60 } },
    { status = 400, text = '{"success":false,"message":"bad accessToken at-brand-new-1"}' },
  } }
  local saved, message = iflow.login.finish({ redirect = "http://localhost:1/" }, "code")
  same(saved, nil)
  assert(message:find("bad accessToken ***", 1, true), message)
end)
