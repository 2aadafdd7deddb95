--- Token files of Google accounts, their refresh, and the login up to a project that is ready.

local support = require "tests.support"
local json = require "json"
local oauth = require "lib.oauth"
local times = require "lib.times"
local accounts = require "accounts.gemini_cli"

local function fixture(name)
  local file = assert(io.open("tests/fixtures/gemini_cli/" .. name .. ".json"))
  local text = file:read "a"
  file:close()
  return text
end

local function document(name) return (json.decode(fixture(name))) end

local EXPIRY = times.unix "2025-10-15T13:11:05Z"

-- --- token files ------------------------------------------------------------------------------------

for _, name in ipairs { "token_login", "token_used", "token_flat" } do
  test("google account: the form of " .. name .. " is read", function()
    local list = assert(accounts.read(document(name), name))
    same(#list, 1)
    local account = list[1]
    same({ account.suffix, account.label, account.secret, account.facts.project_id, account.base_url,
      account.hosts[1], math.floor(account.expires) }, {
      nil, "someone@example.com (made-up-project-1)", "ya29.made-up", "made-up-project-1",
      "https://cloudcode-pa.googleapis.com", "https://cloudcode-pa.googleapis.com", EXPIRY })
  end)
end

test("google account: each of several projects is an account, they share the token", function()
  local list = assert(accounts.read(document "token_several"))
  same({ #list, list[1].suffix, list[2].suffix, list[2].label, list[1].secret, list[2].secret },
    { 2, "made-up-project-1", "made-up-project-2", "someone@example.com (made-up-project-2)",
      "ya29.made-up", "ya29.made-up" })
end)

test("google account: without an access token one is fetched before the first use", function()
  local account = accounts.read(document "token_no_access")[1]
  same({ account.secret, account.expires }, { "", 0 })
end)

test("google account: what is missing is said", function()
  for text, words in pairs {
    ['{"type":"gemini","project_id":"p"}'] = "no token",
    ['{"type":"gemini","project_id":"p","token":7}'] = "no token",
    ['{"type":"gemini","project_id":"p","token":{"access_token":""}}'] = "no token",
    ['{"type":"gemini","access_token":"a"}'] = "project_id",
    ['{"type":"gemini","access_token":"a","project_id":" , "}'] = "project_id",
  } do
    local list, problem = accounts.read((json.decode(text)))
    assert(list == nil and problem:find(words), problem)
  end
  -- "Use until rejected".
  same(accounts.read((json.decode '{"access_token":"a","project_id":"p"}'))[1].expires, nil)
  same(accounts.read((json.decode '{"access_token":"a","project_id":"p"}'))[1].label, "p")
end)

-- --- refresh ----------------------------------------------------------------------------------------

local function token_answer(fields)
  return { text = json.encode(fields) }
end

test("google account: a refresh changes the token and nothing else", function()
  local state = support.reset { upstream = { token_answer {
    access_token = "ya29.new", expires_in = 3599, token_type = "Bearer", scope = "x" } } }
  local changes = assert(accounts.refresh(document "token_login"))
  same(math.floor(times.unix(changes.token.expiry)), math.floor(1800000000 + state.now + 3599))
  changes.token.expiry = nil
  same(changes, { token = { access_token = "ya29.new", expires_in = 3599, token_type = "Bearer" } })
  local call = state.calls[1]
  same({ call.url, call.headers["content-type"] },
    { "https://oauth2.googleapis.com/token", "application/x-www-form-urlencoded" })
  same(oauth.parse_query(call.body), {
    grant_type = "refresh_token", refresh_token = "1//0e-made-up",
    client_id = document "token_login".token.client_id,
    client_secret = document "token_login".token.client_secret,
  })
end)

test("google account: copies at the top do not grow old, a new refresh token is kept", function()
  support.reset { upstream = { token_answer {
    access_token = "ya29.new", expires_in = 3599, refresh_token = "1//new" } } }
  local changes = assert(accounts.refresh(document "token_used"))
  same({ changes.access_token, changes.refresh_token, changes.token.refresh_token },
    { "ya29.new", "1//new", "1//new" })
  same(changes.expiry, changes.token.expiry)
  support.reset { upstream = { token_answer { access_token = "ya29.new", expires_in = 3599 } } }
  changes = assert(accounts.refresh(document "token_flat"))
  same({ changes.access_token, changes.token.access_token, changes.refresh_token },
    { "ya29.new", "ya29.new", nil })
end)

test("google account: the address of a token file is not trusted", function()
  local state = support.reset { upstream = { token_answer { access_token = "n", expires_in = 1 } } }
  local evil = document "token_login"
  evil.token.token_uri = "https://evil.example/token"
  accounts.refresh(evil)
  same(state.calls[1].url, "https://oauth2.googleapis.com/token")
end)

test("google account: a revoked login is told from a failure that passes", function()
  local function refresh(...)
    support.reset { upstream = { ... } }
    local changes, problem = accounts.refresh(document "token_login")
    assert(changes == nil)
    assert(not problem.message:find("1//0e-made-up", 1, true), problem.message)
    return problem
  end
  local revoked = refresh { status = 400, text = '{"error":"invalid_grant",'
    .. '"error_description":"Token has been expired or revoked. 1//0e-made-up"}' }
  assert(revoked.needs_login and revoked.message:find "revoked")
  local busy = { status = 503, text = "" }
  assert(not refresh(busy, busy, busy).needs_login)
  assert(not refresh { text = "{}" }.needs_login)
  assert(accounts.refresh { type = "gemini", access_token = "a" } == nil)
end)

-- --- login ------------------------------------------------------------------------------------------

local TOKEN = {
  access_token = "ya29.fresh", refresh_token = "1//fresh", expires_in = 3599, token_type = "Bearer",
  scope = "x", id_token = "y",
}

-- A world in which each address answers in turn; the last answer stays.
local function world(routes)
  local all = {
    ["https://oauth2.googleapis.com/token"] = { json.encode(TOKEN) },
    ["https://www.googleapis.com/oauth2/v1/userinfo"] = { '{"email":"someone@example.com"}' },
    ["https://cloudresourcemanager.googleapis.com/v1/projects"] =
      { fixture "projects_first", fixture "projects_last" },
    ["https://cloudcode-pa.googleapis.com/v1internal:loadCodeAssist"] = { fixture "load_standard" },
    ["https://serviceusage.googleapis.com/v1/projects/made-up-project-1/services/cloudaicompanion.googleapis.com"] =
      { '{"state":"ENABLED"}' },
  }
  for url, answers in pairs(routes or {}) do all[url] = answers end
  return support.reset { upstream = function(request)
    local answers = assert(all[request.url:match "^[^?]*"], "nobody expected " .. request.url)
    local answer = #answers > 1 and table.remove(answers, 1) or answers[1]
    return type(answer) == "string" and { text = answer } or answer
  end }
end

local ASSIST = "https://cloudcode-pa.googleapis.com/v1internal:"
local SERVICE = "https://serviceusage.googleapis.com/v1/projects/%s/services/cloudaicompanion.googleapis.com"

-- Logs in; what was said, and the calls.
local function log_in(routes, options)
  local state, said, asked = world(routes), {}, {}
  options = options or {}
  local answers = options.answers
  local session = { state = "s", verifier = "v", challenge = "c" }
  local given = {
    redirect_uri = "http://localhost:8085/oauth2callback", project_id = options.project_id,
    say = function(text) said[#said + 1] = text end,
    ask = answers and function(prompt)
      asked[#asked + 1] = prompt
      return table.remove(answers, 1)
    end,
  }
  assert(accounts.login.begin(session, given))
  local saved, problem, detail = accounts.login.finish(session, "the code", given)
  return {
    saved = saved, problem = problem, detail = detail, calls = state.calls, asked = asked,
    said = table.concat(said, "\n"), session = session, slept = state.slept,
  }
end

local function calls_to(done, url)
  local found = {}
  for _, call in ipairs(done.calls) do
    if call.url:match "^[^?]*" == url then found[#found + 1] = call end
  end
  return found
end

test("google login: the browser is sent with state and challenge", function()
  local url = log_in().session.url
  local base, query = url:match "^(.-)%?(.*)$"
  same(base, "https://accounts.google.com/o/oauth2/auth")
  same(oauth.parse_query(query), {
    client_id = "681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com",
    redirect_uri = "http://localhost:8085/oauth2callback", response_type = "code",
    scope = "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email "
      .. "https://www.googleapis.com/auth/userinfo.profile",
    access_type = "offline", prompt = "consent", state = "s", code_challenge = "c",
    code_challenge_method = "S256",
  })
end)

test("google login: an account that is set up already is only looked at", function()
  local done = log_in()
  same(done.problem, nil)
  local saved = done.saved
  same({ saved.name, saved.document.project_id, saved.document.auto, saved.document.checked },
    { "gemini-someone@example.com-made-up-project-1.json", "made-up-project-1", true, true })
  local written = json.decode(json.encode(saved.document))
  assert(times.unix(written.token.expiry) > 0)
  written.token.expiry, written.auto = nil, false
  local example = document "token_login"
  example.token.expiry = nil
  example.token.access_token, example.token.refresh_token = "ya29.fresh", "1//fresh"
  same(written, example)
  same(oauth.parse_query(done.calls[1].body), {
    grant_type = "authorization_code", code = "the code", code_verifier = "v",
    redirect_uri = "http://localhost:8085/oauth2callback",
    client_id = example.token.client_id, client_secret = example.token.client_secret,
  })
  local load = calls_to(done, ASSIST .. "loadCodeAssist")[1]
  same(load.body, '{"cloudaicompanionProject":"made-up-project-1","metadata":{"ideType":"IDE_UNSPECIFIED",'
    .. '"platform":"PLATFORM_UNSPECIFIED","pluginType":"GEMINI"}}')
  for _, call in ipairs(done.calls) do
    if call.url ~= "https://oauth2.googleapis.com/token" then
      same(call.headers.authorization, "Bearer ya29.fresh")
    end
    same(call.headers["user-agent"], "cli-proxy-api/0.0")
  end
  assert(saved.same(document "token_login") and saved.same(document "token_flat"))
  assert(not saved.same(document "token_several"))
end)

test("google login: a person chooses by number, by id, or all", function()
  local third = { [SERVICE:format "made-up-project-3"] = { '{"state":"ENABLED"}' } }
  local done = log_in(third, { answers = { "7", "nothing-like-it", "2" } })
  same({ done.saved.document.project_id, done.saved.document.auto, #done.asked }, { "made-up-project-3", false, 3 })
  assert(done.said:find "%[1%] made%-up%-project%-1  First" and not done.said:find "gone%-project")
  local pages = calls_to(done, "https://cloudresourcemanager.googleapis.com/v1/projects")
  same({ #pages, pages[2].url:match "%?(.*)$" }, { 2, "pageToken=page%20two%2F%2B" })
  same(log_in(third, { answers = { "MADE-UP-PROJECT-3" } }).saved.document.project_id, "made-up-project-3")
  same(log_in(nil, { answers = { "" } }).saved.document.project_id, "made-up-project-1")
  done = log_in(third, { answers = { "ALL" } })
  same({ done.saved.document.project_id, done.saved.name },
    { "made-up-project-1,made-up-project-3", "gemini-someone@example.com-all.json" })
  assert(done.saved.same(document "token_several") and not done.saved.same(document "token_login"))
  done = log_in(nil, { answers = {} })
  same({ done.problem, done.detail }, { "Failed to resolve project ID", "no project was chosen" })
end)

test("google login: a project that was named decides", function()
  local third = { [SERVICE:format "made-up-project-3"] = { '{"state":"ENABLED"}' } }
  local done = log_in(third, { project_id = "made-up-project-3", answers = {} })
  same({ done.saved.document.project_id, #done.asked }, { "made-up-project-3", 0 })
  done = log_in(nil, { project_id = "unknown-project", answers = { "1" } })
  assert(done.said:find "Warning: unknown%-project" and done.saved.document.project_id == "made-up-project-1")
  -- Nobody can be asked: Google shall judge.
  done = log_in({ [SERVICE:format "unknown-project"] = { '{"state":"ENABLED"}' } }, { project_id = "unknown-project" })
  same(done.saved.document.project_id, "unknown-project")
  same(log_in(third, { project_id = "ALL" }).saved.document.project_id, "made-up-project-1,made-up-project-3")
end)

test("google login: without projects only a named one will do", function()
  local none = { ["https://cloudresourcemanager.googleapis.com/v1/projects"] = { "{}" } }
  local done = log_in(none)
  same(done.problem, "Failed to resolve project ID")
  assert(done.detail:find "no active project")
  same(log_in(none, { project_id = "made-up-project-1" }).saved.document.project_id, "made-up-project-1")
  local refused = { ["https://cloudresourcemanager.googleapis.com/v1/projects"] = { { status = 403,
    text = '{"error":{"code":403,"message":"Cloud Resource Manager API is off","status":"PERMISSION_DENIED"}}' } } }
  assert(log_in(refused).detail:find "Cloud Resource Manager API is off")
  same(log_in(refused, { project_id = "made-up-project-1" }).problem, nil)
end)

test("google login: an account is signed up, and that is waited for", function()
  local done = log_in {
    [ASSIST .. "loadCodeAssist"] = { fixture "load_new" },
    [ASSIST .. "onboardUser"] = { fixture "onboard_pending", { status = 503, text = "" }, fixture "onboard_done_text" },
  }
  same({ done.saved.document.project_id, done.slept }, { "made-up-project-1", { 5, 5 } })
  local calls = calls_to(done, ASSIST .. "onboardUser")
  same({ #calls, calls[1].body, calls[1].body == calls[3].body }, { 3,
    '{"cloudaicompanionProject":"made-up-project-1","metadata":{"ideType":"IDE_UNSPECIFIED",'
    .. '"platform":"PLATFORM_UNSPECIFIED","pluginType":"GEMINI"},"tierId":"standard-tier"}', true })
end)

test("google login: the free tier gets a project of Google's own", function()
  local done = log_in {
    [ASSIST .. "loadCodeAssist"] = { fixture "load_free" }, [ASSIST .. "onboardUser"] = { fixture "onboard_done" },
  }
  same(done.saved.document.project_id, "managed-project-9")
  local body = json.decode(calls_to(done, ASSIST .. "onboardUser")[1].body)
  same({ body.tierId, body.cloudaicompanionProject }, { "free-tier", nil })
  assert(done.said:find "assigns the project managed%-project%-9")
  -- An account that is there already.
  same(log_in { [ASSIST .. "loadCodeAssist"] = { fixture "load_free_current" } }.saved.document.project_id,
    "managed-project-9")
end)

test("google login: the onboarding ends after five minutes", function()
  local done = log_in {
    [ASSIST .. "loadCodeAssist"] = { fixture "load_new" }, [ASSIST .. "onboardUser"] = { fixture "onboard_pending" },
  }
  same(done.problem, "Failed to complete Gemini CLI onboarding")
  assert(done.detail:find "five minutes" and #done.slept == 60)
end)

test("google login: refusals are told in Google's words", function()
  local function refused(routes)
    local done = log_in(routes)
    assert(not done.saved)
    return done.problem, done.detail
  end
  local problem, detail = refused { [ASSIST .. "loadCodeAssist"] = { fixture "load_ineligible" } }
  same(problem, "Failed to complete Gemini CLI onboarding")
  assert(detail:find "no longer supported for Gemini Code Assist for individuals"
    and detail:find("https://accounts.google.com/signin/continue?sarp=1", 1, true), detail)
  local _
  _, detail = refused { [ASSIST .. "loadCodeAssist"] = { { status = 403, text = fixture "error_individuals" } } }
  assert(detail:find "status 403", detail)
  _, detail = refused { [ASSIST .. "loadCodeAssist"] = { fixture "load_new" },
    [ASSIST .. "onboardUser"] = { fixture "onboard_failed" } }
  assert(detail:find "does not have permission", detail)
  _, detail = refused { [ASSIST .. "loadCodeAssist"] = { "{}" },
    [ASSIST .. "onboardUser"] = { { status = 400, text = fixture "error_precondition" } } }
  assert(detail:find "Precondition", detail)
  problem = refused { ["https://www.googleapis.com/oauth2/v1/userinfo"] = { { status = 401, text = "{}" } } }
  same(problem, "Get user info request failed with status 401")
  problem, detail = refused { ["https://www.googleapis.com/oauth2/v1/userinfo"] = { "{}" } }
  same({ problem, detail }, { "Authentication failed", "Google does not tell the account's email" })
  problem, detail = refused { ["https://oauth2.googleapis.com/token"] = { { status = 400,
    text = '{"error":"invalid_grant","error_description":"Malformed auth code."}' } } }
  assert(problem == "Failed to exchange token" and detail:find "Malformed auth code", detail)
  problem = refused { ["https://oauth2.googleapis.com/token"] = { '{"access_token":"a","expires_in":1}' } }
  same(problem, "Failed to exchange token")
end)

test("google login: an API that is off is turned on", function()
  local service = SERVICE:format "made-up-project-1"
  local function enabled(...)
    return log_in { [service] = { '{"state":"DISABLED"}' }, [service .. ":enable"] = { ... } }
  end
  local done = enabled "{}"
  same({ done.problem, calls_to(done, service .. ":enable")[1].body }, { nil, "{}" })
  same(enabled { status = 400, text = '{"error":{"message":"It is already enabled."}}' }.problem, nil)
  done = enabled { status = 403, text = '{"error":{"code":403,"message":"Billing must be on"}}' }
  same({ done.problem, done.detail },
    { "Cloud AI API not enabled", "project activation required: Billing must be on" })
  done = enabled { error = { code = "unreachable", message = "no way" } }
  same({ done.problem, done.detail }, { "Failed to verify Cloud AI API status", "no way" })
end)

test("google login: of several projects one that fails is left out", function()
  local done = log_in({
    [SERVICE:format "made-up-project-3"] = { '{"state":"DISABLED"}' },
    [SERVICE:format "made-up-project-3" .. ":enable"] = { { status = 403, text = '{"error":{"message":"no"}}' } },
  }, { answers = { "all" } })
  same(done.saved.document.project_id, "made-up-project-1")
  assert(done.said:find "made%-up%-project%-3 is left out: project activation required: no")
end)
