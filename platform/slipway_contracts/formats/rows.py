"""The canonical row, its check, and its repair.

A chat row is `{"messages": [{"role", "content"}, …]}`, a text row `{"text": …}`; both may carry
`group` (text), `weight` (number) and any further keys, which are kept. A check reports every
fault and, where all of them can be mended, gives the mended row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from slipway_contracts.formats.words import LIMITS, Fault, Row, RowKind, shown

ROLES = ("system", "user", "assistant", "tool")
_ALIASES = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "developer": "system",
}

#: Where a part of a message lies in the file as its author wrote it.
Where = Callable[[int, str], str]
#: The row, mended where that was possible; None if it has a fault that cannot be mended.
Checked = tuple[Row | None, list[Fault]]


def in_messages(index: int, key: str) -> str:
    return f"$.messages[{index}].{key}" if key else f"$.messages[{index}]"


def kind_of(row: Row) -> RowKind:
    """The kind of a canonical row."""
    if "preferred_output" in row:
        return RowKind.PAIR
    if "messages" not in row:
        return RowKind.TEXT
    return RowKind.CHAT if row["messages"][-1]["role"] == "assistant" else RowKind.PROMPT


def check(row: Row, where: Where = in_messages) -> Checked:
    """Check a canonical row of either kind."""
    return check_text(row) if "messages" not in row and "text" in row else check_chat(row, where)


def check_text(row: Row) -> Checked:
    faults: list[Fault] = []
    mended = dict(row)
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        fix = "give it text, or remove the row"
        faults.append(Fault(rule="text", path="$.text", value=shown(text), fix=fix))
    _labels(mended, faults)
    return (mended if all(f.fixed for f in faults) else None), faults


def check_chat(row: Row, where: Where = in_messages) -> Checked:
    faults: list[Fault] = []
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        fix = 'write {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}'
        value = shown(row if messages is None else messages)
        return None, [Fault(rule="messages", path="$.messages", value=value, fix=fix)]
    turns = [_message(message, index, where, faults) for index, message in enumerate(messages)]
    known = [(i, turn) for i, turn in enumerate(turns) if turn is not None and "role" in turn]
    ordered = _order(known, where, faults) if len(known) == len(turns) else []
    mended = dict(row) | {"messages": ordered}
    _labels(mended, faults)
    return (mended if all(f.fixed for f in faults) else None), faults


def _message(message: Any, index: int, where: Where, faults: list[Fault]) -> Row | None:
    if not isinstance(message, dict):
        fix = 'write {"role": …, "content": …}'
        faults.append(Fault(rule="message", path=where(index, ""), value=shown(message), fix=fix))
        return None
    turn = dict(message)
    _role(turn, index, where, faults)
    _content(turn, index, where, faults)
    _message_weight(turn, index, where, faults)
    return turn


def _role(turn: Row, index: int, where: Where, faults: list[Fault]) -> None:
    role = turn.get("role")
    if role in ROLES if isinstance(role, str) else False:
        return
    lowered = role.strip().lower() if isinstance(role, str) else ""
    meant = lowered if lowered in ROLES else _ALIASES.get(lowered)
    fix = f"write {meant!r}" if meant else f"use one of {', '.join(ROLES)}"
    path = where(index, "role")
    faults.append(Fault(rule="role", path=path, value=shown(role), fix=fix, fixed=bool(meant)))
    if meant:
        turn["role"] = meant
    else:
        turn.pop("role", None)


def _content(turn: Row, index: int, where: Where, faults: list[Fault]) -> None:
    content = turn.get("content")
    if isinstance(content, str) and content and not content.isspace():
        return
    calls = turn.get("role") == "assistant" and isinstance(turn.get("tool_calls"), list)
    if calls and turn["tool_calls"] and content in (None, ""):
        return
    joined = _as_text(content)
    if joined is not None:
        turn["content"] = joined
    fix = "write it as one text" if joined is not None else "give it text, or remove the row"
    faults.append(
        Fault(
            rule="content",
            path=where(index, "content"),
            value=shown(content),
            fix=fix,
            fixed=joined is not None,
        )
    )


def _as_text(content: Any) -> str | None:
    if isinstance(content, bool) or not isinstance(content, int | float | list):
        return None
    if not isinstance(content, list):
        return str(content)
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        for part in content
    ]
    if not texts or not all(isinstance(text, str) for text in texts):
        return None
    joined = "".join(str(text) for text in texts)
    return joined if joined.strip() else None


def _message_weight(turn: Row, index: int, where: Where, faults: list[Fault]) -> None:
    for key in ("weight", "loss_weight"):
        if key in turn and not (_number(turn[key]) and 0 <= turn[key] <= 1):
            fix = "a number from 0 to 1, or leave it out"
            path = where(index, key)
            faults.append(Fault(rule="weight", path=path, value=shown(turn[key]), fix=fix))


def _labels(row: Row, faults: list[Fault]) -> None:
    """Check and mend `group` and `weight` of a row, in place."""
    if "group" in row:
        group = row["group"]
        if not isinstance(group, str) or not group.strip():
            as_text = str(group) if _number(group) else ""
            fix = f"write {as_text!r}" if as_text else "leave it out"
            fixed = bool(as_text) or group is None or isinstance(group, str)
            faults.append(
                Fault(rule="group", path="$.group", value=shown(group), fix=fix, fixed=fixed)
            )
            row["group"] = as_text
            if not as_text:
                del row["group"]
        elif len(group) > LIMITS.max_key_characters:
            fix = f"at most {LIMITS.max_key_characters} characters"
            faults.append(Fault(rule="group", path="$.group", value=shown(group), fix=fix))
    if "weight" in row and not (_number(row["weight"]) and row["weight"] >= 0):
        weight = row["weight"]
        meant = _as_number(weight)
        fix = "leave it out" if weight is None else f"write {meant}" if meant is not None else ""
        fixed = bool(fix)
        faults.append(
            Fault(
                rule="weight",
                path="$.weight",
                value=shown(weight),
                fix=fix or "a number, 0 or more",
                fixed=fixed,
            )
        )
        if weight is None:
            del row["weight"]
        elif meant is not None:
            row["weight"] = meant


def _number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _as_number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, str) else -1.0
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _order(known: list[tuple[int, Row]], where: Where, faults: list[Fault]) -> list[Row]:
    """Report what is wrong with the sequence of roles; give the sequence mended."""
    turns = _system_first(known, where, faults)
    ordered: list[tuple[int, Row]] = []
    for index, turn in turns:
        _append(ordered, index, turn, where, faults)
    head = 1 if ordered and ordered[0][1]["role"] == "system" else 0
    answers = [i for i, (_, t) in enumerate(ordered) if t["role"] == "assistant"]
    if len(ordered) == head or not answers or answers[-1] == head:
        if not any(f.rule in {"tool", "order"} for f in faults):
            fix = "add a question and its answer, or remove the row"
            role = shown([t["role"] for _, t in known])
            path = where(len(known) - 1, "")
            faults.append(Fault(rule="answer", path=path, value=role, fix=fix))
        return []
    if ordered[head][1]["role"] == "assistant":
        index, turn = ordered.pop(head)
        fix = "remove this message, so that the user begins"
        path = where(index, "role")
        faults.append(
            Fault(rule="first_user", path=path, value=shown(turn["role"]), fix=fix, fixed=True)
        )
    if ordered[-1][1]["role"] != "assistant":
        last = max(i for i, (_, t) in enumerate(ordered) if t["role"] == "assistant")
        index = ordered[-1][0]
        fix = "add the answer, or remove what follows the last answer"
        value = shown(ordered[-1][1]["role"])
        path = where(index, "role")
        faults.append(Fault(rule="answer", path=path, value=value, fix=fix, fixed=True))
        del ordered[last + 1 :]
    if len(ordered) > LIMITS.max_turns:
        cut = head + (LIMITS.max_turns - head) // 2 * 2
        fix = f"cut after message {cut}"
        fixed = ordered[cut - 1][1]["role"] == "assistant"
        faults.append(
            Fault(rule="turns", path=where(cut, ""), value=str(len(ordered)), fix=fix, fixed=fixed)
        )
        del ordered[cut:]
    return [turn for _, turn in ordered]


def _system_first(
    known: list[tuple[int, Row]], where: Where, faults: list[Fault]
) -> list[tuple[int, Row]]:
    systems = [(i, t) for i, t in known if t["role"] == "system"]
    for index, turn in systems:
        if index:
            fix = "move it to the front, joined with a line feed if there are several"
            path = where(index, "role")
            value = shown(turn.get("content"))
            faults.append(Fault(rule="system_first", path=path, value=value, fix=fix, fixed=True))
    if not systems:
        return known
    first = dict(systems[0][1])
    first["content"] = "\n".join(str(t.get("content")) for _, t in systems)
    return [(systems[0][0], first), *((i, t) for i, t in known if t["role"] != "system")]


def _append(
    ordered: list[tuple[int, Row]], index: int, turn: Row, where: Where, faults: list[Fault]
) -> None:
    before = ordered[-1][1] if ordered else None
    role = turn["role"]
    path = where(index, "role")
    if role == "tool":
        called = before is not None and (before["role"] == "tool" or before.get("tool_calls"))
        if not called:
            fix = "put it after an assistant message with tool_calls"
            faults.append(Fault(rule="tool", path=path, value=shown(role), fix=fix))
    elif before is not None and before.get("tool_calls"):
        fix = "answer tool_calls with a tool message first"
        faults.append(Fault(rule="tool", path=path, value=shown(role), fix=fix))
    elif before is not None and before["role"] == role:
        plain = not turn.get("tool_calls")
        fix = f"join it with the {role} message before it" if plain else "let them take turns"
        faults.append(Fault(rule="order", path=path, value=shown(role), fix=fix, fixed=plain))
        joined = f"{before.get('content')}\n{turn.get('content')}"
        ordered[-1] = (ordered[-1][0], before | {"content": joined})
        return
    elif before is not None and before["role"] == "tool" and role == "user":
        fix = "let the assistant answer after a tool message"
        faults.append(Fault(rule="order", path=path, value=shown(role), fix=fix))
    ordered.append((index, turn))
