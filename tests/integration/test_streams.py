"""How streams end, wait, and are given up."""
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.client import seconds_until
from support.proxy import entry, eventually
from support.upstream import (broken_chunking, chat_chunk, chat_chunks, chat_reply, cut, error,
                              event, huge, reply, reset, sse, sse_then, stall, usage_chunk)


def ends_in_error(stream):
    """The events of a stream that must end in an error event, cleanly framed, without [DONE]."""
    events = list(stream.events())
    assert stream.status == 200
    assert stream.clean, "the connection was cut instead of being ended"
    assert "[DONE]" not in events
    problem = json.loads(events[-1])["error"]
    assert problem["message"] and {"type", "param", "code"} <= set(problem)
    return events


@pytest.mark.smoke
@pytest.mark.parametrize("damage", [cut, reset, broken_chunking], ids=lambda d: d.__name__)
def test_a_stream_that_breaks_ends_in_an_error_event(served, upstream, damage):
    upstream.always(sse_then(chat_chunks("half")[:2], damage))
    with served.stream("nice") as stream:
        events = ends_in_error(stream)
    assert json.loads(events[1])["choices"][0]["delta"]["content"] == "half"


def test_a_stream_that_just_stops_is_truncated(served, upstream):
    upstream.always(sse(*chat_chunks("half")[:2], done=False))
    with served.stream("nice") as stream:
        ends_in_error(stream)


def test_a_missing_done_is_supplied_after_a_finish_reason(served, upstream):
    upstream.always(sse(*chat_chunks("whole"), done=False))
    with served.stream("nice") as stream:
        assert list(stream.events())[-1] == "[DONE]"


def test_an_error_object_inside_a_stream_is_an_error(served, upstream):
    upstream.always(sse(chat_chunk("half"), {"error": {"message": "no more", "code": 503}}))
    with served.stream("nice") as stream:
        events = ends_in_error(stream)
    assert "no more" in events[-1]


def test_a_bare_error_inside_a_stream_is_an_error(served, upstream):
    bare = {"object": "error", "message": "The engine is dead.", "type": "x", "code": 500}
    upstream.always(sse(*chat_chunks("a")[:2], bare))
    with served.stream("nice") as stream:
        data = stream.read()
    assert b'"error":{' in data and b"The engine is dead." in data and b"[DONE]" not in data
    upstream.always(reply(bare))
    assert served.chat("nice").status == 500


def test_an_error_as_the_first_event_gets_a_real_status(served, upstream):
    upstream.always(sse({"error": {"message": "no more", "code": 402}}))
    with served.stream("nice") as stream:
        assert stream.status in (402, 502)
        assert "no more" in stream.read().decode()


def test_events_that_are_not_json_do_not_hang(served, upstream):
    upstream.always(sse(chat_chunk("a"), b"data: {broken\n\n", done=False))
    with served.stream("nice") as stream:
        list(stream.events())
        assert stream.clean


def test_an_event_without_a_blank_line_at_the_end_is_not_content(served, upstream):
    upstream.always(sse(*chat_chunks("ok"), b'data: {"half', done=False))
    with served.stream("nice") as stream:
        assert list(stream.events())[-1] == "[DONE]"
    assert b"half" not in stream.raw


def test_comments_and_other_fields_are_dropped(served, upstream):
    upstream.always(sse(b": OPENROUTER PROCESSING\n\n", b"id: 7\nretry: 10\n" +
                        event(chat_chunk("a")), b"\n\n\n", event(chat_chunk(finish="stop"))))
    with served.stream("nice") as stream:
        assert stream.text() == "a"
    assert b"PROCESSING" not in stream.raw
    assert b"id: 7" not in stream.raw and b"retry" not in stream.raw


def test_crlf_lines_and_data_on_several_lines_are_read(served, upstream):
    chunk = json.dumps(chat_chunk("two lines"), indent=1).splitlines()
    wire = "".join(f"data: {line}\r\n" for line in chunk).encode() + b"\r\n"
    upstream.always(sse(wire, chat_chunk(finish="stop")))
    with served.stream("nice") as stream:
        assert stream.text() == "two lines"


def test_a_json_reply_to_a_streamed_request_is_not_passed_as_a_stream(served, upstream):
    upstream.always(reply(chat_reply("plain")))
    with served.stream("nice") as stream:
        data = stream.read()
    assert stream.clean
    assert data.strip()


@pytest.mark.parametrize("asked", [False, True])
def test_the_usage_chunk_comes_only_to_those_who_asked(served, upstream, asked):
    upstream.always(sse(*chat_chunks("a"), usage_chunk(5, 3)))
    options = {"stream_options": {"include_usage": True}} if asked else {}
    with served.stream("nice", **options) as stream:
        chunks = list(stream.chunks())
    assert upstream.last.json()["stream_options"]["include_usage"] is True
    assert [c for c in chunks if c["choices"] == []] == ([usage_chunk(5, 3)] if asked else []) or \
        (asked and chunks[-1]["usage"]["total_tokens"] == 8)


def test_an_entry_may_switch_the_usage_request_off(make_proxy, upstream):
    upstream.always(sse(*chat_chunks("a")))
    proxy = make_proxy({"openai-compatibility": [entry(upstream, **{"stream-usage": False})]})
    with proxy.stream("nice") as stream:
        assert stream.text() == "a"
    assert "stream_options" not in upstream.last.json()


def test_a_waiting_stream_is_kept_alive(make_proxy, upstream):
    go = threading.Event()
    upstream.always(sse(*chat_chunks("late"), between=lambda i: i == 0 and go.wait(60)))
    proxy = make_proxy({"streaming": {"keepalive-seconds": 1},
                        "openai-compatibility": [entry(upstream)]})
    with proxy.stream("nice") as stream:
        lines = stream.lines()
        assert next(lines) == b": keep-alive\n"
        go.set()
        assert stream.text() == "late"


def test_a_failure_after_a_keepalive_still_tries_the_next_key(make_proxy, upstream):
    go = threading.Event()

    def slow_failure(c):
        go.wait(60)
        error(500)(c)
    upstream.then(slow_failure).always(sse(*chat_chunks("second")))
    proxy = make_proxy({"streaming": {"keepalive-seconds": 1},
                        "openai-compatibility": [entry(upstream, ["sk-a-1", "sk-b-2"])]})
    with proxy.stream("nice") as stream:
        assert next(stream.lines()) == b": keep-alive\n"
        go.set()
        assert stream.text() == "second"


@pytest.mark.smoke
@pytest.mark.parametrize("when", ["before the head", "in the middle"])
def test_a_client_that_leaves_cancels_its_upstream(served, upstream, when, record_property):
    upstream.always(stall if when == "before the head" else
                    sse_then(chat_chunks("a")[:2], stall))
    if when == "before the head":
        s = served.client().raw()
        body = b'{"model":"nice","messages":[{"role":"user","content":"hi"}]}'
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                  b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        request = upstream.wait_requests(1)
        s.close()
    else:
        stream = served.stream("nice")
        next(stream.events())
        request = upstream.wait_requests(1)
        stream.close()
    took = seconds_until(request.gone, 5)
    record_property("cancel_seconds", took)
    print(f"the upstream call ended {took * 1000:.0f} ms after the client left")


def test_the_first_byte_has_a_time_limit(make_proxy, upstream):
    upstream.always(stall)
    proxy = make_proxy({"timeouts": {"first-byte": 1}, "openai-compatibility": [entry(upstream)]})
    answer = proxy.chat("nice")
    assert answer.status == 504
    assert answer.json()["error"]["code"] == "timeout"


def test_silence_in_a_stream_has_a_time_limit(make_proxy, upstream):
    upstream.always(sse_then(chat_chunks("a")[:2], stall))
    proxy = make_proxy({"timeouts": {"idle": 1}, "openai-compatibility": [entry(upstream)]})
    with proxy.stream("nice") as stream:
        ends_in_error(stream)


@pytest.mark.slow
def test_a_slow_client_slows_its_upstream(served, upstream):
    flood = huge(50 * 2**20)
    upstream.always(flood)
    stream = served.stream("nice")
    try:
        next(stream.events())
        last = -1
        # The upstream is held back once the sockets in between are full.
        while flood.sent != last:
            last = flood.sent
            time.sleep(1)
        assert flood.sent < 40 * 2**20
        stream.read()
        assert stream.clean and stream.raw.endswith(b"data: [DONE]\n\n")
        assert len(stream.raw) > 45 * 2**20
    finally:
        stream.close()


@pytest.mark.slow
def test_slow_clients_do_not_fill_the_memory(served, upstream):
    upstream.always(huge(50 * 2**20))
    assert served.chat("none").status == 404
    before = served.resident_mib()
    streams = [served.stream("nice") for _ in range(50)]
    try:
        for stream in streams:
            next(stream.events())
        time.sleep(3)
        grown = served.resident_mib() - before
        print(f"50 slow clients: {grown:.0f} MiB more ({before:.0f} before)")
        # Sanitizers make memory large; without a limit this would be gigabytes.
        assert grown < 600
    finally:
        for stream in streams:
            stream.close()
    eventually(lambda: all(r.answered.is_set() for r in upstream.requests), 60)


def test_an_event_of_some_megabytes_arrives_whole(served, upstream):
    text = "m" * (5 * 2**20)
    upstream.always(sse(*chat_chunks(text)))
    with served.stream("nice") as stream:
        assert stream.text() == text


@pytest.mark.smoke
def test_many_streams_run_side_by_side(served, upstream):
    gate = threading.Barrier(41)
    upstream.always(sse(*chat_chunks("a", "b"), between=lambda i: i == 2 and gate.wait(60)))

    def one(_):
        with served.stream("nice") as stream:
            return stream.text()
    with ThreadPoolExecutor(40) as pool:
        texts = pool.map(one, range(40))
        gate.wait(60)
        assert list(texts) == ["ab"] * 40
