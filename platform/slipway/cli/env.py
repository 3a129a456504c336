"""The file of exports that a shell sources: addresses and credentials of this installation."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def read_env(path: Path) -> dict[str, str]:
    """`export NAME=value` lines to a dictionary; empty if there is no such file."""
    if not path.exists():
        return {}
    lines = (line for line in path.read_text().splitlines() if line.startswith("export "))
    pairs = (line.removeprefix("export ").partition("=") for line in lines)
    return {name: value for name, _, value in pairs if value}


def write_env(path: Path, values: dict[str, str]) -> None:
    """Write it (mode 600), never seen half-written; a shell that sources it finds `slipway`."""
    text = "".join(f"export {name}={value}\n" for name, value in values.items())
    programs = Path(sys.executable).parent
    text += f'case ":$PATH:" in *":{programs}:"*) ;; *) PATH="{programs}:$PATH" ;; esac\n'
    fresh = path.with_suffix(f".{os.getpid()}")
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    fresh.rename(path)
