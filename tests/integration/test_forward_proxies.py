"""Forward proxies: TLS to the proxy, proxies that refuse or hang, and those of the environment."""
import pytest

from support.proxy import NAME, at_port, entry, env, free_port
from support.upstream import chat_chunks, sse

KEY = "sk-upstream-one"


@pytest.fixture
def router(make_upstream, authority):
    """An upstream that answers as openrouter.ai."""
    return make_upstream(tls=authority.server_context(NAME), keys=[KEY])


def refusal(status, text, body=b"denied by policy"):
    return (b"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
            b"Proxy-Authenticate: Basic realm=\"x\"\r\n\r\n" % (status, text, len(body)) + body)


def is_unreachable(answer, status=502):
    assert answer.status == status, answer
    problem = answer.json()["error"]
    assert set(problem) == {"message", "type", "param", "code"}
    assert KEY not in answer.text and "canary" not in answer.text
    return problem["message"]


# --- TLS to the proxy -------------------------------------------------------------------------

@pytest.mark.parametrize("login", [{}, {"user": "joe", "password": "p4ss-canary"}])
def test_a_proxy_is_reached_over_tls(make_proxy, router, authority, make_forward, login):
    forward = make_forward("http", tls=authority.server_context("127.0.0.1"), **login)
    proxy = make_proxy({"proxy-url": forward.url, "openai-compatibility": [at_port(router)]},
                       SSL_CERT_FILE=str(authority.certificate))
    router.then(sse(*chat_chunks("twice ", "wrapped")))
    with proxy.stream("nice") as stream:
        assert stream.text() == "twice wrapped"
    assert proxy.chat("nice").status == 200
    assert forward.used and set(forward.used) == {(NAME, router.port)}
    assert not forward.refused
    assert "p4ss-canary" not in proxy.log


def test_a_plain_upstream_is_reached_through_a_proxy_over_tls(make_proxy, upstream, authority,
                                                              make_forward):
    forward = make_forward("http", tls=authority.server_context("127.0.0.1"))
    proxy = make_proxy({"proxy-url": forward.url, "openai-compatibility": [entry(upstream)]},
                       SSL_CERT_FILE=str(authority.certificate))
    assert proxy.chat("nice").status == 200
    assert forward.used == [("127.0.0.1", upstream.port)]


@pytest.mark.parametrize("names", [["127.0.0.2"], ["proxy.example"]], ids=lambda n: n[0])
def test_the_certificate_of_a_proxy_is_verified(make_proxy, router, authority, make_forward, names):
    forward = make_forward("http", tls=authority.server_context(*names))
    proxy = make_proxy({"proxy-url": forward.url, "openai-compatibility": [at_port(router)]},
                       **env(router, authority))
    is_unreachable(proxy.chat("nice"))
    assert not forward.used and not router.requests


def test_a_proxy_of_an_unknown_authority_is_refused(make_proxy, upstream, authority, make_forward):
    forward = make_forward("http", tls=authority.server_context("127.0.0.1"))
    proxy = make_proxy({"proxy-url": forward.url, "openai-compatibility": [entry(upstream)]})
    is_unreachable(proxy.chat("nice"))
    assert not forward.used and not upstream.requests


# --- proxies that do not work -----------------------------------------------------------------

@pytest.mark.parametrize("status,text", [(407, b"Authenticate"), (502, b"Bad Gateway"),
                                         (403, b"Forbidden"), (302, b"Found")])
def test_a_proxy_that_refuses_the_tunnel_is_an_error(make_proxy, router, authority, make_forward,
                                                     status, text):
    forward = make_forward("refusing", answer=refusal(status, text))
    proxy = make_proxy({"proxy-url": forward.url, "openai-compatibility": [at_port(router)]},
                       **env(router, authority))
    message = is_unreachable(proxy.chat("nice"))
    assert "denied by policy" not in message
    assert forward.asked[0] == f"CONNECT {NAME}:{router.port} HTTP/1.1"
    assert not router.requests
    proxy.wait_for_log(f"refused the tunnel with status {status}")


def test_wrong_credentials_for_a_proxy_are_an_error(make_proxy, router, authority, make_forward):
    forward = make_forward("http", user="joe", password="right")
    wrong = forward.url.replace("right", "wrong-canary")
    proxy = make_proxy({"proxy-url": wrong, "openai-compatibility": [at_port(router)]},
                       **env(router, authority))
    is_unreachable(proxy.chat("nice"))
    assert forward.refused and not forward.used and not router.requests
    assert "canary" not in proxy.log


def test_a_proxy_that_talks_nonsense_is_an_error(make_proxy, router, authority, make_forward):
    forward = make_forward("refusing", answer=b"220 mail.example ESMTP\r\n")
    proxy = make_proxy({"proxy-url": forward.url, "openai-compatibility": [at_port(router)]},
                       **env(router, authority))
    is_unreachable(proxy.chat("nice"))
    assert not router.requests


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_hangs_has_the_time_limit_of_connecting(make_proxy, router, authority,
                                                             make_forward, tls):
    context = authority.server_context("127.0.0.1") if tls else None
    forward = make_forward("refusing", answer=None, tls=context)
    proxy = make_proxy({"proxy-url": forward.url, "timeouts": {"connect": 1},
                        "openai-compatibility": [at_port(router)]}, **env(router, authority))
    is_unreachable(proxy.chat("nice"), 504)
    assert forward.asked and not router.requests


def test_a_key_behind_a_broken_proxy_gives_way_to_the_next(make_proxy, upstream, make_forward):
    forward = make_forward("refusing", answer=refusal(407, b"Authenticate"))
    proxy = make_proxy({"openai-compatibility": [
        entry(upstream, [("sk-behind", forward.url)], name="behind", priority=5),
        entry(upstream, ["sk-direct"], name="direct")]})
    assert proxy.chat("nice").status == 200
    assert [r.key for r in upstream.requests] == ["sk-direct"]


# --- the environment --------------------------------------------------------------------------

def dead():
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environments_proxy_is_used_for_https(make_proxy, router, authority, make_forward,
                                                  variable):
    forward = make_forward("http")
    proxy = make_proxy({"openai-compatibility": [at_port(router)]},
                       **env(router, authority), **{variable: forward.url, "http_proxy": dead()})
    assert proxy.chat("nice").status == 200
    assert forward.used == [(NAME, router.port)]


def test_the_environments_proxy_may_be_written_without_a_scheme(make_proxy, router, authority,
                                                                make_forward):
    forward = make_forward("http")
    proxy = make_proxy({"openai-compatibility": [at_port(router)]},
                       **env(router, authority), HTTPS_PROXY=forward.url.removeprefix("http://"))
    assert proxy.chat("nice").status == 200
    assert forward.used


@pytest.mark.parametrize("listed", [NAME, "*", f"other.example,{NAME}", ".ai", "ai"])
def test_no_proxy_lists_what_goes_direct(make_proxy, router, authority, listed):
    proxy = make_proxy({"openai-compatibility": [at_port(router)]},
                       **env(router, authority), HTTPS_PROXY=dead(), NO_PROXY=listed)
    assert proxy.chat("nice").status == 200


@pytest.mark.parametrize("listed", ["penrouter.ai", "openrouter", "x.openrouter.ai", ""])
def test_no_proxy_goes_by_whole_names(make_proxy, router, authority, make_forward, listed):
    forward = make_forward("http")
    proxy = make_proxy({"openai-compatibility": [at_port(router)]},
                       **env(router, authority), HTTPS_PROXY=forward.url, NO_PROXY=listed)
    assert proxy.chat("nice").status == 200
    assert forward.used


def test_this_machine_is_always_reached_directly(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream)]},
                       HTTP_PROXY=dead(), http_proxy=dead(), NO_PROXY="example.com")
    assert proxy.chat("nice").status == 200


@pytest.mark.parametrize("where", ["global", "entry"])
def test_a_proxy_url_goes_before_the_environment(make_proxy, router, authority, make_forward, where):
    """And NO_PROXY says nothing about it."""
    forward = make_forward("http")
    config = {"openai-compatibility": [at_port(router)]}
    if where == "global":
        config["proxy-url"] = forward.url
    else:
        config["openai-compatibility"] = [at_port(
            router, **{"api-key-entries": [{"api-key": KEY, "proxy-url": forward.url}]})]
    proxy = make_proxy(config, **env(router, authority), HTTPS_PROXY=dead(), NO_PROXY="*")
    assert proxy.chat("nice").status == 200
    assert forward.used == [(NAME, router.port)]


@pytest.mark.parametrize("word", ["direct", "none", "Direct"])
@pytest.mark.parametrize("where", ["global", "entry"])
def test_direct_means_no_proxy_whatever_the_environment_says(make_proxy, router, authority, where,
                                                             word):
    config = {"openai-compatibility": [at_port(router)]}
    if where == "global":
        config["proxy-url"] = word
    else:
        config["proxy-url"] = dead()
        config["openai-compatibility"] = [at_port(
            router, **{"api-key-entries": [{"api-key": KEY, "proxy-url": word}]})]
    proxy = make_proxy(config, **env(router, authority), HTTPS_PROXY=dead(), ALL_PROXY=dead())
    assert proxy.chat("nice").status == 200
