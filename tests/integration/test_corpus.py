"""What programs were recorded to send, over upstreams of other dialects that refuse what a provider
would: nothing that only one dialect has reaches another one."""
import json
import pathlib

import pytest

from support import lanes
from support.answers import answer, text
from support.dialects import DIALECTS

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages",
         "gemini": "/v1beta/models/%s:generateContent"}
# In its own dialect a body's bytes go through.
RECORDED = [(dialect, path.stem, lane) for dialect in DIALECTS
            for path in sorted((FIXTURES / dialect).glob("*.json"))
            if not path.stem.startswith("error_")
            for lane, (kind, _) in lanes.LANES.items() if kind != dialect]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with lanes.world(tmp_path_factory.mktemp("corpus")) as made:
        yield made


def read(dialect, name):
    body = json.loads((FIXTURES / dialect / f"{name}.json").read_text())
    if dialect == "gemini":
        body = body["request"]
        # The envelope of Code Assist; everybody else sends what is in it.
        return body.get("request", body)
    return body


@pytest.mark.parametrize("dialect,name,lane", RECORDED)
def test_a_recorded_request_is_taken(world, dialect, name, lane):
    proxy, upstreams = world
    upstream, kind = upstreams[lane], lanes.LANES[lane][0]
    upstream.problems.clear()
    upstream.always(answer(kind, text("fine")))
    path, body = PATHS[dialect], read(dialect, name)
    if dialect == "gemini":
        path = path % lane
    else:
        body.update(model=lane, stream=False)
        body.pop("previous_response_id", None)
    said = proxy.client(**{"Authorization": "Bearer " + lanes.CLIENT_KEY}).request("POST", path, body)
    assert not upstream.problems, "\n".join(upstream.problems)
    assert said.status == 200, said
