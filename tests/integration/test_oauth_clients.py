"""Claude Code and Codex, unchanged, through the proxy to the account of a login.

Their own headers and bodies go up as they are; token, account and the login's flag are the proxy's.
The stand-ins of the vendors check each request (support/vendors.py).
"""
import json
import time

import pytest

from support import offers, programs
from support.dialects import call_stream, text_stream
from support.logged_in import iso, no_secrets
from support.upstream import sse
from support.vendors import EMAIL, Anthropic, ChatGpt

CLIENT_KEY = "sk-client-of-the-proxy"
TEXT = "Grüße, 世界\n\"quoted\" \\ back\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(programs.SECONDS + 60)]


def directing(kind, path):
    """An upstream that first asks for the file to be written, and then is content."""
    def answer(request):
        body = request.json()
        assert body["stream"] is True
        if offers.result_given(kind, body):
            return sse(*text_stream(kind, "It is ", "written."), done=False)
        name, args = offers.writing(offers.offered(kind, body), path, TEXT)
        return sse(*call_stream(kind, name, json.dumps(args)), done=False)
    return answer


def run(program, kind, vendor, document, model, make_with_accounts, tmp_path, **config):
    assert programs.installed(), "no programs in build/clients (scripts/test installs them)"
    vendor.hosts.agents = ("claude-cli/", "codex_")
    vendor.hosts.secrets.add(CLIENT_KEY)
    proxy = make_with_accounts({"account.json": document}, **{
        "api-keys": [CLIENT_KEY],
        "oauth-model-alias": {document["type"]: [{"name": model, "alias": "nice"}]}, **config})
    home, folder = tmp_path / "user", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    path = folder / "greeting.txt"
    vendor.answer = directing(kind, path)
    done = programs.PROGRAMS[program](proxy.url, CLIENT_KEY, home, folder)
    story = f"{done}\n--- proxy\n{proxy.tail(20)}\n{vendor.hosts.problems}"
    assert path.exists() and path.read_text() == TEXT, story
    assert done.code == 0 and "It is written." in done.out, story
    no_secrets(proxy, vendor, done.out, done.err)
    return proxy, story


def tokens(vendor, kind):
    vendor.tokens.issue()
    at = time.time() + 6 * 86400
    return {"type": kind, "access_token": vendor.tokens.access, "email": EMAIL,
            "refresh_token": vendor.tokens.refresh, "expired": iso(at), "last_refresh": iso(at - 86400)}


def test_claude_code_through_a_login(hosts, make_with_accounts, tmp_path):
    vendor = Anthropic(hosts)
    _, story = run("claude-code", "anthropic", vendor, tokens(vendor, "claude"),
                   "claude-sonnet-4-5-20250929", make_with_accounts, tmp_path,
                   **{"claude-oauth-clients": "claude-code-only"})
    assert len(vendor.messages.requests) == 2, story
    for request in vendor.messages.requests:
        assert request.header("user-agent").startswith("claude-cli/")
        assert request.header("x-app") == "cli" and request.header("x-stainless-lang")
        assert request.json()["model"] == "claude-sonnet-4-5-20250929"


def test_codex_through_a_login(hosts, make_with_accounts, tmp_path):
    vendor = ChatGpt(hosts)
    document = {**tokens(vendor, "codex"), "id_token": vendor.identity(),
                "account_id": vendor.account}
    _, story = run("codex", "responses", vendor, document, "gpt-5.5", make_with_accounts, tmp_path)
    assert len(vendor.responses.requests) == 2, story
    for request in vendor.responses.requests:
        assert request.header("originator").startswith("codex")
        assert request.header("user-agent").startswith("codex")
        assert request.json()["model"] == "gpt-5.5"
        assert request.header("session-id") or request.header("session_id")
