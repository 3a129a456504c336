"""What an answer is held to: its response format, and the tools it may or must call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipway_runtime.serving import chat, grammar, loading, tools
from slipway_runtime.serving.refusal import ApiError

_ANY_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """`rules` is the grammar of the answer; empty where it is free."""

    rules: str = ""
    #: The tools as declared that the model is told of.
    offered: tuple[Any, ...] = ()
    #: How calls are written; None where none can come.
    style: tools.Style | None = None
    #: The answer is nothing but calls.
    forced: bool = False
    #: The caller chose the very function, so the answer ends by `stop`.
    named: bool = False
    #: Parts of a call are special tokens, which must show in the text to be found.
    show_special: bool = False


def read(fields: dict[str, Any], served: loading.Served) -> Shape:
    """The shape that `response_format`, `tools` and `tool_choice` ask for."""
    answer = _format(fields.get("response_format"), served)
    declared = chat.offered(fields)
    choice, name = _choice(fields.get("tool_choice"), declared)
    several = fields.get("parallel_tool_calls")
    if several is not None and not isinstance(several, bool):
        raise ApiError(
            400, "`parallel_tool_calls` must be true or false.", param="parallel_tool_calls"
        )
    if choice == "none":
        return Shape(rules=grammar.lark(f"start: {answer}") if answer else "")
    style = served.calls
    callable_ = [
        _tool(index, tool, served)
        for index, tool in enumerate(declared)
        if not name or tool["function"]["name"] == name
    ]
    rules = tools.rules(
        style,
        callable_,
        served.tokenizer,
        several=several is not False and not name,
        answer=(answer or "TEXT") if choice == "auto" else None,
    )
    text = style.opening + style.between + style.joint + style.closing
    special = any(
        token.special and str(token) in text
        for token in served.tokenizer.added_tokens_decoder.values()
    )
    return Shape(
        rules=rules,
        offered=tuple(declared),
        style=style,
        forced=choice != "auto",
        named=bool(name),
        show_special=special,
    )


def _choice(given: Any, declared: list[dict[str, Any]]) -> tuple[str, str]:
    """`none`, `auto` or `required`, and the one function that is meant if it is named."""
    if given is not None and not declared:
        raise ApiError(
            400, "`tool_choice` is only allowed when `tools` are given.", param="tool_choice"
        )
    match given:
        case None:
            return ("auto" if declared else "none"), ""
        case "none" | "auto" | "required":
            return given, ""
        case {"type": "function", "function": {"name": str(name)}}:
            known = [tool["function"]["name"] for tool in declared]
            if name in known:
                return "required", name
            raise ApiError(
                400,
                f"`tool_choice` names {name!r}, which is not among the tools ({', '.join(known)}).",
                param="tool_choice",
            )
    raise ApiError(
        400,
        "`tool_choice` must be none, auto, required or "
        '{"type": "function", "function": {"name": …}}.',
        param="tool_choice",
    )


def _tool(index: int, tool: dict[str, Any], served: loading.Served) -> tools.Tool:
    function = tool["function"]
    where = f"tools[{index}].function.parameters"
    schema = function.get("parameters") or _ANY_OBJECT
    # Without a type anything might come; arguments are always an object.
    schema = {"type": "object"} | schema
    try:
        _grammars(served, where).check(schema, where)
    except grammar.Unsupported as error:
        if function.get("strict"):
            raise ApiError(
                400,
                f"These arguments cannot be held to their schema: {error}. Change the schema "
                "there, or leave strict out.",
                param=error.path,
                code="unsupported_schema",
            ) from None
        schema = _ANY_OBJECT
    return tools.Tool(name=function["name"], schema=schema)


def _format(given: Any, served: loading.Served) -> str:
    """The Lark term of the response format; empty for plain text."""
    match given:
        case None | {"type": "text"}:
            return ""
        case {"type": "json_object"}:
            _grammars(served, "response_format")
            return grammar.json_of(_ANY_OBJECT)
        case {"type": "json_schema", "json_schema": {"name": str(name), **rest}} if name:
            where = "response_format.json_schema.schema"
            schema = rest.get("schema", _ANY_OBJECT)
            if not isinstance(schema, dict):
                raise ApiError(400, f"`{where}` must be a JSON schema, an object.", param=where)
            try:
                _grammars(served, where).check(schema, where)
            except grammar.Unsupported as error:
                raise ApiError(
                    400,
                    f"Answers cannot be held to this schema: {error}. Change the schema there.",
                    param=error.path,
                    code="unsupported_schema",
                ) from None
            return grammar.json_of(schema)
        case {"type": "json_schema"}:
            raise ApiError(
                400,
                '`response_format.json_schema` must be {"name": …, "schema": {…}}, with a '
                "non-empty name.",
                param="response_format.json_schema",
            )
    raise ApiError(
        400,
        "`response_format.type` must be text, json_object or json_schema.",
        param="response_format",
    )


def _grammars(served: loading.Served, param: str) -> grammar.Grammars:
    try:
        return served.grammars
    except ValueError as error:
        message = f"This model's answers cannot be held to a grammar: {error}."
        raise ApiError(400, message, param=param, code="unsupported_parameter") from None
