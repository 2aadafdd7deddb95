"""Several processes on one auth-dir: tokens that are good for one use are refreshed once, whoever
is killed meanwhile."""
import http.client
import os
import signal
import threading
import time

import pytest

from support.accounts import write
from support.logged_in import iso, kill
from support.proxy import eventually
from support.upstream import reply
from support.vendors import EMAIL, Anthropic, ChatGpt

# A request refreshes when 10 s are left: so each token is used for 3 s.
LIFE = 13
KINDS = {
    "claude": (Anthropic, "/v1/messages", {"model": "claude-sonnet-4-5-20250929", "max_tokens": 9,
                                           "messages": [{"role": "user", "content": "hi"}]}),
    "codex": (ChatGpt, "/v1/responses", {"model": "gpt-5.5", "input": "hi"}),
}


class World:
    """Processes on one folder with one account, all of them asked all the time."""

    def __init__(self, kind, make_proxy, hosts, folder):
        hosts.agents = ("cli-proxy-api/",)
        vendor, self.path, self.body = KINDS[kind]
        self.vendor, self.folder, self.file = vendor(hosts), folder, f"{kind}-{EMAIL}.json"
        self.vendor.expires_in = LIFE
        self.vendor.tokens.issue()
        document = {"id_token": "", "access_token": self.vendor.tokens.access,
                    "refresh_token": self.vendor.tokens.refresh, "email": EMAIL, "type": kind,
                    "account_id": ChatGpt.ACCOUNT, "last_refresh": iso(time.time() - 9000),
                    "expired": iso(time.time() - 60)}
        write(folder, self.file, document)
        self.asked, self.wrong, self.ending, self.at = 0, [], set(), []
        self.do(lambda answer: answer)
        self.proxies = [make_proxy({"auth-dir": str(folder), "mock": False, "workers": 4},
                                   name=name, **hosts.env()) for name in ("one", "two", "three")]
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(p,))
                        for p in self.proxies for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def _ask(self, proxy):
        while not self.over.is_set() and proxy not in self.ending:
            try:
                answer = proxy.client().request("POST", self.path, self.body)
            except (OSError, http.client.HTTPException) as e:
                if proxy not in self.ending:
                    self.wrong.append(e)
                return
            self.asked += 1
            if answer.status != 200 and proxy not in self.ending:
                self.wrong.append(answer)

    def do(self, act):
        """What the token endpoint does with each answer from now on."""
        def token(request):
            answer = self.vendor._token(request)
            self.at.append(time.monotonic())
            return act(answer)
        self.vendor.token(token)

    def holder(self):
        """The process that holds the lock of the file."""
        inode = os.stat(self.folder / f"{self.file}.lock").st_ino
        with open("/proc/locks") as f:
            rows = [line.split() for line in f]
        pids = [int(r[4]) for r in rows if r[1] == "FLOCK" and int(r[5].split(":")[2]) == inode]
        return next((p for p in self.proxies if p.process.pid in pids), None)

    def refreshes(self, more):
        """Waits for so many further ones."""
        before = len(self.at)
        eventually(lambda: len(self.at) >= before + more, 60)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.wrong, (self.wrong[:3], len(self.wrong), self.asked)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_refresh_an_expiry_whoever_dies(make_proxy, hosts, tmp_path, kind):
    world = World(kind, make_proxy, hosts, tmp_path / "auths")
    tokens, held = world.vendor.tokens, []
    try:
        world.refreshes(2)

        # Killed while it holds the lock; its question had not been answered.
        def swallow(request):
            held.append(world.holder())
            return lambda c: c.wait_gone()
        world.vendor.token(swallow)
        first = eventually(lambda: held and held[0], 60)
        world.do(lambda answer: answer)
        world.ending.add(first)
        kill(first)
        world.refreshes(1)

        # Told to stop while the answer is on its way: it is written, and the others take it over.
        stopping, holders = threading.Event(), []

        def late(answer):
            holders.append(world.holder())
            world.ending.add(holders[0])
            holders[0].signal(signal.SIGTERM)

            def act(c):
                stopping.wait(20)
                reply(answer)(c)
            return act
        world.do(late)
        second = eventually(lambda: holders and holders[0], 60)
        world.do(lambda answer: answer)
        second.wait_for_log("stopping:", 20)
        stopping.set()
        second.wait_exit()
        second.stop()
        world.refreshes(1)
    finally:
        world.over.set()
    world.end()
    # No refresh token came twice, and no refresh before it was time.
    assert tokens.refreshes == len(world.at) == tokens.number - 1
    gaps = [b - a for a, b in zip(world.at, world.at[1:])]
    assert min(gaps) > LIFE - 10 - 1.5, gaps
    assert world.asked > 50
