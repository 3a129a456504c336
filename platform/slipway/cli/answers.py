"""`slipway requests`: what was asked of the models, what it used, and where an answer came from."""

from __future__ import annotations

from typing import Any

import click

from slipway.cli.client import Client, Problem
from slipway.cli.output import show

COLUMNS = "request_id at model status prompt_tokens completion_tokens latency_ms"


@click.group()
def requests() -> None:
    """Look at answered requests, and at where an answer came from."""


@requests.command("list")
@click.option("--limit", type=int, default=20, show_default=True)
@click.option("--model", help="Only those of this model.")
@click.option("--json", "as_json", is_flag=True)
def list_requests(limit: int, model: str | None, as_json: bool) -> None:
    """List requests, newest first."""
    found = Client().get("usage/records", limit=limit, model=model)["data"]
    show(found, as_json=as_json, columns=COLUMNS)


@requests.command("show")
@click.argument("request_id")
@click.option("--json", "as_json", is_flag=True)
def show_request(request_id: str, as_json: bool) -> None:
    """Show a request (the `x-request-id` of its answer) and what its model was made from."""
    client = Client()
    record = dict(client.get(f"requests/{request_id}"))
    record |= _lineage(client, record)
    show(record, as_json=as_json)


def _lineage(client: Client, record: dict[str, Any]) -> dict[str, Any]:
    """Names along the way from the answering version to the rows; as far as they are there."""
    try:
        made = client.get(f"model-versions/{record['version_id']}/lineage")
        found = {"model_version": f"{made['model']}@{made['version']}"}
        if not made.get("job_id"):
            return found
        job = client.get(f"jobs/{made['job_id']}")
    except Problem as gone:
        if gone.status != 404:
            raise
        return {"lineage": "goes no further: what it leads to was deleted"}
    return found | {
        "job": job["name"],
        "base": job["base"]["name"],
        "dataset": job["dataset"]["name"],
        "rows_sha256": job["dataset"]["sha256"],
        "tracking_run": job["tracking_run"],
    }
