"""A Run as a KubeRay RayJob: one pod, or a head and a group that is admitted as one."""

from __future__ import annotations

from typing import Any

from slipway_contracts.resources import workload_of
from slipway_operator.config import Config
from slipway_operator.render import owner, pods

ENTRYPOINT = "python -m slipway_runtime run"


def render(run: dict[str, Any], config: Config) -> list[dict[str, Any]]:
    """The manifests of one Run, owner references included."""
    workload = workload_of(run)
    place = pods.placement(run, config)
    alone = workload.workers == 1
    head = pods.template(
        workload, config, place, role="run", name="ray-head",
        size=place.size if alone else config.head,
        gpus=workload.gpus if alone else 0,
        probes=pods.ray_probes(head=True), ordered=True,
    )  # fmt: skip
    cluster: dict[str, Any] = {
        "rayVersion": config.ray_version,
        "authOptions": {"mode": config.ray_auth},
        "headGroupSpec": {
            # Of several workers none is on the head: a lost worker must not take the head along.
            "rayStartParams": {"dashboard-host": "0.0.0.0"} | ({} if alone else {"num-cpus": "0"}),  # noqa: S104
            "template": head,
        },
    }
    if not alone:
        worker = pods.template(
            workload, config, place, role="run", name="ray-worker", size=place.size,
            gpus=workload.gpus, probes=pods.ray_probes(head=False),
        )  # fmt: skip
        cluster["workerGroupSpecs"] = [
            pods.group(replicas=workload.workers, name="workers", pod=worker, parameters={})
        ]
    submitter = pods.template(
        workload, config, place, role="run", name="ray-job-submitter", size=config.submitter,
        stores=False,
    )  # fmt: skip
    spec: dict[str, Any] = {
        "entrypoint": ENTRYPOINT,
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": submitter,
        # Another try is another attempt under another name, which the control plane decides.
        "backoffLimit": 0,
        "shutdownAfterJobFinishes": True,
        # The cluster's pods tell how it ended; a minute is enough to read them.
        "ttlSecondsAfterFinished": 60,
        "rayClusterSpec": cluster,
    }
    if place.queue:
        # Kueue takes it from here: it un-suspends what it admits and suspends what it preempts.
        spec["suspend"] = True
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {
            "name": workload.name,
            "labels": pods.labels(workload, "run") | pods.queue_labels(place),
        },
        "spec": spec,
    }
    return [owner.owned(job, run)]
