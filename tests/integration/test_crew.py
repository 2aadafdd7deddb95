"""Many logins of which most are in trouble, while files come, go and change: nobody notices, and
what `explain` says about each account is what the servers know and what the next request does."""
import asyncio
import json
import math
import random
import time
from collections import Counter, deque

import pytest

from support import proxy as runner
from support.crew import MODEL, Crew
from support.crowd import CHAT, MESSAGES, load
from support.proxy import eventually

BURSTS, BURST, LINES = 24, 62, 12
FIRST_BYTE = 2
# Seconds that a change may take to be seen while the machine is busy.
SLACK = 10


def request(number):
    stream, said = number % 2 == 0, [{"role": "user", "content": f"Hello {number}"}]
    if number % 4 < 2:
        return CHAT, {"model": MODEL, "stream": stream, "messages": said}, ()
    return MESSAGES, {"model": MODEL, "stream": stream, "max_tokens": 99, "messages": said}, ()


# --- what happens to accounts -----------------------------------------------------------------

class Fate:
    """Gives accounts their moods and does to their files what people do."""

    def __init__(self, crew, seed):
        self.crew, self.chance = crew, random.Random(seed)
        self.absent, self.disabled = {}, set()
        self.changed = {}  # when something about the file was last changed
        self.logins = {}
        self.kinds = deque([self.quota, self.lose, self.end, self.remove, self.broken, self.hang,
                            self.forbid, self.disable, self.quota, self.stick, self.overload,
                            self.refuse, self.cut, self.anew, self.lose])

    def join(self):
        self.changed[self.crew.join().file] = time.monotonic()

    def well(self, member):
        # A token that is lost while another is being replaced looks like a login that is over.
        if member.tokens.access is None or any(
                a.what == "expired" and a.at > time.monotonic() - 1 for a in member.asked[-50:]):
            return False
        return member.behaviour == "good" and member.refreshing == "good" and not (
            member.file in self.absent or member.file in self.disabled or member.ended < math.inf)

    def strike(self, member):
        """The next trouble; who has one already gets well again."""
        if not self.well(member):
            return self.mend(member)
        kind = self.kinds[0]
        self.kinds.rotate(-1)
        if kind in (self.remove, self.disable, self.anew):
            return self.change(member, kind)
        return kind(member)

    def change(self, member, how):
        """Something that is seen only when the folder was looked at."""
        self.changed[member.file] = math.inf
        how(member)
        self.changed[member.file] = time.monotonic()

    def mend(self, member):
        self.change(member, self._mend)

    def _mend(self, member):
        text = self.absent.pop(member.file, None)
        if text and member.ended == math.inf:
            self.crew.path(member).write_text(text)
        elif text or member.ended < math.inf or member.behaviour == "forbidden":
            self.anew(member)
        elif member.file in self.disabled:
            self.crew.edit(member, disabled=False)
        self.disabled.discard(member.file)
        member.refreshing = "good"
        if member.behaviour != "quota":
            member.behave("good")

    def quota(self, member):
        member.behave("quota", seconds=self.chance.choice([2, 4, 8]))

    def forbid(self, member):
        member.behave("forbidden")

    def broken(self, member):
        member.behave("broken", 8)

    def overload(self, member):
        member.behave("overloaded", 8)

    def hang(self, member):
        member.behave("hang", 2)

    def refuse(self, member):
        member.behave("refuse", 4)

    def cut(self, member):
        member.behave("cut", 3)

    def lose(self, member):
        member.lose_token()

    def end(self, member):
        member.refreshing = "refused"
        member.lose_token()

    def stick(self, member):
        member.refreshing = "broken"
        member.lose_token()

    def remove(self, member):
        self.absent[member.file] = self.crew.remove(member)

    def disable(self, member):
        self.disabled.add(member.file)
        self.crew.edit(member, disabled=True)

    def anew(self, member):
        member.behave("good")
        self.crew.log_in(member)
        self.logins[member.file] = time.monotonic()


# --- what is true -----------------------------------------------------------------------------

TRANSIENT = {"broken", "overloaded", "hang", "refuse", "expired"}


class Truth:
    """Compares a report with what the servers and the folder know."""

    def __init__(self, crew, fate):
        self.crew, self.fate = crew, fate

    def _since_login(self, member):
        begin = self.fate.logins.get(member.file, 0)
        return [a for a in list(member.asked) if a.at >= begin]

    def refusal(self, member, row, now, slack):
        """What is wrong with a refusal, or None."""
        reason, asked = row["reason"], self._since_login(member)
        seen = {a.what for a in asked}
        if reason == "disabled":
            return None if member.file in self.fate.disabled else "it is not disabled"
        if reason == "needs_login":
            return None if member.ended < math.inf else "its login is good"
        if reason == "cooling_quota":
            told = [a.until for a in asked if a.what == "quota"]
            if not told or not -slack - 1 < max(told) + 1 - now - row["seconds"] < slack + 2:
                return f"quotas end in {[t - now for t in told]}"
            return None if "slow down" in row["said"] else "who said that?"
        if reason == "cooling_forbidden":
            return None if "forbidden" in seen else "nobody forbade anything"
        if reason == "cooling_transient":
            return None if TRANSIENT & seen and row["seconds"] <= 60 else "all went well"
        return "there is no such trouble"

    def kept(self, member, now, slack):
        """Why it should have been refused, or None."""
        if member.file in self.fate.disabled:
            return "it is disabled"
        if member.ended < now - slack:
            return "its login is over"
        held = None
        for asked in self._since_login(member):
            if asked.what in ("quota", "forbidden"):
                held = asked
            elif asked.what == "good":
                held = None
        if not held or held.at > now - slack:
            return None
        if held.what == "forbidden" or held.until > now + 1.5:
            return f"{held.what} was told"
        return None

    def differences(self, report, now, slack=0.0):
        """With `slack`, what changed in the last so many seconds may not be known yet."""
        found = []
        rows = {row["id"]: row for row in report["candidates"]}
        for member in self.crew.members:
            row = rows.pop(member.file, None)
            fresh = slack and self.fate.changed.get(member.file, 0) > now - slack
            if fresh or row is None and member.file in self.fate.absent:
                continue
            if row is None or member.file in self.fate.absent:
                wrong = "it is not listed" if row is None else "it has no file"
            elif row["verdict"] == "kept":
                wrong = self.kept(member, now, slack and 3)
            else:
                wrong = self.refusal(member, row, now, slack and 3)
            if wrong:
                asked = [(a.what, round(a.at - now, 2)) for a in member.asked[-5:]]
                found.append((member.file, wrong, row, asked))
        return found + [(file, "nobody knows it", row) for file, row in rows.items()]


# --- the run ----------------------------------------------------------------------------------

class Run:
    def __init__(self, proxy, crew, fate):
        self.proxy, self.crew, self.fate = proxy, crew, fate
        self.truth = Truth(crew, fate)
        key = (proxy.folder / "data" / f"local-key-{proxy.port}").read_text().strip()
        self.headers = {"Authorization": f"Bearer {key}"}
        self.outcomes, self.wrong = {}, []
        self.moments, self.reasons = 0, Counter()
        self.resting, self.rested, self.settled = True, 0, 0

    def report(self):
        answer = self.proxy.get(f"/v0/local/explain?model={MODEL}", self.headers)
        assert answer.status == 200, answer
        return answer.json()

    async def watch(self):
        """Asks all the time while requests run."""
        while True:
            await asyncio.sleep(0.05)
            if self.resting:
                continue
            now = time.monotonic()
            report = await asyncio.to_thread(self.report)
            if time.monotonic() - now > 1:
                continue  # too slow to be compared with anything
            self.moments += 1
            self.reasons.update(row.get("reason", "kept") for row in report["candidates"])
            self.wrong += self.truth.differences(report, now, SLACK)

    def unseen(self):
        found = self.truth.differences(self.report(), time.monotonic())
        return [d for d in found if self.fate.changed.get(d[0], 0) > self.rested]

    def rest(self):
        """All requests have ended: nothing may differ once the folder was looked at."""
        begin = time.monotonic()
        try:
            eventually(lambda: not self.unseen())
        except AssertionError:
            found = self.unseen()
            story = [line for d in found for line in self.proxy.lines if d[0][7:-5] in line]
            raise AssertionError("\n".join([*map(str, found), *story[-40:]])) from None
        self.rested = now = time.monotonic()
        self.settled = max(self.settled, now - begin)
        report = self.report()
        self.wrong += self.truth.differences(report, now)
        return report

    def from_the_command_line(self):
        """The same rows as the page has, whose refusals go on."""
        def lasting(report):
            return sorted((row["id"], row["reason"]) for row in report["candidates"]
                          if row["verdict"] == "refused" and row.get("seconds", 99) > 20)
        done = runner.run("--config", str(self.proxy.config_path), "explain", MODEL, "--json",
                          cwd=self.proxy.folder, **self.proxy.env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lasting(json.loads(done.stdout)) == lasting(self.report())

    async def burst(self, numbers, events):
        """Requests, and what happens meanwhile."""
        async def happen():
            for event in events:
                await asyncio.sleep(0.1)
                await asyncio.to_thread(event)
        self.resting = False
        happening = asyncio.create_task(happen())
        outcomes = await load(self.proxy.port, [request(n) for n in numbers], LINES)
        await happening
        self.resting = True
        self.outcomes.update(zip(numbers, outcomes))

    async def follow(self, number):
        """The next request goes where explain said, and on in that order."""
        while True:
            report = await asyncio.to_thread(self.rest)
            # Who rests may be back before it is somebody's turn.
            back = min((row["seconds"] for row in report["candidates"] if "seconds" in row),
                       default=99)
            if back > 1:
                break
            await asyncio.sleep(0.3)
        order = [row["id"] for row in report["candidates"] if row["verdict"] == "kept"]
        assert report["usable"] and report["next"]["credential"] == self.crew.by(order[0]).email
        await self.burst([number], [])
        asked = [a.account.file for a in self.crew.asked if a.number == number]
        asked = [f for i, f in enumerate(asked) if i == 0 or asked[i - 1] != f]
        compared = len(asked) if back > self.outcomes[number].seconds + 1 else 1
        if asked[:compared] != order[:compared]:
            self.wrong.append(("others were asked", asked, order))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_logins_in_all_kinds_of_trouble(make_proxy, hosts, tmp_path):
    crew = Crew(hosts, tmp_path / "auths", 10)
    fate = Fate(crew, 11)
    proxy = make_proxy({"auth-dir": str(crew.folder), "mock": False,
                        "transient-error-cooldown-seconds": 1,
                        "timeouts": {"first-byte": FIRST_BYTE, "idle": FIRST_BYTE}}, **hosts.env())
    run = Run(proxy, crew, fate)

    async def main():
        watching = asyncio.create_task(run.watch())
        for i in range(BURSTS):
            # Two are well, and one of them is so in the next burst too.
            safe = {i % 10, (i + 1) % 10}
            for index in safe:
                member = crew.members[index]
                member.behave("good")
                if not fate.well(member):
                    await asyncio.to_thread(fate.mend, member)
            await asyncio.to_thread(run.rest)
            others = [m for k, m in enumerate(crew.members) if k not in safe]
            struck = fate.chance.sample(others, 4)
            events = [lambda m=m: fate.strike(m) for m in struck]
            if i in (8, 16):
                events.append(fate.join)
            begin = i * BURST
            await run.burst(range(begin, begin + BURST), events)
            await run.follow(100000 + i)
            if i % 10 == 5:
                await asyncio.to_thread(run.from_the_command_line)
        watching.cancel()

    asyncio.run(main())
    check_outcomes(run, crew)
    assert not run.wrong, "\n".join(str(w) for w in run.wrong[:10])
    assert run.moments > 30
    assert set(run.reasons) >= {"kept", "disabled", "needs_login", "cooling_quota",
                                "cooling_forbidden", "cooling_transient"}
    # One refresh for each token that was lost, and a refusal is believed.
    assert sum(m.tokens.refreshes for m in crew.members) > 3
    assert all(m.tokens.refreshes <= m.losses and m.refusals <= 1 for m in crew.members)


def check_outcomes(run, crew):
    shown = {a.what for a in crew.asked}
    assert shown == {"good", "quota", "forbidden", "broken", "overloaded", "hang", "refuse", "cut",
                     "expired"}
    seen = {n: [] for n in run.outcomes}
    for asked in crew.asked:
        seen[asked.number].append(asked)
    for number, outcome in run.outcomes.items():
        tried = [(a.account.key, a.what) for a in seen[number]]
        # Only an answer that had begun may be lost.
        if not outcome.fine:
            assert tried[-1][1] == "cut" and outcome.status == 200, \
                (number, outcome.status, outcome.body[-300:], tried)
        # A silent server, and a refresh that is tried three times.
        waits = sum(FIRST_BYTE + 1 if what == "hang" else 5 * (what == "expired")
                    for _, what in tried)
        assert outcome.seconds < waits + 20, (number, outcome.seconds, tried)
