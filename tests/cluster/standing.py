"""A cluster with one node that stays until it is taken down, for work by hand.

PYTHONPATH=tests python -m cluster.standing up | down
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import servers

from cluster import images, modules, node
from cluster.control_plane import wait_for

#: Everything of the cluster that is a file, but for the store of its images.
FOLDER = servers.CACHE / "cluster"
_GROUP = "slipway-cluster"
_START_SECONDS = 600
_ENTER = """#!/bin/sh
# Runs a command, or a shell, in the network, mounts and processes of the cluster.
first=$(cut -d" " -f1 /proc/{outer}/task/{outer}/children 2>/dev/null)
[ "$first" ] || {{ echo "the cluster has ended; its last words are in {folder}/log" >&2; exit 1; }}
[ $# -gt 0 ] || set -- bash
export KUBECONFIG={folder}/kubeconfig PATH={folder}/bin:"$PATH"
exec nsenter --target "$first" --net --mount --pid -- "$@"
"""


def up() -> None:
    """Boot it and say how to enter it.

    Raises:
        servers.CannotHave: one stands already, this is not root, or it did not come up.
    """
    if os.geteuid() != 0:
        raise servers.CannotHave("a cluster with a node needs root: sudo make cluster")
    with images.store() as lock:
        # No other cluster has the store, so what lies here is of one that was killed.
        _remove()
        node.prepare()
        (FOLDER / "tmp").mkdir(parents=True)
        (FOLDER / "bin").mkdir()
        for name, program in (("kubectl", modules.kubernetes("kubectl")), ("helm", modules.helm())):
            (FOLDER / "bin" / name).symlink_to(program)
        node.make_group(_GROUP)
        # The shell is the first of the processes, and buries those that lost their parents.
        inside = ["sh", "-c", '"$@" & wait', "sh", sys.executable, "-m", "cluster.standing", "hold"]
        with (FOLDER / "log").open("wb") as log:
            outer = subprocess.Popen(
                ["unshare", *node.NAMESPACES, *inside], pass_fds=[lock], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {node.GROUP: _GROUP, "TMPDIR": str(FOLDER / "tmp")},
            )  # fmt: skip
        (FOLDER / "pid").write_text(str(outer.pid))
        enter = FOLDER / "enter"
        enter.write_text(_ENTER.format(outer=outer.pid, folder=shlex.quote(str(FOLDER))))
        enter.chmod(0o755)
        try:
            _came_up(outer)
        except BaseException:
            _end()
            outer.wait()
            _remove()
            raise
    print(f"The cluster stands. {enter} kubectl get pods -A; {enter} alone is a shell in it.")


def down() -> None:
    """End it and remove what it leaves; harmless where none stands."""
    _end()
    _remove()


def hold() -> None:
    """Be the cluster, until killed."""
    plane = node.node()
    # Whole at once, because its being there says that all is ready.
    new = FOLDER / "kubeconfig.new"
    shutil.copyfile(plane.kubeconfig(), new)
    new.chmod(0o600)
    new.replace(FOLDER / "kubeconfig")
    signal.pause()


def _came_up(outer: subprocess.Popen[bytes]) -> None:
    def ready() -> bool:
        if outer.poll() is not None:
            said = (FOLDER / "log").read_text(errors="replace")[-3000:]
            raise servers.CannotHave(f"the cluster did not come up:\n{said}")
        return (FOLDER / "kubeconfig").exists()

    wait_for(ready, "the cluster to come up", _START_SECONDS)


def _outer() -> Path | None:
    """The process that made the namespaces, if it lives."""
    with contextlib.suppress(OSError):
        process = Path("/proc", (FOLDER / "pid").read_text())
        # Numbers of processes are used again.
        if b"cluster.standing\0hold" in (process / "cmdline").read_bytes():
            return process
    return None


def _end() -> None:
    """With the first process of its namespace every other one ends."""
    outer = _outer()
    if outer is None:
        return
    inside = (outer / "task" / outer.name / "children").read_text().split()
    os.kill(int(*inside or [outer.name]), signal.SIGKILL)
    wait_for(lambda: _outer() is None, "the processes of the cluster to end")


def _remove() -> None:
    node.remove_group(_GROUP)
    shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    try:
        {"up": up, "down": down, "hold": hold}[sys.argv[1]]()
    except servers.CannotHave as reason:
        sys.exit(str(reason))
