"""Many accounts behind one scripted upstream, and a client that asks fast, on one asyncio loop.

Each account is a key with a behaviour of its own, which a test changes while requests run.
Requests carry their number in `user` (chat) or `metadata.user_id` (anthropic), so that afterwards it
is known which accounts each of them saw.
"""
import asyncio
import json
import math
import time
from collections import defaultdict

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
MODEL = "vendor/real-model"


# --- the upstream -----------------------------------------------------------------------------

class Asked:
    """One request as the upstream saw it."""

    def __init__(self, account, number, what, body):
        self.account, self.number, self.what, self.body = account, number, what, body
        self.at = time.monotonic()
        self.end = None  # when a silent one was given up
        self.until = None  # when a quota that was told is over
        self.turn = account.turn


class Account:
    def __init__(self, key):
        self.key = key
        self.behaviour = "good"
        self.until = 0.0       # of "quota": when it ends
        self.ready = 0.0       # latest moment that a client was told to come back
        self.budget = math.inf  # how many more times the behaviour is shown
        self.turn = 0          # counts changes of behaviour
        self.asked = []

    def behave(self, what, budget=math.inf, seconds=0):
        self.behaviour, self.budget = what, budget
        self.turn += 1
        self.until = time.monotonic() + seconds

    def next(self):
        if self.behaviour == "quota" and time.monotonic() >= self.until or self.budget <= 0:
            self.behave("good")
        self.budget -= 1
        return self.behaviour


def http(status, body, headers="", kind="application/json"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def failure(status, words, headers="", path=CHAT):
    error = {"message": words, "type": "scripted"}
    return http(status, {"type": "error", "error": error} if path == MESSAGES else {"error": error},
                headers)


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
WHOLE = {
    CHAT: {"id": "c1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [{
        "index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}],
        "usage": USAGE},
    MESSAGES: {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
               "content": [{"type": "text", "text": "well"}], "stop_reason": "end_turn",
               "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 3}},
}


def chat_event(delta, finish=None):
    return "data: " + json.dumps({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"


def message_event(name, **members):
    return f"event: {name}\ndata: " + json.dumps({"type": name, **members}) + "\n\n"


EVENTS = {
    CHAT: [chat_event({"role": "assistant", "content": "we"}), chat_event({"content": "ll"}),
           chat_event({}, "stop"), "data: [DONE]\n\n"],
    MESSAGES: [
        message_event("message_start",
                      message={**WHOLE[MESSAGES], "content": [], "stop_reason": None})
        + message_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "we"}),
        message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "ll"}),
        message_event("content_block_stop", index=0)
        + message_event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                        usage={"output_tokens": 3}),
        message_event("message_stop")],
}
STREAM_HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n")


def chunk(text):
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


REPLY = {path: http(200, body) for path, body in WHOLE.items()}
STREAM = {path: STREAM_HEAD + b"".join(chunk(e) for e in events) + b"0\r\n\r\n"
          for path, events in EVENTS.items()}
BEGUN = {path: STREAM_HEAD + chunk(events[0]) for path, events in EVENTS.items()}


def number_of(body):
    named = body.get("user") or (body.get("metadata") or {}).get("user_id")
    return named if named is None or not str(named).isdigit() else int(named)


class Connection(asyncio.Protocol):
    def __init__(self, pool):
        self.pool, self.data = pool, b""

    def connection_made(self, transport):
        self.transport = transport
        self.pool.open.add(transport)

    def connection_lost(self, _):
        self.pool.open.discard(self.transport)

    def data_received(self, data):
        self.data += data
        while True:
            head, mark, rest = self.data.partition(b"\r\n\r\n")
            if not mark:
                return
            lines = head.decode("latin-1").split("\r\n")
            fields = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                fields[name.strip().lower()] = value.strip()
            length = int(fields.get("content-length", 0))
            if len(rest) < length:
                return
            self.data = rest[length:]
            self.serve(lines[0], fields, rest[:length])

    def serve(self, line, fields, data):
        pool = self.pool
        path = line.split(" ")[1].partition("?")[0]
        account = pool.by_key.get(fields.get("authorization", "").removeprefix("Bearer "))
        body = json.loads(data)
        wrong = [f"no account: {fields.get('authorization')!r}"] if not account else []
        if path not in EVENTS or not line.startswith("POST "):
            wrong.append(line)
        if body.get("model") != MODEL:
            wrong.append(f"model {body.get('model')!r}")
        if "host" not in fields or fields.get("content-type") != "application/json":
            wrong.append(f"headers {fields}")
        if wrong:
            pool.problems += wrong
            return self.send(failure(500, "; ".join(wrong)))
        what = account.next()
        asked = Asked(account, number_of(body), what, body)
        account.asked.append(asked)
        pool.asked.append(asked)
        getattr(self, what)(account, path, bool(body.get("stream")))

    def send(self, data):
        self.transport.write(data)

    # What an account may do.

    def good(self, _, path, stream):
        self.send((STREAM if stream else REPLY)[path])

    def unauthorized(self, _, path, __):
        self.send(failure(401, "the key is not known", path=path))

    def forbidden(self, _, path, __):
        self.send(failure(403, "not for you", path=path))

    def quota(self, account, path, _):
        left = max(1, math.ceil(account.until - time.monotonic()))
        account.ready = max(account.ready, time.monotonic() + left)
        self.send(failure(429, "slow down", f"Retry-After: {left}\r\n", path))

    def broken(self, _, path, __):
        self.send(failure(500, "out of order", path=path))

    def overloaded(self, _, path, __):
        self.send(failure(529, "too many of you", path=path))

    def hang(self, *_):
        pass

    def refuse(self, *_):
        self.transport.close()

    def cut(self, _, path, stream):
        """In the middle of the answer."""
        self.send(BEGUN[path] if stream else REPLY[path][:-10])
        self.transport.close()


class Pool:
    """The upstream: `count` accounts."""

    def __init__(self, count):
        self.accounts = [Account(f"sk-account-{i:02d}-secret") for i in range(count)]
        self.by_key = {a.key: a for a in self.accounts}
        self.asked, self.problems, self.open = [], [], set()

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0,
                                               backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for transport in list(self.open):
            transport.abort()

    def attempts(self):
        """What each numbered request saw, in order."""
        found = defaultdict(list)
        for asked in self.asked:
            found[asked.number].append(asked)
        return found


def chat_entry(pool, accounts, **extra):
    return {"name": "pool", "base-url": f"http://127.0.0.1:{pool.port}/v1",
            "api-key-entries": [{"api-key": a.key} for a in accounts],
            "models": [{"name": MODEL, "alias": "m"}], **extra}


def claude_entries(pool, accounts, **extra):
    return [{"api-key": a.key, "base-url": f"http://127.0.0.1:{pool.port}",
             "models": [{"name": MODEL, "alias": "m"}], **extra} for a in accounts]


# --- the client -------------------------------------------------------------------------------

class Outcome:
    def __init__(self, status, headers, body, seconds, begun):
        self.status, self.headers, self.body = status, headers, body
        self.seconds, self.begun = seconds, begun

    @property
    def fine(self):
        """The whole answer came, without an error in it."""
        return self.status == 200 and b'"error"' not in self.body and (
            b"[DONE]" in self.body or b"message_stop" in self.body
            or b'"finish_reason"' in self.body or b'"stop_reason"' in self.body)


class Line:
    """One kept connection to the proxy."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, path, body, headers=()):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port,
                                                                     limit=2 ** 22)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = "".join(f"{n}: {v}\r\n" for n, v in headers)
        begun = time.monotonic()
        self.writer.write((f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                           f"application/json\r\n{lines}Content-Length: {len(data)}\r\n\r\n")
                          .encode() + data)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
        body = await self._body(fields)
        if fields.get("connection", "").lower() == "close":
            self.close()
        return Outcome(int(head[0].split(" ")[1]), fields, body, time.monotonic() - begun, begun)

    async def _body(self, fields):
        if "content-length" in fields:
            return await self.reader.readexactly(int(fields["content-length"]))
        body = b""
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = await self.reader.readexactly(size + 2)
            if size == 0:
                return body
            body += piece[:-2]

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


async def load(port, requests, lines=64):
    """Asks all `requests`, (path, body, headers) each, over so many connections; their outcomes."""
    outcomes, waiting = [None] * len(requests), iter(enumerate(requests))

    async def work():
        line = Line(port)
        for i, request in waiting:
            outcomes[i] = await line.ask(*request)
        line.close()

    await asyncio.gather(*(work() for _ in range(lines)))
    return outcomes
