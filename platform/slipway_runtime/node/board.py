"""What this node was asked to run and what became of it: plain state, and the queue's order."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from slipway_contracts.workload import Observation, State, Workload
from slipway_runtime import places

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


class BeingStopped(Exception):
    """The name belongs to a run that is just being stopped; try again in a moment."""


@dataclass(kw_only=True)
class Run:
    """A run to completion, as far as this life of the agent knows it."""

    workload: Workload
    state: State = State.WAITING
    #: Why it ended; empty after success.
    reason: str = ""
    started_at: float = 0.0
    #: The life of the host it was started in; a run does not outlive its host.
    life: str = ""
    #: Deleted while it ran: it is forgotten as soon as it has really ended.
    stopping: bool = False


class Board:
    """Not thread-safe; the agent holds its lock."""

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self.runs: dict[str, Run] = {}

    def place(self, workload: Workload) -> None:
        """Note the run as WAITING; once is enough, again changes nothing."""
        known = self.runs.get(workload.name)
        if known is None:
            self.runs[workload.name] = Run(workload=workload)
        elif known.stopping:
            raise BeingStopped(f"{workload.name} is being stopped; apply it again in a moment")

    def waiting(self) -> list[Run]:
        """The queue: higher priority first, then by time of the request, then by name."""
        return sorted(
            (run for run in self.runs.values() if run.state is State.WAITING),
            key=lambda run: (
                -run.workload.priority,
                run.workload.submitted_at,
                run.workload.name,
            ),
        )

    def running(self) -> list[Run]:
        return [run for run in self.runs.values() if run.state is State.RUNNING]

    def next(self) -> Run | None:
        """The run that may start now, if there is a free slot."""
        queue = self.waiting()
        return queue[0] if queue and len(self.running()) < self.slots else None

    def start(self, run: Run, *, life: str) -> None:
        run.state, run.life, run.started_at = State.RUNNING, life, time.time()

    def end(self, run: Run, *, reason: str) -> None:
        """The run has ended; an empty reason is success."""
        places.step_file(run.workload.name).unlink(missing_ok=True)
        if run.stopping:
            del self.runs[run.workload.name]
            return
        run.state = State.FAILED if reason else State.SUCCEEDED
        run.reason = reason

    def observe(self, name: str, *, warming: str) -> Observation:
        """`warming` is what the node still does before runs can start, empty when it is ready."""
        run = self.runs.get(name)
        if run is None:
            return Observation(state=State.ABSENT)
        if run.state is State.WAITING:
            queue = self.waiting()
            position = queue.index(run) + 1
            reason = self._why_waiting(queue, position, warming=warming)
            return Observation(state=State.WAITING, reason=reason, position=position)
        reason = "stopping" if run.stopping else run.reason
        return Observation(state=run.state, reason=reason)

    def _why_waiting(self, queue: list[Run], position: int, *, warming: str) -> str:
        running = [f"{run.workload.name}, which {_how_far(run)}" for run in self.running()]
        place = _ORDINALS[position - 1] if position <= len(_ORDINALS) else f"number {position}"
        if warming:
            ahead = f" ({place} in the queue)" if position > 1 else ""
            return f"waiting until this machine is warm: {warming}{ahead}"
        if not running:
            return "starting now" if position == 1 else f"{place} in the queue"
        if position == 1:
            return f"{place} in the queue, behind {' and '.join(running)}"
        before = queue[position - 2].workload.name
        return f"{place} in the queue, behind {before}; running now: {' and '.join(running)}"


def _how_far(run: Run) -> str:
    with suppress(OSError, ValueError):
        step, total = places.step_file(run.workload.name).read_text().split()
        return f"is at step {int(step)} of {int(total)}"
    return f"has been running for {time.time() - run.started_at:.0f} s"
