"""Rows of chat messages: read from JSONL, and made ready for a chat template."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from slipway_runtime.run import BadInput

Message = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One conversation; `line` is its 1-based line in the file."""

    line: int
    messages: list[Message]
    group: str = ""
    tools: list[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """A question and two answers to it, the first preferred to the second."""

    line: int
    messages: list[Message]
    chosen: Message
    rejected: Message
    tools: list[Any] | None = None

    def with_answer(self, answer: Message) -> Row:
        """The conversation that ends with this answer, which alone is learnt from."""
        before = [{**message, "weight": 0} for message in self.messages]
        return Row(line=self.line, messages=[*before, {**answer, "weight": 1}], tools=self.tools)


def read(path: Path) -> list[Row]:
    """All rows of a JSONL file; BadInput names the first line that is no conversation."""
    return _rows(path, _row, '{"messages": [{"role", "content"}, …]}')


def read_pairs(path: Path) -> list[PairRow]:
    """As `read`, of pairs of answers."""
    return _rows(path, _pair, '{"input": {"messages": …}, "preferred_output", …}')


def _rows(path: Path, parse: Callable[[int, Any], _T], form: str) -> list[_T]:
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                rows.append(parse(number, json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                start = line[:80].decode(errors="replace")
                raise BadInput(
                    f"{path.name} line {number}: no conversation of the form {form} "
                    f"({error!r}): {start}"
                ) from error
    if not rows:
        raise BadInput(f"{path.name} holds no rows; at least one conversation is needed")
    return rows


def _row(line: int, value: Any) -> Row:
    return Row(
        line=line,
        messages=[_message(message) for message in value["messages"]],
        group=str(value.get("group") or ""),
        tools=value.get("tools"),
    )


def _pair(line: int, value: Any) -> PairRow:
    return PairRow(
        line=line,
        messages=[_message(message) for message in value["input"]["messages"]],
        chosen=_message(value["preferred_output"][0]),
        rejected=_message(value["non_preferred_output"][0]),
        tools=value["input"].get("tools"),
    )


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
