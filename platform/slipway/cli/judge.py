"""`slipway evals`: judge model versions side by side on held-out rows."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli import follow, refs, verbs
from slipway.cli.client import Client
from slipway.cli.output import console, show


@click.group()
def evals() -> None:
    """Judge model versions on held-out rows."""


@evals.command()
@click.option("--name", required=True)
@click.option("--model", "models", multiple=True, required=True, help="First is the baseline.")
@click.option("--dataset", required=True, help="Published version: name, name@number or id.")
@click.option("--metric", "metrics", multiple=True, default=["exact_match"], show_default=True)
@click.option("--max-tokens", type=int, default=256, show_default=True)
@click.option("--follow/--no-follow", "wait", default=False, help="Stay and show its progress.")
@click.option("--json", "as_json", is_flag=True)
def create(
    name: str,
    models: tuple[str, ...],
    dataset: str,
    metrics: tuple[str, ...],
    max_tokens: int,
    wait: bool,
    as_json: bool,
) -> None:
    """Start an evaluation of the models given, on one dataset."""
    client = Client()
    made = client.post(
        "evals",
        {
            "name": name,
            "candidates": [refs.version(client, model) for model in models],
            "dataset": refs.dataset_version(client, dataset),
            "metrics": list(metrics),
            "max_tokens": max_tokens,
        },
    )
    if wait:
        made = follow.run(client, f"evals/{made['id']}")
    board(made, as_json=as_json)


def board(run: dict[str, Any], *, as_json: bool) -> None:
    """The scoreboard: a row per group and metric, a column per candidate, then the gate."""
    if as_json or not run["scoreboard"]:
        show(run, as_json=as_json, columns="" if as_json else "id name phase reason")
        return
    rows = []
    for line in run["scoreboard"]:
        cells = {"group": line["group"], "metric": line["metric"]}
        for score in line["scores"]:
            cells[score["name"]] = interval(score)
        rows.append(cells)
    show(rows, as_json=False)
    for paired in run["paired"]:
        if paired["p_value"] is not None:
            console.print(
                f"{paired['group']} {paired['metric']}: difference {paired['difference']:+.3f}, "
                f"p = {paired['p_value']:.2g}, n = {paired['n']}"
            )
    for finding in run["gate_findings"]:
        console.print(finding["text"])


def interval(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return "–"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] n={score['n']}"


@evals.command("list")
@click.option("--phase")
@click.option("--json", "as_json", is_flag=True)
def list_evals(phase: str | None, as_json: bool) -> None:
    """List evaluations, newest first."""
    found = list(Client().pages("evals", phase=phase))
    show(found, as_json=as_json, columns="id name phase reason gate_passed created_at")


@evals.command("show")
@click.argument("evaluation")
@click.option("--json", "as_json", is_flag=True)
def show_eval(evaluation: str, as_json: bool) -> None:
    """Show an evaluation's scoreboard."""
    client = Client()
    board(client.get(f"evals/{refs.evaluation(client, evaluation)}"), as_json=as_json)


@evals.command()
@click.argument("evaluation")
@click.option("--json", "as_json", is_flag=True)
def rows(evaluation: str, as_json: bool) -> None:
    """Show every row with each candidate's answer and scores."""
    client = Client()
    found = list(client.pages(f"evals/{refs.evaluation(client, evaluation)}/rows"))
    show(found, as_json=as_json)


for _name, _text in (
    ("cancel", "End an evaluation."),
    ("resume", "Queue an evaluation again that was paused for its budget."),
):
    verbs.add(evals, _name, find=refs.evaluation, what="EVALUATION", text=_text)
