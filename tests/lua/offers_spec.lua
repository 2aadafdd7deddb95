--- Which models an account offers, under which names.

local support = require "tests.support"
local offers = require "core.offers"

local provider = {
  name = "claude", dialect = "anthropic",
  models = function(credential)
    local list = {}
    for i, id in ipairs { "big", "Small", "old-one", "old-two" } do
      list[i] = { id = id, owned_by = "vendor", type = "t", created = 1, display_name = id:upper() }
    end
    for _, model in ipairs(credential.entry.models or {}) do
      list = { { id = model.alias, upstream = model.name } }
    end
    return list
  end,
}

local function login(entry)
  return { id = "x.json", provider = "claude", name = "claude", kind = "oauth", label = "x",
    entry = entry or {} }
end

local function names(credential)
  local list = {}
  for i, model in ipairs(offers.models(provider, credential)) do
    list[i] = model.id .. (model.upstream and "=" .. model.upstream or "")
  end
  return table.concat(list, " ")
end

test("excluded models are left out, by wildcards and whatever the case", function()
  support.reset()
  same(names(login { ["excluded-models"] = { "OLD-*", "small" } }), "big")
  same(names(login { ["excluded-models"] = { "*-two" } }), "big Small old-one")
  same(names(login { ["excluded-models"] = { "*l*" } }), "big")
  same(names(login { ["excluded-models"] = { "*" } }), "")
  same(names(login { ["excluded-models"] = { "b.g", "%a" } }), "big Small old-one old-two")
end)

test("excluded models of a kind of login, for logins only", function()
  support.reset { values = { ["oauth-excluded-models"] = { claude = { "old-*" } } } }
  same(names(login { ["excluded-models"] = { "big" } }), "Small")
  local key = login()
  key.kind = "api_key"
  same(names(key), "big Small old-one old-two")
end)

test("an alias takes the name's place, a fork stands beside it", function()
  support.reset { values = { ["oauth-model-alias"] = { claude = {
    { name = "BIG", alias = "best", ["display-name"] = "Best" },
    { name = "small", alias = "quick", fork = true },
    { name = "new", alias = "newest" },
    { name = "", alias = "nothing" }, { name = "old-one", alias = "Old-One" },
  } } } }
  same(names(login()), "Small old-one old-two best=big quick=Small newest=new")
  local list = offers.models(provider, login())
  same({ list[4].display_name, list[5].display_name, list[6].owned_by }, { "Best", "SMALL", "vendor" })
end)

test("an alias given twice is a pool", function()
  support.reset { values = { ["oauth-model-alias"] = { claude = {
    { name = "big", alias = "any" }, { name = "small", alias = "any" } } } } }
  same(names(login()), "old-one old-two any=big any=Small")
end)

test("names in a login's own file are aliases, those of a key replace the list", function()
  support.reset()
  local entry = { models = { { name = "big", alias = "mine" } } }
  same(names(login(entry)), "Small old-one old-two mine=big")
  local key = login(entry)
  key.kind = "api_key"
  same(names(key), "mine=big")
end)

test("an excluded model has no aliases, and an alias can be excluded", function()
  support.reset { values = { ["oauth-model-alias"] = { claude = {
    { name = "big", alias = "best", fork = true }, { name = "small", alias = "quick", fork = true },
  } }, ["oauth-excluded-models"] = { claude = { "big", "quick" } } } }
  same(names(login()), "Small old-one old-two")
end)

test("name://model does not reach an excluded model", function()
  local one = support.account("a", { m = "m-1" })
  one.entry["excluded-models"] = { "secret*", "m" }
  support.reset { credentials = { one }, upstream = function()
    return { text = '{"id":"1","choices":[]}' }
  end }
  same(support.chat('{"model":"acme://secret-model"}').status, 404)
  same(support.chat('{"model":"acme://m"}').status, 404)
  same(support.chat('{"model":"m"}').status, 404)
  same(support.chat('{"model":"acme://other"}').status, 200)
end)

test("names that clients make up leave no counters of turns behind", function()
  local accounts = { support.account("a", { m = "m-1" }), support.account("b", { m = "m-1" }) }
  local state = support.reset { credentials = accounts,
    upstream = function() return { text = '{"id":"1","choices":[]}' } end }
  for i = 1, 50 do
    same(support.chat(('{"model":"acme://made-up-%d"}'):format(i)).status, 200)
  end
  support.chat '{"model":"acme://m"}'
  local turns = {}
  for key in pairs(state.store) do
    if key:find "^turn:" then turns[#turns + 1] = key end
  end
  table.sort(turns)
  same(turns, { "turn:acme://", "turn:acme:m" })
end)

test("a provider whose list breaks takes no request from the others", function()
  local state = support.reset()
  local broken = { name = "broken", models = function() error "no such table" end }
  same(offers.models(broken, login()), {})
  same(#state.log, 1)
  same(state.log[1]:find("error providers/broken.lua: the models of x cannot be listed", 1, true), 1)
  same(names(login()), "big Small old-one old-two")
end)
