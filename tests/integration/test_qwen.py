"""Qwen by a login: the device flow, requests, refreshes, and how its end is told.

The servers stand under their real names and check every header and field.
"""
import json
import re

import pytest

from support.chat_vendors import Qwen, stamp
from support.logged_in import no_secrets
from support.proxy import eventually
from support.upstream import chat_reply, reply
from support.vendors import FIXTURES, recorded

MODEL = "qwen3-coder-plus"


@pytest.fixture
def vendor(hosts):
    return Qwen(hosts)


@pytest.fixture
def make(make_with_accounts):
    return make_with_accounts


def account(vendor, expires=6 * 3600, **members):
    vendor.tokens.issue()
    return {"access_token": vendor.tokens.access, "refresh_token": vendor.tokens.refresh,
            "last_refresh": stamp(expires - 6 * 3600), "resource_url": vendor.place,
            "email": "someone@example.com", "type": "qwen", "expired": stamp(expires), **members}


@pytest.mark.smoke
def test_a_login_with_a_device_code_then_requests(make, make_login, vendor):
    vendor.waiting = ["authorization_pending", "slow_down", "authorization_pending"]
    proxy = make(start=False)
    login = make_login(proxy, "--qwen-login", "--no-browser")
    text = login.wait(0)
    assert "https://chat.qwen.ai/authorize?user_code=ABCD-1234" in text and "ABCD-1234" in text
    assert "2026-04-15" in text and "ssh -L" not in text
    name, = [p.name for p in proxy.auths.glob("*.json")]
    assert re.fullmatch(r"qwen-qwen-\d{13}\.json", name) and name in text
    saved = json.loads((proxy.auths / name).read_text())
    assert {k: saved[k] for k in ("access_token", "refresh_token", "resource_url", "type")} == {
        "access_token": vendor.tokens.access, "refresh_token": vendor.tokens.refresh,
        "resource_url": "portal.qwen.ai", "type": "qwen"}
    assert set(saved) == {"access_token", "refresh_token", "resource_url", "type", "email", "expired",
                          "last_refresh"}
    assert name == f"qwen-{saved['email']}.json"

    proxy.start()
    assert MODEL in [m["id"] for m in proxy.get("/v1/models").json()["data"]]
    assert proxy.chat(MODEL).json()["choices"][0]["message"]["content"] == "Hello"
    with proxy.stream(MODEL) as stream:
        assert stream.text() == "Hello"
    # And from another dialect.
    answer = proxy.client().request("POST", "/v1/messages", {
        "model": MODEL, "max_tokens": 9, "system": "Be kind.",
        "messages": [{"role": "user", "content": "hi"}]}, {"anthropic-version": "2023-06-01"})
    assert answer.json()["content"][0]["text"] == "Hello"
    assert vendor.chat.last.json()["messages"][0] == {"role": "system", "content": "Be kind."}
    no_secrets(proxy, vendor, text)


def test_the_account_is_named_at_the_terminal(make, make_login, vendor):
    proxy = make(start=False)
    login = make_login(proxy, "--qwen-login", "--no-browser", terminal=True)
    login.wait_for("e-mail")
    login.type("me@example.com\n")
    login.wait(0)
    assert json.loads((proxy.auths / "qwen-me@example.com.json").read_text())["email"] == \
        "me@example.com"


@pytest.mark.parametrize("recording, words", [("expired_token", "device code expired"),
                                              ("access_denied", "denied")])
def test_a_login_that_nobody_agrees_to(make, make_login, vendor, recording, words):
    vendor.waiting = ["authorization_pending", recording]
    proxy = make(start=False)
    assert words in make_login(proxy, "--qwen-login", "--no-browser").wait(1)
    assert not list(proxy.auths.iterdir())


def test_polling_goes_through_the_configured_proxy_too(make, make_login, vendor, make_forward, hosts):
    forward = make_forward("http", ports={443: hosts.port})
    vendor.waiting = ["authorization_pending"]
    proxy = make(start=False, **{"proxy-url": forward.url})
    make_login(proxy, "--qwen-login", "--no-browser").wait(0)
    assert set(forward.used) == {("chat.qwen.ai", 443)}
    assert len(vendor.token.requests) == 2


def test_an_expired_token_is_refreshed_before_it_is_used(make, vendor):
    proxy = make({"qwen-a.json": account(vendor, expires=-60, note="mine", x={"y": [1, 2]})})
    old = vendor.tokens.access
    assert proxy.chat(MODEL).status == 200
    assert vendor.tokens.refreshes == 1 and vendor.chat.requests[0].key != old
    saved = json.loads((proxy.auths / "qwen-a.json").read_text())
    assert (saved["access_token"], saved["refresh_token"]) == (vendor.tokens.access,
                                                               vendor.tokens.refresh)
    assert saved["note"] == "mine" and saved["x"] == {"y": [1, 2]}
    with proxy.stream(MODEL) as stream:
        assert stream.text() == "Hello"
    assert vendor.tokens.refreshes == 1
    no_secrets(proxy, vendor)


def test_a_token_that_is_refused_is_refreshed_once(make, vendor):
    proxy = make({"qwen-a.json": account(vendor)})
    vendor.tokens.access = "something newer"
    assert proxy.chat(MODEL).status == 200
    assert vendor.tokens.refreshes == 1 and len(vendor.chat.requests) == 2


def test_a_revoked_login_is_reported_and_not_tried_again(make, vendor):
    proxy = make({"qwen-a.json": account(vendor, expires=-60)})
    vendor.tokens.revoked = True
    answer = proxy.chat(MODEL)
    assert answer.status == 401 and "log in again" in answer.text, answer
    for _ in range(3):
        proxy.chat(MODEL)
    assert vendor.tokens.refreshes == 1 and not vendor.chat.requests
    proxy.wait_for_log("invalid_grant")
    no_secrets(proxy, vendor, answer.text)


def test_that_the_free_service_is_over_is_told(make, vendor):
    proxy = make({"qwen-a.json": account(vendor)})
    vendor.over = True
    answer = proxy.chat(MODEL)
    assert answer.status == 401
    assert "invalid access token" in answer.text and "2026-04-15" in answer.text
    assert "DashScope" in answer.text


def test_a_used_up_day_lets_another_account_serve(make, hosts, vendor):
    other = Qwen(hosts, place="second.qwen.example")
    hosts.on("chat.qwen.ai", "POST", "/api/v1/oauth2/token")  # nobody refreshes here
    proxy = make({"a.json": account(vendor), "b.json": account(other)})
    vendor.answer = recorded("qwen/quota_403")
    assert [proxy.chat(MODEL).status for _ in range(4)] == [200] * 4
    assert len(vendor.chat.requests) <= 2
    other.answer = recorded("qwen/quota_429")
    assert proxy.chat(MODEL).status == 429
    assert proxy.chat(MODEL).status == 429


@pytest.mark.parametrize("name", ["file_base", "file_late"])
def test_files_of_the_reference_load_and_keep_their_members(make, hosts, name):
    text = (FIXTURES / "qwen" / f"{name}.json").read_text()
    before = json.loads(text)
    vendor = Qwen(hosts)
    vendor.tokens.refresh = before["refresh_token"]
    proxy = make({"qwen-old.json": text})
    model = f"{before['prefix']}/{MODEL}" if "prefix" in before else MODEL
    assert proxy.chat(model).status == 200
    saved = json.loads(eventually(lambda: (proxy.auths / "qwen-old.json").read_text()))
    assert set(saved) == set(before)
    changed = {k for k in saved if saved[k] != before[k]}
    assert changed <= {"access_token", "refresh_token", "last_refresh", "expired", "resource_url"}
    assert saved["access_token"] == vendor.tokens.access
    assert list(saved) == sorted(saved)


def test_another_place_gets_the_secret_only_if_the_file_says_so(make, hosts, vendor):
    second = hosts.on("mine.qwen.example", "POST", "/v1/chat/completions")
    second.always(reply(chat_reply("Second")))
    proxy = make({"a.json": account(vendor, resource_url="https://mine.qwen.example/")})
    assert proxy.chat(MODEL).json()["choices"][0]["message"]["content"] == "Second"
    assert second.last.key == vendor.tokens.access and not vendor.chat.requests
