"""`slipway money`: what things cost, what they may cost, and the bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from slipway.cli.client import Client
from slipway.cli.output import show


@click.group()
def money() -> None:
    """See costs, set budgets, make bills."""


@money.command()
@click.option("--since", default=None)
@click.option("--until", default=None)
@click.option("--by", "group_by", default="model", show_default=True,
              help="Comma-separated: project_id, key_id, model, kind.")  # fmt: skip
@click.option("--everywhere", is_flag=True, help="All projects of the organisation.")
@click.option("--json", "as_json", is_flag=True)
def costs(
    since: str | None, until: str | None, group_by: str, everywhere: bool, as_json: bool
) -> None:
    """Show costs per day."""
    answer = Client().get(
        "costs", since=since, until=until, group_by=group_by, everywhere=everywhere or None
    )
    if as_json:
        show(answer, as_json=True)
        return
    show(answer["data"], as_json=False, columns="start group cost")
    click.echo(f"total {answer['total']} {answer['currency']}")


@money.command()
@click.argument("month")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Save as CSV.")
@click.option("--pdf", "pdf_file", type=click.Path(path_type=Path), help="Save as PDF.")
@click.option("--signature", "signature_file", type=click.Path(path_type=Path),
              help="Save what `slipway bill verify` checks the others with.")  # fmt: skip
@click.option("--everywhere", is_flag=True, help="All projects of the organisation.")
@click.option("--json", "as_json", is_flag=True)
def bill(
    month: str,
    csv_file: Path | None,
    pdf_file: Path | None,
    signature_file: Path | None,
    everywhere: bool,
    as_json: bool,
) -> None:
    """Show or save the bill of MONTH (2026-11)."""
    client, more = Client(), {"everywhere": "true"} if everywhere else {}
    wanted = ((csv_file, "csv"), (pdf_file, "pdf"), (signature_file, "signature"))
    for file, ending in wanted:
        if file is not None:
            file.write_bytes(client.raw(f"bills/{month}/{ending}", **more))
            click.echo(f"saved {file}")
    if any(file is not None for file, _ in wanted):
        return
    answer = client.get(f"bills/{month}", **more)
    if as_json:
        show(answer, as_json=True)
        return
    show(answer["lines"], as_json=False, columns="number start key model kind quantity cost")
    click.echo(f"total {answer['total']} {answer['currency']}")


@money.command()
@click.option("--json", "as_json", is_flag=True)
def budgets(as_json: bool) -> None:
    """List budgets with what is spent, set aside and left."""
    columns = "id reach period limit hard spent reserved left"
    show(list(Client().pages("budgets")), as_json=as_json, columns=columns)


@money.command("set-budget")
@click.argument("reach", type=click.Choice(["organisation", "project", "key"]))
@click.argument("limit")
@click.option("--target", default=None, help="Id of the project or key; else this project.")
@click.option("--period", type=click.Choice(["month", "total"]), default="month")
@click.option("--soft", is_flag=True, help="Only alert; refuse nothing.")
@click.option("--alert-at", type=int, multiple=True, help="Percentage; several times if wished.")
def set_budget(
    reach: str,
    limit: str,
    target: str | None,
    period: str,
    soft: bool,
    alert_at: tuple[int, ...],
) -> None:
    """Set a limit on what an organisation, project or key may cost."""
    body: dict[str, Any] = {"reach": reach, "limit": limit, "period": period, "hard": not soft}
    body |= {"alert_at": list(alert_at)} | ({"target_id": target} if target else {})
    click.echo(Client().post("budgets", body)["id"])


@money.command("remove-budget")
@click.argument("budget")
def remove_budget(budget: str) -> None:
    """Remove a budget by its id."""
    Client().delete(f"budgets/{budget}")
    click.echo("removed")


@money.command()
@click.option("--json", "as_json", is_flag=True)
def alerts(as_json: bool) -> None:
    """List alerts of budgets, newest first."""
    columns = "created_at budget_id percent spent"
    show(list(Client().pages("alerts")), as_json=as_json, columns=columns)


@money.command()
@click.option("--json", "as_json", is_flag=True)
def prices(as_json: bool) -> None:
    """List the price books that hold here, newest first."""
    show(list(Client().pages("price-books")), as_json=as_json, columns="id name valid_from prices")


@money.command("set-prices")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def set_prices(file: Path) -> None:
    """Open a price book from a JSON FILE: {"name": …, "prices": [{"kind", "amount", "per"}]}."""
    try:
        body = json.loads(file.read_text())
    except ValueError as error:
        raise click.UsageError(f"{file} is not JSON: {error}") from error
    click.echo(Client().post("price-books", body)["id"])


@money.command()
@click.option("--json", "as_json", is_flag=True)
def credit(as_json: bool) -> None:
    """Show what was paid in advance and is left."""
    show(Client().get("credit"), as_json=as_json)
