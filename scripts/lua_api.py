#!/usr/bin/env python3
"""Writes the reference part of docs/lua-api.md from the annotations in lua/types.

    scripts/lua_api.py          rewrites the page
    scripts/lua_api.py --check  fails when the page says something else than the annotations
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "lua-api.md"
MARK = "<!-- The rest of this page is written by scripts/lua_api.py. -->\n"
ORDER = ["client", "http", "ws", "json", "sse", "crypto", "runtime", "login", "shared",
         "accounts", "ir"]


def cell(text):
    return text.replace("|", "\\|").strip()


def split_type(text):
    """Splits `type  description` of an annotation: a type may hold spaces inside brackets."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "<({[") - (c in ">)}]")
        if c == " " and depth == 0 and not text[:i].endswith((",", ":", "|")) \
                and not text[i + 1:].startswith("|"):
            return text[:i], text[i:].strip()
    return text, ""


class Comment:
    """The `---` lines above a function or class."""

    def __init__(self):
        self.text, self.params, self.returns, self.fields, self.name = [], [], [], [], None
        self.last = None  # the list whose entry a further line goes on with

    def take(self, line):
        if match := re.match(r"@param (\S+)\s+(.*)", line):
            self.params.append((match[1], *split_type(match[2])))
            self.last = self.params
        elif match := re.match(r"@return (.*)", line):
            self.returns.append(split_type(match[1]))
            self.last = self.returns
        elif match := re.match(r"@field (\[.*?\]:?|\S+)\s+(.*)", line):
            self.fields.append((match[1], *split_type(match[2])))
            self.last = self.fields
        elif match := re.match(r"@class (\S+)", line):
            self.name = match[1]
        elif match := re.match(r"@alias (.*)", line):
            self.text.append(f"`{match[1]}`")
        elif not line.startswith("@"):
            if self.last and line.startswith("  "):
                *head, text = self.last[-1]
                self.last[-1] = (*head, f"{text} {line.strip()}")
            else:
                self.text.append(line.strip())


def write_class(out, comment):
    out.append(f"### {comment.name}\n")
    if comment.text:
        out.append(" ".join(comment.text) + "\n")
    if comment.fields:
        out.append("| field | type | |\n|---|---|---|")
        for name, kind, text in comment.fields:
            out.append(f"| `{name}` | `{cell(kind)}` | {cell(text)} |")
        out.append("")


def write_function(out, signature, comment):
    out.append(f"#### `{signature}`\n")
    if comment.text:
        out.append(" ".join(comment.text) + "\n")
    for name, kind, text in comment.params:
        out.append(f"- `{name}`: `{kind}`{' – ' + text if text else ''}")
    for kind, text in comment.returns:
        out.append(f"- returns `{kind}`{' ' + text if text else ''}")
    if comment.params or comment.returns:
        out.append("")


def module(path):
    out = [f"## {path.stem}\n"]
    comment = Comment()
    for line in path.read_text().splitlines():
        if line.startswith("---@meta"):
            continue
        if line.startswith("---"):
            comment.take(line[3:])
            continue
        if match := re.match(r"function ([\w.:]+)(\(.*\)) end", line):
            write_function(out, match[1] + match[2], comment)
        elif comment.name:
            write_class(out, comment)
        elif comment.text:
            out.append(" ".join(comment.text) + "\n")
        comment = Comment()
    if comment.name:
        write_class(out, comment)
    return "\n".join(out).rstrip() + "\n"


def main():
    files = {p.stem: p for p in (ROOT / "lua" / "types").glob("*.lua")}
    names = [n for n in ORDER if n in files] + sorted(set(files) - set(ORDER))
    page = PAGE.read_text()
    intro = page[:page.index(MARK) + len(MARK)]
    wanted = intro + "\n" + "\n".join(module(files[n]) for n in names)
    if "--check" not in sys.argv:
        PAGE.write_text(wanted)
    elif page != wanted:
        sys.exit("docs/lua-api.md is not what lua/types says: run scripts/lua_api.py")
    print("1 passed, 0 failed")


main()
