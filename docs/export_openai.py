"""Take files, fine-tuning jobs and evals out of an OpenAI organisation, or of anything like it.

    pip install openai
    OPENAI_API_KEY=… python export_openai.py FOLDER [BASE_URL]

What is in FOLDER already is not fetched again. `slipway import openai FOLDER` takes it in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import openai


def export(client: openai.OpenAI, folder: Path) -> None:
    """Write everything that the credential can see; what cannot be read is named in `left.txt`."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    left: list[str] = []
    files = list(_all(client.files.list(), "files", left))
    _write(folder / "files.jsonl", files)
    for file in files:
        path = folder / "files" / file["id"]
        if path.exists():
            continue
        try:
            content = client.files.content(file["id"]).read()
        except openai.APIError as error:
            left.append(f"content of {file['id']} ({file['filename']}): {error}")
            continue
        # Whole or not at all, so that a run that was cut short can be gone on with.
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(content)
        unfinished.rename(path)
    jobs = list(_all(client.fine_tuning.jobs.list(), "fine-tuning jobs", left))
    _write(folder / "fine_tuning_jobs.jsonl", jobs)
    _write(
        folder / "fine_tuning_checkpoints.jsonl",
        (
            row
            for job in jobs
            for row in _all(
                client.fine_tuning.jobs.checkpoints.list(job["id"]),
                f"checkpoints of {job['id']}", left,
            )
        ),
    )  # fmt: skip
    evals = list(_all(client.evals.list(), "evals", left))
    _write(folder / "evals.jsonl", evals)
    runs = [
        run for each in evals
        for run in _all(client.evals.runs.list(each["id"]), f"runs of {each['id']}", left)
    ]  # fmt: skip
    _write(folder / "eval_runs.jsonl", runs)
    _write(
        folder / "eval_output_items.jsonl",
        (
            item
            for run in runs
            for item in _all(
                client.evals.runs.output_items.list(run["id"], eval_id=run["eval_id"]),
                f"rows of {run['id']}", left,
            )
        ),
    )  # fmt: skip
    (folder / "left.txt").write_text("".join(f"{line}\n" for line in left))


def _all(pages: Iterable[Any], what: str, left: list[str]) -> Iterator[dict[str, Any]]:
    """Every row of every page, as the API told it."""
    try:
        for row in pages:
            yield row.to_dict()
    except openai.APIError as error:
        left.append(f"{what}: {error}")


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    export(openai.OpenAI(base_url=sys.argv[2] if len(sys.argv) > 2 else None), Path(sys.argv[1]))
