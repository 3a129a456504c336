"""`slipway bill verify`: a bill's files are whole, and its sums right; no platform is asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from slipway.metering.rules import signed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def bill() -> None:
    """Check bills."""


@bill.command()
@click.argument("signature", type=_FILE)
@click.argument("table", type=_FILE, metavar="CSV")
@click.option("--pdf", "pdf_file", type=_FILE, help="The bill as PDF, to be checked too.")
@click.option("--public-key", default="", help="Hex; the one kept apart. Else the file's own.")
def verify(signature: Path, table: Path, pdf_file: Path | None, public_key: str) -> None:
    """Prove offline that a bill's CSV (and PDF) is the one that was signed, and adds up."""
    try:
        said: dict[str, Any] = json.loads(signature.read_text())
        key = bytes.fromhex(public_key or said["public_key"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{signature} is no signature of a bill ({error})") from error
    if len(key) != 32:
        raise click.BadParameter("64 hexadecimal digits", param_hint="--public-key")
    pdf = pdf_file.read_bytes() if pdf_file else None
    found = list(signed.faults(said, public_key=key, table=table.read_bytes(), pdf=pdf))
    for fault in found:
        click.echo(fault, err=True)
    if found:
        sys.exit(1)
    by = "the key given" if public_key else "the key in the file; give yours with --public-key"
    state = "final" if said["final"] else "preliminary"
    click.echo(
        f"the {state} bill of {said['month']} for {said['organisation']}: {said['lines']} lines, "
        f"total {said['total']} {said['currency']}; whole, signed by {by}"
    )
