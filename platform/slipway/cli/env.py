"""The file of exports that a shell sources: addresses and credentials of this installation."""

from __future__ import annotations

import os
from pathlib import Path


def read_env(path: Path) -> dict[str, str]:
    """`export NAME=value` lines to a dictionary; empty if there is no such file."""
    if not path.exists():
        return {}
    pairs = (line.removeprefix("export ").partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in pairs if value}


def write_env(path: Path, values: dict[str, str]) -> None:
    """Write it (mode 600); it is never seen half-written."""
    text = "".join(f"export {name}={value}\n" for name, value in values.items())
    fresh = path.with_suffix(f".{os.getpid()}")
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    fresh.rename(path)
