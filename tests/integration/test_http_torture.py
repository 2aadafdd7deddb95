"""HTTP that no honest client sends gets a clear status or a close: never a hang or a crash."""
import socket
import struct

import pytest

from support.client import read_all, read_response
from support.proxy import eventually

BODY = b'{"model":"mock","messages":[{"role":"user","content":"hi"}]}'
HEAD = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\n")
GOOD = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def status_of(data):
    return int(data.split(b" ", 2)[1]) if data else None


def exchange(proxy, data, finish=True):
    """Sends, ends the sending side, reads until the proxy closes."""
    with proxy.client().raw() as s:
        try:
            s.sendall(data)
            if finish:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_all(s, 60)


@pytest.fixture
def still_well(mock):
    """The proxy, which must serve as before after the test."""
    yield mock
    assert mock.alive
    assert mock.chat("mock").status == 200


SMUGGLING = {
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a hexadecimal length": HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "a length that overflows": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "an unknown transfer coding": HEAD + b"Transfer-Encoding: cow\r\n\r\n",
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked with a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": HEAD + b"X-A: one\r\n two\r\nContent-Length: 0\r\n\r\n",
    "a folded transfer coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": HEAD + b"X-A: one\rX-B: two\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": GOOD.replace(b"\r\n", b"\n"),
    "a bare line feed in the head": HEAD + b"X-A: b\nContent-Length: 0\r\n\r\n",
    "a zero byte in a value": HEAD + b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a zero byte in a name": HEAD + b"X\x00A: a\r\nContent-Length: 0\r\n\r\n",
    "two hosts": HEAD + b"Host: evil.example\r\nContent-Length: 0\r\n\r\n",
    "no host": GOOD.replace(b"Host: localhost\r\n", b""),
    "no colon": HEAD + b"Nonsense\r\nContent-Length: 0\r\n\r\n",
    "an empty name": HEAD + b": x\r\nContent-Length: 0\r\n\r\n",
    "a chunk size that is none": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a chunk size that overflows": CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "a chunk with a bare line feed": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "an unknown version": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a method that is none": b"G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 200,
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("form", SMUGGLING)
def test_a_request_with_two_readings_is_refused_and_the_connection_closed(still_well, form):
    # A second request behind it must never be answered.
    data = exchange(still_well, SMUGGLING[form] + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert data.count(b"HTTP/1.1 ") <= 1, data
    if data:
        assert 400 <= status_of(data) < 600, data
        assert b'{"status":"ok"}' not in data


@pytest.mark.smoke
def test_a_request_written_byte_by_byte_is_served(still_well):
    with still_well.client().raw() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(GOOD)):
            s.sendall(GOOD[i:i + 1])
        assert read_response(s)[0] == 200


def test_a_chunked_request_in_one_byte_chunks_is_served(still_well):
    wire = CHUNKED + b"".join(b"1;ext=1\r\n%c\r\n" % b for b in BODY) + b"0\r\n\r\n"
    with still_well.client().raw(wire) as s:
        assert read_response(s)[0] == 200


def test_trailers_get_a_clear_status(still_well):
    wire = CHUNKED + b"%x\r\n%s\r\n0\r\nX-Trailer: x\r\n\r\n" % (len(BODY), BODY)
    with still_well.client().raw(wire) as s:
        assert read_response(s)[0] in (200, 400)


@pytest.mark.smoke
def test_pipelined_requests_are_answered_in_order(still_well):
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    missing = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with still_well.client().raw((health + GOOD + missing) * 5 +
                                 health.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as s:
        data = read_all(s)
    statuses = [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 404] * 5 + [200]


def test_expect_100_continue_is_answered_first(still_well):
    head = HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY)
    with still_well.client().raw(head) as s:
        s.settimeout(30)
        assert s.recv(1000).startswith(b"HTTP/1.1 100")
        s.sendall(BODY)
        assert read_response(s)[0] == 200


@pytest.mark.parametrize("head", [
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * (2 * 2**20) + b"\r\n\r\n",
    b"GET /" + b"p" * (2 * 2**20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: 1\r\n" * 150000 + b"\r\n",
], ids=["value", "path", "count"])
def test_an_oversized_head_is_431(still_well, head):
    data = exchange(still_well, head, finish=False)
    assert data == b"" or status_of(data) in (414, 431), data[:200]


def test_a_body_above_the_limit_is_413(make_proxy):
    proxy = make_proxy({"limits": {"body-mib": 1}})
    for framing in (b"Content-Length: 2000000\r\n\r\n" + b" " * 2000000,
                    b"Transfer-Encoding: chunked\r\n\r\n" + b"186a0\r\n%s\r\n" % (b" " * 100000) * 20
                    + b"0\r\n\r\n"):
        data = exchange(proxy, HEAD + framing, finish=False)
        assert status_of(data) == 413, data[:300]
        assert b"request_too_large" in data
    assert proxy.chat("mock").status == 200


def test_a_client_that_stops_sending_still_gets_its_answer(still_well):
    data = exchange(still_well, GOOD.replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
    assert status_of(data) == 200


def test_half_a_request_and_a_close_is_forgotten(still_well):
    for cut in range(0, len(GOOD), 7):
        with still_well.client().raw(GOOD[:cut]):
            pass
        s = still_well.client().raw(GOOD[:cut])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


def test_a_head_that_never_ends_is_given_up(make_proxy):
    proxy = make_proxy({"limits": {"header-seconds": 1}})
    with proxy.client().raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") as s:
        data = read_all(s, 60)
    assert data == b"" or status_of(data) == 408
    assert proxy.chat("mock").status == 200


def test_a_head_that_drips_is_given_up_too(make_proxy):
    proxy = make_proxy({"limits": {"header-seconds": 1}})
    with proxy.client().raw() as s:
        s.settimeout(0.2)
        for _ in range(300):  # a minute: only a hang gets there
            try:
                s.sendall(b"X")
                if s.recv(1000) == b"":
                    return
                return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("it listened to one header for a minute")


def test_an_idle_connection_is_closed(make_proxy):
    proxy = make_proxy({"limits": {"idle-seconds": 1}})
    with proxy.client().raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as s:
        assert read_response(s)[0] == 200
        assert s.recv(1) == b""


def test_hundreds_of_silent_connections_do_not_stop_the_others(still_well):
    silent = [still_well.client().raw(b"POST /v1/ch") for _ in range(300)]
    try:
        assert still_well.chat("mock").status == 200
    finally:
        for s in silent:
            s.close()
    eventually(lambda: still_well.chat("mock").status == 200)


@pytest.mark.parametrize("path", ["/v1/models/..%2f..%2fetc", "/%00", "/%zz", "//", "/?" + "&" * 5000,
                                  "/v1/models/%ff%fe", "http://localhost/healthz", "*"])
def test_odd_paths_get_a_status(still_well, path):
    data = exchange(still_well, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
                    b"Connection: close\r\n\r\n")
    assert status_of(data) in (200, 400, 404, 403), data[:300]


@pytest.mark.parametrize("body", [b'{"model":"mock","messages":' + b"[" * 100000,
                                  b'{"model":"mock","model":"mock","messages":[]}',
                                  b'{"model":"mo\xff\xfe","messages":[]}',
                                  b'{"model":"mock","messages":[]} trailing', b"\xef\xbb\xbf{}"])
def test_odd_json_is_400(still_well, body):
    answer = still_well.client().request("POST", "/v1/chat/completions", body)
    assert answer.status == 400, answer
    assert answer.json()["error"]["type"] == "invalid_request_error"
