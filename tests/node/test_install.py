"""The charts, the images and the main job on a real node, as ops would do it."""

from __future__ import annotations

from node_world import SPACE, Installed


def test_every_part_comes_up_where_only_restricted_pods_are(installed: Installed) -> None:
    pods = installed.plane.get(SPACE, "pods")
    parts = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert parts == {"web", "gateway", "worker", "operator", "migrate"}


def test_helm_test_tells_the_whole_story(installed: Installed) -> None:
    installed.helm("test", "slipway", "--timeout", "20m", "--logs")
