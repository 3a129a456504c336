"""`slipway quotas`: which limit will bite, asking for more, and answering who asks."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli.client import Client
from slipway.cli.output import show

_COLUMNS = "id state about wanted asked_by until answer"


@click.group()
def quotas() -> None:
    """See limits before they bite; ask for more, or answer who asks."""


def _fields(pairs: tuple[str, ...]) -> dict[str, str]:
    """`limit=500` and the like."""
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if bad := [name for name, value in found.items() if not value]:
        raise click.BadParameter(f"{bad[0]}: write NAME=NUMBER, such as limit=500")
    return found


@quotas.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_(as_json: bool) -> None:
    """List limits over this project, the one that bites first in front."""
    rows = Client().get("quotas")["data"]
    show(rows, as_json=as_json, columns="limit_id kind about fields used left bites_at")


@quotas.command()
@click.argument("limit")
@click.argument("wanted", nargs=-1, required=True, metavar="NAME=NUMBER…")
@click.option("--why", required=True)
@click.option("--until", default=None, help="2027-01-31T00:00:00Z; for good if left out.")
@click.option("--json", "as_json", is_flag=True)
def ask(limit: str, wanted: tuple[str, ...], why: str, until: str | None, as_json: bool) -> None:
    """Ask for more of LIMIT (its limit_id): `slipway quotas ask ID limit=500 --why …`."""
    client = Client()
    kinds = {row["limit_id"]: row["kind"] for row in client.get("quotas")["data"]}
    body: dict[str, Any] = {"kind": kinds.get(limit, "budget"), "limit_id": limit, "why": why,
                            "wanted": _fields(wanted), "until": until}  # fmt: skip
    show(client.post("quota-requests", body), as_json=as_json, columns=_COLUMNS)


@quotas.command()
@click.option("--state", default=None, help="asked, granted, refused, withdrawn or lapsed.")
@click.option("--json", "as_json", is_flag=True)
def requests(state: str | None, as_json: bool) -> None:
    """List who asked for what, and the answers, newest first."""
    show(list(Client().pages("quota-requests", state=state)), as_json=as_json, columns=_COLUMNS)


@quotas.command()
@click.argument("request")
@click.argument("given", nargs=-1, metavar="[NAME=NUMBER…]")
@click.option("--until", default=None, help="As asked if left out.")
@click.option("--answer", default="")
@click.option("--json", "as_json", is_flag=True)
def grant(
    request: str, given: tuple[str, ...], until: str | None, answer: str, as_json: bool
) -> None:
    """Grant REQUEST, in whole or less of it."""
    body = {"given": _fields(given) or None, "until": until, "answer": answer}
    done = Client().post(f"quota-requests/{request}/grant", body)
    show(done, as_json=as_json, columns="id state granted before until")


@quotas.command()
@click.argument("request")
@click.option("--answer", required=True)
@click.option("--json", "as_json", is_flag=True)
def refuse(request: str, answer: str, as_json: bool) -> None:
    """Refuse REQUEST and say why."""
    done = Client().post(f"quota-requests/{request}/refuse", {"answer": answer})
    show(done, as_json=as_json, columns="id state answer")


@quotas.command()
@click.argument("request")
def withdraw(request: str) -> None:
    """Take one's own REQUEST back."""
    Client().delete(f"quota-requests/{request}")
    click.echo("withdrawn")
