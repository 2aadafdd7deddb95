--- Regular expressions as other programs' configurations have them.

local regex = require "lib.regex"

local function found(expression, text)
  local compiled, problem = regex.compile(expression)
  if not compiled then return problem end
  return compiled(text)
end

test("what is found and what is not", function()
  for _, row in ipairs {
    { "abc", "xabcx", true }, { "abc", "ab", false }, { "^abc$", "abc", true },
    { "^b", "ab", false }, { "a.c", "a\nc", false }, { "a.c", "a%c", true },
    { "a|bc|d", "xbcx", true }, { "(a|b)+c", "abac", true }, { "(?:a|b){2}c", "abc", true },
    { "a{2,3}b", "ab", false }, { "^a{2,}$", "aaaa", true }, { "^a{2}$", "aaa", false },
    { "a*?b", "aab", true }, { "[a-c]+[^0-9]", "b7", false }, { "[a-c]+[^0-9]", "bx", true },
    { "[]x]", "]", true }, { "[\\d-]+$", "1-2", true }, { "\\bquota\\b", "no quota!", true },
    { "\\bquota\\b", "quotas", false }, { "\\w+@\\w+\\.\\w+", "a@b.c", true }, { "\\S\\s\\S", "a b", true },
    { "(?i)ReSeT [A-F]", "reset c", true }, { "ReSeT", "reset", false }, { "a\\{2\\}", "a{2}", true },
    { "context.*length", "context window length", true }, { "", "x", true }, { "a{,2}", "a{,2}", true },
    { "maximum_context_length$", "the maximum_context_length", true }, { "é+", "caféé", true },
  } do
    same({ row[1], row[2], found(row[1], row[2]) }, row)
  end
end)

test("what cannot be compiled says why", function()
  for _, expression in ipairs { "(a", "a)", "[a", "*a", "a\\", "(?=a)", "\\p{L}", "[z-a]", "a{2000}" } do
    same({ expression, type(found(expression, "")) }, { expression, "string" })
  end
end)

test("an expression that would search for ever ends without a match", function()
  same(found("(a+)+$", ("a"):rep(60) .. "b"), false)
  same(found("(a|a)*b", ("a"):rep(200)), false)
end)

test("groups in each other without an end are refused, not raised", function()
  local found, problem = regex.compile(("("):rep(100000))
  same({ found, problem }, { nil, "too many groups in each other" })
  same(regex.compile(("("):rep(100) .. "a" .. (")"):rep(100)) "a", true)
end)
