"""Answers in the OpenAI wire shape: deltas to whole answers or to server-sent events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from slipway_runtime.serving import calls, loading, sampling, scheduler, wire


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


class Writer:
    """Writes the answer to one call, whole or as server-sent events."""

    def __init__(self, call: wire.Call, served: loading.Served) -> None:
        self._call = call
        self._served = served
        self._decode: Callable[[list[int]], str] = served.tokenizer.decode
        kind = "chat.completion" if call.chat else "text_completion"
        chunk_kind = "chat.completion.chunk" if call.chat else kind
        head = {"id": call.id, "object": chunk_kind, "created": call.created, "model": call.model}
        # All chunks share these bytes: only what is new is encoded per token.
        self._chunk_head = f"data: {json.dumps(head, ensure_ascii=False)[:-1]}"
        self._tail = ',"usage":null}\n\n' if call.include_usage else "}\n\n"
        self._answer_head = head | {"object": kind}
        self._offsets = [0] * len(call.requests)
        style = call.shape.style
        #: One reader of calls per choice; none where no call can come.
        self._calls = [calls.Calls(style, forced=call.shape.forced) for _ in call.requests if style]

    def opening(self) -> bytes:
        """The chunks before the first token: in a chat, each choice's role."""
        if not self._call.chat:
            return b""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(
            self._chunk({"index": i, "delta": delta, "logprobs": None, "finish_reason": None})
            for i in range(len(self._call.requests))
        )

    def chunk(self, index: int, delta: scheduler.Delta) -> bytes:
        """One event for what a step added to choice `index`."""
        logprobs = self._logprobs(index, delta.choices)
        if not self._call.chat:
            return self._chunk(
                {
                    "index": index,
                    "text": delta.text,
                    "logprobs": logprobs,
                    "finish_reason": delta.finish_reason,
                }
            )
        parts = self._parts(index, delta.text, last=delta.finish_reason is not None)
        if delta.choices and not parts:
            parts = [{"content": ""}]
        data = b""
        for part in parts:
            data += self._chunk(
                {"index": index, "delta": part, "logprobs": logprobs, "finish_reason": None}
            )
            logprobs = None
        if delta.finish_reason:
            reason = self._reason(index, delta.finish_reason)
            data += self._chunk(
                {"index": index, "delta": {}, "logprobs": None, "finish_reason": reason}
            )
        return data

    def _parts(self, index: int, text: str, *, last: bool) -> list[dict[str, Any]]:
        """The `delta` objects for a bit of text: prose, or calls of tools."""
        if not self._calls:
            return [{"content": text}] if text else []
        reader = self._calls[index]
        pieces = reader.add(text) + (reader.flush() if last else [])
        return [
            {"content": piece.prose} if piece.index < 0 else {"tool_calls": [_call_delta(piece)]}
            for piece in pieces
        ]

    def _reason(self, index: int, reason: str | None) -> str | None:
        called = bool(self._calls) and self._calls[index].count > 0
        return (
            "tool_calls" if called and reason == "stop" and not self._call.shape.named else reason
        )

    def closing(self, prompt_tokens: int, completion_tokens: int) -> bytes:
        end = b"data: [DONE]\n\n"
        if not self._call.include_usage:
            return end
        counted = json.dumps(usage(prompt_tokens, completion_tokens))
        return f'{self._chunk_head}, "choices": [], "usage": {counted}}}\n\n'.encode() + end

    def answer(
        self,
        collected: Sequence[Sequence[scheduler.Delta]],
        prompt_tokens: int,
        completion_tokens: int,
    ) -> dict[str, Any]:
        """The whole answer from the deltas of each choice."""
        choices = []
        for index, deltas in enumerate(collected):
            content = "".join(delta.text for delta in deltas)
            logprobs = self._logprobs(index, [c for delta in deltas for c in delta.choices])
            message = self._message(index, content) if self._call.chat else {}
            choices.append(
                {
                    "index": index,
                    **({"message": message} if self._call.chat else {"text": content}),
                    "logprobs": logprobs,
                    "finish_reason": self._reason(index, deltas[-1].finish_reason),
                }
            )
        return self._answer_head | {
            "choices": choices,
            "usage": usage(prompt_tokens, completion_tokens),
        }

    def _message(self, index: int, text: str) -> dict[str, Any]:
        """The assistant's message: its prose, and what it calls."""
        prose, made = text, list[dict[str, Any]]()
        if self._calls:
            prose = ""
            for piece in [*self._calls[index].add(text), *self._calls[index].flush()]:
                if piece.index < 0:
                    prose += piece.prose
                elif piece.name:
                    function = {"name": piece.name, "arguments": ""}
                    made.append({"id": piece.id, "type": "function", "function": function})
                else:
                    made[piece.index]["function"]["arguments"] += piece.arguments
        message: dict[str, Any] = {"role": "assistant", "content": prose, "refusal": None}
        if made:
            message |= {"content": prose.strip() or None, "tool_calls": made}
        return message

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        encoded = json.dumps(choice, ensure_ascii=False)
        return f'{self._chunk_head}, "choices": [{encoded}]{self._tail}'.encode()

    def _logprobs(self, index: int, choices: Iterable[sampling.Choice]) -> dict[str, Any] | None:
        choices = list(choices)
        if not choices:
            return None
        if self._call.chat:
            content = [
                self._token(choice.token, choice.logprob)
                | {"top_logprobs": [self._token(*pair) for pair in choice.top]}
                for choice in choices
            ]
            return {"content": content, "refusal": None}
        texts = [self._decode([choice.token]) for choice in choices]
        offsets = []
        for text in texts:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(text)
        return {
            "tokens": texts,
            "token_logprobs": [choice.logprob for choice in choices],
            "top_logprobs": [
                {self._decode([token]): value for token, value in choice.top} for choice in choices
            ],
            "text_offset": offsets,
        }

    def _token(self, token: int, logprob: float | None) -> dict[str, Any]:
        return {
            "token": self._decode([token]),
            "logprob": logprob,
            "bytes": self._bytes(token),
        }

    def _bytes(self, token: int) -> list[int] | None:
        """What the token spells; it may be a part of a character."""
        try:
            return list(self._served.grammars.bytes_of(token))
        except ValueError:
            text = self._decode([token])
            return None if "\ufffd" in text else list(text.encode())


def _call_delta(piece: calls.Piece) -> dict[str, Any]:
    if not piece.name:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    function = {"name": piece.name, "arguments": ""}
    return {"index": piece.index, "id": piece.id, "type": "function", "function": function}
