--- Reports of core.explain and route traces, as text that a person reads at a terminal.

local span = require("core.refusals").span

local concat, format, gsub, rep = table.concat, string.format, string.gsub, string.rep

local M = {}

local CODES = { bold = "1", dim = "2", red = "31", green = "32", yellow = "33" }

-- Accounts that offer other models are only counted when there are more of them.
local ABSENT_MAX = 6

-- What comes from upstreams and clients may hold what a terminal obeys.
local function plain(value)
  local text = gsub(tostring(value), "[%c\127]", " ")
  return (gsub(text, "\u{c2}[\x80-\x9f]", " "))
end

local function width(text)
  return utf8.len(text) or #text
end

local function painter(colour)
  if not colour then return function(_, text) return text end end
  return function(name, text) return "\27[" .. CODES[name] .. "m" .. text .. "\27[0m" end
end

-- Rows of plain cells, each column as wide as its widest cell; `paint(row, column, text)`.
local function aligned(rows, paint)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width(cell)) end
  end
  for n, row in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(row) do
      local padded = i < #row and cell .. rep(" ", widths[i] - width(cell)) or cell
      parts[i] = paint(n, i, padded)
    end
    lines[n] = "  " .. gsub(concat(parts, "  "), "%s+$", "")
  end
  return lines, widths
end

-- --- a model -------------------------------------------------------------------------------------

local function state_of(row)
  if row.verdict == "kept" then return "usable" end
  local text = row.why or row.reason
  return row.seconds and format("%s, %s left", text, span(row.seconds)) or text
end

-- What is said below a candidate.
local function details_of(row, paint)
  local lines = {}
  if row.said then lines[#lines + 1] = "upstream: " .. plain(row.said) end
  for _, note in ipairs(row.notes or {}) do lines[#lines + 1] = plain(note) end
  if row.fix then lines[#lines + 1] = paint("bold", "→ " .. plain(row.fix)) end
  return lines
end

local function candidate_lines(list, paint)
  local cells = {}
  for i, row in ipairs(list) do
    cells[i] = {
      row.position == 1 and "next" or row.position and tostring(row.position)
        or row.verdict == "kept" and "+" or "-",
      plain(row.provider), plain(row.credential), plain(row.model or ""), plain(state_of(row)),
    }
    if row.route then table.insert(cells[i], 5, row.route) end
  end
  local rows, widths = aligned(cells, function(n, column, text)
    if column == 1 and list[n].position == 1 then return paint("bold", text) end
    if column ~= #cells[n] then return text end
    return paint(list[n].verdict == "kept" and "green" or "yellow", text)
  end)
  local lines, indent = {}, rep(" ", 2 + (widths[1] or 0) + 2)
  for i, row in ipairs(list) do
    lines[#lines + 1] = rows[i]
    for _, detail in ipairs(details_of(row, paint)) do lines[#lines + 1] = indent .. detail end
  end
  return lines
end

local function add_all(lines, more)
  for _, line in ipairs(more) do lines[#lines + 1] = line end
end

local function summary_of(report, kept, refused)
  if kept > 0 then
    return format("%d usable%s", kept, refused > 0 and format(", %d refused", refused) or "")
  end
  return report.resolved.how == "unknown" and "unknown model" or "nobody can serve it now"
end

local function facts_of(report)
  local rows = { { "resolved", plain(report.resolved.text) } }
  if report.dialect then rows[#rows + 1] = { "client", plain(report.dialect) } end
  rows[#rows + 1] = { "strategy", plain(report.strategy) }
  if report.next then
    rows[#rows + 1] = { "next",
      plain(format("%s %s, %s", report.next.provider, report.next.credential, report.next.why)) }
  end
  local server = report.server
  if server then
    rows[#rows + 1] = { "answered by",
      plain(format("the running server at %s (version %s)", server.address, server.version)) }
  else
    rows[#rows + 1] = { "answered by",
      "configuration and files alone; cooldowns and turns are known to a running server only" }
    rows[#rows + 1] = { "server", plain(report.without or "none was asked") }
  end
  return rows
end

local function provider_lines(report)
  if #report.providers == 0 then return { "  none; the mock models answer without any account" } end
  local rows = {}
  for i, row in ipairs(report.providers) do
    rows[i] = {
      plain(row.name),
      format("%d account%s", row.accounts, row.accounts == 1 and "" or "s")
        .. (row.disabled > 0 and format(" (%d disabled)", row.disabled) or ""),
      format("%d model%s", row.models, row.models == 1 and "" or "s"),
    }
  end
  return (aligned(rows, function(_, _, text) return text end))
end

--- A report as text.
--- @param report table  of core.explain
--- @param colour boolean
--- @return string
function M.report(report, colour)
  local paint = painter(colour)
  local shown, absent, kept = {}, {}, 0
  for _, row in ipairs(report.candidates) do
    if row.verdict == "kept" then kept = kept + 1 end
    local list = row.reason == "other_models" and absent or shown
    list[#list + 1] = row
  end
  local lines = {
    paint("bold", plain(report.model)) .. ": "
      .. paint(kept > 0 and "green" or "red", summary_of(report, kept, #shown - kept)),
  }
  add_all(lines, (aligned(facts_of(report), function(_, column, text)
    return column == 1 and paint("dim", text) or text
  end)))
  if #shown > 0 then
    lines[#lines + 1] = ""
    add_all(lines, candidate_lines(shown, paint))
  end
  if report.nearest[1] then
    lines[#lines + 1] = ""
    lines[#lines + 1] = "Known names like it: " .. plain(concat(report.nearest, ", "))
  end
  if report.unusable and report.unusable[1] then
    lines[#lines + 1] = ""
    lines[#lines + 1] = "Token files that cannot be used:"
    for _, row in ipairs(report.unusable) do
      lines[#lines + 1] = "  " .. plain(row.file .. ": " .. row.problem)
    end
  end
  if report.resolved.how == "unknown" then
    lines[#lines + 1] = ""
    lines[#lines + 1] = "Configured:"
    add_all(lines, provider_lines(report))
  elseif #absent > 0 then
    lines[#lines + 1] = ""
    local names = {}
    for i = 1, math.min(#absent, ABSENT_MAX) do
      names[i] = absent[i].provider .. " " .. absent[i].credential
    end
    local more = #absent > ABSENT_MAX and format(" and %d more", #absent - ABSENT_MAX) or ""
    lines[#lines + 1] = "Offering other models: " .. plain(concat(names, ", ")) .. more
  end
  return concat(lines, "\n") .. "\n"
end

-- --- a request -----------------------------------------------------------------------------------

local say = {}

function say.resolved(step)
  return format("`%s` has %d candidate%s", step.name or "?", step.candidates or 0,
    step.candidates == 1 and "" or "s")
end

function say.refused(step)
  local left = step.seconds and format(", %s left", span(step.seconds)) or ""
  return format("left out: %s%s", step.reason or "?", left)
end

function say.failed(step)
  return format("tried: %s %s after %ss", step.status or "?", step.verdict or "",
    step.seconds or "?")
end

function say.kept() return "not tried" end

function say.ended(step)
  local more = step.refused and format(", %d left out", step.refused) or ""
  return format("the client was told %s (%s)%s", step.status or "?", step.class or "?", more)
end

local function step_lines(steps, paint)
  local cells = {}
  for i, step in ipairs(steps) do
    local who = step.credential and plain(format("%s %s", step.provider, step.credential)) or ""
    local what = say[step.step] and say[step.step](step) or step.step
    cells[i] = { format("%.3fs", step.at or 0), who, plain(what) }
  end
  local rows, widths = aligned(cells, function(n, column, text)
    return column == 3 and steps[n].step == "failed" and paint("yellow", text) or text
  end)
  local lines, indent = {}, rep(" ", 2 + (widths[1] or 0) + 2 + (widths[2] or 0) + 2)
  for i, step in ipairs(steps) do
    lines[#lines + 1] = rows[i]
    if step.said then lines[#lines + 1] = indent .. paint("dim", plain(step.said)) end
  end
  return lines
end

--- A route trace as text.
--- @param trace table  of task.trace
--- @param colour boolean
--- @return string
function M.trace(trace, colour)
  local paint = painter(colour)
  local good = trace.status < 400
  local rows = {
    { "time", os.date("%Y-%m-%d %H:%M:%S", math.floor(trace.time)) },
    { "model", plain(trace.model or "-") },
    { "client", plain(trace.dialect or "-") },
    { good and "served by" or "last asked",
      trace.credential and plain(format("%s %s", trace.provider or "", trace.credential))
        or "nobody" },
    { "took", format("%.3fs%s", trace.seconds, trace.first_byte
      and format(", the first byte after %.3fs", trace.first_byte) or "") },
  }
  local lines = {
    format("%s: %s %s %s", paint("bold", plain(trace.id)), plain(trace.method), plain(trace.path),
      paint(good and "green" or "red", trace.status == 499 and "the client left"
        or tostring(trace.status))),
  }
  add_all(lines, (aligned(rows, function(_, column, text)
    return column == 1 and paint("dim", text) or text
  end)))
  if trace.steps[1] then
    lines[#lines + 1] = ""
    add_all(lines, step_lines(trace.steps, paint))
  end
  return concat(lines, "\n") .. "\n"
end

return M
