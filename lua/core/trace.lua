--- The route trace of a request: why it went where it went, in steps.
---
--- Nothing is recorded while all goes well: the record that C keeps of every model call names who
--- served it, and when.  The steps of the others, each with `at`, seconds since the request came:
---
--- | step     | says                                                                          |
--- |----------|-------------------------------------------------------------------------------|
--- | resolved | `name` that was looked up, `via`, number of `candidates`                      |
--- | refused  | a candidate that was left out: `reason`, `seconds` to wait, what was `said`   |
--- | failed   | a candidate that was tried: `status`, `verdict`, `seconds` it took, `said`    |
--- | kept     | a candidate that nobody came to try                                           |
--- | ended    | what the client was told: `class`, `status`, `said`; how many were `refused`  |
---
--- Candidates are told by `provider`, `credential` (its label) and `model` (the upstream's name).

local errors = require "lib.errors"
local json = require "json"

local M = {}

local SAID_MAX = 300
-- Of a hundred accounts that wait, the first ones tell enough.
local REFUSED_MAX = 16

local function cut(text)
  if not text or text == "" then return nil end
  return #text > SAID_MAX and text:sub(1, SAID_MAX) .. "..." or text
end

local function add(client, fields)
  client:trace(json.encode(fields))
end

-- The first step of a call says how its model's name was understood.
local function begin(call)
  if call.traced then return end
  call.traced = {}
  local resolution = call.resolution
  if not resolution then return end
  local count = 0
  for _, group in ipairs(resolution.groups) do count = count + #group.candidates end
  add(call.client, {
    step = "resolved", name = resolution.id, via = resolution.via, candidates = count,
  })
end

local function add_candidate(call, candidate, fields)
  begin(call)
  call.traced[candidate] = true
  fields.provider, fields.credential = candidate.credential.name, candidate.credential.label
  fields.model = candidate.model
  add(call.client, fields)
end

--- A candidate is left out.
--- @param call Call
--- @param candidate Candidate
--- @param reason string
--- @param seconds number?  until it may be used again
--- @param said string?  by the upstream
function M.refused(call, candidate, reason, seconds, said)
  local count = (call.refused or 0) + 1
  call.refused = count
  if count > REFUSED_MAX then return end
  add_candidate(call, candidate, {
    step = "refused", reason = reason, seconds = seconds and math.ceil(seconds), said = cut(said),
  })
end

--- A candidate was tried and failed.
--- @param call Call
--- @param candidate Candidate
--- @param problem Problem
--- @param verdict string
function M.failed(call, candidate, problem, verdict)
  add_candidate(call, candidate, {
    step = "failed", status = errors.status(problem, "chat"), verdict = verdict,
    seconds = math.floor(call.client.trying * 1000 + 0.5) / 1000, said = cut(problem.message),
  })
end

--- The client is told a problem.
--- @param client Client
--- @param problem Problem
--- @param dialect string
--- @param call Call?  of a model call that was read
function M.ended(client, problem, dialect, call)
  local resolution = call and call.resolution
  if call then begin(call) end
  if resolution then
    for _, group in ipairs(resolution.groups) do
      for _, candidate in ipairs(group.candidates) do
        if not call.traced[candidate] and (call.refused or 0) <= REFUSED_MAX then
          add_candidate(call, candidate, { step = "kept" })
        end
      end
    end
  end
  add(client, {
    step = "ended", class = problem.class, status = errors.status(problem, dialect),
    refused = call and call.refused, said = cut(problem.message),
  })
end

return M
