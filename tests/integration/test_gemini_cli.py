"""Google accounts for Code Assist: token files, requests in every dialect, refresh, quotas."""
import fcntl
import json
import os
import pty
import subprocess
import termios
import urllib.parse

import pytest

from support.accounts import write
from support.client import Client
from support.dialects import DIALECTS, SCHEMA, read_stream, read_whole
from support.google import ASSIST, PAST, Google, problem, quota, revoked
from support.proxy import command, environment, eventually, free_port
from support.upstream import cut, refuse, sse_then

MODEL = "gemini-2.5-pro"
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


@pytest.fixture
def auths(tmp_path):
    return tmp_path / "auths"


@pytest.fixture
def google(hosts):
    return Google(hosts)


@pytest.fixture
def make(make_proxy, hosts, auths, google):
    """A proxy with these token files."""
    def make(*documents, config=None, **options):
        for i, document in enumerate(documents):
            write(auths, f"google-{i}.json", document)
        return make_proxy({"auth-dir": str(auths), **(config or {})}, **hosts.env(), **options)
    return make


def ask(dialect, stream, model=MODEL):
    """Path and body of a request with a tool."""
    if dialect == "chat":
        return "/v1/chat/completions", {
            "model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream,
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]}
    if dialect == "responses":
        return "/v1/responses", {"model": model, "input": "Hello", "stream": stream}
    if dialect == "anthropic":
        return "/v1/messages", {"model": model, "max_tokens": 100, "stream": stream,
                                "messages": [{"role": "user", "content": "Hello"}]}
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{method}", HELLO


def said(proxy, dialect="gemini", stream=False, model=MODEL, headers=None):
    """What the model says, asked in a dialect."""
    path, body = ask(dialect, stream, model)
    if not stream:
        answer = proxy.client().request("POST", path, body, headers)
        assert answer.status == 200, f"{answer}\n{proxy.tail()}"
        text, _, name = read_whole(dialect, answer.json())
    else:
        with proxy.client().open_stream(path, body, headers) as s:
            assert s.status == 200, f"{s.read()}\n{proxy.tail()}"
            text, _, name = read_stream(dialect, list(s.events()))
    assert name == model
    return text


def read(auths, name="google-0.json"):
    return json.loads((auths / name).read_text())


# --- requests --------------------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_served(make, google, dialect, stream):
    proxy = make(google.document())
    assert said(proxy, dialect, stream) == "Hello there"
    request = (google.stream if stream else google.whole).last.json()
    assert request["model"] == MODEL and request["project"] == "made-up-project-1"
    assert request["request"]["contents"][-1]["parts"] == [{"text": "Hello"}]
    assert not google.token.requests


def test_gemini_cli_gets_what_google_says_as_it_came(make, google, hosts):
    hosts.agents = ("GeminiCLI/",)
    proxy = make(google.document())
    headers = {"User-Agent": "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)",
               "Authorization": "Bearer ya29.token-of-the-client", "X-Goog-Api-Client": "gl-node/20"}
    body = {"model": MODEL, "project": "of-the-client", "user_prompt_id": "p#1",
            "enabled_credit_types": ["GOOGLE_ONE_AI"], "request": {**HELLO, "session_id": "s-1"}}
    answer = proxy.client().request("POST", "/v1internal:generateContent", body, headers)
    whole = answer.json()
    assert whole["traceId"] == "trace-1" and whole["response"]["modelVersion"] == MODEL
    assert google.whole.last.json() == {**body, "project": "made-up-project-1"}
    assert google.whole.last.header("x-goog-api-client") == "gl-node/20"
    with proxy.client().open_stream("/v1internal:streamGenerateContent?alt=sse", body,
                                    headers) as stream:
        chunks = list(stream.chunks())
    assert [c["traceId"] for c in chunks] == ["trace-1"] * 3
    assert {c["response"]["modelVersion"] for c in chunks} == {MODEL}
    assert read_stream("gemini", [json.dumps(c["response"]) for c in chunks])[0] == "Hello there"
    assert google.stream.last.json() == {**body, "project": "made-up-project-1"}
    for request in hosts.requests:
        assert "of-the-client" not in str(request.headers)


def test_google_counts_tokens(make, google):
    proxy = make(google.document())
    path, body = ask("anthropic", False)
    answer = proxy.client().request("POST", path + "/count_tokens", {**body, "system": "Be brief."})
    assert answer.json() == {"input_tokens": 31}
    counted = google.count.last.json()["request"]
    assert counted["model"] == "models/gemini-2.5-pro" and "systemInstruction" in counted
    answer = proxy.client().request("POST", f"/v1beta/models/{MODEL}:countTokens", HELLO)
    assert answer.json()["totalTokens"] == 31


def test_its_models_are_listed(make, google):
    proxy = make(google.document())
    ids = [m["id"] for m in proxy.get("/v1/models").json()["data"]]
    assert {"gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite",
            "gemini-3-pro-preview"} <= set(ids)
    one = proxy.get(f"/v1beta/models/{MODEL}").json()
    assert one["inputTokenLimit"] == 1048576 and one["outputTokenLimit"] == 65536


def test_a_stream_that_breaks_ends_with_an_error(make, google):
    proxy = make(google.document())
    google.stream.then(sse_then([{"response": {"candidates": [
        {"content": {"role": "model", "parts": [{"text": "half"}]}}]}}], cut))
    path, body = ask("gemini", True)
    with proxy.client().open_stream(path, body) as stream:
        chunks = list(stream.chunks())
    assert chunks[0]["candidates"] and chunks[-1]["error"]["status"] == "UNAVAILABLE"


# --- tokens ----------------------------------------------------------------------------------------

def test_an_expired_token_is_refreshed_once(make, google, auths):
    document = google.document(expiry=PAST, note="mine", big=2 ** 70, nested={"z": [], "a": {}})
    proxy = make(document, config={"workers": 4})
    google.revoke()
    for _ in range(6):
        assert said(proxy) == "Hello there"
    assert len(google.token.requests) == 1
    saved = read(auths)
    assert saved["token"]["access_token"] in google.access
    fresh = ("access_token", "expiry", "expires_in")
    for d in (saved["token"], document["token"]):
        for name in fresh:
            del d[name]
    assert saved == document
    # What was written is what the next start uses.
    again = make(name="again")
    assert said(again) == "Hello there" and len(google.token.requests) == 1


def test_a_refused_token_is_refreshed_before_the_account_is(make, google):
    proxy = make(google.document())
    google.revoke()
    assert said(proxy, stream=True) == "Hello there"
    assert said(proxy) == "Hello there" and len(google.token.requests) == 1


def test_a_revoked_login_is_reported(make, google):
    proxy = make(google.document(expiry=PAST))
    google.token.always(revoked())
    path, body = ask("chat", False)
    answer = proxy.client().request("POST", path, body)
    assert answer.status == 401
    message = answer.json()["error"]["message"]
    assert "someone@example.com" in message and "log in again" in message
    proxy.client().request("POST", path, body)
    assert len(google.token.requests) == 1
    for secret in (*google.access, google.refresh):
        assert secret not in answer.text and secret not in proxy.log


def test_a_failure_to_refresh_that_passes_is_survived(make, google):
    proxy = make(google.document(expiry=PAST))
    google.token.then(refuse)
    assert said(proxy) == "Hello there"
    assert len(google.token.requests) == 2


FORMS = {
    "used": lambda d: {**d, "access_token": d["token"]["access_token"], "token_type": "Bearer",
                       "refresh_token": d["token"]["refresh_token"], "expiry": d["token"]["expiry"]},
    "flat": lambda d: {**{k: v for k, v in d.items() if k != "token"}, **d["token"]},
    "no access": lambda d: {**d, "token": {"refresh_token": d["token"]["refresh_token"]}},
    "newer": lambda d: {**d, "disabled": False, "prefix": "", "priority": 3, "weight": 2,
                        "note": "n", "headers": {"X-Own": "1"}, "excluded_models": ["gemini-3*"],
                        "request_retry": 1, "disable_cooling": False, "refresh_interval": "30m"},
    "upper": lambda d: {**d, "type": "GEMINI", "future": {"a": [1.5, None]}},
}


@pytest.mark.parametrize("form", FORMS)
def test_files_of_all_forms_work_and_lose_nothing(make, google, auths, form):
    document = FORMS[form](google.document(expiry=PAST))
    google.revoke()
    proxy = make(document)
    assert said(proxy) == "Hello there"
    saved = read(auths)

    def missing(old, new):
        return [k for k, v in old.items() if k not in new
                or isinstance(v, dict) and missing(v, new[k])]
    assert not missing(document, saved)
    assert saved["token"]["access_token"] in google.access
    stale = document.get("access_token")
    assert not stale or stale not in json.dumps(saved)
    assert len(google.token.requests) == 1
    again = make(name="again")
    assert said(again) == "Hello there" and len(google.token.requests) == 1


def test_killed_between_the_new_token_and_its_use_it_is_there(make, google, auths):
    proxy = make(google.document(expiry=PAST))
    seen = []

    def kill(request):
        proxy.kill()
        seen.append(read(auths))
        return refuse
    google.whole(kill)
    with pytest.raises(OSError):
        said(proxy)
    proxy.checked = True
    eventually(lambda: seen)
    assert seen[0]["token"]["access_token"] in google.access
    assert seen[0]["token"]["refresh_token"] == google.refresh


# --- projects and quotas ---------------------------------------------------------------------------

def projects_of(route):
    return [r.json()["project"] for r in route.requests]


def test_each_project_is_an_account_of_its_own_with_one_token(make, google):
    proxy = make(google.document("made-up-project-1,made-up-project-2", expiry=PAST))
    for _ in range(4):
        said(proxy)
    assert sorted(projects_of(google.whole)) == ["made-up-project-1"] * 2 + ["made-up-project-2"] * 2
    assert len(google.token.requests) == 1


def test_a_quota_moves_on_to_the_next_project(make, google):
    proxy = make(google.document("made-up-project-1,made-up-project-2"),
                 config={"request-retry": 0})
    google.whole.then(quota(120))
    for _ in range(4):
        assert said(proxy) == "Hello there"
    first, *others = projects_of(google.whole)
    assert first not in others and len(others) == 4


def test_a_quota_of_all_projects_is_told_with_its_end(make, google):
    proxy = make(google.document("made-up-project-1,made-up-project-2"), config={"request-retry": 0})
    google.whole.then(quota(200), quota(100))
    path, body = ask("gemini", False)
    for _ in range(2):
        answer = proxy.client().request("POST", path, body)
        assert answer.status == 429 and answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
        assert 80 <= int(answer.headers["retry-after"]) <= 100
    assert len(google.whole.requests) == 2


@pytest.mark.parametrize("switch", [True, False])
def test_switch_project_decides_whether_another_is_asked(make, google, switch):
    proxy = make(google.document("made-up-project-1,made-up-project-2"),
                 config={"request-retry": 0, "quota-exceeded": {"switch-project": switch}})
    google.whole.then(quota(120))
    path, body = ask("gemini", False)
    answer = proxy.client().request("POST", path, body)
    assert answer.status == (200 if switch else 429)
    assert len(google.whole.requests) == (2 if switch else 1)


PREVIEWS = """
return { projects = { gemini_cli = true },
  previews = { gemini_cli = { ["gemini-2.5-pro"] = { "gemini-2.5-pro-preview-06-05" } } } }
"""


@pytest.mark.parametrize("switch", [True, False])
def test_a_preview_of_the_same_project_comes_before_another(make, google, switch):
    proxy = make(google.document("made-up-project-1,made-up-project-2"),
                 config={"request-retry": 0, "quota-exceeded": {"switch-preview-model": switch}})
    mark = proxy.mark()
    proxy.write_script("models/quota.lua", PREVIEWS)
    proxy.wait_for_log("configuration and scripts reloaded", since=mark)
    google.whole.then(quota(120))
    path, body = ask("gemini", False)
    answer = proxy.client().request("POST", path, body)
    assert answer.status == 200 and answer.json()["modelVersion"] == MODEL
    first, second = [r.json() for r in google.whole.requests]
    assert (first["project"] == second["project"]) == switch
    assert second["model"] == ("gemini-2.5-pro-preview-06-05" if switch else MODEL)


def test_a_link_that_a_person_has_to_follow_is_shown(make, google):
    proxy = make(google.document(), config={"request-retry": 0})
    link = "https://accounts.google.com/signin/continue?sarp=1"
    google.whole.always(problem(
        403, "PERMISSION_DENIED", "Verify your account to continue.",
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "VALIDATION_REQUIRED",
         "domain": ASSIST},
        {"@type": "type.googleapis.com/google.rpc.Help",
         "links": [{"description": "Verify your account", "url": link}]}))
    path, body = ask("chat", False)
    answer = proxy.client().request("POST", path, body)
    assert answer.status == 403 and link in answer.json()["error"]["message"]
    assert len(google.whole.requests) == 1


def test_the_token_goes_to_google_alone(make, google, hosts):
    proxy = make(google.document())
    assert said(proxy) == "Hello there"
    assert {r.host for r in hosts.requests} == {ASSIST}
    for token in (*google.access, google.refresh):
        assert token not in proxy.log


# --- login -----------------------------------------------------------------------------------------

class Login:
    """One run of --login, with the person's part; `terminal`: somebody can answer."""

    def __init__(self, folder, hosts, auths, *arguments, config=None, terminal=False):
        self.port = free_port()
        (folder / "login.yaml").write_text(json.dumps({"auth-dir": str(auths), **(config or {})}))
        self.keyboard = None
        session = {}
        if terminal:
            self.keyboard, there = pty.openpty()

            def lead():
                os.setsid()
                fcntl.ioctl(there, termios.TIOCSCTTY, 0)
            session = {"preexec_fn": lead}
        self.process = subprocess.Popen(
            command("--config", str(folder / "login.yaml"), "--login", "--no-browser",
                    "--oauth-callback-port", str(self.port), *arguments),
            cwd=folder, env=environment(folder, **hosts.env()), text=True,
            stdin=there if terminal else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **session)
        if terminal:
            os.close(there)
        self.out = ""

    def until(self, text):
        """Reads what it says, up to a text."""
        while text not in self.out:
            byte = self.process.stdout.read(1)
            assert byte, self.out
            self.out += byte
        return self.out

    def url(self, which=0):
        """The addresses that it shows."""
        self.until("Waiting for the Gemini login")
        return [line for line in self.out.splitlines()
                if line.startswith("https://accounts.google.com/")][which]

    def come_back(self, url):
        """The browser goes where Google sends it."""
        parts = urllib.parse.urlsplit(url)
        assert parts.hostname == "localhost" and parts.path == "/oauth2callback"
        assert parts.port == self.port
        return Client("127.0.0.1", parts.port).request("GET", f"{parts.path}?{parts.query}")

    def type(self, text):
        os.write(self.keyboard, text.encode() + b"\n")

    def end(self):
        rest, _ = self.process.communicate(timeout=60)
        self.out += rest
        assert "Sanitizer" not in self.out, self.out
        return self.process.returncode

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if self.keyboard is not None:
            os.close(self.keyboard)


@pytest.fixture
def login(tmp_path, hosts, auths, google):
    started = []

    def make(*arguments, **options):
        started.append(Login(tmp_path, hosts, auths, *arguments, **options))
        return started[-1]
    yield make
    for one in started:
        one.close()


@pytest.mark.smoke
def test_a_login_leaves_an_account_that_works(login, make, google, auths):
    run = login()
    _, back = google.agree(run.url())
    page = run.come_back(back)
    assert page.status == 200
    assert run.end() == 0, run.out
    name = "gemini-someone@example.com-made-up-project-1.json"
    assert name in run.out and "2026-06-18" in run.out and "ssh -L" in run.out
    saved = read(auths, name)
    assert (auths / name).stat().st_mode & 0o777 == 0o600
    assert (auths / name).read_text().endswith("}\n")
    example = google.document()
    example["auto"] = True
    for document in (saved, example):
        for member in ("access_token", "expiry"):
            document["token"].pop(member)
    assert saved == example
    for secret in (*google.access, google.refresh):
        assert secret not in run.out
    proxy = make()
    assert said(proxy) == "Hello there" and said(proxy, "anthropic", True) == "Hello there"
    assert google.whole.last.json()["project"] == "made-up-project-1"


def test_a_person_at_the_terminal_chooses_the_project(login, google, auths):
    google.enabled.remove("made-up-project-2")
    run = login(terminal=True)
    _, back = google.agree(run.url())
    run.come_back(back)
    run.until("Which one?")
    assert "[1] made-up-project-1  First" in run.out and "gone-project" not in run.out
    run.type("nonsense")
    run.until("nonsense is none of them")
    run.type("2")
    assert run.end() == 0, run.out
    saved = read(auths, "gemini-someone@example.com-made-up-project-2.json")
    assert saved["auto"] is False and saved["checked"] is True
    assert "made-up-project-2" in google.enabled


def test_all_projects_share_one_login(login, make, google, auths):
    google.pending = 3
    run = login("--project_id", "ALL")
    _, back = google.agree(run.url())
    run.come_back(back)
    assert run.end() == 0, run.out
    saved = read(auths, "gemini-someone@example.com-all.json")
    assert saved["project_id"] == "made-up-project-1,made-up-project-2"
    assert len(google.onboard.requests) == 3
    proxy = make()
    for _ in range(4):
        assert said(proxy) == "Hello there"
    assert sorted(set(projects_of(google.whole))) == ["made-up-project-1", "made-up-project-2"]


def test_a_code_is_pasted_where_no_browser_comes_back(login, google, auths):
    run = login("--project_id", "made-up-project-2", terminal=True)
    code, back = google.agree(run.url(1))
    assert back.startswith("https://codeassist.google.com/authcode?")
    run.type(code)
    assert run.end() == 0, run.out
    assert read(auths, "gemini-someone@example.com-made-up-project-2.json")["auto"] is False


def test_a_login_again_mends_the_file_that_is_there(login, make, google, auths):
    old = google.document(expiry=PAST, note="mine", priority=2)
    write(auths, "someone@example.com-made-up-project-1.json", old)
    proxy = make()
    google.refresh = "1//another"
    path, body = ask("gemini", False)
    assert proxy.client().request("POST", path, body).status == 401
    run = login("--project_id", "made-up-project-1")
    _, back = google.agree(run.url())
    run.come_back(back)
    assert run.end() == 0, run.out
    assert [p.name for p in auths.glob("*.json")] == ["someone@example.com-made-up-project-1.json"]
    saved = read(auths, "someone@example.com-made-up-project-1.json")
    assert saved["note"] == "mine" and saved["token"]["refresh_token"] == "1//refresh-1"
    eventually(lambda: proxy.client().request("POST", path, body).status == 200)


def test_what_google_refuses_at_login_is_said(login, google, hosts, auths):
    google.load(lambda request: {"ineligibleTiers": [{
        "reasonCode": "UNSUPPORTED_CLIENT", "tierId": "free-tier",
        "reasonMessage": "This client is no longer supported for individuals."}]})
    run = login()
    _, back = google.agree(run.url())
    run.come_back(back)
    assert run.end() == 1
    assert "Failed to complete Gemini CLI onboarding" in run.out
    assert "no longer supported for individuals" in run.out
    assert not list(auths.glob("*.json"))


def test_a_callback_of_another_login_is_not_taken(login, google, auths):
    run = login()
    _, back = google.agree(run.url())
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)["state"][0]
    run.come_back(back.replace(state, "0" * 32))
    assert run.end() == 1 and not google.token.requests and not list(auths.glob("*.json"))


def test_the_login_goes_through_the_configured_proxy(login, make_forward, hosts, google, auths):
    forward = make_forward("http", ports={443: hosts.port})
    run = login(config={"proxy-url": forward.url})
    _, back = google.agree(run.url())
    run.come_back(back)
    assert run.end() == 0, run.out
    assert {h for h, _ in forward.used} == {
        "oauth2.googleapis.com", "www.googleapis.com", "cloudresourcemanager.googleapis.com",
        "cloudcode-pa.googleapis.com", "serviceusage.googleapis.com"}
