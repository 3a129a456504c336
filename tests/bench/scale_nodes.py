"""How many runs a second go from asked for to ended on pretended nodes with GPUs.

    python tests/bench/scale_nodes.py [--nodes 1000] [--runs 1000]

As scale.py, with the real scheduler and nodes of eight GPUs each that KWOK speaks for; a run takes
a whole node, so more runs than nodes queue. This program speaks in KubeRay's place: it makes the
pod of each RayJob that Kueue admits, says that the run works when the pod runs, and ends it five
seconds later. Told are the rates of what was admitted, scheduled and ended, how long a run waited,
the operator's requests for each run and its memory.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kubernetes.client as k8s
import scale
from cluster import control_plane as planes
from cluster import pretended

WORK_SECONDS = 5.0
RAY = "ray.io", "v1"


class StandIn:
    """KubeRay's part for runs of one pod: makes it, says how it is, takes it away."""

    def __init__(self, client: k8s.ApiClient, namespace: str) -> None:
        self.running: dict[str, float] = {}
        self._rays, self._core = k8s.CustomObjectsApi(client), k8s.CoreV1Api(client)
        self._namespace = namespace
        self._seen: set[tuple[str, str]] = set()
        self._pool = ThreadPoolExecutor(8)
        for watch in (self._jobs, self._pods):
            threading.Thread(target=watch, daemon=True).start()

    def _once(self, what: str, name: str, act: Callable[..., None], *given: Any) -> None:
        if (what, name) not in self._seen:
            self._seen.add((what, name))
            self._pool.submit(scale.loud, act, *given)

    def _jobs(self) -> None:
        listing = self._rays.list_namespaced_custom_object
        for event in scale.events(listing, *RAY, self._namespace, "rayjobs"):
            body = event["object"]
            if event["type"] != "DELETED" and not body["spec"].get("suspend"):
                self._once("begin", body["metadata"]["name"], self._begin, body)

    def _pods(self) -> None:
        for event in scale.events(self._core.list_namespaced_pod, self._namespace):
            name, head, _ = event["object"]["metadata"]["name"].rpartition("-head")
            # Those of the chart run on the pretended nodes, too.
            if head and event["object"]["status"].get("phase") == "Running":
                self.running.setdefault(name, time.monotonic())
                self._once("work", name, self._work, name)

    def _begin(self, job: dict[str, Any]) -> None:
        meta, head = job["metadata"], job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
        cluster = f"{meta['name']}-cluster"
        labels = head["metadata"].get("labels", {})
        labels |= {"ray.io/cluster": cluster, "ray.io/node-type": "head"}
        owner = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": meta["name"]}
        made = {"name": f"{meta['name']}-head", "labels": labels}
        made["ownerReferences"] = [owner | {"uid": meta["uid"]}]
        self._core.create_namespaced_pod(self._namespace, {"metadata": made, "spec": head["spec"]})
        self._say(meta["name"], "Initializing", "", rayClusterName=cluster)

    def _work(self, name: str) -> None:
        self._say(name, "Running", "RUNNING")
        timer = threading.Timer(WORK_SECONDS, self._pool.submit, (scale.loud, self._end, name))
        timer.daemon = True
        timer.start()

    def _end(self, name: str) -> None:
        self._say(name, "Complete", "SUCCEEDED")
        self._core.delete_namespaced_pod(f"{name}-head", self._namespace)

    def _say(self, name: str, deployment: str, job: str, **more: str) -> None:
        status = {"jobDeploymentStatus": deployment, "jobStatus": job, **more}
        self._rays.patch_namespaced_custom_object_status(
            *RAY, self._namespace, "rayjobs", name, {"status": status},
            _content_type="application/merge-patch+json",
        )  # fmt: skip


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--nodes", type=int, default=1000)
    given.add_argument("--runs", type=int, default=1000)
    options = given.parse_args()
    plane, client = scale.booted()
    planes.scheduler(plane)
    began = time.monotonic()
    pretended.nodes(plane, options.nodes)
    print(f"{options.nodes} nodes ready after {time.monotonic() - began:.0f} s")
    namespace = scale.setting(plane, {pretended.GPU: options.nodes * pretended.GPUS})
    api = k8s.CustomObjectsApi(client)
    operator = scale.Operator(plane, namespace)
    try:
        stand_in = StandIn(client, namespace)
        seen = scale.Watched(api, (*scale.QUEUES, "workloads"), namespace, scale.admitted)
        ended = scale.Watched(
            api, ("slipway.dev", "v1", "runs"), namespace,
            lambda body: body.get("status", {}).get("state") == "succeeded",
        )  # fmt: skip
        time.sleep(1)
        before, burnt = operator.said("slipway_operator_requests_total"), operator.cpu_seconds()
        bodies = (scale.run(n, namespace, gpus=pretended.GPUS) for n in range(options.runs))
        asked = scale.create(api, ("slipway.dev", "v1", "runs"), bodies)
        ended.all(options.runs, 900)
        print(
            f"{len(asked)} asked for at {scale.rate(asked):.1f} a second, {len(seen.at)} admitted "
            f"at {scale.rate(seen.at):.1f}, {len(stand_in.running)} pods running at "
            f"{scale.rate(stand_in.running):.1f}, {len(ended.at)} ended at "
            f"{scale.rate(ended.at):.1f}"
        )
        waits = [stand_in.running[name] - asked[name] for name in stand_in.running]
        lives = [ended.at[name] - asked[name] for name in ended.at]
        for what, values in (("its pod to run", waits), ("its end", lives)):
            print(
                f"a run waits for {what}: p50 {scale.quantile(values, 0.5):.1f} s, "
                f"p99 {scale.quantile(values, 0.99):.1f} s"
            )
        spent = operator.said("slipway_operator_requests_total") - before
        print(f"requests of the operator for each run to its end: {spent / len(asked):.1f}")
        print(
            f"memory of the operator: {operator.memory_mb():.0f} MB; its processor time for each "
            f"run: {(operator.cpu_seconds() - burnt) / len(asked) * 1000:.0f} ms"
        )
    finally:
        operator.process.kill()


if __name__ == "__main__":
    main()
