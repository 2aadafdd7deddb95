--- OpenAI Chat Completions: `POST /v1/chat/completions`.

local answer = require "lib.chat_answer"
local request = require "lib.chat_request"
local stream_in = require "lib.chat_stream_in"
local stream_out = require "lib.chat_stream_out"
local upstream = require "lib.chat_upstream"

--- @type Translator
return {
  decode_request = request.decode,
  encode_request = upstream.encode,
  decode_response = answer.decode,
  encode_response = answer.encode,
  decode_stream = stream_in.new,
  encode_stream = stream_out.new,
}
