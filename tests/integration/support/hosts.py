"""The providers' servers under their real names, on this machine.

One TLS listener answers for every host name: a private authority issues a certificate for each name
that is asked for, and CLIPROXY_RESOLVE leads everything on port 443 here, so nothing ever leaves the
machine.  It is strict: a host or path that no test has set up, a name that differs from the
certificate's, and an assertion that fails in a handler are problems, which fail the test.

    @hosts.on("chat.qwen.ai", "POST", "/api/v1/oauth2/token")
    def token(request):                      # upstream.Request, with `host`
        assert request.form()["grant_type"] == "refresh_token"
        return {"access_token": "new"}       # or any action of support.upstream

    hosts.on("portal.qwen.ai", "POST", "/v1/chat/completions").always(sse(*chat_chunks("hi")))
"""
import contextlib
import fcntl
import os
import ssl
import tempfile
import threading
import traceback

from .upstream import Upstream, reply


class Route:
    """What answers one method and path of one host."""

    def __init__(self, hosts, host, method, path):
        self.hosts, self.host, self.method, self.path = hosts, host, method, path
        self.handler, self.script = None, []

    def __call__(self, handler):
        """The handler of a request: gives an action, or the JSON of an answer."""
        self.handler = handler
        return handler

    def always(self, action):
        return self(lambda request: action)

    def then(self, *actions):
        """The next requests get these instead of the handler's answer."""
        self.script.extend(actions)
        return self

    @property
    def requests(self):
        return [r for r in self.hosts.requests if r.route is self]

    @property
    def last(self):
        return self.requests[-1]

    def matches(self, request):
        path = request.path.partition("?")[0]
        return self.host == request.host and self.method == request.method and (
            path == self.path or self.path.endswith("*") and path.startswith(self.path[:-1]))


class Hosts(Upstream):
    """`agents` and `allowed` as for Upstream; both may be changed by the test."""

    def __init__(self, folder, authority, agents=("cli-proxy-api/",), allowed=()):
        self.routes = []
        self.authority = authority
        self.certificate = authority.certificate
        self._contexts, self._issuing = {}, threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        super().__init__(tls=context, agents=agents, allowed=allowed)

    def on(self, host, method, path):
        """Sets up (again) what answers there.  A path that ends in `*` matches what begins so."""
        route = Route(self, host, method, path)
        self.routes = [r for r in self.routes
                       if (r.host, r.method, r.path) != (host, method, path)] + [route]
        return route

    def env(self):
        """What leads the proxy here."""
        return {"SSL_CERT_FILE": str(self.certificate),
                "CLIPROXY_RESOLVE": f"*:443:127.0.0.1:{self.port}"}

    def to(self, host):
        return [r for r in self.requests if r.host == host]

    # --- the server ---------------------------------------------------------------------------

    def _choose(self, sock, name, context):
        if not name:
            self.problems.append("a connection without a server name")
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        with self._issuing:
            if name not in self._contexts:
                self._contexts[name] = self.authority.server_context(name)
            sock.context = self._contexts[name]
        sock.server_name = name
        return None

    def _read(self, sock, data, number):
        request, rest = super()._read(sock, data, number)
        if request:
            request.tls_name = sock.server_name
            if request.host != request.tls_name:
                self.problems.append(f"Host {request.host} on a connection to {request.tls_name}")
        return request, rest

    def _check(self, r, version):
        r.host = (r.header("host") or "").removesuffix(":443")
        r.route = next((x for x in reversed(self.routes) if x.matches(r)), None)
        before = len(self.problems)
        super()._check(r, version)
        kind = r.header("content-type") or ""
        wrong = [p for p in self.problems[before:] if "content-type" not in p]
        if r.method == "POST" and r.body and \
                kind not in ("application/json", "application/x-www-form-urlencoded"):
            wrong.append(f"{r.method} {r.path}: content-type {kind!r}")
        self.problems[before:] = [f"{r.host}: {p}" for p in wrong]

    def _next_action(self, request):
        super()._next_action(request)  # records it
        if not request.route:
            self.problems.append(f"nobody expected {request.method} https://{request.host}{request.path}")
            return reply({"error": "no such place"}, 404)
        try:
            if request.route.script:
                return request.route.script.pop(0)
            answer = request.route.handler(request)
        except Exception:
            self.problems.append(f"{request.method} https://{request.host}{request.path}: "
                                 + traceback.format_exc(limit=-2))
            return reply({"error": "refused by the test"}, 500)
        return reply(answer) if isinstance(answer, (dict, list)) else answer


@contextlib.contextmanager
def fixed_port_lock():
    """Held by a test that needs a provider's own port: one at a time on this machine."""
    path = os.path.join(tempfile.gettempdir(), f"cliproxy-tests-{os.getuid()}.ports")
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
