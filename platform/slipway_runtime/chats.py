"""Rows of chat messages: read from JSONL, and made ready for a chat template."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_runtime.run import BadInput

Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One conversation; `line` is its 1-based line in the file."""

    line: int
    messages: list[Message]
    group: str = ""
    tools: list[Any] | None = None


def read(path: Path) -> list[Row]:
    """All rows of a JSONL file; BadInput names the first line that is no conversation."""
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(_row(path.name, number, line))
    if not rows:
        raise BadInput(f"{path.name} holds no rows; at least one conversation is needed")
    return rows


def _row(name: str, number: int, line: bytes) -> Row:
    try:
        value = json.loads(line)
        messages = value["messages"]
        found = [_message(message) for message in messages]
        tools = value.get("tools")
        return Row(line=number, messages=found, group=str(value.get("group") or ""), tools=tools)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        start = line[:80].decode(errors="replace")
        raise BadInput(
            f"{name} line {number}: no conversation of the form "
            f'{{"messages": [{{"role", "content"}}, …]}} ({error!r}): {start}'
        ) from error


def _message(message: Message) -> Message:
    """Text parts joined and arguments parsed, as the templates expect them."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    ready = {**message, "role": message["role"], "content": content or ""}
    calls = message.get("tool_calls")
    if calls:
        ready["tool_calls"] = [_call(call) for call in calls]
    return ready


def _call(call: Any) -> Any:
    arguments = call["function"]["arguments"]
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    return {**call, "function": {**call["function"], "arguments": arguments}}
