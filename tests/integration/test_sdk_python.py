"""The official OpenAI SDK for Python, against the mock models and through a scripted upstream."""
import base64
import json
import struct
import zlib

import openai
import pytest

from support import dialects
from support.client import messages
from support.proxy import entry
from support.upstream import chat_chunk, chat_chunks, chat_reply, error, event, reply, sse, usage_chunk

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                   "required": ["city"], "additionalProperties": False}}}


def png(width=3, height=2):
    """A small picture as a data URL."""
    def part(kind, data):
        return struct.pack("!I", len(data)) + kind + data + \
            struct.pack("!I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)) \
        + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def sdk(proxy, **options):
    return openai.OpenAI(base_url=proxy.url + "/v1", api_key="sk-dummy", max_retries=0, timeout=60,
                         **options)


@pytest.fixture
def client(mock):
    with sdk(mock) as c:
        yield c


def test_chat(client):
    answer = client.chat.completions.create(model="mock", messages=messages("Good morning"))
    assert "Good morning" in answer.choices[0].message.content
    assert answer.usage.total_tokens > 0


@pytest.mark.smoke
def test_stream(client):
    text, usage = "", None
    for chunk in client.chat.completions.create(model="mock", messages=messages("Good morning"),
                                                stream=True,
                                                stream_options={"include_usage": True}):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        usage = chunk.usage or usage
    assert "Good morning" in text
    assert usage.total_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_used(client, streamed):
    talk = messages("What is the weather?")
    if streamed:
        with client.chat.completions.stream(model="mock-tools", messages=talk,
                                            tools=[WEATHER]) as stream:
            answer = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(model="mock-tools", messages=talk, tools=[WEATHER])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    call = choice.message.tool_calls[0]
    assert call.function.name == "get_weather" and call.id
    assert "city" in json.loads(call.function.arguments)
    talk += [choice.message.model_dump(exclude_none=True, include={"role", "tool_calls"}),
             {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    after = client.chat.completions.create(model="mock-tools", messages=talk, tools=[WEATHER])
    assert "sunny" in after.choices[0].message.content


def test_an_image_is_seen(client):
    answer = client.chat.completions.create(model="mock", messages=[{"role": "user", "content": [
        {"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": png(3, 2)}}]}])
    assert "3" in answer.choices[0].message.content and "Look" in answer.choices[0].message.content


def test_models(client):
    ids = [m.id for m in client.models.list()]
    assert "mock" in ids
    assert client.models.retrieve("mock").id == "mock"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_completions(client):
    assert client.completions.create(model="mock", prompt="Once").choices[0].text
    text = "".join(c.choices[0].text for c in
                   client.completions.create(model="mock", prompt="Once", stream=True) if c.choices)
    assert "Once" in text


@pytest.mark.parametrize("status,kind", [
    (400, openai.BadRequestError), (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError), (404, openai.NotFoundError),
    (422, openai.UnprocessableEntityError), (429, openai.RateLimitError),
    (500, openai.InternalServerError), (503, openai.InternalServerError)])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_error_has_its_class(served, upstream, status, kind, streamed):
    upstream.always(error(status, "scripted words", type="invalid_request_error"))
    with sdk(served) as client, pytest.raises(kind) as raised:
        client.chat.completions.create(model="nice", messages=messages(), stream=streamed)
    assert "scripted words" in str(raised.value)
    assert raised.value.request_id


def test_errors_of_the_proxy_have_their_class(make_proxy):
    proxy = make_proxy({"api-keys": ["right-key-0123456789"]})
    with sdk(proxy) as client, pytest.raises(openai.AuthenticationError) as raised:
        client.models.list()
    assert raised.value.code == "invalid_api_key"
    with sdk(proxy) as client:
        client = client.with_options(api_key="right-key-0123456789")
        with pytest.raises(openai.NotFoundError) as raised:
            client.chat.completions.create(model="none", messages=messages())
        assert raised.value.code == "model_not_found"
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="mock-429", messages=messages())
        assert int(raised.value.response.headers["Retry-After"]) >= 1


def test_a_stream_that_breaks_raises(client):
    with pytest.raises(openai.APIError):
        for _ in client.chat.completions.create(model="mock-cut", messages=messages(), stream=True):
            pass


def test_through_two_keys_one_behind_a_proxy(make_proxy, upstream, socks):
    """What a user with an aggregator account does in a day."""
    upstream.keys = ["sk-or-one-1111", "sk-or-two-2222"]
    proxy = make_proxy({"openai-compatibility": [
        entry(upstream, ["sk-or-one-1111", ("sk-or-two-2222", socks.url)])]})
    with sdk(proxy) as client:
        image = png()
        talk = [{"role": "user", "content": [
            {"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": image}}]}]
        upstream.then(reply(chat_reply("a picture")))
        answer = client.chat.completions.create(model="nice", messages=talk, tools=[WEATHER])
        assert answer.choices[0].message.content == "a picture"
        sent = upstream.last.json()
        assert sent == {"model": "vendor/real-model", "messages": talk, "tools": [WEATHER]}

        call = {"index": 0, "id": "call_1", "type": "function",
                "function": {"name": "get_weather", "arguments": ""}}
        pieces = [{"tool_calls": [call]},
                  {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
                  {"tool_calls": [{"index": 0, "function": {"arguments": ' "Oslo"}'}}]}]
        chunks = [chat_chunk() for _ in pieces]
        for chunk, delta in zip(chunks, pieces):
            chunk["choices"][0]["delta"] = delta
        upstream.then(sse(*chunks, chat_chunk(finish="tool_calls"), usage_chunk()))
        with client.chat.completions.stream(model="nice", messages=messages(), tools=[WEATHER],
                                            stream_options={"include_usage": True}) as stream:
            final = stream.get_final_completion()
        called = final.choices[0].message.tool_calls[0]
        assert json.loads(called.function.arguments) == {"city": "Oslo"}
        assert final.usage.total_tokens == 8

        upstream.always(sse(*chat_chunks("streamed ", "text")))
        text = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(
            model="scripted://vendor/model:free", messages=messages(), stream=True) if c.choices)
        assert text == "streamed text"
        assert upstream.last.json()["model"] == "vendor/model:free"
    assert {r.key for r in upstream.requests} == set(upstream.keys)
    assert socks.used


def test_a_comment_between_events_does_not_disturb(served, upstream):
    upstream.always(sse(b": PROCESSING\n\n", event(chat_chunk("fine")), chat_chunk(finish="stop")))
    with sdk(served) as client:
        text = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(
            model="nice", messages=messages(), stream=True) if c.choices)
    assert text == "fine"


# --- Responses: what else there is, is in test_sdk_matrix.py ---------------------------------------

TOOL = {"type": "function", "name": "weather", "description": "d", "strict": False,
        "parameters": dialects.SCHEMA}


@pytest.fixture(params=dialects.DIALECTS)
def over(request, make_proxy, make_upstream):
    """The SDK in front of an upstream of each dialect: (client, upstream, its dialect)."""
    kind = request.param
    upstream = make_upstream(allowed={"x-goog-api-key"}, agents=("cli-proxy-api/", "OpenAI/"))
    with sdk(make_proxy(dialects.config(kind, upstream))) as c:
        yield c, upstream, kind


def test_a_response_may_go_on_from_the_one_before_by_its_id(over):
    client, upstream, kind = over
    upstream.then(sse(*dialects.call_stream(kind), done=False))
    with client.responses.stream(model="nice", input="Oslo?", tools=[TOOL]) as stream:
        for _ in stream:
            pass
        first = stream.get_final_response()
    call = next(i for i in first.output if i.type == "function_call")
    assert call.name == "weather" and json.loads(call.arguments) == {"city": "Oslo"}
    upstream.always(dialects.answering(kind, dialects.text_stream(kind, "Rain"),
                                       dialects.text_whole(kind, "Rain")))
    second = client.responses.create(model="nice", previous_response_id=first.id, tools=[TOOL],
                                     input=[{"type": "function_call_output",
                                             "call_id": call.call_id, "output": "wet"}])
    assert second.output_text == "Rain"
    assert "wet" in json.dumps(upstream.last.json())
