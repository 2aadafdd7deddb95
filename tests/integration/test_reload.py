"""Configuration and scripts change while requests run."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import proxy as runner
from support.proxy import entry, eventually
from support.upstream import chat_chunks, sse

STOCK = "providers/openai_compatibility.lua"

# Put behind the stock script: every upstream request says which version built it.
VERSIONED = """
local stock_request = M.request
function M.request(call, candidate)
  local request = stock_request(call, candidate)
  request.headers["x-script-version"] = "%s"
  return request
end

return M
"""


def stock_with(proxy, ending):
    """The stock provider script with another ending than `return M`."""
    path = proxy.folder / "lua" / STOCK
    if not path.exists():
        done = runner.run("--config", str(proxy.config_path), "scripts", "eject", STOCK,
                          cwd=proxy.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        proxy.stock = path.read_text()
        assert proxy.stock.rstrip().endswith("return M")
    return proxy.stock.rstrip().removesuffix("return M") + ending


def version_of(proxy, upstream):
    assert proxy.chat("nice").status == 200
    return upstream.last.header("x-script-version")


def test_an_edited_configuration_applies(served, upstream):
    served.change_config(openai_compatibility=[
        entry(upstream, models=[{"name": "vendor/real-model", "alias": "other-name"}])])
    eventually(lambda: served.chat("other-name").status == 200)
    assert served.chat("nice").status == 404


@pytest.mark.parametrize("text,words", [
    ("port: [\n", r"config\.yaml:\d+"),
    ("api-keys: 7\n", r"config\.yaml:1.*api-keys"),
    ("debug: true\nlimits:\n  body-mib: many\n", r"config\.yaml:3.*body-mib"),
])
def test_a_broken_configuration_changes_nothing_and_is_named(served, text, words):
    mark = served.mark()
    served.write_config(text)
    served.wait_for_log(words, since=mark)
    assert served.chat("nice").status == 200
    served.write_config(served.config)


def test_an_empty_file_is_ignored(served):
    served.write_config("")
    served.write_config(served.config)
    assert served.chat("nice").status == 200


def test_client_keys_change_while_it_runs(mock):
    assert mock.chat("mock").status == 200
    mock.change_config(api_keys=["fresh-key-0123456789"])
    eventually(lambda: mock.chat("mock").status == 401)
    assert mock.chat("mock", {"X-Api-Key": "fresh-key-0123456789"}).status == 200
    mock.change_config(api_keys=[])
    eventually(lambda: mock.chat("mock").status == 200)


def test_a_file_written_in_place_is_noticed_too(mock):
    text = mock.config_path.read_text().replace("{", '{"api-keys": ["k-0123456789"],', 1)
    mock.config_path.write_text(text)
    eventually(lambda: mock.chat("mock").status == 401)


def test_an_unknown_key_is_warned_about_with_its_likely_name(make_proxy):
    proxy = make_proxy({"api-kesy": ["x"]})
    line = eventually(lambda: next((line for line in proxy.lines if "api-kesy" in line), None))
    assert "api-keys" in line


def test_running_streams_keep_their_script_and_new_requests_get_the_new_one(served, upstream):
    count, gate = 50, threading.Event()
    upstream.always(sse(*chat_chunks("before ", "after"),
                        between=lambda i: i == 2 and gate.wait(100)))
    served.write_script(STOCK, stock_with(served, VERSIONED % "one"))
    started = threading.Semaphore(0)

    def one(_):
        with served.stream("nice") as stream:
            text = ""
            for chunk in stream.chunks():
                piece = (chunk["choices"][0]["delta"].get("content") or "") \
                    if chunk["choices"] else ""
                text += piece
                if piece == "before ":
                    started.release()
            return text
    with ThreadPoolExecutor(count) as pool:
        texts = pool.map(one, range(count))
        try:
            for _ in range(count):
                assert started.acquire(timeout=60)
            running = len(upstream.requests)
            served.write_script(STOCK, stock_with(served, VERSIONED % "two"))

            def sees_new():
                with served.stream("nice"):
                    return upstream.wait_requests(running + 1) and \
                        upstream.last.header("x-script-version") == "two"
            eventually(sees_new, 30, 0.2)
        finally:
            gate.set()
        assert list(texts) == ["before after"] * count


BROKEN = {
    "a syntax error": "local x = = 1\n",
    "an error at load": 'error("broken at load")\n',
    "an endless loop": "while true do end\n",
    "a wrong shape": "return { name = 7 }\n",
    "no table": "return nil\n",
    "endless memory": 'local t = {} for i = 1, 1e9 do t[i] = string.rep("x", 1000) .. i end\n',
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_script_that_cannot_be_loaded_is_refused_by_name(served, upstream, what):
    served.write_script(STOCK, stock_with(served, VERSIONED % "one"))
    eventually(lambda: version_of(served, upstream) == "one")
    mark = served.mark()
    served.write_script(STOCK, "-- line one\n" + BROKEN[what])
    served.wait_for_log(r"openai_compatibility\.lua" if what in ("a wrong shape", "no table") else
                        r"openai_compatibility\.lua:\d+", 60, mark)
    assert version_of(served, upstream) == "one"
    served.write_script(STOCK, stock_with(served, VERSIONED % "three"))
    eventually(lambda: version_of(served, upstream) == "three", 30)


def test_removing_an_overlay_brings_the_stock_script_back(served, upstream):
    path = served.write_script(STOCK, stock_with(served, VERSIONED % "one"))
    eventually(lambda: version_of(served, upstream) == "one")
    path.unlink()
    eventually(lambda: version_of(served, upstream) is None)


def test_many_edits_in_a_row_end_with_the_last(served, upstream):
    for i in range(30):
        served.write_script(STOCK, stock_with(served, VERSIONED % i))
    eventually(lambda: version_of(served, upstream) == "29", 60)


def test_a_folder_of_scripts_elsewhere_is_used(make_proxy, upstream):
    proxy = make_proxy({"scripts-dir": "own", "openai-compatibility": [entry(upstream)]})
    done = runner.run("--config", str(proxy.config_path), "scripts", "eject", STOCK,
                      cwd=proxy.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    path = proxy.folder / "own" / STOCK
    text = path.read_text().rstrip().removesuffix("return M") + VERSIONED % "own"
    proxy.replace(path, text)
    eventually(lambda: version_of(proxy, upstream) == "own")


def test_a_script_that_fails_its_requests_is_taken_back(make_proxy, upstream):
    proxy = make_proxy({"openai-compatibility": [entry(upstream)]})
    for _ in range(5):
        assert proxy.chat("nice").status == 200
    mark = proxy.mark()
    proxy.write_script(STOCK, stock_with(proxy, """
function M.request() error("on purpose") end
return M
"""))
    proxy.wait_for_log(r"generation 2", since=mark)
    answers = [proxy.chat("nice").status for _ in range(30)]
    assert 500 in answers
    proxy.wait_for_log(r"generation 2 is taken back", since=mark)
    eventually(lambda: proxy.chat("nice").status == 200)
    # The same files are not tried again; another change is.
    mark = proxy.mark()
    proxy.write_script(STOCK, stock_with(proxy, VERSIONED % "mended"))
    proxy.wait_for_log(r"scripts reloaded", since=mark)
    assert version_of(proxy, upstream) == "mended"
