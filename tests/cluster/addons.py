"""What every cluster of the field has and ours needs: DNS, KubeRay and Kueue, as pods."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import yaml

from cluster import images, modules
from cluster.control_plane import ControlPlane, wait_for

DNS = "10.96.0.10"
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


def kuberay(plane: ControlPlane) -> None:
    """KubeRay's operator from the manifests of its module, in the namespace its own chart takes."""
    folder = plane.folder / "kuberay-manifests"
    source = modules.module("github.com/ray-project/kuberay/ray-operator") / "config"
    shutil.copytree(source, folder / "config", copy_function=shutil.copyfile)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "kuberay-operator",
        "resources": ["config/crd", "config/rbac", "config/manager"],
        "images": [_image("kuberay/operator", "kuberay")],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    namespace(plane, "kuberay-operator")
    found = list(yaml.safe_load_all(plane.kubectl("kustomize", str(folder))))
    for each in found:
        if each["kind"] == "Deployment":
            # Its own 100m of CPU would be the slowest thing of the whole cluster.
            each["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].pop("cpu")
    plane.apply(*found, namespace="kuberay-operator")
    available(plane, "kuberay-operator", "kuberay-operator")


def kueue(plane: ControlPlane) -> None:
    """Kueue from the chart of its module, without the API that shows its queues to people."""
    chart = modules.module("sigs.k8s.io/kueue") / "charts/kueue"
    repository = f"{images.REGISTRY}/kueue"
    image = {"repository": repository, "tag": images.VERSION, "pullPolicy": "Never"}
    values = {
        "controllerManager": {
            "replicas": 1,
            "featureGates": [{"name": "VisibilityOnDemand", "enabled": False}],
            "manager": {"image": image, "resources": {"requests": {"cpu": "100m"}}},
        }
    }
    namespace(plane, "kueue-system")
    command = [modules.helm(), "template", "kueue", chart, "-n", "kueue-system", "-f", "-"]
    done = subprocess.run(
        [str(word) for word in command], input=json.dumps(values), capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    hooks = [each for each in found if "Webhook" in each["kind"]]
    first = [each for each in found if each["kind"] == "CustomResourceDefinition"]
    left = [each for each in found if each not in [*hooks, *first] and each["kind"] != "APIService"]
    plane.apply(*first)
    for place in {each["metadata"].get("namespace", "default") for each in left}:
        here = [each for each in left if each["metadata"].get("namespace", "default") == place]
        plane.apply(*here, namespace=place)
    available(plane, "kueue-system", "kueue-controller-manager")
    plane.apply(*hooks)


def namespace(plane: ControlPlane, name: str, **labels: str) -> None:
    meta = {"name": name, "labels": labels}
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})


def available(plane: ControlPlane, namespace: str, deployment: str, seconds: float = 120) -> None:
    """Wait until a Deployment has all the copies it wants."""

    def all_there() -> bool:
        found = plane.get(namespace, "deployment", deployment)
        wanted = found["spec"]["replicas"] if found else 1
        return bool(found) and found["status"].get("availableReplicas", 0) == wanted

    wait_for(all_there, f"{deployment} in {namespace} to be available", seconds)


def _image(old: str, new: str) -> dict[str, Any]:
    return {"name": old, "newName": f"{images.REGISTRY}/{new}", "newTag": images.VERSION}
