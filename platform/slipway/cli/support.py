"""`slipway support bundle`: what whoever helps needs to see, without secrets or anybody's data."""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import click

from slipway.cli import doctor, home, secrets_out

#: Of each log, its end.
_LOG_BYTES = 2 * 1024**2


@click.group()
def support() -> None:
    """Gather what helps to find a fault."""


@support.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def bundle(file: Path) -> None:
    """Write findings, versions, settings and ends of logs to FILE (.tar.gz).

    Secrets are taken out; no rows, prompts, models or names of the database are in it.
    """
    secrets = secrets_out.known(home.home(), secrets_out.environment())
    with tarfile.open(file, "w:gz") as archive:
        for name, text in _parts():
            data = secrets_out.clean(text, secrets).encode()
            entry = tarfile.TarInfo(f"slipway-support/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    file.chmod(0o600)
    click.echo(f"saved {file}; look through it before you send it: tar xzf {file}")


def _parts() -> Iterator[tuple[str, str]]:
    found = [asdict(finding) for finding in doctor.findings()]
    yield "doctor.json", json.dumps(found, indent=2)
    yield "settings.json", json.dumps(secrets_out.environment(), indent=2, sort_keys=True)
    versions = sorted(f"{each.name}=={each.version}" for each in metadata.distributions())
    machine = f"{platform.platform()} {platform.machine()} Python {platform.python_version()}"
    yield "versions.txt", "\n".join([machine, *versions])
    yield "files.txt", "\n".join(_sizes())
    for path in sorted((home.home() / "logs").glob("*.log")):
        yield f"logs/{path.name}", _end(path)


def _sizes() -> Iterator[str]:
    """Bytes of what stands at the top of the home; names further down are people's own."""
    for path in sorted(home.home().iterdir()):
        inside = (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        sizes = [each.stat().st_size for each in inside]
        yield f"{sum(sizes):>16} {len(sizes):>8} {path.name}"


def _end(path: Path) -> str:
    with path.open("rb") as log:
        size = path.stat().st_size
        log.seek(max(0, size - _LOG_BYTES))
        data = log.read()
    # The first line of an end may be cut, and what is cut is not recognised as a secret.
    return (data if size <= _LOG_BYTES else data.partition(b"\n")[2]).decode(errors="replace")
