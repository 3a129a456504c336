"""Run a command beside a cluster: builds what it needs, then makes namespaces that end with it.

PYTHONPATH=tests python -m cluster COMMAND…
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import NoReturn

import servers

from cluster import images, node


def main() -> None:
    """Run the command in a network, mounts and processes of its own; its status is ours."""
    # Also where whoever started us ignores interrupts: what was made is taken away.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _end)
    if os.geteuid() != 0:
        sys.exit("a cluster with a node needs root: sudo make test-cluster")
    try:
        with images.store():
            node.prepare()
            # Here, because inside there is no way to a registry.
            servers.minio().stop()
            group = f"slipway-test-{os.getpid()}"
            node.make_group(group)
            try:
                inside = os.environ | {node.GROUP: group}
                done = subprocess.run(["unshare", *node.NAMESPACES, *sys.argv[1:]], env=inside)
            finally:
                node.remove_group(group)
    except servers.CannotHave as reason:
        sys.exit(str(reason))
    sys.exit(done.returncode)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


main()
