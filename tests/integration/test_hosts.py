"""The stand-ins for the providers' servers: what they see is what would have left the machine."""
import pytest

from support.upstream import chat_chunks, chat_reply, reply, sse

ENTRY = {"name": "dashscope", "base-url": "https://dashscope.example/v1",
         "api-key-entries": [{"api-key": "sk-one"}], "models": [{"name": "big", "alias": "nice"}]}


@pytest.mark.smoke
def test_a_host_is_reached_under_its_name_on_its_own_port(make_proxy, hosts):
    chat = hosts.on("dashscope.example", "POST", "/v1/chat/completions")
    chat.always(reply(chat_reply("from afar")))
    proxy = make_proxy({"openai-compatibility": [ENTRY]}, **hosts.env())
    assert proxy.chat("nice").json()["choices"][0]["message"]["content"] == "from afar"
    assert chat.last.header("authorization") == "Bearer sk-one"
    assert chat.last.header("host") == "dashscope.example"
    chat.then(sse(*chat_chunks("in ", "pieces")))
    with proxy.stream("nice") as stream:
        assert stream.text() == "in pieces"
    assert len(chat.requests) == 2 == len(hosts.to("dashscope.example"))

    @hosts.on("dashscope.example", "POST", "/v1/*")
    def answer(request):
        assert request.json()["model"] == "big"
        return chat_reply("from a handler")
    assert "handler" in proxy.chat("nice").text
    assert not hosts.problems


def test_what_nobody_expected_is_a_problem(make_proxy, hosts):
    other = {**ENTRY, "name": "other", "base-url": "https://unknown.example/v1",
             "models": [{"name": "x", "alias": "unknown"}]}

    @hosts.on("dashscope.example", "POST", "/v1/chat/completions")
    def refuse(request):
        assert request.json()["model"] == "another", "not that one"
    proxy = make_proxy({"openai-compatibility": [ENTRY, other]}, **hosts.env())
    assert proxy.chat("unknown").status >= 400
    assert proxy.chat("nice").status >= 400
    seen, hosts.problems = hosts.problems, []
    assert "nobody expected POST https://unknown.example/v1/chat/completions" in seen
    assert any("not that one" in p for p in seen)


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_a_forward_proxy_is_told_the_name(make_proxy, hosts, make_forward, kind):
    hosts.on("dashscope.example", "POST", "/v1/chat/completions").always(reply(chat_reply()))
    forward = make_forward(kind, ports={443: hosts.port})
    url = forward.url.replace("socks5://", "socks5h://")
    proxy = make_proxy({"proxy-url": url, "openai-compatibility": [ENTRY]}, **hosts.env())
    assert proxy.chat("nice").status == 200
    assert forward.used == [("dashscope.example", 443)]
