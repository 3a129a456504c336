"""What identifies this machine: a few parts, each only as a hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SYS = Path("/sys/class")


def parts() -> dict[str, str]:
    """Name of each part that this machine shows to the hash of its identity."""
    found = {
        "machine": _read(Path("/etc/machine-id")),
        "board": _read(_SYS / "dmi/id/product_uuid") or _read(_SYS / "dmi/id/board_serial"),
        "processor": _processor(),
        "network": _network(),
        "disk": _disk(),
    }
    return {
        name: hashlib.sha256(f"slipway {name} {value}".encode()).hexdigest()
        for name, value in found.items()
        if value
    }


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else ""


def _network() -> str:
    """Hardware addresses of cards that are hardware, in order."""
    cards = sorted((_SYS / "net").glob("*/device/../address")) if (_SYS / "net").exists() else []
    return " ".join(sorted({_read(card) for card in cards} - {""}))


def _disk() -> str:
    disks = sorted(Path("/sys/block").glob("*/device/serial"))
    return " ".join(filter(None, (_read(disk) for disk in disks)))
