"""Items of responses and conversations: read in full form, and told as messages of a chat."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from slipway.door.services.words import Bad

MOST_ITEMS = 2000
_ROLES = {"user", "assistant", "system", "developer"}


def items_of(given: str | list[dict[str, Any]], *, param: str = "input") -> list[dict[str, Any]]:
    """The input as items, each with an id and in full form."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if len(given) > MOST_ITEMS:
        raise Bad(f"{param} has {len(given)} items; at most {MOST_ITEMS} are taken.", param=param)
    if not given:
        raise Bad(f"{param} is empty; give at least one item.", param=param)
    return [_item(item, f"{param}[{place}]") for place, item in enumerate(given)]


def _item(item: dict[str, Any], where: str) -> dict[str, Any]:
    kind = item.get("type", "message" if "role" in item else None)
    match kind:
        case "message":
            return _message(item, where)
        case "function_call":
            said = {key: text_at(item, key, where) for key in ("call_id", "name", "arguments")}
            return said | {"type": kind, "id": _id(item, "fc_"), "status": "completed"}
        case "function_call_output":
            output = item.get("output")
            if isinstance(output, list):
                output = _joined(output, f"{where}.output", {"input_text"})
            if not isinstance(output, str):
                raise Bad(f"{where}.output must be a string.", param=f"{where}.output")
            call_id = text_at(item, "call_id", where)
            return {
                "type": kind, "id": _id(item, "fco_"), "call_id": call_id, "output": output,
                "status": "completed",
            }  # fmt: skip
        case "compaction":
            kept = text_at(item, "encrypted_content", where)
            return {"type": kind, "id": _id(item, "cmp_"), "encrypted_content": kept}
    raise Bad(
        f"{where}.type is {str(kind)[:80]!r}; served are message, function_call, "
        "function_call_output and compaction.", param=f"{where}.type", code="unsupported_value",
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


def text_at(item: dict[str, Any], key: str, where: str) -> str:
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
