"""Every client dialect against every upstream dialect."""
import base64
import json
import re
import threading
import time

import pytest

from support.dialects import (DIALECTS, KEY, answering, ask, call_stream, config, gemini_chunk,
                              named, read_stream, read_whole, text_stream, text_whole)
from support.upstream import cut, error, event, reply, sse, sse_then, trickle

PAIRS = [(c, u) for c in DIALECTS for u in DIALECTS]
SAME = [(d, d) for d in DIALECTS]
CROSS = [p for p in PAIRS if p[0] != p[1]]


@pytest.fixture
def connect(make_proxy, make_upstream):
    """A proxy in front of a scripted upstream of a dialect."""
    def make(dialect, strict=True, **more):
        upstream = make_upstream(allowed={"x-goog-api-key"} if dialect == "gemini" else (),
                                 agents=("cli-proxy-api/", "sdk/"),
                                 dialect=dialect if strict else None)
        if dialect != "gemini":
            upstream.keys = [KEY]
        return make_proxy({**config(dialect, upstream), **more}), upstream
    return make


def stream_of(proxy, path, body, headers=None):
    with proxy.client().open_stream(path, body, headers) as stream:
        assert stream.status == 200, stream.read()
        return list(stream.events())


@pytest.mark.parametrize("client,kind", PAIRS)
def test_a_whole_answer_arrives(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(answering(kind, text_stream(kind, "Hi ", "there"),
                              text_whole(kind, "Hi there")))
    path, body = ask(client, False)
    answer = proxy.client().request("POST", path, body)
    assert answer.status == 200, answer
    assert read_whole(client, answer.json()) == ("Hi there", [], "nice")
    if kind != "gemini":
        assert upstream.last.json()["model"] == "real-model"
    else:
        assert upstream.last.path.startswith("/v1beta/models/real-model:")
        assert upstream.last.header("x-goog-api-key") == KEY


@pytest.mark.parametrize("client,kind", PAIRS)
def test_a_stream_arrives(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(answering(kind, text_stream(kind, "Hi ", "there"),
                              text_whole(kind, "Hi there")))
    events = stream_of(proxy, *ask(client, True))
    assert read_stream(client, events) == ("Hi there", [], "nice")


@pytest.mark.parametrize("client,kind", PAIRS)
def test_a_streamed_tool_call_arrives(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(sse(*call_stream(kind), done=False))
    events = stream_of(proxy, *ask(client, True, tool=True))
    assert read_stream(client, events) == ("", [("weather", {"city": "Oslo"})], "nice")
    sent = json.dumps(upstream.last.json())
    assert '"weather"' in sent and '"city"' in sent


@pytest.mark.parametrize("client,kind", PAIRS)
def test_an_upstream_that_answers_a_stream_request_whole_still_streams(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(reply(text_whole(kind, "Hi there")))
    events = stream_of(proxy, *ask(client, True))
    assert read_stream(client, events) == ("Hi there", [], "nice")


@pytest.mark.parametrize("client,kind", PAIRS)
def test_an_upstream_that_streams_what_was_wanted_whole_is_gathered(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(sse(*call_stream(kind), done=False))
    path, body = ask(client, False, tool=True)
    answer = proxy.client().request("POST", path, body)
    assert answer.status == 200, answer
    assert read_whole(client, answer.json()) == ("", [("weather", {"city": "Oslo"})], "nice")


@pytest.mark.parametrize("client,kind", PAIRS)
def test_pitfall_30_letters_that_are_split_between_reads_stay_whole(connect, client, kind):
    proxy, upstream = connect(kind)
    spoken = "Grüße, 世界 🎉"
    wire = b"".join(e if isinstance(e, bytes) else event(e)
                    for e in text_stream(kind, spoken[:3], spoken[3:])).decode()
    wire = re.sub(r"(\\u[0-9a-f]{4})+", lambda m: json.loads(f'"{m[0]}"'), wire)
    upstream.always(trickle(wire.encode()))
    assert read_stream(client, stream_of(proxy, *ask(client, True))) == (spoken, [], "nice")


@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_pitfall_30_a_picture_of_megabytes_in_one_event_arrives(connect, client):
    proxy, upstream = connect("gemini")
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(5 * 2**20)).decode()
    upstream.always(sse(gemini_chunk([{"inlineData": {"mimeType": "image/png", "data": data}}]),
                        *text_stream("gemini", "there"), done=False))
    events = stream_of(proxy, *ask(client, True))
    assert any(data in e for e in events)
    assert read_stream(client, events)[0] == "there"


def check_problem(client, body, status):
    if client == "anthropic":
        assert body["type"] == "error" and body["error"]["type"] and body["error"]["message"]
    elif client == "gemini":
        assert body["error"]["code"] == status and body["error"]["status"]
    else:
        assert {"message", "type", "param", "code"} <= set(body["error"])


@pytest.mark.parametrize("client,kind", PAIRS)
def test_a_refusal_has_the_clients_form(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(error(400, "the upstream says no"))
    for stream in (False, True):
        path, body = ask(client, stream)
        answer = proxy.client().request("POST", path, body)
        assert answer.status == 400
        check_problem(client, answer.json(), 400)
        assert "the upstream says no" in answer.text


def last_problem(client, events):
    last = json.loads(events[-1])
    if client == "responses":
        assert [json.loads(e)["type"] for e in events[-2:]] == ["error", "response.failed"]
        assert last["response"]["status"] == "failed"
        assert last["response"]["error"]["message"]
        assert last["sequence_number"] == json.loads(events[-2])["sequence_number"] + 1
    elif client == "anthropic":
        assert last["type"] == "error"
    else:
        assert last["error"]["message"]


@pytest.mark.parametrize("how", ["cut", "end"])
@pytest.mark.parametrize("client,kind", PAIRS)
def test_a_stream_that_stops_early_ends_in_the_clients_error_event(connect, client, kind, how):
    proxy, upstream = connect(kind)
    events = text_stream(kind, "half", "more")
    kept = {"chat": 2, "responses": 4, "anthropic": 3, "gemini": 1}[kind]
    upstream.always(sse_then(events[:kept], cut if how == "cut" else lambda c: c.end()))
    last_problem(client, stream_of(proxy, *ask(client, True)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", [d for d in DIALECTS if d != "chat"])
def test_pitfall_20_an_end_that_only_the_sentinel_tells_is_an_end(connect, client, stream):
    proxy, upstream = connect("chat")
    events = text_stream("chat", "Hi ", "there")
    del events[-3:-1]
    upstream.always(sse(*events, done=False))
    path, body = ask(client, stream)
    if stream:
        assert read_stream(client, stream_of(proxy, path, body)) == ("Hi there", [], "nice")
    else:
        assert read_whole(client, proxy.client().request("POST", path, body).json())[0] == "Hi there"


@pytest.mark.parametrize("client", DIALECTS)
def test_bad_json_gets_the_official_400(connect, client):
    proxy, _ = connect("chat")
    path, _ = ask(client, False)
    answer = proxy.client().request("POST", path, b'{"model": "nice", ')
    assert answer.status == 400
    check_problem(client, answer.json(), 400)


@pytest.mark.parametrize("kind,name", [("anthropic", "betas"), ("responses", "input")])
def test_a_name_given_twice_where_the_proxy_has_to_edit_is_refused(connect, kind, name):
    proxy, upstream = connect(kind, strict=False)
    path, _ = ask(kind, False)
    twice = f'"{name}": "a", "{name}": ["b"]'
    body = '{"model": "nice", "max_tokens": 5, "messages": [], ' + twice + "}"
    answer = proxy.client().request("POST", path, body)
    assert answer.status in (200, 400)
    if upstream.requests:
        return
    check_problem(kind, answer.json(), 400)
    upstream.always(reply(text_whole(kind, "fine")))
    path, body = ask(kind, False)
    assert proxy.client().request("POST", path, body).status == 200


@pytest.mark.parametrize("client", DIALECTS)
def test_every_dialect_can_talk_to_the_mock(mock, client):
    path, body = ask(client, True, "Are you there?")
    if client == "gemini":
        path = path.replace("nice", "mock")
    else:
        body["model"] = "mock"
    text, _, model = read_stream(client, stream_of(mock, path, body))
    assert text == "You said: Are you there?" and model == "mock"


@pytest.mark.parametrize("client", DIALECTS)
def test_silence_is_filled_in_the_clients_way(connect, client):
    proxy, upstream = connect("chat", streaming={"keepalive-seconds": 1})
    events = text_stream("chat", "Hi there")
    upstream.always(sse(*events, done=False, between=lambda i: time.sleep(2.5) if i == 0 else None))
    path, body = ask(client, True)
    with proxy.client().open_stream(path, body) as stream:
        seen = list(stream.events())
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    assert (ping if client == "anthropic" else b": keep-alive\n\n") in stream.raw
    seen = [e for e in seen if e != '{"type":"ping"}']
    assert read_stream(client, seen)[0] == "Hi there"


def test_what_was_lost_is_told_in_a_header(connect):
    proxy, upstream = connect("anthropic")
    upstream.always(sse(*text_stream("anthropic", "x"), done=False))
    for stream in (False, True):
        path, body = ask("chat", stream)
        body["seed"] = 7
        with proxy.client().open_stream(path, body) as answer:
            assert "seed" in answer.headers["x-translation-warnings"]
            answer.read()


# --- passthrough -----------------------------------------------------------------------------------

def test_anthropic_bytes_and_headers_of_a_client_go_through(connect):
    proxy, upstream = connect("anthropic", strict=False)
    upstream.always(reply(text_whole("anthropic", "x")))
    body = b'{ "model":"nice", "max_tokens":5, "x": 1.00,  "messages":[], "betas":["two","one"] }'
    proxy.client().request("POST", "/v1/messages?beta=true", body, {
        "anthropic-version": "2026-10-21", "anthropic-beta": "one, three", "User-Agent": "sdk/1",
        "X-Stainless-Lang": "py", "Cookie": "secret=1", "X-Other": "no"})
    sent = upstream.last
    assert sent.path == "/v1/messages?beta=true"
    assert sent.body == b'{ "model":"real-model", "max_tokens":5, "x": 1.00,  "messages":[] }'
    assert sent.header("anthropic-version") == "2026-10-21"
    assert sent.header("anthropic-beta") == "one,three,two"
    assert sent.header("x-stainless-lang") == "py" and sent.header("user-agent") == "sdk/1"
    assert sent.header("x-other") is None


def test_other_dialects_send_anthropic_what_its_protocol_needs(connect):
    proxy, upstream = connect("anthropic")
    upstream.always(sse(*text_stream("anthropic", "x"), done=False))
    path, body = ask("chat", False)
    assert proxy.client().request("POST", path, body, {"anthropic-beta": "no"}).status == 200
    assert upstream.last.header("anthropic-version") == "2023-06-01"
    assert upstream.last.header("anthropic-beta") is None
    assert upstream.last.json()["stream"] is True


def test_codex_requests_are_streamed_and_never_stored(connect):
    proxy, upstream = connect("responses")
    upstream.always(sse(*text_stream("responses", "Hi"), done=False))
    answer = proxy.client().request("POST", "/v1/responses", {
        "model": "nice", "input": "Hello", "temperature": 0.5,
        "tools": [{"type": "web_search_preview"}]})
    assert read_whole("responses", answer.json()) == ("Hi", [], "nice")
    sent = upstream.last.json()
    assert sent["stream"] is True and sent["store"] is False and sent["instructions"] == ""
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert sent["input"][0]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert sent["tools"] == [{"type": "web_search"}] and sent["temperature"] == 0.5
    assert upstream.last.path == "/v1/responses"


def test_an_empty_output_of_the_last_event_is_rebuilt(connect):
    proxy, upstream = connect("responses")
    events = text_stream("responses", "Hi")
    last = json.loads(events[-1].split(b"data: ")[1])
    last["response"]["output"] = []
    events[-1] = named(last)[0]
    upstream.always(sse(*events, done=False))
    path, body = ask("responses", True)
    assert read_stream("responses", stream_of(proxy, path, body)) == ("Hi", [], "nice")
    path, body = ask("responses", False)
    answer = proxy.client().request("POST", path, body)
    assert read_whole("responses", answer.json()) == ("Hi", [], "nice")


def test_a_failure_behind_the_handshake_gets_a_real_status(connect):
    proxy, upstream = connect("responses")
    created = text_stream("responses", "x")[0]
    upstream.always(sse(created, *named({
        "type": "response.failed", "response": {"id": "r", "status": "failed", "error": {
            "code": "rate_limit_exceeded", "message": "slow down"}}}), done=False))
    for client in ("responses", "anthropic"):
        path, body = ask(client, True)
        answer = proxy.client().request("POST", path, body)
        assert answer.status == 429 and "slow down" in answer.text


def test_names_of_efforts_are_models_of_codex(make_proxy, make_upstream):
    upstream = make_upstream()
    upstream.always(sse(*text_stream("responses", "x"), done=False))
    proxy = make_proxy({"codex-api-key": [{
        "api-key": KEY, "base-url": upstream.url, "excluded-models": ["codex-mini*"]}]})
    names = [m["id"] for m in proxy.get("/v1/models").json()["data"]]
    assert {"gpt-5", "gpt-5-minimal", "gpt-5-codex-high"} <= set(names)
    assert "gpt-5-codex-minimal" not in names and "codex-mini-latest" not in names
    for client in ("responses", "anthropic", "chat"):
        path, body = ask(client, False)
        body["model"] = "gpt-5-high"
        assert proxy.client().request("POST", path, body).status == 200
        sent = upstream.last.json()
        assert sent["model"] == "gpt-5" and sent["reasoning"]["effort"] == "high"


def test_a_refused_signature_is_tried_once_more_without_thinking(connect):
    proxy, upstream = connect("anthropic")
    refusal = reply({"type": "error", "error": {
        "type": "invalid_request_error",
        "message": "messages.1.content.0: Invalid `signature` in `thinking` block"}}, 400)
    upstream.then(refusal).always(reply(text_whole("anthropic", "fine")))
    path, body = ask("anthropic", False)
    body["messages"] += [
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqABunknown="},
            {"type": "text", "text": "yes"}]},
        {"role": "user", "content": "go on"}]
    answer = proxy.client().request("POST", path, body)
    assert answer.status == 200 and len(upstream.requests) == 2
    assert "EqABunknown=" in upstream.requests[0].body.decode()
    assert "EqABunknown=" not in upstream.last.body.decode()
    upstream.always(refusal)
    assert proxy.client().request("POST", path, body).status == 400
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("client", DIALECTS)
def test_an_amount_of_reasoning_may_stand_behind_the_name(connect, client):
    proxy, upstream = connect("chat")
    upstream.always(answering("chat", text_stream("chat", "x"), text_whole("chat", "x")))
    path, body = ask(client, False)
    path = path.replace("nice", "nice(high)")
    if "model" in body:
        body["model"] = "nice(high)"
    answer = proxy.client().request("POST", path, body)
    assert read_whole(client, answer.json()) == ("x", [], "nice(high)")
    assert upstream.last.json()["model"] == "real-model"
    assert upstream.last.json()["reasoning_effort"] == "high"


# --- Gemini's framings and paths ---------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["gemini", "chat"])
def test_gemini_clients_may_have_a_json_array(connect, kind):
    proxy, upstream = connect(kind)
    upstream.always(sse(*text_stream(kind, "Hi ", "there"), done=False))
    _, body = ask("gemini", True)
    with proxy.client().open_stream("/v1beta/models/nice:streamGenerateContent?alt=json",
                                    body) as stream:
        assert stream.headers["content-type"] == "application/json"
        chunks = json.loads(stream.read())
    assert read_stream("gemini", [json.dumps(c) for c in chunks])[0] == "Hi there"


def test_an_array_that_breaks_ends_with_the_error_as_its_last_element(connect):
    proxy, upstream = connect("gemini")
    upstream.always(sse_then([gemini_chunk([{"text": "half"}])], cut))
    _, body = ask("gemini", True)
    with proxy.client().open_stream("/v1beta/models/nice:streamGenerateContent?alt=json",
                                    body) as stream:
        chunks = json.loads(stream.read())
    assert len(chunks) == 2 and chunks[1]["error"]["message"]


@pytest.mark.parametrize("prefix", ["/v1beta/models/", "/v1/models/", "/v1beta/models/models%2F"])
def test_gemini_paths_name_the_model(connect, prefix):
    proxy, upstream = connect("gemini")
    upstream.always(reply(text_whole("gemini", "x")))
    _, body = ask("gemini", False)
    answer = proxy.client().request("POST", prefix + "nice:generateContent", body)
    assert answer.status == 200
    assert upstream.last.path == "/v1beta/models/real-model:generateContent"
    assert proxy.client().request("POST", prefix + "nice:think", body).status == 404
    assert proxy.client().request("POST", prefix + "nice", body).status == 404


@pytest.mark.parametrize("kind", ["gemini", "chat"])
def test_gemini_cli_speaks_wrapped(connect, kind):
    proxy, upstream = connect(kind)
    upstream.always(answering(kind, text_stream(kind, "Hi"), text_whole(kind, "Hi")))
    body = {"model": "nice", "project": "p", "request": ask("gemini", False)[1]}
    answer = proxy.client().request("POST", "/v1internal:generateContent", body)
    assert read_whole("gemini", answer.json()["response"]) == ("Hi", [], "nice")
    events = stream_of(proxy, "/v1internal:streamGenerateContent?alt=sse", body)
    inner = [json.dumps(json.loads(e)["response"]) for e in events]
    assert read_stream("gemini", inner) == ("Hi", [], "nice")
    assert "project" not in upstream.last.json()
    away = proxy.client().request("POST", "/v1internal:generateContent", body,
                                  {"X-Forwarded-For": "192.0.2.1"})
    page = proxy.client().request("POST", "/v1internal:generateContent", body,
                                  {"Origin": "http://localhost:1"})
    assert page.status == 403
    assert away.status == 403 and away.json()["error"]["status"] == "PERMISSION_DENIED"


# --- counting ----------------------------------------------------------------------------------------

COUNTS = {"anthropic": ("/v1/messages/count_tokens", "input_tokens"),
          "responses": ("/v1/responses/input_tokens", "input_tokens"),
          "gemini": ("/v1beta/models/nice:countTokens", "totalTokens")}


@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
@pytest.mark.parametrize("client", COUNTS)
def test_an_upstream_that_counts_is_asked(connect, client, kind):
    proxy, upstream = connect(kind)
    upstream.always(reply({"input_tokens": 42} if kind == "anthropic" else {"totalTokens": 42}))
    path, member = COUNTS[client]
    answer = proxy.client().request("POST", path, ask(client, False)[1])
    assert answer.status == 200 and answer.json()[member] == 42
    assert "count" in upstream.last.path


@pytest.mark.parametrize("client", COUNTS)
def test_without_a_counting_endpoint_there_is_an_estimate(connect, client):
    proxy, upstream = connect("chat")
    path, member = COUNTS[client]
    answer = proxy.client().request("POST", path, ask(client, False, "word " * 400)[1])
    assert answer.status == 200 and 100 < answer.json()[member] < 2000
    assert not upstream.requests


def test_a_large_body_is_counted_while_others_are_served(connect):
    proxy, _ = connect("chat", workers=1)
    body = ask("anthropic", False, "a name_of_some(function) = 12345 and words\n" * 500_000)[1]
    said = []
    counting = threading.Thread(target=lambda: said.append(
        proxy.client().request("POST", COUNTS["anthropic"][0], body)))
    counting.start()
    while counting.is_alive():
        assert proxy.get("/healthz").status == 200
    assert said[0].status == 200 and said[0].json()["input_tokens"] > 5_000_000


def test_a_failure_to_count_cools_nothing_down(connect):
    proxy, upstream = connect("anthropic")
    upstream.then(error(404, "no such endpoint"), error(429, "not so fast"))
    upstream.always(reply(text_whole("anthropic", "still here")))
    for _ in range(2):
        answer = proxy.client().request("POST", COUNTS["anthropic"][0], ask("anthropic", False)[1])
        assert answer.status == 200 and answer.json()["input_tokens"] > 0
    path, body = ask("anthropic", False)
    assert proxy.client().request("POST", path, body).status == 200


# --- the rest ----------------------------------------------------------------------------------------

def test_stored_responses_are_unknown(mock):
    for method in ("GET", "DELETE"):
        answer = mock.client().request(method, "/v1/responses/resp_123")
        assert answer.status == 404
        assert "resp_123" in answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["responses", "chat", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_can_be_referred_to_within_the_hour(connect, kind, stream):
    proxy, upstream = connect(kind)
    upstream.always(answering(kind, text_stream(kind, "Hi there"), text_whole(kind, "Hi there")))
    path, body = ask("responses", stream, "Remember this")
    if stream:
        first = json.loads(stream_of(proxy, path, body)[-1])["response"]
    else:
        first = proxy.client().request("POST", path, body).json()
    where = "/v1/responses/" + first["id"]
    assert proxy.client().request("GET", where).json()["id"] == first["id"]
    _, body = ask("responses", stream, "And now?")
    body["previous_response_id"] = first["id"]
    assert proxy.client().request("POST", path, body).status == 200
    sent = json.dumps(upstream.last.json())
    for text in ("Remember this", "Hi there", "And now?"):
        assert text in sent
    assert proxy.client().request("DELETE", where).json()["deleted"] is True
    assert proxy.client().request("GET", where).status == 404
    body["previous_response_id"] = "resp_unknown"
    answer = proxy.client().request("POST", path, body)
    assert 400 <= answer.status < 500 and "resp_unknown" in answer.text


def test_compact_is_for_codex_only(connect):
    proxy, upstream = connect("responses")
    upstream.always(reply({"id": "x", "object": "response.compaction", "output": []}))
    body = {"model": "nice", "input": []}
    assert proxy.client().request("POST", "/v1/responses/compact", body).status == 404
    upstream.agents = ("codex",)
    answer = proxy.client().request("POST", "/v1/responses/compact", body,
                                    {"User-Agent": "codex_cli_rs/1"})
    assert answer.status == 200 and upstream.last.path == "/v1/responses/compact"
    assert "stream" not in upstream.last.json()


def test_a_stream_flag_of_a_wrong_type_is_refused_for_anthropic(mock):
    answer = mock.client().request("POST", "/v1/messages", {
        "model": "mock", "max_tokens": 5, "messages": [], "stream": "yes"})
    assert answer.status == 400 and answer.json()["type"] == "error"


def test_a_gemini_key_that_is_wrong_lets_the_next_one_try(make_proxy, make_upstream):
    upstream = make_upstream(allowed={"x-goog-api-key"})
    root = upstream.url.removesuffix("/v1")
    upstream.then(reply({"error": {"code": 400, "message": "API key not valid", "status":
                         "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}, 400))
    upstream.always(reply(text_whole("gemini", "x")))
    proxy = make_proxy({"gemini-api-key": [{"api-key": k, "base-url": root} for k in ("a1", "b2")]})
    answer = proxy.client().request(
        "POST", "/v1beta/models/gemini-2.5-pro:generateContent", ask("gemini", False)[1])
    assert answer.status == 200 and len(upstream.requests) == 2
