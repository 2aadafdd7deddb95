--- Logins, from their begin to the saved account: one machine for the command line and for the
--- management API.
---
--- A session lives in the shared store under its state.  What the browser brings back is put there
--- too, once, by whoever receives it: a listener, a landing page, the terminal.  One task follows
--- the session: it waits for the answer, exchanges it and saves the account.
---
--- In the store: `login:<state>`, the session; `login-answer:<state>`, what came back;
--- `login-follower:<state>`, who follows it; `login-taken:<state>`, present once the answer is
--- used.

local accounts = require "accounts"
local json = require "json"
local limits = require "models.logins"
local oauth = require "lib.oauth"
local store = require "store"
local task = require "task"
local timer = require "timer"
local token_files = require "core.token_files"

local min = math.min

local M = {}

-- Where an account kind keeps its logins.
local MEMBERS = { "login", "device_login", "cookie_login" }

local ERROR_MAX = 300 -- bytes

-- Tells this Lua state from others that may have followed a session before.
local SELF = oauth.state()

---@class LoginProblem
---@field error string    short, as user interfaces know it
---@field detail? string  what else people at the terminal and in the log should know

local function problem_of(short, detail)
  return { error = short, detail = detail }
end

-- --- what can be logged in to --------------------------------------------------------------------

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

-- --- sessions ------------------------------------------------------------------------------------

local function load(prefix, state)
  local text = store.get(prefix .. state)
  return text and json.decode(text) or nil
end

--- True for a text that can be the state of a session.
--- @param state any
--- @return boolean
function M.is_state(state)
  return type(state) == "string" and #state == 32 and state:find("^[0-9a-f]+$") ~= nil
end

--- The session of a state, whatever its status.
--- @param state string
--- @return LoginSession?
function M.session(state)
  return M.is_state(state) and load("login:", state) or nil
end

--- The states of all sessions that wait.
--- @return string[]
function M.waiting()
  local list = {}
  for _, key in ipairs(store.keys "login:") do
    local session = M.session(key:sub(#"login:" + 1))
    if session and session.status == "wait" then list[#list + 1] = session.state end
  end
  return list
end

--- Begins a login: a session with the address that the person has to open.
--- @param login Login
--- @param options LoginOptions
--- @param facts? table  plain values to be kept with the session
--- @return LoginSession?
--- @return LoginProblem?
function M.begin(login, options, facts)
  local session = { state = oauth.state(), channel = login.channel, flag = login.flag }
  session.status = "wait"
  for name, value in pairs(facts or {}) do session[name] = value end
  session.verifier, session.challenge = oauth.pkce(login.verifier_bytes or 96)
  local fine, message = login.begin(session, options)
  if not fine then return nil, problem_of(limits.channels[login.channel].refused, message) end
  session.polled_until = login.poll and timer.wall()
    + min(session.expires_in or limits.device_seconds, limits.device_seconds)
  session.answered_until = timer.wall() + limits.answer_seconds
  store.set("login:" .. session.state, json.encode(session), limits.session_seconds)
  return session
end

-- Puts an answer there for whoever follows the session; false when there is one already.
local function answer(state, fields)
  return store.claim("login-answer:" .. state, json.encode(fields), limits.session_seconds)
end

-- A provider's words come through the browser, so they may be anybody's: one short line of them.
local function words(text)
  return text and (text:gsub("%c", " "):sub(1, ERROR_MAX))
end

--- Takes what a browser brought back.
--- @param given {channel: string?, state: string?, code: string?, error: string?, pasted: boolean?}
--- @return "ok"|"malformed"|"unknown"|"mismatch"|"over"|"empty" outcome
function M.deliver(given)
  if not M.is_state(given.state) then return "malformed" end
  local session = M.session(given.state)
  if not session then return "unknown" end
  if session.status ~= "wait" then return "over" end
  if given.channel and given.channel ~= session.channel or session.polled_until then
    return "mismatch"
  end
  if not given.code and not given.error then return "empty" end
  local fields = { code = given.code, error = words(given.error), pasted = given.pasted }
  return answer(given.state, fields) and "ok" or "over"
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
  local session = M.session(state)
  return session ~= nil and session.status == "wait" and answer(state, { cancelled = true })
end

--- How a session stands.
--- @param state string
--- @return {status: "wait"|"ok"|"error", error: string?}
function M.status(state)
  if state == "" then return { status = "ok" } end
  local session = M.session(state)
  if not session then return { status = "error", error = "unknown or expired state" } end
  return { status = session.status, error = session.error }
end

--- Ends a session for good: what is left of it is how it ended.
--- @param session LoginSession
--- @param status "ok"|"error"
--- @param failure string?
function M.close(session, status, failure)
  local state = session.state
  for _, prefix in ipairs { "login-answer:", "login-follower:", "login-taken:" } do
    store.set(prefix .. state, nil)
  end
  store.set("login:" .. state, json.encode {
    state = state, channel = session.channel, flag = session.flag, status = status, error = failure,
  }, status == "ok" and limits.done_seconds or limits.session_seconds)
end

-- --- following -----------------------------------------------------------------------------------

-- Another Lua state follows the session now.
local HANDED_OVER = problem_of "handed over"

-- Waits for something of the session until a moment of the wall clock.  `look()` gives it;
-- `tick(left)` passes the time.
local function wait(session, due, look, tick)
  while true do
    if store.get("login-follower:" .. session.state) ~= SELF then return nil, HANDED_OVER end
    local found, problem = look()
    if found or problem then return found, problem end
    local left = due - timer.wall()
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
  local found, problem = wait(session, session.answered_until, function()
    return load("login-answer:", session.state)
  end, tick)
  problem = problem or not found and problem_of(limits.channels[session.channel].timeout)
    or failed_answer(session, found)
  if problem then return nil, problem end
  if not store.claim("login-taken:" .. session.state, true, limits.session_seconds) then
    return nil, HANDED_OVER
  end
  session.pasted = found.pasted
  local saved, message, detail = login.finish(session, found.code, options)
  if saved then return saved end
  return nil, problem_of(message or "Failed to exchange authorization code for tokens", detail)
end

-- Asks the provider, at the interval it wants, whether the person has agreed.
local function from_device(login, session, options, tick)
  local texts = limits.channels[session.channel]
  local next_poll = timer.now() + (session.interval or 5)
  local saved, problem = wait(session, session.polled_until, function()
    local found = load("login-answer:", session.state)
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

--- Waits until the login is answered, and saves the account.  Takes the session over from whoever
--- followed it before.
--- @param login Login
--- @param session LoginSession
--- @param options LoginOptions
--- @param tick? fun(left: number)  passes some time; gets the seconds left
--- @return string? path  of the token file
--- @return LoginProblem?  nil as well when somebody else follows it now
function M.follow(login, session, options, tick)
  store.set("login-follower:" .. session.state, SELF, limits.session_seconds)
  local fine, path, problem = pcall(finish, login, session, options, tick)
  if problem == HANDED_OVER then return nil end
  local now = M.session(session.state)
  -- The former follower may have been there first.
  if not path and now and now.status ~= "wait" then return nil end
  if not fine then
    M.close(session, "error", "internal error")
    error(path, 0)
  end
  M.close(session, path and "ok" or "error", problem and problem.error)
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

return M
