local support = require "tests.support"

modules["providers.acme"] = {
  name = "acme", dialect = "chat",
  models = function() return { { id = "m", owned_by = "acme", type = "acme", created = 1 } } end,
  request = function(call, candidate)
    return { url = "https://acme.example", credential = candidate.credential.id, body = call.payload }
  end,
}

local function account(fields)
  local made = { id = "a.json", provider = "acme", name = "acme", kind = "oauth", label = "me",
    base_url = "https://acme.example", entry = {}, refreshable = true, ahead = 10 }
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local GOOD = { text = '{"id":"c","choices":[]}' }

local function reset(fields, upstream, keeper)
  return support.reset {
    credentials = { account(fields) }, upstream = upstream, stamps = { ["a.json"] = "s1" },
    keeper = keeper,
  }
end

local function ask()
  return support.chat '{"model":"m","messages":[]}'
end

test("a token with time left is used as it is", function()
  local state = reset({ expires = 1800001000 + 60 }, { GOOD }, function() error "asked" end)
  same(ask().status, 200)
  same(#state.calls, 1)
end)

test("a token that is used up is refreshed before the call", function()
  local wanted
  local state = reset({ expires = 1800001000 + 5 }, { GOOD }, function(name, argument)
    wanted = { name, argument }
    return { refreshed = true }
  end)
  same(ask().status, 200)
  same(wanted, { "refresh", { id = "a.json", stamp = "s1" } })
  same(#state.calls, 1)
end)

test("a refresh that fails ahead of time is no reason not to use the token", function()
  reset({ expires = 1800001000 + 5 }, { GOOD }, function() return { failed = "503" } end)
  same(ask().status, 200)
end)

test("a token that has ended and cannot be refreshed names the reason", function()
  local state = reset({ expires = 1800001000 - 5 }, {}, function()
    return { failed = "invalid_grant", needs_login = true }
  end)
  local client = ask()
  same(client.status, 401)
  assert(client.sent:find("log in again", 1, true), client.sent)
  assert(client.sent:find("invalid_grant", 1, true))
  same(#state.calls, 0)
end)

test("a refused token is refreshed once, and the same account asked again", function()
  local refused = { status = 401, text = '{"error":{"message":"expired","type":"authentication_error"}}' }
  local count = 0
  local state = reset({}, { refused, GOOD }, function()
    count = count + 1
    return { refreshed = true }
  end)
  same(ask().status, 200)
  same({ count, #state.calls }, { 1, 2 })
  state = reset({}, { refused, refused }, function() return { adopted = true } end)
  same(ask().status, 401)
  same(#state.calls, 2)
end)

test("a refused token that cannot be refreshed now is no verdict on the account", function()
  local refused = { status = 401, text = '{"error":{"message":"expired","type":"authentication_error"}}' }
  reset({}, { refused }, function() return { failed = "503 come back later" } end)
  local client = ask()
  same(client.status, 502)
  assert(client.sent:find("could not be refreshed: 503 come back later", 1, true), client.sent)
  same(#require("core.cooldowns").describe "a.json", 0)
end)

test("an account that is removed while its token is refreshed is not asked", function()
  local state
  state = reset({ expires = 1800001000 + 5 }, {}, function()
    state.stamps, state.credentials = {}, {}
    return { failed = "its file was removed" }
  end)
  local client = ask()
  same(client.status, 503)
  assert(client.sent:find("the account me is not there any more", 1, true), client.sent)
  same(#state.calls, 0)
end)

test("a stream's client is kept informed while a refresh takes long", function()
  local rounds = 0
  reset({ expires = 1800001000 - 5 }, { { fields = { ["content-type"] = "text/event-stream" },
    events = { '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}', "[DONE]" } } },
    function()
      rounds = rounds + 1
      return rounds > 3 and { refreshed = true }
    end)
  local client = support.chat '{"model":"m","stream":true,"messages":[]}'
  local _, comments = client.sent:gsub("\n?:[^\n]*\n\n", "")
  assert(comments >= 3, client.sent)
  assert(client.sent:find("[DONE]", 1, true))
end)

test("a key is never refreshed", function()
  local refused = { status = 401, text = '{"error":{"message":"no","type":"authentication_error"}}' }
  reset({ kind = "api_key" }, { refused }, function() error "asked" end)
  same(ask().status, 401)
end)

test("an account that is removed while a call waits is passed over", function()
  local state = reset({ expires = 1800001000 + 5 }, { GOOD }, function()
    support.state().stamps["a.json"] = false
    return nil, "there is no such account"
  end)
  local client = ask()
  same(client.status, 503)
  assert(client.sent:find("me is not there any more", 1, true), client.sent)
  same(#state.calls, 0)
end)
