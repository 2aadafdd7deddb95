"""The scripted upstream once more, over HTTP/2: many requests share one connection.

It takes the same actions as upstream.py.  The package `h2` is strict about frames and headers and
keeps to the proxy's flow control; what it objects to is a problem, which fails the test.

One thread owns the socket (TLS connections cannot be read and written by two at once); each action
runs in a thread of its own and hands its bytes over.
"""
import select
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from .upstream import WAIT, Gone, Request, Upstream

OUT_MAX = 256 * 1024  # bytes handed over that the socket has not taken


class Stream:
    """What an action answers with; looks like upstream.Conversation."""

    def __init__(self, connection, number, headers):
        self.connection, self.number = connection, number
        self.pseudo = {n: v for n, v in headers if n.startswith(":")}
        plain = [(n, v) for n, v in headers if not n.startswith(":")]
        # `host` so that tests read alike for both versions.
        self.request = Request(self.pseudo.get(":method"), self.pseudo.get(":path"),
                               [("host", self.pseudo.get(":authority", "")), *plain], b"",
                               connection.number)
        self.request.reset = None  # the code of the proxy's RST_STREAM
        self.over = False  # nothing more can be sent
        self.sent = 0

    def _send(self, what):
        """Runs `what(h2)` when the stream can still be written."""
        with self.connection.news:
            if self.over or self.connection.dead:
                raise Gone
            what(self.connection.h2)
            self.connection.flush()

    def head(self, status=200, headers=None, chunked=True):
        fields = [(":status", str(status))]
        fields += [(n.lower(), str(v)) for n, v in (headers or {}).items()]
        self._send(lambda c: c.send_headers(self.number, fields))

    def hint(self, status=103, headers=()):
        """An informational head."""
        self._send(lambda c: c.send_headers(self.number, [(":status", str(status)), *headers]))

    def send(self, data):
        """Waits for the proxy's windows and for the socket."""
        data = memoryview(data)
        c = self.connection
        while len(data):
            with c.news:
                def room():
                    return 0 if len(c.out) >= OUT_MAX else c.h2.local_flow_control_window(self.number)
                while not self.over and not c.dead and room() <= 0:
                    c.news.wait(WAIT)
                if self.over or c.dead:
                    raise Gone
                n = min(room(), len(data), c.h2.max_outbound_frame_size)
                c.h2.send_data(self.number, bytes(data[:n]))
                c.flush()
                self.sent += n
                data = data[n:]

    def chunk(self, data):
        if data:
            self.send(data)

    def end(self, trailers=None):
        if trailers:
            self._send(lambda c: c.send_headers(self.number, trailers, end_stream=True))
        else:
            self._send(lambda c: c.end_stream(self.number))
        self.over = True

    def reset(self, code=h2.errors.ErrorCodes.INTERNAL_ERROR):
        self._send(lambda c: c.reset_stream(self.number, code))
        self.over = True

    def goaway(self, last, code=0):
        """Streams above `last` were not looked at.  The frame is made by hand: h2 would take the
        connection for closed, but earlier streams go on."""
        def write(c):
            frame = GoAwayFrame(0, last_stream_id=last, error_code=code)
            self.connection.out += c.data_to_send() + frame.serialize()
            self.connection.last = last
        self._send(write)

    def hang_up(self, reset=False):
        """Cuts the whole connection once what was sent has left."""
        self.connection.cut()

    def wait_gone(self, seconds=WAIT):
        """Until the proxy gives the stream up; the limit only catches hangs."""
        with self.connection.news:
            self.connection.news.wait_for(lambda: self.over or self.connection.dead, seconds)
        raise Gone


class Connection:
    def __init__(self, upstream, sock, number):
        self.upstream, self.sock, self.number = upstream, sock, number
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.news = threading.Condition()  # guards everything below, and h2
        self.streams = {}
        self.out = bytearray()
        self.settled = False  # the proxy knows our settings
        self.refused = 0
        self.last = None  # highest stream served after a GOAWAY
        self.cutting = self.dead = False
        self._waker, self._wake = socket.socketpair()
        self._waker.setblocking(False)  # a full one has woken the other end already

    def flush(self):
        self.out += self.h2.data_to_send()
        try:
            self._waker.send(b"x")
        except OSError:
            pass

    def cut(self):
        with self.news:
            self.cutting = True
            self.flush()

    def run(self):
        self.sock.setblocking(False)
        with self.news:
            # Told to the proxy, but checked in _take(): before it has seen the settings, it may
            # open more, and they are refused.
            tolerant = self.h2.local_settings
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.upstream.streams_max})
            self.h2.initiate_connection()
            self.h2.local_settings = tolerant
            self.out += self.h2.data_to_send()
        try:
            while self._turn():
                pass
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self.news:
                self.dead = True
                for stream in self.streams.values():
                    if not stream.over:
                        stream.request.gone.set()
                self.news.notify_all()
            self._waker.close()
            self._wake.close()

    def _turn(self):
        with self.news:
            writing = [self.sock] if self.out else []
            if self.cutting and not self.out:
                return False
        select.select([self.sock, self._wake], writing, [])
        try:
            self._wake.setblocking(False)
            self._wake.recv(65536)
        except BlockingIOError:
            pass
        with self.news:
            self._write()
        return self._read()

    def _write(self):
        try:
            while self.out:
                n = self.sock.send(bytes(self.out[:65536]))
                del self.out[:n]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        self.news.notify_all()

    def _read(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            if not data:
                return False
            with self.news:
                try:
                    events = self.h2.receive_data(data)
                except h2.exceptions.ProtocolError as e:
                    self.upstream.problems.append(f"HTTP/2: {type(e).__name__}: {e}")
                    events, self.cutting = [], True
                for event in events:
                    self._take(event)
                self.flush()
                self.news.notify_all()

    def _take(self, event):
        number = getattr(event, "stream_id", None)
        stream = self.streams.get(number)
        if isinstance(event, h2.events.RequestReceived):
            if self.h2.open_inbound_streams > self.upstream.streams_max:
                self._refuse(number)
            else:
                self.streams[number] = Stream(self, number, event.headers)
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.settled = True
        elif isinstance(event, h2.events.DataReceived) and stream:
            stream.request.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.StreamEnded) and stream:
            if self.last is None or number <= self.last:
                threading.Thread(target=self.upstream.serve, args=(stream,), daemon=True).start()
        elif isinstance(event, h2.events.StreamReset) and stream:
            stream.over = True
            stream.request.reset = event.error_code
            stream.request.gone.set()
        elif isinstance(event, h2.events.ConnectionTerminated) and event.error_code:
            self.upstream.problems.append(f"GOAWAY {event.error_code} from the proxy")

    def _refuse(self, number):
        self.refused += 1
        self.h2.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)
        if self.settled:
            self.upstream.problems.append("more streams than the settings allow")


class Http2Upstream(Upstream):
    version = "HTTP/2"

    def __init__(self, tls, **options):
        tls.set_alpn_protocols(["h2"])
        self.links = []  # one Connection each
        self.streams_max = 100  # at a time on a connection
        super().__init__(tls=tls, **options)

    def _serve(self, sock):
        with self._lock:
            self.connections += 1
            number = self.connections
            self._open.add(sock)
        plain = sock
        try:
            sock = self.tls.wrap_socket(sock, server_side=True)
            with self._lock:
                self._open.add(sock)
            if sock.selected_alpn_protocol() != "h2":
                self.problems.append(f"ALPN {sock.selected_alpn_protocol()!r}")
                return
            connection = Connection(self, sock, number)
            self.links.append(connection)
            connection.run()
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self._lock:
                self._open -= {plain, sock}
            sock.close()

    def serve(self, stream):
        """Checks and answers one request, in a thread of its own."""
        request = stream.request
        self._check(request, "HTTP/2")
        if stream.pseudo.get(":scheme") != "https":
            self.problems.append(f":scheme {stream.pseudo.get(':scheme')!r}")
        action = self._next_action(request)
        try:
            action(stream)
            if not stream.over and not stream.connection.cutting:
                stream.end()
        except Gone:
            request.gone.set()
        except h2.exceptions.ProtocolError:
            if not (stream.over or stream.connection.cutting or stream.connection.dead):
                raise
            request.gone.set()
        finally:
            request.answered.set()
