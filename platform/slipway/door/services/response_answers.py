"""What a chat completion says, as a response: its output items, whole or event by event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from slipway.door.services.response_asks import Ask, conversation_of
from slipway.door.services.response_items import new_id

PREFIX = "resp_"
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def opening(ask: Ask, *, response_id: str, created_at: int) -> dict[str, Any]:
    """The response object before its first token."""
    text = msgspec.to_builtins(ask.text) if ask.text else {}
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "background": bool(ask.background),
        "conversation": {"id": conversation} if (conversation := conversation_of(ask)) else None,
        "error": None,
        "incomplete_details": None,
        "instructions": ask.instructions,
        "max_output_tokens": ask.max_output_tokens,
        "max_tool_calls": None,
        "metadata": ask.metadata or {},
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": ask.parallel_tool_calls is not False,
        "previous_response_id": ask.previous_response_id,
        "prompt_cache_key": ask.prompt_cache_key,
        "reasoning": {"effort": ask.reasoning.effort if ask.reasoning else None, "summary": None},
        "safety_identifier": ask.safety_identifier,
        "service_tier": "default",
        "store": ask.store is not False,
        "temperature": 1.0 if ask.temperature is None else ask.temperature,
        "text": {"format": text.get("format") or {"type": "text"},
                 "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": ask.tool_choice or "auto",
        "tools": [_shown(tool) for tool in ask.tools or ()],
        "top_logprobs": ask.top_logprobs or 0,
        "top_p": 1.0 if ask.top_p is None else ask.top_p,
        "truncation": ask.truncation or "disabled",
        "usage": None,
        "user": ask.user,
    }  # fmt: skip


def _shown(tool: dict[str, Any]) -> dict[str, Any]:
    defaults = {"description": None, "parameters": None, "strict": False}
    return defaults | {k: v for k, v in tool.items() if v is not None}


def usage_of(used: dict[str, Any]) -> dict[str, Any]:
    """Chat's usage in this API's words."""
    prompt, completion = used.get("prompt_tokens", 0), used.get("completion_tokens", 0)
    before, after = used.get("prompt_tokens_details"), used.get("completion_tokens_details")
    cached = (before or {}).get("cached_tokens") or 0
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": (after or {}).get("reasoning_tokens") or 0},
        "total_tokens": prompt + completion,
    }


def closed(
    response: dict[str, Any],
    output: list[dict[str, Any]],
    *,
    reason: str | None,
    usage: dict[str, Any] | None,
    completed_at: int,
) -> dict[str, Any]:
    """The response object at its end; `reason` is chat's finish_reason."""
    short = _INCOMPLETE.get(reason or "")
    return response | {
        "status": "incomplete" if short else "completed",
        "completed_at": None if short else completed_at,
        "incomplete_details": {"reason": short} if short else None,
        "output": output,
        "usage": usage,
    }


class Writer:
    """Makes output items of chat deltas, and tells each step as an event of this API.

    Feed it `opened()` once, `delta()` for each of the model's, then `ended()`; `output` holds the
    items. A whole message is one delta.
    """

    def __init__(self, response: dict[str, Any], *, logprobs: bool) -> None:
        self.response = response
        self.output: list[dict[str, Any]] = []
        self.reason: str | None = None
        self._logprobs = logprobs
        self._number = -1
        #: The item that still grows, and the index of a call that it is.
        self._open: dict[str, Any] | None = None
        self._call: int | None = None

    def opened(self) -> Iterator[bytes]:
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self.response)

    def delta(self, choice: dict[str, Any], said: dict[str, Any]) -> Iterator[bytes]:
        """What one step of the model adds: chat's choice and its `delta` or `message`."""
        if text := said.get("content"):
            found = (choice.get("logprobs") or {}).get("content") or []
            yield from self._text(text, found)
        for place, call in enumerate(said.get("tool_calls") or ()):
            yield from self._called(call.get("index", place), call)
        self.reason = choice.get("finish_reason") or self.reason

    def _text(self, text: str, logprobs: list[dict[str, Any]]) -> Iterator[bytes]:
        if self._open is None or self._open["type"] != "message":
            yield from self._close()
            yield from self._begin(
                {"type": "message", "id": new_id("msg_"), "role": "assistant", "content": [],
                 "status": "in_progress"},
            )  # fmt: skip
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield self._event("response.content_part.added", content_index=0, part=part)
            self._item["content"].append(part)
        part = self._item["content"][0]
        part["text"] += text
        shown = [_logprob(one) for one in logprobs] if self._logprobs else []
        part["logprobs"] += shown
        yield self._event("response.output_text.delta", content_index=0, delta=text, logprobs=shown)

    def _called(self, index: int, call: dict[str, Any]) -> Iterator[bytes]:
        function = call.get("function") or {}
        if self._open is None or self._call != index:
            yield from self._close()
            yield from self._begin(
                {"type": "function_call", "id": new_id("fc_"), "status": "in_progress",
                 "call_id": call.get("id") or new_id("call_"), "name": function.get("name", ""),
                 "arguments": ""},
            )  # fmt: skip
            self._call = index
        if arguments := function.get("arguments"):
            self._item["arguments"] += arguments
            yield self._event("response.function_call_arguments.delta", delta=arguments)

    def ended(self, *, completed_at: int, usage: dict[str, Any] | None) -> Iterator[bytes]:
        """The last item's end; `response` is the whole one afterwards, its event `final()`."""
        short = self.reason in _INCOMPLETE
        yield from self._close(status="incomplete" if short else "completed")
        used = usage_of(usage) if usage else None
        self.response = closed(
            self.response, self.output, reason=self.reason, usage=used, completed_at=completed_at
        )

    def final(self) -> bytes:
        return self._event(f"response.{self.response['status']}", response=self.response)

    def failed(self, error: dict[str, Any], *, code: str = "server_error") -> bytes:
        """The stream broke off, or never began."""
        fault = {"code": code, "message": str(error.get("message"))}
        self.response |= {"status": "failed", "error": fault, "output": self.output}
        return self._event("response.failed", response=self.response)

    @property
    def _item(self) -> dict[str, Any]:
        assert self._open is not None  # noqa: S101 - tells mypy what the callers saw to
        return self._open

    def _begin(self, item: dict[str, Any]) -> Iterator[bytes]:
        self.output.append(item)
        self._open = item
        yield self._event("response.output_item.added", item=item)

    def _close(self, status: str = "completed") -> Iterator[bytes]:
        item = self._open
        if item is None:
            return
        item["status"] = status
        if item["type"] == "message":
            part = item["content"][0]
            yield self._event(
                "response.output_text.done", content_index=0, text=part["text"],
                logprobs=part["logprobs"],
            )  # fmt: skip
            yield self._event("response.content_part.done", content_index=0, part=part)
        else:
            yield self._event(
                "response.function_call_arguments.done",
                name=item["name"],
                arguments=item["arguments"],
            )
        yield self._event("response.output_item.done", item=item)
        self._open = self._call = None

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        told: dict[str, Any] = {"type": kind, "sequence_number": self._number}
        if self._open is not None and "response" not in fields:
            told["output_index"] = len(self.output) - 1
            if "item" not in fields:
                told["item_id"] = self._open["id"]
        data = json.dumps(told | fields, ensure_ascii=False, separators=(",", ":"))
        return f"event: {kind}\ndata: {data}\n\n".encode()


def _logprob(one: dict[str, Any]) -> dict[str, Any]:
    def clean(each: dict[str, Any]) -> dict[str, Any]:
        return {
            "token": each.get("token", ""),
            "logprob": each.get("logprob", 0.0),
            "bytes": each.get("bytes") or [],
        }

    return clean(one) | {"top_logprobs": [clean(each) for each in one.get("top_logprobs") or ()]}
