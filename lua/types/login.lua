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

--- The account side of a provider, `lua/accounts/<name>.lua`: the only scripts that see tokens.
---@class AccountKind
---@field type string            `type` in token files
---@field lead? number           seconds before expiry to refresh in the background; nil: before use
---@field ahead? number          seconds before expiry that a request refreshes first (default 10)
---@field read fun(document: table, file: string): Account[]?, string?  what a token file offers, or
---  nil and why it cannot be used
---@field refresh? fun(document: table): table?, RefreshProblem?  members to change in the file
---@field login? Login
---@field device_login? Login    another way, for machines without a browser
---@field cookie_login? Login    another way, by a browser's cookie

---@class Account
---@field suffix? string         of a further credential of one file: its id is "<file>#<suffix>"
---@field label string           for people
---@field secret string          replaces `{secret}`
---@field hosts string[]         base URLs the secret may go to
---@field base_url string        without a slash at its end
---@field facts? table           public: strings, numbers, booleans
---@field expires? number        Unix time; nil: as the file says, else until rejected
---@field lead? number           instead of the kind's

---@class RefreshProblem
---@field message string
---@field needs_login? boolean   refused for good
---@field retry_after? number    seconds

---@class Login
---@field flag string            of the command line, without dashes
---@field channel "anthropic"|"codex"|"google"|"iflow"|"qwen"  landing page, management API
---@field title string           for people
---@field port? integer          the browser comes back to this port of localhost
---@field path? string           and this path
---@field notice? string         what to know before: terms of service, retired services
---@field verifier_bytes? integer  of PKCE, default 96
---@field begin? fun(session: LoginSession, options: LoginOptions): boolean?, string?  sets
---  `session.url`; nil and the message when that fails
---@field finish? fun(session: LoginSession, code: string, options: LoginOptions): Saved?, string?
---@field poll? fun(session: LoginSession, options: LoginOptions): Saved|"wait"|nil, string?  device
---  flow, every `session.interval` seconds until `session.expires_in`
---@field at_once? fun(options: LoginOptions): Saved?, string?  needs neither browser nor device

--- A login under way, kept in the shared store: strings, numbers, booleans and lists of them.
---@class LoginSession
---@field state string
---@field verifier string
---@field challenge string
---@field url string             for the browser
---@field user_code? string      to be typed there
---@field interval? number
---@field expires_in? number

---@class LoginOptions
---@field say fun(text: string)  progress for people
---@field ask? fun(prompt: string): string?  at a terminal only; without it decide alone
---@field project_id? string
---@field redirect_uri? string   where the callback arrives

---@class Saved
---@field name string            of the file in auth-dir
---@field other_name? string     when a file of that name is another account's
---@field document table         the token file
---@field same? fun(document: table): boolean  a file of this account: updated, whatever its name
---@field clash? fun(document: table): string?  why this account must not be saved beside that one
