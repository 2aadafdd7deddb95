--- OpenAI Responses: `POST /v1/responses`.

local build = require "lib.responses_build"
local decode = require "lib.responses_decode"
local encode = require "lib.responses_encode"
local request = require "lib.responses_request"

return {
  dialect = "responses",
  decode_request = request.decode,
  encode_request = build.encode,
  decode_response = decode.whole,
  encode_response = encode.whole,
  decode_stream = decode.stream,
  encode_stream = encode.stream,
}
