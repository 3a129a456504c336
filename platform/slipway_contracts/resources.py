"""Workloads as Kubernetes custom resources of the group slipway.dev, there and back."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from slipway_contracts.workload import Kind, Observation, State, Workload

GROUP = "slipway.dev"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
#: On everything that belongs to a workload: resources, pods, services.
LABEL = f"{GROUP}/workload"
#: Who made a resource. Only what carries our own mark is listed and swept.
MANAGED_BY = "app.kubernetes.io/managed-by"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of custom resource, and the fields of a Workload that its spec carries."""

    kind: str
    plural: str
    workloads: tuple[Kind, ...]
    fields: tuple[str, ...]


RUN = Resource(
    kind="Run",
    plural="runs",
    workloads=(Kind.TRAIN, Kind.EVALUATE),
    fields=(
        "kind", "inputs", "settings", "output_uri", "attempt", "submitted_at", "priority",
        "workers", "gpus",
    ),
)  # fmt: skip
SERVED_MODEL = Resource(
    kind="ServedModel",
    plural="servedmodels",
    workloads=(Kind.SERVE,),
    fields=("inputs", "settings", "submitted_at", "priority", "gpus", "replicas"),
)
RESOURCES = (RUN, SERVED_MODEL)


def resource_of(kind: Kind) -> Resource:
    return next(resource for resource in RESOURCES if kind in resource.workloads)


def camel(field: str) -> str:
    """A field's name as Kubernetes writes it: `output_uri` is `outputUri`."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def to_resource(workload: Workload) -> dict[str, Any]:
    """The custom resource that asks for this workload; the namespace is the caller's."""
    resource = resource_of(workload.kind)
    spec = {camel(field): getattr(workload, field) for field in resource.fields}
    if workload.queue:
        spec["placement"] = {"queue": workload.queue}
    return {
        "apiVersion": API_VERSION,
        "kind": resource.kind,
        "metadata": {
            "name": workload.name,
            "labels": {LABEL: workload.name, MANAGED_BY: "slipway"},
        },
        "spec": spec,
    }


def workload_of(resource: dict[str, Any]) -> Workload:
    """The workload that a custom resource asks for; what is left out has its default."""
    kind = next(known for known in RESOURCES if known.kind == resource["kind"])
    spec = resource["spec"]
    given = {field: spec[camel(field)] for field in kind.fields if camel(field) in spec}
    given["kind"] = Kind(given["kind"]) if "kind" in given else kind.workloads[0]
    given["queue"] = (spec.get("placement") or {}).get("queue", "")
    return Workload(name=resource["metadata"]["name"], **given)


def observation_of(resource: dict[str, Any]) -> Observation:
    """What the operator has said of the workload; WAITING while it has said nothing.

    What was said of an older generation of the spec is still the truth about what runs.
    """
    if resource["metadata"].get("deletionTimestamp"):
        return Observation(state=State.WAITING, reason="stopping: its pods are being removed")
    status = resource.get("status") or {}
    if "state" not in status:
        reason = "asked for; the operator has not looked at it yet (is slipway-operator running?)"
        return Observation(state=State.WAITING, reason=reason)
    return Observation(
        state=State(status["state"]),
        reason=status.get("reason", ""),
        endpoints=tuple(status.get("endpoints", ())),
        position=math.floor(status.get("position", 0)),
    )
