"""SIGTERM loses no stream that ends in time."""
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.client import read_response
from support.proxy import entry, eventually
from support.upstream import chat_chunks, sse, sse_then, stall


def refuses(proxy):
    try:
        socket.create_connection(("127.0.0.1", proxy.port), 5).close()
        return False
    except OSError:
        return True


@pytest.mark.smoke
def test_streams_run_to_their_end_after_sigterm(served, upstream):
    go = threading.Event()
    upstream.always(sse(*chat_chunks("a ", "b"), between=lambda i: i == 2 and go.wait(60)))

    def one(_):
        with served.stream("nice") as stream:
            return stream.text(), stream.raw.endswith(b"data: [DONE]\n\n")
    with ThreadPoolExecutor(30) as pool:
        answers = pool.map(one, range(30))
        upstream.wait_requests(30)
        served.signal(signal.SIGTERM)
        # It stops listening at once.
        eventually(lambda: refuses(served))
        assert served.alive
        go.set()
        assert list(answers) == [("a b", True)] * 30
    served.stop()


def test_sigint_does_the_same(served):
    served.signal(signal.SIGINT)
    assert served.wait_exit() == 0


def test_idle_connections_do_not_hold_it_up(served):
    with served.client().raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as s:
        assert read_response(s)[0] == 200
        served.signal()
        assert served.wait_exit(20) == 0
        assert s.recv(1) == b""


def test_what_does_not_end_is_cut_after_the_drain_time(make_proxy, upstream):
    upstream.always(sse_then(chat_chunks("a")[:2], stall))
    proxy = make_proxy({"limits": {"drain-seconds": 1}, "openai-compatibility": [entry(upstream)]})
    with proxy.stream("nice") as stream:
        next(stream.events())
        proxy.signal()
        assert proxy.wait_exit(30) == 0
    assert upstream.requests[0].gone.wait(10)


def test_a_second_signal_ends_it_now(served, upstream):
    upstream.always(sse_then(chat_chunks("a")[:2], stall))
    with served.stream("nice") as stream:
        next(stream.events())
        served.signal()
        eventually(lambda: refuses(served))
        served.signal()
        # Less than the drain time of 30 s.
        served.wait_exit(20)
    served.checked = True


@pytest.mark.smoke
def test_under_load_every_answered_request_is_whole(served, upstream):
    upstream.always(sse(*chat_chunks(*"abcdefgh"), pause=0.01))
    wrong, done, stop = [], [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                stream = served.stream("nice")
            except OSError:
                return  # no longer listening: never accepted, nothing lost
            with stream:
                text = stream.text()
                (done if text == "abcdefgh" and stream.clean else wrong).append(text)
    threads = [threading.Thread(target=load) for _ in range(20)]
    for t in threads:
        t.start()
    upstream.wait_requests(60)
    served.signal()
    for t in threads:
        t.join(60)
    stop.set()
    assert not wrong and len(done) >= 40
    served.stop()
