"""The Responses API, as Codex' upstreams take it: streamed, nothing stored."""
import re

from .common import CARRIER, openai_schema

BODY = {
    "model", "input", "instructions", "stream", "store", "include", "tools", "tool_choice",
    "parallel_tool_calls", "max_output_tokens", "max_tool_calls", "temperature", "top_p",
    "top_logprobs", "reasoning", "text", "truncation", "metadata", "user", "safety_identifier",
    "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "service_tier",
    "background", "previous_response_id", "conversation", "context_management", "prompt",
    "stream_options", "client_metadata"}
# What the backend of ChatGPT does not know.
BACKEND_REFUSES = {
    "max_output_tokens", "temperature", "top_p", "user", "metadata", "truncation",
    "previous_response_id", "safety_identifier", "context_management", "prompt_cache_retention"}
NAME = r"[A-Za-z0-9_-]{1,128}"
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
INPUT = {"input_text": {"text", "prompt_cache_breakpoint"},
         "input_image": {"image_url", "file_id", "detail", "prompt_cache_breakpoint"},
         "input_file": {"file_data", "file_id", "file_url", "filename", "prompt_cache_breakpoint"},
         "input_audio": {"input_audio"}}
OUTPUT = {"output_text": {"text", "annotations", "logprobs"}, "refusal": {"refusal"}}
ITEMS = {
    "message": {"role", "content", "phase"},
    "reasoning": {"summary", "content", "encrypted_content"},
    "function_call": {"call_id", "name", "namespace", "arguments"},
    "custom_tool_call": {"call_id", "name", "namespace", "input"},
    "function_call_output": {"call_id", "output"},
    "custom_tool_call_output": {"call_id", "output"},
    "web_search_call": {"action"}, "image_generation_call": {"result"},
    "item_reference": set(), "compaction": {"encrypted_content"},
    "additional_tools": {"role", "tools"},
    "tool_search_call": {"call_id", "execution", "arguments"},
    "tool_search_output": {"call_id", "execution", "tools"}}
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output",
         "tool_search_call": "tool_search_output"}
IDS = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc",
       "function_call_output": "fc", "custom_tool_call_output": "ctc"}
REASONERS = re.compile(r"^(o\d|gpt-5|codex)")


def check_part(found, where, part, kinds):
    if not isinstance(part, dict):
        return found.add(where, "a part must be an object")
    kind = part.get("type")
    if not found.one_of(f"{where}.type", kind, kinds):
        return
    found.only(where, part, kinds[kind] | {"type"})
    if kind in ("input_text", "output_text"):
        found.string(f"{where}.text", part.get("text"), empty=kind == "output_text")
    elif kind == "refusal":
        found.string(f"{where}.refusal", part.get("refusal"))
    elif kind == "input_image" and "file_id" not in part:
        found.data_url(f"{where}.image_url", part.get("image_url"))
        if "detail" in part:
            found.one_of(f"{where}.detail", part["detail"], {"auto", "low", "high", "original"})
    elif kind == "input_file":
        found.check({"file_data", "file_id", "file_url"} & set(part), where, "a file without data")
        if "file_data" in part:
            found.string(f"{where}.file_data", part["file_data"],
                         r"(?s)data:[\w/+.-]+;base64,.*")
            found.string(f"{where}.filename", part.get("filename"))


def check_message(found, where, item):
    role = item.get("role")
    if not found.one_of(f"{where}.role", role, {"user", "assistant", "system", "developer"}):
        return
    content = item.get("content")
    if isinstance(content, str):
        found.string(f"{where}.content", content)
        return
    if found.list(f"{where}.content", content, 1):
        for i, part in enumerate(content):
            check_part(found, f"{where}.content[{i}]", part,
                       OUTPUT if role == "assistant" else INPUT)
    if "phase" in item:
        found.one_of(f"{where}.phase", item["phase"], {"commentary", "final", "final_answer"})


def check_reasoning(found, where, item, following):
    found.list(f"{where}.summary", item.get("summary"))
    blob = item.get("encrypted_content")
    if found.string(f"{where}.encrypted_content", blob):
        found.check(blob.startswith("gAAAA"), where, "the encrypted content could not be verified")
    kind = following.get("type", "message") if following else None
    found.check(kind in ("reasoning", "message", "function_call", "custom_tool_call",
                         "web_search_call", "image_generation_call")
                and (kind != "message" or following.get("role") == "assistant"), where,
                "was provided without its required following item")


def check_items(found, items):
    waiting = {}
    for i, item in enumerate(items):
        where = f"input[{i}]"
        if not found.check(isinstance(item, dict), where, "must be an object"):
            continue
        kind = item.get("type", "message")
        if not found.one_of(f"{where}.type", kind, ITEMS):
            continue
        found.only(where, item, ITEMS[kind] | {"type", "id", "status"})
        if item.get("id") is not None:
            found.string(f"{where}.id", item["id"], IDS.get(kind, "") + r".{1,61}")
        if kind == "message":
            check_message(found, where, item)
        elif kind == "reasoning":
            check_reasoning(found, where, item, items[i + 1] if i + 1 < len(items) else None)
        elif kind in CALLS:
            found.string(f"{where}.call_id", item.get("call_id"), r".{1,64}")
            if kind == "tool_search_call":
                found.check(isinstance(item.get("arguments"), dict), where, "must be an object")
            else:
                found.string(f"{where}.name", item.get("name"), NAME)
                words = "arguments" if kind == "function_call" else "input"
                found.string(f"{where}.{words}", item.get(words), empty=kind == "custom_tool_call")
            found.check(item.get("call_id") not in waiting, where, "the call's id is used twice")
            waiting[item.get("call_id")] = CALLS[kind]
        elif kind in CALLS.values():
            found.check(waiting.pop(item.get("call_id"), None) == kind, where,
                        f"No tool call found for call_id {item.get('call_id')}")
            output = item.get("output")
            if kind == "tool_search_output":
                for k, tool in enumerate(item.get("tools") or []):
                    check_tool(found, f"{where}.tools[{k}]", tool)
            elif isinstance(output, list):
                for k, part in enumerate(output):
                    check_part(found, f"{where}.output[{k}]", part, INPUT)
            else:
                found.string(f"{where}.output", output, empty=True)
    for call in waiting:
        found.add("input", f"No tool output found for function call {call}")


def check_tool(found, where, tool):
    kind = tool.get("type")
    if kind == "function":
        found.only(where, tool, {"type", "name", "description", "parameters", "strict",
                                 "defer_loading", "output_schema"})
        found.string(f"{where}.name", tool.get("name"), NAME)
        found.check("parameters" in tool, where, "parameters are missing")
        if tool.get("parameters") is not None:
            openai_schema(found, f"{where}.parameters", tool["parameters"], tool.get("strict"))
        found.boolean(f"{where}.", tool, "strict")
        return [tool.get("name")]
    if kind == "custom":
        found.only(where, tool, {"type", "name", "description", "format"})
        found.string(f"{where}.name", tool.get("name"), NAME)
        return [tool.get("name")]
    if kind == "namespace":
        found.only(where, tool, {"type", "name", "description", "tools"})
        found.string(f"{where}.name", tool.get("name"), r"[A-Za-z0-9_-]{1,64}")
        return [f"{tool.get('name')}.{n}" for i, t in enumerate(tool.get("tools") or [])
                for n in check_tool(found, f"{where}.tools[{i}]", t)]
    found.one_of(f"{where}.type", kind, {"web_search", "image_generation", "code_interpreter",
                                         "tool_search", "local_shell", "file_search", "mcp"})
    return [kind]


def check_tools(found, body):
    tools = body.get("tools")
    if not tools:
        found.check(not isinstance(body.get("tool_choice"), dict), "tool_choice", "without tools")
        found.check(body.get("tool_choice") != "required", "tool_choice", "without tools")
        return
    names = [n for i, t in enumerate(tools) for n in check_tool(found, f"tools[{i}]", t)]
    found.unique("tools", names)
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, str):
        found.one_of("tool_choice", choice, {"auto", "none", "required"})
    elif choice.get("type") in ("function", "custom"):
        found.only("tool_choice", choice, {"type", "name"})
        found.check(choice.get("name") in names, "tool_choice", "names no tool")
    elif choice.get("type") == "allowed_tools":
        found.only("tool_choice", choice, {"type", "mode", "tools"})
        found.one_of("tool_choice.mode", choice.get("mode"), {"auto", "required"})
    else:
        found.one_of("tool_choice.type", choice.get("type"), set(names))


def check_settings(found, body):
    found.number("", body, "max_output_tokens", 1, 10**9, integer=True)
    found.number("", body, "top_logprobs", 0, 20, integer=True)
    found.number("", body, "temperature", 0, 2)
    found.number("", body, "top_p", 0, 1)
    found.boolean("", body, "parallel_tool_calls")
    # Codex of 2025 says null, which OpenAI's own types allow.
    if body.get("reasoning") is not None and found.only(
            "reasoning", body["reasoning"],
            {"effort", "summary", "context", "mode", "generate_summary"}):
        if "effort" in body["reasoning"]:
            found.one_of("reasoning.effort", body["reasoning"]["effort"], EFFORTS)
        if "summary" in body["reasoning"]:
            found.one_of("reasoning.summary", body["reasoning"]["summary"],
                         {"auto", "concise", "detailed", "none"})
    if "text" in body and found.only("text", body["text"], {"format", "verbosity"}):
        native = body["text"].get("format", {"type": "text"})
        if native.get("type") == "json_schema":
            found.only("text.format", native, {"type", "name", "description", "schema", "strict"})
            found.string("text.format.name", native.get("name"), r"[A-Za-z0-9_-]{1,64}")
            openai_schema(found, "text.format.schema", native.get("schema"), native.get("strict"))
        else:
            found.one_of("text.format.type", native.get("type"), {"text", "json_object"})
            found.only("text.format", native, {"type"})
    if "prompt_cache_key" in body:
        found.string("prompt_cache_key", body["prompt_cache_key"])


def check(found, body, request):
    if request.path.endswith("/compact"):
        return
    found.check(request.path.endswith("/responses"), request.path, "unknown path")
    found.only("", body, BODY)
    found.string("model", body.get("model"))
    found.check(body.get("stream") is True, "stream", "must be set to true")
    found.check(body.get("store") is False, "store", "must be set to false")
    found.check("reasoning.encrypted_content" in (body.get("include") or []), "include",
                "without the encrypted content the next turn cannot go on")
    found.check(body.get("previous_response_id") is None, "previous_response_id",
                "nothing is stored")
    backend = "/backend-api/" in request.path
    if backend:
        found.string("instructions", body.get("instructions"), empty=True)
        for name in sorted(BACKEND_REFUSES & set(body)):
            found.add(name, "Unsupported parameter")
    elif "instructions" in body:
        found.string("instructions", body["instructions"], empty=True)
    given = body.get("input")
    if isinstance(given, str) and not backend:
        found.string("input", given)
    elif found.list("input", given, 1):
        check_items(found, given)
    check_tools(found, body)
    check_settings(found, body)
    if REASONERS.match(body.get("model") or ""):
        for name in ("temperature", "top_p", "top_logprobs"):
            found.check(name not in body, name, f"is not supported with {body['model']}")
    found.check(not CARRIER.search(request.body.decode("utf-8", "replace")), "",
                "a carrier of somebody else's signature")
