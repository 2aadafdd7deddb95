"""Model lists, in the form the client expects."""
from support.proxy import entry


def test_the_openai_list_is_sorted_and_stays_the_same(mock):
    first = mock.get("/v1/models").json()
    assert first["object"] == "list"
    ids = [m["id"] for m in first["data"]]
    assert ids == sorted(ids) and len(ids) == len(set(ids))
    assert all(set(m) == {"id", "object", "created", "owned_by"} for m in first["data"])
    assert mock.get("/v1/models").json() == first


def test_an_anthropic_client_gets_its_own_form(mock):
    for headers in ({"anthropic-version": "2023-06-01"}, {"User-Agent": "claude-cli/2.0"}):
        body = mock.get("/v1/models", headers).json()
        assert body["has_more"] is False
        assert body["first_id"] == body["data"][0]["id"]
        assert body["last_id"] == body["data"][-1]["id"]
        assert {"type", "id", "display_name", "created_at"} <= set(body["data"][0])


def test_the_gemini_list_names_models_with_their_prefix(mock):
    for path, headers in (("/v1beta/models", {}), ("/v1/models", {"x-goog-api-key": "x"})):
        body = mock.get(path, headers).json()
        assert all(m["name"].startswith("models/") for m in body["models"])
        assert all(m["supportedGenerationMethods"] for m in body["models"])


def test_the_gemini_list_comes_in_pages(mock):
    everything = [m["name"] for m in mock.get("/v1beta/models?pageSize=1000").json()["models"]]
    seen, token = [], ""
    while True:
        page = mock.get(f"/v1beta/models?pageSize=2&pageToken={token}").json()
        seen += [m["name"] for m in page["models"]]
        token = page.get("nextPageToken")
        if not token:
            break
        assert len(seen) < 1000
    assert seen == everything


def test_one_model_can_be_asked_for(mock):
    assert mock.get("/v1/models/mock").json()["id"] == "mock"
    assert mock.get("/v1beta/models/mock").json()["name"] == "models/mock"
    missing = mock.get("/v1/models/none")
    assert missing.status == 404
    assert missing.json()["error"]["code"] == "model_not_found"
    assert mock.get("/v1beta/models/none").json()["error"]["status"] == "NOT_FOUND"


def test_aliases_are_listed_and_names_with_slashes_found(make_proxy, upstream):
    models = [{"name": "a/b:free"}, {"name": "c/d", "alias": "short"}]
    proxy = make_proxy({"openai-compatibility": [{**entry(upstream), "models": models}]})
    data = proxy.get("/v1/models").json()["data"]
    assert [m["id"] for m in data] == ["a/b:free", "short"]
    assert data[0]["owned_by"] == "scripted"
    assert proxy.get("/v1/models/a%2Fb:free").json()["id"] == "a/b:free"
    assert proxy.chat("a/b:free").status == 200
    assert upstream.last.json()["model"] == "a/b:free"
