"""How many runs a second the operator brings to Kueue, beside Kueue alone, on a real control plane.

    python tests/bench/scale.py [--runs 1000] [--alone 1000] [--rest 120] [--later 100]

etcd, API server, controllers, Kueue (client limits 300/500) and our operator are real and share
this machine's cores; there are no nodes, and this program speaks in KubeRay's place. Into one queue
go so many suspended RayJobs as our operator would make them (Kueue alone), into another as many
runs as are asked for, at once. Told are the rates of what was made and admitted, how
long a run waited for its RayJob, the operator's requests for each run, its memory, and what it
asks when nothing happens. Then some more runs come, five a second, beside all those; and every
tenth of the first ones is played to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import kubernetes.watch

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import cluster_world as world  # noqa: E402
import servers  # noqa: E402
from cluster import control_plane as planes  # noqa: E402
from cluster import modules  # noqa: E402

from slipway_operator.render import runs as rendered  # noqa: E402

QUEUES = "kueue.x-k8s.io", "v1beta1"
#: At most so long until all of them are admitted.
PATIENCE_SECONDS = 1800
PER_SECOND = 5


def events(listing: Any, *words: str) -> Iterator[Any]:
    """What a watch tells, begun again whenever it ends; objects as the API server wrote them."""
    while True:
        try:
            yield from kubernetes.watch.Watch().stream(listing, *words, deserialize=False)
        except Exception as error:
            print("watch:", type(error).__name__, file=sys.stderr)
            # At the end the servers go first; the watches must not fill the screen then.
            time.sleep(1)


def loud(act: Callable[..., Any], *given: Any) -> None:
    """For threads that nobody waits for: what goes wrong is at least said."""
    try:
        act(*given)
    except Exception as error:
        print(f"{act.__name__} {given}: {error}", file=sys.stderr)


class Watched:
    """When each object of a kind was first seen as `there`, by a watch of our own."""

    def __init__(self, api: Any, kind: tuple[str, str, str], namespace: str, there: Any) -> None:
        self.at: dict[str, float] = {}
        self._arguments = (api, kind, namespace, there)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        api, (group, version, plural), namespace, there = self._arguments
        listing = api.list_namespaced_custom_object
        for event in events(listing, group, version, namespace, plural):
            if there(event["object"]):
                self.at.setdefault(event["object"]["metadata"]["name"], time.monotonic())

    def all(self, number: int, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while len(self.at) < number and time.monotonic() < until:
            time.sleep(0.1)
        return len(self.at) >= number


def admitted(body: Any) -> bool:
    found = body.get("status", {}).get("conditions", [])
    return any(each["type"] == "Admitted" and each["status"] == "True" for each in found)


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def rate(at: dict[str, float]) -> float:
    times = sorted(at.values())
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


def setting(plane: planes.ControlPlane, more: dict[str, int] | None = None) -> str:
    """A namespace with the chart's roles and a queue: much room, and so much of what is scarce."""
    namespace = plane.namespace()
    values = {
        "url": "https://slipway.example.com", "image": {"registry": "registry.example.com/team"},
        "secrets": {"controlPlane": "slipway", "objects": "slipway-objects"},
        "mlflowUrl": "http://mlflow:5000", "workloads": {"queue": "research"},
    }  # fmt: skip
    command = [modules.helm(), "upgrade", "--install", "slipway", ROOT / "helm/slipway", "-n",
               namespace, "--values", ROOT / "helm/slipway/profiles/small.yaml", "--values", "-",
               "--kubeconfig", plane.kubeconfig()]  # fmt: skip
    subprocess.run([*map(str, command)], input=json.dumps(values), text=True, check=True,
                   capture_output=True)  # fmt: skip
    resources = [{"name": name, "nominalQuota": "100000000"} for name in ("cpu", "memory")]
    resources[1]["nominalQuota"] = "100000Ti"
    resources += [{"name": name, "nominalQuota": str(n)} for name, n in (more or {}).items()]
    group = {"coveredResources": [each["name"] for each in resources],
             "flavors": [{"name": "default", "resources": resources}]}  # fmt: skip
    api = {"apiVersion": "/".join(QUEUES)}
    plane.apply(
        api | {"kind": "ResourceFlavor", "metadata": {"name": "default"}},
        api | {"kind": "ClusterQueue", "metadata": {"name": namespace},
               "spec": {"namespaceSelector": {}, "resourceGroups": [group]}},
        api | {"kind": "LocalQueue", "metadata": {"name": "research", "namespace": namespace},
               "spec": {"clusterQueue": namespace}},
        namespace=namespace,
    )  # fmt: skip
    return namespace


def run(number: int, namespace: str, **fields: Any) -> dict[str, Any]:
    made = world.run(**fields)
    name = f"train-{number:012d}-1"
    made["metadata"] = {
        "name": name,
        "namespace": namespace,
        "labels": made["metadata"].get("labels", {}),
    }
    return made


def create(
    api: Any, kind: tuple[str, str, str], bodies: Iterator[dict[str, Any]]
) -> dict[str, float]:
    """Ask for all of them, eight at a time; when each was asked for."""
    group, version, plural = kind
    asked: dict[str, float] = {}

    def one(body: dict[str, Any]) -> None:
        asked[body["metadata"]["name"]] = time.monotonic()
        api.create_namespaced_custom_object(
            group, version, body["metadata"]["namespace"], plural, body
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, bodies))
    return asked


def alone(plane: planes.ControlPlane, api: Any, number: int) -> float:
    """RayJobs that nobody but Kueue looks after; how many a second it admits."""
    namespace = setting(plane)
    seen = Watched(api, (*QUEUES, "workloads"), namespace, admitted)
    time.sleep(1)

    def bodies() -> Iterator[dict[str, Any]]:
        for index in range(number):
            asked = run(index, namespace)
            asked["metadata"] |= {"uid": "x", "generation": 1}
            [body] = rendered.render(asked, world.config(priority_class=""))
            body["metadata"].pop("ownerReferences", None)
            yield body

    create(api, ("ray.io", "v1", "rayjobs"), bodies())
    whole = seen.all(number, PATIENCE_SECONDS)
    print(f"Kueue alone: {len(seen.at)} of {number} admitted, {rate(seen.at):.1f} a second")
    plane.kubectl("delete", "rayjobs", "--all", "-n", namespace, "--wait=false")
    return rate(seen.at) if whole else 0.0


class Operator:
    """Our operator with the chart's rights; what its metrics say."""

    def __init__(self, plane: planes.ControlPlane, namespace: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="scale-"))
        found = plane.get(namespace, "configmap", "slipway-operator")
        (self._folder / "config.yaml").write_text(found["data"]["config.yaml"])
        self._metrics = servers.free_port()
        ports = ["--port", str(servers.free_port()), "--metrics-port", str(self._metrics)]
        words = ["run", "--config", str(self._folder / "config.yaml"), *ports, "--standalone"]
        token = plane.token(namespace, "slipway-operator")
        own = {"PYTHONPATH": f"{ROOT}/platform:{ROOT}/operators", "SLIPWAY_NAMESPACE": namespace,
               "KUBECONFIG": str(plane.kubeconfig(token, namespace))}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "slipway_operator", *words], env=os.environ | own,
            stdout=(self._folder / "log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        time.sleep(4)

    def said(self, name: str) -> float:
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics") as answer:
            text = answer.read().decode()
        return sum(
            float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        )

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def paced(
    api: Any, kind: tuple[str, str, str], bodies: Iterator[dict[str, Any]]
) -> dict[str, float]:
    """Ask for them one after the other, so many a second; when each was asked for."""
    asked: dict[str, float] = {}
    begun = time.monotonic()
    for index, body in enumerate(bodies):
        time.sleep(max(0, begun + index / PER_SECOND - time.monotonic()))
        asked |= create(api, kind, iter([body]))
    return asked


def ours(plane: planes.ControlPlane, api: Any, number: int, rest: float, later: int) -> float:
    namespace = setting(plane)
    operator = Operator(plane, namespace)
    try:
        made = Watched(api, ("ray.io", "v1", "rayjobs"), namespace, lambda _: True)
        seen = Watched(api, (*QUEUES, "workloads"), namespace, admitted)
        time.sleep(1)
        before, burnt = operator.said("slipway_operator_requests_total"), operator.cpu_seconds()
        kind = ("slipway.dev", "v1", "runs")
        asked = create(api, kind, (run(index, namespace) for index in range(number)))
        whole = seen.all(number, PATIENCE_SECONDS)
        admission = rate(seen.at)
        print(
            f"Slipway: {len(asked)} asked for at {rate(asked):.1f} a second, {len(made.at)} "
            f"RayJobs at {rate(made.at):.1f}, {len(seen.at)} admitted at {admission:.1f}"
        )
        tell_waits(made.at, asked)
        time.sleep(10)
        spent = operator.said("slipway_operator_requests_total") - before
        burnt = (operator.cpu_seconds() - burnt) / number
        print(f"requests of the operator for each run until admitted: {spent / number:.1f}")
        print(f"processor time of the operator for each run until then: {burnt * 1000:.0f} ms")
        resting(operator, rest)
        bodies = (run(index, namespace) for index in range(number, number + later))
        more = paced(api, kind, bodies)
        whole = made.all(number + later, 60) and whole
        print(f"{later} more, {PER_SECOND} a second, beside {number} runs:")
        tell_waits(made.at, more)
        finish(operator, api, namespace, sorted(asked)[::10])
        print(f"memory of the operator with {number} runs: {operator.memory_mb():.0f} MB")
        return admission if whole else 0.0
    finally:
        operator.process.kill()


def tell_waits(made: dict[str, float], asked: dict[str, float]) -> None:
    waited = [made[name] - at for name, at in asked.items() if name in made]
    print(
        f"a run waits for its RayJob: p50 {quantile(waited, 0.5):.2f} s, "
        f"p99 {quantile(waited, 0.99):.2f} s"
    )


def resting(operator: Operator, seconds: float) -> None:
    """What it asks and burns when nothing happens."""
    requests, cpu = operator.said("slipway_operator_requests_total"), operator.cpu_seconds()
    time.sleep(seconds)
    requests = operator.said("slipway_operator_requests_total") - requests
    cpu = operator.cpu_seconds() - cpu
    print(
        f"at rest: {requests / seconds * 60:.1f} requests a minute, {cpu / seconds:.1%} of a core"
    )


def finish(operator: Operator, api: Any, namespace: str, names: list[str]) -> None:
    """KubeRay's words for some runs, from the first to the last; requests for each of them."""
    before = operator.said("slipway_operator_requests_total")
    ended = Watched(
        api, ("slipway.dev", "v1", "runs"), namespace,
        lambda body: body.get("status", {}).get("state") == "succeeded",
    )  # fmt: skip
    for deployment, job in (
        ("Initializing", ""), ("Running", "PENDING"), ("Running", "RUNNING"),
        ("Complete", "SUCCEEDED"),
    ):  # fmt: skip
        status = {"jobDeploymentStatus": deployment, "jobStatus": job}

        def say(name: str, status: dict[str, str] = status) -> None:
            api.patch_namespaced_custom_object_status(
                "ray.io", "v1", namespace, "rayjobs", name, {"status": status},
                _content_type="application/merge-patch+json",
            )  # fmt: skip

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(say, names))
        time.sleep(3)
    print("all ended" if ended.all(len(names), 120) else f"only {len(ended.at)} ended")
    spent = operator.said("slipway_operator_requests_total") - before
    print(f"requests of the operator for each run from then to its end: {spent / len(names):.1f}")


def booted() -> tuple[planes.ControlPlane, k8s.ApiClient]:
    """A control plane with the definitions of all sides and Kueue."""
    made = planes.control_plane()
    install = [modules.helm(), "upgrade", "--install", "slipway-crds", ROOT / "helm/slipway-crds"]
    install += ["--kubeconfig", made.kubeconfig()]
    subprocess.run([*map(str, install)], check=True, capture_output=True)
    for module, folder in (
        ("github.com/ray-project/kuberay/ray-operator", "config/crd/bases"),
        ("sigs.k8s.io/kueue", "config/components/crd/bases"),
    ):
        made.kubectl("apply", "--server-side", "-f", str(modules.module(module) / folder))
    made.kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=50s")
    planes.kueue()
    configuration = k8s.Configuration()
    kubernetes.config.load_kube_config(str(made.kubeconfig()), client_configuration=configuration)
    return made, k8s.ApiClient(configuration)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--runs", type=int, default=1000)
    given.add_argument("--rest", type=float, default=120)
    given.add_argument("--alone", type=int, default=1000)
    given.add_argument("--later", type=int, default=100)
    options = given.parse_args()
    made, client = booted()
    api = k8s.CustomObjectsApi(client)
    first = alone(made, api, options.alone)
    second = ours(made, api, options.runs, options.rest, options.later)
    if first:
        print(f"ours beside Kueue alone: {second / first:.2f}×")


if __name__ == "__main__":
    main()
