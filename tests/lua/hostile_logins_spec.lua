--- Logins whose servers answer with values of the wrong kind: they fail with a text, or go on.

local support = require "tests.support"
require "tests.login_support"
local crypto = require "crypto"
local hostile = require "tests.hostile"
local json = require "json"

local function jwt(claims)
  local function part(value) return crypto.base64url_encode(json.encode(value)) end
  return part { alg = "none" } .. "." .. part(claims) .. ".c2ln"
end

local ID = { exp = 1900000000, email = "a@example.com",
  ["https://api.openai.com/auth"] = { chatgpt_account_id = "acc", chatgpt_plan_type = "plus" } }

-- One document that has what any of the calls of a login is answered with.
local WORLD = {
  access_token = "at-123456", refresh_token = "rt-123456", token_type = "Bearer", expires_in = 3600,
  scope = "read", id_token = jwt(ID), resource_url = "portal.qwen.ai",
  account = { uuid = "u", email_address = "a@example.com" }, organization = { uuid = "o", name = "O" },
  device_code = "d", user_code = "U", verification_uri_complete = "https://x", interval = 5,
  device_auth_id = "da", authorization_code = "ac", code_verifier = "cv",
  success = true, data = { apiKey = "sk-12345678", email = "a", name = "n", expireTime = "2030-01-01 00:00" },
  email = "a@example.com", projects = { { projectId = "p-1", name = "P", lifecycleState = "ACTIVE" } },
  currentTier = { id = "standard-tier" }, cloudaicompanionProject = "p-1",
  allowedTiers = { { id = "free-tier", isDefault = true } }, done = true,
  response = { cloudaicompanionProject = { id = "p-1" } }, state = "ENABLED",
  ineligibleTiers = { { reasonCode = "VALIDATION_REQUIRED", reasonMessage = "m", validationUrl = "https://y" } },
  error = { message = "m", code = "c" },
}

local function session_of()
  return { state = ("0"):rep(32), verifier = "v", challenge = "c", device_code = "d", device_auth_id = "da",
    user_code = "U", interval = 5, redirect = "http://localhost:1/cb", redirect_uri = "http://localhost:1/cb" }
end

local options = { say = function(text) assert(type(text) == "string") end,
  redirect_uri = "http://localhost:1/cb", ask = function() return "1" end }

local function check(saved, problem, detail, thorough)
  if saved == "wait" then return end
  if not saved then
    assert(problem == nil or type(problem) == "string")
    return assert(detail == nil or type(detail) == "string")
  end
  assert(type(saved.name) == "string" and not saved.name:find "[/%c]")
  json.encode(saved.document)
  -- Files that are there may say anything.
  if not thorough then return end
  hostile.each(saved.document, function(document)
    if saved.same then saved.same(document) end
    if saved.clash then saved.clash(document) end
  end)
end

local function try(login, answer, status, thorough)
  support.reset { upstream = function() return { status = status, text = answer } end }
  local session = session_of()
  if login.begin then
    local fine, message = login.begin(session, options)
    assert(fine or type(message) == "string")
    json.encode(session)
    if fine then assert(not session.interval or session.interval >= 1 and session.interval <= 60) end
  end
  session = session_of()
  if login.finish then
    local saved, problem, detail = login.finish(session, "code", options)
    check(saved, problem, detail, thorough)
  end
  if login.poll then
    check(login.poll(session, options))
    json.encode(session)
  end
  if login.at_once then
    check(login.at_once { say = options.say, ask = function() return "BXAuth=abcdefghijkl;" end })
  end
end

for _, name in ipairs { "claude", "codex", "gemini_cli", "iflow", "qwen" } do
  local kind = require("accounts." .. name)
  test("odd answers to a login of " .. name .. " raise nothing", function()
    for _, place in ipairs { "login", "device_login", "cookie_login" } do
      local login = kind[place]
      if login then
        try(login, json.encode(WORLD), 200, true)
        hostile.each(WORLD, function(odd) try(login, json.encode(odd), 200) end)
        hostile.each(ID, function(odd)
          local world = json.decode(json.encode(WORLD))
          world.id_token, world.access_token = jwt(odd), jwt(odd)
          try(login, json.encode(world), 200)
        end)
        for _, text in ipairs(hostile.texts) do
          for _, status in ipairs { 200, 302, 400, 404, 429, 500 } do try(login, text, status) end
        end
      end
    end
  end)
end
