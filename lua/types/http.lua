---@meta http

--- Upstream calls.  Every call ends with its task: what is still open is cancelled.
local http = {}

---@class HttpTimeout
---@field connect? number     seconds to connect (config `timeouts.connect`)
---@field first_byte? number  seconds from sending to the first byte (`timeouts.first-byte`)
---@field idle? number        seconds without a byte after it (`timeouts.idle`)

---@class HttpRequest
---@field method? string       default "GET", "POST" with a body
---@field url string           absolute http or https URL
---@field headers? table<string, string>  `{secret}` in a value is replaced by the credential's
---@field body? string
---@field credential? string   credential id: its secret replaces `{secret}` (refused for any host
---  that is not bound to it), its proxy is used
---@field timeout? HttpTimeout
---@field proxy? string        instead of the global one; for the keeper and logins only

--- Expected failure of a call: `code` is one of "unreachable", "timeout", "broken", "bad_proxy",
--- "too_large".
---@class HttpError
---@field code string
---@field message string   for the log and the client: no secret, no URL query

--- Starts a call and returns at once.  Raises on a malformed request and when a secret would leave
--- for a host it is not bound to.
---@param request HttpRequest
---@return Response
function http.start(request) end

--- Starts a call and waits for the response head.
---@param request HttpRequest
---@return Response? response
---@return HttpError? error
function http.request(request) end

--- A response; `<close>` it, or let the end of the task do so.
---@class Response
---@field status integer   0 while the head is not there yet
local Response = {}

--- Waits for the head: true, or false when `seconds` passed first, or nil and the error.
---@param seconds? number  nil waits as long as the timeouts allow
---@return boolean? ready
---@return HttpError? error
function Response:wait(seconds) end

--- First header of that name (any case).
---@param name string
---@return string?
function Response:header(name) end

--- All headers, names in lower case, repeated ones joined by ", ".
---@return table<string, string>
function Response:headers() end

--- Reads the rest of the body.
---@param max? integer  bytes; default 64 MiB (error code "too_large" beyond it)
---@return string? body
---@return HttpError? error
function Response:body(max) end

--- Next piece of the body; nil at its clean end; nil and the error when it broke.
---@return string? bytes
---@return HttpError? error
function Response:read() end

--- Iterates over Server-Sent Events; raises an HttpError when the stream breaks.
---@return fun(): SseEvent?
function Response:events() end

---@class SseEvent
---@field name string  "" when the stream gave none
---@field data string

--- Next event within `seconds`: "event", name, data; "end"; "idle"; or "broken" and the error.
---@param seconds? number
---@return "event"|"end"|"idle"|"broken" kind
---@return string|HttpError|nil name_or_error
---@return string? data
function Response:next_event(seconds) end

--- Cancels what is still running.  Safe to call twice.
function Response:close() end

return http
