"""Definitions, charts, operator and compute back end against a real Kubernetes control plane."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cluster_world as world
import kubernetes.client as k8s
import kubernetes.config
import pytest
import servers
from cluster import modules
from cluster.control_plane import ControlPlane, control_plane, kuberay, kueue, scheduler, wait_for

from slipway.backends.compute.kubernetes import Kubernetes
from slipway.backends.queues import Amounts, Plan, Pool, Queue, Share, Use
from slipway.backends.queues.kueue import Kueue
from slipway_contracts.workload import Kind, State, Workload

ROOT = Path(__file__).parent.parent.parent
HELM = ROOT / "helm"
VALUES: dict[str, Any] = {
    "url": "https://slipway.example.com",
    "image": {"registry": "registry.example.com/team"},
    "secrets": {"controlPlane": "slipway", "objects": "slipway-objects"},
    "mlflowUrl": "http://mlflow:5000",
}


@pytest.fixture(scope="module")
def plane() -> ControlPlane:
    found = control_plane()
    install(found, "slipway-crds", "default", {})
    for module, folder in (
        ("github.com/ray-project/kuberay/ray-operator", "config/crd/bases"),
        ("sigs.k8s.io/kueue", "config/components/crd/bases"),
    ):
        files = modules.module(module) / folder
        found.kubectl("apply", "--server-side", "-f", str(files))
    found.kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=50s")
    return found


def install(
    plane: ControlPlane, chart: str, namespace: str, values: dict[str, Any], profile: str = ""
) -> None:
    """What `helm install` does, without waiting for pods that no node will run."""
    command = [modules.helm(), "upgrade", "--install", chart, HELM / chart, "-n", namespace]
    if profile:
        command += ["--values", HELM / "slipway/profiles" / f"{profile}.yaml"]
    command += ["--values", "-", "--kubeconfig", plane.kubeconfig()]
    done = subprocess.run(
        [str(word) for word in command], input=json.dumps(values), capture_output=True, text=True
    )
    assert not done.returncode, done.stderr


@pytest.fixture(scope="module")
def space(plane: ControlPlane) -> str:
    """A namespace at *restricted* with the chart installed, so that its roles are in force."""
    name = plane.namespace()
    install(plane, "slipway", name, VALUES, "small")
    return name


def fresh(resource: dict[str, Any], namespace: str) -> dict[str, Any]:
    """As the control plane sends it: without what the API server fills in."""
    meta = {k: v for k, v in resource["metadata"].items() if k not in {"uid", "generation"}}
    return resource | {"metadata": meta | {"namespace": namespace}}


def account(plane: ControlPlane, namespace: str) -> k8s.Configuration:
    """As the control plane: with no right but those of its service account."""
    token = plane.token(namespace, "slipway-control-plane")
    found = k8s.Configuration()
    kubernetes.config.load_kube_config(
        str(plane.kubeconfig(token, namespace)), client_configuration=found
    )
    return found


def compute(plane: ControlPlane, namespace: str) -> Kubernetes:
    return Kubernetes(account(plane, namespace), namespace)


# -- definitions ------------------------------------------------------------------------


def test_the_definitions_are_accepted_and_their_rules_are_in_force(
    plane: ControlPlane, space: str
) -> None:
    good = fresh(world.run(), space)
    plane.apply(good, namespace=space)
    plane.apply(fresh(world.served(), space), namespace=space)

    def refused(**changes: Any) -> str:
        spec = good["spec"] | changes
        bad = {**good, "spec": {k: v for k, v in spec.items() if v is not None}}
        words = ["apply", "--server-side", "--dry-run=server", "-n", space, "-f", "-"]
        return plane.kubectl(*words, given=bad, fails=True)

    assert "a run stays what it was asked to be" in refused(gpus=8)
    assert "must end in -<attempt>" in refused(attempt=2)
    assert "inputs.base is missing" in refused(inputs={"dataset": "s3://a/b"})
    assert "spec.inputs.base" in refused(inputs=good["spec"]["inputs"] | {"base": "http://a"})
    assert "spec.kind" in refused(kind="dance")
    assert "outputUri" in refused(outputUri=None)
    assert "wrkers" in refused(wrkers=2)
    # What the platform says of a run may change; what was asked may not.
    plane.patch_status(space, "runs", good["metadata"]["name"], {"state": "waiting"})
    columns = plane.kubectl("get", "runs", "-n", space)
    assert "STATE" in columns
    assert "waiting" in columns
    plane.kubectl("delete", "runs,servedmodels", "--all", "-n", space)


# -- the chart --------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["small", "high-availability", "air-gap"])
def test_every_pod_of_the_chart_is_admitted_where_only_restricted_pods_are(
    plane: ControlPlane, profile: str
) -> None:
    namespace = plane.namespace()
    digests = {part: {"digest": world.DIGEST} for part in ("controlPlane", "operator", "runtime")}
    image = VALUES["image"] | (digests if profile == "air-gap" else {})
    more = {"caBundle": "slipway-ca"} if profile == "air-gap" else {}
    before = everything(plane, namespace)
    install(plane, "slipway", namespace, VALUES | {"image": image} | more, profile)

    def made() -> bool:
        wanted = plane.get(namespace, "deployments") + plane.get(namespace, "jobs")
        pods = plane.get(namespace, "pods")
        parts = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
        return {w["metadata"]["labels"]["app.kubernetes.io/component"] for w in wanted} <= parts

    wait_for(made, "a pod of every part")
    sets = plane.get(namespace, "replicasets")
    refusals = [c for s in sets for c in s["status"].get("conditions", [])]
    assert [c["message"] for c in refusals if c["type"] == "ReplicaFailure"] == []
    events = plane.get(namespace, "events")
    assert [e["message"] for e in events if e["reason"] == "FailedCreate"] == []
    command = [modules.helm(), "uninstall", "slipway", "-n", namespace, "--kubeconfig"]
    subprocess.run([*map(str, command), str(plane.kubeconfig())], check=True, capture_output=True)
    wait_for(lambda: everything(plane, namespace) == before, "nothing of the chart is left")


def everything(plane: ControlPlane, namespace: str) -> set[str]:
    """Names of all objects of a namespace that somebody asked for."""
    kinds = "deploy,rs,job,pod,svc,cm,secret,sa,role,rolebinding,pdb,hpa,netpol,ingress,pvc"
    named = plane.kubectl("get", kinds, "-n", namespace, "-o", "name").split()
    classes = plane.kubectl("get", "priorityclass,clusterrole,clusterrolebinding", "-o", "name")
    return set(named) | {name for name in classes.split() if namespace in name}


# -- the operator -----------------------------------------------------------------------


class Operator:
    """Copies of the operator as processes, with the rights of the chart's service account."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.folder = folder
        found = plane.get(namespace, "configmap", "slipway-operator")
        (folder / "config.yaml").write_text(found["data"]["config.yaml"])
        self.kubeconfig = plane.kubeconfig(plane.token(namespace, "slipway-operator"), namespace)
        self.namespace = namespace
        self.running: list[subprocess.Popen[bytes]] = []
        #: An API server that has just started knows no roles.
        self.may_be_forbidden = False

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        ports = ["--port", str(servers.free_port()), "--metrics-port", str(servers.free_port())]
        words = ["run", "--config", str(self.folder / "config.yaml"), *ports, *more]
        own = {
            "PYTHONPATH": f"{ROOT}/platform:{ROOT}/operators",
            "KUBECONFIG": str(self.kubeconfig),
            "SLIPWAY_NAMESPACE": self.namespace,
            "SLIPWAY_PEERING": "slipway",
            # What kopf calls this copy in the object by which copies agree.
            "POD_ID": f"copy-{len(self.running)}",
        }
        with (self.folder / f"operator-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "slipway_operator", *words],
                stdout=log, stderr=subprocess.STDOUT, env=os.environ | own,
            )  # fmt: skip
        self.running.append(process)
        return process

    def each(self) -> list[str]:
        """What each copy has said."""
        return [(self.folder / f"operator-{i}.log").read_text() for i in range(len(self.running))]

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def operator(plane: ControlPlane, space: str, tmp_path: Path) -> Iterator[Operator]:
    found = Operator(plane, space, tmp_path)
    yield found
    found.stop()
    assert found.may_be_forbidden or not [
        line for log in found.each() for line in log.splitlines() if "forbidden" in line
    ]


def states(back: Kubernetes, names: list[str]) -> set[State]:
    return {back.observe(name).state for name in names}


def runs(number: int) -> list[Workload]:
    stamp = f"{time.time_ns() % 10**10:010d}"
    return [
        Workload(
            name=f"train-{stamp}{index:02d}-1",
            kind=Kind.TRAIN,
            inputs={"base": "s3://slipway/models/base", "dataset": "s3://slipway/data/rows.jsonl"},
            settings={"method": "sft", "scale": "lora"},
            output_uri=f"s3://slipway/runs/{stamp}{index:02d}",
            submitted_at=time.time(),
        )
        for index in range(number)
    ]


def test_a_run_from_the_back_end_to_a_rayjob_and_back(
    plane: ControlPlane, space: str, operator: Operator
) -> None:
    back = compute(plane, space)
    assert back.readiness().ready
    [asked] = runs(1)
    operator.start("--standalone")
    back.apply(asked)
    made = wait_for(lambda: plane.get(space, "rayjobs", asked.name), "its RayJob")
    wait_for(lambda: "KubeRay" in back.observe(asked.name).reason, "the operator's first word")
    assert made["metadata"]["ownerReferences"][0]["name"] == asked.name
    back.apply(asked)  # once more is nothing new
    assert plane.get(space, "rayjobs", asked.name)["metadata"]["generation"] == 1
    done = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
    plane.patch_status(space, "rayjobs", asked.name, done)
    wait_for(lambda: back.observe(asked.name).state is State.SUCCEEDED, "success")
    assert back.names() == [asked.name]
    back.delete(asked.name)
    wait_for(lambda: back.observe(asked.name).state is State.ABSENT, "gone")
    wait_for(lambda: not plane.get(space, "rayjobs", asked.name), "its RayJob gone with it")


def test_killed_anywhere_the_operator_makes_each_rayjob_once_and_leaves_no_orphan(
    plane: ControlPlane, space: str, operator: Operator
) -> None:
    back = compute(plane, space)
    asked = runs(12)
    chance = random.Random(5)
    for each in asked:
        back.apply(each)
    for _ in range(4):
        process = operator.start("--standalone")
        # Between its start and the last of its looks, wherever that is.
        time.sleep(2.0 + chance.random() * 1.5)
        process.kill()
        process.wait()
    operator.start("--standalone")
    names = [each.name for each in asked]
    wait_for(lambda: len(plane.get(space, "rayjobs")) == len(names), "all seen by the operator")
    made = plane.get(space, "rayjobs")
    assert sorted(each["metadata"]["name"] for each in made) == sorted(names)
    assert {each["metadata"]["generation"] for each in made} == {1}
    # One deleted by hand fails and is not made again; one of ours deleted while nobody looks.
    plane.kubectl("delete", "rayjob", names[0], "-n", space)
    wait_for(lambda: back.observe(names[0]).state is State.FAILED, "its loss to be noticed")
    assert "deleted" in back.observe(names[0]).reason
    for process in operator.running:
        process.kill()
    for name in names:
        back.delete(name)
    operator.start("--standalone")
    wait_for(lambda: states(back, names) == {State.ABSENT}, "all gone")
    assert plane.get(space, "rayjobs") == []


def test_an_api_server_that_goes_away_costs_nothing_but_time(
    plane: ControlPlane, space: str, operator: Operator
) -> None:
    back = compute(plane, space)
    first, second = runs(2)
    operator.start("--standalone")
    back.apply(first)
    wait_for(lambda: plane.get(space, "rayjobs", first.name), "the first run")
    plane.api.kill()
    operator.may_be_forbidden = True
    time.sleep(5)
    plane.api = plane.start_api()
    back.apply(second)
    wait_for(lambda: plane.get(space, "rayjobs", second.name), "the second run", 120)
    for each in (first, second):
        back.delete(each.name)
    names = [first.name, second.name]
    wait_for(lambda: states(back, names) == {State.ABSENT}, "both gone")


def test_of_two_operators_one_works_and_the_other_takes_over(
    plane: ControlPlane, space: str, operator: Operator
) -> None:
    back = compute(plane, space)
    first, second = runs(2)
    copies = [operator.start(), operator.start()]
    back.apply(first)
    wait_for(lambda: plane.get(space, "rayjobs", first.name), "the first run", 90)

    def peers() -> dict[str, Any]:
        return dict(plane.get(space, "kopfpeering", "slipway").get("status") or {})

    wait_for(lambda: len(peers()) == 2, "both to have said that they are there")
    works = max(peers().items(), key=lambda peer: peer[1]["priority"])[0]
    copies[int(works.removeprefix("copy-"))].kill()
    back.apply(second)
    wait_for(lambda: plane.get(space, "rayjobs", second.name), "the second run", 120)
    for each in (first, second):
        back.delete(each.name)


# -- Kueue ------------------------------------------------------------------------------


def queue(namespace: str, gpus: int) -> list[dict[str, Any]]:
    """A queue of a namespace with a quota of its own."""
    quotas = {"cpu": 100, "memory": "1Ti", "nvidia.com/gpu": gpus}
    flavors = [
        {
            "name": "default",
            "resources": [{"name": key, "nominalQuota": value} for key, value in quotas.items()],
        }
    ]
    api = {"apiVersion": "kueue.x-k8s.io/v1beta1"}
    groups = [{"coveredResources": list(quotas), "flavors": flavors}]
    spec = {"namespaceSelector": {}, "resourceGroups": groups}
    return [
        api | {"kind": "ResourceFlavor", "metadata": {"name": "default"}},
        api | {"kind": "ClusterQueue", "metadata": {"name": namespace}, "spec": spec},
        api
        | {
            "kind": "LocalQueue",
            "metadata": {"name": "research", "namespace": namespace},
            "spec": {"clusterQueue": namespace},
        },
    ]


def test_kueue_admits_what_the_quota_holds_and_each_other_run_says_its_place(
    plane: ControlPlane, tmp_path: Path
) -> None:
    kueue()
    namespace = plane.namespace()
    install(plane, "slipway", namespace, VALUES | {"workloads": {"queue": "research"}}, "small")
    plane.apply(*queue(namespace, gpus=2), namespace=namespace)
    back = compute(plane, namespace)
    asked = [
        dataclasses.replace(run, gpus=1, submitted_at=1e9 + i) for i, run in enumerate(runs(4))
    ]
    too_big = dataclasses.replace(runs(1)[0], gpus=3)
    copies = Operator(plane, namespace, tmp_path)
    try:
        copies.start("--standalone")
        for each in asked:
            back.apply(each)
            wait_for(lambda name=each.name: plane.get(namespace, "rayjobs", name), "its RayJob")
            # Of two made in one second Kueue may take either first.
            time.sleep(1.1)

        def admitted() -> list[str]:
            jobs = plane.get(namespace, "rayjobs")
            return sorted(j["metadata"]["name"] for j in jobs if not j["spec"].get("suspend"))

        first, second, third, fourth = [each.name for each in asked]
        wait_for(lambda: admitted() == [first, second], "two admitted, as many as the quota holds")
        wait_for(lambda: "place 1" in back.observe(third).reason, "the third to say its place")
        wait_for(lambda: "place 2" in back.observe(fourth).reason, "the fourth to say its place")
        back.apply(too_big)
        wait_for(lambda: "quota" in back.observe(too_big.name).reason, "what is too big to say so")
        done = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
        plane.patch_status(namespace, "rayjobs", first, done)
        wait_for(lambda: third in admitted(), "the next to be admitted")
        wait_for(lambda: back.observe(first).state is State.SUCCEEDED, "the first to be done")
        wait_for(lambda: "place 1" in back.observe(fourth).reason, "the fourth to move up")
        # Deleted while it waits: its place is free, and nothing of it is left.
        back.delete(fourth)
        wait_for(lambda: back.observe(fourth).state is State.ABSENT, "gone")
        names = [w["metadata"]["name"] for w in plane.get(namespace, "workloads")]
        assert not [name for name in names if fourth in name]
    finally:
        copies.stop()
        for each in (*asked, too_big):
            plane.kubectl(
                "delete", "run", each.name, "-n", namespace, "--ignore-not-found", "--wait=false"
            )
    said = [line for log in copies.each() for line in log.splitlines()]
    assert [line for line in said if "forbidden" in line] == []


def test_pools_become_queues_that_lend_and_take_back_and_go_with_the_chart(
    plane: ControlPlane, tmp_path: Path, settings: Any
) -> None:
    kueue()
    namespace = plane.namespace()
    install(plane, "slipway", namespace, VALUES | {"workloads": {"pools": True}}, "small")
    settings.QUEUES_OWNER = f"{namespace}-slipway-queues"
    back, queues = compute(plane, namespace), Kueue(account(plane, namespace), namespace)
    one = Share(amounts=Amounts(cpus=33, memory_gib=333, gpus=1))
    plan = Plan(
        pools=(Pool(name="all", node_labels={}, amounts=Amounts(cpus=99, memory_gib=999, gpus=3)),),
        queues=(Queue(project="aa", shares={"all": one}), Queue(project="bb", shares={"all": one})),
    )
    assert len(queues.behind(plan)) == len(["flavor", "cohort"]) + 2 * len(plan.queues)
    queues.keep(plan)
    assert queues.behind(plan) == []
    copies = Operator(plane, namespace, tmp_path)

    def ask(project: str, number: int) -> list[str]:
        names = []
        for run in runs(number):
            back.apply(dataclasses.replace(run, gpus=1, queue=f"project-{project}"))
            names.append(run.name)
        return names

    def stands(project: str) -> tuple[int, int, int]:
        """GPUs in use, of them borrowed, and how many wait."""
        found = queues.standing()[project]
        use = found.uses.get("all", Use())
        return use.used.gpus, use.borrowed.gpus, found.waiting

    mine: list[str] = []
    try:
        copies.start("--standalone")
        mine = ask("aa", 4)
        wait_for(lambda: stands("aa") == (3, 2, 1), "the whole pool, as nobody else wants it")
        [theirs] = ask("bb", 1)
        mine.append(theirs)
        wait_for(lambda: stands("bb") == (1, 0, 0), "the other to get what is its own")
        wait_for(lambda: stands("aa") == (2, 1, 2), "one to have given it back")

        def places() -> list[int]:
            return sorted(back.observe(name).position for name in mine)

        wait_for(lambda: places() == [0, 0, 0, 1, 2], "who gave back to stand in the queue again")
        # A project that is gone has no queue, and the pool is larger for the others.
        alone = dataclasses.replace(plan, queues=plan.queues[:1])
        back.delete(theirs)
        wait_for(lambda: back.observe(theirs).state is State.ABSENT, "gone")

        def in_step() -> bool:
            queues.keep(alone)
            return not queues.behind(alone)

        wait_for(in_step, "the queue of the other to have left")
        wait_for(lambda: stands("aa") == (3, 2, 1), "what was the other's to be lent again")
    finally:
        for name in mine:
            words = ("delete", "run", name, "-n", namespace, "--ignore-not-found", "--wait=false")
            plane.kubectl(*words)
        wait_for(lambda: not plane.get(namespace, "runs"), "all runs to be gone")
        copies.stop()
    helm = [modules.helm(), "uninstall", "slipway", "-n", namespace]
    subprocess.run([*map(str, helm), "--kubeconfig", plane.kubeconfig()], check=True)

    def left() -> list[str]:
        words = ("get", "clusterqueues,cohorts,resourceflavors,localqueues", "-A", "-o", "name")
        of_ours = f"slipway.dev/queues-of={namespace}"
        return plane.kubectl(*words, "-l", of_ours).split()

    wait_for(lambda: not left(), "the queues to go with the chart")


# -- KubeRay and the scheduler --------------------------------------------------------------


def test_pods_that_kuberay_makes_are_admitted_and_the_run_says_what_they_wait_for(
    plane: ControlPlane, space: str, operator: Operator
) -> None:
    scheduler(plane)
    kuberay()
    back = compute(plane, space)
    [run] = runs(1)
    run = dataclasses.replace(run, workers=2, gpus=1)
    serve = Workload(
        name=f"serve-{time.time_ns() % 10**12:012d}-1",
        kind=Kind.SERVE,
        inputs={"base": "s3://slipway/models/base"},
        settings={"served_name": "line", "engine": "auto"},
        submitted_at=time.time(),
    )
    operator.start("--standalone")
    for each in (run, serve):
        back.apply(each)

        def reason(name: str = each.name) -> str:
            return back.observe(name).reason

        wait_for(
            lambda: "no nodes available" in reason(),
            f"why {each.name} waits, said by the scheduler",
            120,
        )
        pods = plane.get(space, "pods", **{"slipway.dev/workload": each.name})
        assert pods
        for pod in pods:
            assert pod["spec"]["securityContext"]["runAsNonRoot"]
    heads = plane.get(
        space, "pods", **{"slipway.dev/workload": run.name, "ray.io/node-type": "head"}
    )
    workers = plane.get(
        space, "pods", **{"slipway.dev/workload": run.name, "ray.io/node-type": "worker"}
    )
    assert (len(heads), len(workers)) == (1, 2)
    asked = {
        pod["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") for pod in workers
    }
    assert asked == {"1"}
    refused = [e for e in plane.get(space, "events") if "violates PodSecurity" in e["message"]]
    assert refused == []
    for each in (run, serve):
        back.delete(each.name)
    names = [run.name, serve.name]
    wait_for(lambda: states(back, names) == {State.ABSENT}, "both gone", 120)
    assert plane.get(space, "rayclusters") == []
    assert [
        p for p in plane.get(space, "pods") if "slipway.dev/workload" in p["metadata"]["labels"]
    ] == []
