"""All charts installed, upgraded and uninstalled by Helm 3 and Helm 4 on a real API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import test_charts
import test_charts_deps
from cluster import modules
from cluster.control_plane import ControlPlane, control_plane, wait_for

PROGRAMS: dict[str, Callable[[], Path]] = {"Helm 3": modules.helm, "Helm 4": modules.helm4}
OFF = {"kuberay": {"mode": "off"}, "kueue": {"mode": "off"}}
every_helm = pytest.mark.parametrize("program", PROGRAMS)


@pytest.fixture(scope="module")
def plane() -> ControlPlane:
    found = control_plane()
    put(found, "Helm 3", "slipway-crds", "default", {})
    words = ["--for=condition=Established", "crds", "--all", "--timeout=50s"]
    found.kubectl("wait", *words)
    return found


def helm(
    plane: ControlPlane, program: str, *words: str, values: Any = None, fails: bool = False
) -> str:
    """What Helm prints; with `values`, they go to its standard input.

    Raises:
        AssertionError: it failed though it should not (or the other way round).
    """
    command = [str(PROGRAMS[program]()), *words, "--kubeconfig", str(plane.kubeconfig())]
    done = subprocess.run(
        [*command, *([] if values is None else ["--values", "-"])], cwd=test_charts.HELM,
        input=json.dumps(values or {}), capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert bool(done.returncode) == fails, f"{command}: {done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout


def put(plane: ControlPlane, program: str, chart: str, namespace: str, values: Any) -> str:
    release = {"slipway-deps": "deps"}.get(chart, chart)
    words = ["upgrade", "--install", release, chart, "-n", namespace]
    return helm(plane, program, *words, values=values)


def objects(plane: ControlPlane, namespace: str) -> set[str]:
    kinds = "sts,deploy,rs,job,pod,svc,cm,secret,netpol,pvc,pdb,hpa,sa,role,rolebinding"
    return set(plane.kubectl("get", kinds, "-n", namespace, "-o", "name").split())


def test_definitions_go_from_one_helm_to_the_other_and_back(plane: ControlPlane) -> None:
    for program in ("Helm 4", "Helm 3", "Helm 4"):
        put(plane, program, "slipway-crds", "default", {})
    helm(plane, "Helm 4", "uninstall", "slipway-crds", "-n", "default")
    assert plane.get("default", "crd", "runs.slipway.dev"), "the definitions are kept"
    put(plane, "Helm 3", "slipway-crds", "default", {})


@every_helm
def test_what_slipway_stands_on_keeps_its_secrets_over_upgrade_and_uninstall(
    plane: ControlPlane, program: str
) -> None:
    namespace = plane.namespace()
    before = objects(plane, namespace)
    put_deps = partial(put, plane, program, "slipway-deps", namespace)
    told = put_deps(test_charts_deps.MODES["install"] | OFF)
    assert "secrets: {controlPlane: slipway, objects: deps-objects}" in told
    assert "mlflowUrl: http://deps-mlflow:5000" in told
    assert "objects: {port: 8333}" in told

    def pods() -> bool:
        names = {pod["metadata"]["name"] for pod in plane.get(namespace, "pods")}
        return names == {f"deps-{part}-0" for part in test_charts_deps.PARTS}

    wait_for(pods, "a pod of every part, where only restricted ones are admitted")
    names = ["deps-postgres", "deps-valkey", "deps-objects"]
    made = {name: plane.get(namespace, "secret", name)["data"] for name in names}
    put_deps(test_charts_deps.MODES["digests"] | OFF | {"storageClass": ""})
    assert {name: plane.get(namespace, "secret", name)["data"] for name in names} == made
    helm(plane, program, "uninstall", "deps", "-n", namespace)
    kept = {f"secret/{name}" for name in names}
    kept |= {f"persistentvolumeclaim/data-deps-{part}-0" for part in test_charts_deps.PARTS}
    wait_for(lambda: objects(plane, namespace) == before | kept, "only secrets and data are left")
    put_deps(test_charts_deps.MODES["install"] | OFF)
    assert {name: plane.get(namespace, "secret", name)["data"] for name in names} == made


@every_helm
def test_a_cluster_without_kuberay_or_kueue_is_told_so(plane: ControlPlane, program: str) -> None:
    namespace = plane.namespace()
    words = ["install", "deps", "slipway-deps", "-n", namespace]
    values = test_charts_deps.MODES["existing"]
    for kind, name in (("rayjobs.ray.io", "kuberay"), ("localqueues.kueue.x-k8s.io", "kueue")):
        if not plane.get("default", "crd", kind):
            alone = values | OFF | {name: {"mode": "existing"}}
            said = helm(plane, program, *words, values=alone, fails=True)
            assert f"{name}.mode is existing, but this cluster does not know" in said
            assert f"set {name}.mode to install, or to off" in said
    told = helm(plane, program, *words, values=values | OFF)
    assert "mlflowUrl: http://mlflow.mlflow:5000" in told
    assert "NoKubeRay" in told


@every_helm
@pytest.mark.parametrize("profile", test_charts.PROFILES)
def test_slipways_chart_is_taken_by_the_api_server(
    plane: ControlPlane, program: str, profile: str
) -> None:
    name, values = test_charts.PROFILES[profile]
    words = ["install", "slipway", "slipway", "-n", plane.namespace(), "--dry-run=server"]
    told = helm(plane, program, *words, *test_charts.arguments(name), values=values)
    assert "Sign in as `admin`" in told


def test_a_release_of_helm_3_goes_on_with_helm_4(plane: ControlPlane) -> None:
    namespace = plane.namespace()
    before = objects(plane, namespace)
    for program in ("Helm 3", "Helm 4"):
        put(plane, program, "slipway", namespace, test_charts.NEEDED)
    env = plane.get(namespace, "deployment", "slipway-web")["spec"]["template"]["spec"]
    assert [c["name"] for c in env["containers"]] == ["web"]
    helm(plane, "Helm 4", "uninstall", "slipway", "-n", namespace)
    wait_for(lambda: objects(plane, namespace) == before, "nothing of the chart is left")
