"""Token buckets: how many requests and tokens a key, a project or a model has left. No clocks.

A bucket holds one minute's worth and fills evenly. A request takes one from each request bucket
and what it may use from each token bucket; when it has ended, the difference to what it did use
is put back or taken, so a bucket may go below zero and later requests wait for it.
"""

from __future__ import annotations

import math

import msgspec

from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Limit, Scope, Snapshot

_LINES = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"


class Bucket:
    """So many a minute; `at` is in Unix seconds."""

    __slots__ = ("at", "level", "size")

    def __init__(self, size: int, at: float) -> None:
        self.size, self.level, self.at = size, float(size), at

    def fill(self, now: float) -> None:
        """Bring it up to now."""
        # A clock that was set back must not empty it.
        if now > self.at:
            level = self.level + (now - self.at) * self.size / 60
            self.level = level if level < self.size else float(self.size)
        self.at = now

    def resize(self, size: int, now: float) -> None:
        self.fill(now)
        self.size = size
        self.level = min(self.level, float(size))

    def wait(self, amount: float) -> float:
        """Seconds until `amount`, or a full bucket if it is more than that, can be taken."""
        size = self.size
        short = min(amount, size) - self.level
        return short * 60 / size if short > 0 else 0.0

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
    if bucket.size != size:
        bucket.resize(size, now)
    return bucket


class Hold(msgspec.Struct, frozen=True):
    """What a request that was let in has taken."""

    meters: tuple[Meter, ...]
    tokens: int
    #: `x-ratelimit-…`, as lines of an answer's head.
    lines: bytes


_NOTHING = Hold((), 0, b"")
#: The meters over one key's requests for one model.
_Over = tuple[tuple[Scope, Limit, Meter], ...]


class Rates:
    """The meters of one gateway process."""

    def __init__(self) -> None:
        self._meters: dict[Scope, Meter] = {}
        #: What is over whom, as of `_seen`.
        self._over: dict[tuple[str, str], _Over] = {}
        self._seen: dict[Scope, Limit] = {}

    def take(
        self, *, snapshot: Snapshot, key: Key, model: str, tokens: int, now: float
    ) -> Hold | Refusal:
        """Let a request in that may use so many tokens, or say when to come back."""
        if snapshot.limits is not self._seen:
            self._seen = snapshot.limits
            self._over.clear()
        if not self._seen:
            return _NOTHING
        over = self._over.get((key.id, model))
        if over is None:
            over = self._over[key.id, model] = self._find(key, model, now)
        if not over:
            return _NOTHING
        for scope, limit, meter in over:
            if (refusal := _refused(scope, limit, meter, tokens, now)) is not None:
                return refusal
        # Only when all agree is anything taken.
        meters = []
        for _, _, meter in over:
            meters.append(meter)
            meter.in_flight += 1
            if meter.requests is not None:
                meter.requests.level -= 1
            if meter.tokens is not None:
                meter.tokens.level -= tokens
        return Hold(tuple(meters), tokens, _lines(meters))

    def _find(self, key: Key, model: str, now: float) -> _Over:
        project = key.project_id
        scopes = ((project, "", ""), (project, key.id, ""), (project, "", model),
                  (project, key.id, model))  # fmt: skip
        found = []
        for scope in scopes:
            limit = self._seen.get(scope)
            if limit is None:
                continue
            meter = self._meters.get(scope)
            if meter is None:
                self._forget(self._seen)
                meter = self._meters[scope] = Meter()
            meter.fit(limit, now)
            found.append((scope, limit, meter))
        return tuple(found)

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


def _refused(scope: Scope, limit: Limit, meter: Meter, tokens: int, now: float) -> Refusal | None:
    if limit.at_once is not None and meter.in_flight >= limit.at_once:
        return _too_many(scope, "requests", f"at most {limit.at_once} at one time", 1.0, [meter])
    bucket = meter.requests
    if bucket is not None:
        bucket.fill(now)
        if bucket.level < 1 and (wait := bucket.wait(1)) > 0:
            rule = f"{bucket.size} requests per minute"
            return _too_many(scope, "requests", rule, wait, [meter])
    bucket = meter.tokens
    if bucket is not None:
        bucket.fill(now)
        if bucket.level < tokens and (wait := bucket.wait(tokens)) > 0:
            left = max(0, math.floor(bucket.level))
            rule = f"{bucket.size} tokens per minute ({left} left, this may use {tokens})"
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
    requests = tokens = None
    for meter in meters:
        bucket = meter.requests
        if bucket is not None and (requests is None or bucket.level < requests.level):
            requests = bucket
        bucket = meter.tokens
        if bucket is not None and (tokens is None or bucket.level < tokens.level):
            tokens = bucket
    lines = b"" if requests is None else _told(b"requests", requests)
    return lines if tokens is None else lines + _told(b"tokens", tokens)


def _told(kind: bytes, bucket: Bucket) -> bytes:
    left = int(bucket.level) if bucket.level > 0 else 0
    reset = _duration(bucket.until_full()).encode()
    return _LINES % (kind, bucket.size, kind, left, kind, reset)


def _duration(seconds: float) -> str:
    """As clients expect it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
