"""A real Kubernetes control plane on this machine: etcd, API server, controllers; no nodes.

Objects are accepted, refused, owned, collected and admitted as in any cluster; pods are made and
wait for a node that never comes, unless `node` makes one. Everything listens on the loopback
interface, or on an address of a network of the test's own, and dies with the process that
started it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import servers
import yaml

from cluster import certificates, modules

Object = dict[str, Any]
_SERVICES = "10.96.0.0/16"
_LOOPBACK = "127.0.0.1"


@dataclass(eq=False)
class ControlPlane:
    """A running control plane; `api` may be killed and started again by `start_api`."""

    folder: Path
    url: str
    admin: str
    api: servers.Server
    start_api: Callable[[], servers.Server]

    def kubeconfig(self, token: str = "", namespace: str = "default") -> Path:
        """A file for clients: with a token of a service account, or the administrator's."""
        token = token or self.admin
        path = self.folder / f"kubeconfig-{abs(hash((token, namespace)))}"
        ca = {"server": self.url, "certificate-authority": str(self.folder / "ca.crt")}
        context = {"cluster": "test", "user": "test", "namespace": namespace}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": ca}],
                    "users": [{"name": "test", "user": {"token": token}}],
                    "contexts": [{"name": "test", "context": context}],
                }
            )
        )
        return path

    def kubectl(self, *words: str, given: Any = None, token: str = "", fails: bool = False) -> str:
        """What kubectl prints; objects in `given` go to its standard input.

        Raises:
            AssertionError: it failed though it should not (or the other way round).
        """
        command = [str(modules.kubernetes("kubectl")), "--kubeconfig", str(self.kubeconfig(token))]
        items = given if isinstance(given, list) else [given]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        done = subprocess.run(
            [*command, "--request-timeout=60s", *words],
            input=text if given is not None else "", capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        if fails:
            assert done.returncode, f"kubectl {words} should have been refused: {done.stdout}"
            return done.stderr
        assert not done.returncode, f"kubectl {words}: {done.stderr}\n{done.stdout}"
        return done.stdout

    def get(self, namespace: str, kind: str, name: str = "", **labels: str) -> Any:
        """An object, a list of objects without a name, None where there is none."""
        words = ["get", kind, *([name] if name else []), "-n", namespace, "-o", "json"]
        words += ["--ignore-not-found"] if name else []
        words += ["-l", ",".join(f"{key}={value}" for key, value in labels.items())]
        text = self.kubectl(*words)
        found = json.loads(text) if text.strip() else None
        return found["items"] if found and not name else found

    def apply(self, *objects: Object, namespace: str = "default") -> str:
        """Server-side apply, as somebody who installs a thing does."""
        words = ["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"]
        return self.kubectl(*words, given=list(objects))

    def patch_status(self, namespace: str, kind: str, name: str, status: Object) -> None:
        """Write a status in the place of the operator whose it is."""
        words = ["patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge"]
        self.kubectl(*words, "-p", json.dumps({"status": status}))

    def namespace(self, *, restricted: bool = True) -> str:
        """A new namespace that no other test uses; its pods must be *restricted*."""
        name = f"t{secrets.token_hex(5)}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
        meta = {"name": name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        return name

    def token(self, namespace: str, account: str) -> str:
        """A token of a service account, so that its rights are the ones in force."""
        return self.kubectl("create", "token", account, "-n", namespace).strip()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first true answer of `condition`."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {seconds:g} s in vain for: {what}"
        time.sleep(0.1)
    return found


@cache
def control_plane(address: str = _LOOPBACK) -> ControlPlane:
    """The control plane of this test run at an address; built once (about five minutes)."""
    return new_control_plane(address)


def new_control_plane(address: str = _LOOPBACK) -> ControlPlane:
    """A control plane of its own, for who changes what belongs to the whole cluster.

    Away from loopback its port is 6443, and pods find it by the service `kubernetes`.
    """
    folder = servers.new_folder("kubernetes")
    certificates.write(folder, address, _SERVICES.replace(".0.0/16", ".0.1"))
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    etcd = _etcd(folder)
    port = servers.free_port() if address == _LOOPBACK else 6443

    def start_api() -> servers.Server:
        return _api_server(folder, address, port, etcd.port)

    plane = ControlPlane(folder, f"https://{address}:{port}", token, start_api(), start_api)
    _controllers(plane)
    return plane


def _etcd(folder: Path) -> servers.Server:
    port, peers = servers.free_port(), servers.free_port()
    own = folder / "etcd"
    own.mkdir()
    urls = {
        "listen-client-urls": f"http://127.0.0.1:{port}",
        "advertise-client-urls": f"http://127.0.0.1:{port}",
        "listen-peer-urls": f"http://127.0.0.1:{peers}",
        "initial-advertise-peer-urls": f"http://127.0.0.1:{peers}",
        "initial-cluster": f"default=http://127.0.0.1:{peers}",
        "data-dir": str(own / "data"),
        "log-level": "warn",
    }
    words = [f"--{key}={value}" for key, value in urls.items()]

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            return b"true" in connection.getresponse().read()

    # A test's cluster need not survive a power cut.
    command = [modules.etcd(), "--unsafe-no-fsync", *words]
    return servers.started(command, own, port, answers, str)


def _api_server(folder: Path, address: str, port: int, etcd: int) -> servers.Server:
    own = Path(tempfile.mkdtemp(prefix="api-", dir=folder))
    options = {
        "etcd-servers": f"http://127.0.0.1:{etcd}",
        "bind-address": address,
        "advertise-address": address,
        "secure-port": port,
        "tls-cert-file": folder / "server.crt",
        "tls-private-key-file": folder / "server.key",
        "client-ca-file": folder / "ca.crt",
        "requestheader-client-ca-file": folder / "ca.crt",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "token-auth-file": folder / "tokens.csv",
        "authorization-mode": "Node,RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": folder / "accounts.pub",
        "service-account-signing-key-file": folder / "accounts.key",
        "service-cluster-ip-range": _SERVICES,
        "endpoint-reconciler-type": "none" if address == _LOOPBACK else "lease",
        # Webhooks are asked at the endpoints of their Service; nothing here routes its address.
        "enable-aggregator-routing": "true" if address == _LOOPBACK else "false",
        "kubelet-client-certificate": folder / "kubelet-client.crt",
        "kubelet-client-key": folder / "kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP",
        "v": 1,
    }
    words = [f"--{key}={value}" for key, value in options.items()]

    def answers() -> bool:
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        connection = http.client.HTTPSConnection(address, port, timeout=2, context=context)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200

    command = [modules.kubernetes("kube-apiserver"), *words]
    return servers.started(command, own, port, answers, str)


def _controllers(plane: ControlPlane) -> servers.Server:
    own = plane.folder / "controllers"
    own.mkdir()
    port = servers.free_port()
    options = {
        "kubeconfig": plane.kubeconfig(),
        "service-account-private-key-file": plane.folder / "accounts.key",
        "root-ca-file": plane.folder / "ca.crt",
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "kube-api-qps": 300,
        "kube-api-burst": 500,
    }
    words = [f"--{key}={value}" for key, value in options.items()]

    def answers() -> bool:
        # Made by a controller, so it is there when they work.
        return bool(plane.get("default", "serviceaccount", "default"))

    command = [modules.kubernetes("kube-controller-manager"), *words]
    return servers.started(command, own, port, answers, str)


@cache
def scheduler(plane: ControlPlane) -> servers.Server:
    """The real scheduler; without nodes it can only say why nothing runs."""
    own = plane.folder / "scheduler"
    own.mkdir()
    port = servers.free_port()
    options = {
        "kubeconfig": plane.kubeconfig(),
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "secure-port": port,
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    answers = listens(port)
    return servers.started([modules.kubernetes("kube-scheduler"), *words], own, port, answers, str)


@cache
def kuberay() -> servers.Server:
    """KubeRay's operator as a process beside the cluster; it cannot reach Ray inside of pods."""
    plane = control_plane()
    own = plane.folder / "kuberay"
    own.mkdir()
    port = servers.free_port()
    words = [
        "--enable-leader-election=false",
        f"--metrics-addr=127.0.0.1:{servers.free_port()}",
        f"--health-probe-bind-address=127.0.0.1:{port}",
        f"--kubeconfig={plane.kubeconfig()}",
    ]
    return servers.started([modules.kuberay(), *words], own, port, listens(port), str)


@cache
def kueue() -> servers.Server:
    """Kueue as a process beside the cluster; the API server asks its webhooks by their address."""
    plane = control_plane()
    own = plane.folder / "kueue"
    own.mkdir()
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kueue-system"}})
    port, health = servers.free_port(), servers.free_port()
    shown = own / "etc/kueue/metrics/certs"
    shown.mkdir(parents=True)
    for name in ("tls.crt", "tls.key"):
        (shown / name).symlink_to(plane.folder / name.replace("tls", "server"))
    configuration = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta1",
        "kind": "Configuration",
        "namespace": "kueue-system",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(shown)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "clientConnection": {"qps": 300, "burst": 500},
        "integrations": {"frameworks": ["ray.io/rayjob", "ray.io/raycluster"]},
    }
    (own / "config.yaml").write_text(yaml.safe_dump(configuration))
    # It insists on certificates below /etc/kueue; in a mount namespace it gets an /etc of its own.
    words = [f"--config={own / 'config.yaml'}", "--feature-gates=VisibilityOnDemand=false"]
    script = 'mount --bind "$0" /etc && exec "$@"'
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    command = [*alone, "sh", "-c", script, own / "etc", modules.kueue(), *words]
    environment = {"KUBECONFIG": str(plane.kubeconfig())}
    server = servers.started(command, own, port, listens(port), str, environment=environment)
    plane.apply(*_webhooks(plane, port))
    return server


def _webhooks(plane: ControlPlane, port: int) -> list[Object]:
    """Kueue's own webhooks for Ray and its own kinds, by address and not by a Service."""
    file = modules.module("sigs.k8s.io/kueue") / "config/components/webhook/manifests.yaml"
    ca = base64.b64encode((plane.folder / "ca.crt").read_bytes()).decode()
    found = []
    for document in yaml.safe_load_all(file.read_text()):
        kept = [
            hook
            for hook in document["webhooks"]
            if {"ray.io", "kueue.x-k8s.io"} & set(hook["rules"][0]["apiGroups"])
        ]
        for hook in kept:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": ca}
        found.append(document | {"webhooks": kept})
    return found


def listens(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True

    return answers
