"""Legacy completions, served over chat."""
import json

import pytest

from support.upstream import chat_chunks, error, sse, usage_chunk


def complete(proxy, **body):
    return proxy.client().request("POST", "/v1/completions", {"model": "nice", **body})


def test_a_prompt_becomes_one_user_message(served, upstream):
    answer = complete(served, prompt="Say hi", max_tokens=7, stop=["x"], seed=3)
    assert answer.status == 200, answer
    body = answer.json()
    assert body["object"] == "text_completion"
    assert body["choices"][0]["text"] == "Hi from upstream"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == 8
    sent = upstream.last.json()
    assert sent["messages"] == [{"role": "user", "content": "Say hi"}]
    assert (sent["max_tokens"], sent["stop"], sent["seed"]) == (7, ["x"], 3)
    assert "prompt" not in sent
    assert upstream.last.path == "/v1/chat/completions"


def test_each_prompt_of_a_list_is_a_choice(served):
    body = complete(served, prompt=["one", "two"]).json()
    assert [c["index"] for c in body["choices"]] == [0, 1]


def test_token_arrays_are_refused(served, upstream):
    assert complete(served, prompt=[1, 2, 3]).status == 400
    assert not upstream.requests


def test_echo_is_done_here(served):
    body = complete(served, prompt="Before: ", echo=True).json()
    assert body["choices"][0]["text"] == "Before: Hi from upstream"


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_is_converted_chunk_by_chunk(served, upstream, usage):
    upstream.always(sse(*chat_chunks("one ", "two"), usage_chunk()))
    options = {"stream_options": {"include_usage": True}} if usage else {}
    with served.client().open_stream("/v1/completions", {
            "model": "nice", "prompt": "x", "stream": True, **options}) as stream:
        events = list(stream.events())
    assert events[-1] == "[DONE]"
    chunks = [json.loads(e) for e in events[:-1]]
    assert all(c["object"] == "text_completion" for c in chunks)
    assert "".join(c["choices"][0]["text"] for c in chunks if c["choices"]) == "one two"
    assert [c["choices"] for c in chunks].count([]) == (1 if usage else 0)


def test_an_error_of_the_upstream_keeps_its_status(served, upstream):
    upstream.always(error(400, "bad", type="invalid_request_error"))
    answer = complete(served, prompt="x")
    assert answer.status == 400 and answer.json()["error"]["message"] == "bad"


def test_the_mock_model_completes(mock):
    answer = mock.client().request("POST", "/v1/completions", {"model": "mock", "prompt": "Hello"})
    assert answer.status == 200 and answer.json()["choices"][0]["text"]
