"""Where workloads run. Four verbs; every one may be repeated safely."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from slipway_contracts.workload import Observation, Workload


class ComputeUnavailable(Exception):
    """The cluster did not answer; try again later. The text says what did not answer."""


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the place can take work now, and what it is still doing if not."""

    ready: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Room:
    """The most that one workload can ever have there, all its workers together."""

    cpus: int
    gpus: int
    memory_bytes: int


class Compute(Protocol):
    def apply(self, workload: Workload) -> None:
        """Make the workload exist. Returns at once; does not wait for it to run."""

    def observe(self, name: str) -> Observation:
        """Tell what is there now. A workload that is gone is ABSENT, not an error."""

    def delete(self, name: str) -> None:
        """Make the workload not exist. Deleting what is gone is no error."""

    def logs(self, name: str) -> Iterator[str]:
        """Lines that the workload printed, oldest first, as far as they are kept."""

    def readiness(self) -> Readiness:
        """Whether work can start now; the reason names the stage of warming up."""

    def room(self) -> Room | None:
        """What is there in all, busy or not; None where a queue knows better and says why."""

    def names(self) -> list[str]:
        """Names of all workloads that exist there, for sweeping those nobody owns."""
