--- Calls of authorization servers, and the small things around them.

local support = require "tests.support"
local json = require "json"
local oauth = require "lib.oauth"

local function answers(...)
  return support.reset { upstream = { ... } }
end

test("the account's proxy counts in both spellings, for refreshes as for requests", function()
  for _, name in ipairs { "proxy_url", "proxy-url" } do
    local state = support.reset { upstream = { { text = "{}" } } }
    oauth.call { url = "https://a.example", document = { [name] = "socks5://127.0.0.1:9" } }
    same(state.calls[1].proxy, "socks5://127.0.0.1:9")
  end
end)

test("a form goes up encoded, in order, with our own name and the account's proxy", function()
  local state = answers { text = '{"access_token":"a","scope":null,"list":[1,null]}',
    fields = { ["x-request-id"] = "7" } }
  local answer = oauth.call {
    url = "https://auth.example/token", form = { grant_type = "a b", client_id = "ü&=", n = 5 },
    document = { proxy_url = "socks5://127.0.0.1:9" }, headers = { ["X-Own"] = "1" },
  }
  local call = state.calls[1]
  same(call.body, "client_id=%C3%BC%26%3D&grant_type=a%20b&n=5")
  same(call.url, "https://auth.example/token")
  same(call.proxy, "socks5://127.0.0.1:9")
  same(call.headers, { accept = "application/json", ["user-agent"] = "cli-proxy-api/0.0",
    ["content-type"] = "application/x-www-form-urlencoded", ["x-own"] = "1" })
  same(call.timeout, { connect = 30, first_byte = 30, idle = 30 })
  same(answer.status, 200)
  same(answer.data.access_token, "a")
  same(answer.data.scope, nil)
  same(answer.header "X-Request-Id", "7")
end)

test("JSON, raw bodies and plain questions", function()
  local state = answers({ text = "[]" }, { text = "gone", status = 410 }, { text = "{}" })
  same(oauth.call({ url = "https://a.example/", json = { a = 1 } }).data, nil)
  local answer = oauth.call { method = "PUT", url = "https://a.example/", body = "x",
    document = { proxy_url = "" }, timeout = 5 }
  same(answer.status, 410)
  same(answer.body, "gone")
  same(answer.data, nil)
  oauth.call { url = "https://a.example/" }
  same(state.calls[1].body, '{"a":1}')
  same(state.calls[1].headers["content-type"], "application/json")
  same(state.calls[2].method, "PUT")
  same(state.calls[2].proxy, nil)
  same(state.calls[2].timeout.first_byte, 5)
  same(state.calls[3].body, nil)
end)

test("a failed call gives its problem", function()
  answers({ error = { code = "unreachable", message = "no route" } }, { silent = 1 })
  local answer, problem = oauth.call { url = "https://a.example/" }
  same(answer, nil)
  same(problem.code, "unreachable")
  answer, problem = oauth.call { url = "https://a.example/" }
  same(answer, nil)
  same(problem.code, "timeout")
end)

test("a body that never ends is cut by the time limit, a huge one by its size", function()
  local state
  local function endless(bytes, step)
    return { read = function()
      state.now = state.now + step
      return bytes
    end }
  end
  state = answers(endless("x", 1), endless(("x"):rep(1 << 18), 0))
  local _, problem = oauth.call { url = "https://a.example/" }
  same(problem.code, "timeout")
  _, problem = oauth.call { url = "https://a.example/" }
  same(problem.code, "too_large")
end)

test("a query can be read back", function()
  local given = { code = "4/0A+b c&=#", state = "ff", empty = "" }
  same(oauth.parse_query(oauth.query(given)), given)
  same(oauth.parse_query "a=1&a=2&b&=x&c=%zz+d", { a = "1", b = "", [""] = "x", c = "%zz d" })
end)

test("state and PKCE are as the providers want them", function()
  local state = oauth.state()
  same(#state, 32)
  same(state:match "^%x+$" ~= nil, true)
  same(state ~= oauth.state(), true)
  same(#(oauth.pkce(96)), 128)
  local verifier, challenge = oauth.pkce(32)
  same(#verifier, 43)
  local crypto = require "crypto"
  same(challenge, crypto.base64url_encode(crypto.sha256(verifier)))
end)

test("the claims of a token are read without trusting it", function()
  local crypto = require "crypto"
  local token = "e30." .. crypto.base64url_encode '{"email":"a@b.example","x":null}' .. ".sig"
  same(oauth.jwt_payload(token), { email = "a@b.example" })
  same(oauth.jwt_payload "nonsense", nil)
  same(oauth.jwt_payload(json.null), nil)
  same(oauth.jwt_payload(nil), nil)
end)

test("times are RFC 3339 with the local offset", function()
  support.reset()
  local text = oauth.timestamp(1760530265.9)
  same(text:match "^2025%-10%-1[45]T%d%d:%d%d:05[Z+-]" ~= nil, true)
  same(text:match "Z$" ~= nil or text:match "[+-]%d%d:%d%d$" ~= nil, true)
  same(oauth.expiry("3600"), oauth.timestamp(1800001000 + 3600))
  same(oauth.expiry(nil), nil)
end)

test("a refusal is told in the server's words, cut to a line", function()
  local function reason(text, status)
    answers { status = status or 400, text = text }
    return oauth.reason(oauth.call { url = "https://a.example/" })
  end
  local text, code = reason '{"error":"invalid_grant","error_description":"Token has\\nbeen revoked"}'
  same(text, "status 400, invalid_grant: Token has been revoked")
  same(code, "invalid_grant")
  text, code = reason('{"error":{"code":"refresh_token_reused","message":"used"}}', 401)
  same(text, "status 401, refresh_token_reused: used")
  same(code, "refresh_token_reused")
  text, code = reason('{"detail":"no"}', 403)
  same(text, "status 403: no")
  same(code, nil)
  same(reason("<html>", 502), "status 502")
  same(#(reason('{"message":"' .. ("x"):rep(5000) .. '"}')) < 400, true)
end)

test("what may pass by itself is told from what stays", function()
  same(oauth.transient(nil), true)
  for status, transient in pairs { [400] = false, [401] = false, [408] = true, [429] = true, [503] = true } do
    same(oauth.transient { status = status }, transient)
  end
end)
