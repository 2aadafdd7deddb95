"""Starts the mock upstream, the gateways and the load generator, and reads what they cost.

Everything is bound to the loopback, lives in one temporary folder and is stopped by its own pid.
"""

import json
import os
import pathlib
import pwd
import grp
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import lanes
import payload

TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT = 30
KEY_HEADER = "Authorization: Bearer bench-key"


class Failure(Exception):
    """Something the person at the terminal has to know; shown without a traceback."""


def cores():
    """(core of the gateway, core of load and mock)."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def spawn(argv, core, **options):
    """Starts a process on one core.  It inherits the core, so there is no taskset in between."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, **options)
    finally:
        os.sched_setaffinity(0, before)


def stop(process):
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


# --- what the kernel says about a process and its children --------------------------------------

def family(pid):
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            pids += family(int(child))
    return pids


def cpu_seconds(pid):
    """User and system time of all threads, of the process and its children."""
    ticks = 0
    for member in family(pid):
        fields = pathlib.Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory(pid):
    """KB: rss, pss and private memory of the process and its children."""
    total = {"rss": 0, "pss": 0, "private": 0}
    names = {"Rss:": "rss", "Pss:": "pss", "Private_Clean:": "private", "Private_Dirty:": "private"}
    for member in family(pid):
        for line in pathlib.Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            words = line.split()
            if words[0] in names:
                total[names[words[0]]] += int(words[1])
    return total


# --- gateways -----------------------------------------------------------------------------------

def http_get(port, path, timeout=2):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return answer.read()


def wait_started(process, port, log, begin):
    """(seconds to the first connection, seconds to the first answered /healthz)."""
    connected = None
    while time.monotonic() - begin < START_LIMIT:
        if process.poll() is not None:
            break
        try:
            if connected is None:
                socket.create_connection(("127.0.0.1", port), 1).close()
                connected = time.monotonic() - begin
            http_get(port, "/healthz")
            return connected, time.monotonic() - begin
        except OSError:
            time.sleep(0.0005)
    stop(process)
    tail = "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-15:])
    raise Failure(f"{process.args[0]} did not start (exit {process.poll()}):\n{tail}")


class Kit:
    """Where the programs are, and a temporary folder for everything they write."""

    def __init__(self, args):
        build = pathlib.Path(args.build)
        self.args = args
        self.upstream_program = build / "bench" / "bench_upstream"
        self.load_program = build / "bench" / "bench_load"
        self.proxy_program = pathlib.Path(args.proxy) if args.proxy else build / "cli-proxy-api"
        self.nginx_program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        for program in (self.upstream_program, self.load_program):
            if not program.exists():
                raise Failure(f"{program} is missing: configure with -DBUILD_BENCH=ON and build")
        self.gateway_core, self.load_core = cores()
        self.files = raise_file_limit()
        self._folder = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.folder = pathlib.Path(self._folder.name)
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def targets(self, direct=True):
        """The names of what can be measured here, with a word about what cannot."""
        names = ["direct"] if direct else []
        for name, there in (("nginx", self.nginx_program), ("proxy", self.proxy_program.exists())):
            if name in self.args.skip:
                continue
            if there:
                names.append(name)
            else:
                print(f"{name}: not found, left out")
        return names

    def body(self, size, dialect, stream, model):
        path = self.folder / f"{size}-{dialect}-{stream}-{model}.json"
        if not path.exists():
            path.write_bytes(payload.build(size, dialect, stream, model))
        return path

    def load_command(self, gateway, body, dialect, model, stream, *options):
        return [self.load_program, "--port", gateway.port(stream), "--header", KEY_HEADER,
                "--target", lanes.target_of(dialect, model, stream), "--body", body, *options]

    def load(self, command, limit):
        """Runs the load generator to its end and returns what it printed."""
        process = spawn(command, self.load_core, stdout=subprocess.PIPE, text=True)
        try:
            out, _ = process.communicate(timeout=limit)
        finally:
            stop(process)
        return json.loads(out.splitlines()[-1])


class Gateway:
    """A mock upstream with or without something in front of it; use it in a `with`."""

    def __init__(self, kit, name, models=(), upstream_options=(), under=()):
        """`under` is a command that runs the gateway's."""
        self.kit = kit
        self.name = name
        self.models = models
        self.upstream_options = upstream_options
        self.under = list(under)
        self.upstream = None
        self.process = None
        self.log = None

    def __enter__(self):
        kit = self.kit
        core = kit.gateway_core if self.name == "direct" else kit.load_core
        self.upstream = spawn([kit.upstream_program, *self.upstream_options], core,
                              stdout=subprocess.PIPE, text=True)
        try:
            self.upstream_port = int(self.upstream.stdout.readline().split()[1])
            self.ports = (self.upstream_port, self.upstream_port)
            self.started = (0, 0)
            if self.name != "direct":
                self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        stop(self.process)
        stop(self.upstream)
        if self.log:
            self.log.close()

    def port(self, stream=False):
        return self.ports[1 if stream else 0]

    def pid(self):
        """Whose cost is counted."""
        return self.process.pid if self.process else self.upstream.pid

    def _start(self):
        command, environment = self._nginx() if self.name == "nginx" else self._proxy()
        log = self.kit.folder / f"{self.name}.log"
        self.log = open(log, "wb")
        begin = time.monotonic()
        self.process = spawn(self.under + command, self.kit.gateway_core, stdout=self.log, stderr=self.log,
                             cwd=self.kit.folder, env=environment)
        self.started = wait_started(self.process, self.ports[0], log, begin)

    def _nginx(self):
        folder = self.kit.folder
        self.ports = (free_port(), free_port())
        access = "off" if self.kit.args.no_access_log else f"{folder}/nginx-access.log combined buffer=64k flush=1s"
        user = ""
        if os.geteuid() == 0:  # else the worker could not reach the folder
            user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"
        static = http_post(self.upstream_port, "/v1/chat/completions", payload.build())[1].decode()
        config = folder / "nginx.conf"
        config.write_text(lanes.NGINX_CONFIG.format(
            user=user, folder=folder, files=self.kit.files, connections=self.kit.files - 64,
            access_log=access, upstream=self.upstream_port, static=static,
            port_json=self.ports[0], port_stream=self.ports[1]))
        return [self.kit.nginx_program, "-p", folder, "-c", config], None

    def _proxy(self):
        folder = self.kit.folder
        args = self.kit.args
        port = free_port()
        self.ports = (port, port)
        names = lanes.CHAT_MODELS + [m for m in self.models
                                     if m not in lanes.CHAT_MODELS and m not in lanes.EXTRA_CONFIG]
        models = "".join(f"      - name: {m}\n        alias: {m}\n" for m in names)
        text = lanes.PROXY_CONFIG.format(port=port, folder=folder, upstream=self.upstream_port,
                                         workers=args.workers, models=models)
        extra = [lanes.EXTRA_CONFIG.get(model, "") for model in self.models]
        text += "".join(dict.fromkeys(extra)).format(upstream=self.upstream_port)
        if args.append_config:
            text += pathlib.Path(args.append_config).read_text()
        config = folder / "config.yaml"
        config.write_text(text)
        (folder / "auths").mkdir(mode=0o700, exist_ok=True)
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder)}
        return [self.kit.proxy_program.resolve(), "--config", config], environment


def http_post(port, target, body, timeout=30):
    """(status, body) of one request; errors of the proxy are answers too."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{target}", data=body,
        headers={"Content-Type": "application/json", "Authorization": "Bearer bench-key"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
