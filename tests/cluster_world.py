"""Custom resources and KubeRay objects as tests meet them."""

from __future__ import annotations

from typing import Any

from slipway_contracts import resources
from slipway_contracts.workload import Kind, Workload
from slipway_operator.config import Config, QueuePriority, Size

DIGEST = "sha256:" + "ab" * 32


def config(**changes: Any) -> Config:
    given: dict[str, Any] = {
        "image": f"registry.example/slipway/runtime@{DIGEST}",
        "ray_version": "2.60.0",
        "queue": "research",
        "queue_priorities": (QueuePriority(at_least=10, name="urgent"),),
        "objects_secret": "slipway-objects",
        "priority_class": "slipway-workloads",
    }
    return Config(**given | changes)


def pvc_config() -> Config:
    return config(
        objects_secret="",
        claim="slipway-objects",
        ca_bundle="slipway-ca",
        queue="",
        gpu_resource="huawei.com/Ascend910",
        node_selector={"pool": "train"},
        tolerations=({"key": "accelerator", "operator": "Exists", "effect": "NoSchedule"},),
        worker=Size(cpu="8", memory="64Gi"),
        image_pull_secrets=("registry",),
    )


def run(*, attempt: int = 1, placement: dict[str, Any] | None = None, **fields: Any) -> Any:
    workload = Workload(
        name=f"train-0123456789ab-{attempt}",
        kind=Kind.TRAIN,
        inputs={"base": "s3://slipway/models/base", "dataset": "s3://slipway/data/rows.jsonl"},
        settings={"method": "sft", "scale": "lora", "hyperparameters": {"note": "costs $(HOME)"}},
        output_uri="s3://slipway/runs/0123456789ab",
        attempt=attempt,
        submitted_at=1_700_000_000.0,
        **fields,
    )
    return there(resources.to_resource(workload), placement)


def served(**fields: Any) -> Any:
    workload = Workload(
        name="serve-0123456789ab-2",
        kind=Kind.SERVE,
        inputs={"base": "s3://slipway/models/base", "adapter": "s3://slipway/models/line"},
        settings={"served_name": "line", "engine": "auto"},
        submitted_at=1_700_000_000.0,
        **fields,
    )
    return there(resources.to_resource(workload), None)


def there(resource: dict[str, Any], placement: dict[str, Any] | None) -> dict[str, Any]:
    """As the API server returns it."""
    resource["metadata"] |= {"namespace": "slipway", "uid": "11-22-33", "generation": 1}
    if placement:
        resource["spec"]["placement"] = placement
    return resource


def rayjob(deployment: str = "", job: str = "", **status: Any) -> dict[str, Any]:
    labels = {"kueue.x-k8s.io/queue-name": "research"}
    return {
        "metadata": {"name": "train-0123456789ab-1", "labels": labels, "uid": "rj"},
        "spec": {"suspend": deployment in {"", "Suspended", "Suspending"}},
        "status": {"jobDeploymentStatus": deployment, "jobStatus": job, **status},
    }


def pod(name: str = "head", *, head: bool = True, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"ray.io/node-type": "head" if head else "worker"},
        },
        "spec": {"containers": [{"name": "ray-head", "resources": {"limits": {"memory": "16Gi"}}}]},
        "status": {"phase": "Running", **status},
    }


def condition(kind: str, status: str, reason: str = "", message: str = "", at: str = "") -> Any:
    found = {"type": kind, "status": status, "reason": reason, "message": message}
    return found | ({"lastTransitionTime": at} if at else {})


def queued(
    name: str = "rayjob-train-1",
    *conditions: dict[str, Any],
    priority: int = 0,
    created: str = "2026-11-22T09:00:00Z",
    queue: str = "research",
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": created, "labels": {}},
        "spec": {"queueName": queue, "priority": priority, "active": True},
        "status": {"conditions": list(conditions)},
    }
