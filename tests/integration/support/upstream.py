"""A scripted, strict upstream.

It speaks HTTP over bare sockets, so that it can break it.  Each request is checked against what
the proxy may send, recorded byte for byte, and answered by the next scripted action (or the
standing one).  `problems` holds what was wrong with requests; the fixture fails the test for it.
"""
import gzip
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import zlib

import brotli
import zstandard

from . import strict

FORBIDDEN = {"x-api-key", "x-goog-api-key", "cookie", "x-management-key", "forwarded",
             "proxy-connection", "proxy-authorization", "keep-alive", "te", "trailer", "upgrade",
             "transfer-encoding"}
WAIT = 60


class Request:
    def __init__(self, method, path, headers, body, connection):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.connection = connection  # number of the connection it came on
        self.refused = []  # what a provider would not take
        self.gone = threading.Event()  # the proxy hung up before the answer was complete
        self.answered = threading.Event()

    def header(self, name):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(values) if values else None

    def json(self):
        return json.loads(self.body)

    def form(self):
        """Fields of a form; one given twice, or empty text around them, is an error."""
        fields = urllib.parse.parse_qsl(self.body.decode("ascii"), keep_blank_values=True,
                                        strict_parsing=True)
        assert len(dict(fields)) == len(fields), f"a field twice: {fields}"
        return dict(fields)

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query,
                                           keep_blank_values=True))

    @property
    def key(self):
        return (self.header("authorization") or "").removeprefix("Bearer ")


class Gone(Exception):
    """The proxy closed the connection."""


class Conversation:
    """What an action answers with."""

    def __init__(self, sock, request):
        self.sock, self.request = sock, request
        self.closing = False

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Gone from e

    def head(self, status=200, headers=None, chunked=True):
        lines = [f"HTTP/1.1 {status} Scripted"]
        lines += [f"{n}: {v}" for n, v in (headers or {}).items()]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def chunk(self, data):
        if data:
            self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self):
        self.send(b"0\r\n\r\n")

    def hang_up(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closing = True

    def wait_gone(self, seconds=WAIT):
        """Until the proxy hangs up; the limit only catches hangs."""
        self.sock.settimeout(seconds)
        try:
            if self.sock.recv(1) == b"":
                raise Gone
            raise AssertionError("the proxy sent more than its request")
        except (TimeoutError, ssl.SSLWantReadError):
            self.closing = True
        except OSError as e:
            raise Gone from e


# --- actions: functions of a conversation ----------------------------------------------------

def chat_reply(text="Hi from upstream", model="upstream-model", **extra):
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
            "model": model, "choices": [{"index": 0, "message": {
                "role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}, **extra}


def chat_chunk(text=None, finish=None, role=None, model="upstream-model", **extra):
    delta = {}
    if role:
        delta["role"] = role
    if text is not None:
        delta["content"] = text
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
            "model": model, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            **extra}


def usage_chunk(prompt=5, completion=3):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
            "model": "upstream-model", "choices": [],
            "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                      "total_tokens": prompt + completion}}


def chat_chunks(*texts):
    return [chat_chunk("", role="assistant"), *[chat_chunk(t) for t in texts],
            chat_chunk(finish="stop")]


def event(data):
    if isinstance(data, dict):
        data = json.dumps(data)
    return b"data: " + data.encode() + b"\n\n"


ENCODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw-deflate": lambda b: zlib.compress(b)[2:-4],
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def reply(body, status=200, headers=None, content_type="application/json", coding=None):
    """A whole answer with Content-Length."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    data = body if isinstance(body, bytes) else body.encode()
    if coding:
        data = ENCODERS[coding](data)

    def action(c):
        sent = {"Content-Type": content_type, "Content-Length": len(data), **(headers or {})}
        if coding:
            sent["Content-Encoding"] = coding.removeprefix("raw-")
        c.head(status, sent, chunked=False)
        c.send(data)
    return action


def error(status, message="scripted failure", headers=None, type="scripted", code=None):
    return reply({"error": {"message": message, "type": type, "param": None, "code": code}},
                 status, headers)


# What each class of failure is called by the providers of the dialects.
NAMES = {
    400: ("invalid_request_error", None, "invalid_request_error", "INVALID_ARGUMENT"),
    401: ("invalid_request_error", "invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
    403: ("invalid_request_error", None, "permission_error", "PERMISSION_DENIED"),
    404: ("invalid_request_error", "model_not_found", "not_found_error", "NOT_FOUND"),
    429: ("rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    500: ("server_error", None, "api_error", "INTERNAL"),
    503: ("server_error", "server_is_overloaded", "overloaded_error", "UNAVAILABLE"),
    529: ("server_error", "server_is_overloaded", "overloaded_error", "UNAVAILABLE"),
}


def failing(dialect, status, message):
    """The body of a provider's own error."""
    kind, code, anthropic, google = NAMES[status]
    if dialect == "anthropic":
        return {"type": "error", "error": {"type": anthropic, "message": message},
                "request_id": "req_1"}
    if dialect == "gemini":
        return {"error": {"code": status, "message": message, "status": google, "details": []}}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def failure(dialect, status, message="scripted failure", headers=None):
    """A provider's own error, told by status."""
    return reply(failing(dialect, status, message), status, headers)


def sse(*events, done=True, pause=0.0, between=None, coding=None, finish=True):
    """Streams events (dictionaries or raw bytes); `between(i)` runs before event i."""
    def action(c):
        sent = {"Content-Type": "text/event-stream"}
        if coding:
            sent["Content-Encoding"] = coding
        c.head(200, sent)
        pieces = [e if isinstance(e, bytes) else event(e) for e in events]
        if done:
            pieces.append(event("[DONE]"))
        if coding:
            c.chunk(ENCODERS[coding](b"".join(pieces)))
        else:
            for i, piece in enumerate(pieces):
                if between:
                    between(i)
                if pause and i:
                    time.sleep(pause)
                c.chunk(piece)
        if finish:
            c.end()
    return action


def sse_then(events, what):
    """Streams some events, then does `what(conversation)` instead of ending."""
    def action(c):
        sse(*events, done=False, finish=False)(c)
        what(c)
    return action


def cut(c):
    """Ends the connection in the middle of a chunk."""
    c.send(b"40\r\ndata: {\"id\": \"half")
    c.hang_up()


def reset(c):
    c.hang_up(reset=True)


def broken_chunking(c):
    c.send(b"this is no chunk size\r\n\r\n")
    c.hang_up()


def stall(c):
    """Says nothing more until the proxy gives up."""
    c.wait_gone()


def refuse(c):
    """Closes without a byte of an answer."""
    c.hang_up()


def trickle(data, head="HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"):
    """One byte a write, head and chunk framing included."""
    def action(c):
        wire = head.encode() + f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n"
        for i in range(len(wire)):
            c.send(wire[i:i + 1])
    return action


def huge(size, piece=64 * 1024):
    """A stream of `size` bytes in events; counts what the proxy took in `action.sent`."""
    def action(c):
        text = "x" * (piece - 300)
        data = event(chat_chunk(text))
        c.head(200, {"Content-Type": "text/event-stream"})
        while action.sent < size:
            c.chunk(data)
            action.sent += len(data)
        c.chunk(event(chat_chunk(finish="stop")) + event("[DONE]"))
        c.end()
    action.sent = 0
    return action


def redirect(where):
    return reply("", 302, {"Location": where})


# --- the server -------------------------------------------------------------------------------

class Upstream:
    version = "HTTP/1.1"

    def __init__(self, tls=None, keys=None, allowed=(), agents=("cli-proxy-api/",), dialect=None):
        """`tls` is an ssl context; with `keys` any other Authorization is a problem; `allowed`
        headers may come although they are forbidden, and a User-Agent begins as one of `agents`.
        With a `dialect` it refuses what providers of that dialect refuse, which is a problem."""
        self.tls, self.keys, self.allowed, self.agents = tls, keys, set(allowed), tuple(agents)
        self.dialect = dialect
        self.requests, self.problems, self.script = [], [], []
        self.standing = reply(chat_reply())
        self.connections = 0
        self.secrets = set()  # client keys that must never arrive here
        self._open = set()
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def then(self, *actions):
        """The next requests get these, in order; later ones the standing action."""
        self.script.extend(actions)
        return self

    def always(self, action):
        self.standing = action
        return self

    @property
    def last(self):
        return self.requests[-1]

    def wait_requests(self, count, seconds=30):
        with self._news:
            assert self._news.wait_for(lambda: len(self.requests) >= count, seconds), \
                f"{len(self.requests)} requests of {count}"
        return self.requests[count - 1]

    def close(self):
        # Closed only when nobody waits on it: another listener could get its number, and a late
        # accept() would take that one's connections.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._acceptor.join(10)
        self._listener.close()
        with self._lock:
            for sock in list(self._open):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with self._lock:
            self.connections += 1
            number = self.connections
            self._open.add(sock)
        try:
            # Heads and bodies are written apart: without it each waits 40 ms for the other.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                plain = sock
                sock = self.tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(sock)
            rest = b""
            while True:
                request, rest = self._read(sock, rest, number)
                if request is None:
                    return
                if not self._answer(sock, request):
                    return
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def _read(self, sock, data, number):
        sock.settimeout(None)
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None, b""
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, version = lines[0].split(" ")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        length = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
        while len(data) < length:
            piece = sock.recv(65536)
            if not piece:
                return None, b""
            data += piece
        request = Request(method, path, headers, data[:length], number)
        self._check(request, version)
        return request, data[length:]

    def _check(self, r, version):
        wrong = []
        names = [n.lower() for n, _ in r.headers]
        if version != self.version:
            wrong.append(f"version {version}")
        for name in names:
            if name in FORBIDDEN - self.allowed or name.startswith(("x-forwarded-", "proxy-")):
                wrong.append(f"header {name} must not be sent")
            if names.count(name) > 1:
                wrong.append(f"header {name} twice")
        if not (r.header("user-agent") or "").startswith(self.agents):
            wrong.append(f"user-agent {r.header('user-agent')!r}")
        if r.method == "POST" and r.header("content-type") != "application/json":
            wrong.append(f"content-type {r.header('content-type')!r}")
        if r.header("expect"):
            wrong.append("expect")
        if self.keys is not None and r.header("authorization") not in \
                [f"Bearer {k}" for k in self.keys]:
            wrong.append(f"authorization {r.header('authorization')!r}")
        wire = r.path + repr(r.headers) + r.body.decode("utf-8", "replace")
        wrong += [f"client secret {s} arrived upstream" for s in self.secrets if s in wire]
        if self.dialect:
            r.refused = strict.refusals(self.dialect, r)
            wrong += r.refused
        self.problems += [f"{r.method} {r.path}: {w}" for w in wrong]

    def _next_action(self, request):
        with self._news:
            self.requests.append(request)
            self._news.notify_all()
            action = self.script.pop(0) if self.script else self.standing
        if request.refused:
            return failure(self.dialect, 400, "; ".join(request.refused))
        return action

    def _answer(self, sock, request):
        action = self._next_action(request)
        conversation = Conversation(sock, request)
        try:
            action(conversation)
        except Gone:
            request.gone.set()
            return False
        finally:
            request.answered.set()
        return not conversation.closing
