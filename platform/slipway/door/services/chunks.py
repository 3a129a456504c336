"""The events of a streamed completion, put together as the completion they make."""

from __future__ import annotations

import json
from typing import Any


def completion_of(events: str) -> dict[str, Any] | None:
    """The completion that a stream told, or None if it told none."""
    made: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events.split("\n\n"):
        data = event.removeprefix("data:").strip()
        if not event.startswith("data:") or data == "[DONE]":
            continue
        chunk = json.loads(data)
        made = made or {key: chunk.get(key) for key in ("id", "object", "created", "model")}
        made["usage"] = chunk.get("usage") or made.get("usage")
        for choice in chunk.get("choices") or ():
            _add(choices, choice)
    if not made or not choices:
        return None
    found = [choices[n] for n in sorted(choices)]
    if made["object"] == "text_completion":
        texts = [{"text": choice.pop("message")["content"] or ""} | choice for choice in found]
        return made | {"choices": texts}
    return made | {"object": "chat.completion", "choices": found}


def _add(choices: dict[int, dict[str, Any]], told: dict[str, Any]) -> None:
    fresh: dict[str, Any] = {
        "index": told["index"], "message": {"role": "assistant", "content": None, "refusal": None},
        "logprobs": None, "finish_reason": None,
    }  # fmt: skip
    choice = choices.setdefault(told["index"], fresh)
    choice["finish_reason"] = told.get("finish_reason") or choice["finish_reason"]
    if (found := told.get("logprobs")) and found.get("content"):
        kept = choice["logprobs"] = choice["logprobs"] or {"content": [], "refusal": None}
        kept["content"] += found["content"]
    message, delta = choice["message"], told.get("delta") or {"content": told.get("text")}
    for key in ("content", "refusal"):
        if delta.get(key) is not None:
            message[key] = (message[key] or "") + delta[key]
    for call in delta.get("tool_calls") or ():
        _call(message.setdefault("tool_calls", []), call)


def _call(calls: list[dict[str, Any]], told: dict[str, Any]) -> None:
    while len(calls) <= told["index"]:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[told["index"]], told.get("function") or {}
    call["id"] = call["id"] or told.get("id") or ""
    call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
