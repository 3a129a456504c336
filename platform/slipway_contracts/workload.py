"""What we ask of a cluster, what we see there, and what a run leaves behind."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass
from typing import Any


class Kind(enum.StrEnum):
    """What a workload is; it decides which entry of the runtime carries it out."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    SERVE = "serve"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One thing to keep running (SERVE), or to run to completion (the others).

    `name` is a DNS label chosen before dispatch, so applying the same workload twice is one
    workload. For a run it ends in the attempt: two attempts never share a name.
    """

    name: str
    kind: Kind
    #: Role to URI: `base`, `adapter`, `dataset`, `held_out`, `resume` …; directories or files.
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: Directory URI that belongs to this run alone. All attempts of one run share it; what they
    #: write there has their number in its name, so that none can spoil another's.
    output_uri: str = ""
    #: 1 for the first try; a fence, and part of the name.
    attempt: int = 1
    #: Unix seconds of the request; with `priority` (higher first) it orders the queue.
    submitted_at: float = 0.0
    priority: int = 0
    #: Where the cluster has queues, the one it stands in; empty for the installation's own.
    queue: str = ""
    #: Processes that train together; more than one runs under Ray Train.
    workers: int = 1
    gpus: int = 0
    #: Copies that serve; meaningful for SERVE only.
    replicas: int = 1


class State(enum.StrEnum):
    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What is there now, in words a user can act on."""

    state: State
    reason: str = ""
    #: For SERVE: addresses that answer now, `unix:/path` or `http://host:port`.
    endpoints: tuple[str, ...] = ()
    #: 1-based place in the queue while WAITING; 0 when not queued.
    position: int = 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Written by the runtime as `report-<attempt>.json` when a run ends well."""

    #: What was made: a directory of safetensors for TRAIN, of per-row results for EVALUATE.
    artifact_uri: str
    metrics: dict[str, float]
    #: File name below `artifact_uri` to the SHA-256 of its content, lower-case hex.
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    attempt: int = 1
    #: Anything else worth keeping as it is (scores by group, resolved settings …).
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Written as `failure-<attempt>.json` when a run fails for a cause in itself.

    `retryable` tells a fault of the machine (lost worker, disk full) from a fault of the
    request (diverged, dataset unreadable): only the former is tried again by the platform.
    """

    reason: str
    retryable: bool
    attempt: int = 1
    traceback: str = ""


#: The number of the latest attempt that was given up or is over. Its machine may only have lost its
#: network: what it writes on is of no account, and where it reads this it ends.
OVER_NAME = "over"


def report_name(attempt: int) -> str:
    return f"report-{attempt}.json"


def artifact_name(attempt: int) -> str:
    return f"artifact-{attempt}"


def failure_name(attempt: int) -> str:
    return f"failure-{attempt}.json"


def to_json(value: Workload | Observation | Report | Failure) -> str:
    return json.dumps(dataclasses.asdict(value), sort_keys=True, ensure_ascii=False)


def workload_from_json(text: str | bytes) -> Workload:
    fields = json.loads(text)
    return Workload(**fields | {"kind": Kind(fields["kind"])})


def observation_from_json(text: str | bytes) -> Observation:
    fields = json.loads(text)
    return Observation(
        **fields | {"state": State(fields["state"]), "endpoints": tuple(fields["endpoints"])}
    )


def report_from_json(text: str | bytes) -> Report:
    return Report(**json.loads(text))


def failure_from_json(text: str | bytes) -> Failure:
    return Failure(**json.loads(text))
