--- Logins, from their begin to the saved account: one machine for the command line and for the
--- management API.
---
--- A session lives in the shared store under its state.  What the browser brings back is put there
--- too, once, by whoever receives it: a listener, a landing page, the terminal.  The task that
--- began the login waits for it (`follow`).

local access = require "core.access"
local accounts = require "accounts"
local config = require "config"
local json = require "json"
local limits = require "models.logins"
local listener = require "listener"
local log = require "log"
local oauth = require "lib.oauth"
local pages = require "core.login_pages"
local store = require "store"
local task = require "task"
local timer = require "timer"
local token_files = require "core.token_files"

local min = math.min

local SECONDS = 10 -- that the last page stays open

local M = {}

-- Where an account kind keeps its logins.
local MEMBERS = { "login", "device_login", "cookie_login" }

---@class LoginProblem
---@field error string    short, as user interfaces know it
---@field detail? string  what else people at the terminal and in the log should know

local function problem_of(short, detail)
  return { error = short, detail = detail }
end

-- --- what can be logged in to -----------------------------------------------------------------------

local function find(member, value)
  for _, name in ipairs(task.scripts "accounts") do
    local kind = require("accounts." .. name)
    for _, place in ipairs(MEMBERS) do
      local login = kind[place]
      if login and login[member] == value then return login end
    end
  end
end

--- The login of a command-line flag.
--- @param flag string  without dashes
--- @return Login?
function M.by_flag(flag)
  return find("flag", flag)
end

--- The login of a channel as web pages offer it.
--- @param channel string
--- @return Login?
function M.by_channel(channel)
  return find("channel", channel)
end

-- --- sessions ---------------------------------------------------------------------------------------

local function key_of(state) return "login:" .. state end
local function answer_key(state) return "login-answer:" .. state end

local function keep(session, seconds)
  store.set(key_of(session.state), json.encode(session), seconds)
end

local function load(key)
  local text = store.get(key)
  return text and json.decode(text) or nil
end

--- True for a text that can be the state of a session.
--- @param state any
--- @return boolean
function M.is_state(state)
  return type(state) == "string" and #state == 32 and state:find("^[0-9a-f]+$") ~= nil
end

--- Begins a login: a session with the address that the person has to open.
--- @param login Login
--- @param options LoginOptions
--- @return LoginSession?
--- @return LoginProblem?
function M.begin(login, options)
  local session = { state = oauth.state(), channel = login.channel, flag = login.flag, status = "wait" }
  session.verifier, session.challenge = oauth.pkce(login.verifier_bytes or 96)
  local fine, message = login.begin(session, options)
  if not fine then
    return nil, problem_of(limits.channels[login.channel].refused, message)
  end
  keep(session, limits.session_seconds)
  return session
end

-- Puts an answer there for whoever follows the session; false when there is one already.
local function answer(state, fields)
  return store.claim(answer_key(state), json.encode(fields), limits.session_seconds)
end

--- Takes what a browser brought back.
--- @param given {channel: string?, state: string?, code: string?, error: string?}
--- @return "ok"|"malformed"|"unknown"|"mismatch"|"over"|"empty" outcome
function M.deliver(given)
  if not M.is_state(given.state) then return "malformed" end
  local session = load(key_of(given.state))
  if not session then return "unknown" end
  local login = M.by_flag(session.flag)
  if given.channel and given.channel ~= session.channel or not (login and login.finish) then
    return "mismatch"
  end
  if session.status ~= "wait" then return "over" end
  if not given.code and not given.error then return "empty" end
  return answer(given.state, { code = given.code, error = given.error }) and "ok" or "over"
end

--- Ends a session that waits, because what came back cannot be right.
--- @param session LoginSession
--- @param failure string
function M.reject(session, failure)
  answer(session.state, { failed = failure })
end

--- Ends a session that waits.
--- @param state string
--- @return boolean cancelled  false when there was nothing to end
function M.cancel(state)
  if not M.is_state(state) then return false end
  local session = load(key_of(state))
  return session ~= nil and session.status == "wait" and answer(state, { cancelled = true })
end

--- How a session stands.
--- @param state string
--- @return {status: "wait"|"ok"|"error", error: string?}
function M.status(state)
  if state == "" then return { status = "ok" } end
  local session = M.is_state(state) and load(key_of(state))
  if not session then return { status = "error", error = "unknown or expired state" } end
  return { status = session.status, error = session.error }
end

-- --- waiting ----------------------------------------------------------------------------------------

-- Waits for something of the session until `due`.  `look()` gives it; `tick(left)` passes the time.
local function wait(due, look, tick)
  while true do
    local found, problem = look()
    if found or problem then return found, problem end
    local left = due - timer.now()
    if left <= 0 then return nil end
    tick(left)
  end
end

local function sleep(left)
  timer.sleep(min(left, limits.tick_seconds))
end

local function failed_answer(session, found)
  local texts = limits.channels[session.channel]
  if found.cancelled then return problem_of "cancelled" end
  if found.failed then return problem_of(texts[found.failed] or found.failed) end
  if found.error then
    return problem_of(texts.refused, "the provider answered: " .. found.error)
  end
end

local function from_browser(login, session, options, tick)
  local found = wait(timer.now() + limits.answer_seconds, function()
    return load(answer_key(session.state))
  end, tick)
  if not found then return nil, problem_of(limits.channels[session.channel].timeout) end
  local problem = failed_answer(session, found)
  if problem then return nil, problem end
  local saved, message = login.finish(session, found.code, options)
  if saved then return saved end
  return nil, problem_of(message or "Failed to exchange authorization code for tokens")
end

-- Asks the provider, at the interval it wants, whether the person has agreed.
local function from_device(login, session, options, tick)
  local texts = limits.channels[session.channel]
  local due = timer.now() + min(session.expires_in or limits.device_seconds, limits.device_seconds)
  local next_poll = timer.now() + (session.interval or 5)
  local saved, problem = wait(due, function()
    local found = load(answer_key(session.state))
    if found then return nil, failed_answer(session, found) end
    if timer.now() < next_poll then return nil end
    local result, message = login.poll(session, options)
    next_poll = timer.now() + (session.interval or 5)
    if result == "wait" then return nil end
    if result then return result end
    return nil, problem_of(texts.refused, message)
  end, tick)
  if saved or problem then return saved, problem end
  return nil, problem_of(texts.timeout, "nobody agreed before the code expired")
end

-- What is left of a session is how it ended.
local function close(session, status, problem)
  store.set(answer_key(session.state), nil)
  keep({ state = session.state, channel = session.channel, flag = session.flag, status = status,
    error = problem }, status == "ok" and limits.done_seconds or limits.session_seconds)
end

local function save(saved)
  local directory = accounts.directory()
  local name, message = token_files.save(directory, saved)
  if not name then return nil, problem_of("Failed to save authentication tokens", message) end
  return directory .. "/" .. name
end

local function finish(login, session, options, tick)
  local step = login.poll and from_device or from_browser
  local saved, problem = step(login, session, options, tick or sleep)
  if not saved then return nil, problem end
  return save(saved)
end

--- Waits until the login is answered, and saves the account.
--- @param login Login
--- @param session LoginSession
--- @param options LoginOptions
--- @param tick? fun(left: number)  passes some time; gets the seconds left
--- @return string? path  of the token file
--- @return LoginProblem?
function M.follow(login, session, options, tick)
  local fine, path, problem = pcall(finish, login, session, options, tick)
  if not fine then
    close(session, "error", "internal error")
    error(path, 0)
  end
  close(session, path and "ok" or "error", problem and problem.error)
  return path, problem
end

--- A login that needs no browser: it asks at the terminal for what it takes.
--- @param login Login
--- @param options LoginOptions
--- @return string? path
--- @return LoginProblem?
function M.at_once(login, options)
  local saved, message = login.at_once(options)
  if not saved then return nil, problem_of(limits.channels[login.channel].refused, message) end
  return save(saved)
end

-- --- the browser's way back, on this machine --------------------------------------------------------

--- True when a callback may come from outside of this machine: in a container, where it always does.
--- @return boolean
function M.everywhere()
  local host = config.values.host
  return not (access.is_loopback_host(host) or access.is_loopback_host("[" .. host .. "]"))
end

--- What a callback's query says.
--- @param client Client
--- @return {code: string?, state: string?, error: string?}
function M.read_callback(client)
  local function param(name)
    local value = client:param(name)
    return value ~= "" and value or nil
  end
  return { code = param "code", state = param "state",
    error = param "error" or param "error_description" }
end

local function refuse(client, page, text)
  if page.failure then return pages.redirect(client, page.failure) end
  pages.plain(client, page.inline and 200 or 400, text)
end

-- True when the browser comes again, for its page.
local function accept(client, page)
  if page.inline then
    pages.success(client, SECONDS)
  else
    pages.redirect(client, page.success or "/success")
  end
  return not page.inline and not page.success
end

-- What is wrong with a callback, in the words of the reference; nil when nothing is.
local function fault_of(given, session)
  if not given.code then return "no_code" end
  if not given.state then return "no_state" end
  if given.state ~= session.state then return "State code error" end
end

-- Takes a callback; true when the browser is sent on to a page of ours.
local function take_callback(client, session, page)
  local given = M.read_callback(client)
  if given.error then
    answer(session.state, { error = given.error })
    return refuse(client, page, "OAuth error: " .. given.error)
  end
  local fault = fault_of(given, session)
  if fault then
    M.reject(session, fault)
    return refuse(client, page, "Authentication failed: " .. fault)
  end
  if M.deliver(given) ~= "ok" then return refuse(client, page, "This login is over.") end
  return accept(client, page)
end

--- Serves the callback of one session; every answer to it is final.
--- @param login Login
--- @param session LoginSession
--- @return {handle: fun(client: Client), page_due: boolean}  `page_due`: the browser is on its way to
---   the last page
function M.callback(login, session)
  local page = limits.channels[login.channel]
  local callback = { page_due = false }
  function callback.handle(client)
    if client.method ~= "GET" then
      pages.plain(client, 405, "Method Not Allowed", { Allow = "GET" })
    elseif client.path == login.path then
      callback.page_due = take_callback(client, session, page) or false
    elseif client.path == "/success" and not page.inline then
      pages.success(client, SECONDS, page.link)
      callback.page_due = false
    else
      pages.plain(client, 404, "Not Found")
    end
  end
  return callback
end

-- --- logins that web pages begin --------------------------------------------------------------------

-- The browser's way back to a provider's own port, on to the landing page of the main port.
local function forward(client, channel)
  if client.method ~= "GET" then
    return pages.plain(client, 405, "Method Not Allowed", { Allow = "GET" })
  end
  local tls = config.values.tls and config.values.tls.enable
  pages.redirect(client, string.format("%s://127.0.0.1:%d/%s/callback%s", tls and "https" or "http",
    config.values.port, channel, client.query ~= "" and "?" .. client.query or ""))
end

-- Opens the forwarder.  A login that was abandoned may still have the port: it is ended first.
local function open_forwarder(login, session)
  local place = "login-port:" .. login.port
  local former = store.get(place)
  if former then M.cancel(former) end
  store.set(place, session.state, limits.session_seconds)
  local due = timer.now() + limits.port_seconds
  while true do
    local opened, problem = listener.open(login.port, M.everywhere(), function(client)
      forward(client, login.channel)
    end)
    if opened then return opened end
    if not former or problem.code ~= "busy" or timer.now() >= due then return nil, problem.message end
    timer.sleep(limits.tick_seconds)
  end
end

-- Follows a session that nobody watches; the forwarder, if there is one, ends with it.
local function follow_in_background(login, session, options, forwarder)
  local _ <close> = forwarder
  local path, problem = M.follow(login, session, options)
  if path then
    log.info("%s login: saved to %s", login.title, path)
  else
    log.warn("%s login failed: %s%s", login.title, problem.error,
      problem.detail and " (" .. problem.detail .. ")" or "")
  end
end

--- Calls of the management API and the landing pages, served where tokens are known.
M.calls = {}

--- Begins a login and goes on in the background after `reply`.
--- @param given {channel: string, project_id: string?, webui: boolean?}
--- @param reply fun(result: table)
function M.calls.login_begin(given, reply)
  local login = M.by_channel(given.channel)
  if not login then return reply { error = "unsupported provider" } end
  local options = {
    say = function(text) log.info("%s login: %s", login.title, text) end,
    project_id = given.project_id,
    redirect_uri = login.port and "http://localhost:" .. login.port .. login.path or nil,
  }
  local session, problem = M.begin(login, options)
  if not session then return reply { error = problem.error, detail = problem.detail } end
  local forwarder, message
  if given.webui and login.port then
    forwarder, message = open_forwarder(login, session)
    if not forwarder then
      close(session, "error", "failed to start callback server")
      return reply { error = "failed to start callback server", detail = message }
    end
  end
  reply { url = session.url, state = session.state, user_code = session.user_code }
  follow_in_background(login, session, options, forwarder)
end

--- @param given {channel: string?, state: string?, code: string?, error: string?}
--- @return {outcome: string}
function M.calls.login_callback(given)
  return { outcome = M.deliver(given) }
end

--- @param given {state: string}
--- @return {status: string, error: string?}
function M.calls.login_status(given)
  return M.status(given.state)
end

--- @param given {state: string}
--- @return {cancelled: boolean}
function M.calls.login_cancel(given)
  return { cancelled = M.cancel(given.state) }
end

return M
