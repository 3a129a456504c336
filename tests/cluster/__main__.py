"""Run a command beside a cluster: builds what it needs, then makes namespaces that end with it.

PYTHONPATH=tests python -m cluster COMMAND…
"""

from __future__ import annotations

import os
import subprocess
import sys

import servers

from cluster import images, modules, node


def main() -> None:
    """Run the command in a network, mounts and processes of its own; its status is ours."""
    if os.geteuid() != 0:
        sys.exit("a cluster with a node needs root: sudo make test-cluster")
    try:
        for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"):
            modules.kubernetes(program)
        for program in ("kubelet", "kube-proxy"):
            modules.kubernetes(program)
        modules.etcd()
        modules.helm()
        # Here, because inside there is no way to a registry.
        for server in (servers.postgres, servers.redis, servers.minio):
            server().stop()
        images.prepare()
    except servers.CannotHave as reason:
        sys.exit(str(reason))
    namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    group = f"slipway-test-{os.getpid()}"
    node.make_group(group)
    try:
        inside = os.environ | {node.GROUP: group}
        done = subprocess.run(["unshare", *namespaces, *sys.argv[1:]], env=inside)
    finally:
        node.remove_group(group)
    sys.exit(done.returncode)


main()
