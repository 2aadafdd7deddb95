"""A page that serves requests over /v1/ws, strict about what it is sent.

Plays the browser side with a real websocket client.  Each request is answered by an action in a
thread of its own: a function of an Exchange.
"""
import json
import re
import threading
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

BASE = "https://generativelanguage.googleapis.com/v1beta/models/"
URL = re.compile(re.escape(BASE) + r"[\w.\-]+:"
                 r"(generateContent|streamGenerateContent\?alt=sse|countTokens)$")
SENT_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
UNWANTED = {"maxOutputTokens", "responseMimeType", "responseJsonSchema"}
WAIT = 60


class Exchange:
    """One request, and what it is answered with."""

    def __init__(self, page, message):
        self.page, self.id = page, message["id"]
        self.payload = message["payload"]
        self.url = self.payload["url"]
        self.streams = ":streamGenerateContent" in self.url

    def json(self):
        return json.loads(self.payload["body"])

    def send(self, kind, payload=None, fragments=None):
        message = {"id": self.id, "type": kind}
        if payload is not None:
            message["payload"] = payload
        self.page.send(json.dumps(message), fragments)

    def respond(self, body, status=200, headers=None):
        if not isinstance(body, str):
            body = json.dumps(body)
        self.send("http_response", {"status": status, "headers": headers or {
            "content-type": "application/json; charset=UTF-8"}, "body": body})

    def start(self, status=200, headers=None):
        self.send("stream_start", {"status": status, "headers": headers or {
            "content-type": ["text/event-stream"]}})

    def chunk(self, data):
        self.send("stream_chunk", {"data": data})

    def event(self, event):
        self.chunk(f"data: {json.dumps(event)}\r\n\r\n")

    def end(self):
        self.send("stream_end")

    def error(self, text, status=None):
        self.send("error", {"error": text, **({"status": status} if status else {})})


# --- actions ------------------------------------------------------------------------------------

def answering(stream, whole):
    """Answers as it is asked: with a stream of events, or whole."""
    def action(x):
        if not x.streams:
            return x.respond(whole)
        x.start()
        for event in stream:
            x.event(event)
        x.end()
    return action


def playing(messages):
    """Sends recorded messages."""
    def action(x):
        for message in messages:
            x.send(message["type"], message.get("payload"))
    return action


class Page:
    def __init__(self, proxy, key=None, path="/v1/ws", **options):
        url = f"{'wss' if proxy.tls else 'ws'}://127.0.0.1:{proxy.port}{path}"
        if key:
            url += f"?auth_token={key}"
        if proxy.tls:
            options["ssl"] = proxy.tls
        # As in a browser: pings are answered, none are sent.
        options = {"max_size": None, "proxy": None, "compression": None, "ping_interval": None,
                   **options}
        self.socket = connect(url, legacy=True, **options)
        self.standing, self.script = None, []
        self.requests, self.problems, self.pongs = [], [], []
        self.failures = []  # of actions, when the session had not ended
        self._sending = threading.Lock()
        self._news = threading.Condition()
        self.ended = threading.Event()
        self.code = None  # of the close frame
        threading.Thread(target=self._read, daemon=True).start()

    def always(self, action):
        self.standing = action
        return self

    def then(self, *actions):
        self.script.extend(actions)
        return self

    def send(self, text, fragments=None):
        with self._sending:
            if fragments:
                size = max(1, len(text) // fragments)
                self.socket.send(iter([text[i:i + size] for i in range(0, len(text), size)]))
            else:
                self.socket.send(text)

    def ping(self, name="ping-1"):
        """The page's own keep-alive: until it is answered."""
        before = len(self.pongs)
        self.send(json.dumps({"id": name, "type": "ping"}))
        with self._news:
            assert self._news.wait_for(lambda: len(self.pongs) > before, WAIT), "no pong"
        return self.pongs[-1]

    def wait_requests(self, count):
        with self._news:
            assert self._news.wait_for(lambda: len(self.requests) >= count, WAIT), \
                f"{len(self.requests)} requests of {count}"
        return self.requests[count - 1]

    def wait_end(self):
        assert self.ended.wait(WAIT), "the session goes on"
        return self.code

    def close(self):
        self.socket.close()
        self.ended.wait(WAIT)

    def cut(self):
        """Goes away without a word."""
        self.socket.socket.shutdown(2)
        self.ended.wait(WAIT)

    def _read(self):
        try:
            for text in self.socket:
                self._take(text)
            self.code = self.socket.close_code
        except ConnectionClosed as e:
            self.code = e.rcvd.code if e.rcvd else None
        except OSError:
            pass
        with self._news:
            self.ended.set()
            self._news.notify_all()

    def _take(self, text):
        wrong, message = [], None
        if not isinstance(text, str):
            wrong.append("a binary message")
        else:
            message = json.loads(text)
        if message and message["type"] == "pong":
            if set(message) != {"id", "type"}:
                wrong.append(f"a pong {message}")
            with self._news:
                self.pongs.append(message["id"])
                self._news.notify_all()
        elif message:
            wrong += self._check(message)
            exchange = Exchange(self, message)
            with self._news:
                self.requests.append(exchange)
                action = self.script.pop(0) if self.script else self.standing
                self._news.notify_all()
            if action:
                threading.Thread(target=self._act, args=(action, exchange), daemon=True).start()
        self.problems += wrong

    def _act(self, action, exchange):
        try:
            action(exchange)
        except (ConnectionClosed, OSError):
            pass  # the test ended the session
        except Exception as e:  # told by the fixture
            self.failures.append(e)

    def _check(self, message):
        wrong = []
        if set(message) != {"id", "type", "payload"} or message["type"] != "http_request":
            return [f"message {str(message)[:200]}"]
        payload = message["payload"]
        if str(uuid.UUID(message["id"])) != message["id"] or message["id"][14] != "4":
            wrong.append(f"id {message['id']}")
        if any(x.id == message["id"] for x in self.requests):
            wrong.append(f"id {message['id']} again")
        if set(payload) != {"method", "url", "headers", "body", "sent_at"}:
            wrong.append(f"members {sorted(payload)}")
        if payload["method"] != "POST":
            wrong.append(f"method {payload['method']}")
        if not URL.match(payload["url"]):
            wrong.append(f"url {payload['url']}")
        if payload["headers"] != {"Content-Type": ["application/json"]}:
            wrong.append(f"headers {payload['headers']}")
        if not SENT_AT.match(payload["sent_at"]):
            wrong.append(f"sent_at {payload['sent_at']}")
        body = json.loads(payload["body"])
        if "contents" not in body:
            wrong.append("no contents")
        if UNWANTED & set(body.get("generationConfig", {})):
            wrong.append(f"generationConfig {body['generationConfig']}")
        if payload["url"].endswith(":countTokens") and \
                {"tools", "generationConfig", "safetySettings"} & set(body):
            wrong.append(f"a count with {sorted(body)}")
        return wrong
