"""One real node on this machine: containerd, kubelet, kube-proxy, CoreDNS, KubeRay, Kueue.

It lives in namespaces of its own (network, mounts, processes), which `python -m cluster` makes: it
touches nothing of the machine but its own control group, and ends with the process that made it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import servers
import yaml

from cluster import addons, images, modules, policies
from cluster.control_plane import ControlPlane, control_plane, scheduler, wait_for

#: Set by `python -m cluster` in the namespaces it made: the control group of its pods.
GROUP = "SLIPWAY_TEST_GROUP"
ADDRESS = "10.88.0.1"
_PODS = "10.88.0.0/16"
_BRIDGE = "pods0"
NAME = "node-1"
#: Those that a node needs for itself, in the words of `unshare`.
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def prepare() -> None:
    """Build what a node is made of; outside, because inside there is no way to a registry.

    Raises:
        servers.CannotHave: something could not be had or built.
    """
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"):
        modules.kubernetes(program)
    for program in ("kubelet", "kube-proxy"):
        modules.kubernetes(program)
    modules.etcd()
    modules.helm()
    images.prepare()


@cache
def node() -> ControlPlane:
    """The control plane, with a node that is ready, volumes, DNS, KubeRay and Kueue.

    Raises:
        servers.CannotHave: this process is not in namespaces of its own.
    """
    if GROUP not in os.environ:
        raise servers.CannotHave("a node needs namespaces of its own: make test-cluster")
    _network()
    plane = control_plane(ADDRESS)
    scheduler(plane)
    folder = plane.folder / "node"
    folder.mkdir()
    socket = _containerd(folder)
    _kubelet(plane, folder, socket)
    _proxy(plane, folder)
    wait_for(lambda: _ready(plane), "the node to be ready", 90)
    addons.volumes(plane, folder / "volumes", NAME)
    addons.dns(plane)
    policies.enforce(plane, _BRIDGE)
    addons.operators(plane)
    return plane


def expose(port: int) -> str:
    """Let pods, and this node, reach a server of the loopback interface; its address for them."""
    to = ["-p", "tcp", "--dport", port, "-j"]
    here = ["-d", ADDRESS, *to, "DNAT", "--to-destination", "127.0.0.1"]
    _run("iptables", "-t", "nat", "-A", "PREROUTING", "-i", _BRIDGE, *here)
    _run("iptables", "-t", "nat", "-A", "OUTPUT", *here)
    back = ["-s", _PODS, "-d", "127.0.0.1", *to, "SNAT", "--to-source", "127.0.0.1"]
    _run("iptables", "-t", "nat", "-A", "INPUT", *back)
    return f"{ADDRESS}:{port}"


def resolve(plane: ControlPlane, namespace: str, *services: str) -> None:
    """Let this process, too, find services by the names that pods of their namespace use."""
    lines = Path("/etc/hosts").read_text().splitlines()
    for service in services:
        found = plane.get(namespace, "service", service)
        lines.append(f"{found['spec']['clusterIP']} {service}")
    own = plane.folder / "hosts"
    own.write_text("\n".join([*lines, ""]))
    # Over the machine's file, for the mounts of this namespace alone.
    _run("mount", "--bind", own, "/etc/hosts")


def _ready(plane: ControlPlane) -> bool:
    found = plane.get("default", "node", NAME)
    conditions = found["status"]["conditions"] if found else []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _network() -> None:
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", _BRIDGE, "type", "bridge")
    _run("ip", "address", "add", f"{ADDRESS}/16", "dev", _BRIDGE)
    _run("ip", "link", "set", _BRIDGE, "up")
    # Without a way out of the network, addresses of services would be unreachable, not translated.
    _run("ip", "route", "add", "default", "via", ADDRESS)
    for name in ("ip_forward", f"conf/{_BRIDGE}/route_localnet"):
        Path("/proc/sys/net/ipv4", name).write_text("1")
    # Traffic between pods passes the packet filter, where services and policies are.
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")


def _containerd(folder: Path) -> Path:
    socket = images.socket(folder)
    networks = folder / "networks"
    networks.mkdir()
    pods = {
        "type": "bridge",
        "bridge": _BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(folder / "addresses"),
            "ranges": [[{"subnet": _PODS, "rangeStart": "10.88.1.1", "gateway": ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    configuration = {"cniVersion": "0.4.0", "name": "pods", "plugins": [pods]}
    (networks / "10-pods.conflist").write_text(json.dumps(configuration))
    images.containerd(folder, networks)
    return socket


def _kubelet(plane: ControlPlane, folder: Path, socket: Path) -> None:
    own = folder / "kubelet"
    own.mkdir()
    (own / "resolv.conf").write_text("")
    percent = {"nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"}
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.folder / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{os.environ[GROUP]}",
        "failCgroupV1": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [addons.DNS],
        "resolvConf": str(own / "resolv.conf"),
        "podLogsDir": str(own / "logs"),
        "volumePluginDir": str(own / "plugins"),
        "evictionHard": {"memory.available": "100Mi"} | percent,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failSwapOn": False,
        "serializeImagePulls": False,
        "healthzPort": 10248,
        "nodeStatusUpdateFrequency": "4s",
        # A pod sees what changes in a Secret at its next turn: Kueue waits for its certificates.
        "syncFrequency": "5s",
    }
    (own / "config.yaml").write_text(yaml.safe_dump(configuration))
    words = [
        f"--config={own / 'config.yaml'}",
        f"--kubeconfig={plane.kubeconfig()}",
        f"--root-dir={own / 'root'}",
        f"--cert-dir={own / 'certificates'}",
        f"--node-ip={ADDRESS}",
        f"--hostname-override={NAME}",
    ]
    command = [modules.kubernetes("kubelet"), *words]
    servers.started(command, own, 10248, lambda: True, str)


def _proxy(plane: ControlPlane, folder: Path) -> None:
    own = folder / "proxy"
    own.mkdir()
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": NAME,
        "clusterCIDR": _PODS,
        "clientConnection": {"kubeconfig": str(plane.kubeconfig())},
        "metricsBindAddress": "127.0.0.1:10249",
        # Limits of the whole machine, which are not this network's to set.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    (own / "config.yaml").write_text(yaml.safe_dump(configuration))
    command = [modules.kubernetes("kube-proxy"), f"--config={own / 'config.yaml'}"]
    servers.started(command, own, 10249, lambda: True, str)


def groups(name: str) -> list[Path]:
    """Where a control group of this name is, or would be, in every controller."""
    controllers = Path("/sys/fs/cgroup").iterdir()
    return [each / name for each in controllers if (each / "cgroup.procs").exists()]


def make_group(name: str) -> None:
    """A control group for all pods of a node."""
    for own in groups(name):
        own.mkdir()
        for inherited in ("cpuset.cpus", "cpuset.mems"):
            if (own / inherited).exists():
                (own / inherited).write_text((own.parent / inherited).read_text())


def remove_group(name: str) -> None:
    """Take it away, once nothing runs in it any more."""
    for own in groups(name):
        for path, _, _ in os.walk(own, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def _run(*words: object) -> str:
    if shutil.which(str(words[0])) is None:
        raise servers.CannotHave(f"{words[0]} is missing: apt-get install iproute2 iptables")
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise servers.CannotHave(f"{' '.join(map(str, words))}: {done.stderr}")
    return done.stdout
