--- The pages that a browser is shown at the end of a login.

local crypto = require "crypto"

local M = {}

local STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;"
  .. "padding:0 1em;color:#222;background:#fff}h1{font-size:1.4em}.bad{color:#a40000}"
local COUNTDOWN = [[
var left = Number(document.body.dataset.seconds);
setInterval(function () {
  left -= 1;
  if (left <= 0) window.close();
  document.getElementById("left").textContent = Math.max(left, 0);
}, 1000);
]]

local function fingerprint(text)
  return "'sha256-" .. crypto.base64_encode(crypto.sha256(text)) .. "'"
end

-- The address of such a page holds a code, which nobody else is to see.
local HEADERS = {
  ["Content-Type"] = "text/html; charset=utf-8",
  ["Cache-Control"] = "no-store",
  ["Referrer-Policy"] = "no-referrer",
  ["X-Content-Type-Options"] = "nosniff",
  ["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; style-src "
    .. fingerprint(STYLE) .. "; script-src " .. fingerprint(COUNTDOWN),
}

local escapes = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}

local function escape(text)
  return (text:gsub("[&<>\"']", escapes):gsub("%c", " "))
end

local function page(client, status, title, body, seconds)
  client:respond(status, HEADERS, '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    .. "<title>" .. title .. "</title><style>" .. STYLE .. "</style></head>\n<body"
    .. (seconds and ' data-seconds="' .. seconds .. '"' or "") .. ">" .. body
    .. (seconds and "\n<script>" .. COUNTDOWN .. "</script>" or "") .. "</body></html>\n")
end

--- The login has got what it needs.
--- @param client Client
--- @param seconds integer  until the window closes
--- @param link string[]?   address and name of the provider's own site
function M.success(client, seconds, link)
  local body = "\n<h1>Authentication successful!</h1>\n<p>You can close this window and go back to "
    .. 'the program. It closes by itself in <span id="left">' .. seconds .. "</span> s.</p>"
  if link then
    body = body .. '\n<p><a href="' .. link[1] .. '" rel="noreferrer">' .. link[2] .. "</a></p>"
  end
  page(client, 200, "Authentication successful", body, seconds)
end

--- The provider, or the person, said no.
--- @param client Client
--- @param reason string  the provider's words
function M.failure(client, reason)
  page(client, 200, "Authentication failed", '\n<h1 class="bad">Authentication failed</h1>\n<p>'
    .. escape(reason) .. "</p>\n<p>Begin the login again where you began it.</p>")
end

--- Nobody waits for this answer.
--- @param client Client
function M.nothing(client)
  page(client, 400, "No login in progress", "\n<h1>No login in progress</h1>\n<p>This address "
    .. "belongs to a login that has ended, or that never was. Begin a new one.</p>")
end

--- A line of plain text.
--- @param client Client
--- @param status integer
--- @param text string
--- @param headers table<string, string>?
function M.plain(client, status, text, headers)
  local all = { ["Content-Type"] = "text/plain; charset=utf-8", ["Cache-Control"] = "no-store",
    ["X-Content-Type-Options"] = "nosniff" }
  for name, value in pairs(headers or {}) do all[name] = value end
  client:respond(status, all, text .. "\n")
end

--- Sends the browser on.
--- @param client Client
--- @param url string
function M.redirect(client, url)
  client:respond(302, { Location = url, ["Cache-Control"] = "no-store",
    ["Referrer-Policy"] = "no-referrer" })
end

return M
