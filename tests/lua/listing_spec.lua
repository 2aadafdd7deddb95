--- Model lists in their three forms.

local support = require "tests.support"
local json = require "json"

local function given()
  support.reset { credentials = {
    support.account("a", { zeta = "z-1", alpha = "a-1" }),
    support.account("b", { alpha = "a-2" }, { name = "other" }),
    support.account("c", { ["vendor/name:free"] = "x" }),
  } }
end

test("the OpenAI list is sorted, and an id of several providers appears once", function()
  given()
  same(support.ask("GET", "/v1/models").sent, '{"data":['
    .. '{"created":1735689600,"id":"alpha","object":"model","owned_by":"acme"},'
    .. '{"created":1735689600,"id":"vendor/name:free","object":"model","owned_by":"acme"},'
    .. '{"created":1735689600,"id":"zeta","object":"model","owned_by":"acme"}],"object":"list"}')
end)

test("Anthropic's clients get their form, in pages", function()
  given()
  local headers = { ["user-agent"] = "claude-cli/2.0" }
  local list = json.decode(support.ask("GET", "/v1/models?limit=2", headers).sent)
  same({ #list.data, list.has_more, list.first_id, list.last_id },
    { 2, true, "alpha", "vendor/name:free" })
  same(list.data[1].created_at, "2025-01-01T00:00:00Z")
  list = json.decode(support.ask("GET", "/v1/models?after_id=alpha", headers).sent)
  same({ list.has_more, list.first_id, list.last_id }, { false, "vendor/name:free", "zeta" })
  list = json.decode(support.ask("GET", "/v1/models?before_id=zeta&limit=1", headers).sent)
  same({ list.has_more, list.first_id, list.last_id },
    { true, "vendor/name:free", "vendor/name:free" })
end)

test("Google's clients get their form on both paths", function()
  given()
  for _, path in ipairs { "/v1/models", "/v1beta/models" } do
    local list = json.decode(support.ask("GET", path .. "?pageSize=2", { ["x-goog-api-key"] = "x" }).sent)
    same({ #list.models, list.models[1].name, list.nextPageToken }, { 2, "models/alpha", "3" })
    list = json.decode(support.ask("GET", path .. "?pageSize=2&pageToken=3",
      { ["x-goog-api-key"] = "x" }).sent)
    same({ #list.models, list.models[1].name, list.nextPageToken }, { 1, "models/zeta" })
  end
end)

test("one model is found by its id, with slashes and escapes", function()
  given()
  same(json.decode(support.ask("GET", "/v1/models/vendor/name:free").sent).id, "vendor/name:free")
  same(json.decode(support.ask("GET", "/v1/models/vendor%2Fname%3Afree").sent).id, "vendor/name:free")
  same(json.decode(support.ask("GET", "/v1beta/models/alpha").sent).name, "models/alpha")
  local client = support.ask("GET", "/v1beta/models/none")
  same({ client.status, json.decode(client.sent).error.status }, { 404, "NOT_FOUND" })
  same(support.ask("GET", "/v1/models/none").status, 404)
end)

test("a model whose accounts are all refused is hidden, one on quota is not", function()
  given()
  local function ids()
    local list = {}
    for i, model in ipairs(json.decode(support.ask("GET", "/v1/models").sent).data) do
      list[i] = model.id
    end
    return list
  end
  modules.store.set("cool:a:z-1", "quota 1000 60 429 slow down", 60)
  modules.store.add("cool:changes")
  same(#ids(), 3)
  modules.store.set("cool:a:z-1", "unauthorized 1000 60 401 no", 60)
  modules.store.add("cool:changes")
  same(ids(), { "alpha", "vendor/name:free" })
end)
