"""A small server of tools (Model Context Protocol over standard input): one that writes a file."""
import json
import pathlib
import sys

WRITE = {"name": "write", "description": "Writes a text to a file.", "inputSchema": {
    "type": "object", "required": ["path", "text"],
    "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}}


def result(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "desk", "version": "1"}}
    if method == "tools/list":
        return {"tools": [WRITE]}
    if method == "tools/call":
        pathlib.Path(params["arguments"]["path"]).write_text(params["arguments"]["text"])
        return {"content": [{"type": "text", "text": "written"}]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"],
                          "result": result(message["method"], message.get("params"))}), flush=True)
