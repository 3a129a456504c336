"""REST manners that every kind of run shares: progress, events, logs, the three verbs."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from slipway.core import lifecycle
from slipway.core.errors import Detail, Invalid
from slipway.core.models import Event
from slipway.runs import progress
from slipway.runs.record import Phase, Run, actual_seconds, remaining


class NamedRefOut(serializers.Serializer[Any]):
    """A version that a run stands on, with the hash of its content at that time."""

    version_id = serializers.UUIDField()
    name = serializers.CharField(help_text="`name@number`")
    sha256 = serializers.CharField()


class EtaOut(serializers.Serializer[Any]):
    """Seconds still to go with a band, and when that would be."""

    seconds = serializers.FloatField()
    seconds_low = serializers.FloatField()
    seconds_high = serializers.FloatField()
    finish_at = serializers.DateTimeField()


class ProgressOut(serializers.Serializer[Any]):
    stage = serializers.CharField()
    step = serializers.IntegerField()
    total_steps = serializers.IntegerField(help_text="0 while unknown")
    epoch = serializers.FloatField()
    percent = serializers.FloatField()
    eta = EtaOut(allow_null=True)


class TimingsOut(serializers.Serializer[Any]):
    """Where the time went, in seconds; null for what has not ended."""

    queued = serializers.FloatField(allow_null=True)
    preparing = serializers.FloatField(allow_null=True)
    running = serializers.FloatField(allow_null=True)
    total = serializers.FloatField(allow_null=True)


class RunOut(serializers.Serializer[Any]):
    """What every run shows; kinds of run add to it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    phase = serializers.ChoiceField(Phase.choices)
    reason = serializers.CharField(help_text="why it is where it is, and what to do about it")
    position = serializers.IntegerField(help_text="1-based place in the queue; 0 when not queued")
    attempt = serializers.IntegerField()
    recoverable = serializers.BooleanField(help_text="whether another attempt may end better")
    priority = serializers.IntegerField()
    made_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    queued_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    first_step_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    progress = ProgressOut()
    seconds = TimingsOut()


#: What a run itself has under the same name.
_PLAIN = tuple(RunOut._declared_fields.keys() - {"progress", "seconds"})


def shown(run: Run, *, now: datetime | None = None) -> dict[str, Any]:
    """The fields of RunOut."""
    plain = {name: getattr(run, name) for name in _PLAIN}
    return plain | {
        "progress": _progress(run, now or timezone.now()),
        "seconds": actual_seconds(run),
    }


def _progress(run: Run, now: datetime) -> dict[str, Any]:
    share = run.step / run.total_steps if run.total_steps else 0.0
    percent = 100.0 if run.phase == Phase.SUCCEEDED else min(100.0, 100 * share)
    eta = None
    if (band := remaining(run, now=now)) is not None:
        low, expected, high = band
        eta = {
            "seconds": round(expected, 1),
            "seconds_low": round(low, 1),
            "seconds_high": round(high, 1),
            "finish_at": now + timedelta(seconds=expected),
        }
    return {
        "stage": run.stage,
        "step": run.step,
        "total_steps": run.total_steps,
        "epoch": run.epoch,
        "percent": round(percent, 2),
        "eta": eta,
    }


class EventOut(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ("id", "at", "level", "kind", "source", "target", "reason", "data")


class LogLineOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    level = serializers.CharField()
    text = serializers.CharField()


class LogsOut(serializers.Serializer[Any]):
    data = LogLineOut(many=True)
    next_cursor = serializers.CharField(
        help_text="read on from here; to follow, ask again with it while `live` is true"
    )
    more = serializers.BooleanField(help_text="whether more lines are there already")
    live = serializers.BooleanField(help_text="whether more lines may still be written")


def logs(run: Run, request: Request) -> dict[str, Any]:
    """One page of the run's log for the request's `cursor` and `limit`."""
    # Whether it lives is read before its lines: one that is at rest here has told all it will.
    live = not run.LIFECYCLE.at_rest(run.phase)
    limit = whole(request, "limit", default=1000, least=1, most=10_000) or 1
    page = progress.log_page(
        run.output_uri, cursor=request.query_params.get("cursor", ""), limit=limit
    )
    return {
        "data": [dataclasses.asdict(line) for line in page.lines],
        "next_cursor": page.cursor,
        "more": page.more,
        "live": live or page.more,
    }


def events(run: Run) -> Any:
    """The run's events, for paging."""
    return Event.objects.filter(subject=lifecycle.subject_of(run))


def whole(
    request: Request, name: str, *, default: int | None, least: int = 0, most: int = 2**31 - 1
) -> int | None:
    """A whole number from the query string; Invalid where it is none or out of range."""
    raw = request.query_params.get(name)
    if raw is None:
        return default
    if not raw.isdecimal() or len(raw) > 18 or not least <= int(raw) <= most:
        raise Invalid(
            f"{name} must be a whole number from {least} to {most}.",
            Detail(field=name, rule=f"{least}…{most}", value=raw),
        )
    return int(raw)


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """The same with null for what JSON has no word for (NaN, infinity)."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header; Invalid if it is longer than 255 characters."""
    key = request.headers.get("idempotency-key")
    if key and len(key) > 255:
        raise Invalid(
            "Idempotency-Key is too long.",
            Detail(field="Idempotency-Key", rule="at most 255 characters", value=key),
        )
    return key or None
