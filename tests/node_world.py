"""The installation that the tests of a real node share: all by the charts, but the S3 store."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import servers
import yaml
from cluster import addons, images, modules, node
from cluster.control_plane import ControlPlane

ROOT = Path(__file__).parent.parent
HELM = ROOT / "helm"
SPACE = "slipway"
OBJECTS = "slipway-objects"
#: Of the chart of dependencies, beside KubeRay and Kueue, which serve the whole cluster.
INSTALLED = ("postgres", "valkey", "mlflow")
#: As pods of the namespace know them.
WEB, GATEWAY = "http://slipway-web", "http://slipway-gateway"


@dataclass
class Installed:
    """A release `slipway` in the namespace `slipway`, which admits *restricted* pods alone."""

    plane: ControlPlane
    values: Path

    def secret(self, name: str, key: str) -> str:
        data = self.plane.get(SPACE, "secret", name)["data"]
        return base64.b64decode(data[key]).decode()

    def key(self, role: str = "owner") -> str:
        """A new key of the first owner; as `admin` it may do what is the whole platform's."""
        with httpx.Client(base_url=WEB, headers={"referer": WEB}, timeout=60) as browser:
            password = self.secret("slipway", "SLIPWAY_ADMIN_PASSWORD")
            who = {"user": "admin", "password": password}
            browser.post("/api/v1/session", json=who).raise_for_status()
            token = next(name for name in browser.cookies if name.endswith("csrftoken"))
            browser.headers["x-csrftoken"] = browser.cookies[token]
            name = f"tests {secrets.token_hex(4)}"
            made = browser.post("/api/v1/keys", json={"name": name, "role": role})
            return str(made.raise_for_status().json()["secret"])

    def helm(self, *words: object, fails: bool = False) -> str:
        """What helm prints."""
        command = [modules.helm(), *words, "-n", SPACE, "--kubeconfig", self.plane.kubeconfig()]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert bool(done.returncode) == fails, f"{done.stdout}\n{done.stderr}\n{self.troubles()}"
        return done.stdout + done.stderr

    def troubles(self) -> str:
        """What an administrator would look at when something does not come up."""
        pods = self.plane.kubectl("get", "pods", "-n", SPACE, "-o", "wide")
        told = self.plane.kubectl("get", "events", "-n", SPACE, "--sort-by=.lastTimestamp")
        logs = [
            self._log(pod["metadata"]["name"])
            for pod in self.plane.get(SPACE, "pods")
            if pod["status"]["phase"] != "Succeeded" and (_of_ours(pod) or not _ready(pod))
        ]
        return "\n".join([pods, *told.splitlines()[-40:], *logs])

    def _log(self, pod: str) -> str:
        try:
            return self.plane.kubectl("logs", "-n", SPACE, pod, "--all-containers", "--tail=60")
        except AssertionError as none:  # It has not started.
            return str(none)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    plane = node.node()
    addons.namespace(plane, SPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    values = tmp_path_factory.mktemp("values") / "values.yaml"
    found = Installed(plane, values)
    notes = _dependencies(found)
    values.write_text(json.dumps(_values(found, notes)))
    found.helm("install", "slipway-crds", HELM / "slipway-crds")
    profile = HELM / "slipway/profiles/small.yaml"
    found.helm("install", "slipway", HELM / "slipway", "-f", profile, "-f", values, "--wait")
    node.resolve(plane, SPACE, "slipway-web", "slipway-gateway")
    return found


def _dependencies(found: Installed) -> str:
    """Servers by the chart of dependencies, an S3 store outside of the cluster; its notes."""
    objects = servers.minio().fresh()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": OBJECTS}}
    data = {"SLIPWAY_OBJECTS_URL": _reached(objects)}
    found.plane.apply(secret | {"stringData": data}, namespace=SPACE)
    small = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    values: dict[str, Any] = {
        part: {"image": {"repository": part, "tag": images.VERSION}, "resources": small}
        for part in INSTALLED
    }
    values["mlflow"]["resources"] = small | {"limits": {"memory": "2Gi"}}
    values |= {
        "image": {"registry": images.REGISTRY, "pullPolicy": "Never"},
        "objects": {"mode": "existing", "secret": OBJECTS},
        "kuberay": {"mode": "existing", "namespace": addons.SPACE},
    }
    file = found.values.with_name("deps.yaml")
    file.write_text(json.dumps(values))
    found.helm("install", "deps", HELM / "slipway-deps", "-f", file, "--wait")
    return json.loads(found.helm("status", "deps", "-o", "json"))["info"]["notes"]


def _values(found: Installed, notes: str) -> dict[str, Any]:
    """Does what the notes say: makes the Secret by their command, and takes over their values."""
    command = notes[notes.index("kubectl -n slipway create secret") : notes.index("\n\n2. ")]
    programs = found.values.with_name("bin")
    programs.mkdir()
    (programs / "kubectl").symlink_to(modules.kubernetes("kubectl"))
    own = {"KUBECONFIG": str(found.plane.kubeconfig())}
    own["PATH"] = f"{programs}:{os.environ['PATH']}"
    subprocess.run(["bash", "-euc", command], env=os.environ | own, check=True)
    told = notes[notes.index("secrets: {") : notes.index("\n\nEvery part")]
    values: dict[str, Any] = yaml.safe_load(textwrap.dedent(f"     {told}"))
    objects = found.secret(OBJECTS, "SLIPWAY_OBJECTS_URL")
    outside = [{"ipBlock": {"cidr": f"{node.ADDRESS}/32"}}]
    small = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    values["network"] |= {
        "objects": {"to": outside, "port": urlsplit(objects).port},
        "apiServer": {"ports": [443, 6443]},
        # KubeRay is in a namespace of its own here, of another release of the same chart.
        "kuberayPods": {
            "app.kubernetes.io/name": "slipway-deps",
            "app.kubernetes.io/component": "kuberay",
        },
    }
    # The whole node has two cores.
    values["workloads"] |= {
        "worker": {"cpu": "200m", "memory": "4Gi"},
        "head": {"cpu": "100m", "memory": "2Gi"},
        "submitter": {"cpu": "50m", "memory": "1Gi"},
    }
    return values | {
        "url": "http://slipway.example.com",
        "image": {"registry": images.REGISTRY, "pullPolicy": "Never"},
        "web": {"resources": small},
        "gateway": {"resources": small},
        "worker": {"resources": small | {"limits": {"memory": "2Gi"}}},
    }


def _reached(url: str) -> str:
    """A URL of loopback as pods reach it."""
    port = urlsplit(url).port
    assert port
    return url.replace(f"127.0.0.1:{port}", node.expose(port))


def _of_ours(pod: dict[str, Any]) -> bool:
    """Whether it is a part of the control plane, which tells what it refused or could not do."""
    return pod["metadata"]["labels"].get("app.kubernetes.io/name") == "slipway"


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
