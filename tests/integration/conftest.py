"""Fixtures: each test owns its proxy, its upstream and its folder."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from support.logged_in import with_accounts  # noqa: E402
from support.authority import Authority  # noqa: E402
from support.hosts import Hosts  # noqa: E402
from support.login import Login  # noqa: E402
from support.proxy import Proxy, binary, entry  # noqa: E402
from support.socks import Connect, Refusing, Socks5  # noqa: E402
from support.upstream import Upstream  # noqa: E402


def pytest_configure(config):
    if not os.access(binary(), os.X_OK):
        raise pytest.UsageError(f"no program at {binary()} (set CLIPROXY_BINARY)")


@pytest.fixture
def make_proxy(tmp_path):
    """Starts proxies; at the end each must stop cleanly."""
    started = []

    def make(config=None, start=True, name="home", **options):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        proxy = Proxy(folder, config, **options)
        started.append(proxy)
        return proxy.start() if start else proxy

    yield make
    try:
        for proxy in started:
            proxy.stop()
    finally:
        for proxy in started:
            proxy.kill()


@pytest.fixture
def mock(make_proxy):
    """A proxy with nothing but its mock models."""
    return make_proxy({})


@pytest.fixture
def make_upstream():
    made = []

    def make(**options):
        made.append(Upstream(**options))
        return made[-1]

    yield make
    for upstream in made:
        upstream.close()
    problems = [p for u in made for p in u.problems]
    assert not problems, "\n".join(problems)


@pytest.fixture
def upstream(make_upstream):
    return make_upstream()


@pytest.fixture
def served(make_proxy, upstream):
    """A proxy in front of the scripted upstream, with one key."""
    upstream.keys = ["sk-upstream-one"]
    return make_proxy({"openai-compatibility": [entry(upstream)]})


@pytest.fixture
def socks():
    proxy = Socks5()
    yield proxy
    proxy.close()


@pytest.fixture
def make_forward():
    made = []

    def make(kind, **options):
        kinds = {"socks5": Socks5, "http": Connect, "refusing": Refusing}
        made.append(kinds[kind](**options))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def hosts(authority, tmp_path):
    """The providers' servers under their real names; see support/hosts.py."""
    made = Hosts(tmp_path / "hosts", authority)
    yield made
    made.close()
    assert not made.problems, "\n".join(made.problems)


@pytest.fixture
def make_with_accounts(make_proxy, hosts):
    """Proxies with token files, in front of `hosts`; see support/logged_in.py."""
    return with_accounts(make_proxy, hosts)


@pytest.fixture
def make_login():
    """Starts logins on the command line, with the config and environment of a proxy."""
    made = []

    def make(proxy, *arguments, **options):
        made.append(Login(proxy, *arguments, **options))
        return made[-1]

    yield make
    for login in made:
        login.close()
