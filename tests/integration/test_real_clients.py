"""The programs people use, unchanged, over every kind of upstream: each writes a file by its own
tool and ends with the upstream's last words, in exactly two requests.

The number of requests matters: a program that cannot read a stream may quietly ask again without
one, which looks like success.
"""
import json

import pytest

from support import programs
from support.accounts import write
from support.dialects import DIALECTS, KEY, call_stream, config, text_stream
from support.google import ASSIST, Google, wrapped
from support.upstream import error, reply, sse

CLIENT_KEY = "sk-client-of-the-proxy"
TEXT = "Grüße, 世界 🎉\n\"quoted\" \\ back\\nslash\n\ttab, $HOME and `ticks`\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(programs.SECONDS + 60)]


@pytest.fixture
def over(make_proxy, make_upstream):
    """A proxy that wants a key, in front of a scripted upstream of a dialect."""
    def make(kind, **options):
        upstream = make_upstream(allowed={"x-goog-api-key"} if kind == "gemini" else (),
                                 agents=("",), dialect=kind)
        upstream.secrets.add(CLIENT_KEY)
        if kind != "gemini":
            upstream.keys = [KEY]
        return make_proxy({**config(kind, upstream), "api-keys": [CLIENT_KEY]}, **options), upstream
    return make


def streamed(kind, request):
    return ":streamGenerateContent" in request.path if kind == "gemini" \
        else request.json().get("stream") is True


def directing(kind, path):
    """An upstream that first asks for the file to be written, and then is content."""
    def action(c):
        body = c.request.json()
        if not streamed(kind, c.request):
            error(400, "this upstream only streams")(c)
        elif programs.result_given(kind, body):
            sse(*text_stream(kind, "It is ", "written."), done=False)(c)
        else:
            name, args = programs.writing(programs.offered(kind, body), path, TEXT)
            sse(*call_stream(kind, name, json.dumps(args)), done=False)(c)
    return action


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("program", programs.PROGRAMS)
def test_a_program_writes_a_file(over, tmp_path, program, kind):
    assert programs.installed(), "no programs in build/clients (scripts/test installs them)"
    proxy, upstream = over(kind)
    home, folder = tmp_path / "user", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    path = folder / "greeting.txt"
    upstream.always(directing(kind, path))

    done = programs.PROGRAMS[program](proxy.url, CLIENT_KEY, home, folder)

    story = f"{done}\n--- requests\n" + "\n".join(
        f"{r.method} {r.path} {r.body[-800:]!r}" for r in upstream.requests) + \
        f"\n--- proxy\n{proxy.tail(20)}"
    assert path.exists(), story
    assert path.read_text() == TEXT, story
    assert done.code == 0, story
    assert "It is written." in done.out, story
    assert len(upstream.requests) == 2, story
    assert all(streamed(kind, r) for r in upstream.requests), story


# --- Gemini CLI with a Google account --------------------------------------------------------------

CLIENT_TOKEN = "ya29.token-of-the-client"
LOADED = {"currentTier": {"id": "standard-tier", "name": "Gemini Code Assist"},
          "allowedTiers": [{"id": "standard-tier", "isDefault": True}],
          "cloudaicompanionProject": "project-of-the-client"}


@pytest.fixture
def assist(hosts):
    """Google, as far as the relay leads to it; what it sees are the program's own requests."""
    hosts.agents = ("",)
    hosts.on(ASSIST, "POST", "/v1internal:*").always(reply({}))
    hosts.on(ASSIST, "GET", "/v1internal:*").always(reply({}))
    load = hosts.on(ASSIST, "POST", "/v1internal:loadCodeAssist")
    load.always(reply(LOADED))
    return load


def run_code_assist(proxy, tmp_path, model):
    home, folder = tmp_path / "user", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    path = folder / "greeting.txt"
    return path, lambda: programs.gemini_code_assist(proxy.url, CLIENT_TOKEN, home, folder, model)


def check_written(done, path, proxy, hosts):
    story = f"{done}\n--- requests\n" + "\n".join(
        f"{r.method} {r.path} {r.body[-300:]!r}" for r in hosts.requests) + \
        f"\n--- proxy\n{proxy.tail(20)}"
    assert path.exists(), story
    assert path.read_text() == TEXT, story
    assert done.code == 0, story
    assert "It is written." in done.out, story


@pytest.mark.parametrize("kind", DIALECTS)
def test_gemini_cli_with_a_google_account_over_any_upstream(over, assist, hosts, tmp_path, kind):
    proxy, upstream = over(kind, **hosts.env())
    upstream.secrets.add(CLIENT_TOKEN)
    path, run = run_code_assist(proxy, tmp_path, "nice")
    upstream.always(directing(kind, path))
    done = run()
    check_written(done, path, proxy, hosts)
    assert len(upstream.requests) == 2 and all(streamed(kind, r) for r in upstream.requests)
    assert assist.requests and all(
        r.header("authorization") == f"Bearer {CLIENT_TOKEN}" for r in hosts.requests)


def test_gemini_cli_over_a_google_account_of_the_proxy(make_proxy, assist, hosts, tmp_path):
    google = Google(hosts)
    google.load.always(reply(LOADED))
    auths = tmp_path / "auths"
    write(auths, "google.json", google.document())
    proxy = make_proxy({"auth-dir": str(auths)}, **hosts.env())
    path, run = run_code_assist(proxy, tmp_path, "gemini-2.5-pro")

    def answer(request):
        wrong = google._check(request)
        body = request.json()
        if wrong:
            return wrong
        if programs.result_given("gemini", body["request"]):
            events = text_stream("gemini", "It is ", "written.")
        else:
            name, args = programs.writing(programs.offered("gemini", body["request"]), path, TEXT)
            events = call_stream("gemini", name, json.dumps(args))
        return sse(*[wrapped(e) for e in events], done=False)
    google.stream(answer)
    done = run()
    check_written(done, path, proxy, hosts)
    assert len(google.stream.requests) == 2 and not google.token.requests
    for request in google.stream.requests:
        assert request.json()["project"] == "made-up-project-1"
        assert request.json()["user_prompt_id"] and request.json()["request"]["session_id"]
        assert request.header("user-agent").startswith("GeminiCLI")
        assert CLIENT_TOKEN not in str(request.headers)
