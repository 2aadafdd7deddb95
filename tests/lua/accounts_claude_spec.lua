--- Claude accounts: token files, refresh, login.

local support = require "tests.support"
local claude = require "accounts.claude"
local json = require "json"
local oauth = require "lib.oauth"

local NOW = 1800001000
local SCOPE = "user:profile user:inference user:sessions:claude_code user:mcp_servers user:file_upload"
local TOKEN = "https://platform.claude.com/v1/oauth/token"
local REDIRECT = "http://localhost:54545/callback"

local TOKENS = '{"access_token":"sk-ant-oat01-new","refresh_token":"sk-ant-ort01-new",'
  .. '"token_type":"Bearer","expires_in":28800,"organization":{"uuid":"o-1","name":"Org"},'
  .. '"account":{"uuid":"a-1","email_address":"one@example.com"}}'

local function given(...)
  return support.reset { upstream = { ... } }
end

local function refused(status, code, fields)
  return { status = status, fields = fields,
    text = '{"error":"' .. code .. '","error_description":"old sk-ant-ort01-old is no good"}' }
end

local FILE = {
  type = "claude", access_token = "sk-ant-oat01-old", refresh_token = "sk-ant-ort01-old",
  email = "one@example.com", proxy_url = "socks5://127.0.0.1:9",
}

test("a token file offers one account, bound to the API's host", function()
  local list = claude.read(FILE, "claude-one@example.com.json")
  same(list, { { label = "one@example.com", secret = "sk-ant-oat01-old",
    hosts = { "https://api.anthropic.com" }, base_url = "https://api.anthropic.com" } })
  same(claude.read({ type = "claude", access_token = "t" }, "mine.json")[1].label, "mine.json")
  same({ claude.read({ type = "claude", access_token = "" }, "x.json") },
    { nil, "the file has no access_token" })
end)

test("a refresh asks as JSON, through the account's proxy, and gives what changes", function()
  local state = given { text = TOKENS }
  local members = claude.refresh(FILE)
  local call = state.calls[1]
  same({ call.url, call.proxy, call.headers["content-type"], call.headers.accept },
    { TOKEN, "socks5://127.0.0.1:9", "application/json", "application/json" })
  same(json.decode(call.body), { client_id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
    grant_type = "refresh_token", refresh_token = "sk-ant-ort01-old", scope = SCOPE })
  same(members, {
    type = "claude", access_token = "sk-ant-oat01-new", refresh_token = "sk-ant-ort01-new",
    last_refresh = oauth.timestamp(NOW), expired = oauth.timestamp(NOW + 28800),
    email = "one@example.com", account_uuid = "a-1", organization_uuid = "o-1",
    organization_name = "Org",
  })
end)

test("what an answer leaves out is not overwritten", function()
  given { text = '{"access_token":"new","account":{"email_address":""}}' }
  same(claude.refresh(FILE),
    { type = "claude", access_token = "new", last_refresh = oauth.timestamp(NOW) })
  given { text = '{"refresh_token":"lonely"}' }
  same({ claude.refresh(FILE) }, { nil, { message = "the answer has no access token" } })
end)

test("the newer spelling of the refresh token is read", function()
  local state = given { text = TOKENS }
  claude.refresh { access_token = "a", refreshToken = "sk-ant-ort01-camel" }
  same(json.decode(state.calls[1].body).refresh_token, "sk-ant-ort01-camel")
  local _, problem = claude.refresh { access_token = "a", refresh_token = "" }
  same(problem.needs_login, true)
  same(#state.calls, 1)
end)

test("network errors and 5xx are tried three times, waiting 1 s and 2 s", function()
  local unreachable = { error = { code = "unreachable", message = "no route" } }
  local state = given(unreachable, { status = 500, text = "oops" }, { text = TOKENS })
  same(claude.refresh(FILE).access_token, "sk-ant-oat01-new")
  same({ #state.calls, state.slept }, { 3, { 1, 2 } })
  state = given(unreachable, unreachable, unreachable)
  local members, problem = claude.refresh(FILE)
  same({ members, problem.needs_login, problem.message, #state.calls }, { nil, nil, "no route", 3 })
end)

test("a lost answer is asked for once more with the same token", function()
  for _, lost in ipairs { { error = { code = "timeout", message = "late" } },
    { error = { code = "broken", message = "reset" } }, { text = '{"access_token":"sk-a' } } do
    local state = given(lost, { text = TOKENS })
    same(claude.refresh(FILE).access_token, "sk-ant-oat01-new")
    same(state.calls[1].body, state.calls[2].body)
    state = given(lost, lost)
    local _, problem = claude.refresh(FILE)
    same({ problem.needs_login, #state.calls }, { nil, 2 })
    given(lost, refused(400, "invalid_grant"))
    _, problem = claude.refresh(FILE)
    same(problem.needs_login, true)
  end
end)

test("what is refused for good needs a login, and no token is in the words", function()
  for status, code in pairs { [400] = "invalid_grant", [401] = "invalid_client" } do
    local state = given(refused(status, code))
    local members, problem = claude.refresh(FILE)
    same({ members, problem.needs_login, #state.calls }, { nil, true, 1 })
    same(problem.message, "status " .. status .. ", " .. code .. ": old *** is no good")
  end
  given(refused(400, "invalid_request"))
  local _, problem = claude.refresh(FILE)
  same(problem.needs_login, nil)
end)

test("429 says when to ask again, within 5 s and 5 min", function()
  for value, seconds in pairs { ["7"] = 7, ["0"] = 5, ["3600"] = 300 } do
    local state = given(refused(429, "slow_down", { ["retry-after"] = value }))
    local _, problem = claude.refresh(FILE)
    same({ problem.retry_after, problem.needs_login, #state.calls }, { seconds, nil, 1 })
  end
  given(refused(429, "slow_down", { ["retry-after-ms"] = "8500", ["retry-after"] = "9" }))
  local _, problem = claude.refresh(FILE)
  same(problem.retry_after, 8.5)
  given(refused(429, "slow_down"))
  _, problem = claude.refresh(FILE)
  same(problem.retry_after, 5)
end)

test("a login of former scopes is refreshed without naming any", function()
  local state = given(refused(400, "invalid_scope"), { text = TOKENS })
  same(claude.refresh(FILE).access_token, "sk-ant-oat01-new")
  same(json.decode(state.calls[2].body), { client_id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
    grant_type = "refresh_token", refresh_token = "sk-ant-ort01-old" })
end)

local function begun()
  local session = { state = ("ab"):rep(16), verifier = ("v"):rep(128), challenge = ("c"):rep(43) }
  assert(claude.login.begin(session))
  return session
end

local function options()
  local said = {}
  return { say = function(text) said[#said + 1] = text end }, said
end

test("the login page gets what is registered, whatever port listens", function()
  local query = oauth.parse_query(begun().url:match "^https://claude%.ai/oauth/authorize%?(.*)$")
  same(query, {
    code = "true", client_id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e", response_type = "code",
    redirect_uri = REDIRECT, scope = SCOPE, code_challenge = ("c"):rep(43),
    code_challenge_method = "S256", state = ("ab"):rep(16),
  })
end)

test("a code becomes a token file; the profile's words win", function()
  local state = given({ text = TOKENS }, { text = '{"account":{"uuid":"a-2","email":"two@example.com"},'
    .. '"organization":{"uuid":"","name":"Other"}}' })
  local session, saved = begun(), nil
  saved = claude.login.finish(session, "code-1#" .. session.state, (options()))
  local call = state.calls[1]
  same({ call.url, call.headers["content-type"], call.headers.accept },
    { TOKEN, "application/json", "application/json" })
  same(json.decode(call.body), {
    grant_type = "authorization_code", code = "code-1", redirect_uri = REDIRECT,
    client_id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e", code_verifier = ("v"):rep(128),
    state = session.state,
  })
  same({ state.calls[2].url, state.calls[2].headers.authorization },
    { "https://api.anthropic.com/api/oauth/profile", "Bearer sk-ant-oat01-new" })
  same(saved.name, "claude-two@example.com.json")
  same(saved.document, {
    type = "claude", id_token = "", access_token = "sk-ant-oat01-new",
    refresh_token = "sk-ant-ort01-new", last_refresh = oauth.timestamp(NOW),
    expired = oauth.timestamp(NOW + 28800), email = "two@example.com", account_uuid = "a-2",
    organization_uuid = "o-1", organization_name = "Other",
  })
  local function is_same(other) return saved.same(other) end
  same({ is_same { type = "claude", email = "two@example.com" },
    is_same { type = "claude", email = "two@example.com", organization_uuid = "o-1" },
    is_same { type = "claude", email = "two@example.com", organization_uuid = "o-2" },
    is_same { type = "codex", email = "two@example.com" } }, { true, true, false, false })
  same(saved.other_name, "claude-" .. modules.crypto.sha256_hex("o-1"):sub(1, 8)
    .. "-two@example.com.json")
end)

test("without a profile the login is good all the same, without an address it is not", function()
  given({ text = TOKENS }, { status = 403, text = '{"error":{"message":"no"}}' })
  local given_options, said = options()
  same(claude.login.finish(begun(), "code", given_options).name, "claude-one@example.com.json")
  same(said, { "The account's profile could not be read: status 403: no" })
  given({ text = '{"access_token":"a"}' }, { status = 500 })
  local saved, message = claude.login.finish(begun(), "code", (options()))
  same({ saved, message }, { nil, "the account has no email address, so its file has no name" })
end)

test("a file name is never a path", function()
  given({ text = TOKENS:gsub("one@", "../../o\\ne@") }, { status = 500 })
  same(claude.login.finish(begun(), "code", (options())).name, "claude-.._.._o_e@example.com.json")
end)

test("failures of the exchange have their known words", function()
  local session = begun()
  local state = given()
  same({ claude.login.finish(session, "code#other", (options())) }, { nil, "State code error" })
  same(#state.calls, 0)
  for message, answer in pairs {
    ["Failed to exchange authorization code for tokens: no route"] =
      { error = { code = "unreachable", message = "no route" } },
    ["token exchange failed with status 400: invalid_grant"] =
      { status = 400, text = '{"error":"invalid_grant"}' },
    ["token exchange failed with status 201"] = { status = 201, text = TOKENS },
    ["Failed to parse token response"] = { text = "<html>" },
  } do
    state = given(answer)
    same({ claude.login.finish(session, "code", (options())) }, { nil, message })
    same(#state.calls, 1)
  end
end)
