"""Qwen and iFlow as accounts see them, strict, behind support.hosts."""
import base64
import time
import urllib.parse

from .logged_in import iso
from .upstream import chat_reply, reply
from .vendors import EMAIL, Tokens, Vendor, challenge, recorded


def stamp(seconds):
    """A moment from now, as token files have it."""
    return iso(time.time() + seconds)


class Qwen(Vendor):
    """chat.qwen.ai, where logins are, and the place requests go to."""

    CLIENT = "f0304373b74a44d2b584a3fb70ca9e56"
    GRANT = "urn:ietf:params:oauth:grant-type:device_code"

    def __init__(self, hosts, place="portal.qwen.ai"):
        self.hosts, self.place = hosts, place
        self.tokens = Tokens("qwen-access-", "qwen-refresh-")
        self.waiting = []  # recorded answers to polls before the person has agreed
        self.pkce = None
        self.over = False
        self.device = self._route("chat.qwen.ai", "POST", "/api/v1/oauth2/device/code", self._device)
        self.token = self._route("chat.qwen.ai", "POST", "/api/v1/oauth2/token", self._token)
        self.chat = self._route(place, "POST", "/v1/chat/completions", self._chat)
        self.answer = None

    def _form(self, r):
        assert r.header("content-type") == "application/x-www-form-urlencoded"
        assert r.header("accept") == "application/json" and not r.header("authorization")
        return r.form()

    def _device(self, r):
        form = self._form(r)
        self.pkce = form.pop("code_challenge")
        assert len(self.pkce) == 43
        assert form == {"client_id": self.CLIENT, "code_challenge_method": "S256",
                        "scope": "openid profile email model.completion"}
        return {"device_code": "device-1", "user_code": "ABCD-1234", "interval": 1, "expires_in": 300,
                "verification_uri": "https://chat.qwen.ai/authorize",
                "verification_uri_complete": "https://chat.qwen.ai/authorize?user_code=ABCD-1234"}

    def _token(self, r):
        form = self._form(r)
        if form["grant_type"] == self.GRANT:
            verifier = form.pop("code_verifier")
            assert len(verifier) == 43 and challenge(verifier) == self.pkce
            assert form == {"grant_type": self.GRANT, "client_id": self.CLIENT,
                            "device_code": "device-1"}
            if self.waiting:
                return recorded(f"qwen/{self.waiting.pop(0)}")
            self.tokens.issue()
            return self._tokens()
        assert form == {"grant_type": "refresh_token", "client_id": self.CLIENT,
                        "refresh_token": form["refresh_token"]}
        if not self.tokens.rotate(form["refresh_token"]):
            return recorded("qwen/invalid_grant")
        return self._tokens()

    def _tokens(self):
        return {"access_token": self.tokens.access, "refresh_token": self.tokens.refresh,
                "token_type": "Bearer", "expires_in": 21600, "resource_url": self.place}

    def _chat(self, r):
        body = r.json()
        stream = body.get("stream") is True
        assert r.header("content-type") == "application/json"
        assert r.header("accept") == ("text/event-stream" if stream else "application/json")
        assert r.header("x-dashscope-authtype") == "qwen-oauth"
        roles = [m["role"] for m in body["messages"]]
        assert roles[0] == "system" and roles.count("system") == 1 and "developer" not in roles
        assert not stream or body["stream_options"] == {"include_usage": True}
        if self.over or r.key != self.tokens.access:
            return recorded("qwen/over")
        if self.answer:
            return self.answer
        return recorded("qwen/stream") if stream else chat_reply("Hello", model=body["model"])


class IFlow(Vendor):
    """iflow.cn and platform.iflow.cn, where logins are, and apis.iflow.cn."""

    CLIENT, SECRET = "10009311001", "4Z3YjXycVsQvyGF1etiNlIBB4RsqSDtW"
    COOKIE = "BXAuth=cookie-secret;"

    def __init__(self, hosts):
        self.hosts = hosts
        self.tokens = Tokens("iflow-access-", "iflow-refresh-")
        self.tokens.issued.add("cookie-secret")
        self.keys = 0
        self.key = None
        self.redirects = {}
        self.token = self._route("iflow.cn", "POST", "/oauth/token", self._token)
        self.user = self._route("iflow.cn", "GET", "/api/oauth/getUserInfo", self._user)
        self.ask_key = self._route("platform.iflow.cn", "GET", "/api/openapi/apikey", self._key)
        self.new_key = self._route("platform.iflow.cn", "POST", "/api/openapi/apikey", self._key)
        self.chat = self._route("apis.iflow.cn", "POST", "/v1/chat/completions", self._chat)
        self.answer = None
        hosts.allowed.add("cookie")

    def authorize(self, url):
        """The person agrees: the address the browser is sent back with."""
        parts = urllib.parse.urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.path) == ("https", "iflow.cn", "/oauth")
        query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
        redirect, state = query.pop("redirect"), query.pop("state")
        assert query == {"loginMethod": "phone", "type": "phone", "client_id": self.CLIENT}
        assert len(state) == 32 and int(state, 16)
        code = f"code-{len(self.redirects)}"
        self.redirects[code] = redirect
        return redirect + "?" + urllib.parse.urlencode({"code": code, "state": state})

    def _token(self, r):
        assert r.header("content-type") == "application/x-www-form-urlencoded"
        assert r.header("accept") == "application/json"
        basic = base64.b64encode(f"{self.CLIENT}:{self.SECRET}".encode()).decode()
        assert r.header("authorization") == f"Basic {basic}"
        form = r.form()
        who = {"client_id": self.CLIENT, "client_secret": self.SECRET}
        if form["grant_type"] == "authorization_code":
            redirect = self.redirects.pop(form["code"])
            assert form == {"grant_type": "authorization_code", "code": form["code"],
                            "redirect_uri": redirect, **who}
            self.tokens.issue()
        else:
            assert form == {"grant_type": "refresh_token", "refresh_token": form["refresh_token"], **who}
            if not self.tokens.rotate(form["refresh_token"]):
                return recorded("iflow/invalid_grant")
        return {"access_token": self.tokens.access, "refresh_token": self.tokens.refresh,
                "token_type": "bearer", "expires_in": 172800, "scope": "read"}

    def make_key(self):
        self.keys += 1
        self.key = f"sk-iflow-secret-{self.keys}"
        self.tokens.issued.add(self.key)
        return self.key

    def _user(self, r):
        assert r.query == {"accessToken": self.tokens.access} and not r.header("authorization")
        return {"success": True, "data": {"apiKey": self.make_key(), "email": EMAIL,
                                          "phone": "13000000000"}}

    def _key(self, r):
        assert not r.header("authorization") and r.header("user-agent").startswith("cli-proxy-api/")
        if r.header("cookie") != self.COOKIE:
            return recorded("iflow/key_refused")
        data = {"hasExpired": False, "name": "someone", "apiKeyMask": "sk-****", "apiKey": "",
                "expireTime": time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + 7 * 86400))}
        if r.method == "POST":
            assert r.json() == {"name": "someone"}
            data["apiKey"] = self.make_key()
        return {"success": True, "code": "200", "data": data}

    def _chat(self, r):
        body = r.json()
        stream = body.get("stream") is True
        assert r.header("content-type") == "application/json"
        assert body.get("tools") != []
        if r.key != self.key:
            return recorded("iflow/invalid_key_in_200")
        if self.answer:
            return self.answer
        return recorded("iflow/stream") if stream else reply(chat_reply("Hello", model=body["model"]))
