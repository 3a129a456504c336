"""`slipway import`: take in what was made elsewhere. Run again, it takes only what is new."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from slipway.cli import promptfoo, taking
from slipway.cli.client import Problem
from slipway.cli.taking import MARK, Report

_DRY = click.option("--dry-run", is_flag=True, help="Only say what would be taken.")


@click.group("import")
def importing() -> None:
    """Take in what was made elsewhere; what cannot be taken is named with its place."""


@importing.command("openai")
@click.argument("export", type=click.Path(exists=True, path_type=pathlib.Path))
@click.option("--model", "models", multiple=True, help="THEIRS=OURS: tune it anew on OURS.")
@_DRY
def from_openai(export: pathlib.Path, models: tuple[str, ...], dry_run: bool) -> None:
    """Take in EXPORT, a folder or zip made by docs/export_openai.py: files, evals, jobs."""
    # With it comes the `openai` package, which no other command shall wait a second for.
    from slipway.cli import exported

    pairs = {}
    for text in models:
        theirs, equals, ours = text.partition("=")
        if not (theirs and equals and ours):
            raise Problem(f"--model {text}: write THEIRS=OURS.")
        pairs[theirs] = ours
    report = Report(dry_run)
    exported.take(exported.Export(export), taking.door(), report, pairs)
    report.end()


@importing.command("promptfoo")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--model", "models", multiple=True, help="Start a run of each prompt on this model.")
@click.option("--judge", default="", help="The model that rubrics are put to.")
@_DRY
def from_promptfoo(file: pathlib.Path, models: tuple[str, ...], judge: str, dry_run: bool) -> None:
    """Take in FILE: tests become evals, asserts graders, prompts what runs ask."""
    config = promptfoo.read(file, judge=judge)
    report = Report(dry_run)
    for provider in config.providers:
        report.left("provider", provider, "say by --model what is asked instead")
    for place, why in config.left:
        report.left("part", place, why)
    client = taking.door()
    for number, each in enumerate(config.evals, 1):
        told = f"{config.name} {number} ({len(each.rows)} tests)"
        mark = f"promptfoo:{config.digest[:32]}:{number}"
        made = taking.marked(client.evals.list(limit=100), mark)
        if made:
            report.there("eval", told, made)
        else:
            made = "" if dry_run else _made(client, each, config.name, number, mark)
            report.taken("eval", told, made)
        for model in models:
            for label, messages in config.prompts.items():
                _run(client, report, made, each, model, label, messages)
    report.end()


def _made(client: Any, each: promptfoo.Eval, name: str, number: int, mark: str) -> str:
    config = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
    made = client.evals.create(
        name=f"{name} {number}", metadata={MARK: mark}, data_source_config=config,
        testing_criteria=each.criteria,
    )  # fmt: skip
    return str(made.id)


def _run(
    client: Any,
    report: Report,
    eval_id: str,
    each: promptfoo.Eval,
    model: str,
    label: str,
    messages: list[dict[str, str]],
) -> None:
    """A run of a prompt on a model, unless there is one."""
    told = f"{label} on {model}"
    if eval_id:
        for run in client.evals.runs.list(eval_id, limit=100):
            asked = run.data_source.to_dict().get("input_messages", {}).get("template")
            if (run.model, asked) == (model, messages):
                report.there("run", told, run.id)
                return
    made = ""
    if not report.dry:
        source = {
            "type": "completions",
            "model": model,
            "input_messages": {"type": "template", "template": messages},
            "source": {"type": "file_content", "content": each.rows},
        }
        made = client.evals.runs.create(eval_id, name=told[:255], data_source=source).id
    report.taken("run", told, made)
