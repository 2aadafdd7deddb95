"""What the checkers share."""
import base64
import binascii
import re

IMAGES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8",
          "image/webp": b"RIFF"}
# What this product puts around signatures of others must never reach a vendor.
CARRIER = re.compile(r"\bsc1~[a-z]~")
SENTINEL = "skip_thought_signature_validator"
TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


class Findings:
    def __init__(self):
        self.lines = []

    def add(self, where, text):
        self.lines.append(f"{where}: {text}" if where else text)

    def check(self, fine, where, text):
        if not fine:
            self.add(where, text)
        return bool(fine)

    def only(self, where, value, allowed):
        """True for an object; members that it may not have are found."""
        if not self.check(isinstance(value, dict), where, "must be an object"):
            return False
        for name in value:
            self.check(name in allowed, where, f"unknown member {name!r}")
            # No API knows null where a member can be left out, but for those that say so.
        return True

    def string(self, where, value, pattern=None, empty=False):
        if not self.check(isinstance(value, str), where, f"must be a string, not {value!r}"):
            return False
        if not self.check(value or empty, where, "must not be empty"):
            return False
        return self.check(pattern is None or re.fullmatch(pattern, value), where,
                          f"{value!r} does not match {pattern}")

    def one_of(self, where, value, allowed):
        return self.check(isinstance(value, str) and value in allowed, where,
                          f"{value!r} is none of {sorted(allowed)}")

    def number(self, where, body, name, low, high, integer=False):
        if name not in body:
            return
        value, kinds = body[name], int if integer else (int, float)
        if self.check(isinstance(value, kinds) and not isinstance(value, bool), f"{where}{name}",
                      f"must be a number, not {value!r}"):
            self.check(low <= value <= high, f"{where}{name}", f"{value} is not in {low}..{high}")

    def boolean(self, where, body, name):
        if name in body:
            self.check(isinstance(body[name], bool), f"{where}{name}", "must be a boolean")

    def list(self, where, value, least=0):
        return self.check(isinstance(value, list), where, "must be a list") \
            and self.check(len(value) >= least, where, f"must have {least} or more elements")

    def unique(self, where, values):
        for value in {v for v in values if values.count(v) > 1}:
            self.add(where, f"{value!r} is given twice")

    def base64(self, where, text, either=False):
        """The bytes; `either` spelling of the alphabet is fine with some."""
        try:
            if either and isinstance(text, str):
                text = text.replace("-", "+").replace("_", "/")
            return base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError, ValueError):
            self.add(where, "is not base64")
            return None

    def image(self, where, media_type, text, either=False):
        """A picture as base64 whose bytes are what its type says."""
        if not self.one_of(where, media_type, IMAGES):
            return
        data = self.base64(where, text, either)
        if data is not None:
            self.check(data.startswith(IMAGES[media_type]), where, f"the data is no {media_type}")

    def data_url(self, where, url):
        """An image as the OpenAI dialects take it: a web address or a data URL."""
        if not self.string(where, url):
            return
        if url.startswith(("https://", "http://")):
            return
        match = re.fullmatch(r"data:([\w/+.-]+);base64,(.*)", url, re.S)
        if self.check(match, where, f"{url[:60]!r} is no web address and no data URL"):
            self.image(where, match[1], match[2])


def walk_schema(found, where, schema, visit):
    """Visits a JSON Schema and all schemas in it."""
    if isinstance(schema, bool):
        return
    if not found.check(isinstance(schema, dict), where, "a schema must be an object"):
        return
    visit(where, schema)
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        found.check(kind is None or kind in TYPES, where, f"unknown type {kind!r}")
    for name in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
        for key, inner in (schema.get(name) or {}).items():
            walk_schema(found, f"{where}.{name}.{key}", inner, visit)
    for name in ("items", "additionalProperties", "not", "if", "then", "else", "contains",
                 "propertyNames"):
        if isinstance(schema.get(name), (dict, list)):
            inner = schema[name]
            for each in inner if isinstance(inner, list) else [inner]:
                walk_schema(found, f"{where}.{name}", each, visit)
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for i, inner in enumerate(schema.get(name) or []):
            walk_schema(found, f"{where}.{name}[{i}]", inner, visit)


def openai_schema(found, where, schema, strict):
    """The parameters of a function, or a response format, as OpenAI takes them."""
    def visit(at, node):
        if node.get("type") == "object" and (strict or node is schema):
            found.check(isinstance(node.get("properties"), dict), at,
                        "object schema missing properties")
        if node.get("type") == "array":
            found.check("items" in node or "prefixItems" in node, at, "array schema missing items")
        required = node.get("required")
        found.check(required is None or isinstance(required, list), at, "required must be a list")
        if strict and node.get("type") == "object":
            found.check(node.get("additionalProperties") is False, at,
                        "strict: additionalProperties must be false")
            found.check(sorted(required or []) == sorted(node.get("properties") or {}), at,
                        "strict: required must name every property")
    found.check(isinstance(schema, dict) and schema.get("type") == "object", where,
                "the schema's type must be object")
    walk_schema(found, where, schema, visit)
