"""The node agent's process: one per SLIPWAY_HOME, cleans up before, stops all it started."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from slipway_runtime import places
from slipway_runtime.node import leftovers, ray_head
from slipway_runtime.node.agent import Agent
from slipway_runtime.node.server import Server

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: A stop lets processes end by themselves for so long.
GRACE_SECONDS = 3.0
#: So many logs of past workloads are kept.
LOGS_KEPT = 200
EXIT_RAY_DIED = 70
EXIT_ALREADY_RUNNING = 73


def live() -> int:
    """Run until SIGTERM or until Ray dies; returns the exit status."""
    logging.basicConfig(
        level=os.environ.get("SLIPWAY_LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    os.umask(0o077)
    home = places.home()
    places.run_dir().mkdir(parents=True, exist_ok=True)
    lock = _lock(places.run_dir() / "node.lock")
    if lock is None:
        logger.error("another node agent runs for %s; stop it first", home)
        return EXIT_ALREADY_RUNNING
    with lock:
        _clean_up(home, lock)
        leftovers.mark(home)
        lock.write(f"{os.getpid()} {os.getsid(0)}")
        lock.flush()
        return _serve(home)


def _serve(home: Path) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ray_head.prepare_environment()
    agent = Agent()
    socket_path = places.node_socket()
    with Server(socket_path, agent) as server:
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
        agent.start()
        status = 0
        while not stop.wait(POLL_SECONDS):
            why = agent.broken or (agent.head.dead() if agent.head else "")
            if why:
                logger.error("Ray is gone, and this agent ends with it: %s", why)
                status = EXIT_RAY_DIED
                break
        socket_path.unlink(missing_ok=True)
        server.shutdown()
    ended = leftovers.end(home, session=_own_session(), grace_seconds=GRACE_SECONDS)
    shutil.rmtree(ray_head.ray_dir(), ignore_errors=True)
    logger.info("stopped; ended %d processes", ended)
    # Ray's threads would wait for daemons that are gone.
    sys.stderr.flush()
    os._exit(status)


def _own_session() -> int:
    return os.getpid() if os.getsid(0) == os.getpid() else 0


def _lock(path: Path) -> TextIO | None:
    """The open lock file, ours while it is open; None if another process holds it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _clean_up(home: Path, lock: TextIO) -> None:
    """End what an earlier life left behind, and remove its files."""
    lock.seek(0)
    session = 0
    with suppress(ValueError):
        pid, led = (int(word) for word in lock.read().split())
        # A session id stays taken while the session has members: with its leader gone, whoever
        # is in it was started by that agent.
        if pid == led and not Path(f"/proc/{pid}").exists():
            session = led
    lock.truncate(0)
    if count := leftovers.end(home, session=session, grace_seconds=0.5):
        logger.warning("ended %d processes that an earlier agent left behind", count)
    shutil.rmtree(places.run_dir() / "scratch", ignore_errors=True)
    shutil.rmtree(places.run_dir() / "train", ignore_errors=True)
    for part in places.cache_dir().glob(".*.part"):
        shutil.rmtree(part, ignore_errors=True)
    logs = sorted(places.log_file("x").parent.glob("*.log"), key=lambda p: p.stat().st_mtime)
    for log in logs[:-LOGS_KEPT]:
        log.unlink(missing_ok=True)
