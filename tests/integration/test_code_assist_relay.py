"""What Gemini CLI asks Google besides generating: handed on with the client's own token, and back."""
import gzip
import json
import threading

import pytest

from support.client import read_response
from support.dialects import KEY, config
from support.proxy import free_port
from support.upstream import cut, event, reply

GOOGLE = "cloudcode-pa.googleapis.com"
TOKEN = "ya29.token-of-the-client"
ASSIST = {"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "made-up-project-1"}
AGENT = "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)"


@pytest.fixture
def google(hosts):
    """Google's Code Assist, which takes any agent: the client's goes through."""
    hosts.agents = ("GeminiCLI/",)
    return lambda path, method="POST": hosts.on(GOOGLE, method, path)


@pytest.fixture
def relayed(make_proxy, hosts):
    return make_proxy({"mock": True}, **hosts.env())


def ask(proxy, path, body=None, method="POST", **headers):
    sent = {"Authorization": f"Bearer {TOKEN}", "User-Agent": AGENT,
            **{k.replace("_", "-"): v for k, v in headers.items()}}
    return proxy.client().request(method, path, body, sent)


@pytest.mark.smoke
def test_a_method_is_handed_on_with_the_clients_own_headers(relayed, google):
    load = google("/v1internal:loadCodeAssist")
    load.always(reply(ASSIST, headers={"X-Cloud-Trace": "abc", "X-Private": "1",
                                       "Connection": "x-private, keep-alive"}))
    body = b'{ "metadata": {"ideType": "IDE_UNSPECIFIED"},"z":1.0 }'
    answer = ask(relayed, "/v1internal:loadCodeAssist?alt=json&x=%20y", body,
                 X_Goog_Api_Client="gl-node/20", Client_Metadata="pluginType=GEMINI",
                 Connection="close, x-hop", X_Hop="1", TE="trailers", X_Custom="kept")
    assert answer.status == 200 and answer.json() == ASSIST
    assert answer.headers["x-cloud-trace"] == "abc"
    assert answer.headers["x-private"] is None
    assert answer.headers["content-length"] == str(len(answer.body))
    seen = load.last
    assert seen.path == "/v1internal:loadCodeAssist?alt=json&x=%20y" and seen.body == body
    assert seen.header("authorization") == f"Bearer {TOKEN}"
    assert seen.header("user-agent") == AGENT
    assert seen.header("x-goog-api-client") == "gl-node/20"
    assert seen.header("client-metadata") == "pluginType=GEMINI"
    assert seen.header("x-custom") == "kept" and seen.header("host") == GOOGLE
    assert seen.header("x-hop") is None


@pytest.mark.parametrize("path", ["/v1internal:listExperiments", "/v1internal/operations/xyz"])
def test_get_is_handed_on_too(relayed, google, path):
    where = google(path, "GET")
    where.always(reply({"done": True}))
    assert ask(relayed, path, method="GET").json() == {"done": True}
    assert where.last.body == b"" and where.last.header("authorization") == f"Bearer {TOKEN}"
    head = ask(relayed, path, method="HEAD")
    assert head.status == 200 and head.body == b""


def test_other_methods_of_http_are_refused(relayed):
    answer = ask(relayed, "/v1internal:loadCodeAssist", {}, method="PUT")
    assert answer.status == 405 and "POST" in answer.headers["allow"]
    assert answer.json()["error"]["status"] == "UNIMPLEMENTED"


@pytest.mark.parametrize("status, body, kind", [
    (403, '[{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]\n',
     "application/json"),
    (404, "<html><title>Error 404</title></html>", "text/html"),
    (401, "", "application/json"), (429, '{"a":1.0}', "application/json"),
    (302, "", "text/html"), (204, "", "application/json")])
def test_an_answer_comes_back_with_its_status_and_bytes(relayed, google, status, body, kind):
    headers = {"Location": "https://elsewhere.example/"} if status == 302 else {}
    google("/v1internal:onboardUser").always(reply(body, status, headers, content_type=kind))
    answer = ask(relayed, "/v1internal:onboardUser", {})
    assert answer.status == status and answer.text == body
    assert answer.headers["content-type"] == kind
    assert status != 302 or answer.headers["location"] == "https://elsewhere.example/"


def test_codings_are_undone_in_both_directions(relayed, google):
    load = google("/v1internal:loadCodeAssist")
    load.always(reply(ASSIST, coding="gzip"))
    answer = ask(relayed, "/v1internal:loadCodeAssist", gzip.compress(b'{"a":1}'),
                 Content_Encoding="gzip", Accept_Encoding="identity")
    assert answer.json() == ASSIST and answer.headers["content-encoding"] is None
    assert load.last.body == b'{"a":1}' and load.last.header("content-encoding") is None


# --- who may ask -----------------------------------------------------------------------------------

@pytest.mark.parametrize("headers", [
    {"X-Forwarded-For": "192.0.2.1"}, {"X-Real-IP": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"},
    {"Origin": "http://localhost:8317"}, {"Origin": "null"}, {"Host": "proxy.example"}])
@pytest.mark.parametrize("path", ["/v1internal:loadCodeAssist", "/v1internal:countTokens",
                                  "/v1internal/operations/x"])
def test_only_this_machine_may_ask(relayed, hosts, path, headers):
    answer = relayed.client().request("POST", path, {}, headers)
    assert answer.status == 403
    problem = answer.json()["error"]
    assert problem["code"] == 403 and problem["status"] == "PERMISSION_DENIED"
    assert isinstance(problem["details"], list)
    assert not hosts.requests


def test_a_key_of_this_proxy_is_not_told_to_google(make_proxy, hosts, google):
    proxy = make_proxy({"mock": True, "api-keys": ["sk-of-the-proxy"]}, **hosts.env())
    hosts.secrets.add("sk-of-the-proxy")
    hosts.allowed = {"x-goog-api-key", "x-api-key"}
    load = google("/v1internal:loadCodeAssist")
    load.always(reply(ASSIST))
    answer = ask(proxy, "/v1internal:loadCodeAssist?a=1&key=sk-of-the-proxy&b=2", {},
                 Authorization="Bearer sk-of-the-proxy", X_Goog_Api_Key="sk-of-the-proxy",
                 X_Api_Key="sk-another")
    assert answer.json() == ASSIST
    assert load.last.path.endswith("?a=1&b=2") and load.last.header("x-api-key") == "sk-another"


# --- failures and limits ---------------------------------------------------------------------------

def test_google_out_of_reach_is_said_in_its_own_form(make_proxy, hosts):
    env = {**hosts.env(), "CLIPROXY_RESOLVE": f"*:443:127.0.0.1:{free_port()}"}
    answer = ask(make_proxy({"mock": True}, **env), "/v1internal:loadCodeAssist", {})
    assert answer.status == 502
    assert answer.json()["error"]["status"] == "UNAVAILABLE" and answer.json()["error"]["code"] == 502


def test_a_body_beyond_the_limit_is_refused(make_proxy, hosts):
    proxy = make_proxy({"mock": True, "limits": {"body-mib": 1}}, **hosts.env())
    answer = ask(proxy, "/v1internal:onboardUser", {"x": "y" * 1100000})
    assert answer.status == 413 and answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert not hosts.requests


def test_events_come_one_by_one(relayed, google):
    second = threading.Event()

    def action(c):
        c.head(200, {"Content-Type": "text/event-stream"})
        c.chunk(event({"n": 1}))
        assert second.wait(30)
        c.chunk(event({"n": 2}))
        c.end()
    google("/v1internal:watch").always(action)
    with relayed.client().open_stream("/v1internal:watch", {}, {"User-Agent": AGENT}) as stream:
        chunks = stream.chunks()
        assert next(chunks) == {"n": 1}
        second.set()
        assert next(chunks) == {"n": 2} and list(chunks) == [] and stream.clean


def test_a_long_answer_is_not_kept(relayed, google):
    piece, count = b"x" * 65536, 1024  # 64 MiB
    sent = []

    def action(c):
        c.head(200, {"Content-Type": "application/json"})
        for _ in range(count):
            c.chunk(piece)
            sent.append(1)
        c.end()
    google("/v1internal:download").always(action)
    with relayed.client().open_stream("/v1internal:download", {}, {"User-Agent": AGENT}) as stream:
        stalled = threading.Event()
        while not stalled.wait(1):
            before = len(sent)
            stalled.wait(0.5)
            if len(sent) == before:
                break
        assert len(sent) < count, "a slow client does not slow Google"
        assert sum(len(p) for p in stream.pieces()) == count * len(piece) and stream.clean


def test_an_answer_that_breaks_looks_broken(relayed, google):
    def action(c):
        c.head(200, {"Content-Type": "application/json"})
        c.chunk(b"[" + b"1," * 100000)
        cut(c)
    google("/v1internal:download").always(action)
    with relayed.client().open_stream("/v1internal:download", {}, {"User-Agent": AGENT}) as stream:
        for _ in stream.pieces():
            pass
        assert stream.status == 200 and not stream.clean


def test_the_connection_goes_on_behind_an_answer(relayed, google):
    google("/v1internal:loadCodeAssist").always(reply(ASSIST))
    s = relayed.client().raw()
    for _ in range(3):
        s.sendall(b"POST /v1internal:loadCodeAssist HTTP/1.1\r\nHost: localhost\r\n"
                  b"User-Agent: GeminiCLI/1\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 2\r\n\r\n{}")
        assert read_response(s) == (200, json.dumps(ASSIST).encode())
    s.close()


# --- counting --------------------------------------------------------------------------------------

COUNT = {"contents": [{"role": "user", "parts": [{"text": "one two three four"}]}]}


def test_google_counts_for_its_own_models(relayed, google):
    count = google("/v1internal:countTokens")
    count.always(reply({"totalTokens": 42}))
    body = {"request": {"model": "models/gemini-2.5-pro", **COUNT}}
    assert ask(relayed, "/v1internal:countTokens", body).json() == {"totalTokens": 42}
    assert count.last.json() == body and count.last.header("authorization") == f"Bearer {TOKEN}"
    # What Google makes of nonsense is Google's to say.
    count.always(reply({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}, 400))
    assert ask(relayed, "/v1internal:countTokens", "nonsense").status == 400


def test_models_that_google_does_not_know_are_counted_here(make_proxy, hosts, make_upstream):
    upstream = make_upstream(keys=[KEY])
    proxy = make_proxy(config("chat", upstream), **hosts.env())
    answer = ask(proxy, "/v1internal:countTokens", {"request": {"model": "models/nice", **COUNT}})
    assert answer.status == 200 and 2 < answer.json()["totalTokens"] < 12
    assert not hosts.requests and not upstream.requests
