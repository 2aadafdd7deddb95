--- Anthropic Messages.
---
--- Requests from clients: lib.anthropic_request and lib.anthropic_blocks.  Requests to upstreams:
--- lib.anthropic_upstream and lib.anthropic_parts.  Answers: lib.anthropic_answer (whole),
--- lib.anthropic_stream (from upstreams), lib.anthropic_events (to clients), lib.anthropic_show.

local answer = require "lib.anthropic_answer"
local events = require "lib.anthropic_events"
local request = require "lib.anthropic_request"
local stream = require "lib.anthropic_stream"
local upstream = require "lib.anthropic_upstream"

--- @type Translator
return {
  --- Clients understand one open block at a time.
  sequential = true,
  decode_request = request.decode,
  encode_request = upstream.encode,
  decode_response = answer.decode,
  encode_response = answer.encode,
  decode_stream = stream.decoder,
  encode_stream = events.encoder,
}
