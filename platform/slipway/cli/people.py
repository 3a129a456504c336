"""`slipway people`: what is known of somebody, and its end, for who administers the platform."""

from __future__ import annotations

import click

from slipway.cli.client import Client
from slipway.cli.output import show


@click.group()
def people() -> None:
    """Answer people who ask what is known of them."""


@people.command()
@click.argument("user")
def data(user: str) -> None:
    """Show all that accounts hold of a person, as JSON."""
    show(Client().get(f"people/{user}/data"), as_json=True)


@people.command("sign-out")
@click.argument("user")
def sign_out(user: str) -> None:
    """End all sessions of a person at once; their keys go on."""
    Client().delete(f"people/{user}/sessions")
    click.echo("signed out everywhere")


@people.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(user: str, yes: bool) -> None:
    """End a person's account and take their name off everything but the audit log."""
    if not yes:
        click.confirm(f"Forget {user} for good?", abort=True)
    Client().delete(f"people/{user}")
    click.echo("forgotten; what they made stays")
