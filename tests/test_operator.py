"""The operator against an API server that fails on order: objects converge whatever happens."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cluster_world as world
import kubernetes.client as k8s
import pytest
from cluster.api_server import ApiServer, status

from slipway_contracts import resources
from slipway_contracts.workload import State
from slipway_operator import reconcile
from slipway_operator.cluster import Again, Cluster, Conflict
from slipway_operator.mirror import RAY_JOBS, RUNS, Mirror
from slipway_operator.queue import Key, Queue

KINDS = {"runs", "servedmodels", "rayjobs", "rayservices", "pods", "workloads"}
RUN = "train-0123456789ab-1"
MODEL = "serve-0123456789ab-2"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    found = ApiServer(KINDS)
    yield found
    found.stop()


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    return Cluster(k8s.Configuration(host=server.url))


def asked(server: ApiServer, resource: dict[str, Any]) -> str:
    """As the control plane asks for it."""
    kind = next(k for k in resources.RESOURCES if k.kind == resource["kind"])
    name = resource["metadata"]["name"]
    resource["metadata"].pop("generation")
    server.put(kind.plural, name, resource)
    return str(name)


def looks(cluster: Cluster, plural: str, name: str, config: Any = None) -> float | None:
    """A look by an operator that has just begun and has heard of everything."""
    mirror = Mirror(cluster)
    told(mirror)
    return reconcile.look(mirror, config or world.config(), plural, "slipway", name)


def state(server: ApiServer, name: str = RUN, plural: str = "runs") -> tuple[str, str]:
    found = server.get(plural, name)
    assert found is not None
    return found["status"]["state"], found["status"]["conditions"][0]["reason"]


def kuberay_says(server: ApiServer, deployment: str, job: str = "") -> None:
    said = {"jobDeploymentStatus": deployment, "jobStatus": job}
    server.put("rayjobs", RUN, {"spec": {"suspend": False}, "status": said})


def pod(server: ApiServer, name: str, *, of: str = RUN, role: str = "run", **said: Any) -> None:
    labels = {resources.LABEL: of, "slipway.dev/role": role, "ray.io/node-type": "worker"}
    spec = {"containers": [{"name": "ray-worker"}]}
    server.put("pods", name, {"metadata": {"labels": labels}, "spec": spec, "status": said})


def test_a_run_is_made_followed_and_taken_down(server: ApiServer, cluster: Cluster) -> None:
    asked(server, world.run())
    assert looks(cluster, "runs", RUN) == reconcile.SOON_SECONDS
    job = server.get("rayjobs", RUN)
    assert job is not None
    assert job["spec"]["suspend"] is True
    found = server.get("runs", RUN)
    assert found is not None
    assert "status" not in found, "there is no more to say yet than that"
    looks(cluster, "runs", RUN)
    assert state(server) == ("waiting", "Queued")
    queued = world.queued("w", world.condition("QuotaReserved", "False", "Pending", "no GPU free"))
    queued["spec"]["podSets"] = [
        {"template": job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]}
    ]
    server.put("workloads", "w", queued)
    looks(cluster, "runs", RUN)
    found = server.get("runs", RUN)
    assert found is not None
    assert found["status"]["reason"] == "place 1 in queue research: no GPU free"
    assert found["status"]["position"] == 1
    server.delete("workloads", "w")
    for deployment, job_status, expected in [
        ("Initializing", "", "waiting"),
        ("Running", "RUNNING", "running"),
        ("Complete", "SUCCEEDED", "succeeded"),
    ]:
        kuberay_says(server, deployment, job_status)
        looks(cluster, "runs", RUN)
        assert state(server)[0] == expected
    server.delete("runs", RUN)
    pod(server, "last")
    assert looks(cluster, "runs", RUN) == reconcile.SOON_SECONDS
    assert server.get("rayjobs", RUN) is None
    assert looks(cluster, "runs", RUN) == reconcile.SOON_SECONDS, "a pod is still there"
    server.delete("pods", "last")
    looks(cluster, "runs", RUN)
    assert server.get("runs", RUN) is None
    assert looks(cluster, "runs", RUN) == math.inf


def told(mirror: Mirror) -> None:
    for _ in mirror.compare("slipway"):
        pass


def test_a_look_at_what_has_not_changed_asks_for_nothing(
    server: ApiServer, cluster: Cluster
) -> None:
    asked(server, world.run())
    mirror = Mirror(cluster)
    told(mirror)
    for _ in range(2):
        reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
    # Its looks have told it what it made and wrote itself.
    before = len(server.requests)
    reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
    assert server.requests[before:] == []


def test_the_whole_life_of_a_run_takes_a_dozen_requests(
    server: ApiServer, cluster: Cluster
) -> None:
    """As the watches tell of everything at once, which `compare` stands for here."""
    asked(server, world.run())
    mirror, count = Mirror(cluster), 0

    def look() -> None:
        nonlocal count
        told(mirror)
        before = len(server.requests)
        reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
        count += len(server.requests) - before

    look()
    for deployment, job in [("Initializing", ""), ("Running", "PENDING"), ("Running", "RUNNING")]:
        kuberay_says(server, deployment, job)
        pod(server, "head", phase="Running")
        look()
        look()
    kuberay_says(server, "Complete", "SUCCEEDED")
    look()
    look()
    assert state(server) == ("succeeded", "Succeeded")
    assert count <= 12


def test_what_was_worked_out_from_an_old_reading_is_not_written(
    server: ApiServer, cluster: Cluster
) -> None:
    asked(server, world.run())
    mirror = Mirror(cluster)
    told(mirror)
    server.put("runs", RUN, {"metadata": {"labels": {"seen": "by-nobody"}}})
    server.put("runs", RUN, {"metadata": {"finalizers": [reconcile.FINALIZER]}})
    mirror.take(RUNS, "MODIFIED", {**server.get("runs", RUN), "status": {}})  # type: ignore[dict-item]
    server.put("runs", RUN, {"status": {"reason": "of another operator"}})
    assert reconcile.look(mirror, world.config(), "runs", "slipway", RUN) == reconcile.SOON_SECONDS
    with pytest.raises(Conflict):
        reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
    found = server.get("runs", RUN)
    assert found is not None
    assert found["status"] == {"reason": "of another operator"}
    # The next look reads it anew.
    reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
    assert state(server) == ("waiting", "Queued")


def test_a_deletion_that_no_watch_told_of_is_found(server: ApiServer, cluster: Cluster) -> None:
    asked(server, world.run())
    mirror = Mirror(cluster)
    told(mirror)
    reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
    told(mirror)
    server.delete("rayjobs", RUN)
    assert mirror.told(RAY_JOBS, "slipway", RUN) is not None
    assert list(mirror.compare("slipway")) == [("runs", "slipway", RUN)]
    reconcile.look(mirror, world.config(), "runs", "slipway", RUN)
    assert state(server) == ("failed", "Deleted")
    assert list(mirror.compare("slipway")) == []


def test_a_lost_head_ends_the_attempt_and_frees_its_machines(
    server: ApiServer, cluster: Cluster
) -> None:
    asked(server, world.run())
    looks(cluster, "runs", RUN)
    kuberay_says(server, "Running", "RUNNING")
    pod(server, "head", phase="Failed", reason="Evicted", message="disk pressure")
    looks(cluster, "runs", RUN)
    assert state(server) == ("failed", "Evicted")
    looks(cluster, "runs", RUN)
    assert server.get("rayjobs", RUN) is None
    looks(cluster, "runs", RUN)
    assert state(server) == ("failed", "Evicted"), "how it ended stays as it was"
    assert server.get("rayjobs", RUN) is None, "and it is not made again"


def test_nobody_waits_for_a_pod_whose_node_is_silent(server: ApiServer, cluster: Cluster) -> None:
    silent = [world.condition("Ready", "False"), world.condition("ContainersReady", "True")]
    asked(server, world.run())
    looks(cluster, "runs", RUN)
    kuberay_says(server, "Running", "RUNNING")
    pod(server, "head", phase="Running", conditions=silent)
    pod(server, "worker", phase="Running")
    looks(cluster, "runs", RUN)
    assert state(server) == ("failed", "NodeLost")
    server.delete("runs", RUN)
    for _ in range(3):
        looks(cluster, "runs", RUN)
    assert server.get("runs", RUN) is not None, "one pod has a node that can end it"
    server.delete("pods", "worker")
    looks(cluster, "runs", RUN)
    assert server.get("runs", RUN) is None
    assert server.get("pods", "head") is not None


def test_a_job_deleted_by_hand_ends_the_attempt_and_a_service_is_made_again(
    server: ApiServer, cluster: Cluster
) -> None:
    asked(server, world.run())
    asked(server, world.served(replicas=2))
    for _ in range(2):
        looks(cluster, "runs", RUN)
        looks(cluster, "servedmodels", MODEL)
    assert state(server)[0] == "waiting"
    server.delete("rayjobs", RUN)
    server.delete("rayservices", MODEL)
    looks(cluster, "runs", RUN)
    assert state(server) == ("failed", "Deleted")
    looks(cluster, "servedmodels", MODEL)
    assert server.get("rayservices", MODEL) is not None


def test_scaling_reaches_kuberay_and_a_new_operator_disturbs_nothing(
    server: ApiServer, cluster: Cluster
) -> None:
    asked(server, world.served(replicas=1))
    looks(cluster, "servedmodels", MODEL)
    before = server.get("rayservices", MODEL)
    looks(cluster, "servedmodels", MODEL, world.config(image="another@sha256:1"))
    assert server.get("rayservices", MODEL) == before
    server.put("servedmodels", MODEL, {"spec": {"replicas": 3}})
    looks(cluster, "servedmodels", MODEL)
    after = server.get("rayservices", MODEL)
    assert after is not None
    assert after["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"] == 3
    ready = world.condition("Ready", "True")
    pod(server, "copy", of=MODEL, role="served", podIP="10.0.0.7", conditions=[ready])
    looks(cluster, "servedmodels", MODEL)
    found = server.get("servedmodels", MODEL)
    assert found is not None
    seen = resources.observation_of(found)
    assert (seen.state, seen.endpoints) == (State.RUNNING, ("http://10.0.0.7:8100",))
    assert found["status"]["observedGeneration"] == 2


def test_a_namesake_is_left_alone(server: ApiServer, cluster: Cluster) -> None:
    server.put("rayjobs", RUN, {"kind": "RayJob", "metadata": {}, "spec": {}})
    asked(server, world.run())
    looks(cluster, "runs", RUN)
    assert state(server) == ("failed", "NameTaken")
    looks(cluster, "runs", RUN)
    server.delete("runs", RUN)
    looks(cluster, "runs", RUN)
    assert server.get("runs", RUN) is None
    assert server.get("rayjobs", RUN) is not None


def test_what_is_not_installed_is_named_and_waited_for(server: ApiServer, cluster: Cluster) -> None:
    server.kinds -= {"rayjobs", "workloads"}
    asked(server, world.run())
    assert looks(cluster, "runs", RUN) == reconcile.SOON_SECONDS
    assert state(server) == ("waiting", "NoKubeRay")
    server.kinds.add("rayjobs")
    # That it had to wait is in its status now; it must still be made, not be held for deleted.
    looks(cluster, "runs", RUN)
    assert state(server) == ("waiting", "Queued")


def test_a_manifest_that_is_refused_fails_with_the_servers_words(
    server: ApiServer, cluster: Cluster
) -> None:
    asked(server, world.run())
    words = status(422, "Invalid", "spec.rayClusterSpec: exceeds the quota of the namespace")
    server.fault = lambda method, path: (
        (422, words) if method == "PATCH" and "rayjobs" in path else None
    )
    looks(cluster, "runs", RUN)
    found = server.get("runs", RUN)
    assert found is not None
    assert "exceeds the quota" in found["status"]["reason"]


FAULTS = [
    (409, status(409, "Conflict", "changed meanwhile")),
    (429, status(429, "TooManyRequests"), {"Retry-After": "0"}),
    (500, "etcd"),
    (503, status(503, "ServiceUnavailable", "")),
    (504, status(504, "Timeout", "")),
    # What an API server says of everything until it has read its roles.
    (
        403,
        status(403, "Forbidden", 'runs is forbidden: User "system:x" cannot patch resource "runs"'),
    ),
    "drop",
]


def test_a_crash_after_any_request_loses_and_doubles_nothing(
    server: ApiServer, cluster: Cluster
) -> None:
    """Every request in turn is the last one of its look, done or not done."""
    for number in itertools.count():
        name = f"train-{number:012d}-1"
        run = world.run()
        run["metadata"] |= {"name": name, "uid": f"uid-of-{number}"}
        asked(server, run)
        fault = Once(number // 2, FAULTS[number % len(FAULTS)], carried_out=number % 2 == 1)
        server.fault = fault
        story(server, cluster, name)
        server.fault = lambda method, path: None
        if not fault.hit:
            assert number >= 30, "every request of a life was the last of its look once"
            return


class Once:
    """Request number `at` fails, carried out or not; then the whole process is gone (Crash)."""

    def __init__(self, at: int, answer: Any, *, carried_out: bool) -> None:
        self.at = at
        self.answer = answer
        self.carried_out = carried_out
        self.hit = False
        self._count = itertools.count()

    def __call__(self, method: str, path: str) -> Any:
        number = next(self._count)
        if number == self.at:
            self.hit = True
            return None if self.carried_out else self.answer
        # The next request of that look finds nobody, as if the operator had been killed.
        return "drop" if self.carried_out and self.at < number <= self.at + 3 else None


def story(server: ApiServer, cluster: Cluster, name: str) -> None:
    def settle(until: Callable[[], bool]) -> None:
        for _ in range(20):
            try:
                looks(cluster, "runs", name)
            except Again:
                continue
            if until():
                return
        raise AssertionError(f"{name} did not converge: {server.get('runs', name)}")

    def is_(wanted: str) -> Callable[[], bool]:
        return lambda: ((server.get("runs", name) or {}).get("status") or {}).get("state") == wanted

    settle(is_("waiting"))
    job = server.get("rayjobs", name)
    assert job is not None
    said = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
    server.put("rayjobs", name, {"status": said})
    settle(is_("running"))
    server.put(
        "rayjobs", name, {"status": {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}}
    )
    settle(is_("succeeded"))
    server.delete("runs", name)
    settle(lambda: server.get("runs", name) is None)
    assert server.get("rayjobs", name) is None


def keep_told(mirror: Mirror, queue: Queue, over: threading.Event) -> None:
    """In place of watches."""
    while not over.wait(0.2):
        with contextlib.suppress(Again):
            for key in mirror.compare("slipway"):
                queue.ask(Key(*key))


def test_hundreds_of_runs_converge_while_a_fifth_of_all_requests_fails(
    server: ApiServer, cluster: Cluster
) -> None:
    dice = random.Random(7)
    lock = threading.Lock()

    def fault(method: str, path: str) -> Any:
        with lock:
            return dice.choice(FAULTS) if dice.random() < 0.2 else None

    names = [f"train-{number:012d}-1" for number in range(40)]
    for number, name in enumerate(names):
        run = world.run()
        run["metadata"] |= {"name": name, "uid": f"uid-of-{number}"}
        asked(server, run)
    server.fault = fault
    config = world.config()
    mirror = Mirror(cluster)

    def look(key: Key) -> float | None:
        return reconcile.look(mirror, config, key.plural, key.namespace, key.name)

    over = threading.Event()
    queue = Queue(look, threads=4, resync=60)
    comparing = threading.Thread(target=keep_told, args=(mirror, queue, over))
    queue.start()
    comparing.start()
    for name in names:
        queue.ask(Key("runs", "slipway", name))
        queue.ask(Key("runs", "slipway", name))
    try:
        until = time.monotonic() + 60
        while any(server.get("rayjobs", name) is None for name in names):
            assert time.monotonic() < until, "they did not all arrive"
            time.sleep(0.02)
        for name in names:
            said = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
            server.put("rayjobs", name, {"status": said})
        while not all(
            (server.get("runs", name) or {}).get("status", {}).get("state") == "succeeded"
            for name in names
        ):
            assert time.monotonic() < until, "they did not all end"
            time.sleep(0.02)
    finally:
        over.set()
        comparing.join()
        queue.stop()
    assert all(server.get("rayjobs", name)["metadata"]["generation"] == 1 for name in names)  # type: ignore[index]


def test_the_queue_looks_at_one_thing_once_at_a_time() -> None:
    inside: set[Key] = set()
    looked: list[Key] = []
    lock = threading.Lock()

    def look(key: Key) -> float | None:
        with lock:
            assert key not in inside
            inside.add(key)
            looked.append(key)
        time.sleep(0.005)
        with lock:
            inside.discard(key)
        return math.inf if key.name == "gone" else None

    queue = Queue(look, threads=4, resync=1000)
    keys = [Key("runs", "a", name) for name in ("x", "y", "gone")]
    for _ in range(20):
        for key in keys:
            queue.ask(key)
    queue.start()
    for _ in range(20):
        time.sleep(0.002)
        queue.ask(keys[0])
    time.sleep(0.1)
    queue.stop()
    assert looked.count(keys[1]) == 1
    assert looked.count(keys[2]) == 1
    assert 1 < looked.count(keys[0]) < 25
