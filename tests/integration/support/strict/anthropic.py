"""The Messages API of Anthropic."""
import re

from .common import CARRIER, SENTINEL, walk_schema

BODY = {
    "model", "messages", "max_tokens", "system", "metadata", "stop_sequences", "stream",
    "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking", "output_config",
    "service_tier", "container", "context_management", "mcp_servers", "cache_control",
    "inference_geo", "speed", "diagnostics"}
COUNTED = BODY - {"max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences",
                  "metadata"}
ID = r"[A-Za-z0-9_-]+"
NAME = r"[A-Za-z0-9_-]{1,128}"
BLOCK = {
    "text": {"text", "citations"}, "image": {"source"}, "thinking": {"thinking", "signature"},
    "document": {"source", "title", "context", "citations"},
    "search_result": {"source", "title", "content", "citations"},
    "redacted_thinking": {"data"}, "tool_use": {"id", "name", "input", "caller"},
    "tool_result": {"tool_use_id", "content", "is_error"}, "tool_reference": {"tool_name"},
    "server_tool_use": {"id", "name", "input", "caller"},
    "web_search_tool_result": {"tool_use_id", "content", "caller"},
    "web_fetch_tool_result": {"tool_use_id", "content", "caller"},
    "code_execution_tool_result": {"tool_use_id", "content"}}
USER = {"text", "image", "document", "search_result", "tool_result"}
ASSISTANT = {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use",
             "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"}
RESULT = {"text", "image", "document", "search_result", "tool_reference"}
SOURCE = {"base64": {"media_type", "data"}, "url": {"url"}, "file": {"file_id"},
          "text": {"media_type", "data"}, "content": {"content"}}
SERVER_TOOL = re.compile(r"[a-z_]+_20\d{6}")
TOOL = {"type", "name", "description", "input_schema", "strict", "cache_control", "defer_loading",
        "input_examples", "eager_input_streaming", "allowed_callers"}
EFFORTS = {"low", "medium", "high", "xhigh", "max"}

# Generations of models differ in what they refuse; nobody knows about models with other names.
KNOWN = re.compile(r"claude-")
ADAPTIVE = re.compile(r"claude-\w+-(4[-.][6-9]|[5-9])")
ADAPTIVE_ONLY = re.compile(r"claude-(opus-4[-.][7-9]|\w+-[5-9])")
STRUCTURED = re.compile(r"claude-\w+-(4[-.][5-9]|[5-9])")
MID_SYSTEM = re.compile(r"claude-opus-(4[-.][89]|[5-9])")


class Talk:
    """One request on its way through the checks."""

    def __init__(self, found, body, request):
        self.found, self.body, self.request = found, body, request
        self.model = body.get("model") or ""
        self.marks = 0

    def mark(self, where, value):
        self.marks += 1
        if self.found.only(where, value, {"type", "ttl", "scope"}):
            self.found.one_of(f"{where}.type", value.get("type"), {"ephemeral"})
            if "ttl" in value:
                self.found.one_of(f"{where}.ttl", value["ttl"], {"5m", "1h"})

    def source(self, where, source, kind):
        found = self.found
        if not found.check(isinstance(source, dict), where, "must be an object"):
            return
        form = source.get("type")
        if not found.one_of(f"{where}.type", form, SOURCE):
            return
        found.only(where, source, SOURCE[form] | {"type"})
        if form == "base64" and kind == "image":
            found.image(where, source.get("media_type"), source.get("data"))
        elif form == "base64":
            found.one_of(f"{where}.media_type", source.get("media_type"), {"application/pdf"})
            found.base64(f"{where}.data", source.get("data"))
        elif form == "text":
            found.one_of(f"{where}.media_type", source.get("media_type"), {"text/plain"})
        elif form == "url":
            found.string(f"{where}.url", source.get("url"), r"https?://.*")

    def block(self, where, block, kinds):
        found = self.found
        if not found.check(isinstance(block, dict), where, "must be an object"):
            return
        kind = block.get("type")
        if not found.one_of(f"{where}.type", kind, kinds):
            return
        found.only(where, block, BLOCK[kind] | {"type", "cache_control"})
        if block.get("cache_control") is not None:
            found.check(kind not in ("thinking", "redacted_thinking"), where,
                        "cache_control cannot be set for thinking")
            self.mark(f"{where}.cache_control", block["cache_control"])
        check = getattr(self, "check_" + kind, None)
        if check:
            check(where, block)

    def check_text(self, where, block):
        text = block.get("text")
        if self.found.string(f"{where}.text", text):
            self.found.check(text.strip(), where, "text content blocks must contain "
                             "non-whitespace text")

    def check_image(self, where, block):
        self.source(f"{where}.source", block.get("source"), "image")

    def check_document(self, where, block):
        self.source(f"{where}.source", block.get("source"), "document")

    def check_thinking(self, where, block):
        self.found.string(f"{where}.thinking", block.get("thinking"), empty=True)
        signature = block.get("signature")
        if self.found.string(f"{where}.signature", signature):
            self.found.check(not CARRIER.match(signature) and signature != SENTINEL
                             and not signature.startswith("gAAAA"), where,
                             "Invalid `signature` in `thinking` block")
            self.found.base64(f"{where}.signature", signature)

    def check_redacted_thinking(self, where, block):
        if self.found.string(f"{where}.data", block.get("data")):
            self.found.check(not CARRIER.match(block["data"]), where, "Invalid `data`")

    def check_tool_use(self, where, block):
        self.found.string(f"{where}.id", block.get("id"), ID)
        self.found.string(f"{where}.name", block.get("name"), NAME)
        self.found.check(isinstance(block.get("input"), dict), f"{where}.input",
                         "must be an object")

    def check_tool_result(self, where, block):
        self.found.string(f"{where}.tool_use_id", block.get("tool_use_id"), ID)
        self.found.boolean(f"{where}.", block, "is_error")
        content = block.get("content")
        if isinstance(content, list):
            for i, part in enumerate(content):
                self.block(f"{where}.content[{i}]", part, RESULT)
        elif content is not None:
            self.found.string(f"{where}.content", content, empty=True)

    def check_web_search_tool_result(self, where, block):
        for i, hit in enumerate(block["content"] if isinstance(block.get("content"), list) else []):
            self.found.string(f"{where}.content[{i}].encrypted_content",
                              hit.get("encrypted_content"))

    # --- the talk as a whole ----------------------------------------------------------------------

    def content(self, where, message):
        """The blocks of a message; a string is one of text."""
        role, content = message["role"], message.get("content")
        if isinstance(content, str):
            self.found.check(content.strip(), where, "text content must be non-empty")
            return [{"type": "text", "text": content}]
        if not self.found.list(f"{where}.content", content, 1):
            return []
        kinds = {"user": USER, "assistant": ASSISTANT, "system": {"text"}}[role]
        for i, block in enumerate(content):
            self.block(f"{where}.content[{i}]", block, kinds)
        return [b for b in content if isinstance(b, dict)]

    def messages(self):
        found, messages = self.found, self.body.get("messages")
        if not found.list("messages", messages, 1):
            return
        waiting, seen, joined = [], [], []
        for i, message in enumerate(messages):
            where = f"messages[{i}]"
            if not found.only(where, message, {"role", "content", "output_config"}):
                continue
            roles = {"user", "assistant"}
            if not KNOWN.match(self.model) or MID_SYSTEM.match(self.model):
                roles = roles | {"system"}
            if not found.one_of(f"{where}.role", message.get("role"), roles):
                continue
            blocks = self.content(where, message)
            if joined and joined[-1][0] == message["role"]:
                joined[-1][1].extend(blocks)
            else:
                joined.append((message["role"], list(blocks)))
        found.check(joined and joined[0][0] != "assistant", "messages",
                    "the first message must use the user role")
        for i, (role, blocks) in enumerate(joined):
            kinds = [b.get("type") for b in blocks]
            results = [b.get("tool_use_id") for b in blocks if b.get("type") == "tool_result"]
            if role == "user":
                found.check("tool_result" not in kinds[len(results):], "messages",
                            "tool_result blocks must come before other content")
            lacking = [c for c in waiting if c not in results]
            found.check(not lacking, "messages", "`tool_use` ids were found without `tool_result` "
                        f"blocks immediately after: {lacking}")
            for call in results:
                found.check(call in waiting, "messages", "unexpected `tool_use_id` found in "
                            f"`tool_result` blocks: {call}")
            found.unique("tool_result", results)
            waiting = [b.get("id") for b in blocks if b.get("type") == "tool_use"]
            seen += waiting
        found.check(not waiting, "messages", f"`tool_use` without `tool_result`: {waiting}")
        found.unique("messages: `tool_use` ids must be unique", seen)
        self.ending(joined)

    def ending(self, joined):
        role, blocks = joined[-1] if joined else ("user", [])
        if role == "assistant":
            self.found.check(not ADAPTIVE.match(self.model), "messages",
                             "This model does not support assistant message prefill")
            text = blocks[-1].get("text", "") if blocks else ""
            self.found.check(text == text.rstrip(), "messages",
                             "final assistant content cannot end with trailing whitespace")
            self.found.check(not self.thinks(), "messages", "no prefill while thinking")
        if (self.body.get("thinking") or {}).get("type") == "enabled" and len(joined) > 1 \
                and any(b.get("type") == "tool_result" for b in blocks):
            first = joined[-2][1][0].get("type") if joined[-2][1] else None
            self.found.check(first in ("thinking", "redacted_thinking"), "messages",
                             f"Expected `thinking` or `redacted_thinking`, but found `{first}`")

    def thinks(self):
        return (self.body.get("thinking") or {}).get("type") in ("enabled", "adaptive")

    def system(self):
        system = self.body.get("system")
        if isinstance(system, str):
            self.found.string("system", system)
        elif system is not None and self.found.list("system", system, 1):
            for i, block in enumerate(system):
                self.block(f"system[{i}]", block, {"text"})

    # --- tools --------------------------------------------------------------------------------------

    def tool(self, where, tool):
        found, kind = self.found, tool.get("type") or "custom"
        if kind != "custom":
            found.string(f"{where}.type", kind, SERVER_TOOL)
            return
        found.only(where, tool, TOOL)
        found.string(f"{where}.name", tool.get("name"), NAME)
        if "description" in tool:
            found.string(f"{where}.description", tool["description"], empty=True)
        if tool.get("cache_control") is not None:
            self.mark(f"{where}.cache_control", tool["cache_control"])
        schema = tool.get("input_schema")
        if found.check(isinstance(schema, dict), f"{where}.input_schema", "Field required"):
            found.check(schema.get("type") == "object", f"{where}.input_schema",
                        "type must be object")
            for name in ("anyOf", "oneOf", "allOf"):
                found.check(name not in schema, f"{where}.input_schema", "does not support oneOf, "
                            "allOf, or anyOf at the top level")
            walk_schema(found, f"{where}.input_schema", schema, lambda *_: None)

    def tools(self):
        found, tools = self.found, self.body.get("tools")
        choice = self.body.get("tool_choice")
        if tools is None:
            found.check(choice is None, "tool_choice", "may only be specified while providing tools")
            return
        found.list("tools", tools)
        names = [t.get("name") for t in tools]
        found.unique("tools: Tool names must be unique", names)
        for i, tool in enumerate(tools):
            self.tool(f"tools[{i}]", tool)
        if choice is None:
            return
        kind = choice.get("type")
        if not found.one_of("tool_choice.type", kind, {"auto", "any", "tool", "none"}):
            return
        found.only("tool_choice", choice, {"type"} | ({"name"} if kind == "tool" else set())
                   | ({"disable_parallel_tool_use"} if kind != "none" else set()))
        if kind == "tool":
            found.check(choice.get("name") in names, "tool_choice", "names no tool")
        found.check(kind not in ("any", "tool") or not self.thinks(), "tool_choice",
                    "Thinking may not be enabled when tool_choice forces tool use.")

    # --- settings -----------------------------------------------------------------------------------

    def thinking(self):
        found, native = self.found, self.body.get("thinking")
        if native is None:
            return
        kind = native.get("type")
        if not found.one_of("thinking.type", kind, {"enabled", "adaptive", "disabled"}):
            return
        found.only("thinking", native, {"type"} | ({"budget_tokens"} if kind == "enabled" else set())
                   | ({"display"} if kind != "disabled" else set()))
        if "display" in native:
            found.one_of("thinking.display", native["display"], {"summarized", "omitted"})
        if kind == "enabled":
            found.check(not ADAPTIVE_ONLY.match(self.model), "thinking",
                        "this model takes adaptive thinking only")
            found.number("thinking.", native, "budget_tokens", 1024, 10**7, integer=True)
            if found.check("budget_tokens" in native, "thinking.budget_tokens", "Field required"):
                found.check(native["budget_tokens"] < (self.body.get("max_tokens") or 0), "thinking",
                            "`max_tokens` must be greater than `thinking.budget_tokens`")
        if kind == "adaptive" and KNOWN.match(self.model):
            found.check(ADAPTIVE.match(self.model), "thinking", "no adaptive thinking here")
        if self.thinks():
            found.check(self.body.get("temperature", 1) == 1, "temperature",
                        "may only be set to 1 when thinking is enabled")
            found.check("top_k" not in self.body, "top_k", "must be unset when thinking is enabled")
            found.check(self.body.get("top_p", 1) >= 0.95, "top_p", "must be at least 0.95")

    def settings(self):
        found, body = self.found, self.body
        if found.check("max_tokens" in body, "max_tokens", "Field required"):
            found.number("", body, "max_tokens", 0, 128000, integer=True)
        found.number("", body, "temperature", 0, 1)
        found.number("", body, "top_p", 0, 1)
        found.number("", body, "top_k", 0, 10**6, integer=True)
        found.boolean("", body, "stream")
        if KNOWN.match(self.model):
            found.check(not {"temperature", "top_p"} <= set(body), "temperature",
                        "`temperature` and `top_p` cannot both be specified for this model")
        if ADAPTIVE_ONLY.match(self.model):
            for name in ("temperature", "top_p", "top_k"):
                found.check(name not in body, name, "is not supported with this model")
        for i, stop in enumerate(body.get("stop_sequences") or []):
            found.check(isinstance(stop, str) and stop.strip(), f"stop_sequences[{i}]",
                        "each stop sequence must contain non-whitespace")
        if "metadata" in body and found.only("metadata", body["metadata"], {"user_id"}):
            found.string("metadata.user_id", body["metadata"].get("user_id"), r"(?s).{1,256}")
        if "service_tier" in body:
            found.one_of("service_tier", body["service_tier"], {"auto", "standard_only"})
        config = body.get("output_config")
        if config is not None and found.only("output_config", config,
                                             {"effort", "format", "task_budget"}):
            if "effort" in config:
                found.one_of("output_config.effort", config["effort"], EFFORTS)
            if "format" in config and found.only("output_config.format", config["format"],
                                                 {"type", "schema"}):
                found.check(STRUCTURED.match(self.model) or not KNOWN.match(self.model),
                            "output_config.format", "is not supported by this model")
                found.one_of("output_config.format.type", config["format"].get("type"),
                             {"json_schema"})
                walk_schema(found, "output_config.format.schema",
                            config["format"].get("schema"), self.closed)

    def closed(self, where, node):
        for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
                     "minLength", "maxLength", "maxItems", "uniqueItems"):
            self.found.check(name not in node, where, f"property '{name}' is not supported")
        if node.get("type") == "object":
            self.found.check(node.get("additionalProperties") is False, where,
                             "For 'object' type, 'additionalProperties' must be explicitly set to "
                             "false")


def check(found, body, request):
    path = request.path.split("?")[0]
    counting = path.endswith("/v1/messages/count_tokens")
    found.check(counting or path.endswith("/v1/messages"), path, "unknown path")
    found.check(request.header("anthropic-version"), "anthropic-version", "header is required")
    found.only("", body, COUNTED if counting else BODY)
    found.string("model", body.get("model"))
    talk = Talk(found, body, request)
    talk.system()
    talk.messages()
    talk.tools()
    if not counting:
        talk.thinking()
        talk.settings()
    if body.get("cache_control") is not None:
        talk.mark("cache_control", body["cache_control"])
    found.check(talk.marks <= 4, "cache_control",
                f"A maximum of 4 blocks with cache_control may be provided. Found {talk.marks}.")
