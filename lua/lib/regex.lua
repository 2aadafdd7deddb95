--- Regular expressions for short texts, as configurations of other programs have them.
---
--- `. [] [^] () (?:) | * + ? {m,n}` and their lazy forms, `^ $ \b \d \w \s \D \W \S`, escapes, and
--- `(?i)` at the beginning.  Matches backtrack, up to a number of steps: beyond it there is no match.

local byte, find, lower, match, sub, upper =
  string.byte, string.find, string.lower, string.match, string.sub, string.upper

local M = {}

local STEPS = 200000
local DEPTH_MAX = 100
local REPEAT_MAX = 1000

local classes = { d = "%d", w = "[%w_]", s = "%s", D = "%D", W = "[^%w_]", S = "%S" }
local controls = { n = "\n", t = "\t", r = "\r", f = "\f", v = "\v" }

-- A node is fn(state, at, go): does it match from `at`, and `go(end)` after it?
-- Nodes of one character carry `test` instead: fn(character).

local function step(state)
  state.steps = state.steps + 1
  if state.steps > STEPS then error(state, 0) end
end

local function single(test)
  return function(state, at, go)
    local character = sub(state.text, at, at)
    return character ~= "" and test(character) and go(at + 1)
  end
end

local function sequence(nodes)
  return function(state, at, go)
    local function rest(i, here)
      if i > #nodes then return go(here) end
      step(state)
      return nodes[i](state, here, function(next_at) return rest(i + 1, next_at) end)
    end
    return rest(1, at)
  end
end

local function choice(nodes)
  return function(state, at, go)
    for _, node in ipairs(nodes) do
      step(state)
      if node(state, at, go) then return true end
    end
    return false
  end
end

local function repeated(node, least, most, lazy)
  return function(state, at, go)
    local function from(count, here)
      step(state)
      local function more()
        return count < most and node(state, here, function(next_at)
          -- What matches nothing need not be matched again.
          return (next_at > here or count < least) and from(count + 1, next_at)
        end)
      end
      if count < least then return more() end
      if lazy then return go(here) or more() end
      return more() or go(here)
    end
    return from(0, at)
  end
end

local function is_word(text, at)
  return find(sub(text, at, at), "^[%w_]") ~= nil
end

local function anchor(kind)
  return function(state, at, go)
    local text, fits = state.text, false
    if kind == "^" then
      fits = at == 1
    elseif kind == "$" then
      fits = at == #text + 1
    else
      fits = is_word(text, at - 1) ~= is_word(text, at)
    end
    return fits and go(at)
  end
end

local parse_choice

local function fail(message)
  error({ message = message }, 0)
end

local function test_of_class(letter)
  local pattern = "^" .. classes[letter] .. "$"
  return function(character) return find(character, pattern) ~= nil end
end

local function test_of_character(wanted, folded)
  if folded then wanted = lower(wanted) end
  return function(character)
    return (folded and lower(character) or character) == wanted
  end
end

local function test_of_range(first, last, folded)
  local low, high = byte(first), byte(last)
  if low > high then fail("a range is the wrong way round") end
  local function within(character)
    local code = byte(character)
    return code >= low and code <= high
  end
  if not folded then return within end
  return function(character) return within(lower(character)) or within(upper(character)) end
end

-- What stands behind a backslash, as a test.
local function escaped(p)
  local letter = sub(p.text, p.at, p.at)
  if letter == "" then fail("nothing behind the last backslash") end
  p.at = p.at + 1
  if classes[letter] then return test_of_class(letter) end
  if find(letter, "^[%a%d]") and not controls[letter] then
    fail("\\" .. letter .. " is not known")
  end
  return test_of_character(controls[letter] or letter, p.folded), controls[letter] or letter
end

local function parse_set(p)
  local negated = sub(p.text, p.at, p.at) == "^"
  if negated then p.at = p.at + 1 end
  local tests, begin = {}, p.at
  while true do
    local character = sub(p.text, p.at, p.at)
    if character == "" then fail("a [ without ]") end
    p.at = p.at + 1
    if character == "]" and p.at > begin + 1 then break end
    local test, literal = nil, character
    if character == "\\" then test, literal = escaped(p) end
    local last = match(p.text, "^%-([^%]\\])", p.at)
    if last and literal then
      p.at = p.at + 2
      test = test_of_range(literal, last, p.folded)
    end
    tests[#tests + 1] = test or test_of_character(character, p.folded)
  end
  return single(function(character)
    for _, test in ipairs(tests) do
      if test(character) then return not negated end
    end
    return negated
  end)
end

local function parse_group(p)
  if sub(p.text, p.at, p.at) == "?" then
    if sub(p.text, p.at, p.at + 1) ~= "?:" then fail("(? is not known but for (?: and (?i)") end
    p.at = p.at + 2
  end
  p.depth = p.depth + 1
  if p.depth > DEPTH_MAX then fail("too many groups in each other") end
  local node = parse_choice(p)
  p.depth = p.depth - 1
  if sub(p.text, p.at, p.at) ~= ")" then fail("a ( without )") end
  p.at = p.at + 1
  return node
end

local function parse_atom(p)
  local character = sub(p.text, p.at, p.at)
  p.at = p.at + 1
  if character == "(" then return parse_group(p) end
  if character == "[" then return parse_set(p) end
  if character == "." then return single(function(found) return found ~= "\n" end) end
  if character == "^" or character == "$" then return anchor(character) end
  if character == "*" or character == "+" or character == "?" then
    fail(character .. " repeats nothing")
  end
  if character ~= "\\" then return single(test_of_character(character, p.folded)) end
  if sub(p.text, p.at, p.at) == "b" then
    p.at = p.at + 1
    return anchor "b"
  end
  return single((escaped(p)))
end

local counts = { ["*"] = { 0, math.huge }, ["+"] = { 1, math.huge }, ["?"] = { 0, 1 } }

local function parse_repeat(p)
  local node = parse_atom(p)
  while true do
    local count, length = counts[sub(p.text, p.at, p.at)], 1
    if not count then
      local whole, least, comma, most = match(p.text, "^({(%d+)(,?)(%d*)})", p.at)
      if not whole then return node end
      least, most = tonumber(least), tonumber(most)
      most = most or (comma == "" and least or math.huge)
      if least > REPEAT_MAX then fail("too many repetitions") end
      count, length = { least, most }, #whole
    end
    p.at = p.at + length
    local lazy = sub(p.text, p.at, p.at) == "?"
    if lazy then p.at = p.at + 1 end
    node = repeated(node, count[1], count[2], lazy)
  end
end

function parse_choice(p)
  local nodes, list = {}, {}
  while true do
    local character = sub(p.text, p.at, p.at)
    if character == "" or character == ")" or character == "|" then
      nodes[#nodes + 1] = sequence(list)
      if character ~= "|" then return #nodes == 1 and nodes[1] or choice(nodes) end
      list = {}
      p.at = p.at + 1
    else
      list[#list + 1] = parse_repeat(p)
    end
  end
end

local function parse(text)
  local p = { text = text, at = 1, folded = false, depth = 0 }
  if sub(text, 1, 4) == "(?i)" then p.at, p.folded = 5, true end
  local node = parse_choice(p)
  if p.at <= #text then fail("a ) without (") end
  return node
end

local function search(node, text)
  local state = { text = text, steps = 0 }
  for at = 1, #text + 1 do
    if node(state, at, function() return true end) then return true end
    step(state)
  end
  return false
end

--- Compiles an expression.
--- @param text string
--- @return (fun(text: string): boolean)?  true when it is found anywhere in a text
--- @return string? problem
function M.compile(text)
  local fine, node = pcall(parse, text)
  if not fine then
    if type(node) == "table" and node.message then return nil, node.message end
    error(node, 0)
  end
  return function(said)
    local ended, found = pcall(search, node, said)
    if ended then return found end
    if type(found) == "table" and found.steps then return false end
    error(found, 0)
  end
end

return M
