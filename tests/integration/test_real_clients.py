"""The programs people use, unchanged, over every kind of upstream: each writes files by its own
tools and ends with the upstream's last words, in exactly as many requests as it needs.

The number of requests matters: a program that cannot read a stream may quietly ask again without
one, which looks like success.
"""
import json

import pytest

from support import offers, programs
from support.accounts import write
from support.answers import (SIGNATURES, STREAM, call, freeform, full, is_streamed, search,
                             text, thought)
from support.dialects import DIALECTS, KEY, call_stream, config, gemini_chunk, text_stream
from support.google import ASSIST, Google, wrapped
from support.upstream import error, reply, sse

CLIENT_KEY = "sk-client-of-the-proxy"
TEXT = "Grüße, 世界 🎉\n\"quoted\" \\ back\\nslash\n\ttab, $HOME and `ticks`\n"
OTHER = TEXT.replace("Grüße", "Lebt wohl")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(programs.SECONDS + 60)]


@pytest.fixture
def over(make_proxy, make_upstream):
    """A proxy that wants a key, in front of a scripted upstream of a dialect."""
    def make(kind, alias="nice", model="real-model", **options):
        upstream = make_upstream(allowed={"x-goog-api-key"} if kind == "gemini" else (),
                                 agents=("",), dialect=kind)
        upstream.secrets.add(CLIENT_KEY)
        if kind != "gemini":
            upstream.keys = [KEY]
        return make_proxy({**config(kind, upstream, alias, model), "api-keys": [CLIENT_KEY]}, **options), upstream
    return make


def directing(kind, *turns):
    """An upstream that has things done, and then is content.

    What is done is a list a turn; its members make a block of the tools that the program offers."""
    left = list(turns)

    def action(c):
        body = c.request.json()
        if not is_streamed(kind, c.request):
            error(400, "this upstream only streams")(c)
        elif not (tools := offers.offered(kind, body)):
            sse(*STREAM[kind]([text("A ", "title")]), done=False)(c)
        elif left:
            sse(*STREAM[kind]([make(tools) for make in left.pop(0)]), done=False)(c)
        else:
            assert offers.result_given(kind, body)
            sse(*STREAM[kind]([text("It is ", "written.")]), done=False)(c)
    return action


def writing(id, path, value):
    """A call, made of what the program offers, that writes a file."""
    def make(tools):
        name, args = offers.writing(tools, path, value)
        return call(id, name, args)
    return make


def story(done, proxy, upstream):
    return f"{done}\n--- requests\n" + "\n".join(
        f"{r.method} {r.path} {r.body[-800:]!r}" for r in upstream.requests) + \
        f"\n--- proxy\n{proxy.tail(20)}"


def check_done(kind, done, proxy, upstream, requests=2):
    """A result for each call, no request twice, and the last words reach the user."""
    told = story(done, proxy, upstream)
    assert done.code == 0, told
    assert "It is written." in done.out, told
    assert len(upstream.requests) == requests, told
    assert all(is_streamed(kind, r) for r in upstream.requests), told


@pytest.fixture
def folders(tmp_path):
    """A user's home and a project."""
    home, folder = tmp_path / "user", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    return home, folder


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("program", programs.PROGRAMS)
def test_a_program_thinks_and_writes_two_files_at_once(over, folders, program, kind):
    assert programs.installed(), "no programs in build/clients (scripts/test installs them)"
    # Of the providers of this dialect some want their thoughts back, and some refuse them.
    proxy, upstream = over(kind, model="glm-5" if kind == "chat" else "real-model")
    paths = [folders[1] / name for name in ("greeting.txt", "farewell.txt")]
    first, second = writing("call_A1", paths[0], TEXT), writing("call_B2", paths[1], OTHER)
    turns = [[lambda _: thought("Two files ", "are wanted.", sig=SIGNATURES[kind]), first, second]]
    if program in programs.MUDDLES:
        turns[0].pop()
    if program in programs.MUDDLES | programs.TAKES_FIRST:
        turns.append([writing("call_C3", paths[1], OTHER)])
    upstream.always(directing(kind, *turns))
    done = programs.PROGRAMS[program](proxy.url, CLIENT_KEY, *folders)
    assert all(p.exists() for p in paths), story(done, proxy, upstream)
    assert [p.read_text() for p in paths] == [TEXT, OTHER], story(done, proxy, upstream)
    check_done(kind, done, proxy, upstream, len(turns) + 1)


@pytest.mark.parametrize("dialect,kind", [
    ("chat", "anthropic"), ("chat", "gemini"), ("responses", "chat"), ("responses", "anthropic"),
    ("anthropic", "responses"), ("anthropic", "gemini"), ("gemini", "chat"),
    ("gemini", "responses")])
def test_opencode_thinks_and_writes_two_files_at_once(over, folders, dialect, kind):
    proxy, upstream = over(kind, model="glm-5" if kind == "chat" else "real-model")
    paths = [folders[1] / name for name in ("greeting.txt", "farewell.txt")]
    upstream.always(directing(kind, [
        lambda _: thought("Two files ", "are wanted.", sig=SIGNATURES[kind]),
        writing("call_A1", paths[0], TEXT), writing("call_B2", paths[1], OTHER)]))
    done = programs.opencode(proxy.url, CLIENT_KEY, *folders, dialect)
    assert all(p.exists() for p in paths), story(done, proxy, upstream)
    assert [p.read_text() for p in paths] == [TEXT, OTHER], story(done, proxy, upstream)
    # The first is for a title.
    check_done(kind, done, proxy, upstream, 3)


# --- what only Codex has: tools of plain text, and namespaces ---------------------------------------

def patch(path):
    body = "".join(f"+{line}\n" for line in TEXT.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{body}*** End Patch\n"


def script(path):
    return f"const done = await tools.apply_patch({json.dumps(patch(path))});\ntext(done);\n"


def write_by_desk(path, id="call_A1"):
    return call(id, "write", {"path": str(path), "text": TEXT}, namespace="mcp__desk")


# A model that Codex knows, and the calls that it is given then, turn by turn.  The second has all its
# tools in a namespace, and that in an item of the input; with the third, tools of servers have to be
# searched first.
CODEX = {
    "apply_patch": ("gpt-5.5", lambda path: [freeform("call_A1", "apply_patch", patch(path))]),
    "additional-tools": ("gpt-5.6-luna", lambda path: [freeform(
        "call_A1", "exec", script(path), namespace="functions")]),
    "tool-search": ("gpt-5.5", lambda path: [
        search("call_A1", "write a text to a file"), write_by_desk(path, "call_B2")]),
    "namespace": ("nice", lambda path: [write_by_desk(path)]),
}
# The same of October 2025, which has no namespaces yet.
CODEX_ERA = {"apply_patch-era": ("gpt-5-codex", CODEX["apply_patch"][1])}


@pytest.mark.parametrize("kind", DIALECTS)
@pytest.mark.parametrize("way", [*CODEX, *CODEX_ERA])
def test_codex_has_tools_like_no_other(over, folders, way, kind):
    model, calls_for = {**CODEX, **CODEX_ERA}[way]
    proxy, upstream = over(kind, alias=model)
    path = folders[1] / "greeting.txt"
    calls = calls_for(path)

    def offered(made):
        def make(tools):
            assert full(made) in tools, sorted(tools)
            missing = set(made["args"]) - set(tools[full(made)]["properties"])
            assert not missing, tools[full(made)]
            return made
        return make
    upstream.always(directing(kind, *[[offered(c)] for c in calls]))
    run = programs.PROGRAMS["codex-era" if way in CODEX_ERA else "codex"]
    done = run(proxy.url, CLIENT_KEY, *folders, model=model)
    assert path.exists(), story(done, proxy, upstream)
    assert path.read_text() == TEXT, story(done, proxy, upstream)
    check_done(kind, done, proxy, upstream, len(calls) + 1)


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


@pytest.fixture(params=programs.CODE_ASSIST)
def run_code_assist(request, folders):
    """The path that is written to, and what runs the program."""
    run = programs.CODE_ASSIST[request.param]
    return folders[1] / "greeting.txt", lambda proxy, model: run(
        proxy.url, CLIENT_TOKEN, *folders, model)


def check_written(done, path, proxy, hosts):
    told = story(done, proxy, hosts)
    assert path.exists(), told
    assert path.read_text() == TEXT, told
    assert done.code == 0, told
    assert "It is written." in done.out, told


@pytest.mark.parametrize("kind", DIALECTS)
def test_gemini_cli_with_a_google_account_over_any_upstream(over, assist, hosts, run_code_assist,
                                                            kind):
    proxy, upstream = over(kind, **hosts.env())
    upstream.secrets.add(CLIENT_TOKEN)
    path, run = run_code_assist
    upstream.always(directing(kind, [writing("call_A1", path, TEXT)]))
    done = run(proxy, "nice")
    check_written(done, path, proxy, hosts)
    assert len(upstream.requests) == 2 and all(is_streamed(kind, r) for r in upstream.requests)
    assert assist.requests and all(
        r.header("authorization") == f"Bearer {CLIENT_TOKEN}" for r in hosts.requests)


def test_gemini_cli_over_a_google_account_of_the_proxy(make_proxy, assist, hosts, tmp_path,
                                                         run_code_assist):
    google = Google(hosts)
    google.load.always(reply(LOADED))
    auths = tmp_path / "auths"
    write(auths, "google.json", google.document())
    proxy = make_proxy({"auth-dir": str(auths)}, **hosts.env())
    path, run = run_code_assist

    def answer(request):
        wrong = google._check(request)
        body = request.json()
        if wrong:
            return wrong
        if offers.result_given("gemini", body["request"]):
            events = text_stream("gemini", "It is ", "written.")
        else:
            name, args = offers.writing(offers.offered("gemini", body["request"]), path, TEXT)
            events = call_stream("gemini", name, json.dumps(args))
        return sse(*[wrapped(e) for e in events], done=False)
    google.stream(answer)

    def corrected(request):
        """The first generation has a small model look over texts with backslashes, as JSON."""
        [name] = request.json()["request"]["generationConfig"]["responseJsonSchema"]["required"]
        return google._check(request) or reply(wrapped(gemini_chunk(
            [{"text": json.dumps({name: TEXT})}], "STOP")))
    google.whole(corrected)
    done = run(proxy, "gemini-2.5-pro")
    check_written(done, path, proxy, hosts)
    assert len(google.stream.requests) == 2 and not google.token.requests
    for request in google.stream.requests:
        assert request.json()["project"] == "made-up-project-1"
        assert request.json()["user_prompt_id"] and request.json()["request"]["session_id"]
        assert request.header("user-agent").startswith("GeminiCLI")
        assert CLIENT_TOKEN not in str(request.headers)
