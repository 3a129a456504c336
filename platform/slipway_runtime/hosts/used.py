"""What a run uses of its machine: processor, memory, and the accelerator's memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

#: Read so often at most; a run of quick steps is not measured at each of them.
PAUSE_SECONDS = 2.0
_STATM = Path("/proc/self/statm")


class Meter:
    """Measures this process, and its children's processor time once they have ended."""

    def __init__(self) -> None:
        self._at, self._cpu = time.monotonic(), _cpu_seconds()

    def read(self) -> dict[str, float]:
        """`cpu_cores` (mean since the last reading), `memory_bytes` (resident), and where there is
        an accelerator `gpu_memory_bytes` (held by its allocator); {} shortly after a reading."""
        now, cpu = time.monotonic(), _cpu_seconds()
        if now - self._at < PAUSE_SECONDS:
            return {}
        found = {"cpu_cores": (cpu - self._cpu) / (now - self._at), "memory_bytes": _resident()}
        self._at, self._cpu = now, cpu
        # Who has not brought torch in uses no accelerator through it.
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            devices = range(torch.cuda.device_count())
            found["gpu_memory_bytes"] = float(sum(map(torch.cuda.memory_reserved, devices)))
        return found


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _resident() -> float:
    """Bytes in memory now; where the system does not tell, the most there ever were."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return float(pages * resource.getpagesize())
