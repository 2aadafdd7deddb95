---@meta sse

--- Server-Sent Events, for scripts that take a stream apart themselves.
local sse = {}

---@class SseDecoder
local SseDecoder = {}
--- Adds bytes as they come, at most 1 MiB besides an event that is not complete; take all events
--- before the next call.
---@param bytes string
---@return boolean? ok
---@return {code: string, message: string}? error  "too_large"
function SseDecoder:feed(bytes) end
--- Takes the next complete event; nothing when more bytes are needed.
---@return string? name  "" when the stream gave none
---@return string? data
function SseDecoder:next() end
--- The stream is over: an unterminated last event becomes available too.
function SseDecoder:finish() end

---@param max? integer  largest event in bytes, default 64 MiB
---@return SseDecoder
function sse.decoder(max) end

--- One event as bytes: an `event:` line unless the name is nil or "", a `data:` line for each line
--- of the data, a blank line.  Raises when the name is not one line.
---@param name string?
---@param data string
---@return string
function sse.encode(name, data) end

return sse
