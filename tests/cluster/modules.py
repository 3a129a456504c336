"""Go modules of the Kubernetes world: fetched once, hashes pinned; programs built once."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import servers
import yaml

HERE = Path(__file__).parent


#: Without it the API server calls itself v0.0.0, and clients that look at versions refuse it.
_KUBERNETES_FLAGS = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in {"gitVersion": "v1.34.4", "gitMajor": "1", "gitMinor": "34"}.items()
)


@cache
def helm() -> Path:
    """The real Helm, built from its module; a few minutes once, then from the cache."""
    return _built("helm", "helm.sh/helm/v3/cmd/helm", minutes=2)


@cache
def helm4() -> Path:
    """Helm of the next major version."""
    return _built("helm4", "helm.sh/helm/v4/cmd/helm", minutes=2)


@cache
def kubernetes(name: str) -> Path:
    """One of Kubernetes' own programs: kube-apiserver, kube-controller-manager, kubectl, …"""
    package = f"k8s.io/kubernetes/cmd/{name}"
    return _built("kubernetes", package, minutes=4, flags=_KUBERNETES_FLAGS)


@cache
def etcd() -> Path:
    """The real etcd."""
    return _built("etcd", ".", minutes=1)


@cache
def coredns() -> Path:
    """The real CoreDNS."""
    return _built("coredns", "github.com/coredns/coredns", minutes=2)


@cache
def pause() -> Path:
    """What keeps the namespaces of a pod: a program that waits for its end."""
    return _built("pause", ".", minutes=1)


@cache
def kuberay() -> Path:
    """The real operator of KubeRay."""
    return _built("kuberay", "github.com/ray-project/kuberay/ray-operator", minutes=2)


@cache
def kueue() -> Path:
    """The real Kueue."""
    return _built("kueue", "sigs.k8s.io/kueue/cmd/kueue", minutes=3)


@cache
def kwok() -> Path:
    """The real KWOK, which speaks for nodes that are not there."""
    return _built("kwok", "sigs.k8s.io/kwok/cmd/kwok", minutes=2)


@cache
def module(name: str, pinned: str = "crds") -> Path:
    """The folder of a module's sources, at the version and hash pinned in the folder `pinned`."""
    command = [servers.go(HERE / pinned), "mod", "download", "-json", name]
    done = subprocess.run(
        [str(word) for word in command], cwd=HERE / pinned, capture_output=True, errors="replace",
        env=os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"},
    )  # fmt: skip
    if done.returncode:
        raise servers.CannotHave(f"fetching {name} failed:\n{done.stdout}{done.stderr}"[-3000:])
    return Path(json.loads(done.stdout)["Dir"])


@cache
def kuberay_schema(kind: str) -> dict[str, Any]:
    """The schema in KubeRay's own definition of RayJob or RayService."""
    folder = module("github.com/ray-project/kuberay/ray-operator") / "config/crd/bases"
    text = (folder / f"ray.io_{kind.lower()}s.yaml").read_text()
    definition = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    versions = definition["spec"]["versions"]
    return next(v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1")


def _built(module: str, package: str, *, minutes: int, flags: str = "") -> Path:
    name = module if package == "." else package.rsplit("/", 1)[-1]
    return servers.built(HERE / module, name, package, told=f"about {minutes} minutes", flags=flags)
