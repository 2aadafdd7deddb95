--- One login on the command line: cli-proxy-api --claude-login and the like.

local browser = require "browser"
local callbacks = require "core.login_callback"
local limits = require "models.logins"
local listener = require "listener"
local logins = require "core.logins"
local oauth = require "lib.oauth"
local terminal = require "terminal"
local timer = require "timer"

local M = {}

local FAILED, BUSY = 1, 13
local WIDTH = 100

local function say(text)
  terminal.write(text .. "\n")
end

local function ask(prompt)
  terminal.write(prompt .. " ")
  local line = terminal.line(limits.ask_seconds)
  return line and line:match "^%s*(.-)%s*$"
end

-- --- what is pasted ------------------------------------------------------------------------------

--- Reads what a person pastes: the address the browser was sent to, its query or fragment alone, or
--- the form `code#state`.
--- @param text string
--- @return {code: string?, state: string?, error: string?}?  nil when it says nothing
function M.read_pasted(text)
  text = text:match "^[%s\"'<]*(.-)[%s\"'>]*$"
  local found = {}
  local function take(query)
    for name, value in pairs(oauth.parse_query(query or "")) do
      if value ~= "" and found[name] == nil then found[name] = value end
    end
  end
  local code, state = text:match "^([^#?=&%s]+)#([^#?=&%s]+)$"
  if code then return { code = code, state = state } end
  local before, fragment = text:match "^([^#]*)#?(.*)$"
  local query = before:match "%?(.*)$"
  if not query and not before:find("://", 1, true) then query = before end
  take(query)
  take(fragment)
  local problem = found.error or found.error_description
  if not found.code and not problem then return nil end
  return { code = found.code, state = found.state, error = problem }
end

-- The code that a page of the provider showed, pasted alone.
local function code_alone(line)
  local code = line:match "^%s*([%w%-._~/+%%]+)%s*$"
  return code and { code = code, pasted = true }
end

-- Takes a pasted line for the session.
local function paste(login, session, line)
  if line:find "^%s*$" then return end
  local given = M.read_pasted(line) or session.code_url and code_alone(line)
  if not given then
    return say "That has neither a code nor an error in it. Paste the whole address, please:"
  end
  if given.state and given.state ~= session.state then
    return logins.reject(session, "State code error: the address belongs to another login")
  end
  logins.deliver { channel = login.channel, state = session.state, code = given.code,
    error = given.error, pasted = given.pasted }
end

-- --- waiting -------------------------------------------------------------------------------------

-- Passes the time of a login: says now and then how much is left, and after a while takes a pasted
-- address.
local function ticker(login, session)
  local started = timer.now()
  local next_sign = started + limits.progress_seconds
  local listening = login.finish ~= nil and terminal.is_interactive()
  local prompted = false
  return function(left)
    local now = timer.now()
    if now >= next_sign then
      next_sign = now + limits.progress_seconds
      say(string.format("Still waiting for you, %.0f s left.", left))
    end
    local pause = math.min(left, limits.tick_seconds)
    if not listening then return timer.sleep(pause) end
    -- Who pastes without being asked is heard as well.
    if not prompted and not session.code_shown and now - started >= limits.paste_seconds then
      prompted = true
      say("If the browser shows an error page, because it runs on another machine, copy the "
        .. "address it\nwas sent to and paste it here:")
    end
    local line, problem = terminal.line(pause)
    if line then
      paste(login, session, line)
    elseif problem.code ~= "timeout" then
      listening = false
    end
  end
end

-- --- the run -------------------------------------------------------------------------------------

-- How a browser on another machine gets back here.  `from` is the port it is sent to.
local function tunnel_hint(from, port)
  say(string.format([[
If this machine is a server, your own machine has to lead the browser's way back to it. Run one of
these there first (with another port than 22 where the server has one):

  ssh -L %d:127.0.0.1:%d root@<server address> -p 22
  ssh -i <path to key> -L %d:127.0.0.1:%d root@<server address> -p 22
]], from, port, from, port))
end

-- The port that the provider sends the browser to.
local function return_port(login, session, port)
  local ours = oauth.escape("localhost:" .. port)
  return session.url:find(ours, 1, true) and port or login.port
end

-- A text in lines of a terminal's width.
local function folded(text)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if #line + #word >= WIDTH then
      lines[#lines + 1], line = line, ""
    end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- Shows the address, in a browser if there is one.
local function show(login, session, port, no_browser)
  local opened = not no_browser and browser.open(session.url)
  local from = port and return_port(login, session, port)
  say(opened and "A browser opens. If it does not, open this address:" or "Open this address:")
  say("\n" .. session.url .. "\n")
  if session.user_code then say("The code it asks for: " .. session.user_code .. "\n") end
  if port and not opened then
    tunnel_hint(from, port)
  elseif from ~= port then
    say(("The provider sends the browser to port %d: something has to lead it to port %d.\n")
      :format(from, port))
  end
  if session.code_url and not opened then
    session.code_shown = true
    say("Without a way back to this machine, open this address instead, and paste the code that its\n"
      .. "page shows in the end:\n\n" .. session.code_url .. "\n")
  end
  say("Waiting for the " .. login.title .. " login ...")
end

-- What user interfaces know as "refused" says less than the detail.
local function reason(login, problem)
  if not problem.detail then return problem.error end
  if problem.error == limits.channels[login.channel].refused then return problem.detail end
  return problem.error .. " (" .. problem.detail .. ")"
end

local function report(login, path, problem)
  if not path then
    say(login.title .. " login failed: " .. reason(login, problem))
    return FAILED
  end
  say(login.title .. " login successful, saved to " .. path)
  say "Whoever has this file can use the account: never share it; log in again on other machines."
  return 0
end

-- Stays until the browser has got its last page.
local function linger(callback)
  local due = timer.now() + limits.linger_seconds
  while callback.page_due and timer.now() < due do timer.sleep(limits.tick_seconds / 5) end
end

-- A login whose browser comes back to a port of ours.
local function by_callback(login, session, options, arguments)
  local port = options.port
  local callback = callbacks.new(login, session)
  local open <close>, problem = listener.open(port, callbacks.everywhere(), callback.handle)
  if not open then
    local busy = problem.code == "busy"
    say(string.format("Cannot listen on port %d, where the browser is to come back: %s\n"
      .. "--oauth-callback-port takes another port.", port,
      busy and "it is in use. Another login may be running." or problem.message))
    return busy and BUSY or FAILED
  end
  show(login, session, port, arguments.no_browser)
  local path
  path, problem = logins.follow(login, session, options, ticker(login, session))
  local code = report(login, path, problem)
  linger(callback)
  return code
end

local function by_device(login, session, options, arguments)
  show(login, session, nil, arguments.no_browser)
  return report(login, logins.follow(login, session, options, ticker(login, session)))
end

--- @param arguments table<string, string>
--- @return integer exit_code
function M.run(arguments)
  local login = logins.by_flag(arguments.flag)
  if not login then
    say("--" .. arguments.flag .. ": there is no script for this login")
    return FAILED
  end
  local port = login.port and (tonumber(arguments.port) or login.port)
  local options = {
    say = say, ask = (login.at_once or terminal.is_interactive()) and ask or nil,
    project_id = arguments.project_id, port = port,
    redirect_uri = port and "http://localhost:" .. port .. login.path or nil,
  }
  if login.notice then say(folded(login.notice) .. "\n") end
  if login.at_once then return report(login, logins.at_once(login, options)) end
  local session, problem = logins.begin(login, options)
  if not session then return report(login, nil, problem) end
  return (login.poll and by_device or by_callback)(login, session, options, arguments)
end

return M
