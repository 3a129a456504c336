"""What a request for a response asks of the chat model: items to messages, settings to settings.

Pure translation; what cannot be said in a chat completion is refused by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from slipway.door.services import words
from slipway.door.services.words import Bad

MOST_ITEMS = 2000
#: What may be asked to be told besides; all but the last belong to tools that are not served.
INCLUDABLE = {
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs",
}  # fmt: skip
_LOGPROBS = "message.output_text.logprobs"
_ROLES = {"user", "assistant", "system", "developer"}


class _StreamOptions(words.Request):
    include_obfuscation: bool | None = None


class _Reasoning(words.Request):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Text(words.Request):
    format: dict[str, Any] | None = None
    verbosity: str | None = None


class Ask(words.Request):
    """The body of POST /v1/responses."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: words.Id | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    metadata: words.Metadata | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[str] | None = None
    user: str | None = None
    safety_identifier: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    background: bool | None = None
    max_tool_calls: int | None = None
    conversation: Any = None
    prompt: Any = None


def check(ask: Ask) -> None:
    """Refuse what is not served, naming what is."""
    if ask.background:
        raise Bad(
            "Responses in the background are not served; leave background out and read the answer "
            "or its stream.", param="background", code="unsupported_parameter",
        )  # fmt: skip
    instead = {
        "conversation": "chain responses by previous_response_id",
        "prompt": "send the text itself in instructions and input",
        "max_tool_calls": "it limits built-in tools, and only function tools are served",
    }
    for name, advice in instead.items():
        if getattr(ask, name) is not None:
            raise Bad(f"{name} is not served: {advice}.", param=name, code="unsupported_parameter")
    for name in ask.include or ():
        if name not in INCLUDABLE:
            raise Bad(f"include: there is no {name[:80]!r}.", param="include")


def items_of(given: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The input as items, each with an id and in full form."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if len(given) > MOST_ITEMS:
        raise Bad(f"input has {len(given)} items; at most {MOST_ITEMS} are taken.", param="input")
    if not given:
        raise Bad("input is empty; give a string or at least one item.", param="input")
    return [_item(item, f"input[{place}]") for place, item in enumerate(given)]


def _item(item: dict[str, Any], where: str) -> dict[str, Any]:
    kind = item.get("type", "message" if "role" in item else None)
    match kind:
        case "message":
            return _message(item, where)
        case "function_call":
            said = {key: _text(item, key, where) for key in ("call_id", "name", "arguments")}
            return said | {"type": kind, "id": _id(item, "fc_"), "status": "completed"}
        case "function_call_output":
            output = item.get("output")
            if isinstance(output, list):
                output = _joined(output, f"{where}.output", {"input_text"})
            if not isinstance(output, str):
                raise Bad(f"{where}.output must be a string.", param=f"{where}.output")
            call_id = _text(item, "call_id", where)
            return {
                "type": kind, "id": _id(item, "fco_"), "call_id": call_id, "output": output,
                "status": "completed",
            }  # fmt: skip
    raise Bad(
        f"{where}.type is {str(kind)[:80]!r}; served are message, function_call and "
        "function_call_output.", param=f"{where}.type", code="unsupported_value",
    )  # fmt: skip


def _message(item: dict[str, Any], where: str) -> dict[str, Any]:
    role = item.get("role")
    if role not in _ROLES:
        raise Bad(
            f"{where}.role must be {', '.join(sorted(_ROLES))}, not {str(role)[:50]!r}.",
            param=f"{where}.role",
        )
    said = item.get("content")
    answered = role == "assistant"
    if isinstance(said, str):
        kind = "output_text" if answered else "input_text"
        said = [{"type": kind, "text": said}]
    if not isinstance(said, list):
        text = f"{where}.content must be a string or a list of parts."
        raise Bad(text, param=f"{where}.content")
    parts: list[dict[str, Any]] = []
    for place, part in enumerate(said):
        here = f"{where}.content[{place}]"
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
                extra: dict[str, Any] = {"annotations": []} if answered else {}
                plain = "output_text" if answered else "input_text"
                parts.append({"type": plain, "text": text} | extra)
            case {"type": "refusal", "refusal": str(text)} if answered:
                parts.append({"type": "refusal", "refusal": text})
            case _:
                found = part.get("type") if isinstance(part, dict) else part
                raise Bad(
                    f"{here}.type is {str(found)[:80]!r}; served is text: input_text, or "
                    "output_text and refusal of the assistant.",
                    param=f"{here}.type", code="unsupported_value",
                )  # fmt: skip
    return {
        "type": "message", "id": _id(item, "msg_"), "role": role, "content": parts,
        "status": "completed",
    }  # fmt: skip


def _joined(parts: list[Any], where: str, kinds: set[str]) -> str:
    texts = []
    for place, part in enumerate(parts):
        match part:
            case {"type": str(kind), "text": str(text)} if kind in kinds:
                texts.append(text)
            case _:
                raise Bad(f"{where}[{place}] must be text.", param=f"{where}[{place}]")
    return "".join(texts)


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or (not value and key != "arguments"):
        raise Bad(f"{where}.{key} must be a string that is not empty.", param=f"{where}.{key}")
    return value


def _id(item: dict[str, Any], prefix: str) -> str:
    given = item.get("id")
    return given if isinstance(given, str) and 0 < len(given) <= 128 else new_id(prefix)


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def messages_of(instructions: str | None, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items as chat messages; calls that stand together are one assistant's message."""
    found: list[dict[str, Any]] = []
    if instructions:
        found.append({"role": "system", "content": instructions})
    for item in items:
        if item["type"] == "function_call_output":
            found.append(
                {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
            )
        elif item["type"] == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            if not found or found[-1]["role"] != "assistant":
                found.append({"role": "assistant", "content": None})
            found[-1].setdefault("tool_calls", []).append(call)
        else:
            text = "".join(part.get("text", part.get("refusal", "")) for part in item["content"])
            found.append({"role": item["role"], "content": text})
    return found


def chat_body(ask: Ask, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of the chat completion that answers."""
    body: dict[str, Any] = {"model": ask.model, "messages": messages}
    same = ("temperature", "top_p", "user", "safety_identifier",
            "prompt_cache_key", "prompt_cache_retention", "service_tier")  # fmt: skip
    body |= {name: value for name in same if (value := getattr(ask, name)) is not None}
    if ask.max_output_tokens is not None:
        body["max_completion_tokens"] = ask.max_output_tokens
    if wants_logprobs(ask):
        body |= {"logprobs": True, "top_logprobs": ask.top_logprobs or 0}
    body |= _tools(ask)
    if ask.text is not None:
        if ask.text.verbosity is not None:
            body["verbosity"] = ask.text.verbosity
        if ask.text.format is not None and ask.text.format.get("type") != "text":
            body["response_format"] = _format(ask.text.format)
    if ask.reasoning is not None and ask.reasoning.effort is not None:
        body["reasoning_effort"] = ask.reasoning.effort
    if ask.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _tools(ask: Ask) -> dict[str, Any]:
    if not ask.tools:
        if ask.tool_choice not in (None, "none", "auto"):  # it may be a dict
            raise Bad("tool_choice needs tools beside it.", param="tool_choice")
        return {}
    found: dict[str, Any] = {"tools": [_tool(t, f"tools[{n}]") for n, t in enumerate(ask.tools)]}
    if ask.tool_choice is not None:
        found["tool_choice"] = _choice(ask.tool_choice)
    if ask.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = ask.parallel_tool_calls
    return found


def wants_logprobs(ask: Ask) -> bool:
    return ask.top_logprobs is not None or _LOGPROBS in (ask.include or ())


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise Bad(
            f"{where}.type is {str(tool.get('type'))[:80]!r}; served are function tools, which you "
            "run yourself.", param=f"{where}.type", code="unsupported_value",
        )  # fmt: skip
    _text(tool, "name", where)
    kept = {
        key: tool[key]
        for key in ("name", "description", "parameters", "strict")
        if tool.get(key) is not None
    }
    return {"type": "function", "function": kept}


def _choice(given: str | dict[str, Any]) -> Any:
    match given:
        case "none" | "auto" | "required":
            return given
        case {"type": "function", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
    raise Bad(
        'tool_choice must be none, auto, required or {"type": "function", "name": …}.',
        param="tool_choice",
    )


def _format(given: dict[str, Any]) -> dict[str, Any]:
    match given:
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case {"type": "json_schema", "name": str(), "schema": dict(), **_rest}:
            rest = {k: v for k, v in given.items() if k != "type" and v is not None}
            return {"type": "json_schema", "json_schema": rest}
    raise Bad(
        'text.format must be {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", '
        '"name": …, "schema": {…}}.', param="text.format",
    )  # fmt: skip


def place_of(param: str | None) -> str | None:
    """What a parameter of the chat completion is called here."""
    if param is None:
        return None
    renamed = {
        "messages": "input", "max_completion_tokens": "max_output_tokens",
        "stream_options": "stream", "reasoning_effort": "reasoning.effort",
        "response_format": "text.format", "verbosity": "text.verbosity",
    }  # fmt: skip
    head, dot, tail = param.partition(".")
    if param.startswith("response_format.json_schema"):
        return "text.format" + param.removeprefix("response_format.json_schema")
    return renamed.get(head, head) + dot + tail
