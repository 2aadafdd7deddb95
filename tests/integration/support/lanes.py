"""One proxy in front of a strict upstream of each kind, for tests that only ask and look."""
import contextlib

from . import dialects
from .proxy import Proxy
from .upstream import Upstream

CLIENT_KEY = "sk-client"
# Upstreams by kind and by the generation of their models, where generations want other things.
LANES = {"chat": ("chat", "glm-5"), "responses": ("responses", "gpt-5.5"),
         "claude-4.5": ("anthropic", "claude-sonnet-4-5"),
         "claude-4.7": ("anthropic", "claude-opus-4-7"),
         "gemini-2.5": ("gemini", "gemini-2.5-pro"),
         "gemini-3": ("gemini", "gemini-3-flash-preview")}


@contextlib.contextmanager
def world(folder):
    """The proxy and its upstreams by lane; a lane's name is the model that leads to it."""
    upstreams, config = {}, {"request-retry": 0, "disable-cooling": True, "workers": 1,
                             "api-keys": [CLIENT_KEY]}
    for lane, (kind, model) in LANES.items():
        upstream = Upstream(dialect=kind, agents=("",),
                            allowed={"x-goog-api-key"} if kind == "gemini" else ())
        upstream.secrets.add(CLIENT_KEY)
        upstreams[lane] = upstream
        for name, entries in dialects.config(kind, upstream).items():
            for entry in entries:
                entry["models"] = [{"name": model, "alias": lane}]
                if kind == "chat":
                    entry["models"][0]["input-modalities"] = ["text", "image"]
            config.setdefault(name, []).extend(entries)
    proxy = Proxy(folder, config)
    try:
        proxy.start()
        yield proxy, upstreams
        proxy.stop()
    finally:
        proxy.kill()
        for upstream in upstreams.values():
            upstream.close()
