"""Token buckets: how many requests and tokens a key, a project or a model has left. No clocks.

A bucket holds one minute's worth and fills evenly. A request takes one from each request bucket
and what it may use from each token bucket; when it has ended, the difference to what it did use
is put back or taken, so a bucket may go below zero and later requests wait for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Limit, Scope, Snapshot

_LINES = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"


class Bucket:
    """So many a minute; `at` is in Unix seconds."""

    __slots__ = ("at", "level", "size")

    def __init__(self, size: int, at: float) -> None:
        self.size, self.level, self.at = size, float(size), at

    def fill(self, size: int, now: float) -> None:
        """Bring it up to now; its size may have been changed meanwhile."""
        # A clock that was set back must not empty it.
        gained = max(0.0, now - self.at) * size / 60
        self.level = min(self.level + gained, float(size))
        self.size, self.at = size, now

    def wait(self, amount: float) -> float:
        """Seconds until `amount`, or a full bucket if it is more than that, can be taken."""
        short = min(amount, self.size) - self.level
        return short * 60 / self.size if short > 0 else 0.0

    def until_full(self) -> float:
        return (self.size - self.level) * 60 / self.size


class Meter:
    """What one scope has left."""

    __slots__ = ("in_flight", "requests", "tokens")

    def __init__(self) -> None:
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None
        self.in_flight = 0

    def fit(self, limit: Limit, now: float) -> None:
        """Take on the limit as it is now."""
        self.requests = _fitted(self.requests, limit.requests_per_minute, now)
        self.tokens = _fitted(self.tokens, limit.tokens_per_minute, now)


def _fitted(bucket: Bucket | None, size: int | None, now: float) -> Bucket | None:
    if size is None:
        return None
    if bucket is None:
        return Bucket(size, now)
    bucket.fill(size, now)
    return bucket


@dataclass(frozen=True, slots=True)
class Hold:
    """What a request that was let in has taken."""

    meters: tuple[Meter, ...]
    tokens: int
    #: `x-ratelimit-…`, as lines of an answer's head.
    lines: bytes


_NOTHING = Hold((), 0, b"")


class Rates:
    """The meters of one gateway process."""

    def __init__(self) -> None:
        self._meters: dict[Scope, Meter] = {}

    def take(
        self, *, snapshot: Snapshot, key: Key, model: str, tokens: int, now: float
    ) -> Hold | Refusal:
        """Let a request in that may use so many tokens, or say when to come back."""
        limits = snapshot.limits
        if not limits:
            return _NOTHING
        project = key.project_id
        scopes = ((project, "", ""), (project, key.id, ""), (project, "", model),
                  (project, key.id, model))  # fmt: skip
        asked = [(scope, limit) for scope in scopes if (limit := limits.get(scope)) is not None]
        if not asked:
            return _NOTHING
        meters = []
        for scope, limit in asked:
            meter = self._meters.get(scope)
            if meter is None:
                self._forget(limits)
                meter = self._meters[scope] = Meter()
            meter.fit(limit, now)
            if (refusal := _refused(scope, limit, meter, tokens)) is not None:
                return refusal
            meters.append(meter)
        # Only when all agree is anything taken.
        for meter in meters:
            meter.in_flight += 1
            if meter.requests is not None:
                meter.requests.level -= 1
            if meter.tokens is not None:
                meter.tokens.level -= tokens
        return Hold(tuple(meters), tokens, _lines(meters))

    def settle(self, hold: Hold, *, tokens: int) -> None:
        """A request has ended and used so many tokens. Call once per hold."""
        for meter in hold.meters:
            meter.in_flight -= 1
            if meter.tokens is not None:
                left = meter.tokens.level + hold.tokens - tokens
                meter.tokens.level = min(left, float(meter.tokens.size))

    def _forget(self, limits: dict[Scope, Limit]) -> None:
        """Drop the meters of limits that were lifted, once they are many."""
        if len(self._meters) > 2 * len(limits) + 16:
            self._meters = {
                scope: meter
                for scope, meter in self._meters.items()
                if scope in limits or meter.in_flight
            }


def _refused(scope: Scope, limit: Limit, meter: Meter, tokens: int) -> Refusal | None:
    if limit.at_once is not None and meter.in_flight >= limit.at_once:
        return _too_many(scope, "requests", f"at most {limit.at_once} at one time", 1.0, [meter])
    if meter.requests is not None and (wait := meter.requests.wait(1)) > 0:
        rule = f"{meter.requests.size} requests per minute"
        return _too_many(scope, "requests", rule, wait, [meter])
    if meter.tokens is not None and (wait := meter.tokens.wait(tokens)) > 0:
        left = max(0, math.floor(meter.tokens.level))
        rule = f"{meter.tokens.size} tokens per minute ({left} left, this may use {tokens})"
        return _too_many(scope, "tokens", rule, wait, [meter])
    return None


def _too_many(scope: Scope, kind: str, rule: str, wait: float, meters: list[Meter]) -> Refusal:
    _, key, model = scope
    whose = " ".join(
        filter(None, ["this key" if key else "this project", f"for `{model}`" if model else ""])
    )
    milliseconds = b"retry-after-ms: %d\r\n" % math.ceil(wait * 1000)
    return Refusal(
        429,
        f"Rate limit reached for {whose}: {rule}. Please try again in {_duration(wait)}.",
        type=kind,
        code="rate_limit_exceeded",
        retry_after=math.ceil(wait),
        rates=_lines(meters) + milliseconds,
    )


def _lines(meters: list[Meter]) -> bytes:
    """`x-ratelimit-…` of the bucket of each kind that has the least left."""
    lines = b""
    for kind, buckets in (
        (b"requests", [meter.requests for meter in meters if meter.requests]),
        (b"tokens", [meter.tokens for meter in meters if meter.tokens]),
    ):
        if not buckets:
            continue
        tightest = buckets[0] if len(buckets) == 1 else min(buckets, key=lambda b: b.level)
        left = max(0, math.floor(tightest.level))
        reset = _duration(tightest.until_full()).encode()
        lines += _LINES % (kind, tightest.size, kind, left, kind, reset)
    return lines


def _duration(seconds: float) -> str:
    """As clients expect it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
