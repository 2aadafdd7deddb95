"""The official SDKs over every kind of upstream: what people do with them in a day.

Every SDK has the same conversations, against upstreams that refuse what a real provider would; the
SDKs' own types are held against every byte that they get.
"""
import base64
import json
import struct
import zlib

import pytest

from support import lanes, sdk
from support.answers import (SIGNATURES, USAGE, answer, broken, call, in_stream, is_streamed, text,
                             thought)
from support.javascript import Node
from support.lanes import LANES
from support.upstream import failure

SDKS = [(language, name) for name in sdk.SDKS for language in ("python", "javascript")]
OWN = {"openai-chat": "chat", "openai-responses": "responses", "anthropic": "anthropic",
       "google": "gemini"}
TOOLS = [{"name": "get_weather", "description": "Weather of a city", "schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    "additionalProperties": False}},
    {"name": "get_time", "description": "Time in a zone", "schema": {
        "type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]},
                                         "exact": {"type": "boolean"}}, "required": ["zone"]}}]
RESULTS = {"get_weather": "4 degrees", "get_time": "noon"}
ANNA = {"name": "Anna", "age": 7}


def png(width=3, height=2):
    def part(kind, data):
        return struct.pack("!I", len(data)) + kind + data + \
            struct.pack("!I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")).decode()


@pytest.fixture(scope="module")
def node():
    runner = Node("matrix.cjs")
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with lanes.world(tmp_path_factory.mktemp("matrix")) as made:
        yield made


class Bench:
    """One SDK in front of one upstream."""

    def __init__(self, proxy, upstream, node, language, name, lane):
        self.proxy, self.upstream, self.node = proxy, upstream, node
        self.language, self.sdk, self.lane = language, name, lane
        self.kind = LANES[lane][0]
        self.same = OWN[name] == self.kind
        upstream.script.clear()
        upstream.requests.clear()
        upstream.problems.clear()

    def then(self, *blocks):
        self.upstream.then(answer(self.kind, *blocks))

    def run(self, stream, **ask):
        asked = {"sdk": self.sdk, "url": self.proxy.url, "model": self.lane, "stream": stream,
                 "prompt": "Hello", **ask}
        if asked.get("thinking") and self.lane == "claude-4.7":
            asked["thinking"] = "adaptive"
        said = sdk.run(asked) if self.language == "python" else self.node.run(asked)
        assert not self.upstream.problems, "\n".join(self.upstream.problems)
        return said

    def answers(self, stream, **ask):
        said = self.run(stream, **ask)
        assert not said["error"], said["error"]
        return said["answers"]

    def error(self, stream, **ask):
        said = self.run(stream, **ask)
        assert said["error"], said["answers"]
        return said["error"]

    @property
    def sent(self):
        """The last request of the upstream, as text."""
        return self.upstream.last.body.decode()


@pytest.fixture(params=[(*s, lane) for s in SDKS for lane in LANES], ids="-".join)
def bench(request, world, node):
    proxy, upstreams = world
    language, name, lane = request.param
    return Bench(proxy, upstreams[lane], node, language, name, lane)


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request):
    return request.param


STOPS = {"openai-chat": ("stop", "tool_calls"), "openai-responses": ("completed", "completed"),
         "anthropic": ("end_turn", "tool_use"), "google": ("STOP", "STOP")}


def check_usage(bench, said):
    expected = dict(USAGE)
    if bench.sdk == "anthropic":
        del expected["reasoning"]
    assert said["usage"] == expected


def test_text(bench, stream):
    bench.then(text("Hello, ", "wörld 🎉", " \\ \"x\""))
    [said] = bench.answers(stream, system="Be brief.")
    assert said["text"] == "Hello, wörld 🎉 \\ \"x\"" and not said["calls"]
    assert said["stop"] == STOPS[bench.sdk][0]
    assert said["model"] == bench.lane
    check_usage(bench, said)
    assert "Be brief." in bench.sent and "Hello" in bench.sent
    # An upstream that can only stream is asked to; others are where the client does not care.
    if stream:
        assert is_streamed(bench.kind, bench.upstream.last)


def test_two_parallel_calls_and_their_results(bench, stream):
    bench.then(text("I'll look."),
               call("toolu_1", "get_weather", {"city": "Oslo <&> 北"},
                    sig=SIGNATURES["gemini"]),
               call("toolu_2", "get_time", {"zone": "UTC", "exact": True}))
    bench.then(text("Cold ", "noon."))
    first, second = bench.answers(stream, tools=TOOLS, results=RESULTS)
    assert [(c["name"], c["args"]) for c in first["calls"]] == [
        ("get_weather", {"city": "Oslo <&> 北"}), ("get_time", {"zone": "UTC", "exact": True})]
    ids = [c["id"] for c in first["calls"]]
    assert all(ids) and len(set(ids)) == 2
    assert first["text"] == "I'll look." and first["stop"] == STOPS[bench.sdk][1]
    check_usage(bench, first)
    assert second["text"] == "Cold noon." and second["stop"] == STOPS[bench.sdk][0]
    # Whether the pairs were right is the strict upstream's business.
    assert len(bench.upstream.requests) == 2
    # One SDK gives the results in the wrong order; its own dialect allows that.
    assert bench.same or bench.sent.index("4 degrees") < bench.sent.index("noon")


def test_an_image(bench):
    image = png()
    bench.then(text("A picture."))
    [said] = bench.answers(False, prompt="Look", image=image)
    assert said["text"] == "A picture."
    # Google's SDK for Python writes base64 in the letters of URLs, which Google takes.
    assert image in bench.sent or bench.same and image.replace("/", "_") in bench.sent


def test_structured_output(bench, stream):
    document = json.dumps(ANNA)
    bench.then(text(document[:5], document[5:]))
    [said] = bench.answers(stream, prompt="Who?", schema=True)
    assert json.loads(said["text"]) == ANNA and said["parsed"] == ANNA
    assert "age" in bench.sent


def test_thinking_and_what_comes_of_it_in_the_next_turn(bench, stream):
    sig = SIGNATURES[bench.kind]
    bench.then(thought("Let me ", "think.", sig=sig),
               call("toolu_1", "get_weather", {"city": "Oslo"},
                    sig=SIGNATURES["gemini"]))
    bench.then(thought("Now I know.", sig=sig), text("Cold."))
    bench.then(text("Bye."))
    first, second, third = bench.answers(stream, tools=TOOLS, results=RESULTS, thinking="budget",
                                         again="And now?")
    assert first["thinking"] == "Let me think." and second["thinking"] == "Now I know."
    assert [c["name"] for c in first["calls"]] == ["get_weather"]
    assert second["text"] == "Cold." and third["text"] == "Bye."
    sent = [r.body.decode() for r in bench.upstream.requests]
    if bench.kind == "chat":
        assert "Let me think." in sent[1]
    else:
        # What the provider signed comes back to it, through whatever dialect it went.
        assert sig in sent[1]
    assert ("medium" in sent[0] or "8192" in sent[0] or "2000" in sent[0]
            or "adaptive" in sent[0]), sent[0]


# --- failures --------------------------------------------------------------------------------------

CLASSES = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError",
           429: "RateLimitError", 500: "InternalServerError", 503: "InternalServerError"}


def check_class(bench, error, status):
    if bench.sdk == "google":
        assert error["class"] == ("ApiError" if bench.language == "javascript" else
                                  "ClientError" if status < 500 else "ServerError")
    elif bench.sdk == "anthropic" and status in (503, 529):
        assert error["class"] in ("InternalServerError", "OverloadedError",
                                  "ServiceUnavailableError")
    else:
        assert error["class"] == CLASSES[status]


@pytest.mark.parametrize("status,stream", list(zip(CLASSES, (False, True) * 3)))
def test_a_failure_before_the_answer(bench, status, stream):
    if status == 503 and bench.kind == "anthropic":
        status = 529
    bench.upstream.then(failure(bench.kind, status, f"scripted {status}"))
    error = bench.error(stream)
    # Only Anthropic's clients know 529.
    wanted = 503 if status == 529 and bench.sdk != "anthropic" else status
    assert error["status"] == wanted and f"scripted {status}" in error["message"]
    check_class(bench, error, wanted)


def test_a_failure_as_the_first_event_of_a_stream_has_its_status(bench):
    bench.upstream.then(broken(bench.kind, [], in_stream(bench.kind, 429, "scripted 429")))
    error = bench.error(True)
    assert error["status"] == 429 and "scripted 429" in error["message"]
    check_class(bench, error, 429)


def test_a_failure_inside_a_stream(bench):
    bench.upstream.then(broken(bench.kind, [text("half", " of it")],
                               in_stream(bench.kind, 503, "scripted 503")))
    error = bench.error(True, lenient=True)
    assert "scripted 503" in error["message"], error


def test_a_stream_that_ends_early_is_no_answer(bench):
    bench.upstream.then(broken(bench.kind, [text("half", " of it")]))
    assert bench.error(True, lenient=True)["message"]
