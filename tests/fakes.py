"""The world outside, in memory: for faults that cannot be forced on the real one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from slipway.backends.compute import Readiness, Room
from slipway.backends.tracking import Point
from slipway_contracts.workload import Observation, State, Workload


class FakeCompute:
    """Remembers what was applied; shows what the test says is seen."""

    def __init__(self) -> None:
        self.applied: dict[str, Workload] = {}
        self.seen: dict[str, Observation] = {}
        self.deleted: list[str] = []

    def apply(self, workload: Workload) -> None:
        self.applied[workload.name] = workload
        self.seen.setdefault(workload.name, Observation(state=State.WAITING, reason="queued"))

    def observe(self, name: str) -> Observation:
        return self.seen.get(name, Observation(state=State.ABSENT))

    def delete(self, name: str) -> None:
        self.applied.pop(name, None)
        self.seen.pop(name, None)
        self.deleted.append(name)

    def logs(self, name: str) -> Iterator[str]:
        yield from ()

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    def room(self) -> Room:
        return Room(cpus=8, gpus=8, memory_bytes=6 * 10**9)

    def names(self) -> list[str]:
        return sorted(self.applied)


class FakeTracking:
    """Keeps runs and versions in dictionaries."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.points: dict[str, list[Point]] = {}
        self.ended: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.forgotten: list[str] = []

    def start_run(self, *, experiment: str, name: str, key: str, params: Mapping[str, str]) -> str:
        return self.runs.setdefault(key, f"run-{len(self.runs) + 1}")

    def log(self, run: str, points: Sequence[Point]) -> None:
        self.points.setdefault(run, []).extend(points)

    def end_run(self, run: str, *, status: str) -> None:
        self.ended[run] = status

    def register(
        self, *, model: str, source_uri: str, key: str, run: str = "", tags: Mapping[str, str]
    ) -> str:
        return self.versions.setdefault(key, str(len(self.versions) + 1))

    def unregister(self, *, model: str, version: str) -> None:
        self.versions = {k: v for k, v in self.versions.items() if v != version}

    def forget(self, *, space: str) -> None:
        self.forgotten.append(space)
