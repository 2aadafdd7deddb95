local support = require "tests.support"

-- A folder in memory.
local files, locks, refuse_writes = {}, {}, false
local file = {}
function file.list(directory)
  local names = {}
  for path in pairs(files) do
    local name = path:match("^" .. directory .. "/([^/]+)$")
    if name then names[#names + 1] = name end
  end
  return names
end
function file.read(path)
  if files[path] then return files[path] end
  return nil, { code = "not_found", message = path }
end
function file.write(path, text)
  if refuse_writes then return nil, { code = "io", message = "no space left" } end
  files[path] = text
  return true
end
function file.try_lock(path)
  if locks[path] then return nil, { code = "busy", message = path .. " is locked" } end
  locks[path] = true
  return setmetatable({}, { __close = function() locks[path] = nil end })
end
modules.file = file

local published
modules.accounts = {
  directory = function() return "auths" end,
  publish = function(list) published = list end,
}
modules.task.scripts = function() return { "acme" } end

-- A kind of account; what it answers is set by each test.
local answer
local asked = 0
modules["accounts.acme"] = {
  type = "acme", lead = 3600,
  read = function(document)
    if not document.access_token then return nil, "it has no access_token" end
    return { {
      label = document.email, secret = document.access_token, hosts = { "https://acme.example" },
      base_url = "https://acme.example", facts = { plan = document.plan },
    } }
  end,
  refresh = function(document)
    asked = asked + 1
    return answer(document)
  end,
}

local accounts = require "core.accounts"
local json = modules.json
local renewal = require "core.renewal"
local token_files = require "core.token_files"

local function reset()
  local state = support.reset {}
  for path in pairs(files) do files[path] = nil end
  accounts.scan(true)
  state.now = state.now + 2
  accounts.scan(true)
  refuse_writes, asked, published = false, 0, nil
  state.posted = {}
  -- What C publishes is what stamps are made of.
  modules.accounts.publish = function(list)
    published = list
    for id in pairs(state.stamps) do state.stamps[id] = nil end
    for _, account in ipairs(list) do
      state.stamps[account.id] = token_files.stamp(account.secret)
    end
  end
  return state
end

local function put(name, document)
  files["auths/" .. name] = type(document) == "string" and document or json.encode(document)
end

local function details()
  return json.decode(published[1].details)
end

local function refresh(state, id)
  return renewal.refresh { id = id, stamp = state.stamps[id] }
end

test("a token file becomes an account, and what workers see of it holds no token", function()
  reset()
  put("acme-a.json", { type = "acme", email = "a@example.com", access_token = "CANARY",
    refresh_token = "CANARY", plan = "pro", weight = 3, excluded_models = { "x*" },
    model_aliases = { fast = "acme-1" },
    proxy_url = "socks5://p:1", expired = "2030-01-01T00:00:00Z" })
  accounts.scan()
  same(#published, 1)
  local account = published[1]
  same({ account.id, account.provider, account.label, account.proxy },
    { "acme-a.json", "acme", "a@example.com", "socks5://p:1" })
  same(details(), {
    entry = { weight = 3, ["excluded-models"] = { "x*" },
      models = { { alias = "fast", name = "acme-1" } } }, facts = { plan = "pro" },
    expires = 1893456000, ahead = 10, refreshable = true, file = "acme-a.json",
  })
  assert(not account.details:find("CANARY"))
end)

test("files of unknown types, without type or broken are left alone", function()
  reset()
  put("a.json", { type = "antigravity", access_token = "x" })
  put("b.json", { access_token = "x" })
  put("c.json", "{")
  put("d.JSON", { type = "ACME", access_token = "x" })
  put("e.txt", { type = "acme", access_token = "x" })
  accounts.scan()
  same(#published, 1)
  same(published[1].id, "d.JSON")
end)

test("a refresh keeps all members and writes before it is used", function()
  local state = reset()
  put("a.json", '{ "type":"acme", "refresh_token":"r1", "access_token":"t1", "big":12345678901234567890123,'
    .. '"nested": { "b" : 1.0, "a":[ ], "s": " \\" , : \\\\" }, "token":{"keep":true,"expiry":"2020-01-01T00:00:00Z"}}')
  accounts.scan()
  local before
  answer = function()
    before = files["auths/a.json"]
    return { access_token = "t2", refresh_token = "r2", token = { expiry = "2030-01-01T00:00:00Z" } }
  end
  same(refresh(state, "a.json"), { refreshed = true })
  assert(before:find("t1"))
  same(files["auths/a.json"], '{"access_token":"t2","big":12345678901234567890123,'
    .. '"nested":{"b":1.0,"a":[],"s":" \\" , : \\\\"},"refresh_token":"r2",'
    .. '"token":{"expiry":"2030-01-01T00:00:00Z","keep":true},"type":"acme"}')
  same(published[1].secret, "t2")
end)

test("a look that was slower than a refresh does not bring the old token back", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function() return { access_token = "t2", refresh_token = "r2" } end
  local read = file.read
  file.read = function(path)
    local old = read(path)
    file.read = read
    same(refresh(state, "a.json"), { refreshed = true })
    return old
  end
  accounts.scan(true)
  same(published[1].secret, "t2")
  local write = file.write
  file.write = function(path, text)
    file.write = write
    accounts.scan(true) -- the file is not there yet
    return write(path, text)
  end
  answer = function() return { access_token = "t3", refresh_token = "r3" } end
  same(refresh(state, "a.json"), { refreshed = true })
  same(published[1].secret, "t3")
end)

test("who comes second takes over what the first one got", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  local stamp = state.stamps["a.json"]
  answer = function() return { access_token = "t2" } end
  same(renewal.refresh { id = "a.json", stamp = stamp }, { refreshed = true })
  same(renewal.refresh { id = "a.json", stamp = stamp }, { adopted = true })
  -- Another process has written, and nobody has told us yet.
  stamp = state.stamps["a.json"]
  put("a.json", { type = "acme", refresh_token = "r3", access_token = "t3" })
  same(renewal.refresh { id = "a.json", stamp = stamp }, { adopted = true })
  same(asked, 1)
  same(published[1].secret, "t3")
end)

test("a token refused for good is not tried again before a new login", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function() return nil, { message = "invalid_grant", needs_login = true } end
  same(refresh(state, "a.json"), { failed = "invalid_grant", needs_login = true })
  same(details().problem, "invalid_grant")
  same(refresh(state, "a.json"), { failed = "invalid_grant", needs_login = true })
  same(asked, 1)
  put("a.json", { type = "acme", refresh_token = "r2", access_token = "t2" })
  accounts.scan()
  same(details().problem, nil)
end)

test("a refused refresh takes over what an unlocked program has written meanwhile", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function()
    put("a.json", { type = "acme", refresh_token = "r2", access_token = "t2" })
    return nil, { message = "refresh_token_reused", needs_login = true }
  end
  same(refresh(state, "a.json"), { adopted = true })
  same(published[1].secret, "t2")
  same(details().problem, nil)
end)

test("after a failure requests wait a moment, the background five minutes", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function() return nil, { message = "503" } end
  same(refresh(state, "a.json"), { failed = "503" })
  same(refresh(state, "a.json"), { failed = "503" })
  same(asked, 1)
  state.now = state.now + 11
  same(refresh(state, "a.json"), { failed = "503" })
  renewal.tick()
  same(#state.posted, 0)
  state.now = state.now + 301
  renewal.tick()
  same(state.posted[1][1], "background")
end)

test("who changes a file while it is refreshed loses nothing", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1", note = "old" })
  accounts.scan()
  local looks, serial = true, 1
  local function edited(document)
    answer = function()
      put("a.json", document)
      if looks then accounts.scan() end
      serial = serial + 1
      return { access_token = "t" .. serial, refresh_token = "r" .. serial }
    end
    local result = refresh(state, "a.json")
    return result, json.decode(files["auths/a.json"])
  end
  for _, seen in ipairs { true, false } do
    looks = seen
    put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1", note = "old" })
    accounts.scan()
    local result, saved = edited { type = "acme", refresh_token = "r1", access_token = "t1", note = "new",
      disabled = true }
    same(result, { refreshed = true })
    same({ saved.note, saved.disabled, saved.refresh_token }, { "new", true, "r" .. serial })
    -- Half written: what was there before is what counts.
    result, saved = edited '{"type":"acme","note":'
    same(result, { refreshed = true })
    same({ saved.note, saved.access_token }, { "new", "t" .. serial })
    -- Another login.
    result, saved = edited { type = "acme", refresh_token = "theirs", access_token = "t0" }
    same(result, { adopted = true })
    same({ saved.refresh_token, published[1].secret }, { "theirs", "t0" })
  end
end)

test("a file that is removed while it is refreshed does not come back", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function()
    files["auths/a.json"] = nil
    return { access_token = "t2", refresh_token = "r2" }
  end
  same(refresh(state, "a.json"), { failed = "its file was removed" })
  same(files["auths/a.json"], nil)
  -- Nobody has noticed yet.
  same(refresh(state, "a.json"), { failed = "its file was removed" })
  same(asked, 1)
end)

test("files may have any name", function()
  local state = reset()
  answer = function() return { access_token = "t2", refresh_token = "r2" } end
  for _, name in ipairs { "a@b.json.com.json", "#1.JSON", "a.json#b.json" } do
    put(name, { type = "acme", refresh_token = "r1", access_token = "t1" })
    accounts.scan()
    same({ name, refresh(state, name) }, { name, { refreshed = true } })
  end
end)

test("a new login ends what was held against the old one, wherever the file was meanwhile", function()
  local state = reset()
  local cooldowns = require "core.cooldowns"
  local function rest()
    local candidate = { credential = { id = "a.json", entry = {} }, cool = "cool:a.json:m",
      level = "level:a.json:m" }
    cooldowns.failed(candidate, "needs_login", {}, state.now, "401")
    same(#cooldowns.describe "a.json", 1)
  end
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  rest()
  local function away_and_back(token)
    files["auths/a.json"] = nil
    accounts.scan()
    state.now = state.now + 2
    accounts.scan()
    put("a.json", { type = "acme", refresh_token = token, access_token = "t" .. token })
    accounts.scan()
    return #cooldowns.describe "a.json"
  end
  same(away_and_back "r1", 1)
  same(away_and_back "r2", 0)
  -- A token that we have renewed is no new login.
  rest()
  answer = function() return { access_token = "t5", refresh_token = "r5" } end
  refresh(state, "a.json")
  same({ away_and_back "r5", away_and_back "r6" }, { 1, 0 })
end)

test("a full disk loses no token: it serves from memory and is written later", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function() return { access_token = "t2", refresh_token = "r2" } end
  refuse_writes = true
  same(refresh(state, "a.json"), { refreshed = true })
  same(published[1].secret, "t2")
  accounts.scan(true)
  same(published[1].secret, "t2")
  -- A refusal later on is no reason to go back to what the disk has.
  answer = function() return nil, { message = "503" } end
  same(refresh(state, "a.json"), { failed = "503" })
  same(published[1].secret, "t2")
  refuse_writes = false
  renewal.tick()
  assert(files["auths/a.json"]:find("r2"))
end)

test("a token that could not be written outlives the scripts that got it", function()
  reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  -- What an earlier generation left in the store.
  modules.store.set("unsaved:a.json", json.encode { type = "acme", refresh_token = "r2",
    access_token = "t2" })
  accounts.scan()
  same(published[1].secret, "t2")
  renewal.tick()
  assert(files["auths/a.json"]:find("r2"))
  same(modules.store.get "unsaved:a.json", nil)
end)

test("what was read before a refresh does not undo it", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function() return { access_token = "t2", refresh_token = "r2" } end
  local plain = file.read
  file.read = function(path)
    -- The refresh comes between the reading and what is made of it.
    file.read = plain
    local text = plain(path)
    same(refresh(state, "a.json"), { refreshed = true })
    return text
  end
  accounts.scan(true)
  same(published[1].secret, "t2")
end)

test("a look while a new token is being written does not take up the old one", function()
  local state = reset()
  local old = { type = "acme", access_token = "old", refresh_token = "old" }
  answer = function() return { access_token = "new", refresh_token = "new" } end
  local read, write = file.read, file.write
  put("a.json", old)
  accounts.scan()
  -- One that begins and ends before the new text is on the disk.
  function file.write(path, text)
    accounts.scan()
    return write(path, text)
  end
  same(refresh(state, "a.json").refreshed, true)
  same({ published[1].secret, state.stamps["a.json"] }, { "new", token_files.stamp "new" })
  -- One that begins before it, and ends behind it.
  put("a.json", old)
  accounts.scan()
  function file.write(path, text)
    function file.read(name)
      local found = read(name)
      file.read = read
      write(path, text)
      return found
    end
    accounts.scan()
    return true
  end
  same(refresh(state, "a.json").refreshed, true)
  file.write = write
  accounts.scan()
  same(published[1].secret, "new")
end)

test("a file that comes back at once was never gone", function()
  local state = reset()
  put("a.json", { type = "acme", access_token = "t1" })
  accounts.scan()
  files["auths/a.json"] = nil
  accounts.scan(true)
  same(#published, 1)
  same(state.posted[1][1], "rescan")
  put("a.json", { type = "acme", access_token = "t1" })
  accounts.scan(true)
  state.now = state.now + 5
  accounts.scan(true)
  same(#published, 1)
  files["auths/a.json"] = nil
  accounts.scan()
  state.now = state.now + 2
  accounts.scan()
  same(#published, 0)
end)

test("what is due follows expiry, last refresh and the file's own wish", function()
  local now = 1800000000
  same(renewal.is_due({ expired = now + 3000 }, 3600, now), true)
  same(renewal.is_due({ expired = now + 4000 }, 3600, now), false)
  -- A token that lives an hour is not refreshed all the time for a lead of an hour.
  same(renewal.is_due({ expired = now + 3000, last_refresh = now - 600 }, 3600, now), false)
  same(renewal.is_due({ last_refresh = now - 3700 }, 3600, now), true)
  same(renewal.is_due({ last_refresh = now - 60 }, 3600, now), false)
  same(renewal.is_due({}, 3600, now), true)
  same(renewal.is_due({ refresh_interval = "30m", last_refresh = now - 1900,
    expired = now + 90000 }, 3600, now), true)
  local short = { refresh_interval_seconds = 60, last_refresh = now - 5, expired = now + 90000 }
  same(renewal.is_due(short, 3600, now), false)
  -- Each file has a moment of its own, in proportion.
  local minute, moments = { expired = now + 60, last_refresh = now }, {}
  for i = 1, 50 do
    local name = i .. ".json"
    same(renewal.is_due(short, 14400, now, name), false)
    same(renewal.is_due(minute, 14400, now + 28, name), false)
    same(renewal.is_due(minute, 14400, now + 30, name), true)
    local late = { expired = now + 14400 + 300, last_refresh = now - 28800 }
    local at = 0
    while not renewal.is_due(late, 14400, now + at, name) do at = at + 5 end
    moments[at] = true
  end
  local count = 0
  for _ in pairs(moments) do count = count + 1 end
  same(count > 20, true)
end)

test("a login updates the file of the same account, whatever it is called", function()
  reset()
  put("old name.json", { type = "acme", account = 7, access_token = "t1", note = "mine" })
  local name = token_files.save("auths", {
    name = "acme-new.json", document = { type = "acme", account = 7, access_token = "t2" },
    same = function(document) return document.account == 7 end,
  })
  same(name, "old name.json")
  same(json.decode(files["auths/old name.json"]),
    { type = "acme", account = 7, access_token = "t2", note = "mine" })
  name = token_files.save("auths", { name = "a/../b.json", document = { type = "acme" } })
  same(name, "a_.._b.json")
  same(files["auths/a_.._b.json"], '{"type":"acme"}\n')
end)

test("the keeper answers what it is asked for", function()
  local state = support.reset {}
  local keeper = require "core.keeper"
  keeper.calls.double = function(argument) return { argument.n * 2 } end
  keeper.handle("double", json.encode { n = 21 })
  keeper.handle("no such thing", "")
  keeper.calls.double = nil
  same(state.replies[1][1], "[42]")
  assert(state.replies[2][2]:find("no such thing", 1, true))
end)

test("one file that says where to in odd ways does not take all accounts away", function()
  reset()
  local usual = modules["accounts.acme"].read
  modules["accounts.acme"].read = function(document)
    local list, problem = usual(document)
    if list and document.where then list[1].base_url, list[1].hosts = document.where, { document.where } end
    return list, problem
  end
  put("good.json", { type = "acme", access_token = "t", where = "http://[::1]:80/v1" })
  local odd = { "no address", "https://", "https://h:x/v1", "https://h:99999", "ftp://h", "https://a b", "//h",
    "https://:80" }
  for i, where in ipairs(odd) do
    put(("bad%d.json"):format(i), { type = "acme", access_token = "t", where = where })
  end
  put("line.json", { type = "acme", access_token = "two\nlines" })
  accounts.scan()
  modules["accounts.acme"].read = usual
  same(#published, 1)
  same(published[1].id, "good.json")
  same(#accounts.unusable(), #odd + 1)
end)

test("members about selection are of their own kind or absent", function()
  local function policy(members) return token_files.policy(json.decode(json.encode(members))) end
  same(policy {
    disabled = "yes", prefix = { 1 }, priority = {}, weight = "1e999", note = 1, headers = "X: y",
    excluded_models = 5, model_aliases = { 1, { alias = "a" }, { name = {} } }, request_retry = true,
    disable_cooling = "no", request_scoped_errors = { 1 },
  }, {})
  same(policy {
    prefix = json.null, priority = "5", weight = 2.7, headers = { ["X-A"] = "b", ["bad name"] = "b",
      ["X-B"] = "a\r\nHost: evil", ["X-C"] = 1, ["X-D"] = { 1 } },
    ["excluded-models"] = "gpt-*", ["model-aliases"] = { { name = "m", alias = "n" }, 1 },
    disable_cooling = false, request_scoped_errors = { status = 400 },
  }, {
    priority = 5, weight = 2, headers = { ["X-A"] = "b", ["X-C"] = "1" }, ["excluded-models"] = { "gpt-*" },
    models = { { name = "m", alias = "n" } }, ["disable-cooling"] = false,
    ["request-scoped-errors"] = { { status = 400 } },
  })
end)

test("a new token whose end nobody tells does not end when the old one did", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1", expires_at = 1,
    token = { expiry = "2020-01-01T00:00:00Z", keep = 1 } })
  accounts.scan()
  answer = function() return { access_token = "t2" } end
  same(refresh(state, "a.json"), { refreshed = true })
  same(files["auths/a.json"], '{"access_token":"t2","expires_at":null,"refresh_token":"r1",'
    .. '"token":{"expiry":null,"keep":1},"type":"acme"}')
  same(details().expires, nil)
end)

test("a new token that is used up at once is not asked for again by every request", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1", expired = 1 })
  accounts.scan()
  local count = 0
  answer = function()
    count = count + 1
    return { access_token = "n" .. count, expired = modules.timer.wall() + 5 }
  end
  same(refresh(state, "a.json"), { refreshed = true })
  same(refresh(state, "a.json"), { failed = "the last refresh was a moment ago" })
  state.now = state.now + 5
  same(refresh(state, "a.json"), { refreshed = true })
  same(count, 2)
end)

test("the time that an authorization server asks for is kept by requests, too", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function() return nil, { message = "429", retry_after = 60 } end
  refresh(state, "a.json")
  state.now = state.now + 59
  same(refresh(state, "a.json"), { failed = "429" })
  state.now = state.now + 2
  same(refresh(state, "a.json"), { failed = "429" })
end)

test("sixteen tokens at most are refreshed at once, however many are due", function()
  local state = reset()
  for i = 1, 40 do
    put(("acme-%d.json"):format(i), { type = "acme", refresh_token = "r", access_token = "t" .. i, expired = 1 })
  end
  accounts.scan()
  renewal.tick()
  same(#state.posted, 16)
end)

test("the file of a credential is found whatever its name is", function()
  local state = reset()
  answer = function(document) return { access_token = document.access_token .. "+" } end
  for _, name in ipairs { "a.json.json", "b#c.json", "d.jsonx.JSON" } do
    put(name, { type = "acme", refresh_token = "r", access_token = name })
    accounts.scan()
    same(refresh(state, name), { refreshed = true })
  end
end)

test("who waits for a refresh of the same file asks for no lock", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  local tried, second = 0, nil
  local try_lock, sleep = file.try_lock, modules.timer.sleep
  file.try_lock = function(path)
    tried = tried + 1
    return try_lock(path)
  end
  local stamp = state.stamps["a.json"]
  answer = function()
    -- Others come while it is under way, and go on when it is over.
    modules.timer.sleep = function(seconds)
      sleep(seconds)
      state.stamps["a.json"] = "new"
      coroutine.yield()
    end
    second = coroutine.create(function()
      return renewal.refresh { id = "a.json", stamp = stamp }
    end)
    assert(coroutine.resume(second))
    return { access_token = "t2" }
  end
  same(renewal.refresh { id = "a.json", stamp = stamp }, { refreshed = true })
  local _, result = coroutine.resume(second)
  modules.timer.sleep, file.try_lock = sleep, try_lock
  same(result, { adopted = true })
  same(tried, 1)
end)

test("what others write into a file while its token is refreshed is not lost", function()
  local state = reset()
  local function begin()
    put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
    accounts.scan()
  end
  -- Another login counts more than our new token.
  begin()
  answer = function()
    put("a.json", { type = "acme", refresh_token = "other", access_token = "theirs" })
    return { access_token = "t2", refresh_token = "r2" }
  end
  same(refresh(state, "a.json"), { adopted = true })
  same(published[1].secret, "theirs")
  same(json.decode(files["auths/a.json"]).refresh_token, "other")
  -- So it does when it was seen already, and the old token was refused.
  begin()
  answer = function()
    put("a.json", { type = "acme", refresh_token = "other", access_token = "theirs" })
    accounts.scan()
    return nil, { message = "invalid_grant", needs_login = true }
  end
  same(refresh(state, "a.json"), { adopted = true })
  same(details().problem, nil)
  -- Other members stay.
  begin()
  answer = function()
    put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1", priority = 7 })
    return { access_token = "t2", refresh_token = "r2" }
  end
  same(refresh(state, "a.json"), { refreshed = true })
  same(files["auths/a.json"],
    '{"access_token":"t2","priority":7,"refresh_token":"r2","type":"acme"}')
  -- What is no file any more, for whatever reason, loses no token.
  begin()
  answer = function()
    put("a.json", '{"type":"ac')
    accounts.scan()
    return { access_token = "t2", refresh_token = "r2" }
  end
  same(refresh(state, "a.json"), { refreshed = true })
  same(json.decode(files["auths/a.json"]).refresh_token, "r2")
end)

test("an account that is removed while its token is refreshed does not come back", function()
  local state = reset()
  put("a.json", { type = "acme", refresh_token = "r1", access_token = "t1" })
  accounts.scan()
  answer = function()
    files["auths/a.json"] = nil
    accounts.scan()
    state.now = state.now + 2
    accounts.scan()
    return { access_token = "t2", refresh_token = "r2" }
  end
  same(refresh(state, "a.json"), { failed = "its file was removed" })
  same(files["auths/a.json"], nil)
end)
