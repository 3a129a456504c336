"""Calls of tools in an answer's text while it arrives: what is prose, what is a call, and which."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from slipway_runtime.serving import text, tools


@dataclass(frozen=True)
class Piece:
    """What a bit of text adds: prose, or something to call number `index`.

    A call's first piece has its id and name.
    """

    prose: str = ""
    index: int = -1
    id: str = ""
    name: str = ""
    arguments: str = ""


class Calls:
    """Reads one answer. With `forced`, there is no prose: the answer is calls from its start."""

    def __init__(self, style: tools.Style, *, forced: bool) -> None:
        self._style = style
        self._trigger = text.StopStrings([style.trigger])
        self._state = "opening" if forced else "prose"
        self._held = ""
        self._scan = _Arguments()
        #: Calls begun so far.
        self.count = 0

    def add(self, piece: str) -> list[Piece]:
        """The pieces that this text completes; their sum over time is the answer."""
        if self._state == "prose":
            shown = self._trigger.add(piece)
            pieces = [Piece(prose=shown)] if shown else []
            if self._trigger.found:
                self._state = "opening"
                self._held = self._style.trigger + self._trigger.behind
                pieces += self._calls()
            return pieces
        self._held += piece
        return self._calls()

    def flush(self) -> list[Piece]:
        """Prose that was kept back because it might have become a call."""
        rest = self._trigger.flush() if self._state == "prose" else ""
        return [Piece(prose=rest)] if rest else []

    def _calls(self) -> list[Piece]:
        pieces: list[Piece] = []
        style = self._style
        while True:
            if self._state == "opening":
                # What was forced is there by the grammar: only its length matters.
                if len(self._held) < len(style.opening):
                    return pieces
                self._held = self._held[len(style.opening) :]
                self._state = "name"
            if self._state == "name":
                name, found, rest = self._held.partition(style.between)
                if not found:
                    return pieces
                pieces.append(
                    Piece(index=self.count, id=f"call_{secrets.token_hex(12)}", name=name)
                )
                self.count += 1
                self._held, self._state = rest, "arguments"
                self._scan = _Arguments()
            if self._state == "arguments":
                taken = self._scan.take(self._held)
                if taken:
                    pieces.append(Piece(index=self.count - 1, arguments=self._held[:taken]))
                self._held = self._held[taken:]
                if not self._scan.whole:
                    return pieces
                self._state = "after"
            if not style.joint or not self._held.startswith(style.joint):
                return pieces
            self._held = self._held[len(style.joint) :]
            self._state = "name"


class _Arguments:
    """Finds the end of a JSON object that comes in pieces."""

    def __init__(self) -> None:
        self.whole = False
        self._depth = 0
        self._quoted = self._escaped = False

    def take(self, piece: str) -> int:
        """How many characters of `piece` still belong to the object."""
        for at, character in enumerate(piece):
            if self._quoted:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._quoted = False
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self.whole = True
                    return at + 1
        return len(piece)
