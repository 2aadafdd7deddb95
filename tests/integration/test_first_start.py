"""A first start: no configuration, no account, and the README's requests get answers."""
import json
import subprocess

import pytest

from support.client import messages
from support.proxy import entry


@pytest.mark.smoke
def test_a_port_is_all_a_configuration_needs(make_proxy):
    # Port 8317 may be taken on this machine, so the configuration holds a port and nothing else.
    proxy = make_proxy({"port": 0}, start=False)
    proxy.replace(proxy.config_path, f"port: {proxy.port}\nlogging-to-file: false\n")
    proxy.start()
    assert proxy.get("/healthz").json() == {"status": "ok"}
    assert proxy.get("/").json()["message"] == "CLI Proxy API Server"


@pytest.mark.smoke
def test_the_first_curl_of_the_readme_streams_an_answer(mock):
    done = subprocess.run(
        ["curl", "-sN", f"{mock.url}/v1/chat/completions", "-H", "Content-Type: application/json",
         "-d", '{"model": "mock", "stream": true, '
               '"messages": [{"role": "user", "content": "Hello"}]}'],
        capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line[6:]) for line in lines[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"


def test_the_mock_model_also_answers_in_one_piece(mock):
    answer = mock.chat("mock")
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"]
    assert body["usage"]["total_tokens"] > 0


def test_the_mock_model_says_the_same_thing_twice(mock):
    def once():
        return mock.chat("mock", messages=messages("Twice")).json()["choices"][0]["message"]
    assert once() == once()


def test_the_mock_models_are_listed_while_there_is_no_account(mock):
    ids = [m["id"] for m in mock.get("/v1/models").json()["data"]]
    assert "mock" in ids and "mock-tools" in ids


def test_the_mock_models_leave_when_a_real_key_is_there(served):
    ids = [m["id"] for m in served.get("/v1/models").json()["data"]]
    assert ids == ["nice"]
    assert served.chat("mock").status == 404


def test_mock_true_keeps_them_beside_a_real_key(make_proxy, upstream):
    proxy = make_proxy({"mock": True, "openai-compatibility": [entry(upstream)]})
    ids = [m["id"] for m in proxy.get("/v1/models").json()["data"]]
    assert "mock" in ids and "nice" in ids


def test_mock_429_rehearses_a_rate_limit(mock):
    answer = mock.chat("mock-429")
    assert answer.status == 429
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert int(answer.headers["Retry-After"]) >= 1


def test_mock_cut_ends_in_an_error_event_and_no_done(mock):
    with mock.stream("mock-cut") as stream:
        events = list(stream.events())
    assert "[DONE]" not in events
    assert json.loads(events[-1])["error"]["message"]
