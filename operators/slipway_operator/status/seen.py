"""What one look at the cluster found, and what it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from slipway_contracts.workload import Observation, State

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Everything there is about one workload. Objects are as the API server returns them."""

    #: The RayJob or RayService; None when it is not there.
    made: Object | None = None
    #: Kueue's Workload for it, None without Kueue; and its place in its queue.
    queued: Object | None = None
    place: int = 0
    pods: tuple[Object, ...] = ()

    @property
    def status(self) -> Object:
        """What KubeRay says of what was made; empty before it has spoken."""
        return (self.made or {}).get("status") or {}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Our status: what the control plane reads, and one CamelCase word for conditions."""

    state: State
    #: For machines: Queued, Unschedulable, ImagePull, OutOfMemory, Preempted …
    word: str
    reason: str = ""
    position: int = 0
    endpoints: tuple[str, ...] = field(default=())

    def observation(self) -> Observation:
        return Observation(
            state=self.state,
            reason=self.reason,
            endpoints=self.endpoints,
            position=self.position,
        )


def waiting(word: str, reason: str, *, position: int = 0) -> Verdict:
    return Verdict(state=State.WAITING, word=word, reason=reason, position=position)


def failed(word: str, reason: str) -> Verdict:
    return Verdict(state=State.FAILED, word=word, reason=reason)


def condition(thing: Object | None, kind: str) -> Object | None:
    """The condition of this type, whatever its status; None where there is none."""
    found = ((thing or {}).get("status") or {}).get("conditions") or []
    return next((item for item in found if item["type"] == kind), None)


def holds(thing: Object | None, kind: str) -> bool:
    found = condition(thing, kind)
    return found is not None and found["status"] == "True"
