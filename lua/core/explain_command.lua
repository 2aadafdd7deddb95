--- `cli-proxy-api explain`: prints what the server answered, or what configuration and files tell.

local accounts = require "core.accounts"
local json = require "json"
local terminal = require "terminal"
local text = require "core.explain_text"

local M = {}

local GOOD, BAD = 0, 1

local function print_report(report, given)
  terminal.write(given.json and json.encode(report) .. "\n"
    or text.report(report, given.colour ~= nil))
  return report.usable and GOOD or BAD
end

local function say(problem)
  terminal.write(problem .. "\n")
  return BAD
end

--- Prints what a running server said.
--- @param given {document: string, address: string, json: string?, colour: string?}
--- @return integer  exit code: whether somebody can serve the model, or the request was found
function M.answer(given)
  local document, problem = json.decode(given.document)
  if type(document) ~= "table" then
    return say("the server's answer is not JSON: " .. tostring(problem))
  end
  if document.candidates then
    document.server.address = given.address
    return print_report(document, given)
  end
  local trace = document.trace
  if type(trace) ~= "table" then
    return say "the server does not know that request; it keeps the newest 1,000 since its start"
  end
  terminal.write(given.json and json.encode(trace) .. "\n"
    or text.trace(trace, given.colour ~= nil))
  return GOOD
end

--- Explains a model without a server.
--- @param given {model: string, dialect: string?, without: string, json: string?, colour: string?}
--- @return integer
function M.alone(given)
  accounts.scan(true)
  local report = require("core.explain").report(given.model, given.dialect, false)
  report.unusable = json.array(accounts.unusable())
  report.without = given.without
  return print_report(report, given)
end

return M
