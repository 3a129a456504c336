"""A stream of completion events on its way through: usage is kept, the end is held back."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from slipway.gateway.admit import Usage

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
#: The largest event that is waited for; an engine that sends more without a blank line is broken.
LARGEST_EVENT_BYTES = 1024 * 1024
DONE = b"data: [DONE]\n\n"


class _Choice(msgspec.Struct):
    """Of an event, or of a whole answer: what was written."""

    delta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    message: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Chunk(msgspec.Struct):
    usage: Usage | None = None
    choices: list[_Choice] | None = None
    error: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    usage: Usage | None = None
    choices: list[_Choice] = []
    #: Of embeddings.
    data: list[msgspec.Raw] = []


_chunks = msgspec.json.Decoder(_Chunk)
_answers = msgspec.json.Decoder(_Answer)
#: A token is seldom shorter than so many bytes of JSON, an event seldom longer beside its text.
_BYTES_PER_TOKEN, _AROUND_TEXT = 4, 250


class Malformed(Exception):
    """The engine's answer is not what it should be."""


class Events:
    """Feed it what the engine sends; it returns what the client shall get now.

    Only whole events pass. `[DONE]` does not: when `done` is set, record the usage, then send
    DONE. An error event does not pass either: it is in `error`.
    """

    def __init__(self, *, keep_usage: bool, written: bytes = b'"delta"') -> None:
        self.keep_usage = keep_usage
        #: The field of a choice in which its text comes.
        self._written = written
        self.usage: Usage | None = None
        #: Events passed on, and their bytes; where a killed process leaves them for the next.
        self.sent: list[int] | memoryview = [0, 0]
        self.done = False
        self.error: dict[str, Any] | None = None
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        if (
            not self._tail
            and data.startswith(b"data: {")
            and data.endswith(b"}\n\n")
            and b'"usage"' not in data
        ):
            # As many choices and texts as events: none of them is anything else.
            count = data.count(b"\n\n")
            if data.count(b'"choices"') == count == data.count(self._written):
                sent = self.sent
                sent[0] += count
                sent[1] += len(data)
                return data
        return self._one_by_one(data)

    def count_in(self, sent: memoryview) -> None:
        """Count there from now on."""
        sent[0], sent[1] = self.sent
        self.sent = sent

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
        if event.startswith(b"data:") and b"\n" not in event:
            content = event[5:].strip()
        else:
            lines = event.splitlines()
            given = [line[5:].strip() for line in lines if line.startswith(b"data:")]
            if not given:
                return True  # a comment that keeps the connection warm
            # Fields of other names say nothing of the content, and it may take several lines.
            content = b"\n".join(given)
        if content == b"[DONE]":
            self.done = True
            return False
        try:
            chunk = _chunks.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed(f"an event that cannot be read: {error}") from error
        if chunk.error is not None:
            self.error = chunk.error
            return False
        if chunk.choices is None or any(
            one.delta is msgspec.UNSET and one.text is msgspec.UNSET for one in chunk.choices
        ):
            raise Malformed("an event that is no piece of a completion")
        if chunk.usage is not None:
            self.usage = chunk.usage
            if not chunk.choices:
                return self.keep_usage
        self.sent[0] += 1
        self.sent[1] += len(event)
        return True


def tokens(events: int, size: int) -> int:
    """About how many were passed on: one by event, unless the events are long."""
    return max(events, (size - _AROUND_TEXT * events) // _BYTES_PER_TOKEN)


def read_whole(body: bytes) -> tuple[Usage | None, int]:
    """The usage in an answer that came in one piece, and about how many tokens are written in it;
    Malformed if it is no completion and no embedding."""
    try:
        answer = _answers.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"not the JSON of a completion: {error}") from error
    written = 0
    for one in answer.choices:
        text = one.text if one.message is msgspec.UNSET else one.message
        if text is msgspec.UNSET:
            raise Malformed("a choice in which nothing is written")
        written += len(bytes(text))
    if not answer.choices and not answer.data:
        raise Malformed("neither choices nor data")
    return answer.usage, -(-written // _BYTES_PER_TOKEN)
