--- Stand-ins for what logins use: a folder, listeners, a terminal, a browser; and two logins.

local support = require "tests.support"

local M = { opened = {}, busy = {}, said = {}, typed = {}, browsed = {} }

-- A folder in memory, unless another spec has brought one.
local files = {}
modules.file = modules.file or {
  list = function(directory)
    local names = {}
    for path in pairs(files) do names[#names + 1] = path:match("^" .. directory .. "/([^/]+)$") end
    return names
  end,
  read = function(path)
    if files[path] then return files[path] end
    return nil, { code = "not_found", message = path }
  end,
  write = function(path, text)
    files[path] = text
    return true
  end,
  try_lock = function() return setmetatable({}, { __close = function() end }) end,
}
modules.accounts = modules.accounts or { directory = function() return "auths" end }

local Listener = {}
Listener.__index = Listener
function Listener:close() self.closed = true end
Listener.__close = Listener.close
modules.listener = {
  open = function(port, everywhere, handle)
    if M.busy[port] then return nil, { code = "busy", message = "address already in use" } end
    local opened = setmetatable({ port = port, everywhere = everywhere, handle = handle }, Listener)
    M.opened[#M.opened + 1] = opened
    return opened
  end,
}

-- Lines that are typed: {seconds from the begin, text}.
modules.terminal = {
  write = function(text) M.said[#M.said + 1] = text end,
  is_interactive = function() return M.interactive end,
  line = function(seconds)
    local next_line = M.typed[1]
    if next_line and modules.timer.now() - 1000 + seconds >= next_line[1] then
      return table.remove(M.typed, 1)[2]
    end
    if not next_line and seconds > 10 then return nil, { code = "closed", message = "closed" } end
    modules.timer.sleep(seconds)
    return nil, { code = "timeout", message = "timeout" }
  end,
}
modules.browser = {
  open = function(url)
    M.browsed[#M.browsed + 1] = url
    return M.has_browser or false
  end,
}

-- What the two logins do; tests change it.
local behave = {}

local function saved(session, code)
  return {
    name = "fake-" .. code .. ".json", document = { type = "fake", token = code, by = session.own },
    same = function(document) return document.token == code end,
  }
end

local function begin(session, options)
  session.own = "x" .. #session.verifier
  if behave.begin then return behave.begin(session, options) end
  session.url = "https://login.example/?state=" .. session.state .. "&redirect_uri="
    .. (options.redirect_uri or ""):gsub("[:/]", { [":"] = "%3A", ["/"] = "%2F" })
  return true
end

modules["accounts.fake"] = {
  type = "fake",
  login = {
    flag = "fake-login", channel = "anthropic", title = "Fake", port = 54545, path = "/callback",
    notice = "Mind the terms.", begin = begin,
    finish = function(session, code, options)
      if behave.finish then return behave.finish(session, code, options) end
      return saved(session, code)
    end,
  },
  device_login = {
    flag = "fake-device", channel = "qwen", title = "Fake device", verifier_bytes = 32, begin = begin,
    poll = function(session, options) return behave.poll(session, options) end,
  },
  cookie_login = {
    flag = "fake-cookie", channel = "iflow", title = "Fake cookie",
    at_once = function(options) return behave.at_once(options) end,
  },
}

--- Begins a test.
--- @param given table?  `behave` of the logins, and fields of this module
function M.reset(given)
  given = given or {}
  local state = support.reset { values = { host = "localhost", port = 8317, tls = {} } }
  modules.task.scripts = function() return { "fake" } end
  for name in pairs(behave) do behave[name] = nil end
  for name, value in pairs(given.behave or {}) do behave[name] = value end
  M.opened, M.busy, M.said, M.browsed = {}, given.busy or {}, {}, {}
  M.typed, M.interactive, M.has_browser = given.typed or {}, given.interactive, given.has_browser
  return state
end

--- What was said at the terminal.
--- @return string
function M.text()
  return table.concat(M.said)
end

--- What a file of auth-dir says.
--- @param name string
function M.file(name)
  local text = modules.file.read("auths/" .. name)
  return text and modules.json.decode(text)
end

return M
