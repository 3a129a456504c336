"""`slipway audit`: search the record of changes, save it, and prove offline that it is whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from slipway.audit.rules import chain
from slipway.cli.client import Client, Problem
from slipway.cli.output import show

COLUMNS = "number at actor action object outcome"


@click.group()
def audit() -> None:
    """Read and verify the record of changes."""


@audit.command("list")
@click.option("--actor")
@click.option("--action", help="Or a part of it, such as DELETE or keys.")
@click.option("--object", "subject", help="Id of what was changed, or a part of it.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def list_entries(
    actor: str | None, action: str | None, subject: str | None, limit: int, as_json: bool
) -> None:
    """List changes in this project, newest first."""
    rows = Client().get("audit", actor=actor, action=action, object=subject, limit=limit)["data"]
    show(rows, as_json=as_json, columns=COLUMNS)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
def export(file: Path) -> None:
    """Save the whole log of the installation, sealed, to FILE."""
    file.write_text(Client().text("audit/export"))
    click.echo(f"saved; check it with `slipway audit verify {file}`")


@audit.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--public-key", default="", help="Hex; the one kept apart. Else the file's own.")
def verify(file: Path, public_key: str) -> None:
    """Prove offline that an exported log is whole: no platform is asked."""
    lines, seals, own = _read(file)
    key = _key(public_key or own)
    faults = list(chain.verify(lines, seals, key))
    last = seals[-1] if seals else None
    if lines and (last is None or last.number < lines[-1].number):
        faults.append(
            chain.Fault(number=lines[-1].number, rule="no signed digest covers the end of the log")
        )
    for fault in faults:
        click.echo(f"entry {fault.number}: {fault.rule}", err=True)
    if faults:
        click.echo(f"{len(faults)} fault(s) in {file}", err=True)
        sys.exit(1)
    by = "the key given" if public_key else "the key in the file; give yours with --public-key"
    click.echo(f"{len(lines)} entries and {len(seals)} digests are whole, signed by {by}")


def _read(file: Path) -> tuple[list[chain.Line], list[chain.Seal], str]:
    lines: list[chain.Line] = []
    seals: list[chain.Seal] = []
    own = ""
    for number, text in enumerate(file.read_text().splitlines(), 1):
        try:
            row: dict[str, Any] = json.loads(text)
            if "format" in row:
                own = row["public_key"]
            elif "seal" in row:
                seals.append(
                    chain.Seal(number=row["seal"], hash=row["hash"], at=row["at"],
                               signature=row["signature"])
                )  # fmt: skip
            else:
                lines.append(chain.Line(**row))
        except (ValueError, TypeError, KeyError) as error:
            click.echo(f"{file}, line {number}: not a line of an audit log ({error})", err=True)
            sys.exit(1)
    return lines, seals, own


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Problem("The public key must be 32 bytes in hex (64 characters).")
    return key
