"""Google's generateContent.

It reads JSON into protocol buffers, so any member it does not know is an error, at every level but
inside values that are free: arguments, results, JSON schemas.
"""
import re

from .common import CARRIER, SENTINEL, TYPES, walk_schema

BODY = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig",
        "safetySettings", "cachedContent", "serviceTier", "labels", "store"}
COUNTED = {"contents", "generateContentRequest"}
DATA = {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode",
        "codeExecutionResult", "toolCall", "toolResponse"}
PART = DATA | {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
CONFIG = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed",
    "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType",
    "responseSchema", "responseJsonSchema", "responseModalities", "thinkingConfig", "imageConfig",
    "speechConfig", "mediaResolution", "enableEnhancedCivicAnswers"}
# The protocol buffer Schema: what `parameters` and `responseSchema` may hold.
SCHEMA = {
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
    "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength", "pattern",
    "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum",
    "additionalProperties"}
# What of JSON Schema `responseJsonSchema` is documented to take.
JSON_SCHEMA = {
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
    "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties",
    "additionalProperties", "required", "propertyOrdering", "nullable"}
NAME = r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}"
SERVER_TOOLS = {"googleSearch", "googleSearchRetrieval", "urlContext", "codeExecution",
                "fileSearch", "googleMaps", "computerUse"}
LEVELS = {"minimal", "low", "medium", "high"}
THIRD = re.compile(r"gemini-[3-9]")
SECOND = re.compile(r"gemini-[12]")


# Values that are anybody's, whose names are not Google's.
FREE = {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "default",
        "example", "enum"}


def camel(name):
    return re.sub(r"_([a-z])", lambda m: m[1].upper(), name)


def spelled(value, is_map=False):
    """Protocol buffers may be written in either spelling; here they are read in one."""
    if isinstance(value, list):
        return [spelled(v) for v in value]
    if not isinstance(value, dict):
        return value
    if is_map:
        return {n: spelled(v) for n, v in value.items()}
    return {camel(n): v if camel(n) in FREE else spelled(v, camel(n) == "properties")
            for n, v in value.items()}


def check_proto_schema(found, where, schema):
    if not found.only(where, schema, SCHEMA):
        return
    kind = schema.get("type")
    found.check(isinstance(kind, str) and kind.lower() in TYPES | {"type_unspecified"},
                f"{where}.type", f"{kind!r} is no type")
    if isinstance(kind, str) and kind.lower() == "array":
        found.check("items" in schema, where, "items: missing field")
    for value in schema.get("enum") or []:
        found.check(isinstance(value, str), f"{where}.enum", "must hold strings")
    if isinstance(kind, str) and kind.lower() == "string" and "format" in schema:
        found.one_of(f"{where}.format", schema["format"], {"enum", "date-time"})
    properties = schema.get("properties") or {}
    for name in schema.get("required") or []:
        found.check(name in properties, f"{where}.required", f"{name} is not defined")
    for name, inner in properties.items():
        check_proto_schema(found, f"{where}.properties.{name}", inner)
    if "items" in schema:
        check_proto_schema(found, f"{where}.items", schema["items"])
    for i, inner in enumerate(schema.get("anyOf") or []):
        check_proto_schema(found, f"{where}.anyOf[{i}]", inner)


def check_json_schema(found, where, schema):
    def visit(at, node):
        for name in node:
            found.check(name in JSON_SCHEMA, at, f"{name} is not supported")
        for name in node.get("required") or []:
            found.check(name in (node.get("properties") or {}), f"{at}.required",
                        f"{name} is not defined")
        for value in node.get("enum") or []:
            found.check(isinstance(value, (str, int, float)), f"{at}.enum",
                        "must hold strings or numbers")
    walk_schema(found, where, schema, visit)


def check_blob(found, where, blob):
    if found.only(where, blob, {"mimeType", "data", "displayName"}):
        kind = blob.get("mimeType")
        found.string(f"{where}.mimeType", kind, r"[a-z]+/[\w.+-]+(;.*)?")
        if isinstance(kind, str) and kind.startswith("image/") and \
                kind not in ("image/heic", "image/heif"):
            found.image(where, kind, blob.get("data"), either=True)
        else:
            found.base64(f"{where}.data", blob.get("data"), either=True)


def check_part(found, where, part, role):
    if not found.only(where, part, PART):
        return
    kinds = [n for n in part if n in DATA]
    if not found.check(len(kinds) == 1, where,
                       f"required oneof field 'data' must have one initialized field: {kinds}"):
        return
    if "thoughtSignature" in part:
        sig = part["thoughtSignature"]
        found.check(role == "model", where, "only the model signs")
        if sig != SENTINEL:
            data = found.base64(f"{where}.thoughtSignature", sig, either=True)
            found.check(not data or not CARRIER.search(data.decode("latin-1")), where,
                        "Corrupted thought signature.")
    if "text" in part:
        found.string(f"{where}.text", part["text"],
                     empty="thoughtSignature" in part or part.get("thought") is True)
    if "thought" in part:
        found.check("text" in part or role == "model", where, "a thought of nobody")
    if "inlineData" in part:
        check_blob(found, f"{where}.inlineData", part["inlineData"])
    if "fileData" in part and found.only(where, part["fileData"],
                                         {"fileUri", "mimeType", "displayName"}):
        found.string(f"{where}.fileUri", part["fileData"].get("fileUri"))
    if "functionCall" in part:
        call = part["functionCall"]
        found.check(role == "model", where, "only the model calls")
        if found.only(where, call, {"id", "name", "args"}):
            found.string(f"{where}.name", call.get("name"), NAME)
            found.check(isinstance(call.get("args", {}), dict), f"{where}.args",
                        "must be an object")
    if "functionResponse" in part:
        answer = part["functionResponse"]
        found.check(role == "user", where, "only the user answers calls")
        if found.only(where, answer, {"id", "name", "response", "parts", "willContinue",
                                      "scheduling"}):
            found.string(f"{where}.name", answer.get("name"), NAME)
            found.check(isinstance(answer.get("response"), dict), f"{where}.response",
                        "must be an object")


def check_contents(found, contents):
    """Turns: the user first, roles in turn, results behind their calls in number and order."""
    waiting, last = [], None
    for i, content in enumerate(contents):
        where = f"contents[{i}]"
        if not found.only(where, content, {"role", "parts"}):
            continue
        role = content.get("role", "user")
        if not found.one_of(f"{where}.role", role, {"user", "model"}):
            continue
        found.check(i > 0 or role == "user", where, "the first content should be with role 'user'")
        # Gemini CLI of 2025 tells of the folder in a turn of its own, which Google takes.
        found.check(role != last or i == 1 and role == "user", where,
                    "multiturn requests alternate between user and model")
        last = role
        if not found.list(f"{where}.parts", content.get("parts"), 1):
            continue
        for k, part in enumerate(content["parts"]):
            check_part(found, f"{where}.parts[{k}]", part, role)
        parts = [p for p in content["parts"] if isinstance(p, dict)]
        answers = [p["functionResponse"] for p in parts if "functionResponse" in p]
        if waiting or answers:
            found.check(len(answers) == len(waiting), where, "the number of function response "
                        "parts is not equal to the number of function call parts of the function "
                        "call turn")
            for call, answer in zip(waiting, answers):
                found.check(call.get("name") == answer.get("name"), where,
                            f"the response {answer.get('name')} answers {call.get('name')}")
                # Its own documentation leaves the id out.
                found.check(not answer.get("id") or call.get("id") == answer["id"], where,
                            f"the response {answer.get('id')} answers {call.get('id')}")
        waiting = [p["functionCall"] for p in parts if "functionCall" in p]
    found.check(not waiting, "contents", "function calls without a response")
    found.check(last == "user", "contents", "the request must end with a user role")


def check_sentinels(found, contents):
    """Since Gemini 3: the first call of each step of the current turn must be signed."""
    def asks(content):
        return content.get("role") == "user" and any("text" in p for p in content["parts"]) \
            and not any("functionResponse" in p for p in content["parts"])
    latest = max((i for i, c in enumerate(contents) if asks(c)), default=-1)
    for i, content in enumerate(contents):
        calls = [p for p in content["parts"] if "functionCall" in p]
        if i > latest and calls:
            found.check(calls[0].get("thoughtSignature"), f"contents[{i}]",
                        f"Function call {calls[0]['functionCall'].get('name')} is missing a "
                        "thought_signature")


def check_tools(found, body, model):
    names, server = [], []
    for i, tool in enumerate(body.get("tools") or []):
        where = f"tools[{i}]"
        if not found.only(where, tool, SERVER_TOOLS | {"functionDeclarations"}):
            continue
        server += [n for n in tool if n in SERVER_TOOLS]
        for k, each in enumerate(tool.get("functionDeclarations") or []):
            at = f"{where}.functionDeclarations[{k}]"
            if not found.only(at, each, {"name", "description", "parameters",
                                         "parametersJsonSchema", "response", "responseJsonSchema",
                                         "behavior"}):
                continue
            found.string(f"{at}.name", each.get("name"), NAME)
            names.append(each.get("name"))
            found.check(not {"parameters", "parametersJsonSchema"} <= set(each), at,
                        "only one of parameters and parametersJsonSchema")
            if "parameters" in each:
                check_proto_schema(found, f"{at}.parameters", each["parameters"])
            if "parametersJsonSchema" in each:
                # Any JSON Schema is taken here; keywords that mean nothing are not looked at.
                walk_schema(found, f"{at}.parametersJsonSchema", each["parametersJsonSchema"],
                            lambda *_: None)
    found.unique("tools: Duplicate function declaration found", names)
    found.check(not (names and server and SECOND.match(model)), "tools",
                "Tool use with function calling is unsupported")
    config = body.get("toolConfig")
    if config is None or not found.only("toolConfig", config,
                                        {"functionCallingConfig", "retrievalConfig",
                                         "includeServerSideToolInvocations"}):
        return
    calling = config.get("functionCallingConfig") or {}
    found.only("toolConfig.functionCallingConfig", calling, {"mode", "allowedFunctionNames"})
    mode = calling.get("mode", "AUTO")
    found.one_of("toolConfig.mode", mode, {"AUTO", "ANY", "NONE", "VALIDATED"})
    found.check(names or mode in ("AUTO", "NONE"), "toolConfig", "without function declarations")
    allowed = calling.get("allowedFunctionNames")
    if allowed is not None:
        found.check(mode in ("ANY", "VALIDATED"), "toolConfig",
                    "allowed_function_names only with ANY or VALIDATED")
        for name in allowed:
            found.check(name in names, "toolConfig.allowedFunctionNames", f"{name} is not declared")


def check_config(found, body, model):
    config = body.get("generationConfig")
    if config is None or not found.only("generationConfig", config, CONFIG):
        return
    found.number("", config, "temperature", 0, 2)
    found.number("", config, "topP", 0, 1)
    found.number("", config, "candidateCount", 1, 8, integer=True)
    found.number("", config, "maxOutputTokens", 1, 10**9, integer=True)
    found.number("", config, "logprobs", 0, 20, integer=True)
    found.check(len(config.get("stopSequences") or []) <= 5, "stopSequences", "more than 5")
    schemas = {"responseSchema", "responseJsonSchema"} & set(config)
    found.check(len(schemas) < 2, "generationConfig", "two response schemas")
    if schemas:
        found.check(config.get("responseMimeType") == "application/json", "responseMimeType",
                    "a response schema needs application/json")
    if "responseSchema" in config:
        check_proto_schema(found, "responseSchema", config["responseSchema"])
    if "responseJsonSchema" in config:
        check_json_schema(found, "responseJsonSchema", config["responseJsonSchema"])
    functions = any("functionDeclarations" in t for t in body.get("tools") or [])
    found.check(not (functions and SECOND.match(model)
                     and config.get("responseMimeType") == "application/json"), "responseMimeType",
                "Function calling with a response mime type: 'application/json' is unsupported")
    thinking = config.get("thinkingConfig")
    if thinking is None or not found.only("thinkingConfig", thinking,
                                          {"thinkingLevel", "thinkingBudget", "includeThoughts"}):
        return
    found.check(not {"thinkingLevel", "thinkingBudget"} <= set(thinking), "thinkingConfig",
                "You can only set one of thinking budget and thinking level.")
    if "thinkingLevel" in thinking:
        found.check(not SECOND.match(model), "thinkingLevel", "is not supported for this model")
        found.one_of("thinkingLevel", str(thinking["thinkingLevel"]).lower(), LEVELS)
    if thinking.get("thinkingBudget") == 0:
        found.check("pro" not in model, "thinkingBudget", "this model only works in thinking mode")
        found.check(not thinking.get("includeThoughts"), "includeThoughts",
                    "is only enabled when thinking is enabled")


def check(found, body, request):
    path = request.path.split("?")[0]
    match = re.fullmatch(r".*/v1(?:beta)?/models/([^:/]+):(\w+)", path)
    if not found.check(match and match[2] in ("generateContent", "streamGenerateContent",
                                              "countTokens"), path, "unknown path"):
        return
    model, counting = match[1], match[2] == "countTokens"
    body = spelled(body)
    found.only("", body, COUNTED if counting else BODY)
    if not found.list("contents", body.get("contents"), 1):
        return
    check_contents(found, body["contents"])
    if counting:
        return
    if THIRD.match(model):
        check_sentinels(found, [c for c in body["contents"] if isinstance(c.get("parts"), list)])
    system = body.get("systemInstruction")
    if system is not None and found.only("systemInstruction", system, {"role", "parts"}) and \
            found.list("systemInstruction.parts", system.get("parts"), 1):
        for i, part in enumerate(system["parts"]):
            if found.only(f"systemInstruction.parts[{i}]", part, {"text"}):
                found.string(f"systemInstruction.parts[{i}].text", part.get("text"))
    if isinstance(body.get("tools"), dict):
        # The AI SDK of 2025 gives one alone, which Google takes for a list of one.
        body["tools"] = [body["tools"]]
    check_tools(found, body, model)
    check_config(found, body, model)
