"""`slipway deployments`: serve model versions, scale, swap, stop."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli import follow, refs
from slipway.cli.client import Client
from slipway.cli.output import show

COLUMNS = "id name phase reason replicas endpoints"


@click.group()
def deployments() -> None:
    """Serve models."""


def _live(client: Client, row: dict[str, Any]) -> dict[str, Any]:
    return follow.until(
        client,
        f"deployments/{row['id']}",
        lambda seen: seen["phase"] == "live" and not seen["coming"],
    )


@deployments.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_deployments(as_json: bool) -> None:
    """List deployments, newest first."""
    show(list(Client().pages("deployments")), as_json=as_json, columns=COLUMNS)


@deployments.command("show")
@click.argument("deployment")
@click.option("--json", "as_json", is_flag=True)
def show_deployment(deployment: str, as_json: bool) -> None:
    """Show a deployment: what it serves, with how many replicas, and why it is as it is."""
    show(refs.deployment(Client(), deployment), as_json=as_json)


@deployments.command()
@click.argument("model")
@click.option("--name", default="", help="What clients call it; the model's name if left out.")
@click.option("--replicas", type=int, default=1, show_default=True)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until it answers.")
@click.option("--json", "as_json", is_flag=True)
def create(model: str, name: str, replicas: int, wait: bool, as_json: bool) -> None:
    """Serve MODEL (name, name@number or id)."""
    client = Client()
    body = {"model": model, "replicas": replicas} | ({"name": name} if name else {})
    row = client.post("deployments", body)
    show(_live(client, row) if wait else row, as_json=as_json, columns=COLUMNS)


@deployments.command()
@click.argument("deployment")
@click.argument("model")
@click.option("--wait/--no-wait", default=True, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def swap(deployment: str, model: str, wait: bool, as_json: bool) -> None:
    """Serve MODEL under the same name; the old version answers until the new one is ready."""
    client = Client()
    row = client.post(f"deployments/{refs.deployment(client, deployment)['id']}/swap",
                      {"model": model})  # fmt: skip
    show(_live(client, row) if wait else row, as_json=as_json, columns=COLUMNS)


@deployments.command()
@click.argument("deployment")
@click.argument("replicas", type=int)
@click.option("--json", "as_json", is_flag=True)
def scale(deployment: str, replicas: int, as_json: bool) -> None:
    """Change the number of replicas."""
    client = Client()
    row = client.post(f"deployments/{refs.deployment(client, deployment)['id']}/scale",
                      {"replicas": replicas})  # fmt: skip
    show(row, as_json=as_json, columns=COLUMNS)


@deployments.command("set")
@click.argument("deployment")
@click.option("--at-once", type=int, help="Requests that one gateway sends it at a time.")
@click.option("--queue", type=int, help="How many more may wait for their turn.")
@click.option("--sleep-after", "sleep", help="Seconds without a request until it sleeps; never.")
@click.option("--json", "as_json", is_flag=True)
def set_rules(
    deployment: str, at_once: int | None, queue: int | None, sleep: str | None, as_json: bool
) -> None:
    """Say how much it takes at a time, and when it sleeps."""
    body: dict[str, Any] = {"at_once": at_once, "queue": queue}
    body = {name: value for name, value in body.items() if value is not None}
    if sleep is not None:
        if sleep != "never" and not sleep.isdecimal():
            raise click.UsageError(f"--sleep-after takes seconds or never, not {sleep!r}")
        body["sleep_after_seconds"] = None if sleep == "never" else int(sleep)
    client = Client()
    address = f"deployments/{refs.deployment(client, deployment)['id']}"
    row = client.call("PATCH", address, json=body)
    show(row, as_json=as_json, columns=f"{COLUMNS} at_once queue sleep_after_seconds")


def _verb(name: str, text: str) -> click.Command:
    @click.argument("deployment")
    @click.option("--json", "as_json", is_flag=True)
    def command(deployment: str, as_json: bool) -> None:
        client = Client()
        row = client.post(f"deployments/{refs.deployment(client, deployment)['id']}/{name}")
        show(row, as_json=as_json, columns=COLUMNS)

    return click.command(name, help=text)(command)


for verb in (
    _verb("stop", "Take it down; name and version stay."),
    _verb("start", "Bring a stopped deployment back."),
    _verb("rollback", "Serve the version before this one again."),
):
    deployments.add_command(verb)


@deployments.command()
@click.argument("deployment")
def delete(deployment: str) -> None:
    """Take it down for good."""
    client = Client()
    client.delete(f"deployments/{refs.deployment(client, deployment)['id']}")
    click.echo("deleted")
