"""Paths and names that strangers chose: where they lead, and how to show them."""

from __future__ import annotations

import contextlib
from pathlib import Path


def real(path: str) -> Path | None:
    """Where an absolute path leads; None if it is not absolute or nothing can have such a name."""
    if not path.startswith("/"):
        return None
    try:
        path.encode()
        resolved = Path(path).resolve()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            resolved.lstat()
    except (OSError, RuntimeError, ValueError):  # too long; links in a circle; not to be encoded
        return None
    return resolved


def printable(text: str) -> str:
    """The text without what no row and no answer can hold: lone surrogates, zero bytes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
