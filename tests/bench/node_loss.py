"""How long after a node falls silent its run is known as lost, and its successor may begin.

    python tests/bench/node_loss.py [--runs 4]

As scale_nodes.py: API server, controllers, scheduler, Kueue and our operator are real, with the
defaults of Kubernetes; KWOK speaks for a node for each run and one more, and falls silent at once.
Told are the seconds from then until each run has failed with the word NodeLost, what the run says,
and, as the control plane then deletes it and asks for the next attempt, the seconds until that
stands in the queue, with the lost nodes and their pods still in the API server.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import kubernetes.client as k8s
import scale
import scale_nodes
from cluster import control_plane as planes
from cluster import pretended

RUNS = "slipway.dev", "v1", "runs"
RAY_JOBS = "ray.io", "v1", "rayjobs"


def lost(body: Any) -> bool:
    said = (body.get("status") or {}).get("conditions") or []
    return bool(body.get("status", {}).get("state") == "failed" and said[0]["reason"] == "NodeLost")


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--runs", type=int, default=4)
    options = given.parse_args()
    # A run that is played to its end would not be there to be lost.
    scale_nodes.WORK_SECONDS = 3600.0
    plane, client = scale.booted()
    planes.scheduler(plane)
    kwok = pretended.nodes(plane, options.runs + 1)
    namespace = scale.setting(plane, {pretended.GPU: (options.runs + 1) * pretended.GPUS})
    api = k8s.CustomObjectsApi(client)
    operator = scale.Operator(plane, namespace)
    try:
        stand_in = scale_nodes.StandIn(client, namespace)
        seen = scale.Watched(api, RUNS, namespace, lost)
        time.sleep(1)
        bodies = (scale.run(n, namespace, gpus=pretended.GPUS) for n in range(options.runs))
        names = sorted(scale.create(api, RUNS, bodies))
        planes.wait_for(lambda: len(stand_in.running) == len(names), "all pods to run", 120)
        planes.wait_for(
            lambda: all(
                (plane.get(namespace, "run", name).get("status") or {}).get("state") == "running"
                for name in names
            ),
            "all runs to run",
        )
        kwok.kill()
        silent = time.monotonic()
        if not seen.all(len(names), 300):
            raise SystemExit("not every run was known as lost within 300 s")
        after = sorted(at - silent for at in seen.at.values())
        print(f"known as lost after {after[0]:.0f} to {after[-1]:.0f} s, {len(after)} runs")
        print(plane.get(namespace, "run", names[0])["status"]["reason"])
        plane.kubectl("delete", "runs", "--all", "-n", namespace, "--wait=false")
        planes.wait_for(lambda: not plane.get(namespace, "runs"), "the runs to be gone", 120)
        told = time.monotonic() - silent
        print(f"gone after {told:.0f} s, with {len(plane.get(namespace, 'pods'))} pods left")
        queued = scale.Watched(api, RAY_JOBS, namespace, lambda body: True)
        bodies = (
            scale.run(n, namespace, gpus=pretended.GPUS)
            for n in range(options.runs, 2 * options.runs)
        )
        scale.create(api, RUNS, bodies)
        if not queued.all(options.runs, 60):
            raise SystemExit("not every next attempt was queued within 60 s")
        last = max(queued.at.values()) - silent
        print(f"the next attempts stand in the queue after {last:.0f} s")
    finally:
        operator.process.kill()


if __name__ == "__main__":
    main()
