"""A conversation and its tools, to the tokens the model reads."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from slipway_runtime.serving import loading, tools
from slipway_runtime.serving.refusal import ApiError

_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}", re.ASCII)
MAX_TOOLS = 128


def prompt(fields: dict[str, Any], served: loading.Served, offered: Sequence[Any]) -> list[int]:
    """The tokens of `messages`; `offered` are the tools as the client declared them."""
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "`messages` must be a non-empty list.", param="messages")
    if not served.tokenizer.chat_template:
        message = "This model has no chat template; use /v1/completions."
        raise ApiError(400, message, param="messages", code="no_chat_template")
    conversation = [_message(index, message) for index, message in enumerate(messages)]
    extra: dict[str, Any] = {}
    if served.calls.native:
        extra = {"tools": list(offered)} if offered else {}
    else:
        conversation = _told(conversation, offered)
    try:
        encoded: Any = served.tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, return_dict=True, **extra
        )
    except Exception as error:  # noqa: BLE001 - a template may refuse a conversation in any way it likes
        text = f"The model's chat template refuses these messages: {error}"
        raise ApiError(400, text, param="messages") from None
    return [int(token) for token in encoded["input_ids"]]


def _message(index: int, message: Any) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise ApiError(400, f"`{where}` must be an object.", param=where)
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise ApiError(
            400,
            f"`{where}.role` must be {', '.join(_ROLES[:-1])} or {_ROLES[-1]}, not {role!r}.",
            param=f"{where}.role",
        )
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise ApiError(
                400,
                f"`{where}.content` may hold parts of type text only: this model reads no images, "
                "audio or files.",
                param=f"{where}.content",
            )
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) and not (content is None and role == "assistant"):
        raise ApiError(
            400, f"`{where}.content` must be a string or a list of parts.", param=f"{where}.content"
        )
    whole = message | {"role": "system" if role == "developer" else role, "content": content or ""}
    if message.get("tool_calls"):
        whole["tool_calls"] = _calls(f"{where}.tool_calls", message["tool_calls"])
    return whole


def _calls(where: str, calls: Any) -> list[dict[str, Any]]:
    """Calls an earlier answer made, with their arguments parsed as chat templates expect them."""
    try:
        return [_parsed(call) for call in calls]
    except (KeyError, TypeError, ValueError):
        raise ApiError(
            400,
            f"`{where}` must be a list of calls as an answer gave them, each with function.name "
            "and function.arguments, the text of a JSON object.",
            param=where,
        ) from None


def _parsed(call: Any) -> dict[str, Any]:
    function = call["function"]
    arguments = dict(json.loads(function["arguments"]))
    return call | {"function": function | {"name": str(function["name"]), "arguments": arguments}}


def offered(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The declared tools, checked for their shape."""
    declared = fields.get("tools") or []
    if not isinstance(declared, list) or len(declared) > MAX_TOOLS:
        raise ApiError(400, f"`tools` must be a list of up to {MAX_TOOLS} tools.", param="tools")
    names: set[str] = set()
    for index, tool in enumerate(declared):
        where = f"tools[{index}]"
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise ApiError(400, f"`{where}.type` must be function.", param=f"{where}.type")
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ApiError(
                400,
                f"`{where}.function.name` must have 1 to 64 letters, digits, `_`, `.` or `-`.",
                param=f"{where}.function.name",
            )
        if name in names:
            raise ApiError(
                400, f"`{where}`: there is a tool {name!r} already.", param=f"{where}.function.name"
            )
        names.add(name)
        if not isinstance(function.get("parameters") or {}, dict):
            raise ApiError(
                400,
                f"`{where}.function.parameters` must be a JSON schema.",
                param=f"{where}.function.parameters",
            )
    return declared


def _told(conversation: list[dict[str, Any]], offered: Sequence[Any]) -> list[dict[str, Any]]:
    """The conversation for a template that knows no tools: everything in plain messages."""
    style = tools.OURS
    told: list[dict[str, Any]] = []
    for message in conversation:
        content = message["content"]
        if message["role"] == "tool":
            text = f"<tool_response>\n{content}\n</tool_response>"
            told.append({"role": "user", "content": text})
            continue
        made = message.get("tool_calls") or []
        if made:
            bodies = [
                call["function"]["name"]
                + style.between
                + json.dumps(call["function"]["arguments"], ensure_ascii=False)
                for call in made
            ]
            content += style.opening + style.joint.join(bodies) + style.closing
        told.append({"role": message["role"], "content": content})
    if offered:
        functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in offered)
        text = (
            f"Functions you may call:\n{functions}\n"
            f"To call, answer: {style.opening}NAME{style.between}ARGUMENTS{style.closing}"
        )
        if told[0]["role"] == "system":
            told[0] = told[0] | {"content": f"{told[0]['content']}\n\n{text}"}
        else:
            told.insert(0, {"role": "system", "content": text})
    return told
