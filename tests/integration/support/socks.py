"""Forward proxies that record their use: SOCKS5 (with or without a password) and HTTP CONNECT, with
or without TLS to the proxy itself.

Whatever name is asked for, the connection goes to this machine; `ports` says which port is another
one here (443 is where support/hosts.py listens).
"""
import base64
import socket
import struct
import threading
import urllib.parse


class ForwardProxy:
    def __init__(self, user=None, password=None, tls=None, ports=None):
        self.user, self.password, self.tls = user, password, tls
        self.ports = ports or {}
        self.used = []  # (host, port) of each tunnel
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self):
        login = f"{self.user}:{self.password}@" if self.user else ""
        scheme = "https" if self.tls else self.scheme
        return f"{scheme}://{login}127.0.0.1:{self.port}"

    def close(self):
        # As in upstream.py: nobody may wait on it when it is closed.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._acceptor.join(10)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            try:
                if self.tls:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                target = self.greet(sock)
                if target is None:
                    self.refused += 1
                    return
                self.used.append(target)
                port = self.ports.get(target[1], target[1])
                with socket.create_connection(("127.0.0.1", port)) as far:
                    self.confirm(sock, far)
                    back = threading.Thread(target=pump, args=(far, sock), daemon=True)
                    back.start()
                    pump(sock, far)
                    back.join(60)
            except (OSError, EOFError):
                pass


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Socks5(ForwardProxy):
    scheme = "socks5"

    def greet(self, sock):
        _, count = exactly(sock, 2)
        methods = exactly(sock, count)
        if self.user:
            if 2 not in methods:
                sock.sendall(b"\x05\xff")
                return None
            sock.sendall(b"\x05\x02")
            _, length = exactly(sock, 2)
            user = exactly(sock, length).decode()
            password = exactly(sock, exactly(sock, 1)[0]).decode()
            good = (user, password) == (self.user, self.password)
            sock.sendall(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return None
        else:
            sock.sendall(b"\x05\x00")
        _, _, _, kind = exactly(sock, 4)
        if kind == 1:
            host = socket.inet_ntoa(exactly(sock, 4))
        elif kind == 3:
            host = exactly(sock, exactly(sock, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET6, exactly(sock, 16))
        return host, struct.unpack("!H", exactly(sock, 2))[0]

    def confirm(self, sock, far):
        sock.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")


class Refusing(ForwardProxy):
    """An HTTP proxy that gives one answer to everything; None: it says nothing."""
    scheme = "http"

    def __init__(self, answer, **options):
        self.answer, self.asked = answer, []
        super().__init__(**options)

    def greet(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            head += exactly(sock, 1)
        self.asked.append(head.split(b"\r\n")[0].decode())
        if self.answer is None:
            while sock.recv(1000):
                pass
        else:
            sock.sendall(self.answer)


class Connect(ForwardProxy):
    """An HTTP proxy: CONNECT tunnels, and plain requests with an absolute URL."""
    scheme = "http"

    def __init__(self, **options):
        self._heads = {}
        super().__init__(**options)

    def greet(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            head += exactly(sock, 1)
        text = head.decode("latin-1")
        if self.user:
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if f"basic {token}".lower() not in text.lower():
                sock.sendall(b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n"
                             b"Proxy-Authenticate: Basic\r\nConnection: close\r\n\r\n")
                return None
        lines = text.rstrip("\r\n").split("\r\n")
        method, target, version = lines[0].split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            return host, int(port)
        # A plain request: pass its head on without the proxy's part.  One upstream a connection.
        where = urllib.parse.urlsplit(target)
        path = where.path + ("?" + where.query if where.query else "")
        kept = [line for line in lines[1:] if not line.lower().startswith("proxy-")]
        self._heads[sock] = "\r\n".join([f"{method} {path} {version}", *kept, "", ""])
        return where.hostname, where.port or 80

    def confirm(self, sock, far):
        head = self._heads.pop(sock, None)
        if head:
            far.sendall(head.encode("latin-1"))
        else:
            sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
