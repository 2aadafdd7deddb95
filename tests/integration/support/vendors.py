"""Anthropic and ChatGPT as accounts see them, strict, behind support.hosts.

Each knows who has logged in, gives out rotating refresh tokens, and checks every header and field
of what it is asked.  A refresh token is good for one use; `grace` makes a server answer the
repetition of the last one as it answered before.
"""
import base64
import hashlib
import json
import pathlib
import re
import secrets
import subprocess
import threading
import time
import urllib.parse
import urllib.request

from .dialects import text_stream, text_whole
from .proxy import command, environment, free_port
from .upstream import reply, sse

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "fixtures"
EMAIL = "someone@example.com"


def recorded(name):
    """A recorded answer as an action; see tests/lua/wire.lua for its form."""
    text = re.sub(r"\{now\+(\d+)\}", lambda m: str(int(time.time()) + int(m[1])),
                  (FIXTURES / f"{name}.http").read_text())
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    kind = headers.pop("content-type")
    return reply(body.rstrip("\n") if "json" in kind else body, int(lines[0].split(" ")[1]),
                 headers, content_type=kind)


def jwt(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2ln"


def challenge(verifier):
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def refused(status, code, message="no good"):
    return reply({"error": code, "error_description": message}, status)


class Tokens:
    """Who is logged in: one access token and one refresh token at a time."""

    def __init__(self, prefix_access, prefix_refresh):
        self.prefixes = prefix_access, prefix_refresh
        self.number = 0
        self.codes = {}
        self.access = self.refresh = self.spent = None
        self.grace = False
        self.revoked = False
        self.issued = set()
        self.refreshes = 0
        self._lock = threading.Lock()

    def issue(self):
        self.number += 1
        self.access = self.make_access(self.number)
        self.refresh = f"{self.prefixes[1]}{self.number}-{secrets.token_hex(8)}"
        self.issued |= {self.access, self.refresh}
        return self.access, self.refresh

    def make_access(self, number):
        return f"{self.prefixes[0]}{number}-secret"

    def rotate(self, token):
        """True when the refresh token is good; then there are new ones."""
        with self._lock:
            self.refreshes += 1
            if self.revoked:
                return False
            if token == self.refresh:
                self.spent = token
                self.issue()
                return True
            return self.grace and token == self.spent


class Vendor:
    def _route(self, host, method, path, handler):
        route = self.hosts.on(host, method, path)
        route(handler)
        return route


class Anthropic(Vendor):
    """platform.claude.com and api.anthropic.com."""

    CLIENT = "9d1c250a-e61b-44d9-88ed-5944d1962f5e"
    SCOPE = ("user:profile user:inference user:sessions:claude_code user:mcp_servers "
             "user:file_upload")
    REDIRECT = "http://localhost:54545/callback"

    def __init__(self, hosts):
        self.hosts = hosts
        self.tokens = Tokens("sk-ant-oat01-", "sk-ant-ort01-")
        self.only_old_scopes = False
        self.expires_in = 28800
        self.token = self._route("platform.claude.com", "POST", "/v1/oauth/token", self._token)
        self.profile = self._route("api.anthropic.com", "GET", "/api/oauth/profile", self._profile)
        self.messages = self._route("api.anthropic.com", "POST", "/v1/messages", self._messages)
        self.count = self._route("api.anthropic.com", "POST", "/v1/messages/count_tokens",
                                 self._count)
        self.answer = None

    def authorize(self, url):
        """The person agrees in the browser: the address it is sent back with."""
        parts = urllib.parse.urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.path) == \
            ("https", "claude.ai", "/oauth/authorize")
        query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
        state, pkce = query.pop("state"), query.pop("code_challenge")
        assert query == {"code": "true", "client_id": self.CLIENT, "response_type": "code",
                         "redirect_uri": self.REDIRECT, "scope": self.SCOPE,
                         "code_challenge_method": "S256"}
        assert len(state) == 32 and int(state, 16) and len(pkce) == 43
        code = f"code-{len(self.tokens.codes)}"
        self.tokens.codes[code] = (state, pkce)
        return f"{self.REDIRECT}?" + urllib.parse.urlencode({"code": code, "state": state})

    def _token(self, r):
        assert r.path == "/v1/oauth/token"
        assert r.header("content-type") == "application/json"
        assert r.header("accept") == "application/json" and not r.header("authorization")
        body = r.json()
        if body["grant_type"] == "authorization_code":
            state, pkce = self.tokens.codes.pop(body["code"])
            assert body == {"grant_type": "authorization_code", "code": body["code"],
                            "redirect_uri": self.REDIRECT, "client_id": self.CLIENT,
                            "code_verifier": body["code_verifier"], "state": state}
            assert len(body["code_verifier"]) == 128 and challenge(body["code_verifier"]) == pkce
            self.tokens.issue()
            return self._tokens()
        wanted = {"grant_type": "refresh_token", "client_id": self.CLIENT,
                  "refresh_token": body["refresh_token"], "scope": self.SCOPE}
        if self.only_old_scopes and body.get("scope"):
            assert body == wanted
            return recorded("claude/invalid_scope")
        if self.only_old_scopes:
            del wanted["scope"]
        assert body == wanted
        if not self.tokens.rotate(body["refresh_token"]):
            return recorded("claude/invalid_grant")
        return self._tokens()

    def _tokens(self):
        return {"token_type": "Bearer", "access_token": self.tokens.access,
                "refresh_token": self.tokens.refresh, "expires_in": self.expires_in,
                "scope": self.SCOPE, "organization": {"uuid": "org-1", "name": "Org"},
                "account": {"uuid": "acc-1", "email_address": EMAIL}}

    def _profile(self, r):
        assert r.key == self.tokens.access
        return {"account": {"uuid": "acc-1", "email": EMAIL},
                "organization": {"uuid": "org-1", "name": "Org of the profile"}}

    def _check(self, r):
        assert r.query == {"beta": "true"}
        assert r.header("content-type") == "application/json"
        assert r.header("anthropic-version") == "2023-06-01"
        betas = r.header("anthropic-beta").split(",")
        assert betas.count("oauth-2025-04-20") == 1 and len(set(betas)) == len(betas)
        if "claude-code-20250219" in betas:
            assert betas[betas.index("claude-code-20250219") + 1] == "oauth-2025-04-20"
        assert r.header("x-api-key") is None and r.header("cookie") is None
        return r.key == self.tokens.access and not self.tokens.revoked

    def _messages(self, r):
        stream = r.json().get("stream") is True
        assert r.header("accept") == ("text/event-stream" if stream else "application/json")
        if not self._check(r):
            return recorded("claude/expired_token")
        if self.answer:
            return self.answer(r)
        if stream:
            return sse(*text_stream("anthropic", "Hello ", "there"), done=False)
        return text_whole("anthropic", "Hello there")

    def _count(self, r):
        assert r.header("accept") == "application/json"
        if not self._check(r):
            return recorded("claude/expired_token")
        assert not {"metadata", "context_management", "diagnostics", "max_tokens",
                    "stream"} & set(r.json())
        return {"input_tokens": 42}


class ChatGpt(Vendor):
    """auth.openai.com and the backend of Codex."""

    CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
    REDIRECT = "http://localhost:1455/auth/callback"
    ACCOUNT = "00000000-1111-2222-3333-444444444444"

    def __init__(self, hosts):
        self.hosts = hosts
        self.tokens = Tokens("at-", "rt_")
        self.tokens.make_access = self._access
        self.account, self.plan, self.email = self.ACCOUNT, "plus", EMAIL
        self.expires_in = 864000
        self.pending = 0
        self.token = self._route("auth.openai.com", "POST", "/oauth/token", self._token)
        self.usercode = self._route("auth.openai.com", "POST",
                                 "/api/accounts/deviceauth/usercode", self._usercode)
        self.poll = self._route("auth.openai.com", "POST",
                             "/api/accounts/deviceauth/token", self._poll)
        self.responses = self._route("chatgpt.com", "POST",
                                  "/backend-api/codex/responses", self._responses)
        self.compact = self._route("chatgpt.com", "POST",
                                "/backend-api/codex/responses/compact", self._compact)
        self.answer = None

    def _claims(self):
        return {"https://api.openai.com/auth": {
            "chatgpt_account_id": self.account, "chatgpt_plan_type": self.plan,
            "chatgpt_user_id": "user-1", "organizations": [{"id": "org-1"}]}}

    def _access(self, number):
        return jwt({"exp": int(time.time()) + self.expires_in, "jti": f"secret-{number}",
                    **self._claims()})

    def identity(self):
        return jwt({"email": self.email, **self._claims()})

    def authorize(self, url):
        parts = urllib.parse.urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.path) == \
            ("https", "auth.openai.com", "/oauth/authorize")
        query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
        state, pkce = query.pop("state"), query.pop("code_challenge")
        assert query == {"client_id": self.CLIENT, "response_type": "code",
                         "redirect_uri": self.REDIRECT, "code_challenge_method": "S256",
                         "scope": "openid email profile offline_access", "prompt": "login",
                         "id_token_add_organizations": "true", "codex_cli_simplified_flow": "true",
                         "originator": "cli-proxy-api"}
        assert len(state) == 32 and int(state, 16) and len(pkce) == 43
        code = f"code-{len(self.tokens.codes)}"
        self.tokens.codes[code] = (self.REDIRECT, pkce)
        return f"{self.REDIRECT}?" + urllib.parse.urlencode({"code": code, "state": state})

    def _token(self, r):
        assert r.header("content-type") == "application/x-www-form-urlencoded"
        assert r.header("accept") == "application/json" and not r.header("authorization")
        form = r.form()
        if form["grant_type"] == "authorization_code":
            redirect, pkce = self.tokens.codes.pop(form["code"])
            assert form == {"grant_type": "authorization_code", "client_id": self.CLIENT,
                            "code": form["code"], "redirect_uri": redirect,
                            "code_verifier": form["code_verifier"]}
            assert challenge(form["code_verifier"]) == pkce
            self.tokens.issue()
            return self._tokens()
        assert form == {"grant_type": "refresh_token", "client_id": self.CLIENT,
                        "refresh_token": form["refresh_token"], "scope": "openid profile email"}
        if not self.tokens.rotate(form["refresh_token"]):
            return recorded("codex/token_reused")
        return self._tokens()

    def _tokens(self):
        return {"access_token": self.tokens.access, "refresh_token": self.tokens.refresh,
                "id_token": self.identity(), "token_type": "Bearer", "expires_in": self.expires_in}

    def _usercode(self, r):
        assert r.header("content-type") == "application/json" and r.json() == {
            "client_id": self.CLIENT}
        return {"device_auth_id": "device-1", "user_code": "ABCD-EFGH", "interval": "1"}

    def _poll(self, r):
        assert r.json() == {"device_auth_id": "device-1", "user_code": "ABCD-EFGH"}
        if self.pending:
            self.pending -= 1
            return refused(403 if self.pending % 2 else 404, "authorization_pending")
        verifier = "v" * 64
        self.tokens.codes["device-code"] = ("https://auth.openai.com/deviceauth/callback",
                                            challenge(verifier))
        return {"authorization_code": "device-code", "code_verifier": verifier,
                "code_challenge": challenge(verifier)}

    REFUSED = {"previous_response_id", "max_output_tokens", "max_completion_tokens", "temperature",
               "top_p", "metadata", "generate", "prompt_cache_retention", "prompt_cache_options",
               "safety_identifier", "truncation", "context_management", "user"}

    def _check(self, r):
        assert r.header("content-type") == "application/json"
        assert r.header("chatgpt-account-id") == self.account
        assert r.header("originator") and r.header("user-agent")
        assert r.header("conversation_id") != "" and r.header("session_id") != ""
        body = r.json()
        assert not self.REFUSED & set(body), self.REFUSED & set(body)
        assert isinstance(body["instructions"], str)
        assert isinstance(body["input"], list)
        assert all(i.get("role") != "system" for i in body["input"])
        assert b"prompt_cache_breakpoint" not in r.body
        assert body.get("service_tier") in (None, "priority")
        assert "parallel_tool_calls" not in body or body.get("tools")
        assert not any(t["type"].startswith("web_search_preview") for t in body.get("tools") or [])
        return r.key == self.tokens.access and not self.tokens.revoked

    def _responses(self, r):
        assert r.header("accept") == "text/event-stream"
        body = r.json()
        assert body["stream"] is True and body["store"] is False
        assert "reasoning.encrypted_content" in body["include"]
        if not self._check(r):
            return recorded("codex/expired_token")
        if self.answer:
            return self.answer(r)
        return sse(*text_stream("responses", "Hello ", "there"), done=False)

    def _compact(self, r):
        assert r.header("accept") == "application/json"
        if not self._check(r):
            return recorded("codex/expired_token")
        return {"id": "compact-1", "object": "response.compaction", "output": []}


class Login:
    """One login on the command line."""

    def __init__(self, proxy, flag, *arguments, **env):
        self.port = free_port()
        self.lines = []
        self._news = threading.Condition()
        run = command("--config", str(proxy.config_path), flag, "--no-browser",
                      "--oauth-callback-port", str(self.port), *arguments)
        self.process = subprocess.Popen(
            run, cwd=proxy.folder, env=environment(proxy.folder, **{**proxy.env, **env}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self.lines.append(None)
            self._news.notify_all()

    @property
    def text(self):
        return "\n".join(line for line in self.lines if line is not None)

    def url(self, start="https://", seconds=60):
        """The address that the person is to open."""
        def found():
            return next((x.strip() for x in self.lines if x and x.strip().startswith(start)), None)
        with self._news:
            assert self._news.wait_for(lambda: found() or None in self.lines, seconds), self.text
        assert found(), self.text
        return found()

    def browser(self, address):
        """The browser comes back, through the tunnel that leads the provider's port here."""
        parts = urllib.parse.urlsplit(address)
        here = parts._replace(netloc=f"127.0.0.1:{self.port}").geturl()
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(here, timeout=30) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def wait(self, seconds=60):
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
