"""Logins on the command line, with a provider made up for it: everything but the provider."""
import json
import os
import re
import signal
import socket
import stat
import time
import urllib.parse

import pytest

from support.login import visit
from support.proxy import eventually, free_port, run
from support.upstream import reply

# A provider in one script, under the flag of a real one.
SCRIPT = """
local oauth = require "lib.oauth"
local login = {
  flag = "claude-login", channel = "anthropic", title = "Demo", port = 54545, path = "/callback",
  notice = "Mind the terms of Demo.",
}
function login.begin(session, options)
  session.url = "https://auth.demo.example/authorize?" .. oauth.query {
    state = session.state, challenge = session.challenge, redirect_uri = options.redirect_uri,
  }
  return true
end
function login.finish(session, code, options)
  local answer, problem = oauth.call {
    url = "https://auth.demo.example/token", form = { code = code, verifier = session.verifier },
  }
  if not answer then return nil, problem.message end
  if answer.status ~= 200 then return nil, "token exchange failed with " .. oauth.reason(answer) end
  return {
    name = "demo-" .. answer.data.email .. ".json",
    document = { type = "demo", access_token = answer.data.token, email = answer.data.email },
    same = function(other) return other.type == "demo" and other.email == answer.data.email end,
  }
end
return {
  type = "demo", login = login,
  read = function(document)
    return { { label = document.email, secret = document.access_token, hosts = {} } }
  end,
}
"""
TOKEN = {"token": "demo-token", "email": "me@demo.example"}


def limits(**seconds):
    """The script of limits, with some shorter."""
    path = os.path.join(os.path.dirname(__file__), "..", "..", "lua", "models", "logins.lua")
    with open(path) as f:
        text = f.read()
    for name, value in seconds.items():
        text, count = re.subn(rf"\b{name}_seconds = [\d.]+", f"{name}_seconds = {value}", text)
        assert count == 1, name
    return text


@pytest.fixture
def home(make_proxy, hosts):
    """A proxy that does not run: its folder, configuration and environment."""
    hosts.on("auth.demo.example", "POST", "/token").always(reply(TOKEN))
    proxy = make_proxy({}, start=False, **hosts.env())
    proxy.auth = proxy.folder / "auth"
    proxy.write_config({"auth-dir": str(proxy.auth)})
    proxy.write_script("accounts/claude.lua", SCRIPT)
    return proxy


@pytest.fixture
def begin(home, make_login):
    """Starts the login on a free port."""
    def start(*arguments, **options):
        port = free_port()
        login = make_login(home, "--claude-login", "--no-browser", "--oauth-callback-port", str(port),
                           *arguments, **options)
        login.port = port
        return login
    return start


def callback(login, **query):
    fields = "&".join(f"{n}={v}" for n, v in query.items())
    return visit(login.port, f"/callback?{fields}")


def saved(home):
    return {p.name: json.loads(p.read_text()) for p in home.auth.glob("*.json")}


# --- the callback ---------------------------------------------------------------------------------

@pytest.mark.smoke
def test_a_browser_comes_back_and_the_account_is_saved(home, begin, hosts):
    login = begin()
    query = login.query
    assert query["redirect_uri"] == f"http://localhost:{login.port}/callback"
    status, headers, _ = callback(login, code="the-code", state=query["state"])
    assert (status, headers["location"]) == (302, "/success")
    status, headers, page = visit(login.port, "/success")
    assert status == 200 and "Authentication successful" in page and "window.close()" in page
    assert headers["content-type"] == "text/html; charset=utf-8"
    text = login.wait(0)
    assert "Mind the terms of Demo." in text
    path = home.auth / "demo-me@demo.example.json"
    assert f"saved to {path}" in text and "never share" in text
    assert "demo-token" not in text and "the-code" not in text
    assert path.read_text() == \
        '{"access_token":"demo-token","email":"me@demo.example","type":"demo"}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.auth.stat().st_mode) == 0o700
    form = hosts.requests[-1].form()
    assert form["code"] == "the-code" and len(form["verifier"]) == 128


def test_the_browser_may_come_over_ipv6(home, begin):
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    login = begin()
    state = login.query["state"]
    assert visit(login.port, f"/callback?code=c&state={state}", host="::1")[0] == 302
    login.wait(0)


def test_a_wrong_state_ends_the_login_and_nothing_is_exchanged(home, begin, hosts):
    login = begin()
    login.wait_url()
    status, headers, text = callback(login, code="c", state="0" * 32)
    assert status == 400 and headers["content-type"].startswith("text/plain")
    assert "State code error" in login.wait(1)
    assert not hosts.requests and not saved(home)


@pytest.mark.parametrize("query, failure", [
    ({"code": "c"}, "no_state"), ({"state": "S"}, "no_code"),
    ({"error": "access_denied", "state": "S"}, "access_denied"),
    ({"error_description": "not+today", "state": "S"}, "not today")])
def test_what_a_provider_may_send_instead_of_a_code(home, begin, query, failure):
    login = begin()
    state = login.query["state"]
    status, _, text = callback(login, **{n: v.replace("S", state) for n, v in query.items()})
    assert status == 400 and failure in text
    assert failure in login.wait(1)
    assert not saved(home)


def test_only_get_is_answered_and_strangers_end_nothing(home, begin):
    login = begin()
    state = login.query["state"]
    target = f"/callback?code=c&state={state}"
    status, headers, _ = visit(login.port, target, method="POST")
    assert status == 405 and headers["allow"] == "GET"
    assert visit(login.port, "/favicon.ico")[0] == 404
    assert visit(login.port, target)[0] == 302
    login.wait(0)


def test_a_refused_code_is_reported(home, begin, hosts):
    hosts.on("auth.demo.example", "POST", "/token").always(
        reply({"error": "invalid_grant", "error_description": "code was used"}, 400))
    login = begin()
    callback(login, code="c", state=login.query["state"])
    assert "invalid_grant: code was used" in login.wait(1)
    assert not saved(home)


def test_an_existing_file_of_the_account_keeps_its_name_and_other_members(home, begin):
    home.auth.mkdir()
    (home.auth / "old name.json").write_text(
        '{"type":"demo","email":"me@demo.example","access_token":"old","note":"mine","x":[1e3]}')
    login = begin()
    callback(login, code="c", state=login.query["state"])
    login.wait(0)
    assert saved(home) == {"old name.json": {
        "type": "demo", "email": "me@demo.example", "access_token": "demo-token", "note": "mine",
        "x": [1000]}}


# --- ends -----------------------------------------------------------------------------------------

def test_a_busy_port_has_an_exit_code_of_its_own(home, make_login):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        login = make_login(home, "--claude-login", f"--oauth-callback-port={port}")
        text = login.wait(13)
    assert str(port) in text and "in use" in text


def test_nobody_comes(home, begin):
    home.write_script("models/logins.lua", limits(answer=0.5))
    assert "Timeout waiting for OAuth callback" in begin().wait(1)


def test_signs_of_life_while_it_waits(home, begin):
    home.write_script("models/logins.lua", limits(answer=1.5, progress=0.3))
    text = begin().wait(1)
    assert re.search(r"Still waiting for you, \d s left", text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_login_can_be_interrupted(home, begin, number):
    login = begin()
    login.wait_url()
    login.signal(number)
    assert "Interrupted" in login.wait(1)
    with socket.create_server(("127.0.0.1", login.port)):
        pass


def test_a_folder_that_cannot_be_made_is_told_before_the_login(home, make_login):
    home.auth.write_text("a file")
    assert "auth-dir" in make_login(home, "--claude-login").wait(1)


def test_a_broken_configuration_is_told(home, make_login):
    home.replace(home.config_path, "port: [1]")
    assert "port" in make_login(home, "--claude-login").wait(1)


def test_wrong_flags_have_code_2(home):
    for flags in (["--claude-login=perhaps"], ["--oauth-callback-port", "x", "--claude-login"],
                  ["--no-login"]):
        assert run(*flags, cwd=home.folder).returncode == 2


def test_of_several_logins_the_first_of_the_list_runs(home, make_login):
    login = make_login(home, "-iflow-login", "-claude-login", "-no-browser",
                       f"-oauth-callback-port={free_port()}")
    assert login.wait_url().startswith("https://auth.demo.example/")


# --- the terminal ---------------------------------------------------------------------------------

@pytest.mark.smoke
def test_the_address_can_be_pasted_into_the_terminal(home, begin):
    home.write_script("models/logins.lua", limits(paste=0.1))
    login = begin(terminal=True)
    state = login.query["state"]
    login.wait_for("paste it here")
    login.type("\n")
    login.type("what?\n")
    login.wait_for("neither a code nor an error")
    login.type(f"http://localhost:{login.port}/callback?code=pasted&state={state}\n")
    login.wait(0)
    assert saved(home)


def test_the_callback_still_works_while_the_terminal_asks(home, begin):
    home.write_script("models/logins.lua", limits(paste=0.1))
    login = begin(terminal=True)
    login.wait_for("paste it here")
    login.type("http://localhost/half a li")
    assert callback(login, code="c", state=login.query["state"])[0] == 302
    visit(login.port, "/success")
    login.wait(0)


@pytest.mark.parametrize("pasted", ["the-code#STATE", "code=the-code&state=STATE",
                                    "?state=STATE&code=the-code", "#code=the-code&state=STATE"])
def test_other_forms_are_understood(home, begin, hosts, pasted):
    home.write_script("models/logins.lua", limits(paste=0.1))
    login = begin(terminal=True)
    login.wait_for("paste it here")
    login.type(pasted.replace("STATE", login.query["state"]) + "\n")
    login.wait(0)
    assert hosts.requests[-1].form()["code"] == "the-code"


def test_a_pasted_state_is_verified(home, begin, hosts):
    home.write_script("models/logins.lua", limits(paste=0.1))
    login = begin(terminal=True)
    login.wait_for("paste it here")
    login.type("?code=c&state=" + "0" * 32 + "\n")
    assert "State code error" in login.wait(1)
    assert not hosts.requests


def test_ctrl_c_ends_it(home, begin):
    login = begin(terminal=True)
    login.wait_url()
    login.type("\x03")
    assert "Interrupted" in login.wait(1)


def test_without_a_terminal_nobody_is_asked(home, begin):
    home.write_script("models/logins.lua", limits(paste=0.1, answer=0.6))
    assert "paste" not in begin().wait(1)


# --- browser, proxy -------------------------------------------------------------------------------

def fake_browser(home):
    """A program `xdg-open` that writes down what it is given."""
    folder = home.folder / "bin"
    folder.mkdir()
    program = folder / "xdg-open"
    program.write_text(f"#!/bin/sh\nprintf '%s' \"$*\" > {folder}/new && /bin/mv {folder}/new {folder}/url\n")
    program.chmod(0o700)
    return folder


def test_the_browser_is_opened_and_the_address_printed_all_the_same(home, make_login):
    folder, port = fake_browser(home), free_port()
    login = make_login(home, "--claude-login", "--oauth-callback-port", str(port), PATH=str(folder))
    url = login.wait_url()
    login.port = port
    for _ in range(600):
        if (folder / "url").exists():
            break
        login._reader.join(0.1)
    assert (folder / "url").read_text() == url
    assert "ssh -L" not in login.text
    callback(login, code="c", state=login.query["state"])
    login.wait(0)


def test_no_browser_shows_the_way_through_a_tunnel(home, begin):
    folder = fake_browser(home)
    login = begin(PATH=str(folder))
    login.wait_url()
    assert f"ssh -L {login.port}:127.0.0.1:{login.port} root@<server address> -p 22" in login.text
    assert "ssh -i <path to key> -L" in login.text
    callback(login, code="c", state=login.query["state"])
    login.wait(0)
    assert not (folder / "url").exists()


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_calls_of_a_login_go_through_the_configured_proxy(home, begin, make_forward, hosts, kind):
    forward = make_forward(kind, ports={443: hosts.port}, user="me", password="word")
    home.change_config(**{"proxy-url": forward.url.replace("socks5://", "socks5h://")})
    login = begin()
    callback(login, code="c", state=login.query["state"])
    login.wait(0)
    assert forward.used == [("auth.demo.example", 443)]


def test_an_account_that_is_logged_in_is_known_to_a_running_proxy(home, begin):
    home.start()
    login = begin()
    callback(login, code="c", state=login.query["state"])
    login.wait(0)
    home.wait_for_log("demo-me@demo.example.json")


# --- logins that web pages begin ------------------------------------------------------------------

ASK = """
  if client.path == "/ask" then
    local text, problem =
      require("keeper").ask(client:param "name", client:param "argument", 30)
    return client:respond(text and 200 or 500, {}, text or problem)
  end
"""


class Web:
    """A running proxy whose keeper can be asked over HTTP, as the management API will ask it."""

    def __init__(self, home):
        self.home, self.port = home, free_port()
        home.write_script("accounts/claude.lua", SCRIPT.replace("54545", str(self.port)))
        path = os.path.join(os.path.dirname(__file__), "..", "..", "lua", "main.lua")
        with open(path) as f:
            begin = "function M.handle(client)\n"
            text = f.read()
            assert begin in text
            home.write_script("main.lua", text.replace(begin, begin + ASK))
        home.write_config({**home.config, "mock": False})
        home.start()

    def ask(self, name, **argument):
        query = urllib.parse.urlencode({"name": name, "argument": json.dumps(argument)})
        answer = self.home.get(f"/ask?{query}")
        assert answer.status == 200, answer
        return answer.json()

    def begin(self, **more):
        return self.ask("login_begin", channel="anthropic", **more)

    def status(self, reply):
        return self.ask("login_status", state=reply["state"])

    def ended(self, reply):
        return eventually(lambda: (s := self.status(reply))["status"] != "wait" and s)


@pytest.fixture
def web(home):
    return Web(home)


@pytest.mark.smoke
def test_the_landing_page_of_the_main_port_takes_the_callback(home, web):
    reply = web.begin()
    assert reply["state"] in reply["url"] and web.status(reply) == {"status": "wait"}
    answer = home.get(f"/anthropic/callback?code=c&state={reply['state']}")
    assert answer.status == 200 and "Authentication successful!" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert web.ended(reply) == {"status": "ok"}
    assert saved(home)["demo-me@demo.example.json"]["access_token"] == "demo-token"
    home.wait_for_log("auth file added")
    for target in (f"/anthropic/callback?code=c&state={reply['state']}",
                   "/codex/callback?code=c&state=" + "0" * 32, "/google/callback",
                   "/iflow/callback?state=../../x&code=c"):
        answer = home.get(target)
        assert answer.status == 400 and "No login in progress" in answer.text
    assert home.client().request("POST", "/anthropic/callback").status == 405


def test_with_is_webui_the_providers_port_leads_there(home, web):
    reply = web.begin(webui=True)
    status, headers, _ = visit(web.port, f"/callback?code=a%2Fb&state={reply['state']}")
    target = f"/anthropic/callback?code=a%2Fb&state={reply['state']}"
    assert status == 302 and headers["cache-control"] == "no-store"
    assert headers["location"] == f"http://127.0.0.1:{home.port}{target}"
    assert home.get(target).status == 200
    assert web.ended(reply) == {"status": "ok"}
    eventually(lambda: is_free(web.port))


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_a_second_login_takes_the_port_over(home, web):
    first, second = web.begin(webui=True), web.begin(webui=True)
    assert second["url"] and web.ended(first) == {"status": "error", "error": "cancelled"}
    assert visit(web.port, "/callback")[0] == 302
    assert web.ask("login_cancel", state=second["state"]) == {"cancelled": True}
    assert web.ended(second)["status"] == "error"
    assert home.get(f"/anthropic/callback?code=c&state={second['state']}").status == 400


def test_a_port_that_others_have_is_told(home, web):
    with socket.create_server(("127.0.0.1", web.port)):
        assert web.begin(webui=True)["error"] == "failed to start callback server"


def test_a_refusal_is_shown_escaped(home, web):
    reply = web.begin()
    answer = home.get("/anthropic/callback?error_description=%3Cb%3Eno%3C/b%3E&state="
                      + reply["state"])
    assert answer.status == 200 and "&lt;b&gt;no&lt;/b&gt;" in answer.text and "<b>" not in answer.text
    assert web.ended(reply) == {"status": "error", "error": "Bad request"}
    assert not saved(home)


def forwards(port):
    """The forwarder changes hands, too: for a moment nobody has the port."""
    try:
        return visit(port, "/callback")[0] == 302
    except OSError:
        return False


def test_a_login_outlives_a_change_of_scripts(home, web):
    reply = web.begin(webui=True)
    for i in range(4):  # more than generations may live
        mark = home.mark()
        home.change_config(**{"request-retry": i})
        home.wait_for_log("reloaded: generation", since=mark)
    eventually(lambda: forwards(web.port))
    assert home.get(f"/anthropic/callback?code=c&state={reply['state']}").status == 200
    assert web.ended(reply) == {"status": "ok"}


def test_a_login_that_waits_does_not_hold_up_the_end(home, web):
    web.begin(webui=True)
    began = time.monotonic()
    home.stop()
    assert time.monotonic() - began < 20
