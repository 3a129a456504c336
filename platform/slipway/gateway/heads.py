"""Heads of messages that were parsed before: the same bytes mean the same. No sockets.

A client's head is the same from one request to the next but for the length of the body, and so is
an engine's from one answer to the next but for that and the request's id. What the parser made of
one is remembered with those left out, and looked up by the rest of its bytes. What differs by
anything else is parsed.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

Said = TypeVar("Said")


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What the head of a request for a completion says: `endpoint` is its path."""

    endpoint: str
    authorization: bytes | None
    #: Header `x-session-id`: such requests should meet the same replica.
    session: bytes = b""
    #: Header `traceparent`.
    trace: bytes = b""
    #: Of HTTP/1.1, so that an answer may come in chunks.
    modern: bool = True
    keep_alive: bool = True


_LENGTH = b"ength: "
_WHOLE_NAME = b"\r\ncontent-length: "
_END = b"\r\n\r\n"
_MOST_HEADS, _LARGEST_HEAD = 1024, 4096


class Heads(Generic[Said]):
    """What heads that begin with `beginning` say; all connections of a process share one."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self._known: dict[bytes, Said] = {}

    def find(self, data: bytes, name: bytes = b"") -> tuple[Said, int, int] | None:
        """What the head says that `data` begins with, where its body begins, and how long that
        is; None where it must be parsed. `name` stands for that of another message."""
        at = data.find(_LENGTH) + 7
        stop = data.find(b"\r\n", at)
        end = data.find(_END, stop) + 4
        key = data[:at] + data[stop:end]
        # No head has a blank line within, so nothing else looks like a name left out.
        said = self._known.get(key.replace(name, _END, 1) if name else key)
        if said is None:
            return None
        digits = data[at:stop]
        return (said, end, int(digits)) if digits.isdigit() and len(digits) < 10 else None

    def learn(self, data: bytes, said: Said, name: bytes = b"") -> None:
        """`data` begins with a head that the strict parser took for this."""
        at = data.find(_LENGTH) + 7
        stop = data.find(b"\r\n", at)
        end = data.find(_END, stop) + 4
        if (
            data.startswith(self._beginning)
            and data[:at].lower().endswith(_WHOLE_NAME)
            and data[at:stop].isdigit()
            # Or the length that was found stands in a body.
            and data.find(_END) + 4 == end
            and end <= _LARGEST_HEAD
        ):
            if len(self._known) >= _MOST_HEADS:
                self._known.clear()
            key = data[:at] + data[stop:end]
            self._known[key.replace(name, _END, 1) if name else key] = said
