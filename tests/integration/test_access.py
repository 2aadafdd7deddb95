"""Who may ask: keys, and what holds where there are none."""
import socket

import pytest

from support import proxy as runner
from support.client import messages, read_all

KEY = "client-key-0123456789"
CARRIERS = [
    ({"Authorization": f"Bearer {KEY}"}, ""),
    ({"Authorization": f"bearer  {KEY} "}, ""),
    ({"Authorization": KEY}, ""),
    ({"X-Api-Key": KEY}, ""),
    ({"X-Goog-Api-Key": KEY}, ""),
    ({}, f"?key={KEY}"),
    ({}, f"?auth_token={KEY}"),
    ({"Authorization": "Bearer wrong", "x-api-key": KEY}, ""),
]


@pytest.fixture
def keyed(make_proxy):
    return make_proxy({"api-keys": [KEY, "second-key-9876543210"]})


@pytest.mark.parametrize("headers,query", CARRIERS)
def test_a_key_is_found_wherever_clients_put_it(keyed, headers, query):
    answer = keyed.client().request("POST", "/v1/chat/completions" + query,
                                    {"model": "mock", "messages": messages()}, headers)
    assert answer.status == 200, answer


def test_a_missing_key_and_a_wrong_key_are_told_apart(keyed):
    missing = keyed.get("/v1/models")
    assert missing.status == 401
    assert missing.json()["error"]["type"] == "invalid_request_error"
    assert missing.json()["error"]["code"] is None
    wrong = keyed.get("/v1/models", {"Authorization": "Bearer wrong"})
    assert wrong.status == 401
    assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert set(wrong.json()["error"]) == {"message", "type", "param", "code"}


def test_a_refusal_is_in_the_dialect_of_the_path(keyed):
    claude = keyed.get("/v1/models", {"anthropic-version": "2023-06-01"})
    assert claude.status == 401
    assert claude.json()["type"] == "error"
    assert claude.json()["error"]["type"] == "authentication_error"
    gemini = keyed.get("/v1beta/models")
    assert gemini.status == 401
    assert gemini.json()["error"]["status"] == "UNAUTHENTICATED"
    assert "details" in gemini.json()["error"]


def test_a_large_body_is_not_read_before_the_key_is_checked(keyed):
    s = keyed.client().raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                           b"Content-Type: application/json\r\nContent-Length: 50000000\r\n\r\n{")
    with s:
        assert read_all_head(s).startswith(b"HTTP/1.1 401")


def read_all_head(s):
    s.settimeout(30)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    return data


def test_open_pages_need_no_key(keyed):
    assert keyed.get("/").status == 200
    assert keyed.get("/healthz").status == 200


@pytest.mark.parametrize("host,status", [
    ("localhost", 200), ("localhost:9999", 200), ("127.0.0.1", 200), ("127.9.8.7:80", 200),
    ("[::1]:8317", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403),
    ("localhost.evil.example", 403), ("192.168.1.10", 403)])
def test_without_keys_the_host_must_be_this_machine(mock, host, status):
    answer = mock.get("/v1/models", {"Host": host})
    assert answer.status == status
    if status == 403:
        assert answer.json()["error"]["code"] == "forbidden"


@pytest.mark.parametrize("origin,status", [
    ("http://localhost:3000", 200), ("https://127.0.0.1", 200), ("http://[::1]:1", 200),
    ("https://evil.example", 403), ("null", 403), ("file://localhost", 403),
    ("http://localhost.evil.example", 403)])
def test_without_keys_a_foreign_page_is_refused(mock, origin, status):
    answer = mock.get("/v1/models", {"Origin": origin})
    assert answer.status == status
    if status == 200:
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in answer.headers["Vary"]
    else:
        assert answer.headers["Access-Control-Allow-Origin"] is None


def test_without_keys_the_preflight_of_a_foreign_page_is_refused(mock):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = mock.client().request("OPTIONS", "/v1/chat/completions", headers=asked)
    assert answer.status == 403
    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_with_keys_any_page_may_call(keyed):
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization, x-custom"}
    answer = keyed.client().request("OPTIONS", "/v1/chat/completions", headers=asked)
    assert answer.status == 204 and answer.body == b""
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-custom"
    wrong = keyed.get("/v1/models", {"Origin": "https://app.example", "Host": "app.example"})
    assert wrong.status == 401
    assert wrong.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Request-Id" in wrong.headers["Access-Control-Expose-Headers"]


def test_options_on_an_unknown_path_is_204(keyed):
    assert keyed.client().request("OPTIONS", "/nowhere").status == 204


def test_every_get_route_answers_head(mock):
    for path in ("/", "/healthz", "/v1/models"):
        answer = mock.client().request("HEAD", path)
        assert answer.status == 200 and answer.body == b"", path


def test_an_unknown_path_is_404_in_its_dialect(mock):
    assert set(mock.get("/v1/nothing").json()["error"]) == {"message", "type", "param", "code"}
    gemini = mock.get("/v1beta/nothing")
    assert gemini.status == 404 and gemini.json()["error"]["status"] == "NOT_FOUND"
    claude = mock.get("/v1/messages/nothing")
    assert claude.status == 404 and claude.json()["error"]["type"] == "not_found_error"


def test_a_wrong_method_is_405_and_says_which_are_right(mock):
    answer = mock.get("/v1/chat/completions")
    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.json()["error"]["code"] == "method_not_supported"


def test_a_trailing_slash_is_served_directly(mock):
    assert mock.get("/v1/models/").status == 200


@pytest.mark.parametrize("config", [
    {"host": "0.0.0.0"}, {"host": ""}, {"host": "0.0.0.0", "api-keys": ["your-api-key-1"]},
    {"host": "0.0.0.0", "api-keys": [""]}])
def test_a_public_address_without_a_real_key_refuses_to_start(make_proxy, config):
    proxy = make_proxy(config, start=False)
    done = runner.run("--config", str(proxy.config_path), cwd=proxy.folder)
    assert done.returncode == 1
    assert "api-keys" in done.stdout + done.stderr


def test_the_environments_host_is_held_to_the_same_rule(make_proxy):
    proxy = make_proxy({}, start=False)
    done = runner.run("--config", str(proxy.config_path), cwd=proxy.folder,
                      CLIPROXY_HOST="0.0.0.0")
    assert done.returncode == 1


def test_a_public_address_with_a_key_starts(make_proxy):
    proxy = make_proxy({"host": "0.0.0.0", "api-keys": [KEY]})
    assert proxy.get("/v1/models").status == 401
    assert proxy.get("/v1/models", {"X-Api-Key": KEY}).status == 200


def test_both_loopbacks_are_served(mock):
    try:
        s = socket.create_connection(("::1", mock.port), 10)
    except OSError as e:
        pytest.skip(f"no IPv6 here: {e}")
    with s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
        assert b"200" in read_all(s).split(b"\r\n")[0]


def test_the_clients_key_never_travels_upstream(make_proxy, upstream):
    upstream.keys = ["sk-upstream-one"]
    upstream.secrets = {KEY}
    proxy = make_proxy({"api-keys": [KEY], "openai-compatibility": [runner.entry(upstream)]})
    for headers, query in CARRIERS:
        answer = proxy.client().request(
            "POST", "/v1/chat/completions" + query,
            {"model": "nice", "messages": messages()},
            {**headers, "Cookie": "a=b", "X-Forwarded-For": "10.0.0.1", "TE": "trailers"})
        assert answer.status == 200, answer
