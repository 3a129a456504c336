"""The chart's KubeRay and Kueue on a real API server: the real programs with the chart's rights.

They run beside the cluster, each with a token of its ServiceAccount; the API server asks Kueue's
webhooks through the chart's Service, and trusts the certificates that Kueue made for it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import servers
import test_charts_deps
import yaml
from cluster import modules
from cluster.control_plane import ControlPlane, listens, new_control_plane, wait_for
from walks.test_charts_installed import every_helm, helm, put

VALUES = test_charts_deps.MODES["operators"]
CONFIGURATIONS = ("mutatingwebhookconfiguration", "validatingwebhookconfiguration")


@pytest.fixture(scope="module")
def plane() -> ControlPlane:
    """A cluster that has heard of neither."""
    return new_control_plane()


def definitions(plane: ControlPlane) -> set[str]:
    names = {item["metadata"]["name"] for item in plane.get("default", "crd")}
    return {name for name in names if name.endswith((".ray.io", ".kueue.x-k8s.io"))}


def take_away(plane: ControlPlane) -> None:
    """Delete the definitions.

    Kubernetes drops one whose objects it could not list at once (its storage starts anew after a
    change) and whose status moved meanwhile, until the next resync, minutes later: a change of
    another kind makes it look again.
    """
    plane.kubectl("delete", "crd", *definitions(plane), "--wait=false")

    def gone() -> bool:
        if left := sorted(definitions(plane)):
            time.sleep(1)
            with contextlib.suppress(AssertionError):  # gone since
                plane.kubectl("annotate", "--overwrite", "crd", *left, f"again=at-{time.time()}")
        return not left

    wait_for(gone, "the definitions to go")


def release_size(plane: ControlPlane, namespace: str) -> int:
    """Bytes of the largest release that Helm keeps there."""
    found = [s for s in plane.get(namespace, "secret") if s["type"] == "helm.sh/release.v1"]
    return max(len(base64.b64decode(s["data"]["release"])) for s in found)


@every_helm
def test_they_are_installed_kept_in_step_and_taken_away_but_for_their_definitions(
    plane: ControlPlane, program: str
) -> None:
    namespace = plane.namespace()
    told = put(plane, program, "slipway-deps", namespace, VALUES)
    assert f"kuberayNamespace: {namespace}" in told
    assert "kuberayPods: {app.kubernetes.io/name: slipway-deps" in told
    assert "definitions of KubeRay and Kueue" in told

    def pods() -> bool:
        names = [pod["metadata"]["name"] for pod in plane.get(namespace, "pods")]
        return sorted(name.rsplit("-", 2)[0] for name in names) == ["deps-kuberay", "deps-kueue"]

    wait_for(pods, "a pod of each, where only restricted ones are admitted")
    size = release_size(plane, namespace)
    assert size < 700_000, "Kubernetes takes no Secret over 1 MiB"
    # What Kueue writes there is not Helm's to take away.
    secret = {"data": {"ca.crt": base64.b64encode(b"written").decode()}}
    patch = ["--type=merge", "-p", json.dumps(secret)]
    plane.kubectl("patch", "secret", "deps-kueue", "-n", namespace, *patch)
    put(
        plane,
        program,
        "slipway-deps",
        namespace,
        VALUES | {"image": test_charts_deps.IMAGE | {"pullPolicy": "Always"}},
    )
    assert plane.get(namespace, "secret", "deps-kueue")["data"] == secret["data"]

    other = plane.namespace()
    words = ["install", "deps", "slipway-deps", "-n", other]
    for part, name in (
        ("kuberay", "rayclusters.ray.io"),
        ("kueue", "admissionchecks.kueue.x-k8s.io"),
    ):
        alone = VALUES | {
            "kuberay": {"mode": "off"},
            "kueue": {"mode": "off"},
            part: {"mode": "install"},
        }
        said = helm(plane, program, *words, values=alone, fails=True)
        assert f"{part}.mode is install, but this cluster has" in said
        assert (
            f"{name} belongs to the release {namespace}/deps; set {part}.mode to existing" in said
        )
    assert not plane.get(other, "secret"), "nothing is made"

    helm(plane, program, "uninstall", "deps", "-n", namespace)
    assert len(definitions(plane)) == 14, "the definitions are kept"
    for kind in (*CONFIGURATIONS, "clusterrole", "clusterrolebinding"):
        names = [item["metadata"]["name"] for item in plane.get("default", kind)]
        assert not [name for name in names if "kueue" in name or "kuberay" in name], kind
    # The next release of that name takes them over; one elsewhere is told how.
    put(plane, program, "slipway-deps", namespace, VALUES)
    helm(plane, program, "uninstall", "deps", "-n", namespace)
    for group in (".ray.io", ".kueue.x-k8s.io"):
        # The words that the refusal tells, for what is named in it.
        told = helm(plane, program, *words, values=VALUES, fails=True)
        annotate, label = re.findall(r"kubectl (\w+ --overwrite crd [^&\n]+)", told)
        assert {word for word in annotate.split() if word.endswith(group)} == {
            name for name in definitions(plane) if name.endswith(group)
        }
        plane.kubectl(*annotate.split())
        plane.kubectl(*label.split())
    helm(plane, program, *words, values=VALUES)
    helm(plane, program, "uninstall", "deps", "-n", other)
    take_away(plane)


def test_definitions_that_helm_did_not_make_are_left_alone(plane: ControlPlane) -> None:
    path = test_charts_deps.HELM / "slipway-deps/files/kuberay/definitions/rayjobs.ray.io.json"
    plane.apply(json.loads(path.read_text()))
    words = ["install", "deps", "slipway-deps", "-n", plane.namespace()]
    said = helm(plane, "Helm 3", *words, values=VALUES, fails=True)
    assert (
        "the definition rayjobs.ray.io was not made by Helm; set kuberay.mode to existing" in said
    )
    assert not definitions(plane) - {"rayjobs.ray.io"}
    take_away(plane)


def account(plane: ControlPlane, namespace: str, name: str) -> Path:
    """A kubeconfig with a token of the chart's ServiceAccount, and nothing else."""
    return plane.kubeconfig(plane.token(namespace, name), namespace)


def arguments(plane: ControlPlane, namespace: str, name: str) -> list[str]:
    pod = plane.get(namespace, "deployment", name)["spec"]["template"]["spec"]
    return list(pod["containers"][0]["args"])


def start_kuberay(plane: ControlPlane, namespace: str) -> servers.Server:
    own = plane.folder / f"kuberay-{namespace}"
    own.mkdir()
    port = servers.free_port()
    words = [
        word.replace(":8082", f"127.0.0.1:{port}")
        for word in arguments(plane, namespace, "deps-kuberay")
    ]
    words += [f"--metrics-addr=127.0.0.1:{servers.free_port()}"]
    words += [f"--kubeconfig={account(plane, namespace, 'deps-kuberay')}"]
    return servers.started([modules.kuberay(), *words], own, port, listens(port), str)


def start_kueue(plane: ControlPlane, namespace: str) -> servers.Server:
    """Kueue with the chart's configuration; only ports and folders are of this machine."""
    own = plane.folder / f"kueue-{namespace}"
    shown = own / "certificates"
    shown.mkdir(parents=True)
    port, health = servers.free_port(), servers.free_port()
    given = yaml.safe_load(plane.get(namespace, "configmap", "deps-kueue")["data"]["kueue.yaml"])
    given["health"]["healthProbeBindAddress"] = f"127.0.0.1:{health}"
    given["webhook"] |= {"port": port, "certDir": str(shown)}
    (own / "kueue.yaml").write_text(yaml.safe_dump(given))
    words = [
        word.replace("/configuration", str(own))
        for word in arguments(plane, namespace, "deps-kueue")
    ]
    environment = {"KUBECONFIG": str(account(plane, namespace, "deps-kueue"))}
    shown_to = plane.get(namespace, "service", "deps-kueue")["spec"]["ports"][0]["name"]
    plane.apply({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": "deps-kueue-here", "labels": {"kubernetes.io/service-name": "deps-kueue"},
        },
        "ports": [{"name": shown_to, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}}],
    }, namespace=namespace)  # fmt: skip
    server = servers.started(
        [modules.kueue(), *words], own, health, listens(health), str, environment=environment
    )

    def made() -> dict[str, str]:
        found: dict[str, str] = plane.get(namespace, "secret", "deps-kueue").get("data") or {}
        return found

    # What the kubelet does with a volume of a Secret.
    for name, content in wait_for(made, "Kueue to make its certificates").items():
        (shown / name).write_bytes(base64.b64decode(content))
    wait_for(lambda: answers(port), "Kueue's webhooks to listen")
    return server


def answers(port: int) -> bool:
    try:
        socket.create_connection((own_address(), port), 2).close()
    except OSError:
        return False
    return True


def own_address() -> str:
    """An address of this machine that is not loopback: Kubernetes refuses that as an endpoint."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def ray_job(name: str, cpu: str) -> dict[str, Any]:
    container = {
        "name": "ray",
        "image": "localhost/none:1",
        "resources": {"requests": {"cpu": cpu}},
    }
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container | {"securityContext": security}],
    }
    head = {"rayStartParams": {}, "template": {"spec": pod}}
    return {
        "apiVersion": "ray.io/v1", "kind": "RayJob",
        "metadata": {"name": name, "labels": {"kueue.x-k8s.io/queue-name": "runs"}},
        "spec": {
            "entrypoint": "true", "shutdownAfterJobFinishes": True, "submissionMode": "HTTPMode",
            "rayClusterSpec": {"headGroupSpec": head},
        },
    }  # fmt: skip


def name_of(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])


def queues(namespace: str) -> list[dict[str, Any]]:
    kinds = {"apiVersion": "kueue.x-k8s.io/v1beta1"}
    flavor = {"name": "default", "resources": [{"name": "cpu", "nominalQuota": 2}]}
    group = {"coveredResources": ["cpu"], "flavors": [flavor]}
    return [
        kinds | {"kind": "ResourceFlavor", "metadata": {"name": "default"}},
        kinds | {"kind": "ClusterQueue", "metadata": {"name": "all"}, "spec": {
            "namespaceSelector": {}, "resourceGroups": [group],
        }},
        kinds | {"kind": "LocalQueue", "metadata": {"name": "runs", "namespace": namespace},
                 "spec": {"clusterQueue": "all"}},
    ]  # fmt: skip


def test_the_real_programs_queue_and_make_a_cluster_with_the_charts_rights(
    plane: ControlPlane,
) -> None:
    namespace = plane.namespace()
    put(plane, "Helm 3", "slipway-deps", namespace, VALUES)
    running = [start_kuberay(plane, namespace), start_kueue(plane, namespace)]
    try:
        # Until Kueue has put its CA there, the API server does not trust the webhooks.
        def trusted() -> bool:
            hooks = [
                h
                for kind in CONFIGURATIONS
                for item in plane.get("default", kind)
                for h in item["webhooks"]
            ]
            return len(hooks) == 11 and all(h["clientConfig"].get("caBundle") for h in hooks)

        wait_for(trusted, "Kueue's CA in both configurations")
        made = queues(namespace)
        plane.apply(*made[:2])
        plane.apply(made[2], namespace=namespace)
        # Refused in words of Kueue's own webhook, so it was asked.
        wrong = json.loads(json.dumps(ray_job("wrong", "1")))
        wrong["spec"]["shutdownAfterJobFinishes"] = False
        said = plane.kubectl("create", "-n", namespace, "-f", "-", given=wrong, fails=True)
        assert "vrayjob.kb.io" in said
        assert "shutdownAfterJobFinishes" in said
        plane.apply(ray_job("first", "2"), namespace=namespace)
        wait_for(lambda: plane.get(namespace, "raycluster"), "the admitted RayJob's RayCluster")
        wait_for(lambda: plane.get(namespace, "pods"), "its head pod")
        plane.apply(ray_job("second", "2"), namespace=namespace)

        def waits() -> bool:
            found = [w for w in plane.get(namespace, "workload") if "second" in name_of(w)]
            conditions = [c for w in found for c in w.get("status", {}).get("conditions", [])]
            return any("insufficient unused quota" in c["message"] for c in conditions)

        wait_for(waits, "the second to wait for quota, in Kueue's words")
        assert len(plane.get(namespace, "raycluster")) == 1
        # An upgrade leaves what Kueue wrote into the webhooks.
        put(plane, "Helm 3", "slipway-deps", namespace, VALUES)
        put(plane, "Helm 4", "slipway-deps", namespace, VALUES)
        assert trusted()
        plane.kubectl("delete", "rayjob", "first", "-n", namespace, "--timeout=60s")
        wait_for(
            lambda: ["second" in name_of(c) for c in plane.get(namespace, "raycluster")] == [True],
            "the second's turn",
        )
        plane.kubectl("delete", "rayjob", "second", "-n", namespace, "--timeout=60s")
        plane.kubectl("delete", "localqueue", "runs", "-n", namespace, "--timeout=60s")
        plane.kubectl("delete", "clusterqueue", "all", "--timeout=60s")
        plane.kubectl("delete", "resourceflavor", "default", "--timeout=60s")
        leases = {lease["spec"]["holderIdentity"] for lease in plane.get(namespace, "lease")}
        assert len(leases) == 2, "both lead by a lease in their namespace"
    finally:
        for server in running:
            server.stop()
    for part in ("kuberay", "kueue"):
        log = (plane.folder / f"{part}-{namespace}/log").read_text()
        assert "Starting" in log
        assert not re.findall(r".*forbidden.*", log, re.IGNORECASE)
    helm(plane, "Helm 4", "uninstall", "deps", "-n", namespace)
