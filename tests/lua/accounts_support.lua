--- Accounts of one openai-compatibility entry, and what their upstream answers.

local support = require "tests.support"

local M = { OK = '{"id":"1","choices":[]}' }

--- An account that offers `m` and `n`.
--- @param id string
--- @param entry table?  more of its entry
--- @param fields table?  more of the credential
function M.account(id, entry, fields)
  local made = support.account(id, { m = "m-1", n = "n-1" }, fields)
  for name, value in pairs(entry or {}) do made.entry[name] = value end
  return made
end

--- Begins a test with accounts, or ids of them; all answer well unless told otherwise.
function M.given(accounts, upstream, values)
  local list = {}
  for i, account in ipairs(accounts) do
    list[i] = type(account) == "string" and M.account(account) or account
  end
  return support.reset {
    credentials = list, upstream = upstream or function() return { text = M.OK } end, values = values,
  }
end

--- An upstream's answer with an error status.
--- @param fields table<string, string>?  its headers
--- @param text string?
function M.failure(status, fields, text)
  return { status = status, fields = fields or {},
    text = text or '{"error":{"message":"said ' .. status .. '"}}' }
end

function M.chat(model, headers)
  return support.chat('{"model":"' .. (model or "m") .. '"}', headers)
end

--- Who was asked, in order.
function M.asked(state)
  local ids = {}
  for i, call in ipairs(state.calls) do ids[i] = call.credential end
  return ids
end

return M
