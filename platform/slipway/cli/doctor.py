"""`slipway doctor`: look at everything a platform stands on, and say how to mend what is broken."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from slipway.cli import home, lifecycle
from slipway.cli.output import console

DISK_NEEDED = 2 * 1024**3
MEMORY_NEEDED = 3 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, what was seen, and what to do if not."""

    what: str
    well: bool
    seen: str
    fix: str = ""


def findings() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")
    place = home.home()
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    yield Finding(
        "disk", free >= DISK_NEEDED, f"{free / 1e9:.1f} GB free at {place}",
        "free some space, or set SLIPWAY_HOME to a larger disk",
    )  # fmt: skip
    memory = _memory_available()
    yield Finding(
        "memory", memory >= MEMORY_NEEDED, f"{memory / 1e9:.1f} GB available",
        "close other programs; training and serving share what is there",
    )  # fmt: skip
    secret = place / "demo.env"
    if secret.exists():
        mode = secret.stat().st_mode & 0o777
        yield Finding("credentials", mode == 0o600, f"{secret} has mode {mode:o}", "chmod 600 it")
    running = home.running()
    port = lifecycle.wanted_port(None)
    if running is None:
        yield Finding("platform", False, "not running", "slipway up --detach")
        yield Finding(
            "port", lifecycle.free_port(port), f"{port} on 127.0.0.1",
            f"another program holds it; choose another: PORT={port + 1}",
        )  # fmt: skip
        return
    said = lifecycle.health(running.url)
    yield Finding(
        "platform", said is not None, f"supervisor pid {running.pid} at {running.url}",
        f"read {home.log_path('web')}",
    )  # fmt: skip
    if said is not None:
        for part in ("database", "compute"):
            state = said[part]
            yield Finding(
                part, state["ready"], state["reason"] or "ready",
                f"wait if it is warming up; else read {home.log_path('node')}",
            )  # fmt: skip


def _memory_available() -> int:
    with open("/proc/meminfo") as file:  # noqa: PTH123 - a kernel table, not a file of ours
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


@click.command()
@click.option("--json", "as_json", is_flag=True)
def doctor(as_json: bool) -> None:
    """Look at everything the platform stands on; exit status 1 if something needs mending."""
    found = list(findings())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            mark = "[green]ok [/green]" if finding.well else "[red]BAD[/red]"
            console.print(f"{mark} {finding.what}: {finding.seen}")
            if not finding.well:
                console.print(f"      → {finding.fix}")
    sys.exit(0 if all(finding.well for finding in found) else 1)
