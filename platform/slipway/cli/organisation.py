"""`slipway organisation`: take everything of an organisation away, and check it offline."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from slipway.cli import follow, transfer
from slipway.cli.client import Client, Problem

_CHUNK = 1024 * 1024
FORMAT = "slipway-organisation-1"


@click.group()
def organisation() -> None:
    """Take away everything that belongs to your organisation."""


@organisation.command()
@click.argument("target", type=click.Path(path_type=Path))
def export(target: Path) -> None:
    """Pack everything of the organisation and write it to TARGET, a tar file."""
    client = Client()
    made = client.post("organisation/takeouts")
    made = follow.until(
        client, f"organisation/takeouts/{made['id']}", lambda row: row["phase"] != "making"
    )
    if made["phase"] != "ready":
        raise Problem(f"It could not be packed: {made['reason']}")
    transfer.fetch(client, made["download_url"], target)
    with target.open("rb") as stream:
        if _sha256(stream) != made["sha256"]:
            raise Problem(f"{target} is not what was packed; fetch it again.")
    click.echo(f"{made['file_count']} files, {made['size_bytes']} bytes; check them at any time "
               f"with `slipway organisation verify {target}`")  # fmt: skip


@organisation.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Check offline that FILE is whole: every file in it is what its manifest says."""
    try:
        with tarfile.open(file, "r|") as archive:
            found, manifest = _hashes(archive)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise Problem(f"{file} is no archive of an organisation: {error}") from error
    faults = list(_faults(found, manifest))
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        sys.exit(1)
    rows = sum(manifest["rows"].values())
    click.echo(f"{len(found)} files with {rows} rows are whole")


def _hashes(archive: tarfile.TarFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """Size and hash of each file, and the manifest; ValueError where there is none of ours."""
    found: dict[str, Any] = {}
    manifest: dict[str, Any] = {}
    for member in archive:
        stream = archive.extractfile(member)
        if stream is None:
            raise ValueError(f"{member.name} is not a plain file")
        if member.name == "manifest.json":
            manifest = json.load(stream)
        elif member.name in found:
            raise ValueError(f"{member.name} is in there twice")
        else:
            found[member.name] = {"size_bytes": member.size, "sha256": _sha256(stream)}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError("it has no manifest.json of one")
    return found, manifest


def _sha256(stream: BinaryIO | Any) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    return digest.hexdigest()


def _faults(found: dict[str, Any], manifest: dict[str, Any]) -> Iterator[str]:
    said = manifest["files"]
    yield from (f"{name}: missing" for name in sorted(said.keys() - found.keys()))
    yield from (f"{name}: not in the manifest" for name in sorted(found.keys() - said.keys()))
    for name in sorted(said.keys() & found.keys()):
        if said[name] != found[name]:
            yield f"{name}: not what the manifest says"
