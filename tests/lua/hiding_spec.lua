--- Tokens are taken out of what authorization servers say.

local hiding = require "lib.hiding"

local function hidden(text, ...)
  return hiding.text(text, hiding.secrets(...))
end

test("tokens, codes and keys of requests and files are taken out, other members stay", function()
  same(hidden("no refresh-token-1 for ann@example.com at client-1234567", {
    refresh_token = "refresh-token-1", email = "ann@example.com", client_id = "client-1234567",
  }), "no *** for ann@example.com at client-1234567")
  same(hidden("a abcdefgh b", { token = { inner = { "abcdefgh" } } }), "a *** b")
  same(hidden("a abcdefgh b", nil, { authorization = "Bearer abcdefgh" }), "a *** b")
end)

test("the forms of JSON and of URLs are found", function()
  local file = { refresh_token = "1//0g-abc.def+x" }
  same(hidden([[got "1\/\/0g-abc.def+x" or 1%2F%2F0g-abc.def%2Bx]], file), [[got "***" or ***]])
end)

test("the longer one goes first, and short values are words like any other", function()
  same(hidden("abcdefgh-more", { a_token = "abcdefgh", b_token = "abcdefgh-more" }), "***")
  same(hidden("code: pending", { code = "pending" }), "code: pending")
end)
