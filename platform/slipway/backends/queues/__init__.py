"""Who may take how much of the cluster, as the queue in front of it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Amounts:
    cpus: int = 0
    memory_gib: int = 0
    gpus: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            cpus=self.cpus + other.cpus,
            memory_gib=self.memory_gib + other.memory_gib,
            gpus=self.gpus + other.gpus,
        )

    def __sub__(self, other: Amounts) -> Amounts:
        return self + Amounts(cpus=-other.cpus, memory_gib=-other.memory_gib, gpus=-other.gpus)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Machines of one kind: those that carry the labels, and how much of them is given out."""

    name: str
    node_labels: Mapping[str, str]
    amounts: Amounts


@dataclass(frozen=True, kw_only=True)
class Share:
    """What is a project's own in a pool, and whether it may use what others leave there."""

    amounts: Amounts = Amounts()
    borrows: bool = True


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One project's; in a pool without a share it has what others leave."""

    project: str
    shares: Mapping[str, Share] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All pools in the order they are tried, and all queues. Without a pool there is no queue.

    What a pool has beyond its shares is there for whoever asks first.
    """

    pools: tuple[Pool, ...] = ()
    queues: tuple[Queue, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Use:
    """Of one pool by one project; `borrowed` is the part beyond its own share."""

    used: Amounts = Amounts()
    borrowed: Amounts = Amounts()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a project's queue stands: what it uses by pool, and how many workloads."""

    uses: Mapping[str, Use]
    waiting: int
    running: int


class Queues(Protocol):
    """Every verb may be repeated; each raises ComputeUnavailable where the queue is away."""

    def keep(self, plan: Plan) -> None:
        """Make the queues what the plan says; those of ours that it does not have go."""

    def behind(self, plan: Plan) -> list[str]:
        """Names of what is not there as the plan says, or too many; empty when in step."""

    def standing(self) -> dict[str, Standing]:
        """By project, of every queue of ours that is there."""


def queue_name(project: str) -> str:
    """The name that a project's workloads give for their queue."""
    return f"project-{project}"
