"""A folder of token files as the reference and later programs write them: every shape in it serves,
is refreshed once and keeps its members."""
import json
import time

from support.dialects import gemini_chunk, text_stream
from support.google import quota, wrapped
from support.proxy import eventually
from support.upstream import failure, sse
from support.vendors import EMAIL, FIXTURES

CLAUDE, GEMINI = "claude-sonnet-4-5-20250929", "gemini-2.5-pro"
LATER = {"disabled": False, "prefix": "", "priority": 0, "weight": 1, "note": "n",
         "headers": {"X-Own": "1"}, "excluded_models": ["none-*"], "model_aliases": [],
         "request_retry": 0, "disable_cooling": False, "proxy_url": "",
         "future": {"a": [1.5, None, {}], "b": []}}


def recorded(name):
    return json.loads((FIXTURES / name).read_text())


class Folder:
    """The files; each has tokens of its own, which tell whose they are."""

    def __init__(self):
        self.texts = {}  # by name, as they were written
        self.names = []  # of those that serve, by number

    def add(self, name, document, **members):
        number = len(self.names)
        self.names.append(name)

        def own(value):
            made = dict(value)
            for key in ("access_token", "refresh_token", "refreshToken", "api_key", "cookie"):
                if key in made:
                    made[key] = self.secret(key, number)
            if isinstance(made.get("token"), dict):
                made["token"] = own(made["token"])
            return made
        self.texts[name] = json.dumps(own({**document, **members}), indent=2)

    @staticmethod
    def secret(key, number):
        if key == "cookie":
            return f"BXAuth=cookie-{number};"
        return f"{'refresh' if key == 'refreshToken' else key.split('_')[0]}-old-{number}"

    def still(self, name, text):
        """A file that nobody may touch."""
        self.texts[name] = text


def folder_of_all():
    made = Folder()
    for kind in ("claude", "codex", "qwen", "iflow"):
        base, late = (recorded(f"{kind}/file_{shape}.json") for shape in ("base", "late"))
        made.add(f"{kind}-{EMAIL}.json", base)
        made.add({"claude": "my own name.JSON", "codex": f"codex-0f1e2d3c-{EMAIL}-plus.json",
                  "qwen": "qwen-qwen-1760530265000.json",
                  "iflow": "iflow-13000000000.json"}[kind], late)
        made.add(f"{kind}-later.json", {**LATER, **base}, email="later@example.com")
    spelled = recorded("claude/file_base.json")
    del spelled["expired"], spelled["refresh_token"], spelled["email"]
    made.add("claude.json.json", spelled, refreshToken="x", expires_at=1760000000000,
             lastRefresh="1750000000")
    bare = recorded("codex/file_base.json")
    del bare["account_id"], bare["expired"]
    made.add("codex-bare.json", bare, expire="2025-10-15 20:11:05", type="Codex")
    made.add("iflow-someone-1760530265.json", recorded("iflow/file_cookie.json"))
    for name, shape in ((f"{EMAIL}-made-up-project-1.json", "login"), ("flat.json", "flat"),
                        (f"gemini-{EMAIL}-made-up-project-1.json", "used"),
                        (f"gemini-{EMAIL}-all.json", "several"), ("bare.json", "no_access")):
        made.add(name, recorded(f"gemini_cli/token_{shape}.json"))
    made.add("gemini-later.json", {**LATER, **recorded("gemini_cli/token_used.json")},
             refresh_interval="30m")
    off = {**recorded("claude/file_base.json"), "disabled": True}
    made.still("claude-off.json", json.dumps(off, indent=1) + "\n\n")
    for kind in ("vertex", "antigravity", "kimi", ""):
        made.still(f"unknown {kind}.json", f'{{ "type": "{kind}", "b": 1.50, "a": [ ] }}')
    made.still("no type.json", '{"access_token": "x"}')
    made.still("broken.json", '{"type": "claude", ')
    made.still(".cooldowns.bak", '{"type": "claude"}')
    return made


class Servers:
    """All providers.  A refresh token is good for one use, and an account for one answer: from the
    next question on it is out of quota."""

    def __init__(self, hosts, made):
        self.made, self.refreshed, self.served = made, [], set()
        hosts.allowed |= {"cookie", "x-own"}
        hosts.on("platform.claude.com", "POST", "/v1/oauth/token")(
            lambda r: self.tokens(r.json()["refresh_token"]))
        hosts.on("auth.openai.com", "POST", "/oauth/token")(
            lambda r: self.tokens(r.form()["refresh_token"]))
        hosts.on("oauth2.googleapis.com", "POST", "/token")(self.google_tokens)
        hosts.on("chat.qwen.ai", "POST", "/api/v1/oauth2/token")(
            lambda r: self.tokens(r.form()["refresh_token"]))
        hosts.on("iflow.cn", "POST", "/oauth/token")(
            lambda r: self.tokens(r.form()["refresh_token"]))
        hosts.on("iflow.cn", "GET", "/api/oauth/getUserInfo")(self.user)
        hosts.on("platform.iflow.cn", "POST", "/api/openapi/apikey")(self.key)
        hosts.on("api.anthropic.com", "POST", "/v1/messages")(
            lambda r: self.serve(r, "anthropic", "anthropic"))
        hosts.on("chatgpt.com", "POST", "/backend-api/codex/responses")(
            lambda r: self.serve(r, "chat", "responses"))
        hosts.on("cloudcode-pa.googleapis.com", "POST", "/v1internal:*")(self.assist)
        for host, path in (("portal.qwen.ai", "/v1"), ("apis.iflow.cn", "/v1"),
                           ("gateway.example", "/iflow/v1")):
            hosts.on(host, "POST", path + "/chat/completions")(
                lambda r: self.serve(r, "chat", "chat"))

    def tokens(self, spent, rotates=True):
        word, age, number = spent.split("-")
        assert (word, age) == ("refresh", "old") and number not in self.refreshed, spent
        self.refreshed.append(number)
        fresh = {"refresh_token": f"refresh-new-{number}"} if rotates else {}
        return {"access_token": f"access-new-{number}", "expires_in": 10 * 86400,
                "token_type": "Bearer", **fresh}

    def google_tokens(self, r):
        return self.tokens(r.form()["refresh_token"], rotates=False)

    def user(self, r):
        number = r.query["accessToken"].removeprefix("access-new-")
        return {"success": True, "data": {"apiKey": f"api-new-{number}", "email": "x@example.com"}}

    def key(self, r):
        number = r.header("cookie").removeprefix("BXAuth=cookie-").removesuffix(";")
        assert number not in self.refreshed
        self.refreshed.append(number)
        end = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + 7 * 86400))
        return {"success": True, "code": "200", "data": {
            "name": "someone", "apiKey": f"api-new-{number}", "expireTime": end,
            "hasExpired": False}}

    def take(self, r, project=None):
        """True when it is this account's first answer."""
        word, age, number = r.key.split("-")
        assert age == "new", r.key
        account = (self.made.names[int(number)], project)
        if account in self.served:
            return False
        self.served.add(account)
        return True

    def serve(self, r, errors, dialect):
        if self.take(r):
            assert r.json()["stream"] is True
            return sse(*text_stream(dialect, "Hello"), done=False)
        return failure(errors, 429, "no more", {"Retry-After": "600"})

    def assist(self, r):
        assert "streamGenerateContent" in r.path
        if not self.take(r, r.json()["project"]):
            return quota(600)
        return sse(wrapped(gemini_chunk([{"text": "Hello"}], "STOP")), done=False)


# What a refresh may change, besides adding members.
FRESH = {"access_token", "refresh_token", "id_token", "api_key", "last_refresh", "expired",
         "expiry", "expires_in", "token_type", "type", "resource_url"}


def lost(old, new, path=""):
    """Members that are gone or have become others."""
    found = []
    for name, value in old.items():
        here = f"{path}.{name}"
        if name not in new:
            found.append(here)
        elif isinstance(value, dict) and name in ("token", "Token"):
            found += lost(value, new[name], here)
        elif name not in FRESH and json.dumps(value) != json.dumps(new[name]):
            found.append(here)
    return found


def test_every_shape_of_a_file_serves_and_loses_nothing(make_with_accounts, hosts):
    made = folder_of_all()
    servers = Servers(hosts, made)
    proxy = make_with_accounts(made.texts, **{"request-retry": 0})
    (proxy.auths / "folder.json").mkdir()
    (proxy.auths / ".hidden").write_text("{}")
    wanted = set()
    for name in made.names:
        projects = json.loads(made.texts[name]).get("project_id", "").replace(" ", "").split(",")
        wanted |= {(name, project or None) for project in projects}
    models = [CLAUDE, f"team/{CLAUDE}", "gpt-5.5", GEMINI, "qwen3-coder-plus",
              "team/qwen3-coder-plus", "glm-4.6"]
    # Each model is asked for until nobody is left who has it.
    for model in models:
        for _ in range(len(wanted) + 1):
            with proxy.stream(model) as stream:
                if stream.status != 200:
                    assert stream.status == 429, (model, stream.status)
                    break
                assert stream.text() == "Hello", model
    assert servers.served == wanted, (wanted - servers.served, proxy.tail())
    eventually(lambda: len(servers.refreshed) == len(made.names))
    for name, text in made.texts.items():
        now = (proxy.auths / name).read_text()
        if name not in made.names:
            assert now == text, name
            continue
        old, new = json.loads(text), json.loads(now)
        assert not lost(old, new), (name, lost(old, new))
        assert list(new) == sorted(new) and "\n" not in now.strip(), name
        assert "-new-" in now and "access-old-" not in now and "api-old-" not in now, (name, now)
        for exact in ("12345678901234567890", "2.50", "1.5"):
            assert exact not in text or exact in now, name

    # What was written is what the next start uses.
    again = make_with_accounts(name="again", start=False)
    for name in made.texts:
        (again.auths / name).write_text((proxy.auths / name).read_text())
    again.start()
    for model in models:
        servers.served.clear()
        with again.stream(model) as stream:
            assert stream.text() == "Hello", model
    assert len(servers.refreshed) == len(made.names)
