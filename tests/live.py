"""A real platform for tests: own home, own port, every process of it gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from slipway.cli.env import read_env

ROOT = Path(__file__).parent.parent
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Live:
    """A running platform and how to reach it."""

    home: Path
    port: int
    url: str
    key: str
    environment: dict[str, str]

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.url}/api/v1/{path}",
            headers={"authorization": f"Bearer {self.key}"} | options.pop("headers", {}),
            timeout=options.pop("timeout", 30),
            **options,
        )

    def slipway(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the command line against this platform."""
        return subprocess.run(
            [sys.executable, "-m", "slipway.cli", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def processes(self) -> dict[int, str]:
        """Every live process of this home, pid to command line, found by its environment."""
        marker = f"SLIPWAY_HOME={self.home}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                command += f" [{(entry / 'comm').read_text().strip()}]" if command else ""
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if marker in environment and command:
                found[int(entry.name)] = command
        return found

    def kill(self, words: str) -> list[int]:
        """SIGKILL every process whose command line holds `words`; returns their pids."""
        pids = [pid for pid, command in self.processes().items() if words in command]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return pids


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float) -> T:
    """The first truthy thing `look` returns; AssertionError naming `what` if none comes."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := look():
                return found
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.1)


def environment_of(home: Path, port: int, **more: str) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "OPENAI_"))}
    return (
        keep
        | {
            "SLIPWAY_HOME": str(home),
            "PORT": str(port),
            "DJANGO_SETTINGS_MODULE": "slipway.settings",
            "PYTHONPATH": str(ROOT / "platform"),
            "SLIPWAY_IMPORT_PATHS": f"{ROOT}:{home}",
        }
        | more
    )


@contextmanager
def platform(home: Path, **more: str) -> Iterator[Live]:
    """Start it, wait until it answers and compute is warm, stop it, and look for orphans."""
    port = free_port()
    environment = environment_of(home, port, **more)
    command = [sys.executable, "-m", "slipway.cli"]
    up = subprocess.run(
        [*command, "up", "--detach"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if up.returncode != 0:
        # What did not answer in time may do so later, when nobody is there to stop it.
        subprocess.run([*command, "down"], env=environment, cwd=ROOT, timeout=120)
        raise AssertionError(up.stdout + up.stderr)
    known = read_env(home / "demo.env")
    live = Live(
        home=home,
        port=port,
        url=known["SLIPWAY_URL"],
        key=known["SLIPWAY_API_KEY"],
        environment=environment,
    )
    try:
        wait_for(
            "compute to be warm",
            lambda: live.call("GET", "health").json()["compute"]["ready"],
            seconds=180,
        )
        yield live
    finally:
        down = subprocess.run(
            [*command, "down"], env=environment, cwd=ROOT, capture_output=True, timeout=120
        )
        deadline = time.monotonic() + 10
        while (left := live.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert down.returncode == 0, down.stderr
    assert not left, f"these outlived the platform: {left}"
