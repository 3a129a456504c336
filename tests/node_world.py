"""The installation that the tests of a real node share: servers outside, the charts inside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import servers
from cluster import addons, images, modules, node
from cluster.control_plane import ControlPlane

ROOT = Path(__file__).parent.parent
HELM = ROOT / "helm"
SPACE = "slipway"
#: As pods of the namespace know them.
WEB, GATEWAY = "http://slipway-web", "http://slipway-gateway"


@dataclass
class Installed:
    """A release `slipway` in the namespace `slipway`, which admits *restricted* pods alone."""

    plane: ControlPlane
    values: Path
    password: str

    def key(self, role: str = "owner") -> str:
        """A new key of the first owner; as `admin` it may do what is the whole platform's."""
        with httpx.Client(base_url=WEB, headers={"referer": WEB}, timeout=60) as browser:
            who = {"user": "admin", "password": self.password}
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
            if pod["status"]["phase"] != "Succeeded" and not _ready(pod)
        ]
        return "\n".join([pods, *told.splitlines()[-40:], *logs])

    def _log(self, pod: str) -> str:
        try:
            return self.plane.kubectl("logs", "-n", SPACE, pod, "--all-containers", "--tail=30")
        except AssertionError as none:  # It has not started.
            return str(none)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    plane = node.node()
    addons.namespace(plane, SPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    password = secrets.token_urlsafe(12)
    values = tmp_path_factory.mktemp("values") / "values.yaml"
    values.write_text(json.dumps(_values(plane, password)))
    found = Installed(plane, values, password)
    found.helm("install", "slipway-crds", HELM / "slipway-crds")
    profile = HELM / "slipway/profiles/small.yaml"
    found.helm("install", "slipway", HELM / "slipway", "-f", profile, "-f", values, "--wait")
    node.resolve(plane, SPACE, "slipway-web", "slipway-gateway")
    return found


def _values(plane: ControlPlane, password: str) -> dict[str, Any]:
    """The chart's values for servers that run outside of the cluster, and their secrets."""
    database, broker, objects = (
        _reached(server().fresh()) for server in (servers.postgres, servers.redis, servers.minio)
    )
    tracking = _mlflow()
    keys = {
        "SLIPWAY_SECRET_KEY": secrets.token_urlsafe(40),
        "SLIPWAY_DATABASE_URL": database,
        "SLIPWAY_BROKER_URL": broker,
        "SLIPWAY_ADMIN_PASSWORD": password,
    }
    for name, data in (("slipway", keys), ("slipway-objects", {"SLIPWAY_OBJECTS_URL": objects})):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        plane.apply(secret | {"stringData": data}, namespace=SPACE)
    outside = [{"ipBlock": {"cidr": f"{node.ADDRESS}/32"}}]
    small = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    return {
        "url": "http://slipway.example.com",
        "image": {"registry": images.REGISTRY, "pullPolicy": "Never"},
        "secrets": {"controlPlane": "slipway", "objects": "slipway-objects"},
        "mlflowUrl": tracking,
        "network": {
            "database": {"to": outside, "port": urlsplit(database).port},
            "broker": {"to": outside, "port": urlsplit(broker).port},
            "objects": {"to": outside, "port": urlsplit(objects).port},
            "mlflow": {"to": outside, "port": urlsplit(tracking).port},
            "apiServer": {"ports": [443, 6443]},
            # As the notes of the chart of dependencies say.
            "kuberayNamespace": addons.SPACE,
            "kuberayPods": {
                "app.kubernetes.io/name": "slipway-deps",
                "app.kubernetes.io/component": "kuberay",
            },
        },
        "web": {"resources": small},
        "gateway": {"resources": small},
        "worker": {"resources": small | {"limits": {"memory": "2Gi"}}},
        # The whole node has two cores.
        "workloads": {
            "pools": True,
            "worker": {"cpu": "200m", "memory": "4Gi"},
            "head": {"cpu": "100m", "memory": "2Gi"},
            "submitter": {"cpu": "50m", "memory": "1Gi"},
        },
    }


def _reached(url: str) -> str:
    """A URL of loopback as pods reach it."""
    port = urlsplit(url).port
    assert port
    return url.replace(f"127.0.0.1:{port}", node.expose(port))


def _mlflow() -> str:
    """A real MLflow server."""
    folder, port = servers.new_folder("mlflow"), servers.free_port()
    words = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.sqlite3'}", "--port", port]
    words += ["--host", "127.0.0.1", "--allowed-hosts", "*", "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", *words]
    packages = Path(sys.executable).parent.parent / "cluster/mlflow"
    environment = {"PYTHONPATH": str(packages), "PATH": f"{packages / 'bin'}:{os.environ['PATH']}"}

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            return connection.getresponse().status == 200

    servers.started(command, folder, port, answers, str, environment=environment)
    return f"http://{node.expose(port)}"


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
