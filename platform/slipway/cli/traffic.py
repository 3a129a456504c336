"""`slipway traffic` and `slipway externals`: who answers a name, and models that others serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from slipway.cli import refs
from slipway.cli.client import Client, Problem
from slipway.cli.output import show

_RULE = "id name targets fallbacks hedge_after_ms"
_EXTERNAL = "id name url model credential_hint timeout_seconds down checked_at trouble"


@click.group()
def traffic() -> None:
    """Split what is asked of a name, and say who answers when one cannot."""


@traffic.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_rules(as_json: bool) -> None:
    """List the rules."""
    show(list(Client().pages("traffic")), as_json=as_json, columns=_RULE)


@traffic.command("set")
@click.argument("name")
@click.argument("shares", nargs=-1, required=True)
@click.option("--fallback", "fallbacks", multiple=True, help="Tried next; several times.")
@click.option("--hedge-after-ms", type=int, default=None, help="Ask a second replica after this.")
@click.option("--json", "as_json", is_flag=True)
def set_rule(
    name: str,
    shares: tuple[str, ...],
    fallbacks: tuple[str, ...],
    hedge_after_ms: int | None,
    as_json: bool,
) -> None:
    """Answer NAME by SHARES such as chart-v1=90 chart-v2=10, which come to 100."""
    body = {
        "name": name,
        "targets": [_share(text) for text in shares],
        "fallbacks": list(fallbacks),
        "hedge_after_ms": hedge_after_ms,
    }
    show(Client().call("PUT", "traffic", json=body), as_json=as_json, columns=_RULE)


def _share(text: str) -> dict[str, Any]:
    model, equals, percent = text.rpartition("=")
    if not equals or not percent.isdecimal():
        raise click.UsageError(f"{text!r} is not model=percent, such as chart-v2=10")
    return {"model": model, "percent": int(percent)}


@traffic.command("lift")
@click.argument("name")
def lift_rule(name: str) -> None:
    """Take the rule of NAME back: it means its own deployment again."""
    client = Client()
    rows = client.get("traffic", name=name)["data"]
    if not rows:
        raise Problem(f"There is no rule for {name!r}. See: slipway traffic list")
    client.delete(f"traffic/{rows[0]['id']}")
    click.echo("lifted")


@click.group()
def externals() -> None:
    """Call models that other OpenAI-compatible servers answer."""


@externals.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_externals(as_json: bool) -> None:
    """List external models."""
    show(list(Client().pages("externals")), as_json=as_json, columns=_EXTERNAL)


@externals.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--model", default="", help="What the other server calls it; NAME if left out.")
@click.option("--credential-file", type=click.Path(exists=True, path_type=Path), default=None,
              help="File that holds the API key for the other server.")  # fmt: skip
@click.option("--timeout-seconds", type=int, default=120, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def add_external(
    name: str,
    url: str,
    model: str,
    credential_file: Path | None,
    timeout_seconds: int,
    as_json: bool,
) -> None:
    """Answer NAME by the server at URL (https://host/v1), and ask it whether it is there."""
    client = Client()
    # From a file: what is on a command line, others on the machine can read.
    secret = credential_file.read_text().strip() if credential_file else ""
    body = {"name": name, "url": url, "model": model, "credential": secret,
            "timeout_seconds": timeout_seconds}  # fmt: skip
    row = client.post("externals", body)
    show(client.post(f"externals/{row['id']}/check"), as_json=as_json, columns=_EXTERNAL)


@externals.command("check")
@click.argument("external")
@click.option("--json", "as_json", is_flag=True)
def check_external(external: str, as_json: bool) -> None:
    """Ask the other server whether it is there and takes the credential."""
    client = Client()
    row = client.post(f"externals/{refs.external(client, external)['id']}/check")
    show(row, as_json=as_json, columns=_EXTERNAL)


@externals.command("remove")
@click.argument("external")
def remove_external(external: str) -> None:
    """Forget an external model and its credential."""
    client = Client()
    client.delete(f"externals/{refs.external(client, external)['id']}")
    click.echo("removed")
