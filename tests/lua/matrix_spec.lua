--- What is lost where: nothing without a word, and docs/translation.md says it.
---
--- WRITE_DOCS=1 build/asan/lua_specs tests/lua/matrix_spec.lua writes the generated part of the page.

local matrix = require "tests.matrix"
local pitfalls = require "tests.pitfalls"

local PAGE = "docs/translation.md"
local BEGIN, END = "<!-- generated from tests/lua/features.lua -->\n", "<!-- end of the generated part -->\n"

local titles = {
  chat = "Chat Completions", responses = "Responses", anthropic = "Anthropic", gemini = "Gemini",
}

local function cell(result)
  if result.outcome == "unsaid" then return "" end
  local words = result.outcome == "kept" and "yes" or "no"
  if #result.codes > 0 then words = words .. " (`" .. table.concat(result.codes, "`, `") .. "`)" end
  return words
end

local function others(dialect)
  local list = {}
  for _, each in ipairs(matrix.DIALECTS) do if each ~= dialect then list[#list + 1] = each end end
  return list
end

-- One table: a row for each feature that anybody can say.
local function tabulate(out, features, columns, run)
  local heads = {}
  for i, dialect in ipairs(columns) do heads[i] = titles[dialect] end
  out[#out + 1] = "| | " .. table.concat(heads, " | ") .. " |"
  out[#out + 1] = "|---|" .. ("---|"):rep(#columns)
  for _, feature in ipairs(features) do
    local cells, any = {}, false
    for i, dialect in ipairs(columns) do
      cells[i] = cell(run(feature, dialect))
      any = any or cells[i] ~= ""
    end
    if any then out[#out + 1] = "| " .. feature.name .. " | " .. table.concat(cells, " | ") .. " |" end
  end
  out[#out + 1] = ""
end

local function render()
  local out = { "" }
  for _, upstream in ipairs(matrix.DIALECTS) do
    out[#out + 1] = "### Requests to " .. titles[upstream] .. ", from\n"
    tabulate(out, matrix.features, others(upstream), function(feature, client)
      return matrix.run(feature, client, upstream)
    end)
  end
  for _, client in ipairs(matrix.DIALECTS) do
    out[#out + 1] = "### Answers for " .. titles[client] .. ", from\n"
    tabulate(out, matrix.answers, others(client), function(feature, upstream)
      return matrix.answer(feature, client, upstream)
    end)
  end
  out[#out + 1] = "## What is watched\n"
  out[#out + 1] = "Each of these goes wrong in some gateway, and has a test here that names its number.\n"
  for number, title in ipairs(pitfalls) do out[#out + 1] = number .. ". " .. title end
  out[#out + 1] = "\n"
  return table.concat(out, "\n")
end

local function each(features, run, work)
  for _, feature in ipairs(features) do
    for _, one in ipairs(matrix.DIALECTS) do
      for _, other in ipairs(others(one)) do work(feature, run(feature, one, other), one, other) end
    end
  end
end

test("what a request or an answer loses is told, and nothing is refused", function()
  local silent = {}
  local function look(feature, result, client, upstream)
    if result.outcome == "refused"
        or result.outcome == "lost" and #result.codes == 0 and not feature.hint then
      silent[#silent + 1] = feature.name .. ": " .. client .. ", " .. upstream .. " "
        .. table.concat(result.codes, " ")
    end
  end
  each(matrix.features, matrix.run, look)
  each(matrix.answers, matrix.answer, look)
  same(silent, {})
end)

test("every feature is carried somewhere", function()
  local seen, carried = {}, {}
  for _, features in ipairs { matrix.features, matrix.answers } do
    each(features, features == matrix.features and matrix.run or matrix.answer, function(feature, result)
      if result.outcome ~= "unsaid" then seen[feature.name] = true end
      if result.outcome == "kept" then carried[feature.name] = true end
    end)
  end
  -- What only its own dialect has: bytes go through there.
  for _, name in ipairs { "logit bias", "prediction", "safety settings", "other tools of the vendor",
    "earlier thoughts of another vendor", "end by a stop sequence", "pause of a long turn", "file by its id" } do
    carried[name] = true
  end
  same(carried, seen)
end)

test("docs/translation.md holds the matrix as it is", function()
  local file = assert(io.open(PAGE))
  local text = file:read "a"
  file:close()
  local from = assert(select(2, text:find(BEGIN, 1, true)))
  local to = assert(text:find(END, 1, true))
  local whole = text:sub(1, from) .. render() .. text:sub(to)
  if os.getenv "WRITE_DOCS" then
    file = assert(io.open(PAGE, "w"))
    file:write(whole)
    file:close()
    return
  end
  if whole ~= text then
    error("it is stale: WRITE_DOCS=1 build/asan/lua_specs tests/lua/matrix_spec.lua writes it")
  end
end)
