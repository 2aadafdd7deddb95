---@meta login
-- What only scripts that may see tokens can use: the keeper's, and those of logins on the command
-- line.  Elsewhere these functions raise.

--- Small HTTP servers of this machine, such as the one a login's browser comes back to.
local listener = {}

--- Opens one on a port nobody else listens on, with limits of 10 s.  Each request runs
--- `handle(client)` in a task of its own.  It ends with the task that opened it.
---@param port integer
---@param everywhere boolean  false: 127.0.0.1 and ::1 alone
---@param handle fun(client: Client)
---@return Listener?
---@return {code: "busy"|"refused", message: string}? error
function listener.open(port, everywhere, handle) end

---@class Listener
local Listener = {}
--- Stops it; answers that are written leave.  Safe to call twice; also for `<close>`.
function Listener:close() end

--- The terminal that the program was started from.
local terminal = {}
---@param text string  to standard output, at once
function terminal.write(text) end
--- The next line of standard input, without its end, waiting for it.
---@param seconds number
---@return string? line
---@return {code: "timeout"|"closed", message: string}? error
function terminal.line(seconds) end
--- True when standard input is a terminal and we are in its foreground.
---@return boolean
function terminal.is_interactive() end

--- The person's browser.
local browser = {}
--- Opens an address in a process of its own; false when no browser was found.
---@param url string  http or https
---@return boolean
function browser.open(url) end
