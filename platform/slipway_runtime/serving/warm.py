"""A door to the warm parent: engines are forked from it, in a tenth of a second and mostly shared.

The node's zygote has imported torch and transformers anyway, to fork training runs. Through this
door a replica asks it for an engine as well: it connects, passes three file descriptors (the
engine's standard input, output and error), and is told the process id. Such an engine lives on
its replica's lifeline alone; the end of the zygote is no end for it.
"""

from __future__ import annotations

import json
import logging
import os
import pathlib
import signal
import socket
import sys
import traceback

log = logging.getLogger(__name__)


def door_path(run_dir: pathlib.Path) -> pathlib.Path:
    return run_dir / "zygote.sock"


def preload() -> None:
    """Import what an engine needs; with a common architecture, for classes are loaded lazily."""

    from slipway_runtime.serving import loading, server  # noqa: F401


class Door:
    """The zygote's side: give it to a selector, `answer` when readable, `reap` on SIGCHLD.

    It listens from the start, so that who comes while the zygote still warms up is served then.
    """

    def __init__(self, path: pathlib.Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        except OSError:
            # A path too long, most likely. Training goes on, and engines are started without us:
            # an address nobody knows keeps the door shut.
            log.exception("no engines can be forked here: %s", path)
            self._listener.bind("")
        finally:
            os.umask(mask)
        self._listener.listen(64)
        self._children: set[int] = set()

    def fileno(self) -> int:
        return self._listener.fileno()

    def answer(self) -> None:
        """Fork one engine for whoever is at the door; in the child this never returns."""
        caller, _ = self._listener.accept()
        with caller:
            caller.settimeout(5)
            try:
                _, descriptors, _, _ = socket.recv_fds(caller, 1, 3)
                if len(descriptors) != 3:
                    return
                pid = os.fork()
                if pid == 0:
                    _become_engine(descriptors)
                self._children.add(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
                caller.sendall(json.dumps({"pid": pid}).encode())
            except OSError:
                # The caller sees the closed connection and starts a process of its own.
                log.exception("no engine was forked")

    def reap(self) -> None:
        """Collect engines that ended; who wants to know watches them, not us."""
        for pid in list(self._children):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._children.discard(pid)


def _become_engine(descriptors: list[int]) -> None:
    status = 70
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for target, source in enumerate(descriptors):
            os.dup2(source, target)
        os.closerange(3, 4096)
        sys.stdin = os.fdopen(0, "r", closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        from slipway_runtime.serving import __main__ as engine

        status = engine.main()
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
        traceback.print_exc()
    finally:
        logging.shutdown()
        os._exit(status)
