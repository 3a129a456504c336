"""What Kueue says: which queue, which place in it, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable

from slipway_operator.status.seen import Object, Verdict, condition, holds, waiting

_EVICTED = {
    "Preempted": "another workload was entitled to its quota",
    "PodsReadyTimeout": "its pods were not ready in time",
    "AdmissionCheck": "an admission check withdrew its leave",
    "ClusterQueueStopped": "the cluster queue was stopped",
    "LocalQueueStopped": "the queue was stopped",
    "NodeFailures": "a node failed under it",
    "Deactivated": "it was deactivated",
    "DeactivatedDueToRequeuingLimitExceeded": "it was given up after too many returns to the queue",
    "MaximumExecutionTimeExceeded": "its longest permitted time was over",
}


def place(queued: Object, rivals: Iterable[Object]) -> int:
    """1-based place among those that wait in the same queue; 0 when it does not wait."""
    if not _waits(queued):
        return 0
    queue = queued["spec"].get("queueName")
    ahead = [
        other
        for other in rivals
        if other["spec"].get("queueName") == queue
        and _waits(other)
        and _turn(other) < _turn(queued)
    ]
    return 1 + len(ahead)


def verdict(queued: Object, rivals: Iterable[Object]) -> Verdict | None:
    """Why Kueue holds the workload back; None once it is admitted."""
    if holds(queued, "Admitted") and not holds(queued, "Evicted"):
        return None
    queue = queued["spec"].get("queueName", "?")
    if queued["spec"].get("active") is False:
        reason = f"queue {queue}: switched off (spec.active of Kueue's Workload is false)"
        return waiting("Deactivated", reason)
    position = place(queued, rivals)
    ahead = f"place {position} in queue {queue}"
    reserved = condition(queued, "QuotaReserved")
    message = reserved.get("message", "") if reserved else ""
    if holds(queued, "Evicted"):
        evicted = condition(queued, "Evicted") or {}
        why = _EVICTED.get(evicted.get("reason", ""), evicted.get("reason", "no reason given"))
        text = f"taken out of its place: {why}; {ahead}, and it resumes from its last checkpoint"
        return waiting("Preempted", text, position=position)
    if holds(queued, "QuotaReserved"):
        pending = [
            check["name"]
            for check in (queued.get("status") or {}).get("admissionChecks", [])
            if check.get("state") != "Ready"
        ]
        return waiting(
            "Admitting", f"quota is reserved; waiting for {', '.join(pending) or 'Kueue'}"
        )
    if reserved is not None and reserved.get("reason") == "Inadmissible":
        return waiting(
            "Inadmissible", f"{ahead}, but cannot be admitted: {message}", position=position
        )
    text = f"{ahead}: {message}" if message else f"{ahead}; Kueue has not looked at it yet"
    return waiting("Queued", text, position=position)


def _waits(queued: Object) -> bool:
    return not holds(queued, "QuotaReserved") and not holds(queued, "Finished")


def _turn(queued: Object) -> tuple[int, str, str]:
    """Kueue's order: priority, then time; who was evicted counts from then."""
    evicted = condition(queued, "Evicted")
    since = queued["metadata"]["creationTimestamp"]
    if evicted is not None and evicted["status"] == "True":
        since = evicted.get("lastTransitionTime", since)
    return (-queued["spec"].get("priority", 0), since, queued["metadata"]["name"])
