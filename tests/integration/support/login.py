"""One login on the command line: a process with a pipe or a terminal, and the browser that goes
through its callback."""
import fcntl
import http.client
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
import urllib.parse

from .proxy import COMPLAINTS, command, environment


class Login:
    """`terminal`: standard input is a terminal, its own session's; else it is closed."""

    def __init__(self, proxy, *arguments, terminal=False, stdin=None, **env):
        self.proxy, self.text = proxy, ""
        self._news = threading.Condition()
        run = command("--config", str(proxy.config_path), *arguments)
        options = {"cwd": proxy.folder, "env": environment(proxy.folder, **{**proxy.env, **env})}
        self.master = None
        if terminal:
            self.master, slave = pty.openpty()
            self.process = subprocess.Popen(
                run, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
            os.close(slave)
            source = self.master
        else:
            self.process = subprocess.Popen(
                run, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
            source = self.process.stdout.fileno()
            if stdin:
                self.process.stdin.write(stdin.encode())
                self.process.stdin.close()
        self._reader = threading.Thread(target=self._read, args=(source,), daemon=True)
        self._reader.start()

    def _read(self, source):
        while True:
            try:
                data = os.read(source, 65536)
            except OSError:
                break
            if not data:
                break
            with self._news:
                self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
                self._news.notify_all()

    def wait_for(self, pattern, seconds=60):
        """The match of a pattern in what was printed; the limit only catches hangs."""
        end = time.monotonic() + seconds
        with self._news:
            while not (found := re.search(pattern, self.text)):
                assert time.monotonic() < end, f"no {pattern!r} in:\n{self.text}"
                assert self._reader.is_alive(), f"ended without {pattern!r}:\n{self.text}"
                self._news.wait(0.2)
            return found

    def wait_url(self):
        """Waits until the login waits for the browser; the address it is to open."""
        self.wait_for(r"Waiting for")
        return re.search(r"^https://\S+$", self.text, re.M)[0]

    @property
    def query(self):
        """Parameters of that address."""
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.wait_url()).query))

    def type(self, text):
        os.write(self.master, text.encode())

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def wait(self, expect=0, seconds=60):
        code = self.process.wait(seconds)
        self._reader.join(10)
        assert not COMPLAINTS.search(self.text), self.text
        assert code == expect, f"exit code {code}, expected {expect}:\n{self.text}"
        return self.text

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master is not None:
            self._reader.join(10)
            os.close(self.master)


def visit(port, target, method="GET", host="127.0.0.1"):
    """What a browser gets at the callback: status, headers, text."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()
