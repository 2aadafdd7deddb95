"""What an upstream finds in a program's request: the tools that it may call, and their results."""

# How a tool that takes plain text is offered where there are no such tools.
FREEFORM = {"type": "object", "properties": {"input": {"type": "string"}}}


def told(tools, prefix=""):
    """The tools of a Responses request that can be called, those of namespaces by full names."""
    for tool in tools:
        if tool["type"] == "namespace":
            yield from told(tool["tools"], tool["name"] + "__")
        elif tool["type"] == "function":
            yield prefix + tool["name"], tool.get("parameters") or {}
        elif tool["type"] == "custom":
            yield prefix + tool["name"], FREEFORM
        elif tool["type"] == "tool_search":
            yield "tool_search", tool["parameters"]


def offered(kind, body):
    """What a request offers to call: name to schema."""
    if kind == "chat":
        return {t["function"]["name"]: t["function"].get("parameters") or {}
                for t in body.get("tools") or [] if t["type"] == "function"}
    if kind == "responses":
        later = [t for i in body["input"] if i.get("type") in ("additional_tools", "tool_search_output")
                 for t in i["tools"]]
        return dict(told([*(body.get("tools") or []), *later]))
    if kind == "anthropic":
        return {t["name"]: t.get("input_schema") or {} for t in body.get("tools") or []}
    return {f["name"]: f.get("parametersJsonSchema") or f.get("parameters") or {}
            for t in body.get("tools") or [] for f in t.get("functionDeclarations") or []}


def writing(tools, path, text):
    """Name and arguments of the call that writes the file with what a program offers."""
    for name, argument in (("Write", "file_path"), ("write_file", "file_path"),
                           ("write", "filePath")):
        if name in tools:
            assert {argument, "content"} <= set(tools[name]["properties"]), tools[name]
            return name, {argument: str(path), "content": text}
    script = f"cat > '{path}' <<'END'\n{text}END\n"
    for name, argument in (("exec_command", "cmd"), ("shell_command", "command")):
        if name in tools:
            assert argument in tools[name]["properties"], tools[name]
            return name, {argument: script}
    if "shell" in tools:
        return "shell", {"command": ["bash", "-c", script]}
    raise AssertionError(f"no tool to write with: {sorted(tools)}")


def result_given(kind, body):
    """Whether the talk ends with the result of a tool."""
    if kind == "chat":
        return body["messages"][-1]["role"] == "tool"
    if kind == "responses":
        return any(i.get("type", "").endswith("_output") for i in body["input"])
    if kind == "anthropic":
        return any(b["type"] == "tool_result" for m in body["messages"]
                   if isinstance(m["content"], list) for b in m["content"])
    return any("functionResponse" in p for c in body["contents"] for p in c["parts"])
