"""What a run prints goes to the workload's log."""

from __future__ import annotations

import os
import sys

from slipway_runtime import places


def print_to_log(workload: str) -> None:
    """Append standard output and error of this process to the log; standard input is empty."""
    log = places.log_file(workload)
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (handle, 1), (handle, 2)):
        os.dup2(source, target)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
