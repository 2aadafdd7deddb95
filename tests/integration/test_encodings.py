"""Compressed requests and compressed answers."""
import gzip
import json

import pytest

from support.client import messages
from support.upstream import ENCODERS, chat_chunks, chat_reply, reply, sse

BODY = json.dumps({"model": "nice", "messages": messages("compress me " * 500)}).encode()
CODINGS = ["gzip", "deflate", "br", "zstd"]


def post(proxy, body, coding):
    return proxy.client().request("POST", "/v1/chat/completions", body,
                                  {"Content-Encoding": coding})


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_request_is_decoded(served, upstream, coding):
    answer = post(served, ENCODERS[coding](BODY), coding)
    assert answer.status == 200, answer
    assert upstream.last.json()["messages"] == json.loads(BODY)["messages"]
    assert upstream.last.header("content-encoding") is None


def test_raw_deflate_identity_and_upper_case_are_understood(served):
    assert post(served, ENCODERS["raw-deflate"](BODY), "deflate").status == 200
    assert post(served, BODY, "identity").status == 200
    assert post(served, gzip.compress(BODY), "GZIP").status == 200


def test_stacked_codings_are_undone_right_to_left(served):
    body = ENCODERS["zstd"](gzip.compress(BODY))
    assert post(served, body, "gzip, zstd").status == 200


def test_an_unknown_coding_is_415(served):
    answer = post(served, BODY, "compress")
    assert answer.status == 415
    assert answer.json()["error"]["code"] == "unsupported_content_encoding"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_damaged_body_is_400(served, upstream, coding):
    for damaged in (b"not compressed at all", ENCODERS[coding](BODY)[:-9]):
        assert post(served, damaged, coding).status == 400
    assert not upstream.requests


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_413(make_proxy, coding):
    proxy = make_proxy({"limits": {"body-mib": 1}})
    assert post(proxy, ENCODERS[coding](b" " * (40 * 2**20)), coding).status == 413


@pytest.mark.parametrize("coding", CODINGS + ["raw-deflate"])
def test_a_compressed_reply_is_decoded(served, upstream, coding):
    upstream.always(reply(chat_reply("packed"), coding=coding))
    answer = served.chat("nice")
    assert answer.json()["choices"][0]["message"]["content"] == "packed"
    assert answer.headers["Content-Encoding"] is None


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_stream_is_decoded(served, upstream, coding):
    upstream.always(sse(*chat_chunks("packed"), coding=coding))
    with served.stream("nice") as stream:
        assert stream.text() == "packed"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_error_is_readable(served, upstream, coding):
    body = {"error": {"message": "packed problem", "type": "invalid_request_error",
                      "param": None, "code": None}}
    upstream.always(reply(body, 400, coding=coding))
    answer = served.chat("nice")
    assert answer.status == 400 and answer.json()["error"]["message"] == "packed problem"


def test_a_reply_that_only_says_it_is_compressed_is_502(served, upstream):
    upstream.always(reply(chat_reply(), headers={"Content-Encoding": "gzip"}))
    assert served.chat("nice").status == 502
