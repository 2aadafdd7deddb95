"""Minutes of everything at once, then: is the memory back, is every file closed, has every
generation drained?  Run by hand on a release build, which is what memory figures are about:

    CLIPROXY_BINARY=build/release/cli-proxy-api python3 tests/integration/soak.py [SECONDS]
"""
import asyncio
import json
import os
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))

from support.authority import Authority  # noqa: E402
from support.crew import MODEL, Crew  # noqa: E402
from support.crowd import CHAT, MESSAGES, load  # noqa: E402
from support.hosts import Hosts  # noqa: E402
from support.proxy import Proxy, eventually  # noqa: E402

ACCOUNTS, LINES, IDLE = 8, 16, 26  # an idle worker gives memory back after 10 to 20 s
SCRIPT = "--- Changes with each reload.\n\nreturn {{ number = {} }}\n"


class Soak:
    def __init__(self, folder, crew, proxy):
        self.folder, self.crew, self.proxy = folder, crew, proxy
        self.chance, self.reloads, self.number = random.Random(1), 0, 0
        self.outcomes, self.left = {200: 0}, 0

    def request(self):
        self.number += 1
        # The same conversations again and again: what is remembered of each is no leak.
        text = f"Hello {self.number % 300} " + "x" * (10, 1000, 100000)[self.number % 3]
        body = {"model": MODEL, "stream": self.number % 3 > 0,
                "messages": [{"role": "user", "content": text}]}
        if self.number % 2:
            return CHAT, body, ()
        return MESSAGES, {**body, "max_tokens": 99}, ()

    def change(self):
        """One of everything that happens to a program that runs for months."""
        member = self.chance.choice(self.crew.members)
        there = self.crew.path(member).exists()
        what = self.chance.choice(["moods", "lost", "gone", "edited", "login", "config", "script"])
        if what == "moods":
            mood = self.chance.choice(["quota", "broken", "overloaded", "refuse", "cut"])
            member.behave(mood, 5, 1)
        elif what == "lost" and member.tokens.access:
            member.lose_token()
        elif what == "gone" and there and sum(
                self.crew.path(m).exists() for m in self.crew.members) > 3:
            self.crew.remove(member)
        elif what == "edited" and there:
            self.crew.edit(member, note="x" * self.chance.randrange(1000))
        elif what == "login" or not there:
            member.behave("good")
            self.crew.log_in(member)
        elif what in ("config", "script"):
            self.reload(what)

    def reload(self, what):
        mark = self.proxy.mark()
        if what == "config":
            self.proxy.change_config(max_retry_interval=30 + self.reloads)
        else:
            self.proxy.write_script("lib/soak.lua", SCRIPT.format(self.reloads))
        self.proxy.wait_for_log("reloaded: generation|a change waits", 60, mark)
        self.reloads += 1

    async def leave(self):
        """Clients that ask for a stream and are gone."""
        for _ in range(6):
            path, body, _ = self.request()
            data = json.dumps({**body, "stream": True}).encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
            writer.write((f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/"
                          f"json\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data)
            await asyncio.sleep(self.chance.random() / 50)
            writer.close()
            self.left += 1

    async def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            changing = asyncio.to_thread(self.change)
            answers, _, _ = await asyncio.gather(
                load(self.proxy.port, [self.request() for _ in range(64)], LINES), self.leave(),
                changing)
            for answer in answers:
                self.outcomes[answer.status] = self.outcomes.get(answer.status, 0) + 1

    def settle(self):
        """Everybody well, nobody asking: what is left after a while."""
        for member in self.crew.members:
            member.behave("good")
            self.crew.log_in(member)
        time.sleep(IDLE)
        self.crew.asked.clear()
        self.crew.hosts.requests.clear()
        base = f"/proc/{self.proxy.process.pid}/fd"
        links = [os.readlink(f"{base}/{n}") for n in os.listdir(base)]
        return self.proxy.resident_mib(), links


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    hosts = Hosts(folder / "hosts", Authority(folder))
    crew = Crew(hosts, folder / "auths", ACCOUNTS)
    proxy = Proxy(folder, {"auth-dir": str(crew.folder), "mock": False, "debug": True,
                           "transient-error-cooldown-seconds": 1, "disable-cooling": True,
                           "timeouts": {"first-byte": 3, "idle": 3}}, **hosts.env())
    proxy.write_script("lib/soak.lua", SCRIPT.format(-1))
    proxy.start()
    soak = Soak(folder, crew, proxy)
    try:
        asyncio.run(soak.run(20))
        before, files_before = soak.settle()
        asked, reloads = soak.number, soak.reloads
        asyncio.run(soak.run(seconds))
        after, files_after = soak.settle()
        drained = sum("has drained" in line for line in proxy.lines)
        refreshed = sum("was refreshed" in line for line in proxy.lines)
        made = sum("reloaded: generation" in line for line in proxy.lines)
        print(f"{soak.number - asked} requests in {seconds:.0f} s ({soak.outcomes}), "
              f"{soak.left} clients that left, {soak.reloads - reloads} reloads, {refreshed} refreshes")
        print(f"resident {before:.1f} MiB before, {after:.1f} MiB after ({after / before - 1:+.0%})")
        print(f"{len(files_before)} open files before, {len(files_after)} after")
        print(f"{made} generations made by reloads, {drained} drained")
        print(f"problems of the servers: {hosts.problems[:3]}")
        new = sorted(set(files_after) - set(files_before))
        assert after < before * 1.2 and len(files_after) <= len(files_before), new
        eventually(lambda: sum("has drained" in line for line in proxy.lines) == made)
        proxy.stop()
    finally:
        proxy.kill()
        hosts.close()


if __name__ == "__main__":
    main()
