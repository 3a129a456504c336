"""Watch something with a life until it rests, with a progress bar and its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from slipway.cli.client import Client, Problem
from slipway.cli.output import console

RESTING = {"succeeded", "failed", "cancelled"}


def run(client: Client, path: str, *, seconds: float = 24 * 3600) -> dict[str, Any]:
    """Follow a job or evaluation at `path` until it rests; Problem if it ends badly."""
    deadline = time.monotonic() + seconds
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[reason]}"),
        console=console,
        transient=not console.is_terminal,
    ) as bars:
        bar = bars.add_task("", total=100, reason="")
        while True:
            seen: dict[str, Any] = client.get(path)
            bars.update(
                bar,
                description=seen["phase"],
                completed=seen["progress"]["percent"],
                reason=seen["reason"],
            )
            if seen["phase"] in RESTING:
                break
            if time.monotonic() > deadline:
                raise Problem(f"{path} did not end in {seconds:.0f} s; it goes on.")
            time.sleep(0.3)
    if seen["phase"] != "succeeded":
        raise Problem(f"{seen['name']} ended as {seen['phase']}: {seen['reason']}")
    return seen


def until(
    client: Client,
    path: str,
    done: Callable[[dict[str, Any]], bool],
    *,
    seconds: float = 3600,
) -> dict[str, Any]:
    """Look at `path` until `done`, showing its reason; Problem if it fails or takes too long."""
    deadline = time.monotonic() + seconds
    with console.status("waiting") as status:
        while True:
            seen: dict[str, Any] = client.get(path)
            if done(seen):
                return seen
            if seen.get("phase") in {"failed", "refused"}:
                raise Problem(f"It {seen['phase']}: {seen.get('reason', '')}")
            if time.monotonic() > deadline:
                raise Problem(f"{path} did not get there in {seconds:.0f} s; it goes on.")
            status.update(f"{seen.get('phase', '')} {seen.get('reason', '')}")
            time.sleep(0.3)
