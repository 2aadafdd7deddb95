"""AI Studio pages that serve requests over /v1/ws."""
import base64
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus

from support.client import read_all, read_response
from support.dialects import (DIALECTS, ask, gemini_chunk, read_stream, read_whole, text_stream,
                              text_whole)
from support.page import Page, answering, playing
from support.proxy import eventually

MODEL = "gemini-2.5-flash"
FIXTURES = sorted((pathlib.Path(__file__).parent.parent / "fixtures" / "aistudio").glob("*.json"))
HELLO = answering(text_stream("gemini", "Hi ", "there"), text_whole("gemini", "Hi there"))
MIB = 1024 * 1024


@pytest.fixture
def make_page():
    """Connects pages; at the end none may have seen anything wrong."""
    made = []

    def make(proxy, *arguments, **options):
        page = Page(proxy, *arguments, **options)
        made.append(page)
        return page
    yield make
    for page in made:
        page.socket.close()
    problems = [p for page in made for p in page.problems + page.failures]
    assert not problems, problems


@pytest.fixture
def proxy(make_proxy):
    return make_proxy({"workers": 4})


def asking(dialect, stream, **more):
    path, body = ask(dialect, stream, **more)
    if "model" in body:
        body["model"] = MODEL
    return path.replace("/nice:", f"/{MODEL}:"), body


def generate(proxy, method="generateContent", model=MODEL, **body):
    return proxy.client().request("POST", f"/v1beta/models/{model}:{method}", {
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}], **body})


def open_stream(proxy, dialect="gemini"):
    return proxy.client().open_stream(*asking(dialect, True))


def text_of(event):
    return "".join(p.get("text", "") for c in event["candidates"]
                   for p in c["content"]["parts"])


# --- answers --------------------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gets_its_answer(proxy, make_page, dialect):
    page = make_page(proxy).always(HELLO)
    answer = proxy.client().request("POST", *asking(dialect, False))
    assert answer.status == 200, answer
    assert read_whole(dialect, answer.json()) == ("Hi there", [], MODEL)
    with open_stream(proxy, dialect) as stream:
        assert stream.status == 200
        assert read_stream(dialect, list(stream.events())) == ("Hi there", [], MODEL)
    assert page.requests[0].url.endswith(f"/{MODEL}:generateContent")
    assert page.requests[1].url.endswith(f"/{MODEL}:streamGenerateContent?alt=sse")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tool_calls_arrive_in_every_dialect(proxy, make_page, dialect):
    call = gemini_chunk([{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}], "STOP")
    page = make_page(proxy).always(answering([call], call))
    answer = proxy.client().request("POST", *asking(dialect, False, tool=True))
    expected = ("", [("weather", {"city": "Oslo"})], MODEL)
    assert read_whole(dialect, answer.json()) == expected
    with proxy.client().open_stream(*asking(dialect, True, tool=True)) as stream:
        assert read_stream(dialect, list(stream.events())) == expected
    assert page.requests[0].json()["tools"]


def check_fixture(proxy, fixture):
    expect = fixture["expect"]
    if fixture["call"] == "stream":
        with open_stream(proxy) as stream:
            events = list(stream.events()) if stream.status == 200 else []
            status, body = stream.status, stream.raw or stream.read()
    else:
        method = {"whole": "generateContent", "count": "countTokens"}[fixture["call"]]
        answer = generate(proxy, method)
        status, body = answer.status, answer.body
    assert status == expect.get("status", 200), body
    if "error" in expect:
        assert expect["error"] in json.loads(body)["error"]["message"]
    if "body" in expect:
        assert json.loads(body) == expect["body"]
    if "text" in expect:
        assert "".join(text_of(json.loads(e)) for e in events) == expect["text"]
    if "events" in expect:
        decoded = [json.loads(e) for e in events]
        count = len(expect["events"])
        assert decoded[:count] == expect["events"]
        assert len(decoded) == count + ("broken" in expect)
    if "broken" in expect:
        assert expect["broken"] in decoded[-1]["error"]["message"]
    if "tokens" in expect:
        assert json.loads(body)["totalTokens"] == expect["tokens"]
    if "estimated" in expect:
        assert json.loads(body)["totalTokens"] > 0


def test_recorded_oddities_are_understood(make_proxy, make_page):
    proxy = make_proxy({"disable-cooling": True})
    page = make_page(proxy)
    for path in FIXTURES:
        fixture = json.loads(path.read_text())
        page.always(playing(fixture["messages"]))
        try:
            check_fixture(proxy, fixture)
        except AssertionError as e:
            raise AssertionError(f"{path.name}: {fixture['about']}") from e
    assert len(page.requests) == len(FIXTURES) > 20


@pytest.mark.smoke
def test_fragments_and_control_frames_between_messages(proxy, make_page):
    def action(x):
        for event in text_stream("gemini", *["piece %d " % i for i in range(20)]):
            message = {"id": x.id, "type": "stream_chunk",
                       "payload": {"data": f"data: {json.dumps(event)}\n\n"}}
            page.socket.ping()
            page.send(json.dumps(message), fragments=7)
        page.ping()
        x.end()
    page = make_page(proxy).always(action)
    with open_stream(proxy) as stream:
        text = read_stream("gemini", list(stream.events()))[0]
    assert text == "".join("piece %d " % i for i in range(20))


def test_text_that_is_not_ascii_arrives_as_it_is(proxy, make_page):
    said = "grüße 你好 \U0001f600 \" \\ \n \u2028 \x7f"
    page = make_page(proxy).always(
        answering(text_stream("gemini", said), text_whole("gemini", said)))
    answer = proxy.client().request("POST", *asking("gemini", False, text=said))
    assert read_whole("gemini", answer.json())[0] == said
    assert page.requests[0].json()["contents"][0]["parts"][0]["text"] == said
    with open_stream(proxy) as stream:
        assert read_stream("gemini", list(stream.events()))[0] == said


def test_tokens_are_counted_by_the_page(proxy, make_page):
    make_page(proxy).always(lambda x: x.respond({"totalTokens": 42}))
    answer = generate(proxy, "countTokens", tools=[{"googleSearch": {}}],
                      generationConfig={"temperature": 1})
    assert answer.json()["totalTokens"] == 42
    path, body = asking("anthropic", False)
    answer = proxy.client().request("POST", path + "/count_tokens", body)
    assert answer.json() == {"input_tokens": 42}


# --- sessions -------------------------------------------------------------------------------------

def test_models_are_offered_while_a_page_is_connected(proxy, make_page):
    def listed():
        return {m["id"] for m in proxy.get("/v1/models").json()["data"]}
    assert MODEL not in listed()
    page = make_page(proxy).always(HELLO)
    # Every worker knows it at once.
    for _ in range(20):
        assert {MODEL, "gemini-flash-lite-latest"} <= listed()
    page.close()
    eventually(lambda: all(MODEL not in listed() for _ in range(20)))
    assert generate(proxy).status == 404


@pytest.mark.smoke
def test_requests_of_all_workers_reach_all_pages_by_turns(proxy, make_page):
    pages = [make_page(proxy).always(HELLO) for _ in range(2)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: generate(proxy), range(80)))
    assert [a.status for a in answers] == [200] * 80
    counts = [len(p.requests) for p in pages]
    assert sum(counts) == 80 and min(counts) >= 30, counts


@pytest.mark.smoke
def test_many_streams_share_a_page_without_mixing(proxy, make_page):
    def action(x):
        name = x.json()["contents"][0]["parts"][0]["text"]
        x.start()
        for i in range(30):
            x.event(gemini_chunk([{"text": f"{name}-{i} "}], usage=False))
        x.event(gemini_chunk([{"text": ""}], "STOP"))
        x.end()
    make_page(proxy).always(action)

    def one(i):
        with proxy.client().open_stream(*asking("gemini", True, text=f"call{i}")) as stream:
            return read_stream("gemini", list(stream.events()))[0]
    with ThreadPoolExecutor(24) as pool:
        texts = list(pool.map(one, range(48)))
    assert texts == ["".join(f"call{i}-{k} " for k in range(30)) for i in range(48)]


def test_another_page_serves_when_one_goes_away(proxy, make_page):
    first, second = make_page(proxy), make_page(proxy).always(HELLO)
    first.always(lambda x: first.cut())
    for _ in range(4):
        answer = generate(proxy)
        assert answer.status == 200, answer
    assert len(first.requests) == 1


def test_a_page_that_goes_away_fails_what_it_had_begun(proxy, make_page):
    page = make_page(proxy)
    page.always(lambda x: page.close())
    answer = generate(proxy)
    assert answer.status == 502
    assert "gone" in answer.json()["error"]["message"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_page_that_goes_away_in_a_stream_ends_it_with_an_error(proxy, make_page, dialect):
    def action(x):
        x.start()
        x.event(gemini_chunk([{"text": "begun"}], usage=False))
        eventually(lambda: seen)
        page.cut()
    seen = []
    page = make_page(proxy).always(action)
    with open_stream(proxy, dialect) as stream:
        for line in stream.lines():
            if b"begun" in line:
                seen.append(line)
    assert seen
    assert stream.clean
    assert b"error" in stream.raw.split(b"begun")[-1]
    assert b"[DONE]" not in stream.raw and b"message_stop" not in stream.raw


def test_what_came_before_the_page_left_is_served(proxy, make_page):
    def action(x):
        HELLO(x)
        page.close()
    page = make_page(proxy).always(action)
    with open_stream(proxy) as stream:
        assert read_stream("gemini", list(stream.events()))[0] == "Hi there"


@pytest.mark.smoke
def test_a_client_that_leaves_ends_its_call_and_no_other(proxy, make_page):
    def action(x):
        x.start()
        for i in range(300):
            x.event(gemini_chunk([{"text": "x" * 1000}], usage=False))
            if i == 3:
                assert left.wait(60)
        x.end()
        done.append(x.id)
    left, done = threading.Event(), []
    page = make_page(proxy).then(action, action, action).always(HELLO)
    for _ in range(3):
        left.clear()
        with open_stream(proxy) as stream:
            next(stream.events())
        left.set()
    # Late messages of the calls are dropped.
    eventually(lambda: len(done) == 3)
    assert generate(proxy).status == 200
    assert page.ping() == "ping-1"
    proxy.wait_for_log(r"\b499 \|")


def test_a_whole_answer_nobody_waits_for_is_dropped(proxy, make_page):
    begun = threading.Event()
    page = make_page(proxy)
    page.then(lambda x: begun.set()).always(HELLO)
    path, body = asking("gemini", False)
    text = json.dumps(body)
    with proxy.client().raw((f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                             f"application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
                             ).encode()):
        assert begun.wait(60)
    proxy.wait_for_log(r"\b499 \|")
    HELLO(page.requests[0])
    assert generate(proxy).status == 200


# --- much at once ---------------------------------------------------------------------------------

def slow_stream(page, count, size):
    """Counts in `sent` what the page got rid of."""
    def action(x):
        x.start()
        for i in range(count):
            x.event(gemini_chunk([{"text": f"{i:08d}" + "x" * size}], usage=False))
            action.sent += size
        x.event(gemini_chunk([{"text": ""}], "STOP"))
        x.end()
    action.sent = 0
    return action


def large_events(stream):
    """The events of a stream that is too long to be kept."""
    rest = b""
    for piece in stream.pieces():
        *whole, rest = (rest + piece).split(b"\n\n")
        yield from (json.loads(event.removeprefix(b"data: ")) for event in whole)


def test_a_slow_client_stops_the_page_and_gets_everything(proxy, make_page):
    count, size = 1600, 64 * 1024
    page = make_page(proxy)
    action = slow_stream(page, count, size)
    page.always(action)
    with open_stream(proxy) as stream:
        events = large_events(stream)
        assert text_of(next(events)).startswith("00000000")
        before = proxy.resident_mib()
        # It stops: 16 MiB wait in the proxy, and a few more in sockets.
        seen = -1
        while action.sent != seen:
            seen = action.sent
            time.sleep(0.5)
        assert 16 * MIB < action.sent < 48 * MIB
        assert proxy.resident_mib() - before < 100
        got = 1
        for event in events:
            text = text_of(event)
            if got < count:
                assert text[:8] == f"{got:08d}" and len(text) == size + 8
            got += 1
            if got % 400 == 0:
                time.sleep(0.2)
    assert got == count + 1
    assert stream.clean
    # The session is well: others were only kept waiting.
    page.always(HELLO)
    assert generate(proxy).status == 200


def test_a_slow_client_that_leaves_lets_the_page_go_on(proxy, make_page):
    page = make_page(proxy)
    action = slow_stream(page, 1600, 64 * 1024)
    page.then(action).always(HELLO)
    with open_stream(proxy) as stream:
        next(stream.events())
        eventually(lambda: action.sent > 16 * MIB, 60)
    assert generate(proxy).status == 200
    eventually(lambda: action.sent == 1600 * 64 * 1024, 60)


def test_a_page_that_does_not_read_holds_back_requests_and_is_given_up(proxy):
    # By hand: a library would read.
    with proxy.client().raw(handshake(proxy)) as s:
        assert read_head(s).startswith(b"HTTP/1.1 101 ")
        body = {"contents": [{"role": "user", "parts": [{"text": "x" * (8 * MIB)}]}]}

        def one(_):
            return proxy.client().request("POST", f"/v1beta/models/{MODEL}:generateContent",
                                          body).status
        with ThreadPoolExecutor(4) as pool:
            # After 10 s without progress the session is over, and all of them fail.
            assert list(pool.map(one, range(4))) == [502] * 4


def test_a_large_request_reaches_the_page(proxy, make_page):
    text = "a \"quoted\" wörd\n" * 40000 + "x" * (30 * MIB)
    page = make_page(proxy).always(HELLO)
    assert proxy.client().request("POST", *asking("gemini", False, text=text)).status == 200
    assert page.requests[0].json()["contents"][0]["parts"][0]["text"] == text


def test_messages_up_to_64_mib_are_taken_and_larger_ones_end_the_session(make_proxy, make_page):
    def sized(x, size):
        """A message of exactly that size."""
        around = json.dumps({"id": x.id, "type": "http_response", "payload": {
            "status": 200, "headers": {}, "body": json.dumps(text_whole("gemini", "@"))}})
        page.send(around.replace("@", "y" * (size - len(around) + 1)))
    proxy = make_proxy({})
    page = make_page(proxy).then(lambda x: sized(x, 64 * MIB), lambda x: sized(x, 64 * MIB + 1))
    answer = generate(proxy)
    assert answer.status == 200
    assert len(text_of(answer.json())) > 63 * MIB
    answer = generate(proxy)
    assert answer.status == 502
    assert page.wait_end() == 1009


def test_what_is_no_message_ends_the_session(proxy, make_page):
    page = make_page(proxy)
    page.send("hello")
    assert page.wait_end() == 1008
    page = make_page(proxy)
    page.socket.send(b"{}")
    assert page.wait_end() == 1003
    page = make_page(proxy)
    page.socket.socket.sendall(b"\x81\x02hi")  # not masked
    assert page.wait_end() == 1002


# --- the handshake --------------------------------------------------------------------------------

def handshake(proxy, path="/v1/ws", *lines):
    key = base64.b64encode(os.urandom(16)).decode()
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: localhost:{proxy.port}",
                        "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
                        "Sec-WebSocket-Version: 13", *lines, "", ""]).encode()


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(1)
        if not piece:
            break
        data += piece
    return data


def status_of(proxy, path="/v1/ws", **headers):
    with proxy.client().raw(handshake(proxy, path, *[
            f"{n.replace('_', '-')}: {v}" for n, v in headers.items()])) as s:
        return int(read_head(s).split(b" ")[1])


def test_what_is_no_handshake_gets_400(proxy):
    answer = proxy.get("/v1/ws")
    assert answer.status == 400
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert answer.headers["Content-Type"].startswith("text/plain")
    with proxy.client().raw(b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                            b"Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n") as s:
        assert read_response(s)[0] == 400
    assert proxy.client().request("POST", "/v1/ws", {}).status == 405


def test_a_key_is_asked_for_like_everywhere(make_proxy):
    proxy = make_proxy({"api-keys": ["client-key-1"]})
    assert status_of(proxy) == 401
    assert status_of(proxy, "/v1/ws?auth_token=wrong") == 401
    assert status_of(proxy, "/v1/ws?auth_token=client-key-1") == 101
    assert status_of(proxy, "/v1/ws?key=client-key-1") == 101
    assert status_of(proxy, Authorization="Bearer client-key-1") == 101
    # With a key, any page may.
    assert status_of(proxy, "/v1/ws?key=client-key-1", Origin="https://aistudio.google.com") == 101


def test_without_a_key_only_this_machine_may(make_proxy):
    for config in ({}, {"api-keys": ["client-key-1"], "ws-auth": False}):
        proxy = make_proxy(config, name="home" + str(len(config)))
        assert status_of(proxy) == 101
        assert status_of(proxy, Origin=f"http://localhost:{proxy.port}") == 101
        assert status_of(proxy, Origin="https://aistudio.google.com") == 403
        assert status_of(proxy, Origin="null") == 403
        foreign = handshake(proxy).replace(b"Host: localhost", b"Host: evil.example")
        with proxy.client().raw(foreign) as s:
            assert read_response(s)[0] == 403


def test_the_library_sees_why_it_was_refused(make_proxy):
    proxy = make_proxy({"api-keys": ["client-key-1"]})
    with pytest.raises(InvalidStatus) as refused:
        Page(proxy)
    assert refused.value.response.status_code == 401
    assert b"Missing API key" in refused.value.response.body


def test_a_page_may_come_over_tls(make_proxy, make_page, authority):
    key, certificate = authority.issue("localhost", "127.0.0.1")
    proxy = make_proxy({"tls": {"enable": True, "cert": str(certificate), "key": str(key)}})
    proxy.tls = authority.client_context()
    page = make_page(proxy).always(HELLO)
    assert generate(proxy).status == 200
    with open_stream(proxy, "chat") as stream:
        assert read_stream("chat", list(stream.events()))[0] == "Hi there"
    action = slow_stream(page, 100, 200 * 1024)
    page.always(action)
    with open_stream(proxy) as stream:
        assert len(read_stream("gemini", list(stream.events()))[0]) == 100 * (200 * 1024 + 8)
    page.close()
    assert page.code == 1000


# --- while it runs --------------------------------------------------------------------------------

def test_ws_auth_switched_on_ends_keyless_sessions_and_off_ends_none(make_proxy, make_page):
    proxy = make_proxy({"api-keys": ["client-key-1"], "ws-auth": False, "workers": 4})
    keyless = [make_page(proxy).always(HELLO) for _ in range(6)]
    keyed = make_page(proxy, "client-key-1").always(HELLO)
    proxy.change_config(ws_auth=True)
    assert [p.wait_end() for p in keyless] == [1008] * 6
    assert keyed.ping() == "ping-1"
    assert status_of(proxy) == 401
    proxy.change_config(ws_auth=False)
    eventually(lambda: status_of(proxy) == 101)
    assert keyed.ping("again") == "again"
    assert not keyed.ended.is_set()


def test_sessions_outlive_reloads(make_proxy, make_page):
    proxy = make_proxy({"workers": 4, "mock": True})
    page = make_page(proxy).always(HELLO)
    for i in range(6):
        mark = proxy.mark()
        proxy.change_config(request_retry=i + 1)
        proxy.wait_for_log("configuration updated", since=mark)
        assert generate(proxy).status == 200
    assert not page.ended.is_set()
    assert page.ping() == "ping-1"


@pytest.mark.smoke
def test_sigterm_tells_idle_pages_and_lets_streams_end(proxy, make_page):
    def action(x):
        x.start()
        x.event(gemini_chunk([{"text": "one "}], usage=False))
        assert go.wait(60)
        x.event(gemini_chunk([{"text": "two"}], "STOP"))
        x.end()
    go = threading.Event()
    busy = make_page(proxy).always(action)
    with open_stream(proxy) as stream:
        events = stream.events()
        first = next(events)
        idle = make_page(proxy)
        idle.ping()
        proxy.signal(signal.SIGTERM)
        assert idle.wait_end() == 1001
        assert not busy.ended.is_set()
        go.set()
        assert read_stream("gemini", [first, *events])[0] == "one two"
    assert busy.wait_end() == 1001
    assert proxy.wait_exit(30) == 0


def test_a_page_does_not_hold_the_end_up(make_proxy, make_page):
    proxy = make_proxy({"limits": {"drain-seconds": 1}})
    def action(x):
        x.start()
        x.event(gemini_chunk([{"text": "and so on"}], usage=False))
    page = make_page(proxy).always(action)
    with open_stream(proxy) as stream:
        next(stream.events())
        proxy.signal()
        assert proxy.wait_exit(30) == 0
        stream.read()
    assert page.wait_end() == 1001


@pytest.mark.slow
def test_a_page_is_pinged_and_a_silent_one_is_cut(proxy, make_page):
    # The library answers pings by itself and sends none.
    page = make_page(proxy, ping_interval=None).always(HELLO)
    with proxy.client().raw(handshake(proxy)) as s:
        assert read_head(s).startswith(b"HTTP/1.1 101 ")
        begin = time.monotonic()
        rest = read_all(s, 100)
        assert rest == b"\x89\x00" * (len(rest) // 2) and len(rest) >= 2
        assert time.monotonic() - begin > 55
    assert not page.ended.is_set()
    assert generate(proxy).status == 200


# --- the documentation ----------------------------------------------------------------------------

# What a page has around it: a key, an address, and a fetch that reaches Google.
AROUND = """
const key = "client-key-1";
const events = ["Hi ", "there", ""].map((text, i) => "data: " + JSON.stringify({candidates: [{
  content: {role: "model", parts: [{text}]}, index: 0, ...(i === 2 ? {finishReason: "STOP"} : {})}],
  modelVersion: "real-model"}) + "\\r\\n\\r\\n").join("");
globalThis.fetch = async (url, {method, headers, body}) => {
  if (method !== "POST" || new Headers(headers).get("content-type") !== "application/json"
      || !JSON.parse(body).contents) throw new Error("a bad request");
  if (url.includes("gemini-2.5-pro")) throw new TypeError("Failed to fetch");
  if (!url.includes("alt=sse")) return new Response(
    JSON.stringify({error: {code: 429, message: "slow down", status: "RESOURCE_EXHAUSTED"}}),
    {status: 429});
  return new Response(events, {headers: {"content-type": "text/event-stream"}});
};
"""


def test_the_page_of_the_documentation_works(make_proxy, tmp_path):
    text = (pathlib.Path(__file__).parents[2] / "docs" / "aistudio.md").read_text()
    script = text.split("```js\n")[1].split("```")[0]
    proxy = make_proxy({"api-keys": ["client-key-1"], "disable-cooling": True})
    file = tmp_path / "page.mjs"
    file.write_text(AROUND + script.replace("127.0.0.1:8317", f"127.0.0.1:{proxy.port}"))
    page = subprocess.Popen(["node", file])
    try:
        proxy.wait_for_log("aistudio-.* has connected")
        with proxy.client(Authorization="Bearer client-key-1").open_stream(
                *asking("anthropic", True)) as stream:
            assert read_stream("anthropic", list(stream.events()))[0] == "Hi there"
        client = proxy.client(Authorization="Bearer client-key-1")
        answer = client.request("POST", *asking("chat", False))
        assert answer.status == 429 and "slow down" in answer.text
        answer = client.chat("gemini-2.5-pro")
        assert answer.status == 502 and "Failed to fetch" in answer.text
        proxy.signal()
        assert proxy.wait_exit(30) == 0
    finally:
        page.kill()
        page.wait()
