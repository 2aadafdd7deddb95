"""iFlow by a login: in the browser and with its cookie; requests, refreshes, files of the reference.

The servers stand under their real names and check every header and field.
"""
import json
import time

import pytest

from support.chat_vendors import IFlow, stamp
from support.logged_in import file_of, no_secrets
from support.login import visit
from support.proxy import eventually, free_port
from support.vendors import EMAIL, FIXTURES, recorded

MODEL = "glm-4.6"


@pytest.fixture
def vendor(hosts):
    return IFlow(hosts)


@pytest.fixture
def make(make_with_accounts):
    return make_with_accounts


def account(vendor, expires=48 * 3600, **members):
    vendor.tokens.issue()
    return {"access_token": vendor.tokens.access, "refresh_token": vendor.tokens.refresh,
            "last_refresh": stamp(expires - 48 * 3600), "expired": stamp(expires),
            "api_key": vendor.make_key(), "email": EMAIL, "token_type": "bearer", "scope": "read",
            "type": "iflow", **members}


@pytest.mark.smoke
def test_a_login_in_the_browser_then_requests(make, make_login, vendor):
    proxy, port = make(start=False), free_port()
    login = make_login(proxy, "--iflow-login", "--no-browser", "--oauth-callback-port", str(port))
    address = vendor.authorize(login.wait_url())
    assert address.startswith(f"http://localhost:{port}/oauth2callback?")
    status, headers, _ = visit(port, address.split(str(port), 1)[1])
    assert (status, headers["location"]) == (302, "https://iflow.cn/oauth/success")
    text = login.wait(0)
    assert "2026-04-17" in text
    saved = file_of(proxy, f"iflow-{EMAIL}.json")
    assert {k: saved[k] for k in ("access_token", "refresh_token", "api_key", "email", "token_type",
                                  "scope", "type")} == {
        "access_token": vendor.tokens.access, "refresh_token": vendor.tokens.refresh,
        "api_key": vendor.key, "email": EMAIL, "token_type": "bearer", "scope": "read",
        "type": "iflow"}

    proxy.start()
    assert proxy.chat(MODEL, tools=[]).json()["choices"][0]["message"]["content"] == "Hello"
    with proxy.stream(MODEL) as stream:
        assert stream.text() == "Hello"
    no_secrets(proxy, vendor, text)


def test_a_refusal_leads_to_iflows_own_page(make, make_login, vendor):
    proxy, port = make(start=False), free_port()
    login = make_login(proxy, "--iflow-login", "--no-browser", "--oauth-callback-port", str(port))
    state = login.query["state"]
    status, headers, _ = visit(port, f"/oauth2callback?error=denied&state={state}")
    assert (status, headers["location"]) == (302, "https://iflow.cn/oauth/error")
    assert "denied" in login.wait(1)


def test_a_login_with_the_browsers_cookie(make, make_login, vendor):
    proxy = make(start=False)
    login = make_login(proxy, "--iflow-cookie", stdin=f"a=1; {vendor.COOKIE} b=2\n")
    text = login.wait(0)
    name, = [p.name for p in proxy.auths.glob("*.json")]
    assert name.startswith("iflow-someone-")
    saved = file_of(proxy, name)
    assert saved["cookie"] == vendor.COOKIE and saved["api_key"] == vendor.key
    assert set(saved) == {"api_key", "cookie", "email", "expired", "last_refresh", "type"}
    no_secrets(proxy, vendor, text)
    again = make_login(proxy, "--iflow-cookie", stdin=vendor.COOKIE + "\n").wait(1)
    assert "in use already" in again
    for cookie in ("nothing\n", "BXAuth=wrong;\n"):
        assert "iFlow login failed" in make_login(proxy, "--iflow-cookie", stdin=cookie).wait(1)
    # The second try made a key of its own; the one on file is renewed when it is refused.
    assert vendor.key != saved["api_key"]
    proxy.start()
    assert proxy.chat(MODEL).status == 200
    assert file_of(proxy, name)["api_key"] == vendor.key


def test_an_expired_token_is_refreshed_and_the_key_read_again(make, vendor):
    proxy = make({"iflow-a.json": account(vendor, expires=-60, note="mine")})
    old = vendor.key
    assert proxy.chat(MODEL).status == 200
    assert vendor.tokens.refreshes == 1 and vendor.key != old
    saved = file_of(proxy, "iflow-a.json")
    assert saved["api_key"] == vendor.key and saved["note"] == "mine"
    assert saved["refresh_token"] == vendor.tokens.refresh and saved["email"] == EMAIL
    no_secrets(proxy, vendor)


def test_a_key_that_is_refused_inside_a_200_is_renewed_once(make, vendor):
    proxy = make({"iflow-a.json": account(vendor)})
    vendor.make_key()
    assert proxy.chat(MODEL).status == 200
    assert vendor.tokens.refreshes == 1 and len(vendor.chat.requests) == 2
    vendor.make_key()
    with proxy.stream(MODEL) as stream:
        assert stream.text() == "Hello"


def test_a_revoked_login_is_reported(make, vendor):
    proxy = make({"iflow-a.json": account(vendor, expires=-60)})
    vendor.tokens.revoked = True
    answer = proxy.chat(MODEL)
    assert answer.status == 401 and "log in again" in answer.text
    proxy.chat(MODEL)
    assert vendor.tokens.refreshes == 1


@pytest.mark.parametrize("recording, status", [("rate_limit_in_200", 429), ("model_in_200", 404)])
def test_errors_inside_a_200_have_their_status(make, vendor, recording, status):
    proxy = make({"iflow-a.json": account(vendor)})
    vendor.answer = recorded(f"iflow/{recording}")
    answer = proxy.chat(MODEL)
    assert answer.status == status and "iFlow" in answer.text


def test_a_cookies_key_is_renewed_two_days_before_its_end(make, vendor):
    text = (FIXTURES / "iflow" / "file_cookie.json").read_text()
    soon = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + 36 * 3600))
    before = {**json.loads(text), "cookie": vendor.COOKIE, "expired": soon, "api_key": "sk-old"}
    proxy = make({"iflow-c.json": before})
    saved = eventually(lambda: file_of(proxy, "iflow-c.json")["api_key"] != "sk-old"
                       and file_of(proxy, "iflow-c.json"), 40)
    assert saved["api_key"] == vendor.key and saved["cookie"] == vendor.COOKIE
    assert set(saved) == set(before) and saved["expired"] > soon
    assert proxy.chat(MODEL).status == 200


@pytest.mark.parametrize("name", ["file_base", "file_late"])
def test_files_of_the_reference_load_and_keep_their_members(make, hosts, vendor, name):
    text = (FIXTURES / "iflow" / f"{name}.json").read_text()
    before = json.loads(text)
    vendor.tokens.refresh = before["refresh_token"]
    gateway = hosts.on("gateway.example", "POST", "/iflow/v1/chat/completions")
    gateway(vendor._chat)
    proxy = make({"iflow-old.json": text})
    assert proxy.chat(MODEL).status == 200
    saved = file_of(proxy, "iflow-old.json")
    assert set(saved) == set(before)
    assert saved["api_key"] == vendor.key and saved["email"] == before["email"]
    assert bool(gateway.requests) == ("base_url" in before)
