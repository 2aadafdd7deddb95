"""The real programs that people put in front of the proxy, run headless.

Each run has a home and a working folder of its own, and no way out but loopback: what a program
wants from the network goes to a port where nobody listens.
"""
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
DESK = pathlib.Path(__file__).with_name("desk.py")
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


def finish(command, folder, env):
    """Runs to the end, with everything that the program started in a group of its own."""
    process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, text=True,
                               errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
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


def claude_code(url, key, home, folder):
    env = environment(home, ANTHROPIC_BASE_URL=url, ANTHROPIC_AUTH_TOKEN=key, IS_SANDBOX="1",
                      CLAUDE_CONFIG_DIR=str(home / ".claude"), CLAUDE_CODE_MAX_RETRIES="1",
                      DISABLE_TELEMETRY="1", DISABLE_AUTOUPDATER="1", DISABLE_ERROR_REPORTING="1",
                      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
    return finish([MODULES / ".bin" / "claude", "-p", TASK, "--model", "nice",
                   "--dangerously-skip-permissions"], folder, env)


CODEX = """
model = "%s"
model_provider = "proxy"
check_for_update_on_startup = false

[model_providers.proxy]
name = "proxy"
base_url = "%s/v1"
wire_api = "responses"
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


def codex(url, key, home, folder, model="nice"):
    """With a server of tools, `desk`: Codex tells of them in a namespace."""
    settings = home / ".codex"
    settings.mkdir()
    (settings / "config.toml").write_text(CODEX % (model, url, sys.executable, DESK))
    env = environment(home, CODEX_HOME=str(settings), PROXY_KEY=key)
    return finish([MODULES / ".bin" / "codex", "exec", "--skip-git-repo-check",
                   "--dangerously-bypass-approvals-and-sandbox", TASK], folder, env)


def gemini_settings(home, kind):
    settings = home / ".gemini"
    settings.mkdir()
    (settings / "settings.json").write_text(json.dumps({
        "security": {"auth": {"selectedType": kind}},
        "privacy": {"usageStatisticsEnabled": False}, "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True,
                    "enableAutoUpdateNotification": False}}))


def gemini_cli(url, key, home, folder):
    gemini_settings(home, "gemini-api-key")
    env = environment(home, GEMINI_API_KEY=key, GOOGLE_GEMINI_BASE_URL=url,
                      GEMINI_CLI_TRUST_WORKSPACE="true")
    return finish([MODULES / ".bin" / "gemini", "-m", "nice", "-p", TASK, "--yolo"], folder, env)


def readme_exports(heading, url):
    """The variables that the README says to export, for a proxy at another address."""
    section = README.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = dict(re.findall(r'^export (\w+)="?([^"\n]*)"?$', section, re.M))
    assert found, f"the README says nothing of {heading}"
    return {name: value.replace("http://127.0.0.1:8317", url) for name, value in found.items()}


def gemini_code_assist(url, token, home, folder, model="nice"):
    """Gemini CLI as somebody with a Google account has it, pointed at the proxy."""
    gemini_settings(home, "oauth-personal")
    env = environment(home, **readme_exports("Gemini CLI", url), GOOGLE_GENAI_USE_GCA="true",
                      GOOGLE_CLOUD_ACCESS_TOKEN=token, GEMINI_CLI_TRUST_WORKSPACE="true")
    return finish([MODULES / ".bin" / "gemini", "-m", model, "-p", TASK, "--yolo"], folder, env)


def qwen_code(url, key, home, folder):
    settings = home / ".qwen"
    settings.mkdir()
    (settings / "settings.json").write_text(json.dumps({
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False}, "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
        "memory": {"enableManagedAutoMemory": False}}))
    env = environment(home, OPENAI_BASE_URL=url + "/v1", OPENAI_API_KEY=key, OPENAI_MODEL="nice")
    return finish([MODULES / ".bin" / "qwen", "-p", TASK, "--yolo"], folder, env)


PROGRAMS = {"claude-code": claude_code, "codex": codex, "gemini-cli": gemini_cli,
            "qwen-code": qwen_code}


def installed():
    return shutil.which("node") and (MODULES / ".bin").is_dir()


# --- what the upstream makes of a program's request ----------------------------------------------

# How a tool that takes plain text is offered where there are no such tools.
FREEFORM = {"type": "object", "properties": {"input": {"type": "string"}}}


def told(tools, prefix=""):
    """The tools of a Responses request that can be called, those of namespaces by full names."""
    for tool in tools:
        if tool["type"] == "namespace":
            yield from told(tool["tools"], tool["name"] + "__")
        elif tool["type"] == "function":
            yield prefix + tool["name"], tool.get("parameters") or {}
        elif tool["type"] == "custom":
            yield prefix + tool["name"], FREEFORM
        elif tool["type"] == "tool_search":
            yield "tool_search", tool["parameters"]


def offered(kind, body):
    """What a request offers to call: name to schema."""
    if kind == "chat":
        return {t["function"]["name"]: t["function"].get("parameters") or {}
                for t in body.get("tools") or [] if t["type"] == "function"}
    if kind == "responses":
        later = [t for i in body["input"] if i["type"] in ("additional_tools", "tool_search_output")
                 for t in i["tools"]]
        return dict(told([*(body.get("tools") or []), *later]))
    if kind == "anthropic":
        return {t["name"]: t.get("input_schema") or {} for t in body.get("tools") or []}
    return {f["name"]: f.get("parametersJsonSchema") or f.get("parameters") or {}
            for t in body.get("tools") or [] for f in t.get("functionDeclarations") or []}


def writing(tools, path, text):
    """Name and arguments of the call that writes the file with what a program offers."""
    for name in ("Write", "write_file"):
        if name in tools:
            assert {"file_path", "content"} <= set(tools[name]["properties"]), tools[name]
            return name, {"file_path": str(path), "content": text}
    script = f"cat > '{path}' <<'END'\n{text}END\n"
    for name, argument in (("exec_command", "cmd"), ("shell_command", "command")):
        if name in tools:
            assert argument in tools[name]["properties"], tools[name]
            return name, {argument: script}
    if "shell" in tools:
        return "shell", {"command": ["bash", "-c", script]}
    raise AssertionError(f"no tool to write with: {sorted(tools)}")


def result_given(kind, body):
    """Whether the talk ends with the result of a tool."""
    if kind == "chat":
        return body["messages"][-1]["role"] == "tool"
    if kind == "responses":
        return any(i.get("type", "").endswith("_output") for i in body["input"])
    if kind == "anthropic":
        return any(b["type"] == "tool_result" for m in body["messages"]
                   if isinstance(m["content"], list) for b in m["content"])
    return any("functionResponse" in p for c in body["contents"] for p in c["parts"])
