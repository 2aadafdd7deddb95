--- The pages on the main port that browsers come back to from a provider (spec http-api 1.12).

local callback = require "core.login_callback"
local json = require "json"
local keeper = require "keeper"
local log = require "log"
local logins = require "core.logins"
local pages = require "core.login_pages"

local M = {}

local SECONDS = 5      -- that the page stays open
local CALL_SECONDS = 10

--- Makes the answer of one channel's page.
--- @param channel string
--- @return fun(client: Client)
function M.page(channel)
  return function(client)
    local given = callback.read(client)
    -- Anybody can come here: the keeper is asked only about what somebody waits for.
    if not logins.session(given.state) then return pages.nothing(client) end
    given.channel = channel
    local text, problem = keeper.ask("login_callback", json.encode(given), CALL_SECONDS)
    if not text then
      log.warn("a login's callback cannot be taken: %s", problem)
      return pages.failure(client, "The answer could not be taken.")
    end
    if json.decode(text).outcome ~= "ok" then return pages.nothing(client) end
    if given.error then return pages.failure(client, given.error) end
    pages.success(client, SECONDS)
  end
end

return M
