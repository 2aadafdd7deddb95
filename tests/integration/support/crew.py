"""Many Claude accounts with token files, behind the real host names, each with moods of its own.

What the servers did and know stays on record, so that it can be compared with what the program says
about the accounts.  Requests carry their number in the text that is asked ("Hello 17").
"""
import contextlib
import fcntl
import json
import math
import os
import re
import threading
import time

from .accounts import write
from .crowd import Account, Asked
from .dialects import text_stream, text_whole
from .logged_in import iso
from .upstream import cut, error, event, failure, refuse, reply, sse, sse_then, stall
from .vendors import Anthropic, Tokens, recorded

MODEL = "claude-sonnet-4-5-20250929"
NUMBER = re.compile(rb"Hello (\d+)")
HOUR = 3600


class Member(Account):
    """One account: what it does, and all that was made known about it."""

    def __init__(self, number):
        super().__init__(f"member-{number:02d}")
        self.email = f"{self.key}@example.com"
        self.file = f"claude-{self.email}.json"
        self.tokens = Tokens(f"sk-ant-oat01-{self.key}-", f"sk-ant-ort01-{self.key}-")
        self.refreshing = "good"  # or "refused" for good, or "broken"
        self.ended = math.inf  # when the program was told that the login is over
        self.losses = 0  # how often the access token was made worthless
        self.refusals = 0  # of refreshes for good, since the last login

    def next(self):
        before = self.behaviour
        what = super().next()
        if before == "quota" and what == "good":
            self.turn += 1
        return what

    def lose_token(self):
        """The access token is worthless from now on, and nobody was told."""
        self.losses += 1
        self.tokens.access = None

    def document(self, **members):
        """The token file of a new login."""
        self.tokens.issue()
        self.refreshing, self.ended, self.refusals = "good", math.inf, 0
        return {"id_token": "", "access_token": self.tokens.access,
                "refresh_token": self.tokens.refresh, "email": self.email, "type": "claude",
                "last_refresh": iso(time.time()), "expired": iso(time.time() + 8 * HOUR), **members}


@contextlib.contextmanager
def locked(path):
    """The lock that guards a token file against others who refresh it."""
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Crew(Anthropic):
    def __init__(self, hosts, folder, count):
        super().__init__(hosts)
        self.folder, self.lock = folder, threading.Lock()
        self.members, self.asked = [], []
        self.current = None
        for _ in range(count):
            self.join()

    # --- files --------------------------------------------------------------------------------

    def join(self):
        member = Member(len(self.members))
        self.members.append(member)
        self.log_in(member)
        return member

    def path(self, member):
        return self.folder / member.file

    def log_in(self, member, **members):
        """A new login, which keeps nothing of the file that was there."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with locked(self.path(member)), self.lock:
            write(self.folder, member.file, member.document(**members))

    def edit(self, member, **changes):
        with locked(self.path(member)):
            document = json.loads(self.path(member).read_text())
            write(self.folder, member.file, {**document, **changes})

    def remove(self, member):
        """The text of the file that was there."""
        with locked(self.path(member)):
            text = self.path(member).read_text()
            os.remove(self.path(member))
        return text

    def by(self, credential):
        return next((m for m in self.members if m.file == credential), None)

    # --- the servers ----------------------------------------------------------------------------

    def _token(self, r):
        with self.lock:
            token = r.json()["refresh_token"]
            member = next((m for m in self.members if token in m.tokens.issued), None)
            assert member, "a refresh token that nobody gave out"
            if member.refreshing == "broken":
                return error(503, "come back later")
            if member.refreshing == "refused":
                member.ended = min(member.ended, time.monotonic())
                member.refusals += 1
                return recorded("claude/invalid_grant")
            assert token == member.tokens.refresh, f"{member.key}: a token for the second time"
            self.current, self.tokens = member, member.tokens
            return super()._token(r)

    def _tokens(self):
        return {**super()._tokens(),
                "account": {"uuid": "acc-" + self.current.key, "email_address": self.current.email}}

    def _messages(self, r):
        stream = r.json().get("stream") is True
        assert r.header("accept") == ("text/event-stream" if stream else "application/json")
        with self.lock:
            member = next((m for m in self.members if r.key in m.tokens.issued), None)
            assert member, "an access token that nobody gave out"
            self.tokens = member.tokens
            what = member.next() if self._check(r) else "expired"
            number = NUMBER.search(r.body)
            asked = Asked(member, number and int(number[1]), what, None)
            member.asked.append(asked)
            self.asked.append(asked)
            return getattr(self, what)(member, asked, stream)

    # What a member may do.

    def good(self, _, __, stream):
        if stream:
            return sse(*text_stream("anthropic", "we", "ll"), done=False)
        return reply(text_whole("anthropic", "well"))

    def expired(self, *_):
        return recorded("claude/expired_token")

    def forbidden(self, *_):
        return failure("anthropic", 403, "not for you")

    def quota(self, member, asked, _):
        left = max(1, math.ceil(member.until - time.monotonic()))
        asked.until = member.ready = time.monotonic() + left
        return failure("anthropic", 429, "slow down", {"Retry-After": str(left)})

    def broken(self, *_):
        return failure("anthropic", 500, "out of order")

    def overloaded(self, *_):
        return failure("anthropic", 529, "too many of you")

    def hang(self, _, asked, __):
        def act(c):
            try:
                stall(c)
            finally:
                asked.end = time.monotonic()
        return act

    def refuse(self, *_):
        return refuse

    def cut(self, _, __, stream):
        if stream:
            return sse_then(text_stream("anthropic", "we", "ll")[:3], cut)

        def act(c):
            c.head(200, {"Content-Type": "application/json", "Content-Length": 5000}, chunked=False)
            c.send(b'{"id": "msg_1", ')
            c.hang_up()
        return act
