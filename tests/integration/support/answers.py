"""Answers of upstreams from a neutral description, whole and as streams of each dialect.

A description is a list of blocks: `text(...)`, `thought(...)` and `call(...)`.  Streams are as
awkward as their providers make them: texts in pieces, arguments of parallel calls interleaved where
a dialect can do that, usage at the end.
"""
import base64
import json

from .dialects import named, numbered, responses_object
from .upstream import chat_chunk, event, reply, sse

# What every answer costs, in the neutral sense: input with the cached, output with the reasoning.
USAGE = {"input": 100, "cached": 40, "output": 30, "reasoning": 10}

# How the thoughts of an answer may be signed.
SIGNATURES = {
    "chat": None, "responses": "gAAAAABmade-up",
    "anthropic": base64.b64encode(b"\x0a\x08claude-x made up").decode(),
    "gemini": base64.b64encode(b"\x12\x09made up 1").decode()}


def text(*pieces):
    return {"type": "text", "pieces": pieces, "text": "".join(pieces)}


def thought(*pieces, sig):
    return {"type": "thought", "pieces": pieces, "text": "".join(pieces), "sig": sig}


def call(id, name, args, sig=None, namespace=None):
    """`sig` is Google's signature of the call; only Responses has namespaces."""
    return {"type": "call", "id": id, "name": name, "args": args, "sig": sig,
            "namespace": namespace}


def freeform(id, name, text, namespace=None):
    """A call of a tool that takes plain text; where there are none, of its member `input`."""
    return {**call(id, name, {"input": text}, namespace=namespace), "freeform": text}


def search(id, query):
    """A call of Codex' search for tools, which is an item of its own in Responses."""
    return {**call(id, "tool_search", {"query": query}), "search": True}


def full(b):
    """The name of what is called, where a dialect has no namespaces."""
    return f"{b['namespace']}__{b['name']}" if b["namespace"] else b["name"]


def halves(value):
    data = json.dumps(value)
    return [data[:len(data) // 2], data[len(data) // 2:]]


def calls_of(blocks):
    return [b for b in blocks if b["type"] == "call"]


def joined(blocks, kind):
    return "".join(b["text"] for b in blocks if b["type"] == kind)


# --- chat ------------------------------------------------------------------------------------------

CHAT_USAGE = {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
              "prompt_tokens_details": {"cached_tokens": 40},
              "completion_tokens_details": {"reasoning_tokens": 10}}


def chat_call(b, args):
    return {"id": b["id"], "type": "function", "function": {"name": full(b), "arguments": args}}


def chat_whole(blocks):
    calls = [chat_call(b, json.dumps(b["args"])) for b in calls_of(blocks)]
    message = {"role": "assistant", "content": joined(blocks, "text") or None}
    if joined(blocks, "thought"):
        message["reasoning_content"] = joined(blocks, "thought")
    if calls:
        message["tool_calls"] = calls
    return {"id": "chatcmpl-7", "object": "chat.completion", "created": 1700000000, "model": "up",
            "choices": [{"index": 0, "message": message,
                         "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": CHAT_USAGE}


def chat_stream(blocks):
    def chunk(**delta):
        made = chat_chunk(model="up")
        made["choices"][0]["delta"] = delta
        return made
    yield chunk(role="assistant", content="")
    for b in blocks:
        name = {"text": "content", "thought": "reasoning_content"}.get(b["type"])
        for piece in b.get("pieces", ()):
            yield chunk(**{name: piece})
    calls = calls_of(blocks)
    for i, b in enumerate(calls):
        yield chunk(tool_calls=[{"index": i, **chat_call(b, "")}])
    for half in (0, 1):
        for i, b in enumerate(calls):
            yield chunk(tool_calls=[{"index": i,
                                     "function": {"arguments": halves(b["args"])[half]}}])
    yield chat_chunk(finish="tool_calls" if calls else "stop", model="up")
    yield {**chat_chunk(model="up"), "choices": [], "usage": CHAT_USAGE}
    yield b"data: [DONE]\n\n"


# --- responses -------------------------------------------------------------------------------------

def response(output, status="completed"):
    made = responses_object(output, status)
    made["usage"] = {"input_tokens": 100, "output_tokens": 30, "total_tokens": 130,
                     "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
                     "output_tokens_details": {"reasoning_tokens": 10}}
    return made


def responses_item(b, i):
    if b["type"] == "thought":
        return {"type": "reasoning", "id": f"rs_{i}", "encrypted_content": b["sig"],
                "summary": [{"type": "summary_text", "text": b["text"]}]}
    if b["type"] == "text":
        return {"type": "message", "id": f"msg_{i}", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": b["text"], "annotations": [],
                             "logprobs": []}]}
    item = {"type": "function_call", "id": f"fc_{i}", "call_id": b["id"], "name": b["name"],
            "arguments": json.dumps(b["args"]), "status": "completed"}
    if b["namespace"]:
        item["namespace"] = b["namespace"]
    if "search" in b:
        return {"type": "tool_search_call", "id": f"tsc_{i}", "call_id": b["id"],
                "execution": "client", "arguments": b["args"], "status": "completed"}
    if "freeform" in b:
        del item["arguments"]
        item |= {"type": "custom_tool_call", "id": f"ctc_{i}", "input": b["freeform"]}
    return item


def responses_whole(blocks):
    return response([responses_item(b, i) for i, b in enumerate(blocks)])


def item_events(b, i, item):
    """What opens an item, fills it and closes it."""
    where = {"output_index": i, "item_id": item["id"]}
    done = {"type": "response.output_item.done", "output_index": i, "item": item}
    if "search" in b:
        fresh, fill, done = {**item, "status": "in_progress"}, [], [done]
    elif "freeform" in b:
        fresh = {**item, "input": "", "status": "in_progress"}
        kind, value = "response.custom_tool_call_input.", b["freeform"]
        fill = [{"type": kind + "delta", **where, "delta": d}
                for d in (value[:len(value) // 2], value[len(value) // 2:])]
        done = [{"type": kind + "done", **where, "input": value}, done]
    elif b["type"] == "call":
        fresh = {**item, "arguments": "", "status": "in_progress"}
        kind = "response.function_call_arguments."
        fill = [{"type": kind + "delta", **where, "delta": h} for h in halves(b["args"])]
        done = [{"type": kind + "done", **where, "arguments": item["arguments"],
                 "name": b["name"]}, done]
    elif b["type"] == "text":
        fresh = {**item, "content": [], "status": "in_progress"}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        inside = {**where, "content_index": 0}
        fill = [{"type": "response.content_part.added", **inside, "part": part},
                *[{"type": "response.output_text.delta", **inside, "delta": p, "logprobs": []}
                  for p in b["pieces"]]]
        done = [{"type": "response.output_text.done", **inside, "text": b["text"], "logprobs": []},
                {"type": "response.content_part.done", **inside,
                 "part": {**part, "text": b["text"]}}, done]
    else:
        # The provider's first signature is provisional.
        fresh = {**item, "summary": [], "encrypted_content": b["sig"] + "provisional"}
        inside = {**where, "summary_index": 0}
        kind = "response.reasoning_summary_"
        fill = [{"type": kind + "part.added", **inside,
                 "part": {"type": "summary_text", "text": ""}},
                *[{"type": kind + "text.delta", **inside, "delta": p} for p in b["pieces"]],
                {"type": kind + "text.done", **inside, "text": b["text"]},
                {"type": kind + "part.done", **inside,
                 "part": {"type": "summary_text", "text": b["text"]}}]
        done = [done]
    return [{"type": "response.output_item.added", "output_index": i, "item": fresh}], fill, done


def responses_stream(blocks):
    items = [responses_item(b, i) for i, b in enumerate(blocks)]
    events = [{"type": "response.created", "response": response([], "in_progress")},
              {"type": "response.in_progress", "response": response([], "in_progress")}]
    parallel = []
    for i, (b, item) in enumerate(zip(blocks, items)):
        opening, fill, closing = item_events(b, i, item)
        if b["type"] == "call":
            parallel.append((opening, fill, closing))
        else:
            events += opening + fill + closing
    events += [e for opening, _, _ in parallel for e in opening]
    for half in (0, 1):
        events += [fill[half] for _, fill, _ in parallel if fill]
    events += [e for _, _, closing in parallel for e in closing]
    # As the backend does: the items were told, the last event does not repeat them.
    events.append({"type": "response.completed", "response": response([])})
    return named(*numbered(events))


# --- anthropic -------------------------------------------------------------------------------------

ANTHROPIC_USAGE = {"input_tokens": 60, "cache_read_input_tokens": 40,
                   "cache_creation_input_tokens": 0, "output_tokens": 30,
                   "output_tokens_details": {"thinking_tokens": 10}}


def anthropic_block(b):
    if b["type"] == "text":
        return {"type": "text", "text": b["text"]}
    if b["type"] == "thought":
        return {"type": "thinking", "thinking": b["text"], "signature": b["sig"]}
    return {"type": "tool_use", "id": b["id"], "name": full(b), "input": b["args"]}


def anthropic_whole(blocks):
    return {"id": "msg_7", "type": "message", "role": "assistant", "model": "up",
            "content": [anthropic_block(b) for b in blocks],
            "stop_reason": "tool_use" if calls_of(blocks) else "end_turn", "stop_sequence": None,
            "usage": ANTHROPIC_USAGE}


def anthropic_stream(blocks):
    start = {**anthropic_whole([]), "stop_reason": None,
             "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for i, b in enumerate(blocks):
        fresh = {"text": {"type": "text", "text": ""},
                 "thought": {"type": "thinking", "thinking": "", "signature": ""},
                 "call": {**anthropic_block(b), "input": {}}}[b["type"]]
        if b["type"] == "call":
            deltas = [{"type": "input_json_delta", "partial_json": h}
                      for h in ["", *halves(b["args"])]]
        elif b["type"] == "text":
            deltas = [{"type": "text_delta", "text": p} for p in b["pieces"]]
        else:
            deltas = [{"type": "thinking_delta", "thinking": p} for p in b["pieces"]]
            deltas.append({"type": "signature_delta", "signature": b["sig"]})
        events += [{"type": "content_block_start", "index": i, "content_block": fresh},
                   *[{"type": "content_block_delta", "index": i, "delta": d} for d in deltas],
                   {"type": "content_block_stop", "index": i}]
    events += [{"type": "message_delta", "usage": ANTHROPIC_USAGE,
                "delta": {"stop_reason": "tool_use" if calls_of(blocks) else "end_turn",
                          "stop_sequence": None}},
               {"type": "message_stop"}]
    return named(*events)


# --- gemini ----------------------------------------------------------------------------------------

GEMINI_USAGE = {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20,
                "thoughtsTokenCount": 10, "totalTokenCount": 130}


def gemini_parts(b, streamed):
    if b["type"] == "call":
        part = {"functionCall": {"id": b["id"], "name": full(b), "args": b["args"]}}
        return [{**part, "thoughtSignature": b["sig"]} if b["sig"] else part]
    extra = {"thought": True} if b["type"] == "thought" else {}
    pieces = b["pieces"] if streamed else [b["text"]]
    return [{"text": p, **extra} for p in pieces]


def gemini_answer(parts, finish=None):
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "up", "responseId": "gr7",
            "usageMetadata": GEMINI_USAGE if finish else {"promptTokenCount": 100}}


def gemini_whole(blocks):
    return gemini_answer([p for b in blocks for p in gemini_parts(b, False)], "STOP")


def gemini_stream(blocks):
    for b in blocks:
        for part in gemini_parts(b, True):
            yield gemini_answer([part])
    yield gemini_answer([{"text": ""}], "STOP")


# --- all -------------------------------------------------------------------------------------------

WHOLE = {"chat": chat_whole, "responses": responses_whole, "anthropic": anthropic_whole,
         "gemini": gemini_whole}
STREAM = {"chat": chat_stream, "responses": responses_stream, "anthropic": anthropic_stream,
          "gemini": gemini_stream}


def is_streamed(dialect, request):
    """Whether a request asks for a stream."""
    if dialect == "gemini":
        return ":streamGenerateContent" in request.path
    return request.json().get("stream") is True


def answer(dialect, *blocks):
    """An action that answers as it was asked to: whole, or as a stream."""
    def action(c):
        if is_streamed(dialect, c.request):
            sse(*STREAM[dialect](blocks), done=False)(c)
        else:
            reply(WHOLE[dialect](blocks))(c)
    return action


def broken(dialect, blocks, *last):
    """A stream that stops before its ending; `last` events come instead."""
    kept = {"chat": -3, "responses": -1, "anthropic": -2, "gemini": -1}[dialect]
    return sse(*list(STREAM[dialect](blocks))[:kept], *last, done=False)


def in_stream(dialect, status, message):
    """The event with which a provider tells a failure inside a stream."""
    from .upstream import failing
    body = failing(dialect, status, message)
    if dialect == "anthropic":
        return named(body)[0]
    if dialect == "responses":
        failed = {**response([], "failed"), "error": {"message": message,
                                                      "code": body["error"]["code"]
                                                      or "server_error"}}
        return named({"type": "response.failed", "response": failed})[0]
    return event(body)
