"""The supervisor: starts node, web and worker, restarts what dies, stops all as one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import FrameType

from slipway.cli import home

#: A child that lived this long is healthy again: its next death is restarted at once.
HEALTHY_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 10.0
#: The worker starts without a word from the web process after so long.
WORKER_WAITS_SECONDS = 8.0
#: How long a child may take to stop when asked, before it is killed.
PATIENCE_SECONDS = {"web": 12.0, "worker": 10.0, "node": 15.0}

COMMANDS = {
    "web": ["-m", "slipway.cli.web"],
    "worker": [
        "-m", "celery", "--app=slipway.worker.app", "worker", "--beat", "--pool=threads",
        "--concurrency=12", "--loglevel=WARNING", "--without-gossip", "--without-mingle",
        "--without-heartbeat",
    ],
    "node": ["-m", "slipway_runtime", "node"],
}  # fmt: skip


@dataclass
class Child:
    """One process of the platform and its history."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    next_start_at: float = 0.0
    wait_seconds: float = 0.0
    restarts: int = field(default=0)

    def start(self, environment: dict[str, str]) -> None:
        with home.log_path(self.name).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *COMMANDS[self.name]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, and no other way to be told
            )
        self.started_at = time.monotonic()
        say(f"{self.name} started (pid {self.process.pid})")

    def died(self) -> int | None:
        return self.process.poll() if self.process else None

    def plan_restart(self, code: int) -> None:
        now = time.monotonic()
        lived = now - self.started_at
        longer = min(LONGEST_WAIT_SECONDS, max(0.2, self.wait_seconds * 2))
        self.wait_seconds = 0.2 if lived > HEALTHY_SECONDS else longer
        self.next_start_at = now + self.wait_seconds
        self.restarts += 1
        self._end_group()
        self.process = None
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        say(f"{self.name} died ({how}) after {lived:.0f} s; again in {self.wait_seconds:.1f} s")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_SECONDS[self.name])
        self._end_group()
        self.process.wait()
        self.process = None

    def _end_group(self) -> None:
        """What a child left behind in its process group goes with it."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%S"), text, flush=True)


def supervise(*, port: int) -> int:
    """Run the platform until told to stop; returns the exit status.

    Exit status 3: another supervisor runs this home already.
    """
    # What is kept here is this user's alone: password hashes, rows, weights, logs.
    os.umask(0o077)
    home.home().mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = home.claim()
    if lock is None:
        say("another supervisor already runs this home")
        return 3
    url = f"http://127.0.0.1:{port}"
    home.write_running(home.Running(pid=os.getpid(), port=port, url=url, started_at=time.time()))
    environment = os.environ | {
        "SLIPWAY_HOME": str(home.home()),
        "SLIPWAY_RUN_DIR": str(home.run_dir()),
        "PORT": str(port),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "slipway.settings"),
        "PYTHONUNBUFFERED": "1",
        # Threads come from processes here; each process computes on as many as it asks for.
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Web and node are what people wait for, and have the cores to themselves at first; the
    # worker needs a database that is migrated, and is soon there.
    children = [Child("web"), Child("node"), Child("worker")]
    children[2].next_start_at = time.monotonic() + WORKER_WAITS_SECONDS
    ready = home.run_dir() / "web-ready"
    ready.unlink(missing_ok=True)
    while not stopping:
        now = time.monotonic()
        for child in children:
            if child.process is None:
                early = child.restarts == 0 and ready.exists()
                if now >= child.next_start_at or early:
                    child.start(environment)
            elif (code := child.died()) is not None:
                child.plan_restart(code)
        time.sleep(0.1)
    for child in children:
        say(f"stopping {child.name}")
        child.stop()
    (home.run_dir() / "platform.json").unlink(missing_ok=True)
    say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(supervise(port=int(os.environ.get("PORT", "8000"))))
