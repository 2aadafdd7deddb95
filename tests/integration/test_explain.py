"""`explain` and route traces tell the true story at each moment."""
import json
import random
import re
import signal
import socket
import stat
import subprocess

import pytest

from support import proxy as runner
from support.client import messages
from support.proxy import entry, eventually, free_port
from support.upstream import chat_chunks, cut, error, refuse, reply, sse_then, stall

KEYS = ["sk-upstream-one", "sk-upstream-two"]


def explain(proxy, *arguments, **env):
    return runner.run("--config", str(proxy.config_path), "explain", *arguments, cwd=proxy.folder,
                      **{**proxy.env, **env})


def report(proxy, model, *arguments, usable=None):
    done = explain(proxy, model, "--json", *arguments)
    assert done.stderr == "", done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["usable"] else 1)
    assert usable is None or document["usable"] == usable, document
    return document


def trace(proxy, answer):
    done = explain(proxy, "--request", answer.headers["X-Request-Id"], "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def rows(document):
    return [(row["credential"], row["verdict"], row.get("reason")) for row in
            document["candidates"]]


@pytest.fixture
def two(make_proxy, upstream):
    """A proxy with two keys for one model."""
    upstream.keys = KEYS
    return make_proxy({"openai-compatibility": [entry(upstream, KEYS)]})


ONE, TWO = "sk-u...-one", "sk-u...-two"


# --- who is asked, and why --------------------------------------------------------------------

@pytest.mark.smoke
def test_the_next_request_goes_where_explain_says(two, upstream):
    for _ in range(5):
        said = report(two, "nice", usable=True)
        assert said["live"] and said["server"]["address"].endswith(str(two.port))
        assert two.chat("nice").status == 200
        assert upstream.last.key[-3:] == said["next"]["credential"][-3:]


def test_a_key_that_cools_recovers(two, upstream):
    said = report(two, "nice")
    first = said["next"]["credential"]
    upstream.then(error(429, "slow down", headers={"Retry-After": "3"}))
    assert two.chat("nice").status == 200
    said = report(two, "nice", usable=True)
    kept, refused = said["candidates"]
    assert kept["verdict"] == "kept" and kept["credential"] != first
    assert refused["credential"] == first and refused["reason"] == "cooling_quota"
    assert 1 <= refused["seconds"] <= 3 and "slow down" in refused["said"]
    assert refused["fix"] == f"wait {refused['seconds']}s"
    assert said["next"]["why"] == "it is the only usable one"
    eventually(lambda: [v for _, v, _ in rows(report(two, "nice"))] == ["kept", "kept"])


def test_all_keys_out_of_quota(two, upstream):
    upstream.always(error(429, "no more", headers={"Retry-After": "500"}))
    assert two.chat("nice").status == 429
    said = report(two, "nice", usable=False)
    assert {r for _, _, r in rows(said)} == {"cooling_quota"}
    assert all(490 < row["seconds"] <= 500 for row in said["candidates"])
    text = explain(two, "nice").stdout
    assert "nobody can serve it now" in text and "8m" in text and "429 no more" in text


def test_a_refused_key_names_what_would_help(two, upstream):
    upstream.then(error(401, "bad key"))
    assert two.chat("nice").status == 200
    refused = report(two, "nice", usable=True)["candidates"][1]
    assert refused["reason"] == "cooling_unauthorized" and refused["said"].startswith("401")
    assert refused["fix"].startswith("check the key in the entry `scripted`")
    assert str(two.config_path) in refused["fix"]


def test_an_entry_that_is_disabled_at_reload(two, upstream):
    since = two.mark()
    two.change_config(openai_compatibility=[entry(upstream, KEYS, disabled=True)])
    two.wait_for_log("reloaded: generation", since=since)
    said = report(two, "nice", usable=False)
    assert rows(said)[:2] == [(ONE, "refused", "disabled"), (TWO, "refused", "disabled")] or \
        rows(said)[:2] == [(TWO, "refused", "disabled"), (ONE, "refused", "disabled")]
    assert "set `disabled: false`" in said["candidates"][0]["fix"]
    assert two.chat("nice").status == 404
    since = two.mark()
    two.change_config(openai_compatibility=[entry(upstream, KEYS)])
    two.wait_for_log("reloaded: generation", since=since)
    assert report(two, "nice", usable=True)["candidates"][0]["verdict"] == "kept"


def test_an_entry_that_is_removed(two, upstream):
    since = two.mark()
    other = {**entry(upstream, ["sk-third-0123456"]), "name": "other",
             "models": [{"name": "m", "alias": "different"}]}
    two.change_config(openai_compatibility=[other])
    two.wait_for_log("reloaded: generation", since=since)
    said = report(two, "nice", usable=False)
    assert said["resolved"]["how"] == "unknown"
    assert rows(said) == [("sk-t...3456", "refused", "other_models")]
    assert said["providers"] == [{"name": "other", "accounts": 1, "disabled": 0, "models": 1}]


def test_settings_that_keep_an_account_out(make_proxy, upstream):
    def key(name, **more):
        return {"api-key": f"sk-ant-{name}", "base-url": upstream.url, **more}
    proxy = make_proxy({"force-model-prefix": True, "claude-api-key": [
        key("excluded", **{"excluded-models": ["claude-sonnet-*"]}),
        key("prefixed", prefix="team"),
        key("renamed", models=[{"name": "claude-sonnet-4-5-20250929", "alias": "sonnet"}]),
        key("good"), key("off", disabled=True)]})
    said = report(proxy, "claude-sonnet-4-5-20250929", "--dialect", "claude", usable=True)
    reasons = {row["credential"][-4:]: (row.get("reason"), row.get("fix"))
               for row in said["candidates"]}
    assert reasons["good"] == (None, None)
    assert said["candidates"][0]["route"] == "as it is"
    assert reasons["uded"][0] == "excluded" and "excluded-models" in reasons["uded"][1]
    assert reasons["ixed"] == ("prefix_only", "ask for `team/claude-sonnet-4-5-20250929`")
    assert reasons["amed"] == ("renamed", "ask for `sonnet`")
    assert reasons["-off"][0] == "disabled"
    said = report(proxy, "claude-sonnet-4-5-20250929", "--dialect", "openai")
    assert said["candidates"][0]["route"] == "translated"


@pytest.mark.parametrize("model,how,words", [
    ("nice", "alias", "an alias of `vendor/real-model`"),
    ("scripted://free", "provider", "`free` of scripted alone"),
    ("team/nice", "prefix", "the prefix `team`"),
    ("nice(high)", "suffix", "reasoning"),
])
def test_how_a_name_is_understood(make_proxy, upstream, model, how, words):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, prefix="team")]})
    said = report(proxy, model, usable=True)
    assert said["resolved"]["how"] == how and words in said["resolved"]["text"]
    assert words in explain(proxy, model).stdout


def test_an_unknown_model_names_its_nearest(two):
    done = explain(two, "nicee")
    assert done.returncode == 1
    assert "unknown model" in done.stdout and "Known names like it: nice" in done.stdout
    assert re.search(r"scripted +2 accounts +1 model", done.stdout)


def test_mock_models_that_are_gone(two, make_proxy):
    mock = make_proxy({}, name="other")
    said = report(two, "mock", usable=False)
    assert said["candidates"][0]["reason"] == "mock_off"
    assert report(mock, "mock", usable=True)["candidates"][0]["provider"] == "mock"


def test_asking_changes_nothing(two, upstream):
    for _ in range(4):
        report(two, "nice")
    for _ in range(4):
        two.chat("nice")
    keys = [r.key for r in upstream.requests]
    assert keys[0] != keys[1] and keys[:2] == keys[2:]


def test_the_text_is_aligned_and_plain_unless_at_a_terminal(two):
    done = explain(two, "nice", TERM="xterm")
    assert "\x1b" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if "vendor/real-model  " in line]
    assert len(lines) == 2 and lines[0].index("vendor") == lines[1].index("vendor")
    with_terminal = subprocess.run(
        ["script", "-qec", f"{runner.binary()} --config {two.config_path} explain nice",
         "/dev/null"], cwd=two.folder, capture_output=True, text=True, timeout=60,
        env={**runner.environment(two.folder), "TERM": "xterm"})
    assert "\x1b[32m" in with_terminal.stdout
    with_terminal = subprocess.run(
        ["script", "-qec", f"{runner.binary()} --config {two.config_path} explain nice",
         "/dev/null"], cwd=two.folder, capture_output=True, text=True, timeout=60,
        env={**runner.environment(two.folder), "TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in with_terminal.stdout and "usable" in with_terminal.stdout


def test_what_upstreams_say_cannot_drive_a_terminal(two, upstream):
    upstream.always(error(429, "red \x1b[31m and bell \x07", headers={"Retry-After": "90"}))
    answer = two.chat("nice")
    for done in (explain(two, "nice"), explain(two, "--request", answer.headers["X-Request-Id"])):
        assert "red" in done.stdout and "\x1b" not in done.stdout and "\x07" not in done.stdout


STRATEGIES = ["round-robin", "weighted-round-robin", "fill-first"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_through_all_kinds_of_trouble_the_next_one_is_who_was_named(make_proxy, upstream, strategy):
    """Accounts fail at random; before each request explain names who is asked, or that nobody is."""
    dice = random.Random(strategy)
    names = [f"sk-upstream-{i}{i}{i}{i}" for i in range(6)]
    entries = [entry(upstream, [key], name=f"up{i % 2}", weight=i % 3 + 1, priority=i % 2)
               for i, key in enumerate(names)]
    proxy = make_proxy({"openai-compatibility": entries, "routing": {"strategy": strategy}})
    key = (proxy.folder / "data" / f"local-key-{proxy.port}").read_text().strip()
    troubles = [error(429, "slow", headers={"Retry-After": "4"}), error(500, "broken"),
                error(503, "down"), error(401, "who?"), refuse, error(400, "your fault"),
                error(429, "later", headers={"Retry-After": "600"})]
    named = 0
    for n in range(80):
        said = proxy.get("/v0/local/explain?model=nice", {"Authorization": f"Bearer {key}"}).json()
        kept = [row for row in said["candidates"] if row["verdict"] == "kept"]
        assert said["usable"] == bool(kept)
        assert [row["position"] for row in kept] == list(range(1, len(kept) + 1))
        before = len(upstream.requests)
        trouble = dice.random() < 0.12
        upstream.script[:] = [dice.choice(troubles)] if trouble else []
        proxy.client().chat("nice", messages=messages(f"question {n}"))
        asked = upstream.requests[before:]
        if not said["usable"]:
            # A rest may have ended between the two.
            assert not asked or min(row["seconds"] for row in said["candidates"]
                                    if "seconds" in row) <= 2
            continue
        due = [row for row in said["candidates"] if row.get("seconds", 99) <= 1]
        if not due:
            assert asked[0].key[-4:] == kept[0]["credential"][-4:], (said, asked[0].key)
            named += 1
    assert named > 20


# --- accounts of auth-dir -----------------------------------------------------------------------

def write_account(proxy, name, **members):
    folder = proxy.folder / "auths"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(members))


def claude(email, **more):
    return {"type": "claude", "email": email, "access_token": "at-" + email,
            "refresh_token": "rt-" + email, "expired": "2100-01-01T00:00:00Z", **more}


MODEL = "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize("running", [True, False])
def test_token_files_are_explained(make_proxy, running):
    proxy = make_proxy({"auth-dir": "auths"}, start=False)
    write_account(proxy, "a.json", **claude("ann@example.com"))
    write_account(proxy, "b.json", **claude("bob@example.com", disabled=True))
    write_account(proxy, "c.json", type="vertex", email="x")
    if running:
        proxy.start()
        proxy.wait_for_log("auth file added")
    said = report(proxy, MODEL, usable=True)
    assert said["live"] == running
    assert rows(said)[:2] == [("ann@example.com", "kept", None),
                              ("bob@example.com", "refused", "disabled")]
    assert said["candidates"][1]["fix"].endswith("auths/b.json")
    assert [row["file"] for row in said["unusable"]] == ["c.json"]
    assert "vertex" in explain(proxy, MODEL).stdout


# --- without a server ----------------------------------------------------------------------------

def test_without_a_server_the_files_answer(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream, KEYS)]}, start=False)
    said = report(proxy, "nice", usable=True)
    assert not said["live"] and "next" not in said
    done = explain(proxy, "nice")
    assert done.returncode == 0
    assert "configuration and files alone" in done.stdout
    assert explain(proxy, "--request", "0badcafe").returncode == 1


def test_a_key_file_of_a_crash_misleads_nobody(two):
    key = two.folder / "data" / f"local-key-{two.port}"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    old = key.read_text()
    two.process.send_signal(signal.SIGKILL)
    two.process.wait()
    two.checked = True
    assert key.exists()
    done = explain(two, "nice")
    assert "configuration and files alone" in done.stdout
    assert f":{two.port}" in done.stdout
    again = runner.Proxy(two.folder, two.config, port=two.port)
    try:
        again.start()
        assert key.read_text() != old
        assert report(again, "nice")["live"]
    finally:
        again.stop()
    assert not key.exists()


def test_another_program_on_the_port_is_not_believed(make_proxy, make_upstream, upstream):
    stranger = make_upstream(agents=("",))
    stranger.always(reply({"candidates": [], "usable": True}, 404))
    proxy = make_proxy({"openai-compatibility": [entry(upstream)], "port": stranger.port},
                       start=False)
    (proxy.folder / "data").mkdir()
    key = proxy.folder / "data" / f"local-key-{stranger.port}"
    key.write_text("0" * 64 + "\n")
    assert not report(proxy, "nice")["live"]
    key.write_text("nonsense")
    asked = len(stranger.requests)
    assert "local-key" in explain(proxy, "nice").stdout
    assert len(stranger.requests) == asked


def test_a_server_with_another_port_than_the_file_now_says_is_found(two):
    two.change_config(port=free_port())
    two.wait_for_log("port has changed")
    assert report(two, "nice")["live"]


def test_a_server_that_runs_on_an_older_configuration_answers_for_a_broken_one(two):
    since = two.mark()
    two.write_config("port: [\n")
    two.wait_for_log("refused", since=since)
    done = explain(two, "nice", "--json")
    assert json.loads(done.stdout)["live"] and "config.yaml:" in done.stderr
    two.stop()
    done = explain(two, "nice")
    assert done.returncode == 1 and "cannot be used" in done.stderr


def test_a_server_that_speaks_tls_is_found(make_proxy, upstream, authority):
    key, certificate = authority.issue("proxy.example")
    proxy = make_proxy({"openai-compatibility": [entry(upstream)],
                        "tls": {"enable": True, "cert": str(certificate), "key": str(key)}})
    assert report(proxy, "nice")["server"]["address"] == f"https://127.0.0.1:{proxy.port}"


def addresses():
    found = ["127.0.0.5", "::1", "0.0.0.0"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
            found.append(s.getsockname()[0])
        except OSError:
            pass
    return found


@pytest.mark.parametrize("address", addresses())
def test_a_server_on_an_address_of_its_own_is_found(make_proxy, upstream, address):
    proxy = make_proxy({"openai-compatibility": [entry(upstream)], "host": address,
                        "api-keys": ["client-key-0123456789"]})
    assert report(proxy, "nice", usable=True)["live"]


def test_nothing_opens_when_the_key_cannot_be_written(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream)], "auth-dir": "auths"},
                       start=False)
    (proxy.folder / "data").write_text("in the way")
    (proxy.folder / "auths").mkdir()
    (proxy.folder / "auths" / "data").write_text("in the way")
    proxy.start()
    assert "no key for local commands" in proxy.log
    for key in ("", "0" * 64):
        answer = proxy.get("/v0/local/explain?model=nice", {"Authorization": f"Bearer {key}"})
        assert answer.status == 404
    assert not report(proxy, "nice")["live"]


# --- who may ask ----------------------------------------------------------------------------------

def test_only_local_requests_with_the_key_get_an_answer(two):
    key = (two.folder / "data" / f"local-key-{two.port}").read_text().strip()
    good = {"Authorization": f"Bearer {key}"}
    path = "/v0/local/explain?model=nice"
    assert two.get(path, good).status == 200
    assert two.get("/v0/local/trace?id=x", good).json() == {"trace": None}
    unknown = two.get("/v0/local/nothing", good)
    assert unknown.status == 404
    for headers in ({}, {"Authorization": f"Bearer {key[:-1]}0" if key[-1] != "0" else "Bearer 1"},
                    {"Authorization": key}, {"X-Api-Key": key},
                    {**good, "Origin": "http://localhost:3000"}, {**good, "Origin": "null"},
                    {**good, "X-Forwarded-For": "127.0.0.1"}, {**good, "Forwarded": "for=x"},
                    {**good, "X-Real-IP": "127.0.0.1"}, {**good, "Host": "evil.example"}):
        answer = two.get(path, headers)
        assert answer.status == 404, headers
        assert not answer.headers.get("Access-Control-Allow-Origin")
        assert set(answer.json()["error"]) == set(unknown.json()["error"])
    assert two.get("/v0/local/explain", good).status == 400
    assert two.get("/v0/local/explain?model=" + "x" * 300, good).status == 400


# --- route traces ---------------------------------------------------------------------------------

def test_a_request_that_went_well_names_who_served(two, upstream):
    answer = two.chat("nice")
    seen = trace(two, answer)
    assert seen["status"] == 200 and seen["model"] == "nice" and seen["steps"] == []
    assert seen["provider"] == "scripted" and seen["credential"][-3:] == upstream.last.key[-3:]
    assert seen["path"] == "/v1/chat/completions" and seen["seconds"] >= seen["first_byte"] >= 0


def test_a_failover_tells_who_failed_and_who_was_left_out(two, upstream):
    upstream.then(error(429, "slow down", headers={"Retry-After": "300"}))
    first = trace(two, two.chat("nice"))
    resolved, failed = first["steps"]
    assert resolved["step"] == "resolved" and resolved["candidates"] == 2
    assert failed["step"] == "failed" and failed["status"] == 429 and failed["verdict"] == "quota"
    assert failed["credential"] != first["credential"] and failed["seconds"] >= 0
    assert failed["said"] == "slow down" and first["status"] == 200
    second = trace(two, two.chat("nice"))
    refused = second["steps"][1]
    assert (refused["step"], refused["reason"]) == ("refused", "quota")
    assert refused["credential"] == failed["credential"] and 0 < refused["seconds"] <= 300


def test_a_request_that_failed_tells_all(two, upstream):
    upstream.always(error(500, "broken"))
    answer = two.chat("nice")
    assert answer.status == 500
    seen = trace(two, answer)
    assert [s["step"] for s in seen["steps"]] == ["resolved", "failed", "failed", "ended"]
    assert seen["steps"][-1]["status"] == 500 and "broken" in seen["steps"][-1]["said"]
    text = explain(two, "--request", answer.headers["X-Request-Id"]).stdout
    assert text.count("tried: 500 transient") == 2 and "the client was told 500" in text
    line = eventually(lambda: next((x for x in two.lines if "[access]" in x), None))
    assert answer.headers["X-Request-Id"] in line


def test_a_candidate_that_nobody_came_to_is_told(two, upstream):
    upstream.then(error(400, "your fault"))
    seen = trace(two, two.chat("nice"))
    assert [s["step"] for s in seen["steps"]] == ["resolved", "failed", "kept", "ended"]


def test_anthropic_clients_may_give_the_id_they_saw(two, upstream):
    upstream.always(error(400, "your fault"))
    answer = two.client().request("POST", "/v1/messages", {
        "model": "nice", "max_tokens": 5, "messages": messages()})
    done = explain(two, "--request", answer.headers["request-id"], "--json")
    assert json.loads(done.stdout)["dialect"] == "anthropic"


@pytest.mark.parametrize("body,word", [
    ({"model": "nicee", "messages": []}, "unknown_model"), ({"messages": []}, "missing_model"),
    ("{", "bad_json")])
def test_requests_that_never_reached_a_candidate_have_a_trace(two, body, word):
    answer = two.client().request("POST", "/v1/chat/completions", body)
    assert trace(two, answer)["steps"][-1]["class"] == word


def test_unknown_ids_and_other_pages_have_none(two):
    answer = two.get("/v1/models")
    done = explain(two, "--request", answer.headers["X-Request-Id"])
    assert done.returncode == 1 and "does not know that request" in done.stdout + done.stderr
    assert explain(two, "--request", "ffffffff").returncode == 1


def test_a_stream_that_breaks_is_told(two, upstream):
    upstream.always(sse_then(chat_chunks("half")[:2], cut))
    with two.stream("nice") as stream:
        stream.read()
        headers = stream.headers
    seen = json.loads(explain(two, "--request", headers["X-Request-Id"], "--json").stdout)
    assert seen["status"] == 200
    assert [s["step"] for s in seen["steps"]] == ["resolved", "failed", "kept", "ended"]


def test_a_client_that_leaves_is_told(two, upstream):
    upstream.always(stall)
    s = two.client().raw()
    body = json.dumps({"model": "nice", "messages": messages()}).encode()
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
              b"application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    upstream.wait_requests(1)
    s.close()
    line = two.wait_for_log(r"\[access\] 499")
    request = re.findall(r"\[([0-9a-f]{8})\]", line)[0]
    assert json.loads(explain(two, "--request", request, "--json").stdout)["status"] == 499


# --- the command line -----------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    [], ["--json"], ["a", "b"], ["a", "--request", "x"], ["--request"],
    ["--dialect", "klingon", "a"], ["a", "--nothing"], ["a", "--dialect"], [""]])
def test_wrong_usage_is_2(tmp_path, arguments):
    done = runner.run("explain", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and "usage" in done.stderr


def test_help_names_it(tmp_path):
    assert "explain MODEL" in runner.run("--help", cwd=tmp_path).stdout
