"""Nodes with GPUs that are not there: KWOK says of them, and of their pods, what kubelets would."""

from __future__ import annotations

import json
import socket

import servers

from cluster import modules
from cluster.control_plane import ControlPlane, wait_for

GPU = "nvidia.com/gpu"
GPUS = 8
_LEASE_SECONDS = 120
#: What becomes of nodes and pods, in KWOK's own words; nothing of these ends a pod that runs.
_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
)


def nodes(plane: ControlPlane, number: int) -> servers.Server:
    """As many nodes as that, ready: 64 cores, 1 TiB and 8 GPUs each; a pod on one runs at once."""
    folder = plane.folder / "kwok"
    folder.mkdir()
    port = servers.free_port()
    source = modules.module("sigs.k8s.io/kwok", "kwok") / "kustomize/stage"
    stages = "---\n".join((source / name).read_text() for name in _STAGES)
    (folder / "stages.yaml").write_text(stages)

    def answers() -> bool:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True

    words = [
        f"--config={folder / 'stages.yaml'}",
        f"--kubeconfig={plane.kubeconfig()}",
        "--manage-all-nodes=true",
        f"--server-address=127.0.0.1:{port}",
        # Renewed every quarter of it; the default would be the half of all writes of a run.
        f"--node-lease-duration-seconds={_LEASE_SECONDS}",
    ]
    server = servers.started([modules.kwok(), *words], folder, port, answers, str)
    room = {"cpu": "64", "memory": "1Ti", "pods": "110", GPU: str(GPUS)}
    status = {"capacity": room, "allocatable": room}
    made = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"pretended-{index}"},
            "status": status,
        }
        for index in range(number)
    ]
    for start in range(0, number, 100):
        plane.kubectl("create", "-f", "-", given=made[start : start + 100])

    def ready() -> bool:
        words = ["get", "nodes", "-o", "json", "--request-timeout=60s"]
        found = json.loads(plane.kubectl(*words))["items"]
        return number == sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            for conditions in (each["status"].get("conditions", []) for each in found)
        )

    wait_for(ready, f"{number} nodes to be ready", 180)
    return server
