--- Logins: sessions, their answers and ends; pages; what web pages begin.

local support = require "tests.support"
local login_support = require "tests.login_support"
local json = require "json"
local callbacks = require "core.login_callback"
local calls = require("core.login_calls")
local landing = require "core.landing"
local logins = require "core.logins"

local reset = login_support.reset

local function begin(flag)
  local login = logins.by_flag(flag or "fake-login")
  return login, assert(logins.begin(login, { redirect_uri = "http://localhost:54545/callback" }))
end

-- Follows a session; `events` by tick number run meanwhile.
local function follow(state, login, session, events)
  local count = 0
  return logins.follow(login, session, {}, function(left)
    count = count + 1
    state.now = state.now + math.min(left, 1)
    local event = events and events[count]
    if event then event() end
  end)
end

local function get(handle, target, method)
  local client = support.client(method or "GET", target)
  handle(client)
  return client
end

-- --- sessions ------------------------------------------------------------------------------------

test("a login is begun, answered, exchanged and saved", function()
  local state = reset()
  local login, session = begin()
  same(#session.state, 32)
  same(session.own, "x128")
  same(logins.status(session.state), { status = "wait" })
  local path, problem = follow(state, login, session, { [3] = function()
    same(logins.deliver { channel = "anthropic", state = session.state, code = "c1" }, "ok")
  end })
  same(problem, nil)
  same(path, "auths/fake-c1.json")
  same(login_support.file "fake-c1.json", { type = "fake", token = "c1", by = "x128" })
  same(logins.status(session.state), { status = "ok" })
  -- Nothing that could be used is left of it.
  local left = state.store["login:" .. session.state].value
  same(json.decode(left),
    { state = session.state, channel = "anthropic", flag = "fake-login", status = "ok" })
  same(#modules.store.keys "login-", 0)
end)

test("an answer has to fit the session, and comes once", function()
  reset()
  local _, session = begin()
  local function deliver(fields)
    return logins.deliver { channel = fields.channel or "anthropic",
      state = fields.state or session.state, code = fields.code, error = fields.error }
  end
  same(logins.deliver { channel = "anthropic", code = "c" }, "malformed")
  same(deliver { state = "../../x", code = "c" }, "malformed")
  same(deliver { state = session.state:upper():gsub("%d", "A"), code = "c" }, "malformed")
  same(deliver { state = ("0"):rep(32), code = "c" }, "unknown")
  same(deliver { channel = "codex", code = "c" }, "mismatch")
  same(deliver {}, "empty")
  same(deliver { code = "c" }, "ok")
  same(deliver { code = "another" }, "over")
  local _, device = begin "fake-device"
  same(logins.deliver { state = device.state, code = "c" }, "mismatch")
end)

test("each way to fail is told as user interfaces know it", function()
  local function failing(event, behave)
    local state = reset { behave = behave }
    local login, session = begin()
    local path, problem = follow(state, login, session, { function() event(session) end })
    same(path, nil)
    same(logins.status(session.state), { status = "error", error = problem.error })
    return problem.error, problem.detail
  end
  same({ failing(function(session)
    logins.deliver { state = session.state, error = "access_denied" }
  end) }, { "Bad request", "the provider answered: access_denied" })
  local _, detail = failing(function(session)
    logins.deliver { state = session.state, error = "\27[2J\n" .. ("x"):rep(5000) }
  end)
  same({ detail:find "%c", #detail }, { nil, #"the provider answered: " + 300 })
  same(failing(function(session) logins.reject(session, "State code error") end), "State code error")
  same(failing(function(session) same(logins.cancel(session.state), true) end), "cancelled")
  same(failing(function() end), "Timeout waiting for OAuth callback")
  same(failing(function(session) logins.deliver { state = session.state, code = "c" } end,
    { finish = function() return nil, "token exchange failed with status 400" end }),
    "token exchange failed with status 400")
  same(failing(function(session) logins.deliver { state = session.state, code = "c" } end,
    { finish = function() end }), "Failed to exchange authorization code for tokens")
end)

test("five minutes are what a browser has", function()
  local state = reset()
  local login, session = begin()
  local before = state.now
  local _, problem = follow(state, login, session)
  same(problem.error, "Timeout waiting for OAuth callback")
  same(state.now - before, 300)
end)

test("a script that breaks ends the session too", function()
  local state = reset { behave = { finish = function() error "on purpose" end } }
  local login, session = begin()
  logins.deliver { state = session.state, code = "c" }
  same(pcall(follow, state, login, session), false)
  same(logins.status(session.state), { status = "error", error = "internal error" })
end)

test("a login that cannot begin says why", function()
  reset { behave = { begin = function() return nil, "no network" end } }
  local session, problem = logins.begin(logins.by_flag "fake-login", {})
  same(session, nil)
  same(problem, { error = "Bad request", detail = "no network" })
  same(#modules.store.keys "login", 0)
end)

test("unknown, malformed and expired states are errors, none is fine", function()
  local state = reset()
  local unknown = { status = "error", error = "unknown or expired state" }
  same(logins.status "", { status = "ok" })
  same(logins.status "nonsense", unknown)
  same(logins.status(("0"):rep(32)), unknown)
  same(logins.cancel(("0"):rep(32)), false)
  local _, session = begin()
  same(logins.waiting(), { session.state })
  state.now = state.now + 1801
  same(logins.status(session.state), unknown)
  same(logins.waiting(), {})
end)

test("the account's file is found under any name and keeps what else it says", function()
  local state = reset()
  modules.file.write("auths/mine.json", '{"token":"c2","note":"keep","type":"fake","by":"old"}')
  local login, session = begin()
  logins.deliver { state = session.state, code = "c2" }
  same(follow(state, login, session), "auths/mine.json")
  same(modules.file.read "auths/mine.json", '{"by":"x128","note":"keep","token":"c2","type":"fake"}')
end)

test("a name that is another account's gives way, and a clash is refused", function()
  local token_files = require "core.token_files"
  reset()
  modules.file.write("auths/taken.json", '{"account":"one"}')
  local function save(fields)
    fields.name, fields.document = "taken.json", { account = "two" }
    fields.same = function(document) return document.account == "two" end
    return token_files.save("auths", fields)
  end
  same({ save { clash = function(document) return document.account == "one" and "in use" or nil end } },
    { nil, "taken.json: in use" })
  same(save { other_name = "other.json" }, "other.json")
  same(save { other_name = "third.json" }, "other.json")
  same(login_support.file "taken.json", { account = "one" })
end)

-- --- device codes --------------------------------------------------------------------------------

test("a device login asks at its interval, which the provider may stretch", function()
  local state
  local at = {}
  state = reset { behave = {
    begin = function(session)
      session.url, session.interval, session.expires_in = "https://d.example", 2, 100
      return true
    end,
    poll = function(session)
      at[#at + 1] = state.now
      if #at == 2 then session.interval = 4 end
      if #at < 4 then return "wait" end
      return { name = "fake-device.json", document = { token = "d", size = #session.verifier } }
    end,
  } }
  local login, session = begin "fake-device"
  same(follow(state, login, session), "auths/fake-device.json")
  same(at, { 1002, 1004, 1008, 1012 })
  same(login_support.file("fake-device.json").size, 43)
end)

test("a device login ends with its code, when it is refused, and when it is cancelled", function()
  local function ending(poll, event)
    local state = reset { behave = { poll = poll, begin = function(session)
      session.url, session.expires_in = "https://d.example", 20
      return true
    end } }
    local login, session = begin "fake-device"
    local _, problem = follow(state, login, session, { [7] = event and function() event(session) end })
    return problem.error, problem.detail, state.now
  end
  local function waiting() return "wait" end
  same({ ending(waiting) }, { "Authentication failed", "nobody agreed before the code expired", 1020 })
  same({ ending(function() return nil, "device code expired" end) },
    { "Authentication failed", "device code expired", 1005 })
  same({ ending(waiting, function(session) logins.cancel(session.state) end) },
    { "cancelled", nil, 1007 })
end)

-- --- one session, several followers --------------------------------------------------------------

test("who is relieved of a session leaves it alone", function()
  local state = reset()
  local login, session = begin()
  local path, problem = follow(state, login, session, { [2] = function()
    state.store["login-follower:" .. session.state] = { value = "the next generation" }
  end })
  same({ path, problem }, {})
  same(logins.status(session.state), { status = "wait" })
  -- The next one takes it up where it was; a code that is being exchanged stays with the former.
  state.store["login-taken:" .. session.state] = { value = true }
  logins.deliver { state = session.state, code = "c" }
  same({ follow(state, login, session) }, {})
  state.store["login-taken:" .. session.state] = nil
  same(follow(state, login, session), "auths/fake-c.json")
end)

test("a device that the former follower has logged in is not reported as refused", function()
  local state, session
  state = reset { behave = { begin = function(made)
    made.url = "https://d.example"
    return true
  end, poll = function()
    logins.close(session, "ok")
    return nil, "the code was used"
  end } }
  local login
  login, session = begin "fake-device"
  same({ follow(state, login, session) }, {})
  same(logins.status(session.state), { status = "ok" })
end)

-- --- the browser's way back ----------------------------------------------------------------------

test("a callback sends the browser to a page that says so and closes itself", function()
  reset()
  local login, session = begin()
  local callback = callbacks.new(login, session)
  local client = get(callback.handle, "/callback?code=c&state=" .. session.state)
  same({ client.status, client.sent_headers.location, callback.page_due }, { 302, "/success", true })
  client = get(callback.handle, "/success")
  same(client.status, 200)
  same(callback.page_due, false)
  same(client.sent:find("window.close()", 1, true) ~= nil, true)
  same(client.sent:find("https://console.anthropic.com/", 1, true) ~= nil, true)
  same(client.sent_headers["cache-control"], "no-store")
  same(client.sent_headers["content-security-policy"]:find("default-src 'none'", 1, true), 1)
  client = get(callback.handle, "/callback?code=d&state=" .. session.state)
  same(client.status, 400)
end)

test("only GET, only its path", function()
  reset()
  local callback = callbacks.new(begin())
  local client = get(callback.handle, "/callback?code=c", "POST")
  same({ client.status, client.sent_headers.allow }, { 405, "GET" })
  same(get(callback.handle, "/elsewhere").status, 404)
end)

test("a callback that cannot be right ends the login", function()
  for query, failure in pairs {
    ["state=S"] = "no_code", ["code=c"] = "no_state",
    ["code=c&state=00000000000000000000000000000000"] = "State code error",
  } do
    local state = reset()
    local login, session = begin()
    local client = get(callbacks.new(login, session).handle,
      "/callback?" .. query:gsub("S", session.state))
    same({ client.status, client.sent }, { 400, "Authentication failed: " .. failure .. "\n" })
    local _, problem = follow(state, login, session)
    same(problem.error, failure)
  end
end)

test("what a provider answers is shown as text, never as a page", function()
  local state = reset()
  local login, session = begin()
  local client = get(callbacks.new(login, session).handle,
    "/callback?error_description=<script>alert(1)</script>")
  same(client.status, 400)
  same(client.sent_headers["content-type"], "text/plain; charset=utf-8")
  same(client.sent, "OAuth error: <script>alert(1)</script>\n")
  local _, problem = follow(state, login, session)
  same(problem.detail, "the provider answered: <script>alert(1)</script>")
end)

test("Google's page is the answer itself, iFlow has pages of its own", function()
  reset()
  local login, session = begin()
  login = setmetatable({ channel = "google" }, { __index = login })
  session.channel = "google"
  modules.store.set("login:" .. session.state, json.encode(session))
  local handle = callbacks.new(login, session).handle
  local client = get(handle, "/callback?code=c&state=" .. session.state)
  same(client.status, 200)
  same(client.sent_headers["content-type"], "text/html; charset=utf-8")
  same(get(handle, "/success").status, 404)
  client = get(handle, "/callback?error=denied")
  same({ client.status, client.sent }, { 200, "OAuth error: denied\n" })

  login, session = begin()
  login = setmetatable({ channel = "iflow" }, { __index = login })
  handle = callbacks.new(login, session).handle
  client = get(handle, "/callback?error=denied")
  same({ client.status, client.sent_headers.location }, { 302, "https://iflow.cn/oauth/error" })
  login, session = begin()
  login = setmetatable({ channel = "iflow" }, { __index = login })
  session.channel = "iflow"
  modules.store.set("login:" .. session.state, json.encode(session))
  client = get(callbacks.new(login, session).handle, "/callback?code=c&state=" .. session.state)
  same({ client.status, client.sent_headers.location }, { 302, "https://iflow.cn/oauth/success" })
end)

test("callbacks come from this machine, unless the proxy itself is open to others", function()
  for host, everywhere in pairs {
    ["localhost"] = false, ["127.0.0.1"] = false, ["127.1.2.3"] = false, ["::1"] = false,
    ["0.0.0.0"] = true, [""] = true, ["::"] = true, ["192.168.1.2"] = true,
  } do
    reset()
    modules.config.values.host = host
    same(callbacks.everywhere(), everywhere)
  end
end)

-- --- web pages -----------------------------------------------------------------------------------

-- Begins a login as the management API does; what is done while it waits is `during(reply)`.
local function begin_for_web(given, during)
  local replies = {}
  local sleep = modules.timer.sleep
  local function reply(result) replies[#replies + 1] = result end
  modules.timer.sleep = function(seconds)
    sleep(seconds)
    if during and replies[1] then
      local once = during
      during = nil
      once(replies[1])
    end
  end
  local fine, problem = pcall(calls.calls.login_begin, given, reply)
  modules.timer.sleep = sleep
  if not fine then error(problem, 0) end
  return replies[1]
end

test("a web login replies with its address and goes on in the background", function()
  local state = reset()
  local reply = begin_for_web({ channel = "anthropic" }, function(reply)
    same(reply.url:find(reply.state, 1, true) ~= nil, true)
    same(calls.calls.login_status { state = reply.state }, { status = "wait" })
    same(calls.calls.login_callback { channel = "anthropic", state = reply.state, code = "web" },
      { outcome = "ok" })
  end)
  same(calls.calls.login_status { state = reply.state }, { status = "ok" })
  same(login_support.file("fake-web.json").token, "web")
  same(#login_support.opened, 0)
  same(state.log[#state.log], "info Fake login: saved to auths/fake-web.json")
  same(begin_for_web { channel = "nobody" }, { error = "unsupported provider" })
end)

test("with is_webui the provider's port leads to the landing page, until the login ends", function()
  reset()
  begin_for_web({ channel = "anthropic", webui = true }, function(reply)
    local open = login_support.opened[1]
    same({ open.port, open.everywhere, open.closed }, { 54545, false, nil })
    local client = get(open.handle, "/callback?code=a%26b&state=" .. reply.state)
    same({ client.status, client.sent_headers.location, client.sent_headers["cache-control"] }, { 302,
      "http://127.0.0.1:8317/anthropic/callback?code=a%26b&state=" .. reply.state, "no-store" })
    same(get(open.handle, "/any/path").sent_headers.location,
      "http://127.0.0.1:8317/anthropic/callback")
    same(get(open.handle, "/", "POST").status, 405)
    modules.config.values.tls = { enable = true }
    same(get(open.handle, "/").sent_headers.location, "https://127.0.0.1:8317/anthropic/callback")
    same(calls.calls.login_cancel { state = reply.state }, { cancelled = true })
  end)
  same(login_support.opened[1].closed, true)
end)

test("a port that somebody else has is told, one of a former login is taken over", function()
  reset { busy = { [54545] = true } }
  local reply = begin_for_web { channel = "anthropic", webui = true }
  same(reply.error, "failed to start callback server")
  same(reply.detail, "address already in use")
  same(#logins.waiting(), 0)

  reset { busy = { [54545] = true } }
  local _, former = begin()
  modules.store.set("login-port:54545", former.state)
  local sleep = modules.timer.sleep
  modules.timer.sleep = function(seconds)
    sleep(seconds)
    login_support.busy = {}
    modules.timer.sleep = sleep
  end
  reply = begin_for_web({ channel = "anthropic", webui = true }, function(second)
    logins.cancel(second.state)
  end)
  same(reply.error, nil)
  same(#login_support.opened, 1)
  same(logins.cancel(former.state), false) -- it is cancelled already
end)

test("the scripts that come next take up the logins that wait", function()
  local state = reset()
  local _, session = begin()
  calls.resume()
  same(state.posted, { { "login_follow", json.encode { state = session.state } } })
  logins.deliver { state = session.state, code = "later" }
  local replies = {}
  calls.calls.login_follow({ state = session.state }, function(result)
    replies[#replies + 1] = result
  end)
  same(replies, { true })
  same(login_support.file("fake-later.json").token, "later")
  calls.calls.login_follow({ state = session.state }, function() end)
end)

test("a landing page takes what belongs to a login that waits", function()
  local state = reset()
  local asked
  state.keeper = function(name, argument)
    asked = { name, argument }
    return calls.calls[name](argument)
  end
  local _, session = begin()
  local page = landing.page "anthropic"
  local client = get(page, "/anthropic/callback?code=c&state=" .. session.state)
  same(asked, { "login_callback", { channel = "anthropic", code = "c", state = session.state } })
  same(client.status, 200)
  same(client.sent:find("Authentication successful!", 1, true) ~= nil, true)
  same(client.sent:find('data-seconds="5"', 1, true) ~= nil, true)
  asked = nil
  same(get(page, "/anthropic/callback?code=c&state=" .. ("0"):rep(32)).status, 400)
  same(asked, nil)
  -- Again, of another provider, of nobody.
  for _, target in ipairs { "?code=c&state=" .. session.state, "?code=c&state=x", "", "?code=c" } do
    client = get(page, "/anthropic/callback" .. target)
    same(client.status, 400)
    same(client.sent:find("No login in progress", 1, true) ~= nil, true)
  end
  _, session = begin()
  same(get(landing.page "codex", "/codex/callback?code=c&state=" .. session.state).status, 400)
  client = get(page, "/anthropic/callback?error=<b>no</b>&state=" .. session.state)
  same(client.status, 200)
  same(client.sent:find("&lt;b&gt;no&lt;/b&gt;", 1, true) ~= nil, true)
  same(client.sent:find("<b>", 1, true), nil)
  state.keeper = function() return nil, "the proxy is stopping" end
  client = get(page, "/anthropic/callback?code=c&state=" .. session.state)
  same(client.sent:find("could not be taken", 1, true) ~= nil, true)
end)
