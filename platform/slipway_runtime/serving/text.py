"""Tokens to text while they arrive: whole characters only, and never a part of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Decode(Protocol):
    """A tokenizer's way from tokens to text; special tokens are left out if not asked for."""

    def __call__(self, ids: list[int], skip_special_tokens: bool = True) -> str: ...  # noqa: FBT001, FBT002


class Detokenizer:
    """Turns a growing list of tokens into pieces of text whose sum is the decoded whole.

    A token may hold half a character, so text that ends in U+FFFD is kept back until a later
    token completes it; what never completes comes out with `flush`.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        #: Tokens decoded together: the emitted ones among them are context for the next.
        self._window: list[int] = []
        self._emitted = ""
        self._kept_back = 0

    def add(self, token: int) -> str:
        """The text that this token completes; may be empty."""
        self._window.append(token)
        text = self._decode(self._window)
        # Sixteen tokens complete any character; longer is no character but noise: show it.
        if text.endswith("\ufffd") and self._kept_back < 16:
            self._kept_back += 1
            return ""
        piece = text[len(self._emitted) :]
        self._emitted, self._kept_back = text, 0
        if len(self._window) >= 16:
            self._shorten()
        return piece

    def _shorten(self) -> None:
        """Forget old tokens, where the rest decodes by itself to what was shown.

        Some context stays, for how a token is written can depend on the one before it; and no
        cut goes through a character spelled in bytes.
        """
        for kept in range(4, 9):
            tail = self._decode(self._window[-kept:])
            clean = tail.strip() and "\ufffd" not in tail
            if clean and self._emitted.endswith(tail.lstrip()):
                self._window, self._emitted = self._window[-kept:], tail
                return

    def flush(self) -> str:
        """What was kept back and will not be completed."""
        piece = self._decode(self._window)[len(self._emitted) :]
        self._window, self._emitted, self._kept_back = [], "", 0
        return piece


class StopStrings:
    """Finds the first stop string in streamed text and keeps back what may become one."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [s for s in strings if s]
        self._held = ""
        self.found = False
        #: The text after the one that was found, as far as it came along.
        self.behind = ""

    def add(self, piece: str) -> str:
        """Text that is safe to show; sets `found`, and shows nothing from there on."""
        if not self._strings:
            return piece
        text = self._held + piece
        hits = [(at, s) for s in self._strings if (at := text.find(s)) >= 0]
        if hits:
            at, string = min(hits)
            self.found, self._held = True, ""
            self.behind = text[at + len(string) :]
            return text[:at]
        keep = max(
            (n for s in self._strings for n in range(1, len(s)) if text.endswith(s[:n])), default=0
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """Text held back that turned out to be no stop string."""
        held, self._held = self._held, ""
        return held
