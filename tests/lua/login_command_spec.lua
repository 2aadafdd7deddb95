--- Logins on the command line: what is printed, pasted and returned.

local support = require "tests.support"
local login_support = require "tests.login_support"
local command = require "core.login_command"

local reset, text = login_support.reset, login_support.text

local function said(words)
  return text():find(words, 1, true) ~= nil
end

-- Runs a login; `during()` once it waits.
local function run(arguments, during)
  local sleep = modules.timer.sleep
  modules.timer.sleep = function(seconds)
    sleep(seconds)
    local once = during
    during = nil
    if once then once() end
  end
  local fine, code = pcall(command.run, arguments)
  modules.timer.sleep = sleep
  if not fine then error(code, 0) end
  return code
end

local function state_of()
  return login_support.browsed[1]:match "state=(%x+)"
end

local function visit(target)
  local client = support.client("GET", target)
  login_support.opened[1].handle(client)
  return client
end

test("what is pasted is read in all its forms", function()
  local read = command.read_pasted
  local both = { code = "a/b c", state = "f0" }
  for _, pasted in ipairs {
    "http://localhost:54545/callback?code=a%2Fb+c&state=f0",
    "  'localhost:1455/auth/callback?state=f0&scope=x&code=a%2Fb%20c' ",
    "?code=a%2Fb+c&state=f0", "code=a%2Fb+c&state=f0", "#code=a%2Fb+c&state=f0",
    "https://x.example/cb#state=f0&code=a%2Fb+c", "https://x.example/cb?state=f0#code=a%2Fb+c",
    "<http://localhost:8085/oauth2callback?code=a%2Fb+c&state=f0&iss=https://x>\r",
  } do
    same(read(pasted), both)
  end
  same(read "abc-DEF_1#f0", { code = "abc-DEF_1", state = "f0" })
  same(read "?error=access_denied&state=f0", { error = "access_denied", state = "f0" })
  same(read "http://localhost/?error_description=not+you", { error = "not you" })
  same(read "?code=c", { code = "c" })
  for _, nothing in ipairs { "", "hello", "http://localhost/callback", "?state=f0", "code=",
    "?code=&error=" } do
    same(read(nothing), nil)
  end
end)

test("a login in the browser: notice, address, waiting, where it was saved", function()
  reset { has_browser = true }
  local code = run({ flag = "fake-login" }, function()
    same(login_support.opened[1].everywhere, false)
    same(visit("/callback?code=cli&state=" .. state_of()).status, 302)
    same(visit("/success").status, 200)
  end)
  same(code, 0)
  same(login_support.opened[1].closed, true)
  same(login_support.file("fake-cli.json").token, "cli")
  same(said "Mind the terms.", true)
  same(said(login_support.browsed[1]), true)
  same(said "ssh -L", false)
  same(said "saved to auths/fake-cli.json", true)
  same(said "never share", true)
end)

test("without a browser the way through a tunnel is shown", function()
  reset()
  run({ flag = "fake-login", no_browser = "yes" }, function()
    login_support.opened[1].handle(support.client("GET", "/callback?error=x"))
  end)
  same(#login_support.browsed, 0)
  same(said "ssh -L 54545:127.0.0.1:54545 root@<server address> -p 22", true)
  same(said "ssh -i <path to key> -L 54545:127.0.0.1:54545 root@<server address> -p 22", true)
  reset()
  run { flag = "fake-login" }
  same(#login_support.browsed, 1)
  same(said "ssh -L", true)
end)

test("another port is listened on; where the provider keeps its own, that is said", function()
  reset { has_browser = true }
  run({ flag = "fake-login", port = "6000" }, function()
    same(login_support.opened[1].port, 6000)
    same(login_support.browsed[1]:find("localhost%3A6000%2Fcallback", 1, true) ~= nil, true)
  end)
  same(said "to port 54545", false)
  local function registered(session)
    session.url = "https://login.example/?redirect_uri=http%3A%2F%2Flocalhost%3A54545%2Fcallback"
    return true
  end
  reset { has_browser = true, behave = { begin = registered } }
  run { flag = "fake-login", port = "6000" }
  same(said "sends the browser to port 54545", true)
  reset { behave = { begin = registered } }
  run { flag = "fake-login", port = "6000" }
  same(said "ssh -L 54545:127.0.0.1:6000", true)
end)

test("a busy port has a code of its own", function()
  reset { busy = { [54545] = true } }
  same(run { flag = "fake-login" }, 13)
  same(said "port 54545", true)
  same(said "in use", true)
end)

test("a port that may not be taken is an ordinary failure", function()
  reset()
  local open = modules.listener.open
  modules.listener.open = function() return nil, { code = "refused", message = "port 80: denied" } end
  local code = run { flag = "fake-login", port = "80" }
  modules.listener.open = open
  same({ code, said "port 80: denied" }, { 1, true })
end)

test("time passes with signs of life, and then it is over", function()
  local state = reset()
  same(run { flag = "fake-login" }, 1)
  same(state.now == 1300, true)
  same(said "Still waiting for you, 270 s left.", true)
  same(select(2, text():gsub("Still waiting", "")), 9)
  same(said "Fake login failed: Timeout waiting for OAuth callback", true)
  same(said "paste", false)
end)

test("after a while at a terminal the address can be pasted", function()
  local typed = { { 20, "" }, { 21, "nonsense" }, { 22, "later" } }
  local state = reset { interactive = true, typed = typed }
  local code = run({ flag = "fake-login" }, function()
    typed[3][2] = "http://localhost:54545/callback?code=pasted&state=" .. state_of()
  end)
  same(code, 0)
  same(said "paste it here", true)
  same(said "neither a code nor an error", true)
  same(login_support.file("fake-pasted.json").token, "pasted")
  same(state.now < 1030, true)
end)

test("a pasted address of another login is refused, a refusal is taken", function()
  reset { interactive = true, typed = { { 20, "?code=c&state=" .. ("0"):rep(32) } } }
  same(run { flag = "fake-login" }, 1)
  same(said "State code error", true)
  reset { interactive = true, typed = { { 20, "?error=access_denied" } } }
  same(run { flag = "fake-login" }, 1)
  same(said "failed: the provider answered: access_denied", true)
end)

test("a device login shows the code and never asks for an address", function()
  local polls = 0
  reset { interactive = true, typed = { { 0, "someone@example.com" } }, behave = {
    begin = function(session)
      session.url, session.user_code, session.interval = "https://d.example/go", "AB-12", 30
      return true
    end,
    poll = function(_, options)
      polls = polls + 1
      if polls < 2 then return "wait" end
      return { name = "d.json", document = { email = options.ask "Your name?" } }
    end,
  } }
  same(run { flag = "fake-device" }, 0)
  same(said "https://d.example/go", true)
  same(said "AB-12", true)
  same(said "Your name?", true)
  same(said "paste", false)
  same(said "ssh", false)
  same(login_support.file("d.json").email, "someone@example.com")
end)

test("a login that only asks needs no terminal", function()
  reset { typed = { { 0, "the cookie " } }, behave = { at_once = function(options)
    return { name = "cookie.json", document = { cookie = options.ask "Cookie:" } }
  end } }
  same(run { flag = "fake-cookie" }, 0)
  same(login_support.file("cookie.json").cookie, "the cookie")
  reset { behave = { at_once = function(options)
    same(options.ask "Cookie:", nil)
    return nil, "nothing was given"
  end } }
  same(run { flag = "fake-cookie" }, 1)
  same(said "nothing was given", true)
end)

test("what cannot begin, and what nobody knows, fail with a word", function()
  reset { behave = { begin = function() return nil, "no network" end } }
  same(run { flag = "fake-login" }, 1)
  same(said "Fake login failed: no network", true)
  reset()
  same(run { flag = "other-login" }, 1)
  same(said "--other-login", true)
end)
