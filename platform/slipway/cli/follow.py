"""Watch something with a life until it rests, with a progress bar and its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from slipway.cli.client import Client, Problem
from slipway.cli.output import console

#: Curves whose last value is worth a look while a job runs.
CURVES = ("loss", "held_out_loss", "reward", "reward_margin")
_CURVE_SECONDS = 2.0
RESTING = {"succeeded", "failed", "cancelled"}


def run(
    client: Client, path: str, *, seconds: float = 24 * 3600, curves: bool = False
) -> dict[str, Any]:
    """Follow a job or evaluation at `path` until it rests; Problem if it ends badly.

    With `curves` the last values of a job's curves are shown beside its reason.
    """
    deadline = time.monotonic() + seconds
    looked, last = 0.0, ""
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
            if curves and time.monotonic() - looked > _CURVE_SECONDS:
                looked, last = time.monotonic(), _last_values(client, path)
            bars.update(
                bar,
                description=seen["phase"],
                completed=seen["progress"]["percent"],
                reason=" · ".join(filter(None, [seen["reason"], last])),
            )
            if seen["phase"] in RESTING:
                break
            if time.monotonic() > deadline:
                raise Problem(f"{path} did not end in {seconds:.0f} s; it goes on.")
            time.sleep(0.3)
    if seen["phase"] != "succeeded":
        raise Problem(f"{seen['name']} ended as {seen['phase']}: {seen['reason']}")
    return seen


def _last_values(client: Client, path: str) -> str:
    # No points, only what there is of each curve.
    found = client.get(f"{path}/metrics", from_step=2**31 - 1)["names"]
    values = {entry["name"]: entry["last_value"] for entry in found}
    return ", ".join(
        f"{name} {values[name]:.4g}" for name in CURVES if values.get(name) is not None
    )


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
