"""Codex by a login: logging in both ways, serving, refreshing single-use tokens, and kills.

The servers stand under their real names and check every header and field (support/vendors.py).
"""
import json
import os
import re
import time

import pytest

from support.logged_in import MOMENTS, ask_and_kill, check_kill, file_of, iso, no_secrets
from support.dialects import named, responses_events, message_item
from support.upstream import reply, sse
from support.vendors import EMAIL, FIXTURES, ChatGpt, Login, recorded

FILE = f"codex-{EMAIL}.json"
CLI = {"originator": "codex_cli_rs", "User-Agent": "codex_cli_rs/0.169.0 (Debian 12)",
       "version": "0.169.0", "session-id": "s-1", "thread-id": "t-1",
       "x-codex-turn-state": "turn-6", "x-codex-window-id": "w-1", "Authorization": "Bearer sk-of-the-proxy",
       "chatgpt-account-id": "of-the-client"}


@pytest.fixture
def vendor(hosts):
    hosts.agents = ("cli-proxy-api/", "codex_cli_rs/")
    hosts.secrets |= {"sk-of-the-proxy", "of-the-client"}
    return ChatGpt(hosts)


def account(vendor, expired=False, **members):
    vendor.tokens.issue()
    at = time.time() + (-3600 if expired else 9 * 86400)
    return {"id_token": vendor.identity(), "access_token": vendor.tokens.access,
            "refresh_token": vendor.tokens.refresh, "account_id": vendor.account, "email": EMAIL,
            "last_refresh": iso(at - 864000), "expired": iso(at), "type": "codex", **members}


def body(**members):
    return {"model": "gpt-5.5", "input": "hi", **members}


def responses(proxy, headers=None, **members):
    return proxy.client().request("POST", "/v1/responses", body(**members),
                                  CLI if headers is None else headers)


def begin(proxy):
    connection = proxy.client().connect()
    connection.request("POST", "/v1/responses", json.dumps(body()),
                       {**CLI, "Content-Type": "application/json"})
    return connection


def text_of(answer):
    return answer.json()["output"][0]["content"][0]["text"]


def logged_in(vendor, proxy, flag="--codex-login"):
    login = Login(proxy, flag)
    try:
        status, page = login.browser(vendor.authorize(login.url()))
        assert status == 200 and "success" in page.lower()
        assert login.wait() == 0, login.text
    finally:
        login.kill()
    return login


def test_a_login_serves_codex_and_others(make_with_accounts, vendor):
    proxy = make_with_accounts(start=False)
    login = logged_in(vendor, proxy)
    path = proxy.auths / FILE
    assert FILE in login.text and os.stat(path).st_mode & 0o777 == 0o600
    saved = json.loads(path.read_text())
    for name in ("expired", "last_refresh"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", saved.pop(name))
    assert saved == {"id_token": vendor.identity(), "access_token": vendor.tokens.access,
                     "refresh_token": vendor.tokens.refresh, "account_id": vendor.ACCOUNT,
                     "email": EMAIL, "type": "codex"}

    proxy.start()

    def answer(request):
        def act(c):
            c.head(200, {"Content-Type": "text/event-stream", "x-codex-turn-state": "turn-7"})
            for piece in named(*responses_events(message_item("Hello there"))):
                c.chunk(piece)
            c.end()
        return act
    vendor.answer = answer
    with proxy.client().open_stream("/v1/responses", body(stream=True), CLI) as stream:
        assert stream.headers["x-codex-turn-state"] == "turn-7"
        assert [e["type"] for e in stream.chunks()][-1] == "response.completed"
    up = vendor.responses.last
    for name in ("originator", "User-Agent", "version", "session-id", "thread-id",
                 "x-codex-turn-state", "x-codex-window-id"):
        assert up.header(name) == CLI[name], name
    vendor.answer = None
    assert text_of(responses(proxy)) == "Hello there"
    answer = proxy.chat("gpt-5.5", temperature=0.5, max_tokens=5, user="u")
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there"
    up = vendor.responses.last
    assert up.header("originator") == "cli-proxy-api"
    assert up.header("user-agent").startswith("cli-proxy-api/")
    assert up.header("session_id") == up.json()["prompt_cache_key"]
    with proxy.stream("gpt-5.5") as stream:
        assert stream.text() == "Hello there"
    compact = proxy.client().request("POST", "/v1/responses/compact", body(input=[]), CLI)
    assert compact.status == 200 and compact.json()["id"] == "compact-1"
    count = proxy.client().request("POST", "/v1/messages/count_tokens", {
        "model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]})
    assert count.json()["input_tokens"] > 0
    assert vendor.tokens.refreshes == 0
    no_secrets(proxy, vendor, login.text, answer.text)


def test_a_login_with_a_device_code(make_with_accounts, vendor):
    proxy = make_with_accounts(start=False)
    vendor.pending = 2
    login = Login(proxy, "--codex-device-login")
    try:
        assert login.url() == "https://auth.openai.com/codex/device"
        assert login.wait() == 0, login.text
    finally:
        login.kill()
    assert "ABCD-EFGH" in login.text and len(vendor.poll.requests) == 3
    assert file_of(proxy, FILE)["refresh_token"] == vendor.tokens.refresh
    proxy.start()
    assert text_of(responses(proxy)) == "Hello there"


def test_a_device_login_that_is_not_enabled_says_so(make_with_accounts, vendor):
    proxy = make_with_accounts(start=False)
    vendor.usercode.always(reply({"error": "not found"}, 404))
    login = Login(proxy, "--codex-device-login")
    try:
        assert login.wait() == 1
    finally:
        login.kill()
    assert "not enabled" in login.text and not list(proxy.auths.glob("*.json"))


def test_an_account_keeps_its_file_and_a_second_workspace_gets_another(make_with_accounts, vendor):
    """One person, one address, two workspaces."""
    mine = account(vendor, note="mine", some_later_member={"a": [1]})
    proxy = make_with_accounts({"work.json": mine}, start=False)
    logged_in(vendor, proxy)
    assert [p.name for p in proxy.auths.glob("*.json")] == ["work.json"]
    saved = file_of(proxy, "work.json")
    assert saved["note"] == "mine" and saved["some_later_member"] == {"a": [1]}
    assert saved["refresh_token"] == vendor.tokens.refresh != mine["refresh_token"]

    vendor.account, vendor.plan = "99999999-1111-2222-3333-444444444444", "Team"
    logged_in(vendor, proxy)
    assert sorted(p.name for p in proxy.auths.glob("*.json")) == [FILE, "work.json"]
    vendor.account = "77777777-1111-2222-3333-444444444444"
    logged_in(vendor, proxy)
    third = sorted(p.name for p in proxy.auths.glob("*.json"))[0]
    assert re.fullmatch(r"codex-[0-9a-f]{8}-" + re.escape(EMAIL) + "-team.json", third)
    assert file_of(proxy, third)["account_id"] == vendor.account


def test_models_follow_the_plan(make_with_accounts, vendor):
    vendor.plan = "free"
    proxy = make_with_accounts({FILE: account(vendor)})
    names = {m["id"] for m in proxy.get("/v1/models").json()["data"]}
    assert {"gpt-5", "gpt-5-codex", "gpt-5-codex-high", "gpt-5.5", "codex-auto-review"} <= names
    assert not {"gpt-5.4", "gpt-5.6-sol", "gpt-5.3-codex-spark"} & names
    assert proxy.chat("gpt-5.4").status == 404


def test_an_expired_token_is_refreshed_before_it_is_used(make_with_accounts, vendor):
    document = account(vendor, expired=True)
    seen = []

    def answer(request):
        seen.append(file_of(proxy, FILE))  # written before it is used
        return sse(*named(*responses_events(message_item("x"))), done=False)
    vendor.answer = answer
    proxy = make_with_accounts({FILE: document})
    assert responses(proxy).status == 200
    assert vendor.tokens.refreshes == 1 and len(vendor.responses.requests) == 1
    assert seen[0]["refresh_token"] == vendor.tokens.refresh != document["refresh_token"]
    assert seen[0]["id_token"] == vendor.identity()
    assert responses(proxy).status == 200 and vendor.tokens.refreshes == 1
    no_secrets(proxy, vendor)


def test_the_end_of_a_token_is_read_from_the_token_where_the_file_does_not_say(
        make_with_accounts, vendor):
    vendor.expires_in = -60
    document = account(vendor)
    del document["expired"]
    vendor.expires_in = 864000
    proxy = make_with_accounts({FILE: document})
    assert responses(proxy).status == 200
    assert vendor.tokens.refreshes == 1 and len(vendor.responses.requests) == 1


def test_a_token_that_is_refused_is_refreshed_once_and_tried_again(make_with_accounts, vendor):
    proxy = make_with_accounts({FILE: account(vendor)})
    vendor.tokens.access = "somebody-else-refreshed"
    assert responses(proxy, stream=True).status == 200
    assert vendor.tokens.refreshes == 1 and len(vendor.responses.requests) == 2


@pytest.mark.parametrize("name", ["token_reused", "token_expired", "invalid_grant"])
def test_a_token_that_is_used_up_is_reported_and_never_sent_again(make_with_accounts, vendor, name):
    proxy = make_with_accounts({FILE: account(vendor, expired=True)})
    vendor.token.always(recorded(f"codex/{name}"))
    answer = responses(proxy)
    assert answer.status == 401
    message = answer.json()["error"]["message"]
    assert "log in again" in message and EMAIL in message
    proxy.wait_for_log(r"refresh of .* failed")
    assert responses(proxy).status >= 400
    assert len(vendor.token.requests) == 1 and not vendor.responses.requests
    no_secrets(proxy, vendor, answer.text)


def test_a_newer_token_of_another_process_is_adopted(make_with_accounts, vendor):
    """Another program that knows no locks has refreshed meanwhile: its file wins."""
    document = account(vendor, expired=True)
    newer = {**account(vendor), "note": "theirs"}

    def used_up(request):
        proxy.replace(proxy.auths / FILE, json.dumps(newer))
        return recorded("codex/token_reused")
    vendor.token(used_up)
    proxy = make_with_accounts({FILE: document})
    assert responses(proxy).status == 200
    assert len(vendor.token.requests) == 1 and file_of(proxy, FILE) == newer


@pytest.mark.parametrize("shape,name", [
    ("base", FILE), ("late", f"codex-0f1e2d3c-{EMAIL}-plus.json")])
def test_files_of_the_reference_are_rewritten_without_losing_a_member(
        make_with_accounts, vendor, shape, name):
    before = (FIXTURES / "codex" / f"file_{shape}.json").read_text()
    vendor.tokens.issue()
    vendor.tokens.refresh = "rt_EXAMPLE"
    proxy = make_with_accounts({name: before})
    assert responses(proxy).status == 200, proxy.tail()
    text = (proxy.auths / name).read_text()
    old, new = json.loads(before), json.loads(text)
    changed = {"access_token", "refresh_token", "expired", "last_refresh", "id_token"}
    assert {n: v for n, v in new.items() if n not in changed} == \
        {n: v for n, v in old.items() if n not in changed}
    assert set(old) == set(new) and list(new) == sorted(new) and "\n" not in text.strip()
    assert new["refresh_token"] == vendor.tokens.refresh


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_rotated_token_survives_a_kill(make_with_accounts, make_upstream, vendor, moment):
    """At each step between question and use: the next start serves without a login."""
    check_kill(make_with_accounts, make_upstream, vendor, moment, begin, responses, FILE,
               account(vendor, expired=True))


def test_a_token_that_was_used_up_without_an_answer_needs_a_login(
        make_with_accounts, make_upstream, vendor):
    proxy = make_with_accounts({FILE: account(vendor, expired=True)}, start=False)
    ask_and_kill(proxy, vendor, begin, "received", make_upstream)
    again = make_with_accounts()
    answer = responses(again)
    assert answer.status == 401 and "log in again" in answer.json()["error"]["message"]
    no_secrets(again, vendor, answer.text)


@pytest.mark.parametrize("name", ["limit_resets_at", "stream_limit_behind_handshake"])
def test_a_limit_of_the_plan_goes_to_another_account_until_it_ends(
        make_with_accounts, vendor, name):
    first = account(vendor)
    proxy = make_with_accounts({"codex-a.json": first,
                                "codex-b.json": {**first, "email": "two@example.com"}})
    refusals = [recorded(f"codex/{name}")]
    vendor.answer = lambda r: refusals.pop() if refusals else sse(
        *named(*responses_events(message_item("x"))), done=False)
    for model in ("gpt-5.5", "gpt-5.4", "gpt-5.5", "gpt-5"):
        assert responses(proxy, stream=True, model=model).status == 200
    assert len(vendor.responses.requests) == 5


def test_refusals_of_the_network_in_front_are_reported_as_such(make_with_accounts, vendor):
    proxy = make_with_accounts({FILE: account(vendor)})
    vendor.answer = lambda r: recorded("codex/edge_403")
    answer = responses(proxy)
    assert answer.status == 403
    assert "network in front of the API" in answer.json()["error"]["message"]
    assert "<html" not in answer.text
