"""The command line."""
import json
import os
import socket
import subprocess
import time

import pytest

from support import proxy as runner
from support.proxy import free_port


@pytest.fixture
def cli(tmp_path):
    def run(*arguments, **env):
        return runner.run(*arguments, cwd=tmp_path, **env)
    run.folder = tmp_path
    return run


@pytest.mark.parametrize("flag", ["--version", "-version"])
def test_version_names_version_commit_and_date(cli, flag):
    done = cli(flag)
    assert done.returncode == 0
    assert "Version:" in done.stdout and "Commit:" in done.stdout


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_the_flags(cli, flag):
    done = cli(flag)
    assert done.returncode == 0
    for word in ("--config", "--check-config", "scripts"):
        assert word in done.stdout
    assert "--password" not in done.stdout


def test_an_unknown_flag_is_a_usage_error(cli):
    done = cli("--no-such-flag")
    assert done.returncode == 2
    assert "no-such-flag" in done.stderr


def test_a_flag_without_its_value_is_a_usage_error(cli):
    assert cli("--config").returncode == 2


def test_a_missing_config_file_that_was_named_is_an_error(cli):
    done = cli("--config", "none.yaml")
    assert done.returncode == 1
    assert "none.yaml" in done.stderr + done.stdout


@pytest.mark.parametrize("form", ["--config {}", "-config {}", "--config={}", "-config={}"])
def test_check_config_says_when_all_is_well(cli, form):
    (cli.folder / "good.yaml").write_text("port: 8317\napi-keys: [abc-0123456789]\n")
    done = cli(*form.format("good.yaml").split(" "), "--check-config")
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("text,words", [
    ("port: 8317\ndebug: perhaps\n", ["bad.yaml:2", "debug"]),
    ("a: [1\n", ["bad.yaml:"]),
    ("port: 123456\n", ["bad.yaml:1", "port"]),
])
def test_check_config_names_file_line_and_key(cli, text, words):
    (cli.folder / "bad.yaml").write_text(text)
    done = cli("--config", "bad.yaml", "--check-config")
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr + done.stdout


def test_a_broken_configuration_does_not_start(cli):
    (cli.folder / "bad.yaml").write_text("port: [\n")
    assert cli("--config", "bad.yaml").returncode == 1


def test_a_busy_port_is_one_clear_line(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (cli.folder / "c.yaml").write_text(f"port: {port}\nlogging-to-file: false\n")
        done = cli("--config", "c.yaml")
    assert done.returncode == 1
    assert str(port) in done.stderr + done.stdout
    assert "listening" not in done.stdout


def test_scripts_list_names_every_stock_script(cli):
    done = cli("scripts", "list")
    assert done.returncode == 0
    for name in ("main.lua", "providers/mock.lua", "providers/openai_compatibility.lua"):
        assert name in done.stdout
    assert "types/" not in done.stdout


def test_scripts_eject_writes_the_stock_file_and_never_over_an_edited_one(cli):
    name = "providers/mock.lua"
    assert cli("scripts", "eject", name).returncode == 0
    path = cli.folder / "lua" / name
    assert "return M" in path.read_text()
    path.write_text(path.read_text() + "-- mine\n")
    assert cli("scripts", "eject", name).returncode == 1
    assert path.read_text().endswith("-- mine\n")


@pytest.mark.parametrize("name", ["providers/none.lua", "../outside.lua", "/etc/passwd"])
def test_scripts_eject_refuses_what_is_no_stock_script(cli, name):
    assert cli("scripts", "eject", name).returncode == 1


def test_scripts_check_passes_stock_scripts_and_names_a_broken_one(cli):
    done = cli("scripts", "check")
    assert done.returncode == 0, done.stderr + done.stdout
    bad = cli.folder / "lua" / "providers" / "mock.lua"
    bad.parent.mkdir(parents=True)
    bad.write_text("-- one\nlocal = 2\n")
    done = cli("scripts", "check")
    assert done.returncode == 1
    assert "providers/mock.lua:2" in done.stderr + done.stdout


def test_a_dot_env_file_is_read_but_never_wins(cli):
    port = free_port()
    (cli.folder / "config.yaml").write_text(f"port: {port}\nlogging-to-file: false\n")
    (cli.folder / ".env").write_text("CLIPROXY_HOST=0.0.0.0\n")
    done = cli()
    assert done.returncode == 1
    assert "api-keys" in done.stderr + done.stdout


def test_the_log_file_is_written_where_it_belongs(make_proxy):
    proxy = make_proxy({"logging-to-file": True})
    assert proxy.chat("mock").status == 200
    proxy.stop()
    log = proxy.folder / "logs" / "main.log"
    assert "/v1/chat/completions" in log.read_text()
    assert (log.stat().st_mode & 0o077) == 0


def test_a_password_opens_keep_alive(make_proxy):
    proxy = make_proxy({}, arguments=["--password", "canary-local"])
    assert proxy.get("/keep-alive").status == 401
    assert proxy.get("/keep-alive", {"X-Local-Password": "wrong"}).status == 401
    for headers in ({"X-Local-Password": "canary-local"}, {"Authorization": "Bearer canary-local"}):
        answer = proxy.get("/keep-alive", headers)
        assert answer.status == 200 and answer.json() == {"status": "ok"}
    assert "canary-local" not in proxy.log


def test_without_a_password_there_is_no_keep_alive(mock):
    assert mock.get("/keep-alive").status == 404


@pytest.mark.slow
def test_a_proxy_whose_owner_is_silent_ends(make_proxy):
    proxy = make_proxy({}, arguments=["--password", "canary-local"])
    proxy.wait_exit()
    assert proxy.process.returncode == 0


def translate(folder, text, *arguments):
    path = folder / "body"
    path.write_text(text)
    return runner.run("translate", *arguments, str(path), cwd=folder)


def test_translate_prints_the_body_and_what_is_lost(tmp_path):
    done = translate(tmp_path, '{"model":"m","max_tokens":10,"top_k":5,'
                     '"messages":[{"role":"user","content":"hi"}]}',
                     "--from", "anthropic", "--to", "chat")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    assert "drop.param" in done.stderr and "top_k" in done.stderr


def test_translate_refuses_what_it_cannot_read(tmp_path):
    assert translate(tmp_path, "{bad", "--from", "chat", "--to", "gemini").returncode == 1
    assert translate(tmp_path, "{}", "--from", "nothing", "--to", "gemini").returncode == 2


def test_closed_standard_descriptors_are_not_given_to_files_and_sockets(make_proxy):
    proxy = make_proxy({"api-keys": []}, start=False)
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh",
         *runner.command("--config", str(proxy.config_path))],
        cwd=proxy.folder, env=runner.environment(proxy.folder))
    try:
        deadline = time.monotonic() + runner.START_SECONDS
        while True:
            try:
                assert proxy.get("/healthz").status == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
        standard = [os.readlink(f"/proc/{process.pid}/fd/{n}") for n in range(3)]
        assert standard == ["/dev/null"] * 3
        process.terminate()
        assert process.wait(runner.STOP_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
