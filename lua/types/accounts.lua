---@meta accounts
-- The account side of providers: lua/accounts/<provider>.lua.  Loaded by the keeper (the scripts of
-- the main thread) and by logins on the command line; the only scripts that see tokens.

--- What the keeper and logins share with C; raises in any other state.
---@class AccountsModule
local accounts = {}
--- Makes these the accounts of token files, for all workers at once.  `details` is the JSON object
--- of what scripts see besides (`entry`, `facts`, `expires`, ...); the secret goes to `base_url`
--- and `hosts` only.
---@param list {id: string, provider: string, name: string, secret: string, label: string, hosts: string[], base_url: string?, proxy: string?, details: string?}[]
function accounts.publish(list) end
--- `auth-dir`, expanded.
---@return string
function accounts.directory() end

--- What kind of account a token file is for, and how it is kept alive.
---@class AccountKind
---@field type string            `type` in token files, lower case
---@field provider? string       script in lua/providers; the file's own name when absent
---@field lead? number           seconds before its end at which a token is refreshed in the background;
---  nil: only when a request needs it
---@field ahead? number          seconds before its end at which a request refreshes first; default 10
--- What a token file offers, or nil and why it cannot be used.
---@field read fun(document: table, file: string): Account[]?, string?
--- Asks for new tokens: members to change in the file (objects are merged), or the problem.
---@field refresh? fun(document: table): table?, RefreshProblem?
---@field login? Login
---@field device_login? Login    another way, for machines without a browser
---@field cookie_login? Login    another way, with a browser's cookie

---@class Account
---@field suffix? string         of the id, for files with several accounts
---@field label string           for people and logs
---@field secret string          replaces `{secret}` in requests
---@field hosts string[]         addresses that may get the secret
---@field base_url string        address of requests, without a slash at its end
---@field facts? table<string, string|number|boolean>  what the provider script needs to know
---@field expires? number        Unix time; nil: what the file says, else until it is rejected
---@field refreshable? boolean   true where something else than a refresh token does it
---@field lead? number           instead of the kind's

---@class RefreshProblem
---@field message string         for people; never with a token
---@field needs_login? boolean   refused for good: nothing is tried before a new login
---@field retry_after? number    seconds

--- How an account is made.  `session` holds plain values only: it may be kept in the shared store.
---@class Login
---@field flag string            on the command line, "claude-login"
---@field channel string         in the management API and of the landing page
---@field title string           for people
---@field port? integer          of the callback on this machine; nil: no callback
---@field path? string
---@field notice? string         what a user has to know before
---@field verifier_bytes? integer  of PKCE; default 96
---@field begin? fun(session: LoginSession, options: LoginOptions): boolean?, string?  sets
---  `session.url` and what later steps need; nil and a message when it cannot begin
---@field finish? fun(session: LoginSession, code: string, options: LoginOptions): Saved?, string?, string?  nil, the
---  problem in short and its details when it fails
---@field poll? fun(session: LoginSession, options: LoginOptions): Saved|"wait"|nil, string?  for a
---  device code: every `session.interval` seconds, until `session.expires_in`
---@field at_once? fun(options: LoginOptions): Saved?, string?  instead of all these, for a login
---  that only asks at the terminal

---@class LoginSession
---@field state string
---@field verifier string
---@field challenge string
---@field url string             for the browser
---@field user_code? string      what the page asks for
---@field code_url? string       for a browser that cannot come back: its page shows a code
---@field pasted? boolean        that code it was that came
---@field interval? number       seconds between polls
---@field expires_in? number     seconds

---@class LoginOptions
---@field say fun(text: string)              progress
---@field ask? fun(prompt: string): string?  only where somebody can answer
---@field project_id? string
---@field redirect_uri? string   where the callback arrives

---@class Saved
---@field name string            file in `auth-dir`
---@field document table
---@field other_name? string     for when the file of that name is another account's
---@field same? fun(document: table): boolean  true for a file of this very account
---@field clash? fun(document: table): string?  why it must not be saved beside this one
