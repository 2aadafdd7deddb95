"""Request bodies for the lanes, the same bytes on every run.

    python3 bench/payload.py --size large --dialect chat --stream > body.json

`small` is one question, `medium` 10 KB, `large` the 126 KB request of a coding agent in the middle
of its work: a long system prompt, 25 tools with schemas, and a history of calls and results.
"""

import argparse
import json
import sys

SIZES = {"small": 0, "medium": 10 * 1024, "large": 126 * 1024}
TOOLS = {"small": 0, "medium": 4, "large": 25}
SYSTEM_WORDS = {"small": 8, "medium": 300, "large": 2000}

WORDS = (
    "the build of this module reads a file and returns when every test has passed while its caller "
    "waits for an answer from the server so check which function owns that buffer before you "
    "change it and keep the error path short because a stream may end early or a client may leave "
    "without notice then run all checks again and say what was seen"
).split()
VERBS = ["read", "write", "edit", "search", "list", "run", "fetch", "open", "rename", "review"]
NOUNS = ["file", "folder", "command", "page", "symbol", "notebook", "task", "patch"]
KINDS = ["string", "integer", "boolean", "array", "enum"]


class Source:
    """A small linear generator of its own: the bytes must not depend on the Python version."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def text(self, count):
        words = [WORDS[self.below(len(WORDS))] for _ in range(count)]
        for at in range(11, count, 12):
            words[at] += "." if at % 36 else ".\n\n"
        return " ".join(words)

    def code(self, lines):
        """Looks like source text: quotes, tabs and line ends that JSON has to escape."""
        out = []
        for number in range(lines):
            name = "_".join(WORDS[self.below(len(WORDS))] for _ in range(3))
            out.append(f'{number + 1:4}\t{"    " * self.below(4)}{name}("{self.text(4)}", {self.below(999)});')
        return "\n".join(out)


def parameter(source, kind):
    schema = {"type": kind, "description": source.text(14)}
    if kind == "array":
        schema["items"] = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    if kind == "enum":
        schema.update(type="string", enum=["content", "files", "count"])
    return schema


def tools(source, count):
    made = []
    for number in range(count):
        name = f"{VERBS[number % len(VERBS)]}_{NOUNS[number % len(NOUNS)]}"
        properties = {f"{NOUNS[at]}_{KINDS[at]}": parameter(source, KINDS[at]) for at in range(5)}
        schema = {"type": "object", "properties": properties, "required": [next(iter(properties))],
                  "additionalProperties": False}
        made.append({"name": name if number < 10 else f"{name}_{number}",
                     "description": source.text(90), "schema": schema})
    return made


def rounds(source, budget):
    """The history: (remark, tool number, arguments, result) until about `budget` bytes are used."""
    made = []
    while budget > 0:
        remark = source.text(20)
        arguments = {"file_string": f"src/module_{source.below(90)}.c", "folder_integer": source.below(500)}
        result = source.code(12 + source.below(30))
        made.append((remark, len(made), arguments, result))
        budget -= len(json.dumps([remark, arguments, result])) + 260
    return made


# --- the same conversation in each dialect ---------------------------------------------------

def as_chat(system, question, tool_list, history, tail):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    for number, (remark, tool, arguments, result) in enumerate(history):
        call = {"id": f"call_{number:06}", "type": "function",
                "function": {"name": tool_list[tool % len(tool_list)]["name"], "arguments": json.dumps(arguments)}}
        messages.append({"role": "assistant", "content": remark, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    if tail is not None:
        messages.append({"role": "user", "content": tail})
    body = {"messages": messages}
    if tool_list:
        body["tools"] = [{"type": "function", "function": {
            "name": t["name"], "description": t["description"], "parameters": t["schema"]}} for t in tool_list]
    return body


def as_anthropic(system, question, tool_list, history, tail):
    messages = [{"role": "user", "content": question}]
    for number, (remark, tool, arguments, result) in enumerate(history):
        call = {"type": "tool_use", "id": f"toolu_{number:06}",
                "name": tool_list[tool % len(tool_list)]["name"], "input": arguments}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": remark}, call]})
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call["id"], "content": result}]})
    if tail is not None:
        messages.append({"role": "user", "content": tail})
    body = {"max_tokens": 4096, "system": [{"type": "text", "text": system}], "messages": messages}
    if tool_list:
        body["tools"] = [{"name": t["name"], "description": t["description"], "input_schema": t["schema"]}
                         for t in tool_list]
    return body


def as_responses(system, question, tool_list, history, tail):
    items = [{"role": "user", "content": [{"type": "input_text", "text": question}]}]
    for number, (remark, tool, arguments, result) in enumerate(history):
        items.append({"role": "assistant", "content": [{"type": "output_text", "text": remark}]})
        items.append({"type": "function_call", "call_id": f"call_{number:06}",
                      "name": tool_list[tool % len(tool_list)]["name"], "arguments": json.dumps(arguments)})
        items.append({"type": "function_call_output", "call_id": f"call_{number:06}", "output": result})
    if tail is not None:
        items.append({"role": "user", "content": [{"type": "input_text", "text": tail}]})
    body = {"instructions": system, "input": items, "store": False}
    if tool_list:
        body["tools"] = [{"type": "function", "name": t["name"], "description": t["description"],
                          "parameters": t["schema"]} for t in tool_list]
    return body


def as_gemini(system, question, tool_list, history, tail):
    contents = [{"role": "user", "parts": [{"text": question}]}]
    for _, (remark, tool, arguments, result) in enumerate(history):
        name = tool_list[tool % len(tool_list)]["name"]
        contents.append({"role": "model", "parts": [
            {"text": remark}, {"functionCall": {"name": name, "args": arguments}}]})
        contents.append({"role": "user", "parts": [
            {"functionResponse": {"name": name, "response": {"output": result}}}]})
    if tail is not None:
        contents.append({"role": "user", "parts": [{"text": tail}]})
    body = {"systemInstruction": {"parts": [{"text": system}]}, "contents": contents}
    if tool_list:
        body["tools"] = [{"functionDeclarations": [
            {"name": t["name"], "description": t["description"], "parametersJsonSchema": t["schema"]}
            for t in tool_list]}]
    return body


WRITERS = {"chat": as_chat, "anthropic": as_anthropic, "responses": as_responses, "gemini": as_gemini}


def build(size="small", dialect="chat", stream=False, model="bench-model"):
    """The bytes of one request, exactly SIZES[size] long where that is not 0."""
    source = Source(20)
    system = source.text(SYSTEM_WORDS[size])
    question = source.text(12)
    tool_list = tools(source, TOOLS[size])

    def encode(history, tail):
        body = {}
        if dialect != "gemini":
            body = {"model": model, "stream": stream}
            if dialect == "chat" and stream:
                body["stream_options"] = {"include_usage": True}
        body.update(WRITERS[dialect](system, question, tool_list, history, tail))
        return json.dumps(body, separators=(",", ":")).encode()

    if not SIZES[size]:
        return encode([], None)
    history = rounds(source, SIZES[size] - len(encode([], "")) - 2000)
    while history and len(encode(history, "")) > SIZES[size]:
        history.pop()
    missing = SIZES[size] - len(encode(history, ""))
    filler = source.text(missing).replace("\n\n", "  ")[:missing]
    return encode(history, filler)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--dialect", choices=WRITERS, default="chat")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--model", default="bench-model")
    args = parser.parse_args()
    sys.stdout.buffer.write(build(args.size, args.dialect, args.stream, args.model))


if __name__ == "__main__":
    main()
