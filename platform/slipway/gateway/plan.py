"""Whom to ask, in which order: shares, fallbacks, one replica for one session. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import xxhash

from slipway.gateway.facts import Route, Rule, Snapshot

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def draw(text: bytes) -> float:
    """A number from 0 up to 100 that is always the same for the same text.

    The text is the session where a request names one, so that it stays with one model while the
    shares stay; else the request's id, which is as good as chance.
    """
    return xxhash.xxh64_intdigest(text) % 10_000 / 100


def names(asked: Route, drawn: float) -> tuple[str, ...]:
    """Names to ask one after another; `drawn` is from 0 up to 100."""
    if asked.rule is None:
        return (asked.name,)
    first = _share(asked.rule, drawn)
    return (first, *(name for name in asked.rule.fallbacks if name != first))


def _share(rule: Rule, drawn: float) -> str:
    upto = 0
    for name, percent in rule.shares:
        upto += percent
        if drawn < upto:
            return name
    return rule.shares[-1][0]


def find(snapshot: Snapshot, project_id: str, name: str) -> Route | None:
    """The deployment or external model of this name; None where the name is but a rule."""
    route = snapshot.routes.get((project_id, name))
    return route if route is not None and route.deployment_id else None


def targets(snapshot: Snapshot, asked: Route, drawn: float) -> tuple[Route, ...]:
    """Routes to try in this order. Only those that answer, unless none does: then the first that
    is known, so that its state can be told; empty if not a single one is known."""
    if asked.rule is None:
        return (asked,)
    found = [
        route
        for name in names(asked, drawn)
        if (route := find(snapshot, asked.project_id, name)) is not None
    ]
    ready = [route for route in found if route.endpoints]
    return tuple(ready or [route for route in found if answers(route)] or found[:1])


def answers(target: Route) -> bool:
    """Whether a target has a replica by itself, or will have one in a moment."""
    return target.with_rule(None).answers


def replica(addresses: Collection[str], session: bytes) -> str | None:
    """The address that a session belongs to: the same one while it is there, and when one goes or
    comes only its own sessions move (rendezvous hashing, Thaler and Ravishankar 1998)."""
    if not addresses:
        return None
    return max(addresses, key=lambda one: (xxhash.xxh64_intdigest(session + one.encode()), one))


def body_for(body: bytes, target: Route) -> bytes:
    """The request with the name that the target's engine knows its model by."""
    fields = _fields.decode(body)
    name = target.origin.model if target.origin is not None else target.name
    fields["model"] = msgspec.Raw(_encode(name))
    return _encode(fields)
