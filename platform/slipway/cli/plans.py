"""`slipway plans`: what the house offers for a fee per term, and what this project has of it."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli.client import Client
from slipway.cli.output import show

_PLANS = (
    "id name fee term model requests_per_minute tokens_per_minute replicas most_units everybody"
)
_MINE = "id plan units next_units renews phase term_ends_at next_fee reason"


@click.group()
def plans() -> None:
    """Take units of a plan by the hour or month; offer plans."""


@plans.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_(as_json: bool) -> None:
    """List plans on offer."""
    show(list(Client().pages("plans")), as_json=as_json, columns=_PLANS)


@plans.command()
@click.argument("name")
@click.argument("fee")
@click.argument("term", type=click.Choice(["hour", "month"]))
@click.option("--model", default="", help="The name that it is for; all together if left out.")
@click.option("--requests-per-minute", type=int, default=0)
@click.option("--tokens-per-minute", type=int, default=0)
@click.option("--replicas", type=int, default=0, help="Whose time the fee pays.")
@click.option("--most-units", type=int, default=1, show_default=True)
@click.option("--everybody", is_flag=True, help="So much the house lets every project ask; fee 0.")
@click.option("--about", default="")
@click.option("--json", "as_json", is_flag=True)
def offer(as_json: bool, **terms: Any) -> None:
    """Offer a plan NAME at FEE for a unit and TERM (administrators of the platform)."""
    show(Client().post("plans", terms), as_json=as_json, columns=_PLANS)


@plans.command()
@click.argument("plan")
def withdraw(plan: str) -> None:
    """Offer PLAN no more; who has it keeps it to the end of the term."""
    Client().delete(f"plans/{plan}")
    click.echo("withdrawn")


@plans.command()
@click.option("--json", "as_json", is_flag=True)
def mine(as_json: bool) -> None:
    """List what this project has of plans, and had."""
    rows = list(Client().pages("subscriptions"))
    show(rows if as_json else [_named(row) for row in rows], as_json=as_json, columns=_MINE)


@plans.command()
@click.argument("plan")
@click.option("--units", type=int, default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def take(plan: str, units: int, as_json: bool) -> None:
    """Take units of PLAN (its id); the first term is paid at once."""
    _show(Client().post("subscriptions", {"plan_id": plan, "units": units}), as_json)


@plans.command()
@click.argument("subscription")
@click.option("--units", type=int, help="More: at once. Fewer: from the next term on.")
@click.option("--renew/--no-renew", "renews", default=None)
@click.option("--json", "as_json", is_flag=True)
def change(subscription: str, units: int | None, renews: bool | None, as_json: bool) -> None:
    """Have more or fewer units of SUBSCRIPTION, or none after this term."""
    asked = {"units": units, "renews": renews}
    body = {name: value for name, value in asked.items() if value is not None}
    _show(Client().call("PATCH", f"subscriptions/{subscription}", json=body), as_json)


def _show(row: dict[str, Any], as_json: bool) -> None:
    show(row if as_json else _named(row), as_json=as_json, columns=_MINE)


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"plan": row["plan"]["name"]}
