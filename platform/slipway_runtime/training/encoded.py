"""Rows as tokens, cut to what the model takes, and an account of what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

#: Lines named in a report; the counts are whole.
LINES_NAMED = 20


class Piece(Protocol):
    """What one row became: an example, or a pair of them."""

    @property
    def line(self) -> int:
        """Line of the row in its file."""

    @property
    def length(self) -> int:
        """Tokens of its longest sequence."""

    @property
    def tokens(self) -> int:
        """Tokens of all its sequences."""

    @property
    def trained_tokens(self) -> int:
        """Tokens that the loss is taken on."""

    @property
    def teaches(self) -> bool:
        """Whether there is anything in it to learn."""

    def cut(self, length: int) -> Self:
        """Its first `length` tokens."""


P = TypeVar("P", bound=Piece)


@dataclass(frozen=True, kw_only=True)
class Encoded(Generic[P]):
    """The examples of some rows, and what was lost on the way."""

    examples: list[P]
    rows: int
    #: Rows cut to the maximum length, and the tokens lost by that.
    truncated_rows: int
    truncated_tokens: int
    #: Rows without a token to learn: all turns of weight 0, or cut off before the answer.
    dropped_rows: int
    #: The first lines that were truncated or dropped.
    lines: list[int]

    @property
    def tokens(self) -> int:
        return sum(example.tokens for example in self.examples)

    @property
    def trained_tokens(self) -> int:
        return sum(example.trained_tokens for example in self.examples)

    def report(self) -> dict[str, int | list[int]]:
        return {
            "rows": self.rows,
            "examples": len(self.examples),
            "tokens": self.tokens,
            "trained_tokens": self.trained_tokens,
            "truncated_rows": self.truncated_rows,
            "truncated_tokens": self.truncated_tokens,
            "dropped_rows": self.dropped_rows,
            "lines": self.lines,
        }


def cut(pieces: Sequence[P], length: int) -> Encoded[P]:
    """Keep the first `length` tokens of each example, and only examples that teach something."""
    kept = [piece.cut(length) for piece in pieces]
    truncated = {piece.line for piece in pieces if piece.length > length}
    dropped = {e.line for e in kept} - {e.line for e in kept if e.teaches}
    return Encoded(
        examples=[e for e in kept if e.teaches],
        rows=len({e.line for e in pieces}),
        truncated_rows=len(truncated),
        truncated_tokens=sum(e.tokens for e in pieces) - sum(e.tokens for e in kept),
        dropped_rows=len(dropped),
        lines=sorted(truncated | dropped)[:LINES_NAMED],
    )
