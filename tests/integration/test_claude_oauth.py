"""Claude by a login: logging in, serving, refreshing, and what survives a kill.

The servers stand under their real names and check every header and field (support/vendors.py).
"""
import json
import os
import re
import time

import pytest

from support.logged_in import MOMENTS, ask_and_kill, check_kill, file_of, iso, no_secrets
from support.proxy import eventually
from support.vendors import EMAIL, FIXTURES, Anthropic, Login, recorded

MODEL = "claude-sonnet-4-5-20250929"
FILE = f"claude-{EMAIL}.json"
CODE = {"User-Agent": "claude-cli/2.1.330 (external, cli)", "X-App": "cli",
        "anthropic-version": "2023-06-01", "X-Stainless-Lang": "js",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        "Authorization": "Bearer sk-of-the-proxy"}


@pytest.fixture
def vendor(hosts):
    hosts.agents = ("cli-proxy-api/", "claude-cli/")
    hosts.secrets.add("sk-of-the-proxy")
    return Anthropic(hosts)


def account(vendor, expired=False, **members):
    """A token file of somebody who is logged in."""
    vendor.tokens.issue()
    at = time.time() + (-3600 if expired else 6 * 3600)
    return {"id_token": "", "access_token": vendor.tokens.access,
            "refresh_token": vendor.tokens.refresh, "email": EMAIL, "type": "claude",
            "last_refresh": iso(at - 28800),
            "expired": iso(at), **members}


def body(**members):
    return {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}],
            **members}


def messages(proxy, headers=None, **members):
    return proxy.client().request("POST", "/v1/messages?beta=true", body(**members),
                                  CODE if headers is None else headers)


def test_a_login_serves_claude_code_and_others(make_with_accounts, vendor):
    proxy = make_with_accounts(start=False)
    login = Login(proxy, "--claude-login")
    try:
        status, page = login.browser(vendor.authorize(login.url()))
        assert status == 200 and "success" in page.lower()
        assert login.wait() == 0, login.text
    finally:
        login.kill()
    assert FILE in login.text and "Claude Code" in login.text
    path = proxy.auths / FILE
    assert os.stat(path).st_mode & 0o777 == 0o600
    saved = json.loads(path.read_text())
    assert saved["organization_name"] == "Org of the profile" and saved["id_token"] == ""
    assert (saved["access_token"], saved["refresh_token"], saved["email"], saved["type"]) == (
        vendor.tokens.access, vendor.tokens.refresh, EMAIL, "claude")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", saved["expired"])
    assert path.read_text().count("\n") == 1

    proxy.start()
    sent = body(metadata={"user_id": "u"},
                system=[{"type": "text", "text": "You are Claude Code."}])
    text = json.dumps(sent, indent=1).encode()
    answer = proxy.client().request("POST", "/v1/messages?beta=true", text, CODE)
    assert answer.status == 200 and answer.json()["content"][0]["text"] == "Hello there"
    up = vendor.messages.last
    assert up.body == text
    assert up.header("user-agent") == CODE["User-Agent"] and up.header("x-app") == "cli"
    assert up.header("x-stainless-lang") == "js"
    assert up.header("anthropic-beta") == \
        "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14"

    with proxy.client().open_stream("/v1/messages?beta=true", body(stream=True), CODE) as stream:
        assert [e["type"] for e in stream.chunks()][-1] == "message_stop"
    answer = proxy.chat(MODEL)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there"
    assert vendor.messages.last.header("user-agent").startswith("cli-proxy-api/")
    assert vendor.messages.last.json()["stream"] is True
    with proxy.stream(MODEL) as stream:
        assert stream.text() == "Hello there"
    count = proxy.client().request("POST", "/v1/messages/count_tokens?beta=true",
                                   body(metadata={"user_id": "u"}), CODE)
    assert count.json() == {"input_tokens": 42}
    assert vendor.tokens.refreshes == 0
    no_secrets(proxy, vendor, login.text, answer.text)


def test_a_refused_login_saves_nothing(make_with_accounts, vendor):
    proxy = make_with_accounts(start=False)
    login = Login(proxy, "--claude-login")
    try:
        back = vendor.authorize(login.url())
        vendor.token.then(recorded("claude/invalid_grant"))
        login.browser(back)
        assert login.wait() == 1
    finally:
        login.kill()
    assert "token exchange failed with status 400" in login.text
    assert not list(proxy.auths.glob("*.json"))


def test_an_expired_token_is_refreshed_before_it_is_used(make_with_accounts, vendor):
    document = account(vendor, expired=True)
    old = set(vendor.tokens.issued)
    seen = []

    def answer(request):
        # Written before it is used.
        seen.append(file_of(proxy, FILE))
        return {"id": "msg", "type": "message", "role": "assistant", "model": MODEL, "content": [],
                "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
    vendor.answer = answer
    proxy = make_with_accounts({FILE: document})
    assert messages(proxy).status == 200
    assert vendor.tokens.refreshes == 1 and len(vendor.messages.requests) == 1
    assert seen[0]["access_token"] == vendor.tokens.access
    assert seen[0]["refresh_token"] == vendor.tokens.refresh
    assert not old & {seen[0]["access_token"], seen[0]["refresh_token"]}
    assert messages(proxy).status == 200
    assert vendor.tokens.refreshes == 1
    no_secrets(proxy, vendor)


def test_a_token_that_is_refused_is_refreshed_once_and_tried_again(make_with_accounts, vendor):
    proxy = make_with_accounts({FILE: account(vendor)})
    vendor.tokens.access = "sk-ant-oat01-somebody-else-refreshed"
    answer = messages(proxy, stream=True)
    assert answer.status == 200, (answer, proxy.tail())
    assert vendor.tokens.refreshes == 1 and len(vendor.messages.requests) == 2
    vendor.messages.then(recorded("claude/expired_token"), recorded("claude/expired_token"))
    answer = messages(proxy)
    assert answer.status == 401 and vendor.tokens.refreshes == 2
    assert answer.json()["error"]["type"] == "authentication_error"


def test_a_revoked_login_is_reported_and_not_tried_again(make_with_accounts, vendor):
    proxy = make_with_accounts({FILE: account(vendor)})
    vendor.tokens.revoked = True
    answer = messages(proxy)
    assert answer.status == 401
    message = answer.json()["error"]["message"]
    assert "log in again" in message and EMAIL in message and "invalid_grant" in message
    proxy.wait_for_log(r"refresh of .* failed: .*invalid_grant")
    assert vendor.tokens.refreshes == 1
    again = messages(proxy)
    assert again.status >= 400 and vendor.tokens.refreshes == 1
    no_secrets(proxy, vendor, answer.text, again.text)

    # Somebody logs in again: the file is taken up without a restart.
    vendor.tokens.revoked = False
    mark = proxy.mark()
    proxy.replace(proxy.auths / FILE, json.dumps(account(vendor)))
    proxy.wait_for_log("auth file changed", since=mark)
    eventually(lambda: messages(proxy).status == 200)


def test_a_file_of_a_former_login_is_refreshed_without_scopes(make_with_accounts, vendor):
    vendor.only_old_scopes = True
    proxy = make_with_accounts({FILE: account(vendor, expired=True)})
    assert messages(proxy).status == 200
    assert len(vendor.token.requests) == 2 and vendor.tokens.refreshes == 1


def test_a_file_that_cannot_be_refreshed_serves_as_long_as_it_does(make_with_accounts, vendor):
    document = account(vendor)
    for name in ("refresh_token", "expired", "last_refresh"):
        del document[name]
    proxy = make_with_accounts({"setup-token.json": document})
    assert messages(proxy).status == 200
    vendor.tokens.access = "another"
    assert messages(proxy).status == 401
    assert not vendor.token.requests


@pytest.mark.parametrize("shape", ["base", "late"])
def test_files_of_the_reference_are_rewritten_without_losing_a_member(
        make_with_accounts, vendor, shape):
    before = (FIXTURES / "claude" / f"file_{shape}.json").read_text()
    vendor.tokens.issue()
    vendor.tokens.refresh = "sk-ant-ort01-EXAMPLE"
    name = {"base": FILE, "late": "my-own-name.JSON"}[shape]
    proxy = make_with_accounts({name: before})
    model = {"base": MODEL, "late": "team/" + MODEL}[shape]
    assert messages(proxy, model=model).status == 200, proxy.tail()
    text = (proxy.auths / name).read_text()
    old, new = json.loads(before), json.loads(text)
    changed = {"access_token", "refresh_token", "expired", "last_refresh", "account_uuid",
               "organization_uuid", "organization_name"}
    assert {n: v for n, v in new.items() if n not in changed} == \
        {n: v for n, v in old.items() if n not in changed}
    assert set(old) <= set(new) and list(new) == sorted(new) and "\n" not in text.strip()
    assert new["refresh_token"] == vendor.tokens.refresh
    if shape == "late":
        assert '"some_later_member":{"a":[1,2.50,12345678901234567890]}' in text
        assert vendor.messages.last.header("x-team") == "blue"


# --- kill -9 ------------------------------------------------------------------------------------

def begin(proxy):
    connection = proxy.client().connect()
    connection.request("POST", "/v1/messages?beta=true", json.dumps(body()),
                       {**CODE, "Content-Type": "application/json"})
    return connection


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_rotated_token_survives_a_kill(make_with_accounts, make_upstream, vendor, moment):
    """At each step between question and use: the next start serves without a login."""
    check_kill(make_with_accounts, make_upstream, vendor, moment, begin, messages, FILE,
               account(vendor, expired=True))


def test_a_token_that_was_used_up_without_an_answer_needs_a_login(
        make_with_accounts, make_upstream, vendor):
    proxy = make_with_accounts({FILE: account(vendor, expired=True)}, start=False)
    ask_and_kill(proxy, vendor, begin, "received", make_upstream)
    again = make_with_accounts()
    answer = messages(again)
    assert answer.status == 401 and "log in again" in answer.json()["error"]["message"]
    no_secrets(again, vendor, answer.text)


# --- what a subscription is for ------------------------------------------------------------------

@pytest.mark.parametrize("name", ["only_for_claude_code", "third_party_apps"])
def test_refusals_of_other_programs_come_back_unchanged(make_with_accounts, vendor, name):
    proxy = make_with_accounts({FILE: account(vendor)})
    vendor.answer = lambda r: recorded(f"claude/{name}")
    answer = messages(proxy, headers={"User-Agent": "cli-proxy-api/test"})
    expected = (FIXTURES / "claude" / f"{name}.http").read_text().partition("\n\n")[2].strip()
    assert answer.status == 400 and answer.text == expected
    vendor.answer = None
    assert messages(proxy).status == 200


def test_logins_can_be_kept_for_claude_code(make_with_accounts, vendor):
    proxy = make_with_accounts({FILE: account(vendor)},
                               **{"claude-oauth-clients": "claude-code-only"})
    assert messages(proxy).status == 200
    answer = proxy.chat(MODEL)
    assert answer.status == 503 and len(vendor.messages.requests) == 1
    assert "claude-oauth-clients" in answer.text


def test_a_limit_of_the_subscription_blocks_the_account(make_with_accounts, vendor):
    proxy = make_with_accounts({FILE: account(vendor)})
    vendor.answer = lambda r: recorded("claude/limit_5h")
    answer = messages(proxy)
    assert answer.status == 429 and 3600 <= int(answer.headers["retry-after"]) <= 3640
    other = messages(proxy, model="claude-opus-4-1-20250805")
    assert other.status == 429 and len(vendor.messages.requests) == 1


def test_a_login_token_in_a_keys_place_is_used_as_one(make_with_accounts, vendor):
    vendor.tokens.issue()
    proxy = make_with_accounts(**{"claude-api-key": [{"api-key": vendor.tokens.access}]})
    assert messages(proxy).status == 200
    assert vendor.messages.last.header("authorization") == f"Bearer {vendor.tokens.access}"
