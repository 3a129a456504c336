"""`slipway notices`: who is told what happens, by mail or webhook."""

from __future__ import annotations

import click

from slipway.cli.client import Client
from slipway.cli.output import show


@click.group()
def notices() -> None:
    """Say who is told what happens here."""


@notices.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_(as_json: bool) -> None:
    """List who is told what."""
    rows = Client().get("notices")["data"]
    show(rows, as_json=as_json, columns="id kind address wants everywhere stopped")


@notices.command()
@click.argument("kind", type=click.Choice(["mail", "webhook"]))
@click.argument("address")
@click.option(
    "--want", "wants", multiple=True, help="Such as budget.reached, job.ended, quota.asked."
)
@click.option("--everywhere", is_flag=True, help="In all projects of the organisation.")
def add(kind: str, address: str, wants: tuple[str, ...], everywhere: bool) -> None:
    """Tell ADDRESS too; prints a webhook's secret, this once."""
    body = {"kind": kind, "address": address, "wants": list(wants), "everywhere": everywhere}
    made = Client().post("notices", body)
    click.echo(f"{made['id']} {made['secret']}".strip())


@notices.command()
@click.argument("target")
def remove(target: str) -> None:
    """Tell it nothing more."""
    Client().delete(f"notices/{target}")
    click.echo("removed")


@notices.command()
@click.argument("target")
def test(target: str) -> None:
    """Send a test; `slipway notices deliveries` shows how it went."""
    click.echo(Client().post(f"notices/{target}/test")["id"])


@notices.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True)
def deliveries(target: str, as_json: bool) -> None:
    """Show what was sent there, and how it went."""
    rows = list(Client().pages(f"notices/{target}/deliveries"))
    show(rows, as_json=as_json, columns="created_at happening phase attempts reason")
