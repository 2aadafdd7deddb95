"""Proxies with token files, and what can happen to them."""
import json
import os
import signal
import time

from .proxy import eventually
from .upstream import reply


def iso(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def with_accounts(make_proxy, hosts):
    """Makes proxies with an auth-dir of their own; its files are given by name."""
    def make(files=None, start=True, name="home", **config):
        proxy = make_proxy({"mock": False, **config}, start=False, name=name, **hosts.env())
        proxy.auths = proxy.folder / "auths"
        proxy.auths.mkdir(mode=0o700, exist_ok=True)
        proxy.change_config(auth_dir=str(proxy.auths))
        for file, document in (files or {}).items():
            text = document if isinstance(document, str) else json.dumps(document)
            (proxy.auths / file).write_text(text)
        return proxy.start() if start else proxy
    return make


def file_of(proxy, name):
    return json.loads((proxy.auths / name).read_text())


def no_secrets(proxy, vendor, *texts):
    """No token that was ever given out stands in the log or in these texts."""
    everything = proxy.log + "".join(texts)
    assert not [t for t in vendor.tokens.issued if t in everything]


def kill(proxy):
    os.kill(proxy.process.pid, signal.SIGKILL)
    proxy.process.wait()
    proxy.checked = True  # this end is not to be a clean one


def _half(text):
    def action(c):
        c.head(200, {"Content-Type": "application/json", "Content-Length": len(text)},
               chunked=False)
        c.send(text[:len(text) // 2].encode())
        c.wait_gone()
    return action


# What the token endpoint does with the answer that it has.
ANSWERS = {
    "received": lambda data: lambda c: c.wait_gone(),
    "half": lambda data: _half(json.dumps(data)),
    "whole": reply,
}


MOMENTS = ("before", *ANSWERS, "used")


def ask_and_kill(proxy, vendor, begin, moment, make_upstream):
    """Starts a proxy whose token has expired, begins a request and kills the proxy at a moment:
    "before" the refresh leaves, when it was "received", after "half" of the answer, after the
    "whole" of it, or when the new token is first "used"."""
    reached = []

    def token(request):
        action = ANSWERS[moment](vendor._token(request))

        def act(c):
            reached.append(moment)
            action(c)
        return act

    def use(request):
        def act(c):
            reached.append(moment)
            c.wait_gone()
        return act

    if moment == "before":
        # Takes the connection and never speaks TLS.
        deaf = make_upstream()
        proxy.env["CLIPROXY_RESOLVE"] = f"*:443:127.0.0.1:{deaf.port}"
    elif moment == "used":
        vendor.answer = use
    else:
        vendor.token(token)
    proxy.start()
    connection = begin(proxy)
    eventually(lambda: deaf.connections if moment == "before" else reached, pause=0.001)
    kill(proxy)
    connection.close()
    vendor.answer = None
    vendor.token(vendor._token)
    if moment == "before":
        assert vendor.tokens.refreshes == 0


def check_kill(make, make_upstream, vendor, moment, begin, ask, name, document):
    """A refresh that a kill interrupts costs no login, where the server answers a repetition as it
    answered before."""
    vendor.tokens.grace = True
    proxy = make({name: document}, start=False)
    ask_and_kill(proxy, vendor, begin, moment, make_upstream)
    on_disk = file_of(proxy, name)["refresh_token"]
    assert on_disk in (document["refresh_token"], vendor.tokens.refresh)
    before = vendor.tokens.refreshes
    again = make()
    assert ask(again).status == 200, again.tail()
    if moment == "used":
        assert on_disk == vendor.tokens.refresh and vendor.tokens.refreshes == before
    assert file_of(again, name)["refresh_token"] == vendor.tokens.refresh
    no_secrets(again, vendor)
