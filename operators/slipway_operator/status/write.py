"""Our status as the custom resource carries it: state, reason, standard conditions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from slipway_contracts.workload import State
from slipway_operator.status.seen import Object, Verdict

#: A run that is over stays over: what remains of its pods cannot change how it ended.
FINAL = frozenset({str(State.SUCCEEDED), str(State.FAILED)})


def status(verdict: Verdict, resource: Object, *, now: datetime) -> dict[str, Any]:
    """The status to write; a condition's time moves only when its status does."""
    before = resource.get("status") or {}
    generation = resource["metadata"].get("generation", 0)
    wanted: dict[str, Any] = {
        "observedGeneration": generation,
        "state": str(verdict.state),
        "reason": verdict.reason,
        "conditions": _conditions(verdict, before, generation, now=now),
    }
    if resource["kind"] == "ServedModel":
        wanted |= {"endpoints": list(verdict.endpoints), "ready": len(verdict.endpoints)}
    else:
        wanted["position"] = verdict.position
    return wanted


def _conditions(
    verdict: Verdict, before: Object, generation: int, *, now: datetime
) -> list[dict[str, Any]]:
    truth = {
        "Ready": verdict.state in {State.RUNNING, State.SUCCEEDED},
        "Failed": verdict.state is State.FAILED,
    }
    old = {each["type"]: each for each in before.get("conditions", [])}
    found = []
    for kind, value in truth.items():
        text = "True" if value else "False"
        since = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        if kind in old and old[kind]["status"] == text:
            since = old[kind]["lastTransitionTime"]
        found.append(
            {
                "type": kind,
                "status": text,
                "reason": verdict.word,
                "message": verdict.reason,
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return found
