#!/usr/bin/env python3
"""Fails when an #include goes against the order of the layers.

Arrows point down only: app, then script, then net, store and config, which do not know each other,
then codec, then base.  Only src/script knows Lua.  Each foreign library has its layers too.
Prints `file:line: what` for each offence, and a summary in the form of the other test parts.
"""
import pathlib
import re
import sys

MAY_USE = {
    "base": {"base"},
    "codec": {"base", "codec"},
    "config": {"base", "codec", "config"},
    "store": {"base", "codec", "store"},
    "net": {"base", "codec", "net"},
    "script": {"base", "codec", "config", "store", "net", "script"},
    "app": {"base", "codec", "config", "store", "net", "script", "app"},
}

# Foreign headers and the layers that may include them; what is not named here is open to all.
FOREIGN = [
    (re.compile(r"^(lua(5\.4)?/)?(lua|lauxlib|lualib|luaconf)\.h(pp)?$"), {"script"}),
    (re.compile(r"^llhttp\.h$"), {"net"}),
    (re.compile(r"^curl/"), {"net"}),
    (re.compile(r"^yaml\.h$"), {"config"}),
    (re.compile(r"^sqlite3\.h$"), {"store"}),
    (re.compile(r"^libpq-fe\.h$"), {"net"}),
]
NOT_BASE = re.compile(r"^(uv|yaml|zlib|zstd|sqlite3)\.h$|^(openssl|brotli|curl)/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def offence(root, file, layer, form, name):
    if form == '"':
        target = name.split("/")[0]
        if "/" not in name:
            target = layer if (file.parent / name).exists() else None
        if target not in MAY_USE:
            return f'"{name}" is not a header of a layer (write "layer/header.h")'
        if target not in MAY_USE[layer]:
            return f"{layer} must not know {target} ({name})"
        if not (root / name).exists() and not (file.parent / name).exists():
            return f'"{name}" does not exist'
        return None
    for pattern, layers in FOREIGN:
        if pattern.match(name) and layer not in layers:
            return f"<{name}> belongs to {', '.join(sorted(layers))}, not to {layer}"
    if layer == "base" and NOT_BASE.match(name):
        return f"base uses libc only, not <{name}>"
    return None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        pathlib.Path(__file__).resolve().parent.parent) / "src"
    files = bad = 0
    for file in sorted(p for p in root.rglob("*") if p.suffix in (".c", ".h")):
        layer = file.relative_to(root).parts[0]
        files += 1
        wrong = False
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            what = match and (f"src/{layer} is not a layer" if layer not in MAY_USE else
                              offence(root, file, layer, *match.groups()))
            if what:
                print(f"{file.relative_to(root.parent)}:{number}: {what}")
                wrong = True
        bad += wrong
    print(f"includes: {files - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
