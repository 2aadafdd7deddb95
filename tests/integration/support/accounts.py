"""A made-up provider with accounts: scripts for the overlay, and its strict servers.

Its refresh tokens are used once: a second use is a problem.  Access tokens are good until the server
says otherwise.
"""
import json
import os
import threading

from .upstream import chat_reply, error, reply

HOST, AUTH = "api.acme.example", "auth.acme.example"

PROVIDER = """
local upstream = require "lib.upstream"
local M = { name = "acme", dialect = "chat" }
function M.models(credential)
  return { { id = "acme-1", owned_by = "acme", type = "acme", created = 1 } }
end
function M.request(call, candidate)
  return {
    method = "POST", url = candidate.credential.base_url .. "/chat/completions",
    credential = candidate.credential.id,
    headers = { ["content-type"] = "application/json", ["user-agent"] = upstream.AGENT,
      ["authorization"] = "Bearer {secret}" },
    body = call.payload, timeout = upstream.TIMEOUT,
  }
end
return M
"""

KIND = """
local oauth = require "lib.oauth"
local times = require "lib.times"
local timer = require "timer"
local M = { type = "acme", lead = LEAD, ahead = 1 }
function M.read(document)
  if type(document.access_token) ~= "string" then return nil, "no access_token" end
  return { { label = document.email or "?", secret = document.access_token,
    hosts = { "https://api.acme.example" }, base_url = "https://api.acme.example" } }
end
function M.refresh(document)
  local answer, problem = oauth.call {
    url = "https://auth.acme.example/token", document = document,
    form = { grant_type = "refresh_token", refresh_token = document.refresh_token },
  }
  if not answer then return nil, problem end
  if answer.status ~= 200 then
    local code = answer.data and answer.data.error
    return nil, { message = code or "status " .. answer.status, needs_login = code == "invalid_grant" }
  end
  return {
    access_token = answer.data.access_token, refresh_token = answer.data.refresh_token,
    expired = times.rfc3339(timer.wall() + answer.data.expires_in),
    last_refresh = times.rfc3339(timer.wall()),
  }
end
return M
"""


def install(proxy, lead="nil"):
    proxy.write_script("providers/acme.lua", PROVIDER)
    proxy.write_script("accounts/acme.lua", KIND.replace("LEAD", lead))


def write(folder, name, document):
    """As editors do it, with the product's own rights."""
    folder.mkdir(exist_ok=True)
    fresh = folder / (name + ".tmp")
    fresh.write_text(document if isinstance(document, str) else json.dumps(document))
    os.chmod(fresh, 0o600)
    os.replace(fresh, folder / name)


class Acme:
    """Both servers.  `accounts` by e-mail: the refresh token and access tokens that are good now."""

    def __init__(self, hosts, life=3600):
        self.hosts, self.life = hosts, life
        self.lock = threading.Lock()
        self.refresh, self.access = {}, {}
        self.serial = 0
        self.refreshes = hosts.on(AUTH, "POST", "/token")(self.token)
        self.auth = hosts.routes[-1]
        hosts.on(HOST, "POST", "/chat/completions")(self.chat)
        self.api = hosts.routes[-1]

    def add(self, email, **extra):
        """A new account; its token file."""
        with self.lock:
            document = {"type": "acme", "email": email, **self._issue(email), **extra}
        return document

    def _issue(self, email):
        self.serial += 1
        self.refresh[email] = f"refresh-{email}-{self.serial}"
        access = f"access-{email}-{self.serial}"
        self.access[access] = email
        return {"access_token": access, "refresh_token": self.refresh[email]}

    def revoke(self, email):
        """Access tokens of the account are refused from now on."""
        with self.lock:
            self.access = {t: e for t, e in self.access.items() if e != email}

    def token(self, request):
        fields = request.form()
        assert set(fields) == {"grant_type", "refresh_token"}, fields
        with self.lock:
            email = next((e for e, t in self.refresh.items() if t == fields["refresh_token"]), None)
            assert email, f"{fields['refresh_token']} was used before"
            return {**self._issue(email), "expires_in": self.life, "token_type": "bearer"}

    def chat(self, request):
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        with self.lock:
            email = self.access.get(token)
        if not email:
            return error(401, "bad token", type="authentication_error")
        return reply(chat_reply(f"hello {email}"))
