"""Canary tokens: keys and passwords go through every way a request can end, and are seen nowhere.

The upstream repeats all that it got: in bodies of errors, in events, in headers.  What a model says
in an answer of status 200 is left alone; everything else that a client, a log, a route trace or
`explain` shows is looked through for every secret, in each of the forms it may take.
"""
import base64
import json
import urllib.parse

import pytest

from support import proxy as runner
from support.client import messages
from support.proxy import entry, eventually
from support.upstream import chat_chunks, chat_reply, reply, sse

CLIENT = "canary-client-key-aaaa1111"
KEYS = ["sk-canary/upstream+one=bbbb2222", "sk-canary-upstream-two-cccc3333"]
HEADER = "canary-header-value-dddd4444"
SESSION = "canary-client-session-eeee5555"
PASSWORD = "canary-proxy-password-ffff6666"
MANAGEMENT = "canary-management-secret-9999"
# Of token files.
ACCESS, REFRESH = "canary-access-ya29.a0/token+gggg7777", "1//canary-refresh-token-hhhh8888"
IDENTITY, COOKIE = "canary-id-token-iiii0000", "BXAuth=canary-cookie-jjjj1212;"
API_KEY, DEVICE = "canary-iflow-key-kkkk3434", "canary-device-llll5656"
SECRETS = [CLIENT, *KEYS, HEADER, SESSION, PASSWORD, MANAGEMENT, ACCESS, REFRESH, IDENTITY, COOKIE,
           API_KEY, DEVICE]

STATUSES = [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]


def forms(secret):
    """What a secret may look like where it is repeated."""
    return {secret, secret.replace("/", "\\/"), urllib.parse.quote(secret, safe=""),
            json.dumps(secret)[1:-1]}


def leaks(text):
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [s for s in SECRETS for form in forms(s) if form in text]


def repeated(conversation):
    """All that the proxy sent but the body, as an upstream may throw it back."""
    got = conversation.request
    lines = [f"{n}: {v}" for n, v in got.headers]
    forms_of_key = [f for key in KEYS for f in forms(key) if key in (got.header("authorization")
                                                                     or "")]
    return f"{got.path} " + " | ".join(lines + forms_of_key)


def echo(status, kind="json"):
    """An answer that repeats the request, in its body and its headers."""
    def action(c):
        said = repeated(c)
        body = {
            "json": json.dumps({"error": {"message": f"cannot {said}", "type": said, "code": said,
                                          "param": None}}),
            "anthropic": json.dumps({"type": "error", "error": {"type": said, "message": said}}),
            "gemini": json.dumps({"error": {"code": status, "message": said, "status": said}}),
            "detail": json.dumps({"detail": said}),
            "text": said,
            "html": f"<html><title>{said}</title></html>",
            "escaped": json.dumps({"error": {"message": said}}).replace("/", "\\/"),
        }[kind]
        headers = {"X-Echo": said.replace("\n", " "), "X-Ratelimit-Token": said[:2000],
                   "Retry-After": "1", "Set-Cookie": f"key={c.request.header('authorization')}"}
        reply(body, status, headers)(c)
    return action


def echo_in_answer(c):
    """Status 200, but the answer is an error."""
    reply({"error": {"message": repeated(c), "type": "odd", "code": 503}})(c)


def echo_in_event(first):
    def action(c):
        data = {"error": {"message": repeated(c), "type": repeated(c), "code": repeated(c)}}
        events = ([] if first else chat_chunks("begun")[:2]) + [data]
        sse(*events, done=False)(c)
    return action


def echo_in_headers(c):
    reply(chat_reply("fine"), headers={"X-Echo": repeated(c), "X-Again": repeated(c)})(c)


class Watch:
    """Sends requests to a proxy and looks through all that comes back."""

    def __init__(self, proxy):
        self.proxy, self.ids = proxy, []
        self.breaks = False  # scripts are meant to fail
        self.client = proxy.client(**{"Authorization": f"Bearer {CLIENT}",
                                      "Cookie": f"session={SESSION}", "X-Session-Id": SESSION})

    def ask(self, path, body, success_may=False):
        answer = self.client.request("POST", path, body)
        self.ids.append(answer.headers["X-Request-Id"])
        found = leaks(str(answer.headers))
        if answer.status != 200 or not success_may:
            found += leaks(answer.body)
        assert not found, f"{path} {answer.status}: {found} in {answer!r}"
        assert self.breaks or b"internal error" not in answer.body, self.proxy.tail()
        return answer

    def everywhere(self, model="nice"):
        """One request in each dialect and manner."""
        talk = messages()
        self.ask("/v1/chat/completions", {"model": model, "messages": talk})
        self.ask("/v1/chat/completions", {"model": model, "messages": talk, "stream": True})
        self.ask("/v1/completions", {"model": model, "prompt": "x"})
        self.ask("/v1/responses", {"model": model, "input": "x"})
        self.ask("/v1/responses", {"model": model, "input": "x", "stream": True})
        self.ask("/v1/messages", {"model": model, "messages": talk, "max_tokens": 5})
        self.ask("/v1/messages", {"model": model, "messages": talk, "max_tokens": 5,
                                  "stream": True})
        self.ask(f"/v1beta/models/{model}:generateContent",
                 {"contents": [{"parts": [{"text": "x"}]}]})
        self.ask(f"/v1beta/models/{model}:streamGenerateContent?alt=sse&key=" + CLIENT,
                 {"contents": [{"parts": [{"text": "x"}]}]})

    def explain(self, *arguments):
        config = ["--config", str(self.proxy.config_path)]
        done = runner.run(*config, "explain", *arguments, cwd=self.proxy.folder)
        assert not leaks(done.stdout + done.stderr), arguments
        return done

    def look_through(self, *models):
        """The log, traces, and what explain says."""
        for model in models or ("nice", "canary"):
            self.explain(model)
        self.explain(models[0] if models else "nice", "--json")
        for request in self.ids[-2:]:
            assert self.explain("--request", request).returncode == 0
        self.explain("--request", self.ids[-1], "--json")
        self.proxy.stop()
        text = self.proxy.log + "".join(
            path.read_text() for path in self.proxy.folder.glob("logs/*"))
        assert "/v1/chat/completions" in text
        assert not leaks(text), [line for line in text.splitlines() if leaks(line)][:5]
        assert not list(self.proxy.folder.glob("data/local-key-*"))


@pytest.fixture
def level():
    return "debug"


@pytest.fixture
def watch(make_proxy, make_upstream, level):
    def make(upstream=None, to_file=False, proxies=None, **config):
        upstream = upstream or make_upstream()
        keys = [(key, proxies) if proxies else key for key in KEYS]
        proxy = make_proxy({
            "debug": level == "debug", "api-keys": [CLIENT], "logging-to-file": to_file,
            "remote-management": {"secret-key": MANAGEMENT}, "passthrough-headers": True,
            "disable-cooling": True,
            "openai-compatibility": [entry(upstream, keys, headers={"X-Gateway-Pass": HEADER})],
            **config})
        made = Watch(proxy)
        made.upstream = upstream
        return made
    return make


@pytest.mark.parametrize("kind", ["json", "anthropic", "gemini", "detail", "text", "html",
                                  "escaped"])
def test_errors_that_repeat_the_request(watch, kind):
    w = watch(to_file=kind == "json")
    for status in STATUSES:
        w.upstream.always(echo(status, kind))
        w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()})
    w.upstream.always(echo(401, kind))
    w.everywhere()
    w.upstream.always(echo(500, kind))
    w.everywhere()
    w.look_through()


def test_errors_of_status_200(watch):
    w = watch()
    for action in (echo_in_answer, echo_in_event(True), echo_in_event(False)):
        w.upstream.always(action)
        w.everywhere()
    w.look_through()


def test_headers_of_good_answers(watch):
    w = watch()
    w.upstream.always(echo_in_headers)
    answer = w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()})
    assert "***" in answer.headers["X-Echo"]
    w.look_through()


def test_what_a_model_says_is_left_alone(watch):
    w = watch()
    w.upstream.always(reply(chat_reply(f"your key is {KEYS[0]}")))
    answer = w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()},
                   success_may=True)
    assert KEYS[0] in answer.json()["choices"][0]["message"]["content"]
    w.look_through()


def test_cooldowns_remember_no_secret(watch):
    w = watch(**{"disable-cooling": False})
    w.upstream.always(echo(429))
    for _ in range(3):
        answer = w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()})
    assert answer.status == 429
    w.look_through()


def test_connections_that_fail(watch, make_forward, authority, make_upstream):
    dead = make_upstream()
    dead.close()
    w = watch(dead)
    w.everywhere()
    w.look_through()


def test_proxies_that_fail(watch, make_forward):
    forward = make_forward("socks5", user="joe", password="another")
    wrong = forward.url.replace("another", PASSWORD)
    w = watch(proxies=wrong, **{"proxy-url": f"http://joe:{PASSWORD}@127.0.0.1:1"})
    w.everywhere()
    w.look_through()


def test_a_proxy_that_repeats_its_password(watch, make_upstream):
    forward = make_upstream(allowed=("proxy-authorization", "proxy-connection"))

    def refuse(c):
        got = c.request.header("proxy-authorization")
        assert base64.b64decode(got.split()[1]).decode() == f"joe:{PASSWORD}"
        reply({"error": {"message": f"no {got} {PASSWORD}"}}, 407)(c)
    forward.always(refuse)
    forward.problems = Ignored()
    w = watch(proxies=f"http://joe:{PASSWORD}@127.0.0.1:{forward.port}")
    answer = w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()})
    assert answer.status >= 400
    encoded = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()
    assert encoded not in answer.text
    w.look_through()
    assert encoded not in w.proxy.log


class Ignored(list):
    def __iadd__(self, more):
        return self


def test_tls_that_fails(make_proxy, make_upstream, authority, level):
    upstream = make_upstream(tls=authority.server_context("openrouter.ai"))
    at = {**entry(upstream, KEYS, headers={"X-Gateway-Pass": HEADER}),
          "base-url": f"https://127.0.0.1:{upstream.port}/v1"}
    proxy = make_proxy({"debug": level == "debug", "api-keys": [CLIENT],
                        "openai-compatibility": [at]})
    w = Watch(proxy)
    w.everywhere()
    w.look_through()


@pytest.mark.parametrize("text", [
    "api-keys: [{}, {{broken: [}}\n",
    "api-keys: {}\n",
    "api-keys: [[{}]]\n",
    "openai-compatibility:\n  - name: x\n    base-url: http://h\n    api-key-entries: [{}]\n",
    "openai-compatibility:\n  - api-key-entries:\n      - api-key: {}\n        api-key: {}\n",
    "claude-api-key:\n  - api-key: {}\n    proxy-url: 'ftp://joe:" + PASSWORD + "@h'\n",
    "proxy-url: 'socks5://joe:" + PASSWORD + "@'\nport: many\n",
    "claude-api-key: {{api-key: {}, weight: {}}}\n",
    "gemini-api-key:\n  - api-key: '{}\n    base-url: http://h\n",
    "claude-api-key:\n  - api-key: k\n    headers: [\"{}\"]\n",
    "api-keys:\n- {}\n-{}\n- : {}\n",
    "remote-management: {}\n",
    "remote-management:\n  secret-key: {}\n  secret-keys: {}\n",
])
def test_a_configuration_that_is_refused(watch, text):
    w = watch()
    since = w.proxy.mark()
    w.proxy.write_config(text.replace("{}", "{0}").format(KEYS[1]))
    w.proxy.wait_for_log("reload", since=since)
    done = runner.run("--config", str(w.proxy.config_path), "--check-config", cwd=w.proxy.folder)
    assert not leaks(done.stdout + done.stderr), done
    w.explain("nice")
    w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()}, success_may=True)
    w.proxy.stop()
    assert not leaks(w.proxy.log)


@pytest.mark.parametrize("level", ["info", "debug"])
def test_changed_keys_are_logged_without_secrets(watch, level):
    w = watch()
    since = w.proxy.mark()
    w.proxy.change_config(**{
        "api-keys": [CLIENT, CLIENT + "-more"], "proxy-url": f"socks5://joe:{PASSWORD}@127.0.0.1:9",
        "remote-management": {"secret-key": MANAGEMENT + "x"}, "request-retry": 2,
        "openai-compatibility": [entry(w.upstream, KEYS[::-1] + ["sk-canary-third-7777777"],
                                       headers={"X-Gateway-Pass": HEADER + "y"})]})
    w.proxy.wait_for_log("reloaded: generation", since=since)
    w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()})
    w.proxy.stop()
    lines = [line.partition("] [changed] ")[2] for line in w.proxy.lines[since:]
             if "[changed]" in line]
    assert not leaks(w.proxy.log) and "canary" not in w.proxy.log
    if level == "info":
        assert lines == []
        return
    assert "request-retry: 0 -> 2" in lines
    assert "api-keys: 1 -> 2 entries" in lines
    assert "remote-management.secret-key: updated" in lines
    assert "openai-compatibility[0].headers.X-Gateway-Pass: updated" in lines
    assert "openai-compatibility[0].api-key-entries: 2 -> 3 entries" in lines
    assert 'proxy-url: "" -> "socks5://***@127.0.0.1:9"' in lines


FAILING = """
local upstream = require "lib.upstream"
local log = require "log"
local stock = { name = "openai_compatibility", dialect = "chat" }
function stock.models(credential)
  return { { id = "nice", owned_by = "x", type = "x", created = 0, upstream = "m" } }
end
function stock.request(call, candidate)
  local headers = {}
  upstream.add_own(headers, candidate.credential, call.client)
  local seen = call.client:header("authorization") .. " " .. headers["x-gateway-pass"]
    .. " " .. (call.client:header("cookie") or "")
  log.warn("about to fail with %s", headers["x-gateway-pass"])
  local function deeper(secret, token)
    error("cannot use " .. secret .. " " .. token)
  end
  return deeper(seen, call.client:param("key") or "")
end
return stock
"""


def test_a_script_that_fails_with_secrets_in_its_hands(watch):
    w = watch()
    since = w.proxy.mark()
    w.breaks = True
    w.proxy.write_script("providers/openai_compatibility.lua", FAILING)
    w.proxy.wait_for_log("reloaded: generation", since=since)
    w.ask("/v1/chat/completions?key=" + CLIENT, {"model": "nice", "messages": messages()})
    w.everywhere()
    line = eventually(lambda: next((x for x in w.proxy.lines if "cannot use" in x), None))
    assert "Bearer ***" in line or "***" in line
    w.look_through()


def test_a_client_key_that_is_wrong(watch):
    w = watch()
    for headers in ({"Authorization": f"Bearer {SESSION}"}, {"X-Api-Key": SESSION},
                    {"X-Goog-Api-Key": SESSION}):
        answer = w.proxy.client(**headers).request(
            "POST", "/v1/chat/completions", {"model": "nice", "messages": messages()})
        assert answer.status == 401 and not leaks(answer.body)
        w.ids.append(answer.headers["X-Request-Id"])
    answer = w.proxy.get(f"/v1/models?key={SESSION}")
    assert answer.status == 401 and not leaks(answer.body)
    w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()})
    w.look_through()


def test_an_event_that_is_no_error_is_left_alone(watch):
    w = watch()
    w.upstream.always(sse(*chat_chunks(KEYS[1])))
    with w.client.open_stream("/v1/chat/completions", {
            "model": "nice", "messages": messages(), "stream": True}) as stream:
        assert stream.text() == KEYS[1]
    w.ask("/v1/chat/completions", {"model": "nice", "messages": messages()}, success_may=True)
    w.look_through()


# --- accounts -----------------------------------------------------------------------------------

GOOGLE = {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": "Bearer",
          "client_secret": DEVICE, "client_id": "an-id"}


def account(kind, expiry):
    """A token file of each kind, full of canaries."""
    tokens = {"access_token": ACCESS, "refresh_token": REFRESH, "id_token": IDENTITY,
              "email": "ann@example.com", "expired": expiry, "last_refresh": "2025-01-01T00:00:00Z",
              "proxy_url": "", "device_secret": DEVICE}
    return {
        "claude": {"type": "claude", **tokens},
        "codex": {"type": "codex", "account_id": "an-account", **tokens},
        "qwen": {"type": "qwen", "resource_url": "portal.qwen.ai", **tokens},
        "iflow": {"type": "iflow", **tokens, "api_key": API_KEY},
        "cookie": {"type": "iflow", "email": "ann@example.com", "api_key": API_KEY,
                   "cookie": COOKIE, "expired": expiry, "name": "a key"},
        "gemini": {"type": "gemini", "email": "ann@example.com", "project_id": "a-project",
                   "token": {**GOOGLE, "expiry": expiry}},
    }[kind]


MODELS = {"claude": "claude-sonnet-4-5-20250929", "codex": "gpt-5", "qwen": "qwen3-coder-plus",
          "iflow": "kimi-k2", "cookie": "kimi-k2", "gemini": "gemini-2.5-pro"}
EXPIRIES = {"valid": "2100-01-01T00:00:00Z", "used up": "2020-01-01T00:00:00Z"}


class Echoes:
    """Every host answers everything by repeating it."""

    def __init__(self, hosts):
        self.hosts, self.status, self.seen = hosts, 401, []
        hosts._check = lambda request, version: setattr(
            request, "host", (request.header("host") or "").removesuffix(":443"))
        hosts._next_action = self.answer

    def answer(self, request):
        self.seen.append(f"{request.method} {request.host}{request.path}")
        said = request.path + repr(request.headers) + request.body.decode("utf-8", "replace")
        forms_of_all = " ".join(f for secret in SECRETS for f in forms(secret) if secret in said
                                or urllib.parse.quote(secret, safe="") in said)
        told = f"cannot do {request.path} with {forms_of_all} in {said[:3000]}"
        body = {"error": {"message": told, "type": told, "code": self.status}}
        if "form" in (request.header("content-type") or "") or "token" in request.path:
            body = {"error": "invalid_request", "error_description": told[:250]}
        return reply(body, self.status, {"X-Echo": forms_of_all, "Retry-After": "1"})


@pytest.mark.parametrize("state", EXPIRIES)
@pytest.mark.parametrize("kind", MODELS)
def test_accounts_whose_servers_repeat_everything(make_proxy, hosts, tmp_path, kind, state):
    auths = tmp_path / "auths"
    auths.mkdir()
    (auths / "ann.json").write_text(json.dumps(account(kind, EXPIRIES[state])))
    (auths / "odd.json").write_text(json.dumps({"type": ACCESS, "x": REFRESH}))
    (auths / "broken.json").write_text('{"type": "claude", "access_token": "' + ACCESS)
    echoes = Echoes(hosts)
    proxy = make_proxy({"debug": True, "auth-dir": str(auths), "api-keys": [CLIENT],
                        "passthrough-headers": True, "disable-cooling": True,
                        "logging-to-file": False}, **hosts.env())
    w = Watch(proxy)
    for echoes.status in (401, 403, 429, 500, 400):
        w.ask("/v1/chat/completions", {"model": MODELS[kind], "messages": messages()})
        w.ask("/v1/messages", {"model": MODELS[kind], "messages": messages(), "max_tokens": 5,
                               "stream": True})
    assert echoes.seen, proxy.tail()
    w.look_through(MODELS[kind], "unknown")
