"""Chat completions through an OpenAI-compatible upstream."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.proxy import entry, free_port
from support.upstream import (chat_chunks, chat_reply, error, event, redirect, refuse, reply, sse,
                              trickle, usage_chunk)

# Odd spacing, key order, big numbers, escapes and unknown members: all must survive.
BODY = ('{ "temperature":1.0,  "messages" : [{"role":"user","content":"caf\\u00e9 \U0001F600 \\/"}],'
        '\n "model": "%s", "seed": 12345678901234567890, "empty": [], "none": {}, "x_unknown":'
        ' {"b":1e2,"a":null}%s}')


@pytest.mark.smoke
def test_the_upstream_sees_the_clients_bytes_but_for_the_model(served, upstream):
    answer = served.client().request("POST", "/v1/chat/completions", BODY % ("nice", ""))
    assert answer.status == 200, answer
    assert upstream.last.body.decode() == BODY % ("vendor/real-model", "")
    assert upstream.last.path == "/v1/chat/completions"
    assert upstream.last.method == "POST"


def test_a_streamed_request_keeps_its_bytes_too(served, upstream):
    rest = ', "stream":true, "stream_options": {"include_usage":true}'
    upstream.always(sse(*chat_chunks("a"), usage_chunk()))
    with served.client().open_stream("/v1/chat/completions", BODY % ("nice", rest)) as stream:
        assert stream.text() == "a"
    assert upstream.last.body.decode() == BODY % ("vendor/real-model", rest)
    assert upstream.last.header("accept") == "text/event-stream"


def test_the_reply_comes_back_with_its_unknown_members(served, upstream):
    body = chat_reply("Hello", system_fingerprint="fp", x_own={"b": [], "a": {}})
    upstream.always(reply(body))
    answer = served.chat("nice")
    got = answer.json()
    body.pop("model"), got.pop("model")
    assert got == body
    assert answer.headers["X-Request-Id"]


@pytest.mark.smoke
def test_a_stream_arrives_event_by_event(served, upstream):
    upstream.always(sse(*chat_chunks("one ", "two ", "three")))
    with served.stream("nice") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers["Cache-Control"] == "no-cache"
        assert stream.headers["X-Accel-Buffering"] == "no"
        assert stream.text() == "one two three"
    assert stream.raw.endswith(b"data: [DONE]\n\n")


def test_a_name_in_front_picks_the_upstream_for_any_model(served, upstream):
    assert served.chat("scripted://vendor/model:free").status == 200
    assert upstream.last.json()["model"] == "vendor/model:free"
    assert served.chat("SCRIPTED://other").status == 200
    assert upstream.last.json()["model"] == "other"


def test_an_alias_after_the_name_is_still_translated(served, upstream):
    assert served.chat("scripted://nice").status == 200
    assert upstream.last.json()["model"] == "vendor/real-model"


def test_two_keys_take_turns(make_proxy, upstream):
    proxy = make_proxy({"workers": 1, "openai-compatibility": [entry(upstream, ["sk-a-1", "sk-b-2"])]})
    for _ in range(6):
        assert proxy.chat("nice").status == 200
    keys = [r.key for r in upstream.requests]
    assert sorted(keys) == ["sk-a-1"] * 3 + ["sk-b-2"] * 3
    assert all(a != b for a, b in zip(keys, keys[1:]))


def test_the_older_form_of_keys_works(make_proxy, upstream):
    one = {k: v for k, v in entry(upstream).items() if k != "api-key-entries"}
    proxy = make_proxy({"openai-compatibility": [{**one, "api-keys": ["sk-old-form"]}]})
    assert proxy.chat("nice").status == 200
    assert upstream.last.key == "sk-old-form"


def test_an_entry_without_keys_sends_no_authorization(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, [])]})
    assert proxy.chat("nice").status == 200
    assert upstream.last.header("authorization") is None


@pytest.mark.parametrize("kind,login", [("socks5", {}), ("http", {}),
                                        ("socks5", {"user": "joe", "password": "p4ss-canary"})])
def test_one_key_behind_a_proxy(make_proxy, upstream, make_forward, kind, login):
    forward = make_forward(kind, **login)
    proxy = make_proxy({"openai-compatibility": [
        entry(upstream, ["sk-direct", ("sk-behind", forward.url)])]})
    for _ in range(4):
        assert proxy.chat("nice").status == 200
    assert sorted(r.key for r in upstream.requests) == ["sk-behind"] * 2 + ["sk-direct"] * 2
    assert forward.used and all(port == upstream.port for _, port in forward.used)
    assert not forward.refused
    assert "p4ss-canary" not in proxy.log


def test_a_proxy_that_is_down_never_means_a_direct_connection(make_proxy, upstream):
    dead = f"socks5://127.0.0.1:{free_port()}"
    proxy = make_proxy({"openai-compatibility": [entry(upstream, [("sk-behind", dead)])]})
    assert proxy.chat("nice").status == 502
    assert not upstream.requests


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_that_is_the_keys_moves_on_to_the_next_key(make_proxy, upstream, status, streamed):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, ["sk-a-1", "sk-b-2"])]})
    upstream.then(error(status), sse(*chat_chunks("good")) if streamed else reply(chat_reply("good")))
    if streamed:
        with proxy.stream("nice") as stream:
            assert stream.status == 200 and stream.text() == "good"
    else:
        answer = proxy.chat("nice")
        assert answer.status == 200, answer
        assert answer.json()["choices"][0]["message"]["content"] == "good"
    assert len({r.key for r in upstream.requests}) == 2


def test_an_upstream_that_hangs_up_moves_on_to_the_next_key(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, ["sk-a-1", "sk-b-2"])]})
    upstream.then(refuse)
    answer = proxy.chat("nice")
    assert answer.status == 200, answer


@pytest.mark.parametrize("status", [400, 422])
def test_a_fault_of_the_request_is_returned_at_once(make_proxy, upstream, status):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, ["sk-a-1", "sk-b-2"])]})
    upstream.always(error(status, "context too long", type="invalid_request_error",
                          code="context_length_exceeded"))
    answer = proxy.chat("nice")
    assert answer.status == status
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert len(upstream.requests) == 1


def test_a_benched_key_is_left_alone(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, ["sk-a-1", "sk-b-2"])]})
    upstream.then(error(401))
    for _ in range(5):
        assert proxy.chat("nice").status == 200
    first = upstream.requests[0].key
    assert [r.key for r in upstream.requests].count(first) == 1


def test_all_keys_out_of_quota_gives_429_and_says_when(served, upstream):
    upstream.always(error(429, headers={"Retry-After": "77"}))
    first = served.chat("nice")
    assert first.status == 429
    before = len(upstream.requests)
    second = served.chat("nice")
    assert second.status == 429
    assert 1 <= int(second.headers["Retry-After"]) <= 77
    assert second.json()["error"]["code"] == "rate_limit_exceeded"
    assert len(upstream.requests) == before


def test_one_502_does_not_bench_the_only_key(served, upstream):
    upstream.then(error(502))
    served.chat("nice")
    assert served.chat("nice").status == 200


def test_an_error_before_the_first_byte_of_a_stream_is_plain_json(served, upstream):
    upstream.always(error(400, "no such tool", type="invalid_request_error"))
    with served.stream("nice") as stream:
        assert stream.status == 400
        assert stream.headers["Content-Type"].startswith("application/json")
        assert json.loads(stream.read())["error"]["message"] == "no such tool"


def test_an_unreachable_upstream_is_502_in_the_clients_dialect(make_proxy, upstream):
    gone = {**entry(upstream), "base-url": f"http://127.0.0.1:{free_port()}/v1"}
    proxy = make_proxy({"openai-compatibility": [gone]})
    answer = proxy.chat("nice")
    assert answer.status == 502
    problem = answer.json()["error"]
    assert set(problem) == {"message", "type", "param", "code"}
    assert problem["type"] == "server_error"
    assert "sk-upstream" not in answer.text


def test_an_error_page_becomes_a_short_error(served, upstream):
    upstream.always(reply("<html><body><h1>Bad gateway</h1>" + "x" * 9000 + "</body></html>", 502,
                          content_type="text/html"))
    answer = served.chat("nice")
    assert answer.status in (502, 503)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert len(answer.json()["error"]["message"]) < 3000


def test_a_redirect_takes_no_key_elsewhere(make_upstream, make_proxy):
    first, second = make_upstream(), make_upstream()
    first.always(redirect(second.url + "/chat/completions"))
    proxy = make_proxy({"openai-compatibility": [entry(first)]})
    assert proxy.chat("nice").status >= 300
    assert not second.requests


@pytest.mark.parametrize("body,param", [('{"model": "nice", "messages": ', None), ("nonsense", None),
                                        ("", None), ('{"messages": []}', "model"),
                                        ('{"model": "", "messages": []}', "model")])
def test_a_body_that_cannot_be_read_is_400(served, upstream, body, param):
    answer = served.client().request("POST", "/v1/chat/completions", body)
    assert answer.status == 400
    problem = answer.json()["error"]
    assert problem["type"] == "invalid_request_error"
    assert problem["param"] == param
    assert not upstream.requests


def test_an_unknown_model_is_404_with_its_code(served):
    answer = served.chat("no-such-model")
    assert answer.status == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "no-such-model" in answer.json()["error"]["message"]


def test_a_200_that_is_an_error_is_an_error(served, upstream):
    upstream.always(reply({"error": {"message": "out of credits", "code": 402}}))
    assert served.chat("nice").status in (402, 502)


def test_own_headers_of_an_entry_are_sent(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [
        entry(upstream, headers={"X-Title": "mine", "X-Copied": "$X-From-Client"})]})
    assert proxy.chat("nice", headers={"X-From-Client": "theirs", "X-Other": "no"}).status == 200
    assert upstream.last.header("x-title") == "mine"
    assert upstream.last.header("x-copied") == "theirs"
    assert upstream.last.header("x-other") is None


def test_connections_to_the_upstream_are_used_again(make_proxy, upstream):
    proxy = make_proxy({"workers": 1, "openai-compatibility": [entry(upstream)]})
    for _ in range(10):
        assert proxy.chat("nice").status == 200
    assert upstream.connections == 1


def test_many_at_once_get_their_own_answers(served, upstream):
    def echo(c):
        text = c.request.json()["messages"][0]["content"]
        sse(*chat_chunks(*text))(c)
    upstream.always(echo)

    def one(i):
        with served.stream("nice", messages=[{"role": "user", "content": f"number {i}"}]) as s:
            return s.text()
    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(one, range(200))) == [f"number {i}" for i in range(200)]


def test_events_split_in_odd_places_arrive_whole(served, upstream):
    wire = b"".join(event(c) for c in chat_chunks("caf\u00e9", "\U0001F600")) + event("[DONE]")
    upstream.always(trickle(wire))
    with served.stream("nice") as stream:
        assert stream.text() == "caf\u00e9\U0001F600"
