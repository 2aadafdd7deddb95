"""The real programs that people put in front of the proxy, run headless.

Each run has a home and a working folder of its own, and no way out but loopback: what a program
wants from the network goes to a port where nobody listens.
"""
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODULES, README = ROOT / "build" / "clients" / "node_modules", ROOT / "README.md"
SECONDS = 120
OFFLINE = pathlib.Path(__file__).parents[1] / "js" / "offline.cjs"
DESK = pathlib.Path(__file__).with_name("desk.py")
# They ask a proxy even for what is on this machine.
NO_NO_PROXY = {"gemini-cli-era", "qwen-code-era"}
TASK = "Write the file greeting.txt as you were told, with your own tool, then say that it is done."


class Finished:
    """How a run ended, and what it printed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}"

def environment(home, **extra):
    """Nothing of this machine but PATH: no keys, no settings, no route to the world."""
    nowhere = "http://127.0.0.1:9"
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb",
            "CI": "1", "NO_COLOR": "1", "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere,
            "http_proxy": nowhere, "https_proxy": nowhere, "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost", "DO_NOT_TRACK": "1", **extra}


def offline(env):
    """The same without a proxy: names of other machines are not found."""
    kept = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
    return {**kept, "NODE_OPTIONS": f"--require={OFFLINE}"}


def entry(package):
    """How a package's program is started: by its own file, as generations share names in .bin."""
    [file] = json.loads((MODULES / package / "package.json").read_text())["bin"].values()
    file = MODULES / package / file
    return [file] if file.suffix == ".exe" else ["node", file]


def finish(package, arguments, folder, env):
    """Runs to the end, with everything that the program started in a group of its own."""
    if package in NO_NO_PROXY:
        env = offline(env)
    process = subprocess.Popen([*entry(package), *arguments], cwd=folder, env=env, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, errors="replace", start_new_session=True)
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        end_group(process)
        out, err = process.communicate(timeout=10)
        return Finished("none in time", out, err)
    finally:
        end_group(process)
    return Finished(process.returncode, out, err)


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def claude_code(url, key, home, folder, package="@anthropic-ai/claude-code"):
    env = environment(home, ANTHROPIC_BASE_URL=url, ANTHROPIC_AUTH_TOKEN=key, IS_SANDBOX="1",
                      CLAUDE_CONFIG_DIR=str(home / ".claude"), CLAUDE_CODE_MAX_RETRIES="1",
                      DISABLE_TELEMETRY="1", DISABLE_AUTOUPDATER="1", DISABLE_ERROR_REPORTING="1",
                      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
    return finish(package, ["-p", TASK, "--model", "nice", "--dangerously-skip-permissions"],
                  folder, env)


CODEX = """
model = "%s"
model_provider = "proxy"
check_for_update_on_startup = false

[model_providers.proxy]
name = "proxy"
base_url = "%s/v1"
wire_api = "%s"
env_key = "PROXY_KEY"
request_max_retries = 0
stream_max_retries = 0

[features]
plugins = false

[analytics]
enabled = false

[mcp_servers.desk]
command = "%s"
args = ["%s"]
"""


def codex(url, key, home, folder, model="nice", package="@openai/codex", wire="responses"):
    """With a server of tools, `desk`: Codex tells of them in a namespace."""
    settings = home / ".codex"
    settings.mkdir()
    (settings / "config.toml").write_text(CODEX % (model, url, wire, sys.executable, DESK))
    env = environment(home, CODEX_HOME=str(settings), PROXY_KEY=key)
    return finish(package, ["exec", "--skip-git-repo-check",
                            "--dangerously-bypass-approvals-and-sandbox", TASK], folder, env)


def gemini_settings(home, kind):
    settings = home / ".gemini"
    settings.mkdir()
    (settings / "settings.json").write_text(json.dumps({
        "security": {"auth": {"selectedType": kind}},
        "privacy": {"usageStatisticsEnabled": False}, "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True,
                    "enableAutoUpdateNotification": False}}))


def gemini_cli(url, key, home, folder, package="@google/gemini-cli"):
    gemini_settings(home, "gemini-api-key")
    env = environment(home, GEMINI_API_KEY=key, GOOGLE_GEMINI_BASE_URL=url,
                      GEMINI_CLI_TRUST_WORKSPACE="true")
    return finish(package, ["-m", "nice", "-p", TASK, "--yolo"], folder, env)


def readme_exports(heading, url):
    """The variables that the README says to export, for a proxy at another address."""
    section = README.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = dict(re.findall(r'^export (\w+)="?([^"\n]*)"?$', section, re.M))
    assert found, f"the README says nothing of {heading}"
    return {name: value.replace("http://127.0.0.1:8317", url) for name, value in found.items()}


def gemini_code_assist(url, token, home, folder, model="nice", package="@google/gemini-cli"):
    """Gemini CLI as somebody with a Google account has it, pointed at the proxy."""
    gemini_settings(home, "oauth-personal")
    env = environment(home, **readme_exports("Gemini CLI", url), GOOGLE_GENAI_USE_GCA="true",
                      GOOGLE_CLOUD_ACCESS_TOKEN=token, GEMINI_CLI_TRUST_WORKSPACE="true")
    return finish(package, ["-m", model, "-p", TASK, "--yolo"], folder, env)


def qwen_code(url, key, home, folder, package="@qwen-code/qwen-code"):
    settings = home / ".qwen"
    settings.mkdir()
    (settings / "settings.json").write_text(json.dumps({
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False}, "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
        "memory": {"enableManagedAutoMemory": False}}))
    env = environment(home, OPENAI_BASE_URL=url + "/v1", OPENAI_API_KEY=key, OPENAI_MODEL="nice")
    return finish(package, ["-p", TASK, "--yolo"], folder, env)


# The SDK that opencode speaks a dialect with, and where under the proxy's address.
OPENCODE = {"chat": ("@ai-sdk/openai-compatible", "/v1"), "responses": ("@ai-sdk/openai", "/v1"),
            "anthropic": ("@ai-sdk/anthropic", "/v1"), "gemini": ("@ai-sdk/google", "/v1beta")}


def opencode(url, key, home, folder, dialect):
    """It knows models from a list of the network's, here an empty one of ours."""
    sdk, under = OPENCODE[dialect]
    models = home / "models.json"
    models.write_text("{}")
    settings = {
        "autoupdate": False, "share": "disabled", "permission": {"edit": "allow"},
        "provider": {"proxy": {"npm": sdk, "name": "proxy", "models": {"nice": {"name": "nice"}},
                               "options": {"baseURL": url + under, "apiKey": key}}}}
    env = environment(home, OPENCODE_CONFIG_CONTENT=json.dumps(settings),
                      OPENCODE_MODELS_PATH=str(models), OPENCODE_DISABLE_MODELS_FETCH="1",
                      OPENCODE_DISABLE_AUTOUPDATE="1", OPENCODE_DISABLE_LSP_DOWNLOAD="1",
                      OPENCODE_DISABLE_DEFAULT_PLUGINS="1")
    return finish("opencode-ai", ["run", "--model", "proxy/nice", TASK], folder, env)


PROGRAMS = {
    "claude-code": claude_code, "codex": codex, "gemini-cli": gemini_cli, "qwen-code": qwen_code,
    # Of October 2025.
    "claude-code-era": functools.partial(claude_code, package="claude-code-era"),
    "codex-era": functools.partial(codex, package="codex-era"),
    "codex-era-chat": functools.partial(codex, package="codex-era", wire="chat"),
    "gemini-cli-era": functools.partial(gemini_cli, package="gemini-cli-era"),
    "qwen-code-era": functools.partial(qwen_code, package="qwen-code-era"),
}
CODE_ASSIST = {
    "gemini-cli": gemini_code_assist,
    "gemini-cli-era": functools.partial(gemini_code_assist, package="gemini-cli-era")}
# What they make of two calls in one answer, where that is not two.
TAKES_FIRST, MUDDLES = {"qwen-code-era"}, {"codex-era-chat"}


def installed():
    return shutil.which("node") and (MODULES / ".bin").is_dir()
