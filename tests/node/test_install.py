"""The charts, the images and the main job on a real node, as ops would do it."""

from __future__ import annotations

import contextlib

import httpx
from cluster.control_plane import wait_for
from node_world import INSTALLED, SPACE, WEB, Installed


def test_every_part_comes_up_where_only_restricted_pods_are(installed: Installed) -> None:
    pods = installed.plane.get(SPACE, "pods", **{"app.kubernetes.io/name": "slipway"})
    parts = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert parts == {"web", "gateway", "worker", "operator", "migrate"}
    assert "go around Kueue" not in installed.helm("status", "slipway"), "its queues are the pools'"


def test_helm_test_tells_the_whole_story(installed: Installed) -> None:
    installed.helm("test", "slipway", "--timeout", "20m", "--logs")


def test_what_it_stands_on_comes_back_with_what_it_kept(installed: Installed) -> None:
    key = {"authorization": f"Bearer {installed.key()}"}
    before = _servers(installed)
    assert {name.removesuffix("-0").removeprefix("deps-") for name in before} == {*INSTALLED}
    installed.plane.kubectl("delete", "pod", *before, "-n", SPACE)

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{WEB}/api/v1/jobs", headers=key, timeout=10).status_code == 200
        return False

    wait_for(answers, "the key to be known again", 180)
    with contextlib.suppress(AssertionError):
        wait_for(lambda: _ready(installed), "everything to be ready", 180)
    assert _ready(installed), installed.troubles()
    after = _servers(installed)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def _servers(installed: Installed) -> dict[str, str]:
    pods = installed.plane.get(SPACE, "pods", **{"app.kubernetes.io/name": "slipway-deps"})
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def _ready(installed: Installed) -> bool:
    """Whether every part says of itself that it, and what it needs, is well."""
    sets = installed.plane.get(SPACE, "statefulsets") + installed.plane.get(SPACE, "deployments")
    return all(s["status"].get("readyReplicas") == s["spec"]["replicas"] for s in sets)
