"""A ServedModel as a KubeRay RayService: a head that coordinates, and a pod for each copy."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from slipway_contracts.resources import workload_of
from slipway_operator.config import Config
from slipway_operator.render import owner, pods

APPLICATION = "engine"
IMPORT_PATH = "slipway_runtime.serving.cluster:application"
#: Ray's name for the place of one copy; a pod has one, so no two copies share a pod.
PLACE = "slipway_copy"


def render(model: dict[str, Any], config: Config) -> list[dict[str, Any]]:
    """The manifests of one ServedModel, owner references included."""
    workload = workload_of(model)
    place = pods.placement(model, config)
    head = pods.template(
        workload, config, place, role="served", name="ray-head", size=config.head,
        probes=pods.ray_probes(head=True), restart="Always",
    )  # fmt: skip
    copy = pods.template(
        workload, config, place, role="served", name="ray-worker", size=place.size,
        gpus=workload.gpus, probes=pods.engine_probes(), restart="Always",
    )  # fmt: skip
    copy["spec"]["containers"][0]["ports"] = [{"name": "engine", "containerPort": pods.ENGINE_PORT}]
    # Copies of one model spread over nodes, so that one lost node does not take them all.
    copy["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": copy["metadata"]["labels"]},
        }
    ]
    # Running answers end first: the engine lets them, and this is how long it may take.
    copy["spec"]["terminationGracePeriodSeconds"] = 60
    service = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {
            "name": workload.name,
            # KubeRay hands these labels on to the RayCluster, which is what Kueue admits.
            "labels": pods.labels(workload, "served") | pods.queue_labels(place),
        },
        "spec": {
            # Another revision is another resource; a cluster is never replaced in place.
            "upgradeStrategy": {"type": "None"},
            "serveConfigV2": _applications(workload),
            "excludeHeadPodFromServeSvc": True,
            "rayClusterConfig": {
                "rayVersion": config.ray_version,
                "authOptions": {"mode": config.ray_auth},
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},  # noqa: S104
                    "template": head,
                },
                "workerGroupSpecs": [
                    pods.group(
                        replicas=workload.replicas,
                        name="copies",
                        pod=copy,
                        parameters={"resources": pods.ray_resources({PLACE: 1})},
                    )
                ],
            },
        },
    }
    return [owner.owned(service, model)]


def _applications(workload: Any) -> str:
    """Ray Serve's configuration; JSON is YAML, and cannot be read in two ways."""
    order = dataclasses.asdict(dataclasses.replace(workload, replicas=1))
    deployment = {
        "name": APPLICATION,
        "num_replicas": workload.replicas,
        "ray_actor_options": {
            "num_cpus": 0,
            "num_gpus": workload.gpus,
            "resources": {PLACE: 1},
        },
    }
    application = {
        "name": APPLICATION,
        "route_prefix": "/",
        "import_path": IMPORT_PATH,
        "args": {"workload": order, "port": pods.ENGINE_PORT},
        "deployments": [deployment],
    }
    return json.dumps({"applications": [application]}, indent=1, ensure_ascii=False)
