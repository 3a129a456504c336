"""What every run stores: its life, its attempts, and how far it has come."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models

from slipway.core.lifecycle import Lifecycle
from slipway.core.models import Tracked


class Phase(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    HARVESTING = "harvesting"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    DELETED = "deleted"


#: Phases in which a run holds, or waits for, a place on the cluster.
ACTIVE = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.HARVESTING, Phase.PAUSING, Phase.CANCELLING})

LIFECYCLE = Lifecycle(
    {
        # A run that ends between two looks goes from queued straight on; a lost one queues anew.
        Phase.QUEUED: (
            Phase.QUEUED,
            Phase.RUNNING,
            Phase.HARVESTING,
            Phase.FAILED,
            Phase.PAUSING,
            Phase.CANCELLING,
        ),
        Phase.RUNNING: (
            Phase.QUEUED,
            Phase.HARVESTING,
            Phase.FAILED,
            Phase.PAUSING,
            Phase.CANCELLING,
        ),
        # One that ended before it could be stopped is taken over all the same.
        Phase.PAUSING: (Phase.PAUSED, Phase.HARVESTING, Phase.CANCELLING),
        Phase.PAUSED: (Phase.QUEUED, Phase.CANCELLING, Phase.DELETING),
        Phase.HARVESTING: (Phase.SUCCEEDED, Phase.FAILED),
        Phase.CANCELLING: (Phase.CANCELLED,),
        Phase.SUCCEEDED: (Phase.DELETING,),
        # Waking these makes a new attempt, which resumes from the latest checkpoint.
        Phase.FAILED: (Phase.QUEUED, Phase.DELETING),
        Phase.CANCELLED: (Phase.QUEUED, Phase.DELETING),
        Phase.DELETING: (Phase.DELETED,),
    },
    resting=frozenset({Phase.PAUSED, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}),
)


def handle_of(pk: uuid.UUID) -> str:
    """The 12 hexadecimal digits by which a run is known on the cluster."""
    return pk.hex[:12]


class Run(Tracked):
    """A row whose workload runs to completion; subclasses add what is asked and what came out."""

    LIFECYCLE = LIFECYCLE
    #: What its workloads' names begin with.
    PREFIX = ""

    phase = models.CharField(max_length=32, choices=Phase, default=Phase.QUEUED, db_index=True)
    project_id = models.UUIDField(db_index=True)
    name = models.CharField(max_length=127)
    made_by = models.CharField(max_length=150, blank=True, default="")
    #: Middle part of its workloads' names.
    handle = models.CharField(max_length=12, unique=True)
    #: As the client sent it, so that a repeated request finds the first one's row.
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - NULLs are distinct, '' is not
    request_sha256 = models.CharField(max_length=64, blank=True, default="")
    priority = models.SmallIntegerField(default=0)
    #: Directory of this run alone; every attempt writes there and resumes from there.
    output_uri = models.CharField(max_length=1024)

    attempt = models.PositiveIntegerField(default=1)
    #: Attempts that failed for a cause in themselves, and attempts that were taken from under
    #: us one after another without a step of progress; each has its own limit.
    faults = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    #: False once it failed for a cause in the request itself: another attempt would fail alike.
    recoverable = models.BooleanField(default=True)

    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    #: When the present attempt came to run; null while it waits.
    placed_at = models.DateTimeField(null=True)
    first_step_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    #: 1-based place in the queue, 0 when not queued.
    position = models.PositiveIntegerField(default=0)
    stage = models.CharField(max_length=255, blank=True, default="")
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    epoch = models.FloatField(default=0.0)
    #: Where this attempt's steps were first and last seen; the pace is measured between them.
    pace_step = models.PositiveIntegerField(default=0)
    pace_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(null=True)
    #: Key of the last progress chunk taken in.
    read_until = models.CharField(max_length=1024, blank=True, default="")

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "idempotency_key"], name="%(class)s_request_once"
            )
        ]
        # Lists: in their order, whatever was deleted before; and of one phase.
        indexes = [
            models.Index(
                fields=["project_id", "created_at", "id"],
                condition=~models.Q(phase=Phase.DELETED),
                name="%(class)s_listed",
            ),
            models.Index(
                fields=["project_id", "phase", "created_at", "id"], name="%(class)s_by_phase"
            ),
        ]

    @property
    def workload_name(self) -> str:
        """Name of the current attempt's workload; no two attempts share one."""
        return f"{self.PREFIX}-{self.handle}-{self.attempt}"


def remaining(run: Run, *, now: datetime) -> tuple[float, float, float] | None:
    """Seconds still to go, with a band: (low, expected, high); None before two steps were seen.

    The pace is that of the present attempt; the band starts at ±50 % and narrows with the
    steps seen, to ±5 %.
    """
    if run.phase != Phase.RUNNING or run.pace_at is None or run.moved_at is None:
        return None
    seen = run.step - run.pace_step
    if seen < 1:
        return None
    pace: timedelta = (run.moved_at - run.pace_at) / seen
    behind = max(0.0, (now - run.moved_at).total_seconds())
    expected = max(0.0, pace.total_seconds() * (run.total_steps - run.step) - behind)
    band = max(0.05, 0.5 / seen**0.5)
    return expected * (1 - band), expected, expected * (1 + band)


def actual_seconds(run: Run) -> dict[str, float | None]:
    """Where the time went, in seconds: queued, preparing (start to first step), running, all."""

    # A first step is dated by the worker's clock, and may be heard of after it was made.
    def between(a: datetime | None, b: datetime | None) -> float | None:
        return max(0.0, (b - a).total_seconds()) if a and b else None

    return {
        "queued": between(run.created_at, run.started_at),
        "preparing": between(run.started_at, run.first_step_at),
        "running": between(run.first_step_at, run.finished_at),
        "total": between(run.created_at, run.finished_at),
    }
