"""The four verbs on an API server that fails on order: nothing is lost, and reasons are useful."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cluster_world as world
import kubernetes.client as k8s
import pytest
from cluster.api_server import ApiServer, status

from slipway.backends.compute import ComputeUnavailable
from slipway.backends.compute.kubernetes import Kubernetes
from slipway_contracts import resources
from slipway_contracts.workload import State, Workload


@pytest.fixture
def server() -> Iterator[ApiServer]:
    found = ApiServer({"runs", "servedmodels", "pods"})
    yield found
    found.stop()


@pytest.fixture
def compute(server: ApiServer) -> Kubernetes:
    return Kubernetes(k8s.Configuration(host=server.url), "slipway")


RUN = resources.workload_of(world.run())
MODEL = resources.workload_of(world.served(replicas=2))


@pytest.mark.parametrize("workload", [RUN, MODEL])
def test_a_workload_goes_there_and_leaves_and_every_verb_may_be_repeated(
    server: ApiServer, compute: Kubernetes, workload: Workload
) -> None:
    assert compute.observe(workload.name).state is State.ABSENT
    compute.delete(workload.name)
    compute.apply(workload)
    compute.apply(workload)
    plural = resources.resource_of(workload.kind).plural
    there = server.get(plural, workload.name)
    assert there is not None
    assert resources.workload_of(there) == workload
    assert there["metadata"]["generation"] == 1
    assert compute.observe(workload.name).state is State.WAITING
    assert compute.names() == [workload.name]
    server.put(plural, workload.name, {"status": {"state": "running", "reason": ""}})
    assert compute.observe(workload.name).state is State.RUNNING
    compute.delete(workload.name)
    compute.delete(workload.name)
    assert compute.observe(workload.name).state is State.ABSENT
    applied = [path for method, path in server.requests if method == "PATCH"]
    assert all("fieldManager=slipway-control-plane" in path for path in applied)
    assert all("fieldValidation=Strict" in path for path in applied)


def test_what_is_leaving_is_not_yet_absent(server: ApiServer, compute: Kubernetes) -> None:
    compute.apply(RUN)
    server.put("runs", RUN.name, {"metadata": {"finalizers": ["slipway.dev/operator"]}})
    compute.delete(RUN.name)
    seen = compute.observe(RUN.name)
    assert seen.state is State.WAITING
    assert "stopping" in seen.reason
    server.put("runs", RUN.name, {"metadata": {"finalizers": []}})
    assert compute.observe(RUN.name).state is State.ABSENT


def test_scaling_changes_the_replicas_and_nothing_else(
    server: ApiServer, compute: Kubernetes
) -> None:
    compute.apply(MODEL)
    compute.apply(resources.workload_of(world.served(replicas=5)))
    there = server.get("servedmodels", MODEL.name)
    assert there is not None
    assert there["spec"]["replicas"] == 5


FORBIDDEN = status(403, "Forbidden", 'cannot patch resource "runs" in API group "slipway.dev"')
FAULTS: dict[str, tuple[Any, type[Exception], str]] = {
    "conflict": (
        (409, status(409, "Conflict", "object is being deleted")),
        ComputeUnavailable,
        "409",
    ),
    "busy": (
        (429, status(429, "TooManyRequests"), {"Retry-After": "1"}),
        ComputeUnavailable,
        "asks to wait",
    ),
    "broken": ((500, "oops"), ComputeUnavailable, "answers 500"),
    "away": ((503, status(503, "ServiceUnavailable", "etcd")), ComputeUnavailable, "etcd"),
    "no rights": ((403, FORBIDDEN), ComputeUnavailable, "slipway-control-plane grants it"),
    "no definition": (
        (404, "404 page not found"),
        ComputeUnavailable,
        "install the chart slipway-crds",
    ),
    "hangs up": ("drop", ComputeUnavailable, "does not answer"),
    "invalid": (
        (422, status(422, "Invalid", "spec.workers: must be 1")),
        ValueError,
        "spec.workers",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_in_words_and_the_next_try_works(
    server: ApiServer, compute: Kubernetes, name: str
) -> None:
    answer, kind, part = FAULTS[name]
    verbs = [lambda: compute.apply(RUN), lambda: compute.observe(RUN.name), compute.names,
             lambda: compute.delete(RUN.name)]  # fmt: skip
    for verb in verbs:
        server.fault = lambda method, path: answer
        before = len(server.requests)
        with pytest.raises(kind, match=part):
            verb()
        assert len(server.requests) == before + 1, "one look is one request"
        server.fault = lambda method, path: None
        verb()


def test_nobody_at_home(compute: Kubernetes, server: ApiServer) -> None:
    server.stop()
    readiness = compute.readiness()
    assert not readiness.ready
    assert "the API server does not answer" in readiness.reason


def test_a_missing_namespace_is_named(server: ApiServer, compute: Kubernetes) -> None:
    server.fault = lambda method, path: (404, status(404, "NotFound", "namespaces not found"))
    with pytest.raises(ComputeUnavailable, match="namespace slipway is not there"):
        compute.apply(RUN)


def test_long_lists_come_in_pages_and_begin_again_when_they_grow_old(
    server: ApiServer, compute: Kubernetes
) -> None:
    names = [f"train-{number:012d}-1" for number in range(1200)]
    for name in names:
        server.put("runs", name, {"metadata": {"labels": {resources.MANAGED_BY: "slipway"}}})
    server.put("runs", "made-by-hand-1", {"metadata": {"labels": {}}})
    expired = iter([(410, status(410, "Expired", "too old resource version"))])
    server.fault = lambda method, path: next(expired, None) if "continue=500" in path else None
    assert compute.names() == names


def test_logs_are_the_submitters_or_else_those_of_every_copy(
    server: ApiServer, compute: Kubernetes
) -> None:
    def pod(name: str, container: str, created: str) -> None:
        server.put(
            "pods",
            name,
            {
                "metadata": {"labels": {resources.LABEL: RUN.name}, "creationTimestamp": created},
                "spec": {"containers": [{"name": container}]},
            },
        )

    assert list(compute.logs(RUN.name)) == []
    pod("b", "ray-head", "2026-11-22T09:00:00Z")
    pod("a", "ray-worker", "2026-11-22T09:00:01Z")
    server.logs |= {"a": "third\n", "b": "first\nsecond 数\n", "s": "step 1\nstep 2"}
    assert list(compute.logs(RUN.name)) == ["first", "second 数", "third"]
    pod("s", "ray-job-submitter", "2026-11-22T09:00:02Z")
    assert list(compute.logs(RUN.name)) == ["step 1", "step 2"]
    gone = status(404, "NotFound", 'pods "s" not found')
    server.fault = lambda method, path: (404, gone) if "/log" in path else None
    assert list(compute.logs(RUN.name)) == []


def test_ready_when_both_kinds_are_known(server: ApiServer, compute: Kubernetes) -> None:
    assert compute.readiness().ready
    server.kinds.remove("servedmodels")
    assert "install the chart slipway-crds" in compute.readiness().reason
