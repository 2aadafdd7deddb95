--- The browser's way back from a provider to a port of this machine.

local access = require "core.access"
local config = require "config"
local limits = require "models.logins"
local logins = require "core.logins"
local pages = require "core.login_pages"

local M = {}

local SECONDS = 10 -- that the last page stays open

--- True when callbacks may come from outside of this machine: in a container, where they always do.
--- @return boolean
function M.everywhere()
  local host = config.values.host
  return not (access.is_loopback_host(host) or access.is_loopback_host("[" .. host .. "]"))
end

--- What a callback's query says.
--- @param client Client
--- @return {code: string?, state: string?, error: string?}
function M.read(client)
  local function param(name)
    local value = client:param(name)
    return value ~= "" and value or nil
  end
  return { code = param "code", state = param "state",
    error = param "error" or param "error_description" }
end

--- Answers what is not a GET; false when it is one.
--- @param client Client
--- @return boolean
function M.refuse_method(client)
  if client.method == "GET" then return false end
  pages.plain(client, 405, "Method Not Allowed", { Allow = "GET" })
  return true
end

local function refuse(client, page, text)
  if page.failure then return pages.redirect(client, page.failure) end
  pages.plain(client, page.inline and 200 or 400, text)
end

-- What is wrong with a callback, in the words of the reference; nil when nothing is.
local function fault_of(given, session)
  if not given.code then return "no_code" end
  if not given.state then return "no_state" end
  if given.state ~= session.state then return "State code error" end
end

-- Takes a callback; true when the browser is sent on to a page of ours.
local function take(client, session, page)
  local given = M.read(client)
  if given.error then
    logins.deliver { state = session.state, error = given.error }
    return refuse(client, page, "OAuth error: " .. given.error)
  end
  local fault = fault_of(given, session)
  if fault then
    logins.reject(session, fault)
    return refuse(client, page, "Authentication failed: " .. fault)
  end
  if logins.deliver(given) ~= "ok" then return refuse(client, page, "This login is over.") end
  if page.inline then return pages.success(client, SECONDS) end
  pages.redirect(client, page.success or "/success")
  return not page.success
end

--- Serves the callback of one session; every answer to it is final.
--- @param login Login
--- @param session LoginSession
--- @return {handle: fun(client: Client), page_due: boolean}  `page_due`: the browser is on its way
---   to the last page
function M.new(login, session)
  local page = limits.channels[login.channel]
  local callback = { page_due = false }
  function callback.handle(client)
    if M.refuse_method(client) then return end
    if client.path == login.path then
      callback.page_due = take(client, session, page) or false
    elseif client.path == "/success" and not page.inline then
      pages.success(client, SECONDS, page.link)
      callback.page_due = false
    else
      pages.plain(client, 404, "Not Found")
    end
  end
  return callback
end

return M
