"""What a request for a response asks of the chat model: items to messages, settings to settings.

Pure translation; what cannot be said in a chat completion is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from slipway.door.services import response_items, words
from slipway.door.services.words import Bad

#: What may be asked to be told besides; all but the last belong to tools that are not served.
INCLUDABLE = {
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs",
}  # fmt: skip
_LOGPROBS = "message.output_text.logprobs"


class _StreamOptions(words.Request):
    include_obfuscation: bool | None = None


class _Reasoning(words.Request):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Text(words.Request):
    format: dict[str, Any] | None = None
    verbosity: str | None = None


class Named(words.Request):
    id: words.Id


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
    conversation: words.Id | Named | None = None
    prompt: Any = None


class Count(words.Request):
    """The body of POST /v1/responses/input_tokens: of an Ask what stands before the answer."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: words.Id | None = None
    conversation: words.Id | Named | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None

    def ask(self) -> Ask:
        """The response whose input is counted, with an answer of one token that is not kept."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return Ask(**given, max_output_tokens=1, store=False)


class Compact(words.Request):
    """The body of POST /v1/responses/compact."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: words.Id | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None

    def ask(self, question: str) -> Ask:
        """The response that ends the conversation with `question`; it is not kept."""
        if self.input is None and self.previous_response_id is None:
            raise Bad("Give input or previous_response_id: what is to be shortened.", param="input")
        own = [] if self.input is None else response_items.items_of(self.input)
        return Ask(
            model=self.model,
            input=[*own, {"role": "user", "content": question}],
            instructions=self.instructions,
            previous_response_id=self.previous_response_id,
            store=False,
        )


def conversation_of(ask: Ask) -> str | None:
    """The id of the conversation that is gone on with."""
    given = ask.conversation
    return given.id if isinstance(given, Named) else given


def check(ask: Ask) -> None:
    """Refuse what is not served, naming what is."""
    if ask.background and ask.store is False:
        text = "A response in the background is read later, so it must be stored; leave store out."
        raise Bad(text, param="store")
    if ask.conversation is not None and ask.previous_response_id is not None:
        text = "Give conversation or previous_response_id, not both."
        raise Bad(text, param="previous_response_id")
    instead = {
        "prompt": "send the text itself in instructions and input",
        "max_tool_calls": "it limits built-in tools, and only function tools are served",
    }
    for name, advice in instead.items():
        if getattr(ask, name) is not None:
            raise Bad(f"{name} is not served: {advice}.", param=name, code="unsupported_parameter")
    for name in ask.include or ():
        if name not in INCLUDABLE:
            raise Bad(f"include: there is no {name[:80]!r}.", param="include")


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
        body |= format_of(ask.text.format)
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
    found: dict[str, Any] = {"tools": tools_of(ask.tools)}
    if ask.tool_choice is not None:
        found["tool_choice"] = _choice(ask.tool_choice)
    if ask.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = ask.parallel_tool_calls
    return found


def tools_of(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools in the words of chat completions."""
    return [_tool(tool, f"tools[{place}]") for place, tool in enumerate(given)]


def wants_logprobs(ask: Ask) -> bool:
    return ask.top_logprobs is not None or _LOGPROBS in (ask.include or ())


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise Bad(
            f"{where}.type is {str(tool.get('type'))[:80]!r}; served are function tools, which you "
            "run yourself.", param=f"{where}.type", code="unsupported_value",
        )  # fmt: skip
    response_items.text_at(tool, "name", where)
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


def format_of(given: dict[str, Any] | None) -> dict[str, Any]:
    """What `text.format` is in a chat completion; empty for plain text."""
    if given is None or given.get("type") == "text":
        return {}
    return {"response_format": _format(given)}


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
