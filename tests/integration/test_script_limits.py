"""A script that misbehaves fails its own request; the others do not notice."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.proxy import entry, eventually
from support.upstream import Gone, chat_chunks, chat_reply, reply, sse
from test_reload import STOCK, stock_with

# The stock script, with misbehaviour for models of these names.
HARMFUL = """
local stock_request = M.request
local function deep(n) return 1 + deep(n + 1) end
local harm = {}
harm["loop"] = function() while true do end end
harm["loop-in-pcall"] = function() while true do pcall(function() while true do end end) end end
harm["memory"] = function()
  local kept = {}
  for i = 1, 1e9 do kept[i] = string.rep("x", 4096) .. i end
end
harm["one-big-string"] = function() return string.rep("x", 2^34 // 1 | 0) end
harm["recursion"] = function() return deep(1) end
harm["pattern"] = function() return string.find(string.rep("a", 40000), string.rep("a?", 40000)) end
harm["error"] = function() error("on purpose") end
harm["error-table"] = function() error({}) end
harm["nil"] = function() return (nil).field end
function M.request(call, candidate)
  local act = harm[candidate.model]
  if act then act() end
  return stock_request(call, candidate)
end

return M
"""
HARMS = ["loop", "loop-in-pcall", "memory", "one-big-string", "recursion", "error", "error-table",
         "nil"]


@pytest.fixture
def harmful(make_proxy, upstream):
    proxy = make_proxy({"workers": 1, "scripts": {"memory-mib": 64, "hard-limit-ms": 300},
                        "openai-compatibility": [entry(upstream)]}, start=False)
    proxy.write_script(STOCK, stock_with(proxy, HARMFUL))
    return proxy.start()


@pytest.mark.parametrize("harm", HARMS)
def test_only_the_request_of_the_script_fails(harmful, upstream, harm):
    go = threading.Event()
    upstream.always(sse(*chat_chunks("a ", "b"), between=lambda i: i == 2 and go.wait(60)))
    # Streams on the same worker, half-way through when the harm is done.
    with ThreadPoolExecutor(10) as pool:
        def one(_):
            with harmful.stream("nice") as stream:
                return stream.text()
        texts = pool.map(one, range(10))
        upstream.wait_requests(10)
        answer = harmful.chat(f"scripted://{harm}")
        go.set()
        assert list(texts) == ["a b"] * 10
    assert answer.status == 500, answer
    problem = answer.json()["error"]
    assert problem["type"] == "server_error"
    # What happened is for the log, with its place, and not for the client.
    assert "traceback" not in answer.text and ".lua:" not in answer.text
    if harm != "error-table":
        harmful.wait_for_log(r"openai_compatibility\.lua")
    # And all of it works again.
    go.set()
    with harmful.stream("nice") as stream:
        assert stream.text() == "a b"


def test_harm_again_and_again_uses_nothing_up(harmful):
    for _ in range(3):
        for harm in ("memory", "recursion", "error"):
            assert harmful.chat(f"scripted://{harm}").status == 500
    eventually(lambda: harmful.chat("nice").status == 200)


def test_an_upstream_call_that_nobody_closed_ends_with_its_request(make_proxy, upstream):
    left = threading.Event()

    def answer(c):
        if not c.request.header("x-forgotten"):
            return reply(chat_reply())(c)
        try:
            c.wait_gone()
        except Gone:
            left.set()

    proxy = make_proxy({"openai-compatibility": [entry(upstream)]}, start=False)
    proxy.write_script(STOCK, stock_with(proxy, """
local http = require "http"
local stock_request = M.request
function M.request(call, candidate)
  local request = stock_request(call, candidate)
  request.headers["x-forgotten"] = "yes"
  M.forgotten = http.start(request)  -- held, so that it is no collection that ends it
  return stock_request(call, candidate)
end

return M
"""))
    proxy.start()
    upstream.always(answer)
    assert proxy.chat("nice").status == 200
    assert left.wait(20), "the upstream still waits for a call that nobody reads"
