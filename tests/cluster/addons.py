"""What every cluster of the field has and ours needs: volumes; DNS, KubeRay and Kueue as pods."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cluster import images, modules
from cluster.control_plane import ControlPlane, wait_for

DNS = "10.96.0.10"
#: Where KubeRay and Kueue are.
SPACE = "slipway-deps"
CHART = Path(__file__).parent.parent.parent / "helm/slipway-deps"
_RBAC = "rbac.authorization.k8s.io"
_COREFILE = """.:53 {
  errors
  ready
  kubernetes cluster.local in-addr.arpa
  cache 5
}
"""


def dns(plane: ControlPlane) -> None:
    """CoreDNS, as the names of services need it."""
    meta = {"name": "coredns", "namespace": "kube-system"}
    labels = {"k8s-app": "kube-dns"}
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
    ]
    container = {
        "name": "coredns",
        "image": images.name("coredns"),
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
    port = {"port": 53, "targetPort": 53}
    ports = [{"name": p.lower(), "protocol": p} | port for p in ("UDP", "TCP")]
    plane.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        | {"data": {"Corefile": _COREFILE}},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "coredns"},
            "rules": [rule | {"verbs": ["list", "watch"]} for rule in rules],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "coredns"},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "coredns"},
            "subjects": [{"kind": "ServiceAccount"} | meta],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta | {"name": "kube-dns"},
            "spec": {"clusterIP": DNS, "selector": labels, "ports": ports},
        },
        namespace="kube-system",
    )  # fmt: skip
    available(plane, "kube-system", "coredns")


def volumes(plane: ControlPlane, folder: Path, node: str, number: int = 6) -> None:
    """Volumes on the node's own disk, for whoever claims one without naming a class."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    plane.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "disk", "annotations": default},
            "provisioner": "kubernetes.io/no-provisioner",
        }
    )
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    here = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    for each in range(number):
        path = folder / str(each)
        path.mkdir(parents=True)
        spec = {
            "capacity": {"storage": "1Ti"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "disk",
            "local": {"path": str(path)},
            "nodeAffinity": here,
        }
        meta = {"name": f"disk-{each}"}
        plane.apply(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}
        )


def operators(plane: ControlPlane) -> None:
    """KubeRay and Kueue as the chart of dependencies installs them, where *restricted* is due.

    Raises:
        AssertionError: they did not come up; says what an administrator would look at.
    """
    namespace(plane, SPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    own = {"repository": "", "tag": images.VERSION}
    installed = {
        part: {"mode": "install", "image": own | {"repository": part}}
        for part in ("kuberay", "kueue")
    }
    values = installed | {
        "image": {"registry": images.REGISTRY, "pullPolicy": "Never"},
        "network": {"apiServer": {"ports": [443, 6443]}},
    }
    for part in ("postgres", "valkey", "objects", "mlflow"):
        values[part] = {"mode": "off"}
    command = [modules.helm(), "install", "deps", CHART, "-n", SPACE, "-f", "-", "--wait"]
    command += ["--timeout", "5m", "--kubeconfig", plane.kubeconfig()]
    done = subprocess.run(
        [str(word) for word in command], input=json.dumps(values), capture_output=True, text=True
    )
    assert not done.returncode, f"{done.stdout}\n{done.stderr}\n{_troubles(plane, SPACE)}"


def _troubles(plane: ControlPlane, namespace: str) -> str:
    pods = plane.kubectl("get", "pods", "-n", namespace, "-o", "wide")
    told = plane.kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
    return "\n".join([pods, *told.splitlines()[-30:]])


def namespace(plane: ControlPlane, name: str, **labels: str) -> None:
    meta = {"name": name, "labels": labels}
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})


def available(plane: ControlPlane, namespace: str, deployment: str, seconds: float = 120) -> None:
    """Wait until a Deployment has all the copies it wants."""

    def all_there() -> bool:
        found = plane.get(namespace, "deployment", deployment)
        wanted = found["spec"]["replicas"] if found else 1
        return bool(found) and found["status"].get("availableReplicas", 0) == wanted

    try:
        wait_for(all_there, f"{deployment} in {namespace} to be available", seconds)
    except AssertionError as late:
        late.add_note(_troubles(plane, namespace))
        raise
