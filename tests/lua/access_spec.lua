--- Routes, client keys, the keyless rules and CORS.

local support = require "tests.support"
local json = require "json"

local ask = support.ask

test("the small pages need no key and carry no CORS headers", function()
  support.reset { keys = { "k" } }
  local client = ask("GET", "/")
  same({ client.status, client.sent_headers["x-request-id"] }, { 200, "0badcafe" })
  same(json.decode(client.sent).message, "CLI Proxy API Server")
  client = ask("HEAD", "/healthz", { origin = "https://evil.example" })
  same(client.sent, '{"status":"ok"}')
  same(client.sent_headers["access-control-allow-origin"], nil)
end)

test("every carrier of a key is taken, and one right key is enough", function()
  local carriers = {
    { authorization = "Bearer good" }, { authorization = "bearer   good  " },
    { authorization = "good" }, { ["x-goog-api-key"] = "good" }, { ["x-api-key"] = "good" },
    { authorization = "Bearer wrong", ["x-api-key"] = "good" },
  }
  for _, headers in ipairs(carriers) do
    support.reset { keys = { "good" } }
    same(ask("GET", "/v1beta/models", headers).status, 200)
  end
  for _, query in ipairs { "?key=good", "?a=b&auth_token=good" } do
    support.reset { keys = { "good" } }
    same(ask("GET", "/v1/models" .. query).status, 200)
  end
end)

test("a missing key and a wrong key are told apart, in the dialect of the path", function()
  support.reset { keys = { "good" } }
  local client = ask("POST", "/v1/chat/completions")
  same(client.status, 401)
  same(client.sent, '{"error":{"message":"Missing API key","type":"invalid_request_error",'
    .. '"param":null,"code":null}}')
  client = ask("POST", "/v1/chat/completions", { authorization = "Bearer no" })
  same(json.decode(client.sent).error.code, "invalid_api_key")
  same(client.sent_headers["access-control-allow-origin"], "*")
  client = ask("GET", "/v1beta/models", { ["x-goog-api-key"] = "no" })
  local problem = json.decode(client.sent).error
  same({ client.status, problem.status, problem.details[1].reason },
    { 401, "UNAUTHENTICATED", "API_KEY_INVALID" })
  client = ask("GET", "/v1/models", { ["anthropic-version"] = "2023-06-01" })
  same(json.decode(client.sent).error.type, "authentication_error")
  same(client.sent_headers["request-id"], "req_0badcafe")
end)

test("without keys only localhost may be addressed", function()
  for host, status in pairs {
    ["localhost"] = 200, ["LOCALHOST:8317"] = 200, ["127.0.0.1:8317"] = 200, ["127.9.9.9"] = 200,
    ["[::1]:8317"] = 200, ["[::1]"] = 200, ["localhost.evil.example"] = 403,
    ["evil.example:8317"] = 403, ["127.0.0.1.evil.example"] = 403, ["127.0.0.256"] = 403,
    [""] = 403, ["[::2]"] = 403, ["localhost:x"] = 403, ["127.1"] = 403,
  } do
    support.reset()
    same({ host, ask("GET", "/v1/models", { host = host }).status }, { host, status })
  end
end)

test("without keys pages of other sites are refused, and local ones echoed", function()
  for origin, status in pairs {
    ["http://localhost:3000"] = 200, ["https://127.0.0.1"] = 200, ["http://[::1]:5173"] = 200,
    ["https://evil.example"] = 403, ["null"] = 403, ["file://localhost"] = 403,
    ["http://localhost.evil.example"] = 403, ["http://localhost@evil.example"] = 403,
  } do
    support.reset()
    local client = ask("GET", "/v1/models", { origin = origin })
    same({ origin, client.status }, { origin, status })
    same(client.sent_headers["access-control-allow-origin"], status == 200 and origin or nil)
    same(client.sent_headers["vary"], status == 200 and "Origin" or nil)
  end
end)

test("preflights are answered for any path, but not to strangers of a keyless server", function()
  support.reset { keys = { "k" } }
  local client = ask("OPTIONS", "/no/such/path",
    { origin = "https://app.example", ["access-control-request-headers"] = "x-one, x-two" })
  same({ client.status, client.sent }, { 204, "" })
  same(client.sent_headers["access-control-allow-headers"], "x-one, x-two")
  support.reset()
  client = ask("OPTIONS", "/v1/chat/completions", { origin = "https://app.example" })
  same(client.status, 403)
  same(client.sent_headers["access-control-allow-origin"], nil)
end)

test("an unsafe public bind closes the model routes and says why", function()
  support.reset { keys = { "k" }, closed = "the sample keys are in use" }
  local client = ask("POST", "/v1/chat/completions", { authorization = "Bearer k" })
  same({ client.status, json.decode(client.sent).error.code }, { 403, "unsafe_example_api_key" })
  same(ask("GET", "/healthz").status, 200)
end)

test("unknown paths are 404 in the dialect of the path", function()
  support.reset { keys = { "k" } }
  local client = ask("GET", "/v1/nothing")
  same({ client.status, json.decode(client.sent).error.type }, { 404, "invalid_request_error" })
  same(client.sent_headers["access-control-allow-origin"], "*")
  same(json.decode(ask("POST", "/v1/messages/x").sent).error.type, "not_found_error")
  same(json.decode(ask("POST", "/v1beta/nothing").sent).error.status, "NOT_FOUND")
  same(ask("GET", "/v0/management/x").sent, '{"error":"/v0/management/x not found."}')
end)

test("a known path with another method is 405 and names the right ones", function()
  support.reset { keys = { "k" } }
  local client = ask("GET", "/v1/chat/completions")
  same({ client.status, client.sent_headers["allow"] }, { 405, "POST, OPTIONS" })
  client = ask("DELETE", "/v1/models")
  same({ client.status, client.sent_headers["allow"] }, { 405, "GET, HEAD, OPTIONS" })
end)

test("a trailing slash serves the same", function()
  support.reset()
  same(ask("GET", "/v1/models/").status, 200)
  same(ask("GET", "/healthz/").status, 200)
end)

test("a script that failed is told in the dialect of the path", function()
  support.reset()
  local client = support.client("POST", "/v1/messages")
  require("main").failed(client, { class = "internal", message = "main.lua:1: oops" })
  same({ client.status, json.decode(client.sent).error.type }, { 500, "api_error" })
  same(client.sent:find("lua", 1, true), nil)
  client = support.client("POST", "/v1/chat/completions")
  client:start(200, {})
  require("main").failed(client, { class = "internal", message = "main.lua:1: oops" })
  same(client.sent:find('^data: {"error":{"message":"internal error') ~= nil, true)
  same(client.finished, true)
end)
