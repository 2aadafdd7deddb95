"""Many accounts of which most are in trouble: nobody notices."""
import asyncio
import json
import random
import time
from collections import Counter, defaultdict, deque

import pytest

from support.crowd import CHAT, MESSAGES, Line, Pool, chat_entry, claude_entries, load
from support.proxy import eventually

LINES = 64
FIRST_BYTE = 3
SLOT = 4  # seconds; a request that meets a silent account lives that long


def chat_request(number, stream):
    return CHAT, {"model": "m", "stream": stream, "user": str(number),
                  "messages": [{"role": "user", "content": "Hello"}]}, ()


def messages_request(number, stream):
    return MESSAGES, {"model": "m", "stream": stream, "max_tokens": 100,
                      "metadata": {"user_id": str(number)},
                      "messages": [{"role": "user", "content": "Hello"}]}, ()


async def trouble(accounts, seed):
    """Changes what accounts do.  In each slot of time two are good, and one of them is good in the
    next slot too: whoever asks long enough meets a good one."""
    chance = random.Random(seed)
    begin = time.monotonic()
    dead = {}
    guards = list(range(2, len(accounts)))
    kinds = deque(["quota", "broken", "hang", "overloaded", "quota", "cut", "refuse"])
    while True:
        now = time.monotonic() - begin
        slot = int(now / SLOT)
        safe = {guards[slot % len(guards)], guards[(slot + 1) % len(guards)]}
        for at, index, what in ((0.5, 0, "unauthorized"), (1, 1, "forbidden")):
            if now > at and index not in dead:
                dead[index] = True
                accounts[index].behave(what)
        for index in safe:
            if accounts[index].behaviour != "good":
                accounts[index].behave("good")
        index = chance.choice(guards)
        if index not in safe and accounts[index].behaviour == "good":
            # Each in turn, so that all of them occur.
            what, count = kinds[0], 30
            kinds.rotate(-1)
            if what == "quota":
                count = 10 ** 9
            elif what == "hang":
                count = 4
            accounts[index].behave(what, count, chance.choice([1, 2, 3]))
        await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_requests_find_whoever_is_well(make_proxy):
    async def run():
        async with Pool(10) as pool:
            accounts = pool.accounts
            # One of the dead is in each half.
            first, second = accounts[::2], accounts[1::2]
            proxy = await asyncio.to_thread(make_proxy, {
                "openai-compatibility": [chat_entry(pool, first)],
                "claude-api-key": claude_entries(pool, second),
                "transient-error-cooldown-seconds": 1,
                "timeouts": {"first-byte": FIRST_BYTE, "idle": FIRST_BYTE},
            })
            requests = [(chat_request if i % 4 < 2 else messages_request)(i, i % 2 == 0)
                        for i in range(10000)]
            script = asyncio.create_task(trouble(accounts, 4))
            outcomes = await load(proxy.port, requests, LINES)
            script.cancel()
            # Who was told to wait is back at the hinted time.
            for account in accounts[2:]:
                account.behave("good")
            await asyncio.sleep(max(0, max(a.ready for a in accounts) - time.monotonic()) + 1)
            for account in accounts:
                account.asked.clear()
            await load(proxy.port, [chat_request(20000 + i, False) for i in range(160)])
            back = {a.key for a in accounts if a.asked}
            return pool, outcomes, back

    pool, outcomes, back = asyncio.run(run())
    assert not pool.problems, pool.problems[:5]
    attempts = pool.attempts()
    shown = Counter(a.what for a in pool.asked)
    assert set(shown) == {"good", "unauthorized", "forbidden", "quota", "broken", "overloaded",
                          "hang", "cut", "refuse"}
    for number, outcome in enumerate(outcomes):
        seen = attempts[number]
        # Only an answer that had begun may be lost.
        if not outcome.fine:
            assert seen[-1].what == "cut" and outcome.status == 200, \
                (number, outcome.status, outcome.body[-300:], [a.what for a in seen])
        waits = sum(a.what == "hang" for a in seen) * (FIRST_BYTE + 1)
        assert outcome.seconds < waits + 20, (number, outcome.seconds, [a.what for a in seen])
    assert back == {a.key for a in pool.accounts[2:]}
    # Who is dead or out of quota is left alone: only what was under way then still got there.
    refusals = Counter((a.account.key, a.turn) for a in pool.asked
                       if a.what in ("unauthorized", "forbidden", "quota"))
    assert max(refusals.values()) <= LINES, refusals.most_common(3)


def test_an_account_that_was_told_to_wait_is_left_alone_until_then(make_proxy):
    async def run():
        async with Pool(2) as pool:
            proxy = await asyncio.to_thread(
                make_proxy, {"openai-compatibility": [chat_entry(pool, pool.accounts)]})
            tired = pool.accounts[0]
            tired.behave("quota", seconds=3)
            for i in range(8):
                await load(proxy.port, [chat_request(i, False)], 1)
            refused = [a.at for a in tired.asked]
            while time.monotonic() < tired.ready + 0.2:
                assert all(o.fine for o in await load(proxy.port, [chat_request(9, False)] * 4, 2))
                await asyncio.sleep(0.1)
            early = [a for a in tired.asked[len(refused):] if a.at < tired.ready - 0.1]
            await load(proxy.port, [chat_request(10, False)] * 4, 1)
            return refused, early, tired.asked[-1].what, tired.ready, time.monotonic()

    refused, early, last, ready, now = asyncio.run(run())
    assert len(refused) == 1 and not early
    assert last == "good"


# --- conversations ----------------------------------------------------------------------------

LONG = "You are a coding agent at work in somebody's repository. " * 90


class Session:
    """A conversation as Claude Code has it; every other one is of an older version."""

    def __init__(self, number):
        self.number, self.history = number, []
        self.id = f"7f0c{number:04d}-aaaa-bbbb-cccc-0123456789ab"
        self.user = json.dumps({"device_id": "d", "account_uuid": "", "session_id": self.id}) \
            if number % 2 else f"user_0a0a_account__session_{self.id}"

    def turn(self):
        self.history.append({"role": "user", "content": f"{self.number}: turn {len(self.history)}"})
        body = {"model": "m", "stream": True, "max_tokens": 1000,
                "metadata": {"user_id": self.user},
                "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}],
                "messages": list(self.history)}
        self.history.append({"role": "assistant", "content": "well"})
        return MESSAGES, body, ()


async def take_turns(port, sessions, turns):
    """All sessions at the same time, each one turn after the other."""
    async def talk(session):
        line = Line(port)
        for _ in range(turns):
            outcome = await line.ask(*session.turn())
            assert outcome.fine, outcome.body[-300:]
        line.close()
    await asyncio.gather(*(talk(s) for s in sessions))


def accounts_of(pool, sessions, since=0):
    """Which accounts answered each session."""
    names = {s.user: s.number for s in sessions}
    found = defaultdict(list)
    for asked in pool.asked[since:]:
        if asked.what == "good":
            found[names[asked.body["metadata"]["user_id"]]].append(asked.account)
    return found


def spread(found, accounts):
    homes = Counter(accounts_[-1].key for accounts_ in found.values())
    return [homes[a.key] for a in accounts]


def test_fifty_conversations_stay_with_their_accounts(make_proxy):
    async def run():
        async with Pool(10) as pool:
            proxy = await asyncio.to_thread(
                make_proxy, {"claude-api-key": claude_entries(pool, pool.accounts)})
            sessions = [Session(i) for i in range(50)]
            await take_turns(proxy.port, sessions, 4)
            before = accounts_of(pool, sessions)
            dead = before[0][0]
            dead.behave("unauthorized")
            mark = len(pool.asked)
            await take_turns(proxy.port, sessions, 4)
            after = accounts_of(pool, sessions, mark)
            # A changed configuration changes nothing about who has whom.
            seen = proxy.mark()
            proxy.change_config(request_retry=1)
            await asyncio.to_thread(proxy.wait_for_log, "reload|configuration", 20, seen)
            mark = len(pool.asked)
            await take_turns(proxy.port, sessions, 2)
            later = accounts_of(pool, sessions, mark)
            return pool, dead, before, after, later

    pool, dead, before, after, later = asyncio.run(run())
    assert not pool.problems, pool.problems[:5]
    assert all(len(seen) == 4 and len(set(seen)) == 1 for seen in before.values())
    assert spread(before, pool.accounts) == [5] * 10
    for number, seen in after.items():
        home = before[number][0]
        assert len(set(seen)) == 1, number
        assert seen[0] is not dead
        assert seen[0] is home or home is dead
        assert set(later[number]) == {seen[0]}
    alive = [a for a in pool.accounts if a is not dead]
    shares = spread(after, alive)
    assert sum(shares) == 50 and max(shares) - min(shares) <= 2, shares


# --- what is kept -----------------------------------------------------------------------------

def test_who_rests_is_remembered_over_a_restart(make_proxy):
    async def run():
        async with Pool(2) as pool:
            tired, well = pool.accounts
            config = {"openai-compatibility": [chat_entry(pool, pool.accounts)],
                      "save-cooldown-status": True}
            tired.behave("quota", seconds=600)
            proxy = await asyncio.to_thread(make_proxy, config)
            assert all(o.fine for o in await load(proxy.port, [chat_request(1, False)] * 4, 1))
            kept = proxy.folder / ".cli-proxy-api" / ".cooldowns"
            await asyncio.to_thread(eventually, kept.exists)
            assert kept.stat().st_mode & 0o777 == 0o600
            assert b"slow down" in kept.read_bytes() and tired.key.encode() not in kept.read_bytes()
            await asyncio.to_thread(proxy.stop)
            again = await asyncio.to_thread(make_proxy, config)
            asked = len(tired.asked)
            assert all(o.fine for o in await load(again.port, [chat_request(2, False)] * 8, 1))
            return len(tired.asked) - asked, again.log

    more, log = asyncio.run(run())
    assert more == 0
    assert "1 cooldown(s) from before the start" in log


def test_a_client_that_leaves_ends_the_wait_between_rounds(make_proxy):
    async def run():
        async with Pool(1) as pool:
            account = pool.accounts[0]
            proxy = await asyncio.to_thread(make_proxy, {
                "openai-compatibility": [chat_entry(pool, pool.accounts)],
                "request-retry": 5, "max-retry-interval": 30})
            account.behave("quota", seconds=2)
            line = Line(proxy.port)
            asking = asyncio.create_task(line.ask(*chat_request(1, False)))
            while not account.asked:
                await asyncio.sleep(0.01)
            line.close()
            asking.cancel()
            await asyncio.to_thread(proxy.wait_for_log, r"\b499\b")
            await asyncio.sleep(max(0, account.ready - time.monotonic()) + 1)
            return len(account.asked)

    assert asyncio.run(run()) == 1


def test_a_round_waits_for_the_quota_and_the_limit_bounds_it(make_proxy):
    async def run(limit):
        async with Pool(1) as pool:
            account = pool.accounts[0]
            proxy = await asyncio.to_thread(make_proxy, {
                "openai-compatibility": [chat_entry(pool, pool.accounts)],
                "request-retry": 1, "max-retry-interval": limit}, name=f"limit-{limit}")
            account.behave("quota", seconds=2)
            outcome = (await load(proxy.port, [chat_request(1, False)], 1))[0]
            return outcome, account

    outcome, account = asyncio.run(run(5))
    assert outcome.fine and len(account.asked) == 2
    assert account.asked[1].at >= account.ready
    outcome, account = asyncio.run(run(1))
    assert outcome.status == 429 and len(account.asked) == 1
    assert outcome.headers["retry-after"] == "2"


def test_weights_of_keys_are_their_shares(make_proxy):
    async def run():
        async with Pool(3) as pool:
            entry = chat_entry(pool, pool.accounts)
            for key, weight in zip(entry["api-key-entries"], (4, 2, 0)):
                key["weight"] = weight
            proxy = await asyncio.to_thread(make_proxy, {
                "openai-compatibility": [entry], "routing": {"strategy": "weighted-round-robin"}})
            await load(proxy.port, [chat_request(i, False) for i in range(60)], 4)
            return [len(a.asked) for a in pool.accounts]

    assert asyncio.run(run()) == [40, 20, 0]
