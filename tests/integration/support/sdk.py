"""The official SDKs for Python, each driven the way its own documentation shows.

`run` has one conversation and tells its answers in neutral words, so that one test can hold them
all to the same expectations.  What it is asked:

  sdk       openai-chat, openai-responses, anthropic or google
  url       of the proxy;  model, stream, system, prompt
  image     base64 of a PNG beside the prompt
  tools     [{name, description, schema}], and `results`: what each answers, by its name
  schema    the answer has to be JSON of this form
  thinking  "budget", or "adaptive" where the dialect has a word for that
  again     what the user says after the answer

js/matrix.cjs does the same in JavaScript.
"""
import base64
import functools
import json

import anthropic
import httpx2
import openai
import pydantic
from google import genai
from google.genai import errors, types

MAX_TOKENS = 8000


class Person(pydantic.BaseModel):
    """The form that is asked for with `schema`."""
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    age: int


class Failed(Exception):
    """A stream told that its answer failed."""


def told(text, thinking="", calls=(), stop=None, usage=None, model=None, parsed=None):
    return {"text": text, "thinking": thinking, "calls": list(calls), "stop": stop, "usage": usage,
            "model": model, "parsed": parsed}


# --- OpenAI ----------------------------------------------------------------------------------------

@functools.cache
def openai_client(url, lenient):
    # Every answer and every event is held against the SDK's own types; codes of errors are Codex'.
    return openai.OpenAI(base_url=url + "/v1", api_key="sk-client", max_retries=0, timeout=60,
                         _strict_response_validation=not lenient)


def replayed_message(message):
    """A message of an answer, as the next request has it: without what the parser added."""
    native = {name: value for name, value in message.to_dict(warnings=False).items()
              if name == "content" or value is not None and name not in ("parsed", "annotations")}
    for each in native.get("tool_calls") or []:
        each["function"].pop("parsed_arguments", None)
    return native


def openai_chat(ask):
    content = ask["prompt"]
    if ask.get("image"):
        content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {
            "url": "data:image/png;base64," + ask["image"]}}]
    messages = [{"role": "system", "content": ask["system"]}] if ask.get("system") else []
    messages.append({"role": "user", "content": content})
    options = {"model": ask["model"], "messages": messages}
    if ask.get("tools"):
        options["tools"] = [{"type": "function", "function": {
            "name": t["name"], "description": t["description"], "parameters": t["schema"]}}
            for t in ask["tools"]]
    if ask.get("thinking"):
        options["reasoning_effort"] = "medium"

    def once(chat):
        if ask["stream"]:
            if ask.get("schema"):
                options["response_format"] = Person
            with chat.stream(**options, stream_options={"include_usage": True}) as stream:
                for _ in stream:
                    pass
                return stream.get_final_completion()
        if ask.get("schema"):
            return chat.parse(**options, response_format=Person)
        return chat.create(**options)

    client = openai_client(ask["url"], ask.get("lenient", False))
    while True:
        answer = once(client.chat.completions)
        choice = answer.choices[0]
        message, usage = choice.message, answer.usage
        calls = message.tool_calls or []
        yield told(
            message.content or "", getattr(message, "reasoning_content", None) or "",
            [{"id": c.id, "name": c.function.name, "args": json.loads(c.function.arguments)}
             for c in calls],
            choice.finish_reason,
            {"input": usage.prompt_tokens, "output": usage.completion_tokens,
             "cached": usage.prompt_tokens_details.cached_tokens,
             "reasoning": usage.completion_tokens_details.reasoning_tokens},
            answer.model, person(getattr(message, "parsed", None)))
        messages.append(replayed_message(message))
        for each in calls:
            messages.append({"role": "tool", "tool_call_id": each.id,
                             "content": ask["results"][each.function.name]})
        if not calls and not ask.get("again"):
            return
        if not calls:
            messages.append({"role": "user", "content": ask.pop("again")})


def person(parsed):
    return parsed.model_dump() if isinstance(parsed, Person) else None


def openai_responses(ask):
    content = [{"type": "input_text", "text": ask["prompt"]}]
    if ask.get("image"):
        content.append({"type": "input_image", "detail": "auto",
                        "image_url": "data:image/png;base64," + ask["image"]})
    talk = [{"role": "user", "content": content}]
    options = {"model": ask["model"], "input": talk, "store": False,
               "include": ["reasoning.encrypted_content"]}
    if ask.get("system"):
        options["instructions"] = ask["system"]
    if ask.get("tools"):
        options["tools"] = [{"type": "function", "name": t["name"], "strict": False,
                             "description": t["description"], "parameters": t["schema"]}
                            for t in ask["tools"]]
    if ask.get("thinking"):
        options["reasoning"] = {"effort": "medium", "summary": "auto"}

    def once(responses):
        if ask["stream"]:
            if ask.get("schema"):
                options["text_format"] = Person
            with responses.stream(**options) as stream:
                for event in stream:
                    # It raises nothing by itself.
                    if event.type == "response.failed":
                        raise Failed(event.response.error.message)
                return stream.get_final_response()
        if ask.get("schema"):
            return responses.parse(**options, text_format=Person)
        return responses.create(**options)

    client = openai_client(ask["url"], ask.get("lenient", False))
    while True:
        answer = once(client.responses)
        calls = [i for i in answer.output if i.type == "function_call"]
        thoughts = [s.text for i in answer.output if i.type == "reasoning" for s in i.summary]
        usage = answer.usage
        yield told(
            answer.output_text, "\n\n".join(thoughts),
            [{"id": c.call_id, "name": c.name, "args": json.loads(c.arguments)} for c in calls],
            answer.status,
            {"input": usage.input_tokens, "output": usage.output_tokens,
             "cached": usage.input_tokens_details.cached_tokens,
             "reasoning": usage.output_tokens_details.reasoning_tokens},
            answer.model, person(getattr(answer, "output_parsed", None)))
        talk += [replayed(i) for i in answer.output]
        for each in calls:
            talk.append({"type": "function_call_output", "call_id": each.call_id,
                         "output": ask["results"][each.name]})
        if not calls and not ask.get("again"):
            return
        if not calls:
            talk.append({"role": "user", "content": ask.pop("again")})


def replayed(item):
    """An item of an answer, as the next request has it: without what the parser added."""
    native = item.to_dict(exclude_none=True)
    native.pop("parsed_arguments", None)
    for part in native.get("content") or []:
        part.pop("parsed", None)
    return native


# --- Anthropic -------------------------------------------------------------------------------------

@functools.cache
def anthropic_client(url):
    return anthropic.Anthropic(base_url=url, api_key="sk-client", max_retries=0, timeout=60,
                               _strict_response_validation=True)


def anthropic_messages(ask):
    content = ask["prompt"]
    if ask.get("image"):
        content = [{"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                "data": ask["image"]}},
                   {"type": "text", "text": content}]
    talk = [{"role": "user", "content": content}]
    options = {"model": ask["model"], "messages": talk, "max_tokens": MAX_TOKENS}
    if ask.get("system"):
        options["system"] = ask["system"]
    if ask.get("tools"):
        options["tools"] = [{"name": t["name"], "description": t["description"],
                             "input_schema": t["schema"]} for t in ask["tools"]]
    if ask.get("thinking") == "budget":
        options["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    elif ask.get("thinking"):
        options["thinking"] = {"type": "adaptive", "display": "summarized"}

    def once(messages):
        if ask["stream"]:
            if ask.get("schema"):
                options["output_format"] = Person
            with messages.stream(**options) as stream:
                for _ in stream:
                    pass
                return stream.get_final_message()
        if ask.get("schema"):
            return messages.parse(**options, output_format=Person)
        return messages.create(**options)

    client = anthropic_client(ask["url"])
    while True:
        answer = once(client.messages)
        calls = [b for b in answer.content if b.type == "tool_use"]
        usage = answer.usage
        yield told(
            "".join(b.text for b in answer.content if b.type == "text"),
            "\n\n".join(b.thinking for b in answer.content if b.type == "thinking"),
            [{"id": c.id, "name": c.name, "args": c.input} for c in calls],
            answer.stop_reason,
            {"input": usage.input_tokens + (usage.cache_read_input_tokens or 0),
             "output": usage.output_tokens, "cached": usage.cache_read_input_tokens},
            answer.model, person(getattr(answer, "parsed_output", None)))
        talk.append({"role": "assistant", "content": answer.content})
        if calls:
            talk.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": c.id, "content": ask["results"][c.name]}
                for c in calls]})
        elif ask.get("again"):
            talk.append({"role": "user", "content": ask.pop("again")})
        else:
            return


# --- Google ----------------------------------------------------------------------------------------

@functools.cache
def google_client(url):
    return genai.Client(api_key="sk-client",
                        http_options=types.HttpOptions(base_url=url, timeout=60_000))


def google(ask):
    parts = [types.Part(text=ask["prompt"])]
    if ask.get("image"):
        parts.append(types.Part.from_bytes(data=base64.b64decode(ask["image"]),
                                           mime_type="image/png"))
    contents = [types.Content(role="user", parts=parts)]
    config = types.GenerateContentConfig(system_instruction=ask.get("system"))
    if ask.get("tools"):
        config.tools = [types.Tool(function_declarations=[types.FunctionDeclaration(
            name=t["name"], description=t["description"], parameters_json_schema=t["schema"])
            for t in ask["tools"]])]
    if ask.get("schema"):
        config.response_mime_type, config.response_schema = "application/json", Person
    if ask.get("thinking"):
        config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=8192)

    def once(models):
        asked = {"model": ask["model"], "contents": contents, "config": config}
        if not ask["stream"]:
            answer = models.generate_content(**asked)
            return answer, answer.candidates[0].content.parts
        gathered, last = [], None
        for last in models.generate_content_stream(**asked):
            for candidate in last.candidates or []:
                gathered += candidate.content.parts or [] if candidate.content else []
        return last, gathered

    client = google_client(ask["url"])
    while True:
        answer, parts = once(client.models)
        calls = [p.function_call for p in parts if p.function_call]
        usage = answer.usage_metadata
        yield told(
            "".join(p.text for p in parts if p.text and not p.thought),
            "".join(p.text for p in parts if p.text and p.thought),
            [{"id": c.id, "name": c.name, "args": c.args} for c in calls],
            answer.candidates[0].finish_reason.name,
            {"input": usage.prompt_token_count, "cached": usage.cached_content_token_count or 0,
             "output": (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
             "reasoning": usage.thoughts_token_count or 0},
            answer.model_version, google_person(ask, answer, parts))
        # Its own chats leave out what is empty.
        contents.append(types.Content(role="model", parts=[
            p for p in parts if p.text != "" or p.thought_signature]))
        if calls:
            # As the documentation has it: by name, without the call's id.
            contents.append(types.Content(role="user", parts=[
                types.Part.from_function_response(
                    name=c.name, response={"result": ask["results"][c.name]})
                for c in calls]))
        elif ask.get("again"):
            contents.append(types.Content(role="user", parts=[
                types.Part(text=ask.pop("again"))]))
        else:
            return


def google_person(ask, answer, parts):
    if ask.get("schema") and ask["stream"]:
        return Person.model_validate_json("".join(p.text or "" for p in parts)).model_dump()
    return person(answer.parsed)


SDKS = {"openai-chat": openai_chat, "openai-responses": openai_responses,
        "anthropic": anthropic_messages, "google": google}
# What an SDK raises for a failure of the other side.
RAISED = (Failed, openai.APIError, anthropic.APIError, errors.APIError, httpx2.TransportError)


def run(ask):
    """The answers of a conversation, and the error that ended it, if one did."""
    answers = []
    try:
        for each in SDKS[ask["sdk"]](dict(ask)):
            answers.append(each)
    except RAISED as raised:
        status = getattr(raised, "status_code", None) or getattr(raised, "code", None)
        return {"answers": answers, "error": {
            "class": type(raised).__name__, "message": str(raised),
            "status": status if isinstance(status, int) else None}}
    return {"answers": answers, "error": None}
