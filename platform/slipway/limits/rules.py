"""A common pot that gateways lease from: the arithmetic, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What one gateway gives back to a pot and wants of it.

    With a `rate` (units a second) the pot is a token bucket of `size`; without, it holds `size`
    slots, of which each gateway keeps what it was granted until it gives it back. `give` below
    zero is a debt: more was used than was leased.
    """

    pot: str
    size: float
    rate: float
    give: float
    want: float
    #: What the gateway has left of what it leased of a bucket: the pot fills up to the rest.
    has: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanged:
    """By pot what was granted and what is left in it; and how many other gateways there are."""

    pots: Mapping[str, tuple[float, float]]
    others: int


def from_bucket(ask: Ask, *, level: float, at: float, now: float) -> tuple[float, float]:
    """What a pot that had `level` at the Unix second `at` grants, and what is left in it."""
    most = ask.size - max(0.0, ask.has)
    level = min(most, level + max(0.0, now - at) * ask.rate)
    level = min(most, level + ask.give)
    grant = min(ask.want, max(0.0, level))
    return grant, level - grant


def from_slots(ask: Ask, *, held: float, by_others: float) -> tuple[float, float]:
    """What is granted where this gateway held so many slots, and how many it holds after that."""
    held = max(0.0, held - ask.give)
    grant = min(ask.want, max(0.0, ask.size - by_others - held))
    return grant, held + grant
