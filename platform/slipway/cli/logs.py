"""`slipway logs`: what a job, an evaluation, a deployment or the platform itself printed."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from slipway.cli import home, refs
from slipway.cli.client import Client, Problem
from slipway.cli.supervise import COMMANDS

KINDS = {"job": "jobs", "eval": "evals", "deployment": "deployments"}


@click.command()
@click.argument("kind", type=click.Choice([*KINDS, "platform"]))
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def logs(kind: str, name: str, follow: bool, as_json: bool) -> None:
    """Print the log of a job, eval or deployment by name, or `platform web|worker|node`."""
    if kind == "platform":
        _platform(name, follow=follow)
        return
    client = Client()
    find = {"job": refs.job, "eval": refs.evaluation, "deployment": _deployment}[kind]
    path = f"{KINDS[kind]}/{find(client, name)}/logs"
    cursor = None
    while True:
        page = client.get(path, cursor=cursor)
        for line in page["data"]:
            _print(line, as_json=as_json)
        cursor = page["next_cursor"]
        if not page.get("more"):
            if not (follow and page.get("live")):
                return
            time.sleep(0.5)


def _deployment(client: Client, name: str) -> str:
    return str(refs.deployment(client, name)["id"])


def _print(line: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
    else:
        click.echo(" ".join(filter(None, (line.get("at"), line["text"]))))


def _platform(name: str, *, follow: bool) -> None:
    if name not in (*COMMANDS, "supervisor"):
        raise Problem(f"There is no process {name!r}; there are web, worker, node, supervisor.")
    path = home.log_path(name)
    if not path.exists():
        raise Problem(f"{path} is not there yet.")
    with path.open(errors="replace") as file:
        while True:
            for line in file:
                click.echo(line, nl=False)
            if not follow:
                return
            time.sleep(0.3)
