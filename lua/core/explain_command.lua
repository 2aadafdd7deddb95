--- `cli-proxy-api explain`: what the server answered, or what configuration and files tell, printed.

local json = require "json"
local text = require "core.explain_text"

local M = {}

local function print_report(report, given)
  local out = given.json and json.encode(report) .. "\n" or text.report(report, given.colour)
  return out, nil, report.usable
end

--- Prints what a running server said.
--- @param given {document: string, address: string, json: boolean, colour: boolean}
--- @return string? out
--- @return string? message
--- @return boolean fine  somebody can serve the model, or the request was found
function M.answer(given)
  local document, problem = json.decode(given.document)
  if type(document) ~= "table" then
    return nil, "the server's answer is not JSON: " .. tostring(problem) .. "\n", false
  end
  if document.candidates then
    document.server.address = given.address
    return print_report(document, given)
  end
  local trace = document.trace
  if type(trace) ~= "table" then
    return nil, "the server does not know that request; it keeps the newest 1,000 model calls"
      .. " since its start\n", false
  end
  local out = given.json and json.encode(trace) .. "\n" or text.trace(trace, given.colour)
  return out, nil, true
end

--- Explains a model without a server.
--- @param given {model: string, dialect: string, without: string, json: boolean, colour: boolean}
--- @return string out
--- @return nil
--- @return boolean usable
function M.alone(given)
  local dialect = given.dialect ~= "" and given.dialect or nil
  local report = require("core.explain").report(given.model, dialect, false)
  report.without = given.without
  return print_report(report, given)
end

return M
