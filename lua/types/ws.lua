---@meta ws

--- Clients that serve requests over a websocket (sessions), and the calls that they are given.
---
--- A session sends and gets JSON objects with `id`, `type` and mostly `payload`.  It is a
--- credential of kind "session" as long as it is connected, and serves the requests of all workers.
local ws = {}

--- Makes the client of a request a session: answers the websocket handshake, after which the
--- request is finished.  A bad handshake is answered with 400.
---@param client Client
---@param provider string  whose credential it is
---@param keyed boolean    it showed a client key; else it is closed when one becomes required
---@return string? id      credential id, `<provider>-` and 16 random characters; nil: no session
function ws.accept(client, provider, keyed) end

--- Sends a session one message: `before`, then `body` as a JSON string, then `after`.  What the
--- client sends with the same id comes back, in order, while the call is open.
---@param session string  credential id
---@param id string       of the call, a new one
---@param before string
---@param body string
---@param after string
---@return SessionCall
function ws.call(session, id, before, body, after) end

--- A call under way; `<close>` it, or let the end of the task do so.
---@class SessionCall
local SessionCall = {}

--- Takes the next message and returns its type; nil when `seconds` passed first; nil and the error
--- (code "broken") when the session has gone.
---@param seconds? number  nil waits for ever
---@return string? type
---@return HttpError? error
function SessionCall:next(seconds) end

--- A member of the payload of the message taken last: the content of a string, the JSON text of
--- another value, nil when it is missing or null.
---@param name string
---@return string?
function SessionCall:get(name) end

--- Ends the call: what still comes for it is dropped.  Safe to call twice.
function SessionCall:close() end

return ws
