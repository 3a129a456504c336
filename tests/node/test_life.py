"""What lives through an upgrade, and what an installation leaves behind when it goes."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import yaml
from cluster import node
from cluster.control_plane import wait_for
from node_world import GATEWAY, HELM, INSTALLED, SPACE, WEB, Installed

from slipway_demo import story
from slipway_demo.rest import Rest

NAME = "app.kubernetes.io/name"
KINDS = "deploy,sts,rs,job,pod,svc,cm,secret,sa,role,rolebinding,pdb,hpa,netpol,ingress,pvc"


class Streams:
    """Asks for one streamed answer after the other, until it is told to stop."""

    def __init__(self, door: openai.OpenAI) -> None:
        self.whole, self.broken = 0, list[str]()
        self._door = door.with_options(max_retries=0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        question: Any = [{"role": "user", "content": story.QUESTION}]
        while not self._stop.is_set():
            try:
                with self._door.chat.completions.create(
                    model=story.MODEL, messages=question, max_tokens=64, stream=True
                ) as chunks:
                    ends = [c.choices[0].finish_reason for c in chunks if c.choices]
                assert ends[-1] in {"stop", "length"}, ends
                self.whole += 1
            except (openai.APIError, AssertionError) as error:
                self.broken.append(repr(error))


@pytest.fixture
def told(installed: Installed, tmp_path: pathlib.Path) -> Iterator[story.Story]:
    key = installed.key()
    told = story.Story(url=WEB, gateway=GATEWAY, key=key, folder=tmp_path, seed=7)
    with contextlib.closing(told):
        yield told


def test_a_job_and_streams_live_through_an_upgrade(
    installed: Installed, told: story.Story, tmp_path: pathlib.Path
) -> None:
    rest = told.rest
    pool = {"name": "node", "node_labels": {"kubernetes.io/hostname": node.NAME}}
    with contextlib.closing(Rest(WEB, installed.key("admin"))) as admin:
        admin.post("capacity/pools", pool | {"cpus": 4, "memory_gib": 16})
        wait_for(lambda: not admin.get("capacity")["behind"], "Kueue's queues", 90)
    base = told.import_base()
    told.deploy(story.MODEL, base["id"])
    train, held_out = told.publish_rows()
    asked = {
        "name": "through-an-upgrade", "base": base["id"], "dataset": train["id"],
        "held_out": held_out["id"], "model": "upgraded", "method": "sft", "scale": "lora",
        "hyperparameters": {"epochs": 40},
    }  # fmt: skip
    job = rest.make("jobs", asked)
    where = f"jobs/{job['id']}"
    rest.wait(where, until=lambda j: j["phase"] == "running", seconds=600)
    [queued] = [
        each
        for each in installed.plane.get(SPACE, "workloads")
        if each["metadata"]["ownerReferences"][0]["kind"] == "RayJob"
    ]
    assert queued["spec"]["queueName"].startswith("project-")
    assert queued["status"]["admission"]["podSetAssignments"], "Kueue let it in"
    ours, models = _ours(installed), _models(installed)

    streams = Streams(told.door)
    try:
        wait_for(lambda: streams.whole > 3, "streams to go through", 60)
        newer = tmp_path / "slipway"
        shutil.copytree(HELM / "slipway", newer)
        chart = yaml.safe_load((newer / "Chart.yaml").read_text())
        (newer / "Chart.yaml").write_text(yaml.safe_dump(chart | {"version": "99.0.0"}))
        profile = newer / "profiles/small.yaml"
        more = ["-f", profile, "-f", installed.values, "--wait", "--timeout", "10m"]
        installed.helm("upgrade", "slipway", newer, *more)
        wait_for(lambda: not ours & _ours(installed), "every part to be new", 300)
        through = streams.whole
        wait_for(lambda: streams.whole > through + 3, "streams to go through after it", 60)
    finally:
        streams.end()
    assert streams.broken == []
    assert models <= _models(installed), "a model was restarted"
    job = rest.wait(where, until=lambda j: j["phase"] in {"succeeded", "failed"}, seconds=1800)
    assert job["phase"] == "succeeded", job["reason"]
    assert job["attempt"] == 1


def test_uninstalling_as_the_documentation_says_leaves_what_it_says(installed: Installed) -> None:
    plane = installed.plane
    plane.kubectl("scale", "deployment/slipway-web", "deployment/slipway-worker",
                  "--replicas=0", "-n", SPACE)  # fmt: skip
    plane.kubectl("delete", "slipway", "--all", "-n", SPACE, "--wait=false")
    of_ours = ("get", "slipway", "-n", SPACE, "-o", "name")
    wait_for(lambda: not plane.kubectl(*of_ours), "runs and models to be gone", 180)
    installed.helm("uninstall", "slipway", "--wait")
    installed.helm("uninstall", "slipway-crds")
    plane.kubectl("delete", "pod", "slipway-test", "-n", SPACE, "--ignore-not-found")
    kept = {"secret/slipway", "secret/slipway-objects", "configmap/kube-root-ca.crt",
            "serviceaccount/default"}  # fmt: skip

    def left() -> set[str]:
        ours = ("get", KINDS, "-n", SPACE, "-o", "name", "-l", f"{NAME}!=slipway-deps,name!=deps")
        return set(plane.kubectl(*ours).split()) - kept

    with contextlib.suppress(AssertionError):
        wait_for(lambda: not left(), "nothing but the secrets to be left", 120)
    assert not left()
    rays = "rayjobs,rayservices,rayclusters,workloads"
    assert plane.kubectl("get", rays, "-n", SPACE, "-o", "name") == ""
    queues = "clusterqueues,cohorts,resourceflavors"
    assert plane.kubectl("get", queues, "-o", "name") == ""
    assert "runs.slipway.dev" in plane.kubectl("get", "crd", "-o", "name")
    installed.helm("uninstall", "deps", "--wait")
    data = {f"persistentvolumeclaim/data-deps-{part}-0" for part in INSTALLED}
    passwords = {f"secret/deps-{part}" for part in ("postgres", "valkey")}
    of_theirs = ("get", KINDS, "-n", SPACE, "-o", "name", "-l", f"{NAME}=slipway-deps")
    wait_for(
        lambda: set(plane.kubectl(*of_theirs).split()) == data | passwords,
        "nothing but volumes and passwords to be left",
        120,
    )


def _ours(installed: Installed) -> set[str]:
    """Pods of the charts' deployments."""
    pods = installed.plane.get(SPACE, "pods", **{"app.kubernetes.io/name": "slipway"})
    return {p["metadata"]["uid"] for p in pods if "pod-template-hash" in p["metadata"]["labels"]}


def _models(installed: Installed) -> set[str]:
    pods = installed.plane.get(SPACE, "pods", **{"ray.io/node-type": "worker"})
    return {pod["metadata"]["uid"] for pod in pods}
