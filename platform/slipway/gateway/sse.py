"""A stream of completion events on its way through: usage is kept, the end is held back."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from slipway.gateway.admit import Usage

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
#: The largest event that is waited for; an engine that sends more without a blank line is broken.
LARGEST_EVENT_BYTES = 1024 * 1024
_MOST_TOKENS = 10**9
DONE = b"data: [DONE]\n\n"


class _Tokens(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    usage: _Tokens | None = None
    choices: list[msgspec.Raw] = []
    error: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    usage: _Tokens | None = None


_chunks = msgspec.json.Decoder(_Chunk)
_answers = msgspec.json.Decoder(_Answer)


class Malformed(Exception):
    """The engine's answer is not what it should be."""


class Events:
    """Feed it what the engine sends; it returns what the client shall get now.

    Only whole events pass. `[DONE]` does not: when `done` is set, record the usage, then send
    DONE. An error event does not pass either: it is in `error`.
    """

    def __init__(self, *, keep_usage: bool) -> None:
        self.keep_usage = keep_usage
        self.usage: Usage | None = None
        #: Events passed on; about one token each.
        self.count = 0
        self.done = False
        self.error: dict[str, Any] | None = None
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        if (
            not self._tail
            and data.endswith(b"\n\n")
            and b'"usage"' not in data
            and b"[DONE]" not in data
            and b'"error"' not in data
        ):
            self.count += data.count(b"\n\n")
            return data
        return self._one_by_one(data)

    def usage_event(self) -> bytes:
        """The usage as an event of its own, whether or not it was passed on; else nothing."""
        if self.usage is None:
            return b""
        prompt, completion = self.usage.prompt_tokens, self.usage.completion_tokens
        used = {"prompt_tokens": prompt, "completion_tokens": completion,
                "total_tokens": prompt + completion}  # fmt: skip
        return b"data: " + msgspec.json.encode({"choices": [], "usage": used}) + b"\n\n"

    def _one_by_one(self, data: bytes) -> bytes:
        data = self._tail + data
        passed, start = [], 0
        for blank in _BLANK_LINE.finditer(data):
            if self.done or self.error:
                break
            if self._passes(data[start : blank.start()]):
                passed.append(data[start : blank.end()])
            start = blank.end()
        self._tail = data[start:]
        if len(self._tail) > LARGEST_EVENT_BYTES:
            raise Malformed(f"an event of more than {LARGEST_EVENT_BYTES} bytes")
        return b"".join(passed)

    def _passes(self, event: bytes) -> bool:
        if not event.startswith(b"data:"):
            return True  # a comment that keeps the connection warm
        content = event[5:].strip()
        if content == b"[DONE]":
            self.done = True
            return False
        if b'"usage"' in content or b'"error"' in content:
            try:
                chunk = _chunks.decode(content)
            except (msgspec.DecodeError, RecursionError) as error:
                raise Malformed(f"an event that cannot be read: {error}") from error
            if chunk.error is not None:
                self.error = chunk.error
                return False
            if chunk.usage is not None:
                self.usage = _usage(chunk.usage)
                if not chunk.choices:
                    return self.keep_usage
        self.count += 1
        return True


def usage_of(body: bytes) -> Usage | None:
    """The usage in an answer that came in one piece; Malformed if it is not JSON."""
    try:
        found = _answers.decode(body).usage
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"not the JSON of a completion: {error}") from error
    return _usage(found) if found else None


def _usage(found: _Tokens) -> Usage:
    counts = (found.prompt_tokens, found.completion_tokens)
    if min(counts) < 0 or max(counts) > _MOST_TOKENS:
        raise Malformed("a number of tokens that cannot be")
    return Usage(*counts)
