"""Chat Completions, as OpenAI and the stricter of the compatible servers take it."""
import re

from .common import CARRIER, openai_schema

BODY = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls",
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "frequency_penalty",
    "presence_penalty", "seed", "logit_bias", "n", "stop", "logprobs", "top_logprobs",
    "reasoning_effort", "response_format", "modalities", "audio", "prediction", "verbosity",
    "user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention",
    "service_tier", "store", "web_search_options", "functions", "function_call",
    "image_config"}  # the last one is an extension, of those that make images
MESSAGE = {
    "system": {"role", "content", "name"}, "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"},
    "tool": {"role", "content", "tool_call_id"}, "function": {"role", "content", "name"}}
PARTS = {
    "system": {"text"}, "developer": {"text"}, "tool": {"text"}, "function": set(),
    "user": {"text", "image_url", "input_audio", "file"}, "assistant": {"text", "refusal"}}
PART = {
    "text": {"type", "text"}, "refusal": {"type", "refusal"}, "image_url": {"type", "image_url"},
    "input_audio": {"type", "input_audio"}, "file": {"type", "file"}}
NAME = r"[A-Za-z0-9_-]{1,64}"
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh"}
# Vendors whose models take their own thoughts back.
KEEPS_REASONING = re.compile(r"^(.*/)?(glm|kimi|deepseek)")
NEEDS_REASONING = re.compile(r"^(.*/)?kimi")
REASONERS = re.compile(r"^(o\d|gpt-5)")


def check_part(found, where, part, role):
    if not isinstance(part, dict):
        return found.add(where, "a part must be an object")
    kind = part.get("type")
    if not found.one_of(f"{where}.type", kind, PARTS[role]):
        return
    found.only(where, part, PART[kind])
    if kind in ("text", "refusal"):
        found.string(f"{where}.{kind}", part.get(kind), empty=True)
    elif kind == "image_url":
        inner = part["image_url"]
        if found.only(where, inner, {"url", "detail"}):
            found.data_url(f"{where}.url", inner.get("url"))
            if "detail" in inner:
                found.one_of(f"{where}.detail", inner["detail"], {"auto", "low", "high"})
    elif kind == "input_audio":
        inner = part["input_audio"]
        if found.only(where, inner, {"data", "format"}):
            found.one_of(f"{where}.format", inner.get("format"), {"wav", "mp3"})
            found.base64(f"{where}.data", inner.get("data"))
    elif found.only(where, part["file"], {"file_data", "file_id", "filename"}):
        inner = part["file"]
        found.check("file_data" in inner or "file_id" in inner, where, "a file without data")
        if "file_data" in inner:
            found.string(where, inner["file_data"], r"(?s)data:[\w/+.-]+;base64,.*")
            found.string(f"{where}.filename", inner.get("filename"))


def check_content(found, where, message, role):
    content = message.get("content")
    if content is None:
        found.check(role == "assistant" and "content" in message
                    and (message.get("tool_calls") or message.get("refusal")
                         or message.get("audio")), where, "content is missing")
    elif isinstance(content, list):
        found.check(content, where, "content is an empty list")
        for i, part in enumerate(content):
            check_part(found, f"{where}.content[{i}]", part, role)
    else:
        found.string(f"{where}.content", content, empty=True)


def check_call(found, where, call):
    kind = call.get("type")
    if not found.one_of(f"{where}.type", kind, {"function", "custom"}):
        return
    # Some SDKs send calls back with the index that they had in the stream.
    found.only(where, call, {"id", "type", kind, "index"})
    found.string(f"{where}.id", call.get("id"))
    found.check(len(call.get("id") or "") <= 64, f"{where}.id", "is too long")
    inner = call.get(kind)
    words = "arguments" if kind == "function" else "input"
    if found.only(where, inner, {"name", words}):
        found.string(f"{where}.name", inner.get("name"), NAME)
        found.string(f"{where}.{words}", inner.get(words), empty=kind == "custom")


def check_assistant(found, where, message, model):
    calls = message.get("tool_calls")
    if "tool_calls" in message and found.list(f"{where}.tool_calls", calls, 1):
        for i, call in enumerate(calls):
            check_call(found, f"{where}.tool_calls[{i}]", call)
        found.unique(f"{where}.tool_calls", [c.get("id") for c in calls])
        if NEEDS_REASONING.match(model):
            found.check(message.get("reasoning_content"), where,
                        "reasoning_content is missing in assistant tool call message")
    else:
        found.check(message.get("content") not in ("", None) or message.get("refusal")
                    or message.get("audio"), where, "an assistant message without anything")


def check_messages(found, messages, model):
    """Each message by itself, and calls with their results directly behind them."""
    waiting, called_at = [], None
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        role = message.get("role") if isinstance(message, dict) else None
        if not found.one_of(f"{where}.role", role, MESSAGE):
            continue
        allowed = MESSAGE[role]
        if role == "assistant" and KEEPS_REASONING.match(model):
            allowed = allowed | {"reasoning_content"}
        found.only(where, message, allowed)
        check_content(found, where, message, role)
        if role == "tool":
            call = message.get("tool_call_id")
            found.check(called_at is not None, where,
                        "messages with role 'tool' must be a response to a preceding message "
                        "with 'tool_calls'")
            if found.check(call in waiting, where, f"no call {call!r} is waiting"):
                waiting.remove(call)
            continue
        found.check(not waiting, where, "an assistant message with 'tool_calls' must be followed "
                    f"by tool messages responding to each: {waiting}")
        waiting, called_at = [], None
        if role == "assistant":
            check_assistant(found, where, message, model)
            waiting = [c.get("id") for c in message.get("tool_calls") or []]
            called_at = i if waiting else None
    found.check(not waiting, "messages", f"calls without a result: {waiting}")


def check_tool(found, where, tool):
    kind = tool.get("type")
    if not found.one_of(f"{where}.type", kind, {"function", "custom"}):
        return None
    found.only(where, tool, {"type", kind})
    inner = tool.get(kind)
    allowed = {"name", "description", "parameters", "strict"} if kind == "function" \
        else {"name", "description", "format"}
    if not found.only(where, inner, allowed):
        return None
    found.string(f"{where}.name", inner.get("name"), NAME)
    if "description" in inner:
        found.string(f"{where}.description", inner["description"], empty=True)
    if "parameters" in inner:
        openai_schema(found, f"{where}.parameters", inner["parameters"], inner.get("strict"))
    return inner.get("name")


def check_tools(found, body):
    if "tools" not in body:
        for name in ("tool_choice", "parallel_tool_calls"):
            found.check(name not in body, name, "is only allowed when 'tools' are specified")
        return
    if not found.list("tools", body["tools"], 1):
        return
    names = [check_tool(found, f"tools[{i}]", t) for i, t in enumerate(body["tools"])]
    found.unique("tools", names)
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, str):
        found.one_of("tool_choice", choice, {"auto", "none", "required"})
    elif choice.get("type") in ("function", "custom"):
        kind = choice["type"]
        found.only("tool_choice", choice, {"type", kind})
        found.check(choice.get(kind, {}).get("name") in names, "tool_choice", "names no tool")
    else:
        found.one_of("tool_choice.type", choice.get("type"), {"allowed_tools"})
    found.boolean("", body, "parallel_tool_calls")


def check_format(found, native):
    kind = native.get("type")
    if kind != "json_schema":
        found.one_of("response_format.type", kind, {"text", "json_object"})
        found.only("response_format", native, {"type"})
        return
    inner = native.get("json_schema")
    if found.only("response_format.json_schema", inner,
                  {"name", "description", "schema", "strict"}):
        found.string("response_format.json_schema.name", inner.get("name"), NAME)
        openai_schema(found, "response_format", inner.get("schema"), inner.get("strict"))


def check_settings(found, body, model):
    found.number("", body, "temperature", 0, 2)
    found.number("", body, "top_p", 0, 1)
    found.number("", body, "n", 1, 128, integer=True)
    found.number("", body, "top_logprobs", 0, 20, integer=True)
    found.number("", body, "max_tokens", 1, 10**9, integer=True)
    found.number("", body, "max_completion_tokens", 1, 10**9, integer=True)
    for name in ("frequency_penalty", "presence_penalty"):
        found.number("", body, name, -2, 2)
    found.check(not {"max_tokens", "max_completion_tokens"} <= set(body), "max_tokens",
                "cannot be set together with max_completion_tokens")
    found.check("top_logprobs" not in body or body.get("logprobs") is True, "top_logprobs",
                "needs logprobs")
    found.boolean("", body, "stream")
    found.boolean("", body, "logprobs")
    found.check("stream_options" not in body or body.get("stream") is True, "stream_options",
                "is only allowed when 'stream' is enabled")
    if "stream_options" in body:
        found.only("stream_options", body["stream_options"],
                   {"include_usage", "include_obfuscation"})
    found.check("image_config" not in body or "image" in body.get("modalities", ()), "image_config",
                "unknown member")
    stop = body.get("stop")
    if stop is not None and found.list("stop", [stop] if isinstance(stop, str) else stop, 1):
        found.check(isinstance(stop, str) or len(stop) <= 4, "stop", "has more than 4 elements")
    if "reasoning_effort" in body:
        found.one_of("reasoning_effort", body["reasoning_effort"], EFFORTS)
    if "response_format" in body:
        check_format(found, body["response_format"])
    if "user" in body:
        found.string("user", body["user"])
    if REASONERS.match(model):
        for name in ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty",
                     "logprobs", "stop"):
            found.check(name not in body, name, f"is not supported with {model}")


def check(found, body, request):
    found.check(request.path.endswith("/chat/completions"), request.path, "unknown path")
    found.only("", body, BODY)
    model = body.get("model")
    if not found.string("model", model):
        return
    if found.list("messages", body.get("messages"), 1):
        check_messages(found, body["messages"], model)
    check_tools(found, body)
    check_settings(found, body, model)
    found.check(not CARRIER.search(request.body.decode("utf-8", "replace")), "",
                "a carrier of somebody else's signature")
