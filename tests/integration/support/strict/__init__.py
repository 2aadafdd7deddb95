"""What real providers refuse, one checker a dialect.

Scripted upstreams ask `refusals` about each request and answer 400 when there is one, as the
providers do: a proxy that sends what nobody would take fails its test, whatever the test is about.
The rules are those of the public API references and of error messages that users report; where
providers of a dialect differ, the stricter one counts.
"""
import json

from . import anthropic, chat, gemini, responses
from .common import Findings

CHECKERS = {"chat": chat.check, "responses": responses.check, "anthropic": anthropic.check,
            "gemini": gemini.check}


def twice(pairs):
    names = [n for n, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice")
    return dict(pairs)


def refusals(dialect, request):
    """Why a provider would refuse this request: lines of text, empty when it would not."""
    if request.method != "POST":
        return []
    try:
        body = json.loads(request.body, object_pairs_hook=twice)
    except ValueError as problem:
        return [f"could not parse the JSON body: {problem}"]
    if not isinstance(body, dict):
        return ["the body must be an object"]
    found = Findings()
    CHECKERS[dialect](found, body, request)
    return found.lines
