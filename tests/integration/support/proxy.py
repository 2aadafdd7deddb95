"""Runs the built program in a folder of its own, on a free port.

Owns its process: stopping it checks the exit code, and that no sanitizer and no leak check had
anything to say.
"""
import json
import os
import platform
import re
import signal
import socket
import subprocess
import threading
import time

from .client import Client

LISTENING = re.compile(r"listening|server started", re.I)
COMPLAINTS = re.compile(
    r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error: "
    r"(?!.*\.lua)|Assertion .* failed|still (open|alive|reachable) at exit|leaked )")
START_SECONDS = 60
STOP_SECONDS = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def binary():
    path = os.environ.get("CLIPROXY_BINARY")
    if not path:
        root = os.path.join(os.path.dirname(__file__), "..", "..", "..")
        path = os.path.join(root, "build", "asan", "cli-proxy-api")
    return os.path.abspath(path)


def command(*arguments):
    run = [binary(), *arguments]
    # ThreadSanitizer of gcc 12 does not start where addresses are randomised too far.
    if os.environ.get("CLIPROXY_SETARCH"):
        run = ["setarch", platform.machine(), "-R", *run]
    return run


def environment(home, **extra):
    """The child sees our HOME and none of this machine's proxy settings."""
    keep = {k: v for k, v in os.environ.items()
            if k in ("PATH", "LANG", "LD_LIBRARY_PATH") or k.endswith("SAN_OPTIONS")}
    return {**keep, "HOME": str(home), **extra}


def run(*arguments, cwd, timeout=60, **env):
    """One run of the command line to its end."""
    return subprocess.run(command(*arguments), cwd=cwd, env=environment(cwd, **env),
                          capture_output=True, text=True, timeout=timeout)


class Proxy:
    def __init__(self, folder, config=None, arguments=(), port=None, **env):
        self.folder = folder
        self.port = port or free_port()
        self.arguments = list(arguments)
        self.env = env
        self.process = None
        self.config = None
        self.lines = []
        self.checked = False
        self.tls = None
        self._news = threading.Condition()
        if config is not None:
            self.write_config(config)

    # --- files --------------------------------------------------------------------------------

    @property
    def config_path(self):
        return self.folder / "config.yaml"

    def write_config(self, config, **changes):
        """`config` is a dictionary (JSON is YAML) or the text of the file."""
        if isinstance(config, dict):
            self.config = {"port": self.port, "logging-to-file": False, "workers": 2,
                           **config, **changes}
            text = json.dumps(self.config, indent=2)
        else:
            text = config
        self.replace(self.config_path, text)

    def change_config(self, **changes):
        self.write_config({**self.config, **{k.replace("_", "-"): v for k, v in changes.items()}})

    def write_script(self, name, text):
        path = self.folder / "lua" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.replace(path, text)
        return path

    @staticmethod
    def replace(path, text):
        """As editors do it: a new file takes the old one's place."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(text)
        os.replace(fresh, path)

    # --- life ---------------------------------------------------------------------------------

    def start(self):
        arguments = list(self.arguments)
        if self.config_path.exists() and "--config" not in arguments:
            arguments = ["--config", str(self.config_path), *arguments]
        self.process = subprocess.Popen(
            command(*arguments), cwd=self.folder, env=environment(self.folder, **self.env),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for_log(LISTENING, START_SECONDS)
        return self

    def _read(self):
        for raw in self.process.stdout:
            with self._news:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait_exit(self, seconds=STOP_SECONDS):
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def stop(self, expect=0):
        """SIGTERM, then everything that a clean end must show."""
        if self.process is None or self.checked:
            return
        self.checked = True
        try:
            if self.process.poll() is None:
                self.signal()
            code = self.wait_exit()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the program did not end on SIGTERM:\n" + self.tail())
        complaints = [line for line in self.lines if COMPLAINTS.search(line)]
        assert not complaints, "\n".join(complaints[:5]) + "\n" + self.tail(150)
        assert code == expect, f"exit code {code}, expected {expect}:\n" + self.tail()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def alive(self):
        return self.process.poll() is None

    # --- what it says -------------------------------------------------------------------------

    @property
    def log(self):
        return "\n".join(self.lines)

    def tail(self, count=60):
        return "\n".join(self.lines[-count:])

    def mark(self):
        return len(self.lines)

    def wait_for_log(self, pattern, seconds=20, since=0):
        """Waits for a line; the limit only catches hangs."""
        pattern = re.compile(pattern) if isinstance(pattern, str) else pattern
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for line in self.lines[since:]:
                    if pattern.search(line):
                        return line
                left = end - time.monotonic()
                if self.process.poll() is not None and not self._reader.is_alive():
                    raise AssertionError(f"ended before {pattern.pattern!r}:\n" + self.tail())
                if left <= 0:
                    raise AssertionError(f"no line {pattern.pattern!r}:\n" + self.tail())
                self._news.wait(min(left, 0.2))

    # --- talking to it ------------------------------------------------------------------------

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def client(self, **headers):
        return Client("127.0.0.1", self.port, headers, tls=self.tls)

    def get(self, path, headers=None):
        return self.client().request("GET", path, headers=headers)

    def chat(self, model="mock", headers=None, **body):
        return self.client().chat(model, headers=headers, **body)

    def stream(self, model="mock", headers=None, **body):
        return self.client().stream(model, headers=headers, **body)

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def eventually(check, seconds=20, pause=0.05):
    """Repeats `check` until it gives something true; the limit only catches hangs."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value or time.monotonic() > end:
            assert value, "it never happened"
            return value
        time.sleep(pause)


def entry(upstream, keys=("sk-upstream-one",), name="scripted", **extra):
    """An openai-compatibility entry for a scripted upstream; a key may be (key, proxy url)."""
    entries = [{"api-key": k} if isinstance(k, str) else {"api-key": k[0], "proxy-url": k[1]}
               for k in keys]
    return {"name": name, "base-url": upstream.url, "api-key-entries": entries,
            "models": [{"name": "vendor/real-model", "alias": "nice"}], **extra}


NAME = "openrouter.ai"


def at_port(upstream, path="/api/v1", **extra):
    """An entry under the real name of a provider, on the port of the scripted upstream."""
    return {**entry(upstream), "name": "openrouter",
            "base-url": f"https://{NAME}:{upstream.port}{path}", **extra}


def env(upstream, authority):
    """What leads that name to the scripted upstream, with a certificate that is trusted."""
    return {"CLIPROXY_RESOLVE": f"{NAME}:{upstream.port}:127.0.0.1",
            "SSL_CERT_FILE": str(authority.certificate)}
