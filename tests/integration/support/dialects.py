"""The four dialects as clients and upstreams speak them, in the smallest form that is complete."""
import json

from .upstream import chat_chunk, chat_reply, reply, sse, usage_chunk

DIALECTS = ("chat", "responses", "anthropic", "gemini")
KEY = "sk-upstream-key-1"


def config(dialect, upstream, alias="nice", model="real-model"):
    """A proxy whose model `alias` is `model` of an upstream of the dialect."""
    root = upstream.url.removesuffix("/v1")
    models = [{"name": model, "alias": alias}]
    if dialect == "chat":
        return {"openai-compatibility": [{"name": "scripted", "base-url": upstream.url,
                                          "api-key-entries": [{"api-key": KEY}],
                                          "models": models}]}
    if dialect == "responses":
        return {"codex-api-key": [{"api-key": KEY, "base-url": upstream.url, "models": models}]}
    name = {"anthropic": "claude-api-key", "gemini": "gemini-api-key"}[dialect]
    return {name: [{"api-key": KEY, "base-url": root, "models": models}]}


# --- what upstreams answer ---------------------------------------------------------------------

def named(*events):
    """Events with an `event:` line, told by their type."""
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


def responses_object(output, status="completed"):
    return {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": status,
            "model": "real-model", "output": output, "error": None, "incomplete_details": None,
            "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0,
            "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8,
                      "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                      "output_tokens_details": {"reasoning_tokens": 0}}}


def message_item(text):
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}


def call_item(name, args):
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
            "arguments": args, "status": "completed"}


def numbered(events):
    return [{**e, "sequence_number": i} for i, e in enumerate(events)]


def responses_events(item, *middle, output=None):
    open_item = {**item, "status": "in_progress"}
    open_item.update({"content": []} if item["type"] == "message" else {"arguments": ""})
    return numbered([
        {"type": "response.created", "response": responses_object([], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": open_item},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed",
         "response": responses_object([item] if output is None else output)}])


def anthropic_message(content, stop="end_turn"):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "real-model",
            "content": content, "stop_reason": stop, "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 3}}


def anthropic_events(block, *deltas, stop="end_turn"):
    return [{"type": "message_start", "message": {
                **anthropic_message([]), "stop_reason": None,
                "usage": {"input_tokens": 5, "output_tokens": 0}}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *[{"type": "content_block_delta", "index": 0, "delta": d} for d in deltas],
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
             "usage": {"output_tokens": 3}},
            {"type": "message_stop"}]


def gemini_chunk(parts, finish=None, usage=True):
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    chunk = {"candidates": [candidate], "modelVersion": "real-model", "responseId": "r1"}
    if usage:
        chunk["usageMetadata"] = {"promptTokenCount": 5, "candidatesTokenCount": 3,
                                  "totalTokenCount": 8}
    return chunk


def text_stream(dialect, *texts):
    """The events of a streamed text."""
    if dialect == "chat":
        return [chat_chunk("", role="assistant"), *[chat_chunk(t) for t in texts],
                chat_chunk(finish="stop"), usage_chunk(), b"data: [DONE]\n\n"]
    if dialect == "responses":
        part = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
        return named(*responses_events(
            message_item("".join(texts)),
            {"type": "response.content_part.added", **part,
             "part": {"type": "output_text", "text": "", "annotations": []}},
            *[{"type": "response.output_text.delta", **part, "delta": t} for t in texts],
            {"type": "response.output_text.done", **part, "text": "".join(texts)},
            {"type": "response.content_part.done", **part,
             "part": {"type": "output_text", "text": "".join(texts), "annotations": []}}))
    if dialect == "anthropic":
        return named(*anthropic_events({"type": "text", "text": ""}, *[
            {"type": "text_delta", "text": t} for t in texts]))
    return [*[gemini_chunk([{"text": t}]) for t in texts], gemini_chunk([{"text": ""}], "STOP")]


def call_stream(dialect, name="weather", args='{"city": "Oslo"}'):
    """The events of one streamed tool call, its arguments in two pieces."""
    half = len(args) // 2
    pieces = [args[:half], args[half:]]
    if dialect == "chat":
        def chunk(call):
            c = chat_chunk()
            c["choices"][0]["delta"] = {"tool_calls": [{"index": 0, **call}]}
            return c
        return [chat_chunk("", role="assistant"),
                chunk({"id": "call_1", "type": "function",
                       "function": {"name": name, "arguments": ""}}),
                *[chunk({"function": {"arguments": p}}) for p in pieces],
                chat_chunk(finish="tool_calls"), usage_chunk(), b"data: [DONE]\n\n"]
    if dialect == "responses":
        where = {"output_index": 0, "item_id": "fc_1"}
        return named(*responses_events(
            call_item(name, args),
            *[{"type": "response.function_call_arguments.delta", **where, "delta": p}
              for p in pieces],
            {"type": "response.function_call_arguments.done", **where, "arguments": args}))
    if dialect == "anthropic":
        return named(*anthropic_events(
            {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}},
            *[{"type": "input_json_delta", "partial_json": p} for p in pieces], stop="tool_use"))
    return [gemini_chunk([{"functionCall": {"name": name, "args": json.loads(args)}}], "STOP")]


def text_whole(dialect, text):
    if dialect == "chat":
        return chat_reply(text, model="real-model")
    if dialect == "responses":
        return responses_object([message_item(text)])
    if dialect == "anthropic":
        return anthropic_message([{"type": "text", "text": text}])
    return gemini_chunk([{"text": text}], "STOP")


def answering(dialect, stream, whole):
    """An upstream that answers as it is asked: as a stream, or whole."""
    def action(c):
        request = c.request
        wants = ":streamGenerateContent" in request.path if dialect == "gemini" \
            else request.json().get("stream") is True
        (sse(*stream, done=False) if wants else reply(whole))(c)
    return action


# --- what clients ask and understand -------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def ask(dialect, stream, text="Hello", tool=False):
    """Path and body of a request for the model `nice`."""
    if dialect == "chat":
        body = {"model": "nice", "messages": [{"role": "user", "content": text}]}
        if tool:
            body["tools"] = [{"type": "function", "function": {
                "name": "weather", "description": "d", "parameters": SCHEMA}}]
        return "/v1/chat/completions", {**body, **({"stream": True} if stream else {})}
    if dialect == "responses":
        body = {"model": "nice", "input": text}
        if tool:
            body["tools"] = [{"type": "function", "name": "weather", "description": "d",
                              "parameters": SCHEMA}]
        return "/v1/responses", {**body, **({"stream": True} if stream else {})}
    if dialect == "anthropic":
        body = {"model": "nice", "max_tokens": 100,
                "messages": [{"role": "user", "content": text}]}
        if tool:
            body["tools"] = [{"name": "weather", "description": "d", "input_schema": SCHEMA}]
        return "/v1/messages", {**body, **({"stream": True} if stream else {})}
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    if tool:
        body["tools"] = [{"functionDeclarations": [{
            "name": "weather", "description": "d", "parameters": SCHEMA}]}]
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/nice:{method}", body


def read_whole(dialect, body):
    """Text, calls as (name, arguments) and the model of a whole answer."""
    if dialect == "chat":
        message = body["choices"][0]["message"]
        calls = [(c["function"]["name"], json.loads(c["function"]["arguments"]))
                 for c in message.get("tool_calls") or []]
        return message.get("content") or "", calls, body["model"]
    if dialect == "responses":
        text = "".join(p["text"] for i in body["output"] if i["type"] == "message"
                       for p in i["content"])
        calls = [(i["name"], json.loads(i["arguments"])) for i in body["output"]
                 if i["type"] == "function_call"]
        return text, calls, body["model"]
    if dialect == "anthropic":
        text = "".join(b["text"] for b in body["content"] if b["type"] == "text")
        calls = [(b["name"], b["input"]) for b in body["content"] if b["type"] == "tool_use"]
        return text, calls, body["model"]
    parts = body["candidates"][0]["content"]["parts"]
    calls = [(p["functionCall"]["name"], p["functionCall"]["args"]) for p in parts
             if "functionCall" in p]
    return "".join(p.get("text", "") for p in parts), calls, body["modelVersion"]


def read_stream(dialect, events):
    """The same of the events of a stream, as data lines; checks that it ends as it must."""
    if dialect == "chat":
        assert events[-1] == "[DONE]"
        text, calls, model = "", [], None
        for chunk in map(json.loads, events[:-1]):
            model = chunk["model"]
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                for call in choice["delta"].get("tool_calls") or []:
                    if call.get("id"):
                        calls.append([call["function"]["name"], ""])
                    calls[-1][1] += call["function"].get("arguments") or ""
        return text, [(n, json.loads(a)) for n, a in calls], model
    decoded = [json.loads(e) for e in events]
    if dialect == "responses":
        assert decoded[0]["type"] == "response.created"
        assert decoded[-1]["type"] == "response.completed"
        text = "".join(e["delta"] for e in decoded if e["type"] == "response.output_text.delta")
        whole = read_whole(dialect, decoded[-1]["response"])
        assert whole[0] == text
        return whole
    if dialect == "anthropic":
        assert decoded[0]["type"] == "message_start"
        assert decoded[-1]["type"] == "message_stop"
        text, calls = "", []
        for e in decoded:
            if e["type"] == "content_block_start" and e["content_block"]["type"] == "tool_use":
                calls.append([e["content_block"]["name"], ""])
            if e["type"] == "content_block_delta":
                text += e["delta"].get("text", "")
                if e["delta"]["type"] == "input_json_delta":
                    calls[-1][1] += e["delta"]["partial_json"]
        return text, [(n, json.loads(a)) for n, a in calls], decoded[0]["message"]["model"]
    text, calls, finish = "", [], None
    for chunk in decoded:
        part = read_whole(dialect, {**chunk, "candidates": [
            {"content": {"parts": []}, **c} for c in chunk["candidates"]]})
        text += part[0]
        calls += part[1]
        finish = chunk["candidates"][0].get("finishReason") or finish
    assert finish == "STOP"
    return text, calls, decoded[-1]["modelVersion"]
