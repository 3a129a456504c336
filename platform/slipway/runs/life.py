"""Walks a run through its life, one look at a time.

Whatever is killed between two lines here, the next look finds the row and the world as they
are and goes on: every outward verb may be repeated, an attempt is named before it is sent, and
the next attempt is applied only once the one before is seen to be gone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.backends.objects import Missing
from slipway.core import lifecycle
from slipway.core.errors import Refused
from slipway.runs import progress
from slipway.runs.record import Phase, Run
from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.workload import (
    OVER_NAME,
    Failure,
    Observation,
    Report,
    State,
    Workload,
    failure_from_json,
    failure_name,
    report_from_json,
    report_name,
)

#: Attempts that may fail for a cause in themselves (disk full, worker crash …) before we give up.
FAULT_LIMIT = 5
#: Attempts that may be taken from under us in a row, none of them making a step.
LOSS_LIMIT = 20
#: Until the next look at a run that is queued or running, young and old.
QUICK, STEADY = timedelta(seconds=0.25), timedelta(seconds=1)
YOUNG = timedelta(minutes=5)
#: Until the next look when the cluster does not answer.
AWAY = timedelta(seconds=2)
LONGEST_BACKOFF = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Trade:
    """What differs between kinds of run."""

    #: What to send for the current attempt.
    workload: Callable[[Any], Workload]
    #: Keeps the notes of a chunk (points, checkpoints …); runs inside the transaction that
    #: moves the cursor past it.
    keep: Callable[[Any, Note], None]
    #: Takes over what a run left behind, any number of times with one effect; returns fields to
    #: store with success, or None where that takes longer. Raises Refused where the result
    #: cannot be taken.
    harvest: Callable[[Any, Report], dict[str, Any] | None]
    #: Why a running one should stop at its latest checkpoint and wait for somebody; "" to go on.
    hindrance: Callable[[Any, datetime], str]
    #: Counts what a run that is being paused has used, inside the transaction that pauses it.
    settle: Callable[[Any, datetime], None]
    #: Lets go of what the run holds in other domains, inside the transaction that ends it.
    let_go: Callable[[Any], None]
    #: Tells which objects below the output go when the run is deleted.
    leftovers: Callable[[Any], list[str]]
    #: Removes rows that hang on the run, inside the transaction that marks it deleted.
    forget: Callable[[Any], None]


def step(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    """Take one step; return how long to wait until the next look."""
    try:
        match run.phase:
            case Phase.QUEUED:
                return _dispatch(run, now, trade)
            case Phase.RUNNING:
                return _watch(run, now, trade)
            case Phase.HARVESTING:
                return _harvest(run, now, trade)
            case Phase.PAUSING:
                return _park(run, now, trade)
            case Phase.CANCELLING:
                return _cancel(run, now, trade)
            case Phase.DELETING:
                return _erase(run, now, trade)
    except ComputeUnavailable as error:
        lifecycle.annotate(run, reason=f"the cluster does not answer ({error}); asking again")
        return AWAY
    return None


def _dispatch(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    wait = run.queued_at + backoff(run) - now
    if wait > timedelta(0):
        # Never longer than this: a cancel that comes meanwhile is carried out at the next look.
        return min(wait, STEADY)
    compute = backends.compute()
    seen = compute.observe(run.workload_name)
    if seen.state is State.ABSENT:
        # Not sent yet, or it came and went with its machine; only the store knows which.
        if _left_behind(run) != (None, None):
            return _conclude(run, now, trade, seen)
        compute.apply(trade.workload(run))
        seen = compute.observe(run.workload_name)
    if seen.state in {State.ABSENT, State.WAITING}:
        reason = seen.reason or "sent to the cluster; waiting for its turn"
        lifecycle.annotate(run, reason=reason, position=seen.position)
        return _pause(run, now)
    reason = run.stage or "starting"
    started_at = run.started_at or now
    lifecycle.advance(
        run, Phase.RUNNING, now=now, reason=reason, started_at=started_at, placed_at=now, position=0
    )
    return None


def _watch(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    # The world first: what is told before the end was seen is then read for certain.
    seen = backends.compute().observe(run.workload_name)
    if listen(run, trade):
        return timedelta(0)
    if seen.state not in {State.RUNNING, State.WAITING}:
        return _conclude(run, now, trade, seen)
    if seen.state is State.WAITING:
        lifecycle.annotate(run, reason=seen.reason or "waiting", position=seen.position)
    elif why := trade.hindrance(run, now):
        lifecycle.advance(run, Phase.PAUSING, now=now, reason=why)
        return None
    return _pause(run, now)


def listen(run: Run, trade: Trade) -> bool:
    """Take in new progress chunks; tell whether there may be more of them."""
    found = progress.chunks(run.output_uri, after=run.read_until)
    for chunk in found:
        with transaction.atomic():
            changes: dict[str, Any] = {"read_until": chunk.key}
            for note in chunk.notes:
                changes |= _heard(run, note, changes)
                trade.keep(run, note)
            said = changes.pop("reason", run.reason)
            # One who waits for a cancel to take hold wants to read of that.
            reason = said if run.phase == Phase.RUNNING else run.reason
            lifecycle.annotate(run, reason=reason, **changes)
    return len(found) == progress.CHUNKS_A_LOOK


def _heard(run: Run, note: Note, changes: dict[str, Any]) -> dict[str, Any]:
    """What one note changes in the row; stages and warnings also become events."""
    at = progress.when(note)
    if note.kind is NoteKind.STAGE:
        lifecycle.tell(run, now=at, kind="stage", text=note.text)
        return {"stage": note.text[:255], "reason": note.text}
    if note.kind is NoteKind.WARNING:
        lifecycle.tell(run, now=at, kind="warning", text=note.text, level="warning")
    if note.kind is not NoteKind.METRICS or note.step is None:
        return {}
    heard: dict[str, Any] = {"step": note.step, "moved_at": at}
    if note.total_steps is not None:
        heard["total_steps"] = note.total_steps
    if note.epoch is not None:
        heard["epoch"] = note.epoch
    if changes.get("pace_at", run.pace_at) is None:
        heard |= {"pace_at": at, "pace_step": note.step}
    if note.step > changes.get("step", run.step):
        heard["losses"] = 0
    if note.step >= 1 and changes.get("first_step_at", run.first_step_at) is None:
        heard["first_step_at"] = at
    total = heard.get("total_steps", changes.get("total_steps", run.total_steps))
    return heard | {"reason": f"step {note.step} of {total}" if total else f"step {note.step}"}


def _left_behind(run: Run) -> tuple[Report | None, Failure | None]:
    """The newest report of any attempt, and the failure of this one, where they are there."""
    objects = backends.objects()
    prefix = objects.key(run.output_uri)
    report, failure = None, None
    for attempt in range(run.attempt, 0, -1):
        with suppress(Missing):
            report = report_from_json(objects.read(f"{prefix}/{report_name(attempt)}"))
            break
    with suppress(Missing):
        failure = failure_from_json(objects.read(f"{prefix}/{failure_name(run.attempt)}"))
    return report, failure


def _conclude(run: Run, now: datetime, trade: Trade, seen: Observation) -> timedelta | None:
    """The attempt is over: harvest it, fail, or try once more."""
    report, failure = _left_behind(run)
    if listen(run, trade):
        return timedelta(0)
    if report is not None:
        lifecycle.advance(
            run, Phase.HARVESTING, now=now, reason="taking over the result", position=0
        )
        return None
    if (left := _removed(run)) is not None:
        return left
    cause = failure.reason if failure else seen.reason or "its worker or machine went away"
    if failure is not None and not failure.retryable:
        _fail(run, now, trade, reason=cause, recoverable=False)
        return None
    faults, losses = run.faults + bool(failure), run.losses + (failure is None)
    if faults >= FAULT_LIMIT or losses >= LOSS_LIMIT:
        tries = f"gave up after {run.attempt} attempts; the last one: {cause}"
        _fail(run, now, trade, reason=f"{tries}. Retry resumes from the latest checkpoint.")
        return None
    requeue(run, now=now, reason=_again(run, cause), faults=faults, losses=losses)
    return None


def _again(run: Run, cause: str) -> str:
    return (
        f"attempt {run.attempt} ended early ({cause}); "
        f"attempt {run.attempt + 1} resumes from the latest checkpoint"
    )


def requeue(run: Run, *, now: datetime, reason: str, **fields: Any) -> None:
    """Put the run back in the queue as its next attempt; the one before must be gone."""
    lifecycle.advance(
        run,
        Phase.QUEUED,
        now=now,
        reason=reason,
        attempt=run.attempt + 1,
        queued_at=now,
        finished_at=None,
        pace_at=None,
        placed_at=None,
        stage="",
        **fields,
    )


def backoff(run: Run) -> timedelta:
    """How long an attempt waits before it is sent: the more ended early, the longer."""
    early = run.faults + max(0, run.losses - 1)
    return min(LONGEST_BACKOFF, timedelta(seconds=2 ** min(early, 10) - 1))


def _harvest(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    if listen(run, trade):
        return timedelta(0)
    report, _ = _left_behind(run)
    if report is None:
        _fail(run, now, trade, reason="the report of the finished run has gone from the store")
        return None
    try:
        fields = trade.harvest(run, report)
    except Refused as error:
        hints = "; ".join(detail.fix for detail in error.details if detail.fix)
        text = f"the run ended well, but its result could not be taken over: {error.message}"
        _fail(run, now, trade, reason=f"{text} {hints}".strip())
        return None
    if fields is None:
        return QUICK
    if (left := _removed(run)) is not None:
        return left
    _rest(run, Phase.SUCCEEDED, now, trade, reason="", **fields)
    return None


def _park(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    """Stop it where it stands; its latest checkpoint is what it goes on from."""
    if (left := _removed(run)) is not None:
        return left
    if listen(run, trade):
        return timedelta(0)
    report, _ = _left_behind(run)
    if report is not None:
        lifecycle.advance(run, Phase.HARVESTING, now=now, reason="taking over the result")
        return None
    with transaction.atomic():
        trade.settle(run, now)
        lifecycle.advance(run, Phase.PAUSED, now=now, reason=run.reason, position=0)
    return None


def _cancel(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    if (left := _removed(run)) is not None:
        return left
    if listen(run, trade):
        return timedelta(0)
    _rest(run, Phase.CANCELLED, now, trade, reason=run.reason)
    return None


def _removed(run: Run) -> timedelta | None:
    """Remove the current attempt's workload; None once it is seen to be gone.

    Where its machine fell silent, gone is not ended: it is told so by the store, before.
    """
    compute = backends.compute()
    if compute.observe(run.workload_name).state is State.ABSENT:
        return None
    objects = backends.objects()
    objects.put(f"{objects.key(run.output_uri)}/{OVER_NAME}", str(run.attempt).encode())
    compute.delete(run.workload_name)
    if compute.observe(run.workload_name).state is State.ABSENT:
        return None
    return QUICK


def _fail(run: Run, now: datetime, trade: Trade, *, reason: str, recoverable: bool = True) -> None:
    _rest(run, Phase.FAILED, now, trade, reason=reason, recoverable=recoverable)


def _rest(run: Run, phase: str, now: datetime, trade: Trade, **fields: Any) -> None:
    with transaction.atomic():
        trade.let_go(run)
        lifecycle.advance(run, phase, now=now, finished_at=now, position=0, **fields)


def _erase(run: Run, now: datetime, trade: Trade) -> timedelta | None:
    for prefix in trade.leftovers(run):
        backends.objects().delete_prefix(prefix)
    with transaction.atomic():
        trade.forget(run)
        lifecycle.advance(run, Phase.DELETED, now=now, reason=run.reason)
    return None


def _pause(run: Run, now: datetime) -> timedelta:
    return QUICK if now - run.created_at < YOUNG else STEADY
