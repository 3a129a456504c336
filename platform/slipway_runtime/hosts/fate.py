"""Ties a process's life to its parent's."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_NAME = 15
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def be_called(name: str) -> None:
    """The name that `ps` and `top` show of this process, cut to 15 bytes."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15])


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started us ends; `parent` is the process id expected.

    Call it in the child. A parent that died before the call is noticed too.
    """
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
