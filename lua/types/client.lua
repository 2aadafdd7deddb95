---@meta client

--- The client's side of one request, given to `main.handle`.
---@class Client
---@field id string         request id, 8 hex digits
---@field method string     "GET", "POST", ...
---@field path string       as sent, percent-encoded, without the query
---@field query string      raw query without `?`, "" when there is none
---@field peer string       address of the socket peer
---@field trying number    seconds since note() last named a credential, 0 before
---@field is_local boolean  loopback peer and no Forwarded, X-Forwarded-For or X-Real-IP header
---@field started boolean   a response head was sent
---@field finished boolean  the whole response was given
---@field status integer    status of the response, 0 before its head
local Client = {}

--- First request header of that name (any case).
---@param name string
---@return string?
function Client:header(name) end

--- All request headers in order, as `{name, value}` pairs; names in lower case.
---@return {[1]: string, [2]: string}[]
function Client:headers() end

--- Decoded value of a query parameter.
---@param name string
---@return string?
function Client:param(name) end

--- Waits for the whole decoded body.
---@return string? body
---@return {code: string, message: string}? error  code: "body_too_large", "body_timeout",
---  "bad_body", "unsupported_encoding"
function Client:body() end

--- Adds a header to the response that is still to come (replaces one of the same name).
---@param name string
---@param value string?  nil removes it
function Client:set_header(name, value) end

--- Sends a whole response; Content-Length is added.
---@param status integer
---@param headers table<string, string>?
---@param body string?
function Client:respond(status, headers, body) end

--- Sends the head of a response of unknown length.
---@param status integer
---@param headers table<string, string>?
function Client:start(status, headers) end

--- Sends bytes; waits while the client is slow.
---@param bytes string
function Client:write(bytes) end

--- Ends a started response cleanly.
function Client:finish() end

--- Cuts the connection, so that the client sees a broken response.
function Client:abort() end

--- What the access line and the route trace say besides the request: `model`, `credential`,
--- `provider`, `dialect`.
---@param facts table<string, string>
function Client:note(facts) end

--- Adds a step to the request's route trace; the time is put in.  What goes beyond 4 KiB is left
--- out.  core.trace makes steps.
---@param step string  a JSON object
function Client:trace(step) end

--- Copies an upstream event stream to the client in C.  The head must have been sent.
---@param response Response
---@param rules RelayRules
---@return Relay
function Client:relay(response, rules) end

---@class RelayRules
---@field names? boolean     keep `event:` lines (anthropic, responses); default false
---@field rename? (string|integer)[][]  paths of strings to be replaced by `model`
---@field model? string
---@field watch? string[]    top-level members that stop the relay when present and not null
---@field finish? (string|integer)[]    path that tells a finished answer when it is not null
---@field terminal? string   data of the event that ends the stream, such as "[DONE]"
---@field inner? string      member that holds the event proper, when it is an object: the rules above
---  look into it
---@field unwrap? boolean    only what is in `inner` goes to the client
---@field around? string[]   two strings put around the data of each event

---@class Relay
---@field finished boolean   an event had the `finish` path
---@field events integer     events copied so far
local Relay = {}

--- Copies until something needs a decision, at most `seconds` without a byte from upstream.
--- "event", name, data: a watched event, not copied. "done": the terminal event, not copied.
--- "end": the upstream closed cleanly. "idle": nothing came. "broken", error: the stream broke.
---@param seconds? number
---@return "event"|"done"|"end"|"idle"|"broken" kind
---@return string|HttpError|nil name_or_error
---@return string? data
function Relay:next(seconds) end

--- Sends one event to the client, with the relay's framing and renaming.
---@param name string
---@param data string
function Relay:send(name, data) end

return Client
