"""Scripts of js/ that run under Node with the SDKs of package.json."""
import json
import os
import pathlib
import shutil
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent.parent
MODULES = HERE.parent.parent / "build" / "node" / "node_modules"


def environment(**more):
    """Ours without proxies, so that a script sees nothing but the proxy under test."""
    assert shutil.which("node"), "no node (scripts/test installs it)"
    env = {"NODE_PATH": str(MODULES), **os.environ, **more}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        env.pop(name, None)
    return env


class Node:
    """A script that answers one line of JSON with another, kept running."""

    def __init__(self, script):
        self.process = subprocess.Popen(
            ["node", HERE / "js" / script], env=environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.complaints = []
        threading.Thread(target=lambda: self.complaints.extend(self.process.stderr),
                         daemon=True).start()

    def run(self, ask):
        self.process.stdin.write(json.dumps(ask) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the script ended: " + "".join(self.complaints[-20:])
        said = json.loads(line)
        assert "broken" not in said, said["broken"]
        return said

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
