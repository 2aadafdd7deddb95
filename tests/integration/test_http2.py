"""Upstreams that speak HTTP/2: many calls share one connection, and must not feel each other."""
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.client import seconds_until, text_of
from support.http2 import Http2Upstream
from support.proxy import NAME, at_port, env, eventually
from support.upstream import (chat_chunk, chat_chunks, chat_reply, error, event, huge, reply, sse,
                              sse_then, stall)
from test_chat import BODY
from test_streams import ends_in_error


@pytest.fixture
def router(authority):
    upstream = Http2Upstream(authority.server_context(NAME), keys=["sk-upstream-one"])
    yield upstream
    upstream.close()
    assert not upstream.problems, "\n".join(upstream.problems)


@pytest.fixture
def served(make_proxy, router, authority):
    """One worker, so that all calls may share a connection."""
    return make_proxy({"workers": 1, "openai-compatibility": [at_port(router)]},
                      **env(router, authority))


def warm(served, router):
    """Makes the connection that later calls share: while there is none, each call makes one."""
    assert served.chat("nice").status == 200
    assert router.connections == 1
    router.requests.clear()


def connections(router):
    return {request.connection for request in router.requests}


@pytest.mark.smoke
def test_an_answer_comes_over_http2(served, router):
    answer = served.chat("nice")
    assert answer.status == 200, answer
    assert answer.json()["choices"][0]["message"]["content"] == "Hi from upstream"
    assert router.last.path == "/api/v1/chat/completions"
    assert router.last.header("host") == f"{NAME}:{router.port}"


def test_the_clients_bytes_arrive_but_for_the_model(served, router):
    answer = served.client().request("POST", "/v1/chat/completions", BODY % ("nice", ""))
    assert answer.status == 200, answer
    assert router.last.body.decode() == BODY % ("vendor/real-model", "")


def test_a_large_request_arrives_whole(served, router):
    """Larger than the windows that an HTTP/2 server opens at first (64 KB)."""
    text = "x" * 3_000_000
    assert served.chat("nice", messages=[{"role": "user", "content": text}]).status == 200
    assert router.last.json()["messages"][0]["content"] == text


@pytest.mark.smoke
def test_a_stream_arrives_event_by_event(served, router):
    seen = threading.Event()
    router.always(sse(*chat_chunks("one ", "two ", "three"),
                      between=lambda i: i == 3 and seen.wait(60)))
    with served.stream("nice") as stream:
        chunks = stream.chunks()
        texts = [next(chunks)["choices"][0]["delta"]["content"] for _ in range(3)]
        assert texts == ["", "one ", "two "]  # before the upstream goes on
        seen.set()
        assert stream.text() == "three"
    assert stream.clean and stream.raw.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_answers_are_decoded(served, router, coding):
    router.then(reply(chat_reply("packed"), coding=coding),
                sse(*chat_chunks("packed"), coding=coding))
    assert served.chat("nice").json()["choices"][0]["message"]["content"] == "packed"
    with served.stream("nice") as stream:
        assert stream.text() == "packed"


@pytest.mark.smoke
def test_streams_share_one_connection(served, router):
    warm(served, router)
    together = threading.Barrier(21)

    def echo(c):
        text = c.request.json()["messages"][0]["content"]
        sse(*chat_chunks(*text), between=lambda i: i == 2 and together.wait(60))(c)
    router.always(echo)

    def one(i):
        with served.stream("nice", messages=[{"role": "user", "content": f"number {i}"}]) as s:
            return s.text()
    with ThreadPoolExecutor(20) as pool:
        texts = pool.map(one, range(20))
        together.wait(60)  # all twenty are in the middle of their answers
        assert list(texts) == [f"number {i}" for i in range(20)]
    assert connections(router) == {1}


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_error_statuses_arrive_and_leave_the_connection_usable(served, router, status):
    router.then(error(status, "so it is", headers={"Retry-After": "1"}))
    answer = served.chat("nice")
    assert answer.status == status, answer
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    if status == 400:
        assert "so it is" in answer.json()["error"]["message"]
        assert served.chat("nice").status == 200
        assert connections(router) == {1}


def test_early_hints_and_trailers_are_not_the_answer(served, router):
    def action(c):
        c.hint(103, [("link", "</style.css>; rel=preload")])
        c.head(200, {"Content-Type": "application/json"})
        c.send(json.dumps(chat_reply("after the hints")).encode())
        c.end(trailers=[("x-checksum", "1")])
    router.always(action)
    answer = served.chat("nice")
    assert answer.json()["choices"][0]["message"]["content"] == "after the hints"
    assert answer.headers["link"] is None


@pytest.mark.smoke
def test_a_client_that_leaves_resets_its_stream_and_no_other(served, router):
    warm(served, router)
    go = threading.Event()
    router.then(sse(*chat_chunks("first ", "second"), between=lambda i: i == 2 and go.wait(60)),
                sse_then(chat_chunks("a")[:2], stall))
    stays = served.stream("nice")
    try:
        events = stays.chunks()
        next(events), next(events)
        leaves = served.stream("nice")
        next(leaves.events())
        router.wait_requests(2)
        request = router.requests[1]
        leaves.close()
        seconds_until(request.gone, 30)
        # CANCEL, or STREAM_CLOSED as libcurl 7.88 has it; None would be a closed connection.
        assert request.reset in (5, 8)
        assert connections(router) == {1}
        go.set()
        assert stays.text() == "second"
        assert stays.clean
    finally:
        go.set()
        stays.close()


@pytest.mark.parametrize("when", ["before the head", "in the middle"])
def test_a_client_that_leaves_alone_ends_the_call_at_the_upstream(served, router, when):
    """No other call uses the connection, so nothing else would carry the RST_STREAM along."""
    warm(served, router)
    router.then(stall if when == "before the head" else sse_then(chat_chunks("a")[:2], stall))
    body = b'{"model":"nice","messages":[{"role":"user","content":"hi"}],"stream":true}'
    s = served.client().raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                            % len(body) + body)
    request = router.wait_requests(1)
    if when != "before the head":
        s.recv(1)
    s.close()
    seconds_until(request.gone, 30)
    assert served.chat("nice").status == 200


@pytest.mark.slow
def test_a_slow_client_slows_its_own_stream_and_no_other(served, router):
    warm(served, router)
    before = served.resident_mib()
    flood = huge(60 * 2**20)
    router.then(flood).always(sse(*chat_chunks("not ", "held ", "up")))
    slow = served.stream("nice")
    try:
        next(slow.events())
        last = -1
        while flood.sent != last:  # until the upstream is held back
            last = flood.sent
            time.sleep(1)
        print(f"the upstream was held back after {flood.sent / 2**20:.1f} MiB, memory grew by "
              f"{served.resident_mib() - before:.1f} MiB")
        assert flood.sent < 45 * 2**20
        for _ in range(3):
            with served.stream("nice") as other:
                assert other.text() == "not held up"
        print("connections used:", connections(router))
        slow.read()
        assert slow.clean and slow.raw.endswith(b"data: [DONE]\n\n")
        assert len(slow.raw) > 55 * 2**20
    finally:
        slow.close()


@pytest.mark.slow
def test_slow_clients_do_not_fill_the_memory(served, router):
    warm(served, router)
    router.always(huge(60 * 2**20))
    before = served.resident_mib()
    streams = [served.stream("nice") for _ in range(20)]
    try:
        for stream in streams:
            next(stream.events())
        time.sleep(3)
        grown = served.resident_mib() - before
        print(f"20 slow clients: {grown:.0f} MiB more ({before:.0f} before)")
        assert grown < 20 * 45
    finally:
        for stream in streams:
            stream.close()
    eventually(lambda: all(r.answered.is_set() for r in router.requests), 60)


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_stream_that_breaks_ends_in_an_error_event(served, router, how):
    seen = threading.Event()

    def damage(c):
        seen.wait(60)  # a reset that comes with the data makes it void
        c.hang_up() if how == "cut" else c.reset()
    router.always(sse_then(chat_chunks("half")[:2], damage))
    with served.stream("nice") as stream:
        chunks = stream.chunks()
        assert [text_of(next(chunks)) for _ in range(2)] == ["", "half"]
        seen.set()
        ends_in_error(stream)


def test_a_stream_that_breaks_ends_the_legacy_dialect_too(served, router):
    seen = threading.Event()

    def damage(c):
        seen.wait(60)
        c.reset()
    router.always(sse_then(chat_chunks("half")[:2], damage))
    with served.client().open_stream(
            "/v1/completions", {"model": "nice", "prompt": "Hi", "stream": True}) as stream:
        while json.loads(next(stream.events()))["choices"][0]["text"] != "half":
            pass
        seen.set()
        ends_in_error(stream)


def test_a_reset_stream_leaves_the_others_alone(served, router):
    warm(served, router)
    go, seen = threading.Event(), threading.Event()
    router.then(sse(*chat_chunks("first ", "second"), between=lambda i: i == 2 and go.wait(60)),
                sse_then(chat_chunks("half")[:2], lambda c: (seen.wait(60), c.reset())))
    with served.stream("nice") as whole:
        events = whole.chunks()
        next(events), next(events)
        with served.stream("nice") as broken:
            next(broken.chunks())
            seen.set()
            ends_in_error(broken)
        go.set()
        assert whole.text() == "second"
    assert connections(router) == {1}


def test_a_whole_answer_that_is_cut_is_an_error(served, router):
    def action(c):
        c.head(200, {"Content-Type": "application/json"})
        c.send(b'{"id": "half')
        c.hang_up()
    router.always(action)
    answer = served.chat("nice")
    assert answer.status == 502, answer
    assert answer.json()["error"]["type"] == "server_error"


def test_a_connection_may_be_announced_to_end_while_its_stream_goes_on(served, router):
    warm(served, router)
    go = threading.Event()

    def leaving(c):
        sse(*chat_chunks("before ")[:2], done=False, finish=False)(c)
        c.goaway(last=c.number)
        go.wait(60)
        c.chunk(event(chat_chunk("after")) + event(chat_chunk(finish="stop")) + event("[DONE]"))
    router.then(leaving)
    with served.stream("nice") as stream:
        chunks = stream.chunks()
        next(chunks), next(chunks)
        go.set()
        assert stream.text() == "after"
        assert stream.clean
    assert served.chat("nice").status == 200
    assert connections(router) == {1, 2}


def test_a_new_call_avoids_a_connection_that_was_announced_to_end(served, router):
    warm(served, router)
    go = threading.Event()

    def leaving(c):
        sse(*chat_chunks("before ")[:2], done=False, finish=False)(c)
        c.goaway(last=c.number)
        c.chunk(event(chat_chunk("behind it")))
        go.wait(60)
        c.chunk(event(chat_chunk(finish="stop")) + event("[DONE]"))
    router.then(leaving)
    with served.stream("nice") as stream:
        chunks = stream.chunks()
        for _ in range(3):
            next(chunks)
        # The GOAWAY was before the third event, so the proxy knows.
        assert served.chat("nice").status == 200
        go.set()
        assert list(chunks)[-1]["choices"][0]["finish_reason"] == "stop"
    assert connections(router) == {1, 2}


@pytest.mark.parametrize("how", ["goaway", "refused"])
def test_a_call_that_was_not_looked_at_is_retried_or_a_clear_error(served, router, how):
    warm(served, router)

    def refuse(c):
        if how == "goaway":
            c.goaway(last=c.number - 2)
            c.hang_up()
        else:
            c.reset(7)  # REFUSED_STREAM
    router.then(refuse)
    answer = served.chat("nice")
    # libcurl asks again after REFUSED_STREAM, but not after a GOAWAY with the connection's end.
    assert answer.status == (502 if how == "goaway" else 200), answer
    if how == "goaway":
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert served.chat("nice").status == 200


def test_a_connection_that_ended_while_idle_is_replaced(served, router):
    warm(served, router)
    router.links[0].cut()
    eventually(lambda: router.links[0].dead)
    assert served.chat("nice").status == 200
    assert connections(router) == {2}


def test_one_connection_is_not_loaded_beyond_what_the_upstream_allows(served, router):
    """Twenty at a time where the upstream takes four: all are served in the end."""
    router.streams_max = 4
    together = threading.Semaphore(0)
    router.always(sse(*chat_chunks("a"), between=lambda i: i == 1 and together.acquire(timeout=60)))

    def one(_):
        with served.stream("nice") as stream:
            return stream.text()
    with ThreadPoolExecutor(20) as pool:
        texts = pool.map(one, range(20))
        router.wait_requests(20)  # all of them in the middle
        together.release(20)
        assert list(texts) == ["a"] * 20
    # (The upstream's fixture fails the test if a connection that knew the limit went beyond it.)
    print([link.refused for link in router.links], "refused on each connection")
    assert len(router.links) >= 5
