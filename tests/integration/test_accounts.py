"""Accounts of auth-dir at run time: found, watched, refreshed, never lost."""
import json
import os
import stat
import threading
import time

import pytest

from support.accounts import Acme, install, write
from support.proxy import eventually
from support.upstream import refuse, reply, stall

EXPIRED, FAR = "2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z"


@pytest.fixture
def auths(tmp_path):
    return tmp_path / "auths"


@pytest.fixture
def make(make_proxy, hosts, auths):
    def make(lead="nil", config=None, **options):
        proxy = make_proxy({"auth-dir": str(auths), **(config or {})}, start=False,
                           **{**hosts.env(), **options})
        install(proxy, lead)
        return proxy.start()
    return make


def ask(proxy):
    return proxy.chat("acme-1")


def text(answer):
    assert answer.status == 200, answer
    return answer.json()["choices"][0]["message"]["content"]


def read(auths, name="a.json"):
    return json.loads((auths / name).read_text())


@pytest.mark.smoke
def test_files_come_change_and_go_without_a_restart(make, hosts, auths):
    acme = Acme(hosts)
    proxy = make()
    assert stat.S_IMODE(auths.stat().st_mode) == 0o700
    assert ask(proxy).status == 404
    write(auths, "a.json", acme.add("a@example.com"))
    eventually(lambda: ask(proxy).status == 200)
    assert text(ask(proxy)) == "hello a@example.com"
    write(auths, "a.json", acme.add("b@example.com"))
    eventually(lambda: text(ask(proxy)) == "hello b@example.com")
    write(auths, "a.json", {**read(auths), "disabled": True})
    eventually(lambda: ask(proxy).status == 404)
    write(auths, "a.json", {**read(auths), "disabled": False})
    eventually(lambda: ask(proxy).status == 200)
    os.remove(auths / "a.json")
    eventually(lambda: ask(proxy).status == 404)


def test_the_first_request_finds_the_accounts(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com"))
    proxy = make()
    assert text(ask(proxy)) == "hello a@example.com"
    assert "1 clients (1 auth files" in proxy.log


def test_a_running_request_survives_the_removal_of_its_account(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com"))
    proxy = make()
    go_on = threading.Event()

    def slow(c):
        go_on.wait(20)
        reply({"choices": [{"index": 0, "message": {"role": "assistant", "content": "late"},
                            "finish_reason": "stop"}]})(c)
    acme.api.then(slow)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(proxy)))
    thread.start()
    eventually(lambda: acme.api.requests)
    os.remove(auths / "a.json")
    proxy.wait_for_log("auth file removed")
    go_on.set()
    thread.join(20)
    assert text(answers[0]) == "late"


def test_an_expired_token_is_refreshed_first_and_no_member_is_lost(make, hosts, auths):
    acme = Acme(hosts)
    document = acme.add("a@example.com", expired=EXPIRED, note="mine", big=2**70,
                        list=[], nested={"z": 1, "a": []})
    write(auths, "a.json", document)
    proxy = make()
    acme.revoke("a@example.com")
    assert text(ask(proxy)) == "hello a@example.com"
    saved = read(auths)
    assert saved["access_token"] in acme.access
    assert saved["refresh_token"] == acme.refresh["a@example.com"]
    assert {k: saved[k] for k in ("note", "big", "list", "nested", "type", "email")} == \
        {k: document[k] for k in ("note", "big", "list", "nested", "type", "email")}
    raw = (auths / "a.json").read_text()
    assert raw == json.dumps(saved, separators=(",", ":"))
    assert list(saved) == sorted(saved)
    assert stat.S_IMODE((auths / "a.json").stat().st_mode) == 0o600
    assert text(ask(proxy)) == "hello a@example.com"
    assert len(acme.auth.requests) == 1


def test_a_refused_token_is_refreshed_once_for_all_who_wait(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com"))
    proxy = make(config={"workers": 4})
    assert ask(proxy).status == 200
    acme.revoke("a@example.com")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(proxy))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [a.status for a in answers] == [200] * 20
    assert len(acme.auth.requests) == 1


def test_two_processes_with_four_workers_each_refresh_once_per_expiry(make, hosts, auths):
    acme = Acme(hosts, life=3)
    write(auths, "a.json", acme.add("a@example.com", expired=EXPIRED))
    proxies = [make(config={"workers": 4}, name=name) for name in ("one", "two")]
    end = time.monotonic() + 9
    statuses, lock = [], threading.Lock()

    def load(proxy):
        while time.monotonic() < end:
            status = ask(proxy).status
            with lock:
                statuses.append(status)
    threads = [threading.Thread(target=load, args=(p,)) for p in proxies for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(statuses) == {200} and len(statuses) > 20
    # A token lives 3 s and is renewed 1 s before its end; the strict server sees each refresh token
    # once, or the fixture fails.
    assert 2 <= len(acme.auth.requests) <= 6


def test_the_background_refreshes_ahead_of_the_end(make, hosts, auths):
    acme = Acme(hosts)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    write(auths, "a.json", acme.add("a@example.com", expired=soon))
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 90000))
    write(auths, "b.json", acme.add("b@example.com", expired=later))
    write(auths, "c.json", acme.add("c@example.com", expired=soon, disabled=True))
    make(lead="3600")
    eventually(lambda: read(auths)["refresh_token"] == acme.refresh["a@example.com"]
               and len(acme.auth.requests) == 1)
    time.sleep(6)
    assert len(acme.auth.requests) == 1


def test_a_revoked_login_is_reported_and_left_alone(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com", expired=EXPIRED))
    proxy = make()
    acme.auth.then(*[reply({"error": "invalid_grant"}, 400)] * 3)
    answer = ask(proxy)
    assert answer.status == 401
    message = answer.json()["error"]["message"]
    assert "log in again" in message and "invalid_grant" in message and "a@example.com" in message
    ask(proxy), ask(proxy)
    assert len(acme.auth.requests) == 1
    assert "invalid_grant" in proxy.log
    for secret in (*acme.access, *acme.refresh.values()):
        assert secret not in proxy.log and secret not in answer.text
    # Logging in again mends it at once.
    write(auths, "a.json", acme.add("a@example.com"))
    eventually(lambda: ask(proxy).status == 200)


def test_another_account_serves_while_one_cannot_be_refreshed(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com", expired=EXPIRED))
    write(auths, "b.json", acme.add("b@example.com"))
    proxy = make()
    acme.auth.then(*[refuse] * 3, *[reply({"error": "busy"}, 503)] * 20)
    for _ in range(4):
        assert text(ask(proxy)) == "hello b@example.com"


@pytest.mark.parametrize("drain", [30, 0])
def test_a_stop_waits_for_the_answer_of_a_refresh(make, hosts, auths, drain):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com", expired=EXPIRED))
    proxy = make(lead="3600", config={"limits": {"drain-seconds": drain}})
    stopping = threading.Event()
    original = acme.token

    def slow(request):
        answer = original(request)

        def action(c):
            stopping.wait(20)
            time.sleep(1)
            reply(answer)(c)
        return action
    acme.auth(slow)
    eventually(lambda: acme.auth.requests)
    proxy.signal()
    stopping.set()
    proxy.wait_exit()
    proxy.stop()
    assert read(auths)["refresh_token"] == acme.refresh["a@example.com"]


def half(c):
    """Half of an answer, then silence."""
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"acc")
    stall(c)


@pytest.mark.parametrize("step", ["sent", "half"])
def test_killed_before_the_answer_the_old_token_is_still_there(make, hosts, auths, step):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com", expired=EXPIRED))
    before = (auths / "a.json").read_bytes()
    acme.auth.then(stall if step == "sent" else half)
    proxy = make(lead="3600")
    eventually(lambda: acme.auth.requests)
    proxy.kill()
    proxy.checked = True
    assert (auths / "a.json").read_bytes() == before
    # The server gave nothing away, so the old one is good.
    again = make(lead="3600", name="again")
    eventually(lambda: read(auths)["refresh_token"] == acme.refresh["a@example.com"])
    assert text(ask(again)) == "hello a@example.com"


def test_killed_at_any_time_after_the_answer_the_new_token_is_there(make, hosts, auths):
    """The upstream kills the proxy when it sees the new token for the first time: it was written
    before it was used."""
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com", expired=EXPIRED))
    proxy = make()
    seen = []

    def kill(request):
        proxy.kill()
        seen.append(read(auths))
        return refuse
    acme.api(kill)
    with pytest.raises(OSError):
        ask(proxy)
    proxy.checked = True
    eventually(lambda: seen)
    assert seen[0]["refresh_token"] == acme.refresh["a@example.com"]
    assert not list(auths.glob("*.tmp*"))


def test_an_empty_or_broken_file_is_survived(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com"))
    for name, content in (("b.json", ""), ("c.json", "{"), ("d.json", "[]"), ("e.json", '{"type":1}'),
                          ("f.json", '{"type":"acme"}'), ("g.json", '{"type":"antigravity"}')):
        write(auths, name, content)
    (auths / "h.json").mkdir()
    proxy = make()
    assert text(ask(proxy)) == "hello a@example.com"
    for name in "cdefg":
        assert f"{name}.json" in proxy.log
    assert read(auths, "g.json") == {"type": "antigravity"}


def test_scripts_may_change_while_accounts_are_in_use(make, hosts, auths):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com", expired=FAR))
    proxy = make()
    assert ask(proxy).status == 200
    mark = proxy.mark()
    install(proxy, "7200")
    proxy.wait_for_log("configuration and scripts reloaded", since=mark)
    assert text(ask(proxy)) == "hello a@example.com"
    acme.revoke("a@example.com")
    assert text(ask(proxy)) == "hello a@example.com"
    assert len(acme.auth.requests) == 1


def test_auth_dir_follows_the_configuration(make, hosts, auths, tmp_path):
    acme = Acme(hosts)
    write(auths, "a.json", acme.add("a@example.com"))
    other = tmp_path / "others"
    write(other, "b.json", acme.add("b@example.com"))
    proxy = make()
    assert text(ask(proxy)) == "hello a@example.com"
    proxy.change_config(auth_dir=str(other))
    eventually(lambda: text(ask(proxy)) == "hello b@example.com")
    write(other, "b.json", acme.add("c@example.com"))
    eventually(lambda: text(ask(proxy)) == "hello c@example.com")


def test_an_auth_dir_that_is_a_file_is_a_clear_error(make_proxy, tmp_path):
    (tmp_path / "file").write_text("")
    proxy = make_proxy({"auth-dir": str(tmp_path / "file")}, start=False)
    with pytest.raises(AssertionError, match="not a directory"):
        proxy.start()
    proxy.stop(expect=1)
