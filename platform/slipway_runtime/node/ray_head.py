"""Starts a small Ray on this machine: loopback only, and only the processes that are needed.

Of Ray's daemons the dashboard, the log monitor, the autoscaler's monitor and the dashboard agent
serve clusters and people who look at Ray itself; without them Ray starts in a third of the CPU
time and takes 300 MB less. Ray has no public switch for this, so the class that starts them is
extended here; this file is the only one that touches Ray's private modules.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from slipway_runtime import places

#: Ray's object store carries references and small results here, never weights or rows.
OBJECT_STORE_BYTES = 80 * 1024 * 1024
#: Our own queue decides what runs; Ray's count of CPUs must only never be what a run waits for.
LOGICAL_CPUS = 64
#: The longest path that fits a Unix socket address, and what Ray puts below its directory.
SOCKET_PATH_BYTES = 107
RAY_SOCKET_BELOW = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")


class Head:
    """A running Ray head; its daemons die with the thread that started it."""

    def __init__(self, daemons: list[subprocess.Popen[bytes]]) -> None:
        self._daemons = daemons

    def dead(self) -> str:
        """What has died, empty while all is well."""
        for process in self._daemons:
            if process.poll() is not None:
                command: Any = process.args
                name = Path(command[0]).name
                return f"{name} ended with status {process.returncode}"
        return ""


def ray_dir() -> Path:
    """Ray's directory below SLIPWAY_HOME, or a private one in /tmp where the path is too long."""
    wanted = places.run_dir() / "ray"
    if len(os.fsencode(wanted)) + RAY_SOCKET_BELOW <= SOCKET_PATH_BYTES:
        return wanted
    short = hashlib.sha256(os.fsencode(places.home())).hexdigest()[:12]
    return Path("/tmp") / f"slipway-{os.getuid()}-{short}"  # noqa: S108 - checked on use


def prepare_environment() -> None:
    """What Ray and torch read from the environment, for this process and all it starts."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray runs what it is told on its ports: only who knows this life's token may tell it.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Ray's own switch for a Ray that is never part of a cluster: loopback only.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # The warmed host is one for all runs: it must see the GPUs though it reserves none.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # Ray would take SIGTERM away from us and end this process on the spot.
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        # Threads that wait by spinning steal the cores from those they wait for as soon as
        # anything else runs here: steps took 14 times as long on two busy cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        "RAY_enable_open_telemetry": "0",
    }


def start() -> Head:
    """Start Ray and become its driver. Call it in a thread that lives as long as Ray shall."""
    directory = _fresh(ray_dir())
    import ray
    import ray._private.node
    import ray._private.services

    class SmallNode(ray._private.node.Node):
        def start_api_server(self, **_: Any) -> None: ...
        def start_monitor(self) -> None: ...
        def start_log_monitor(self) -> None: ...

    daemons: list[subprocess.Popen[bytes]] = []
    start_process = ray._private.services.start_ray_process

    def start_small(command: list[str], *args: Any, **kwargs: Any) -> Any:
        info = start_process([_smaller(part) for part in command], *args, **kwargs)
        daemons.append(info.process)
        return info

    node: Any = ray._private.node
    services: Any = ray._private.services
    kept = node.Node, services.start_ray_process
    node.Node, services.start_ray_process = SmallNode, start_small
    try:
        ray.init(
            include_dashboard=False,
            num_cpus=LOGICAL_CPUS,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            configure_logging=False,
            namespace="slipway",
            _node_ip_address="127.0.0.1",
            _temp_dir=str(directory),
        )
    finally:
        node.Node, services.start_ray_process = kept
    return Head(daemons)


def _smaller(part: str) -> str:
    """One argument of a daemon's command line, with what we can do without left out."""
    if part.startswith("--num_prestart_python_workers="):
        return "--num_prestart_python_workers=0"
    if part.startswith("--maximum_startup_concurrency="):
        return f"--maximum_startup_concurrency={max(2, os.cpu_count() or 1)}"
    if part.startswith("--dashboard_agent_command="):
        command = [sys.executable, "-S", "-E", str(Path(__file__).with_name("no_agent.py"))]
        session = next(p for p in part.split() if p.startswith("--session-dir="))
        return "--dashboard_agent_command=" + subprocess.list2cmdline(
            [*command, session.removeprefix("--session-dir=")]
        )
    return part


def _fresh(directory: Path) -> Path:
    """An empty directory that only we can enter; leftovers of an earlier life are removed."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    owner = directory.lstat()
    if directory.is_symlink() or owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise PermissionError(f"{directory} belongs to someone else; remove it and start again")
    return directory
