"""TLS on both sides."""
import http.client
import shutil
import socket
import ssl

import pytest

from support.authority import Authority
from support.proxy import NAME, at_port, env, eventually
from support.upstream import chat_chunks, sse


@pytest.fixture
def router(make_upstream, authority):
    """An upstream that answers as openrouter.ai."""
    return make_upstream(tls=authority.server_context(NAME), keys=["sk-upstream-one"])


@pytest.mark.smoke
def test_an_upstream_is_reached_under_its_real_name(make_proxy, router, authority):
    proxy = make_proxy({"openai-compatibility": [at_port(router)]}, **env(router, authority))
    answer = proxy.chat("openrouter://moonshotai/kimi-k2:free")
    assert answer.status == 200, answer
    assert router.last.path == "/api/v1/chat/completions"
    assert router.last.header("host").startswith(NAME)
    assert router.last.json()["model"] == "moonshotai/kimi-k2:free"
    router.always(sse(*chat_chunks("over ", "tls")))
    with proxy.stream("nice") as stream:
        assert stream.text() == "over tls"


def test_a_certificate_of_another_authority_is_refused(make_proxy, make_upstream, authority,
                                                       tmp_path):
    other = Authority(tmp_path / "other", "Another authority")
    upstream = make_upstream(tls=other.server_context(NAME))
    proxy = make_proxy({"openai-compatibility": [at_port(upstream)]}, **env(upstream, authority))
    assert proxy.chat("nice").status == 502
    assert not upstream.requests


def test_a_certificate_of_another_name_is_refused(make_proxy, make_upstream, authority):
    upstream = make_upstream(tls=authority.server_context("openrouter.example"))
    proxy = make_proxy({"openai-compatibility": [at_port(upstream)]}, **env(upstream, authority))
    assert proxy.chat("nice").status == 502
    assert not upstream.requests


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_tls_goes_through_a_forward_proxy_by_name(make_proxy, router, authority, make_forward, kind):
    forward = make_forward(kind)
    scheme = forward.url.replace("socks5://", "socks5h://")
    proxy = make_proxy({"proxy-url": scheme, "openai-compatibility": [at_port(router)]},
                       SSL_CERT_FILE=str(authority.certificate))
    assert proxy.chat("nice").status == 200
    assert forward.used == [(NAME, router.port)]


@pytest.fixture
def secure(make_proxy, authority):
    key, certificate = authority.issue("localhost", "127.0.0.1")
    proxy = make_proxy({"tls": {"enable": True, "cert": str(certificate), "key": str(key)}})
    proxy.tls = authority.client_context()
    return proxy


@pytest.mark.smoke
def test_the_listener_speaks_tls(secure):
    assert secure.chat("mock").status == 200
    with secure.stream("mock") as stream:
        assert stream.text()


def test_plain_http_on_a_tls_port_is_not_served(secure):
    with socket.create_connection(("127.0.0.1", secure.port), 30) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        s.settimeout(60)
        try:
            assert b"200" not in s.recv(1000)
        except ConnectionError:
            pass
    assert secure.get("/healthz").status == 200


def test_a_large_body_over_tls_arrives(secure):
    text = "x" * 3_000_000
    answer = secure.chat("mock", messages=[{"role": "user", "content": text}])
    assert answer.status == 200


def test_old_protocols_are_refused(secure):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError):
        connection = http.client.HTTPSConnection("127.0.0.1", secure.port, context=context,
                                                 timeout=30)
        connection.request("GET", "/healthz")


def test_a_renewed_certificate_is_picked_up(make_proxy, authority, tmp_path):
    key, certificate = authority.issue("localhost", "127.0.0.1")
    here = tmp_path / "tls"
    here.mkdir()
    shutil.copy(key, here / "key.pem")
    shutil.copy(certificate, here / "cert.pem")
    proxy = make_proxy({"tls": {"enable": True, "cert": str(here / "cert.pem"),
                                "key": str(here / "key.pem")}})
    proxy.tls = authority.client_context()

    def serial():
        with socket.create_connection(("127.0.0.1", proxy.port), 30) as s, \
                proxy.tls.wrap_socket(s, server_hostname="localhost") as t:
            return t.getpeercert()["serialNumber"]
    first = serial()
    key, certificate = authority.issue("localhost", "127.0.0.1")
    shutil.copy(key, here / "key.pem")
    shutil.copy(certificate, here / "cert.pem")
    proxy.change_config(debug=True)
    eventually(lambda: serial() != first)
