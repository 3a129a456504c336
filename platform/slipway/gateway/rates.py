"""Token buckets: how many requests and tokens a key, a project or a model has left. No clocks.

A bucket holds one minute's worth and fills evenly. A request takes one from each request bucket
and what it may use from each token bucket; when it has ended, the difference to what it did use
is put back or taken, so a bucket may go below zero and later requests wait for it.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Limit, Scope, Snapshot

_LINES = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
#: Both kinds at once, where it takes less than a second to be full again, as it nearly always does.
_BOTH = b"".join(
    b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%dms\r\n"
    % (kind, kind, kind)
    for kind in (b"requests", b"tokens")
)

#: Pairs of key and model of which it is remembered what limits them.
_REMEMBERED = 100_000


class Bucket:
    """What may be taken of one thing; `rate` a second comes back, up to `size`.

    Where gateways share it, `level` is what this one has leased of the pot `name`: nothing comes
    back by itself, `elsewhere` was left in the pot at the last look, and `short` is what was asked
    for in vain since. `held` was granted and not given back. See `leases`.
    """

    __slots__ = (
        *("at", "busy_at", "elsewhere", "held", "level", "mark"),
        *("name", "rate", "shared", "short", "size"),
    )

    def __init__(self, name: str, size: int, rate: float, at: float, *, shared: bool) -> None:
        self.name, self.size, self.rate, self.at = name, size, rate, at
        self.shared = shared
        self.level = self.mark = 0.0 if shared else float(size)
        self.elsewhere = self.short = self.held = self.busy_at = 0.0

    def fill(self, now: float) -> None:
        """Bring it up to now (Unix seconds)."""
        # A clock that was set back must not empty it.
        if not self.shared and now > self.at:
            level = self.level + (now - self.at) * self.rate
            self.level = level if level < self.size else float(self.size)
        self.at = now

    def resize(self, size: int, rate: float, now: float) -> None:
        self.fill(now)
        if not rate and not self.shared:
            self.level += size - self.size
        self.size, self.rate = size, rate
        self.level = min(self.level, float(size))

    def give_back(self, amount: float) -> None:
        level = self.level + amount
        self.level = level if level < self.size else float(self.size)

    def wait(self, amount: float) -> float:
        """Seconds until `amount`, or a full bucket if it is more than that, can be taken."""
        short = min(amount, self.size) - self.level
        if short <= 0:
            return 0.0
        return max(short - self.elsewhere, 0.1) / self.rate if self.rate else 1.0


class Meter:
    """What one scope has left."""

    __slots__ = ("in_flight", "requests", "scope", "slots", "tokens")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None
        #: Requests in flight at one time.
        self.slots: Bucket | None = None
        self.in_flight = 0

    def fit(self, limit: Limit, now: float, *, shared: bool) -> None:
        """Take on the limit as it is now."""

        def fitted(bucket: Bucket | None, kind: str, size: int | None, rate: float) -> Any:
            if size is None:
                return None
            if bucket is None:
                name = "/".join((kind, *self.scope))
                return Bucket(name, size, rate, now, shared=shared)
            if bucket.size != size:
                bucket.resize(size, rate, now)
            return bucket

        asks, tokens = limit.requests_per_minute, limit.tokens_per_minute
        self.requests = fitted(self.requests, "requests", asks, (asks or 0) / 60)
        self.tokens = fitted(self.tokens, "tokens", tokens, (tokens or 0) / 60)
        self.slots = fitted(self.slots, "slots", limit.at_once, 0.0)

    def take(self, tokens: int, now: float) -> bool:
        """Count a request that may use so many tokens, if it can be let in now."""
        slots, requests, bucket = self.slots, self.requests, self.tokens
        if slots is not None and slots.level < 1:
            return False
        if requests is not None:
            if not requests.shared:
                requests.fill(now)
            if requests.level < 1:
                return False
        if bucket is not None:
            if not bucket.shared:
                bucket.fill(now)
            if bucket.level < tokens and bucket.wait(tokens) > 0:
                return False
            bucket.level -= tokens
        if slots is not None:
            slots.level -= 1
        if requests is not None:
            requests.level -= 1
        self.in_flight += 1
        return True

    def undo(self, tokens: int) -> None:
        """It was not let in after all."""
        self.settle(tokens)
        if self.requests is not None:
            self.requests.level += 1

    def settle(self, unused: int) -> None:
        """It has ended, and used so many tokens fewer."""
        slots, bucket = self.slots, self.tokens
        self.in_flight -= 1
        if slots is not None and slots.level < slots.size:
            slots.level += 1
        if bucket is not None:
            # No more than fits beside what lies in the pot.
            level, most = bucket.level + unused, bucket.size - bucket.elsewhere
            bucket.level = level if level < most else float(most)

    def lack(self, tokens: int) -> None:
        """Note what a request could not be given, so that it is leased."""
        for bucket, amount in ((self.slots, 1), (self.requests, 1), (self.tokens, tokens)):
            if bucket is not None and bucket.level < amount:
                bucket.short += min(amount, bucket.size)


class Hold(msgspec.Struct, frozen=True):
    """What a request that was let in has taken."""

    meters: tuple[Meter, ...]
    tokens: int
    #: `x-ratelimit-…`, as lines of an answer's head.
    lines: bytes


_NOTHING = Hold((), 0, b"")


class Rates:
    """The meters of one gateway process; `shared` if it leases from pots that others share."""

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        self._meters: dict[Scope, Meter] = {}
        #: What is over whom, as of `_seen`.
        self._over: dict[tuple[str, str], tuple[Meter, ...]] = {}
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
        meters = self._over.get((key.id, model))
        if meters is None:
            meters = self._find(key, model, now)
        if not meters:
            return _NOTHING
        for meter in meters:
            if not meter.take(tokens, now):
                # Only when all agree is anything taken.
                for before in meters[: meters.index(meter)]:
                    before.undo(tokens)
                if self._shared:
                    for lacking in meters:
                        lacking.lack(tokens)
                return _refused(meter, tokens)
        return Hold(meters, tokens, _lines(meters))

    def _find(self, key: Key, model: str, now: float) -> tuple[Meter, ...]:
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
                meter = self._meters[scope] = Meter(scope)
            meter.fit(limit, now, shared=self._shared)
            found.append(meter)
        if len(self._over) >= _REMEMBERED:
            self._over.clear()
        self._over[key.id, model] = tuple(found)
        return tuple(found)

    def settle(self, hold: Hold, *, tokens: int) -> None:
        """A request has ended and used so many tokens. Call once per hold."""
        for meter in hold.meters:
            meter.settle(hold.tokens - tokens)

    def buckets(self) -> list[Bucket]:
        """All that is counted."""
        return [
            bucket
            for meter in self._meters.values()
            for bucket in (meter.requests, meter.tokens, meter.slots)
            if bucket is not None
        ]

    def _forget(self, limits: dict[Scope, Limit]) -> None:
        """Drop the meters of limits that were lifted, once they are many."""
        if len(self._meters) > 2 * len(limits) + 16:
            self._meters = {
                scope: meter
                for scope, meter in self._meters.items()
                if scope in limits or meter.in_flight
            }


def _refused(meter: Meter, tokens: int) -> Refusal:
    """Why a meter has no room."""
    bucket: Any = meter.slots
    if bucket is not None and bucket.level < 1:
        return _too_many(meter, "requests", f"at most {bucket.size} at one time", bucket, 1)
    bucket = meter.requests
    if bucket is not None and bucket.level < 1:
        return _too_many(meter, "requests", f"{bucket.size} requests per minute", bucket, 1)
    bucket = meter.tokens
    left = max(0, math.floor(bucket.level + bucket.elsewhere))
    rule = f"{bucket.size} tokens per minute ({left} left, this may use {tokens})"
    return _too_many(meter, "tokens", rule, bucket, tokens)


def _too_many(meter: Meter, kind: str, rule: str, bucket: Bucket, amount: float) -> Refusal:
    wait = bucket.wait(amount)
    _, key, model = meter.scope
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
        rates=_lines((meter,)) + milliseconds,
        lease=bucket.shared,
    )


def _lines(meters: tuple[Meter, ...]) -> bytes:
    """`x-ratelimit-…` of the bucket of each kind that has the least left."""
    requests, tokens = meters[0].requests, meters[0].tokens
    for meter in meters[1:]:
        bucket = meter.requests
        if bucket is not None and (requests is None or bucket.level < requests.level):
            requests = bucket
        bucket = meter.tokens
        if bucket is not None and (tokens is None or bucket.level < tokens.level):
            tokens = bucket
    if requests is None or tokens is None:
        lines = b"" if requests is None else _told(b"requests", requests)
        return lines if tokens is None else lines + _told(b"tokens", tokens)
    asks, left = requests.level + requests.elsewhere, tokens.level + tokens.elsewhere
    asks_full, full = (requests.size - asks) / requests.rate, (tokens.size - left) / tokens.rate
    if 0 <= asks_full < 1 and 0 <= full < 1:
        return _BOTH % (
            requests.size, asks, asks_full * 1000 + 0.999, tokens.size, left, full * 1000 + 0.999
        )  # fmt: skip
    return _told(b"requests", requests) + _told(b"tokens", tokens)


def _told(kind: bytes, bucket: Bucket) -> bytes:
    left = bucket.level + bucket.elsewhere
    reset = _duration(max(0.0, (bucket.size - left) / bucket.rate)).encode()
    return _LINES % (kind, bucket.size, kind, max(0, left), kind, reset)


def _duration(seconds: float) -> str:
    """As clients expect it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
