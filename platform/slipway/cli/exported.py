"""An export of an OpenAI organisation, taken in: files, evals, and its jobs to be run again."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai

from slipway.cli.client import Problem
from slipway.cli.taking import MARK, Report, file_twin, marked

#: Purposes that a file can be uploaded with; others were made by the vendor.
_PURPOSES = {"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}


class Export:
    """A folder or zip as `docs/export_openai.py` writes it."""

    def __init__(self, path: Path) -> None:
        self._root: Any = zipfile.Path(path) if path.is_file() else path
        if not (self._root / "files.jsonl").exists():
            inner = [each for each in self._root.iterdir() if each.is_dir()]
            if len(inner) != 1 or not (inner[0] / "files.jsonl").exists():
                raise Problem(
                    f"{path} is no export: there is no files.jsonl in it. docs/export_openai.py "
                    "makes one."
                )
            self._root = inner[0]

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        file = self._root / f"{name}.jsonl"
        if not file.exists():
            return
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                row["id"]
            except (ValueError, KeyError, TypeError) as error:
                raise Problem(
                    f"{name}.jsonl, line {number}: no object with an id ({error})."
                ) from error
            yield row

    def content(self, file_id: str) -> bytes | None:
        if "/" in file_id or not (self._root / "files" / file_id).exists():
            return None
        data: bytes = (self._root / "files" / file_id).read_bytes()
        return data


def take(export: Export, client: openai.OpenAI, report: Report, models: dict[str, str]) -> None:
    """Everything of it; running it again takes only what is new.

    `models` maps their base models to ours: jobs of these are run again, here.
    """
    files = _files(export, client, report)
    _evals(export, client, report)
    _jobs(export, client, report, files, models)


def _files(export: Export, client: openai.OpenAI, report: Report) -> dict[str, str]:
    """Their ids to ours."""
    found: dict[str, str] = {}
    for row in export.rows("files"):
        name, purpose = str(row.get("filename", row["id"])), row.get("purpose")
        told = f"{row['id']} ({name})"
        data = export.content(row["id"])
        if purpose not in _PURPOSES:
            report.left("file", told, f"its purpose is {purpose}, which only the vendor gives")
        elif not data:
            report.left("file", told, "the export holds no content of it")
        elif twin := file_twin(client, name, purpose, hashlib.sha256(data).hexdigest()):
            found[row["id"]] = twin
            report.there("file", told, twin)
        else:
            made = "" if report.dry else client.files.create(file=(name, data), purpose=purpose).id
            found[row["id"]] = made
            report.taken("file", told, made)
    return found


def _evals(export: Export, client: openai.OpenAI, report: Report) -> None:
    runs: dict[str, int] = {}
    for run in export.rows("eval_runs"):
        runs[run.get("eval_id", "")] = runs.get(run.get("eval_id", ""), 0) + 1
    for row in export.rows("evals"):
        told = f"{row['id']} ({row.get('name') or 'unnamed'})"
        config = row.get("data_source_config") or {}
        if config.get("type") != "custom":
            report.left("eval", told, f"its data source is {config.get('type')}, not custom")
            continue
        if twin := marked(client.evals.list(limit=100), row["id"]):
            report.there("eval", told, twin)
            continue
        made = ""
        if not report.dry:
            try:
                made = client.evals.create(**_eval(row)).id
            except openai.APIStatusError as error:
                report.left("eval", told, _refusal(error))
                continue
        report.taken("eval", told, made)
        if count := runs.get(row["id"]):
            report.left("runs", f"of {row['id']}", f"{count}; start them here on a model of yours")


def _eval(row: dict[str, Any]) -> dict[str, Any]:
    """The eval as it is asked for: without what the server adds to an answer."""
    schema = row["data_source_config"].get("schema") or {}
    properties = schema.get("properties") or {}
    metadata = dict(list((row.get("metadata") or {}).items())[:15])
    return {
        "name": row.get("name") or "",
        "metadata": metadata | {MARK: row["id"]},
        "data_source_config": {
            "type": "custom",
            "item_schema": properties.get("item", {"type": "object"}),
            "include_sample_schema": "sample" in properties,
        },
        "testing_criteria": [
            {k: v for k, v in criterion.items() if k != "id" and v is not None}
            for criterion in row.get("testing_criteria") or []
        ],
    }


def _jobs(
    export: Export,
    client: openai.OpenAI,
    report: Report,
    files: dict[str, str],
    models: dict[str, str],
) -> None:
    for row in export.rows("fine_tuning_jobs"):
        told = f"{row['id']} ({row.get('fine_tuned_model') or row.get('status')})"
        ours = models.get(str(row.get("model")))
        if ours is None:
            why = f"its weights stay with the vendor; `--model {row.get('model')}=OURS` tunes anew"
            report.left("job", told, why)
        elif row.get("training_file") not in files:
            report.left("job", told, f"its training file {row.get('training_file')} is not here")
        elif twin := marked(client.fine_tuning.jobs.list(limit=100), row["id"]):
            report.there("job", told, twin)
        else:
            made = ""
            if not report.dry:
                try:
                    made = client.fine_tuning.jobs.create(**_job(row, ours, files)).id
                except openai.APIStatusError as error:
                    report.left("job", told, _refusal(error))
                    continue
            report.taken("job", told, made)


def _refusal(error: openai.APIStatusError) -> str:
    """The platform's own words."""
    return str(error.body.get("message")) if isinstance(error.body, dict) else str(error)


def _job(row: dict[str, Any], model: str, files: dict[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": model,
        "training_file": files[row["training_file"]],
        "metadata": dict(list((row.get("metadata") or {}).items())[:15]) | {MARK: row["id"]},
    }
    if files.get(row.get("validation_file") or ""):
        asked["validation_file"] = files[row["validation_file"]]
    same = {
        "seed": row.get("seed"),
        "suffix": row.get("user_provided_suffix"),
        "method": row.get("method"),
    }
    return asked | {key: value for key, value in same.items() if value is not None}
