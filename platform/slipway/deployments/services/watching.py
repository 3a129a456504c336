"""Look at one deployment and the world, take one step.

Only the holder of the deployment's lease sends or deletes workloads, so a stop that arrives
while we send one finds it at the next look. A route flips when the new revision answers; the old
one lives on for the requests it has begun.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from datetime import datetime, timedelta

from django.db import transaction

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.capacity import services as capacity
from slipway.core import lifecycle
from slipway.deployments.models import Deployment, Phase, Revision, RevisionPhase
from slipway.deployments.services import sleeping, verbs
from slipway_contracts.workload import Observation, State

#: Until the next look while something is coming, and while all is well.
QUICK, STEADY = timedelta(seconds=0.25), timedelta(seconds=1)
#: A revision that does not answer so long after it was sent has failed.
START_LIMIT = timedelta(minutes=15)
#: Crashes longer ago than this do not count towards the wait before another try.
FORGIVEN_AFTER = timedelta(minutes=10)
LONGEST_WAIT = timedelta(minutes=1)
LAST_WORDS = 40


def step(deployment: Deployment, now: datetime) -> timedelta | None:
    """Take one step; return how long to wait until the next look."""
    try:
        match deployment.phase:
            case Phase.STARTING:
                return _bring_up(deployment, now)
            case Phase.WAKING:
                _clear_away(deployment, now)
                return _bring_up(deployment, now)
            case Phase.SLEEPING:
                _clear_away(deployment, now)
                return sleeping.PAUSE
            case Phase.LIVE | Phase.UNHEALTHY:
                _watch(deployment, now)
                sleeping.lie_down(deployment, now=now)
            case Phase.UPDATING:
                _watch(deployment, now)
                _bring_up(deployment, now)
            case Phase.STOPPING:
                _take_down(deployment, now)
                lifecycle.advance(deployment, Phase.STOPPED, now=now, reason=deployment.reason)
                return None
            case Phase.DELETING:
                _take_down(deployment, now)
                with transaction.atomic():
                    lifecycle.advance(deployment, Phase.DELETED, now=now)
                    verbs.let_go_of_all(deployment)
                return None
        _clear_away(deployment, now)
    except ComputeUnavailable as error:
        _say_away(deployment, now, error)
    return QUICK if deployment.phase != Phase.LIVE else STEADY


def _bring_up(deployment: Deployment, now: datetime) -> timedelta | None:
    revision = deployment.revisions.filter(phase=RevisionPhase.COMING).first()
    if revision is None:
        # Given up between our reading the row and now.
        return QUICK
    seen = backends.compute().observe(revision.workload_name)
    match seen.state:
        case State.RUNNING if seen.endpoints:
            _flip(deployment, revision, seen, now)
        case State.FAILED:
            _give_up(deployment, revision, seen.reason or "its replicas failed", now)
        case State.ABSENT:
            _send(revision, now)
            _explain(deployment, revision, "sent to the cluster")
        case _ if revision.sent_at and now - revision.sent_at > START_LIMIT:
            why = f"it did not answer within {START_LIMIT}: {seen.reason or seen.state}"
            _give_up(deployment, revision, why, now)
        case _:
            _explain(deployment, revision, seen.reason or "loading the model")
    return QUICK


def _explain(deployment: Deployment, revision: Revision, what: str) -> None:
    if deployment.phase == Phase.UPDATING:
        what = f"revision {revision.number} ({revision.reference}) is coming: {what}"
    lifecycle.annotate(deployment, reason=what)


def _flip(deployment: Deployment, revision: Revision, seen: Observation, now: datetime) -> None:
    """From now on the new revision answers; the old one is drained."""
    old = deployment.revisions.filter(phase=RevisionPhase.SERVING).first()
    with transaction.atomic():
        lifecycle.advance(
            deployment, Phase.LIVE, now=now, down_at=None,
            **verbs.settle_on(deployment, revision),
        )  # fmt: skip
        if old is not None:
            gone_at = now + timedelta(seconds=deployment.drain_seconds)
            reason = f"replaced by revision {revision.number}"
            lifecycle.advance(old, RevisionPhase.RETIRED, now=now, reason=reason, remove_at=gone_at)
        lifecycle.advance(
            revision, RevisionPhase.SERVING, now=now, served_at=now,
            endpoints=list(seen.endpoints),
        )  # fmt: skip


def _give_up(deployment: Deployment, revision: Revision, why: str, now: datetime) -> None:
    """The new revision is no good: a first start has failed, an update leaves the old one be."""
    words = list(deque(backends.compute().logs(revision.workload_name), maxlen=LAST_WORDS))
    backends.compute().delete(revision.workload_name)
    updating = deployment.phase == Phase.UPDATING
    told = f"revision {revision.number} ({revision.reference}) did not come up: {why}"
    with transaction.atomic():
        if updating:
            text = f"{told}. The revision before it goes on answering."
            lifecycle.advance(deployment, Phase.LIVE, now=now, reason=text[:1000])
        else:
            lifecycle.advance(deployment, Phase.FAILED, now=now, reason=told[:1000])
        lifecycle.advance(
            revision, RevisionPhase.FAILED, now=now, reason=why[:1000], removed_at=now
        )
        verbs.let_go(revision)
        lifecycle.tell(
            deployment, now=now, kind="failed", level="error", text=told[:1000],
            data={"revision": revision.number, "log": words},
        )  # fmt: skip


def _watch(deployment: Deployment, now: datetime) -> None:
    """See that the serving revision answers; say it and heal it when it does not."""
    revision = deployment.revisions.filter(phase=RevisionPhase.SERVING).first()
    if revision is None:
        return
    seen = backends.compute().observe(revision.workload_name)
    endpoints = list(seen.endpoints) if seen.state is State.RUNNING else []
    if endpoints != revision.endpoints:
        lifecycle.annotate(revision, reason=revision.reason, endpoints=endpoints)
    if endpoints:
        _well(deployment, revision, seen, now)
        return
    why = seen.reason or "no replica answers"
    if seen.state is State.ABSENT:
        why = "its workload is gone, as after a restart of the node; bringing it back"
    _unwell(deployment, now, why)
    if seen.state is State.FAILED:
        _note_crash(revision, now)
        backends.compute().delete(revision.workload_name)
    elif seen.state is State.ABSENT and now >= _next_try(revision):
        _send(revision, now)


def _well(deployment: Deployment, revision: Revision, seen: Observation, now: datetime) -> None:
    count = len(seen.endpoints)
    reason = ""
    if count < revision.replicas:
        reason = f"{count} of {revision.replicas} replicas answer. {seen.reason}".strip()
    if deployment.phase == Phase.UNHEALTHY:
        with transaction.atomic():
            down = (now - deployment.down_at).total_seconds() if deployment.down_at else 0.0
            lifecycle.advance(deployment, Phase.LIVE, now=now, reason=reason, down_at=None)
            text = f"answers again after {down:.1f} s"
            lifecycle.tell(deployment, now=now, kind="recovered", text=text,
                           data={"seconds": down})  # fmt: skip
    elif deployment.phase == Phase.LIVE and (reason or "replicas answer" in deployment.reason):
        # What else stands there, such as why an update failed, is still worth reading.
        lifecycle.annotate(deployment, reason=reason)


def _unwell(deployment: Deployment, now: datetime, why: str) -> None:
    if deployment.phase == Phase.LIVE:
        lifecycle.advance(deployment, Phase.UNHEALTHY, now=now, reason=why[:1000], down_at=now)
    elif deployment.phase == Phase.UNHEALTHY:
        lifecycle.annotate(deployment, reason=why[:1000])


def _note_crash(revision: Revision, now: datetime) -> None:
    lately = revision.crashed_at and now - revision.crashed_at < FORGIVEN_AFTER
    crashes = min(revision.crashes + 1, 100) if lately else 1
    lifecycle.annotate(revision, reason=revision.reason, crashes=crashes, crashed_at=now)


def _next_try(revision: Revision) -> datetime:
    """At once after the first crash, then twice as long each time."""
    if revision.crashed_at is None:
        return revision.created_at
    wait = timedelta(seconds=2 ** min(revision.crashes - 1, 10) - 1)
    return revision.crashed_at + min(wait, LONGEST_WAIT)


def _send(revision: Revision, now: datetime) -> None:
    lifecycle.annotate(revision, reason=revision.reason, sent_at=now)
    queue = capacity.queue_of(project_id=revision.project_id)
    backends.compute().apply(dataclasses.replace(revision.workload(), queue=queue))


def _take_down(deployment: Deployment, now: datetime) -> None:
    for revision in deployment.revisions.filter(removed_at=None).order_by("number"):
        if revision.phase in {RevisionPhase.COMING, RevisionPhase.SERVING}:
            lifecycle.advance(
                revision, RevisionPhase.RETIRED, now=now, reason=deployment.reason,
                remove_at=now, endpoints=[],
            )  # fmt: skip
        _remove(revision, now)


def _clear_away(deployment: Deployment, now: datetime) -> None:
    """Remove retired revisions whose time to finish what they had begun is over."""
    done = deployment.revisions.filter(
        phase=RevisionPhase.RETIRED, removed_at=None, remove_at__lte=now
    )
    for revision in done.order_by("number"):
        _remove(revision, now)


def _remove(revision: Revision, now: datetime) -> None:
    backends.compute().delete(revision.workload_name)
    with transaction.atomic():
        lifecycle.annotate(revision, reason=revision.reason, removed_at=now, endpoints=[])
        verbs.let_go(revision)


def _say_away(deployment: Deployment, now: datetime, error: ComputeUnavailable) -> None:
    why = f"the cluster does not answer: {error}"[:1000]
    if deployment.phase in {Phase.LIVE, Phase.UNHEALTHY}:
        # Replicas may still answer; the addresses stay until the cluster says otherwise.
        _unwell(deployment, now, why)
    else:
        lifecycle.annotate(deployment, reason=why)
