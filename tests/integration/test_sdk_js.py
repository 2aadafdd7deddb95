"""The official OpenAI SDK for JavaScript: each script of js/ runs against a proxy."""
import subprocess

import pytest

from support.javascript import HERE, environment
from support.proxy import entry
from support.upstream import (chat_chunk, chat_chunks, chat_reply, error, reply, sse, sse_then,
                              reset, usage_chunk)


def node(script, proxy, **env):
    done = subprocess.run(["node", HERE / "js" / script], capture_output=True, text=True,
                          env=environment(BASE_URL=proxy.url + "/v1", **env), timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_mock_models(mock):
    assert "all good" in node("mock.cjs", mock)


def test_a_scripted_upstream_with_two_keys(make_proxy, upstream, socks):
    upstream.keys = ["sk-or-one-1111", "sk-or-two-2222"]
    proxy = make_proxy({"openai-compatibility": [
        entry(upstream, ["sk-or-one-1111", ("sk-or-two-2222", socks.url)])]})
    call = chat_chunk()
    call["choices"][0]["delta"] = {"role": "assistant", "tool_calls": [
        {"index": 0, "id": "call_1", "type": "function",
         "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}]}
    upstream.then(reply(chat_reply("a picture")),
                  sse(*chat_chunks("streamed ", "text"), usage_chunk()),
                  sse(call, chat_chunk(finish="tool_calls"), usage_chunk()),
                  reply(chat_reply("free")))
    assert "all good" in node("upstream.cjs", proxy)
    first = upstream.requests[0].json()
    assert first["model"] == "vendor/real-model"
    assert first["messages"][0]["content"][1]["type"] == "image_url"
    assert upstream.last.json()["model"] == "vendor/model:free"
    assert {r.key for r in upstream.requests} == set(upstream.keys)
    assert socks.used


@pytest.mark.parametrize("status,name", [
    (400, "BadRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"),
    (404, "NotFoundError"), (422, "UnprocessableEntityError"), (429, "RateLimitError"),
    (500, "InternalServerError")])
def test_an_upstream_error_has_its_class(served, upstream, status, name):
    upstream.always(error(status, "scripted words", type="invalid_request_error"))
    out = node("error.cjs", served)
    assert name in out and "scripted words" in out


def test_a_stream_that_breaks_raises(served, upstream):
    upstream.always(sse_then(chat_chunks("half")[:2], reset))
    assert "half" in (out := node("error.cjs", served, STREAM="1")) and "APIError" in out
