"""`slipway limits`: who may ask how much of the models of a project."""

from __future__ import annotations

import click

from slipway.cli.client import Client
from slipway.cli.output import show

_COLUMNS = "id key_id model requests_per_minute tokens_per_minute at_once"


@click.group()
def limits() -> None:
    """Say who may ask how much."""


@limits.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_(as_json: bool) -> None:
    """List the limits of this project."""
    show(list(Client().pages("limits")), as_json=as_json, columns=_COLUMNS)


@limits.command("set")
@click.option("--key", "key_id", default=None, help="Id of a key; else all keys together.")
@click.option("--model", default="", help="Name of a model; else all models together.")
@click.option("--requests", type=click.IntRange(min=1), default=None, help="Per minute.")
@click.option("--tokens", type=click.IntRange(min=1), default=None,
              help="Of prompts and answers, per minute.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(min=1), default=None,
              help="Requests under way at a time.")  # fmt: skip
def set_(
    key_id: str | None, model: str, requests: int | None, tokens: int | None, at_once: int | None
) -> None:
    """Limit a key, a model, both or the project; what is not named is not limited."""
    body = {
        "key_id": key_id, "model": model, "requests_per_minute": requests,
        "tokens_per_minute": tokens, "at_once": at_once,
    }  # fmt: skip
    click.echo(Client().call("PUT", "limits", json=body)["id"])


@limits.command()
@click.argument("limit")
def lift(limit: str) -> None:
    """Lift a limit by its id."""
    Client().delete(f"limits/{limit}")
    click.echo("lifted")
