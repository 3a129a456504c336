"""What Kueue says: which queue, which place in it, and what is missing."""

from __future__ import annotations

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


def verdict(queued: Object, position: int) -> Verdict | None:
    """Why Kueue holds the workload back, at this place; None once it is admitted."""
    if holds(queued, "Admitted") and not holds(queued, "Evicted"):
        return None
    queue = queued["spec"].get("queueName", "?")
    if queued["spec"].get("active") is False:
        reason = f"queue {queue}: switched off (spec.active of Kueue's Workload is false)"
        return waiting("Deactivated", reason)
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
