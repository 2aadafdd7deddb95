"""What the log says, and what it must never say."""
import re

import pytest

from support.client import messages
from support.proxy import entry, eventually
from support.upstream import error

CLIENT = "canary-client-key-11112222"
UPSTREAM = "sk-canary-upstream-33334444"
PROMPT = "canary prompt text 5555"


def access_line(proxy, path):
    return eventually(lambda: next((line for line in proxy.lines if path in line
                                    and re.search(r"\b\d{3} *\|", line)), None))


def test_an_access_line_tells_the_request(served):
    answer = served.chat("nice")
    line = access_line(served, "/v1/chat/completions")
    assert "POST" in line and "200" in line and "127.0.0.1" in line
    assert answer.headers["X-Request-Id"] in line
    assert "nice" in line


def test_a_line_has_time_request_and_level(served):
    served.chat("nice")
    assert re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[[0-9a-f-]{8}\] \[\w+ *\] ",
                    access_line(served, "/v1/chat/completions"))


def test_a_client_error_is_a_warning(served):
    served.get("/nowhere")
    assert "warn" in access_line(served, "/nowhere")


def test_an_upstream_failure_is_one_short_line(served, upstream):
    upstream.always(error(500, "upstream words " + "y" * 5000))
    served.chat("nice")
    access_line(served, "/v1/chat/completions")  # the last line of a request
    lines = [line for line in served.lines if "upstream words" in line]
    assert len(lines) == 1 and len(lines[0]) < 1500


@pytest.mark.parametrize("debug", [False, True])
def test_no_secret_is_ever_logged(make_proxy, upstream, make_forward, debug):
    forward = make_forward("socks5", user="joe", password="canary-proxy-password")
    config = {"debug": debug, "api-keys": [CLIENT],
              "remote-management": {"secret-key": "canary-management-secret"},
              "openai-compatibility": [entry(upstream, [UPSTREAM, (UPSTREAM + "b", forward.url)])]}
    proxy = make_proxy(config)
    body = {"model": "nice", "messages": messages(PROMPT)}

    def post(path, headers=None):
        return proxy.client().request("POST", path, body, headers)
    chat = "/v1/chat/completions"
    upstream.then(error(401, f"bad key {UPSTREAM[:6]}"))
    assert post(chat, {"Authorization": f"Bearer {CLIENT}"}).status == 200
    assert post(f"{chat}?key={CLIENT}").status == 200
    assert post(f"{chat}?auth_token={CLIENT}&x-api-key={CLIENT}").status == 200
    assert post(chat, {"X-Api-Key": CLIENT, "Cookie": f"a={CLIENT}"}).status == 200
    assert post(chat, {"Authorization": "Bearer canary-wrong-key-7777"}).status == 401
    proxy.change_config(request_retry=1)
    eventually(lambda: "config" in proxy.log.lower())
    proxy.stop()
    for secret in (CLIENT, UPSTREAM, "canary-proxy-password", "canary-management-secret",
                   "canary-wrong-key-7777", PROMPT):
        assert secret not in proxy.log, secret
