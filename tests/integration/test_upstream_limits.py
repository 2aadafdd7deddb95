"""Upstreams that are slow, odd or broken below the level of events."""
import gzip
import json
import socket
import threading

import pytest

from support.proxy import entry
from support.upstream import (ENCODERS, chat_chunks, chat_reply, event, redirect, reply, sse,
                              sse_then, stall)
from test_streams import ends_in_error


def is_error(answer, status, code=None):
    """An error in the client's dialect that gives nothing away."""
    assert answer.status == status, answer
    problem = answer.json()["error"]
    assert set(problem) == {"message", "type", "param", "code"}
    assert problem["message"] and "sk-upstream" not in answer.text
    if code:
        assert problem["code"] == code
    return problem["message"]


def raw(*pieces, close=False):
    """Answers with these very bytes."""
    def action(c):
        for piece in pieces:
            c.send(piece)
        if close:
            c.hang_up()
    return action


def whole(body=None, head=b""):
    """An ordinary answer with more in its head."""
    data = json.dumps(body or chat_reply("after all")).encode()
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head +
            b"Content-Length: %d\r\n\r\n" % len(data) + data)


def text_of(answer):
    return answer.json()["choices"][0]["message"]["content"]


# --- time -------------------------------------------------------------------------------------

@pytest.fixture
def deaf():
    """A port whose queue of connections is full: a further one hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fill = []
        for _ in range(8):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(listener.getsockname())
            fill.append(s)
        yield listener.getsockname()[1]
        for s in fill:
            s.close()


def test_a_connection_that_is_never_made_has_a_time_limit(make_proxy, upstream, deaf):
    one = {**entry(upstream), "base-url": f"http://127.0.0.1:{deaf}/v1"}
    proxy = make_proxy({"timeouts": {"connect": 1}, "openai-compatibility": [one]})
    is_error(proxy.chat("nice"), 504, "timeout")
    proxy.wait_for_log("no connection to 127.0.0.1")


def test_a_tls_handshake_that_hangs_counts_as_connecting(make_proxy, upstream, deaf):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody answers
        one = {**entry(upstream), "base-url": f"https://127.0.0.1:{silent.getsockname()[1]}/v1"}
        proxy = make_proxy({"timeouts": {"connect": 1}, "openai-compatibility": [one]})
        is_error(proxy.chat("nice"), 504, "timeout")


def test_the_next_key_is_tried_when_the_first_cannot_be_reached_in_time(make_proxy, upstream, deaf):
    bad = {**entry(upstream, name="bad"), "base-url": f"http://127.0.0.1:{deaf}/v1", "priority": 5}
    proxy = make_proxy({"timeouts": {"connect": 1},
                        "openai-compatibility": [bad, entry(upstream, name="good")]})
    assert proxy.chat("nice").status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_hangs_in_its_head_has_a_time_limit(make_proxy, upstream, streamed):
    def half_a_head(c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Half: ")
        stall(c)
    upstream.always(half_a_head)
    proxy = make_proxy({"timeouts": {"first-byte": 1}, "openai-compatibility": [entry(upstream)]})
    is_error(proxy.chat("nice", stream=streamed), 504, "timeout")
    assert upstream.last.gone.wait(30)


def test_informational_heads_do_not_stop_the_clock(make_proxy, upstream):
    def only_hints(c):
        c.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        stall(c)
    upstream.always(only_hints)
    proxy = make_proxy({"timeouts": {"first-byte": 1}, "openai-compatibility": [entry(upstream)]})
    is_error(proxy.chat("nice"), 504, "timeout")


def test_a_whole_answer_that_stalls_has_a_time_limit(make_proxy, upstream):
    def half(c):
        c.head(200, {"Content-Type": "application/json", "Content-Length": 500}, chunked=False)
        c.send(b'{"id": "half')
        stall(c)
    upstream.always(half)
    proxy = make_proxy({"timeouts": {"idle": 1}, "openai-compatibility": [entry(upstream)]})
    is_error(proxy.chat("nice"), 504, "timeout")
    assert upstream.last.gone.wait(30)


def test_silence_in_a_stream_ends_the_call_at_the_upstream(make_proxy, upstream):
    upstream.always(sse_then(chat_chunks("a")[:2], stall))
    proxy = make_proxy({"timeouts": {"idle": 1}, "openai-compatibility": [entry(upstream)]})
    with proxy.stream("nice") as stream:
        events = ends_in_error(stream)
    assert json.loads(events[-1])["error"]["code"] == "timeout"
    assert upstream.last.gone.wait(30)


# --- compression ------------------------------------------------------------------------------

def packed(body, status=200, coding="gzip", content_type="application/json"):
    return reply(body, status, {"Content-Encoding": coding}, content_type=content_type)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_truncated_compressed_answer_is_not_passed_as_whole(served, upstream, coding):
    data = ENCODERS[coding](json.dumps(chat_reply("x" * 5000)).encode())
    upstream.always(packed(data[:-12], coding=coding))
    is_error(served.chat("nice"), 502)


def test_a_compressed_stream_that_ends_early_ends_in_an_error_event(served, upstream):
    wire = b"".join(event(c) for c in chat_chunks(*[str(i) * 50 for i in range(200)]))
    upstream.always(packed(gzip.compress(wire)[:-40], content_type="text/event-stream"))
    with served.stream("nice") as stream:
        ends_in_error(stream)


def test_a_compressed_stream_that_goes_bad_ends_in_an_error_event(served, upstream):
    seen = threading.Event()

    def action(c):
        encoder = gzip.zlib.compressobj(wbits=31)
        c.head(200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
        for chunk in chat_chunks("half")[:2]:
            c.chunk(encoder.compress(event(chunk)) + encoder.flush(gzip.zlib.Z_SYNC_FLUSH))
        seen.wait(60)
        c.chunk(b"\xff" * 400)
        c.end()
    upstream.always(action)
    with served.stream("nice") as stream:
        chunks = stream.chunks()
        next(chunks)
        assert next(chunks)["choices"][0]["delta"]["content"] == "half"
        seen.set()
        ends_in_error(stream)


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_an_error_whose_body_cannot_be_decoded_keeps_its_status(served, upstream, status, damage):
    body = b"this is not gzip" if damage == "garbage" else gzip.compress(b'{"error": "x"}' * 99)[:30]
    upstream.always(packed(body, status))
    is_error(served.chat("nice"), status)


# --- heads ------------------------------------------------------------------------------------

def test_very_many_header_fields_are_taken(served, upstream):
    many = b"".join(b"X-Field-%d: %d\r\n" % (i, i) for i in range(3000))
    upstream.always(raw(whole(head=many)))
    answer = served.chat("nice")
    assert answer.status == 200 and text_of(answer) == "after all"
    assert answer.headers["x-field-1"] is None


@pytest.mark.parametrize("head", [b"X-Long: " + b"y" * 120 * 1024 + b"\r\n",
                                  b"".join(b"X-%d: %s\r\n" % (i, b"z" * 1000) for i in range(400)),
                                  b"X-Zero: a\0b\r\n"],
                         ids=["one field", "all fields", "a NUL"])
def test_a_head_beyond_all_measure_is_an_error(served, upstream, head):
    upstream.always(raw(whole(head=head), close=True))
    is_error(served.chat("nice"), 502)
    upstream.always(reply(chat_reply()))
    assert served.chat("nice").status == 200


@pytest.mark.parametrize("wire", [b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-OpenSSH_9\r\n",
                                  b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"],
                         ids=["tls", "ssh", "version", "status", "negative", "huge"])
def test_what_is_not_http_is_an_error(served, upstream, wire):
    upstream.always(raw(wire, close=True))
    is_error(served.chat("nice"), 502)


def test_heads_before_the_answer_are_skipped(served, upstream):
    upstream.always(raw(b"HTTP/1.1 100 Continue\r\n\r\n",
                        b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n",
                        b"HTTP/1.1 103 Early Hints\r\nX-More: 1\r\n\r\n", whole()))
    answer = served.chat("nice")
    assert answer.status == 200 and text_of(answer) == "after all"
    assert answer.headers["link"] is None and answer.headers["x-more"] is None
    assert served.chat("nice").status == 200
    assert upstream.connections <= 2  # one a worker: nothing was left over on a connection


def test_an_http_1_0_answer_ends_with_its_connection(served, upstream):
    body = json.dumps(chat_reply("old school")).encode()
    upstream.always(raw(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", body,
                        close=True))
    for _ in range(2):
        assert text_of(served.chat("nice")) == "old school"


def test_an_http_1_0_stream_ends_with_its_connection(served, upstream):
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    events = [event(c) for c in chat_chunks("old ", "school")]
    upstream.always(raw(head, *events, event("[DONE]"), close=True))
    with served.stream("nice") as stream:
        assert stream.text() == "old school"
        assert stream.clean
    upstream.always(raw(head, *events[:2], close=True))  # the end of a connection proves nothing
    with served.stream("nice") as stream:
        ends_in_error(stream)


@pytest.mark.parametrize("missing", [1, 100])
def test_an_answer_shorter_than_announced_is_an_error(served, upstream, missing):
    upstream.always(raw(whole()[:-missing], close=True))
    is_error(served.chat("nice"), 502)


def test_what_follows_an_answer_is_not_the_next_answer(make_proxy, upstream):
    """A connection with bytes left over is not used again."""
    proxy = make_proxy({"workers": 1, "openai-compatibility": [entry(upstream)]})
    upstream.then(raw(whole() + whole(chat_reply("smuggled"))))
    assert text_of(proxy.chat("nice")) == "after all"
    assert text_of(proxy.chat("nice")) == "Hi from upstream"


def test_a_204_and_an_empty_body_are_no_answers(served, upstream):
    upstream.then(raw(b"HTTP/1.1 204 No Content\r\n\r\n"), reply(""))
    for _ in range(2):
        is_error(served.chat("nice"), 502)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(make_proxy, make_upstream, status):
    first, second = make_upstream(), make_upstream()
    first.always(reply("", status, {"Location": second.url + "/chat/completions"}))
    proxy = make_proxy({"openai-compatibility": [entry(first)]})
    answer = proxy.chat("nice")
    assert answer.status >= 400, answer
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert not second.requests and len(first.requests) == 1
