"""A small HTTP client that shows what came over the wire: bytes, events, how a body ended."""
import http.client
import json
import socket
import time

TIMEOUT = 60


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:500]!r}>"


class Stream:
    """A streamed answer.  `raw` is every body byte read so far; `clean` tells how it ended."""

    def __init__(self, connection, response):
        self.connection = connection
        self.response = response
        self.status = response.status
        self.headers = response.headers
        self.raw = b""
        self.clean = None
        self._lines = None

    def pieces(self):
        """The body as it comes; http.client would hide a missing last chunk."""
        source, left = self.response.fp, self.response.length
        try:
            if not self.response.chunked:
                while left is None or left > 0:
                    data = source.read1(65536 if left is None else min(left, 65536))
                    if not data:
                        break
                    left = left and left - len(data)
                    yield data
                self.clean = not left
                return
            while size := int(source.readline().split(b";")[0], 16):
                data = source.read(size)
                yield data
                if len(data) < size or source.read(2) != b"\r\n":
                    self.clean = False
                    return
            self.clean = source.readline() == b"\r\n"
        except (ValueError, ConnectionError):
            self.clean = False

    def lines(self):
        """One iterator for the whole stream: reading may be taken up where it was left."""
        self._lines = self._lines or self._read_lines()
        return self._lines

    def _read_lines(self):
        rest = b""
        for data in self.pieces():
            self.raw += data
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line + b"\n"
        if rest:
            yield rest

    def events(self):
        """The data of every event, comments left out (they stay in `raw`)."""
        data = []
        for line in self.lines():
            line = line.rstrip(b"\r\n")
            if not line:
                if data:
                    yield b"\n".join(data).decode()
                data = []
            elif line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))

    def chunks(self):
        """Parsed events, without the sentinel."""
        for data in self.events():
            if data != "[DONE]":
                yield json.loads(data)

    def text(self):
        return "".join(text_of(chunk) for chunk in self.chunks())

    def read(self):
        for _ in self.lines():
            pass
        return self.raw

    def close(self):
        # The response holds the file of the socket: both, or the peer never hears of it.
        self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def text_of(chunk):
    choices = chunk.get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or ""


def messages(text="Hello"):
    return [{"role": "user", "content": text}]


class Client:
    def __init__(self, host, port, headers=None, tls=None):
        self.host, self.port, self.headers, self.tls = host, port, headers or {}, tls

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT,
                                               context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)

    def _send(self, method, path, body, headers):
        connection = self.connect()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        sent = {k: v for k, v in {**self.headers, **(headers or {})}.items() if v is not None}
        if body is not None and not any(k.lower() == "content-type" for k in sent):
            sent["Content-Type"] = "application/json"
        connection.request(method, path, body, sent)
        return connection, connection.getresponse()

    def request(self, method, path, body=None, headers=None):
        connection, response = self._send(method, path, body, headers)
        try:
            return Answer(response, response.read())
        finally:
            connection.close()

    def open_stream(self, path, body, headers=None):
        return Stream(*self._send("POST", path, body, headers))

    def chat(self, model="mock", headers=None, **body):
        return self.request("POST", "/v1/chat/completions",
                            {"model": model, "messages": messages(), **body}, headers)

    def stream(self, model="mock", headers=None, **body):
        return self.open_stream(
            "/v1/chat/completions",
            {"model": model, "messages": messages(), "stream": True, **body}, headers)

    def raw(self, data=b"", timeout=TIMEOUT):
        """A bare socket, for requests that no library would send."""
        s = socket.create_connection((self.host, self.port), timeout)
        if data:
            s.sendall(data)
        return s


def read_all(s, seconds=TIMEOUT):
    """Everything until the peer closes."""
    s.settimeout(seconds)
    data = b""
    try:
        while piece := s.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def read_response(s, seconds=TIMEOUT):
    """One response of a kept connection: status, body."""
    s.settimeout(seconds)
    response = http.client.HTTPResponse(s)
    response.begin()
    return response.status, response.read()


def seconds_until(event, limit):
    """How long a threading.Event took, or an assertion."""
    begin = time.monotonic()
    assert event.wait(limit), f"not within {limit} s"
    return time.monotonic() - begin
