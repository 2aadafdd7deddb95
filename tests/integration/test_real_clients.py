"""The programs people use, unchanged, over every kind of upstream: each writes a file by its own
tool and ends with the upstream's last words, in exactly two requests.

The number of requests matters: a program that cannot read a stream may quietly ask again without
one, which looks like success.
"""
import json

import pytest

from support import programs
from support.dialects import DIALECTS, KEY, call_stream, config, text_stream
from support.upstream import error, sse

CLIENT_KEY = "sk-client-of-the-proxy"
TEXT = "Grüße, 世界 🎉\n\"quoted\" \\ back\\nslash\n\ttab, $HOME and `ticks`\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(programs.SECONDS + 60)]


@pytest.fixture
def over(make_proxy, make_upstream):
    """A proxy that wants a key, in front of a scripted upstream of a dialect."""
    def make(kind):
        upstream = make_upstream(allowed={"x-goog-api-key"} if kind == "gemini" else (),
                                 agents=("",), dialect=kind)
        upstream.secrets.add(CLIENT_KEY)
        if kind != "gemini":
            upstream.keys = [KEY]
        return make_proxy({**config(kind, upstream), "api-keys": [CLIENT_KEY]}), upstream
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
