"""`slipway jobs`: estimate, start, follow and end fine-tunes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from slipway.cli import follow, refs, verbs
from slipway.cli.client import Client, Problem
from slipway.cli.output import show
from slipway_contracts import hyperparameters

COLUMNS = "id name phase reason model scale created_at"


@click.group()
def jobs() -> None:
    """Fine-tune models."""


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`key=value` options to a dictionary; values are JSON where they read as JSON."""
    given = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Problem(f"--set takes key=value, not {pair!r}; keys: slipway jobs methods")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return given


def _grader(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise Problem(f"{path} is no JSON: {error}") from error


def _asked(client: Client, **options: Any) -> dict[str, Any]:
    body = {
        "name": options["name"] or "estimate",
        "base": refs.version(client, options["base"]),
        "dataset": refs.dataset_version(client, options["dataset"]),
        "method": options["method"],
        "scale": options["scale"],
        "hyperparameters": _settings(options["pairs"]),
        "seed": options["seed"],
        "workers": options["workers"],
    }
    if options["held_out"]:
        body["held_out"] = refs.dataset_version(client, options["held_out"])
    if options["grader"]:
        body["grader"] = _grader(options["grader"])
    if options["model"]:
        body["model"] = options["model"]
    return body


def _request(command: Any) -> Any:
    """The options that say what to train; creating and estimating take the same."""
    for option in reversed(
        [
            click.option("--name", default="", help="Name of the job."),
            click.option(
                "--base",
                required=True,
                help="Model to train, or fine-tune to train further: name, name@number or id.",
            ),
            click.option(
                "--dataset", required=True, help="Published version: name, name@number, id."
            ),
            click.option("--held-out", default="", help="Version for the held-out loss."),
            click.option("--model", default="", help="Model the result becomes a version of."),
            click.option(
                "--method",
                default="sft",
                show_default=True,
                type=click.Choice(hyperparameters.METHODS),
                help="sft learns from answers, dpo from pairs of a better and a worse one, "
                "grpo from the rewards that a grader gives.",
            ),
            click.option(
                "--scale",
                default="lora",
                show_default=True,
                type=click.Choice(hyperparameters.SCALES),
            ),
            click.option(
                "--grader",
                type=click.Path(exists=True, dir_okay=False),
                help="JSON file of what rewards answers (grpo), in the form of OpenAI's graders.",
            ),
            click.option("--set", "pairs", multiple=True, help="Hyper-parameter, key=value."),
            click.option("--seed", type=int, default=0, show_default=True),
            click.option("--workers", type=int, default=1, show_default=True),
            click.option("--json", "as_json", is_flag=True),
        ]
    ):
        command = option(command)
    return command


@jobs.command()
@click.option("--base", default="", help="Bound the ranges by this model.")
@click.option("--json", "as_json", is_flag=True)
def methods(base: str, as_json: bool) -> None:
    """List training methods and what may be set for each."""
    client = Client()
    base_id = refs.version(client, base) if base else None
    found = client.get("training/methods", base=base_id)["data"]
    if as_json:
        show(found, as_json=True)
        return
    for entry in found:
        click.secho(f"\n{entry['method']} · {entry['scale']}", bold=True)
        rows = [
            {
                "key": p["key"],
                "type": p["type"],
                "allowed": _allowed(p),
                "default": p["default"],
                "text": p["text"]["en"],
            }
            for p in entry["hyperparameters"]
        ]
        show(rows, as_json=False)


def _allowed(parameter: dict[str, Any]) -> str:
    """What may be given, as a user would write it."""
    low, high = parameter["minimum"], parameter["maximum"]
    if parameter["choices"]:
        told = " | ".join(map(str, parameter["choices"]))
    elif parameter["type"] == "bool":
        told = "true | false"
    elif low is None:
        told = "text"
    else:
        told = f"{low:.10g}" if low == high else f"{low:.10g} … {high:.10g}"
    return f"{told} | auto" if parameter["auto"] else told


@jobs.command()
@_request
def estimate(as_json: bool, **options: Any) -> None:
    """Say what a job would need, and check everything, without starting it."""
    client = Client()
    plan = client.post("jobs/estimate", _asked(client, **options))
    show(plan if as_json else plan["estimate"], as_json=as_json)


@jobs.command()
@_request
@click.option("--follow/--no-follow", "wait", default=False, help="Stay and show its progress.")
def create(as_json: bool, wait: bool, **options: Any) -> None:
    """Start a fine-tune."""
    if not options["name"]:
        raise Problem("A job needs a --name.")
    client = Client()
    job = client.post("jobs", _asked(client, **options))
    if wait:
        job = follow.run(client, f"jobs/{job['id']}", curves=True)
    show(job, as_json=as_json, columns="id name phase reason model result_version_id")


@jobs.command("list")
@click.option("--phase", help="Only jobs in this phase.")
@click.option("--json", "as_json", is_flag=True)
def list_jobs(phase: str | None, as_json: bool) -> None:
    """List jobs, newest first."""
    show(list(Client().pages("jobs", phase=phase)), as_json=as_json, columns=COLUMNS)


@jobs.command("show")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True)
def show_job(job: str, as_json: bool) -> None:
    """Show a job: why it is where it is, progress, estimate against actual, result."""
    client = Client()
    show(client.get(f"jobs/{refs.job(client, job)}"), as_json=as_json)


@jobs.command()
@click.argument("job")
@click.option("--name", "names", multiple=True, help="Only these curves.")
@click.option("--json", "as_json", is_flag=True)
def metrics(job: str, names: tuple[str, ...], as_json: bool) -> None:
    """Show a job's curves, point by point."""
    client = Client()
    found = client.get(f"jobs/{refs.job(client, job)}/metrics", name=list(names) or None)
    show(found if as_json else found["data"], as_json=as_json, columns="name step value at")


@jobs.command()
@click.argument("job")
@click.option("--json", "as_json", is_flag=True)
def checkpoints(job: str, as_json: bool) -> None:
    """List a job's complete checkpoints with the metrics at their step."""
    client = Client()
    found = client.get(f"jobs/{refs.job(client, job)}/checkpoints")["data"]
    show(found, as_json=as_json, columns="step attempt values uri")


@jobs.command()
@click.argument("job")
@click.option("--json", "as_json", is_flag=True)
def events(job: str, as_json: bool) -> None:
    """List what happened to a job, newest first."""
    client = Client()
    found = list(client.pages(f"jobs/{refs.job(client, job)}/events"))
    show(found, as_json=as_json, columns="at kind target level reason")


for _name, _text in (
    ("cancel", "End a job; its checkpoints stay, so a retry resumes."),
    ("pause", "Stop a job at its latest checkpoint and give its place away, until it is resumed."),
    ("resume", "Queue a paused job again, from its latest checkpoint."),
    ("retry", "Queue a failed or cancelled job again, from its latest checkpoint."),
):
    verbs.add(jobs, _name, find=refs.job, what="JOB", text=_text)


@jobs.command()
@click.argument("job")
def delete(job: str) -> None:
    """Delete a job with its curves and checkpoints; the model made from it stays."""
    client = Client()
    client.delete(f"jobs/{refs.job(client, job)}")
    click.echo("deleted")
