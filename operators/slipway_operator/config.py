"""What an installation decides for all workloads: images, sizes, queues, storage."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any

from slipway_contracts.resources import camel


class BadConfig(ValueError):
    """The operator's configuration cannot be used; the text names the key and the fix."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """CPU and memory of a container, as Kubernetes quantities; request and limit alike."""

    cpu: str
    memory: str


@dataclass(frozen=True, kw_only=True)
class QueuePriority:
    """Workloads of at least this priority get this Kueue WorkloadPriorityClass."""

    at_least: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Config:
    """One per installation; the chart writes it as YAML, keys in camelCase."""

    #: The runtime's image; it holds Ray, torch and `slipway_runtime`.
    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    ray_version: str
    #: Kueue LocalQueue for workloads that name none; empty goes around Kueue.
    queue: str = ""
    queue_priorities: tuple[QueuePriority, ...] = ()
    #: PriorityClass of the pods, below that of the control plane.
    priority_class: str = ""
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    #: Of each process that trains or evaluates, and of each copy that serves.
    worker: Size = Size(cpu="4", memory="16Gi")
    #: Of a Ray head that only coordinates, and of the pod that submits a run.
    head: Size = Size(cpu="1", memory="2Gi")
    submitter: Size = Size(cpu="250m", memory="512Mi")
    #: Room for temporary files and copies of weights; of shared memory, which counts as memory.
    scratch: str = "50Gi"
    shared_memory: str = "2Gi"
    #: Secret whose key SLIPWAY_OBJECTS_URL says where s3:// URIs are.
    objects_secret: str = ""
    #: PersistentVolumeClaim that file:// URIs lie on, and where it is mounted.
    claim: str = ""
    claim_path: str = "/var/lib/slipway/objects"
    #: ConfigMap whose key ca.crt holds the authorities to trust besides the usual ones.
    ca_bundle: str = ""
    #: `token` makes Ray ask for the cluster's own secret on every call.
    ray_auth: str = "token"
    environment: dict[str, str] = field(default_factory=dict)
    run_as_user: int = 10001

    def __post_init__(self) -> None:
        if not self.image:
            raise BadConfig("image is empty; name the runtime's image, by digest where it counts")
        if self.ray_auth not in {"token", "disabled"}:
            raise BadConfig(f"rayAuth is {self.ray_auth!r}; it must be token or disabled")
        if not self.objects_secret and not self.claim:
            raise BadConfig(
                "neither objectsSecret nor claim is set; runs need somewhere to keep checkpoints: "
                "a Secret with SLIPWAY_OBJECTS_URL (s3://…), or a PersistentVolumeClaim"
            )


def read(given: dict[str, Any]) -> Config:
    """Make a Config of a parsed document. Raises BadConfig for a key that is not known."""
    values = _fields(Config, given, at="")
    for name in ("worker", "head", "submitter"):
        if name in values:
            values[name] = Size(**_fields(Size, values[name], at=f"{name}."))
    values["queue_priorities"] = tuple(
        QueuePriority(**_fields(QueuePriority, item, at=f"queuePriorities[{index}]."))
        for index, item in enumerate(values.get("queue_priorities") or ())
    )
    for name in ("image_pull_secrets", "tolerations"):
        values[name] = tuple(values.get(name) or ())
    try:
        return Config(**values)
    except TypeError as error:
        raise BadConfig(f"{error}; a key is missing") from error


def _fields(kind: type, given: dict[str, Any], *, at: str) -> dict[str, Any]:
    known = {camel(item.name): item.name for item in dataclasses.fields(kind)}
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise BadConfig(f"{at}{key} is not known; {meant}")
    return {known[key]: value for key, value in given.items() if value is not None}
