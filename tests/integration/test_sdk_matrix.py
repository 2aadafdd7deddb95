"""The SDKs over every kind of upstream: what people do with them in a day.

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

OWN = {"openai-chat": "chat", "openai-responses": "responses", "anthropic": "anthropic",
       "google": "gemini", "openai-compatible": "chat"}
# The vendors' own in two languages, and the AI SDK of two generations.
SDKS = [(language, name) for name in sdk.SDKS for language in ("python", "javascript")]
SDKS += [(language, name) for name in OWN for language in ("ai", "ai-era")]
# Those that do not tell of thoughts, or never give them back; the last loses the signatures of
# streams.
UNTHINKING = {("ai", "openai-chat"), ("ai-era", "openai-chat"), ("ai-era", "openai-compatible"),
              ("ai-era", "google")}
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
def run():
    """What runs a conversation, by language."""
    own, ai = Node("matrix.cjs"), Node("ai.cjs")
    yield {"python": sdk.run, "javascript": own.run,
           "ai": lambda ask: ai.run({**ask, "generation": "new"}),
           "ai-era": lambda ask: ai.run({**ask, "generation": "era"})}
    own.close()
    ai.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with lanes.world(tmp_path_factory.mktemp("matrix")) as made:
        yield made


class Bench:
    """One SDK in front of one upstream."""

    def __init__(self, proxy, upstream, run, language, name, lane):
        self.proxy, self.upstream, self.run_sdk = proxy, upstream, run[language]
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
        said = self.run_sdk(asked)
        assert not self.upstream.problems, "\n".join(self.upstream.problems)
        return said

    def answers(self, stream, **ask):
        said = self.run(stream, **ask)
        assert not said["error"], said["error"]
        return said["answers"]

    def unfinished(self):
        """What an SDK says of a stream that did not end well."""
        said = self.run(True, lenient=True)
        if (self.language, self.sdk) == ("ai-era", "google"):
            # It hears of no failure; its word for an answer without an end is this.
            assert [a["stop"] for a in said["answers"]] == ["unknown"], said
            return None
        assert said["error"], said["answers"]
        return said["error"]["message"]

    def error(self, stream, **ask):
        said = self.run(stream, **ask)
        assert said["error"], said["answers"]
        return said["error"]

    @property
    def sent(self):
        """The last request of the upstream, as text."""
        return self.upstream.last.body.decode()


BENCHES = [(*s, lane) for s in SDKS for lane in LANES]
# Anthropic's of 2025 has no word for what the newest models want.
THINKERS = [b for b in BENCHES if b[:2] not in UNTHINKING
            and b != ("ai-era", "anthropic", "claude-4.7")]


def make_bench(request, world, run):
    proxy, upstreams = world
    language, name, lane = request.param
    return Bench(proxy, upstreams[lane], run, language, name, lane)


@pytest.fixture(params=BENCHES, ids="-".join)
def bench(request, world, run):
    return make_bench(request, world, run)


@pytest.fixture(params=THINKERS, ids="-".join)
def thinker(request, world, run):
    return make_bench(request, world, run)


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request):
    return request.param


STOPS = {"openai-chat": ("stop", "tool_calls"), "openai-responses": ("completed", "completed"),
         "anthropic": ("end_turn", "tool_use"), "google": ("STOP", "STOP")}


def ending(bench, called):
    """How an SDK says that an answer is complete, or that it called."""
    if bench.language.startswith("ai"):
        return "tool-calls" if called else "stop"
    return STOPS[bench.sdk][called]


def check_usage(bench, said, stream):
    expected = dict(USAGE)
    if bench.sdk == "anthropic" and bench.language != "ai":
        del expected["reasoning"]
    if bench.sdk == "anthropic" and bench.language == "ai-era" and stream and not bench.same:
        # It reads of the input at the start of the stream only, when others may not know yet.
        del expected["input"], expected["cached"]
    assert {name: said["usage"].get(name) for name in expected} == expected


def test_text(bench, stream):
    bench.then(text("Hello, ", "wörld 🎉", " \\ \"x\""))
    [said] = bench.answers(stream, system="Be brief.")
    assert said["text"] == "Hello, wörld 🎉 \\ \"x\"" and not said["calls"]
    assert said["stop"] == ending(bench, False)
    assert said["model"] == bench.lane
    check_usage(bench, said, stream)
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
    assert first["text"] == "I'll look." and first["stop"] == ending(bench, True)
    check_usage(bench, first, stream)
    assert second["text"] == "Cold noon." and second["stop"] == ending(bench, False)
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
    if (bench.language, bench.sdk) == ("ai-era", "anthropic"):
        # It has no form to ask for, and forces a call.
        bench.then(call("toolu_1", "json", ANNA))
    else:
        bench.then(text(document[:5], document[5:]))
    [said] = bench.answers(stream, prompt="Who?", schema=True)
    assert json.loads(said["text"]) == ANNA and said["parsed"] == ANNA
    assert "age" in bench.sent


def test_thinking_and_what_comes_of_it_in_the_next_turn(thinker, stream):
    sig = SIGNATURES[thinker.kind]
    thinker.then(thought("Let me ", "think.", sig=sig),
               call("toolu_1", "get_weather", {"city": "Oslo"},
                    sig=SIGNATURES["gemini"]))
    thinker.then(thought("Now I know.", sig=sig), text("Cold."))
    thinker.then(text("Bye."))
    first, second, third = thinker.answers(stream, tools=TOOLS, results=RESULTS, thinking="budget",
                                         again="And now?")
    assert first["thinking"] == "Let me think." and second["thinking"] == "Now I know."
    assert [c["name"] for c in first["calls"]] == ["get_weather"]
    assert second["text"] == "Cold." and third["text"] == "Bye."
    sent = [r.body.decode() for r in thinker.upstream.requests]
    if thinker.kind == "chat":
        assert "Let me think." in sent[1]
    elif thinker.sdk != "openai-compatible":
        # What the provider signed comes back to it, through whatever dialect it went.
        assert sig in sent[1]
    # OpenAI's of 2025 asks for no effort of models that it does not know.
    if (thinker.language, thinker.sdk) != ("ai-era", "openai-responses"):
        assert any(word in sent[0] for word in ("medium", "8192", "2000", "adaptive")), sent[0]


# --- failures --------------------------------------------------------------------------------------

CLASSES = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError",
           429: "RateLimitError", 500: "InternalServerError", 503: "InternalServerError"}


def check_class(bench, error, status):
    if bench.language.startswith("ai"):
        assert error["class"] == "AI_APICallError"
    elif bench.sdk == "google":
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
    message = bench.unfinished()
    assert message is None or "scripted 503" in message


def test_a_stream_that_ends_early_is_no_answer(bench):
    bench.upstream.then(broken(bench.kind, [text("half", " of it")]))
    assert bench.unfinished() != ""
