"""Pods of Ray at Pod Security *restricted*, with the few writable places they need."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from slipway_contracts.resources import LABEL, MANAGED_BY
from slipway_contracts.workload import Workload, to_json
from slipway_operator.config import Config, Size

#: Label that network policies select by: `run` or `served`.
ROLE = "slipway.dev/role"
#: Where a copy of a served model answers; only the gateway may call it.
ENGINE_PORT = 8100
_AGENT_PORT = 52365
_DASHBOARD_PORT = 8265
#: Everything that would write below `/` or `~` is pointed at the scratch volume.
_WRITABLE = {
    "HOME": "/scratch",
    "TMPDIR": "/tmp",  # noqa: S108 - an emptyDir of this pod alone
    "RAY_TMPDIR": "/tmp/ray",  # noqa: S108
    "SLIPWAY_HOME": "/scratch/slipway",
    "SLIPWAY_RUN_DIR": "/tmp/slipway",  # noqa: S108 - sockets need a short path
    "HF_HOME": "/scratch/huggingface",
    "XDG_CACHE_HOME": "/scratch/cache",
    "XDG_CONFIG_HOME": "/scratch/config",
    "TORCHINDUCTOR_CACHE_DIR": "/scratch/inductor",
    "TRITON_CACHE_DIR": "/scratch/triton",
    "NUMBA_CACHE_DIR": "/scratch/numba",
    "MPLCONFIGDIR": "/scratch/matplotlib",
}
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one workload may run: the installation's choice, and what its resource overrides."""

    queue: str
    gpu_resource: str
    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    size: Size
    queue_priority: str = field(default="")


def placement(resource: dict[str, Any], config: Config) -> Placement:
    own = resource["spec"].get("placement") or {}
    priority = resource["spec"].get("priority", 0)
    names = [
        step.name
        for step in sorted(config.queue_priorities, key=lambda step: -step.at_least)
        if priority >= step.at_least
    ]
    return Placement(
        queue=own.get("queue", config.queue),
        gpu_resource=own.get("gpuResource", config.gpu_resource),
        node_selector=config.node_selector | own.get("nodeSelector", {}),
        tolerations=[*config.tolerations, *own.get("tolerations", [])],
        size=Size(
            cpu=str(own.get("cpu", config.worker.cpu)),
            memory=str(own.get("memory", config.worker.memory)),
        ),
        queue_priority=names[0] if names else "",
    )


def labels(workload: Workload, role: str) -> dict[str, str]:
    return {LABEL: workload.name, ROLE: role, MANAGED_BY: "slipway-operator"}


def queue_labels(place: Placement) -> dict[str, str]:
    """What makes Kueue hold a resource back until there is quota for it."""
    found = {}
    if place.queue:
        found["kueue.x-k8s.io/queue-name"] = place.queue
        if place.queue_priority:
            found["kueue.x-k8s.io/priority-class"] = place.queue_priority
    return found


def order(workload: Workload) -> dict[str, str]:
    """The workload as an environment variable; `$` is doubled, or the kubelet would expand it."""
    return {"name": "SLIPWAY_WORKLOAD", "value": to_json(workload).replace("$", "$$")}


def template(
    workload: Workload,
    config: Config,
    place: Placement,
    *,
    role: str,
    name: str,
    size: Size,
    gpus: int = 0,
    probes: dict[str, Any] | None = None,
    restart: str = "Never",
    ordered: bool = False,
    stores: bool = True,
) -> dict[str, Any]:
    """A pod template; Ray's container is the first and only one, as KubeRay expects.

    `ordered` hands it the workload, `stores` what it needs to reach the stored objects.
    """
    claim = config.claim if stores else ""
    limits = {"memory": size.memory}
    if gpus:
        limits[place.gpu_resource] = str(gpus)
    # CPU is a share and no limit: Ray that is throttled while it starts takes itself for dead.
    requests = {"cpu": size.cpu} | limits
    container: dict[str, Any] = {
        "name": name,
        "image": config.image,
        "imagePullPolicy": config.image_pull_policy,
        "env": _environment(config) + ([order(workload)] if ordered else []),
        "resources": {"requests": requests, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(config, claim),
        # The last lines of the log, where the container leaves no other word of its end.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if stores and config.objects_secret:
        container["envFrom"] = [{"secretRef": {"name": config.objects_secret}}]
    container |= probes or {}
    spec: dict[str, Any] = {
        "restartPolicy": restart,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": config.run_as_user,
            "runAsGroup": config.run_as_user,
            "fsGroup": config.run_as_user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": _volumes(config, claim),
    }
    if config.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in config.image_pull_secrets]
    if config.priority_class:
        spec["priorityClassName"] = config.priority_class
    if place.node_selector:
        spec["nodeSelector"] = place.node_selector
    if place.tolerations:
        spec["tolerations"] = place.tolerations
    return {"metadata": {"labels": labels(workload, role)}, "spec": spec}


def ray_probes(*, head: bool) -> dict[str, Any]:
    """Ray's own health by HTTP: KubeRay's defaults call wget, which our image has not."""
    raylet = {"httpGet": {"path": "/api/local_raylet_healthz", "port": _AGENT_PORT}}
    gcs = {"httpGet": {"path": "/api/gcs_healthz", "port": _DASHBOARD_PORT}}
    return {
        "readinessProbe": (gcs if head else raylet)
        | {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 10},
        "livenessProbe": raylet
        | {
            "initialDelaySeconds": 30,
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            # A machine under load is not a dead one; a false alarm costs the whole run.
            "failureThreshold": 120,
        },
    }


def engine_probes() -> dict[str, Any]:
    """Ready when the engine has generated a token; alive while Ray is, for Serve heals the rest."""
    return {
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": ENGINE_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 2,
        },
        "livenessProbe": ray_probes(head=False)["livenessProbe"],
    }


def group(
    *, replicas: int, name: str, pod: dict[str, Any], parameters: dict[str, str], **more: Any
) -> dict[str, Any]:
    """A KubeRay worker group of a fixed size: Kueue gives all of it or nothing."""
    return {
        "groupName": name,
        "replicas": replicas,
        "minReplicas": replicas,
        "maxReplicas": replicas,
        "rayStartParams": parameters,
        "template": pod,
        **more,
    }


def ray_resources(resources: dict[str, float]) -> str:
    """Custom resources as `ray start` reads them behind KubeRay's shell quoting."""
    return json.dumps(json.dumps(resources))


def _environment(config: Config) -> list[dict[str, Any]]:
    values = _WRITABLE | _OFFLINE
    if config.ca_bundle:
        bundle = "/etc/slipway/ca/ca.crt"
        values |= {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle, "AWS_CA_BUNDLE": bundle}
    values |= config.environment
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _mounts(config: Config, claim: str) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of this pod alone
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]
    if claim:
        mounts.append({"name": "objects", "mountPath": config.claim_path})
    if config.ca_bundle:
        mounts.append({"name": "ca", "mountPath": "/etc/slipway/ca", "readOnly": True})
    return mounts


def _volumes(config: Config, claim: str) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        {"name": "scratch", "emptyDir": {"sizeLimit": config.scratch}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": config.shared_memory}},
    ]
    if claim:
        volumes.append(
            {"name": "objects", "persistentVolumeClaim": {"claimName": claim}}
        )  # fmt: skip
    if config.ca_bundle:
        volumes.append({"name": "ca", "configMap": {"name": config.ca_bundle}})
    return volumes
