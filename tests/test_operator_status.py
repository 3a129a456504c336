"""What KubeRay, Kueue and the pods say becomes a state and a reason a user can act on."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import cluster_world as world
import pytest
from cluster import modules
from cluster_world import condition, pod, queued, rayjob

from slipway_contracts import resources
from slipway_contracts.workload import State
from slipway_operator.lines import Lines
from slipway_operator.status import pods, runs, served, write
from slipway_operator.status.seen import Seen, Verdict


def run_verdict(
    deployment: str, job: str = "", *, seen: dict[str, Any] | None = None, **status: Any
):
    return runs.verdict(Seen(made=rayjob(deployment, job, **status), **(seen or {})))


WAITING, RUNNING, SUCCEEDED, FAILED = State.WAITING, State.RUNNING, State.SUCCEEDED, State.FAILED
#: Deployment status × job status → state and word.
TABLE = {
    ("", ""): (WAITING, "Queued"),
    ("Initializing", ""): (WAITING, "Starting"),
    ("Running", ""): (WAITING, "Submitting"),
    ("Running", "PENDING"): (WAITING, "Submitting"),
    ("Running", "RUNNING"): (RUNNING, "Running"),
    ("Running", "SUCCEEDED"): (RUNNING, "Running"),
    ("Running", "FAILED"): (RUNNING, "Running"),
    ("Running", "STOPPED"): (RUNNING, "Running"),
    ("Complete", "SUCCEEDED"): (SUCCEEDED, "Succeeded"),
    ("Complete", "FAILED"): (FAILED, "RunFailed"),
    ("Complete", "STOPPED"): (FAILED, "Stopped"),
    ("Failed", ""): (FAILED, "RunFailed"),
    ("Failed", "FAILED"): (FAILED, "RunFailed"),
    ("Failed", "RUNNING"): (FAILED, "RunFailed"),
    ("ValidationFailed", ""): (FAILED, "RunFailed"),
    ("Suspending", "RUNNING"): (WAITING, "Suspending"),
    ("Suspended", ""): (WAITING, "Queued"),
    ("Retrying", ""): (WAITING, "Retrying"),
    ("Waiting", ""): (WAITING, "Waiting"),
    ("Hibernating", ""): (WAITING, "Unknown"),
}


@pytest.mark.parametrize(("given", "expected"), TABLE.items())
def test_every_job_status_has_its_meaning(given: tuple[str, str], expected: Any) -> None:
    found = run_verdict(*given)
    assert (found.state, found.word) == expected
    assert found.reason or found.state in {RUNNING, SUCCEEDED}


def test_the_table_has_every_status_that_kuberay_itself_has() -> None:
    source = modules.module("github.com/ray-project/kuberay/ray-operator")
    text = (source / "apis/ray/v1/rayjob_types.go").read_text()
    deployment = set(re.findall(r'JobDeploymentStatus\w+ +JobDeploymentStatus = "(\w*)"', text))
    job = set(re.findall(r'JobStatus\w+ +JobStatus = "(\w*)"', text))
    assert len(deployment) == 10
    assert len(job) == 6
    assert deployment == {given[0] for given in TABLE} - {"Hibernating"}
    assert job == {given[1] for given in TABLE}
    reasons = re.findall(r'JobFailedReason += "(\w+)"', text)
    assert len(reasons) == 5
    for reason in reasons:
        assert run_verdict("Failed", reason=reason).reason != run_verdict("Failed").reason or (
            reason == "AppFailed"
        )


def test_a_failed_run_says_what_kuberay_says() -> None:
    found = run_verdict(
        "ValidationFailed", reason="ValidationFailed", message="the RayJob spec\n is invalid"
    )
    assert found.reason == "KubeRay refuses the manifest: the RayJob spec is invalid"


def test_the_queue_tells_the_place_and_what_is_missing() -> None:
    message = (
        "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, "
        "request > maximum capacity (1100m > 1)"
    )
    mine = queued("mine", condition("QuotaReserved", "False", "Pending", message))
    rivals = (
        queued("older", created="2026-11-22T08:00:00Z"),
        queued("urgent", priority=5, created="2026-11-22T09:30:00Z"),
        queued("younger", created="2026-11-22T09:00:01Z"),
        queued("admitted", condition("QuotaReserved", "True"), created="2026-11-22T07:00:00Z"),
        queued("done", condition("Finished", "True"), created="2026-11-22T07:00:00Z"),
        queued("elsewhere", created="2026-11-22T07:00:00Z", queue="other"),
        mine,
    )
    lines = Lines()
    for each in rivals:
        lines.join(("slipway", each["metadata"]["name"]), each)
    place = lines.place(("slipway", "mine"))
    found = run_verdict("Suspended", seen={"queued": mine, "place": place})
    assert (found.state, found.word, found.position) == (WAITING, "Queued", 3)
    assert found.reason == f"place 3 in queue research: {message}"


@pytest.mark.parametrize(
    ("conditions", "word", "part"),
    [
        ([condition("QuotaReserved", "False", "Inadmissible", "LocalQueue research doesn't exist")],
         "Inadmissible", "LocalQueue research doesn't exist"),
        ([condition("QuotaReserved", "True")], "Admitting", "quota is reserved"),
        ([], "Queued", "Kueue has not looked at it yet"),
        ([condition("Evicted", "True", "Preempted", at="2026-11-22T10:00:00Z")],
         "Preempted", "another workload was entitled to its quota"),
        ([condition("Evicted", "True", "NodeFailures", at="2026-11-22T10:00:00Z")],
         "Preempted", "a node failed under it"),
        ([condition("Evicted", "True", "PodsReadyTimeout", at="2026-11-22T10:00:00Z")],
         "Preempted", "its pods were not ready in time"),
    ],
)  # fmt: skip
def test_why_kueue_holds_a_run_back(conditions: list[Any], word: str, part: str) -> None:
    found = run_verdict("Suspended", seen={"queued": queued("mine", *conditions)})
    assert (found.state, found.word) == (WAITING, word)
    assert part in found.reason


def test_who_was_evicted_queues_from_then_on() -> None:
    evicted = queued("a", condition("Evicted", "True", "Preempted", at="2026-11-22T10:00:00Z"))
    later = queued("b", created="2026-11-22T09:59:00Z")
    lines, names = Lines(), [("slipway", "a"), ("slipway", "b")]
    for name, each in zip(names, (evicted, later), strict=True):
        lines.join(name, each)
        lines.join(name, each)
    assert [lines.place(name) for name in names] == [2, 1]
    lines.join(names[1], queued("b", condition("QuotaReserved", "True")))
    assert [lines.place(name) for name in names] == [1, 0]
    lines.leave(names[0])
    assert [lines.place(name) for name in names] == [0, 0]


def test_a_run_that_kueue_has_admitted_starts() -> None:
    admitted = queued("mine", condition("QuotaReserved", "True"), condition("Admitted", "True"))
    found = run_verdict("Suspended", seen={"queued": admitted})
    assert (found.word, found.position) == ("Resuming", 0)


def test_without_kueue_a_queue_label_explains_itself() -> None:
    assert "is Kueue running" in run_verdict("Suspended").reason


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {
        "name": "ray-head",
        "image": "registry.example/runtime:1",
        "state": {"waiting": {"reason": reason, "message": message}},
    }


def ended(reason: str, code: int = 1, message: str = "") -> dict[str, Any]:
    state = {"terminated": {"reason": reason, "exitCode": code, "message": message}}
    return {"name": "ray-head", "state": state}


BLOCKED = [
    (
        pod(containerStatuses=[waits("ImagePullBackOff", "manifest unknown")]),
        "ImagePull",
        "manifest unknown",
    ),
    (pod(containerStatuses=[waits("ErrImageNeverPull")]), "ImagePull", "must be on the node"),
    (
        pod(
            initContainerStatuses=[
                waits("CreateContainerConfigError", 'secret "slipway-objects" not found')
            ]
        ),
        "BadConfig",
        'secret "slipway-objects" not found',
    ),
    (
        pod(
            conditions=[
                condition(
                    "PodScheduled",
                    "False",
                    "Unschedulable",
                    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                )
            ]
        ),
        "Unschedulable",
        "3 Insufficient nvidia.com/gpu",
    ),
    (
        pod(conditions=[condition("PodScheduled", "False", "SchedulingGated")]),
        "Gated",
        "scheduling gate",
    ),
]
LOST = [
    (
        pod(containerStatuses=[ended("OOMKilled", 137)]),
        "OutOfMemory",
        "killed at its limit of 16Gi",
    ),
    (
        pod(
            containerStatuses=[
                {
                    "name": "ray-head",
                    "state": waits("CrashLoopBackOff")["state"],
                    "lastState": ended("OOMKilled", 137)["state"],
                }
            ]
        ),
        "OutOfMemory",
        "out of memory",
    ),
    (
        pod(
            phase="Failed",
            reason="Evicted",
            message="The node was low on resource: ephemeral-storage.",
        ),
        "Evicted",
        "ephemeral-storage",
    ),
    (pod(phase="Failed", reason="OutOfnvidia.com/gpu"), "NodeRefused", "too little left"),
    (pod(phase="Failed", reason="NodeShutdown"), "NodeLost", "shut down"),
    (
        pod(
            conditions=[
                condition(
                    "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting"
                )
            ]
        ),
        "NodeLost",
        "Taint manager",
    ),
    (
        pod(conditions=[condition("DisruptionTarget", "True", "PreemptionByScheduler")]),
        "Preempted",
        "higher priority",
    ),
    (
        pod(conditions=[condition("DisruptionTarget", "True", "EvictionByEvictionAPI")]),
        "Evicted",
        "drained",
    ),
    (
        # As Kubernetes' own controller leaves the pods of a node that is silent: no reason given.
        pod(conditions=[condition("Ready", "False"), condition("ContainersReady", "True")]),
        "NodeLost",
        "does not answer",
    ),
]


@pytest.mark.parametrize(("given", "word", "part"), BLOCKED)
def test_what_keeps_a_pod_from_starting(given: Any, word: str, part: str) -> None:
    found = run_verdict("Initializing", seen={"pods": (given,)})
    assert (found.state, found.word) == (WAITING, word)
    assert part in found.reason


@pytest.mark.parametrize(("given", "word", "part"), LOST)
def test_what_ended_a_pod_ends_the_attempt(given: Any, word: str, part: str) -> None:
    for deployment in ("Running", "Failed"):
        found = run_verdict(deployment, "RUNNING", seen={"pods": (pod("other"), given)})
        assert (found.state, found.word) == (FAILED, word)
        assert part in found.reason


def test_a_container_that_fails_leaves_its_last_line() -> None:
    given = pod(containerStatuses=[ended("Error", 139, "loading\nSegmentation fault\n")])
    found = run_verdict("Failed", seen={"pods": (given,)}, reason="AppFailed", message="exit 139")
    assert found.word == "RunFailed"
    assert found.reason == (
        "the run ended with an error: exit 139 "
        "(pod head was lost: its container ended with signal 11 (Segmentation fault))"
    )


def test_a_pod_that_its_kubelet_calls_unready_has_not_lost_its_node() -> None:
    for containers, reason in (("True", "ReadinessGatesNotReady"), ("False", "ContainersNotReady")):
        ready = condition("Ready", "False", reason)
        given = pod(conditions=[ready, condition("ContainersReady", containers)])
        assert pods.trouble([given]) is None


def test_healthy_pods_are_no_trouble() -> None:
    assert pods.trouble([pod(containerStatuses=[ended("Completed", 0)]), pod()]) is None


def copy(name: str, *, ready: bool, ip: str) -> dict[str, Any]:
    state = condition("Ready", "True" if ready else "False")
    return pod(name, head=False, podIP=ip, conditions=[state])


def service(status: str = "", message: str = "") -> dict[str, Any]:
    deployments = {"engine": {"status": "", "message": message}}
    application = {"engine": {"status": status, "serveDeploymentStatuses": deployments}}
    return {
        "metadata": {"name": "serve-1"},
        "status": {"pendingServiceStatus": {"applicationStatuses": application}},
    }


def test_a_model_answers_where_its_pods_are_ready() -> None:
    leaving = copy("c", ready=True, ip="10.0.0.4")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    head = pod("head", podIP="10.0.0.9", conditions=[condition("Ready", "True")])
    seen = Seen(
        made=service("RUNNING"),
        pods=(
            copy("b", ready=True, ip="fd00::7"),
            copy("a", ready=True, ip="10.0.0.2"),
            copy("d", ready=False, ip="10.0.0.3"),
            leaving,
            head,
        ),
    )
    found = served.verdict(seen, replicas=3)
    assert found.state is RUNNING
    assert found.endpoints == ("http://10.0.0.2:8100", "http://[fd00::7]:8100")
    assert found.reason == "2 of 3 copies answer; the others are starting"


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    trace = (
        "Traceback …\n  File x\nEngineFailed: s3://b/k: no config.json; a model is a directory\n"
    )
    found = served.verdict(Seen(made=service("DEPLOY_FAILED", trace)), replicas=1)
    assert (found.state, found.word) == (FAILED, "DeployFailed")
    assert found.reason == "EngineFailed: s3://b/k: no config.json; a model is a directory"


@pytest.mark.parametrize(
    ("status", "state"),
    [("", WAITING), ("NOT_STARTED", WAITING), ("DEPLOYING", WAITING), ("RUNNING", WAITING),
     ("UNHEALTHY", WAITING), ("DELETING", WAITING), ("DEPLOY_FAILED", FAILED)],
)  # fmt: skip
def test_every_application_status_without_a_ready_copy(status: str, state: State) -> None:
    found = served.verdict(Seen(made=service(status), pods=(pod(),)), replicas=1)
    assert found.state is state
    assert found.reason


def test_a_blocked_model_says_what_blocks_it() -> None:
    blocked = BLOCKED[3][0]
    found = served.verdict(Seen(made=service("DEPLOYING"), pods=(blocked,)), replicas=1)
    assert found.word == "Unschedulable"


NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_a_conditions_time_moves_only_with_its_status() -> None:
    run = world.run()
    first = write.status(Verdict(state=WAITING, word="Queued", reason="a"), run, now=NOW)
    run["status"] = first
    later = NOW.replace(hour=11)
    second = write.status(Verdict(state=WAITING, word="Starting", reason="b"), run, now=later)
    run["status"] = second
    third = write.status(Verdict(state=RUNNING, word="Running"), run, now=later)
    times = [s["conditions"][0]["lastTransitionTime"][11:13] for s in (first, second, third)]
    assert times == ["10", "10", "11"]
    assert third["conditions"][0]["status"] == "True"
    assert second["conditions"][0]["reason"] == "Starting"


def test_what_the_operator_writes_is_what_the_control_plane_reads() -> None:
    model = world.served(replicas=2)
    verdict = Verdict(state=RUNNING, word="Serving", reason="1 of 2", endpoints=("http://a:1",))
    model["status"] = write.status(verdict, model, now=NOW)
    assert resources.observation_of(model) == verdict.observation()
    run = world.run()
    assert "is slipway-operator running" in resources.observation_of(run).reason
    verdict = Verdict(state=WAITING, word="Queued", reason="place 2", position=2)
    run["status"] = write.status(verdict, run, now=NOW)
    assert resources.observation_of(run) == verdict.observation()
    run["metadata"]["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    assert resources.observation_of(run).state is WAITING
