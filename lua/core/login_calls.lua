--- Logins that web pages begin: calls to the keeper, from the management API and the landing pages.

local callback = require "core.login_callback"
local config = require "config"
local json = require "json"
local keeper = require "keeper"
local limits = require "models.logins"
local listener = require "listener"
local log = require "log"
local logins = require "core.logins"
local pages = require "core.login_pages"
local store = require "store"
local timer = require "timer"

local M = {}

local function options_of(login, session)
  return {
    say = function(text) log.info("%s login: %s", login.title, text) end,
    project_id = session.project_id,
    redirect_uri = login.port and "http://localhost:" .. login.port .. login.path or nil,
  }
end

-- --- the forwarder -------------------------------------------------------------------------------

-- From the provider's own port on to the landing page of the main port.
local function forward(client, channel)
  if callback.refuse_method(client) then return end
  local tls = config.values.tls and config.values.tls.enable
  pages.redirect(client, ("%s://127.0.0.1:%d/%s/callback%s"):format(tls and "https" or "http",
    config.values.port, channel, client.query ~= "" and "?" .. client.query or ""))
end

-- Opens the forwarder.  Who had the port for a login before lets go of it in a moment.
local function open_forwarder(login, wait)
  local due = timer.now() + (wait and limits.port_seconds or 0)
  while true do
    local opened, problem = listener.open(login.port, callback.everywhere(), function(client)
      forward(client, login.channel)
    end)
    if opened then return opened end
    if problem.code ~= "busy" or timer.now() >= due then return nil, problem.message end
    timer.sleep(limits.tick_seconds)
  end
end

-- An earlier login that was abandoned may still have the port: it is ended.
local function take_port(login, session)
  local place = "login-port:" .. login.port
  local former = store.get(place)
  store.set(place, session.state, limits.session_seconds)
  return open_forwarder(login, former ~= nil and logins.cancel(former))
end

-- --- following -----------------------------------------------------------------------------------

-- Follows a session that nobody watches; the forwarder, if there is one, ends with it.
local function follow(login, session, forwarder)
  local _ <close> = forwarder
  local path, problem = logins.follow(login, session, options_of(login, session))
  if path then
    log.info("%s login: saved to %s", login.title, path)
  elseif problem then
    log.warn("%s login failed: %s%s", login.title, problem.error,
      problem.detail and " (" .. problem.detail .. ")" or "")
  end
  return true
end

--- Takes over what former scripts followed.  So that logins that wait do not keep them alive.
function M.resume()
  for _, state in ipairs(logins.waiting()) do
    keeper.post("login_follow", json.encode { state = state })
  end
end

-- --- calls ---------------------------------------------------------------------------------------

--- What can be asked of the keeper, with decoded arguments.
M.calls = {}

--- Begins a login, replies, and goes on with it.
--- @param given {channel: string, project_id: string?, webui: boolean?}
--- @param reply fun(result: table)  url and state; or error and perhaps detail
--- @return true
function M.calls.login_begin(given, reply)
  local login = logins.by_channel(given.channel)
  if not login then
    reply { error = "unsupported provider" }
    return true
  end
  local webui = given.webui and login.port and true or nil
  local facts = { project_id = given.project_id, webui = webui }
  local session, problem = logins.begin(login, options_of(login, facts), facts)
  if not session then
    reply(problem)
    return true
  end
  local forwarder, message
  if session.webui then
    forwarder, message = take_port(login, session)
    if not forwarder then
      logins.close(session, "error", "failed to start callback server")
      reply { error = "failed to start callback server", detail = message }
      return true
    end
  end
  reply { url = session.url, state = session.state, user_code = session.user_code }
  return follow(login, session, forwarder)
end

--- @param given {state: string}
--- @param reply fun(result: any)
--- @return true
function M.calls.login_follow(given, reply)
  reply(true) -- nobody waits for the end
  local session = logins.session(given.state)
  local login = session and logins.by_flag(session.flag)
  if not login or session.status ~= "wait" then return true end
  return follow(login, session, session.webui and open_forwarder(login, true) or nil)
end

--- @param given {channel: string?, state: string?, code: string?, error: string?}
--- @return {outcome: string}
function M.calls.login_callback(given)
  return { outcome = logins.deliver(given) }
end

--- @param given {state: string}
--- @return {status: string, error: string?}
function M.calls.login_status(given)
  return logins.status(given.state)
end

--- @param given {state: string}
--- @return {cancelled: boolean}
function M.calls.login_cancel(given)
  return { cancelled = logins.cancel(given.state) }
end

return M
